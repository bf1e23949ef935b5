/* segment_layout.h - the structs of the metric segment (drawn in segment.h). Version 2; for its writer and its readers only.
 * Version 1, which a collector of before may have left, is read by segment_v1.c.
 *
 * Who may write: the writer everything, but `replaced` of a segment whose successor is in place. Nothing that is read from here is
 * trusted: copied once, checked, then used.
 *
 * The sequence lock of a series. Writer: sequence odd; each word and count by a release-store; sequence even by a release-store.
 * Reader: sequence by an acquire-load; words and counts by acquire-loads; sequence again. Why that suffices:
 *   - A reader that began with the even number n synchronises with the store that made it n, so it sees everything of update n.
 *   - A reader that takes any word of update n + 2 synchronises with that word's release-store, before which the sequence became
 *     odd; its second look at the sequence comes after the acquire-load, so it sees n + 1 at least and knows.
 * Stores that release and loads that acquire instead of fences: the thread sanitizer understands them, and on x86-64 they are plain
 * moves. An octave is complete before `used` covers it, and `used` covers it before a series points to it; a reader loads
 * the link (acquire) and then `used`, so a link that it follows is always below the `used` that it sees.
 */
#ifndef TASKFORGE_COMMON_SHM_SEGMENT_LAYOUT_H
#define TASKFORGE_COMMON_SHM_SEGMENT_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/shm/segment.h"

#define SEGMENT_MAGIC UINT64_C(0x3147455346545454) /* "TTTFSEG1" in little-endian bytes */
#define SEGMENT_NAME "metrics"
#define SEGMENT_TEMPORARY ".metrics." /* and 16 hex digits: under construction, or left over after a kill */

struct segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size; /* SEGMENT_HEADER_SIZE */
    uint8_t id[16];
    uint64_t file_size;
    uint64_t created_ns;
    char namespace_[SEGMENT_SCHEME_TEXT]; /* NUL-terminated */
    char gauge_suffix[SEGMENT_SCHEME_TEXT];
    _Alignas(64) _Atomic uint64_t replaced; /* 1: another file has this one's name now */
    _Alignas(64) _Atomic uint64_t used;     /* release: what is below is complete */
    _Atomic uint64_t series_count;
    _Atomic uint64_t changes; /* grows behind every change of anything below `used` */
    _Atomic uint64_t heartbeat_ns;
    _Atomic uint64_t last_commit_ns;
};
static_assert(sizeof(struct segment_header) <= SEGMENT_HEADER_SIZE, "the header fits its page");

enum segment_piece_type {
    SEGMENT_PIECE_SERIES = 1,
    SEGMENT_PIECE_OCTAVE,
    SEGMENT_PIECE_ABOUT,
    SEGMENT_PIECE_EXEMPLARS,
    SEGMENT_PIECE_TYPE_END,
};

struct segment_piece {
    uint32_t size; /* with this struct; a multiple of 8 */
    uint32_t type;
};

/* What the series of a family have in common; never changes. */
struct segment_about_fixed {
    struct segment_piece piece;
    uint8_t kind;
    uint8_t naming;
    uint8_t combine;
    uint8_t reserved;
    uint16_t lengths[5]; /* of the texts, in their order: enum segment_text */
    uint16_t reserved_too;
};
struct segment_about {
    struct segment_about_fixed fixed;
    char texts[];
};
enum segment_text {
    SEGMENT_TEXT_FAMILY,
    SEGMENT_TEXT_NAME,
    SEGMENT_TEXT_UNIT,
    SEGMENT_TEXT_HELP,
    SEGMENT_TEXT_BOUNDS,
    SEGMENT_TEXTS,
};

/* What of a series never changes. */
struct segment_fixed {
    struct segment_piece piece;
    uint32_t about; /* position / 8, below the series' own */
    uint16_t labels_length;
    uint16_t reserved;
    uint64_t created_ns;
};

/* What changes: words, so that the writer can keep and compare its own copy. */
enum segment_word {
    SEGMENT_WORD_HIDDEN,    /* 1: passed over; by itself, not under the sequence */
    SEGMENT_WORD_SEQUENCE,  /* odd while the others change */
    SEGMENT_WORD_VALUE,     /* bits of a double: the value, or a histogram's sum */
    SEGMENT_WORD_ZERO,      /* histograms: observations of 0 and below */
    SEGMENT_WORD_UPDATED,   /* real ns */
    SEGMENT_WORD_OCTAVE,    /* position of the newest octave, 0: none */
    SEGMENT_WORD_EXEMPLARS, /* position of the exemplars, 0: none. Not in version 1 */
    SEGMENT_WORDS,
};

struct segment_series {
    struct segment_fixed fixed;
    _Atomic uint64_t words[SEGMENT_WORDS];
    char labels[]; /* as metric_labels_print has them: a line of /metrics is put together without a look at each */
};

/* An octave of a histogram. Newer ones stand in front in the chain and behind in the file: `next` is below the octave's own position, so
 * that no chain is endless. */
struct segment_octave {
    struct segment_piece piece;
    _Atomic uint64_t number; /* 0 .. HISTOGRAM_OCTAVES - 1 */
    _Atomic uint64_t next;   /* position, 0: the last */
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
};

/* The exemplars of a series, one for each that metric_exemplar_count says; under the series' sequence. */
enum { SEGMENT_EXEMPLAR_WORDS = 3 + METRIC_TRACE_ID_BYTES / 8 }; /* value, time, length of the id, its bytes */
struct segment_exemplars {
    struct segment_piece piece;
    uint64_t count;
    _Atomic uint64_t words[][SEGMENT_EXEMPLAR_WORDS];
};
static_assert(sizeof(struct segment_series) % 8 == 0 && sizeof(struct segment_octave) % 8 == 0 &&
                  sizeof(struct segment_about) == 24 && sizeof(struct segment_exemplars) == 16,
              "pieces are 8-aligned");
static_assert(SEGMENT_SIZE / 8 <= UINT32_MAX, "`about` reaches every piece");

static inline uint64_t segment_round(uint64_t size) {
    return (size + 7) / 8 * 8;
}

static inline uint64_t segment_series_size(size_t labels_length) {
    return segment_round(sizeof(struct segment_series) + labels_length);
}

static inline uint64_t segment_about_size(const uint16_t lengths[SEGMENT_TEXTS]) {
    uint64_t size = sizeof(struct segment_about);
    for (int i = 0; i < SEGMENT_TEXTS; i++)
        size += lengths[i];
    return segment_round(size);
}

static inline uint64_t segment_exemplars_size(size_t count) {
    return sizeof(struct segment_exemplars) + count * SEGMENT_EXEMPLAR_WORDS * sizeof(uint64_t);
}

/* segment_create with another size of file, for tests of a full one: a multiple of 4096. */
int segment_create_sized(const char *runtime_dir, const struct metric_scheme *scheme, uint64_t size,
                         struct segment_writer **ret, struct error *error);

#endif
