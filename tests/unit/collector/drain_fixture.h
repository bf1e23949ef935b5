/* drain_fixture.h - a producer and the collector's rooms from ring to batch in one process. */
#ifndef TASKFORGE_TESTS_DRAIN_FIXTURE_H
#define TASKFORGE_TESTS_DRAIN_FIXTURE_H

#include "tests/unit/shm/ring_fixture.h"

#include <signal.h>

#include "collector/drain.h"
#include "collector/losses.h"
#include "collector/reap.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"

struct setup {
    struct ring producer;
    struct slot_claim claim;
    struct state_map state;
    struct rings rings;
    struct drain drain;
    struct batch batch;
    struct drain_state seen;
};

static inline void setup_collector(const struct ring_fixture *f, struct setup *setup) {
    struct error error = { "" };
    assert_int_equal(daemon_runtime_dirs(f->runtime_dir, &error), 0);
    assert_int_equal(rings_init(&setup->rings, f->runtime_dir, &setup->state, &error), 0);
    assert_int_equal(drain_init(&setup->drain, &setup->rings, NULL, &error), 0);
    assert_true(rings_scan(&setup->rings));
    assert_int_equal(setup->rings.count, 1);
}

static inline void setup_open(const struct ring_fixture *f, struct setup *setup) {
    memset(setup, 0, sizeof(*setup));
    fixture_attach(f, &setup->producer);
    assert_int_equal(ring_slot_claim(&setup->producer, TEXT_LITERAL("billing"), 0, &setup->claim), 0);
    setup_collector(f, setup);
}

static inline void finish_collector(struct setup *setup) {
    batch_finish(&setup->batch);
    drain_finish(&setup->drain);
    rings_finish(&setup->rings);
}

static inline void setup_close(struct setup *setup) {
    finish_collector(setup);
    state_map_finish(&setup->state);
    ring_finish(&setup->producer);
}

static inline void write_entry(struct lane_writer *writer, const char *message, uint64_t time_ns, enum level level) {
    struct record_entry record = { .entry = { .id = { { 1 } },
                                              .timestamp_ns = time_ns,
                                              .level = level,
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o") } };
    uint32_t size;
    uint64_t position;
    record.entry.message = text_of(message);
    assert_int_equal(record_entry_size(&record, &size), 0);
    void *span = lane_claim(writer, size, level, &position);
    assert_non_null(span);
    record_entry_encode(&record, position, time_ns, span, size);
    lane_commit(writer, size);
}

static inline void claim_lane(struct setup *setup, struct lane_writer *writer, uint32_t *lane) {
    assert_int_equal(ring_lane_claim(&setup->producer, &setup->claim, false, writer, lane), 0);
}

static inline void round_and_gather(struct setup *setup) {
    drain_round(&setup->drain, &setup->seen);
    batch_clear(&setup->batch);
    assert_true(drain_gather(&setup->drain, false, clock_real_ns(), &setup->batch));
}

static inline void settle(struct setup *setup) {
    assert_int_equal(batch_apply(&setup->batch, &setup->state), 0);
    drain_settle(&setup->drain);
}

static inline void expect_messages(const struct setup *setup, size_t count, const char *const *messages) {
    assert_int_equal(setup->batch.entry_count, count);
    for (size_t i = 0; i < count; i++)
        if (!text_is(setup->batch.entries[i].message, messages[i]))
            fail_msg("entry %zu is \"%.*s\", not \"%s\"", i, TEXT_FORMAT(setup->batch.entries[i].message), messages[i]);
}
#define EXPECT_MESSAGES(setup, ...)                                                                                    \
    expect_messages(setup, sizeof((const char *[]) { __VA_ARGS__ }) / sizeof(char *), (const char *[]) { __VA_ARGS__ })

#endif
