/* histogram_read.c - see histogram.h: what needs libm, which the client library does without. */
#include <math.h>

#include "common/model/histogram.h"

static double lower(unsigned octave, unsigned bucket) {
    return bucket > 0 ? histogram_upper(octave, bucket - 1) : ldexp(1, (int)octave + HISTOGRAM_OCTAVE_MIN);
}

/* On the exponential scale. */
static double middle(unsigned octave, unsigned bucket) {
    return sqrt(lower(octave, bucket) * histogram_upper(octave, bucket));
}

double histogram_quantile(const struct histogram *histogram, double q) {
    uint64_t count = histogram_count(histogram);
    if (count == 0 || !(q >= 0 && q <= 1))
        return NAN;
    double rank = q * (double)count, sum = (double)histogram->zero, last = 0;
    if (histogram->zero > 0 && rank <= sum)
        return 0;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; histogram->octaves[o] && b < HISTOGRAM_BUCKETS; b++) {
            if (histogram->octaves[o][b] == 0)
                continue;
            sum += (double)histogram->octaves[o][b];
            last = middle(o, b);
            if (rank <= sum)
                return last;
        }
    return last; /* counts beyond 2^53 may leave the rank a little above their sum */
}

unsigned histogram_buckets_to(double bound) {
    unsigned low = 0, high = HISTOGRAM_OCTAVES * HISTOGRAM_BUCKETS;
    if (bound < 0)
        return UINT16_MAX;
    while (low < high) { /* the first whose middle is above the bound */
        unsigned here = low + (high - low) / 2;
        if (middle(here / HISTOGRAM_BUCKETS, here % HISTOGRAM_BUCKETS) <= bound)
            low = here + 1;
        else
            high = here;
    }
    return low;
}

static uint64_t sum_of(const uint64_t *counts, unsigned from, unsigned to) {
    uint64_t sum = 0;
    for (; counts && from < to; from++)
        sum += counts[from];
    return sum;
}

void histogram_cumulate(const struct histogram *histogram, const uint16_t *ends, size_t count, uint64_t *ret) {
    uint64_t sum = histogram->zero;
    unsigned octave = 0, bucket = 0;
    size_t at = 0;
    for (; at < count && ends[at] == UINT16_MAX; at++)
        ret[at] = 0;
    for (; at < count; at++) {
        unsigned end_octave = ends[at] / HISTOGRAM_BUCKETS, end_bucket = ends[at] % HISTOGRAM_BUCKETS;
        for (; octave < end_octave; octave++, bucket = 0)
            sum += sum_of(histogram->octaves[octave], bucket, HISTOGRAM_BUCKETS);
        if (end_bucket > bucket)
            sum += sum_of(histogram->octaves[octave], bucket, end_bucket);
        bucket = end_bucket;
        ret[at] = sum;
    }
}

void histogram_classic(const struct histogram *histogram, const double *bounds, size_t count, uint64_t *ret) {
    for (size_t i = 0; i < count; i++) {
        uint16_t end = (uint16_t)histogram_buckets_to(bounds[i]);
        uint16_t ends[2] = { end, end };
        histogram_cumulate(histogram, ends, 1, &ret[i]);
    }
}
