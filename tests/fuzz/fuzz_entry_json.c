/* A line that tfctl import takes: refused with a sentence, or an entry, which as JSON is taken again and is the same. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_buffer_ struct buffer room = BUFFER_EMPTY, again = BUFFER_EMPTY, json = BUFFER_EMPTY, second = BUFFER_EMPTY;
    struct error error = { "" };
    struct entry entry, other;
    int result = entry_from_json((struct text) { (const char *)data, size }, &room, &entry, &error);
    check(result == 0 || error.text[0]);
    if (result < 0)
        return 0;
    check(entry_validate(&entry, &error) == 0);
    entry_append_json(&json, &entry);
    check(!json.failed);
    check(entry_from_json(buffer_text(&json), &again, &other, &error) == 0);
    entry_append_json(&second, &other);
    check(text_equal(buffer_text(&json), buffer_text(&second)));
    return 0;
}
