/* One thread writes series that grow, readers read them and prove that each value is of one moment and none ever falls, also when another
 * segment takes the place. Under TSan it proves the orderings: for that the readers share the writer's mapping. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/shm/segment_private.h"
#include "common/shm/segment_scan.h"
#include "tests/torture/ring_lib.h"

enum { READERS = 3, SERIES = 24 };

struct shared {
    struct segment_writer *writer; /* whose mapping the readers share */
    const char *directory;         /* or where they open it */
    _Atomic uint32_t done;
};

struct scan {
    struct segment *segment;
    const struct segment_sample *sample;
    struct segment_counts counts;
};

struct reader {
    struct scan scan;
    struct shared *shared;
    pthread_t id;
    uint64_t samples, replaced;
    uint64_t seen[SERIES + 1]; /* by the number in the label; counters and histograms alike */
};

static const struct metric_scheme scheme = { "taskforge", "_gauge" };

/* --- the writer: at step n a counter is n, a histogram has n observations in each of its octaves --- */

static void add_series(struct segment_writer *writer, uint64_t number) {
    char value[24], labels[METRIC_LABELS_BYTES], family[METRIC_FAMILY_BYTES];
    struct metric_definition definition = { .kind = number % 2 ? METRIC_HISTOGRAM : METRIC_COUNTER,
                                            .name = TEXT_LITERAL("torture") };
    struct metric_label label = { TEXT_LITERAL("n"), { value, 0 } };
    uint64_t series;
    label.value.length = (size_t)snprintf(value, sizeof(value), "%llu", (unsigned long long)number);
    require(metric_labels_pack(&label, 1, labels, &definition.labels, NULL) == 0, "labels");
    size_t length = metric_family(&scheme, definition.kind, definition.naming, definition.name, family);
    require(segment_add(writer, &definition, (struct text) { family, length }, 1, &series) == 0, "add");
    require(series == number, "series %llu", (unsigned long long)series);
}

static void write_step(struct segment_writer *writer, struct histogram *histogram, uint64_t n) {
    for (uint64_t o = 0; o <= n % 5; o++)
        require(histogram_add(histogram, (double)(UINT64_C(3) << o), 1) == 0, "memory");
    if (writer->count < SERIES && n % 3 == 0)
        add_series(writer, writer->count);
    for (uint64_t i = 0; i < writer->count; i++) {
        if (i % 2 == 0) {
            segment_set_value(writer, i, (double)n, n);
            if (i % 4 == 0) {
                struct metric_exemplar exemplar = { .value = (double)n, .time_ns = n, .length = (uint8_t)(1 + n % 9) };
                memset(exemplar.trace_id, 'a' + exemplar.length, exemplar.length);
                require(segment_set_exemplar(writer, i, 0, &exemplar) == 0, "exemplar");
            }
        } else
            require(segment_set_histogram(writer, i, histogram, n) == 0, "histogram");
    }
    segment_beat(writer, n, n);
}

static void write_all(struct segment_writer *writer, struct histogram *histogram, uint64_t from, uint64_t to) {
    for (uint64_t n = from; n < to; n++) {
        write_step(writer, histogram, n);
        if (n % 64 == 0) {
            require(segment_check(writer, NULL) == 0 || !writer->temporary[0], "ours");
            sched_yield();
        }
    }
}

/* --- readers --- */

static void judge(struct reader *reader, const struct segment_sample *sample) {
    struct text label = metric_labels_find(sample->definition.labels, TEXT_LITERAL("n"));
    char digits[8] = "";
    require(label.length > 0 && label.length < sizeof(digits), "label");
    memcpy(digits, label.data, label.length);
    uint64_t number = strtoull(digits, NULL, 10), value;
    require(number < SERIES, "series %llu", (unsigned long long)number);
    if (metric_kind_is_histogram(sample->definition.kind)) {
        double sum = 0;
        for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
            for (unsigned b = 0; sample->histogram.octaves[o] && b < HISTOGRAM_BUCKETS; b++)
                if (sample->histogram.octaves[o][b] > 0)
                    sum += (double)sample->histogram.octaves[o][b] * (double)(UINT64_C(3) << (o - 31));
        require(sum == sample->histogram.sum, "a torn histogram: %g is not %g", sum, sample->histogram.sum);
        value = histogram_count(&sample->histogram);
    } else {
        value = (uint64_t)sample->value;
        require(value == sample->updated_ns, "a torn counter: %llu at %llu", (unsigned long long)value,
                (unsigned long long)sample->updated_ns);
    }
    require(value >= reader->seen[number], "%llu fell from %llu to %llu", (unsigned long long)number,
            (unsigned long long)reader->seen[number], (unsigned long long)value);
    reader->seen[number] = value;
    reader->samples++;
}

/* The same by the quick way, which is to show as much. */
static int scan_one(void *argument) {
    struct scan *scan = argument;
    const struct segment_sample *sample = scan->sample;
    struct segment_look look;
    struct metric_exemplar exemplar;
    double value;
    require(segment_look(scan->segment, sample->position, &look) == 0, "look");
    if (metric_kind_is_histogram(sample->definition.kind)) {
        require(segment_look_counts(scan->segment, &look, true, &scan->counts) == 0, "counts");
        double sum = 0;
        for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
            for (unsigned b = 0; scan->counts.histogram.octaves[o] && b < HISTOGRAM_BUCKETS; b++)
                if (scan->counts.histogram.octaves[o][b] > 0)
                    sum += (double)scan->counts.histogram.octaves[o][b] * (double)(UINT64_C(3) << (o - 31));
        require(sum == scan->counts.histogram.sum && sum >= sample->histogram.sum, "a torn histogram: %g is not %g",
                sum, scan->counts.histogram.sum);
        return 0;
    }
    require(segment_look_value(scan->segment, &look, &value, &exemplar) == 0, "value");
    require(value >= sample->value, "%g fell to %g", sample->value, value);
    require(exemplar.length == 0 ||
                (exemplar.value == (double)exemplar.time_ns && exemplar.trace_id[0] == 'a' + exemplar.length),
            "a torn exemplar: %g of %llu", exemplar.value, (unsigned long long)exemplar.time_ns);
    return 0;
}

static void read_all(struct reader *reader, struct segment *segment, struct segment_sample *sample) {
    struct segment_info info;
    int result;
    require(segment_info_get(segment, &info) == 0, "info");
    uint64_t count = 0;
    struct scan *scan = &reader->scan;
    scan->segment = segment;
    scan->sample = sample;
    for (uint64_t at = 0; (result = segment_next(segment, at, sample)) == 1; at = sample->position, count++) {
        judge(reader, sample);
        require(segment_scan_guard(segment, scan_one, scan) == 0, "scan");
    }
    require(result == 0, "next: %d", result);
    require(count >= info.series_count, "%llu series of %llu", (unsigned long long)count,
            (unsigned long long)info.series_count);
}

static void *read_shared(void *argument) {
    struct reader *reader = argument;
    struct segment segment = { .map = reader->shared->writer->map, .version = SEGMENT_VERSION };
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    while (!atomic_load(&reader->shared->done))
        read_all(reader, &segment, &sample);
    segment_sample_finish(&sample);
    return NULL;
}

static void *read_opened(void *argument) {
    struct reader *reader = argument;
    struct segment *segment = NULL;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    require(segment_open(reader->shared->directory, &segment, NULL) == 0, "open");
    while (!atomic_load(&reader->shared->done)) {
        int result = segment_refresh(segment, NULL);
        require(result >= 0, "refresh: %d", result);
        reader->replaced += (uint64_t)result;
        read_all(reader, segment, &sample);
    }
    segment_sample_finish(&sample);
    segment_close(segment);
    return NULL;
}

static void start(struct reader readers[READERS], struct shared *shared, void *(*function)(void *argument)) {
    shared->done = 0;
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader) { .shared = shared };
        require(pthread_create(&readers[i].id, NULL, function, &readers[i]) == 0, "thread");
    }
}

static uint64_t stop(struct reader readers[READERS], struct shared *shared) {
    uint64_t samples = 0;
    shared->done = 1;
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].id, NULL);
        samples += readers[i].samples;
    }
    require(samples > 0, "nothing was read");
    return samples;
}

static struct segment_writer *make(const char *directory) {
    struct segment_writer *writer = NULL;
    require(segment_create(directory, &scheme, &writer, NULL) == 0, "create");
    return writer;
}

int main(void) {
    static struct shared shared;
    static struct reader readers[READERS];
    char directory[64];
    struct histogram histogram = HISTOGRAM_EMPTY;
    torture_directory(directory);
    require(map_guard_install(NULL) == 0, "guard");
    uint64_t steps = torture_count(2000, 200000), turns = torture_count(20, 2000), n = 1;

    struct segment_writer *writer = make(directory);
    require(segment_publish(writer, NULL) == 0, "publish");
    shared = (struct shared) { .writer = writer, .directory = directory };
    start(readers, &shared, read_shared);
    write_all(writer, &histogram, n, n + steps);
    n += steps;
    printf("%llu samples of one mapping\n", (unsigned long long)stop(readers, &shared));

    start(readers, &shared, read_opened);
    for (uint64_t turn = 0; turn < turns; turn++) {
        struct segment_writer *next = make(directory);
        for (uint64_t i = 0; i < SERIES; i++)
            add_series(next, i);
        write_all(next, &histogram, n, n + 2); /* whole, before anybody sees it */
        require(segment_publish(next, NULL) == 0, "publish");
        write_all(next, &histogram, n + 2, n + 100);
        n += 100;
        segment_destroy(writer);
        writer = next;
    }
    printf("%llu samples of segments that were replaced\n", (unsigned long long)stop(readers, &shared));
    require(readers[0].replaced > 0, "no reader has moved");
    segment_destroy(writer);
    histogram_finish(&histogram);
    torture_remove(directory);
    return 0;
}
