/* What a call of taskforge.h puts into the ring, and what it refuses. */
#include "tests/unit/client/client_fixture.h"

static void writes_a_plain_message_with_the_client_s_module(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "send", "100% \"sent\""), 0);
    assert_entry_with(*state, "\"level\":\"info\",\"service\":\"mailer\",\"module\":\"main\",\"operation\":\"send\","
                              "\"message\":\"100% \\\"sent\\\"\",\"metadata\":{}}");
    tf_close(client);
}

static void defers_the_formatting_of_a_macro_s_message(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char changing[] = "a@example.org";
    TF_LOG_TO(client, TF_LEVEL_WARN, "send", "%d mails to %s in %.1f ms (%5zu|%-4s|%lld|%c)", 3, changing, 12.25,
              (size_t)17, "ab", -5LL, 'x');
    memset(changing, '#', sizeof(changing) - 1); /* it was copied */
    struct drain drain;
    drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 1);
    assert_int_equal(drain.deferred, 1);
    assert_non_null(strstr(drain.lines.data, "\"message\":\"3 mails to a@example.org in 12.2 ms (   17|ab  |-5|x)\""));
    assert_non_null(strstr(drain.lines.data, "\"module\":\"main\",\"operation\":\"send\""));
    drain_finish(&drain);
    tf_close(client);
}

static void formats_itself_what_cannot_be_deferred(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    TF_LOG_TO(client, TF_LEVEL_ERROR, "open", "%.2Lf seconds", 1.25L);
    struct drain drain;
    drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 1);
    assert_int_equal(drain.deferred, 0);
    assert_non_null(strstr(drain.lines.data, "\"operation\":\"open\",\"message\":\"1.25 seconds\""));
    drain_finish(&drain);
    tf_close(client);
}

static void gives_one_statement_one_number_and_two_clients_two(void **state) {
    tf_client *clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = fixture_open(*state, TF_POLICY_DROP, 0);
    for (int i = 0; i < 30; i++)
        TF_LOG_TO(clients[i % 3], TF_LEVEL_INFO, "loop", "turn %d", i);
    struct drain drain;
    drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 30);
    assert_int_equal(drain.deferred, 30);
    assert_int_equal(drain_count(&drain, "\"message\":\"turn 17\""), 1);
    drain_finish(&drain);
    drain_open(&drain, ((struct fixture *)*state)->runtime_dir);
    for (uint32_t slot = 0; slot < 3; slot++) {
        struct site_info site;
        assert_int_equal(ring_reader_site(&drain.ring, slot, 1, &site), 0);
        assert_int_equal(ring_reader_site(&drain.ring, slot, 2, &site), -EBADMSG);
    }
    drain_close(&drain);
    for (int i = 0; i < 3; i++)
        tf_close(clients[i]);
}

static void keeps_the_end_of_a_string_too_long_to_store(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char *text = malloc(100001);
    memset(text, 'a', 100000);
    strcpy(text + 100000 - 7, "THE END");
    TF_LOG_TO(client, TF_LEVEL_INFO, "long", "begin %s", text);
    free(text);
    struct drain drain;
    drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 1);
    assert_non_null(strstr(drain.lines.data, "\"message\":\"begin aaaa"));
    assert_non_null(strstr(drain.lines.data, "bytes cut ...]aaaa"));
    assert_non_null(strstr(drain.lines.data, "aaTHE END\""));
    drain_finish(&drain);
    tf_close(client);
}

static void writes_every_field_of_an_entry(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_CRITICAL, "billing", "charge", "card refused");
    entry.service = "shop";
    entry.timestamp_ns = UINT64_C(1763900000123456789);
    entry.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    entry.span_id = "00f067aa0ba902b7";
    entry.correlation_id = "order-7";
    entry.user_id = "6F1C0F0E-5C0E-4B8E-9F0A-0D5E3A7C1B11";
    entry.organization_id = "6f1c0f0e5c0e4b8e9f0a0d5e3a7c1b12";
    entry.metadata = "{\"shop\":\"north\",\"queue\":\"old\"}";
    entry.error_details = "[1,{\"code\":\"x\"}]";
    tf_entry_add(&entry, tf_str("queue", "mail"));
    tf_entry_add(&entry, tf_int("attempt", -2));
    tf_entry_add(&entry, tf_double("share", 0.5));
    tf_entry_add(&entry, tf_bool("last", 1));
    tf_entry_add(&entry, tf_json("list", "[1, null]"));
    tf_entry_add(&entry, tf_str("none", NULL));
    assert_int_equal(tf_entry_write(client, &entry), 0);
    assert_entry_with(*state,
                      "\"timestamp\":\"2025-11-23T12:13:20.123456789Z\",\"level\":\"critical\",\"service\":\"shop\","
                      "\"module\":\"billing\",\"operation\":\"charge\",\"message\":\"card refused\","
                      "\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"00f067aa0ba902b7\","
                      "\"correlation_id\":\"order-7\","
                      "\"user_id\":\"6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11\",\"organization_id\":\"6f1c0f0e-5c0e-4b8e-"
                      "9f0a-0d5e3a7c1b12\","
                      "\"metadata\":{\"shop\":\"north\",\"queue\":\"mail\",\"attempt\":-2,\"share\":0.5,\"last\":true,"
                      "\"list\":[1,null],"
                      "\"none\":null},\"error_details\":[1,{\"code\":\"x\"}]");
    tf_close(client);
}

static void keeps_the_last_of_equal_keys(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_field fields[] = { tf_int("a", 1), tf_int("b", 2), tf_int("a", 3) };
    assert_int_equal(tf_log_with_metadata(client, TF_LEVEL_INFO, "m", "o", "text", fields, 3), 0);
    assert_entry_with(*state, "\"metadata\":{\"b\":2,\"a\":3}");
    tf_close(client);
}

static void logs_an_error_with_details(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    assert_int_equal(tf_log_error_with_details(client, "m", "o", "broke", "{\"code\":42}"), 0);
    assert_entry_with(*state, "\"level\":\"error\",\"service\":\"mailer\",\"module\":\"m\",\"operation\":\"o\","
                              "\"message\":\"broke\",\"metadata\":{},\"error_details\":{\"code\":42}");
    tf_close(client);
}

static void formats_a_message_by_function(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    assert_int_equal(tf_logf(client, TF_LEVEL_INFO, NULL, "o", "%s-%d", "x", 7), 0);
    assert_entry_with(*state, "\"message\":\"x-7\"");
    tf_close(client);
}

static void carries_the_thread_s_context(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    assert_int_equal(tf_context_set("trace-1", NULL, "corr-1"), 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "by macro %d", 1);
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_INFO, NULL, "o", "by entry");
    entry.correlation_id = "own";
    assert_int_equal(tf_entry_write(client, &entry), 0);
    tf_context_clear();
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "without"), 0);
    struct drain drain;
    drain_once(((struct fixture *)*state)->runtime_dir, true, &drain);
    assert_int_equal(drain_count(&drain, "by macro 1\",\"trace_id\":\"trace-1\",\"correlation_id\":\"corr-1\""), 1);
    assert_int_equal(drain_count(&drain, "by entry\",\"trace_id\":\"trace-1\",\"correlation_id\":\"own\""), 1);
    assert_int_equal(drain_count(&drain, "without\",\"metadata\""), 1);
    drain_finish(&drain);
    char long_id[130];
    memset(long_id, 'x', 129);
    long_id[129] = '\0';
    assert_int_equal(tf_context_set("kept?", long_id, NULL), -EINVAL);
    assert_string_equal(tf_last_error(), "span_id must be at most 128 bytes, is 129");
    tf_close(client);
}

/* --- refusals --- */

static struct tf_entry good_entry(void) {
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, "m", "o", "text");
    return entry;
}

static void assert_refused(tf_client *client, const struct tf_entry *entry, const char *part) {
    assert_int_equal(tf_entry_write(client, entry), -EINVAL);
    if (!strstr(tf_last_error(), part))
        fail_msg("\"%s\" says nothing of \"%s\"", tf_last_error(), part);
}

static void refuses_with_field_and_reason_and_counts_nothing(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_entry entry;
#define REFUSED(assignment, part)                                                                                      \
    entry = good_entry();                                                                                              \
    assignment;                                                                                                        \
    assert_refused(client, &entry, part)
    REFUSED(entry.message = "", "message");
    REFUSED(entry.message = NULL, "message");
    REFUSED(entry.message = "\xff", "message");
    REFUSED(entry.operation = NULL, "operation");
    REFUSED(entry.module = "", "module");
    REFUSED(entry.service = "", "service");
    REFUSED(entry.level = 6, "level");
    REFUSED(entry.level = -1, "level");
    REFUSED(entry.user_id = "x", "user_id must be a UUID, is \"x\"");
    REFUSED(entry.organization_id = "6f1c", "organization_id");
    REFUSED(entry.metadata = "[]", "metadata must be a JSON object");
    REFUSED(entry.metadata = "{", "metadata must be JSON");
    REFUSED(entry.error_details = "nul", "error_details must be JSON");
    REFUSED((entry.level = TF_LEVEL_WARN, entry.error_details = "1"), "error_details");
    REFUSED(entry.field_count = 33, "metadata must be at most 32 fields, is 33");
    REFUSED(tf_entry_add(&entry, tf_int("", 1)), "must have a key");
    REFUSED(tf_entry_add(&entry, tf_str("k", "\xff")), "metadata \"k\" must be UTF-8");
    REFUSED(tf_entry_add(&entry, tf_json("k", "{]")), "k must be JSON");
    REFUSED(entry.size = 7, "tf_entry_init");
    char long_id[130] = { 0 };
    memset(long_id, 'x', 129);
    REFUSED(entry.trace_id = long_id, "trace_id");
    char *large = malloc(80001);
    memset(large, 'x', 80000);
    large[80000] = '\0';
    REFUSED(entry.message = large, "message");
    REFUSED(tf_entry_add(&entry, tf_str("k", large)), "metadata must be at most 65536 bytes");
    free(large);
    struct drain drain;
    assert_int_equal(drain_once(((struct fixture *)*state)->runtime_dir, true, &drain), 0);
    drain_finish(&drain);
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static void passes_over_what_is_below_the_client_s_least_level(void **state) {
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = ((struct fixture *)*state)->runtime_dir;
    options.min_level = TF_LEVEL_WARN;
    tf_client *client;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", ""), 0); /* not even looked at */
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "not wanted"), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_WARN, NULL, "o", "wanted"), 0);
    assert_entry_with(*state, "\"message\":\"wanted\"");
    tf_close(client);
}

static int evaluations;
static int evaluated(void) {
    return ++evaluations;
}

static void evaluates_arguments_only_of_wanted_levels(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    evaluations = 0;
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    assert_int_equal(ring_reader_set_control(&drain.ring, 0, LEVEL_ERROR), 0); /* as tfctl level does */
    TF_LOG_TO(client, TF_LEVEL_WARN, "o", "%d", evaluated());
    assert_false(tf_wants(client, TF_LEVEL_WARN));
    assert_int_equal(evaluations, 0);
    TF_LOG_TO(client, TF_LEVEL_ERROR, "o", "%d", evaluated());
    assert_true(tf_wants(client, TF_LEVEL_ERROR));
    assert_int_equal(evaluations, 1);
    assert_int_equal(ring_reader_set_control(&drain.ring, 0, LEVEL_TRACE), 0);
    TF_LOG_TO(client, TF_LEVEL_TRACE, "o", "%d", evaluated());
    assert_int_equal(drain_read(&drain, true), 2);
    drain_close(&drain);
    tf_close(client);
}

static void refuses_a_macro_whose_operation_is_no_name(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    for (int i = 0; i < 3; i++) {
        static struct tf_site_ site = TF_SITE_INIT_("", "text %d", 0);
        assert_int_equal(tf_site_log_(client, &site, TF_LEVEL_INFO, "text %d", i), -EINVAL);
        assert_non_null(strstr(tf_last_error(), "operation"));
    }
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static void refuses_options_that_cannot_be(void **state) {
    (void)state;
    tf_client *client = NULL;
    struct tf_options options = TF_OPTIONS_INIT;
    assert_int_equal(tf_open("", NULL, &client), -EINVAL);
    assert_non_null(strstr(tf_last_error(), "service"));
    assert_int_equal(tf_open(NULL, NULL, &client), -EINVAL);
    options.policy = 9;
    assert_int_equal(tf_open("s", &options, &client), -EINVAL);
    options = (struct tf_options)TF_OPTIONS_INIT;
    options.min_level = 6;
    assert_int_equal(tf_open("s", &options, &client), -EINVAL);
    options = (struct tf_options)TF_OPTIONS_INIT;
    options.module = "";
    assert_int_equal(tf_open("s", &options, &client), -EINVAL);
    options = (struct tf_options)TF_OPTIONS_INIT;
    options.size = 3;
    assert_int_equal(tf_open("s", &options, &client), -EINVAL);
    assert_null(client);
    tf_close(NULL);
}

static void reads_and_names_levels(void **state) {
    (void)state;
    int level = -1;
    assert_int_equal(tf_level_parse("WARNING", &level), 0);
    assert_int_equal(level, TF_LEVEL_WARN);
    assert_int_equal(tf_level_parse("loud", &level), -EINVAL);
    assert_int_equal(level, TF_LEVEL_WARN);
    assert_string_equal(tf_level_name(TF_LEVEL_CRITICAL), "critical");
    assert_null(tf_level_name(6));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(writes_a_plain_message_with_the_client_s_module),
        fixture_test(defers_the_formatting_of_a_macro_s_message),
        fixture_test(formats_itself_what_cannot_be_deferred),
        fixture_test(gives_one_statement_one_number_and_two_clients_two),
        fixture_test(keeps_the_end_of_a_string_too_long_to_store),
        fixture_test(writes_every_field_of_an_entry),
        fixture_test(keeps_the_last_of_equal_keys),
        fixture_test(logs_an_error_with_details),
        fixture_test(formats_a_message_by_function),
        fixture_test(carries_the_thread_s_context),
        fixture_test(refuses_with_field_and_reason_and_counts_nothing),
        fixture_test(passes_over_what_is_below_the_client_s_least_level),
        fixture_test(evaluates_arguments_only_of_wanted_levels),
        fixture_test(refuses_a_macro_whose_operation_is_no_name),
        fixture_test(refuses_options_that_cannot_be),
        fixture_test(reads_and_names_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
