/* metric_history.h - samples of metrics over time, by steps: what GET /api/v1/metrics/NAME?start and tfctl metrics --since show.
 *
 * A name is one on /metrics or the application's own (segment_find.h). Where no series is called so, those whose name begins so may be
 * meant. Reads DATA_DIR/metrics alone: no process needs to run. */
#ifndef TASKFORGE_EXPORTER_METRIC_HISTORY_H
#define TASKFORGE_EXPORTER_METRIC_HISTORY_H

#include "common/query/label_matchers.h"
#include "common/query/series_window.h"
#include "common/store/samples.h"

#define METRIC_HISTORY_SINCE_NS (3600 * CLOCK_SECOND) /* where only the end is given: so long before it */

struct metric_history_want {
    struct text name;                      /* empty: all, with begins */
    bool begins;                           /* those whose name begins so, where none is called so */
    bool whole;                            /* of each series the whole time as one step, too */
    const struct label_matchers *matchers; /* NULL: any labels */
    uint64_t start_ns, end_ns;
    uint64_t step_ns;     /* 0: chosen by the time's length */
    uint64_t interval_ns; /* between two samples, as far as is known; 0: it is not */
    struct series_quantiles quantiles;
    uint64_t until_ns; /* monotonic: then the reading is given up; 0: never */
};

struct metric_history_series {
    const struct samples_definition *definition; /* the selection's */
    struct series_points points;
    struct series_point whole; /* samples 0: none, or not wanted */
};

struct metric_history {
    struct series_range range;
    struct series_quantiles quantiles;
    struct samples_selection *selection;
    struct metric_history_series *series; /* in the order of family and labels; some may have no point */
    size_t count;
};
#define METRIC_HISTORY_EMPTY ((struct metric_history) { .count = 0 })
void metric_history_finish(struct metric_history *history); /* before the reader is closed */

/* 0, also where there is no such series. -EINVAL, -E2BIG: too much is asked for, or what cannot be; -ETIME: given up; else the samples
 * cannot be read. *ret is to be finished after 0 only. */
int metric_history_read(struct samples_reader *reader, const struct metric_history_want *want,
                        struct metric_history *ret, struct error *error);

/* The name on /metrics (with _total of a counter; a histogram by its family), and the unit. */
void metric_history_append_name(struct buffer *out, const struct samples_definition *definition);
struct text metric_history_unit(const struct samples_definition *definition);

/* "start":"...","end":"...","step":SECONDS */
void metric_history_append_range(struct buffer *out, const struct series_range *range);
/* "labels":{...},"points":[{"time":...},...]; what is not known or no finite number is null. */
void metric_history_append_series(struct buffer *out, const struct metric_history *history, size_t index);

/* What a point has, by kind: names and values for JSON and CSV, `samples` among them. Returns how many. */
enum { METRIC_HISTORY_VALUES_MAX = 8 + SERIES_QUANTILES_MAX };
struct metric_history_value {
    char name[SERIES_QUANTILE_NAME];
    double value;
};
size_t metric_history_values(enum metric_kind kind, const struct series_quantiles *quantiles,
                             const struct series_point *point,
                             struct metric_history_value ret[METRIC_HISTORY_VALUES_MAX]);

#endif
