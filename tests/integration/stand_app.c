/* stand_app.c - an app that keeps account: what it called, what was accepted, what was refused, how long a call took.
 *
 *   stand_app write SERVICE LEVEL PROCESSES THREADS COUNT BYTES   every thread of every process writes COUNT entries
 *   stand_app levels SERVICE COUNT BYTES                          one thread: COUNT entries of each level, lowest first
 *   stand_app until SERVICE COUNT                                 an entry a millisecond until COUNT were accepted
 *   stand_app rounds SERVICE MIN_LEVEL                            says "open"; for each line of stdin an entry of each level with
 *                                                                 it as message, lowest first, and the line on stdout
 *
 * A message is "PID THREAD NUMBER ...", BYTES long; above 9000 bytes the rest is metadata, so that the record goes through an
 * overflow lane. Each process prints one line of JSON at its end; the first process is the others' parent.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"

enum { THREADS_MAX = 256, MESSAGE_MAX = 9000, BLOB_MAX = 65000 };

struct account {
    uint64_t calls, accepted[TF_LEVELS], refused[TF_LEVELS], faults;
    uint64_t cpu_ns, slowest_cpu_ns; /* of the thread's own processor time: preemption by others is not ours */
    uint64_t slow_calls;             /* took over 20 ms by the wall clock */
};

struct job {
    tf_client *client;
    int level;
    unsigned thread;
    uint64_t count;
    size_t bytes;
    struct account account;
};

static uint64_t now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int call(const struct job *job, const char *message, const char *blob) {
    struct tf_field field = tf_str("blob", blob);
    if (blob[0] == '\0')
        return tf_log(job->client, job->level, NULL, "write", message);
    return tf_log_with_metadata(job->client, job->level, NULL, "write", message, &field, 1);
}

static int write_one(struct job *job, uint64_t number) {
    char message[MESSAGE_MAX + 1], blob[BLOB_MAX + 1];
    size_t length = (size_t)snprintf(message, sizeof(message), "%d %u %llu ", (int)getpid(), job->thread,
                                     (unsigned long long)number);
    size_t wanted = job->bytes < MESSAGE_MAX ? job->bytes : MESSAGE_MAX;
    size_t rest = job->bytes - wanted < BLOB_MAX ? job->bytes - wanted : BLOB_MAX;
    while (length < wanted)
        message[length++] = '.';
    message[length] = '\0';
    memset(blob, '.', rest);
    blob[rest] = '\0';
    uint64_t begin = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
    int result = call(job, message, blob);
    cpu = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    job->account.slow_calls += now_ns(CLOCK_MONOTONIC) - begin > 20000000;
    job->account.cpu_ns += cpu;
    if (cpu > job->account.slowest_cpu_ns && number > 0) /* the first record attaches */
        job->account.slowest_cpu_ns = cpu;
    job->account.calls++;
    if (result == 0)
        job->account.accepted[job->level]++;
    else if (result == -11)
        job->account.refused[job->level]++;
    else
        job->account.faults++;
    return result;
}

static void *write_all(void *argument) {
    struct job *job = argument;
    for (uint64_t i = 0; i < job->count; i++)
        write_one(job, i);
    return NULL;
}

static void add(struct account *to, const struct account *from) {
    to->calls += from->calls;
    to->faults += from->faults;
    to->cpu_ns += from->cpu_ns;
    to->slow_calls += from->slow_calls;
    if (from->slowest_cpu_ns > to->slowest_cpu_ns)
        to->slowest_cpu_ns = from->slowest_cpu_ns;
    for (int level = 0; level < TF_LEVELS; level++) {
        to->accepted[level] += from->accepted[level];
        to->refused[level] += from->refused[level];
    }
}

static void print_levels(const char *name, const uint64_t *counts) {
    printf(",\"%s\":{", name);
    for (int level = 0; level < TF_LEVELS; level++)
        printf("%s\"%s\":%llu", level ? "," : "", tf_level_name(level), (unsigned long long)counts[level]);
    printf("}");
}

static void print_account(tf_client *client, const struct account *account) {
    struct tf_loss_counts losses;
    if (tf_losses(client, &losses, sizeof(losses)) < 0)
        abort();
    printf("{\"pid\":%d,\"calls\":%llu,\"faults\":%llu,\"lost\":%llu,\"mean_ns\":%llu,\"slowest_us\":%llu,\"slow_"
           "calls\":%llu",
           (int)getpid(), (unsigned long long)account->calls, (unsigned long long)account->faults,
           (unsigned long long)losses.total, (unsigned long long)(account->cpu_ns / (account->calls + !account->calls)),
           (unsigned long long)account->slowest_cpu_ns / 1000, (unsigned long long)account->slow_calls);
    print_levels("accepted", account->accepted);
    print_levels("refused", account->refused);
    printf("}\n");
    fflush(stdout);
}

static int run_threads(tf_client *client, int level, unsigned threads, uint64_t count, size_t bytes) {
    static struct job jobs[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    struct account all = { 0 };
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = (struct job) { .client = client, .level = level, .thread = i, .count = count, .bytes = bytes };
        if (threads > 1 && pthread_create(&ids[i], NULL, write_all, &jobs[i]) != 0)
            return 1;
    }
    if (threads == 1)
        write_all(&jobs[0]);
    for (unsigned i = 0; i < threads; i++) {
        if (threads > 1)
            pthread_join(ids[i], NULL);
        add(&all, &jobs[i].account);
    }
    print_account(client, &all);
    return 0;
}

/* The children fork from a parent that has written already, so that what fork must renew is there. */
static int run_write(tf_client *client, char **argv) {
    int level, status, result = 0;
    unsigned processes = (unsigned)atoi(argv[2]), threads = (unsigned)atoi(argv[3]);
    if (tf_level_parse(argv[1], &level) < 0 || threads > THREADS_MAX || threads == 0 || tf_prepare(client) == -22)
        return 2;
    for (unsigned i = 1; i < processes; i++) {
        pid_t child = fork();
        if (child == 0)
            return run_threads(client, level, threads, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    }
    result = run_threads(client, level, threads, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    while (wait(&status) > 0)
        result |= status != 0;
    return result;
}

static int run_levels(tf_client *client, char **argv) {
    struct job job = { .client = client, .bytes = strtoull(argv[2], NULL, 10), .count = strtoull(argv[1], NULL, 10) };
    for (job.level = TF_LEVEL_TRACE; job.level < TF_LEVELS; job.level++, job.thread++)
        write_all(&job);
    print_account(client, &job.account);
    return 0;
}

static int run_until(tf_client *client, char **argv) {
    struct job job = { .client = client, .level = TF_LEVEL_INFO, .bytes = 40 };
    uint64_t wanted = strtoull(argv[1], NULL, 10);
    for (uint64_t i = 0; job.account.accepted[TF_LEVEL_INFO] < wanted; i++) {
        write_one(&job, i);
        nanosleep(&(struct timespec) { 0, 1000000 }, NULL);
    }
    print_account(client, &job.account);
    return 0;
}

static int run_rounds(tf_client *client) {
    char line[256];
    puts("open");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        for (int level = TF_LEVEL_TRACE; level < TF_LEVELS; level++)
            if (tf_log(client, level, NULL, "round", line) != 0)
                return 1;
        puts(line);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    tf_client *client;
    struct tf_options options = TF_OPTIONS_INIT;
    if (argc == 4 && strcmp(argv[1], "rounds") == 0 && tf_level_parse(argv[3], &options.min_level) < 0)
        return 2;
    if (argc < 3 || tf_open(argv[2], &options, &client) < 0) {
        fprintf(stderr, "see the head of stand_app.c\n");
        return 2;
    }
    int result = 2;
    if (argc == 8 && strcmp(argv[1], "write") == 0)
        result = run_write(client, argv + 2);
    else if (argc == 5 && strcmp(argv[1], "levels") == 0)
        result = run_levels(client, argv + 2);
    else if (argc == 4 && strcmp(argv[1], "until") == 0)
        result = run_until(client, argv + 2);
    else if (argc == 4 && strcmp(argv[1], "rounds") == 0)
        result = run_rounds(client);
    tf_close(client);
    return result;
}
