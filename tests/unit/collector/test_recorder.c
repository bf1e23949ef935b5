/* The flight recorder: what makes it store, what of it, and once. */
#include "tests/unit/collector/recorder_fixture.h"

#include "common/model/pack.h"

#define RAW "sixteen raw byte"
#define HEX "7369787465656e207261772062797465" /* the same */

/* --- by an error of the process --- */

static void an_error_brings_what_its_process_recorded_before_it(void **state) {
    struct setup s;
    struct thread a, b, other;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.billing, &b);
    claim(&s, &s.mailer, &other);
    DEBUG(&a, 50, "a1");
    DEBUG(&b, 40, "b1");
    DEBUG(&a, 30, "a2");
    DEBUG(&other, 30, "of another process");
    INFO(&b, 35, "info");
    FLUSH_BRINGS(&s, "info");
    INFO(&a, 20, "info");
    ERROR(&b, 10, "error");
    DEBUG(&a, 5, "behind the error");
    FLUSH_BRINGS(&s, "a1", "b1", "a2", "info", "error");
    flush_brings_nothing(&s);
    ERROR(&a, 0, "next");
    FLUSH_BRINGS(&s, "behind the error", "next");
    setup_close(&s);
}

static void what_comes_is_marked_and_its_id_is_that_of_its_place(void **state) {
    struct setup s;
    struct thread a;
    struct pack_value mark;
    struct uuid id;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    uint64_t position = DEBUG(&a, 50, "a1", .trace = RAW, .raw = true);
    ERROR(&a, 10, "error");
    gather(&s);
    EXPECT(&s, "a1", "error");
    const struct entry *entry = &s.batch.entries[0];
    assert_true(text_is(entry->service, "billing") && entry->pid == (uint32_t)getpid());
    assert_true(text_is(entry->trace_id, HEX));
    assert_int_equal(entry->level, LEVEL_DEBUG);
    assert_true(pack_is_map(entry->metadata) && pack_find(entry->metadata, TEXT_LITERAL("flight_recorder"), &mark));
    assert_true(mark.type == PACK_BOOL && mark.boolean);
    assert_int_equal(s.batch.entries[1].metadata.length, 0);
    uuid_derive(AGO(50), s.producer.ring_id, a.recorder_lane, position, &id);
    assert_true(uuid_equal(&id, &entry->id));
    setup_close(&s);
}

static void metadata_stays_beside_the_mark(void **state) {
    struct setup s;
    struct thread a;
    struct pack_value value;
    char packed[64];
    uint64_t position;
    uint32_t size;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    struct pack_writer writer = { .data = packed, .capacity = sizeof(packed) };
    pack_map(&writer, 2);
    pack_text(&writer, TEXT_LITERAL("queue"));
    pack_text(&writer, TEXT_LITERAL("mail"));
    pack_text(&writer, TEXT_LITERAL("attempt"));
    pack_uint(&writer, 2);
    struct record_entry record = { .entry = { .level = LEVEL_DEBUG,
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o"),
                                              .message = TEXT_LITERAL("d"),
                                              .metadata = { packed, writer.length } },
                                   .has_position = true,
                                   .position = { TEXT_LITERAL("tail"), TEXT_LITERAL("k"), TEXT_LITERAL("7") } };
    assert_int_equal(record_entry_size(&record, &size), 0);
    void *span = lane_claim(&a.recorder, size, LEVEL_DEBUG, &position);
    record_entry_encode(&record, position, AGO(20), span, size);
    lane_commit(&a.recorder, size);
    ERROR(&a, 10, "error");
    gather(&s);
    EXPECT(&s, "d", "error");
    struct text metadata = s.batch.entries[0].metadata;
    assert_int_equal(pack_check(metadata), 0);
    assert_true(pack_find(metadata, TEXT_LITERAL("queue"), &value) && text_is(value.text, "mail"));
    assert_true(pack_find(metadata, TEXT_LITERAL("attempt"), &value) && value.natural == 2);
    assert_true(pack_find(metadata, TEXT_LITERAL("flight_recorder"), &value) && value.boolean);
    for (size_t i = 0; i < s.batch.put_count; i++) /* an input is not moved back by what it said a minute ago */
        assert_false(text_starts_with(s.batch.puts[i].key, TEXT_LITERAL("input/")));
    setup_close(&s);
}

static void only_the_last_of_keep_comes(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 75, "too old");
    DEBUG(&a, 70, "just not");
    DEBUG(&a, 20, "recent");
    ERROR(&a, 10, "error");
    FLUSH_BRINGS(&s, "just not", "recent", "error");
    assert_int_equal(s.rings.items[0]->lanes[a.recorder_lane].position, a.recorder.head); /* all is done with */
    ERROR(&a, 5, "next");
    FLUSH_BRINGS(&s, "next");
    setup_close(&s);
}

/* As after a time without a collector: errors minutes apart in one batch. */
static void what_lies_between_errors_far_apart_does_not_come(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 620, "first");
    DEBUG(&a, 400, "between");
    DEBUG(&a, 20, "second");
    ERROR(&a, 600, "error 1");
    ERROR(&a, 10, "error 2");
    FLUSH_BRINGS(&s, "first", "second", "error 1", "error 2");
    setup_close(&s);
}

static void a_time_in_the_future_is_taken_for_now(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&a, 30, "a1", .trace = "t");
    DEBUG(&b, 30, "b1", .trace = "t");
    ERROR(&a, -1e6, "error", .trace = "t");
    FLUSH_BRINGS(&s, "a1", "b1", "error");
    setup_close(&s);
}

static void an_error_through_an_overflow_lane_is_known_by_its_hello(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 30, "a1");
    flush_brings_nothing(&s);
    reap_scan(&s.rings);
    error_in_overflow(&s, &s.billing, AGO(10));
    FLUSH_BRINGS(&s, "a1", "error");
    setup_close(&s);
}

static void many_laps_bring_the_last_of_them_without_a_gap(void **state) {
    struct setup s;
    struct thread a;
    char message[400];
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(message, sizeof(message), "%u %*s", i, (int)(i * 7 % 300), "");
        DEBUG(&a, 50 - i * 0.001, message);
    }
    ERROR(&a, 10, "error");
    gather(&s);
    assert_true(s.batch.entry_count > RING_LANE_SIZE / 450 && s.batch.entry_count < 20000);
    for (size_t i = 0; i + 1 < s.batch.entry_count; i++)
        assert_int_equal(strtoul(s.batch.entries[i].message.data, NULL, 10), 20001 - s.batch.entry_count + i);
    settle(&s);
    DEBUG(&a, 5, "more");
    ERROR(&a, 1, "next");
    FLUSH_BRINGS(&s, "more", "next");
    setup_close(&s);
}

/* --- by a trace --- */

static void an_error_brings_what_others_recorded_of_its_trace_alone(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&b, 80, "long before", .trace = "t");
    DEBUG(&b, 50, "b1", .trace = "t");
    DEBUG(&b, 40, "other trace", .trace = "u");
    DEBUG(&b, 30, "none");
    DEBUG(&b, 20, "b2", .trace = "t");
    DEBUG(&a, 15, "a1");
    ERROR(&a, 10, "error", .trace = "t");
    DEBUG(&b, 5, "behind", .trace = "t");
    FLUSH_BRINGS(&s, "b1", "b2", "a1", "error");
    flush_brings_nothing(&s);
    ERROR(&a, 4, "again", .trace = "t"); /* what it brought is not brought again */
    FLUSH_BRINGS(&s, "behind", "again");
    ERROR(&b, 3, "its own"); /* what was left is there */
    FLUSH_BRINGS(&s, "other trace", "none", "its own");
    setup_close(&s);
}

static void lanes_that_have_nothing_of_it_stay_as_they_are(void **state) {
    struct setup s;
    struct thread a, b;
    struct state_key key;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    for (int i = 0; i < 9000; i++)
        DEBUG(&b, 30, "laps", .trace = "u");
    ERROR(&a, 10, "error", .trace = "t");
    gather(&s);
    EXPECT(&s, "error");
    state_key_lane(&key, s.producer.ring_id, b.recorder_lane);
    for (size_t i = 0; i < s.batch.put_count; i++)
        assert_false(text_starts_with(s.batch.puts[i].key, state_key_text(&key)));
    settle(&s);
    setup_close(&s);
}

static void a_trace_is_the_same_as_bytes_and_as_text(void **state) {
    static const struct {
        const char *recorded;
        bool recorded_raw;
        const char *asked;
        bool asked_raw, same;
    } cases[] = {
        { RAW, true, RAW, true, true },     { RAW, true, HEX, false, true },
        { HEX, false, RAW, true, true },    { HEX, false, HEX, false, true },
        { "t", false, "t", false, true },   { RAW, false, RAW, true, false },
        { "tt", false, "t", false, false }, { "7369787465656E207261772062797465", false, RAW, true, false },
    };
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        DEBUG(&b, 30, "b", .trace = cases[i].recorded, .raw = cases[i].recorded_raw);
        ERROR(&a, 10, "error", .trace = cases[i].asked, .raw = cases[i].asked_raw);
        if (cases[i].same)
            FLUSH_BRINGS(&s, "b", "error");
        else
            FLUSH_BRINGS(&s, "error");
    }
    setup_close(&s);
}

static void traces_of_calls_are_found_too(void **state) {
    struct setup s;
    struct thread a, b;
    uint64_t position;
    uint32_t size;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    int site = ring_site_add(&s.producer, &s.mailer, LEVEL_DEBUG, TEXT_LITERAL("m"), TEXT_LITERAL("o"),
                             TEXT_LITERAL("took %d ms"));
    char argument[8];
    state_u64_put(argument, 42);
    struct record_entry call = {
        .entry = { .level = LEVEL_DEBUG, .message = { argument, 8 }, .trace_id = TEXT_LITERAL(RAW) },
        .site = (uint32_t)site,
        .raw_trace = true
    };
    assert_int_equal(record_entry_size(&call, &size), 0);
    void *span = lane_claim(&b.recorder, size, LEVEL_DEBUG, &position);
    record_entry_encode(&call, position, AGO(20), span, size);
    lane_commit(&b.recorder, size);
    ERROR(&a, 10, "error", .trace = HEX);
    FLUSH_BRINGS(&s, "took 42 ms", "error");
    setup_close(&s);
}

/* --- once --- */

static void a_discarded_batch_is_gathered_again(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&a, 30, "a1");
    DEBUG(&b, 20, "none");
    DEBUG(&b, 20, "b1", .trace = "t");
    ERROR(&a, 10, "error", .trace = "t");
    for (int i = 0; i < 3; i++) {
        gather(&s);
        EXPECT(&s, "a1", "b1", "error");
        drain_discard(&s.drain);
    }
    FLUSH_BRINGS(&s, "a1", "b1", "error");
    ERROR(&b, 1, "its own");
    FLUSH_BRINGS(&s, "none", "its own");
    setup_close(&s);
}

static void a_kill_after_the_commit_doubles_nothing_and_loses_nothing(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&a, 30, "a1");
    DEBUG(&b, 25, "left 1");
    DEBUG(&b, 20, "b1", .trace = "t");
    DEBUG(&b, 15, "left 2");
    ERROR(&a, 10, "error", .trace = "t");
    gather(&s);
    EXPECT(&s, "a1", "b1", "error");
    commit(&s); /* and killed before the tails moved */
    restart(&s);
    assert_int_equal(s.rings.items[0]->phase, RING_ACTIVE);
    ERROR(&a, 5, "again", .trace = "t");
    FLUSH_BRINGS(&s, "again");
    restart(&s);
    ERROR(&b, 1, "its own");
    FLUSH_BRINGS(&s, "left 1", "left 2", "its own");
    restart(&s);
    ERROR(&b, 1, "more");
    FLUSH_BRINGS(&s, "more");
    setup_close(&s);
}

static void a_kill_before_the_commit_finds_all_as_it_was(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&a, 30, "a1");
    DEBUG(&b, 20, "b1", .trace = "t");
    ERROR(&a, 10, "error", .trace = "t");
    gather(&s);
    restart(&s);
    FLUSH_BRINGS(&s, "a1", "b1", "error");
    setup_close(&s);
}

/* --- by the end of a process, on request --- */

static int live_and_die(void *argument) {
    struct setup *s = argument;
    struct slot_claim own;
    struct thread t;
    struct ring ring;
    if (ring_attach(s->fixture->runtime_dir, RING_SIZE_MIN, &ring, NULL) != 0 ||
        ring_slot_claim(&ring, TEXT_LITERAL("short"), 0, &own) != 0)
        return 1;
    s->producer = ring;
    claim(s, &own, &t);
    DEBUG(&t, 500, "long ago");
    DEBUG(&t, 320, "last words");
    INFO(&t, 310, "info");
    DEBUG(&t, 305, "last word");
    kill(getpid(), SIGKILL);
    return 1;
}

static void a_process_that_goes_without_goodbye_leaves_its_last_words(void **state) {
    struct setup s;
    setup_open(*state, &s);
    assert_int_equal(fixture_in_child(live_and_die, &s), 256 + SIGKILL);
    reap_scan(&s.rings);
    reap_finish(&s.rings);
    gather(&s);
    EXPECT(&s, "last words", "last word", "info");
    assert_true(text_is(s.batch.entries[0].service, "short"));
    drain_discard(&s.drain);
    restart(&s); /* killed in between: the next finds it dead as well */
    reap_scan(&s.rings);
    FLUSH_BRINGS(&s, "last words", "last word", "info");
    restart(&s);
    reap_scan(&s.rings);
    flush_brings_nothing(&s);
    for (uint32_t i = s.producer.overflow_count; i < s.producer.lane_count; i++)
        assert_int_equal(owner_of(&s, i), 0);
    flush_brings_nothing(&s);
    setup_close(&s);
}

static void a_process_that_says_goodbye_takes_it_along(void **state) {
    struct setup s;
    struct thread a;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    DEBUG(&a, 30, "a1");
    INFO(&a, 20, "info");
    FLUSH_BRINGS(&s, "info");
    ring_slot_release(&s.producer, &s.billing, false);
    reap_scan(&s.rings);
    assert_true(reap_finish(&s.rings)); /* waits for the flush */
    flush_brings_nothing(&s);
    assert_int_equal(owner_of(&s, a.recorder_lane), 0);
    assert_int_equal(atomic_load(&s.billing.slot->state) & 0xff, SLOT_FREE);
    setup_close(&s);
}

static void an_error_right_before_goodbye_is_heard(void **state) {
    for (int overflow = 0; overflow < 2; overflow++) {
        struct setup s;
        struct thread a;
        setup_open(*state, &s);
        claim(&s, &s.billing, &a);
        DEBUG(&a, 30, "a1");
        drain_round(&s.drain, &s.seen); /* before the error, and the end is seen before it is read */
        reap_scan(&s.rings);
        if (overflow)
            error_in_overflow(&s, &s.billing, AGO(10));
        else
            ERROR(&a, 10, "error");
        DEBUG(&a, 5, "behind it");
        ring_slot_release(&s.producer, &s.billing, false);
        reap_scan(&s.rings);
        batch_clear(&s.batch);
        assert_true(drain_gather(&s.drain, false, NOW, &s.batch));
        assert_int_equal(s.batch.entry_count, 0);
        settle(&s);
        assert_int_not_equal(owner_of(&s, a.recorder_lane), 0);
        FLUSH_BRINGS(&s, "a1", "error");
        assert_int_equal(owner_of(&s, a.recorder_lane), 0);
        setup_close(&s);
        unlink(s.fixture->path);
    }
}

static void a_process_may_ask_for_its_own(void **state) {
    struct setup s;
    struct thread a, b;
    setup_open(*state, &s);
    claim(&s, &s.billing, &a);
    claim(&s, &s.mailer, &b);
    DEBUG(&a, 70, "too old");
    DEBUG(&a, 30, "a1");
    DEBUG(&b, 30, "b1");
    assert_false(recorder_is_due(&s.recorder, &s.rings));
    flush_brings_nothing(&s);
    atomic_fetch_add(&s.billing.slot->recorder_wanted, 1);
    assert_true(recorder_is_due(&s.recorder, &s.rings));
    gather(&s);
    EXPECT(&s, "a1");
    drain_discard(&s.drain);
    FLUSH_BRINGS(&s, "a1");
    DEBUG(&a, 20, "a2");
    assert_false(recorder_is_due(&s.recorder, &s.rings));
    restart(&s); /* what it asked for is done with: "a2" was not meant */
    flush_brings_nothing(&s);
    atomic_fetch_add(&s.billing.slot->recorder_wanted, 5);
    FLUSH_BRINGS(&s, "a2");
    ring_slot_release(&s.producer, &s.billing, false);
    reap_scan(&s.rings);
    flush_brings_nothing(&s);
    flush_brings_nothing(&s); /* and what the state had of it is gone */
    struct state_key key;
    struct text value;
    state_key_want(&key, s.billing.slot->producer_id);
    assert_false(state_map_get(&s.state, state_key_text(&key), &value));
    setup_close(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
        TEST(an_error_brings_what_its_process_recorded_before_it),
        TEST(what_comes_is_marked_and_its_id_is_that_of_its_place),
        TEST(metadata_stays_beside_the_mark),
        TEST(only_the_last_of_keep_comes),
        TEST(what_lies_between_errors_far_apart_does_not_come),
        TEST(a_time_in_the_future_is_taken_for_now),
        TEST(an_error_through_an_overflow_lane_is_known_by_its_hello),
        TEST(many_laps_bring_the_last_of_them_without_a_gap),
        TEST(an_error_brings_what_others_recorded_of_its_trace_alone),
        TEST(lanes_that_have_nothing_of_it_stay_as_they_are),
        TEST(a_trace_is_the_same_as_bytes_and_as_text),
        TEST(traces_of_calls_are_found_too),
        TEST(a_discarded_batch_is_gathered_again),
        TEST(a_kill_after_the_commit_doubles_nothing_and_loses_nothing),
        TEST(a_kill_before_the_commit_finds_all_as_it_was),
        TEST(a_process_that_goes_without_goodbye_leaves_its_last_words),
        TEST(a_process_that_says_goodbye_takes_it_along),
        TEST(an_error_right_before_goodbye_is_heard),
        TEST(a_process_may_ask_for_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
