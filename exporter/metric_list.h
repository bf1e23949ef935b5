/* metric_list.h - the values of the segment now, as a list: what GET /api/v1/metrics and tfctl metrics show. */
#ifndef TASKFORGE_EXPORTER_METRIC_LIST_H
#define TASKFORGE_EXPORTER_METRIC_LIST_H

#include "common/shm/segment.h"

struct metric_row {
    char *texts;              /* owned: where name, labels and unit stand */
    struct text name, labels; /* as on /metrics; a histogram by its family */
    struct text unit;
    enum metric_kind kind;
    uint64_t position, updated_ns;
    double value;                       /* counters, gauges */
    uint64_t count;                     /* histograms and timers, and the rest */
    double sum, average, p50, p95, p99; /* NaN of an empty one, but for sum */
};

struct metric_list {
    struct metric_row *rows; /* by name, then labels; no two of both */
    size_t count, capacity;
};
#define METRIC_LIST_EMPTY ((struct metric_list) { 0 })
void metric_list_finish(struct metric_list *list);

/* All series that are not hidden and have a name, on /metrics or of the application's own, that begins with `text` (is it, when `exactly`).
 * -EBADMSG, -EFAULT with the sentence when the segment is damaged; -ENOMEM. The list is to be finished in any case. */
int metric_list_read(struct segment *segment, struct text text, bool exactly, struct metric_list *ret,
                     struct error *error);

/* {"name","kind","labels","value","unit","updated"}, of a histogram or timer "count","sum","avg","p50","p95","p99" instead of the value. What is
 * no finite number is null; unit and updated only where they are known. */
void metric_row_append_json(struct buffer *out, const struct metric_row *row);

#endif
