/* segment_read.c - see segment.h: series as readers get them. The file may be anything and change at any time: what is read is copied
 * once, checked, then used, all of it under the guard. Walks end because each piece is larger than nothing, chains because each link leads
 * to a lower position. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/shm/segment_private.h"
#include "common/shm/segment_v1.h"

enum { ATTEMPTS_AT_ONCE = 50, ATTEMPTS_YIELDING = 50, ATTEMPTS = 600 /* the others wait a millisecond each */ };

struct sample_call {
    struct segment *segment;
    uint64_t position; /* of the series; segment_next: what it should be behind */
    struct segment_sample *sample;
};

/* --- pieces --- */

int segment_read_piece(const struct segment *segment, uint64_t position, uint64_t used, struct segment_piece *ret) {
    static const uint32_t least[SEGMENT_PIECE_TYPE_END] = {
        [SEGMENT_PIECE_SERIES] = sizeof(struct segment_piece), /* by version: whoever reads it looks again */
        [SEGMENT_PIECE_OCTAVE] = sizeof(struct segment_octave),
        [SEGMENT_PIECE_ABOUT] = sizeof(struct segment_about),
        [SEGMENT_PIECE_EXEMPLARS] = sizeof(struct segment_exemplars),
    };
    if (position % 8 != 0 || position < SEGMENT_HEADER_SIZE || position >= used || used - position < sizeof(*ret))
        return -EBADMSG;
    memcpy(ret, segment->map.base + position, sizeof(*ret));
    if (ret->type == 0 || ret->type >= SEGMENT_PIECE_TYPE_END || ret->size % 8 != 0 || ret->size < least[ret->type] ||
        ret->size > used - position)
        return -EBADMSG;
    return 0;
}

int segment_read_linked(const struct segment *segment, uint64_t position, uint64_t used, uint32_t type,
                        struct segment_piece *ret) {
    int result = segment_read_piece(segment, position, used, ret);
    return result == 0 && ret->type != type ? -EBADMSG : result;
}

const _Atomic uint64_t *segment_words(uint32_t version, const char *at, const struct segment_piece *piece) {
    if (piece->type != SEGMENT_PIECE_SERIES)
        return NULL;
    if (version == SEGMENT_VERSION_OLDEST)
        return piece->size < sizeof(struct segment_v1_series)
                   ? NULL
                   : ((const struct segment_v1_series *)(const void *)at)->words;
    return piece->size < sizeof(struct segment_series) ? NULL
                                                       : ((const struct segment_series *)(const void *)at)->words;
}

/* --- values --- */

int segment_walk_octaves(const struct segment *segment, uint64_t series, uint64_t position,
                         segment_octave_function *take, void *context) {
    uint64_t limit = segment_used(segment); /* after the link was loaded, see segment_layout.h */
    while (position != 0) {
        struct segment_piece piece;
        if (position <= series || segment_read_linked(segment, position, limit, SEGMENT_PIECE_OCTAVE, &piece) < 0)
            return -EBADMSG;
        const struct segment_octave *octave = (const struct segment_octave *)(segment->map.base + position);
        uint64_t number = segment_load(&octave->number);
        uint64_t *to = NULL;
        if (number >= HISTOGRAM_OCTAVES)
            return -EBADMSG;
        int result = take(context, (unsigned)number, &to);
        if (result < 0)
            return result;
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++)
            to[b] = segment_load(&octave->counts[b]);
        limit = position;
        position = segment_load(&octave->next);
    }
    return 0;
}

static int take_octave(void *context, unsigned number, uint64_t **ret) {
    struct histogram *histogram = context;
    if (histogram->octaves[number])
        return -EBADMSG;
    *ret = histogram->octaves[number] = calloc(HISTOGRAM_BUCKETS, sizeof(uint64_t));
    return *ret ? 0 : -ENOMEM;
}

/* What the words of one exemplar say; one that makes no sense is none. */
static void copy_exemplar(const _Atomic uint64_t words[SEGMENT_EXEMPLAR_WORDS], struct metric_exemplar *ret) {
    uint64_t copy[SEGMENT_EXEMPLAR_WORDS];
    for (int i = 0; i < SEGMENT_EXEMPLAR_WORDS; i++)
        copy[i] = segment_load(&words[i]);
    *ret = (struct metric_exemplar) { .value = segment_double(copy[0]), .time_ns = copy[1] };
    if (copy[2] > METRIC_TRACE_ID_BYTES)
        return;
    ret->length = (uint8_t)copy[2];
    memcpy(ret->trace_id, &copy[3], METRIC_TRACE_ID_BYTES);
}

int segment_copy_exemplars(const struct segment *segment, uint64_t series, uint64_t position, unsigned most,
                           struct metric_exemplar *ret) {
    struct segment_piece piece;
    if (position == 0)
        return 0;
    if (position <= series ||
        segment_read_linked(segment, position, segment_used(segment), SEGMENT_PIECE_EXEMPLARS, &piece) < 0)
        return -EBADMSG;
    const struct segment_exemplars *exemplars = (const struct segment_exemplars *)(segment->map.base + position);
    uint64_t count = exemplars->count;
    if (count > most || segment_exemplars_size(count) != piece.size)
        return -EBADMSG;
    for (uint64_t i = 0; i < count; i++)
        copy_exemplar(exemplars->words[i], &ret[i]);
    return (int)count;
}

static int copy_exemplars(const struct sample_call *call, uint64_t position) {
    struct segment_sample *sample = call->sample;
    sample->exemplar_count = 0;
    if (position == 0)
        return 0;
    if (!sample->exemplars)
        sample->exemplars = calloc(METRIC_BOUNDS_MAX + 1, sizeof(*sample->exemplars));
    if (!sample->exemplars)
        return -ENOMEM;
    int count =
        segment_copy_exemplars(call->segment, call->position, position, METRIC_BOUNDS_MAX + 1, sample->exemplars);
    sample->exemplar_count = count < 0 ? 0 : (unsigned)count;
    return count < 0 ? count : 0;
}

static int copy_values(const struct sample_call *call, const _Atomic uint64_t *words) {
    struct segment_sample *sample = call->sample;
    double value = segment_double(segment_load(&words[SEGMENT_WORD_VALUE]));
    uint64_t exemplars =
        call->segment->version == SEGMENT_VERSION_OLDEST ? 0 : segment_load(&words[SEGMENT_WORD_EXEMPLARS]);
    sample->updated_ns = segment_load(&words[SEGMENT_WORD_UPDATED]);
    int result = copy_exemplars(call, exemplars);
    if (!metric_kind_is_histogram(sample->definition.kind)) {
        sample->value = value;
        return result;
    }
    histogram_finish(&sample->histogram);
    sample->histogram.sum = value;
    sample->histogram.zero = segment_load(&words[SEGMENT_WORD_ZERO]);
    return result == 0 ? segment_walk_octaves(call->segment, call->position, segment_load(&words[SEGMENT_WORD_OCTAVE]),
                                              take_octave, &sample->histogram)
                       : result;
}

/* The writer may merely have lost its processor; but one that was killed or stopped within an update leaves the sequence odd for good, and is
 * waited for once. */
bool segment_wait(struct segment *segment, int attempt) {
    const _Atomic uint64_t *changes = &segment_header_of(&segment->map)->changes;
    if (segment->is_copy)
        return false;
    if (attempt < ATTEMPTS_AT_ONCE)
        return true;
    if (attempt < ATTEMPTS_AT_ONCE + ATTEMPTS_YIELDING) {
        sched_yield();
        return true;
    }
    if (segment->stuck && segment->stuck_changes == segment_load(changes))
        return false;
    segment->stuck = attempt >= ATTEMPTS;
    segment->stuck_changes = segment_load(changes);
    nanosleep(&(struct timespec) { .tv_nsec = CLOCK_MILLISECOND }, NULL);
    return !segment->stuck;
}

/* Under the sequence lock; of a writer that died within an update, what stands there: each word is whole and none smaller than
 * it was. */
static int read_values(const struct sample_call *call, const _Atomic uint64_t *words) {
    for (int attempt = 1;; attempt++) {
        uint64_t before = segment_load(&words[SEGMENT_WORD_SEQUENCE]);
        int result = copy_values(call, words);
        uint64_t after = segment_load(&words[SEGMENT_WORD_SEQUENCE]);
        if ((before == after && before % 2 == 0) || result == -ENOMEM || !segment_wait(call->segment, attempt))
            return result;
    }
}

/* --- series --- */

int segment_copy_texts(struct segment_sample *sample, const char *from, const uint16_t *lengths, size_t count,
                       size_t more, struct text *ret) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += lengths[i];
    if (!buffer_reserve(&sample->bytes, length + more + 1))
        return -ENOMEM;
    buffer_append(&sample->bytes, from, length);
    from = sample->bytes.data + sample->bytes.length - length;
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct text) { from, lengths[i] };
        from += lengths[i];
    }
    return 0;
}

/* What the series has in common with others, and room for its labels, twice: as they stand there, and packed. */
static int read_about(const struct segment *segment, uint64_t position, uint64_t limit, size_t room,
                      struct segment_sample *sample) {
    struct segment_piece piece;
    struct segment_about_fixed about;
    struct text texts[SEGMENT_TEXTS];
    int result = segment_read_linked(segment, position, limit, SEGMENT_PIECE_ABOUT, &piece);
    if (result < 0)
        return result;
    const struct segment_about *there = (const struct segment_about *)(segment->map.base + position);
    memcpy(&about, &there->fixed, sizeof(about));
    if (segment_about_size(about.lengths) != piece.size)
        return -EBADMSG;
    result = segment_copy_texts(sample, there->texts, about.lengths, SEGMENT_TEXTS, room, texts);
    if (result < 0)
        return result;
    sample->family = texts[SEGMENT_TEXT_FAMILY];
    sample->definition = (struct metric_definition) {
        .kind = about.kind,
        .naming = about.naming,
        .combine = about.combine,
        .name = texts[SEGMENT_TEXT_NAME],
        .unit = texts[SEGMENT_TEXT_UNIT],
        .help = texts[SEGMENT_TEXT_HELP],
        .bounds = texts[SEGMENT_TEXT_BOUNDS],
    };
    return 0;
}

int segment_read_fixed(const struct segment *segment, uint64_t position, const struct segment_piece *piece,
                       struct segment_sample *sample, const _Atomic uint64_t **ret_words) {
    const struct segment_series *series = (const struct segment_series *)(segment->map.base + position);
    struct segment_fixed fixed;
    if (piece->size < sizeof(*series))
        return -EBADMSG;
    memcpy(&fixed, &series->fixed, sizeof(fixed));
    if (segment_series_size(fixed.labels_length) != piece->size || fixed.labels_length > METRIC_PRINTED_BYTES)
        return -EBADMSG;
    int result = read_about(segment, (uint64_t)fixed.about * 8, position,
                            fixed.labels_length + (size_t)METRIC_LABELS_BYTES, sample);
    if (result < 0)
        return result;
    segment_copy_texts(sample, series->labels, &fixed.labels_length, 1, METRIC_LABELS_BYTES, &sample->labels);
    sample->about = (uint64_t)fixed.about * 8;
    sample->created_ns = fixed.created_ns;
    *ret_words = series->words;
    return 0;
}

static int read_series(struct sample_call *call, const struct segment_piece *piece) {
    struct segment_sample *sample = call->sample;
    const _Atomic uint64_t *words;
    buffer_clear(&sample->bytes);
    int result = (call->segment->version == SEGMENT_VERSION_OLDEST ? segment_read_fixed_v1 : segment_read_fixed)(
        call->segment, call->position, piece, sample, &words);
    if (result < 0)
        return result;
    sample->position = call->position;
    sample->hidden = segment_load(&words[SEGMENT_WORD_HIDDEN]) != 0;
    return read_values(call, words);
}

static int read_at(void *argument) {
    struct sample_call *call = argument;
    struct segment_piece piece;
    int result = segment_read_piece(call->segment, call->position, segment_used(call->segment), &piece);
    if (result == 0 && piece.type != SEGMENT_PIECE_SERIES)
        result = -EBADMSG;
    return result < 0 ? result : read_series(call, &piece);
}

static int read_behind(void *argument) {
    struct sample_call *call = argument;
    uint64_t used = segment_used(call->segment);
    struct segment_piece piece;
    int result = used == 0 ? -EBADMSG : 0;
    if (call->position == 0)
        call->position = SEGMENT_HEADER_SIZE;
    else if (result == 0 && (result = segment_read_piece(call->segment, call->position, used, &piece)) == 0)
        call->position += piece.size;
    while (result == 0 && call->position < used) {
        result = segment_read_piece(call->segment, call->position, used, &piece);
        if (result == 0 && piece.type == SEGMENT_PIECE_SERIES) {
            result = read_series(call, &piece);
            return result < 0 ? result : 1;
        }
        call->position += piece.size;
    }
    return result;
}

/* --- what was copied, judged outside the guard: nothing here touches the file --- */

/* Version 1 has the packed labels, version 2 the printed ones: make the other from it, in the room that was left for it. */
static int judge_labels(const struct segment *segment, struct segment_sample *sample) {
    char packed[METRIC_LABELS_BYTES];
    struct text labels;
    size_t before = sample->bytes.length;
    if (segment->version == SEGMENT_VERSION_OLDEST) {
        metric_labels_print(sample->definition.labels, &sample->bytes);
        sample->labels = (struct text) { sample->bytes.data + before, sample->bytes.length - before };
        return 0;
    }
    if (metric_labels_parse(sample->labels, packed, &labels) < 0)
        return -EBADMSG;
    buffer_append_text(&sample->bytes, labels);
    sample->definition.labels = (struct text) { sample->bytes.data + before, labels.length };
    return 0;
}

static int judge(const struct segment *segment, struct segment_sample *sample) {
    if (metric_definition_check(&sample->definition, NULL) < 0 || metric_family_check(sample->family) < 0 ||
        judge_labels(segment, sample) < 0)
        return -EBADMSG;
    if (sample->exemplar_count > 0 &&
        sample->exemplar_count != metric_exemplar_count(sample->definition.kind, sample->definition.bounds))
        return -EBADMSG;
    for (unsigned i = 0; i < sample->exemplar_count; i++)
        if (!metric_exemplar_is_valid(&sample->exemplars[i])) /* a writer died within it */
            sample->exemplars[i].length = 0;
    return 0;
}

int segment_next(struct segment *segment, uint64_t after, struct segment_sample *sample) {
    struct sample_call call = { segment, after, sample };
    int result = segment_run(segment, read_behind, &call);
    return result == 1 && judge(segment, sample) < 0 ? -EBADMSG : result;
}

int segment_read(struct segment *segment, uint64_t position, struct segment_sample *sample) {
    struct sample_call call = { segment, position, sample };
    int result = segment_run(segment, read_at, &call);
    return result == 0 ? judge(segment, sample) : result;
}

void segment_sample_finish(struct segment_sample *sample) {
    histogram_finish(&sample->histogram);
    free(sample->exemplars);
    buffer_finish(&sample->bytes);
    *sample = SEGMENT_SAMPLE_EMPTY;
}
