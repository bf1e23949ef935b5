/* Any fields of an entry: repaired they are valid, a second repair finds nothing, and its line is one line of JSON. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/entry.h"
#include "common/model/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A text of the input's next bytes; its length stands before it. */
static struct text take(const uint8_t **data, size_t *size) {
    if (*size < 2)
        return TEXT_EMPTY;
    size_t length = (size_t)((*data)[0] | (*data)[1] << 8);
    *data += 2;
    *size -= 2;
    length = length < *size ? length : *size;
    struct text text = { (const char *)*data, length };
    *data += length;
    *size -= length;
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct entry entry = { .level = (enum level)(data[0] % 8), .timestamp_ns = data[0] };
    unsigned already = data[1];
    data += 2;
    size -= 2;
    struct text *texts[] = { &entry.service,  &entry.module,        &entry.operation,
                             &entry.trace_id, &entry.span_id,       &entry.correlation_id,
                             &entry.metadata, &entry.error_details, &entry.message };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = take(&data, &size);
    _cleanup_buffer_ struct buffer scratch = BUFFER_EMPTY, json = BUFFER_EMPTY, more = BUFFER_EMPTY;
    int reasons = entry_repair(&entry, already, &scratch);
    struct error error = { "" };
    check(reasons >= 0 && ((unsigned)reasons & already) == already);
    check(entry_validate(&entry, &error) == 0);
    check(entry_repair(&entry, 0, &more) == 0 && more.length == 0);
    entry_append_json(&json, &entry);
    check(!memchr(json.data, '\n', json.length));
    size_t capacity = 9 * json.length;
    char *packed = malloc(capacity);
    check(packed);
    struct pack_writer writer = { .data = packed, .capacity = capacity };
    struct pack_value value;
    int rc = pack_from_json(buffer_text(&json), &writer, &error);
    /* metadata may stand as deep as it is allowed to, which is one too deep inside the line */
    if (rc == 0) {
        check(pack_find((struct text) { packed, writer.length }, TEXT_LITERAL("message"), &value) == 1);
        check(text_equal(value.text, entry.message));
    }
    free(packed);
    return 0;
}
