/* entry_copy.c - see entry_copy.h. */
#include "common/query/entry_copy.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"

static const size_t text_fields[] = {
    offsetof(struct entry, service),        offsetof(struct entry, module),   offsetof(struct entry, operation),
    offsetof(struct entry, message),        offsetof(struct entry, trace_id), offsetof(struct entry, span_id),
    offsetof(struct entry, correlation_id), offsetof(struct entry, metadata), offsetof(struct entry, error_details),
    offsetof(struct entry, host),
};

static struct text *field_of(struct entry *entry, size_t field) {
    return (struct text *)((char *)entry + text_fields[field]);
}

void entry_copies_finish(struct entry_copies *copies) {
    free(copies->entries);
    buffer_finish(&copies->bytes);
    *copies = ENTRY_COPIES_EMPTY;
}

void entry_copies_clear(struct entry_copies *copies) {
    copies->count = 0;
    buffer_clear(&copies->bytes);
}

int entry_copies_add(struct entry_copies *copies, const struct entry *entry) {
    if (copies->count == copies->capacity) {
        size_t capacity = copies->capacity ? copies->capacity * 2 : 32;
        struct entry *grown = realloc(copies->entries, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        copies->entries = grown;
        copies->capacity = capacity;
    }
    struct entry copy = *entry;
    for (size_t i = 0; i < COUNT_OF(text_fields); i++) {
        struct text *text = field_of(&copy, i);
        size_t at = copies->bytes.length;
        buffer_append_text(&copies->bytes, *text);
        text->data = (const char *)(uintptr_t)at; /* the buffer may move: an offset for now */
    }
    if (copies->bytes.failed)
        return -ENOMEM;
    copies->entries[copies->count++] = copy;
    return 0;
}

void entry_copies_get(const struct entry_copies *copies, size_t index, struct entry *ret) {
    check(index < copies->count);
    *ret = copies->entries[index];
    for (size_t i = 0; i < COUNT_OF(text_fields); i++) {
        struct text *text = field_of(ret, i);
        text->data = text->length ? copies->bytes.data + (uintptr_t)text->data : NULL;
    }
}
