/* Any lines as the fields of a journal entry. */
#include "agent/inputs/parse_journal.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct parse_scratch scratch;
    struct journal_entry entry = { .realtime_us = size };
    struct parsed parsed;
    struct text rest = { (const char *)data, size };
    while (rest.length > 0) {
        const char *newline = memchr(rest.data, '\n', rest.length);
        struct text field = { rest.data, newline ? (size_t)(newline - rest.data) : rest.length };
        parse_journal_field(&entry, field);
        rest.data += field.length + (newline != NULL);
        rest.length -= field.length + (newline != NULL);
    }
    parse_journal_is_own(&entry);
    parse_journal(&entry, &scratch, &parsed);
    check(parsed.entry.metadata.length == 0 || pack_check(parsed.entry.metadata) == 0);
    check((unsigned)parsed.entry.level < LEVEL_COUNT);
    return 0;
}
