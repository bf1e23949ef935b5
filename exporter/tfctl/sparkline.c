#include "exporter/tfctl/sparkline.h"

#include <math.h>

#include "common/base/check.h"

static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
enum { BARS = COUNT_OF(bars), MIDDLE = BARS / 2 };

/* The average of the numbers among values [from, to); NaN of none. */
static double average(const double *values, size_t from, size_t to) {
    double sum = 0;
    size_t numbers = 0;
    for (size_t i = from; i < to; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            numbers++;
        }
    return numbers > 0 ? sum / (double)numbers : NAN;
}

static size_t height(double value, double low, double high) {
    if (high <= low)
        return value == 0 ? 0 : MIDDLE;
    double share = (value - low) / (high - low);
    return share >= 1 ? BARS - 1 : (size_t)(share * BARS);
}

void sparkline_append(struct buffer *out, const double *values, size_t count, size_t width, bool from_least) {
    double shown[SPARKLINE_WIDTH_MAX], low = from_least ? INFINITY : 0, high = -INFINITY;
    check(width <= SPARKLINE_WIDTH_MAX);
    for (size_t i = 0; i < width; i++) {
        size_t from = i * count / width, to = (i + 1) * count / width;
        shown[i] = average(values, from, to > from ? to : from + (count > 0));
        low = shown[i] < low ? shown[i] : low;
        high = shown[i] > high ? shown[i] : high;
    }
    for (size_t i = 0; i < width; i++)
        buffer_append_string(out, isnan(shown[i]) ? " " : bars[height(shown[i], low, high)]);
}
