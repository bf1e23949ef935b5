/* one_line.c - the shortest life an app can have: one_line NUMBER logs a line and ends, in one of five ways by its number. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/client/taskforge.h"

int main(int argc, char **argv) {
    tf_client *client;
    int number = argc == 2 ? atoi(argv[1]) : -1;
    switch (number % 5) {
    case 0: /* the default client, never opened, never closed */
        TF_INFO("live", "%d", number);
        return 0;
    case 1:
        if (tf_open("one-line", NULL, &client) < 0 || tf_logf(client, TF_LEVEL_ERROR, NULL, "live", "%d", number) < 0)
            return 1;
        tf_close(client);
        return 0;
    case 2:
        if (tf_default_open("one-line", NULL) < 0)
            return 1;
        TF_LOG(TF_LEVEL_WARN, "live", "%d", number);
        _exit(0);
    case 3:
        if (tf_open("one-line", NULL, &client) < 0)
            return 1;
        TF_LOG_TO(client, TF_LEVEL_TRACE, "live", "%d", number);
        exit(0);
    case 4:
        if (tf_open("one-line", NULL, &client) < 0 || tf_logf(client, TF_LEVEL_INFO, NULL, "live", "%d", number) < 0)
            return 1;
        raise(SIGKILL);
        return 1;
    default:
        fprintf(stderr, "see the head of one_line.c\n");
        return 2;
    }
}
