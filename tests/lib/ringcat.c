/* ringcat RUNTIME_DIR [metrics] - print the entries (or the metric updates) that stand in the calling user's ring as JSON
 * lines and take everything out, as a collector would. On stderr: losses, if any, as "lost REASON LEVEL COUNT", updates as
 * "update ..." and series by handle as "cell ..." (drain.h). */
#include <stdio.h>
#include <string.h>

#include "tests/lib/drain.h"

static void print_lines(const char *what, const char *lines) {
    for (const char *end; (end = strchr(lines, '\n')); lines = end + 1)
        fprintf(stderr, "%s %.*s\n", what, (int)(end - lines), lines);
}

int main(int argc, char **argv) {
    bool metrics = argc == 3 && strcmp(argv[2], "metrics") == 0;
    if (argc != 2 && !metrics)
        return 2;
    struct drain drain;
    drain_open(&drain, argv[1]);
    drain_read(&drain, true);
    const struct buffer *lines = metrics ? &drain.metrics : &drain.lines;
    if (lines->length > 0)
        fwrite(lines->data, 1, lines->length, stdout);
    if (!metrics) {
        print_lines("update", drain.updates.data);
        print_lines("cell", drain.cells.data);
    }
    for (unsigned reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            if (drain.lost[reason][level])
                fprintf(stderr, "lost %s %s %llu\n", loss_reason_name((enum loss_reason)reason),
                        level_name((enum level)level), (unsigned long long)drain.lost[reason][level]);
    drain_close(&drain);
    return 0;
}
