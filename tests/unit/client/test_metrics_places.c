/* Metrics by handle where there is no slot, no room, another ring, another process, or a signal; and what an update costs. */
#include "tests/unit/client/metrics_fixture.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "agent/client/metrics.h"

/* --- no slot, no room --- */

/* A folder in the ring's place: nothing can be attached until it is gone. */
static void block_rings(const struct fixture *fixture, bool blocked) {
    char path[192];
    snprintf(path, sizeof(path), "%s/rings", fixture->runtime_dir);
    if (blocked)
        assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    else
        assert_int_equal(unlink(path), 0);
}

static tf_client *open_blocked(const struct fixture *fixture) {
    struct tf_options options = TF_OPTIONS_INIT;
    tf_client *client;
    options.runtime_dir = fixture->runtime_dir;
    block_rings(fixture, true);
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_string_not_equal(tf_last_error(), "");
    return client;
}

static void what_was_counted_before_there_was_a_ring_is_moved_once(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_blocked(fixture);
    tf_metric *metrics[4];
    register_all(client, metrics);
    update_all(metrics);
    update_all(metrics);
    assert_true(own(metrics[0]) == 6 && own(metrics[1]) == 2.5);
    block_rings(fixture, false);
    atomic_store(&client->retry_ns, 0); /* as if a second had passed */
    assert_int_equal(tf_counter_add(metrics[0], 1), 0);
    static const char expected[] = "counter app c_jobs{} 7\ngauge app c_depth{} 2.5\n"
                                   "histogram app c_size{} 32 10509.453125\ntimer app c_work{} 2 0\n";
    assert_cells(fixture, expected);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tf_counter_add(metrics[0], 0), 0);
    assert_cells(fixture, expected);
    assert_own_spread(metrics[2], 32, 10509.453125);
    assert_true(own(metrics[0]) == 7 && own(metrics[1]) == 2.5);
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static void closing_tells_what_was_still_waiting(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_blocked(fixture);
    tf_metric *metrics[4];
    register_all(client, metrics);
    update_all(metrics);
    block_rings(fixture, false);
    tf_close(client);
    struct drain drain = look(fixture);
    assert_contains(drain.cells.data, "counter app c_jobs{} 3\ngauge app c_depth{} 2.5\nhistogram app c_size{} 16 ");
    drain_finish(&drain);
}

/* One that does not fit where a small one still would. */
static tf_metric *large_handle(tf_client *client, int kind, const char *name) {
    static char help[METRIC_HELP_BYTES + 1];
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric;
    memset(help, 'h', sizeof(help) - 1);
    definition.help = help;
    assert_int_equal(tf_metric_register(client, &definition, &metric), 0);
    return metric;
}

/* More histograms than a slot holds: those without a place, and octaves without a chunk, go by name with their exact values. */
static void what_has_no_room_in_the_slot_goes_by_name(void **state) {
    struct fixture *fixture = *state;
    enum { HISTOGRAMS = 700 };
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    static tf_metric *metrics[HISTOGRAMS];
    char name[20];
    for (int i = 0; i < HISTOGRAMS; i++) {
        snprintf(name, sizeof(name), "f_size%d", i);
        metrics[i] = handle(client, TF_HISTOGRAM, name);
    }
    tf_metric *jobs = large_handle(client, TF_COUNTER, "f_jobs"), *depth = large_handle(client, TF_GAUGE, "f_depth");
    for (int i = 0; i < HISTOGRAMS; i++)
        assert_int_equal(tf_histogram_observe(metrics[i], 3.125 + i), 0);
    assert_int_equal(tf_counter_add(jobs, 3), 0);
    assert_int_equal(tf_gauge_set(depth, 8), 0);
    assert_int_equal(tf_gauge_add(depth, 1), 0);
    struct drain drain = look(fixture);
    assert_int_equal(drain.update_count, HISTOGRAMS + 3);
    assert_contains(drain.updates.data, "histogram app add f_size699{} 702.125 \n");
    assert_contains(drain.updates.data,
                    "counter app add f_jobs{} 3 \ngauge app set f_depth{} 8 \ngauge app set f_depth{} 9 \n");
    drain_finish(&drain);
    assert_own_spread(metrics[0], 1, 3.125);
    assert_own_spread(metrics[HISTOGRAMS - 1], 1, 2.125 + HISTOGRAMS);
    assert_true(own(jobs) == 3 && own(depth) == 9);
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static double sum_of_updates(const char *updates, const char *series, unsigned *count) {
    double sum = 0;
    *count = 0;
    for (const char *line = updates; *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, series, strlen(series)) == 0) {
            char *end;
            double value = strtod(line + strlen(series), &end);
            unsigned times = *end == 'x' ? (unsigned)strtoul(end + 1, NULL, 10) : 1;
            sum += value * times;
            *count += value > 0 ? times : 0;
        }
    return sum;
}

/* No slot for it and no room in any lane: counts wait in the process and come out, each once, when there is room. */
static void what_has_no_room_at_all_waits(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    char name[20];
    for (int i = 0; i < SLOT_METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "x_jobs%d", i);
        handle(client, TF_COUNTER, name);
    }
    tf_metric *jobs = handle(client, TF_COUNTER, "x_more"), *size = handle(client, TF_HISTOGRAM, "x_size");
    struct drain drain;
    unsigned count, all = 0;
    double sum = 0, observed = 0;
    drain_open(&drain, fixture->runtime_dir);
    while (tf_metric_count(client, "x_fill", 0.5, mail, 1) == 0)
        ;
    uint64_t lost = fixture_lost(client);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(tf_counter_add(jobs, 1), 0);
        assert_int_equal(tf_histogram_observe(size, 1.0 + i), 0);
        observed += 1.0 + i;
    }
    assert_true(own(jobs) == 200);
    assert_own_spread(size, 200, observed);
    assert_int_equal(fixture_lost(client), lost); /* nothing of this is lost */
    for (int round = 0; round < 100 && all < 200; round++) {
        drain_read(&drain, true);
        sum += sum_of_updates(drain.updates.data, "histogram app add x_size{} ", &count);
        all += count;
        usleep(METRIC_SETTLE_PAUSE_NS / 1000);
        if (round == 0)
            assert_int_equal(tf_counter_add(jobs, 1), 0);
        assert_int_equal(all < 200 ? tf_histogram_observe(size, 0) : 0, 0); /* a zero each: sums stay as they are */
    }
    drain_read(&drain, true);
    sum += sum_of_updates(drain.updates.data, "histogram app add x_size{} ", &count);
    assert_true(fabs(sum - observed) < 1e-9 * observed);
    drain_close(&drain);
    assert_true(own(jobs) == 201);
    tf_close(client);
}

static void without_memory_for_the_slot_s_pages_it_goes_by_name(void **state) {
    struct fixture *fixture = *state;
    if (geteuid() != 0 || mount("none", fixture->runtime_dir, "tmpfs", 0, "size=616k") < 0)
        skip();
    struct shared_settings settings;
    settings_read(fixture->runtime_dir, &settings);
    settings.ring_size = RING_SIZE_MIN;
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), 0);
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "takes the last pages"), 0);
    tf_metric *jobs = handle(client, TF_COUNTER, "m_jobs");
    handle(client, TF_COUNTER, "m_more");
    assert_int_equal(tf_counter_add(jobs, 3), 0);
    struct drain drain = look(fixture);
    assert_string_equal(drain.cells.data, "");
    assert_string_equal(drain.updates.data, "counter app add m_jobs{} 3 \n");
    drain_finish(&drain);
    tf_close(client);
    assert_int_equal(umount(fixture->runtime_dir), 0);
}

static void a_client_has_a_limit_of_handles(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "y_jobs");
    struct tf_label label = { "number", NULL };
    char number[16];
    tf_metric *metric;
    int r, registered = 0;
    definition.labels = &label;
    definition.label_count = 1;
    label.value = number;
    do {
        snprintf(number, sizeof(number), "%d", registered);
        r = tf_metric_register(client, &definition, &metric);
    } while (r == 0 && ++registered <= METRICS_MAX);
    assert_int_equal(registered, METRICS_MAX);
    assert_int_equal(r, -ENOSPC);
    assert_contains(tf_last_error(), "at most 4096 metrics by handle");
    assert_int_equal(tf_counter_add(metric, 1), 0);
    tf_close(client);
}

/* --- another ring --- */

static void handles_move_to_the_new_ring(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    tf_metric *metrics[4];
    struct drain old;
    char path[192];
    register_all(client, metrics);
    update_all(metrics);
    drain_open(&old, fixture->runtime_dir);
    assert_int_equal(ring_reader_retire(&old.ring, true), 0); /* set aside */
    snprintf(path, sizeof(path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tf_counter_add(metrics[0], 4), 0);
    assert_int_equal(tf_gauge_add(metrics[1], 1), 0);
    assert_int_equal(tf_histogram_observe(metrics[2], 1), 0);
    drain_read(&old, false);
    assert_contains(old.cells.data, "counter app c_jobs{} 3\ngauge app c_depth{} 2.5\nhistogram app c_size{} 16 ");
    drain_close(&old);
    struct drain drain = look(fixture);
    assert_string_equal(drain.cells.data, "counter app c_jobs{} 4\ngauge app c_depth{} 3.5\n"
                                          "histogram app c_size{} 1 1\ntimer app c_work{} 0 0\n");
    drain_finish(&drain);
    assert_true(own(metrics[0]) == 7 && own(metrics[1]) == 3.5);
    assert_own_spread(metrics[2], 17, 5255.7265625);
    tf_close(client);
}

static tf_metric *sum_handle(tf_client *client, const char *name, int expected) {
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_GAUGE, name);
    tf_metric *metric = NULL;
    definition.combine = TF_COMBINE_SUM;
    assert_int_equal(tf_metric_register(client, &definition, &metric), expected);
    return metric;
}

/* Or it would count in both, for as long as some thread holds a lane of the old one. */
static void a_gauge_with_a_rule_leaves_the_old_ring(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    tf_metric *gauge = sum_handle(client, "v_depth", 0);
    struct drain old;
    char path[192];
    assert_int_equal(tf_gauge_set(gauge, 4), 0);
    drain_open(&old, fixture->runtime_dir);
    assert_int_equal(ring_reader_retire(&old.ring, true), 0);
    snprintf(path, sizeof(path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tf_gauge_add(gauge, 1), 0);
    drain_read(&old, false);
    assert_string_equal(old.cells.data, "gauge app v_depth{} never\n");
    drain_close(&old);
    assert_cells(fixture, "gauge app v_depth{} 5\n");
    tf_close(client);
    assert_cells(fixture, "gauge app v_depth{} never\n");
}

/* Nobody would know when to take its value out again. */
static void a_gauge_with_a_rule_never_goes_by_name(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_blocked(fixture);
    tf_metric *early = sum_handle(client, "v_early", 0);
    assert_int_equal(tf_gauge_set(early, 3), 0);
    char name[20];
    for (int i = 0; i < SLOT_METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "v_jobs%d", i);
        handle(client, TF_COUNTER, name);
    }
    block_rings(fixture, false);
    atomic_store(&client->retry_ns, 0);
    assert_int_equal(tf_gauge_add(early, 1), 0); /* the first in the slot */
    sum_handle(client, "v_late", -ENOSPC);
    assert_contains(tf_last_error(), "no room in shared memory for the gauge v_late");
    sum_handle(client, "v_late", -ENOSPC);
    struct drain drain = look(fixture);
    assert_contains(drain.cells.data, "gauge app v_early{} 4\n");
    assert_int_equal(drain.update_count, 0);
    drain_finish(&drain);
    tf_close(client);
}

/* --- fork --- */

static tf_metric *forked[4];

static int count_in_child(void *argument) {
    (void)argument;
    struct tf_metric_value value;
    if (tf_metric_get_own(forked[0], &value, sizeof(value)) != 0 || value.value != 0)
        return 2;
    update_all(forked);
    tf_counter_add(forked[0], 100);
    return tf_metric_get_own(forked[0], &value, sizeof(value)) != 0 || value.value != 103;
}

static void a_child_counts_from_zero_in_its_own_slot(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    register_all(client, forked);
    handle(client, TF_COUNTER, "c_unused_in_the_child");
    update_all(forked);
    assert_int_equal(in_child(count_in_child, NULL), 0);
    assert_int_equal(tf_counter_add(forked[0], 10), 0);
    assert_cells(fixture, "counter app c_jobs{} 13\ngauge app c_depth{} 2.5\nhistogram app c_size{} 16 5254.7265625\n"
                          "timer app c_work{} 1 0\ncounter app c_unused_in_the_child{} 0\n"
                          "counter app c_jobs{} 103\ngauge app c_depth{} 2.5\nhistogram app c_size{} 16 5254.7265625\n"
                          "timer app c_work{} 1 0\n");
    assert_true(own(forked[0]) == 13);
    tf_close(client);
}

static int log_in_child(void *client) {
    return tf_log(client, TF_LEVEL_INFO, NULL, "o", "a child without metrics");
}

static void a_child_that_updates_none_pays_for_none(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    handle(client, TF_COUNTER, "p_jobs");
    assert_int_equal(in_child(log_in_child, client), 0);
    assert_cells(fixture, "counter app p_jobs{} 0\n");
    tf_close(client);
}

static int count_pending_in_child(void *argument) {
    struct fixture *fixture = argument;
    block_rings(fixture, false);
    tf_counter_add(forked[0], 1);
    tf_histogram_observe(forked[2], 5);
    return 0;
}

static void what_a_parent_has_waiting_is_not_the_child_s(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_blocked(fixture);
    register_all(client, forked);
    update_all(forked);
    assert_int_equal(in_child(count_pending_in_child, fixture), 0);
    assert_cells(fixture, "counter app c_jobs{} 1\nhistogram app c_size{} 1 5\n");
    tf_close(client);
}

/* --- cost --- */

static void forbid_system_calls(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 1, 0), /* where the machine has no clock in the vDSO */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = { COUNT_OF(filter), filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(77);
}

static int update_without_system_calls(void *argument) {
    tf_client *client = argument;
    tf_metric *metrics[4];
    register_all(client, metrics);
    update_all(metrics);
    struct tf_label labels[METRIC_LABELS_MAX];
    static char names[METRIC_LABELS_MAX][4];
    for (int i = 0; i < METRIC_LABELS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "l%d", METRIC_LABELS_MAX - i);
        labels[i] = (struct tf_label) { names[i], "value" };
    }
    if (tf_metric_count(client, "s_jobs", 1, labels, METRIC_LABELS_MAX) != 0)
        return 3;
    size_t before = mallinfo2().uordblks;
    forbid_system_calls();
    for (int i = 0; i < 500; i++) {
        update_all(metrics);
        if (tf_metric_count(client, "s_jobs", 1, labels, METRIC_LABELS_MAX) != 0)
            return 4;
    }
    return mallinfo2().uordblks != before;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* they make system calls of their own */
enum { SANITIZED = 1 };
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

static void after_the_first_use_an_update_makes_no_system_call_and_allocates_nothing(void **state) {
    if (SANITIZED)
        skip();
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    int r = in_child(update_without_system_calls, client);
    if (r == 77)
        skip();
    assert_int_equal(r, 0);
    tf_close(client);
}

/* --- signals --- */

static tf_metric *handled[4];
static volatile sig_atomic_t handler_calls;

static void count_in_handler(int number) {
    (void)number;
    tf_counter_add(handled[0], 1);
    tf_gauge_add(handled[1], 1);
    tf_histogram_observe(handled[2], 2);
    handler_calls++;
}

static void a_handler_may_update_at_any_moment(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    register_all(client, handled);
    tf_counter_add(handled[0], 1);
    handler_calls = 0;
    struct sigaction action = { .sa_handler = count_in_handler, .sa_flags = SA_RESTART }, before;
    sigaction(SIGALRM, &action, &before);
    const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    setitimer(ITIMER_REAL, &often, NULL);
    uint64_t updates = 1;
    for (int round = 0; round < 100000 && handler_calls < 500; round++)
        for (int i = 0; i < 100; i++, updates++) {
            tf_counter_add(handled[0], 1);
            tf_histogram_observe(handled[2], 2);
        }
    setitimer(ITIMER_REAL, &never, NULL);
    struct call call; /* and where the interrupted call is about to take, or has taken, the lock */
    assert_true(call_enter(&call));
    raise(SIGALRM);
    registry_lock();
    raise(SIGALRM);
    registry_unlock();
    call_leave();
    sigaction(SIGALRM, &before, NULL);
    assert_true(own(handled[0]) == (double)(updates + (uint64_t)handler_calls));
    assert_true(own(handled[1]) == handler_calls);
    assert_own_spread(handled[2], updates - 1 + (uint64_t)handler_calls,
                      2 * (double)(updates - 1 + (uint64_t)handler_calls));
    tf_close(client);
}

/* Between two sessions a handler finds no slot: it counts in the process, and the next call moves it. */
static void a_handler_between_sessions_loses_nothing(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    register_all(client, handled);
    update_all(handled);
    struct sigaction action = { .sa_handler = count_in_handler }, before;
    sigaction(SIGALRM, &action, &before);
    registry_lock();
    uint64_t session_id = atomic_exchange(&client->session_id, 0); /* as a session is left */
    for (int i = 0; i < 3; i++)
        metric_quick_close(handled[i]);
    raise(SIGALRM);
    atomic_store(&client->session_id, session_id);
    registry_unlock();
    sigaction(SIGALRM, &before, NULL);
    assert_true(own(handled[0]) == 4); /* with what waits */
    struct drain drain = look(fixture);
    assert_contains(drain.cells.data,
                    "counter app c_jobs{} 3\ngauge app c_depth{} 2.5\nhistogram app c_size{} 16 5254");
    drain_finish(&drain);
    for (int i = 0; i < 3; i++) {
        tf_counter_add(handled[0], 0);
        tf_gauge_add(handled[1], 0);
    }
    tf_histogram_observe(handled[2], 1);
    drain = look(fixture);
    assert_contains(drain.cells.data,
                    "counter app c_jobs{} 4\ngauge app c_depth{} 3.5\nhistogram app c_size{} 18 5257");
    drain_finish(&drain);
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(what_was_counted_before_there_was_a_ring_is_moved_once),
        fixture_test(closing_tells_what_was_still_waiting),
        fixture_test(what_has_no_room_in_the_slot_goes_by_name),
        fixture_test(what_has_no_room_at_all_waits),
        fixture_test(without_memory_for_the_slot_s_pages_it_goes_by_name),
        fixture_test(a_client_has_a_limit_of_handles),
        fixture_test(handles_move_to_the_new_ring),
        fixture_test(a_gauge_with_a_rule_leaves_the_old_ring),
        fixture_test(a_gauge_with_a_rule_never_goes_by_name),
        fixture_test(a_child_counts_from_zero_in_its_own_slot),
        fixture_test(a_child_that_updates_none_pays_for_none),
        fixture_test(what_a_parent_has_waiting_is_not_the_child_s),
        fixture_test(after_the_first_use_an_update_makes_no_system_call_and_allocates_nothing),
        fixture_test(a_handler_may_update_at_any_moment),
        fixture_test(a_handler_between_sessions_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
