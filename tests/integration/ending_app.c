/* ending_app.c - an app that logs and ends, in the way it is told to.
 *
 *   ending_app SERVICE COUNT HOW
 *
 * HOW: wait (until it is killed), segv, exit, quick_exit, return, close (tf_close, then return), fork (a child logs and leaves by
 * _exit, then it closes). It prints its pid, of fork the child's, when all entries are written.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client/taskforge.h"

static void by_wait(tf_client *client) {
    (void)client;
    pause();
}

static void by_segv(tf_client *client) {
    (void)client;
    setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
    signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
    raise(SIGSEGV);
}

static void by_exit(tf_client *client) {
    (void)client;
    exit(0);
}

static void by_quick_exit(tf_client *client) {
    (void)client;
    quick_exit(0);
}

static void by_return(tf_client *client) {
    (void)client;
}

static void by_close(tf_client *client) {
    tf_close(client);
}

static void by_fork(tf_client *client) {
    pid_t child = fork();
    if (child == 0) {
        TF_LOG_TO(client, TF_LEVEL_INFO, "write", "in the child %d", (int)getpid());
        printf("%d\n", (int)getpid());
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    tf_close(client);
}

static const struct {
    const char *name;
    void (*end)(tf_client *client);
} ways[] = { { "wait", by_wait },     { "segv", by_segv },   { "exit", by_exit }, { "quick_exit", by_quick_exit },
             { "return", by_return }, { "close", by_close }, { "fork", by_fork } };

int main(int argc, char **argv) {
    tf_client *client;
    if (argc != 4)
        return 2;
    if (tf_open(argv[1], NULL, &client) < 0)
        return 1;
    for (int i = 0; i < atoi(argv[2]); i++)
        TF_LOG_TO(client, TF_LEVEL_INFO, "write", "number %d", i);
    if (strcmp(argv[3], "fork") != 0) {
        printf("%d\n", (int)getpid());
        fflush(stdout);
    }
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(argv[3], ways[i].name) == 0)
            ways[i].end(client);
    return 0;
}
