/* metric.h - the vocabulary of metrics: kinds, names, labels, and how an application's name comes out on /metrics.
 *
 * A series is a name and its labels; all series of a name are one family, of one kind. Labels are kept canonical: one
 * msgpack map of strings, sorted by name, so that equal labels are equal bytes. Rules of names: those of Prometheus
 * (prometheus.io/docs/concepts/data_model) and OpenMetrics 1.0. Pure.
 */
#ifndef TASKFORGE_COMMON_MODEL_METRIC_H
#define TASKFORGE_COMMON_MODEL_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/text.h"

enum {
    METRIC_NAME_BYTES = 200,
    METRIC_LABELS_MAX = 32, /* of one series */
    METRIC_LABEL_NAME_BYTES = 128,
    METRIC_LABEL_VALUE_BYTES = 1024,
    METRIC_LABELS_BYTES = 4096, /* packed */
    METRIC_UNIT_BYTES = 63,
    METRIC_HELP_BYTES = 1024,
    METRIC_BOUNDS_MAX = 64,    /* of the classic buckets of a histogram */
    METRIC_FAMILY_BYTES = 400, /* namespace, name and suffixes */
};

enum metric_kind {
    METRIC_COUNTER = 1, /* a total that only grows */
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
    METRIC_TIMER,   /* a histogram in seconds */
    METRIC_UNKNOWN, /* a number of which nobody says what it is; as a gauge, but so told */
    METRIC_KIND_END,
};
static inline bool metric_kind_is_valid(unsigned kind) {
    return kind >= METRIC_COUNTER && kind < METRIC_KIND_END;
}
static inline bool metric_kind_is_histogram(enum metric_kind kind) {
    return kind == METRIC_HISTOGRAM || kind == METRIC_TIMER;
}
const char *metric_kind_name(enum metric_kind kind); /* "counter" "gauge" "histogram" "timer" "unknown" */

/* How the name comes out on /metrics, for namespace "taskforge". */
enum metric_naming {
    METRIC_NAMING_APP, /* counter x, x_total: taskforge_x_total; gauge x: taskforge_x_gauge; histogram x: taskforge_x;
                               timer x, x_seconds: taskforge_x_seconds */
    METRIC_NAMING_PREFIXED, /* taskforge_x as it is: queue_count, our own; counters end with _total, timers with _seconds */
    METRIC_NAMING_VERBATIM, /* x as it is: node_load1; what OTLP, StatsD and the host call so */
    METRIC_NAMING_END,
};

enum metric_operation {
    METRIC_ADD, /* counters and gauges: to the value; histograms and timers: one observation */
    METRIC_SET, /* gauges; counters whose total somebody else keeps (it may begin anew) */
    METRIC_EXEMPLAR, /* counts nothing: an observation that was counted by handle, for its trace id. Older collectors refuse it */
    METRIC_OPERATION_END,
};

/* How the values that several processes give one gauge become one. */
enum metric_combine {
    METRIC_COMBINE_LAST, /* what was set last, by whomever; whoever is dead, too */
    METRIC_COMBINE_SUM,  /* of the living */
    METRIC_COMBINE_MIN,
    METRIC_COMBINE_MAX,
    METRIC_COMBINE_END,
};

struct metric_label {
    struct text name, value;
};

/* An observation that stands for those of its bucket, or of a counter's increments, and the trace it was made in. */
enum { METRIC_TRACE_ID_BYTES = 64 };
struct metric_exemplar {
    double value;
    uint64_t time_ns; /* real; 0: not known */
    uint8_t length;   /* of trace_id; 0: there is none, and no exemplar */
    char trace_id[METRIC_TRACE_ID_BYTES];
};
/* A trace id of UTF-8 without NUL, and a value that is a number. */
bool metric_exemplar_is_valid(const struct metric_exemplar *exemplar);

/* What a series is. Texts are borrowed. */
struct metric_definition {
    enum metric_kind kind;
    enum metric_naming naming;
    uint8_t combine; /* enum metric_combine: of gauges, else 0 */
    struct text name;
    struct text labels; /* canonical; empty: none */
    struct text unit;   /* "" where the name says it or there is none */
    struct text help;   /* "": none was given */
    struct text
        bounds; /* histograms: packed array of ascending doubles, the classic buckets; empty: the default ones */
};

/* 1 to METRIC_NAME_BYTES of [a-zA-Z0-9_:], no digit first. -EINVAL with the reason. */
int metric_name_check(struct text name, struct error *error);

/* A label: [a-zA-Z0-9_], no digit and no "__" first, not "le" or "quantile"; the value UTF-8 without NUL. -EINVAL. */
int metric_label_check(const struct metric_label *label, struct error *error);

/* Make canonical labels in `out`: sorted, no two of one name (-EINVAL), none with an empty value (left out, as Prometheus does).
 * -E2BIG when they are more, or longer, than a series may have. *ret borrows `out`; it is the empty text for none. */
int metric_labels_pack(const struct metric_label *labels, size_t count, char out[METRIC_LABELS_BYTES], struct text *ret,
                       struct error *error);

/* { overflow: "true" }: of the series of a metric that takes what finds no room for a series of its own, or whose labels are beyond those limits;
 * OpenTelemetry's otel.metric.overflow does the same. */
extern const struct text metric_overflow_labels;

/* Whether bytes from outside are canonical labels (or empty). -EINVAL. */
int metric_labels_check(struct text labels);

/* The labels one after the other, out of checked ones: true and *ret, false at the end. Begin with *at = 0. */
bool metric_labels_next(struct text labels, size_t *at, struct metric_label *ret);

/* The value of one label; the empty text when there is none. */
struct text metric_labels_find(struct text labels, struct text name);

/* The labels as both formats of /metrics have them between the braces, a="x",b="y", with \ " and newline escaped: one text for canonical
 * labels, and back. -EINVAL for any text that is not exactly what metric_labels_print makes of some canonical labels. */
enum { METRIC_PRINTED_BYTES = 2 * METRIC_LABELS_BYTES }; /* at most */
void metric_labels_print(struct text labels, struct buffer *out);
int metric_labels_parse(struct text printed, char out[METRIC_LABELS_BYTES], struct text *ret);

/* Append text escaped: \ and newline, and the double quote where it stands in quotes. */
void metric_text_escape(struct text text, bool quotes, struct buffer *out);

/* Kind, naming, name, labels, unit, help and bounds of what came from outside. -EINVAL with the reason. */
int metric_definition_check(const struct metric_definition *definition, struct error *error);

/* The doubles of checked bounds: how many (0 for empty ones). */
size_t metric_bounds_read(struct text bounds, double out[METRIC_BOUNDS_MAX]);
/* The bounds of a histogram's or timer's classic buckets: its own, read into `own`, or those of its kind. The bucket beyond the last one is not
 * among them. At least one, at most METRIC_BOUNDS_MAX. */
size_t metric_classic_bounds(enum metric_kind kind, struct text bounds, double own[METRIC_BOUNDS_MAX],
                             const double **ret);
/* How many exemplars a series may have: one for each classic bucket, the one beyond included; of a counter 1; else 0. */
size_t metric_exemplar_count(enum metric_kind kind, struct text bounds);
/* Pack bounds (ascending, finite; -EINVAL otherwise) into `out` of METRIC_BOUNDS_MAX * 9 + 5 bytes. */
enum { METRIC_BOUNDS_BYTES = METRIC_BOUNDS_MAX * 9 + 5 };
int metric_bounds_pack(const double *bounds, size_t count, char out[METRIC_BOUNDS_BYTES], struct text *ret,
                       struct error *error);

/* --- names on /metrics --- */

struct metric_scheme {
    const char *namespace_;   /* "taskforge" */
    const char *gauge_suffix; /* "_gauge" */
};

/* The name without what its kind puts behind it on /metrics (_total of counters, _seconds of timers): jobs and jobs_total (and
 * jobs_total_total) are one counter. An application's name travels like this; bare once more it is the same. */
struct text metric_name_bare(enum metric_kind kind, struct text name);

/* The family's name as OpenMetrics has it: without _total for counters. NUL-terminated in out; its length. */
size_t metric_family(const struct metric_scheme *scheme, enum metric_kind kind, enum metric_naming naming,
                     struct text name, char out[METRIC_FAMILY_BYTES]);

/* Whether bytes from outside can be a family's name: 1 to METRIC_FAMILY_BYTES - 1 of a name's. -EINVAL. */
int metric_family_check(struct text family);

/* What stands behind the family's name in the names a family of that kind takes for itself: "" "_total" "_created" for
 * counters, "" "_bucket" "_sum" "_count" "_created" for histograms, "" for the others. Ends with NULL. */
const char *const *metric_suffixes(enum metric_kind kind);

/* Whether a name that has this kind and rule may be used as of that kind and rule: 0, or -EEXIST with the reason in words of the name. */
int metric_kinds_agree(struct text name, enum metric_kind kind, enum metric_combine combine, enum metric_kind other,
                       enum metric_combine other_combine, struct error *error);

/* The families there are, to find two of different kinds with one name, and names that would collide with another's samples.
 * One thread, or a lock of the caller's. */
struct metric_families {
    struct metric_claim **claims; /* open addressing, a power of two */
    size_t capacity, count;
};
#define METRIC_FAMILIES_EMPTY ((struct metric_families) { 0 })

/* Note a family. 0 when it is new or was there with the same kind; -EEXIST with the reason in words of the family's name
 * ("jobs is a counter already", "the gauge jobs_total would collide with the counter jobs"); -ENOMEM. */
int metric_families_add(struct metric_families *families, enum metric_kind kind, struct text family,
                        struct error *error);
/* The same without noting it: 1 when it was there, 0 when it could be added. */
int metric_families_check(const struct metric_families *families, enum metric_kind kind, struct text family,
                          struct error *error);
void metric_families_finish(struct metric_families *families);

#endif
