/* The macros' quick way writes what the ordinary one writes, keeps within what it claimed, and loses the same. */
#include "tests/unit/client/quick_fixture.h"

#pragma GCC diagnostic ignored "-Wformat" /* %m and positions are no ISO C */

/* Twice from each client: the first time registers the statement, and makes the lane the one used last. */
#define LOG_BOTH(pair, quick, level, ...)                                                                              \
    do {                                                                                                               \
        for (int log_i = 0; log_i < BOTH; log_i++)                                                                     \
            for (int log_turn = 0; log_turn < 2; log_turn++) {                                                         \
                quick_watch();                                                                                         \
                TF_LOG_TO((pair)->clients[log_i], level, "both", __VA_ARGS__);                                         \
                assert_was_quick((quick) && log_turn == 1 && log_i == QUICK);                                          \
            }                                                                                                          \
    } while (0)

static void writes_all_types_the_same(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    int local = 0;
    const char *volatile null = NULL;
    char text[] = "text";
    LOG_BOTH(&pair, true, TF_LEVEL_INFO, "no argument, 100%%");
    LOG_BOTH(&pair, true, TF_LEVEL_TRACE, "%s|%10s|%-10s|%s", text, "right", "left", "");
    LOG_BOTH(&pair, true, TF_LEVEL_DEBUG, "%d %i %u %x %o %c %hd %hhu", -1, INT32_MIN, UINT32_MAX, 255, 8, 'x',
             (short)-3, (unsigned char)200);
    LOG_BOTH(&pair, true, TF_LEVEL_WARN, "%ld %lu %lld %llx %zu %zd %jd %td", -1L, UINT64_MAX, (long long)INT64_MIN,
             1ULL << 63, SIZE_MAX, (ssize_t)-5, (intmax_t)7, (ptrdiff_t)-9);
    LOG_BOTH(&pair, true, TF_LEVEL_ERROR, "%f %.3e %g %a %8.2f", 1.5, -2.25e300, 0.1, 0x1p-1022, 3.14159);
    LOG_BOTH(&pair, true, TF_LEVEL_CRITICAL, "%p %p", (void *)&local, NULL);
    LOG_BOTH(&pair, true, TF_LEVEL_INFO, "%s and %s", null, "\xc3\xa9\xff bytes as they are");
    LOG_BOTH(&pair, true, TF_LEVEL_INFO, "%d%s%d%s%d%s%d%s%d%s%d%s%d%s%d%s", 1, "a", 2, "b", 3, "c", 4, "d", 5, "e", 6,
             "f", 7, "g", 8, "");
    LOG_BOTH(&pair, true, TF_LEVEL_INFO, "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
             14, 15, 16);
    assert_int_equal(assert_same_entries(&pair), 2 * 9);
    assert_int_equal(pair.drain.deferred, 4 * 9);
    pair_close(&pair);
}

static void leaves_to_the_ordinary_way_what_it_does_not_know(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    char long_text[3000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "%.3s|%.*s|%*d", "precision", 2, "star", 5, 7);
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "%.2Lf", 1.25L);
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "%1$s %1$s", "twice");
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
             13, 14, 15, 16, 17);
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "%s", long_text);
    assert_int_equal(tf_context_set("no W3C id", NULL, NULL), 0);
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "text id %d", 1);
    assert_int_equal(tf_context_set(NULL, NULL, "order-7"), 0);
    LOG_BOTH(&pair, false, TF_LEVEL_INFO, "correlation %d", 1);
    tf_context_clear();
    assert_int_equal(assert_same_entries(&pair), 2 * 7);
    pair_close(&pair);
}

static void carries_the_ids_of_threads_and_of_contexts_given(void **state) {
    struct pair pair;
    struct tf_context current = { .has = 0 }, given = { .has = 0 }, none = { .has = 0 };
    pair_open(&pair, state);
    assert_int_equal(tf_context_new_trace(&current), 0);
    assert_int_equal(tf_context_new_trace(&given), 0);
    assert_int_equal(tf_context_use(&current), 0);
    LOG_BOTH(&pair, true, TF_LEVEL_INFO, "of the thread %s", "it is");
    for (int i = 0; i < BOTH; i++)
        for (int turn = 0; turn < 2; turn++) {
            TF_LOG_IN(pair.clients[i], &given, TF_LEVEL_INFO, "o", "given %d", turn);
            TF_LOG_IN(pair.clients[i], &none, TF_LEVEL_INFO, "o", "none %d", turn);
            TF_LOG_IN(pair.clients[i], NULL, TF_LEVEL_INFO, "o", "thread %d", turn);
        }
    assert_int_equal(tf_context_set_user(&given, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", NULL), 0);
    assert_int_equal(tf_context_set_correlation(&given, "order-7"), 0);
    for (int i = 0; i < BOTH; i++)
        TF_LOG_IN(pair.clients[i], &given, TF_LEVEL_INFO, "o", "all of it %d", i * 0);
    assert_int_equal(assert_same_entries(&pair), 2 + 6 + 1);
    char hex[33] = "", key[64];
    text_hex(given.trace_id, 16, hex);
    snprintf(key, sizeof(key), "\"trace_id\":\"%s\"", hex);
    assert_int_equal(drain_count(&pair.drain, key), 4 + 2);
    text_hex(current.trace_id, 16, hex);
    snprintf(key, sizeof(key), "\"trace_id\":\"%s\"", hex);
    assert_int_equal(drain_count(&pair.drain, key), 4 + 4);
    assert_int_equal(drain_count(&pair.drain, "\"correlation_id\":\"order-7\",\"user_id\":\"6f1c0f0e-"), 2);
    tf_context_clear();
    pair_close(&pair);
}

/* --- room --- */

static struct lane_writer *writer_of(tf_client *client) {
    for (int i = 0; i < THREAD_LANES; i++)
        if (thread_self->lanes[i].session && thread_self->lanes[i].session->client == client)
            return &thread_self->lanes[i].writer;
    fail_msg("the thread has no lane for this client");
    return NULL;
}

static char *text_of_length(size_t length) {
    char *text = malloc(length + 1);
    assert_non_null(text);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + i % 26);
    text[length] = '\0';
    return text;
}

/* Around the length where the quick way ends, whatever stands before and behind the string. */
static void strings_of_any_length_come_out_whole(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    char *text = text_of_length(QUICK_MOST + 16);
    unsigned count = 0;
    for (size_t length = QUICK_MOST - 220; length <= QUICK_MOST + 16; length++) {
        const char *from = text + QUICK_MOST + 16 - length;
        for (int i = 0; i < BOTH; i++) {
            tf_prepare(pair.clients[i]); /* its lane is the one used last */
            TF_LOG_TO(pair.clients[i], TF_LEVEL_ERROR, "edge", "%s", from);
            TF_LOG_TO(pair.clients[i], TF_LEVEL_ERROR, "edge", "%s%d%s", from, 7, "behind");
            TF_LOG_TO(pair.clients[i], TF_LEVEL_ERROR, "edge", "%d%d%d%d%s%s", 1, 2, 3, 4, "", from);
        }
        if (length % 32 == 0)
            count += assert_same_entries(&pair);
    }
    count += assert_same_entries(&pair);
    assert_int_equal(count, 3 * 237);
    free(text);
    pair_close(&pair);
}

/* A string that leaves no room, and one behind it: it must not be written behind what was claimed, wherever in a lap. */
static void never_writes_behind_what_it_claimed(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    char *first = text_of_length(QUICK_MOST), *second = text_of_length(9000);
    unsigned count = 0;
    uint64_t most = 0;
    for (size_t length = QUICK_MOST - 300; length < QUICK_MOST; length++) {
        const char *from = first + QUICK_MOST - length;
        for (int i = 0; i < BOTH; i++) {
            tf_prepare(pair.clients[i]);
            quick_watch();
            uint64_t before = writer_of(pair.clients[i])->head;
            TF_LOG_TO(pair.clients[i], TF_LEVEL_ERROR, "edge", "%s%d%d%s", from, 7, 8, second);
            if (thread_self->record.entry.timestamp_ns == 0 && writer_of(pair.clients[i])->head - before > most)
                most = writer_of(pair.clients[i])->head - before;
        }
        if (length % 16 == 0)
            count += assert_same_entries(&pair);
    }
    count += assert_same_entries(&pair);
    assert_int_equal(count, 300);
    assert_true(most <= QUICK_MOST);
    free(first);
    free(second);
    pair_close(&pair);
}

/* The lane's laps end anywhere: between records, just behind one, with a record that is too long for the rest. */
static void goes_on_over_the_ends_of_laps(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    char *text = text_of_length(1800);
    unsigned number = 0, read = 0;
    for (uint64_t laps = 0; laps < 5; laps = writer_of(pair.clients[QUICK])->head / RING_LANE_SIZE) {
        for (int i = 0; i < 64; i++, number++) {
            size_t length = (size_t)(number * 7919) % 1800;
            for (int c = 0; c < BOTH; c++) {
                tf_prepare(pair.clients[c]);
                TF_LOG_TO(pair.clients[c], TF_LEVEL_ERROR, "lap", "%u %s", number, text + 1800 - length);
            }
        }
        read += assert_same_entries(&pair);
    }
    assert_int_equal(read, number);
    assert_int_equal(fixture_lost(pair.clients[QUICK]), 0);
    free(text);
    pair_close(&pair);
}

/* --- no room --- */

enum { TRIES = 14000 };

/* Fill both lanes at a level with records of one size until all is refused, and more: both take the same number, and count the rest. */
static void fill(struct pair *pair, int level, bool given) {
    static const struct tf_context none;
    struct tf_loss_counts before[BOTH], after[BOTH];
    for (int i = 0; i < BOTH; i++) {
        assert_int_equal(tf_losses(pair->clients[i], &before[i], sizeof(before[i])), 0);
        for (int n = 0; n < TRIES; n++)
            if (given)
                TF_LOG_IN(pair->clients[i], &none, level, "fill", "%d", n);
            else
                TF_LOG_TO(pair->clients[i], level, "fill", "%d", n);
        assert_int_equal(tf_losses(pair->clients[i], &after[i], sizeof(after[i])), 0);
    }
    unsigned stored = assert_same_entries(pair);
    uint64_t lost = after[QUICK].lane_full[level] - before[QUICK].lane_full[level];
    assert_int_equal(stored + lost, TRIES);
    assert_int_equal(lost, after[ORDINARY].lane_full[level] - before[ORDINARY].lane_full[level]);
    assert_int_equal(lost, after[QUICK].total - before[QUICK].total);
    assert_true(lost > 0);
}

static void loses_what_the_ordinary_way_loses(void **state) {
    static const unsigned eighths[LEVEL_COUNT] = { 4, 4, 6, 7, 8, 8 };
    struct pair pair;
    struct tf_context trace = { .has = 0 };
    pair_open(&pair, state);
    for (int level = 0; level < LEVEL_COUNT; level++) {
        uint64_t from = writer_of(pair.clients[QUICK])->head;
        fill(&pair, level, false);
        uint64_t taken = writer_of(pair.clients[QUICK])->head - from, limit = RING_LANE_SIZE / 8 * eighths[level];
        assert_true(taken <= limit && limit - taken < 2 * QUICK_MOST); /* a lap's end may cost its padding */
    }
    /* The thread has ids, the entries none: what counts is theirs. */
    assert_int_equal(tf_context_new_trace(&trace), 0);
    assert_int_equal(tf_context_use(&trace), 0);
    for (int level = 0; level < LEVEL_COUNT; level++)
        fill(&pair, level, true);
    tf_context_clear();
    uint64_t total = fixture_lost(pair.clients[QUICK]) + fixture_lost(pair.clients[ORDINARY]);
    assert_int_equal(pair.drain.lost_total, total);
    assert_non_null(strstr(tf_last_error(), "is full for level critical"));
    pair_close(&pair);
}

/* At a lap's end, where the lane is nearly empty: the ordinary way cuts it and finds room. */
static void a_string_longer_than_a_lane_is_cut_and_not_lost(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    char *text = text_of_length(RING_LANE_SIZE);
    for (int i = 0; i < BOTH; i++) {
        const struct lane_writer *writer = writer_of(pair.clients[i]);
        while (RING_LANE_SIZE - writer->head % RING_LANE_SIZE > 1500) {
            TF_LOG_TO(pair.clients[i], TF_LEVEL_ERROR, "fill", "%s", text + RING_LANE_SIZE - 900);
            drain_read(&pair.drain, true);
        }
        for (int turn = 0; turn < 2; turn++) {
            TF_LOG_TO(pair.clients[i], TF_LEVEL_DEBUG, "long", "%s", turn == 0 ? "short" : text);
            assert_int_equal(fixture_lost(pair.clients[i]), 0);
        }
        assert_int_equal(drain_read(&pair.drain, true), 2);
        assert_int_equal(drain_count(&pair.drain, "bytes cut ...]"), 1);
    }
    free(text);
    pair_close(&pair);
}

/* --- statements --- */

static void statements_beyond_the_table_are_formatted_here(void **state) {
    struct pair pair;
    static struct tf_site_ sites[SLOT_SITES_MAX + 10];
    static char operations[SLOT_SITES_MAX + 10][16];
    pair_open(&pair, state);
    for (unsigned s = 0; s < SLOT_SITES_MAX + 10; s++) {
        snprintf(operations[s], sizeof(operations[s]), "operation-%u", s);
        sites[s] =
            (struct tf_site_) { .size = sizeof(sites[s]), .operation = operations[s], .format = "turn %d of %s" };
        for (int i = 0; i < BOTH; i++)
            for (int turn = 0; turn < 2; turn++) {
                quick_watch();
                assert_int_equal(tf_site_log_(pair.clients[i], &sites[s], TF_LEVEL_INFO, "turn %d of %s", turn, "two"),
                                 0);
                assert_was_quick(turn == 1 && i == QUICK && s < SLOT_SITES_MAX);
            }
    }
    assert_int_equal(assert_same_entries(&pair), 2 * (SLOT_SITES_MAX + 10));
    assert_int_equal(pair.drain.deferred, 4 * SLOT_SITES_MAX);
    assert_int_equal(drain_count(&pair.drain, "\"operation\":\"operation-265\",\"message\":\"turn 1 of two\""), 2);
    pair_close(&pair);
}

static void one_statement_may_have_any_level(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    for (int level = TF_LEVEL_TRACE; level <= TF_LEVEL_CRITICAL; level++)
        LOG_BOTH(&pair, true, level, "level %d", level);
    for (int level = -1; level <= TF_LEVELS; level += TF_LEVELS + 1) {
        static struct tf_site_ site = TF_SITE_INIT_("o", "level %d", 0);
        assert_int_equal(tf_site_log_(pair.clients[QUICK], &site, level, "level %d", level), -EINVAL);
        assert_non_null(strstr(tf_last_error(), "level must be"));
    }
    assert_int_equal(assert_same_entries(&pair), 2 * TF_LEVELS);
    assert_int_equal(drain_count(&pair.drain, "\"level\":\"critical\""), 4);
    pair_close(&pair);
}

/* --- what may change under it --- */

static void follows_levels_and_rings_at_once(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    char path[192];
    snprintf(path, sizeof(path), "%s/rings/%u", pair.fixture->runtime_dir, (unsigned)geteuid());
    struct drain old;
    for (int turn = 0; turn < 4; turn++) {
        if (turn == 2)
            assert_int_equal(ring_reader_set_control(&pair.drain.ring, 0, LEVEL_ERROR), 0);
        TF_LOG_TO(pair.clients[QUICK], TF_LEVEL_INFO, "o", "turn %d", turn);
    }
    assert_int_equal(drain_read(&pair.drain, true), 2);
    assert_int_equal(ring_reader_set_control(&pair.drain.ring, 0, LEVEL_TRACE), 0);
    drain_open(&old, pair.fixture->runtime_dir);
    assert_int_equal(ring_reader_retire(&old.ring, true), 0);
    assert_int_equal(unlink(path), 0);
    for (int turn = 0; turn < 3; turn++)
        TF_LOG_TO(pair.clients[QUICK], TF_LEVEL_INFO, "o", "ring %d", turn);
    assert_int_equal(drain_read(&old, true), 0);
    drain_close(&old);
    assert_int_equal(drain_once(pair.fixture->runtime_dir, true, &old), 3);
    drain_finish(&old);
    assert_int_equal(fixture_lost(pair.clients[QUICK]), 0);
    pair_close(&pair);
}

static void leaves_errno_alone(void **state) {
    struct pair pair;
    pair_open(&pair, state);
    for (int turn = 0; turn < 3; turn++) {
        errno = EDOM;
        TF_LOG_TO(pair.clients[QUICK], TF_LEVEL_INFO, "o", "turn %d", turn);
        assert_int_equal(errno, EDOM);
        TF_LOG_TO(pair.clients[QUICK], TF_LEVEL_INFO, "o", "%m");
        assert_int_equal(errno, EDOM);
    }
    drain_read(&pair.drain, true);
    assert_int_equal(drain_count(&pair.drain, strerror(EDOM)), 3);
    pair_close(&pair);
}

static int log_first_with_the_default_client(void *argument) {
    struct fixture *fixture = argument;
    setenv("TASKFORGE_RUNTIME_DIR", fixture->runtime_dir, 1);
    errno = EDOM;
    TF_ERROR("open", "first: %m");
    if (errno != EDOM)
        return 2;
    TF_ERROR("open", "second: %m");
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    return drain_count(&drain, strerror(EDOM)) == 2 ? 0 : 3;
}

/* Opening the default client makes system calls; the folder of rings is missing, for one. */
static void the_first_call_of_a_process_leaves_errno_alone(void **state) {
    assert_int_equal(in_child(log_first_with_the_default_client, *state), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(writes_all_types_the_same),
        fixture_test(leaves_to_the_ordinary_way_what_it_does_not_know),
        fixture_test(carries_the_ids_of_threads_and_of_contexts_given),
        fixture_test(strings_of_any_length_come_out_whole),
        fixture_test(never_writes_behind_what_it_claimed),
        fixture_test(goes_on_over_the_ends_of_laps),
        fixture_test(loses_what_the_ordinary_way_loses),
        fixture_test(a_string_longer_than_a_lane_is_cut_and_not_lost),
        fixture_test(statements_beyond_the_table_are_formatted_here),
        fixture_test(one_statement_may_have_any_level),
        fixture_test(follows_levels_and_rings_at_once),
        fixture_test(leaves_errno_alone),
        fixture_test(the_first_call_of_a_process_leaves_errno_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
