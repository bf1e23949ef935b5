/* TF_EVENT: a message as it stands, with typed fields. */
#include "tests/unit/client/client_fixture.h"

#include "agent/client/client_internal.h"

/* The only entry there is, and that it was deferred. */
static void assert_event(const struct fixture *fixture, const char *part) {
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 1);
    assert_int_equal(drain.deferred, 1);
    if (!strstr(drain.lines.data, part))
        fail_msg("no %s in %s", part, drain.lines.data);
    drain_finish(&drain);
}

#define EVENT(client, message, ...) TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "deliver", message, __VA_ARGS__)

static void writes_typed_fields_behind_a_message_as_it_stands(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char to[] = "a@example.org", key[] = "to";
    EVENT(client, "100% of %s and %%d, \"quoted\"", tf_str(key, to), tf_int("attempt", INT64_MIN),
          tf_double("share", 0.25), tf_bool("last", 7), tf_json("list", "[1,{\"a\":null}]"), tf_str("none", NULL),
          tf_json("nothing", NULL), tf_double("infinite", __builtin_inf()));
    memset(to, '#', sizeof(to) - 1); /* they were copied */
    memset(key, '#', sizeof(key) - 1);
    assert_event(*state, "\"level\":\"info\",\"service\":\"mailer\",\"module\":\"main\",\"operation\":\"deliver\","
                         "\"message\":\"100% of %s and %%d, \\\"quoted\\\"\",\"metadata\":{\"to\":\"a@example.org\","
                         "\"attempt\":-9223372036854775808,\"share\":0.25,\"last\":true,\"list\":[1,{\"a\":null}],"
                         "\"none\":null,\"nothing\":null,\"infinite\":null}}");
    tf_close(client);
}

static void of_equal_keys_the_last_holds(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    EVENT(client, "m", tf_int("a", 1), tf_int("b", 2), tf_str("a", "3"));
    assert_event(*state, "\"metadata\":{\"b\":2,\"a\":\"3\"}}");
    tf_close(client);
}

static void takes_its_ids_from_the_context_given_or_the_thread_s(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_context context = { .has = 0 };
    assert_int_equal(tf_context_from_traceparent(&context, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                     0);
    assert_int_equal(tf_context_set_correlation(&context, "order-7"), 0);
    TF_EVENT_IN(client, &context, TF_LEVEL_WARN, "o", "m", tf_int("a", 1));
    assert_event(*state, "\"message\":\"m\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":"
                         "\"00f067aa0ba902b7\",\"correlation_id\":\"order-7\",\"metadata\":{\"a\":1}}");
    assert_int_equal(tf_context_set("text", NULL, NULL), 0);
    EVENT(client, "m", tf_int("a", 2));
    assert_event(*state, "\"message\":\"m\",\"trace_id\":\"text\",\"metadata\":{\"a\":2}}");
    tf_context_clear();
    tf_close(client);
}

static int use_the_default_client(void *argument) {
    struct fixture *fixture = argument;
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    options.min_level = TF_LEVEL_INFO;
    if (tf_default_open("default", &options) < 0)
        return 1;
    TF_EVENT(TF_LEVEL_DEBUG, "o", "not wanted", tf_int("a", 1));
    TF_EVENT(TF_LEVEL_INFO, "o", "wanted", tf_int("a", 1));
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    return drain.entries != 1 || drain_count(&drain, "\"service\":\"default\"") != 1;
}

static void the_default_client_serves_it_too(void **state) {
    assert_int_equal(in_child(use_the_default_client, *state), 0);
}

/* --- fields that break their rules --- */

static void what_breaks_a_rule_is_left_out_with_a_mark(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
#define LEFT_OUT(...)                                                                                                  \
    EVENT(client, "m", tf_str("first", "1"), __VA_ARGS__, tf_str("last", "2"));                                        \
    assert_event(*state, "\"message\":\"m\",\"metadata\":{\"first\":\"1\",\"last\":\"2\",\"repaired\":[\"metadata\"]}" \
                         "}")
    LEFT_OUT(tf_str("bad", "\xff"));
    LEFT_OUT(tf_str("\xc3", "bad key"));
    LEFT_OUT(tf_str("", "no key"));
    LEFT_OUT(tf_int(NULL, 1));
    LEFT_OUT(tf_json("bad", "{\"open\":"));
    LEFT_OUT(tf_json("bad", "[1,2,\"\xff\"]"), tf_json("", "{"));
    LEFT_OUT(((struct tf_field) { .key = "of no kind", .kind = 17 }));
    LEFT_OUT(tf_str("bad", "\xff"), tf_str("repaired", "an app's own"));
    assert_string_equal(tf_last_error(), ""); /* the call did well */
    tf_close(client);
}

static void without_any_sound_field_the_mark_stands_alone(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    EVENT(client, "m", tf_str("bad", "\xff"));
    assert_event(*state, "\"message\":\"m\",\"metadata\":{\"repaired\":[\"metadata\"]}}");
    tf_close(client);
}

static void fields_beyond_the_limit_are_left_out(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    static struct tf_site_ site = TF_SITE_INIT_("deliver", "m", TF_SITE_LITERAL_);
    struct tf_field fields[TF_ENTRY_FIELDS + 1];
    char keys[TF_ENTRY_FIELDS + 1][16];
    for (int i = 0; i <= TF_ENTRY_FIELDS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        fields[i] = tf_int(keys[i], i);
    }
    assert_int_equal(tf_site_event_(client, NULL, &site, TF_LEVEL_INFO, fields, TF_ENTRY_FIELDS), 0);
    assert_event(*state, ",\"k31\":31}}");
    assert_int_equal(tf_site_event_(client, NULL, &site, TF_LEVEL_INFO, fields, TF_ENTRY_FIELDS + 1), 0);
    assert_event(*state, ",\"k31\":31,\"repaired\":[\"metadata\"]}}");
    tf_close(client);
}

static void what_is_too_large_is_left_out_and_the_rest_stays(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char *large = malloc(ENTRY_METADATA_BYTES + 1);
    memset(large, 'x', ENTRY_METADATA_BYTES);
    large[ENTRY_METADATA_BYTES] = '\0';
    EVENT(client, "m", tf_int("a", 1), tf_str("large", large), tf_int("b", 2));
    struct drain drain;
    drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
    assert_int_equal(drain_count(&drain, "\"metadata\":{\"a\":1,\"b\":2,\"repaired\":[\"metadata\"]}}"), 1);
    drain_finish(&drain);
    /* just what fits, with the mark's room kept */
    for (size_t length = ENTRY_METADATA_BYTES - 64; length < ENTRY_METADATA_BYTES; length++) {
        EVENT(client, "m", tf_str("large", large + ENTRY_METADATA_BYTES - length), tf_str("bad", "\xff"));
        EVENT(client, "m", tf_str("large", large + ENTRY_METADATA_BYTES - length));
        if (length % 4 == 0) {
            drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
            drain_finish(&drain);
        }
    }
    assert_int_equal(fixture_lost(client), 0);
    free(large);
    tf_close(client);
}

/* --- statements --- */

static void is_written_also_when_the_table_of_statements_is_full(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    static struct tf_site_ sites[SLOT_SITES_MAX];
    static char operations[SLOT_SITES_MAX][16];
    for (unsigned s = 0; s < SLOT_SITES_MAX; s++) {
        snprintf(operations[s], sizeof(operations[s]), "operation-%u", s);
        sites[s] = (struct tf_site_) { .size = sizeof(sites[s]), .operation = operations[s], .format = "turn" };
        assert_int_equal(tf_site_log_(client, &sites[s], TF_LEVEL_INFO, "turn"), 0);
    }
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    drain_finish(&drain);
    for (int turn = 0; turn < 2; turn++)
        EVENT(client, "100% as it stands", tf_int("a", 1));
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.deferred, 0);
    assert_int_equal(drain_count(&drain, "\"operation\":\"deliver\",\"message\":\"100% as it stands\",\"metadata\":"
                                         "{\"a\":1}}"),
                     2);
    drain_finish(&drain);
    tf_close(client);
}

static void a_message_too_long_for_the_table_is_written_each_time(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    static char message[4001];
    memset(message, '%', sizeof(message) - 1);
    struct tf_site_ site = { .size = sizeof(site), .flags = TF_SITE_LITERAL_, .operation = "o", .format = message };
    const struct tf_field field = tf_int("a", 1);
    assert_int_equal(tf_site_event_(client, NULL, &site, TF_LEVEL_INFO, &field, 1), 0);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.deferred, 0);
    assert_int_equal(drain_count(&drain, message), 1);
    drain_finish(&drain);
    tf_close(client);
}

/* --- in a signal handler --- */

static void a_nested_call_leaves_out_what_its_small_memory_does_not_hold(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char text[NESTED_PACKED_SIZE + 1];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(tf_prepare(client), 0);
    struct call call;
    assert_true(call_enter(&call)); /* from here on a call is nested */
    EVENT(client, "nested", tf_int("a", 1), tf_str("large", text), tf_int("b", 2));
    call_leave();
    assert_entry_with(*state, "\"message\":\"nested\",\"metadata\":{\"a\":1,\"b\":2,\"repaired\":[\"metadata\"]}}");
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(writes_typed_fields_behind_a_message_as_it_stands),
        fixture_test(of_equal_keys_the_last_holds),
        fixture_test(takes_its_ids_from_the_context_given_or_the_thread_s),
        fixture_test(the_default_client_serves_it_too),
        fixture_test(what_breaks_a_rule_is_left_out_with_a_mark),
        fixture_test(without_any_sound_field_the_mark_stands_alone),
        fixture_test(fields_beyond_the_limit_are_left_out),
        fixture_test(what_is_too_large_is_left_out_and_the_rest_stays),
        fixture_test(is_written_also_when_the_table_of_statements_is_full),
        fixture_test(a_message_too_long_for_the_table_is_written_each_time),
        fixture_test(a_nested_call_leaves_out_what_its_small_memory_does_not_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
