/* tfctl_write_ring.c - an application under the hand of a test: does what its standard input says, line by line, and answers each
 * with one line. An argument: its service.
 *
 *   log LEVEL TEXT     one entry through a call site (formatted by the reader)     -> ok
 *   large LEVEL TEXT   one entry too large for a thread's own lane                  -> ok
 *   flood LEVEL N      N entries at once                                            -> the entries lost so far, all in all
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/client/taskforge.h"
#include "common/base/check.h"

static void log_line(tf_client *client, int level, const char *text) {
    TF_LOG_TO(client, level, "obey", "said: %s (%d bytes)", text, (int)strlen(text));
}

static void log_large(tf_client *client, int level, const char *text) {
    static char metadata[60000 + 16] = "{\"filler\":\"";
    struct tf_entry entry;
    memset(metadata + 11, 'x', 60000);
    memcpy(metadata + 11 + 60000, "\"}", 3);
    tf_entry_init(&entry, level, NULL, "obey", text);
    entry.metadata = metadata;
    char message[20000];
    memset(message, 'm', sizeof(message));
    memcpy(message, text, strlen(text));
    entry.message = message;
    entry.message_length = 9000;
    check(tf_entry_write(client, &entry) == 0);
}

static unsigned long long flood(tf_client *client, int level, long count) {
    struct tf_loss_counts losses;
    for (long i = 0; i < count; i++)
        (void)tf_log(client, level, NULL, "flood", "one of very many entries, long enough to fill a lane in a while");
    check(tf_losses(client, &losses, sizeof(losses)) == 0);
    return (unsigned long long)losses.total;
}

int main(int argc, char **argv) {
    tf_client *client;
    char line[1024], level_text[16];
    int level, at;
    check(argc == 2 && tf_open(argv[1], NULL, &client) == 0);
    while (fgets(line, sizeof(line), stdin)) {
        char *command = strtok(line, " "), *rest = strtok(NULL, "\n");
        check(command && rest && sscanf(rest, "%15s %n", level_text, &at) == 1);
        check(tf_level_parse(level_text, &level) == 0);
        if (strcmp(command, "log") == 0)
            log_line(client, level, rest + at);
        else if (strcmp(command, "large") == 0)
            log_large(client, level, rest + at);
        else
            printf("%llu\n", flood(client, level, atol(rest + at)));
        if (strcmp(command, "flood") != 0)
            puts("ok");
        fflush(stdout);
    }
    tf_close(client);
    return 0;
}
