/* Any text as JSON: refused with a sentence, or packed; and what was packed comes back the same through JSON. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t capacity = 9 * size + 16;
    char *first = malloc(capacity), *second = malloc(capacity);
    struct pack_writer one = { .data = first, .capacity = capacity }, two = { .data = second, .capacity = capacity };
    struct error error = { "" };
    check(first && second);
    int rc = pack_from_json((struct text) { (const char *)data, size }, &one, &error);
    check(rc == 0 || error.text[0]);
    if (rc == 0) {
        _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
        struct text packed = { one.data, one.length };
        check(pack_check(packed) == 0);
        pack_append_json(&json, packed);
        check(pack_from_json(buffer_text(&json), &two, &error) == 0);
        check(text_equal(packed, (struct text) { two.data, two.length }));
    }
    /* too little room: refused, never overrun */
    struct pack_writer small = { .data = second, .capacity = one.length / 2 };
    pack_from_json((struct text) { (const char *)data, size }, &small, NULL);
    check(small.length <= small.capacity);
    free(first);
    free(second);
    return 0;
}
