#include "common/privacy/pack_edit.h"

#include <errno.h>

#include "common/base/check.h"

struct walk {
    pack_edit_function *edit;
    void *context;
    struct pack_reader reader;
    struct pack_writer *out; /* NULL: only whether there is anything */
    bool found;
};

static void walk_value(struct walk *walk, struct text key);

static void walk_map(struct walk *walk, uint32_t count) {
    struct pack_value key;
    for (uint32_t i = 0; i < count && pack_next(&walk->reader, &key) == 1; i++) {
        if (walk->out)
            pack_raw(walk->out, key.whole);
        walk_value(walk, key.text);
        if (walk->found && !walk->out)
            return;
    }
}

/* As deep as pack_check lets values nest. */
static void walk_value(struct walk *walk, struct text key) {
    struct pack_value value;
    if (pack_next(&walk->reader, &value) != 1)
        return;
    if (walk->edit(walk->context, key, &value, walk->out)) {
        walk->found = true;
        walk->reader.at = value.whole.data + value.whole.length;
    } else if (value.type == PACK_MAP) {
        if (walk->out)
            pack_map(walk->out, value.count);
        walk_map(walk, value.count);
    } else if (value.type == PACK_ARRAY) {
        if (walk->out)
            pack_array(walk->out, value.count);
        for (uint32_t i = 0; i < value.count && (walk->out || !walk->found); i++)
            walk_value(walk, key);
    } else if (walk->out) {
        pack_raw(walk->out, value.whole);
    }
}

int pack_edit(struct text packed, pack_edit_function *edit, void *context, struct buffer *out) {
    if (packed.length == 0)
        return 0;
    const struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct walk walk = { .edit = edit, .context = context, .reader = reader };
    walk_value(&walk, TEXT_EMPTY);
    if (!walk.found)
        return 0;
    for (size_t capacity = 2 * packed.length + 1024;; capacity *= 2) {
        buffer_clear(out);
        if (capacity > PACK_EDIT_MAX)
            return -E2BIG;
        if (!buffer_reserve(out, capacity))
            return -ENOMEM;
        struct pack_writer writer = { .data = out->data, .capacity = capacity };
        walk = (struct walk) { .edit = edit, .context = context, .reader = reader, .out = &writer };
        walk_value(&walk, TEXT_EMPTY);
        if (writer.failed)
            continue;
        out->length = writer.length;
        return 1;
    }
}
