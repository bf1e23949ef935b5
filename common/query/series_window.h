/* series_window.h - what the samples of one series say in each step of a range: averages, increases, quantiles.
 *
 * The samples come in the order of their time, those before the range first (of which the newest is the baseline of what counters and
 * histograms grew by). A step is told when it has a sample:
 *
 *   gauges, unknown     avg, min, max of its samples that are numbers; the last one, whatever it is
 *   counters            the last one; increase: from the newest sample before the step to the step's last, where a total that falls began
 *                       anew at 0; rate: that in a second, over the time between those two samples. So the increases of all steps are
 *                       the increase of all, also over gaps, and a step that is not over has a true rate
 *   histograms, timers  the observations of that same time: count, sum, avg, quantiles, rate; one of whose counts falls began anew
 *
 * Where there is no sample before the first one, a series that was created meanwhile is taken to have begun at 0 then; else that sample is
 * the baseline itself, and a step with no other has no increase that is known. Pure; one thread.
 */
#ifndef TASKFORGE_COMMON_QUERY_SERIES_WINDOW_H
#define TASKFORGE_COMMON_QUERY_SERIES_WINDOW_H

#include <stdbool.h>

#include "common/model/histogram.h"
#include "common/model/metric.h"
#include "common/query/series_range.h"

enum { SERIES_QUANTILES_MAX = 8 };

struct series_quantiles {
    double q[SERIES_QUANTILES_MAX]; /* 0 to 1 */
    size_t count;
};
#define SERIES_QUANTILES_DEFAULT ((struct series_quantiles) { { 0.5, 0.95, 0.99 }, 3 })

/* "0.5,0.95,0.999": 1 to SERIES_QUANTILES_MAX of 0 to 1. -EINVAL with the reason. */
int series_quantiles_parse(struct text text, struct series_quantiles *ret, struct error *error);
/* What a quantile is called: "p50", "p99.9". */
enum { SERIES_QUANTILE_NAME = 32 };
const char *series_quantile_name(double q, char out[SERIES_QUANTILE_NAME]);

/* One step. What does not go with the kind, or is not known, is NaN. */
struct series_point {
    uint64_t time_ns; /* where the step begins */
    uint64_t samples; /* in it; more than 0 */
    double avg, min, max, last;
    double increase, rate;
    double count, sum;
    double quantiles[SERIES_QUANTILES_MAX];
};

struct series_points {
    struct series_point *items; /* owned */
    size_t count, capacity;
};
#define SERIES_POINTS_EMPTY ((struct series_points) { 0 })
void series_points_finish(struct series_points *points);

struct series_window {
    struct series_range range;
    enum metric_kind kind;
    struct series_quantiles quantiles;
    struct series_points points;
    /* The newest sample, or where there was none yet what the series began with. */
    bool has_before, is_sample;
    uint64_t before_ns;
    double before;
    struct histogram before_histogram;
    /* The step that is being gathered. */
    bool open;
    size_t step;
    uint64_t samples, numbers, base_ns;
    bool has_base;
    double total, min, max;
    double base,
        grown; /* counters: what the growth is measured from; what it came to before the last time the total began anew */
    struct histogram inside; /* histograms: the observations */
};

/* created_ns: when the series was made, 0: not known. since_ns: from when on the caller brings samples. Nothing needs to be freed before
 * the first sample. */
void series_window_begin(struct series_window *window, enum metric_kind kind, const struct series_range *range,
                         const struct series_quantiles *quantiles, uint64_t created_ns, uint64_t since_ns);

/* The next sample, later than the one before (one that is not is passed over); beyond the range it is passed over. -ENOMEM. */
int series_window_value(struct series_window *window, uint64_t time_ns, double value);
/* `samples`: so many, this one and those right before it that lie in the same step, since none of which a count fell. */
int series_window_histogram(struct series_window *window, uint64_t time_ns, const struct histogram *value,
                            uint64_t samples);

/* *ret, the caller's from now on, gets the steps that have samples, in order. The window is finished in any case. -ENOMEM. */
int series_window_end(struct series_window *window, struct series_points *ret);
void series_window_finish(struct series_window *window);

#endif
