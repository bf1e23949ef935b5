/* status.c - see collector.h: what the collector answers about itself. */
#include <stdio.h>
#include <stdlib.h>

#include "collector/collector.h"
#include "common/base/clock.h"

/* Bytes and number of the log partitions. */
static void look_at_store(struct collector *collector) {
    struct partition_name *names;
    size_t count;
    uint64_t bytes = 0;
    if (partition_list(collector->settings.data_dir, &names, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        bytes += names[i].size;
    free(names);
    self_set(&collector->self, SELF_STORE_BYTES, (double)bytes);
    self_set(&collector->self, SELF_STORE_PARTITIONS, (double)count);
    const struct partition_ref *open = collector->partitions.current;
    double share = open && open->partition ? partition_used_share(open->partition) : 0;
    self_set(&collector->self, SELF_STORE_MAP_USED, share);
    self_set(&collector->self, SELF_STATE_BYTES, (double)collector->state.bytes);
}

static void look_at_history(struct collector *collector) {
    struct self *self = &collector->self;
    struct history_status status;
    history_look(collector->history, &status);
    self->totals[SELF_HISTORY_TICKS] = status.ticks;
    self->totals[SELF_HISTORY_MISSED] = status.missed;
    self->totals[SELF_HISTORY_FAILURES] = status.failures;
    self->totals[SELF_HISTORY_SAMPLES] = status.samples;
    self_set(self, SELF_HISTORY_BYTES, (double)status.bytes);
    self_set(self, SELF_HISTORY_LAG, (double)(status.lag_ns / CLOCK_MILLISECOND) / 1000);
    self_set(self, SELF_HISTORY_FAILING, status.failing_since_ns != 0);
    for (size_t i = 0; i < status.time_count; i++)
        self_time(self, SELF_HISTORY_TIME, status.times_ns[i]);
    collector->history_failing_since_ns = status.failing_since_ns;
}

void collector_look_at_itself(struct collector *collector) {
    struct self *self = &collector->self;
    double fill = 0;
    size_t processes = 0;
    uint64_t waiting = 0;
    for (size_t r = 0; r < collector->rings.count; r++) {
        const struct collector_ring *ring = collector->rings.items[r];
        for (uint32_t i = 0; i < ring->slots_used; i++)
            processes += ring->slots[i].known;
        for (uint32_t i = 0; i < ring->ring.lane_count; i++) {
            const struct lane *lane = &ring->lanes[i];
            if (lane->state.head <= lane->position || lane->state.recorder)
                continue;
            double used = (double)(lane->state.head - lane->position) / (double)lane->size;
            waiting += lane->state.head - lane->position;
            if (used > fill)
                fill = used;
        }
    }
    look_at_store(collector);
    look_at_history(collector);
    self_look_at_process(self, clock_monotonic_ns());
    self_set(self, SELF_STORE_FAILING, collector->failing);
    self_set(self, SELF_STORE_DAMAGED, (double)collector->checker.damaged);
    self_set(self, SELF_SPILL_BYTES, (double)(collector->spill.end - collector->spill.taken));
    self_set(self, SELF_RINGS, (double)collector->rings.count);
    self_set(self, SELF_PROCESSES, (double)processes);
    self_set(self, SELF_RING_FILL, (double)(uint64_t)(fill * 1000) / 1000);
    self_set(self, SELF_RING_WAITING, (double)waiting);
    uint64_t printed = atomic_load(&collector->writer.output_cursor), next = collector->writer.sequence.next;
    self_set(self, SELF_OUTPUT_WAITING, (double)(next > printed ? next - printed : 0));
    self_set(self, SELF_SERIES, (double)(collector->fold.table.count - collector->fold.stale.series));
    self_set(self, SELF_STALE, (double)collector->fold.stale.series);
    self->totals[SELF_FORGOTTEN] = collector->fold.forgotten;
    self->totals[SELF_RINGS_BROKEN] = collector->rings.broken_count;
    self->totals[SELF_REMOVED] = curator_removed(collector->curator);
    self->totals[SELF_REWRITTEN] = curator_rewritten(collector->curator);
    self->totals[SELF_CHECKED_SOUND] = collector->checker.checked_as[PARTITION_SOUND];
    self->totals[SELF_CHECKED_PARTLY] = collector->checker.checked_as[PARTITION_PARTLY];
    self->totals[SELF_CHECKED_UNREADABLE] = collector->checker.checked_as[PARTITION_UNREADABLE];
}

void collector_on_status(struct control_call *call, struct text arguments, void *context) {
    struct collector *collector = context;
    char last[CLOCK_RFC3339_SIZE + 2] = "null", text[CLOCK_RFC3339_SIZE];
    (void)arguments;
    collector_look_at_itself(collector);
    if (collector->last_commit_real_ns) {
        clock_format(collector->last_commit_real_ns, text);
        snprintf(last, sizeof(last), "\"%s\"", text);
    }
    const double *gauges = collector->self.gauges;
    uint64_t now = clock_monotonic_ns();
    control_add(call,
                "{\"store_failing\":%s,\"last_commit\":%s,\"waiting_seconds\":%.3f,\"store_bytes\":%.0f,"
                "\"store_partitions\":%.0f,\"store_damaged\":%.0f,\"spill_bytes\":%.0f,\"spill_failing\":%s,\"rings\":%"
                ".0f,\"processes\":%.0f,"
                "\"ring_fill\":%.3f,\"rings_broken\":%llu,\"next_sequence\":%llu,\"metric_series\":%.0f,"
                "\"metric_segment\":%s,\"history_failing_seconds\":%.0f}",
                collector->failing ? "true" : "false", last,
                collector->waiting_since_ns ? (double)(now - collector->waiting_since_ns) / (double)CLOCK_SECOND : 0.0,
                gauges[SELF_STORE_BYTES], gauges[SELF_STORE_PARTITIONS], gauges[SELF_STORE_DAMAGED],
                gauges[SELF_SPILL_BYTES], collector->spill_failing ? "true" : "false", gauges[SELF_RINGS],
                gauges[SELF_PROCESSES], gauges[SELF_RING_FILL], (unsigned long long)collector->rings.broken_count,
                (unsigned long long)collector->writer.sequence.next, gauges[SELF_SERIES],
                collector->fold.segment ? "true" : "false",
                collector->history_failing_since_ns
                    ? (double)(now - collector->history_failing_since_ns) / (double)CLOCK_SECOND
                    : 0.0);
    control_done(call);
}

static bool number_of(struct text word, const char *const *names, int first, int end, int *ret) {
    for (int i = first; i < end; i++)
        if (text_is(word, names[i])) {
            *ret = i;
            return true;
        }
    return false;
}

void collector_on_metric(struct control_call *call, struct text arguments, void *context) {
    static const char *const kinds[] = { "", "counter", "gauge", "histogram", "timer", "unknown" };
    static const char *const namings[] = { "app", "prefixed", "verbatim" };
    struct collector *collector = context;
    struct error error;
    int kind, naming;
    if (!number_of(control_word(&arguments), kinds, METRIC_COUNTER, METRIC_KIND_END, &kind) ||
        !number_of(control_word(&arguments), namings, METRIC_NAMING_APP, METRIC_NAMING_END, &naming)) {
        control_fail(call, "expected: metric counter|gauge|histogram|timer|unknown app|prefixed|verbatim NAME");
        return;
    }
    struct text name = control_word(&arguments);
    if (fold_judge(&collector->fold, (enum metric_kind)kind, (enum metric_naming)naming, name, &error) < 0)
        control_fail(call, "%s", error.text);
    else
        control_done(call);
}
