/* Any bytes as a line of format json: an entry that repair makes valid. */
#include "agent/inputs/parse_line.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct parse_scratch scratch;
    const uint64_t now_ns = UINT64_C(1795457700000000000);
    struct parsed parsed;
    parse_line(CONFIG_FORMAT_JSON, (struct text) { (const char *)data, size }, now_ns, &scratch, &parsed);
    check(parsed.entry.metadata.length == 0 || pack_check(parsed.entry.metadata) == 0);
    check(parsed.entry.error_details.length == 0 || pack_check(parsed.entry.error_details) == 0);
    check(parsed.is_json != ((parsed.repaired & ENTRY_REPAIR_JSON) != 0));
    struct text *names[] = { &parsed.entry.service, &parsed.entry.module, &parsed.entry.operation };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i]->length == 0)
            *names[i] = TEXT_LITERAL("x");
    if (parsed.entry.timestamp_ns == 0)
        parsed.entry.timestamp_ns = now_ns;
    buffer_clear(&scratch.repair);
    check(entry_repair(&parsed.entry, parsed.repaired, &scratch.repair) >= 0);
    check(entry_validate(&parsed.entry, NULL) == 0);
    return 0;
}
