#include "common/model/redact.h"

#include <errno.h>

#include "common/base/check.h"
#include "common/model/pack.h"

static uint64_t bit_of(size_t length) {
    return UINT64_C(1) << (length < 63 ? length : 63);
}

int redaction_add(struct redaction *redaction, struct text key) {
    if (redaction->count >= REDACT_KEYS_MAX)
        return -ENOSPC;
    redaction->keys[redaction->count++] = key;
    redaction->lengths |= bit_of(key.length);
    return 0;
}

bool redaction_hides(const struct redaction *redaction, struct text key) {
    if (!(redaction->lengths & bit_of(key.length)))
        return false;
    for (size_t i = 0; i < redaction->count; i++)
        if (text_equal_ignoring_case(redaction->keys[i], key)) /* whatever the application's locale */
            return true;
    return false;
}

/* Whether a checked value holds such a key at any depth. All keys are met in the order of the bytes: no stack is needed. */
static bool holds_any(const struct redaction *redaction, struct text packed) {
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_value value;
    struct {
        uint32_t left;
        bool is_map;
    } open[PACK_DEPTH_MAX + 1];
    unsigned depth = 0;
    while (pack_next(&reader, &value) == 1) {
        bool is_key = depth > 0 && open[depth - 1].is_map && open[depth - 1].left % 2 == 0;
        if (is_key && value.type == PACK_TEXT && redaction_hides(redaction, value.text))
            return true;
        if (depth > 0)
            open[depth - 1].left--;
        if (value.type == PACK_MAP || value.type == PACK_ARRAY) {
            check(depth <= PACK_DEPTH_MAX);
            open[depth].is_map = value.type == PACK_MAP;
            open[depth++].left = value.type == PACK_MAP ? 2 * value.count : value.count;
        }
        while (depth > 0 && open[depth - 1].left == 0)
            depth--;
    }
    return false;
}

static void copy_value(const struct redaction *redaction, struct pack_reader *reader, struct pack_writer *out);

static void copy_pairs(const struct redaction *redaction, struct pack_reader *reader, uint32_t count,
                       struct pack_writer *out) {
    struct pack_value key, value;
    pack_map(out, count);
    for (uint32_t i = 0; i < count && pack_next(reader, &key) == 1; i++) {
        pack_raw(out, key.whole);
        if (key.type != PACK_TEXT || !redaction_hides(redaction, key.text)) {
            copy_value(redaction, reader, out);
            continue;
        }
        pack_text(out, TEXT_LITERAL(REDACT_MARK));
        if (pack_next(reader, &value) == 1)
            reader->at = value.whole.data + value.whole.length; /* past what stands inside it */
    }
}

/* Recursion as deep as pack_check lets values nest. */
static void copy_value(const struct redaction *redaction, struct pack_reader *reader, struct pack_writer *out) {
    struct pack_value value;
    if (pack_next(reader, &value) != 1)
        return;
    if (value.type == PACK_MAP) {
        copy_pairs(redaction, reader, value.count, out);
    } else if (value.type == PACK_ARRAY) {
        pack_array(out, value.count);
        for (uint32_t i = 0; i < value.count; i++)
            copy_value(redaction, reader, out);
    } else {
        pack_raw(out, value.whole);
    }
}

int redact_packed(const struct redaction *redaction, struct text packed, void *out, size_t capacity, struct text *ret) {
    if (packed.length == 0 || redaction->count == 0 || !holds_any(redaction, packed)) {
        *ret = packed;
        return 0;
    }
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_writer writer = { .data = out, .capacity = capacity };
    copy_value(redaction, &reader, &writer);
    if (writer.failed)
        return -ENOSPC;
    *ret = (struct text) { out, writer.length };
    return (int)writer.length;
}
