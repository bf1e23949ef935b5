/* What is left out as it was chosen: by a statement's rate, as a repeat, by sampling. Everything is counted, exactly. */
#include "tests/unit/client/client_fixture.h"

#include <pthread.h>

#include "agent/client/client_internal.h"

#define NOW UINT64_C(1763900000000000000)

static tf_client *open_limited(const struct fixture *fixture, uint32_t rate, uint32_t burst, uint64_t repeat_ns) {
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    options.site_rate = rate;
    options.site_burst = burst;
    options.repeat_ns = repeat_ns;
    tf_client *client = NULL;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    (void)tf_prepare(client); /* the ring has lanes for three */
    return client;
}

/* Everything that was accepted is in the ring or counted, here and in the ledger. */
static unsigned assert_accounted(const struct fixture *fixture, tf_client *client, unsigned accepted) {
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    unsigned stored = drain.entries;
    assert_int_equal(stored + fixture_lost(client), accepted);
    assert_int_equal(drain.lost_total, fixture_lost(client));
    drain_finish(&drain);
    return stored;
}

/* --- a statement's limits, at times of our choice --- */

static enum gate judge_at(tf_client *client, struct tf_site_ *site, const char *message, uint64_t now_ns) {
    struct call call = { .thread = thread_self };
    struct record_entry record = { .entry = { .level = LEVEL_INFO, .message = text_of(message) } };
    return gate_judge(&call, client, site, &record, now_ns);
}

/* Of one attempt each millisecond: how many pass. */
static unsigned pass_in(tf_client *client, struct tf_site_ *site, uint64_t from_ns, unsigned milliseconds) {
    unsigned passed = 0;
    for (unsigned i = 0; i < milliseconds; i++)
        passed += judge_at(client, site, "m", from_ns + i * CLOCK_MILLISECOND) == GATE_WRITE;
    return passed;
}

static void a_statement_writes_its_burst_and_then_by_its_rate(void **state) {
    struct fixture *fixture = *state;
    struct tf_site_ site = { .size = sizeof(site) }, other = { .size = sizeof(other) };
    tf_client *client = open_limited(fixture, 10, 5, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(judge_at(client, &site, "m", NOW), GATE_WRITE);
    assert_int_equal(judge_at(client, &site, "m", NOW), GATE_HOLD);
    assert_int_equal(judge_at(client, &other, "m", NOW), GATE_WRITE); /* another statement, another account */
    assert_int_equal(judge_at(client, &site, "m", NOW + 99 * CLOCK_MILLISECOND), GATE_HOLD);
    assert_int_equal(judge_at(client, &site, "m", NOW + 100 * CLOCK_MILLISECOND), GATE_WRITE);
    assert_int_equal(judge_at(client, &site, "m", NOW + 100 * CLOCK_MILLISECOND), GATE_HOLD);
    assert_int_equal(pass_in(client, &site, NOW + CLOCK_SECOND, 10000), 5 + 99); /* the burst, and one each 100 ms */
    assert_int_equal(pass_in(client, &site, NOW + 100 * CLOCK_SECOND, 1), 1);
    /* a clock that went back does not shut it for as long */
    assert_int_equal(pass_in(client, &site, NOW - 3600 * CLOCK_SECOND, 1000), 5 + 9);
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.rate_limited[TF_LEVEL_INFO], 1 + 1 + 1 + (10000 - 104) + (1000 - 14));
    assert_int_equal(losses.rate_limited[TF_LEVEL_INFO], losses.total);
    tf_close(client);
}

static void without_a_burst_it_is_a_second_s_rate(void **state) {
    struct tf_site_ site = { .size = sizeof(site) };
    static const uint32_t rates[] = { 1, 3, 1000, 1000000000, UINT32_MAX };
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        tf_client *client = open_limited(*state, rates[i], 0, 0);
        unsigned passed = 0, tries = 2000;
        site.tokens = 0;
        for (unsigned n = 0; n < tries; n++)
            passed += judge_at(client, &site, "m", NOW) == GATE_WRITE;
        assert_int_equal(passed, rates[i] < tries ? rates[i] : tries);
        tf_close(client);
    }
}

static void the_same_again_is_written_once_in_its_time(void **state) {
    struct tf_site_ site = { .size = sizeof(site) };
    tf_client *client = open_limited(*state, 0, 0, CLOCK_SECOND);
    assert_int_equal(judge_at(client, &site, "a", NOW), GATE_WRITE);
    assert_int_equal(judge_at(client, &site, "a", NOW), GATE_HOLD);
    assert_int_equal(judge_at(client, &site, "a", NOW + CLOCK_SECOND - 1), GATE_HOLD);
    assert_int_equal(judge_at(client, &site, "a", NOW + CLOCK_SECOND), GATE_WRITE);
    assert_int_equal(judge_at(client, &site, "b", NOW + CLOCK_SECOND), GATE_WRITE); /* it says something else */
    assert_int_equal(judge_at(client, &site, "b", NOW + CLOCK_SECOND + 1), GATE_HOLD);
    assert_int_equal(judge_at(client, &site, "a", NOW + CLOCK_SECOND + 1), GATE_WRITE);
    assert_int_equal(judge_at(client, &site, "a", NOW - CLOCK_SECOND), GATE_WRITE); /* the clock went back */
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.repeated[TF_LEVEL_INFO], 3);
    assert_int_equal(losses.total, 3);
    tf_close(client);
}

static void what_its_rate_held_back_is_no_repeat_yet(void **state) {
    struct tf_site_ site = { .size = sizeof(site) };
    tf_client *client = open_limited(*state, 1, 1, 60 * CLOCK_SECOND);
    assert_int_equal(judge_at(client, &site, "a", NOW), GATE_WRITE);
    assert_int_equal(judge_at(client, &site, "b", NOW), GATE_HOLD);
    assert_int_equal(judge_at(client, &site, "b", NOW + CLOCK_SECOND), GATE_WRITE);
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.rate_limited[TF_LEVEL_INFO], 1);
    assert_int_equal(losses.repeated[TF_LEVEL_INFO], 0);
    tf_close(client);
}

/* --- whole calls --- */

enum { CALLS = 3000, THREADS = 4 };

static void log_many(tf_client *client, bool same) {
    for (int i = 0; i < CALLS; i++) {
        const struct tf_field field = tf_int("n", same ? 0 : i);
        static struct tf_site_ event = TF_SITE_INIT_("o", "event", TF_SITE_LITERAL_);
        TF_LOG_TO(client, TF_LEVEL_WARN, "o", "number %d", same ? 0 : i);
        assert_int_equal(tf_site_event_(client, NULL, &event, TF_LEVEL_INFO, &field, 1), 0);
    }
}

static void statements_are_limited_and_the_rest_is_counted(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_limited(fixture, 1, 100, 0);
    uint64_t begin = clock_real_ns();
    log_many(client, false);
    unsigned seconds = (unsigned)((clock_real_ns() - begin) / CLOCK_SECOND) + 1;
    unsigned stored = assert_accounted(fixture, client, 2 * CALLS);
    assert_in_range(stored, 2 * 100, 2 * (100 + seconds));
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.rate_limited[TF_LEVEL_INFO] + losses.rate_limited[TF_LEVEL_WARN], losses.total);
    tf_close(client);
}

static void the_next_entry_of_a_statement_says_how_many_were_held_back(void **state) {
    const struct fixture *fixture = *state;
    tf_client *client = open_limited(fixture, 0, 0, 3600 * CLOCK_SECOND);
    static const int said[] = { 1, 1, 1, 2, 2, 3 };
    for (size_t i = 0; i < COUNT_OF(said); i++)
        TF_LOG_TO(client, TF_LEVEL_INFO, "o", "value %d", said[i]);
    for (size_t i = 0; i < COUNT_OF(said); i++)
        TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "o", "event", tf_int("value", said[i]));
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 6);
    assert_non_null(strstr(drain.lines.data, "\"message\":\"value 1\",\"metadata\":{}}"));
    assert_non_null(strstr(drain.lines.data, "\"message\":\"value 2\",\"metadata\":{\"suppressed\":2}}"));
    assert_non_null(strstr(drain.lines.data, "\"message\":\"value 3\",\"metadata\":{\"suppressed\":1}}"));
    assert_non_null(strstr(drain.lines.data, "\"metadata\":{\"value\":2,\"suppressed\":2}}"));
    assert_non_null(strstr(drain.lines.data, "\"metadata\":{\"value\":3,\"suppressed\":1}}"));
    drain_finish(&drain);
    tf_close(client);
}

static void an_entry_of_no_statement_has_no_limit(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_limited(fixture, 1, 1, 60 * CLOCK_SECOND);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "the same"), 0);
    assert_int_equal(assert_accounted(fixture, client, 100), 100);
    tf_close(client);
}

static void repeats_are_told_by_arguments_and_fields(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_limited(fixture, 0, 0, 3600 * CLOCK_SECOND);
    log_many(client, true);
    assert_int_equal(assert_accounted(fixture, client, 2 * CALLS), 2);
    log_many(client, false);
    assert_int_equal(assert_accounted(fixture, client, 4 * CALLS - 2), 2 * (CALLS - 1));
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.repeated[TF_LEVEL_WARN], CALLS);
    assert_int_equal(losses.total, 2 * CALLS);
    tf_close(client);
}

static void *log_many_of_one_statement(void *client) {
    for (int i = 0; i < CALLS; i++)
        TF_LOG_TO((tf_client *)client, TF_LEVEL_ERROR, "o", "the same of all %d", 1);
    return NULL;
}

static void threads_share_the_account_of_a_statement(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_limited(fixture, 1, 50, 0);
    pthread_t threads[THREADS];
    uint64_t begin = clock_real_ns();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many_of_one_statement, client), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    unsigned seconds = (unsigned)((clock_real_ns() - begin) / CLOCK_SECOND) + 1;
    assert_in_range(assert_accounted(fixture, client, THREADS * CALLS), 50, 50 + seconds);
    tf_close(client);
}

/* --- sampling --- */

static void set_sampling(const struct fixture *fixture, int level, double share, uint64_t sequence) {
    struct shared_settings settings;
    settings_read(fixture->runtime_dir, &settings);
    settings.sampling[level] = share < 1 ? (uint32_t)(share * 0x1p32) : SETTINGS_SAMPLING_ALL;
    settings.sequence = sequence;
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), 0);
}

static void a_share_of_zero_leaves_out_all_and_of_one_none(void **state) {
    struct fixture *fixture = *state;
    set_sampling(fixture, TF_LEVEL_DEBUG, 0, 1);
    set_sampling(fixture, TF_LEVEL_INFO, 1, 1);
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    for (int i = 0; i < 1000; i++) {
        TF_LOG_TO(client, TF_LEVEL_DEBUG, "o", "left out %d", i);
        TF_LOG_TO(client, TF_LEVEL_INFO, "o", "kept %d", i);
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(tf_log(client, TF_LEVEL_DEBUG, NULL, "o", "left out"), 0);
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.sampled[TF_LEVEL_DEBUG], 1100);
    assert_int_equal(losses.total, 1100);
    assert_int_equal(assert_accounted(fixture, client, 2100), 1000);
    tf_close(client);
}

static void without_a_trace_about_the_share_is_kept(void **state) {
    struct fixture *fixture = *state;
    set_sampling(fixture, TF_LEVEL_INFO, 0.1, 1);
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    for (int i = 0; i < 5000; i++)
        TF_LOG_TO(client, TF_LEVEL_INFO, "o", "%d", i);
    assert_in_range(assert_accounted(fixture, client, 5000), 350, 650); /* seven standard deviations */
    tf_close(client);
}

enum { TRACES = 300 };

/* A client's verdict on each trace, in each way a trace can come: all of one trace or nothing. */
static void log_traces(tf_client *client) {
    for (unsigned n = 0; n < TRACES; n++) {
        struct tf_context context = { .has = TF_HAS_TRACE | TF_HAS_SPAN, .span_id = { 1 } };
        char hex[33] = "";
        for (unsigned i = 0; i < 16; i++)
            context.trace_id[i] = (uint8_t)(n * 37 + i * 101);
        context.trace_id[15] = (uint8_t)(n >> 8);
        text_hex(context.trace_id, 16, hex);
        TF_LOG_IN(client, &context, TF_LEVEL_INFO, "o", "bytes %u", n);
        struct tf_entry entry;
        tf_entry_init(&entry, TF_LEVEL_INFO, NULL, "o", "text");
        entry.trace_id = hex;
        tf_entry_write(client, &entry);
        tf_context_set(hex, NULL, NULL);
        TF_LOG_TO(client, TF_LEVEL_INFO, "o", "of the thread %u", n);
        tf_log(client, TF_LEVEL_INFO, NULL, "o", "of the thread");
        tf_context_clear();
    }
}

static int log_traces_in_child(void *client) {
    log_traces(client);
    return 0;
}

static void a_trace_is_kept_whole_or_left_out_in_all_processes(void **state) {
    struct fixture *fixture = *state;
    set_sampling(fixture, TF_LEVEL_INFO, 0.3, 1);
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    log_traces(client);
    assert_int_equal(in_child(log_traces_in_child, client), 0);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries + drain.lost[LOSS_SAMPLED][TF_LEVEL_INFO], 2 * 4 * TRACES);
    assert_int_equal(drain.lost_total, drain.lost[LOSS_SAMPLED][TF_LEVEL_INFO]);
    assert_int_equal(drain.lost_total, 2 * fixture_lost(client));
    for (const char *line = drain.lines.data; *line; line = strchr(line, '\n') + 1) {
        char trace[48] = "";
        memcpy(trace, strstr(line, "\"trace_id\""), 45);
        assert_int_equal(drain_count(&drain, trace), 2 * 4);
    }
    assert_in_range(drain.entries / 8, TRACES * 3 / 20, TRACES * 9 / 20);
    assert_int_equal(drain_count(&drain, "\"sample_share\":0.3"), drain.entries); /* so that counts can be scaled */
    drain_finish(&drain);
    tf_close(client);
}

/* Not even where the file says so: it is not ours. */
static void errors_are_never_sampled(void **state) {
    struct fixture *fixture = *state;
    struct shared_settings settings;
    char path[192];
    settings_read(fixture->runtime_dir, &settings);
    memset(settings.sampling, 0, sizeof(settings.sampling));
    settings.sequence = 1;
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), -EINVAL);
    snprintf(path, sizeof(path), "%s/settings", fixture->runtime_dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(&settings, sizeof(settings), 1, file), 1);
    fclose(file);
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    for (int i = 0; i < 100; i++)
        for (int level = TF_LEVEL_TRACE; level <= TF_LEVEL_CRITICAL; level++)
            TF_LOG_TO(client, level, "o", "%d", i);
    assert_int_equal(assert_accounted(fixture, client, 600), 200);
    tf_close(client);
}

/* --- settings that change --- */

static void set_number(struct drain *drain, uint32_t slot, uint64_t sequence) {
    assert_int_equal(ring_reader_set_control(&drain->ring, slot, slot_control_compose(0, 0, 0, sequence)), 0);
}

static void settings_are_followed_when_their_number_changes(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    static const double shares[] = { 1, 0, 1, 0, 0, 1 };
    unsigned accepted = 0, expected = 0;
    for (unsigned turn = 0; turn < COUNT_OF(shares); turn++) {
        set_sampling(fixture, TF_LEVEL_INFO, shares[turn], turn + 1);
        for (int told = 0; told < 2; told++) { /* not before the word says so */
            bool kept = shares[told ? turn : turn == 0 ? 0 : turn - 1] > 0;
            for (int i = 0; i < 10; i++) {
                TF_LOG_TO(client, TF_LEVEL_INFO, "o", "statement %d", i);
                assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "entry"), 0);
            }
            accepted += 20;
            expected += kept ? 20 : 0;
            assert_int_equal(drain_read(&drain, true), kept ? 20 : 0);
            set_number(&drain, 0, turn + 1);
        }
    }
    assert_int_equal(accepted - expected, fixture_lost(client));
    assert_int_equal(drain.lost[LOSS_SAMPLED][TF_LEVEL_INFO], fixture_lost(client));
    drain_close(&drain);
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(a_statement_writes_its_burst_and_then_by_its_rate),
        fixture_test(without_a_burst_it_is_a_second_s_rate),
        fixture_test(the_same_again_is_written_once_in_its_time),
        fixture_test(what_its_rate_held_back_is_no_repeat_yet),
        fixture_test(statements_are_limited_and_the_rest_is_counted),
        fixture_test(the_next_entry_of_a_statement_says_how_many_were_held_back),
        fixture_test(an_entry_of_no_statement_has_no_limit),
        fixture_test(repeats_are_told_by_arguments_and_fields),
        fixture_test(threads_share_the_account_of_a_statement),
        fixture_test(a_share_of_zero_leaves_out_all_and_of_one_none),
        fixture_test(without_a_trace_about_the_share_is_kept),
        fixture_test(a_trace_is_kept_whole_or_left_out_in_all_processes),
        fixture_test(errors_are_never_sampled),
        fixture_test(settings_are_followed_when_their_number_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
