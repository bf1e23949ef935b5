/* recorder_app.c - an app that says what it is told to: recorder_app SERVICE; says "open". For each line of stdin it does as that says, and
 * says "done" on stdout:
 *
 *   LEVEL MESSAGE              by a macro
 *   LEVEL @TRACE MESSAGE       the same, with the trace as the thread's context (32 hex digits travel as bytes)
 *   LEVEL #TRACE MESSAGE       a whole entry with the trace as text
 *   many COUNT WORD            COUNT entries of level debug, "WORD NUMBER"
 *   thread COUNT WORD          the same by a thread of its own, which ends
 *   store                      tf_recorder_store
 *   flush                      tf_flush */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/client/taskforge.h"

static tf_client *client;

static int say(int level, const char *message) {
    static const char text[] = "%s";
    switch (level) { /* a statement each, as in a program */
    case TF_LEVEL_DEBUG:
        TF_LOG_TO(client, TF_LEVEL_DEBUG, "say", "%s", message);
        return 0;
    case TF_LEVEL_ERROR:
        TF_LOG_TO(client, TF_LEVEL_ERROR, "say", "%s", message);
        return 0;
    default:
        return tf_logf(client, level, NULL, "say", text, message);
    }
}

static int say_with_trace(int level, char *line, int as_text) {
    char *message = strchr(line, ' ');
    struct tf_entry entry;
    if (!message)
        return -1;
    *message++ = '\0';
    if (as_text) {
        tf_entry_init(&entry, level, NULL, "say", message);
        entry.trace_id = line;
        return tf_entry_write(client, &entry);
    }
    if (tf_context_set(line, NULL, NULL) != 0)
        return -1;
    int result = say(level, message);
    tf_context_clear();
    return result;
}

static void *say_many(void *argument) {
    char *word;
    unsigned long count = strtoul(argument, &word, 10);
    for (unsigned long i = 0; i < count; i++)
        TF_LOG_TO(client, TF_LEVEL_DEBUG, "many", "%s %lu", word + 1, i);
    return NULL;
}

static int in_a_thread(char *arguments) {
    pthread_t thread;
    return pthread_create(&thread, NULL, say_many, arguments) == 0 && pthread_join(thread, NULL) == 0 ? 0 : -1;
}

static int obey(char *line) {
    int level;
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = '\0';
    if (strcmp(line, "store") == 0)
        return tf_recorder_store(client);
    if (strcmp(line, "flush") == 0)
        return tf_flush(client, UINT64_C(60000000000));
    if (!rest)
        return -1;
    if (strcmp(line, "many") == 0)
        return say_many(rest) ? -1 : 0;
    if (strcmp(line, "thread") == 0)
        return in_a_thread(rest);
    if (tf_level_parse(line, &level) < 0)
        return -1;
    return rest[0] == '@' || rest[0] == '#' ? say_with_trace(level, rest + 1, rest[0] == '#') : say(level, rest);
}

int main(int argc, char **argv) {
    char line[512];
    if (argc != 2 || tf_open(argv[1], NULL, &client) < 0)
        return 2;
    for (puts("open"), fflush(stdout); fgets(line, sizeof(line), stdin); fflush(stdout)) {
        line[strcspn(line, "\n")] = '\0';
        if (obey(line) != 0) {
            fprintf(stderr, "%s: %s\n", line, tf_last_error());
            return 1;
        }
        puts("done");
    }
    tf_close(client);
    return 0;
}
