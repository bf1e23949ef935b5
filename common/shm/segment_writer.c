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

static void store(_Atomic uint64_t *to, uint64_t value) {
    atomic_store_explicit(to, value, memory_order_release);
}

/* Run one write; the file that is too short for it is remembered for segment_check. */
static int guarded(struct segment_writer *writer, int (*function)(void *argument), void *argument) {
    int result = map_guarded(function, argument);
    if (result == -EFAULT)
        writer->cut = true;
    return result;
}

/* Behind each change, so that a reader who saw this number before it read has all that the number counts. */
static void count_change(struct segment_writer *writer) {
    store(&segment_header_of(&writer->map)->changes, ++writer->changes);
}

static struct written_series *series_of(struct segment_writer *writer, uint64_t series) {
    check(series < writer->count);
    return &writer->series[series];
}

/* --- a new series --- */

struct add_call {
    struct segment_writer *writer;
    struct segment_fixed fixed;
    struct text texts[SEGMENT_TEXTS];
};

static int store_series(void *argument) {
    const struct add_call *call = argument;
    struct segment_writer *writer = call->writer;
    struct segment_header *header = segment_header_of(&writer->map);
    struct segment_series *to = series_at(writer, writer->used);
    char *texts = to->texts;
    memcpy(&to->fixed, &call->fixed, sizeof(to->fixed));
    for (int i = 0; i < SEGMENT_WORDS; i++)
        store(&to->words[i], 0);
    for (int i = 0; i < SEGMENT_TEXTS; i++) {
        if (call->texts[i].length > 0)
            memcpy(texts, call->texts[i].data, call->texts[i].length);
        texts += call->texts[i].length;
    }
    store(&header->used, writer->used + call->fixed.piece.size);
    store(&header->series_count, writer->count + 1);
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

static uint64_t hash_of(const struct segment_fixed *fixed, const struct text texts[SEGMENT_TEXTS]) {
    uint64_t hash = hash_bytes(fixed, sizeof(*fixed));
    for (int i = 0; i < SEGMENT_TEXTS; i++)
        hash = hash_bytes_seeded(texts[i].data ? texts[i].data : "", texts[i].length, hash);
    return hash;
}

int segment_add(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                uint64_t created_ns, uint64_t *ret) {
    struct add_call call = { .writer = writer };
    check(metric_kind_is_valid(definition->kind) && metric_family_check(family) == 0);
    memset(&call.fixed, 0, sizeof(call.fixed)); /* padding too: it is hashed */
    call.fixed.kind = (uint8_t)definition->kind;
    call.fixed.naming = (uint8_t)definition->naming;
    call.fixed.created_ns = created_ns;
    call.texts[SEGMENT_TEXT_FAMILY] = family;
    call.texts[SEGMENT_TEXT_NAME] = definition->name;
    call.texts[SEGMENT_TEXT_LABELS] = definition->labels;
    call.texts[SEGMENT_TEXT_UNIT] = definition->unit;
    call.texts[SEGMENT_TEXT_HELP] = definition->help;
    call.texts[SEGMENT_TEXT_BOUNDS] = definition->bounds;
    for (int i = 0; i < SEGMENT_TEXTS; i++) {
        check(call.texts[i].length <= UINT16_MAX);
        call.fixed.lengths[i] = (uint16_t)call.texts[i].length;
    }
    uint64_t size = segment_series_size(call.fixed.lengths);
    call.fixed.piece = (struct segment_piece) { .size = (uint32_t)size, .type = SEGMENT_PIECE_SERIES };
    int result = grow(writer);
    if (result == 0)
        result = segment_allocate(writer, writer->used + size);
    if (result == 0)
        result = guarded(writer, store_series, &call);
    if (result < 0)
        return result;
    writer->series[writer->count] =
        (struct written_series) { .position = writer->used, .hash = hash_of(&call.fixed, call.texts) };
    writer->used += size;
    *ret = writer->count++;
    return 0;
}

/* --- values --- */

static void begin_change(struct segment_series *to, uint64_t *words) {
    store(&to->words[SEGMENT_WORD_SEQUENCE], ++words[SEGMENT_WORD_SEQUENCE]);
}

/* The words as `words` has them, and the sequence even again. */
static void end_change(struct segment_writer *writer, struct segment_series *to, uint64_t *words) {
    for (int i = SEGMENT_WORD_VALUE; i < SEGMENT_WORDS; i++)
        store(&to->words[i], words[i]);
    store(&to->words[SEGMENT_WORD_SEQUENCE], ++words[SEGMENT_WORD_SEQUENCE]);
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
    guarded(writer, store_value, &call);
}

static int store_hidden(void *argument) {
    const struct value_call *call = argument;
    store(&series_at(call->writer, call->series->position)->words[SEGMENT_WORD_HIDDEN],
          call->series->words[SEGMENT_WORD_HIDDEN]);
    count_change(call->writer);
    return 0;
}

void segment_set_hidden(struct segment_writer *writer, uint64_t series, bool hidden) {
    struct value_call call = { writer, series_of(writer, series) };
    if (call.series->words[SEGMENT_WORD_HIDDEN] == hidden)
        return;
    call.series->words[SEGMENT_WORD_HIDDEN] = hidden;
    guarded(writer, store_hidden, &call);
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
        store(&to->number, octave->number);
        store(&to->next, i > 0 ? series->octaves[i - 1].position : 0);
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++)
            store(&to->counts[b], call->histogram->octaves[octave->number][b]);
    }
    store(&segment_header_of(&writer->map)->used, writer->used);
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
            store(&octave_at(call->writer, octave->position)->counts[b], counts[b]);
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
    return guarded(writer, store_histogram, &call);
}

/* --- sign of life --- */

struct beat_call {
    struct segment_writer *writer;
    uint64_t now_ns, last_commit_ns;
};

static int store_beat(void *argument) {
    const struct beat_call *call = argument;
    struct segment_header *header = segment_header_of(&call->writer->map);
    store(&header->last_commit_ns, call->last_commit_ns);
    store(&header->heartbeat_ns, call->now_ns);
    return 0;
}

void segment_beat(struct segment_writer *writer, uint64_t now_ns, uint64_t last_commit_ns) {
    struct beat_call call = { writer, now_ns, last_commit_ns };
    guarded(writer, store_beat, &call);
}
