/* Threads that register and update metrics while rings are set aside under them: nothing is lost or told twice. Under the thread
 * sanitizer it proves the orderings. */
#include "tests/unit/client/metrics_fixture.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>

#include "agent/client/metrics.h"

enum { THREADS = 4, UPDATES = 4000, RINGS = 5 };

struct shared {
    const struct fixture *fixture;
    tf_client *client;
    _Atomic unsigned updates, allowed; /* so many are made before the next ring is set aside */
};

static void *update(void *argument) {
    struct shared *shared = argument;
    tf_metric *jobs = handle(shared->client, TF_COUNTER, "c_jobs"),
              *size = handle(shared->client, TF_HISTOGRAM, "c_size");
    tf_metric *depth = handle(shared->client, TF_GAUGE, "c_depth");
    for (int i = 0; i < UPDATES; i++) {
        while (atomic_load(&shared->updates) >= atomic_load(&shared->allowed))
            sched_yield();
        assert_int_equal(tf_counter_add(jobs, 1), 0);
        assert_int_equal(tf_histogram_observe(size, 1 + i % 7), 0);
        assert_int_equal(tf_gauge_set(depth, i), 0);
        if (i % 100 == 0)
            assert_int_equal(tf_queue_stats(shared->client, 3, 2, 1), 0);
        if (i % 16 == 0)
            sched_yield();
        atomic_fetch_add(&shared->updates, 1);
    }
    return NULL;
}

/* What the cells of c_jobs and c_size in one ring come to. */
static void add_cells(const char *cells, uint64_t *jobs, uint64_t *observed) {
    static const char counter[] = "counter app c_jobs{} ", histogram[] = "histogram app c_size{} ";
    for (const char *line = cells; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, counter, strlen(counter)) == 0)
            *jobs += strtoull(line + strlen(counter), NULL, 10);
        if (strncmp(line, histogram, strlen(histogram)) == 0)
            *observed += strtoull(line + strlen(histogram), NULL, 10);
    }
}

static void threads_count_exactly_while_rings_come_and_go(void **state) {
    struct fixture *fixture = *state;
    static struct shared shared;
    struct drain rings[RINGS];
    pthread_t threads[THREADS];
    char path[192];
    uint64_t jobs = 0, observed = 0;
    shared = (struct shared) { .fixture = fixture, .client = fixture_open(fixture, TF_POLICY_DROP, 0) };
    snprintf(path, sizeof(path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update, &shared), 0);
    for (unsigned ring = 0; ring < RINGS; ring++) {
        drain_open(&rings[ring], fixture->runtime_dir);
        unsigned until = (ring + 1) * UPDATES * THREADS / (RINGS + 1);
        atomic_store(&shared.allowed, until);
        while (atomic_load(&shared.updates) < until - THREADS) {
            drain_read(&rings[ring], true);
            sched_yield();
        }
        assert_int_equal(unlink(path), 0);
        assert_int_equal(ring_reader_retire(&rings[ring].ring, true), 0);
        atomic_store(&shared.allowed, until + 100 * THREADS);
        while (access(path, F_OK) != 0) /* there are updates to come: one of them makes the next ring */
            sched_yield();
    }
    atomic_store(&shared.allowed, UINT_MAX);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    tf_metric *counter = handle(shared.client, TF_COUNTER, "c_jobs"),
              *size = handle(shared.client, TF_HISTOGRAM, "c_size");
    struct tf_metric_value value;
    assert_true(own(counter) == THREADS * UPDATES);
    assert_int_equal(tf_metric_get_own(size, &value, sizeof(value)), 0);
    assert_int_equal(value.count, THREADS * UPDATES);
    assert_int_equal(fixture_lost(shared.client), 0);
    tf_close(shared.client);
    for (unsigned ring = 0; ring < RINGS; ring++) {
        drain_read(&rings[ring], false);
        add_cells(rings[ring].cells.data, &jobs, &observed);
        drain_close(&rings[ring]);
    }
    struct drain last = look(fixture);
    add_cells(last.cells.data, &jobs, &observed);
    drain_finish(&last);
    assert_int_equal(jobs, THREADS * UPDATES);
    assert_int_equal(observed, THREADS * UPDATES);
}

static void *name(void *argument) {
    struct shared *shared = argument;
    char metric[24];
    for (int i = 0; i < UPDATES / 10; i++) {
        snprintf(metric, sizeof(metric), "q_jobs%d", i % 200);
        int r = tf_metric_count(shared->client, metric, 1, mail, 1);
        assert_true(r == 0 || r == -EAGAIN);
        assert_int_equal(tf_metric_set(shared->client, metric, 1, mail, 1), -EEXIST);
    }
    return NULL;
}

static void threads_claim_names_together(void **state) {
    static struct shared shared;
    pthread_t threads[THREADS];
    shared = (struct shared) { .fixture = *state, .client = fixture_open(*state, TF_POLICY_DROP, 0) };
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, name, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct drain drain = look(*state);
    assert_int_equal(drain.update_count + fixture_lost(shared.client), THREADS * UPDATES / 10);
    drain_finish(&drain);
    tf_close(shared.client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(threads_count_exactly_while_rings_come_and_go),
        fixture_test(threads_claim_names_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
