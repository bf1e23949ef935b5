/* segment_layout.h - the structs of the metric segment (drawn in segment.h). Version 1; for its writer and its reader only.
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

enum segment_piece_type { SEGMENT_PIECE_SERIES = 1, SEGMENT_PIECE_OCTAVE = 2 };

struct segment_piece {
    uint32_t size; /* with this struct; a multiple of 8 */
    uint32_t type;
};

/* What of a series never changes. */
struct segment_fixed {
    struct segment_piece piece;
    uint8_t kind;
    uint8_t naming;
    uint16_t lengths[6]; /* of the texts, in their order: enum segment_text */
    uint16_t reserved;
    uint64_t created_ns;
};
enum segment_text {
    SEGMENT_TEXT_FAMILY,
    SEGMENT_TEXT_NAME,
    SEGMENT_TEXT_LABELS,
    SEGMENT_TEXT_UNIT,
    SEGMENT_TEXT_HELP,
    SEGMENT_TEXT_BOUNDS,
    SEGMENT_TEXTS,
};

/* What changes: words, so that the writer can keep and compare its own copy. */
enum segment_word {
    SEGMENT_WORD_HIDDEN,   /* 1: passed over; by itself, not under the sequence */
    SEGMENT_WORD_SEQUENCE, /* odd while the others change */
    SEGMENT_WORD_VALUE,    /* bits of a double: the value, or a histogram's sum */
    SEGMENT_WORD_ZERO,     /* histograms: observations of 0 and below */
    SEGMENT_WORD_UPDATED,  /* real ns */
    SEGMENT_WORD_OCTAVE,   /* position of the newest octave, 0: none */
    SEGMENT_WORDS,
};

struct segment_series {
    struct segment_fixed fixed;
    _Atomic uint64_t words[SEGMENT_WORDS];
    char texts[];
};

/* An octave of a histogram. Newer ones stand in front in the chain and behind in the file: `next` is below the octave's own position, so
 * that no chain is endless. */
struct segment_octave {
    struct segment_piece piece;
    _Atomic uint64_t number; /* 0 .. HISTOGRAM_OCTAVES - 1 */
    _Atomic uint64_t next;   /* position, 0: the last */
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
};
static_assert(sizeof(struct segment_series) % 8 == 0 && sizeof(struct segment_octave) % 8 == 0, "pieces are 8-aligned");

static inline uint64_t segment_series_size(const uint16_t lengths[SEGMENT_TEXTS]) {
    uint64_t size = sizeof(struct segment_series);
    for (int i = 0; i < SEGMENT_TEXTS; i++)
        size += lengths[i];
    return (size + 7) / 8 * 8;
}

/* segment_create with another size of file, for tests of a full one: a multiple of 4096. */
int segment_create_sized(const char *runtime_dir, const struct metric_scheme *scheme, uint64_t size,
                         struct segment_writer **ret, struct error *error);

#endif
