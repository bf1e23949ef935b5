/* Threads, fork, signals, closed descriptors, the default client: what an application does around its log calls. */
#include "tests/unit/client/client_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "agent/client/client_internal.h"

/* --- threads --- */

enum { THREADS = 8, EACH = 2000 };

static void *log_many(void *client) {
    for (int i = 0; i < EACH; i++)
        TF_LOG_TO((tf_client *)client, TF_LEVEL_INFO, "thread", "%d", i);
    return NULL;
}

static unsigned lanes_owned(const struct fixture *fixture) {
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    unsigned owned = 0;
    for (uint32_t lane = drain.ring.overflow_count; lane < drain.ring.lane_count; lane++) {
        struct lane_state state;
        assert_int_equal(ring_reader_lane(&drain.ring, lane, &state), 0);
        owned += state.owner != 0 && !state.released;
    }
    drain_close(&drain);
    return owned;
}

static void threads_write_side_by_side(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, client), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries + fixture_lost(client), THREADS * EACH);
    assert_int_equal(drain.lost_total, fixture_lost(client));
    drain_finish(&drain);
    tf_close(client);
}

static void a_thread_that_ends_releases_its_lane(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    for (int i = 0; i < 50; i++) { /* far more threads than lanes, one after the other */
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, log_many, client), 0);
        pthread_join(thread, NULL);
        struct drain drain;
        drain_once(fixture->runtime_dir, true, &drain);
        assert_int_equal(drain.entries, EACH);
        assert_int_equal(drain.in_overflow, 0);
        drain_finish(&drain);
        assert_int_equal(lanes_owned(fixture), 0);
    }
    tf_close(client);
}

static void *log_and_wait(void *argument) {
    struct {
        tf_client *client;
        pthread_barrier_t *barrier;
    } *both = argument;
    TF_LOG_TO(both->client, TF_LEVEL_INFO, "o", "%s", "text");
    pthread_barrier_wait(both->barrier); /* written */
    pthread_barrier_wait(both->barrier); /* closed by the other thread */
    return NULL;
}

static void close_lets_go_of_other_threads_lanes(void **state) {
    struct fixture *fixture = *state;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    struct {
        tf_client *client;
        pthread_barrier_t *barrier;
    } both = { fixture_open(fixture, TF_POLICY_DROP, 0), &barrier };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, log_and_wait, &both), 0);
    pthread_barrier_wait(&barrier);
    assert_int_equal(lanes_owned(fixture), 1);
    tf_close(both.client);
    assert_int_equal(lanes_owned(fixture), 0);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
}

static void one_thread_may_use_more_clients_than_it_keeps_lanes_for(void **state) {
    struct fixture *fixture = *state;
    enum { CLIENTS = 12, ROUNDS = 5 };
    tf_client *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = fixture_open(fixture, TF_POLICY_DROP, 0);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CLIENTS; i++)
            assert_int_equal(tf_log(clients[i], TF_LEVEL_INFO, NULL, "o", "text"), 0);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), CLIENTS * ROUNDS);
    drain_finish(&drain);
    for (int i = 0; i < CLIENTS; i++)
        tf_close(clients[i]);
}

/* --- fork --- */

static int log_in_child(void *client) {
    if (fixture_lost(client) != 0)
        return 2;
    for (int i = 0; i < 100; i++)
        TF_LOG_TO((tf_client *)client, TF_LEVEL_INFO, "child", "child %d", i);
    return fixture_lost(client) != 0;
}

static void parent_and_child_both_go_on(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "parent", "parent %d", 0);
    assert_int_equal(in_child(log_in_child, client), 0);
    for (int i = 1; i < 100; i++)
        TF_LOG_TO(client, TF_LEVEL_INFO, "parent", "parent %d", i);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 200);
    assert_int_equal(drain_count(&drain, "\"message\":\"parent "), 100);
    assert_int_equal(drain_count(&drain, "\"message\":\"child "), 100);
    drain_finish(&drain);
    tf_close(client);
}

static int log_below_the_threshold(void *client) {
    TF_LOG_TO((tf_client *)client, TF_LEVEL_DEBUG, "child", "%s", "not wanted");
    return tf_log(client, TF_LEVEL_DEBUG, NULL, "child", "not wanted");
}

static void a_child_s_first_record_keeps_to_the_threshold(void **state) {
    struct fixture *fixture = *state;
    struct shared_settings settings;
    settings_read(fixture->runtime_dir, &settings);
    settings.level = LEVEL_INFO;
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), 0);
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(in_child(log_below_the_threshold, client), 0);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 0);
    drain_finish(&drain);
    tf_close(client);
}

static int write_one_id(void *client) {
    return tf_log(client, TF_LEVEL_INFO, NULL, "o", "text") != 0;
}

static void parent_and_child_make_different_ids(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_prepare(client), 0);
    clock_set_for_test(UINT64_C(1763900000000000000)); /* so that the time cannot tell them apart */
    assert_int_equal(in_child(write_one_id, client), 0);
    assert_int_equal(write_one_id(client), 0);
    clock_set_for_test(0);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 2);
    char *second = strchr(drain.lines.data, '\n') + 1;
    assert_memory_not_equal(drain.lines.data, second, strlen("{\"id\":\"019ab0a8-e1a0-7000-8000-000000000000\""));
    drain_finish(&drain);
    tf_close(client);
}

enum { FORKS = 10 }; /* the smallest ring has slots for 16 processes */

static void *fork_among_writers(void *client) {
    for (int i = 0; i < FORKS; i++)
        if (in_child(write_one_id, client) != 0)
            return client;
    return NULL;
}

static void fork_while_other_threads_log(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_WAIT, UINT64_C(5000000000));
    pthread_t writers[2], forker;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, log_many, client), 0);
    assert_int_equal(pthread_create(&forker, NULL, fork_among_writers, client), 0);
    void *failed = NULL;
    pthread_join(forker, &failed);
    assert_null(failed);
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 2 * EACH + FORKS);
    drain_finish(&drain);
    tf_close(client);
}

static int close_and_open_in_child(void *client) {
    tf_close(client);
    return 0;
}

static void a_child_may_close_what_its_parent_uses(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "before"), 0);
    assert_int_equal(in_child(close_and_open_in_child, client), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "after"), 0);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 2);
    drain_finish(&drain);
    tf_close(client);
}

/* --- an application that closes descriptors that are not its own --- */

static int daemonize_badly(void *argument) {
    struct fixture *fixture = argument;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    int r = tf_log(client, TF_LEVEL_INFO, NULL, "o", "before");
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    int own = open("/dev/null", O_RDWR); /* likely the number that was the ring's */
    for (int i = 3; i < 32 && own >= 0; i++)
        own = open("/dev/null", O_RDWR);
    r |= tf_log(client, TF_LEVEL_INFO, NULL, "o", "after"); /* still mapped */
    r |= tf_flush(client, 0) != -ETIMEDOUT;                 /* a slow path: attaches anew */
    r |= tf_log(client, TF_LEVEL_INFO, NULL, "o", "anew");
    tf_close(client);
    for (int fd = 3; fd < 32; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return 2; /* we closed one of the application's */
    return r != 0;
}

static void closing_all_descriptors_does_no_harm(void **state) {
    assert_int_equal(in_child(daemonize_badly, *state), 0);
    struct drain drain;
    assert_int_equal(drain_once(((struct fixture *)*state)->runtime_dir, true, &drain), 3);
    drain_finish(&drain);
}

/* --- signals --- */

static tf_client *handler_client;
static volatile sig_atomic_t handled;

static void log_in_handler(int number) {
    TF_LOG_TO(handler_client, TF_LEVEL_WARN, "signal", "signal %d of %s", number, "a timer");
    tf_log(handler_client, TF_LEVEL_WARN, NULL, "signal", "plain");
    handled++;
}

/* Each "loop" entry carries the number after the one before, each other what the handler wrote: nothing was mixed up. */
static void assert_unmixed(const struct drain *drain, int *next) {
    static const char loop[] = "\"operation\":\"loop\",\"message\":\"";
    for (const char *line = drain->lines.data; *line; line = strchr(line, '\n') + 1) {
        const char *found = memmem(line, (size_t)(strchr(line, '\n') - line), loop, strlen(loop));
        if (!found)
            continue;
        char *behind;
        assert_int_equal(strtol(found + strlen(loop), &behind, 10), (*next)++);
        assert_int_equal(*behind, '"');
    }
    assert_int_equal(drain_count(drain, "\"message\":\"signal 14 of a timer\"") +
                         drain_count(drain, "\"message\":\"plain\"") + drain_count(drain, loop),
                     drain->entries);
}

static void a_handler_may_log_in_the_middle_of_a_log_call(void **state) {
    struct fixture *fixture = *state;
    handler_client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_prepare(handler_client), 0);
    handled = 0;
    struct sigaction action = { .sa_handler = log_in_handler, .sa_flags = SA_RESTART }, before;
    sigaction(SIGALRM, &action, &before);
    const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    setitimer(ITIMER_REAL, &often, NULL);
    unsigned read = 0, written = 0, overflow = 0;
    int next = 0;
    for (int round = 0; round < 3000 && (round < 100 || overflow == 0 || handled < 100); round++) {
        for (int i = 0; i < 300; i++, written++)
            TF_LOG_TO(handler_client, TF_LEVEL_INFO, "loop", "%d", (int)written);
        read += drain_read(&drain, true);
        assert_unmixed(&drain, &next);
        overflow += drain.in_overflow;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    read += drain_read(&drain, true);
    assert_unmixed(&drain, &next);
    assert_true(overflow > 0); /* some did come in the middle */
    assert_int_equal(read + fixture_lost(handler_client), written + 2 * (unsigned)handled);
    assert_int_equal(drain.lost_total, fixture_lost(handler_client));
    drain_close(&drain);
    tf_close(handler_client);
}

static void a_nested_call_leaves_the_outer_one_s_memory_alone(void **state) {
    struct fixture *fixture = *state;
    handler_client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_prepare(handler_client), 0);
    struct sigaction action = { .sa_handler = log_in_handler }, before;
    sigaction(SIGALRM, &action, &before);
    struct call call;
    assert_true(call_enter(&call)); /* from here to call_leave stands for any moment inside a log call */
    strcpy(call.scratch.message, "captured arguments");
    struct thread_lane *lane = thread_lane_find(&call, handler_client);
    uint64_t position, head = atomic_load(&lane->writer.header->head);
    assert_non_null(lane_claim(&lane->writer, 64, LEVEL_INFO, &position));
    raise(SIGALRM);
    assert_string_equal(call.scratch.message, "captured arguments");
    assert_int_equal(atomic_load(&lane->writer.header->head), head);
    registry_lock(); /* nor does it wait for a lock that its own thread holds */
    raise(SIGALRM);
    registry_unlock();
    call_leave();
    sigaction(SIGALRM, &before, NULL);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 4);
    assert_int_equal(drain.in_overflow, 4);
    drain_finish(&drain);
    tf_close(handler_client);
}

/* A signal in the middle of the making of a thread's memory (the linker puts this in the way: meson.build). */
static _Thread_local bool interrupted;

void *__real_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    if (interrupted) {
        interrupted = false;
        raise(SIGALRM);
    }
    return __real_mmap64(address, size, protection, flags, fd, offset);
}

static void *begin_with_a_context(void *unused) {
    (void)unused;
    interrupted = true;
    assert_int_equal(tf_context_set("the first call", NULL, NULL), 0);
    assert_int_equal(tf_log(handler_client, TF_LEVEL_INFO, NULL, "o", "behind"), 0);
    return NULL;
}

static void a_handler_in_a_thread_s_first_call_makes_no_second_memory(void **state) {
    struct fixture *fixture = *state;
    handler_client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct sigaction action = { .sa_handler = log_in_handler }, before;
    sigaction(SIGALRM, &action, &before);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, begin_with_a_context, NULL), 0);
    pthread_join(thread, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(lanes_owned(fixture), 0);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 3);
    assert_int_equal(drain.in_overflow, 2);
    assert_int_equal(drain_count(&drain, "\"message\":\"behind\",\"trace_id\":\"the first call\""), 1);
    drain_finish(&drain);
    tf_close(handler_client);
}

/* --- the default client --- */

static int use_the_default_client(void *argument) {
    struct fixture *fixture = argument;
    setenv("TASKFORGE_RUNTIME_DIR", fixture->runtime_dir, 1);
    TF_INFO("begin", "made at the first use: %d", 1);
    if (tf_default_open("other", NULL) != -EBUSY)
        return 2;
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    if (drain.entries != 1 || drain_count(&drain, "\"service\":\"test_client_process\"") != 1)
        return 3;
    return 0;
}

static void the_default_client_takes_the_program_s_name(void **state) {
    assert_int_equal(in_child(use_the_default_client, *state), 0);
}

static int open_the_default_client(void *argument) {
    struct fixture *fixture = argument;
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    options.min_level = TF_LEVEL_WARN;
    if (tf_default_open("named", &options) != 0)
        return 1;
    TF_INFO("begin", "not wanted");
    TF_ERROR("begin", "wanted");
    int r = tf_log(NULL, TF_LEVEL_ERROR, "m", "o", "also");
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    return r != 0 || drain.entries != 2 || drain_count(&drain, "\"service\":\"named\"") != 2;
}

static void the_default_client_may_be_opened_with_a_name(void **state) {
    assert_int_equal(in_child(open_the_default_client, *state), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(threads_write_side_by_side),
        fixture_test(a_thread_that_ends_releases_its_lane),
        fixture_test(close_lets_go_of_other_threads_lanes),
        fixture_test(one_thread_may_use_more_clients_than_it_keeps_lanes_for),
        fixture_test(parent_and_child_both_go_on),
        fixture_test(a_child_s_first_record_keeps_to_the_threshold),
        fixture_test(parent_and_child_make_different_ids),
        fixture_test(fork_while_other_threads_log),
        fixture_test(a_child_may_close_what_its_parent_uses),
        fixture_test(closing_all_descriptors_does_no_harm),
        fixture_test(a_handler_may_log_in_the_middle_of_a_log_call),
        fixture_test(a_nested_call_leaves_the_outer_one_s_memory_alone),
        fixture_test(a_handler_in_a_thread_s_first_call_makes_no_second_memory),
        fixture_test(the_default_client_takes_the_program_s_name),
        fixture_test(the_default_client_may_be_opened_with_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
