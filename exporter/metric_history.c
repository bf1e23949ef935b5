#include "exporter/metric_history.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/query/series_block.h"
#include "common/shm/segment_find.h"

#define BEFORE_NS                                                                                                      \
    (300 * CLOCK_SECOND) /* so long before the range the sample is looked for that growth is counted from */

void metric_history_finish(struct metric_history *history) {
    for (size_t i = 0; i < history->count; i++)
        series_points_finish(&history->series[i].points);
    free(history->series);
    samples_selection_free(history->selection);
    *history = METRIC_HISTORY_EMPTY;
}

/* --- which series --- */

enum naming { CALLED, BEGINS };

struct choice {
    const struct metric_history_want *want;
    enum naming naming;
    struct error error;
    int failure;
};

static bool is_called(const struct choice *choice, const struct samples_definition *definition) {
    const struct segment_sample sample = { .definition = definition->metric, .family = definition->family };
    struct text name = choice->want->name;
    return choice->naming == BEGINS ? segment_sample_begins(&sample, name) : segment_sample_is(&sample, name);
}

static bool is_wanted(void *argument, const struct samples_definition *definition) {
    struct choice *choice = argument;
    if (choice->failure < 0 || !is_called(choice, definition))
        return false;
    int result = choice->want->matchers
                     ? label_matchers_judge(choice->want->matchers, definition->metric.labels, &choice->error)
                     : 1;
    if (result < 0)
        choice->failure = result;
    return result == 1;
}

/* Of a family alone, by the index, or of all. */
static int choose(struct samples_reader *reader, struct choice *choice, struct text family, uint64_t start_ns,
                  uint64_t end_ns, struct samples_selection **ret, struct error *error) {
    const struct samples_want want = {
        .family = family,
        .start_ns = start_ns,
        .end_ns = end_ns,
        .most = SERIES_MAX,
        .match = is_wanted,
        .argument = choice,
    };
    int result = samples_select(reader, &want, ret, error);
    if (result == -E2BIG)
        return error_set(error, result, "there are more than %d such series: ask for fewer by a name or labels",
                         SERIES_MAX);
    if (result == 0 && choice->failure < 0) {
        samples_selection_free(*ret);
        *ret = NULL;
        return error_set(error, choice->failure, "%s", choice->error.text);
    }
    return result;
}

/* By the name on /metrics first, which costs next to nothing; then by any. The first that finds something. */
static int select_series(struct samples_reader *reader, const struct metric_history_want *want, uint64_t start_ns,
                         uint64_t end_ns, struct samples_selection **ret, struct error *error) {
    struct text without = metric_name_bare(METRIC_COUNTER, want->name);
    const struct {
        bool wanted;
        struct text family;
        enum naming naming;
    } ways[] = {
        { want->name.length > 0, want->name, CALLED },
        { want->name.length > without.length, without, CALLED },
        { want->name.length > 0, TEXT_EMPTY, CALLED },
        { want->begins, TEXT_EMPTY, BEGINS },
    };
    *ret = NULL;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct choice choice = { .want = want, .naming = ways[i].naming };
        if (!ways[i].wanted)
            continue;
        samples_selection_free(*ret);
        *ret = NULL;
        int result = choose(reader, &choice, ways[i].family, start_ns, end_ns, ret, error);
        if (result < 0 || samples_selection_count(*ret) > 0)
            return result;
    }
    return 0;
}

/* --- reading --- */

struct reading {
    const struct metric_history_want *want;
    const struct samples_selection *selection;
    struct series_window *windows, *wholes; /* wholes: NULL where they are not wanted */
};

static int visit(void *argument, const struct samples_block *block) {
    struct reading *reading = argument;
    if (reading->want->until_ns && clock_monotonic_ns() > reading->want->until_ns)
        return -ETIME;
    return series_block_take(&reading->windows[block->series], reading->wholes ? &reading->wholes[block->series] : NULL,
                             block);
}

static uint64_t before(const struct series_range *range, uint64_t interval_ns) {
    uint64_t reach = BEFORE_NS > 2 * interval_ns ? BEFORE_NS : 2 * interval_ns;
    return range->first_ns > reach ? range->first_ns - reach : 0;
}

/* When a series began, for its first rate: at the tick before the one that tells it first, since nothing shows what of it came when. A total
 * that somebody else keeps (the host's) did not begin when it was first heard of: 0. */
static uint64_t began_at(const struct samples_definition *definition, uint64_t interval_ns) {
    if (definition->metric.naming == METRIC_NAMING_VERBATIM)
        return 0;
    return interval_ns > 0 ? definition->created_ns / interval_ns * interval_ns : definition->created_ns;
}

static struct series_window *begin_windows(const struct metric_history_want *want, const struct metric_history *history,
                                           const struct series_range *range, uint64_t since_ns) {
    struct series_window *windows = calloc(history->count + 1, sizeof(*windows));
    for (size_t i = 0; windows && i < history->count; i++) {
        const struct samples_definition *definition = samples_selection_at(history->selection, i);
        series_window_begin(&windows[i], definition->metric.kind, range, &want->quantiles,
                            began_at(definition, want->interval_ns), since_ns);
    }
    return windows;
}

static int take_points(struct reading *reading, struct metric_history *ret) {
    int result = 0;
    for (size_t i = 0; i < ret->count && result == 0; i++) {
        struct series_points whole = SERIES_POINTS_EMPTY;
        result = series_window_end(&reading->windows[i], &ret->series[i].points);
        if (result == 0 && reading->wholes)
            result = series_window_end(&reading->wholes[i], &whole);
        if (result == 0 && whole.count > 0)
            ret->series[i].whole = whole.items[0];
        series_points_finish(&whole);
    }
    return result;
}

static void finish_reading(struct reading *reading, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (reading->windows)
            series_window_finish(&reading->windows[i]);
        if (reading->wholes)
            series_window_finish(&reading->wholes[i]);
    }
    free(reading->windows);
    free(reading->wholes);
}

static int read_series(const struct metric_history_want *want, struct metric_history *ret, struct error *error) {
    const struct series_range *range = &ret->range;
    const struct series_range whole = { range->first_ns, range->count * range->step_ns, 1 };
    uint64_t since_ns = before(range, want->interval_ns), end_ns = series_range_end(range) - 1;
    struct reading reading = { .want = want, .selection = ret->selection };
    ret->series = calloc(ret->count + 1, sizeof(*ret->series));
    reading.windows = begin_windows(want, ret, range, since_ns);
    reading.wholes = want->whole ? begin_windows(want, ret, &whole, since_ns) : NULL;
    int result = !ret->series || !reading.windows || (want->whole && !reading.wholes) ? -ENOMEM : 0;
    for (size_t i = 0; ret->series && i < ret->count; i++)
        ret->series[i].definition = samples_selection_at(ret->selection, i);
    if (result == 0 && ret->count > 0)
        result = samples_read(ret->selection, since_ns, end_ns, visit, &reading, error);
    if (result == 0)
        result = take_points(&reading, ret);
    finish_reading(&reading, ret->count);
    if (result == -ETIME)
        return error_set(error, result, "that took too long: ask for fewer series, or a shorter time");
    return result == -ENOMEM ? error_set(error, result, "out of memory") : result;
}

int metric_history_read(struct samples_reader *reader, const struct metric_history_want *want,
                        struct metric_history *ret, struct error *error) {
    struct metric_history history = { .quantiles = want->quantiles };
    int result =
        series_range_make(want->start_ns, want->end_ns, want->step_ns, want->interval_ns, &history.range, error);
    if (result < 0)
        return result;
    result = select_series(reader, want, before(&history.range, want->interval_ns),
                           series_range_end(&history.range) - 1, &history.selection, error);
    if (result == 0 && history.selection) {
        history.count = samples_selection_count(history.selection);
        result = series_range_check(&history.range, history.count, error);
        if (result < 0)
            history.count = 0;
    }
    if (result == 0)
        result = read_series(want, &history, error);
    if (result == 0) {
        *ret = history;
    } else {
        if (!history.series)
            history.count = 0;
        metric_history_finish(&history);
    }
    return result;
}
