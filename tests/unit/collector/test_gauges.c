/* Gauges with a rule for several processes: what the living have set, whoever dies, whatever is discarded or begun anew. */
#include "tests/unit/collector/fold_fixture.h"

enum { PROCESSES = 3 };

struct many {
    struct setup setup;
    struct slot_claim claims[PROCESSES];
    uint32_t places[PROCESSES];
};

static void register_in(struct many *many, int process, enum metric_combine rule, const char *name) {
    struct metric_definition definition = { .kind = METRIC_GAUGE, .combine = (uint8_t)rule, .name = text_of(name) };
    assert_int_equal(
        slot_metric_add(&many->setup.producer, &many->claims[process], &definition, &many->places[process]), 0);
}

static struct slot *slot_of(struct many *many, int process) {
    struct collector_ring *ring = many->setup.rings.items[0];
    rings_slots_count(ring);
    rings_slot_refresh(&many->setup.rings, ring, many->claims[process].index);
    return &ring->slots[many->claims[process].index];
}

static void open_many(const struct ring_fixture *f, struct many *many, enum metric_combine rule) {
    setup_open(f, &many->setup);
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(ring_slot_claim(&many->setup.producer, TEXT_LITERAL("app"), 0, &many->claims[i]), 0);
        register_in(many, i, rule, "depth");
        assert_true(slot_of(many, i)->known);
    }
}

static void set(struct many *many, int process, double value, uint64_t time_ns) {
    slot_gauge_set(many->claims[process].slot, many->places[process], value, time_ns);
}

static double shown(const struct ring_fixture *f) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    bool there = look(f, "taskforge_depth_gauge", &sample) && !sample.hidden;
    double value = there ? sample.value : -1000;
    segment_sample_finish(&sample);
    return value;
}
#define NOTHING (-1000.0)

static void the_sum_is_of_those_that_live(void **state) {
    struct many many;
    open_many(*state, &many, METRIC_COMBINE_SUM);
    commit(&many.setup);
    assert_true(shown(*state) == NOTHING); /* nobody has set it */
    assert_false(cells_are_waiting(&many.setup.rings));
    set(&many, 0, 1, 10);
    set(&many, 1, 20, 11);
    assert_true(cells_are_waiting(&many.setup.rings));
    commit(&many.setup);
    assert_true(shown(*state) == 21);
    set(&many, 2, 300, 12);
    set(&many, 0, 2, 12);
    discard(&many.setup);
    assert_true(shown(*state) == 21);
    assert_true(gauges_are_due(&many.setup.fold.gauges)); /* what was read waits for the next batch */
    commit(&many.setup);
    assert_true(shown(*state) == 322);
    assert_false(gauges_are_due(&many.setup.fold.gauges));
    setup_close(&many.setup);
}

static void values_leave_with_their_process(void **state) {
    struct many many;
    open_many(*state, &many, METRIC_COMBINE_SUM);
    for (int i = 0; i < PROCESSES; i++)
        set(&many, i, 1 << i, 10);
    commit(&many.setup);
    assert_true(shown(*state) == 7);
    slot_of(&many, 1)->ending = true; /* noticed, not given back yet */
    assert_true(cells_are_waiting(&many.setup.rings));
    assert_true(cells_are_unfolded(&many.setup.rings, many.setup.rings.items[0], many.claims[1].index));
    commit(&many.setup);
    assert_true(shown(*state) == 5);
    assert_false(cells_are_unfolded(&many.setup.rings, many.setup.rings.items[0], many.claims[1].index));
    slot_forget(slot_of(&many, 0)); /* ... or given back at once */
    assert_true(gauges_are_due(&many.setup.fold.gauges));
    slot_of(&many, 0)->ending = true; /* (here it is still there) */
    commit(&many.setup);
    assert_true(shown(*state) == 4);
    slot_of(&many, 2)->ending = true;
    commit(&many.setup);
    assert_true(shown(*state) == NOTHING);
    slot_of(&many, 2)->ending = false; /* somebody else sets it again */
    commit(&many.setup);
    assert_true(shown(*state) == 4);
    setup_close(&many.setup);
}

static void a_cell_that_was_left_does_not_count(void **state) {
    struct many many;
    open_many(*state, &many, METRIC_COMBINE_SUM);
    set(&many, 0, 5, 10);
    set(&many, 1, 6, 10);
    commit(&many.setup);
    slot_gauge_leave(many.claims[0].slot, many.places[0]);
    assert_true(cells_are_waiting(&many.setup.rings));
    commit(&many.setup);
    assert_true(shown(*state) == 6);
    setup_close(&many.setup);
}

static void the_least_and_the_greatest_pass_over_nan(void **state) {
    static const struct {
        enum metric_combine rule;
        double all, without_first, with_infinity;
    } cases[] = { { METRIC_COMBINE_MIN, -3, -3, -INFINITY }, { METRIC_COMBINE_MAX, 8, -3, -3 } };
    for (size_t i = 0; i < 2; i++) {
        struct many many;
        open_many(*state, &many, cases[i].rule);
        set(&many, 0, 8, 10);
        set(&many, 1, NAN, 10);
        set(&many, 2, -3, 10);
        commit(&many.setup);
        assert_true(shown(*state) == cases[i].all);
        slot_of(&many, 0)->ending = true;
        commit(&many.setup);
        assert_true(shown(*state) == cases[i].without_first);
        set(&many, 1, -INFINITY, 11);
        commit(&many.setup);
        assert_true(shown(*state) == cases[i].with_infinity);
        set(&many, 1, NAN, 12);
        slot_of(&many, 2)->ending = true;
        commit(&many.setup);
        assert_true(isnan(shown(*state)));
        setup_close(&many.setup);
        fixture_teardown(state);
        fixture_setup(state);
    }
}

static void a_sum_with_nan_is_nan(void **state) {
    struct many many;
    open_many(*state, &many, METRIC_COMBINE_SUM);
    set(&many, 0, INFINITY, 10);
    set(&many, 1, 1, 10);
    commit(&many.setup);
    assert_true(shown(*state) == INFINITY);
    set(&many, 2, -INFINITY, 10);
    commit(&many.setup);
    assert_true(isnan(shown(*state)));
    set(&many, 2, 1, 11);
    set(&many, 0, 2, 11);
    commit(&many.setup);
    assert_true(shown(*state) == 4); /* nothing of it stays */
    setup_close(&many.setup);
}

static void is_right_again_after_a_restart(void **state) {
    struct many many;
    open_many(*state, &many, METRIC_COMBINE_SUM);
    for (int i = 0; i < PROCESSES; i++)
        set(&many, i, 1 << i, 10);
    commit(&many.setup);
    finish_fold(&many.setup); /* the collector is killed; the first process ends, the second sets another value */
    slot_gauge_leave(many.claims[0].slot, many.places[0]);
    set(&many, 1, 10, 20);
    setup_fold(*state, &many.setup);
    assert_true(shown(*state) == 7); /* as it was, until the cells have been read */
    assert_true(gauges_are_due(&many.setup.fold.gauges));
    commit(&many.setup);
    assert_true(shown(*state) == 14);
    finish_fold(&many.setup); /* and now all are gone, as after a reboot */
    for (int i = 0; i < PROCESSES; i++)
        slot_gauge_leave(many.claims[i].slot, many.places[i]);
    setup_fold(*state, &many.setup);
    commit(&many.setup);
    assert_true(shown(*state) == NOTHING);
    finish_fold(&many.setup);
    setup_fold(*state, &many.setup);
    commit(&many.setup);
    assert_true(shown(*state) == NOTHING);
    set(&many, 2, 3, 30);
    commit(&many.setup);
    assert_true(shown(*state) == 3);
    setup_close(&many.setup);
}

static void an_absent_one_becomes_stale_and_is_forgotten(void **state) {
    struct many many;
    const uint64_t hour = 3600 * CLOCK_SECOND;
    open_many(*state, &many, METRIC_COMBINE_SUM);
    fold_set_limits(&many.setup.fold, &(struct fold_limits) { 1000, 1000, hour });
    set(&many, 0, 5, 10);
    commit(&many.setup);
    fold_maintain(&many.setup.fold, 2 * hour, 1);
    assert_true(shown(*state) == 5); /* its process lives */
    for (int i = 0; i < PROCESSES; i++)
        ring_slot_release(&many.setup.producer, &many.claims[i], false);
    for (int i = 0; i < PROCESSES; i++)
        slot_forget(slot_of(&many, i));
    assert_true(gauges_are_due(&many.setup.fold.gauges));
    fold_maintain(&many.setup.fold, 2 * hour, 1); /* stale before it is absent */
    assert_true(shown(*state) == NOTHING);
    commit(&many.setup);
    assert_true(shown(*state) == NOTHING);
    assert_int_equal(many.setup.fold.table.count, 1);
    fold_maintain(&many.setup.fold, 1000 * 24 * hour, 1);
    assert_int_equal(many.setup.fold.table.count, 0);
    assert_null(many.setup.fold.gauges.all);
    commit(&many.setup);
    setup_close(&many.setup);
}

static void one_name_has_one_rule(void **state) {
    struct many many;
    struct error error = { "" };
    open_many(*state, &many, METRIC_COMBINE_SUM);
    set(&many, 0, 5, 10);
    commit(&many.setup);
    update(&many.setup, METRIC_GAUGE, METRIC_SET, "depth", 9, 20); /* by name it is the last that holds */
    assert_int_equal(many.setup.fold.refused[FOLD_REFUSED_COLLISION], 1);
    assert_string_equal(
        many.setup.fold.tellings[0].text,
        "metric depth is refused: the gauge depth has the rule \"sum\" already and cannot have \"last\" "
        "(by name it is \"last\")");
    assert_int_equal(fold_judge(&many.setup.fold, METRIC_GAUGE, METRIC_NAMING_APP, TEXT_LITERAL("depth"), &error),
                     -EEXIST);
    char room[METRIC_LABELS_BYTES];
    struct metric_label label = { TEXT_LITERAL("queue"), TEXT_LITERAL("mail") };
    struct metric_definition other = { .kind = METRIC_GAUGE,
                                       .combine = METRIC_COMBINE_MAX,
                                       .name = TEXT_LITERAL("depth") };
    assert_int_equal(metric_labels_pack(&label, 1, room, &other.labels, NULL), 0);
    assert_null(fold_series(&many.setup.fold, &other, 20, &many.setup.batch)); /* other labels, the same name */
    assert_int_equal(many.setup.fold.refused[FOLD_REFUSED_COLLISION], 2);
    commit(&many.setup);
    assert_true(shown(*state) == 5);
    setup_close(&many.setup);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_sum_is_of_those_that_live, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(values_leave_with_their_process, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_cell_that_was_left_does_not_count, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_least_and_the_greatest_pass_over_nan, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_sum_with_nan_is_nan, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(is_right_again_after_a_restart, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_absent_one_becomes_stale_and_is_forgotten, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(one_name_has_one_rule, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
