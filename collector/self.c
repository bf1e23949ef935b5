#include "collector/self.h"

#include "collector/limits.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/process_stat.h"

#define PROGRAM "taskforge-collector"

static const struct {
    enum own_metric metric;
    struct text value; /* of its label, where it has one */
} counters[SELF_COUNTER_COUNT] = {
    [SELF_COMMITS] = { .metric = OWN_STORE_COMMITS },
    [SELF_COMMIT_FAILURES] = { .metric = OWN_STORE_COMMIT_FAILURES },
    [SELF_SPILLED] = { .metric = OWN_STORE_SPILLED },
    [SELF_RINGS_BROKEN] = { .metric = OWN_RING_BROKEN },
    [SELF_FORGOTTEN] = { .metric = OWN_METRIC_FORGOTTEN },
    [SELF_HISTORY_TICKS] = { .metric = OWN_HISTORY_TICKS },
    [SELF_HISTORY_MISSED] = { .metric = OWN_HISTORY_MISSED },
    [SELF_HISTORY_FAILURES] = { .metric = OWN_HISTORY_FAILURES },
    [SELF_HISTORY_SAMPLES] = { .metric = OWN_HISTORY_SAMPLES },
    [SELF_FLUSH_ASKED] = { OWN_STORE_FLUSHES, TEXT_INITIALIZER("asked") },
    [SELF_FLUSH_SPILL] = { OWN_STORE_FLUSHES, TEXT_INITIALIZER("spill") },
    [SELF_FLUSH_PRESSED] = { OWN_STORE_FLUSHES, TEXT_INITIALIZER("pressed") },
    [SELF_FLUSH_ENTRIES] = { OWN_STORE_FLUSHES, TEXT_INITIALIZER("entries") },
    [SELF_FLUSH_URGENT] = { OWN_STORE_FLUSHES, TEXT_INITIALIZER("urgent") },
    [SELF_FLUSH_INTERVAL] = { OWN_STORE_FLUSHES, TEXT_INITIALIZER("interval") },
    [SELF_REMOVED] = { .metric = OWN_STORE_REMOVED },
    [SELF_REWRITTEN] = { .metric = OWN_STORE_REWRITTEN },
    [SELF_CHECKED_SOUND] = { OWN_STORE_CHECKS, TEXT_INITIALIZER("sound") },
    [SELF_CHECKED_PARTLY] = { OWN_STORE_CHECKS, TEXT_INITIALIZER("partly") },
    [SELF_CHECKED_UNREADABLE] = { OWN_STORE_CHECKS, TEXT_INITIALIZER("unreadable") },
};

static const enum own_metric spreads[SELF_SPREAD_COUNT] = {
    [SELF_COMMIT_TIME] = OWN_STORE_COMMIT_TIME,
    [SELF_COMMIT_ENTRIES] = OWN_STORE_COMMIT_ENTRIES,
    [SELF_LAG] = OWN_STORE_LAG,
    [SELF_DRAIN_TIME] = OWN_RING_DRAIN_TIME,
    [SELF_HISTORY_TIME] = OWN_HISTORY_TIME,
};

static const struct {
    enum own_metric metric;
    struct text values[2]; /* of its labels */
} gauges[SELF_GAUGE_COUNT] = {
    [SELF_STORE_BYTES] = { .metric = OWN_STORE_BYTES },
    [SELF_STORE_PARTITIONS] = { .metric = OWN_STORE_PARTITIONS },
    [SELF_STORE_FAILING] = { .metric = OWN_STORE_FAILING },
    [SELF_STORE_DAMAGED] = { .metric = OWN_STORE_DAMAGED },
    [SELF_SPILL_BYTES] = { .metric = OWN_STORE_SPILL_BYTES },
    [SELF_RINGS] = { .metric = OWN_RING_RINGS },
    [SELF_PROCESSES] = { .metric = OWN_RING_PROCESSES },
    [SELF_RING_FILL] = { .metric = OWN_RING_FILL },
    [SELF_RING_WAITING] = { .metric = OWN_RING_WAITING },
    [SELF_OUTPUT_WAITING] = { .metric = OWN_OUTPUT_WAITING },
    [SELF_SERIES] = { .metric = OWN_METRIC_SERIES },
    [SELF_HISTORY_BYTES] = { .metric = OWN_HISTORY_BYTES },
    [SELF_HISTORY_FAILING] = { .metric = OWN_HISTORY_FAILING },
    [SELF_HISTORY_LAG] = { .metric = OWN_HISTORY_LAG },
    [SELF_STORE_MAP_USED] = { .metric = OWN_STORE_MAP_USED },
    [SELF_STATE_BYTES] = { .metric = OWN_STORE_STATE_BYTES },
    [SELF_STALE] = { .metric = OWN_METRIC_STALE },
    [SELF_BUILD] = { OWN_BUILD_INFO, { TEXT_INITIALIZER(PROGRAM), TEXT_INITIALIZER(TASKFORGE_VERSION) } },
    [SELF_START] = { OWN_PROCESS_START, { TEXT_INITIALIZER(PROGRAM) } },
    [SELF_RESIDENT] = { OWN_PROCESS_RESIDENT, { TEXT_INITIALIZER(PROGRAM) } },
    [SELF_FILES] = { OWN_PROCESS_FILES, { TEXT_INITIALIZER(PROGRAM) } },
};

static const char *const refusals[FOLD_REFUSAL_COUNT] = {
    [FOLD_REFUSED_INVALID] = "invalid",
    [FOLD_REFUSED_COLLISION] = "collision",
    [FOLD_REFUSED_LIMIT] = "limit",
};

void self_finish(struct self *self) {
    for (int i = 0; i < SELF_SPREAD_COUNT; i++) {
        histogram_finish(&self->spreads[i].observed);
        histogram_finish(&self->spreads[i].taking);
    }
}

void self_observe(struct self *self, enum self_spread spread, double value, uint64_t times) {
    /* Out of memory here means one observation less. */
    (void)histogram_add(&self->spreads[spread].observed, value, times);
}

void self_observe_batch(struct self *self, const struct batch *batch, uint64_t now_ns) {
    enum { LOOKED_AT = 256 }; /* of a batch, so that a large one costs no more */
    if (batch->entry_count == 0)
        return;
    self_observe(self, SELF_COMMIT_ENTRIES, (double)batch->entry_count, 1);
    for (size_t i = 0, step = batch->entry_count / LOOKED_AT + 1; i < batch->entry_count; i += step) {
        uint64_t time_ns = batch->entries[i].timestamp_ns, left = batch->entry_count - i;
        self_observe(self, SELF_LAG, (double)(now_ns > time_ns ? now_ns - time_ns : 0) / (double)CLOCK_SECOND,
                     left < step ? left : step);
    }
}

void self_look_at_process(struct self *self, uint64_t now_ns) {
    struct process_usage usage;
    if (self->process_ns != 0 && now_ns - self->process_ns < SELF_NS)
        return;
    if (self->process_ns == 0) {
        self->gauges[SELF_BUILD] = 1;
        self->gauges[SELF_START] = process_start_seconds();
    }
    self->process_ns = now_ns;
    if (process_usage_read(&usage) < 0)
        return;
    self->cpu = usage.cpu_seconds;
    self->gauges[SELF_RESIDENT] = (double)usage.resident_bytes;
    self->gauges[SELF_FILES] = (double)usage.open_files;
}

static void gather_entries(struct fold *fold, uint64_t now_ns, struct batch *batch) {
    uint64_t by_level[LEVEL_COUNT] = { 0 };
    for (size_t i = 0; i < batch->entry_count; i++)
        by_level[batch->entries[i].level]++;
    for (int level = 0; level < LEVEL_COUNT; level++) {
        struct text name = text_of(level_name((enum level)level));
        if (by_level[level] > 0)
            fold_add(fold, OWN_STORE_ENTRIES, &name, (double)by_level[level], now_ns, batch);
    }
    if (batch->repaired > 0)
        fold_add(fold, OWN_STORE_REPAIRED, NULL, (double)batch->repaired, now_ns, batch);
    if (batch->redacted > 0)
        fold_add(fold, OWN_STORE_REDACTED, NULL, (double)batch->redacted, now_ns, batch);
    if (batch->unsealed > 0)
        fold_add(fold, OWN_STORE_UNSEALED, NULL, (double)batch->unsealed, now_ns, batch);
    if (batch->too_costly > 0)
        fold_add(fold, OWN_STORE_TOO_COSTLY, NULL, (double)batch->too_costly, now_ns, batch);
}

/* Shown with 0, too. */
static void gather_spans(const struct self *self, struct fold *fold, uint64_t now_ns, struct batch *batch) {
    if (batch->span_count > 0 || !self->shown)
        fold_add(fold, OWN_STORE_SPANS, NULL, (double)batch->span_count, now_ns, batch);
    if (batch->invalid_spans > 0 || !self->shown)
        fold_add(fold, OWN_STORE_SPANS_INVALID, NULL, (double)batch->invalid_spans, now_ns, batch);
}

static void gather_counters(struct self *self, struct fold *fold, uint64_t now_ns, struct batch *batch) {
    static const struct text program = TEXT_INITIALIZER(PROGRAM);
    for (int i = 0; i < SELF_COUNTER_COUNT; i++) {
        self->coming[i] = self->totals[i];
        if (self->totals[i] > self->safe[i] || !self->shown)
            fold_add(fold, counters[i].metric, &counters[i].value, (double)(self->totals[i] - self->safe[i]), now_ns,
                     batch);
    }
    for (int i = 0; i < FOLD_REFUSAL_COUNT; i++) {
        struct text reason = text_of(refusals[i]);
        self->refused_coming[i] = fold->refused[i];
        if (fold->refused[i] > self->refused_safe[i] || !self->shown)
            fold_add(fold, OWN_METRIC_REFUSED, &reason, (double)(fold->refused[i] - self->refused_safe[i]), now_ns,
                     batch);
    }
    self->cpu_coming = self->cpu;
    if (self->cpu > self->cpu_safe)
        fold_add(fold, OWN_PROCESS_CPU, &program, self->cpu - self->cpu_safe, now_ns, batch);
}

static void gather_gauges(struct self *self, struct fold *fold, uint64_t now_ns, struct batch *batch) {
    for (int i = 0; i < SELF_GAUGE_COUNT; i++) {
        char room[METRIC_LABELS_BYTES];
        struct metric_definition definition;
        check(own_metric_define(gauges[i].metric, gauges[i].values, room, &definition, NULL) == 0);
        const struct series *series = series_find(&fold->table, &definition);
        if (!series || series->safe.updated_ns == 0 || series->safe.value != self->gauges[i])
            fold_add(fold, gauges[i].metric, gauges[i].values, self->gauges[i], now_ns, batch);
    }
}

/* What was observed since the last batch goes into this one; what the commit of this one takes, into the next. */
static void gather_spread(struct self_observations *spread, enum own_metric metric, struct fold *fold, uint64_t now_ns,
                          struct batch *batch) {
    char room[METRIC_LABELS_BYTES];
    struct metric_definition definition;
    struct histogram *observed = &spread->observed, *taking = &spread->taking;
    check(own_metric_define(metric, NULL, room, &definition, NULL) == 0);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++) {
        if (!observed->octaves[i])
            continue;
        if (histogram_add_octave(taking, i, observed->octaves[i]) < 0)
            return; /* the rest goes with the next batch */
        memset(observed->octaves[i], 0, HISTOGRAM_BUCKETS * sizeof(*observed->octaves[i]));
    }
    taking->zero += observed->zero;
    taking->sum += observed->sum;
    histogram_finish(observed);
    struct series *series = histogram_count(taking) > 0 ? fold_series(fold, &definition, now_ns, batch) : NULL;
    if (!series || !fold_touch(fold, series, batch))
        return;
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++) {
        struct series *to = taking->octaves[i] ? fold_octave_series(fold, series, i, batch) : NULL;
        if (to)
            batch->failed |= histogram_add_octave(to->coming.histogram, i, taking->octaves[i]) < 0;
    }
    series->coming.histogram->zero += taking->zero;
    series->coming.histogram->sum += taking->sum;
    series->coming.updated_ns = now_ns;
}

void self_gather(struct self *self, struct fold *fold, bool all, uint64_t now_ns, struct batch *batch) {
    fold->user = SHARES_SELF;
    gather_entries(fold, now_ns, batch);
    gather_spans(self, fold, now_ns, batch);
    if (!all)
        return;
    gather_counters(self, fold, now_ns, batch);
    fold_gather_overflow(fold, now_ns, batch);
    gather_gauges(self, fold, now_ns, batch);
    for (int i = 0; i < SELF_SPREAD_COUNT; i++)
        gather_spread(&self->spreads[i], spreads[i], fold, now_ns, batch);
    self->gathered = true;
}

void self_settle(struct self *self) {
    if (!self->gathered)
        return;
    memcpy(self->safe, self->coming, sizeof(self->safe));
    memcpy(self->refused_safe, self->refused_coming, sizeof(self->refused_safe));
    self->cpu_safe = self->cpu_coming;
    self->shown = true;
    for (int i = 0; i < SELF_SPREAD_COUNT; i++)
        histogram_finish(&self->spreads[i].taking);
    self->gathered = false;
}

void self_discard(struct self *self) {
    self->gathered = false; /* `taking` waits for the next batch */
}
