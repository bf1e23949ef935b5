/* Any format with any arguments: the first byte says how long the format is. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t length = data[0] < size - 1 ? data[0] : size - 1;
    char *format = malloc(length + 1); /* exact, for the sanitizer */
    check(format);
    memcpy(format, data + 1, length);
    format[length] = '\0';
    struct template_types types;
    template_parse(format, &types);
    format = realloc(format, length ? length : 1);
    check(format);
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    struct text arguments = { (const char *)data + 1 + length, size - 1 - length };
    template_format((struct text) { format, length }, arguments, &out);
    check(!out.failed && out.length < 17 * 10400 + size);
    free(format);
    return 0;
}
