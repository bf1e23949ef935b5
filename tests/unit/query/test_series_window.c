/* Steps over samples: by hand where the rule shows, then random series with holes and resets against a plain look at all of them. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/series_block.h"

#define S CLOCK_SECOND
#define T0 (UINT64_C(1700000000) / 600 * 600 * S)

enum { SAMPLES = 200, OBSERVATIONS = 6 };

static const struct series_quantiles quantiles = { { 0.5, 0.99 }, 2 };

static struct series_range range_of(uint64_t first_s, uint64_t step_s, size_t count) {
    return (struct series_range) { T0 + first_s * S, step_s * S, count };
}

static void close_to(double a, double b) {
    if (isnan(a) || isnan(b))
        assert_true(isnan(a) && isnan(b));
    else
        assert_true(fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)) + 1e-12);
}

/* values: one each 10 s from `first_s` on; NaN is a hole. */
static struct series_points over(enum metric_kind kind, struct series_range range, uint64_t created_ns,
                                 uint64_t first_s, const double *values, size_t count) {
    struct series_window window;
    struct series_points points = SERIES_POINTS_EMPTY;
    series_window_begin(&window, kind, &range, &quantiles, created_ns, T0 + first_s * S);
    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            assert_int_equal(series_window_value(&window, T0 + (first_s + 10 * i) * S, values[i]), 0);
    assert_int_equal(series_window_end(&window, &points), 0);
    return points;
}

static void a_gauge_has_what_its_samples_have(void **state) {
    static const double values[] = { 7, 1, 2, 3, NAN, 9 };
    struct series_points points = over(METRIC_GAUGE, range_of(10, 20, 3), 0, 0, values, COUNT_OF(values));
    (void)state;
    assert_int_equal(points.count, 3);
    assert_int_equal(points.items[0].time_ns, T0 + 10 * S);
    assert_int_equal(points.items[0].samples, 2);
    close_to(points.items[0].avg, 1.5);
    close_to(points.items[0].min, 1);
    close_to(points.items[0].max, 2);
    close_to(points.items[0].last, 2);
    close_to(points.items[1].avg, 3); /* of the one that was there */
    close_to(points.items[2].last, 9);
    assert_true(isnan(points.items[0].increase) && isnan(points.items[0].count));
    series_points_finish(&points);
}

static void what_is_no_number_is_the_last_and_in_no_average(void **state) {
    struct series_range range = range_of(0, 60, 1);
    struct series_window window;
    struct series_points points;
    (void)state;
    series_window_begin(&window, METRIC_GAUGE, &range, &quantiles, 0, 0);
    series_window_value(&window, T0, 4);
    series_window_value(&window, T0 + 10 * S, NAN);
    assert_int_equal(series_window_end(&window, &points), 0);
    assert_int_equal(points.items[0].samples, 2);
    close_to(points.items[0].avg, 4);
    assert_true(isnan(points.items[0].last));
    series_points_finish(&points);
}

static void a_counter_grows_over_gaps_and_begins_anew(void **state) {
    static const double values[] = { 100, 110, 130, NAN, NAN, 190, 4, 10 };
    struct series_points points = over(METRIC_COUNTER, range_of(10, 20, 4), 0, 0, values, COUNT_OF(values));
    (void)state;
    assert_int_equal(points.count, 3); /* the step of the gap has no sample */
    close_to(points.items[0].increase, 30);
    close_to(points.items[0].rate, 1.5);
    close_to(points.items[1].increase, 64); /* 60 over the gap, then 4 */
    close_to(points.items[1].rate, 64 / 40.0);
    close_to(points.items[2].increase, 6);
    close_to(points.items[2].last, 10);
    series_points_finish(&points);
}

static void the_first_sample_is_the_base_unless_the_series_began_meanwhile(void **state) {
    static const double values[] = { 100, 110, 130 };
    struct series_points points = over(METRIC_COUNTER, range_of(0, 20, 2), 0, 0, values, COUNT_OF(values));
    (void)state;
    close_to(points.items[0].increase, 10);
    close_to(points.items[0].rate, 1);
    series_points_finish(&points);
    points = over(METRIC_COUNTER, range_of(0, 20, 2), T0 + 1 * S, 0, values, COUNT_OF(values));
    close_to(points.items[0].increase, 110); /* created behind the tick that told it first */
    close_to(points.items[1].increase, 20);
    series_points_finish(&points);
    points = over(METRIC_COUNTER, range_of(0, 10, 3), T0 - 1 * S, 0, values, COUNT_OF(values));
    assert_true(isnan(points.items[0].increase)); /* of a time before what was read */
    close_to(points.items[1].increase, 10);
    series_points_finish(&points);
}

static void what_lies_outside_or_behind_is_passed_over(void **state) {
    struct series_range range = range_of(0, 10, 2);
    struct series_window window;
    struct series_points points;
    (void)state;
    series_window_begin(&window, METRIC_COUNTER, &range, &quantiles, 0, 0);
    series_window_value(&window, T0, 1);
    series_window_value(&window, T0, 5); /* a second one of the same time */
    series_window_value(&window, T0 + 10 * S, INFINITY);
    series_window_value(&window, T0 + 10 * S, 2);
    series_window_value(&window, T0 + 20 * S, 50);
    assert_int_equal(series_window_end(&window, &points), 0);
    assert_int_equal(points.count, 2);
    close_to(points.items[0].last, 1);
    close_to(points.items[1].increase, 1);
    series_points_finish(&points);
}

/* --- ranges --- */

static void steps_are_what_people_would_choose(void **state) {
    static const struct {
        uint64_t length_s, interval_s, step_s;
    } cases[] = {
        { 3600, 15, 30 }, { 3600, 1, 30 },  { 86400, 15, 600 }, { 60, 15, 15 }, { 30 * 86400, 15, 6 * 3600 },
        { 10, 0, 1 },     { 3600, 40, 80 },
    };
    struct series_range range;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(
            series_range_make(T0 + 7 * S, T0 + (7 + cases[i].length_s) * S, 0, cases[i].interval_s * S, &range, NULL),
            0);
        assert_int_equal(range.step_ns, cases[i].step_s * S);
        assert_int_equal(range.first_ns % range.step_ns, 0);
        assert_true(range.first_ns <= T0 + 7 * S && series_range_end(&range) >= T0 + (7 + cases[i].length_s) * S);
        assert_true(range.count <= SERIES_STEPS_AUTOMATIC + 1);
    }
}

static void too_much_is_refused_with_the_reason(void **state) {
    struct series_range range = range_of(0, 1, 1000);
    struct error error = { "" };
    (void)state;
    assert_int_equal(series_range_make(T0, T0, S, 0, &range, &error), -EINVAL);
    assert_int_equal(series_range_make(T0, T0 + S, 1500, 0, &range, &error), -EINVAL);
    assert_int_equal(series_range_make(T0, T0 + 20000 * S, S, 0, &range, &error), -E2BIG);
    assert_string_equal(error.text, "that would be 20000 steps: at most 11000 are shown at once, ask for longer ones");
    assert_int_equal(series_range_make(T0, T0 + 1000 * S, S, 0, &range, &error), 0);
    assert_int_equal(series_range_check(&range, 1000, &error), 0);
    assert_int_equal(series_range_check(&range, 1001, &error), -E2BIG);
}

static void quantiles_are_read(void **state) {
    static const char *const bad[] = { "", ",", "1.5", "0.5,", "-0.1", "x", "0x1", "1e-1", "0,0,0,0,0,0,0,0,0", "nan" };
    struct series_quantiles read;
    char name[SERIES_QUANTILE_NAME];
    (void)state;
    assert_int_equal(series_quantiles_parse(TEXT_LITERAL("0.5,0.999,1"), &read, NULL), 0);
    assert_int_equal(read.count, 3);
    assert_string_equal(series_quantile_name(read.q[1], name), "p99.9");
    assert_string_equal(series_quantile_name(read.q[2], name), "p100");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(series_quantiles_parse(text_of(bad[i]), &read, NULL), -EINVAL);
}

/* --- against a plain look --- */

struct sample {
    bool there;
    double value;
    double observed[OBSERVATIONS]; /* since the sample before */
    size_t count;
};

static double random_to(double most) {
    return most * (double)(random() % 100000) / 100000;
}

static void make_samples(enum metric_kind kind, struct sample *samples) {
    double total = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct sample *sample = &samples[i];
        *sample = (struct sample) { .there = random() % 5 != 0 };
        if (kind == METRIC_COUNTER) {
            total = random() % 17 == 0 ? 0 : total + (double)(random() % 50); /* it begins anew now and then */
            sample->value = total;
        } else {
            sample->value = random_to(100) - 50;
        }
        sample->count = (size_t)random() % (OBSERVATIONS + 1);
        for (size_t j = 0; j < sample->count; j++)
            sample->observed[j] = random_to(10) - 1;
    }
}

/* The newest sample before the step, or -1. */
static long base_of(const struct sample *samples, uint64_t begin_s) {
    long base = -1;
    for (long i = 0; i < SAMPLES && (uint64_t)i * 10 < begin_s; i++)
        base = samples[i].there ? i : base;
    return base;
}

static void naive_number(enum metric_kind kind, const struct sample *samples, uint64_t begin_s, uint64_t end_s,
                         struct series_point *ret) {
    long base = base_of(samples, begin_s);
    double sum = 0;
    *ret = (struct series_point) { .min = INFINITY, .max = -INFINITY };
    for (long i = (long)((begin_s + 9) / 10); i < SAMPLES && (uint64_t)i * 10 < end_s; i++) {
        if (!samples[i].there)
            continue;
        double value = samples[i].value, before = base >= 0 ? samples[base].value : value;
        ret->samples++;
        ret->last = value;
        sum += value;
        ret->min = fmin(ret->min, value);
        ret->max = fmax(ret->max, value);
        ret->increase += value < before ? value : value - before;
        base = i;
    }
    ret->avg = sum / (double)ret->samples;
    if (kind == METRIC_COUNTER && base_of(samples, begin_s) < 0 && ret->samples < 2)
        ret->increase = NAN;
}

static void numbers_agree(enum metric_kind kind, const struct sample *samples, struct series_range range) {
    double values[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++)
        values[i] = samples[i].there ? samples[i].value : NAN;
    struct series_points points = over(kind, range, 0, 0, values, SAMPLES);
    size_t at = 0;
    for (size_t step = 0; step < range.count; step++) {
        struct series_point naive;
        uint64_t begin_s = (range.first_ns - T0 + step * range.step_ns) / S;
        naive_number(kind, samples, begin_s, begin_s + range.step_ns / S, &naive);
        if (naive.samples == 0)
            continue;
        const struct series_point *point = &points.items[at++];
        assert_int_equal(point->time_ns, T0 + begin_s * S);
        assert_int_equal(point->samples, naive.samples);
        close_to(point->last, naive.last);
        if (kind == METRIC_COUNTER) {
            close_to(point->increase, naive.increase);
        } else {
            close_to(point->avg, naive.avg);
            close_to(point->min, naive.min);
            close_to(point->max, naive.max);
        }
    }
    assert_int_equal(at, points.count);
    series_points_finish(&points);
}

/* The observations of samples (from, to], out of themselves. */
static void naive_histogram(const struct sample *samples, long from, long to, struct histogram *ret) {
    for (long i = from + 1; i <= to; i++) {
        for (size_t j = 0; j < samples[i].count; j++)
            assert_int_equal(histogram_add(ret, samples[i].observed[j], 1), 0);
    }
}

static void histograms_agree(const struct sample *samples, struct series_range range) {
    struct series_window window;
    struct series_points points;
    struct histogram total = HISTOGRAM_EMPTY;
    size_t at = 0;
    series_window_begin(&window, METRIC_HISTOGRAM, &range, &quantiles, 0, T0);
    for (long i = 0; i < SAMPLES; i++) {
        for (size_t j = 0; j < samples[i].count; j++)
            histogram_add(&total, samples[i].observed[j], 1);
        if (!samples[i].there)
            continue;
        assert_int_equal(series_window_histogram(&window, T0 + (uint64_t)i * 10 * S, &total, 1), 0);
    }
    histogram_finish(&total);
    assert_int_equal(series_window_end(&window, &points), 0);
    for (size_t step = 0; step < range.count; step++) {
        uint64_t begin_s = (range.first_ns - T0 + step * range.step_ns) / S;
        struct histogram inside = HISTOGRAM_EMPTY;
        long from = base_of(samples, begin_s), to = base_of(samples, begin_s + range.step_ns / S);
        if (to == from || (from < 0 && to < 0))
            continue;
        const struct series_point *point = &points.items[at++];
        for (long i = 0; from < 0; i++)
            from = samples[i].there ? i : from;
        if (from == to) {
            assert_true(isnan(point->count));
            continue;
        }
        naive_histogram(samples, from, to, &inside);
        close_to(point->count, (double)histogram_count(&inside));
        close_to(point->sum, inside.sum);
        close_to(point->avg, inside.sum / (double)histogram_count(&inside));
        close_to(point->quantiles[0], histogram_quantile(&inside, 0.5));
        close_to(point->quantiles[1], histogram_quantile(&inside, 0.99));
        histogram_finish(&inside);
    }
    assert_int_equal(at, points.count);
    series_points_finish(&points);
}

static void random_series_agree_with_a_plain_look(void **state) {
    static struct sample samples[SAMPLES];
    const int rounds = getenv("TASKFORGE_LONG") ? 20000 : 300;
    (void)state;
    srandom(1);
    for (int round = 0; round < rounds; round++) {
        uint64_t step_s = 1 + (uint64_t)random() % 300;
        struct series_range range =
            range_of((uint64_t)random() % 500, step_s, 1 + (size_t)random() % (2000 / step_s + 1));
        make_samples(METRIC_GAUGE, samples);
        numbers_agree(METRIC_GAUGE, samples, range);
        histograms_agree(samples, range);
        make_samples(METRIC_COUNTER, samples);
        numbers_agree(METRIC_COUNTER, samples, range);
    }
}

/* --- blocks against tick by tick --- */

enum { BLOCK_BUCKETS = 5 };

struct block_room {
    double sums[SAMPLES_BLOCK_TICKS];
    uint64_t zeros[SAMPLES_BLOCK_TICKS], counts[BLOCK_BUCKETS][SAMPLES_BLOCK_TICKS];
    struct samples_bucket buckets[BLOCK_BUCKETS];
    struct samples_histograms histograms;
};

/* A block with holes, whose counts begin anew now and then; `totals` goes on from the block before. */
static void make_block(struct block_room *room, uint64_t totals[BLOCK_BUCKETS + 1], struct samples_block *ret) {
    for (size_t i = 0; i < ret->count; i++) {
        for (size_t b = 0; b <= BLOCK_BUCKETS; b++)
            totals[b] = random() % 40 == 0 ? (uint64_t)random() % 3 : totals[b] + (uint64_t)random() % 4;
        room->zeros[i] = totals[BLOCK_BUCKETS];
        room->sums[i] = random() % 5 ? (double)(totals[0] + totals[1]) : samples_hole();
        for (size_t b = 0; b < BLOCK_BUCKETS; b++) {
            room->counts[b][i] = samples_is_hole(room->sums[i]) ? (uint64_t)random() : totals[b];
            room->buckets[b] = (struct samples_bucket) { (uint8_t)(20 + b / 2), (uint8_t)(b * 7), room->counts[b] };
        }
    }
    room->histograms = (struct samples_histograms) { room->sums, room->zeros, room->buckets, BLOCK_BUCKETS };
    ret->values = room->sums;
    ret->histograms = &room->histograms;
}

static void take_tick_by_tick(struct series_window *window, const struct samples_block *block) {
    for (size_t i = 0; i < block->count; i++) {
        struct histogram histogram = HISTOGRAM_EMPTY;
        if (samples_is_hole(block->values[i]))
            continue;
        assert_int_equal(samples_histogram_at(block, i, &histogram), 0);
        assert_int_equal(series_window_histogram(window, block->start_ns + i * block->interval_ns, &histogram, 1), 0);
        histogram_finish(&histogram);
    }
}

static void same_points(const struct series_points *a, const struct series_points *b) {
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->items[i].time_ns, b->items[i].time_ns);
        assert_int_equal(a->items[i].samples, b->items[i].samples);
        close_to(a->items[i].count, b->items[i].count);
        close_to(a->items[i].sum, b->items[i].sum);
        close_to(a->items[i].rate, b->items[i].rate);
        close_to(a->items[i].quantiles[0], b->items[i].quantiles[0]);
        close_to(a->items[i].quantiles[1], b->items[i].quantiles[1]);
    }
}

static void blocks_give_what_their_ticks_give(void **state) {
    static struct block_room room;
    const int rounds = getenv("TASKFORGE_LONG") ? 2000 : 30;
    (void)state;
    for (int round = 0; round < rounds; round++) {
        uint64_t totals[BLOCK_BUCKETS + 1] = { 0 };
        struct series_range range =
            range_of(10 * ((uint64_t)random() % 200), 10 * (1 + (uint64_t)random() % 40), 1 + (size_t)random() % 30);
        const struct series_range all = { range.first_ns, range.count * range.step_ns, 1 };
        struct series_window windows[4];
        struct series_points points[4];
        for (size_t i = 0; i < COUNT_OF(windows); i++)
            series_window_begin(&windows[i], METRIC_HISTOGRAM, i % 2 ? &all : &range, &quantiles, 0, T0);
        struct samples_block block = { .start_ns = T0, .interval_ns = 10 * S };
        for (int b = 0; b < 3; b++, block.start_ns += block.count * block.interval_ns) {
            block.count = 1 + (size_t)random() % SAMPLES_BLOCK_TICKS;
            make_block(&room, totals, &block);
            assert_int_equal(series_block_take(&windows[0], &windows[1], &block), 0);
            take_tick_by_tick(&windows[2], &block);
            take_tick_by_tick(&windows[3], &block);
        }
        for (size_t i = 0; i < COUNT_OF(windows); i++)
            assert_int_equal(series_window_end(&windows[i], &points[i]), 0);
        same_points(&points[0], &points[2]);
        same_points(&points[1], &points[3]);
        for (size_t i = 0; i < COUNT_OF(windows); i++)
            series_points_finish(&points[i]);
    }
}

static void a_histogram_whose_counts_fall_began_anew(void **state) {
    struct series_range range = range_of(0, 30, 1);
    struct series_window window;
    struct series_points points;
    struct histogram histogram = HISTOGRAM_EMPTY;
    (void)state;
    series_window_begin(&window, METRIC_TIMER, &range, &quantiles, 0, 0);
    histogram_add(&histogram, 1, 5);
    series_window_histogram(&window, T0 - 10 * S, &histogram, 1);
    histogram_add(&histogram, 2, 2);
    series_window_histogram(&window, T0, &histogram, 1);
    histogram_finish(&histogram);
    histogram = HISTOGRAM_EMPTY;
    histogram_add(&histogram, 100, 9); /* more than before, but the others are gone */
    series_window_histogram(&window, T0 + 10 * S, &histogram, 1);
    histogram_add(&histogram, -1, 1);
    series_window_histogram(&window, T0 + 20 * S, &histogram, 1);
    histogram_finish(&histogram);
    assert_int_equal(series_window_end(&window, &points), 0);
    close_to(points.items[0].count, 12);
    close_to(points.items[0].sum, 903);
    assert_true(fabs(points.items[0].quantiles[1] - 100) < 1);
    series_points_finish(&points);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gauge_has_what_its_samples_have),
        cmocka_unit_test(what_is_no_number_is_the_last_and_in_no_average),
        cmocka_unit_test(a_counter_grows_over_gaps_and_begins_anew),
        cmocka_unit_test(the_first_sample_is_the_base_unless_the_series_began_meanwhile),
        cmocka_unit_test(what_lies_outside_or_behind_is_passed_over),
        cmocka_unit_test(a_histogram_whose_counts_fall_began_anew),
        cmocka_unit_test(steps_are_what_people_would_choose),
        cmocka_unit_test(too_much_is_refused_with_the_reason),
        cmocka_unit_test(quantiles_are_read),
        cmocka_unit_test(random_series_agree_with_a_plain_look),
        cmocka_unit_test(blocks_give_what_their_ticks_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
