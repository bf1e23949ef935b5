/* history_sample.c - see history.h: one tick. */
#include <errno.h>
#include <stdlib.h>

#include "collector/history_private.h"

enum { ATTEMPTS_MAX = 2 }; /* a segment that another one takes the place of meanwhile is read anew */

void history_forget(struct history *history) {
    samples_writer_close(history->writer);
    history->writer = NULL;
    segment_close(history->segment);
    history->segment = NULL;
    history->series_count = 0;
}

/* --- opening --- */

static int open_writer(struct history *history, struct error *error) {
    enum { PARTITIONS = 8 }; /* the largest size has so many, or more */
    if (history->writer)
        return 0;
    uint64_t bytes = history_max_size(history) / PARTITIONS;
    const struct samples_options options = {
        .interval_ns = history->own.history.interval_ns,
        .partition_bytes = bytes < SAMPLES_PARTITION_BYTES ? bytes : SAMPLES_PARTITION_BYTES,
        .growth = history_growth(history),
    };
    return samples_writer_open(history->data_dir, &options, &history->writer, error);
}

/* Numbers go with positions of one segment. */
static int open_segment(struct history *history, struct error *error) {
    int result = history->segment ? segment_refresh(history->segment, error)
                                  : segment_open(history->runtime_dir, &history->segment, error);
    if (result == 1)
        history->series_count = 0;
    return result < 0 ? result : 0;
}

/* --- series --- */

/* The place of the `index`th series, which stands at that position. The segment's order never changes, and new ones come behind. */
static struct history_series *place_of(struct history *history, size_t index, uint64_t position) {
    if (index < history->series_count && history->series[index].position == position)
        return &history->series[index];
    if (index == history->series_capacity) {
        size_t capacity = history->series_capacity ? history->series_capacity * 2 : 256;
        struct history_series *grown = reallocarray(history->series, capacity, sizeof(*grown));
        if (!grown)
            return NULL;
        history->series = grown;
        history->series_capacity = capacity;
    }
    history->series_count = index + 1;
    history->series[index] = (struct history_series) { .position = position };
    return &history->series[index];
}

static int give_number(struct history *history, struct history_series *series, struct error *error) {
    const struct segment_sample *sample = &history->sample;
    const struct samples_definition definition = { sample->definition, sample->family, sample->created_ns };
    int result = samples_writer_series(history->writer, &definition, &series->number, error);
    series->numbered = result == 0;
    return result;
}

static int take(struct history *history, size_t index, struct error *error) {
    const struct segment_sample *sample = &history->sample;
    struct history_series *series = place_of(history, index, sample->position);
    int result = 0;
    if (!series)
        return error_set(error, -ENOMEM, "out of memory");
    if (!series->numbered)
        result = give_number(history, series, error);
    if (result < 0)
        return result;
    if (!metric_kind_is_histogram(sample->definition.kind))
        samples_writer_set(history->writer, series->number, sample->value);
    else if (samples_writer_set_histogram(history->writer, series->number, &sample->histogram) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    return 0;
}

/* Series that are stale leave a hole, but keep their place. */
static int take_all(struct history *history, uint64_t *ret_samples, struct error *error) {
    struct segment_sample *sample = &history->sample;
    uint64_t samples = 0, position = 0;
    size_t index = 0;
    int result;
    for (; (result = segment_next(history->segment, position, sample)) == 1; index++) {
        position = sample->position;
        if (sample->hidden) {
            result = place_of(history, index, position) ? 0 : error_set(error, -ENOMEM, "out of memory");
        } else {
            result = take(history, index, error);
            samples++;
        }
        if (result < 0)
            return result;
    }
    if (result < 0)
        return error_set(error, result, "the metric segment in %s %s", history->runtime_dir,
                         result == -ENOMEM ? "does not fit the memory" : "is damaged: a new one will be made");
    *ret_samples = samples;
    return 0;
}

/* --- a tick --- */

static int begin(struct history *history, uint64_t tick_ns, struct error *error) {
    int result = samples_writer_begin(history->writer, tick_ns, error);
    if (result == 1)
        for (size_t i = 0; i < history->series_count; i++)
            history->series[i].numbered = false;
    return result < 0 ? result : 0;
}

int history_sample(struct history *history, uint64_t tick_ns, uint64_t *ret_samples, struct error *error) {
    int result = open_segment(history, error);
    if (result == 0)
        result = open_writer(history, error);
    if (result == 0)
        result = begin(history, tick_ns, error);
    if (result == -EEXIST)
        return 1;
    if (result < 0)
        return result;
    result = take_all(history, ret_samples, error);
    if (result == 0)
        result = samples_writer_end(history->writer, true, error);
    else
        samples_writer_abort(history->writer);
    return result;
}
