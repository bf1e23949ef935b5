#include "tests/torture/reader.h"

#include <errno.h>

#include "common/base/check.h"
#include "common/process/daemon.h"
#include "tests/torture/ring_lib.h"

static const struct metric_scheme scheme = { "taskforge", "_gauge" };

void reader_open(struct reader *reader, const char *runtime_dir) {
    struct error error = { "" };
    *reader = (struct reader) { .batch = BATCH_EMPTY };
    require(daemon_runtime_dirs(runtime_dir, &error) == 0, "%s", error.text);
    require(rings_init(&reader->rings, runtime_dir, &reader->state, &error) == 0, "%s", error.text);
    require(fold_init(&reader->fold, runtime_dir, &scheme, &reader->state, &error) == 0, "%s", error.text);
    require(drain_init(&reader->drain, &reader->rings, &reader->fold, &error) == 0, "%s", error.text);
}

void reader_close(struct reader *reader) {
    batch_finish(&reader->batch);
    drain_finish(&reader->drain);
    rings_finish(&reader->rings); /* first: its cells know the fold's series */
    fold_finish(&reader->fold);
    state_map_finish(&reader->state);
}

void reader_turn(struct reader *reader, bool whole, reader_show *show, void *argument) {
    struct drain_state seen;
    uint64_t now = clock_real_ns();
    rings_scan(&reader->rings);
    drain_round(&reader->drain, &seen);
    reap_scan(&reader->rings);
    batch_clear(&reader->batch);
    require(drain_gather(&reader->drain, whole, now, &reader->batch), "gather");
    cells_gather(&reader->fold, &reader->rings, now, &reader->batch);
    fold_put(&reader->fold, &reader->batch);
    require(!reader->batch.failed, "out of memory");
    for (size_t i = 0; i < reader->batch.entry_count; i++)
        show(argument, &reader->batch.entries[i]);
    require(batch_apply(&reader->batch, &reader->state) == 0, "out of memory");
    for (size_t i = 0; i < reader->rings.count; i++)
        cells_settle(reader->rings.items[i]);
    fold_settle(&reader->fold);
    drain_settle(&reader->drain);
    reap_finish(&reader->rings);
    rings_sweep(&reader->rings, clock_monotonic_ns());
    require(reader->rings.broken_count == 0, "a ring was set aside");
}

static bool label_is(struct text labels, const char *value) {
    struct metric_label label;
    size_t at = 0;
    return metric_labels_next(labels, &at, &label) && text_is(label.value, value);
}

uint64_t reader_total(const struct reader *reader, const char *name, const char *label_value) {
    SERIES_FOR_EACH(&reader->fold.table, series) {
        if (!text_is(series->definition.name, name) || !label_is(series->definition.labels, label_value))
            continue;
        return metric_kind_is_histogram(series->definition.kind) ? histogram_count(series->safe.histogram)
                                                                 : (uint64_t)series->safe.value;
    }
    return 0;
}

struct reader_taken reader_taken(struct reader *reader) {
    struct reader_taken taken = { 0 };
    if (reader->rings.count == 0)
        return taken;
    struct ring *ring = &reader->rings.items[0]->ring;
    struct lane_state lane;
    struct slot_info slot;
    for (uint32_t i = 0; i < ring->lane_count; i++) {
        require(ring_reader_lane(ring, i, &lane) == 0, "lane %u", i);
        *(i < ring->overflow_count ? &taken.overflow : &taken.lanes) += lane.owner != 0;
    }
    for (uint32_t i = 0; i < ring->slot_count; i++) {
        require(ring_reader_slot(ring, i, &slot) == 0, "slot %u", i);
        taken.slots += slot.state != SLOT_FREE;
    }
    return taken;
}
