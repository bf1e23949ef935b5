#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/histogram.h"

static uint64_t state_of_random = 88172645463325252u;

static uint64_t random_bits(void) {
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    return state_of_random ^= state_of_random << 17;
}

static double random_unit(void) { /* [0, 1) */
    return (double)(random_bits() >> 11) * 0x1p-53;
}

/* --- places --- */

static void a_value_lies_within_its_bucket(void **state) {
    (void)state;
    for (int i = 0; i < 200000; i++) {
        double value = exp2(random_unit() * 79.9 - 30), exact = log2(value) + 30;
        unsigned octave = 999, bucket = 999;
        assert_true(histogram_place(value, &octave, &bucket));
        double upper = histogram_upper(octave, bucket),
               lower = bucket ? histogram_upper(octave, bucket - 1) : ldexp(1, (int)octave - 30);
        assert_true(value <= upper && value > lower);
        double place = octave * 64 + bucket; /* and that is where the logarithm says, but at the very edge */
        assert_true(exact * 64 > place - 1e-9 && exact * 64 <= place + 1 + 1e-9);
    }
}

static void an_upper_bound_is_the_last_value_of_its_bucket(void **state) {
    (void)state;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
            double upper = histogram_upper(o, b);
            unsigned octave, bucket;
            assert_true(fabs(upper / exp2((int)o - 30 + (b + 1) / 64.0) - 1) < 1e-15);
            assert_true(histogram_place(upper, &octave, &bucket));
            assert_int_equal(octave * 64 + bucket, o * 64 + b);
            histogram_place(nextafter(upper, INFINITY), &octave, &bucket);
            unsigned next = o * 64 + b + 1;
            assert_int_equal(octave * 64 + bucket, next < HISTOGRAM_OCTAVES * 64 ? next : next - 1);
        }
}

static void values_beyond_the_octaves_count_at_their_ends(void **state) {
    (void)state;
    static const struct {
        double value;
        unsigned place;
    } ends[] = { { 5e-324, 0 },      { 1e-300, 0 },     { 0x1p-30, 0 },    { 0x1p50, HISTOGRAM_OCTAVES * 64 - 1 },
                 { 0x1.8p50, 5119 }, { 1.7e308, 5119 }, { INFINITY, 5119 } };
    unsigned octave, bucket;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        assert_true(histogram_place(ends[i].value, &octave, &bucket));
        assert_int_equal(octave * 64 + bucket, ends[i].place);
    }
    assert_false(histogram_place(0, &octave, &bucket));
    assert_false(histogram_place(-0.0, &octave, &bucket));
    assert_false(histogram_place(-1, &octave, &bucket));
    assert_false(histogram_place(-INFINITY, &octave, &bucket));
    assert_false(histogram_place(NAN, &octave, &bucket));
}

/* --- adding --- */

static void counts_and_sums(void **state) {
    (void)state;
    struct histogram histogram = HISTOGRAM_EMPTY, copy = HISTOGRAM_EMPTY;
    assert_int_equal(histogram_count(&histogram), 0);
    assert_int_equal(histogram_add(&histogram, 0.5, 3), 0);
    assert_int_equal(histogram_add(&histogram, -2, 2), 0);
    assert_int_equal(histogram_add(&histogram, 1000, 1), 0);
    assert_int_equal(histogram_count(&histogram), 6);
    assert_true(histogram.sum == 997.5);
    assert_int_equal(histogram.zero, 2);
    assert_int_equal(histogram_copy(&histogram, &copy), 0);
    uint64_t octave[HISTOGRAM_BUCKETS] = { [7] = 5 };
    assert_int_equal(histogram_add_octave(&copy, 40, octave), 0);
    assert_int_equal(histogram_add_octave(&copy, 40, octave), 0);
    assert_int_equal(copy.octaves[40][7], 10);
    assert_int_equal(histogram_count(&copy), 16);
    assert_int_equal(histogram_count(&histogram), 6); /* a copy is its own */
    histogram_finish(&histogram);
    histogram_finish(&copy);
    assert_int_equal(histogram_count(&copy), 0);
}

/* --- quantiles --- */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value of rank q * count, against the histogram's. */
static void assert_quantiles(const double *sorted, size_t count, const struct histogram *histogram) {
    static const double quantiles[] = { 0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1 };
    for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
        double rank = ceil(quantiles[i] * (double)count);
        double exact = sorted[rank > 0 ? (size_t)rank - 1 : 0], ours = histogram_quantile(histogram, quantiles[i]);
        if (fabs(ours / exact - 1) > 0.00545)
            fail_msg("quantile %g: %g, not %g", quantiles[i], ours, exact);
    }
}

static void a_quantile_is_off_by_half_a_percent_at_most(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    double *values = malloc(COUNT * sizeof(*values));
    assert_non_null(values);
    for (int shape = 0; shape < 4; shape++) {
        struct histogram histogram = HISTOGRAM_EMPTY;
        for (size_t i = 0; i < COUNT; i++) {
            double unit = random_unit();
            values[i] = shape == 0   ? 0.001 + unit                          /* even */
                        : shape == 1 ? exp2(unit * 40 - 20)                  /* even on the logarithm */
                        : shape == 2 ? -log(1 - unit) * 0.05 + 1e-6          /* exponential */
                                     : histogram_upper(31, 5) * (1 + 1e-12); /* all at the lower end of one bucket */
            assert_int_equal(histogram_add(&histogram, values[i], 1), 0);
        }
        qsort(values, COUNT, sizeof(*values), compare_doubles);
        assert_quantiles(values, COUNT, &histogram);
        histogram_finish(&histogram);
    }
    free(values);
}

static void quantiles_of_few(void **state) {
    (void)state;
    struct histogram histogram = HISTOGRAM_EMPTY;
    assert_true(isnan(histogram_quantile(&histogram, 0.5)));
    histogram_add(&histogram, -5, 9);
    assert_true(histogram_quantile(&histogram, 0.5) == 0);
    assert_true(histogram_quantile(&histogram, 1) == 0);
    histogram_add(&histogram, 100, 1);
    assert_true(histogram_quantile(&histogram, 0.9) == 0);
    assert_true(fabs(histogram_quantile(&histogram, 0.95) / 100 - 1) < 0.0055);
    assert_true(isnan(histogram_quantile(&histogram, 1.1)));
    assert_true(isnan(histogram_quantile(&histogram, -0.1)));
    assert_true(isnan(histogram_quantile(&histogram, NAN)));
    histogram.octaves[20] = calloc(HISTOGRAM_BUCKETS, sizeof(uint64_t));
    assert_non_null(histogram.octaves[20]);
    histogram.octaves[20][3] = UINT64_MAX / 2; /* ranks beyond what a double counts */
    assert_true(histogram_quantile(&histogram, 1) > 0);
    histogram_finish(&histogram);
}

/* --- classic buckets --- */

static void classic_buckets_count_up_to_their_bounds(void **state) {
    (void)state;
    struct histogram histogram = HISTOGRAM_EMPTY;
    const double bounds[] = { -1, 0, 0.25, 1, 10, 1e6 };
    uint64_t counts[COUNT_OF(bounds)];
    histogram_add(&histogram, -3, 1);
    histogram_add(&histogram, 0.25, 2); /* a bound is inclusive */
    histogram_add(&histogram, 0.26, 4);
    histogram_add(&histogram, 9, 8);
    histogram_add(&histogram, 11, 16);
    histogram_add(&histogram, 1e7, 32);
    histogram_classic(&histogram, bounds, COUNT_OF(bounds), counts);
    const uint64_t expected[] = { 0, 1, 3, 7, 15, 31 };
    for (size_t i = 0; i < COUNT_OF(bounds); i++)
        assert_int_equal(counts[i], expected[i]);
    histogram_classic(&histogram, bounds, 0, counts);
    histogram_finish(&histogram);
}

static void the_default_bounds_ascend(void **state) {
    (void)state;
    for (size_t i = 1; i < histogram_timer_bound_count; i++)
        assert_true(histogram_timer_bounds[i] > histogram_timer_bounds[i - 1]);
    for (size_t i = 1; i < histogram_default_bound_count; i++)
        assert_true(histogram_default_bounds[i] > histogram_default_bounds[i - 1]);
}

/* --- as bytes --- */

static void comes_back_from_bytes_as_it_was(void **state) {
    (void)state;
    for (int turn = 0; turn < 200; turn++) {
        struct histogram histogram = HISTOGRAM_EMPTY, back = HISTOGRAM_EMPTY;
        struct buffer bytes = BUFFER_EMPTY, again = BUFFER_EMPTY;
        for (int i = 0; i < turn * 3; i++)
            histogram_add(&histogram, turn % 7 == 0 ? -1 : exp2(random_unit() * 100 - 40),
                          turn == 100 ? UINT64_MAX >> (random_bits() % 64) : random_bits() % 300 + 1);
        if (turn == 50)
            assert_non_null(histogram.octaves[3] = calloc(HISTOGRAM_BUCKETS, sizeof(uint64_t))); /* used for nothing */
        histogram_encode(&histogram, &bytes);
        assert_false(bytes.failed);
        assert_true(bytes.length <= HISTOGRAM_PACKED_MAX);
        assert_int_equal(histogram_decode(buffer_text(&bytes), &back), 0);
        histogram_encode(&back, &again);
        assert_true(text_equal(buffer_text(&bytes), buffer_text(&again)));
        assert_true(back.sum == histogram.sum);
        assert_int_equal(histogram_count(&back), histogram_count(&histogram));
        histogram_finish(&histogram);
        histogram_finish(&back);
        buffer_finish(&bytes);
        buffer_finish(&again);
    }
}

#define HEAD "\1\0\0\0\0\0\0\xf0\x3f" /* version 1, sum 1.0 */

static void refuses_bytes_that_are_no_histogram(void **state) {
    (void)state;
    static const struct text bad[] = {
        TEXT_INITIALIZER(""),
        TEXT_INITIALIZER("\2\0\0\0\0\0\0\xf0\x3f\0"),                            /* another version */
        TEXT_INITIALIZER("\1\0\0\0"),                                            /* cut in the sum */
        TEXT_INITIALIZER(HEAD),                                                  /* before the zero count */
        TEXT_INITIALIZER(HEAD "\x80\0"),                                         /* a number longer than it must be */
        TEXT_INITIALIZER(HEAD "\0\x50\1\0\1"),                                   /* octave 80 */
        TEXT_INITIALIZER(HEAD "\0\5\0"),                                         /* an octave of nothing */
        TEXT_INITIALIZER(HEAD "\0\5\x41\0\1"),                                   /* 65 buckets */
        TEXT_INITIALIZER(HEAD "\0\5\1\x40\1"),                                   /* bucket 64 */
        TEXT_INITIALIZER(HEAD "\0\5\2\1\1\0\1"),                                 /* a bucket twice */
        TEXT_INITIALIZER(HEAD "\0\5\2\x3f\1\1\1"),                               /* the second beyond the last */
        TEXT_INITIALIZER(HEAD "\0\5\1\0\0"),                                     /* a count of nothing */
        TEXT_INITIALIZER(HEAD "\0\5\1\0"),                                       /* cut */
        TEXT_INITIALIZER(HEAD "\0\5\1\0\1\5\1\1\1"),                             /* an octave twice */
        TEXT_INITIALIZER(HEAD "\0\5\1\0\1\4\1\0\1"),                             /* falling */
        TEXT_INITIALIZER(HEAD "\0\5\1\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"), /* more than 64 bits */
        TEXT_INITIALIZER(HEAD "\0\5\1\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct histogram histogram = { .sum = 7 };
        if (histogram_decode(bad[i], &histogram) != -EBADMSG || histogram.sum != 7)
            fail_msg("case %zu", i);
    }
    struct histogram histogram = HISTOGRAM_EMPTY;
    struct text largest = TEXT_LITERAL(HEAD "\0\5\1\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1");
    assert_int_equal(histogram_decode(largest, &histogram), 0);
    assert_true(histogram.octaves[5][0] == UINT64_MAX);
    histogram_finish(&histogram);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_lies_within_its_bucket),
        cmocka_unit_test(an_upper_bound_is_the_last_value_of_its_bucket),
        cmocka_unit_test(values_beyond_the_octaves_count_at_their_ends),
        cmocka_unit_test(counts_and_sums),
        cmocka_unit_test(a_quantile_is_off_by_half_a_percent_at_most),
        cmocka_unit_test(quantiles_of_few),
        cmocka_unit_test(classic_buckets_count_up_to_their_bounds),
        cmocka_unit_test(the_default_bounds_ascend),
        cmocka_unit_test(comes_back_from_bytes_as_it_was),
        cmocka_unit_test(refuses_bytes_that_are_no_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
