/* A daemon's metrics of itself, as a collector would find them. */
#include "tests/unit/client/metrics_fixture.h"

#include "agent/client/daemon_metrics.h"
#include "common/base/process_stat.h"

struct world {
    struct fixture *fixture;
    struct producer *producer;
    struct daemon_metrics *metrics;
};

static struct world begin(void **state) {
    struct world world = { .fixture = *state };
    struct error error = { "" };
    assert_int_equal(producer_open(world.fixture->runtime_dir, "taskforge-agent", &world.producer, &error), 0);
    assert_int_equal(daemon_metrics_create(world.producer, "taskforge-agent", &world.metrics, &error), 0);
    return world;
}

static void end(struct world *world) {
    daemon_metrics_destroy(world->metrics);
    producer_close(world->producer);
}

/* Some line of the cells is, or begins with, this one. */
static bool has_cell(const struct world *world, const char *line) {
    struct drain drain = look(world->fixture);
    bool found = strstr(drain.cells.data, line) != NULL;
    drain_finish(&drain);
    return found;
}

static void says_which_program_runs_since_when(void **state) {
    struct world world = begin(state);
    char start[128];
    assert_true(has_cell(&world, "gauge prefixed build_info{program=\"taskforge-agent\",version=\"" TASKFORGE_VERSION
                                 "\"} 1\n"));
    snprintf(start, sizeof(start), "gauge prefixed process_start_time_seconds{program=\"taskforge-agent\"} %.0f",
             floor(process_start_seconds() / 100)); /* its first digits */
    assert_true(has_cell(&world, start));
    end(&world);
}

static void counts_by_label_set_from_zero(void **state) {
    struct world world = begin(state);
    daemon_metrics_count(world.metrics, OWN_INPUT_LINES, "app", NULL, 0);
    assert_true(has_cell(&world, "counter prefixed input_lines_total{input=\"app\"} 0\n"));
    for (int i = 0; i < 3; i++) {
        daemon_metrics_count(world.metrics, OWN_INPUT_LINES, "app", NULL, 2);
        daemon_metrics_count(world.metrics, OWN_INPUT_LINES, "journal", NULL, 5);
        daemon_metrics_count(world.metrics, OWN_INPUT_REPAIRED, "app", "utf8", 1);
        daemon_metrics_count(world.metrics, OWN_INPUT_REPAIRED, "app", "cut", 7);
    }
    daemon_metrics_count(world.metrics, OWN_INPUT_REPAIRED, "app", "utf8", 1); /* out of turn */
    assert_true(has_cell(&world, "counter prefixed input_lines_total{input=\"app\"} 6\n"));
    assert_true(has_cell(&world, "counter prefixed input_lines_total{input=\"journal\"} 15\n"));
    assert_true(has_cell(&world, "counter prefixed input_repaired_total{input=\"app\",reason=\"utf8\"} 4\n"));
    assert_true(has_cell(&world, "counter prefixed input_repaired_total{input=\"app\",reason=\"cut\"} 21\n"));
    end(&world);
}

static void counts_of_structs_are_told_by_their_growth(void **state) {
    (void)state;
    uint64_t told = 0;
    assert_int_equal(daemon_metrics_grown(&told, 5), 5);
    assert_int_equal(daemon_metrics_grown(&told, 5), 0);
    assert_int_equal(daemon_metrics_grown(&told, UINT64_MAX), UINT64_MAX - 5);
    assert_int_equal(told, UINT64_MAX);
}

/* An own cell of the client says when a gauge was set last; here another's value stands for that: it stays. */
static void a_gauge_that_has_not_changed_is_not_written_again(void **state) {
    struct world world = begin(state);
    struct tf_metric *handle = daemon_metrics_handle(world.metrics, OWN_ALERTER_RULES, NULL, NULL);
    daemon_metrics_set(world.metrics, OWN_ALERTER_RULES, NULL, NULL, 3);
    assert_true(own(handle) == 3);
    tf_gauge_set(handle, 99);
    daemon_metrics_set(world.metrics, OWN_ALERTER_RULES, NULL, NULL, 3);
    assert_true(own(handle) == 99);
    daemon_metrics_set(world.metrics, OWN_ALERTER_RULES, NULL, NULL, 0);
    assert_true(own(handle) == 0);
    end(&world);
}

static void zero_is_told_too(void **state) {
    struct world world = begin(state);
    daemon_metrics_set(world.metrics, OWN_ALERTER_ALERTS, "active", NULL, 0);
    assert_true(has_cell(&world, "gauge prefixed alerter_alerts{state=\"active\"} 0\n"));
    end(&world);
}

static void handles_are_for_any_thread(void **state) {
    struct world world = begin(state);
    struct tf_metric *handle = daemon_metrics_handle(world.metrics, OWN_ALERTER_TIME, NULL, NULL);
    assert_ptr_equal(daemon_metrics_handle(world.metrics, OWN_ALERTER_TIME, NULL, NULL), handle);
    assert_int_equal(tf_timer_observe(handle, 0.5), 0);
    assert_int_equal(tf_timer_observe(handle, 1), 0);
    assert_true(has_cell(&world, "timer prefixed alerter_evaluation_seconds{} 2 1.5\n"));
    end(&world);
}

static void what_cannot_be_registered_is_left_out(void **state) {
    struct world world = begin(state);
    assert_null(daemon_metrics_handle(world.metrics, OWN_INPUT_LINES, "\xff", NULL));
    daemon_metrics_count(world.metrics, OWN_INPUT_LINES, "\xff", NULL, 1);
    daemon_metrics_set(world.metrics, OWN_PROCESS_FILES, "\xff", NULL, 1);
    daemon_metrics_count(world.metrics, OWN_INPUT_LINES, "app", NULL, 1);
    assert_true(has_cell(&world, "counter prefixed input_lines_total{input=\"app\"} 1\n"));
    end(&world);
}

/* The seconds of all updates by name of the process's time. */
static double cpu_told(const struct world *world, unsigned *ret_updates) {
    static const char update[] = "counter prefixed add process_cpu_seconds_total{program=\"taskforge-agent\"} ";
    struct drain drain = look(world->fixture);
    double sum = 0;
    *ret_updates = drain_count(&drain, "process_cpu_seconds_total");
    for (const char *at = drain.updates.data; at && (at = strstr(at, update)); at += sizeof(update) - 1)
        sum += strtod(at + sizeof(update) - 1, NULL);
    drain_finish(&drain);
    return sum;
}

static void burn(double seconds) {
    struct process_usage before, now;
    assert_int_equal(process_usage_read(&before), 0);
    do
        assert_int_equal(process_usage_read(&now), 0);
    while (now.cpu_seconds < before.cpu_seconds + seconds);
}

static void tells_what_the_process_uses_each_ten_seconds(void **state) {
    struct world world = begin(state);
    struct process_usage usage;
    unsigned updates;
    uint64_t now_ns = clock_monotonic_ns();
    clock_set_for_test(now_ns);
    daemon_metrics_tell_usage(world.metrics);
    clock_set_for_test(now_ns + DAEMON_METRICS_USAGE_NS - 1);
    burn(0.02);
    daemon_metrics_tell_usage(world.metrics); /* too early */
    clock_set_for_test(0);
    assert_int_equal(process_usage_read(&usage), 0);
    double first = cpu_told(&world, &updates);
    assert_true(first > 0 && first <= usage.cpu_seconds - 0.02);
    assert_true(has_cell(&world, "gauge prefixed process_resident_memory_bytes{program=\"taskforge-agent\"} "));
    assert_true(has_cell(&world, "gauge prefixed process_open_fds{program=\"taskforge-agent\"} "));
    clock_set_for_test(now_ns + DAEMON_METRICS_USAGE_NS);
    daemon_metrics_tell_usage(world.metrics);
    clock_set_for_test(0);
    double second = cpu_told(&world, &updates);
    assert_true(second >= 0.02); /* what is new, alone */
    assert_int_equal(process_usage_read(&usage), 0);
    assert_true(first + second <= usage.cpu_seconds);
    end(&world);
}

static void the_end_tells_the_rest_of_the_processor_time(void **state) {
    struct world world = begin(state);
    unsigned updates;
    daemon_metrics_tell_usage(world.metrics);
    double told = cpu_told(&world, &updates);
    burn(0.02);
    daemon_metrics_destroy(world.metrics);
    assert_true(told > 0 && cpu_told(&world, &updates) >= 0.02);
    producer_close(world.producer);
    daemon_metrics_destroy(NULL);
}

static void processor_time_waits_for_a_ring(void **state) {
    struct fixture *fixture = *state;
    struct error error = { "" };
    struct world world = { .fixture = fixture };
    unsigned updates;
    char kept[sizeof(fixture->runtime_dir) + 8];
    snprintf(kept, sizeof(kept), "%s.away", fixture->runtime_dir);
    assert_int_equal(rename(fixture->runtime_dir, kept), 0);
    fclose(fopen(fixture->runtime_dir, "w")); /* no folder: no ring */
    assert_int_equal(producer_open(fixture->runtime_dir, "taskforge-agent", &world.producer, &error), 0);
    assert_int_equal(daemon_metrics_create(world.producer, "taskforge-agent", &world.metrics, &error), 0);
    daemon_metrics_count(world.metrics, OWN_INPUT_LINES, "app", NULL, 3);
    daemon_metrics_tell_usage(world.metrics);
    assert_int_equal(unlink(fixture->runtime_dir), 0);
    assert_int_equal(rename(kept, fixture->runtime_dir), 0);
    uint64_t now_ns = clock_monotonic_ns();
    clock_set_for_test(now_ns + DAEMON_METRICS_USAGE_NS);
    daemon_metrics_tell_usage(world.metrics);
    clock_set_for_test(0);
    struct process_usage usage;
    assert_int_equal(process_usage_read(&usage), 0);
    double told = cpu_told(&world, &updates);
    assert_true(told > usage.cpu_seconds / 2 && told <= usage.cpu_seconds); /* all since the process began */
    assert_true(has_cell(&world, "counter prefixed input_lines_total{input=\"app\"} 3\n"));
    end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(says_which_program_runs_since_when),
        fixture_test(counts_by_label_set_from_zero),
        fixture_test(counts_of_structs_are_told_by_their_growth),
        fixture_test(a_gauge_that_has_not_changed_is_not_written_again),
        fixture_test(zero_is_told_too),
        fixture_test(handles_are_for_any_thread),
        fixture_test(what_cannot_be_registered_is_left_out),
        fixture_test(tells_what_the_process_uses_each_ten_seconds),
        fixture_test(the_end_tells_the_rest_of_the_processor_time),
        fixture_test(processor_time_waits_for_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
