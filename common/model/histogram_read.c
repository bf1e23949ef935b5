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

void histogram_classic(const struct histogram *histogram, const double *bounds, size_t count, uint64_t *ret) {
    uint64_t sum = histogram->zero;
    size_t at = 0;
    for (; at < count && bounds[at] < 0; at++)
        ret[at] = 0;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; histogram->octaves[o] && b < HISTOGRAM_BUCKETS; b++) {
            if (histogram->octaves[o][b] == 0)
                continue;
            double here = middle(o, b);
            for (; at < count && bounds[at] < here; at++)
                ret[at] = sum;
            sum += histogram->octaves[o][b];
        }
    for (; at < count; at++)
        ret[at] = sum;
}
