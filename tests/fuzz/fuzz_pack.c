/* Any bytes as msgpack: checked, walked, and written as JSON that is JSON even where they were damaged. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct text packed) {
    struct pack_reader reader = { packed.data, packed.data + packed.length };
    struct pack_value value;
    int rc;
    while ((rc = pack_next(&reader, &value)) > 0) {
        check(value.whole.data >= packed.data && value.whole.length > 0);
        check(value.whole.data + value.whole.length <= packed.data + packed.length);
    }
    check(rc == 0 || pack_check(packed) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text packed = { (const char *)data, size };
    struct pack_value value;
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    if (size == 0)
        return 0;
    walk(packed);
    pack_find(packed, TEXT_LITERAL("a"), &value);
    pack_append_json(&json, packed);
    size_t capacity = 9 * json.length + 16;
    char *room = malloc(capacity);
    check(room);
    struct pack_writer writer = { .data = room, .capacity = capacity };
    int rc = pack_from_json(buffer_text(&json), &writer, NULL);
    check(rc == 0 || size > 13000); /* only more keys than PACK_KEYS_MAX may be refused */
    free(room);
    return 0;
}
