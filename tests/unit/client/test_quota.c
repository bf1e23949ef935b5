/* What one process may have in the overflow lanes, so that there is room for the others. */
#include "tests/unit/client/client_fixture.h"

#include <pthread.h>

#include "agent/client/producer.h"

enum { BYTES = 8000 };

static struct producer *open_sharer(const struct fixture *fixture, const char *service) {
    struct producer *producer;
    struct error error = { "" };
    assert_int_equal(producer_open(fixture->runtime_dir, service, &producer, &error), 0);
    producer_share_lanes(producer);
    return producer;
}

static int write_one(struct producer *producer, enum level level) {
    char bytes[BYTES];
    memset(bytes, 'x', sizeof(bytes));
    struct record_entry record = { .entry = { .level = level,
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o"),
                                              .message = { bytes, sizeof(bytes) } } };
    return producer_write_or_lose(producer, &record, 0);
}

/* Bytes of records that found room until one did not. */
static uint64_t fill(struct producer *producer, enum level level) {
    uint64_t bytes = 0;
    while (write_one(producer, level) == 0)
        bytes += BYTES;
    return bytes;
}

static struct tf_loss_counts losses_of(struct producer *producer) {
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(producer_client(producer), &losses, sizeof(losses)), 0);
    return losses;
}

static void assert_near(uint64_t bytes, uint64_t expected) {
    if (bytes > expected || bytes < expected - expected / 16)
        fail_msg("%llu bytes found room, not nearly %llu", (unsigned long long)bytes, (unsigned long long)expected);
}

static void one_process_gets_a_quarter_and_errors_a_half(void **state) {
    struct producer *greedy = open_sharer(*state, "greedy"), *modest = open_sharer(*state, "modest");
    uint64_t infos = fill(greedy, LEVEL_INFO);
    assert_near(infos, RING_OVERFLOW_SIZE / 4);
    assert_near(infos + fill(greedy, LEVEL_ERROR), RING_OVERFLOW_SIZE / 2);
    struct tf_loss_counts losses = losses_of(greedy);
    assert_int_equal(losses.quota[TF_LEVEL_INFO], 1);
    assert_int_equal(losses.quota[TF_LEVEL_ERROR], 1);
    assert_int_equal(losses.total, 2);
    assert_non_null(strstr(tf_last_error(), "share"));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write_one(modest, LEVEL_INFO), 0);
        assert_int_equal(write_one(modest, LEVEL_CRITICAL), 0);
    }
    assert_int_equal(losses_of(modest).total, 0);
    producer_close(greedy);
    producer_close(modest);
}

static void what_the_collector_has_read_counts_no_more(void **state) {
    const struct fixture *fixture = *state;
    struct producer *producer = open_sharer(fixture, "steady");
    uint64_t first = fill(producer, LEVEL_INFO);
    for (int i = 0; i < 5; i++) {
        struct drain drain;
        drain_once(fixture->runtime_dir, true, &drain);
        drain_finish(&drain);
        assert_int_equal(fill(producer, LEVEL_INFO), first);
    }
    for (int i = 0; i < 500; i++) { /* read as it comes, far more than a share passes */
        struct drain drain;
        drain_once(fixture->runtime_dir, true, &drain);
        drain_finish(&drain);
        assert_int_equal(write_one(producer, LEVEL_INFO), 0);
    }
    assert_int_equal(losses_of(producer).total, 6);
    producer_close(producer);
}

/* Full by others' hands is another reason. */
static void a_full_lane_is_no_quota(void **state) {
    struct producer *others[4];
    for (size_t i = 0; i < 4; i++) {
        others[i] = open_sharer(*state, "other");
        fill(others[i], LEVEL_WARN);
    }
    struct producer *late = open_sharer(*state, "late");
    assert_int_equal(write_one(late, LEVEL_WARN), -EAGAIN);
    assert_int_equal(losses_of(late).lanes_busy[TF_LEVEL_WARN], 1);
    assert_int_equal(write_one(late, LEVEL_ERROR), 0); /* the last eighth of a lane is theirs */
    for (size_t i = 0; i < 4; i++)
        producer_close(others[i]);
    producer_close(late);
}

static void *write_many(void *producer) {
    for (int i = 0; i < 300; i++)
        write_one(producer, LEVEL_DEBUG);
    return NULL;
}

static void its_threads_share_one_quota_and_every_loss_is_counted(void **state) {
    const struct fixture *fixture = *state;
    struct producer *producer = open_sharer(fixture, "crowd");
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, producer), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct drain drain;
    unsigned entries = drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(entries + losses_of(producer).total, 1200);
    assert_int_equal(drain.lost_total, losses_of(producer).total);
    assert_true((uint64_t)entries * BYTES <= RING_OVERFLOW_SIZE / 4);
    drain_finish(&drain);
    producer_close(producer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(one_process_gets_a_quarter_and_errors_a_half),
        fixture_test(what_the_collector_has_read_counts_no_more),
        fixture_test(a_full_lane_is_no_quota),
        fixture_test(its_threads_share_one_quota_and_every_loss_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
