/* Metrics of taskforge.h: what stands in the ring after a call, and what is refused. */
#include "tests/unit/client/metrics_fixture.h"

#include "agent/client/metrics.h"

/* --- by name --- */

static void an_update_by_name_is_a_record(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    const struct tf_label two[] = { { "queue", "mail" }, { "a", "\"b\"" }, { "none", "" } };
    assert_int_equal(tf_metric_count(client, "n_jobs", 2.5, two, 3), 0);
    assert_int_equal(tf_metric_set(client, "n_depth", -1, NULL, 0), 0);
    assert_int_equal(tf_metric_add(client, "n_depth", 4, NULL, 0), 0);
    assert_int_equal(tf_context_set("trace-1", NULL, NULL), 0);
    assert_int_equal(tf_metric_observe(client, "n_size", 1e9, mail, 1), 0);
    assert_int_equal(tf_metric_time(client, "n_work", 0.25, NULL, 0), 0);
    assert_int_equal(tf_metric_set(client, "n_depth", INFINITY, NULL, 0), 0);
    tf_context_clear();
    struct drain drain = look(*state);
    assert_string_equal(drain.updates.data, "counter app add n_jobs{a=\"\"b\"\",queue=\"mail\"} 2.5 \n"
                                            "gauge app set n_depth{} -1 \n"
                                            "gauge app add n_depth{} 4 \n"
                                            "histogram app add n_size{queue=\"mail\"} 1000000000 trace-1\n"
                                            "timer app add n_work{} 0.25 trace-1\n"
                                            "gauge app set n_depth{} inf \n");
    assert_string_equal(drain.cells.data, "");
    drain_finish(&drain);
    tf_close(client);
}

static void what_breaks_a_rule_by_name_is_refused(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    static char long_name[METRIC_NAME_BYTES + 2];
    memset(long_name, 'n', sizeof(long_name) - 1);
    const struct tf_label le = { "le", "1" }, reserved = { "__name__", "x" };
    const struct tf_label twice[] = { { "a", "1" }, { "a", "2" } }, unnamed = { NULL, "x" }, bad = { "l", "\xff" };
    REFUSED(tf_metric_count(client, "r_jobs", -1, NULL, 0), -EINVAL, "counter r_jobs cannot grow by -1");
    REFUSED(tf_metric_count(client, "r_jobs", NAN, NULL, 0), -EINVAL, "counter r_jobs cannot grow by ");
    REFUSED(tf_metric_count(client, "r_jobs", INFINITY, NULL, 0), -EINVAL, "counter r_jobs cannot grow by inf");
    REFUSED(tf_metric_observe(client, "r_size", NAN, NULL, 0), -EINVAL, "histogram r_size takes no NaN");
    REFUSED(tf_metric_time(client, "r_work", -0.5, NULL, 0), -EINVAL, "timer r_work takes no duration below 0");
    REFUSED(tf_metric_time(client, "r_work", NAN, NULL, 0), -EINVAL, "timer r_work takes no NaN");
    REFUSED(tf_metric_add(client, "r_depth", NAN, NULL, 0), -EINVAL, "gauge r_depth takes no NaN");
    REFUSED(tf_metric_count(client, "", 1, NULL, 0), -EINVAL, "name must have 1 to 200 bytes");
    REFUSED(tf_metric_count(client, NULL, 1, NULL, 0), -EINVAL, "name must have 1 to 200 bytes");
    REFUSED(tf_metric_count(client, long_name, 1, NULL, 0), -EINVAL, "has 201");
    REFUSED(tf_metric_count(client, "1st", 1, NULL, 0), -EINVAL, "no digit first");
    REFUSED(tf_metric_count(client, "r_jobs", 1, &le, 1), -EINVAL, "must not be called le");
    REFUSED(tf_metric_count(client, "r_jobs", 1, &reserved, 1), -EINVAL, "no \"__\" first");
    REFUSED(tf_metric_count(client, "r_jobs", 1, twice, 2), -EINVAL, "label a is given twice");
    REFUSED(tf_metric_count(client, "r_jobs", 1, &unnamed, 1), -EINVAL, "label 1 must have a name and a value");
    REFUSED(tf_metric_count(client, "r_jobs", 1, &bad, 1), -EINVAL, "must be UTF-8");
    struct drain drain = look(*state);
    assert_int_equal(drain.update_count, 0);
    assert_int_equal(fixture_lost(client), 0);
    drain_finish(&drain);
    tf_close(client);
}

/* Their number, the length of one, the bytes of all: nothing of a total is lost for that. */
static void labels_beyond_the_limits_go_to_the_overflow_series(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    static char long_value[METRIC_LABEL_VALUE_BYTES + 2];
    memset(long_value, 'v', sizeof(long_value) - 1);
    const struct tf_label large = { "l", long_value };
    struct tf_label many[METRIC_LABELS_MAX + 1], wide[5];
    char names[METRIC_LABELS_MAX + 1][8];
    for (int i = 0; i <= METRIC_LABELS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i & 0xff);
        many[i] = (struct tf_label) { names[i], "x" };
    }
    assert_int_equal(tf_metric_count(client, "o_jobs", 1, &large, 1), 0);
    assert_int_equal(tf_metric_count(client, "o_jobs", 1, many, METRIC_LABELS_MAX + 1), 0);
    long_value[METRIC_LABEL_VALUE_BYTES] = '\0';
    for (int i = 0; i < 5; i++)
        wide[i] = (struct tf_label) { names[i], long_value };
    assert_int_equal(tf_metric_count(client, "o_jobs", 1, wide, 5), 0);
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "o_jobs");
    tf_metric *metric;
    definition.labels = many;
    definition.label_count = METRIC_LABELS_MAX + 1;
    assert_int_equal(tf_metric_register(client, &definition, &metric), 0);
    tf_counter_add(metric, 4);
    struct drain drain = look(*state);
    assert_int_equal(drain.update_count, 3);
    assert_string_equal(drain.updates.data, "counter app add o_jobs{overflow=\"true\"} 1 \n"
                                            "counter app add o_jobs{overflow=\"true\"} 1 \n"
                                            "counter app add o_jobs{overflow=\"true\"} 1 \n");
    assert_string_equal(drain.cells.data, "counter app o_jobs{overflow=\"true\"} 4\n");
    drain_finish(&drain);
    tf_close(client);
}

static void one_name_has_one_kind(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0), *other = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_metric_definition gauge = TF_METRIC_INIT(TF_GAUGE, "k_jobs"), counter = TF_METRIC_INIT(TF_COUNTER, "");
    tf_metric *metric = NULL;
    assert_int_equal(tf_metric_count(client, "k_jobs", 1, NULL, 0), 0);
    REFUSED(tf_metric_set(client, "k_jobs", 1, NULL, 0), -EEXIST,
            "k_jobs is a counter already and cannot be a gauge too");
    REFUSED(tf_metric_set(client, "k_jobs", 1, mail, 1), -EEXIST,
            "k_jobs is a counter already"); /* told again and again */
    REFUSED(tf_metric_time(other, "k_jobs", 1, NULL, 0), -EEXIST,
            "k_jobs is a counter already and cannot be a timer too");
    REFUSED(tf_metric_register(other, &gauge, &metric), -EEXIST, "k_jobs is a counter already");
    assert_null(metric);
    assert_int_equal(tf_metric_count(client, "k_jobs_total", 1, NULL, 0), 0); /* the same on /metrics */
    assert_ptr_equal(handle(client, TF_TIMER, "k_work_seconds"), handle(client, TF_TIMER, "k_work"));
    struct drain drain = look(*state);
    assert_string_equal(drain.updates.data, "counter app add k_jobs{} 1 \ncounter app add k_jobs{} 1 \n");
    drain_finish(&drain);
    REFUSED(tf_metric_observe(client, "k_work", 1, NULL, 0), -EEXIST, "k_work is a timer already");
    /* other names that would be one on /metrics */
    assert_int_equal(tf_metric_observe(client, "k_size", 1, NULL, 0), 0);
    REFUSED(tf_metric_count(client, "k_size_count", 1, NULL, 0), -EEXIST, "would collide");
    counter.name = "k_size_bucket";
    REFUSED(tf_metric_register(client, &counter, &metric), -EEXIST, "would collide");
    assert_int_equal(tf_metric_set(client, "k_size_count", 1, NULL, 0), 0); /* taskforge_k_size_count_gauge */
    tf_close(client);
    tf_close(other);
}

static void an_update_without_room_is_counted_as_lost(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    unsigned written = 0;
    while (tf_metric_count(client, "l_jobs", 0.5, mail, 1) == 0) /* no fraction goes into a cell */
        written++;
    REFUSED(tf_metric_count(client, "l_jobs", 1, mail, 1), -EAGAIN, "lane is full for level info");
    struct drain drain = look(fixture);
    assert_int_equal(drain.update_count, written);
    assert_int_equal(drain.lost_total, 2);
    assert_int_equal(drain.lost[LOSS_LANE_FULL][LEVEL_INFO], 2);
    assert_int_equal(fixture_lost(client), 2);
    drain_finish(&drain);
    tf_close(client);
}

/* --- by handle --- */

static void an_update_by_handle_is_a_cell(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "h_jobs");
    tf_metric *jobs, *depth, *size, *work;
    definition.labels = mail;
    definition.label_count = 1;
    assert_int_equal(tf_metric_register(client, &definition, &jobs), 0);
    depth = handle(client, TF_GAUGE, "h_depth");
    size = handle(client, TF_HISTOGRAM, "h_size");
    work = handle(client, TF_TIMER, "h_work");
    assert_cells(*state, "counter app h_jobs{queue=\"mail\"} 0\ngauge app h_depth{} never\n"
                         "histogram app h_size{} 0 0\ntimer app h_work{} 0 0\n");
    assert_int_equal(tf_counter_add(jobs, 2), 0);
    assert_int_equal(tf_counter_add(jobs, 1), 0);
    assert_int_equal(tf_counter_add(jobs, 0), 0);
    assert_int_equal(tf_gauge_set(depth, 7), 0);
    assert_int_equal(tf_gauge_add(depth, -2.5), 0);
    assert_int_equal(tf_histogram_observe(size, 100), 0);
    assert_int_equal(tf_histogram_observe(size, -1), 0);
    assert_int_equal(tf_timer_observe(work, 0.5), 0);
    uint64_t start = tf_timer_start();
    assert_int_equal(tf_timer_stop(work, start), 0);
    assert_int_equal(tf_timer_stop(work, start + 3600 * CLOCK_SECOND), 0); /* a clock that was asked elsewhere: 0 */
    struct drain drain = look(*state);
    assert_contains(drain.cells.data, "counter app h_jobs{queue=\"mail\"} 3\ngauge app h_depth{} 4.5\n"
                                      "histogram app h_size{} 2 99\ntimer app h_work{} 3 0.5");
    assert_int_equal(drain.update_count, 0);
    drain_finish(&drain);
    assert_true(own(jobs) == 3 && own(depth) == 4.5);
    assert_own_spread(size, 2, 99);
    assert_int_equal(tf_gauge_set(depth, NAN), 0);
    assert_true(isnan(own(depth)));
    tf_close(client);
}

static void the_definition_travels_with_the_series(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    static const double bounds[] = { 1, 10, 100 };
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_HISTOGRAM, "d_size");
    struct slot_metrics_view view = SLOT_METRICS_VIEW_EMPTY;
    struct metric_definition read;
    struct drain drain;
    tf_metric *metric, *again;
    double values[METRIC_BOUNDS_MAX];
    definition.unit = "bytes";
    definition.help = "how large";
    definition.bounds = bounds;
    definition.bound_count = 3;
    assert_int_equal(tf_metric_register(client, &definition, &metric), 0);
    definition.help = "the first help holds";
    assert_int_equal(tf_metric_register(client, &definition, &again), 0);
    assert_ptr_equal(metric, again);
    drain_open(&drain, fixture->runtime_dir);
    assert_int_equal(ring_reader_metrics(&drain.ring, 0, &view), 0);
    assert_int_equal(view.count, 1);
    assert_int_equal(slot_metrics_definition(&view, 0, &read), 0);
    assert_true(text_is(read.unit, "bytes") && text_is(read.help, "how large"));
    assert_int_equal(metric_bounds_read(read.bounds, values), 3);
    assert_true(values[2] == 100);
    slot_metrics_view_finish(&view);
    drain_close(&drain);
    tf_close(client);
}

static void what_breaks_a_rule_by_handle_is_refused(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    static const double descending[] = { 2, 1 };
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "b_jobs");
    struct tf_metric_value value;
    tf_metric *metric, *gauge = handle(client, TF_GAUGE, "b_depth"), *timer = handle(client, TF_TIMER, "b_work");
    assert_int_equal(tf_metric_register(client, &definition, &metric), 0);
    REFUSED(tf_counter_add(metric, -1), -EINVAL, "counter b_jobs cannot go down");
    REFUSED(tf_gauge_set(metric, 1), -EINVAL, "b_jobs is a counter, not a gauge");
    REFUSED(tf_gauge_add(gauge, NAN), -EINVAL, "gauge b_depth cannot change by NaN");
    REFUSED(tf_gauge_add(timer, 1), -EINVAL, "b_work is a timer, not a gauge");
    REFUSED(tf_counter_add(gauge, 1), -EINVAL, "b_depth is a gauge, not a counter");
    REFUSED(tf_histogram_observe(timer, 1), -EINVAL, "b_work is a timer, not a histogram");
    REFUSED(tf_timer_observe(timer, NAN), -EINVAL, "timer b_work takes no NaN");
    REFUSED(tf_timer_observe(timer, -1), -EINVAL, "timer b_work takes no duration below 0");
    REFUSED(tf_counter_add(NULL, 1), -EINVAL, "the metric is NULL");
    REFUSED(tf_metric_get_own(NULL, &value, sizeof(value)), -EINVAL, "the metric is NULL");
    REFUSED(tf_metric_get_own(gauge, &value, 1), -EINVAL, "sizeof(struct tf_metric_value)");
    REFUSED(tf_metric_register(client, NULL, &metric), -EINVAL, "TF_METRIC_INIT");
    definition.bounds = descending;
    definition.bound_count = 2;
    REFUSED(tf_metric_register(client, &definition, &metric), -EINVAL, "ascending");
    definition.bounds = descending + 1;
    definition.bound_count = 1;
    REFUSED(tf_metric_register(client, &definition, &metric), -EINVAL, "bounds are for histograms and timers; b_jobs");
    definition.bound_count = 0;
    definition.unit = "no unit";
    REFUSED(tf_metric_register(client, &definition, &metric), -EINVAL, "the unit of metric b_jobs");
    definition.kind = 7;
    REFUSED(tf_metric_register(client, &definition, &metric), -EINVAL, "kind must be TF_COUNTER to TF_TIMER, is 7");
    tf_close(client);
}

static void a_gauge_has_one_rule(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_metric_definition sum = TF_METRIC_INIT(TF_GAUGE, "u_depth"), last = sum, counter = sum;
    struct { /* as a program built without `combine` has it */
        struct tf_metric_definition definition;
    } old = { TF_METRIC_INIT(TF_GAUGE, "u_level") };
    tf_metric *metric, *other;
    sum.combine = TF_COMBINE_SUM;
    sum.labels = mail;
    sum.label_count = 1;
    assert_int_equal(tf_metric_register(client, &sum, &metric), 0);
    REFUSED(tf_metric_register(client, &last, &other), -EEXIST,
            "the gauge u_depth has the rule \"sum\" already and cannot have \"last\"");
    REFUSED(tf_metric_set(client, "u_depth", 1, mail, 1), -EEXIST, "u_depth has the rule \"sum\" already");
    assert_int_equal(tf_metric_set(client, "u_named", 1, NULL, 0), 0);
    sum.name = "u_named";
    REFUSED(tf_metric_register(client, &sum, &other), -EEXIST, "u_named has the rule \"last\" already");
    sum.combine = 4;
    REFUSED(tf_metric_register(client, &sum, &other), -EINVAL, "rule must be TF_COMBINE_LAST to TF_COMBINE_MAX, is 4");
    counter.name = "u_jobs";
    counter.kind = TF_COUNTER;
    counter.combine = TF_COMBINE_MAX;
    REFUSED(tf_metric_register(client, &counter, &other), -EINVAL, "the rule of metric u_jobs");
    old.definition.size = offsetof(struct tf_metric_definition, combine);
    old.definition.combine = 77;
    assert_int_equal(tf_metric_register(client, &old.definition, &other), 0);
    assert_int_equal(other->definition.combine, METRIC_COMBINE_LAST);
    old.definition.size--;
    REFUSED(tf_metric_register(client, &old.definition, &other), -EINVAL, "TF_METRIC_INIT");
    tf_close(client);
}

/* The cell has the observation; the record only says in which trace it was made, and does not come again soon. */
static void an_observation_in_a_trace_sends_an_exemplar(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    tf_metric *size = handle(client, TF_HISTOGRAM, "e_size"), *work = handle(client, TF_TIMER, "e_work");
    char long_id[66] = { 0 };
    assert_int_equal(tf_histogram_observe(size, 3), 0); /* in no trace */
    assert_int_equal(tf_context_set("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tf_histogram_observe(size, 3), 0);
    assert_int_equal(tf_histogram_observe(size, 3.5), 0); /* the same octave */
    assert_int_equal(tf_histogram_observe(size, 300), 0); /* another one */
    assert_int_equal(tf_histogram_observe(size, 0), 0);
    assert_int_equal(tf_histogram_observe(size, -7), 0); /* with 0 */
    REFUSED(tf_histogram_observe(size, NAN), -EINVAL, "takes no NaN");
    assert_int_equal(tf_context_set("job 17", NULL, NULL), 0);
    assert_int_equal(tf_timer_observe(work, 0.25), 0);
    memset(long_id, 'x', sizeof(long_id) - 1);
    assert_int_equal(tf_context_set(long_id, NULL, NULL), 0);
    assert_int_equal(tf_timer_stop(work, tf_timer_start()), 0); /* longer than an exemplar may be */
    tf_context_clear();
    assert_int_equal(tf_timer_observe(work, 64), 0);
    struct drain drain = look(*state);
    assert_string_equal(drain.updates.data, "histogram app exemplar e_size{} 3 4bf92f3577b34da6a3ce929d0e0e4736\n"
                                            "histogram app exemplar e_size{} 300 4bf92f3577b34da6a3ce929d0e0e4736\n"
                                            "histogram app exemplar e_size{} 0 4bf92f3577b34da6a3ce929d0e0e4736\n"
                                            "timer app exemplar e_work{} 0.25 job 17\n");
    assert_contains(drain.cells.data, "histogram app e_size{} 8 ");
    assert_int_equal(fixture_lost(client), 0);
    drain_finish(&drain);
    assert_int_equal(tf_context_set("job 18", NULL, NULL), 0);
    for (int octave = 0; octave < EXEMPLAR_PLACES; octave++)
        if (atomic_load(&work->exemplar_ms[octave]) > 0)
            atomic_fetch_sub(&work->exemplar_ms[octave], 1000); /* as if a second had passed */
    assert_int_equal(tf_timer_observe(work, 0.25), 0);
    drain = look(*state);
    assert_string_equal(drain.updates.data, "timer app exemplar e_work{} 0.25 job 18\n");
    drain_finish(&drain);
    tf_context_clear();
    tf_close(client);
}

static int way_is_closed_in_child(void *argument) {
    tf_metric *const *metrics = argument;
    if (metrics[0]->head.counter || metrics[2]->slot)
        return 1;
    tf_counter_add(metrics[0], 1);
    tf_histogram_observe(metrics[2], 2);
    return !metrics[0]->head.counter || !metrics[2]->slot;
}

/* An update opens the way straight to the cell. What is refused otherwise is refused there, too; a child's is its own. */
static void the_quick_way_takes_what_the_ordinary_takes(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    tf_metric *metrics[4];
    register_all(client, metrics);
    assert_null(metrics[0]->head.counter);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tf_counter_add(metrics[0], 2), 0);
        assert_int_equal(tf_histogram_observe(metrics[2], 3), 0);
        assert_int_equal(tf_timer_observe(metrics[3], 0.5), 0);
        assert_non_null(metrics[0]->head.counter);
        assert_non_null(metrics[2]->slot);
        assert_non_null(metrics[3]->slot);
        REFUSED(tf_counter_add(metrics[0], -1), -EINVAL, "counter c_jobs cannot go down");
        REFUSED(tf_counter_add(metrics[2], 1), -EINVAL, "c_size is a histogram, not a counter");
        REFUSED(tf_counter_add(NULL, 1), -EINVAL, "the metric is NULL");
        REFUSED(tf_histogram_observe(metrics[0], 1), -EINVAL, "c_jobs is a counter, not a histogram");
        REFUSED(tf_histogram_observe(metrics[3], 1), -EINVAL, "c_work is a timer, not a histogram");
        REFUSED(tf_timer_observe(metrics[2], 1), -EINVAL, "c_size is a histogram, not a timer");
        REFUSED(tf_histogram_observe(metrics[2], NAN), -EINVAL, "takes no NaN");
        REFUSED(tf_timer_observe(metrics[3], -1), -EINVAL, "takes no duration below 0");
        assert_int_equal(tf_histogram_observe(metrics[2], -7), 0); /* of histograms any number is one */
        assert_int_equal(tf_histogram_observe(metrics[2], INFINITY), 0);
    }
    assert_int_equal(in_child(way_is_closed_in_child, metrics), 0);
    assert_non_null(metrics[0]->head.counter); /* the parent's goes on */
    assert_int_equal(tf_counter_add(metrics[0], 1), 0);
    assert_cells(fixture, "counter app c_jobs{} 7\ngauge app c_depth{} never\nhistogram app c_size{} 9 inf\n"
                          "timer app c_work{} 3 1.5\ncounter app c_jobs{} 1\nhistogram app c_size{} 1 2\n");
    tf_close(client);
}

static void a_slot_with_metrics_waits_for_the_collector(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    tf_metric *metric = handle(client, TF_COUNTER, "w_jobs");
    assert_int_equal(tf_counter_add(metric, 5), 0);
    tf_close(client);
    assert_cells(fixture, "counter app w_jobs{} 5\n"); /* of a closed slot */
    client = fixture_open(fixture, TF_POLICY_DROP, 0); /* which nobody else gets */
    handle(client, TF_COUNTER, "w_more");
    assert_cells(fixture, "counter app w_jobs{} 5\ncounter app w_more{} 0\n");
    tf_close(client);
}

static void a_thread_with_metrics_alone_takes_no_lane(void **state) {
    struct fixture *fixture = *state;
    struct drain drain;
    struct lane_state lane;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    tf_metric *metric = handle(client, TF_COUNTER, "t_jobs");
    assert_int_equal(tf_counter_add(metric, 5), 0);
    drain_open(&drain, fixture->runtime_dir);
    for (uint32_t i = 0; i < drain.ring.lane_count; i++)
        assert_true(ring_reader_lane(&drain.ring, i, &lane) == 0 && lane.owner == 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "now it needs one"), 0);
    assert_int_equal(ring_reader_lane(&drain.ring, drain.ring.overflow_count, &lane), 0);
    assert_int_not_equal(lane.owner, 0);
    assert_int_equal(tf_counter_add(metric, 1), 0);
    drain_close(&drain);
    assert_cells(fixture, "counter app t_jobs{} 6\n");
    tf_close(client);
}

static void statistics_are_gauges(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    assert_int_equal(tf_queue_stats(client, 5, 4, 1), 0);
    assert_int_equal(tf_worker_stats(client, 9, 6, 2, 1), 0);
    assert_int_equal(tf_job_stats(client, 100, 10, 20, 65, 5), 0);
    assert_int_equal(tf_queue_stats(client, 6, 4, 2), 0);
    assert_cells(*state, "gauge prefixed queue_count{state=\"total\"} 6\n"
                         "gauge prefixed queue_count{state=\"active\"} 4\n"
                         "gauge prefixed queue_count{state=\"paused\"} 2\n"
                         "gauge prefixed worker_count{state=\"total\"} 9\n"
                         "gauge prefixed worker_count{state=\"online\"} 6\n"
                         "gauge prefixed worker_count{state=\"offline\"} 2\n"
                         "gauge prefixed worker_count{state=\"draining\"} 1\n"
                         "gauge prefixed job_count{state=\"total\"} 100\n"
                         "gauge prefixed job_count{state=\"pending\"} 10\n"
                         "gauge prefixed job_count{state=\"processing\"} 20\n"
                         "gauge prefixed job_count{state=\"succeeded\"} 65\n"
                         "gauge prefixed job_count{state=\"failed\"} 5\n");
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(an_update_by_name_is_a_record),
        fixture_test(what_breaks_a_rule_by_name_is_refused),
        fixture_test(labels_beyond_the_limits_go_to_the_overflow_series),
        fixture_test(one_name_has_one_kind),
        fixture_test(an_update_without_room_is_counted_as_lost),
        fixture_test(an_update_by_handle_is_a_cell),
        fixture_test(the_definition_travels_with_the_series),
        fixture_test(what_breaks_a_rule_by_handle_is_refused),
        fixture_test(a_gauge_has_one_rule),
        fixture_test(an_observation_in_a_trace_sends_an_exemplar),
        fixture_test(the_quick_way_takes_what_the_ordinary_takes),
        fixture_test(a_slot_with_metrics_waits_for_the_collector),
        fixture_test(a_thread_with_metrics_alone_takes_no_lane),
        fixture_test(statistics_are_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
