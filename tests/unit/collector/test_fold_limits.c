/* More series than there may be go to overflow series with nothing lost; series without updates leave and come back. */
#include <stdlib.h>

#include "tests/unit/collector/fold_fixture.h"

#include "collector/limits.h"
#include "common/store/state_keys.h"

#define HOUR (3600 * CLOCK_SECOND)
static const struct text overflow = TEXT_INITIALIZER("\x81\xa8overflow\xa4true");

static struct text labels_of(int number, char room[METRIC_LABELS_BYTES]) {
    char value[16];
    struct metric_label label = { TEXT_LITERAL("n"), { value, (size_t)snprintf(value, sizeof(value), "%d", number) } };
    struct text packed;
    assert_int_equal(metric_labels_pack(&label, 1, room, &packed, NULL), 0);
    return packed;
}

static void update_at(struct setup *setup, enum metric_kind kind, const char *name, int label, double value,
                      uint64_t now_ns) {
    char room[METRIC_LABELS_BYTES];
    struct record_metric_update record = { .metric_kind = (uint8_t)kind,
                                           .operation = kind == METRIC_GAUGE ? METRIC_SET : METRIC_ADD,
                                           .value = value,
                                           .name = text_of(name),
                                           .labels = labels_of(label, room) };
    setup->fold.now_ns = now_ns;
    fold_update(&setup->fold, &record, now_ns, &setup->batch);
}

/* In the segment, of the series with that label's value (or the overflow series), not hidden. */
static double shown(const struct ring_fixture *f, const char *family, struct text labels, uint64_t *ret_count) {
    struct segment *segment;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct error error;
    double value = NAN;
    uint64_t after = 0;
    assert_int_equal(segment_open(f->runtime_dir, &segment, &error), 0);
    while (segment_next(segment, after, &sample) == 1) {
        after = sample.position;
        if (!text_is(sample.family, family) || sample.hidden || !text_equal(sample.definition.labels, labels))
            continue;
        value = sample.value;
        if (ret_count)
            *ret_count = histogram_count(&sample.histogram);
    }
    segment_sample_finish(&sample);
    segment_close(segment);
    return value;
}

static double shown_label(const struct ring_fixture *f, const char *family, int label) {
    char room[METRIC_LABELS_BYTES];
    return shown(f, family, labels_of(label, room), NULL);
}

static void updates_of_too_many_series_go_to_one(void **state) {
    struct setup setup;
    const struct fold_limits limits = { 1000, 3, 0 };
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    for (int i = 0; i < 5; i++) {
        update_at(&setup, METRIC_COUNTER, "jobs", i, 10, 10);
        update_at(&setup, METRIC_TIMER, "work", i, 0.5, 10);
        update_at(&setup, METRIC_GAUGE, "depth", i, i, 10 + (uint64_t)i);
    }
    discard(&setup); /* as if it had not been */
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 5; i++) {
            update_at(&setup, METRIC_COUNTER, "jobs", i, 10, 10);
            update_at(&setup, METRIC_TIMER, "work", i, 0.5, 10);
            update_at(&setup, METRIC_GAUGE, "depth", i, i, 10 + (uint64_t)i);
        }
    assert_int_equal(setup.fold.telling_count, 3);
    assert_string_equal(setup.fold.tellings[0].operation, "overflow");
    assert_string_equal(setup.fold.tellings[0].text,
                        "metric jobs has too many series: it has 3 series, as many as a metric may have "
                        "(collector.metrics.max_series_per_metric); updates of further ones go to its series "
                        "{overflow=\"true\"}");
    setup.fold.user = SHARES_SELF;
    fold_gather_overflow(&setup.fold, 10, &setup.batch);
    setup.fold.user = 0;
    commit(&setup);
    const struct ring_fixture *f = *state;
    uint64_t count = 0;
    assert_true(shown_label(f, "taskforge_jobs", 2) == 20);
    assert_true(isnan(shown_label(f, "taskforge_jobs", 3)));
    assert_true(shown(f, "taskforge_jobs", overflow, NULL) == 40);
    shown(f, "taskforge_work_seconds", overflow, &count);
    assert_int_equal(count, 4);
    assert_true(shown(f, "taskforge_depth_gauge", overflow, NULL) == 4);
    const struct metric_label label = { TEXT_LITERAL("metric"), TEXT_LITERAL("jobs") };
    char room[METRIC_LABELS_BYTES];
    struct text packed;
    assert_int_equal(metric_labels_pack(&label, 1, room, &packed, NULL), 0);
    assert_true(shown(f, "taskforge_metric_overflow", packed, NULL) == 4);
    assert_null(setup.fold.names.overflowing); /* all is told */
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_LIMIT], 0);
    setup_close(&setup);
}

static void labels_beyond_the_limits_are_told_of(void **state) {
    struct setup setup;
    setup_open(*state, &setup);
    struct record_metric_update record = { .metric_kind = METRIC_COUNTER,
                                           .operation = METRIC_ADD,
                                           .value = 3,
                                           .name = TEXT_LITERAL("jobs"),
                                           .labels = metric_overflow_labels };
    for (int i = 0; i < 2; i++) {
        setup.fold.now_ns = 10;
        fold_update(&setup.fold, &record, 10, &setup.batch);
    }
    assert_int_equal(setup.fold.telling_count, 1);
    assert_string_equal(setup.fold.tellings[0].text,
                        "metric jobs has labels beyond the limits: a series has at most 32 of 1024 bytes each, 4096 in "
                        "all; such updates go to its series {overflow=\"true\"}");
    setup.fold.user = SHARES_SELF;
    fold_gather_overflow(&setup.fold, 10, &setup.batch);
    commit(&setup);
    assert_true(shown(*state, "taskforge_jobs", overflow, NULL) == 6);
    const struct metric_label label = { TEXT_LITERAL("metric"), TEXT_LITERAL("jobs") };
    char room[METRIC_LABELS_BYTES];
    struct text packed;
    assert_int_equal(metric_labels_pack(&label, 1, room, &packed, NULL), 0);
    assert_true(shown(*state, "taskforge_metric_overflow", packed, NULL) == 2);
    setup_close(&setup);
}

/* Registered, then the limit is raised: from then on a handle of another process has a series of its own. */
static void handles_overflow_and_a_raised_limit_holds(void **state) {
    struct setup setup;
    struct fold_limits limits = { 1000, 1, 0 };
    char rooms[3][METRIC_LABELS_BYTES];
    uint32_t numbers[3];
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    for (int i = 0; i < 3; i++) {
        struct metric_definition definition = { .kind = METRIC_COUNTER,
                                                .name = TEXT_LITERAL("done"),
                                                .labels = labels_of(i, rooms[i]) };
        assert_int_equal(slot_metric_add(&setup.producer, &setup.claim, &definition, &numbers[i]), 0);
        slot_counter_add(setup.claim.slot, numbers[i], 5);
    }
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_done", 0) == 5);
    assert_true(shown(*state, "taskforge_done", overflow, NULL) == 10);
    limits.max_series_per_metric = 10;
    finish_fold(&setup);
    setup_fold(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    for (int i = 0; i < 3; i++)
        slot_counter_add(setup.claim.slot, numbers[i], 1);
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_done", 0) == 6);
    assert_true(shown_label(*state, "taskforge_done", 2) == 1);
    assert_true(shown(*state, "taskforge_done", overflow, NULL) == 10);
    setup_close(&setup);
}

/* An octave that finds no room goes to the overflow series, too. */
static void observations_without_room_go_to_the_overflow_series(void **state) {
    struct setup setup;
    uint64_t count = 0;
    setup_open(*state, &setup);
    setup.fold.user = 4001;
    update_at(&setup, METRIC_HISTOGRAM, "sizes", 1, 2, 10);
    commit(&setup);
    uint64_t most = setup.fold.shares.bytes_max;
    setup.fold.shares.bytes_max = setup.fold.shares.bytes;
    update_at(&setup, METRIC_HISTOGRAM, "sizes", 1, 2, 10);
    update_at(&setup, METRIC_HISTOGRAM, "sizes", 1, 2000, 10);
    update_at(&setup, METRIC_HISTOGRAM, "sizes", 1, 2000000, 10);
    commit(&setup);
    shown(*state, "taskforge_sizes", overflow, &count);
    assert_int_equal(count, 2);
    char room[METRIC_LABELS_BYTES];
    shown(*state, "taskforge_sizes", labels_of(1, room), &count);
    assert_int_equal(count, 2);
    assert_int_equal(setup.fold.refused[FOLD_REFUSED_LIMIT], 0);
    setup.fold.shares.bytes_max = most;
    setup_close(&setup);
}

static void look_all_over(struct setup *setup, uint64_t now_ns) {
    fold_maintain(&setup->fold, now_ns, now_ns);
}

static void a_stale_series_leaves_and_comes_back_with_its_total(void **state) {
    struct setup setup;
    const struct fold_limits limits = { 1000, 2, HOUR };
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    update_at(&setup, METRIC_COUNTER, "jobs", 1, 10, HOUR);
    update_at(&setup, METRIC_COUNTER, "jobs", 2, 10, 2 * HOUR);
    commit(&setup);
    look_all_over(&setup, 2 * HOUR - 1);
    assert_true(shown_label(*state, "taskforge_jobs", 1) == 10);
    look_all_over(&setup, 2 * HOUR);
    assert_true(isnan(shown_label(*state, "taskforge_jobs", 1)));
    assert_true(shown_label(*state, "taskforge_jobs", 2) == 10);
    update_at(&setup, METRIC_COUNTER, "jobs", 1, 5, 2 * HOUR + 1);
    discard(&setup);
    update_at(&setup, METRIC_COUNTER, "jobs", 1, 5, 2 * HOUR + 1);
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_jobs", 1) == 15);
    look_all_over(&setup, 3 * HOUR);
    assert_true(isnan(shown_label(*state, "taskforge_jobs", 2)));
    update_at(&setup, METRIC_COUNTER, "jobs", 3, 1, 3 * HOUR); /* in the room of the one that left */
    update_at(&setup, METRIC_COUNTER, "jobs", 2, 5, 3 * HOUR); /* which finds none now */
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_jobs", 3) == 1);
    assert_true(shown(*state, "taskforge_jobs", overflow, NULL) == 5);
    look_all_over(&setup, 5 * HOUR);
    assert_int_equal(setup.fold.stale.series, 4);
    finish_fold(&setup); /* over a restart */
    setup_fold(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    update_at(&setup, METRIC_GAUGE, "depth", 0, 1, 5 * HOUR);
    commit(&setup);
    look_all_over(&setup, 5 * HOUR);
    assert_int_equal(setup.fold.stale.series, 4);
    update_at(&setup, METRIC_COUNTER, "jobs", 2, 1, 5 * HOUR);
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_jobs", 2) == 11);
    setup_close(&setup);
}

static void a_living_handle_keeps_its_series(void **state) {
    struct setup setup;
    const struct fold_limits limits = { 1000, 1000, HOUR };
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    uint32_t counter = register_metric(&setup, METRIC_COUNTER, "done");
    slot_counter_add(setup.claim.slot, counter, 5);
    commit(&setup);
    look_all_over(&setup, 100 * HOUR);
    assert_true(value_of(*state, "taskforge_done") == 5);
    ring_slot_release(&setup.producer, &setup.claim, false);
    rings_slot_refresh(&setup.rings, setup.rings.items[0], setup.claim.index);
    slot_forget(&setup.rings.items[0]->slots[setup.claim.index]);
    look_all_over(&setup, 100 * HOUR);
    assert_true(isnan(shown(*state, "taskforge_done", TEXT_EMPTY, NULL)));
    fold_set_limits(&setup.fold, &(struct fold_limits) { 1000, 1000, 0 }); /* never */
    look_all_over(&setup, 100 * HOUR);
    assert_true(shown(*state, "taskforge_done", TEXT_EMPTY, NULL) == 5);
    setup_close(&setup);
}

static int refuse_any(void *argument, struct text key, struct text value) {
    (void)argument;
    (void)key;
    (void)value;
    return -EEXIST;
}

/* Labels that come and go: what is kept of them has a limit, and of a name that is gone nothing stands in the way of another kind. */
static void what_is_stale_for_long_is_forgotten(void **state) {
    enum { MOST = 200 };
    struct setup setup;
    const struct fold_limits limits = { MOST, MOST, HOUR };
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    uint64_t now = HOUR;
    for (int i = 0; i < 40; i++, now += HOUR) {
        for (int k = 0; k < 20; k++)
            update_at(&setup, METRIC_COUNTER, "jobs", 20 * i + k, 1, now);
        commit(&setup);
        look_all_over(&setup, now);
        assert_true(setup.fold.table.count <= 2 * MOST);
    }
    assert_true(setup.fold.forgotten > 0);
    assert_int_equal(setup.fold.names.overflowing, NULL);
    assert_true(shown_label(*state, "taskforge_jobs", 799) == 1);
    commit(&setup);
    for (int i = 0; i < 3; i++)
        look_all_over(&setup, now + FOLD_FORGET_NS + 2 * HOUR);
    assert_int_equal(setup.fold.table.count, 0);
    assert_int_equal(setup.fold.names.count, 0);
    commit(&setup);
    assert_int_equal(state_map_walk(&setup.state, TEXT_LITERAL(STATE_METRICS), refuse_any, NULL), 0);
    update_at(&setup, METRIC_GAUGE, "jobs", 1, 7, now + FOLD_FORGET_NS);
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_jobs_gauge", 1) == 7);
    setup_close(&setup);
}

static void a_segment_of_hidden_series_is_made_compact(void **state) {
    struct setup setup;
    const struct fold_limits limits = { 10000, 10000, HOUR };
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    for (int i = 0; i < FOLD_HIDDEN_MIN + 10; i++)
        update_at(&setup, METRIC_COUNTER, "jobs", i, 1, i < 10 ? 2 * HOUR : HOUR);
    commit(&setup);
    look_all_over(&setup, 2 * HOUR);
    assert_int_equal(setup.fold.hidden, 0);
    struct segment *segment;
    struct segment_info info;
    struct error error;
    assert_int_equal(segment_open(((const struct ring_fixture *)*state)->runtime_dir, &segment, &error), 0);
    assert_int_equal(segment_info_get(segment, &info), 0);
    assert_int_equal(info.series_count, 10);
    segment_close(segment);
    update_at(&setup, METRIC_COUNTER, "jobs", 100, 1, 2 * HOUR);
    commit(&setup);
    assert_true(shown_label(*state, "taskforge_jobs", 100) == 2);
    setup_close(&setup);
}

/* Once for each metric, and no more within a time than somebody reads. */
static void what_is_told_has_a_rate(void **state) {
    struct setup setup;
    const struct fold_limits limits = { 1000, 1, 0 };
    char name[32];
    unsigned told = 0;
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 3 * FOLD_TELLINGS_MAX; i++)
            for (int k = 0; k < 2; k++) {
                snprintf(name, sizeof(name), "jobs_%d", i);
                update_at(&setup, METRIC_COUNTER, name, k, 1, CLOCK_SECOND * (uint64_t)(1 + turn / 2));
            }
        told += setup.fold.telling_count;
        commit(&setup);
    }
    assert_int_equal(told, FOLD_TELLINGS_MAX);
    for (int i = 0; i < 3 * FOLD_TELLINGS_MAX; i++) {
        snprintf(name, sizeof(name), "jobs_%d", i);
        update_at(&setup, METRIC_COUNTER, name, 1, 1, 20 * CLOCK_SECOND);
    }
    assert_int_equal(setup.fold.telling_count, FOLD_TELLINGS_MAX);
    setup_close(&setup);
}

static void update_some(struct setup *setup, unsigned seed, double *told, int many) {
    for (int k = 0; k < 50; k++) {
        seed = seed * 1103515245 + 12345;
        int i = (int)((seed >> 8) % (unsigned)many);
        update_at(setup, METRIC_COUNTER, "jobs", i, 1, HOUR);
        if (told)
            told[i]++;
    }
}

/* Few of many series change with each batch: the log of changes grows, goes into pages, and is removed; also over failures and
 * restarts. */
static void a_log_of_changes_goes_into_pages(void **state) {
    enum { MANY = 6000, TURNS = 250 };
    const struct fold_limits limits = { MANY, MANY, 0 };
    struct setup setup;
    static double told[MANY];
    size_t longest = 0, shortest = SIZE_MAX;
    setup_open(*state, &setup);
    fold_set_limits(&setup.fold, &limits);
    for (int i = 0; i < MANY; i++)
        update_at(&setup, METRIC_COUNTER, "jobs", i, told[i] = 1, HOUR);
    commit(&setup);
    assert_true(setup.fold.pages.log_bytes <= 20); /* all in pages, but for the last one, which has few */
    for (unsigned turn = 0; turn < TURNS; turn++) {
        if (turn % 10 == 3) {
            update_some(&setup, turn, NULL, MANY);
            discard(&setup);
        }
        update_some(&setup, turn, told, MANY);
        commit(&setup);
        size_t bytes = setup.fold.pages.log_bytes;
        longest = bytes > longest ? bytes : longest;
        shortest = longest > bytes && bytes < shortest ? bytes : shortest;
        if (turn % 50 == 25) {
            finish_fold(&setup);
            setup_fold(*state, &setup);
            fold_set_limits(&setup.fold, &limits);
            assert_int_equal(setup.fold.pages.log_bytes, bytes);
        }
    }
    assert_true(longest < 2 * MANY * 20 && shortest < longest / 2);
    finish_fold(&setup);
    setup_fold(*state, &setup);
    SERIES_FOR_EACH(&setup.fold.table, series) {
        struct metric_label label;
        size_t at = 0;
        assert_true(metric_labels_next(series->definition.labels, &at, &label));
        char number[16];
        snprintf(number, sizeof(number), "%.*s", TEXT_FORMAT(label.value));
        assert_true(series->safe.value == told[atoi(number)]);
    }
    setup_close(&setup);
}

/* What a collector before there were pages left. */
static void an_old_state_is_taken_over(void **state) {
    struct setup setup;
    struct buffer bytes = BUFFER_EMPTY;
    struct state_key key;
    setup_open(*state, &setup);
    update_at(&setup, METRIC_COUNTER, "jobs", 1, 5, HOUR);
    update_at(&setup, METRIC_TIMER, "work", 1, 5, HOUR);
    commit(&setup);
    struct state_map old = STATE_MAP_EMPTY;
    SERIES_FOR_EACH(&setup.fold.table, series) {
        series_encode_definition(series, NULL, &bytes);
        series_key(&key, STATE_METRIC, series->id);
        assert_int_equal(state_map_put(&old, state_key_text(&key), buffer_text(&bytes)), 0);
        buffer_clear(&bytes);
        series_encode_value(&series->safe, series->definition.kind, &bytes);
        series_key(&key, STATE_VALUE, series->id);
        assert_int_equal(state_map_put(&old, state_key_text(&key), buffer_text(&bytes)), 0);
        buffer_clear(&bytes);
    }
    finish_fold(&setup);
    state_map_finish(&setup.state);
    setup.state = old;
    setup_fold(*state, &setup);
    assert_true(shown_label(*state, "taskforge_jobs", 1) == 5);
    update_at(&setup, METRIC_COUNTER, "jobs", 1, 1, HOUR);
    commit(&setup);
    assert_int_equal(setup.state.count, 3); /* two pages, and the timer's value */
    finish_fold(&setup);
    setup_fold(*state, &setup);
    uint64_t count = 0;
    char room[METRIC_LABELS_BYTES];
    assert_true(shown_label(*state, "taskforge_jobs", 1) == 6);
    shown(*state, "taskforge_work_seconds", labels_of(1, room), &count);
    assert_int_equal(count, 1);
    buffer_finish(&bytes);
    setup_close(&setup);
}

/* The second time a record comes it is not decoded, and counts the same. */
static void a_record_that_was_seen_is_known(void **state) {
    struct setup setup;
    char room[METRIC_LABELS_BYTES], bytes[8192];
    struct fold_ahead ahead;
    size_t length = 0, known = 0;
    setup_open(*state, &setup);
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < 20; i++) {
            struct record record = { .kind = RECORD_METRIC_UPDATE, .position = 64 + length, .time_ns = 10 };
            record.metric_update =
                (struct record_metric_update) { .metric_kind = i % 2 ? METRIC_COUNTER : METRIC_TIMER,
                                                .operation = METRIC_ADD,
                                                .value = 1 + turn,
                                                .name = i % 2 ? TEXT_LITERAL("jobs_total") : TEXT_LITERAL("work"),
                                                .labels = labels_of(i / 4, room) };
            if (i == 19)
                record.metric_update.trace_id = TEXT_LITERAL("4bf92f3577b34da6a3ce929d0e0e4736");
            if (i == 18)
                record.metric_update.times = 3;
            int size = record_encode(&record, bytes + length, sizeof(bytes) - length);
            assert_true(size > 0);
            length += (size_t)size;
        }
    fold_ahead_init(&ahead, &setup.fold.memo, &setup.fold.table);
    struct span_reader reader = {
        .bytes = bytes, .position = 64, .end = 64 + length, .known = fold_ahead_knows, .context = &ahead
    };
    struct record record;
    for (int i = 0; span_reader_next(&reader, &record) == 1; i++) {
        known += record.metric_update.known != NULL;
        assert_true(!record.metric_update.known || /* nothing is an earlier one's */
                    (record.metric_update.trace_id.length == 0 && record.metric_update.times == 0));
        assert_true(i % 20 != 19 || !record.metric_update.known); /* its trace is for whoever decodes it */
        fold_update(&setup.fold, &record.metric_update, record.time_ns, &setup.batch);
    }
    assert_int_equal(known, 36 + 8); /* of the first twenty those, too, whose series came before in it */
    commit(&setup);
    for (int i = 0; i < 5; i++)
        assert_true(shown_label(*state, "taskforge_jobs", i) == 12);
    setup_close(&setup);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(updates_of_too_many_series_go_to_one),
        TEST(labels_beyond_the_limits_are_told_of),
        TEST(handles_overflow_and_a_raised_limit_holds),
        TEST(observations_without_room_go_to_the_overflow_series),
        TEST(a_stale_series_leaves_and_comes_back_with_its_total),
        TEST(a_living_handle_keeps_its_series),
        TEST(what_is_stale_for_long_is_forgotten),
        TEST(a_segment_of_hidden_series_is_made_compact),
        TEST(what_is_told_has_a_rate),
        TEST(a_log_of_changes_goes_into_pages),
        TEST(an_old_state_is_taken_over),
        TEST(a_record_that_was_seen_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
