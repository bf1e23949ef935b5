/* Any bytes as a syslog datagram, and as a line of a file: an entry whose metadata is one whole map. */
#include "agent/inputs/parse_line.h"
#include "agent/inputs/parse_syslog.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct parse_scratch scratch;
    const uint64_t now_ns = UINT64_C(1795457700000000000);
    struct parsed parsed;
    struct text bytes = { (const char *)data, size };
    if (parse_syslog(bytes, now_ns, &scratch, &parsed) == 0) {
        check(pack_check(parsed.entry.metadata) == 0 && pack_is_map(parsed.entry.metadata));
        check(parsed.entry.message.length <= size);
    }
    parse_line(CONFIG_FORMAT_AUTO, bytes, now_ns, &scratch, &parsed);
    check(parsed.entry.metadata.length == 0 || pack_check(parsed.entry.metadata) == 0);
    check((unsigned)parsed.entry.level < LEVEL_COUNT);
    return 0;
}
