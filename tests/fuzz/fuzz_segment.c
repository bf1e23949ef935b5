/* A hostile metric segment: a whole one with the input scribbled over it, read by everything a reader does.
 *
 * The input is a run of pieces: place (2 bytes, in units of 2, from the file's start), length (1 byte), bytes. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/shm/segment_private.h"
#include "exporter/exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_SIZE = 16 * 1024 };

static const struct metric_scheme scheme = { "taskforge", "_gauge" };
static char folder[] = "/tmp/taskforge-fuzz-XXXXXX";
static char whole[FILE_SIZE], scribbled[FILE_SIZE];
static int file = -1;

static void remove_file(void) {
    char path[64];
    snprintf(path, sizeof(path), "%s/" SEGMENT_NAME, folder);
    unlink(path);
    rmdir(folder);
}

static void add(struct segment_writer *writer, enum metric_kind kind, const char *name, const char *family) {
    struct metric_definition definition = { .kind = kind, .name = text_of(name), .help = TEXT_LITERAL("Help.") };
    const struct metric_label list[] = { { TEXT_LITERAL("a"), TEXT_LITERAL("1") },
                                         { TEXT_LITERAL("b"), TEXT_LITERAL("2") } };
    const double bounds[] = { 0.5, 1 };
    char labels[METRIC_LABELS_BYTES], packed[METRIC_BOUNDS_BYTES];
    uint64_t series;
    check(metric_labels_pack(list, 2, labels, &definition.labels, NULL) == 0);
    check(metric_bounds_pack(bounds, 2, packed, &definition.bounds, NULL) == 0);
    check(segment_add(writer, &definition, text_of(family), 1, &series) == 0);
}

/* A counter, a timer with two octaves, a gauge. */
static void make_segment(void) {
    struct segment_writer *writer = NULL;
    struct histogram histogram = HISTOGRAM_EMPTY;
    check(mkdtemp(folder));
    check(segment_create_sized(folder, &scheme, FILE_SIZE, &writer, NULL) == 0);
    add(writer, METRIC_COUNTER, "jobs", "taskforge_jobs");
    add(writer, METRIC_TIMER, "run", "taskforge_run_seconds");
    histogram_add(&histogram, 1, 1);
    histogram_add(&histogram, 100, 1);
    check(segment_set_histogram(writer, 1, &histogram, 1) == 0);
    add(writer, METRIC_GAUGE, "depth", "taskforge_depth_gauge");
    const struct metric_exemplar exemplar = { .value = 1, .time_ns = 1, .length = 2, .trace_id = "ab" };
    check(segment_set_exemplar(writer, 0, 0, &exemplar) == 0 && segment_set_exemplar(writer, 1, 2, &exemplar) == 0);
    check(segment_publish(writer, NULL) == 0);
    file = fcntl(writer->map.fd, F_DUPFD_CLOEXEC, 3);
    check(file >= 0 && pread(file, whole, FILE_SIZE, 0) == FILE_SIZE);
    histogram_finish(&histogram);
    segment_destroy(writer);
    atexit(remove_file);
}

/* Nobody writes: an odd sequence stays odd. */
static void let_nobody_wait(struct segment *segment) {
    segment->stuck = true;
    uint64_t changes;
    memcpy(&changes, scribbled + offsetof(struct segment_header, changes), sizeof(changes));
    segment->stuck_changes = changes;
}

static void use(const struct segment_sample *sample) {
    struct metric_label label;
    double bounds[METRIC_BOUNDS_MAX];
    for (size_t at = 0; metric_labels_next(sample->definition.labels, &at, &label);)
        check(label.name.length > 0);
    metric_bounds_read(sample->definition.bounds, bounds);
    histogram_count(&sample->histogram);
    for (unsigned i = 0; i < sample->exemplar_count; i++)
        check(sample->exemplars[i].length == 0 || metric_exemplar_is_valid(&sample->exemplars[i]));
    check(sample->family.length > 0 && metric_kind_is_valid(sample->definition.kind));
}

/* /metrics of a segment that was whole when its series came: an error, or a body of what was there then. */
static void expose(struct segment *segment, struct exposition *exposition) {
    for (int format = 0; format < EXPOSITION_FORMATS; format++) {
        const struct exposition_wish wish = { .format = format, .created = true, .arrived_ns = UINT64_MAX };
        struct exposition_body *body;
        struct error error = { "" };
        size_t count, length;
        int result = exposition_read(exposition, segment, &wish, &body, &error);
        check(result == 0 || error.text[0]);
        if (result < 0)
            continue;
        const struct iovec *pieces = exposition_body_pieces(body, &count, &length);
        for (size_t i = 0; i < count; i++)
            check(pieces[i].iov_len == 0 || !memchr(pieces[i].iov_base, '\0', pieces[i].iov_len));
        exposition_body_release(body);
    }
}

static void read_everything(struct segment *segment) {
    struct segment_info info;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    let_nobody_wait(segment);
    if (segment_info_get(segment, &info) == 0)
        check(info.used <= FILE_SIZE);
    for (uint64_t at = 0; segment_next(segment, at, &sample) == 1; at = sample.position) {
        use(&sample);
        check(sample.position > at);
    }
    for (uint64_t at = 0; at < FILE_SIZE; at += 8)
        if (segment_read(segment, at, &sample) == 0)
            use(&sample);
    segment_refresh(segment, NULL);
    segment_sample_finish(&sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct segment *segment = NULL;
    struct error error = { "" };
    if (file < 0)
        make_segment();
    struct exposition *exposition = NULL;
    struct segment *before = NULL;
    check(pwrite(file, whole, FILE_SIZE, 0) == FILE_SIZE && exposition_create(&exposition) == 0 &&
          segment_open(folder, &before, NULL) == 0);
    expose(before, exposition);
    memcpy(scribbled, whole, FILE_SIZE);
    while (size > 3) {
        size_t at = (size_t)(data[0] | data[1] << 8) * 2 % FILE_SIZE, length = data[2];
        data += 3;
        size -= 3;
        length = length < size ? length : size;
        length = length < FILE_SIZE - at ? length : FILE_SIZE - at;
        memcpy(scribbled + at, data, length);
        data += length;
        size -= length;
    }
    check(pwrite(file, scribbled, FILE_SIZE, 0) == FILE_SIZE);
    int result = segment_open(folder, &segment, &error);
    check(result == 0 || error.text[0]);
    let_nobody_wait(before);
    expose(before, exposition);
    if (result == 0) {
        read_everything(segment);
        expose(segment, exposition);
    }
    exposition_destroy(exposition);
    segment_close(before);
    segment_close(segment);
    return 0;
}
