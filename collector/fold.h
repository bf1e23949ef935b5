/* fold.h - metric updates into totals: what a batch adds, put into the batch as state, and, once that is safe, into the segment.
 * The only code that writes the segment.
 *
 *   gather    updates by name (out of the records), then cells (by handle), then the collector's own: each touches a series,
 *             whose coming total stands beside the safe one until the batch is settled or discarded
 *   put       the coming totals of touched series, and how far each cell was folded, into the batch
 *   settle    coming is safe; then the segment shows it (after the commit, or scraped counters would run backwards)
 *   discard   as if nothing had been
 *
 * One thread. */
#ifndef TASKFORGE_COLLECTOR_FOLD_H
#define TASKFORGE_COLLECTOR_FOLD_H

#include "collector/batch.h"
#include "collector/descriptions.h"
#include "collector/fold_ahead.h"
#include "collector/fold_memo.h"
#include "collector/gauges.h"
#include "collector/kinds.h"
#include "collector/names.h"
#include "collector/series.h"
#include "collector/series_state.h"
#include "collector/shares.h"
#include "common/base/error.h"
#include "common/base/paths.h"
#include "common/model/own_metrics.h"
#include "common/model/record.h"
#include "common/shm/segment.h"

enum fold_refusal {
    FOLD_REFUSED_INVALID,   /* a name, label or value that cannot be */
    FOLD_REFUSED_COLLISION, /* another kind, or another's name on /metrics */
    FOLD_REFUSED_LIMIT,     /* not even room for an overflow series, or another octave of one: shares.h */
    FOLD_REFUSAL_COUNT,
};

/* What was refused for the first time under its name: told in the log by the batch that is being made. */
struct fold_refused_name {
    uint64_t hash; /* 0: free */
};
enum { FOLD_REFUSED_NAMES = 1024 /* half of them are used, so that a search ends soon */, FOLD_TELLINGS_MAX = 16 };

/* collector.metrics; beyond the first two, updates go to the metric's overflow series (fold_series.c). */
struct fold_limits {
    uint64_t max_series, max_series_per_metric;
    uint64_t stale_after_ns; /* without updates for so long a series leaves /metrics (fold_stale.c); 0: never */
};

/* How values stand in the state (series_state.h), and what of it changes with the batch that is being made; fold_put.c. */
struct fold_page {      /* of values */
    uint64_t logged;    /* the first change beyond it in the log; 0: none */
    uint16_t touched;   /* values, by the batch */
    bool chosen, swept; /* on the list of chosen pages; put because the log is long */
};
struct fold_log_key {
    uint64_t number;
    size_t bytes;
};
struct fold_pages {
    struct fold_page *items;
    size_t count;
    uint32_t *chosen; /* pages that the batch has to do with; room for all */
    size_t chosen_count;
    uint32_t *definitions; /* pages of definitions to be put; some twice */
    size_t definition_count, definition_capacity;
    uint64_t number; /* of the last batch */
    struct fold_log_key *log;
    size_t log_count, log_capacity, log_bytes, removing;
    bool logging;         /* its last one is the batch's */
    uint64_t sweep_until; /* this far the log is being taken into pages; 0: not at present */
    size_t cursor, cursor_next;
};

struct fold {
    char runtime_dir[PATHS_MAX];
    char namespace_[SEGMENT_SCHEME_TEXT], gauge_suffix[SEGMENT_SCHEME_TEXT];
    struct metric_scheme scheme; /* points at the two */
    struct state_map *state;     /* borrowed */
    struct series_table table;
    struct metric_families families; /* names on /metrics that are taken */
    struct kinds kinds;              /* names of applications */
    struct fold_limits limits;
    struct names names;
    struct fold_memo memo;
    struct shares shares; /* of the living series */
    struct shares stale;  /* of those that have left */
    struct gauges gauges;
    struct descriptions descriptions;
    uid_t user; /* whose updates are being folded, set by whoever folds: new series are his */
    /* When the batch that is being made was begun, real: nothing of it is later. 0: before the first. */
    uint64_t now_ns;
    struct series **touched;
    size_t touched_count, touched_capacity;
    struct segment_writer *segment; /* NULL while none could be made */
    bool segment_said;
    bool
        adopted; /* the state held no totals, and the segment's were taken: cells that are there count from where they stand */
    bool put_all;   /* all series are to be put into the state */
    bool old_state; /* it has them as it was before there were pages */
    uint64_t refused[FOLD_REFUSAL_COUNT], refused_safe[FOLD_REFUSAL_COUNT];
    struct fold_refused_name refused_names[FOLD_REFUSED_NAMES];
    unsigned refused_name_count;
    struct {
        const char *operation;
        char text[ERROR_TEXT_SIZE];
    } tellings[FOLD_TELLINGS_MAX]; /* sentences for the log */
    unsigned telling_count;
    uint64_t tell_ns; /* real: since when `told_lately` were told */
    unsigned told_lately;
    bool settled;        /* once: all cells were looked at */
    bool memo_is_old;    /* series were forgotten */
    size_t stale_cursor; /* the next bucket that is looked at for stale series */
    size_t hidden;       /* series that the segment has and nobody is shown */
    uint64_t names_gone; /* names whose claims in kinds and families are left over */
    uint64_t forgotten;  /* series */
    uint32_t *removed;   /* ids of series that the state still has */
    size_t removed_count, removed_capacity;
    size_t removing_count; /* of them, those that are in the batch */
    struct fold_pages pages;
    struct buffer scratch;
};

/* Load the totals from *state and show them in a new segment. A segment that cannot be made is said, and tried again by fold_maintain;
 * totals are kept all the same. -ENOMEM. */
int fold_init(struct fold *fold, const char *runtime_dir, const struct metric_scheme *scheme, struct state_map *state,
              struct error *error);
void fold_finish(struct fold *fold);

/* From now on these hold. What is there stays, and leaves as it becomes stale. */
void fold_set_limits(struct fold *fold, const struct fold_limits *limits);

/* The series of a definition (under its bare name: jobs and jobs_total are one counter), made where there is none; beyond a limit its
 * metric's overflow series. NULL: refused (counted, its name told once), or out of memory and the batch has failed. */
struct series *fold_series(struct fold *fold, const struct metric_definition *definition, uint64_t now_ns,
                           struct batch *batch);

/* Begin to change series->coming, if that has not been done in this batch. False: out of memory, *batch has failed. */
bool fold_touch(struct fold *fold, struct series *series, struct batch *batch);

/* Count a refusal, and tell its name once. */
void fold_refuse(struct fold *fold, enum fold_refusal why, struct text name, const struct error *error);

/* The (touched) series whose coming histogram takes counts of that octave: the series itself; where it finds no room for another octave,
 * its metric's overflow series, touched; NULL: refused, or the batch has failed. */
struct series *fold_octave_series(struct fold *fold, struct series *series, unsigned octave, struct batch *batch);

/* Set to a value of that time: of several the latest holds. Nothing is later than now: a time from the future counts as now, and a
 * value that is there from the future (the clock was set back) holds nothing up. */
void fold_set(struct series_value *coming, double value, uint64_t time_ns, uint64_t now_ns);
/* Add to a histogram's sum, unless it would be no number any more (what others scribble must not stay for ever). */
void fold_sum(double *sum, double more);

/* One update by name. What is refused is counted. */
void fold_update(struct fold *fold, const struct record_metric_update *update, uint64_t time_ns, struct batch *batch);

/* Add to a series of the collector's own, or set a gauge; values of its labels as own_metric_define takes them (NULL: none). */
void fold_add(struct fold *fold, enum own_metric metric, const struct text *values, double value, uint64_t now_ns,
              struct batch *batch);

/* The last step of a batch: puts for all that was touched. */
void fold_put(struct fold *fold, struct batch *batch);
void fold_settle(struct fold *fold);
void fold_discard(struct fold *fold);

/* Tell what overflowed since it was told last: metric_overflow_total. */
void fold_gather_overflow(struct fold *fold, uint64_t now_ns, struct batch *batch);

/* Once a second, between batches: series that have become stale leave; the heartbeat; the segment begun anew where it is broken, gone or could not be made. */
void fold_maintain(struct fold *fold, uint64_t now_ns, uint64_t last_commit_ns);

/* Whether a metric of that kind, naming and name could be: 0, or -EEXIST, -EINVAL with the reason (for `tfmetric`). */
int fold_judge(struct fold *fold, enum metric_kind kind, enum metric_naming naming, struct text name,
               struct error *error);

#endif
