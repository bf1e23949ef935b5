/* The quick way of whole entries: what goes it is stored as the ordinary way stores it, and what breaks a rule is refused with the same
 * sentence. */
#include "tests/unit/client/quick_fixture.h"

static struct tf_entry good_entry(void) {
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, "module", "operation", "message");
    return entry;
}

/* Once each; the second time the lane of the quick one is the one used last. */
static void write_both(struct pair *pair, const struct tf_entry *entry) {
    for (int i = 0; i < BOTH; i++)
        for (int turn = 0; turn < 2; turn++)
            if (tf_entry_write(pair->clients[i], entry) != 0)
                fail_msg("refused: %s", tf_last_error());
}

/* --- what is written --- */

static void all_names_and_texts_are_written_the_same(void **state) {
    struct pair pair;
    static char text[ENTRY_MESSAGE_CHARACTERS + 1];
    pair_open(&pair, state);
    struct tf_entry entry = good_entry();
    const char *const services[] = { NULL, "mailer", "mailers", "maile", "m", "Mailer" };
    for (size_t i = 0; i < COUNT_OF(services); i++) {
        entry.service = services[i];
        write_both(&pair, &entry);
    }
    entry = good_entry();
    entry.module = NULL;
    write_both(&pair, &entry);
    for (int level = TF_LEVEL_TRACE; level <= TF_LEVEL_CRITICAL; level++) {
        entry.level = level;
        write_both(&pair, &entry);
    }
    /* each length at which the copying changes its step, and those where the quick way ends */
    static const size_t lengths[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 99, 100 };
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        text[i] = (char)(' ' + i % 95);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        const char *end = text + sizeof(text) - 1 - lengths[i];
        entry = good_entry();
        entry.service = entry.module = entry.operation = entry.message = end;
        entry.trace_id = entry.span_id = entry.correlation_id = end;
        write_both(&pair, &entry);
    }
    for (size_t length = 2040; length <= 2056; length++) {
        entry = good_entry();
        entry.message = text + sizeof(text) - 1 - length;
        write_both(&pair, &entry);
    }
    entry.message = text;
    write_both(&pair, &entry);
    assert_int_equal(assert_same_entries(&pair), 2 * (6 + 1 + 6 + COUNT_OF(lengths) + 17 + 1));
    assert_int_equal(drain_count(&pair.drain, "\"service\":\"mailer\",\"module\":\"main\""), 4 * 7);
    pair_close(&pair);
}

static void what_is_no_ascii_is_written_the_same(void **state) {
    static const char accented[] = "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x99\x82 and more of it behind";
    struct pair pair;
    pair_open(&pair, state);
    for (int field = 0; field < 7; field++) {
        struct tf_entry entry = good_entry();
        const char **const fields[] = { &entry.service,  &entry.module,  &entry.operation,     &entry.message,
                                        &entry.trace_id, &entry.span_id, &entry.correlation_id };
        *fields[field] = accented;
        write_both(&pair, &entry);
    }
    assert_int_equal(assert_same_entries(&pair), 2 * 7);
    pair_close(&pair);
}

static void all_other_fields_are_written_the_same(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    struct tf_entry entry = good_entry();
    entry.timestamp_ns = UINT64_C(1763900000123456789);
    write_both(&pair, &entry);
    entry.user_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11";
    write_both(&pair, &entry);
    entry.organization_id = "6f1c0f0e5c0e4b8e9f0a0d5e3a7c1b12";
    write_both(&pair, &entry);
    entry = good_entry();
    entry.message = "not ended here";
    entry.message_length = 9;
    write_both(&pair, &entry);
    entry = good_entry();
    entry.metadata = "{\"a\":[1]}";
    write_both(&pair, &entry);
    entry.metadata = "";
    tf_entry_add(&entry, tf_str("key", "value"));
    write_both(&pair, &entry);
    entry.error_details = "{\"code\":1}";
    write_both(&pair, &entry);
    assert_int_equal(assert_same_entries(&pair), 2 * 7);
    assert_int_equal(drain_count(&pair.drain, "\"message\":\"not ended\""), 4);
    assert_int_equal(drain_count(&pair.drain, "\"timestamp\":\"2025-11-23T12:13:20.123456789Z\""), 3 * 4);
    pair_close(&pair);
}

static void write_with_ids(struct pair *pair) {
    static const char *const ids[] = { NULL, "", "own" };
    for (int trace = 0; trace < 3; trace++)
        for (int span = 0; span < 3; span++)
            for (int correlation = 0; correlation < 3; correlation++) {
                struct tf_entry entry = good_entry();
                entry.trace_id = ids[trace];
                entry.span_id = ids[span];
                entry.correlation_id = ids[correlation];
                write_both(pair, &entry);
            }
}

/* Each id from the entry, from the context, or none, whatever of it the context has. */
static void ids_come_from_the_entry_else_from_the_context(void **state) {
    struct pair pair;
    struct tf_context context = { .has = 0 };
    unsigned count = 0;
    pair_open(&pair, state);
    write_with_ids(&pair);
    assert_int_equal(tf_context_from_traceparent(&context, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                     0);
    assert_int_equal(tf_context_use(&context), 0);
    write_with_ids(&pair);
    count += assert_same_entries(&pair);
    assert_int_equal(drain_count(&pair.drain, "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":"
                                              "\"00f067aa0ba902b7\""),
                     4 * 3);
    assert_int_equal(tf_context_set_correlation(&context, "of the context"), 0);
    assert_int_equal(tf_context_set_user(&context, NULL, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11"), 0);
    assert_int_equal(tf_context_use(&context), 0);
    write_with_ids(&pair);
    assert_int_equal(tf_context_set("text", "00f067aa0ba902b7", NULL), 0);
    write_with_ids(&pair);
    assert_int_equal(tf_context_set("4bf92f3577b34da6a3ce929d0e0e4736", NULL, "of the context"), 0);
    write_with_ids(&pair);
    count += assert_same_entries(&pair);
    assert_int_equal(count, 5 * 27 * 2);
    tf_context_clear();
    pair_close(&pair);
}

/* --- what is refused --- */

/* By the quick client with the sentence that is said without it, and not counted. */
static void assert_refused(struct pair *pair, const struct tf_entry *entry, const char *sentence) {
    for (int i = 0; i < BOTH; i++) {
        tf_prepare(pair->clients[i]); /* its lane is the one used last */
        assert_int_equal(tf_entry_write(pair->clients[i], entry), -EINVAL);
        assert_string_equal(tf_last_error(), sentence);
        assert_int_equal(tf_entry_check(pair->clients[i], entry), -EINVAL);
        assert_string_equal(tf_last_error(), sentence);
    }
}

static void each_field_is_refused_with_its_reason(void **state) {
    struct pair pair;
    static char long_text[ENTRY_MESSAGE_CHARACTERS + 2];
    pair_open(&pair, state);
    memset(long_text, 'x', sizeof(long_text) - 1);
    const char *const long_name = long_text + sizeof(long_text) - 1 - 101, *const long_id = long_name - 28;
#define REFUSED(assignment, sentence)                                                                                  \
    do {                                                                                                               \
        struct tf_entry entry = good_entry();                                                                          \
        assignment;                                                                                                    \
        assert_refused(&pair, &entry, sentence);                                                                       \
    } while (0)
#define SIXTY "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    REFUSED(entry.service = "", "service must be 1 to 100 characters, is 0: \"\"");
    REFUSED(entry.service = long_name, "service must be 1 to 100 characters, is 101: \"" SIXTY "\"...");
    REFUSED(entry.service = "bad \xff", "service must be UTF-8 without NUL, is not");
    REFUSED(entry.module = "", "module must be 1 to 100 characters, is 0: \"\"");
    REFUSED(entry.module = long_name, "module must be 1 to 100 characters, is 101: \"" SIXTY "\"...");
    REFUSED(entry.module = "bad \xc3", "module must be UTF-8 without NUL, is not");
    REFUSED(entry.operation = NULL, "operation must be 1 to 100 characters, is 0: \"\"");
    REFUSED(entry.operation = "", "operation must be 1 to 100 characters, is 0: \"\"");
    REFUSED(entry.operation = long_name, "operation must be 1 to 100 characters, is 101: \"" SIXTY "\"...");
    REFUSED(entry.operation = "\xed\xa0\x80", "operation must be UTF-8 without NUL, is not");
    REFUSED(entry.message = NULL, "message must be 1 to 10000 characters, is 0: \"\"");
    REFUSED(entry.message = "", "message must be 1 to 10000 characters, is 0: \"\"");
    REFUSED(entry.message = long_text, "message must be 1 to 10000 characters, is 10001: \"" SIXTY "\"...");
    REFUSED(entry.message = "\x80", "message must be UTF-8 without NUL, is not");
    REFUSED(entry.message_length = 0, "message must be 1 to 10000 characters, is 0: \"\"");
    REFUSED((entry.message = "a\0b", entry.message_length = 3), "message must be UTF-8 without NUL, is not");
    REFUSED(entry.trace_id = long_id, "trace_id must be at most 128 bytes, is 129: \"" SIXTY "\"...");
    REFUSED(entry.trace_id = "\xff", "trace_id must be UTF-8 without NUL, is not");
    REFUSED(entry.span_id = long_id, "span_id must be at most 128 bytes, is 129: \"" SIXTY "\"...");
    REFUSED(entry.span_id = "\xff", "span_id must be UTF-8 without NUL, is not");
    REFUSED(entry.correlation_id = long_id, "correlation_id must be at most 128 bytes, is 129: \"" SIXTY "\"...");
    REFUSED(entry.correlation_id = "\xff", "correlation_id must be UTF-8 without NUL, is not");
    REFUSED(entry.user_id = "7", "user_id must be a UUID, is \"7\"");
    REFUSED(entry.organization_id = "00000000-0000-0000-0000-000000000000",
            "organization_id must be a UUID, is \"00000000-0000-0000-0000-000000000000\"");
    REFUSED(entry.size--, "entry must be begun with tf_entry_init");
    REFUSED(entry.level = -1, "level must be 0 to 5, is -1");
    REFUSED(entry.level = 6, "level must be 0 to 5, is 6");
    assert_int_equal(drain_read(&pair.drain, true), 0);
    assert_int_equal(fixture_lost(pair.clients[QUICK]) + fixture_lost(pair.clients[ORDINARY]), 0);
    pair_close(&pair);
}

static void one_bad_byte_is_found_wherever_it_stands(void **state) {
    struct pair pair;
    char text[71];
    pair_open(&pair, state);
    for (size_t length = 1; length < sizeof(text); length++)
        for (size_t at = 0; at < length; at++) {
            struct tf_entry entry = good_entry();
            memset(text, 'x', length);
            text[length] = '\0';
            text[at] = '\x80';
            entry.message = text;
            assert_int_equal(tf_entry_write(pair.clients[QUICK], &entry), -EINVAL);
        }
    assert_int_equal(drain_read(&pair.drain, true), 0);
    pair_close(&pair);
}

static void what_was_refused_leaves_no_trace_in_the_next(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    struct tf_entry bad = good_entry(), good = good_entry();
    bad.service = "another service, of some length";
    bad.trace_id = bad.correlation_id = "an id of some length";
    bad.message = "bad \xff";
    for (int i = 0; i < 3; i++) {
        assert_refused(&pair, &bad, "message must be UTF-8 without NUL, is not");
        write_both(&pair, &good);
    }
    assert_int_equal(assert_same_entries(&pair), 6);
    assert_int_equal(drain_count(&pair.drain, "{\"id\""), 12);
    assert_int_equal(drain_count(&pair.drain,
                                 "\"service\":\"mailer\",\"module\":\"module\",\"operation\":\"operation\","
                                 "\"message\":\"message\",\"metadata\":{}}"),
                     12);
    pair_close(&pair);
}

/* --- no room, and laps --- */

static void loses_what_the_ordinary_way_loses(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    for (int level = TF_LEVEL_TRACE; level <= TF_LEVEL_CRITICAL; level++) {
        struct tf_entry entry = good_entry();
        struct tf_loss_counts losses[BOTH];
        unsigned written[BOTH] = { 0 };
        entry.level = level;
        for (int i = 0; i < BOTH; i++) {
            while (tf_entry_write(pair.clients[i], &entry) == 0)
                written[i]++;
            assert_int_equal(tf_entry_write(pair.clients[i], &entry), -EAGAIN);
            assert_int_equal(tf_losses(pair.clients[i], &losses[i], sizeof(losses[i])), 0);
            assert_int_equal(losses[i].lane_full[level], 2);
            assert_int_equal(losses[i].total, 2 * (level + 1));
        }
        assert_int_equal(written[QUICK], written[ORDINARY]);
        assert_int_equal(assert_same_entries(&pair), written[QUICK]);
    }
    assert_int_equal(pair.drain.lost_total, 4 * TF_LEVELS);
    pair_close(&pair);
}

static void goes_on_over_the_ends_of_laps(void **state) {
    struct pair pair;
    static char text[2000];
    unsigned written = 0, read = 0;
    pair_open(&pair, state);
    memset(text, 'x', sizeof(text) - 1);
    struct tf_entry entry = good_entry();
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < BOTH; i++)
            for (int n = 0; n < 64; n++) {
                entry.message = text + (size_t)((round * 64 + n) * 7919) % (sizeof(text) - 1);
                assert_int_equal(tf_entry_write(pair.clients[i], &entry), 0);
                written++;
            }
        read += 2 * assert_same_entries(&pair);
    }
    assert_int_equal(read, written);
    pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(all_names_and_texts_are_written_the_same),
        fixture_test(what_is_no_ascii_is_written_the_same),
        fixture_test(all_other_fields_are_written_the_same),
        fixture_test(ids_come_from_the_entry_else_from_the_context),
        fixture_test(each_field_is_refused_with_its_reason),
        fixture_test(one_bad_byte_is_found_wherever_it_stands),
        fixture_test(what_was_refused_leaves_no_trace_in_the_next),
        fixture_test(loses_what_the_ordinary_way_loses),
        fixture_test(goes_on_over_the_ends_of_laps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
