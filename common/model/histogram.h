/* histogram.h - exponential buckets: 64 to an octave, so that a quantile is off by less than 0.6 %.
 *
 * Bucket b of octave o holds the values in (2^(o + b/64), 2^(o + (b+1)/64)]: schema 6 of Prometheus' native histograms and of
 * OpenTelemetry's exponential histograms (opentelemetry.io/docs/specs/otel/metrics/data-model). Octaves are kept only where
 * they hold something. Values of 0 and below are counted apart; values beyond the octaves count at their ends. Pure.
 */
#ifndef TASKFORGE_COMMON_MODEL_HISTOGRAM_H
#define TASKFORGE_COMMON_MODEL_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"

enum {
    HISTOGRAM_BUCKETS = 64,                                                       /* of an octave */
    HISTOGRAM_OCTAVE_MIN = -30,                                                   /* 2^-30: a nanosecond in seconds */
    HISTOGRAM_OCTAVES = 80,                                                       /* up to 2^50 */
    HISTOGRAM_PACKED_MAX = 20 + HISTOGRAM_OCTAVES * (2 + HISTOGRAM_BUCKETS * 11), /* bytes of an encoded one at most */
};

struct histogram {
    double sum;
    uint64_t zero;                        /* observations of 0 and below */
    uint64_t *octaves[HISTOGRAM_OCTAVES]; /* owned; each HISTOGRAM_BUCKETS counts, or NULL */
};
#define HISTOGRAM_EMPTY ((struct histogram) { 0 })
void histogram_finish(struct histogram *histogram);

/* The table of histogram_quick (histogram.c). */
enum { HISTOGRAM_GUESS_BITS = 7, HISTOGRAM_MANTISSA_BITS = 52, HISTOGRAM_EXPONENT_OF_1 = 1023 };
struct histogram_guess {
    double bound;
    uint32_t bucket;
};
extern const struct histogram_guess histogram_guesses[1 << HISTOGRAM_GUESS_BITS];

/* The octave (which may be none there is) and the bucket of a value above 0 that is no power of two; else false. Inline, and without
 * one load waiting for another: an observation is a few nanoseconds in all. */
static inline bool histogram_quick(double value, unsigned *octave, unsigned *bucket) {
    uint64_t bits;
    double mantissa;
    __builtin_memcpy(&bits, &value, sizeof(bits));
    uint64_t fraction = bits & ((UINT64_C(1) << HISTOGRAM_MANTISSA_BITS) - 1);
    /* What frexp says, without the call. A subnormal is below all octaves by any exponent, what is below 0 or infinite above. */
    *octave = (unsigned)((int)(bits >> HISTOGRAM_MANTISSA_BITS) - HISTOGRAM_EXPONENT_OF_1 - HISTOGRAM_OCTAVE_MIN);
    bits = fraction | (uint64_t)(HISTOGRAM_EXPONENT_OF_1 - 1) << HISTOGRAM_MANTISSA_BITS; /* in [0.5, 1) */
    __builtin_memcpy(&mantissa, &bits, sizeof(mantissa));
    const struct histogram_guess *guess =
        &histogram_guesses[fraction >> (HISTOGRAM_MANTISSA_BITS - HISTOGRAM_GUESS_BITS)];
    *bucket = guess->bucket + (mantissa > guess->bound);
    return fraction != 0;
}

/* Where a value belongs: false for 0 and below (and NaN, which nobody should bring). *octave is 0 .. HISTOGRAM_OCTAVES - 1. */
bool histogram_place(double value, unsigned *octave, unsigned *bucket);

/* The inclusive upper bound of a bucket. */
double histogram_upper(unsigned octave, unsigned bucket);

/* -ENOMEM, and then nothing has changed. */
int histogram_add(struct histogram *histogram, double value, uint64_t times);
/* Add counts of one octave. */
int histogram_add_octave(struct histogram *histogram, unsigned octave, const uint64_t counts[HISTOGRAM_BUCKETS]);
int histogram_copy(const struct histogram *from, struct histogram *ret);

uint64_t histogram_count(const struct histogram *histogram);

/* The q-quantile (0 to 1): the middle, on the exponential scale, of the bucket that the observation of that rank is in, so that it is off by
 * 2^(1/128), 0.55 %, at most; 0 for those of 0 and below; NaN of an empty one. */
double histogram_quantile(const struct histogram *histogram, double q);

/* Cumulative counts for ascending classic bounds: how many observations are at most bounds[i], to the resolution of the
 * buckets (a bucket that reaches beyond a bound counts there where the greater part of it lies below). The count of all is
 * histogram_count. */
void histogram_classic(const struct histogram *histogram, const double *bounds, size_t count, uint64_t *ret);

/* The same in two steps, for who has one set of bounds and many histograms: how many of all fine buckets, from the lowest on, count to a bound (none, and
 * not even those of 0 and below, to one below 0: then UINT16_MAX), and the cumulative counts. */
unsigned histogram_buckets_to(double bound);
void histogram_cumulate(const struct histogram *histogram, const uint16_t *ends, size_t count, uint64_t *ret);

/* The classic bounds that hold where a definition has none. */
extern const double histogram_timer_bounds[];
extern const double histogram_default_bounds[];
extern const size_t histogram_timer_bound_count, histogram_default_bound_count;

/* As bytes, for the store: version 1, sum (double, little-endian), zero, then each octave in use: its number, how many of its
 * buckets are not 0, and those as (distance from the one before, count). Integers are LEB128. Appended to out; a failed buffer tells. */
void histogram_encode(const struct histogram *histogram, struct buffer *out);
/* -EBADMSG for anything that is not exactly one histogram, -ENOMEM. *ret is to be finished after 0 only. */
int histogram_decode(struct text bytes, struct histogram *ret);

#endif
