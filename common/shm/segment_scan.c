#include "common/shm/segment_scan.h"

#include <errno.h>

#include "common/shm/segment_private.h"

int segment_scan_guard(const struct segment *segment, int (*function)(void *argument), void *argument) {
    return segment_run(segment, function, argument);
}

bool segment_scan_fits(const struct segment *segment) {
    return segment->version == SEGMENT_VERSION;
}

static const struct segment_series *series_at(const struct segment *segment, uint64_t position) {
    return (const struct segment_series *)(segment->map.base + position);
}

/* Whether a series without labels fits there: how far the file may be read. 0: no. */
static uint64_t room_at(const struct segment *segment, uint64_t position) {
    uint64_t used = segment_used(segment);
    return position >= SEGMENT_HEADER_SIZE && position % 8 == 0 && position < used &&
                   used - position >= sizeof(struct segment_series)
               ? used
               : 0;
}

int segment_look(const struct segment *segment, uint64_t position, struct segment_look *ret) {
    const struct segment_series *series = series_at(segment, position);
    uint64_t used = room_at(segment, position);
    if (used == 0)
        return -EBADMSG;
    uint16_t length = *(const volatile uint16_t *)&series->fixed.labels_length; /* once: it may change */
    if (length > METRIC_PRINTED_BYTES || length > used - position - sizeof(*series))
        return -EBADMSG;
    *ret = (struct segment_look) {
        .labels = { series->labels, length },
        .hidden = segment_load(&series->words[SEGMENT_WORD_HIDDEN]) != 0,
        .created_ns = series->fixed.created_ns,
        .position = position,
    };
    return 0;
}

bool segment_look_hidden(const struct segment *segment, uint64_t position) {
    return room_at(segment, position) == 0 ||
           segment_load(&series_at(segment, position)->words[SEGMENT_WORD_HIDDEN]) != 0;
}

void segment_look_ahead(const struct segment *segment, uint64_t position) {
    enum { CACHE_LINE = 64, LINES = 3 };
    const char *at = segment->map.base + position;
    for (int i = 0; i < LINES; i++)
        __builtin_prefetch(at + (ptrdiff_t)i * CACHE_LINE);
}

/* --- values, under the sequence lock (segment_layout.h) --- */

static int copy_exemplar(const struct segment *segment, const struct segment_look *look, const _Atomic uint64_t *words,
                         struct metric_exemplar *ret) {
    ret->length = 0;
    int count = segment_copy_exemplars(segment, look->position, segment_load(&words[SEGMENT_WORD_EXEMPLARS]), 1, ret);
    return count < 0 ? count : 0;
}

int segment_look_value(struct segment *segment, const struct segment_look *look, double *ret,
                       struct metric_exemplar *exemplar) {
    const _Atomic uint64_t *words = series_at(segment, look->position)->words;
    for (int attempt = 1;; attempt++) {
        uint64_t before = segment_load(&words[SEGMENT_WORD_SEQUENCE]);
        *ret = segment_double(segment_load(&words[SEGMENT_WORD_VALUE]));
        int result = exemplar ? copy_exemplar(segment, look, words, exemplar) : 0;
        uint64_t after = segment_load(&words[SEGMENT_WORD_SEQUENCE]);
        if ((before == after && before % 2 == 0) || !segment_wait(segment, attempt))
            return result;
    }
}

static int take_octave(void *context, unsigned number, uint64_t **ret) {
    struct segment_counts *counts = context;
    if (counts->histogram.octaves[number])
        return -EBADMSG;
    *ret = counts->histogram.octaves[number] = counts->octaves[number];
    return 0;
}

static int copy_counts(struct segment *segment, const struct segment_look *look, const _Atomic uint64_t *words,
                       bool exemplars, struct segment_counts *ret) {
    ret->histogram = (struct histogram) {
        .sum = segment_double(segment_load(&words[SEGMENT_WORD_VALUE])),
        .zero = segment_load(&words[SEGMENT_WORD_ZERO]),
    };
    ret->exemplar_count = 0;
    if (exemplars) {
        int count = segment_copy_exemplars(segment, look->position, segment_load(&words[SEGMENT_WORD_EXEMPLARS]),
                                           METRIC_BOUNDS_MAX + 1, ret->exemplars);
        if (count < 0)
            return count;
        ret->exemplar_count = (unsigned)count;
    }
    return segment_walk_octaves(segment, look->position, segment_load(&words[SEGMENT_WORD_OCTAVE]), take_octave, ret);
}

int segment_look_counts(struct segment *segment, const struct segment_look *look, bool exemplars,
                        struct segment_counts *ret) {
    const _Atomic uint64_t *words = series_at(segment, look->position)->words;
    for (int attempt = 1;; attempt++) {
        uint64_t before = segment_load(&words[SEGMENT_WORD_SEQUENCE]);
        int result = copy_counts(segment, look, words, exemplars, ret);
        uint64_t after = segment_load(&words[SEGMENT_WORD_SEQUENCE]);
        if ((before == after && before % 2 == 0) || !segment_wait(segment, attempt))
            return result;
    }
}
