/* A process with the right to write the segment scribbles on it and cuts it while readers and the writer go on: errors, never a signal, never
 * an endless loop; and the writer's next check knows. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/shm/segment_private.h"
#include "tests/torture/ring_lib.h"

enum { SERIES = 64 };

static const struct metric_scheme scheme = { "taskforge", "_gauge" };

static uint64_t nasty(uint64_t *random, uint64_t used) {
    const uint64_t values[] = { 0,
                                1,
                                7,
                                8,
                                80,
                                255,
                                4095,
                                4096,
                                4104,
                                used,
                                4112,
                                used + 8,
                                INT32_MAX,
                                UINT32_MAX,
                                INT64_MAX,
                                UINT64_MAX,
                                used - 8,
                                SEGMENT_SIZE,
                                SEGMENT_SIZE - 8,
                                UINT64_MAX - 7 };
    uint64_t draw = torture_random(random);
    if (draw % 4 == 0)
        return torture_random(random);
    if (draw % 4 == 1)
        return torture_random(random) % used / 8 * 8; /* a position */
    return values[draw / 4 % COUNT_OF(values)];
}

static _Noreturn void scribble(const char *path, uint64_t used, uint64_t random, bool cut) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        _exit(1);
    for (;;) {
        uint64_t value = nasty(&random, used), part = torture_random(&random) % 3;
        uint64_t at = torture_random(&random) % (part == 0 ? 384 : used) / 8 * 8;
        if (pwrite(fd, &value, sizeof(value), (off_t)at) < 0)
            _exit(2);
        if (cut && torture_random(&random) % 512 == 0 &&
            (ftruncate(fd, (off_t)(torture_random(&random) % used)) < 0 || ftruncate(fd, (off_t)SEGMENT_SIZE) < 0))
            _exit(3);
    }
}

static void add_all(struct segment_writer *writer, struct histogram *histogram) {
    static const enum metric_kind kinds[] = { METRIC_COUNTER, METRIC_GAUGE, METRIC_TIMER };
    for (uint64_t i = 0; i < SERIES; i++) {
        struct metric_definition definition = { .kind = kinds[i % COUNT_OF(kinds)],
                                                .name = TEXT_LITERAL("torture"),
                                                .help = TEXT_LITERAL("What it is.") };
        uint64_t series;
        require(segment_add(writer, &definition, TEXT_LITERAL("taskforge_torture"), 1, &series) == 0, "add");
        if (metric_kind_is_histogram(definition.kind))
            require(segment_set_histogram(writer, series, histogram, 1) == 0, "histogram");
    }
}

static void write_on(struct segment_writer *writer, struct histogram *histogram, uint64_t n) {
    uint64_t series = n % SERIES;
    histogram_add(histogram, (double)(n % 97), 1);
    if (series % 3 == 2)
        segment_set_histogram(writer, series, histogram, n);
    else if (series % 3 == 0 && n % 5 == 0)
        segment_set_exemplar(writer, series, 0,
                             &(struct metric_exemplar) { .value = 1, .time_ns = n, .length = 1, .trace_id = "x" });
    else
        segment_set_value(writer, series, (double)n, n);
    segment_beat(writer, n, n);
}

static uint64_t read_on(struct segment *segment, const char *directory, struct segment_sample *sample) {
    struct segment_info info;
    struct segment *again = NULL;
    uint64_t count = 0;
    segment_info_get(segment, &info);
    for (uint64_t at = 0; segment_next(segment, at, sample) == 1; at = sample->position)
        count++;
    segment_read(segment, 4096 + count * 8, sample);
    if (segment_open(directory, &again, NULL) == 0) {
        for (uint64_t at = 0; segment_next(again, at, sample) == 1; at = sample->position)
            count++;
        segment_close(again);
    }
    return count;
}

static void turn(const char *directory, uint64_t sweeps, bool cut) {
    struct segment_writer *writer = NULL;
    struct segment *segment = NULL;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct histogram histogram = HISTOGRAM_EMPTY;
    char path[128];
    uint64_t samples = 0, noticed = 0;
    require(segment_create(directory, &scheme, &writer, NULL) == 0, "create");
    histogram_add(&histogram, 1, 1);
    histogram_add(&histogram, 50, 1);
    add_all(writer, &histogram);
    require(segment_publish(writer, NULL) == 0 && segment_open(directory, &segment, NULL) == 0, "publish, open");
    char *whole = malloc(writer->used);
    size_t size = writer->used;
    require(whole && pread(writer->map.fd, whole, size, 0) == (ssize_t)size, "copy");
    snprintf(path, sizeof(path), "%s/metrics", directory);
    pid_t scribbler = torture_fork();
    if (scribbler == 0)
        scribble(path, size, (uint64_t)getpid() * 31 + 7, cut);
    for (uint64_t i = 0; i < sweeps; i++) {
        write_on(writer, &histogram, i);
        samples += read_on(segment, directory, &sample);
        noticed += segment_check(writer, NULL) == -EBADMSG;
        if (i % 8 == 7) /* so that readers get further than the first check */
            require(pwrite(writer->map.fd, whole, size, 0) == (ssize_t)size, "restore: %s", strerror(errno));
    }
    require(waitpid(scribbler, NULL, WNOHANG) == 0, "the scribbler has ended");
    kill(scribbler, SIGKILL);
    waitpid(scribbler, NULL, 0);
    require(noticed > 0, "the writer has noticed nothing");
    printf("%llu sweeps%s, %llu samples in spite of it, noticed %llu times\n", (unsigned long long)sweeps,
           cut ? " of a file being cut" : "", (unsigned long long)samples, (unsigned long long)noticed);
    free(whole);
    histogram_finish(&histogram);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

int main(void) {
    char directory[64];
    torture_directory(directory);
    require(map_guard_install(NULL) == 0, "guard");
    turn(directory, torture_count(1000, 50000), false);
    turn(directory, torture_count(1000, 50000), true);
    torture_remove(directory);
    return 0;
}
