/* segment_check.c - see segment.h: whether the file is still what the writer wrote. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/hash.h"
#include "common/shm/segment_private.h"

enum { BYTES_EACH_TIME = 16 * 1024 * 1024 };

static uint64_t word_at(const _Atomic uint64_t *word) {
    return atomic_load_explicit(word, memory_order_relaxed);
}

static bool header_is_ours(const struct segment_writer *writer) {
    const struct segment_header *header = segment_header_of(&writer->map);
    return hash_bytes(header, offsetof(struct segment_header, replaced)) == writer->header_hash &&
           word_at(&header->used) == writer->used && word_at(&header->series_count) == writer->count &&
           word_at(&header->changes) == writer->changes && word_at(&header->replaced) == 0;
}

static bool octaves_are_ours(const struct segment_writer *writer, const struct written_series *series) {
    uint64_t next = 0;
    for (uint32_t i = 0; i < series->octave_count; i++) {
        const struct written_octave *octave = &series->octaves[i];
        const struct segment_octave *there = (const struct segment_octave *)(writer->map.base + octave->position);
        if (there->piece.size != sizeof(*there) || there->piece.type != SEGMENT_PIECE_OCTAVE ||
            word_at(&there->number) != octave->number || word_at(&there->next) != next ||
            hash_bytes((const void *)there->counts, sizeof(there->counts)) != octave->hash)
            return false;
        next = octave->position;
    }
    return true;
}

static bool exemplars_are_ours(const struct segment_writer *writer, const struct written_series *series) {
    if (!series->exemplars)
        return true;
    const struct segment_exemplars *there =
        (const struct segment_exemplars *)(writer->map.base + series->words[SEGMENT_WORD_EXEMPLARS]);
    size_t count = series->exemplar_count;
    return there->piece.type == SEGMENT_PIECE_EXEMPLARS && there->piece.size == segment_exemplars_size(count) &&
           there->count == count &&
           memcmp((const void *)there->words, series->exemplars, count * sizeof(*series->exemplars)) == 0;
}

/* *bytes grows by what was looked at. */
static bool series_is_ours(const struct segment_writer *writer, const struct written_series *series, uint64_t *bytes) {
    const struct segment_series *there = (const struct segment_series *)(writer->map.base + series->position);
    struct segment_fixed fixed; /* a copy: the length must not change while it is used */
    memcpy(&fixed, &there->fixed, sizeof(fixed));
    uint64_t size = segment_series_size(fixed.labels_length);
    if (size > writer->used - series->position ||
        hash_bytes_seeded(there->labels, fixed.labels_length, hash_bytes(&fixed, sizeof(fixed))) != series->hash)
        return false;
    for (int i = 0; i < SEGMENT_WORDS; i++)
        if (word_at(&there->words[i]) != series->words[i])
            return false;
    *bytes += size + series->octave_count * sizeof(struct segment_octave);
    return octaves_are_ours(writer, series) && exemplars_are_ours(writer, series);
}

/* The table of what families have in common is looked at all along, then the series. */
static bool abouts_are_ours(struct segment_writer *writer, uint64_t *bytes) {
    for (; writer->abouts_checked < writer->about_capacity && *bytes < BYTES_EACH_TIME; writer->abouts_checked++) {
        const struct written_about *about = &writer->abouts[writer->abouts_checked];
        if (about->position == 0)
            continue;
        if (!segment_about_is(writer, about))
            return false;
        *bytes += sizeof(struct segment_about);
    }
    return true;
}

static int compare(void *argument) {
    struct segment_writer *writer = argument;
    uint64_t bytes = 0;
    if (!header_is_ours(writer) || !abouts_are_ours(writer, &bytes))
        return -EBADMSG;
    for (size_t i = 0; i < writer->count && bytes < BYTES_EACH_TIME; i++) {
        if (writer->checked >= writer->count) {
            writer->checked = 0;
            writer->abouts_checked = 0;
            if (!abouts_are_ours(writer, &bytes))
                return -EBADMSG;
        }
        if (!series_is_ours(writer, &writer->series[writer->checked], &bytes))
            return -EBADMSG;
        writer->checked++;
    }
    return 0;
}

int segment_check(struct segment_writer *writer, struct error *error) {
    struct stat named, open;
    if (fstat(writer->map.fd, &open) < 0 || !map_owns_descriptor(&writer->map))
        return error_set(error, -EBADMSG, "the metric segment's descriptor is lost");
    if ((uint64_t)open.st_size != writer->map.size || writer->cut)
        return error_set(error, -EBADMSG, "the metric segment was cut");
    if (!writer->temporary[0] && (fstatat(writer->folder, SEGMENT_NAME, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
                                  named.st_dev != open.st_dev || named.st_ino != open.st_ino))
        return error_set(error, -EBADMSG, "the metric segment was removed");
    if (map_guarded(compare, writer) < 0)
        return error_set(error, -EBADMSG, "the metric segment was scribbled on");
    return 0;
}
