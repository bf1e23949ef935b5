/* ringcat RUNTIME_DIR - print what stands in the calling user's ring as JSON lines and take it out, as a collector would;
 * losses, if any, as "lost REASON LEVEL COUNT" on stderr. For tests of the tools. */
#include <stdio.h>

#include "tests/lib/drain.h"

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    struct drain drain;
    drain_open(&drain, argv[1]);
    drain_read(&drain, true);
    fwrite(drain.lines.data, 1, drain.lines.length, stdout);
    for (unsigned reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            if (drain.lost[reason][level])
                fprintf(stderr, "lost %s %s %llu\n", loss_reason_name((enum loss_reason)reason),
                        level_name((enum level)level), (unsigned long long)drain.lost[reason][level]);
    drain_close(&drain);
    return 0;
}
