#include "common/query/series_block.h"

#include <errno.h>

static uint64_t time_of(const struct samples_block *block, size_t index) {
    return block->start_ns + index * block->interval_ns;
}

/* --- counters and gauges --- */

static int take_values(struct series_window *window, const struct samples_block *block) {
    int result = 0;
    for (size_t i = 0; i < block->count && result == 0; i++)
        if (!samples_is_hole(block->values[i]))
            result = series_window_value(window, time_of(block, i), block->values[i]);
    return result;
}

/* --- histograms and timers --- */

/* The ticks of a block that are there, and of each whether some count is less than at the one before. */
struct ticks {
    uint16_t at[SAMPLES_BLOCK_TICKS];
    bool fell[SAMPLES_BLOCK_TICKS];
    size_t count;
};

static void note_falls(struct ticks *ticks, const uint64_t *counts) {
    for (size_t i = 1; i < ticks->count; i++)
        ticks->fell[i] |= counts[ticks->at[i]] < counts[ticks->at[i - 1]];
}

static void find_ticks(const struct samples_block *block, struct ticks *ret) {
    const struct samples_histograms *histograms = block->histograms;
    ret->count = 0;
    for (size_t i = 0; i < block->count && i < SAMPLES_BLOCK_TICKS; i++)
        if (!samples_is_hole(histograms->sums[i])) {
            ret->at[ret->count] = (uint16_t)i;
            ret->fell[ret->count++] = false;
        }
    note_falls(ret, histograms->zeros);
    for (size_t i = 0; i < histograms->bucket_count; i++)
        note_falls(ret, histograms->buckets[i].counts);
}

/* Which step, counted from 1; 0: before the range. */
static uint64_t step_of(const struct series_range *range, uint64_t time_ns) {
    return time_ns < range->first_ns ? 0 : (time_ns - range->first_ns) / range->step_ns + 1;
}

/* Whether the histogram at a tick is to be put together. The first of a block is, since nothing tells whether it is less than
 * the last one of the block before, and so that there is a base; and the last of all that lie in a step. */
static bool is_needed(const struct series_range *range, const struct samples_block *block, const struct ticks *ticks,
                      size_t index) {
    if (index == 0 || index + 1 == ticks->count || ticks->fell[index] || ticks->fell[index + 1])
        return true;
    return step_of(range, time_of(block, ticks->at[index])) != step_of(range, time_of(block, ticks->at[index + 1]));
}

static int take_histograms(struct series_window *window, struct series_window *whole,
                           const struct samples_block *block) {
    struct ticks ticks;
    size_t samples = 0;
    find_ticks(block, &ticks);
    for (size_t i = 0; i < ticks.count; i++) {
        struct histogram histogram = HISTOGRAM_EMPTY;
        uint64_t time_ns = time_of(block, ticks.at[i]);
        samples++;
        if (!is_needed(&window->range, block, &ticks, i))
            continue;
        int result = samples_histogram_at(block, ticks.at[i], &histogram);
        if (result < 0)
            return result;
        result = series_window_histogram(window, time_ns, &histogram, samples);
        if (result == 0 && whole)
            result = series_window_histogram(whole, time_ns, &histogram, samples);
        histogram_finish(&histogram);
        if (result < 0)
            return result;
        samples = 0;
    }
    return 0;
}

int series_block_take(struct series_window *window, struct series_window *whole, const struct samples_block *block) {
    if (block->histograms)
        return take_histograms(window, whole, block);
    int result = take_values(window, block);
    return result == 0 && whole ? take_values(whole, block) : result;
}
