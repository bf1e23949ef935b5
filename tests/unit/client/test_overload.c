/* Full lanes, no lanes, no ring: accepted = in the ring + counted, exactly. */
#include "tests/unit/client/client_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

enum { MANY = 20000 };

static void drops_lowest_levels_first_and_counts_each_loss_once(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    static const int levels[] = { TF_LEVEL_DEBUG, TF_LEVEL_INFO, TF_LEVEL_WARN, TF_LEVEL_ERROR };
    unsigned written[6] = { 0 }, lost[6] = { 0 };
    for (size_t k = 0; k < 4; k++) /* each fills what those before were not allowed to */
        for (unsigned i = 0; i < MANY; i++) {
            int r = tf_log(client, levels[k], NULL, "fill", "0123456789012345678901234567890123456789");
            assert_true(r == 0 || r == -EAGAIN);
            r == 0 ? written[levels[k]]++ : lost[levels[k]]++;
        }
    for (size_t k = 0; k < 4; k++) {
        assert_int_equal(written[levels[k]] + lost[levels[k]], MANY);
        assert_true(written[levels[k]] > 0);
    }
    assert_non_null(strstr(tf_last_error(), "full for level error"));
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.lane_full[TF_LEVEL_INFO], lost[TF_LEVEL_INFO]);
    struct drain drain;
    drain_once(fixture->runtime_dir, false, &drain);
    assert_int_equal(drain.entries + drain.lost_total, 4 * MANY);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(drain.lost[LOSS_LANE_FULL][levels[k]], lost[levels[k]]);
    assert_int_equal(drain_count(&drain, "\"level\":\"error\""), written[TF_LEVEL_ERROR]);
    drain_finish(&drain);
    assert_int_equal(tf_losses(client, &losses, 1), -EINVAL);
    tf_close(client);
}

static void macros_count_their_losses_too(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    for (unsigned i = 0; i < MANY; i++)
        TF_LOG_TO(client, TF_LEVEL_INFO, "fill", "number %u of %s", i, "0123456789012345678901234567890123456789");
    struct drain drain;
    drain_once(fixture->runtime_dir, false, &drain);
    assert_true(fixture_lost(client) > 0);
    assert_int_equal(drain.entries + fixture_lost(client), MANY);
    assert_int_equal(drain.lost_total, fixture_lost(client));
    drain_finish(&drain);
    tf_close(client);
}

static void goes_on_when_the_collector_has_made_room(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    while (tf_log(client, TF_LEVEL_INFO, NULL, "fill", "text") == 0)
        continue;
    assert_int_equal(tf_flush(client, 1000000), -ETIMEDOUT);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    drain_finish(&drain);
    assert_int_equal(tf_flush(client, 0), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "fill", "after"), 0);
    assert_entry_with(fixture, "\"message\":\"after\"");
    tf_close(client);
}

static void waits_for_room_as_long_as_it_may_and_counts_once(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_WAIT, 20 * 1000 * 1000);
    unsigned written = 0;
    while (tf_log(client, TF_LEVEL_INFO, NULL, "fill", "text") == 0)
        written++;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "fill", "text"), -EAGAIN);
    clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t waited = (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
    assert_true(waited >= 20 * 1000 * 1000);
    assert_int_equal(fixture_lost(client), 2);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), written);
    drain_finish(&drain);
    tf_close(client);
}

static void *drain_when_full(void *argument) {
    struct drain drain;
    drain_open(&drain, argument);
    unsigned total = 0;
    while (total < 3 * MANY) /* the writer waits for us */
        total += drain_read(&drain, true);
    drain_close(&drain);
    return NULL;
}

static void loses_nothing_while_waiting_for_a_reader(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_WAIT, UINT64_C(60000000000));
    assert_int_equal(tf_prepare(client), 0);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, drain_when_full, fixture->runtime_dir), 0);
    for (unsigned i = 0; i < 3 * MANY; i++)
        TF_LOG_TO(client, TF_LEVEL_INFO, "fill", "%u", i);
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static void sends_large_records_through_an_overflow_lane(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    char *json = malloc(60000);
    memset(json, 'x', 60000);
    json[0] = json[59998] = '"';
    json[59999] = '\0';
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, NULL, "large", "both");
    entry.error_details = json;
    tf_entry_add(&entry, tf_json("k", json));
    assert_int_equal(tf_entry_write(client, &entry), 0);
    free(json);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 1);
    assert_int_equal(drain.in_overflow, 1);
    assert_int_equal(drain_count(&drain, "\"service\":\"mailer\""), 1);
    drain_finish(&drain);
    assert_int_equal(tf_flush(client, 0), 0);
    tf_close(client);
}

struct worker {
    tf_client *client;
    pthread_barrier_t *barrier;
};

static void *log_once_all_together(void *argument) {
    struct worker *worker = argument;
    TF_LOG_TO(worker->client, TF_LEVEL_INFO, "thread", "with a lane or without %d", 1);
    pthread_barrier_wait(worker->barrier); /* nobody gives his lane back before all have written */
    return NULL;
}

static void threads_beyond_the_pool_share_the_overflow_lanes(void **state) {
    struct fixture *fixture = *state;
    enum { THREADS = 40 }; /* a ring of the least size has about eight lanes */
    pthread_barrier_t barrier;
    struct worker worker = { .client = fixture_open(fixture, TF_POLICY_WAIT, UINT64_C(10000000000)),
                             .barrier = &barrier };
    pthread_barrier_init(worker.barrier, NULL, THREADS);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_once_all_together, &worker), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), THREADS);
    assert_true(drain.in_overflow > 0 && drain.in_overflow < THREADS);
    assert_int_equal(drain_count(&drain, "\"operation\":\"thread\",\"message\":\"with a lane or without 1\""), THREADS);
    drain_finish(&drain);
    pthread_barrier_destroy(worker.barrier);
    tf_close(worker.client);
}

/* --- no ring --- */

static void block_the_ring(const struct fixture *fixture, char path[192]) {
    snprintf(path, 192, "%s/rings", fixture->runtime_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600); /* a file where the folder should be */
    assert_true(fd >= 0);
    close(fd);
}

static void an_application_runs_the_same_without_a_ring(void **state) {
    struct fixture *fixture = *state;
    char path[192];
    block_the_ring(fixture, path);
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    options.policy = TF_POLICY_WAIT;
    options.wait_ns = UINT64_C(3600000000000); /* would be noticed: waiting is for room only */
    tf_client *client;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_true(strlen(tf_last_error()) > 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "lost"), -EAGAIN);
    assert_string_equal(tf_last_error(), "no ring to write an entry of level info to");
    TF_LOG_TO(client, TF_LEVEL_ERROR, "o", "lost %d", 2);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", ""), -EINVAL);
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.no_ring[TF_LEVEL_INFO], 1);
    assert_int_equal(losses.no_ring[TF_LEVEL_ERROR], 1);
    assert_int_equal(losses.total, 2);
    assert_int_equal(tf_flush(client, 0), 0);
    tf_close(client);
}

static void what_was_lost_without_a_ring_is_told_when_one_comes(void **state) {
    struct fixture *fixture = *state;
    char path[192];
    block_the_ring(fixture, path);
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    tf_client *client;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_WARN, NULL, "o", "lost"), -EAGAIN);
    assert_int_equal(tf_log(client, TF_LEVEL_WARN, NULL, "o", "lost"), -EAGAIN);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tf_prepare(client), 0); /* tries at once */
    assert_int_equal(tf_log(client, TF_LEVEL_WARN, NULL, "o", "there"), 0);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 1);
    assert_int_equal(drain.lost[LOSS_NO_RING][TF_LEVEL_WARN], 2);
    assert_int_equal(drain.lost_total, 2);
    drain_finish(&drain);
    tf_close(client);
}

static void close_tells_what_was_lost_if_it_can(void **state) {
    struct fixture *fixture = *state;
    char path[192];
    block_the_ring(fixture, path);
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    tf_client *client;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_WARN, NULL, "o", "lost"), -EAGAIN);
    assert_int_equal(unlink(path), 0);
    tf_close(client);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.lost[LOSS_NO_RING][TF_LEVEL_WARN], 1);
    drain_finish(&drain);
}

static void processes_without_a_slot_count_in_the_anonymous_ledger(void **state) {
    struct fixture *fixture = *state;
    tf_client *clients[RING_SLOTS_MAX + 1];
    unsigned count = 0;
    clients[count++] = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_log(clients[0], TF_LEVEL_INFO, NULL, "o", "text"), 0);
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    tf_client *late;
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    while (count < drain.ring.slot_count) /* take all slots */
        clients[count++] = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_open("late", &options, &late), 0);
    assert_non_null(strstr(tf_last_error(), "too many processes"));
    assert_int_equal(tf_log(late, TF_LEVEL_ERROR, NULL, "o", "text"), -EAGAIN);
    struct loss_counts counts;
    assert_int_equal(ring_reader_losses(&drain.ring, RING_SLOTS_MAX, &counts), 0);
    assert_int_equal(counts.cells[LOSS_NO_RING][TF_LEVEL_ERROR].count, 1);
    drain_close(&drain);
    tf_close(clients[--count]);
    tf_close(late);
    while (count > 0)
        tf_close(clients[--count]);
}

static void attaches_anew_when_the_ring_is_retired(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "in the %s ring", "old");
    struct drain old;
    drain_open(&old, fixture->runtime_dir);
    assert_int_equal(ring_reader_retire(&old.ring, true), 0);
    char path[192];
    snprintf(path, sizeof(path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    assert_int_equal(unlink(path), 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "in the %s ring", "new");
    assert_int_equal(fixture_lost(client), 0);
    assert_int_equal(drain_read(&old, true), 1);
    assert_int_equal(drain_count(&old, "in the old ring"), 1);
    struct slot_info slot;
    assert_int_equal(ring_reader_slot(&old.ring, 0, &slot), 0);
    assert_int_equal(slot.state, SLOT_CLOSED); /* left, lane and all */
    drain_close(&old);
    assert_entry_with(fixture, "in the new ring");
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(drops_lowest_levels_first_and_counts_each_loss_once),
        fixture_test(macros_count_their_losses_too),
        fixture_test(goes_on_when_the_collector_has_made_room),
        fixture_test(waits_for_room_as_long_as_it_may_and_counts_once),
        fixture_test(loses_nothing_while_waiting_for_a_reader),
        fixture_test(sends_large_records_through_an_overflow_lane),
        fixture_test(threads_beyond_the_pool_share_the_overflow_lanes),
        fixture_test(an_application_runs_the_same_without_a_ring),
        fixture_test(what_was_lost_without_a_ring_is_told_when_one_comes),
        fixture_test(close_tells_what_was_lost_if_it_can),
        fixture_test(processes_without_a_slot_count_in_the_anonymous_ledger),
        fixture_test(attaches_anew_when_the_ring_is_retired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
