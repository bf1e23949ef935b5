/* Threads that do all there is to do at once, while other clients come and go and the ring is read: everything is in the ring or counted.
 * Under the thread sanitizer it proves the orderings. */
#include "tests/unit/client/metrics_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "agent/client/client_internal.h"

enum { WORKERS = 8, TURNS = 2000, GUESTS = 8 };

struct shared {
    const struct fixture *fixture;
    tf_client *client;
    /* a client that comes and goes: used under the lock for reading, changed under that for writing */
    pthread_rwlock_t guest_lock;
    tf_client *guest;
    uint64_t guests_lost; /* of those that are gone */
    _Atomic uint64_t entries, counted, observed, updates, spans;
    _Atomic unsigned working;
};

static int look_at_span(const struct tf_open_span *span, void *argument) {
    _Atomic uint64_t *seen = argument;
    assert_int_equal(strlen(span->trace_id), 32);
    assert_true(strcmp(span->operation, "outer") == 0 || strcmp(span->operation, "inner") == 0);
    atomic_fetch_add(seen, 1);
    return 0;
}

/* The ways of one client, each call counted. */
static void log_all_ways(struct shared *shared, tf_client *client, int turn) {
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_WARN, "module", "operation", "an entry");
    TF_LOG_TO(client, TF_LEVEL_INFO, "turn", "turn %d of %s", turn, "a worker");
    TF_LOG_TO(client, TF_LEVEL_ERROR, "turn", "no argument");
    int r = tf_entry_write(client, &entry);
    assert_true(r == 0 || r == -EAGAIN);
    TF_EVENT_IN(client, NULL, TF_LEVEL_INFO, "turn", "an event", tf_int("turn", turn));
    atomic_fetch_add(&shared->entries, 4);
}

static void work_once(struct shared *shared, tf_metric *jobs, tf_metric *size, int turn) {
    static _Atomic uint64_t seen;
    struct tf_span outer, inner;
    assert_int_equal(tf_span_start(shared->client, "outer", &outer), 0);
    log_all_ways(shared, shared->client, turn);
    assert_int_equal(tf_span_start_in(shared->client, "inner", &outer.context, &inner), 0);
    assert_int_equal(tf_counter_add(jobs, 1), 0);
    assert_int_equal(tf_histogram_observe(size, 1 + turn % 7), 0);
    atomic_fetch_add(&shared->counted, 1);
    int r = tf_metric_count(shared->client, "t_updates", 1, mail, 1);
    assert_true(r == 0 || r == -EAGAIN);
    atomic_fetch_add(&shared->updates, 1);
    if (turn % 50 == 0)
        assert_int_equal(tf_open_spans(shared->client, NULL, look_at_span, &seen), 0);
    r = tf_span_end(&inner, 0);
    assert_true(r == 0 || r == -EAGAIN);
    r = tf_span_end_with(&outer, turn % 3 ? NULL : "why", NULL, 0);
    assert_true(r == 0 || r == -EAGAIN);
    atomic_fetch_add(&shared->spans, 2);
}

static void *work(void *argument) {
    struct shared *shared = argument;
    tf_metric *jobs = handle(shared->client, TF_COUNTER, "t_jobs"),
              *size = handle(shared->client, TF_HISTOGRAM, "t_size");
    for (int turn = 0; turn < TURNS; turn++) {
        work_once(shared, jobs, size, turn);
        pthread_rwlock_rdlock(&shared->guest_lock);
        if (turn % 4 == 0)
            log_all_ways(shared, shared->guest, turn);
        pthread_rwlock_unlock(&shared->guest_lock);
        if (turn % 8 == 0)
            sched_yield(); /* the reader, too, wants to run */
    }
    atomic_fetch_sub(&shared->working, 1);
    return NULL;
}

/* Clients come and go, as the workers go on. */
static void *entertain(void *argument) {
    struct shared *shared = argument;
    for (unsigned guests = 1; guests < GUESTS && atomic_load(&shared->working) > 0; guests++) {
        uint64_t until = atomic_load(&shared->entries) + WORKERS * TURNS * 4 / GUESTS;
        while (atomic_load(&shared->entries) < until && atomic_load(&shared->working) > 0)
            sched_yield();
        pthread_rwlock_wrlock(&shared->guest_lock);
        shared->guests_lost += fixture_lost(shared->guest);
        tf_close(shared->guest);
        shared->guest = fixture_open(shared->fixture, TF_POLICY_DROP, 0);
        pthread_rwlock_unlock(&shared->guest_lock);
    }
    return NULL;
}

static void threads_do_everything_at_once(void **state) {
    static struct shared shared;
    pthread_t workers[WORKERS], host;
    struct drain drain;
    uint64_t entries = 0, updates = 0;
    shared = (struct shared) { .fixture = *state,
                               .client = fixture_open(*state, TF_POLICY_DROP, 0),
                               .guest = fixture_open(*state, TF_POLICY_DROP, 0),
                               .working = WORKERS };
    pthread_rwlock_init(&shared.guest_lock, NULL);
    drain_open(&drain, shared.fixture->runtime_dir);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i], NULL, work, &shared), 0);
    assert_int_equal(pthread_create(&host, NULL, entertain, &shared), 0);
    while (atomic_load(&shared.working) > 0) {
        entries += drain_read(&drain, true);
        updates += drain.update_count;
        sched_yield();
    }
    pthread_join(host, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    entries += drain_read(&drain, true);
    updates += drain.update_count;
    struct tf_metric_value value;
    tf_metric *jobs = handle(shared.client, TF_COUNTER, "t_jobs"),
              *size = handle(shared.client, TF_HISTOGRAM, "t_size");
    static const char promoted[] = "counter app t_updates{queue=\"mail\"} ";
    const char *cell = strstr(drain.cells.data, promoted);
    updates += cell ? strtoul(cell + strlen(promoted), NULL, 10) : 0;
    assert_true(own(jobs) == (double)shared.counted);
    assert_int_equal(tf_metric_get_own(size, &value, sizeof(value)), 0);
    assert_int_equal(value.count, shared.counted);
    /* lost spans are among the losses, too: no more than there were */
    uint64_t lost = fixture_lost(shared.client) + fixture_lost(shared.guest) + shared.guests_lost;
    assert_int_equal(drain.lost_total, lost);
    assert_in_range(entries + updates + lost, shared.entries + shared.updates,
                    shared.entries + shared.updates + (lost < shared.spans ? lost : shared.spans));
    drain_close(&drain);
    tf_close(shared.guest);
    tf_close(shared.client);
    pthread_rwlock_destroy(&shared.guest_lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(threads_do_everything_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
