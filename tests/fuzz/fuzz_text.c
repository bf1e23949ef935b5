/* Any bytes: what is repaired is UTF-8, and what is made printable acts on no terminal. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text input = { (const char *)data, size };
    _cleanup_buffer_ struct buffer repaired = BUFFER_EMPTY, printable = BUFFER_EMPTY;
    bool valid = text_utf8_valid(input), changed = text_utf8_repair(input, &repaired);
    check(valid == !changed);
    check(text_utf8_valid(buffer_text(&repaired)));
    check(changed || text_equal(input, buffer_text(&repaired)));
    text_append_printable(&printable, input, true); /* also of bytes that are not valid */
    struct text rest = buffer_text(&printable);
    while (rest.length > 0) {
        uint32_t character;
        int length = text_utf8_next(rest, &character);
        check(length > 0);
        check(character == '\n' || character == '\t' || !text_acts_on_terminal(character));
        rest.data += length;
        rest.length -= (size_t)length;
    }
    text_distance(input, TEXT_LITERAL("interval"));
    text_trim(input);
    return 0;
}
