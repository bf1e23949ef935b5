/* Reads a golden partition of metric history (make_samples.c) of any format and writes what stands in it, or compares it with a text.
 *
 *   read_golden_samples FILE.zst [FILE.txt] */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/store/samples.h"
#include "tests/golden/golden.h"
#include "tests/torture/ring_lib.h"

enum { SAID_WHOLE = 20 /* one series of so many, and histograms; of the others a hash */ };

struct series {
    struct buffer text;
};
static struct series *series;

static void on_damage(void *argument, const char *path, const char *why) {
    (void)argument;
    require(false, "%s: %s", path, why);
}

static void say_histogram(struct buffer *out, const struct samples_block *block, size_t index) {
    struct histogram histogram;
    struct buffer bytes = BUFFER_EMPTY;
    if (samples_histogram_at(block, index, &histogram) < 0)
        return;
    histogram_encode(&histogram, &bytes);
    buffer_append_format(out, " count %llu of hash %016llx", (unsigned long long)samples_histogram_count(block, index),
                         (unsigned long long)hash_bytes(bytes.data, bytes.length));
    histogram_finish(&histogram);
    buffer_finish(&bytes);
}

static int say_block(void *argument, const struct samples_block *block) {
    struct buffer *out = &series[block->series].text;
    (void)argument;
    for (size_t i = 0; i < block->count; i++) {
        if (samples_is_hole(block->values[i]))
            continue;
        buffer_append_format(out, "%llu %.17g", (unsigned long long)(block->start_ns + i * block->interval_ns),
                             block->values[i]);
        if (block->histograms)
            say_histogram(out, block, i);
        buffer_append_char(out, '\n');
    }
    return 0;
}

static void say_series(struct buffer *out, const struct samples_definition *definition, size_t index) {
    const struct metric_definition *metric = &definition->metric;
    double bounds[METRIC_BOUNDS_MAX];
    struct metric_label label;
    buffer_append_format(out, "%s %.*s (%.*s)", metric_kind_name(metric->kind), TEXT_FORMAT(definition->family),
                         TEXT_FORMAT(metric->name));
    for (size_t at = 0; metric_labels_next(metric->labels, &at, &label);)
        buffer_append_format(out, " %.*s=%.*s", TEXT_FORMAT(label.name),
                             label.value.length > 0 && label.value.data[0] & 0x80 ? 2 : (int)label.value.length,
                             label.value.data);
    buffer_append_format(out, " unit %.*s help %.*s created %llu", TEXT_FORMAT(metric->unit), TEXT_FORMAT(metric->help),
                         (unsigned long long)definition->created_ns);
    for (size_t i = 0, count = metric_bounds_read(metric->bounds, bounds); i < count; i++)
        buffer_append_format(out, " %g", bounds[i]);
    buffer_append_char(out, '\n');
    struct buffer *text = &series[index].text;
    if (index % SAID_WHOLE == 0 || metric_kind_is_histogram(metric->kind))
        buffer_append_text(out, buffer_text(text));
    else
        buffer_append_format(out, "hash %016llx\n", (unsigned long long)hash_bytes(text->data, text->length));
    buffer_finish(text);
}

static void read_all(const char *path, struct buffer *out) {
    struct samples_reader *reader;
    struct samples_selection *selection;
    const struct samples_want want = { .end_ns = UINT64_MAX };
    struct error error = { "" };
    require(samples_reader_open(path, on_damage, NULL, &reader, &error) == 0 &&
                samples_select(reader, &want, &selection, &error) == 0,
            "%s", error.text);
    size_t count = samples_selection_count(selection);
    series = calloc(count + 1, sizeof(*series));
    require(series && samples_read(selection, 0, UINT64_MAX, say_block, NULL, &error) == 0, "%s", error.text);
    for (size_t i = 0; i < count; i++)
        say_series(out, samples_selection_at(selection, i), i);
    samples_selection_free(selection);
    samples_reader_close(reader);
    free(series);
}

int main(int argc, char **argv) {
    char path[] = "/tmp/taskforge-golden-XXXXXX";
    struct buffer out = BUFFER_EMPTY;
    int fd = mkstemp(path);
    require((argc == 2 || argc == 3) && fd >= 0, "usage: read_golden_samples FILE.zst [FILE.txt]");
    close(fd);
    golden_unpack(argv[1], path);
    read_all(path, &out);
    partition_unlink(path);
    require(!out.failed && out.length > 0, "nothing");
    if (argc == 2)
        return fwrite(out.data, 1, out.length, stdout) == out.length ? 0 : 1;
    static char expected[1 << 20];
    FILE *file = fopen(argv[2], "re");
    require(file, "%s", argv[2]);
    size_t length = fread(expected, 1, sizeof(expected), file);
    fclose(file);
    require(length == out.length && memcmp(expected, out.data, length) == 0, "%s holds something else", argv[1]);
    buffer_finish(&out);
    return 0;
}
