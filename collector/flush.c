/* flush.c - when a batch is made and where it goes: the store, or, while that fails, the spill. */
#include <errno.h>
#include <string.h>

#include "collector/cells.h"
#include "collector/collector.h"
#include "collector/fault.h"
#include "collector/losses.h"
#include "collector/reap.h"
#include "collector/slots.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/model/pack.h"

/* --- the two places --- */

static void store_failed(struct collector *collector, const char *why, uint64_t now) {
    if (!collector->failing)
        diag_error("the store cannot be written: %s; the rings hold, then the spill, and it is tried again each second",
                   why);
    collector->failing = true;
    collector->retry_ns = now + STORE_RETRY_NS;
    self_count(&collector->self, SELF_COMMIT_FAILURES, 1);
}

static void store_works(struct collector *collector, uint64_t begun_ns) {
    if (collector->failing)
        diag_info("the store can be written again");
    collector->failing = false;
    collector->last_commit_ns = clock_monotonic_ns();
    collector->last_commit_begun_ns = begun_ns;
    collector->last_commit_real_ns = clock_real_ns();
    self_count(&collector->self, SELF_COMMITS, 1);
    self_time(&collector->self, SELF_COMMIT_TIME, collector->last_commit_ns - begun_ns);
}

static bool is_retry_due(const struct collector *collector, uint64_t now) {
    return !collector->failing || now >= collector->retry_ns;
}

/* After a failure the store is looked at first. */
static bool store_is_ready(struct collector *collector, uint64_t now) {
    struct error error = { "" };
    if (!collector->failing)
        return true;
    if (now < collector->retry_ns)
        return false;
    if (writer_recover(&collector->writer, &error) == 0)
        return true;
    store_failed(collector, error.text, now);
    return false;
}

/* Frames of the spill into the store, oldest first, some at a time. True when none is left. */
static bool take_in_spill(struct collector *collector) {
    struct error error = { "" };
    for (int i = 0; i < SPILL_FRAMES_A_FLUSH && !spill_is_empty(&collector->spill); i++) {
        uint64_t next, now = clock_monotonic_ns();
        if (!store_is_ready(collector, now))
            return false;
        batch_clear(&collector->batch);
        int result = spill_next(&collector->spill, &collector->batch, &next, &error);
        if (result == 0)
            break;
        now = clock_monotonic_ns();
        if (result == 1)
            result = writer_commit(&collector->writer, &collector->batch, false, clock_real_ns(), &error);
        batch_clear(&collector->batch);
        if (result < 0) {
            store_failed(collector, error.text, now);
            return false;
        }
        store_works(collector, now);
        spill_taken(&collector->spill, next);
        if (spill_is_empty(&collector->spill))
            diag_info("the spill is in the store");
    }
    return spill_is_empty(&collector->spill);
}

static bool commit_to_store(struct collector *collector, uint64_t now) {
    struct error error = { "" };
    if (!store_is_ready(collector, now))
        return false;
    uint64_t begun = clock_monotonic_ns();
    collector->writer.spill_over = collector->spill.over;
    int result = writer_commit(&collector->writer, &collector->batch, true, clock_real_ns(), &error);
    collector->writer.spill_over = 0;
    if (result < 0) {
        store_failed(collector, error.text, now);
        return false;
    }
    spill_said_over(&collector->spill);
    store_works(collector, begun);
    return true;
}

static bool append_to_spill(struct collector *collector) {
    struct error error = { "" };
    int result = batch_prepare(&collector->batch, &collector->state);
    if (result == 0)
        result = spill_append(&collector->spill, &collector->batch, &error);
    else
        error_set(&error, result, "cannot write the spill: out of memory");
    if (result < 0) {
        if (!collector->spill_failing)
            diag_error("%s; the rings hold what they can, then what is new is dropped and counted", error.text);
        collector->spill_failing = true;
        collector->spill_retry_ns = clock_monotonic_ns() + STORE_RETRY_NS;
        return false;
    }
    if (collector->spill_failing)
        diag_info("the spill can be written again");
    collector->spill_failing = false;
    self_count(&collector->self, SELF_SPILLED, 1);
    check(batch_apply(&collector->batch, &collector->state) == 0); /* it was prepared */
    return true;
}

/* --- flush --- */

/* The batch in hand to where it can go. True when it is safe. */
static bool put_away(struct collector *collector, bool in_store, bool to_spill) {
    if (in_store && commit_to_store(collector, clock_monotonic_ns()))
        return true;
    return to_spill && append_to_spill(collector);
}

/* The lanes hold as long as they can: a batch is spilled only when one of them is more than half full, or when somebody
 * waits for it to be safe. */
static bool may_spill(const struct collector *collector, bool force, uint64_t now) {
    return (force || collector->seen.half_full) && (!collector->spill_failing || now >= collector->spill_retry_ns);
}

/* The audit entry of a reload. */
static void tell_reload(struct collector *collector, uint64_t now_ns) {
    char metadata[PATHS_MAX + 64];
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    const char *const pairs[] = { "actor", "signal", "target", collector->reload_file, "reason", "SIGHUP" };
    pack_map(&writer, COUNT_OF(pairs) / 2);
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        pack_text(&writer, text_of(pairs[i]));
    check(!writer.failed);
    drain_own_entry(&collector->drain, &collector->batch, now_ns, LEVEL_INFO, "audit", "reload",
                    TEXT_LITERAL("the collector has read its configuration again"),
                    (struct text) { metadata, writer.length });
}

/* What we say ourselves, and what the batch adds to metrics: updates by name are folded already, cells and our own follow, and then it all becomes state. */
static bool gather_own(struct collector *collector, uint64_t now) {
    struct fold *fold = &collector->fold;
    struct batch *batch = &collector->batch;
    uint64_t now_ns = clock_real_ns();
    if (collector->reload_untold)
        tell_reload(collector, now_ns);
    level_keeper_gather(&collector->levels, &collector->drain, now_ns, batch);
    cells_gather(fold, &collector->rings, now_ns, batch);
    health_expire(&collector->health, now_ns, batch);
    for (unsigned i = 0; i < fold->telling_count; i++)
        drain_own_entry(&collector->drain, batch, now_ns, LEVEL_WARN, "metrics", fold->tellings[i].operation,
                        text_of(fold->tellings[i].text), TEXT_EMPTY);
    bool all = !batch_is_empty(batch) || fold->touched_count > 0 || now - collector->last_self_ns >= SELF_NS;
    if (all)
        collector->last_self_ns = now;
    self_gather(&collector->self, fold, all, now_ns, batch);
    fold_put(fold, batch);
    return !batch->failed;
}

static void discard(struct collector *collector) {
    level_keeper_discard(&collector->levels);
    drain_discard(&collector->drain);
    for (size_t i = 0; i < collector->rings.count; i++)
        cells_discard(collector->rings.items[i]);
    health_discard(&collector->health);
    self_discard(&collector->self);
    fold_discard(&collector->fold);
}

static void after_settle(struct collector *collector) {
    collector->reload_untold = false;
    fault_hit("before_fold");
    for (size_t i = 0; i < collector->rings.count; i++)
        cells_settle(collector->rings.items[i]);
    self_settle(&collector->self);
    self_observe_batch(&collector->self, &collector->batch, clock_real_ns());
    fold_settle(&collector->fold);
    if (collector->fold.segment)
        segment_beat(collector->fold.segment, clock_real_ns(), collector->last_commit_real_ns);
    fault_hit("after_fold");
    drain_settle(&collector->drain);
    fault_hit("after_tails");
    level_keeper_settle(&collector->levels);
    reap_finish(&collector->rings);
    rings_sweep(&collector->rings, clock_monotonic_ns());
    output_wake(collector->output);
}

void collector_flush(struct collector *collector, bool force, bool whole) {
    uint64_t now = clock_monotonic_ns();
    struct batch *batch = &collector->batch;
    /* While the store fails, a batch is only worth its making when it can go somewhere. */
    bool to_spill = may_spill(collector, force, now);
    if (!is_retry_due(collector, now) && !to_spill)
        return;
    bool in_store = is_retry_due(collector, now) && take_in_spill(collector);
    if (!in_store && !to_spill)
        return;
    batch_clear(batch);
    bool safe = false;
    bool gathered = drain_gather(&collector->drain, whole, clock_real_ns(), batch) && gather_own(collector, now);
    if (!gathered)
        diag_error("out of memory while a batch is made: it is tried again");
    else if (batch_is_empty(batch) && !(in_store && writer_cursor_moved(&collector->writer)))
        safe = true;
    else
        safe = put_away(collector, in_store, to_spill);
    if (safe)
        after_settle(collector);
    else
        discard(collector);
    batch_clear(batch);
    if (safe) {
        collector->waiting_since_ns = 0;
        collector->pending_records = 0;
        collector->urgent = false;
        positions_answer(&collector->positions, &collector->rings, clock_monotonic_ns());
    }
}

/* --- poll --- */

/* Whether somebody waits for the next commit to be answered. */
static bool is_asked(const struct collector *collector) {
    return positions_are_waiting(&collector->positions) || level_keeper_is_asked(&collector->levels) ||
           recorder_is_asked(&collector->recorder);
}

/* Why it is time for a flush (one of SELF_FLUSH_), or -1. */
static int flush_cause(struct collector *collector, uint64_t now) {
    if (is_asked(collector))
        return SELF_FLUSH_ASKED;
    if (!spill_is_empty(&collector->spill) && is_retry_due(collector, now))
        return SELF_FLUSH_SPILL;
    if (!collector->waiting_since_ns)
        return -1;
    if (collector->seen.pressed)
        return SELF_FLUSH_PRESSED;
    if (collector->pending_records >= collector->settings.flush_entries)
        return SELF_FLUSH_ENTRIES;
    if (collector->urgent && now - collector->last_commit_begun_ns >= URGENT_GAP_NS)
        return SELF_FLUSH_URGENT;
    return now - collector->waiting_since_ns >= collector->settings.flush_interval_ns ? SELF_FLUSH_INTERVAL : -1;
}

static void flush_where_due(struct collector *collector, uint64_t now) {
    int cause = flush_cause(collector, now);
    uint64_t commits = collector->self.totals[SELF_COMMITS];
    if (cause < 0)
        return;
    collector_flush(collector, is_asked(collector), false);
    self_count(&collector->self, (enum self_counter)cause, collector->self.totals[SELF_COMMITS] - commits);
}

static bool is_metric_flush_due(struct collector *collector, uint64_t now) {
    if (collector->reload_untold || collector->levels.ended || collector->fold.put_all ||
        now - collector->last_self_ns >= SELF_NS)
        return true;
    if (now - collector->last_cells_ns < CELLS_NS)
        return false;
    collector->last_cells_ns = now;
    return gauges_are_due(&collector->fold.gauges) || cells_are_waiting(&collector->rings);
}

static void scan_slots(struct collector *collector, uint64_t now) {
    struct rings *rings = &collector->rings;
    if (now - collector->last_scan_ns < (slots_note_deaths(rings) ? DEATH_SCAN_NS : SLOT_SCAN_NS))
        return;
    collector->last_scan_ns = now;
    level_keeper_pass(&collector->levels, clock_real_ns());
    reap_scan(rings);
    bool waiting = reap_finish(rings);
    collector->urgent |= rings->hurry;
    if (!collector->waiting_since_ns &&
        (waiting || rings->removal_count || crash_is_due(rings, &collector->drain.crash) || losses_any_untold(rings) ||
         is_metric_flush_due(collector, now) || recorder_is_due(&collector->recorder, rings) ||
         dedup_is_due(&collector->intake.dedup, now)))
        collector->waiting_since_ns = now;
}

/* Sequences for what the curator takes in. */
static void give_place(struct collector *collector) {
    struct error error;
    uint64_t first = CURATOR_NO_PLACE;
    if (!collector->failing && spill_is_empty(&collector->spill) &&
        writer_leave_place(&collector->writer, curator_wanted(collector->curator), &first, &error) < 0)
        diag_warn("no place is made for an import: %s", error.text);
    curator_give(collector->curator, first);
}

void collector_poll(struct collector *collector) {
    uint64_t begun = clock_monotonic_ns();
    drain_round(&collector->drain, &collector->seen);
    uint64_t now = clock_monotonic_ns();
    if (collector->seen.hand_records > 0)
        self_time(&collector->self, SELF_DRAIN_TIME, now - begun);
    collector->pending_records += collector->seen.hand_records;
    collector->urgent |= collector->seen.urgent;
    if (collector->seen.hand_bytes &&
        !collector->waiting_since_ns) /* it may have come at any time since the last look */
        collector->waiting_since_ns = collector->last_round_ns ? collector->last_round_ns : now;
    collector->last_round_ns = now;
    scan_slots(collector, now);
    if (curator_wanted(collector->curator))
        give_place(collector);
    flush_where_due(collector, now);
    if (positions_are_waiting(&collector->positions))
        positions_answer(&collector->positions, &collector->rings, clock_monotonic_ns());
    level_keeper_give_up(&collector->levels, clock_monotonic_ns());
    recorder_give_up(&collector->recorder, clock_monotonic_ns());
    bool active =
        collector->seen.hand_records > 0 || collector->seen.pressed || collector->rings.deaths || is_asked(collector);
    collector->poll_ns = active                                  ? POLL_ACTIVE_NS
                         : collector->poll_ns * 2 > POLL_IDLE_NS ? POLL_IDLE_NS
                                                                 : collector->poll_ns * 2;
}
