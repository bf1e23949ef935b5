/* fold_fixture.h - a producer's slot, the fold with its state and rings, and batches that are committed or discarded. */
#ifndef TASKFORGE_TESTS_FOLD_FIXTURE_H
#define TASKFORGE_TESTS_FOLD_FIXTURE_H

#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>
#include <math.h>
#include <signal.h>

#include "collector/cells.h"
#include "collector/drain.h"
#include "common/base/clock.h"
#include "common/process/daemon.h"
#include "common/shm/slot_metrics.h"

static const struct metric_scheme scheme = { "taskforge", "_gauge" };

struct setup {
    struct ring producer;
    struct slot_claim claim;
    struct state_map state;
    struct rings rings;
    struct fold fold;
    struct batch batch;
};

static inline void setup_fold(const struct ring_fixture *f, struct setup *setup) {
    struct error error = { "" };
    assert_int_equal(rings_init(&setup->rings, f->runtime_dir, &setup->state, &error), 0);
    assert_true(rings_scan(&setup->rings));
    for (uint32_t i = 0; i < setup->rings.items[0]->ring.slot_count; i++)
        rings_slot_refresh(&setup->rings, setup->rings.items[0], i);
    if (fold_init(&setup->fold, f->runtime_dir, &scheme, &setup->state, &error) != 0)
        fail_msg("%s", error.text);
    assert_non_null(setup->fold.segment);
    setup->fold.now_ns = 1000;
}

static inline void setup_open(const struct ring_fixture *f, struct setup *setup) {
    struct error error = { "" };
    memset(setup, 0, sizeof(*setup));
    assert_int_equal(daemon_runtime_dirs(f->runtime_dir, &error), 0);
    fixture_attach(f, &setup->producer);
    assert_int_equal(ring_slot_claim(&setup->producer, TEXT_LITERAL("billing"), 0, &setup->claim), 0);
    setup_fold(f, setup);
}

static inline void finish_fold(struct setup *setup) {
    batch_finish(&setup->batch);
    rings_finish(&setup->rings); /* first: its cells know the fold's series */
    fold_finish(&setup->fold);
}

static inline void setup_close(struct setup *setup) {
    finish_fold(setup);
    state_map_finish(&setup->state);
    ring_finish(&setup->producer);
}

static inline void update(struct setup *setup, enum metric_kind kind, enum metric_operation operation, const char *name,
                          double value, uint64_t time_ns) {
    struct record_metric_update record = {
        .metric_kind = (uint8_t)kind, .operation = (uint8_t)operation, .value = value, .name = text_of(name)
    };
    fold_update(&setup->fold, &record, time_ns, &setup->batch);
}

static inline void gather_at(struct setup *setup, uint64_t now_ns) {
    cells_gather(&setup->fold, &setup->rings, now_ns, &setup->batch);
    fold_put(&setup->fold, &setup->batch);
    assert_false(setup->batch.failed);
}

static inline void gather(struct setup *setup) {
    gather_at(setup, 1000);
}

/* The commit that follows a gather: the state holds the puts, then all is settled. */
static inline void settle(struct setup *setup) {
    assert_int_equal(batch_apply(&setup->batch, &setup->state), 0);
    cells_settle(setup->rings.items[0]);
    fold_settle(&setup->fold);
    batch_clear(&setup->batch);
}

static inline void commit(struct setup *setup) {
    gather(setup);
    settle(setup);
}

static inline void discard(struct setup *setup) {
    gather(setup);
    cells_discard(setup->rings.items[0]);
    fold_discard(&setup->fold);
    batch_clear(&setup->batch);
}

/* The series of that family in the segment: false when it is not there. */
static inline bool look(const struct ring_fixture *f, const char *family, struct segment_sample *sample) {
    struct segment *segment;
    struct error error = { "" };
    uint64_t after = 0;
    bool found = false;
    if (segment_open(f->runtime_dir, &segment, &error) != 0)
        fail_msg("%s", error.text);
    while (!found && segment_next(segment, after, sample) == 1) {
        after = sample->position;
        found = text_is(sample->family, family);
    }
    segment_close(segment);
    return found;
}

static inline double value_of(const struct ring_fixture *f, const char *family) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    double value = look(f, family, &sample) ? sample.value : NAN;
    segment_sample_finish(&sample);
    return value;
}

static inline uint32_t register_metric(struct setup *setup, enum metric_kind kind, const char *name) {
    struct metric_definition definition = { .kind = kind, .name = text_of(name), .help = TEXT_LITERAL("h") };
    uint32_t metric;
    assert_int_equal(slot_metric_add(&setup->producer, &setup->claim, &definition, &metric), 0);
    return metric;
}

#endif
