/* segment_writer.c - see segment.h: the collector's side. Every touch of the mapping is under the guard, and nothing is read back
 * from it but to compare: whoever cuts or scribbles on the file hurts the file and not the writer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/shm/segment_private.h"

static char *at(const struct segment_writer *writer, uint64_t position) {
    return writer->map.base + position;
}

static struct segment_series *series_at(const struct segment_writer *writer, uint64_t position) {
    return (struct segment_series *)at(writer, position);
}

static struct segment_octave *octave_at(const struct segment_writer *writer, uint64_t position) {
    return (struct segment_octave *)at(writer, position);
}

int segment_write(struct segment_writer *writer, int (*function)(void *argument), void *argument) {
    int result = map_guarded(function, argument);
    if (result == -EFAULT)
        writer->cut = true;
    return result;
}

/* Behind each change, so that a reader who saw this number before it read has all that the number counts. */
static void count_change(struct segment_writer *writer) {
    segment_store(&segment_header_of(&writer->map)->changes, ++writer->changes);
}

static struct written_series *series_of(struct segment_writer *writer, uint64_t series) {
    check(series < writer->count);
    return &writer->series[series];
}

/* --- a new series --- */

struct add_call {
    struct segment_writer *writer;
    struct segment_fixed fixed;
    struct text labels;
    bool hidden;
};

static int store_series(void *argument) {
    const struct add_call *call = argument;
    struct segment_writer *writer = call->writer;
    struct segment_header *header = segment_header_of(&writer->map);
    struct segment_series *to = series_at(writer, writer->used);
    memcpy(&to->fixed, &call->fixed, sizeof(to->fixed));
    for (int i = 0; i < SEGMENT_WORDS; i++)
        segment_store(&to->words[i], i == SEGMENT_WORD_HIDDEN ? call->hidden : 0);
    if (call->labels.length > 0)
        memcpy(to->labels, call->labels.data, call->labels.length);
    segment_store(&header->used, writer->used + call->fixed.piece.size);
    segment_store(&header->series_count, writer->count + 1);
    count_change(writer);
    return 0;
}

static int grow(struct segment_writer *writer) {
    if (writer->count < writer->capacity)
        return 0;
    size_t capacity = writer->capacity ? writer->capacity * 2 : 256;
    struct written_series *grown = reallocarray(writer->series, capacity, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    writer->series = grown;
    writer->capacity = capacity;
    return 0;
}

static int add_series(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                      uint64_t created_ns, bool hidden, struct text labels) {
    struct add_call call = { .writer = writer, .labels = labels, .hidden = hidden };
    uint64_t about, size = segment_series_size(labels.length);
    int result = grow(writer);
    if (result == 0)
        result = segment_about(writer, definition, family, &about);
    if (result == 0)
        result = segment_allocate(writer, writer->used + size);
    if (result < 0)
        return result;
    call.fixed = (struct segment_fixed) {
        .piece = { .size = (uint32_t)size, .type = SEGMENT_PIECE_SERIES },
        .about = (uint32_t)(about / 8),
        .labels_length = (uint16_t)labels.length,
        .created_ns = created_ns,
    };
    result = segment_write(writer, store_series, &call);
    if (result < 0)
        return result;
    writer->series[writer->count] = (struct written_series) {
        .position = writer->used,
        .hash = hash_bytes_seeded(labels.data, labels.length, hash_bytes(&call.fixed, sizeof(call.fixed))),
        .exemplar_count = (uint16_t)metric_exemplar_count(definition->kind, definition->bounds),
    };
    writer->series[writer->count].words[SEGMENT_WORD_HIDDEN] = hidden;
    writer->used += size;
    return 0;
}

static int add(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
               uint64_t created_ns, bool hidden, uint64_t *ret) {
    struct buffer labels = BUFFER_EMPTY;
    check(metric_kind_is_valid(definition->kind) && metric_family_check(family) == 0);
    metric_labels_print(definition->labels, &labels);
    check(labels.length <= METRIC_PRINTED_BYTES);
    int result = labels.failed || !buffer_reserve(&labels, 1)
                     ? -ENOMEM
                     : add_series(writer, definition, family, created_ns, hidden, buffer_text(&labels));
    buffer_finish(&labels);
    if (result == 0)
        *ret = writer->count++;
    return result;
}

int segment_add(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                uint64_t created_ns, uint64_t *ret) {
    return add(writer, definition, family, created_ns, false, ret);
}

int segment_add_hidden(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                       uint64_t created_ns, uint64_t *ret) {
    return add(writer, definition, family, created_ns, true, ret);
}

/* --- values --- */

static void begin_change(struct segment_series *to, uint64_t *words) {
    segment_store(&to->words[SEGMENT_WORD_SEQUENCE], ++words[SEGMENT_WORD_SEQUENCE]);
}

/* The words as `words` has them, and the sequence even again. */
static void end_change(struct segment_writer *writer, struct segment_series *to, uint64_t *words) {
    for (int i = SEGMENT_WORD_VALUE; i < SEGMENT_WORDS; i++)
        segment_store(&to->words[i], words[i]);
    segment_store(&to->words[SEGMENT_WORD_SEQUENCE], ++words[SEGMENT_WORD_SEQUENCE]);
    count_change(writer);
}

struct value_call {
    struct segment_writer *writer;
    struct written_series *series;
};

static int store_value(void *argument) {
    const struct value_call *call = argument;
    struct segment_series *to = series_at(call->writer, call->series->position);
    begin_change(to, call->series->words);
    end_change(call->writer, to, call->series->words);
    return 0;
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

void segment_set_value(struct segment_writer *writer, uint64_t series, double value, uint64_t updated_ns) {
    struct value_call call = { writer, series_of(writer, series) };
    call.series->words[SEGMENT_WORD_VALUE] = bits_of(value);
    call.series->words[SEGMENT_WORD_UPDATED] = updated_ns;
    segment_write(writer, store_value, &call);
}

static int store_hidden(void *argument) {
    const struct value_call *call = argument;
    segment_store(&series_at(call->writer, call->series->position)->words[SEGMENT_WORD_HIDDEN],
                  call->series->words[SEGMENT_WORD_HIDDEN]);
    count_change(call->writer);
    return 0;
}

void segment_set_hidden(struct segment_writer *writer, uint64_t series, bool hidden) {
    struct value_call call = { writer, series_of(writer, series) };
    if (call.series->words[SEGMENT_WORD_HIDDEN] == hidden)
        return;
    call.series->words[SEGMENT_WORD_HIDDEN] = hidden;
    segment_write(writer, store_hidden, &call);
}

/* --- histograms --- */

static const uint64_t no_counts[HISTOGRAM_BUCKETS];

static bool octave_is_used(const struct histogram *histogram, unsigned number) {
    return histogram->octaves[number] && memcmp(histogram->octaves[number], no_counts, sizeof(no_counts)) != 0;
}

static bool series_has_octave(const struct written_series *series, unsigned number) {
    for (uint32_t i = 0; i < series->octave_count; i++)
        if (series->octaves[i].number == number)
            return true;
    return false;
}

/* Room for the octaves that the series does not have yet, in the file and in our memory; *ret is how many. */
static int make_room(struct segment_writer *writer, struct written_series *series, const struct histogram *histogram,
                     uint32_t *ret) {
    uint32_t missing = 0;
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        missing += octave_is_used(histogram, i) && !series_has_octave(series, i);
    *ret = missing;
    if (missing == 0)
        return 0;
    struct written_octave *grown =
        reallocarray(series->octaves, series->octave_count + missing, sizeof(*series->octaves));
    if (!grown)
        return -ENOMEM;
    series->octaves = grown;
    return segment_allocate(writer, writer->used + missing * sizeof(struct segment_octave));
}

struct histogram_call {
    struct segment_writer *writer;
    struct written_series *series;
    const struct histogram *histogram;
    uint32_t old_count; /* octaves that readers may be reading now */
};

/* New octaves, whole but not linked yet: nobody reads them before the series' word says so. */
static void store_new_octaves(struct histogram_call *call) {
    struct segment_writer *writer = call->writer;
    struct written_series *series = call->series;
    for (uint32_t i = call->old_count; i < series->octave_count; i++) {
        const struct written_octave *octave = &series->octaves[i];
        struct segment_octave *to = octave_at(writer, octave->position);
        to->piece = (struct segment_piece) { .size = sizeof(*to), .type = SEGMENT_PIECE_OCTAVE };
        segment_store(&to->number, octave->number);
        segment_store(&to->next, i > 0 ? series->octaves[i - 1].position : 0);
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++)
            segment_store(&to->counts[b], call->histogram->octaves[octave->number][b]);
    }
    segment_store(&segment_header_of(&writer->map)->used, writer->used);
}

static int store_histogram(void *argument) {
    struct histogram_call *call = argument;
    struct written_series *series = call->series;
    struct segment_series *to = series_at(call->writer, series->position);
    store_new_octaves(call);
    begin_change(to, series->words);
    for (uint32_t i = 0; i < call->old_count; i++) {
        struct written_octave *octave = &series->octaves[i];
        const uint64_t *counts = call->histogram->octaves[octave->number];
        uint64_t hash = counts ? hash_bytes(counts, sizeof(no_counts)) : octave->hash;
        if (hash == octave->hash)
            continue; /* most observations fall into a few octaves */
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++)
            segment_store(&octave_at(call->writer, octave->position)->counts[b], counts[b]);
        octave->hash = hash;
    }
    end_change(call->writer, to, series->words);
    return 0;
}

int segment_set_histogram(struct segment_writer *writer, uint64_t series_number, const struct histogram *histogram,
                          uint64_t updated_ns) {
    struct written_series *series = series_of(writer, series_number);
    struct histogram_call call = { writer, series, histogram, series->octave_count };
    uint32_t missing;
    int result = make_room(writer, series, histogram, &missing);
    if (result < 0)
        return result;
    for (unsigned i = 0; missing > 0 && i < HISTOGRAM_OCTAVES; i++) {
        if (!octave_is_used(histogram, i) || series_has_octave(series, i))
            continue;
        series->octaves[series->octave_count++] =
            (struct written_octave) { writer->used, hash_bytes(histogram->octaves[i], sizeof(no_counts)), i };
        writer->used += sizeof(struct segment_octave);
    }
    series->words[SEGMENT_WORD_VALUE] = bits_of(histogram->sum);
    series->words[SEGMENT_WORD_ZERO] = histogram->zero;
    series->words[SEGMENT_WORD_UPDATED] = updated_ns;
    if (series->octave_count > 0)
        series->words[SEGMENT_WORD_OCTAVE] = series->octaves[series->octave_count - 1].position;
    return segment_write(writer, store_histogram, &call);
}

/* --- exemplars --- */

struct exemplar_call {
    struct segment_writer *writer;
    struct written_series *series;
    uint64_t position; /* of the piece */
    bool is_new;
    unsigned bucket;
    uint64_t words[SEGMENT_EXEMPLAR_WORDS];
};

static struct segment_exemplars *exemplars_at(const struct segment_writer *writer, uint64_t position) {
    return (struct segment_exemplars *)at(writer, position);
}

/* Whole and empty, but not linked yet: nobody reads it before the series' word says so. */
static void store_new_exemplars(const struct exemplar_call *call) {
    struct segment_exemplars *to = exemplars_at(call->writer, call->position);
    uint64_t count = call->series->exemplar_count, size = segment_exemplars_size(count);
    to->piece = (struct segment_piece) { .size = (uint32_t)size, .type = SEGMENT_PIECE_EXEMPLARS };
    to->count = count;
    for (uint64_t i = 0; i < count; i++)
        for (int word = 0; word < SEGMENT_EXEMPLAR_WORDS; word++)
            segment_store(&to->words[i][word], 0);
    segment_store(&segment_header_of(&call->writer->map)->used, call->position + size);
}

static int store_exemplar(void *argument) {
    struct exemplar_call *call = argument;
    struct written_series *series = call->series;
    struct segment_series *to = series_at(call->writer, series->position);
    struct segment_exemplars *exemplars = exemplars_at(call->writer, call->position);
    if (call->is_new)
        store_new_exemplars(call);
    begin_change(to, series->words);
    for (int word = 0; word < SEGMENT_EXEMPLAR_WORDS; word++)
        segment_store(&exemplars->words[call->bucket][word], call->words[word]);
    end_change(call->writer, to, series->words);
    return 0;
}

int segment_set_exemplar(struct segment_writer *writer, uint64_t series_number, unsigned bucket,
                         const struct metric_exemplar *exemplar) {
    struct written_series *series = series_of(writer, series_number);
    struct exemplar_call call = {
        .writer = writer,
        .series = series,
        .position = series->words[SEGMENT_WORD_EXEMPLARS],
        .bucket = bucket,
        .words = { bits_of(exemplar->value), exemplar->time_ns, exemplar->length },
    };
    check(bucket < series->exemplar_count && metric_exemplar_is_valid(exemplar));
    memcpy(&call.words[3], exemplar->trace_id, exemplar->length);
    if (call.position == 0) {
        uint64_t size = segment_exemplars_size(series->exemplar_count);
        uint64_t(*shadow)[SEGMENT_EXEMPLAR_WORDS] = calloc(series->exemplar_count, sizeof(*shadow));
        int result = shadow ? segment_allocate(writer, writer->used + size) : -ENOMEM;
        if (result < 0) {
            free(shadow);
            return result;
        }
        call.is_new = true;
        call.position = series->words[SEGMENT_WORD_EXEMPLARS] = writer->used;
        series->exemplars = shadow;
        writer->used += size;
    }
    memcpy(series->exemplars[bucket], call.words, sizeof(call.words));
    return segment_write(writer, store_exemplar, &call);
}

/* --- sign of life --- */

struct beat_call {
    struct segment_writer *writer;
    uint64_t now_ns, last_commit_ns;
};

static int store_beat(void *argument) {
    const struct beat_call *call = argument;
    struct segment_header *header = segment_header_of(&call->writer->map);
    segment_store(&header->last_commit_ns, call->last_commit_ns);
    segment_store(&header->heartbeat_ns, call->now_ns);
    return 0;
}

void segment_beat(struct segment_writer *writer, uint64_t now_ns, uint64_t last_commit_ns) {
    struct beat_call call = { writer, now_ns, last_commit_ns };
    segment_write(writer, store_beat, &call);
}
