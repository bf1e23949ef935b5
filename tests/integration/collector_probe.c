/* collector_probe.c - a producer whose count of accepted records survives its death, and the asker of `positions`.
 *
 *   collector_probe produce RUNTIME_DIR SERVICE COUNTERS THREADS COUNT PAYLOAD LEVEL wait|drop|slow|spans
 *       Each thread writes COUNT entries "SERVICE THREAD NUMBER ..." (0: for ever), with an input position (input SERVICE, key
 *       THREAD, value NUMBER + 1). COUNTERS is a file of 3 u64 for each thread: attempted, accepted, dropped; mapped, so
 *       that kill -9 loses nothing of it. wait: a full lane is waited for; drop: counted as lost. slow: a pause after each.
 *       spans: spans instead, with a pause, of trace SERVICE NUMBER / 1000 (its first eight bytes, then the number), NUMBER + 1 the span's id.
 *   collector_probe positions RUNTIME_DIR INPUT
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/producer.h"
#include "common/base/clock.h"
#include "common/process/control.h"

struct counters {
    _Atomic uint64_t attempted, accepted, dropped;
};

struct job {
    struct producer *producer;
    struct counters *counters;
    const char *service;
    unsigned thread;
    uint64_t count;
    size_t payload;
    enum level level;
    bool drop, slow, spans;
};

static void pause_shortly(void) {
    nanosleep(&(struct timespec) { 0, 200000 }, NULL);
}

static int produce_span(const struct job *job, uint64_t number) {
    char operation[32];
    struct record record = { .kind = RECORD_SPAN, .span = { .start_ns = clock_real_ns() } };
    uint64_t trace = number / 1000, id = number + 1;
    memcpy(record.span.trace_id, job->service, strnlen(job->service, 8));
    memcpy(record.span.trace_id + 8, &trace, sizeof(trace));
    record.span.trace_id[15] = (uint8_t)job->thread;
    memcpy(record.span.span_id, &id, sizeof(id));
    record.span.operation =
        (struct text) { operation, (size_t)snprintf(operation, sizeof(operation), "%llu", (unsigned long long)number) };
    int result;
    while ((result = producer_write_record(job->producer, &record)) == -EAGAIN)
        pause_shortly();
    return result;
}

static void *produce_spans(void *argument) {
    const struct job *job = argument;
    for (uint64_t i = 0; job->count == 0 || i < job->count; i++) {
        atomic_store(&job->counters->attempted, i + 1);
        if (produce_span(job, i) != 0)
            exit(1);
        atomic_fetch_add(&job->counters->accepted, 1);
        pause_shortly();
    }
    return NULL;
}

static void *produce(void *argument) {
    const struct job *job = argument;
    char message[ENTRY_MESSAGE_BYTES], key[16], value[24];
    memset(message, '.', sizeof(message));
    for (uint64_t i = 0; job->count == 0 || i < job->count; i++) {
        int length =
            snprintf(message, sizeof(message), "%s %u %llu ", job->service, job->thread, (unsigned long long)i);
        message[length] = '.';
        struct record_entry record = {
            .entry = { .level = job->level, .module = TEXT_LITERAL("m"), .operation = TEXT_LITERAL("o") },
            .has_position = true,
        };
        record.entry.message = (struct text) { message, (size_t)length + job->payload };
        record.position.input = text_of(job->service);
        record.position.key = (struct text) { key, (size_t)snprintf(key, sizeof(key), "%u", job->thread) };
        record.position.value =
            (struct text) { value, (size_t)snprintf(value, sizeof(value), "%llu", (unsigned long long)i + 1) };
        atomic_store(&job->counters->attempted, i + 1);
        int result;
        while ((result = producer_write(job->producer, &record, 0)) == -EAGAIN && !job->drop)
            pause_shortly();
        if (result == -EAGAIN) {
            producer_count_loss(job->producer, job->level, LOSS_LANE_FULL, 1);
            atomic_fetch_add(&job->counters->dropped, 1);
        } else if (result == 0) {
            atomic_fetch_add(&job->counters->accepted, 1);
        } else {
            fprintf(stderr, "producer_write: %s\n", strerror(-result));
            exit(1);
        }
        if (job->slow)
            pause_shortly();
    }
    return NULL;
}

static int run_produce(char **argv) {
    unsigned threads = (unsigned)atoi(argv[3]);
    size_t size = threads * sizeof(struct counters);
    int fd = open(argv[2], O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return 1;
    struct counters *counters = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct producer *producer;
    struct error error;
    enum level level;
    if (counters == MAP_FAILED || level_parse(text_of(argv[6]), &level) < 0 ||
        producer_open(argv[0], argv[1], &producer, &error) < 0)
        return 1;
    struct job jobs[64];
    pthread_t ids[64];
    for (unsigned i = 0; i < threads && i < 64; i++) {
        jobs[i] = (struct job) { producer,
                                 &counters[i],
                                 argv[1],
                                 i,
                                 strtoull(argv[4], NULL, 10),
                                 strtoull(argv[5], NULL, 10),
                                 level,
                                 strcmp(argv[7], "drop") == 0,
                                 strcmp(argv[7], "slow") == 0,
                                 strcmp(argv[7], "spans") == 0 };
        if (pthread_create(&ids[i], NULL, jobs[i].spans ? produce_spans : produce, &jobs[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < threads && i < 64; i++)
        pthread_join(ids[i], NULL);
    producer_close(producer);
    return 0;
}

static int run_positions(const char *runtime_dir, const char *input) {
    char path[512], request[300];
    struct error error = { "" };
    struct buffer answer = BUFFER_EMPTY;
    snprintf(path, sizeof(path), "%s/collector.sock", runtime_dir);
    snprintf(request, sizeof(request), "positions %s", input);
    int fd = control_connect(path, &error);
    int result =
        fd < 0 ? fd : control_request(fd, text_of(request), clock_monotonic_ns() + 15 * CLOCK_SECOND, &answer, &error);
    if (result < 0)
        fprintf(stderr, "%s\n", error.text);
    else
        printf("%.*s", (int)answer.length, answer.data);
    buffer_finish(&answer);
    if (fd >= 0)
        close(fd);
    return result < 0;
}

int main(int argc, char **argv) {
    if (argc == 10 && strcmp(argv[1], "produce") == 0)
        return run_produce(argv + 2);
    if (argc == 4 && strcmp(argv[1], "positions") == 0)
        return run_positions(argv[2], argv[3]);
    fprintf(stderr, "see the head of collector_probe.c\n");
    return 2;
}
