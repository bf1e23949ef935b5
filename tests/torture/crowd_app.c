/* crowd_app.c - many processes at once, and an account of all of them.
 *
 *   crowd_app SERVICE PROCESSES THREADS LINES
 *
 * Each process opens a client, each of its threads logs LINES entries, and waits; "ready" is printed when all have. A line on stdin lets
 * them log as many again and end: one in four by SIGKILL, the others by exit(3) without closing. Then one line of JSON: how many calls
 * were accepted and refused, in how many processes no call found a place in the ring, and how many killed themselves.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client/taskforge.h"

enum { THREADS_MAX = 16, PROCESSES_MAX = 4096 };

struct account { /* of one process, in memory that its parent sees */
    _Atomic uint64_t accepted, refused;
    uint64_t no_ring;
};

struct worker {
    tf_client *client;
    struct account *account;
    int lines;
    pthread_barrier_t *written, *go;
};

static void write_lines(const struct worker *worker) {
    for (int i = 0; i < worker->lines; i++) {
        if (tf_logf(worker->client, TF_LEVEL_INFO, NULL, "write", "line %d of %d", i, (int)getpid()) == 0)
            worker->account->accepted++;
        else
            worker->account->refused++;
    }
}

static void *work(void *argument) {
    const struct worker *worker = argument;
    write_lines(worker);
    pthread_barrier_wait(worker->written);
    pthread_barrier_wait(worker->go);
    write_lines(worker);
    pthread_barrier_wait(worker->written);
    return NULL;
}

struct crowd {
    const char *service;
    int threads, lines;
    int ready[2], go[2];
};

static uint64_t not_attached(tf_client *client) {
    struct tf_loss_counts losses;
    uint64_t sum = 0;
    if (tf_losses(client, &losses, sizeof(losses)) < 0)
        abort();
    for (int level = 0; level < TF_LEVELS; level++)
        sum += losses.no_ring[level];
    return sum;
}

static void run_process(const struct crowd *crowd, struct account *account, bool killed) {
    struct worker worker = { .account = account, .lines = crowd->lines };
    pthread_barrier_t written, go;
    pthread_t thread;
    char byte;
    pthread_barrier_init(&written, NULL, (unsigned)crowd->threads + 1);
    pthread_barrier_init(&go, NULL, (unsigned)crowd->threads + 1);
    worker.written = &written;
    worker.go = &go;
    close(crowd->go[1]);
    if (tf_open(crowd->service, NULL, &worker.client) < 0)
        _exit(1);
    for (int i = 0; i < crowd->threads; i++)
        if (pthread_create(&thread, NULL, work, &worker) != 0)
            _exit(1);
    pthread_barrier_wait(&written);
    if (write(crowd->ready[1], "x", 1) != 1 || read(crowd->go[0], &byte, 1) < 0) /* its end */
        _exit(1);
    pthread_barrier_wait(&go);
    pthread_barrier_wait(&written);
    account->no_ring = not_attached(worker.client);
    if (killed)
        kill(getpid(), SIGKILL);
    exit(0);
}

static int wait_for_all(int count, int killed) {
    int failed = 0;
    for (int i = 0; i < count; i++) {
        int status;
        if (wait(&status) < 0)
            return 1;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            killed--;
        else
            failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    return failed || killed != 0;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    struct crowd crowd = { .service = argv[1], .threads = atoi(argv[3]), .lines = atoi(argv[4]) };
    int processes = atoi(argv[2]), killed = 0;
    if (processes > PROCESSES_MAX || crowd.threads > THREADS_MAX || pipe(crowd.ready) < 0 || pipe(crowd.go) < 0)
        return 2;
    struct account *accounts = mmap(NULL, PROCESSES_MAX * sizeof(*accounts), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0),
                   sum = { 0 };
    if (accounts == MAP_FAILED)
        return 1;
    for (int i = 0; i < processes; i++) {
        pid_t parent = getpid(), child = fork();
        if (child < 0)
            return 1;
        if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
            _exit(1);
        if (child == 0)
            run_process(&crowd, &accounts[i], i % 4 == 0);
        killed += i % 4 == 0;
    }
    char byte;
    for (int i = 0; i < processes; i++)
        if (read(crowd.ready[0], &byte, 1) != 1)
            return 1;
    puts("ready");
    fflush(stdout);
    if (read(STDIN_FILENO, &byte, 1) < 0)
        return 1;
    close(crowd.go[1]);
    int failed = wait_for_all(processes, killed), outside = 0;
    for (int i = 0; i < processes; i++) {
        sum.accepted += accounts[i].accepted;
        sum.refused += accounts[i].refused;
        outside += accounts[i].no_ring > 0;
    }
    printf("{\"accepted\":%llu,\"refused\":%llu,\"outside\":%d,\"killed\":%d}\n", (unsigned long long)sum.accepted,
           (unsigned long long)sum.refused, outside, killed);
    return failed;
}
