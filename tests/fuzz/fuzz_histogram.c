/* Encoded histograms: whatever is read as one is written as the same bytes, and everything that reads histograms can use it. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/histogram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct histogram histogram = HISTOGRAM_EMPTY, copy = HISTOGRAM_EMPTY;
    struct buffer out = BUFFER_EMPTY;
    struct text bytes = { (const char *)data, size };
    uint64_t classic[64];
    if (histogram_decode(bytes, &histogram) < 0)
        return 0;
    check(size <= HISTOGRAM_PACKED_MAX);
    histogram_encode(&histogram, &out);
    check(text_equal(buffer_text(&out), bytes));
    check(histogram_copy(&histogram, &copy) == 0 && histogram_count(&copy) == histogram_count(&histogram));
    double median = histogram_quantile(&histogram, 0.5);
    check(isnan(median) == (histogram_count(&histogram) == 0));
    histogram_classic(&histogram, histogram_default_bounds, histogram_default_bound_count, classic);
    histogram_finish(&histogram);
    histogram_finish(&copy);
    buffer_finish(&out);
    return 0;
}
