/* Contexts: W3C's header, the struct, and what the thread's entries carry. */
#include "tests/unit/client/client_fixture.h"

#include <signal.h>
#include <sys/time.h>

#include "agent/client/client_internal.h"

#define TRACE "12345678901234567890123456789012"
#define SPAN "1234567890123456"
#define REST "-" TRACE "-" SPAN

/* --- the header: the cases of W3C's own suite (github.com/w3c/trace-context, test/test.py), and some more --- */

static void reads_headers_as_w3c_s_suite_wants_them_read(void **state) {
    (void)state;
    static const char *const good[] = {
        "00" REST "-01", "00" REST "-00",  "00" REST "-ff",
        "cc" REST "-01", "cc" REST "-01-", "cc" REST "-01-what-the-future-will-be-like",
        "01" REST "-09", "fe" REST "-01",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct tf_context context = { .has = 0 };
        char back[TF_TRACEPARENT_SIZE];
        assert_int_equal(tf_context_from_traceparent(&context, good[i]), 0);
        assert_int_equal(context.has, TF_HAS_TRACE | TF_HAS_SPAN);
        assert_int_equal(tf_context_to_traceparent(&context, back), 0);
        assert_memory_equal(back, "00" REST "-0", 54); /* what is sent on is of version 00 */
        assert_int_equal(back[54], strtol(good[i] + 53, NULL, 16) & 1 ? '1' : '0');
        assert_int_equal(back[55], '\0');
    }
}

static void begins_anew_where_a_header_is_none(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00" REST,
        "00" REST "-",
        "00" REST "-0",
        "00" REST "-1",
        /* version 00 ends here; later ones go on behind a dash alone */
        "00" REST "-01-",
        "00" REST "-01.",
        "00" REST "-01-what-the-future-will-be-like",
        "00" REST "-001",
        "cc" REST "-01.what-the-future-will-be-like",
        "cc" REST "-010",
        "ff" REST "-01",
        "ff" REST "-01-more",
        /* versions */
        ".0" REST "-01",
        "0." REST "-01",
        "000" REST "-01",
        "0000" REST "-01",
        "0" REST "-01",
        "0A" REST "-01",
        " 00" REST "-01",
        "00" REST "-01 ",
        "00" REST "-01\t",
        /* trace ids */
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-.2345678901234567890123456789012-" SPAN "-01",
        "00-1234567890123456789012345678901.-" SPAN "-01",
        "00-" TRACE "3-" SPAN "-01",
        "00-1234567890123456789012345678901-" SPAN "-01",
        "00-1234567890123456789012345678901A-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        /* span ids */
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-.234567890123456-01",
        "00-" TRACE "-123456789012345.-01",
        "00-" TRACE "-" SPAN "7-01",
        "00-" TRACE "-123456789012345-01",
        "00-" TRACE "-123456789012345F-01",
        "00-" TRACE "-" SPAN "_01",
        "00-" TRACE "-" SPAN "01-",
        /* flags */
        "00" REST "-.0",
        "00" REST "-0.",
        "00" REST "-0F",
        "00" REST "-x1",
    };
    for (size_t i = 0; i <= COUNT_OF(bad); i++) {
        struct tf_context context, before;
        memset(&context, 0x5a, sizeof(context));
        before = context;
        if (tf_context_from_traceparent(&context, i < COUNT_OF(bad) ? bad[i] : NULL) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_memory_equal(&context, &before, sizeof(context));
        assert_memory_equal(tf_last_error(), "traceparent ", 12);
    }
    assert_int_equal(tf_context_from_traceparent(NULL, "00" REST "-01"), -EINVAL);
}

static void a_header_that_is_read_leaves_the_last_failure(void **state) {
    (void)state;
    struct tf_context context = { .has = 0 };
    assert_int_equal(tf_context_set_correlation(&context, "\xff"), -EINVAL);
    assert_int_equal(tf_context_from_traceparent(&context, "00" REST "-01"), 0);
    assert_string_equal(tf_last_error(), "correlation_id must be UTF-8");
    thread_self->failure = FAILURE_NO_ROOM; /* a lost entry */
    thread_self->reason = LOSS_NO_RING;
    thread_self->level = LEVEL_INFO;
    assert_int_equal(tf_context_from_traceparent(&context, "00" REST "-01"), 0);
    assert_string_equal(tf_last_error(), "no ring to write an entry of level info to");
}

static void there_is_no_header_without_trace_and_span(void **state) {
    (void)state;
    struct tf_context context = { .has = TF_HAS_TRACE };
    char out[TF_TRACEPARENT_SIZE] = "untouched";
    assert_int_equal(tf_context_to_traceparent(&context, out), -EINVAL);
    context.has = TF_HAS_SPAN;
    assert_int_equal(tf_context_to_traceparent(&context, out), -EINVAL);
    assert_int_equal(tf_context_to_traceparent(NULL, out), -EINVAL);
    assert_string_equal(out, "untouched");
}

/* --- making one --- */

static bool is_zero(const uint8_t *bytes, size_t count) {
    static const uint8_t zeros[16];
    return memcmp(bytes, zeros, count) == 0;
}

/* xoroshiro128+ backwards: what its state was one number before. */
static void generator_step_back(uint64_t state[2]) {
    uint64_t b = state[1] >> 37 | state[1] << 27, turned = state[0] ^ b ^ b << 16;
    state[0] = turned >> 24 | turned << 40;
    state[1] = b ^ state[0];
}

static void a_new_trace_has_ids_that_are_never_zero(void **state) {
    (void)state;
    struct tf_context context = { .has = TF_HAS_USER, .user_id = { 1 } }, other = { .has = 0 };
    tf_context_clear();
    assert_int_equal(tf_context_new_trace(&context), 0);
    assert_int_equal(context.has, TF_HAS_TRACE | TF_HAS_SPAN | TF_HAS_USER);
    assert_int_equal(context.trace_flags, TF_TRACE_SAMPLED);
    assert_int_equal(tf_context_new_trace(&other), 0);
    assert_memory_not_equal(context.trace_id, other.trace_id, sizeof(other.trace_id));
    assert_memory_not_equal(context.span_id, other.span_id, sizeof(other.span_id));
    /* whatever the generator says: a trace takes two of its numbers, the span the third */
    for (uint64_t a = 1; a < 1000; a++)
        for (int before = 0; before < 3; before++) {
            thread_self->random[0] = a;
            thread_self->random[1] = 0 - a; /* the next number, the sum, is zero */
            for (int i = 0; i < before; i++)
                generator_step_back(thread_self->random);
            assert_int_equal(tf_context_new_trace(&context), 0);
            assert_false(is_zero(context.trace_id, sizeof(uint64_t)));
            assert_false(is_zero(context.span_id, sizeof(context.span_id)));
        }
}

static void users_and_correlation_are_set_or_taken_back(void **state) {
    (void)state;
    struct tf_context context = { .has = 0 }, before;
    char long_id[130];
    memset(long_id, 'x', 129);
    long_id[129] = '\0';
    assert_int_equal(
        tf_context_set_user(&context, "6F1C0F0E-5C0E-4B8E-9F0A-0D5E3A7C1B11", "6f1c0f0e5c0e4b8e9f0a0d5e3a7c1b12"), 0);
    assert_int_equal(context.has, TF_HAS_USER | TF_HAS_ORGANIZATION);
    assert_int_equal(context.user_id[15], 0x11);
    assert_int_equal(context.organization_id[15], 0x12);
    assert_int_equal(tf_context_set_correlation(&context, long_id + 1), 0);
    assert_int_equal(context.correlation_length, 128);
    before = context;
    assert_int_equal(tf_context_set_user(&context, NULL, "none"), -EINVAL);
    assert_string_equal(tf_last_error(), "organization_id must be a UUID, is \"none\"");
    assert_int_equal(tf_context_set_user(&context, "00000000-0000-0000-0000-000000000000", NULL), -EINVAL);
    assert_int_equal(tf_context_set_correlation(&context, long_id), -EINVAL);
    assert_string_equal(tf_last_error(), "correlation_id must be at most 128 bytes, is 129");
    assert_memory_equal(&context, &before, sizeof(context));
    assert_int_equal(tf_context_set_user(&context, "", NULL), 0);
    assert_int_equal(tf_context_set_correlation(&context, NULL), 0);
    assert_int_equal(context.has | context.correlation_length, 0);
}

/* --- the thread's --- */

static void what_is_used_is_got_back_and_cleared(void **state) {
    (void)state;
    struct tf_context context = { .has = 0 }, back;
    assert_int_equal(tf_context_new_trace(&context), 0);
    assert_int_equal(tf_context_set_user(&context, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", NULL), 0);
    assert_int_equal(tf_context_set_correlation(&context, "order-7"), 0);
    assert_int_equal(tf_context_use(&context), 0);
    assert_int_equal(tf_context_get(&back), 0);
    assert_memory_equal(&back, &context, sizeof(back));
    tf_context_clear();
    assert_int_equal(tf_context_get(&back), 0);
    assert_int_equal(back.has | back.correlation_length, 0);
    assert_int_equal(tf_context_use(&context), 0);
    assert_int_equal(tf_context_use(NULL), 0);
    assert_int_equal(tf_context_get(&back), 0);
    assert_int_equal(back.has | back.correlation_length, 0);
    /* as text it is another, without the user */
    assert_int_equal(tf_context_use(&context), 0);
    assert_int_equal(tf_context_set(TRACE, "not of W3C", NULL), 0);
    assert_int_equal(tf_context_get(&back), 0);
    assert_int_equal(back.has, TF_HAS_TRACE);
    assert_int_equal(back.correlation_length, 0);
    assert_int_equal(tf_context_set("00000000000000000000000000000000", "0000000000000000", NULL), 0);
    assert_int_equal(tf_context_get(&back), 0);
    assert_int_equal(back.has, 0);
    tf_context_clear();
}

static void what_makes_no_sense_is_refused_and_nothing_changes(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_context unsound[2] = { { .has = 0x80 }, { .correlation_length = 129 } }, before, after;
    static struct tf_site_ site = TF_SITE_INIT_("o", "m", 0), event = TF_SITE_INIT_("o", "m", TF_SITE_LITERAL_);
    const struct tf_field field = tf_int("a", 1);
    struct tf_span span;
    assert_int_equal(tf_context_set("trace", NULL, "order-7"), 0);
    assert_int_equal(tf_context_get(&before), 0);
    for (int turn = 0; turn < 4; turn++) {
        const struct tf_context *context = &unsound[turn % 2];
        assert_int_equal(tf_context_use(context), -EINVAL);
        assert_string_equal(tf_last_error(), CONTEXT_UNSOUND);
        assert_int_equal(tf_site_log_in_(client, context, &site, TF_LEVEL_INFO, "m"), -EINVAL);
        assert_string_equal(tf_last_error(), CONTEXT_UNSOUND);
        assert_int_equal(tf_site_event_(client, context, &event, TF_LEVEL_INFO, &field, 1), -EINVAL);
        assert_int_equal(tf_span_start_in(client, "o", context, &span), -EINVAL);
        assert_int_equal(tf_span_end(&span, 0), -EINVAL);
        TF_LOG_IN(client, NULL, TF_LEVEL_INFO, "o", "a lane %d", turn);
    }
    assert_int_equal(tf_context_set("\xff", NULL, NULL), -EINVAL);
    assert_int_equal(tf_context_set(NULL, NULL, "\xff"), -EINVAL);
    assert_int_equal(tf_context_get(&after), 0);
    assert_memory_equal(&after, &before, sizeof(after));
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 4);
    assert_int_equal(drain_count(&drain, "\"trace_id\":\"trace\",\"correlation_id\":\"order-7\""), 4);
    assert_int_equal(fixture_lost(client), 0);
    drain_finish(&drain);
    tf_context_clear();
    tf_close(client);
}

static void ids_may_be_any_text(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    static const char *const ids[][2] = {
        { "request 17", "\xc3\xa9tape" },
        { "00000000000000000000000000000000", "0000000000000000" }, /* zeros are no ids of W3C's, but are text */
        { "4BF92F3577B34DA6A3CE929D0E0E4736", "00F067AA0BA902B7" },
        { "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7" },
        { "4bf92f3577b34da6a3ce929d0e0e473", "00f067aa0ba902b" },
        { "4bf92f3577b34da6a3ce929d0e0e4736", "step" },
        { "request 17", "00f067aa0ba902b7" },
    };
    struct drain drain;
    char expected[256];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        assert_int_equal(tf_context_set(ids[i][0], ids[i][1], NULL), 0);
        for (int turn = 0; turn < 2; turn++)
            TF_LOG_TO(client, TF_LEVEL_INFO, "o", "turn %d", turn);
        assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "plain"), 0);
        assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 3);
        snprintf(expected, sizeof(expected), "\"trace_id\":\"%s\",\"span_id\":\"%s\",\"metadata\"", ids[i][0],
                 ids[i][1]);
        if (drain_count(&drain, expected) != 3)
            fail_msg("no %s in %s", expected, drain.lines.data);
        drain_finish(&drain);
    }
    tf_context_clear();
    tf_close(client);
}

/* --- a signal in the middle --- */

static tf_client *handler_client;
static volatile sig_atomic_t handled;

static void log_in_handler(int number) {
    TF_LOG_TO(handler_client, TF_LEVEL_WARN, "signal", "%d", number);
    handled++;
}

/* The ids of an entry are all of one kind, or are not there. */
static void assert_of_one_kind(const struct drain *drain) {
    static const char *const kinds[3][3] = { { "a trace of some length", "\"a span\"", "a correlation" },
                                             { TRACE, SPAN "\"", "b correlation, longer than the other one" },
                                             { "c trace", "\"c span longer\"", "c correlation" } };
    for (const char *line = drain->lines.data; *line; line = strchr(line, '\n') + 1) {
        size_t length = (size_t)(strchr(line, '\n') - line);
        unsigned found[3] = { 0 }, ids = 0;
        for (int kind = 0; kind < 3; kind++)
            for (int i = 0; i < 3; i++)
                found[kind] += memmem(line, length, kinds[kind][i], strlen(kinds[kind][i])) != NULL;
        for (const char *at = line; (at = memmem(at, length - (size_t)(at - line), "_id\":", 5)); at++)
            ids++;
        if (found[0] != ids && found[1] != ids && found[2] != ids)
            fail_msg("mixed: %.*s", (int)length, line);
    }
}

static void a_handler_in_the_middle_of_a_change_sees_no_mixture(void **state) {
    struct fixture *fixture = *state;
    handler_client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_prepare(handler_client), 0);
    struct sigaction action = { .sa_handler = log_in_handler, .sa_flags = SA_RESTART }, before;
    sigaction(SIGALRM, &action, &before);
    const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    struct drain drain;
    unsigned read = 0;
    handled = 0;
    drain_open(&drain, fixture->runtime_dir);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int round = 0; round < 3000 && handled < 1000; round++) {
        for (int i = 0; i < 1000; i++) {
            tf_context_set("a trace of some length", "a span", "a correlation");
            tf_context_set("c trace", "c span longer", "c correlation");
            tf_context_set(TRACE, SPAN, "b correlation, longer than the other one");
        }
        read += drain_read(&drain, true);
        assert_of_one_kind(&drain);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    read += drain_read(&drain, true);
    assert_int_equal(read, handled);
    drain_close(&drain);
    tf_context_clear();
    tf_close(handler_client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_headers_as_w3c_s_suite_wants_them_read),
        cmocka_unit_test(begins_anew_where_a_header_is_none),
        cmocka_unit_test(a_header_that_is_read_leaves_the_last_failure),
        cmocka_unit_test(there_is_no_header_without_trace_and_span),
        cmocka_unit_test(a_new_trace_has_ids_that_are_never_zero),
        cmocka_unit_test(users_and_correlation_are_set_or_taken_back),
        cmocka_unit_test(what_is_used_is_got_back_and_cleared),
        fixture_test(what_makes_no_sense_is_refused_and_nothing_changes),
        fixture_test(ids_may_be_any_text),
        fixture_test(a_handler_in_the_middle_of_a_change_sees_no_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
