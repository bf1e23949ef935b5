/* Makes a golden partition of metric history of the format that this program writes: two groups of series, counters, gauges and a histogram, ticks in columns and
 * in rows, with holes and gaps. What stands in it is made by rule; its id is random.
 *
 *   make_golden_samples FILE.zst */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/store/samples.h"
#include "tests/golden/golden.h"
#include "tests/torture/ring_lib.h"

#define INTERVAL (UINT64_C(15) * CLOCK_SECOND)
#define BEGIN (UINT64_C(20780) * SAMPLES_DAY_NS)

enum { SERIES = 260, TICKS = 150, HISTOGRAM = 5 };

static double value_of(unsigned n, unsigned tick) {
    switch (n % 13) {
    case 0:
        return tick * 17;
    case 1:
        return n / 8.0 + tick % 3;
    case 2:
        return sqrt(tick + n);
    case 3:
        return tick == 7 ? NAN : (double)(int)tick * -0.1;
    case 4:
        return tick % 50 == 9 ? -0.0 : INFINITY;
    case 6:
        return (tick * 7919u % 64) * 4096.0;
    case 7:
        return 1e300 * tick;
    default:
        return n;
    }
}

static uint32_t add_series(struct samples_writer *writer, unsigned n) {
    char labels[METRIC_LABELS_BYTES], family[32], number[16], bounds[METRIC_BOUNDS_BYTES];
    const double values[] = { 0.5, 1, 2.5 };
    snprintf(family, sizeof(family), "taskforge_golden%u", n % 13);
    snprintf(number, sizeof(number), "%u", n);
    const struct metric_label label[] = { { TEXT_LITERAL("n"), text_of(number) },
                                          { TEXT_LITERAL("text"), TEXT_LITERAL("\xc3\xa4 \"\\\n") } };
    struct samples_definition definition = { .family = text_of(family), .created_ns = BEGIN - n };
    struct metric_definition *metric = &definition.metric;
    metric->name = text_of(family + sizeof("taskforge_") - 1);
    metric->kind = n == HISTOGRAM ? METRIC_TIMER : n % 13 == 0 ? METRIC_COUNTER : METRIC_GAUGE;
    metric->help = TEXT_LITERAL("what it is");
    metric->unit = n == HISTOGRAM ? TEXT_LITERAL("seconds") : TEXT_EMPTY;
    require(metric_labels_pack(label, 2, labels, &metric->labels, NULL) == 0, "labels");
    if (n == HISTOGRAM)
        require(metric_bounds_pack(values, 3, bounds, &metric->bounds, NULL) == 0, "bounds");
    uint32_t ret = 0;
    require(samples_writer_series(writer, &definition, &ret, NULL) == 0 && ret == n, "series %u", n);
    return ret;
}

static void set_histogram(struct samples_writer *writer, unsigned tick) {
    struct histogram histogram = HISTOGRAM_EMPTY;
    for (unsigned i = 1; i < 40; i++)
        require(histogram_add(&histogram, i * i * 0.01, tick * i % 97) == 0, "out of memory");
    require(histogram_add(&histogram, 0, tick) == 0, "out of memory");
    require(samples_writer_set_histogram(writer, HISTOGRAM, &histogram) == 0, "histogram");
    histogram_finish(&histogram);
}

static void write_tick(struct samples_writer *writer, unsigned tick) {
    struct error error = { "" };
    int result = samples_writer_begin(writer, BEGIN + (tick + (tick > 100 ? 3 : 0)) * INTERVAL, &error);
    require(result >= 0, "%s", error.text);
    for (unsigned n = 0; n < SERIES; n++) {
        if (result == 1)
            (void)add_series(writer, n);
        if (n == HISTOGRAM)
            set_histogram(writer, tick);
        else if (n % 13 != 1 || tick % 5 != 2)
            samples_writer_set(writer, n, value_of(n, tick));
    }
    require(samples_writer_end(writer, true, &error) == 0, "%s", error.text);
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/taskforge-golden-XXXXXX";
    struct samples_options options = { .interval_ns = INTERVAL };
    struct samples_writer *writer;
    struct partition_name *names = NULL;
    size_t count = 0;
    require(argc == 2 && mkdtemp(folder), "usage: make_golden_samples FILE.zst");
    clock_set_for_test(BEGIN);
    require(samples_writer_open(folder, &options, &writer, NULL) == 0, "%s", folder);
    for (unsigned tick = 0; tick < TICKS; tick++)
        write_tick(writer, tick);
    samples_writer_close(writer);
    require(samples_list(folder, &names, &count, NULL) == 0 && count == 1, "%zu partitions", count);
    static char bytes[4 << 20];
    FILE *file = fopen(names[0].path, "re");
    require(file, "%s", names[0].path);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    require(size < sizeof(bytes), "it is too large");
    fclose(file);
    golden_pack(bytes, size, argv[1]);
    partition_unlink(names[0].path);
    strcpy(bytes, folder);
    strcat(bytes, "/metrics");
    rmdir(bytes);
    rmdir(folder);
    free(names);
    return 0;
}
