/* Values of the keys that the configuration names do not leave the process, whichever way they would. */
#include "tests/unit/client/client_fixture.h"

#include "agent/client/client_internal.h"

static void set_keys(const struct fixture *fixture, const char *const *keys, uint32_t count, uint64_t sequence) {
    struct shared_settings settings;
    settings_read(fixture->runtime_dir, &settings);
    memset(settings.redact_keys, 0, sizeof(settings.redact_keys));
    settings.redact_count = count;
    settings.sequence = sequence;
    for (uint32_t i = 0; i < count; i++)
        strcpy(settings.redact_keys[i], keys[i]);
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), 0);
}

static tf_client *open_redacting(const struct fixture *fixture) {
    static const char *const keys[] = { "password", "Token" };
    set_keys(fixture, keys, 2, 1);
    return fixture_open(fixture, TF_POLICY_DROP, 0);
}

/* The ring, byte by byte, has nothing of it. */
static void assert_nowhere(const struct fixture *fixture, const char *secret) {
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    for (uint32_t lane = 0; lane < drain.ring.lane_count; lane++) {
        struct lane_state state;
        assert_int_equal(ring_reader_lane(&drain.ring, lane, &state), 0);
        if (state.head == state.tail)
            continue;
        char *bytes = malloc(state.head - state.tail);
        assert_int_equal(ring_reader_copy(&drain.ring, lane, state.tail, state.head, bytes), 0);
        assert_null(memmem(bytes, state.head - state.tail, secret, strlen(secret)));
        free(bytes);
    }
    drain_close(&drain);
}

static void hides_them_in_json_and_in_fields(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_redacting(fixture);
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, "m", "o", "the password is no key here");
    entry.metadata = "{\"user\":\"u\",\"PASSWORD\":\"secret-1\",\"list\":[{\"token\":[\"secret-2\"]},\"token\"]}";
    entry.error_details = "[{\"token\":{\"deep\":\"secret-3\"},\"code\":7}]";
    tf_entry_add(&entry, tf_str("token", "secret-4"));
    tf_entry_add(&entry, tf_json("json", "{\"Password\":\"secret-5\"}"));
    tf_entry_add(&entry, tf_int("attempt", 2));
    assert_int_equal(tf_entry_write(client, &entry), 0);
    assert_nowhere(fixture, "secret");
    assert_entry_with(fixture, "\"message\":\"the password is no key here\",\"metadata\":{\"user\":\"u\",\"PASSWORD\":"
                               "\"[redacted]\",\"list\":[{\"token\":\"[redacted]\"},\"token\"],\"token\":"
                               "\"[redacted]\",\"json\":{\"Password\":\"[redacted]\"},\"attempt\":2},"
                               "\"error_details\":[{\"token\":\"[redacted]\",\"code\":7}]");
    assert_int_equal(tf_log_error_with_details(client, "m", "o", "m", "{\"token\":\"secret\"}"), 0);
    assert_nowhere(fixture, "secret");
    assert_entry_with(fixture, "\"error_details\":{\"token\":\"[redacted]\"}");
    tf_close(client);
}

static void hides_them_in_events_and_spans(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_redacting(fixture);
    const struct tf_field fields[] = { tf_str("token", "secret-1"), tf_json("a", "{\"token\":\"secret-2\"}") };
    struct tf_span span;
    assert_int_equal(tf_prepare(client), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "reads the settings"), 0);
    assert_int_equal(tf_span_start_in(client, "o", NULL, &span), 0);
    assert_int_equal(tf_span_end_with(&span, NULL, fields, 2), 0);
    assert_nowhere(fixture, "secret");
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    drain_finish(&drain);
    TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "o", "m", tf_str("x", "y"), tf_str("Token", "secret-3"));
    assert_nowhere(fixture, "secret");
    assert_entry_with(fixture, "\"metadata\":{\"x\":\"y\",\"Token\":\"[redacted]\"}}");
    /* with a mark of what was left out, too */
    TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "o", "m", tf_str("x", "\xff"), tf_str("Token", "secret-3"));
    assert_nowhere(fixture, "secret");
    assert_entry_with(fixture, "\"metadata\":{\"Token\":\"[redacted]\",\"repaired\":[\"metadata\"]}}");
    tf_close(client);
}

/* A span is a process's first record as well as any. */
static void hides_them_in_the_first_record_of_a_process(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_redacting(fixture);
    const struct tf_field field = tf_str("token", "secret-1");
    struct tf_span span;
    assert_int_equal(tf_span_start_in(client, "o", NULL, &span), 0);
    assert_int_equal(tf_span_end_with(&span, NULL, &field, 1), 0);
    assert_nowhere(fixture, "secret");
    tf_close(client);
    client = fixture_open(fixture, TF_POLICY_DROP, 0);
    TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "o", "m", tf_str("token", "secret-2"));
    assert_nowhere(fixture, "secret");
    tf_close(client);
}

static void hides_them_in_the_first_record_of_a_ring_that_came_late(void **state) {
    struct fixture *fixture = *state;
    static const char *const keys[] = { "token" };
    const struct tf_field field = tf_str("token", "secret-1");
    char path[192];
    snprintf(path, sizeof(path), "%s/rings", fixture->runtime_dir);
    FILE *in_the_way = fopen(path, "w"); /* a file where the folder should be */
    assert_non_null(in_the_way);
    fclose(in_the_way);
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    tf_client *client;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_int_equal(tf_log_with_metadata(client, TF_LEVEL_INFO, NULL, "o", "m", &field, 1), -EAGAIN);
    set_keys(fixture, keys, 1, 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tf_prepare(client), 0);
    assert_int_equal(tf_log_with_metadata(client, TF_LEVEL_INFO, NULL, "o", "m", &field, 1), 0);
    assert_nowhere(fixture, "secret");
    tf_close(client);
}

static void hides_them_in_a_signal_handler_s_call(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_redacting(fixture);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "reads the settings"), 0);
    struct tf_field fields[] = { tf_str("token", "secret-1"), tf_str("a", "b") };
    struct call call;
    assert_true(call_enter(&call)); /* from here on a call is nested */
    assert_int_equal(tf_log_with_metadata(client, TF_LEVEL_INFO, NULL, "o", "nested", fields, 2), 0);
    TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "o", "nested", tf_str("token", "secret-2"));
    call_leave();
    assert_nowhere(fixture, "secret");
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain_count(&drain, "\"metadata\":{\"token\":\"[redacted]\",\"a\":\"b\"}}"), 1);
    assert_int_equal(drain_count(&drain, "\"metadata\":{\"token\":\"[redacted]\"}}"), 1);
    drain_finish(&drain);
    tf_close(client);
}

/* The mark is longer than what it hides: where there is no room for it, nothing of the value is told. */
static void tells_nothing_where_the_marks_do_not_fit(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_redacting(fixture);
    struct tf_entry entry;
    char *json = malloc(ENTRY_METADATA_BYTES * 2), *at = json;
    at += sprintf(at, "{\"list\":[");
    for (int i = 0; i < 7000; i++)
        at += sprintf(at, "%s{\"token\":7}", i ? "," : "");
    strcpy(at, "]}");
    tf_entry_init(&entry, TF_LEVEL_ERROR, "m", "o", "m");
    entry.metadata = entry.error_details = json;
    assert_int_equal(tf_entry_write(client, &entry), 0);
    assert_entry_with(fixture, "\"metadata\":{\"[redacted]\":true},\"error_details\":{\"[redacted]\":true}");
    free(json);
    tf_close(client);
}

static void follows_keys_that_change(void **state) {
    struct fixture *fixture = *state;
    static const char *const others[] = { "other" };
    tf_client *client = open_redacting(fixture);
    struct tf_field fields[] = { tf_int("token", 1), tf_int("other", 2) };
    assert_int_equal(tf_log_with_metadata(client, TF_LEVEL_INFO, NULL, "o", "m", fields, 2), 0);
    assert_entry_with(fixture, "\"metadata\":{\"token\":\"[redacted]\",\"other\":2}");
    set_keys(fixture, others, 1, 2);
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    assert_int_equal(ring_reader_set_control(&drain.ring, 0, slot_control_compose(0, 0, 0, 2)), 0);
    drain_close(&drain);
    assert_int_equal(tf_log_with_metadata(client, TF_LEVEL_INFO, NULL, "o", "m", fields, 2), 0);
    assert_entry_with(fixture, "\"metadata\":{\"token\":1,\"other\":\"[redacted]\"}");
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(hides_them_in_json_and_in_fields),
        fixture_test(hides_them_in_events_and_spans),
        fixture_test(hides_them_in_the_first_record_of_a_process),
        fixture_test(hides_them_in_the_first_record_of_a_ring_that_came_late),
        fixture_test(hides_them_in_a_signal_handler_s_call),
        fixture_test(tells_nothing_where_the_marks_do_not_fit),
        fixture_test(follows_keys_that_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
