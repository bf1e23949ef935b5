/* Ticks: what the segment shows comes back, once, whatever happens in between; and the room that samples may take. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/history_private.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/shm/map.h"

#define S CLOCK_SECOND
#define DAY (86400 * S)
#define T0 (UINT64_C(20000) * DAY)

struct place {
    char root[64], runtime[80], data[80];
    struct history *history;
    struct segment_writer *segment;
};

static void *setup_place(void) {
    struct place *place = calloc(1, sizeof(*place));
    struct error error = { "" };
    snprintf(place->root, sizeof(place->root), "/tmp/taskforge-history-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    snprintf(place->runtime, sizeof(place->runtime), "%s/run", place->root);
    snprintf(place->data, sizeof(place->data), "%s/data", place->root);
    assert_int_equal(mkdir(place->runtime, 0750) | mkdir(place->data, 0750), 0);
    assert_int_equal(map_guard_install(&error), 0);
    assert_int_equal(history_create(place->data, place->runtime, &place->history, &error), 0);
    place->history->own.history =
        (struct config_history) { .interval_ns = 15 * S, .max_age_ns = DAY, .max_size = UINT64_C(1) << 30 };
    return place;
}

static int setup(void **state) {
    *state = setup_place();
    return 0;
}

static void remove_folder(const char *path) {
    char inside[400];
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof(inside), "%s/%.200s", path, entry->d_name);
        if (unlink(inside) < 0)
            remove_folder(inside);
    }
    if (folder)
        closedir(folder);
    (void)rmdir(path);
}

static int teardown(void **state) {
    struct place *place = *state;
    history_destroy(place->history);
    segment_destroy(place->segment);
    remove_folder(place->root);
    free(place);
    return 0;
}

/* --- a segment as the collector makes it --- */

static void begin_segment(struct place *place) {
    static const struct metric_scheme scheme = { "taskforge", "_gauge" };
    struct error error = { "" };
    segment_destroy(place->segment);
    assert_int_equal(segment_create(place->runtime, &scheme, &place->segment, &error), 0);
    assert_int_equal(segment_publish(place->segment, &error), 0);
}

static uint64_t add_series(struct place *place, enum metric_kind kind, const char *name) {
    const struct metric_definition definition = { .kind = kind, .name = text_of(name) };
    uint64_t series;
    assert_int_equal(segment_add(place->segment, &definition, text_of(name), T0, &series), 0);
    return series;
}

static int tick(struct place *place, unsigned number, uint64_t *ret_samples) {
    struct error error = { "" };
    return history_sample(place->history, T0 + number * 15 * S, ret_samples, &error);
}

static void ticked(struct place *place, unsigned number, uint64_t expected) {
    uint64_t samples = 0;
    assert_int_equal(tick(place, number, &samples), 0);
    assert_int_equal(samples, expected);
}

/* --- what came of it; the writer is closed, since a process opens a partition once --- */

struct found {
    const char *name;
    double values[8]; /* of the ticks; NaN: a hole; of histograms the count */
};

static int find(void *argument, const struct samples_block *block) {
    struct found *found = argument;
    for (size_t i = 0; i < block->count; i++) {
        size_t at = (size_t)((block->start_ns + i * block->interval_ns - T0) / (15 * S));
        if (at < COUNT_OF(found->values) && !samples_is_hole(block->values[i]))
            found->values[at] = block->histograms ? (double)samples_histogram_count(block, i) : block->values[i];
    }
    return 0;
}

static void holds(struct place *place, const char *name, size_t count, const double *expected) {
    const struct samples_want want = { .family = text_of(name), .end_ns = UINT64_MAX };
    struct found found = { .name = name };
    struct samples_selection *selection;
    struct samples_reader *reader;
    struct error error = { "" };
    history_forget(place->history);
    for (size_t i = 0; i < COUNT_OF(found.values); i++)
        found.values[i] = NAN;
    assert_int_equal(samples_reader_open(place->data, NULL, NULL, &reader, &error), 0);
    assert_int_equal(samples_select(reader, &want, &selection, &error), 0);
    assert_int_equal(samples_selection_count(selection), 1);
    assert_int_equal(samples_read(selection, 0, UINT64_MAX - 1, find, &found, &error), 0);
    for (size_t i = 0; i < COUNT_OF(found.values); i++)
        if (i >= count || isnan(expected[i]))
            assert_true(isnan(found.values[i]));
        else
            assert_true(found.values[i] == expected[i]);
    samples_selection_free(selection);
    samples_reader_close(reader);
}
#define HOLDS(name, ...)                                                                                               \
    do {                                                                                                               \
        const double expected[] = { __VA_ARGS__ };                                                                     \
        holds(place, name, COUNT_OF(expected), expected);                                                              \
    } while (0)

/* --- ticks --- */

static void a_tick_has_what_the_segment_shows(void **state) {
    struct place *place = *state;
    struct histogram histogram = HISTOGRAM_EMPTY;
    begin_segment(place);
    uint64_t jobs = add_series(place, METRIC_COUNTER, "jobs"), run = add_series(place, METRIC_TIMER, "run");
    segment_set_value(place->segment, jobs, 5, T0);
    histogram_add(&histogram, 0.1, 3);
    assert_int_equal(segment_set_histogram(place->segment, run, &histogram, T0), 0);
    ticked(place, 0, 2);
    segment_set_value(place->segment, jobs, 7, T0);
    segment_set_hidden(place->segment, run, true);
    ticked(place, 1, 1); /* what is stale is a hole */
    uint64_t depth = add_series(place, METRIC_GAUGE, "depth");
    segment_set_value(place->segment, depth, -1, T0);
    segment_set_hidden(place->segment, run, false);
    ticked(place, 3, 3); /* one is missing */
    HOLDS("jobs", 5, 7, NAN, 7);
    HOLDS("run", 3, NAN, NAN, 3);
    HOLDS("depth", NAN, NAN, NAN, -1);
    histogram_finish(&histogram);
}

static void a_tick_is_written_once(void **state) {
    struct place *place = *state;
    uint64_t samples = 0;
    begin_segment(place);
    uint64_t jobs = add_series(place, METRIC_COUNTER, "jobs");
    ticked(place, 1, 1);
    segment_set_value(place->segment, jobs, 9, T0);
    assert_int_equal(tick(place, 1, &samples), 1);
    assert_int_equal(tick(place, 0, &samples), 1); /* the clock went back */
    history_forget(place->history);                /* killed and started again */
    assert_int_equal(tick(place, 1, &samples), 1);
    ticked(place, 2, 1);
    HOLDS("jobs", NAN, 0, 9);
}

static void a_new_segment_goes_on_with_the_same_series(void **state) {
    struct place *place = *state;
    begin_segment(place);
    segment_set_value(place->segment, add_series(place, METRIC_COUNTER, "jobs"), 1, T0);
    segment_set_value(place->segment, add_series(place, METRIC_GAUGE, "depth"), 2, T0);
    ticked(place, 0, 2);
    begin_segment(place); /* in another order */
    segment_set_value(place->segment, add_series(place, METRIC_GAUGE, "depth"), 3, T0);
    segment_set_value(place->segment, add_series(place, METRIC_COUNTER, "jobs"), 4, T0);
    ticked(place, 1, 2);
    HOLDS("jobs", 1, 4);
    HOLDS("depth", 2, 3);
}

static void a_failure_costs_its_tick_alone(void **state) {
    struct place *place = *state;
    char path[100];
    uint64_t samples = 0;
    snprintf(path, sizeof(path), "%s/metrics", place->data);
    assert_true(tick(place, 0, &samples) < 0); /* no collector was here */
    begin_segment(place);
    segment_set_value(place->segment, add_series(place, METRIC_COUNTER, "jobs"), 1, T0);
    fclose(fopen(path, "w"));
    assert_true(tick(place, 1, &samples) < 0);
    history_forget(place->history);
    unlink(path);
    ticked(place, 2, 1);
    HOLDS("jobs", NAN, NAN, 1);
}

/* --- room --- */

static size_t partitions(struct place *place) {
    struct partition_name *names;
    size_t count;
    assert_int_equal(samples_list(place->data, &names, &count, NULL), 0);
    free(names);
    return count;
}

static void days(struct place *place, unsigned from, unsigned to) {
    for (unsigned day = from; day < to; day++)
        ticked(place, day * 5760, 1);
}

static void the_oldest_gives_way_where_all_would_be_too_much(void **state) {
    struct place *place = *state;
    begin_segment(place);
    add_series(place, METRIC_COUNTER, "jobs");
    days(place, 0, 3);
    assert_int_equal(partitions(place), 3);
    place->history->own.history.max_size = 1;
    days(place, 3, 4);
    assert_int_equal(partitions(place), 1); /* the one that is written stays in any case */
    HOLDS("jobs", NAN);
}

static void where_the_disk_is_nearly_full_none_are_written(void **state) {
    struct place *place = *state;
    uint64_t samples = 0;
    begin_segment(place);
    add_series(place, METRIC_COUNTER, "jobs");
    days(place, 0, 2);
    place->history->own.retention.keep_free_bytes = UINT64_C(1) << 60;
    for (int i = 0; i < 3; i++) {
        history_yield(place->history);
        assert_int_equal(tick(place, 2 * 5760, &samples), -ENOSPC);
        assert_true(place->history->scarce);
        history_forget(place->history);
        assert_int_equal(partitions(place), 1); /* older ones give way, since the log has nothing to give */
    }
    place->history->own.retention.keep_free_bytes = 0;
    days(place, 2, 3);
}

static void what_is_old_goes_by_the_day(void **state) {
    struct place *place = *state;
    begin_segment(place);
    add_series(place, METRIC_COUNTER, "jobs");
    days(place, 0, 4);
    history_forget(place->history);
    history_expire(place->history,
                   T0 + 3 * DAY + DAY / 2); /* of a day: what is older than the middle of the third one */
    assert_int_equal(partitions(place), 2);
}

/* --- the thread --- */

static void the_thread_writes_each_tick_and_stops(void **state) {
    struct place *place = *state;
    struct history_status status = { .ticks = 0 };
    const struct config_history each_second = { .interval_ns = S, .max_age_ns = DAY }, off = { .max_age_ns = DAY };
    const struct config_retention retention = { .max_size = UINT64_C(1) << 30 };
    struct error error = { "" };
    begin_segment(place);
    add_series(place, METRIC_COUNTER, "jobs");
    history_set(place->history, &each_second, &retention);
    assert_int_equal(history_start(place->history, &error), 0);
    for (int i = 0; i < 3000 && status.ticks < 1; i++) {
        usleep(10000);
        history_look(place->history, &status);
    }
    assert_true(status.ticks >= 1 && status.samples == status.ticks && status.failures == 0 && status.bytes > 0);
    assert_true(status.time_count >= 1 && status.failing_since_ns == 0);
    assert_true(status.lag_ns > 0 && status.lag_ns < 60 * CLOCK_SECOND);
    history_set(place->history, &off, &retention);
    history_look(place->history, &status);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tick_has_what_the_segment_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tick_is_written_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_segment_goes_on_with_the_same_series, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_costs_its_tick_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_gives_way_where_all_would_be_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(where_the_disk_is_nearly_full_none_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_old_goes_by_the_day, setup, teardown),
        cmocka_unit_test_setup_teardown(the_thread_writes_each_tick_and_stops, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
