/* segment_v1.c - see segment_v1.h: what a collector of before has left, so that its totals can be taken over. */
#include "common/shm/segment_v1.h"

#include <errno.h>
#include <string.h>

#include "common/shm/segment_private.h"

int segment_read_fixed_v1(const struct segment *segment, uint64_t position, const struct segment_piece *piece,
                          struct segment_sample *sample, const _Atomic uint64_t **ret_words) {
    const struct segment_v1_series *series = (const struct segment_v1_series *)(segment->map.base + position);
    struct segment_v1_fixed fixed;
    struct text texts[SEGMENT_V1_TEXTS];
    uint64_t size = sizeof(*series);
    if (piece->size < sizeof(*series))
        return -EBADMSG;
    memcpy(&fixed, &series->fixed, sizeof(fixed));
    for (int i = 0; i < SEGMENT_V1_TEXTS; i++)
        size += fixed.lengths[i];
    if (segment_round(size) != piece->size)
        return -EBADMSG;
    int result =
        segment_copy_texts(sample, series->texts, fixed.lengths, SEGMENT_V1_TEXTS, METRIC_PRINTED_BYTES, texts);
    if (result < 0)
        return result;
    sample->family = texts[0];
    sample->about = 0;
    sample->labels = TEXT_EMPTY;
    sample->definition = (struct metric_definition) {
        .kind = fixed.kind,
        .naming = fixed.naming,
        .name = texts[1],
        .labels = texts[2],
        .unit = texts[3],
        .help = texts[4],
        .bounds = texts[5],
    };
    sample->created_ns = fixed.created_ns;
    *ret_words = series->words;
    return 0;
}
