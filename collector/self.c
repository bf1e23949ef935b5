#include "collector/self.h"

#include "common/base/check.h"
#include "common/base/clock.h"

struct row {
    const char *name, *help;
};

static const struct row counters[SELF_COUNTER_COUNT] = {
    [SELF_COMMITS] = { "store_commits_total", "Transactions that the collector committed." },
    [SELF_COMMIT_FAILURES] = { "store_commit_failures_total", "Transactions that could not be committed." },
    [SELF_SPILLED] = { "store_spilled_batches_total",
                       "Batches that went into the spill because the store could not be written." },
    [SELF_RINGS_BROKEN] = { "ring_broken_total", "Rings that were cut or scribbled on, and set aside." },
};

static const struct row gauges[SELF_GAUGE_COUNT] = {
    [SELF_STORE_BYTES] = { "store_bytes", "Bytes of the log partitions on disk." },
    [SELF_STORE_PARTITIONS] = { "store_partitions", "Log partitions." },
    [SELF_STORE_FAILING] = { "store_failing", "1 while the store cannot be written." },
    [SELF_SPILL_BYTES] = { "store_spill_bytes", "Bytes in the spill that are not in the store yet." },
    [SELF_RINGS] = { "ring_rings", "Rings that are read, one for each user." },
    [SELF_PROCESSES] = { "ring_processes", "Processes that are attached to a ring." },
    [SELF_RING_FILL] = { "ring_fill_ratio", "How full the fullest lane was at the last look, 0 to 1." },
    [SELF_SERIES] = { "metric_series", "Metric series." },
};

static const char *const refusals[FOLD_REFUSAL_COUNT] = {
    [FOLD_REFUSED_INVALID] = "invalid",
    [FOLD_REFUSED_COLLISION] = "collision",
    [FOLD_REFUSED_LIMIT] = "limit",
};

void self_finish(struct self *self) {
    histogram_finish(&self->observed);
    histogram_finish(&self->taking);
}

void self_observe_commit(struct self *self, uint64_t duration_ns) {
    /* Out of memory here means one observation less. */
    (void)histogram_add(&self->observed, (double)duration_ns / (double)CLOCK_SECOND, 1);
}

static struct text one_label(const char *name, struct text value, char out[METRIC_LABELS_BYTES]) {
    struct metric_label label = { text_of(name), value };
    struct text packed = TEXT_EMPTY;
    check(metric_labels_pack(&label, 1, out, &packed, NULL) == 0);
    return packed;
}

static void gather_entries(struct fold *fold, uint64_t now_ns, struct batch *batch) {
    uint64_t by_level[LEVEL_COUNT] = { 0 };
    char room[METRIC_LABELS_BYTES];
    for (size_t i = 0; i < batch->entry_count; i++)
        by_level[batch->entries[i].level]++;
    for (int level = 0; level < LEVEL_COUNT; level++)
        if (by_level[level] > 0)
            fold_add(fold, METRIC_COUNTER, "store_entries_total", "Entries stored.",
                     one_label("level", text_of(level_name((enum level)level)), room), (double)by_level[level], now_ns,
                     batch);
    if (batch->repaired > 0)
        fold_add(fold, METRIC_COUNTER, "store_entries_repaired_total", "Entries that broke a rule and were repaired.",
                 TEXT_EMPTY, (double)batch->repaired, now_ns, batch);
}

static void gather_counters(struct self *self, struct fold *fold, uint64_t now_ns, struct batch *batch) {
    char room[METRIC_LABELS_BYTES];
    for (int i = 0; i < SELF_COUNTER_COUNT; i++) {
        self->coming[i] = self->totals[i];
        if (self->totals[i] > self->safe[i])
            fold_add(fold, METRIC_COUNTER, counters[i].name, counters[i].help, TEXT_EMPTY,
                     (double)(self->totals[i] - self->safe[i]), now_ns, batch);
    }
    for (int i = 0; i < FOLD_REFUSAL_COUNT; i++) {
        self->refused_coming[i] = fold->refused[i];
        if (fold->refused[i] > self->refused_safe[i])
            fold_add(fold, METRIC_COUNTER, "metric_refused_total", "Metric updates that were refused.",
                     one_label("reason", text_of(refusals[i]), room),
                     (double)(fold->refused[i] - self->refused_safe[i]), now_ns, batch);
    }
}

static void gather_gauges(struct self *self, struct fold *fold, uint64_t now_ns, struct batch *batch) {
    for (int i = 0; i < SELF_GAUGE_COUNT; i++) {
        struct metric_definition definition = { .kind = METRIC_GAUGE,
                                                .naming = METRIC_NAMING_PREFIXED,
                                                .name = text_of(gauges[i].name) };
        const struct series *series = series_find(&fold->table, &definition);
        if (!series || series->safe.updated_ns == 0 || series->safe.value != self->gauges[i])
            fold_add(fold, METRIC_GAUGE, gauges[i].name, gauges[i].help, TEXT_EMPTY, self->gauges[i], now_ns, batch);
    }
}

/* What was observed since the last batch goes into this one; what the commit of this one takes, into the next. */
static void gather_commits(struct self *self, struct fold *fold, uint64_t now_ns, struct batch *batch) {
    static const struct metric_definition definition = {
        .kind = METRIC_TIMER,
        .naming = METRIC_NAMING_PREFIXED,
        .name = TEXT_INITIALIZER("store_commit_seconds"),
        .unit = TEXT_INITIALIZER("seconds"),
        .help = TEXT_INITIALIZER("How long transactions took."),
    };
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        if (self->observed.octaves[i] && histogram_add_octave(&self->taking, i, self->observed.octaves[i]) < 0)
            return;
    self->taking.sum += self->observed.sum;
    histogram_finish(&self->observed);
    struct series *series = self->taking.sum > 0 ? fold_series(fold, &definition, now_ns, batch) : NULL;
    if (!series || !fold_touch(fold, series, batch))
        return;
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        if (self->taking.octaves[i])
            batch->failed |= histogram_add_octave(&series->coming.histogram, i, self->taking.octaves[i]) < 0;
    series->coming.histogram.sum += self->taking.sum;
    series->coming.updated_ns = now_ns;
}

void self_gather(struct self *self, struct fold *fold, bool all, uint64_t now_ns, struct batch *batch) {
    gather_entries(fold, now_ns, batch);
    if (!all)
        return;
    gather_counters(self, fold, now_ns, batch);
    gather_gauges(self, fold, now_ns, batch);
    gather_commits(self, fold, now_ns, batch);
    self->gathered = true;
}

void self_settle(struct self *self) {
    if (!self->gathered)
        return;
    memcpy(self->safe, self->coming, sizeof(self->safe));
    memcpy(self->refused_safe, self->refused_coming, sizeof(self->refused_safe));
    histogram_finish(&self->taking);
    self->gathered = false;
}

void self_discard(struct self *self) {
    self->gathered = false; /* `taking` waits for the next batch */
}
