/* recorder_fixture.h - two processes with recorder lanes and a collector's rooms, in one process. Time is the test's: NOW, and what is
 * written at `second` was written that many seconds before it. KEEP is 60 s. */
#ifndef TASKFORGE_TESTS_UNIT_COLLECTOR_RECORDER_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_COLLECTOR_RECORDER_FIXTURE_H

#include "tests/unit/shm/ring_fixture.h"

#include "collector/drain.h"
#include "collector/reap.h"
#include "collector/recorder.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"

#define NOW (UINT64_C(1800000000) * CLOCK_SECOND)
#define KEEP (60 * CLOCK_SECOND)
#define AGO(seconds) (NOW - (uint64_t)(int64_t)((double)(seconds)*1e9))

struct setup {
    const struct ring_fixture *fixture;
    struct ring producer;
    struct slot_claim billing, mailer;
    struct state_map state;
    struct rings rings;
    struct recorder recorder;
    struct drain drain;
    struct batch batch;
    struct drain_state seen;
};

/* A thread's two lanes. */
struct thread {
    struct lane_writer normal, recorder;
    uint32_t normal_lane, recorder_lane;
};

static inline void setup_collector(struct setup *s) {
    struct error error = { "" };
    assert_int_equal(daemon_runtime_dirs(s->fixture->runtime_dir, &error), 0);
    assert_int_equal(rings_init(&s->rings, s->fixture->runtime_dir, &s->state, &error), 0);
    assert_int_equal(recorder_init(&s->recorder, &s->state), 0);
    recorder_configure(&s->recorder, KEEP);
    assert_int_equal(drain_init(&s->drain, &s->rings, NULL, &error), 0);
    s->drain.recorder = &s->recorder;
    assert_true(rings_scan(&s->rings));
    assert_int_equal(s->rings.count, 1);
}

static inline void setup_open_sized(const struct ring_fixture *f, struct setup *s, uint64_t ring_size) {
    memset(s, 0, sizeof(*s));
    s->fixture = f;
    clock_set_for_test(NOW);
    assert_int_equal(ring_attach(f->runtime_dir, ring_size, &s->producer, NULL), 0);
    assert_int_equal(ring_slot_claim(&s->producer, TEXT_LITERAL("billing"), 0, &s->billing), 0);
    assert_int_equal(ring_slot_claim(&s->producer, TEXT_LITERAL("mailer"), 0, &s->mailer), 0);
    setup_collector(s);
}

static inline void setup_open(const struct ring_fixture *f, struct setup *s) {
    setup_open_sized(f, s, UINT64_C(11) << 20);
}

static inline void finish_collector(struct setup *s) {
    batch_finish(&s->batch);
    drain_finish(&s->drain);
    recorder_finish(&s->recorder);
    rings_finish(&s->rings);
    memset(&s->batch, 0, sizeof(s->batch));
}

static inline void setup_close(struct setup *s) {
    finish_collector(s);
    state_map_finish(&s->state);
    ring_finish(&s->producer);
    clock_set_for_test(0);
}

/* The collector is killed, and another begins. */
static inline void restart(struct setup *s) {
    finish_collector(s);
    setup_collector(s);
}

static inline void claim(struct setup *s, const struct slot_claim *slot, struct thread *ret) {
    assert_int_equal(ring_lane_claim(&s->producer, slot, false, &ret->normal, &ret->normal_lane), 0);
    assert_int_equal(ring_lane_claim(&s->producer, slot, true, &ret->recorder, &ret->recorder_lane), 0);
}

struct words {
    const char *message;
    enum level level;
    const char *trace; /* 16 raw bytes where raw */
    bool raw;
};

static inline uint64_t say(struct lane_writer *writer, uint64_t time_ns, struct words words) {
    struct record_entry record = { .entry = { .timestamp_ns = time_ns,
                                              .level = words.level,
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o"),
                                              .message = text_of(words.message) },
                                   .raw_trace = words.raw };
    uint64_t position;
    uint32_t size;
    if (words.trace)
        record.entry.trace_id = (struct text) { words.trace, words.raw ? 16 : strlen(words.trace) };
    assert_int_equal(record_entry_size(&record, &size), 0);
    void *span = lane_claim(writer, size, words.level, &position);
    assert_non_null(span);
    record_entry_encode(&record, position, time_ns, span, size);
    lane_commit(writer, size);
    return position;
}
#define DEBUG(thread, seconds, ...)                                                                                    \
    say(&(thread)->recorder, AGO(seconds), (struct words) { .level = LEVEL_DEBUG, .message = __VA_ARGS__ })
#define INFO(thread, seconds, ...)                                                                                     \
    say(&(thread)->normal, AGO(seconds), (struct words) { .level = LEVEL_INFO, .message = __VA_ARGS__ })
#define ERROR(thread, seconds, ...)                                                                                    \
    say(&(thread)->normal, AGO(seconds), (struct words) { .level = LEVEL_ERROR, .message = __VA_ARGS__ })

/* "error", of a process that has no lane of its own for it. */
static inline void error_in_overflow(struct setup *s, const struct slot_claim *slot, uint64_t time_ns) {
    struct record hello = { .kind = RECORD_PROCESS_HELLO,
                            .process_hello = { .service = TEXT_LITERAL("billing"), .pid = 7 } };
    struct record_entry error = { .entry = { .timestamp_ns = time_ns,
                                             .level = LEVEL_CRITICAL,
                                             .module = TEXT_LITERAL("m"),
                                             .operation = TEXT_LITERAL("o"),
                                             .message = TEXT_LITERAL("error") } };
    struct lane_writer writer;
    struct slot_info info;
    uint32_t lane, size;
    assert_int_equal(ring_reader_slot(&s->producer, slot->index, &info), 0);
    memcpy(hello.process_hello.producer_id, info.producer_id, sizeof(info.producer_id));
    assert_int_equal(ring_overflow_take(&s->producer, slot, &writer, &lane), 0);
    assert_int_equal(record_entry_size(&error, &size), 0);
    char *span = lane_claim(&writer, 256 + size, LEVEL_CRITICAL, &hello.position);
    int length = record_encode(&hello, span, 256);
    record_entry_encode(&error, hello.position + (uint64_t)length, time_ns, span + length, size);
    lane_commit(&writer, (uint32_t)length + size);
    ring_overflow_give(&s->producer, lane);
}

static inline void gather(struct setup *s) {
    drain_round(&s->drain, &s->seen);
    batch_clear(&s->batch);
    assert_true(drain_gather(&s->drain, false, clock_real_ns(), &s->batch));
}

static inline void commit(struct setup *s) {
    assert_int_equal(batch_apply(&s->batch, &s->state), 0);
}

static inline void settle(struct setup *s) {
    commit(s);
    drain_settle(&s->drain);
    reap_finish(&s->rings);
}

static inline void expect_messages(const struct setup *s, size_t count, const char *const *messages) {
    for (size_t i = 0; i < s->batch.entry_count && i < count; i++)
        if (!text_is(s->batch.entries[i].message, messages[i]))
            fail_msg("entry %zu is \"%.*s\", not \"%s\"", i, TEXT_FORMAT(s->batch.entries[i].message), messages[i]);
    assert_int_equal(s->batch.entry_count, count);
}
#define EXPECT(s, ...)                                                                                                 \
    expect_messages(s, sizeof((const char *[]) { __VA_ARGS__ }) / sizeof(char *), (const char *[]) { __VA_ARGS__ })

/* One flush that brings these, and what it leaves is safe. */
#define FLUSH_BRINGS(s, ...)                                                                                           \
    do {                                                                                                               \
        gather(s);                                                                                                     \
        EXPECT(s, __VA_ARGS__);                                                                                        \
        settle(s);                                                                                                     \
    } while (0)
static inline void flush_brings_nothing(struct setup *s) {
    gather(s);
    if (s->batch.entry_count > 0)
        fail_msg("\"%.*s\" comes", TEXT_FORMAT(s->batch.entries[0].message));
    settle(s);
}

static inline uint64_t owner_of(struct setup *s, uint32_t lane) {
    return atomic_load(&ring_lane_header(&s->producer, lane)->owner);
}

#endif
