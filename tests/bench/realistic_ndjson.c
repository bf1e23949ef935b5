/* realistic_ndjson COUNT [SEED] - the entries of tests/lib/realistic.h as JSON, one a line, as the collector's output has them; for peers that take text.
 *
 * With --in as the first argument without id, host and pid: as an application would write them for an agent's stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/lib/realistic.h"

int main(int argc, char **argv) {
    bool in = argc > 1 && strcmp(argv[1], "--in") == 0;
    uint64_t count = argc > 1 + in ? strtoull(argv[1 + in], NULL, 10) : 1000000;
    static struct realistic realistic;
    struct buffer out = BUFFER_EMPTY;
    realistic_init(&realistic, count, argc > 2 + in ? strtoull(argv[2 + in], NULL, 10) : 1);
    for (uint64_t i = 0; i < count; i++) {
        struct entry entry;
        realistic_next(&realistic, &entry);
        size_t begin = out.length;
        if (in) {
            entry.host = TEXT_EMPTY;
            entry.pid = 0;
        }
        entry_append_json(&out, &entry);
        check(!out.failed);
        if (in) { /* the id stands first: {"id":"...", */
            size_t skip = sizeof("\"id\":\"\",") - 1 + UUID_TEXT_SIZE - 1;
            memmove(out.data + begin + 1, out.data + begin + 1 + skip, out.length - begin - 1 - skip);
            out.length -= skip;
        }
        buffer_append_char(&out, '\n');
        if (out.length > (1 << 20) || i + 1 == count) {
            if (fwrite(out.data, 1, out.length, stdout) != out.length)
                return 1;
            buffer_clear(&out);
        }
    }
    buffer_finish(&out);
    return fflush(stdout) == 0 ? 0 : 1;
}
