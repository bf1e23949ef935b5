/* exposition_lines.h - the lines of /metrics, one series after the other. Pure; used by exposition*.c and their tests alone. */
#ifndef TASKFORGE_EXPORTER_EXPOSITION_LINES_H
#define TASKFORGE_EXPORTER_EXPOSITION_LINES_H

#include "common/shm/segment_scan.h"
#include "exporter/exposition.h"

enum { EXPOSITION_BOUND_MAX = 28 }; /* "-1.2345678901234567e-308" */

struct exposition_bound {               /* of a classic bucket */
    uint16_t end;                       /* histogram_buckets_to */
    uint8_t length[EXPOSITION_FORMATS]; /* how it is written */
    char le[EXPOSITION_FORMATS][EXPOSITION_BOUND_MAX];
};

/* What the lines of series that differ only in their labels have in common; a private copy of what was judged. */
struct exposition_about {
    enum metric_kind kind;
    bool refused;    /* its family's name is another's already: no lines */
    bool below_zero; /* a bound is: the sum is no counter */
    struct text family, help, unit;
    struct text front;    /* of a line with labels: "family_total{", "family{", "family_bucket{" */
    unsigned bound_count; /* of histograms and timers */
    struct exposition_bound bounds[];
};
/* One piece of memory, for free(3); NULL: there is none. */
struct exposition_about *exposition_about_create(const struct metric_definition *definition, struct text family);

/* A family's HELP, TYPE and UNIT lines. help and unit may be empty; HELP then says so, UNIT is written only where the format and the name allow it. */
void exposition_append_family(struct buffer *out, enum exposition_format format, enum metric_kind kind,
                              struct text family, struct text help, struct text unit);

/* How a series is written. */
struct exposition_style {
    enum exposition_format format;
    bool created; /* _created where the format has it */
};

/* The lines of one series; *ret_labels: where in *out its labels stand first, of the length that `labels` has, so that a copy can be judged (not
 * changed where no line is written). exemplar: length 0 for none. */
void exposition_append_number_lines(struct buffer *out, struct exposition_style style,
                                    const struct exposition_about *about, struct text labels, double value,
                                    const struct metric_exemplar *exemplar, uint64_t created_ns, size_t *ret_labels);
void exposition_append_histogram_lines(struct buffer *out, struct exposition_style style,
                                       const struct exposition_about *about, struct text labels,
                                       const struct segment_counts *counts, uint64_t created_ns, size_t *ret_labels);

/* What stands at the end. */
void exposition_append_end(struct buffer *out, enum exposition_format format);

/* A number as both formats have it: 5, 0.25, NaN, +Inf. */
void exposition_append_number(struct buffer *out, double number);

#endif
