/* An Accept header of any bytes: one of the two formats, and OpenMetrics only where it is named. */
#include <stdint.h>
#include <string.h>

#include "common/base/check.h"
#include "exporter/exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text accept = { (const char *)data, size };
    bool named = false;
    for (size_t i = 0; i + 11 <= size && !named; i++)
        named = text_equal_ignoring_case((struct text) { accept.data + i, 11 }, TEXT_LITERAL("openmetrics"));
    enum exposition_format format = exposition_negotiate(accept);
    check(format == EXPOSITION_TEXT || (format == EXPOSITION_OPENMETRICS && named));
    return 0;
}
