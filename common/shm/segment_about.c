/* segment_about.c - see segment.h: what the series of a family have in common, written once. The writer knows the pieces by their
 * hashes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/shm/segment_private.h"

enum { CAPACITY_FIRST = 64 };

struct about_call {
    struct segment_writer *writer;
    struct segment_about_fixed fixed;
    struct text texts[SEGMENT_TEXTS];
};

static uint64_t hash_of(const struct about_call *call) {
    uint64_t hash = hash_bytes_seeded(&call->fixed, sizeof(call->fixed), call->writer->about_seed);
    for (int i = 0; i < SEGMENT_TEXTS; i++)
        hash = hash_bytes_seeded(call->texts[i].data ? call->texts[i].data : "", call->texts[i].length, hash);
    return hash;
}

bool segment_about_is(const struct segment_writer *writer, const struct written_about *about) {
    const struct segment_about *there = (const struct segment_about *)(writer->map.base + about->position);
    struct segment_about_fixed fixed; /* a copy: the lengths must not change while they are used */
    const char *texts = there->texts;
    memcpy(&fixed, &there->fixed, sizeof(fixed));
    if (segment_about_size(fixed.lengths) > writer->used - about->position)
        return false;
    uint64_t hash = hash_bytes_seeded(&fixed, sizeof(fixed), writer->about_seed);
    for (int i = 0; i < SEGMENT_TEXTS; i++) {
        hash = hash_bytes_seeded(texts, fixed.lengths[i], hash);
        texts += fixed.lengths[i];
    }
    return hash == about->hash;
}

/* --- the table --- */

static struct written_about *place_of(struct written_about *table, size_t capacity, uint64_t hash) {
    size_t at = hash & (capacity - 1);
    while (table[at].position != 0 && table[at].hash != hash)
        at = (at + 1) & (capacity - 1);
    return &table[at];
}

static int grow(struct segment_writer *writer) {
    if (writer->about_count < writer->about_capacity / 2)
        return 0;
    size_t capacity = writer->about_capacity ? writer->about_capacity * 2 : CAPACITY_FIRST;
    struct written_about *grown = calloc(capacity, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    for (size_t i = 0; i < writer->about_capacity; i++)
        if (writer->abouts[i].position != 0)
            *place_of(grown, capacity, writer->abouts[i].hash) = writer->abouts[i];
    free(writer->abouts);
    writer->abouts = grown;
    writer->about_capacity = capacity;
    writer->abouts_checked = 0;
    return 0;
}

/* --- the file --- */

/* Behind what is used; `used` covers it before a series points to it. */
static int store_about(void *argument) {
    const struct about_call *call = argument;
    struct segment_writer *writer = call->writer;
    struct segment_about *to = (struct segment_about *)(writer->map.base + writer->used);
    char *texts = to->texts;
    memcpy(&to->fixed, &call->fixed, sizeof(to->fixed));
    for (int i = 0; i < SEGMENT_TEXTS; i++) {
        if (call->texts[i].length > 0)
            memcpy(texts, call->texts[i].data, call->texts[i].length);
        texts += call->texts[i].length;
    }
    segment_store(&segment_header_of(&writer->map)->used, writer->used + call->fixed.piece.size);
    return 0;
}

int segment_about(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                  uint64_t *ret_position) {
    struct about_call call = {
        .writer = writer,
        .fixed = { .kind = (uint8_t)definition->kind,
                   .naming = (uint8_t)definition->naming,
                   .combine = definition->combine },
        .texts = { [SEGMENT_TEXT_FAMILY] = family,
                   [SEGMENT_TEXT_NAME] = definition->name,
                   [SEGMENT_TEXT_UNIT] = definition->unit,
                   [SEGMENT_TEXT_HELP] = definition->help,
                   [SEGMENT_TEXT_BOUNDS] = definition->bounds },
    };
    for (int i = 0; i < SEGMENT_TEXTS; i++) {
        check(call.texts[i].length <= UINT16_MAX);
        call.fixed.lengths[i] = (uint16_t)call.texts[i].length;
    }
    uint64_t size = segment_about_size(call.fixed.lengths);
    call.fixed.piece = (struct segment_piece) { .size = (uint32_t)size, .type = SEGMENT_PIECE_ABOUT };
    int result = grow(writer);
    if (result < 0)
        return result;
    uint64_t hash = hash_of(&call);
    struct written_about *place = place_of(writer->abouts, writer->about_capacity, hash);
    if (place->position == 0) {
        result = segment_allocate(writer, writer->used + size);
        if (result == 0)
            result = segment_write(writer, store_about, &call);
        if (result < 0)
            return result;
        *place = (struct written_about) { writer->used, hash };
        writer->about_count++;
        writer->used += size;
    }
    *ret_position = place->position;
    return 0;
}
