/* segment_v1.h - a series of version 1 of the metric segment: all texts in its own piece, the labels as the store has them. Header, octaves and
 * words are those of segment_layout.h, but for the exemplars. */
#ifndef TASKFORGE_COMMON_SHM_SEGMENT_V1_H
#define TASKFORGE_COMMON_SHM_SEGMENT_V1_H

#include "common/shm/segment_layout.h"

enum { SEGMENT_V1_TEXTS = 6, SEGMENT_V1_WORDS = SEGMENT_WORD_OCTAVE + 1 };

struct segment_v1_fixed {
    struct segment_piece piece;
    uint8_t kind;
    uint8_t naming;
    uint16_t lengths[SEGMENT_V1_TEXTS]; /* family, name, labels, unit, help, bounds */
    uint16_t reserved;
    uint64_t created_ns;
};

struct segment_v1_series {
    struct segment_v1_fixed fixed;
    _Atomic uint64_t words[SEGMENT_V1_WORDS];
    char texts[];
};
static_assert(sizeof(struct segment_v1_fixed) == 32 && sizeof(struct segment_v1_series) == 80, "as it was");

#endif
