/* What a reader sees of the spans that a process has open. */
#include "ring_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/check.h"
#include "common/shm/ring_reader.h"

struct setup {
    struct ring producer, reader;
    struct slot_claim claim;
};

static void setup_open(const struct ring_fixture *f, struct setup *s) {
    fixture_attach(f, &s->producer);
    assert_int_equal(ring_slot_claim(&s->producer, TEXT_LITERAL("billing"), 0, &s->claim), 0);
    fixture_map_again(f, &s->reader);
}

static void setup_close(struct setup *s) {
    ring_finish(&s->reader);
    ring_finish(&s->producer);
}

/* As the library does it: odd while it is written, then the start. Each word is a release, so that none is seen without the odd state. */
static void open_at(struct slot_span *span, uint8_t id, uint64_t start_ns) {
    struct slot_span made = { .thread = id, .operation_length = SLOT_SPAN_OPERATION_BYTES };
    uint64_t words[sizeof(made) / sizeof(uint64_t)], *out = (uint64_t *)(void *)span;
    memset(made.trace_id, id, sizeof(made.trace_id));
    memset(made.span_id, id, sizeof(made.span_id));
    memset(made.parent_id, id, sizeof(made.parent_id));
    memset(made.operation, id, SLOT_SPAN_OPERATION_BYTES);
    memcpy(words, &made, sizeof(words));
    atomic_store_explicit(&span->state, 1, memory_order_relaxed);
    for (size_t i = 1; i < sizeof(words) / sizeof(words[0]); i++)
        __atomic_store_n(&out[i], words[i], __ATOMIC_RELEASE);
    atomic_store_explicit(&span->state, start_ns & ~UINT64_C(1), memory_order_release);
}

static void open_spans_are_seen_others_are_not(void **state) {
    struct setup s;
    struct open_span found[SLOT_SPANS_MAX];
    setup_open(*state, &s);
    struct slot_span *spans = s.claim.slot->spans;
    assert_int_equal(ring_reader_spans(&s.reader, s.claim.index, found), 0);
    open_at(&spans[0], 'a', 1001);
    open_at(&spans[47], 'b', 2000);
    atomic_store(&spans[3].state, 5); /* somebody was killed while he wrote it */
    assert_int_equal(ring_reader_spans(&s.reader, s.claim.index, found), 2);
    assert_int_equal(found[0].start_ns, 1000);
    assert_int_equal(found[0].thread, 'a');
    assert_int_equal(found[0].trace_id[15], 'a');
    assert_int_equal(found[0].operation_length, SLOT_SPAN_OPERATION_BYTES);
    assert_int_equal(found[1].start_ns, 2000);
    atomic_store(&spans[0].state, 0);
    assert_int_equal(ring_reader_spans(&s.reader, s.claim.index, found), 1);
    spans[47].operation_length = 255; /* a lie */
    assert_int_equal(ring_reader_spans(&s.reader, s.claim.index, found), 1);
    assert_int_equal(found[0].operation_length, SLOT_SPAN_OPERATION_BYTES);
    assert_int_equal(ring_reader_spans(&s.reader, s.claim.index + 1, found), 0); /* never claimed */
    setup_close(&s);
}

static void a_file_that_was_cut_is_an_error(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    struct open_span found[SLOT_SPANS_MAX];
    setup_open(f, &s);
    assert_int_equal(map_guard_install(NULL), 0);
    assert_int_equal(truncate(f->path, (off_t)s.reader.slots_at), 0);
    assert_int_equal(ring_reader_spans(&s.reader, s.claim.index, found), -EFAULT);
    setup_close(&s);
}

struct race {
    struct slot_span *span;
    atomic_bool end;
};

static void *open_and_close(void *argument) {
    struct race *race = argument;
    for (uint64_t i = 1; !atomic_load_explicit(&race->end, memory_order_relaxed); i++) {
        open_at(race->span, (uint8_t)i, i * 2);
        if (i % 3 == 0)
            atomic_store_explicit(&race->span->state, 0, memory_order_release);
    }
    return NULL;
}

static void what_is_seen_is_whole_while_it_changes(void **state) {
    struct setup s;
    struct open_span found[SLOT_SPANS_MAX];
    pthread_t thread;
    setup_open(*state, &s);
    struct race race = { .span = &s.claim.slot->spans[7] };
    assert_int_equal(pthread_create(&thread, NULL, open_and_close, &race), 0);
    for (int seen = 0; seen < 2000;) {
        int count = ring_reader_spans(&s.reader, s.claim.index, found);
        assert_in_range(count, 0, 1);
        for (int i = 0; i < count; i++, seen++) {
            uint8_t id = (uint8_t)(found[i].start_ns / 2);
            assert_int_equal(found[i].trace_id[0], id);
            assert_int_equal(found[i].parent_id[7], id);
            assert_int_equal((uint8_t)found[i].operation[55], id);
        }
    }
    atomic_store(&race.end, true);
    pthread_join(thread, NULL);
    setup_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(open_spans_are_seen_others_are_not),
        TEST(a_file_that_was_cut_is_an_error),
        TEST(what_is_seen_is_whole_while_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
