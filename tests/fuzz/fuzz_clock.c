/* Any text as a time or a duration: refused, or read, and a time read back from what it is written as. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t ns, again;
    char text[CLOCK_RFC3339_SIZE];
    if (clock_parse((const char *)data, size, &ns) == 0) {
        size_t length = clock_format(ns, text);
        check(clock_parse(text, length, &again) == 0 && again == ns);
    }
    clock_parse_duration((const char *)data, size, &ns);
    char *string = malloc(size + 1);
    check(string);
    if (size > 0)
        memcpy(string, data, size);
    string[size] = '\0';
    clock_parse_human(string, UINT64_C(1795457704123456789), &ns);
    free(string);
    return 0;
}
