/* Series by name that are hot get a cell: records and cells together are every update, once. */
#include "tests/unit/client/metrics_fixture.h"

#include <unistd.h>

#include "agent/client/metric_memo.h"
#include "agent/client/metric_promote.h"
#include "agent/client/metrics.h"

enum { MANY = 3 * METRIC_HOT_UPDATES };

/* The sum of what stands behind this in each of the lines that begin with it. */
static double sum_behind(const struct buffer *lines, const char *begin) {
    double sum = 0;
    for (const char *line = lines->data; line && *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, begin, strlen(begin)) == 0)
            sum += strtod(line + strlen(begin), NULL);
    return sum;
}

/* What is in cells and in records of a counter that counts by 1. */
static double in_cells(const struct drain *drain) {
    return sum_behind(&drain->cells, "counter app p_jobs{queue=\"mail\"} ");
}
static double in_records(const struct drain *drain) {
    return sum_behind(&drain->updates, "counter app add p_jobs{queue=\"mail\"} ");
}

static void count(tf_client *client, int times) {
    for (int i = 0; i < times; i++)
        assert_int_equal(tf_metric_count(client, "p_jobs", 1, mail, 1), 0);
}

static void assert_counted(const struct fixture *fixture, double records, double cells) {
    struct drain drain = look(fixture);
    assert_true(in_records(&drain) == records);
    assert_true(in_cells(&drain) == cells);
    drain_finish(&drain);
}

static void a_hot_series_goes_to_a_cell(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    count(client, METRIC_HOT_UPDATES);
    assert_counted(*state, METRIC_HOT_UPDATES, 0);
    count(client, MANY);
    assert_counted(*state, 0, MANY);
    tf_close(client);
}

static void each_kind_that_adds_up_does(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    double depth = 0;
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(tf_metric_observe(client, "p_size", 1 + i % 4, mail, 1), 0);
        assert_int_equal(tf_metric_time(client, "p_work", i % 2, NULL, 0), 0);
    }
    struct drain drain = look(*state);
    assert_contains(drain.cells.data, "histogram app p_size{queue=\"mail\"} 2000 5000\n");
    assert_contains(drain.cells.data, "timer app p_work{} 2000 1000\n");
    assert_int_equal(drain.update_count, 2 * METRIC_HOT_UPDATES);
    drain_finish(&drain);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(tf_metric_set(client, "p_depth", ++depth, NULL, 0), 0);
        assert_int_equal(tf_metric_count(client, "p_seconds", 0.5, NULL, 0), 0);
    }
    drain = look(*state); /* order matters to gauges, and fractions go into no cell */
    assert_null(strstr(drain.cells.data, "p_depth"));
    assert_null(strstr(drain.cells.data, "p_seconds"));
    drain_finish(&drain);
    tf_close(client);
}

static void whole_numbers_and_fractions_add_up(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    static const double odd[] = { 0, 0.5, 1e18, 0x1p40, 3, -0.0, 1e-300, 1e300 };
    double records = 0, cells = 0;
    count(client, METRIC_HOT_UPDATES + 1);
    assert_counted(*state, METRIC_HOT_UPDATES, 1);
    for (int turn = 0; turn < 50; turn++)
        for (size_t i = 0; i < COUNT_OF(odd); i++) {
            bool whole = odd[i] <= 0x1p53 && odd[i] == floor(odd[i]);
            assert_int_equal(tf_metric_count(client, "p_jobs", odd[i], mail, 1), 0);
            *(whole ? &cells : &records) += odd[i];
        }
    struct drain drain = look(*state);
    assert_true(fabs(in_records(&drain) / records - 1) < 1e-12 && in_cells(&drain) == cells + 1);
    assert_true(tf_metric_count(client, "p_jobs", -1, mail, 1) == -EINVAL);
    assert_true(tf_metric_count(client, "p_jobs", NAN, mail, 1) == -EINVAL);
    assert_true(tf_metric_count(client, "p_jobs", INFINITY, mail, 1) == -EINVAL);
    drain_finish(&drain);
    tf_close(client);
}

static void a_series_that_is_updated_now_and_then_does_not(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    for (int turn = 0; turn < 3; turn++) {
        count(client, METRIC_HOT_UPDATES / 2);
        for (int i = 0; i < MEMO_COUNT; i++)
            thread_self->memos[i].since_ns -= METRIC_HOT_NS; /* as if it had been so long ago */
        count(client, METRIC_HOT_UPDATES / 2);
        assert_counted(*state, METRIC_HOT_UPDATES, 0);
    }
    tf_close(client);
}

static void nothing_is_lost_without_room_in_the_ring(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    count(client, METRIC_HOT_UPDATES + 1);
    while (tf_metric_count(client, "p_other", 0.5, NULL, 0) == 0)
        ;
    count(client, MANY);
    assert_counted(*state, METRIC_HOT_UPDATES, MANY + 1);
    tf_close(client);
}

/* More of them than a thread remembers: they are counted all the same. */
static void many_hot_series_go_to_cells(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    enum { SERIES = 2 * MEMO_COUNT, TURNS = METRIC_HOT_UPDATES * 5 / 4 };
    static char values[SERIES][16];
    struct drain drain;
    double records = 0;
    for (int i = 0; i < SERIES; i++)
        snprintf(values[i], sizeof(values[i]), "v%d", i);
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < SERIES; i++) {
            const struct tf_label label = { "n", values[i] };
            assert_int_equal(tf_metric_count(client, "p_many", 1, &label, 1), 0);
        }
        if (turn % 20 == 0) {
            drain = look(*state);
            records += drain.update_count;
            drain_finish(&drain);
        }
    }
    drain = look(*state);
    double cells = 0;
    for (const char *at = drain.cells.data; (at = strstr(at, "\"} ")); at++)
        cells += strtod(at + 3, NULL);
    assert_true(records + drain.update_count + cells == (double)SERIES * TURNS);
    assert_true(cells > SERIES * TURNS / 10); /* those that share a place of the heats count each other down */
    drain_finish(&drain);
    tf_close(client);
}

static void half_of_the_series_are_for_handles(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    char name[20];
    for (int i = 0; i < SLOT_METRICS_MAX / 2; i++) {
        snprintf(name, sizeof(name), "p_handle%d", i);
        handle(client, TF_COUNTER, name);
    }
    count(client, METRIC_HOT_UPDATES + 1);
    assert_counted(*state, METRIC_HOT_UPDATES + 1, 0);
    tf_close(client);
}

static void half_of_the_chunks_are_for_handles(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    for (int i = 0; i < METRIC_HOT_UPDATES; i++)
        assert_int_equal(tf_metric_observe(client, "p_size", 1, NULL, 0), 0);
    struct drain drain = look(*state);
    drain_finish(&drain);
    tf_metric *wide = handle(client, TF_HISTOGRAM, "p_wide");
    for (int turn = 0; turn < 2; turn++)
        for (int octave = -30; octave < 50; octave++)
            assert_int_equal(tf_histogram_observe(wide, ldexp(1.5, octave)), 0);
    static const char *const more[] = { "p_size", "p_size2" };
    for (int octave = -30; octave < 49; octave++) /* two octaves are known, others may come until half is full */
        for (size_t i = 0; i < COUNT_OF(more); i++)
            assert_int_equal(tf_metric_observe(client, more[i], ldexp(1.5, octave), NULL, 0), 0);
    struct ring_slot *slot = client->session->claim.slot;
    uint64_t marks = atomic_load(&slot->metric_marks);
    assert_true((uint32_t)marks + (marks >> 32) * SLOT_METRIC_CHUNK_SIZE <= RING_SLOT_METRICS_SIZE / 2);
    drain = look(*state);
    unsigned by_name = 0;
    for (const char *at = drain.updates.data; (at = strstr(at, "p_size{}")); at++)
        by_name++;
    const char *cell = strstr(drain.cells.data, "histogram app p_size{} ");
    assert_non_null(cell);
    assert_int_equal(by_name + strtoul(cell + strlen("histogram app p_size{} "), NULL, 10), 79);
    assert_true(by_name > 0);
    drain_finish(&drain);
    tf_close(client);
}

static void a_handle_of_the_same_series_is_another(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "p_jobs");
    tf_metric *jobs, *same;
    definition.labels = mail;
    definition.label_count = 1;
    count(client, METRIC_HOT_UPDATES + 5);
    assert_int_equal(tf_metric_register(client, &definition, &jobs), 0);
    assert_int_equal(tf_metric_register(client, &definition, &same), 0);
    assert_ptr_equal(jobs, same);
    assert_true(own(jobs) == 0); /* what went by name is not in it */
    assert_int_equal(tf_counter_add(jobs, 7), 0);
    assert_true(own(jobs) == 7);
    assert_counted(*state, METRIC_HOT_UPDATES, 12);
    tf_close(client);
}

static void each_client_has_its_own(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    for (int turn = 0; turn < 4; turn++) { /* one may stand where one stood that is gone */
        tf_client *other = fixture_open(*state, TF_POLICY_DROP, 0);
        count(client, MANY);
        count(other, turn % 2 ? 10 : MANY);
        count(client, 10);
        tf_close(other);
    }
    struct drain drain = look(*state);
    assert_true(in_records(&drain) + in_cells(&drain) >= 4 * (MANY + 10)); /* a closed slot's cells go with it */
    drain_finish(&drain);
    tf_close(client);
}

static int count_in_child(void *client) {
    for (int i = 0; i < 10; i++)
        if (tf_metric_count(client, "p_jobs", 1, mail, 1) != 0)
            return 1;
    return 0;
}

static void a_child_counts_in_its_own_cell(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    count(client, METRIC_HOT_UPDATES + 100);
    assert_int_equal(in_child(count_in_child, client), 0);
    count(client, 1);
    assert_counted(*state, METRIC_HOT_UPDATES, 111);
    tf_close(client);
}

static void a_cell_moves_to_the_new_ring(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct drain old;
    char path[192];
    count(client, METRIC_HOT_UPDATES + 100);
    drain_open(&old, fixture->runtime_dir);
    assert_int_equal(ring_reader_retire(&old.ring, true), 0);
    snprintf(path, sizeof(path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    assert_int_equal(unlink(path), 0);
    count(client, 50);
    drain_read(&old, true);
    assert_true(in_records(&old) == METRIC_HOT_UPDATES && in_cells(&old) == 100);
    drain_close(&old);
    assert_counted(fixture, 0, 50);
    tf_close(client);
}

static void the_trace_goes_along_now_and_then(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_context context = { .has = 0 };
    char trace[33] = "";
    assert_int_equal(tf_context_new_trace(&context), 0);
    assert_int_equal(tf_context_use(&context), 0);
    text_hex(context.trace_id, 16, trace);
    count(client, METRIC_HOT_UPDATES);
    struct drain drain = look(*state);
    drain_finish(&drain);
    count(client, MANY);
    drain = look(*state);
    assert_in_range(drain.update_count, 1, 30); /* one a second */
    assert_contains(drain.updates.data, trace);
    assert_true(in_records(&drain) + in_cells(&drain) == MANY);
    drain_finish(&drain);
    tf_context_clear();
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(a_hot_series_goes_to_a_cell),
        fixture_test(each_kind_that_adds_up_does),
        fixture_test(whole_numbers_and_fractions_add_up),
        fixture_test(a_series_that_is_updated_now_and_then_does_not),
        fixture_test(nothing_is_lost_without_room_in_the_ring),
        fixture_test(many_hot_series_go_to_cells),
        fixture_test(half_of_the_series_are_for_handles),
        fixture_test(half_of_the_chunks_are_for_handles),
        fixture_test(a_handle_of_the_same_series_is_another),
        fixture_test(each_client_has_its_own),
        fixture_test(a_child_counts_in_its_own_cell),
        fixture_test(a_cell_moves_to_the_new_ring),
        fixture_test(the_trace_goes_along_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
