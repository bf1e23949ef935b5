#include "common/query/series_window.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"

/* --- quantiles --- */

int series_quantiles_parse(struct text text, struct series_quantiles *ret, struct error *error) {
    struct series_quantiles quantiles = { .count = 0 };
    while (quantiles.count < SERIES_QUANTILES_MAX) {
        const char *comma = text.length > 0 ? memchr(text.data, ',', text.length) : NULL;
        size_t length = comma ? (size_t)(comma - text.data) : text.length;
        char digits[32], *end = NULL;
        if (length < 1 || length >= sizeof(digits))
            break;
        memcpy(digits, text.data, length);
        digits[length] = '\0';
        double q = digits[strspn(digits, "0123456789.")] == '\0' ? strtod(digits, &end) : -1;
        if (!end || *end || !(q >= 0 && q <= 1))
            break;
        quantiles.q[quantiles.count++] = q;
        if (!comma) {
            *ret = quantiles;
            return 0;
        }
        text = (struct text) { comma + 1, text.length - length - 1 };
    }
    return error_set(error, -EINVAL, "expected 1 to %d numbers from 0 to 1 with commas between, such as 0.5,0.95,0.99",
                     SERIES_QUANTILES_MAX);
}

const char *series_quantile_name(double q, char out[SERIES_QUANTILE_NAME]) {
    snprintf(out, SERIES_QUANTILE_NAME, "p%.10g", q * 100);
    return out;
}

/* --- steps --- */

void series_points_finish(struct series_points *points) {
    free(points->items);
    *points = SERIES_POINTS_EMPTY;
}

static struct series_point *add_point(struct series_points *points) {
    if (points->count == points->capacity) {
        size_t capacity = points->capacity ? points->capacity * 2 : 16;
        struct series_point *grown = reallocarray(points->items, capacity, sizeof(*grown));
        if (!grown)
            return NULL;
        points->items = grown;
        points->capacity = capacity;
    }
    return &points->items[points->count++];
}

/* In a second; not known where no time passed, as of a series that was made within the tick itself. */
static double rate_of(const struct series_window *window, double growth) {
    if (window->before_ns <= window->base_ns)
        return NAN;
    return growth / ((double)(window->before_ns - window->base_ns) / (double)CLOCK_SECOND);
}

static void tell_number(const struct series_window *window, struct series_point *point) {
    point->last = window->before;
    if (window->kind == METRIC_COUNTER) {
        if (!window->has_base)
            return;
        point->increase = window->grown + (window->before - window->base);
        point->rate = rate_of(window, point->increase);
    } else if (window->numbers > 0) {
        point->avg = window->total / (double)window->numbers;
        point->min = window->min;
        point->max = window->max;
    }
}

static void tell_histogram(const struct series_window *window, struct series_point *point) {
    const struct histogram *inside = &window->inside;
    if (!window->has_base)
        return;
    point->count = (double)histogram_count(inside);
    point->sum = inside->sum;
    point->rate = rate_of(window, point->count);
    if (point->count == 0)
        return;
    point->avg = point->sum / point->count;
    for (size_t i = 0; i < window->quantiles.count; i++)
        point->quantiles[i] = histogram_quantile(inside, window->quantiles.q[i]);
}

static int close_step(struct series_window *window) {
    if (!window->open)
        return 0;
    struct series_point *point = add_point(&window->points);
    if (!point)
        return -ENOMEM;
    *point = (struct series_point) {
        .time_ns = window->range.first_ns + window->step * window->range.step_ns,
        .samples = window->samples,
        .avg = NAN,
        .min = NAN,
        .max = NAN,
        .last = NAN,
        .increase = NAN,
        .rate = NAN,
        .count = NAN,
        .sum = NAN,
    };
    for (size_t i = 0; i < SERIES_QUANTILES_MAX; i++)
        point->quantiles[i] = NAN;
    if (metric_kind_is_histogram(window->kind))
        tell_histogram(window, point);
    else
        tell_number(window, point);
    window->open = false;
    return 0;
}

static void open_step(struct series_window *window, size_t step) {
    window->open = true;
    window->step = step;
    window->samples = window->numbers = 0;
    window->total = window->grown = 0;
    window->has_base = false;
    histogram_finish(&window->inside);
}

/* Where a sample belongs: 1 into the step that is now open, 0 before the range, -ENOMEM; 2: it is passed over. */
static int place(struct series_window *window, uint64_t time_ns) {
    const struct series_range *range = &window->range;
    if (window->is_sample && time_ns <= window->before_ns)
        return 2;
    if (time_ns < range->first_ns)
        return 0;
    if (time_ns >= series_range_end(range))
        return 2;
    size_t step = (size_t)((time_ns - range->first_ns) / range->step_ns);
    if (window->open && window->step == step)
        return 1;
    int result = close_step(window);
    if (result == 0)
        open_step(window, step);
    return result < 0 ? result : 1;
}

/* --- samples --- */

void series_window_begin(struct series_window *window, enum metric_kind kind, const struct series_range *range,
                         const struct series_quantiles *quantiles, uint64_t created_ns, uint64_t since_ns) {
    *window = (struct series_window) { .range = *range, .kind = kind, .quantiles = *quantiles };
    if (created_ns == 0 || created_ns < since_ns)
        return;
    window->has_before = true; /* with nothing in it */
    window->before_ns = created_ns;
}

static void gather_gauge(struct series_window *window, double value) {
    if (isnan(value))
        return;
    window->total += value;
    window->min = window->numbers == 0 || value < window->min ? value : window->min;
    window->max = window->numbers == 0 || value > window->max ? value : window->max;
    window->numbers++;
}

static void gather_counter(struct series_window *window, double value) {
    if (value >= window->before)
        return;
    window->grown += window->before - window->base; /* it began anew */
    window->base = 0;
}

/* Growth is counted from the newest sample before the step; in one that began with none, from its own first one. */
static void settle_base(struct series_window *window) {
    if (window->has_base || !window->has_before)
        return;
    window->has_base = true;
    window->base = window->before;
    window->base_ns = window->before_ns;
}

static void note_sample(struct series_window *window, uint64_t time_ns) {
    window->has_before = window->is_sample = true;
    window->before_ns = time_ns;
}

int series_window_value(struct series_window *window, uint64_t time_ns, double value) {
    if (window->kind == METRIC_COUNTER && !isfinite(value))
        return 0;
    int where = place(window, time_ns);
    if (where < 0 || where == 2)
        return where < 0 ? where : 0;
    if (where == 1) {
        window->samples++;
        settle_base(window);
        if (window->kind != METRIC_COUNTER)
            gather_gauge(window, value);
        else if (window->has_base)
            gather_counter(window, value);
    }
    note_sample(window, time_ns);
    window->before = value;
    return 0;
}

static bool has_fallen(const struct histogram *from, const struct histogram *to) {
    if (to->zero < from->zero)
        return true;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++) {
        const uint64_t *before = from->octaves[o], *now = to->octaves[o];
        for (unsigned b = 0; before && b < HISTOGRAM_BUCKETS; b++)
            if (before[b] > (now ? now[b] : 0))
                return true;
    }
    return false;
}

/* What came between two, which is what is in the later one where it began anew. */
static int add_growth(struct histogram *ret, const struct histogram *from, const struct histogram *to) {
    static const struct histogram nothing;
    if (has_fallen(from, to))
        from = &nothing;
    ret->zero += to->zero - from->zero;
    ret->sum += to->sum - from->sum;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++) {
        uint64_t grown[HISTOGRAM_BUCKETS], any = 0;
        for (unsigned b = 0; to->octaves[o] && b < HISTOGRAM_BUCKETS; b++) {
            grown[b] = to->octaves[o][b] - (from->octaves[o] ? from->octaves[o][b] : 0);
            any |= grown[b];
        }
        if (any && histogram_add_octave(ret, o, grown) < 0)
            return -ENOMEM;
    }
    return 0;
}

int series_window_histogram(struct series_window *window, uint64_t time_ns, const struct histogram *value,
                            uint64_t samples) {
    struct histogram copy = HISTOGRAM_EMPTY;
    int where = place(window, time_ns), result = 0;
    if (where < 0 || where == 2)
        return where < 0 ? where : 0;
    if (where == 1) {
        window->samples += samples;
        settle_base(window);
        if (window->has_base)
            result = add_growth(&window->inside, &window->before_histogram, value);
    }
    if (result == 0)
        result = histogram_copy(value, &copy);
    if (result < 0)
        return result;
    histogram_finish(&window->before_histogram);
    window->before_histogram = copy;
    note_sample(window, time_ns);
    return 0;
}

int series_window_end(struct series_window *window, struct series_points *ret) {
    int result = close_step(window);
    if (result == 0) {
        *ret = window->points;
        window->points = SERIES_POINTS_EMPTY;
    }
    series_window_finish(window);
    return result;
}

void series_window_finish(struct series_window *window) {
    histogram_finish(&window->before_histogram);
    histogram_finish(&window->inside);
    series_points_finish(&window->points);
}
