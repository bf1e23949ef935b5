/* bench_history FOLDER [plain|random FILE] - metric history: bytes of a sample, samples a second in and out.
 *
 * A day of 250 series at 15 s, 1.44 million samples: constant gauges, integer gauges that move slowly, counters of rates from 1 to 10,000 an interval, gauges of
 * one to three decimals, sizes in pages; "random": every fourth of them is a random double instead. Each tick is committed by itself, and
 * nothing is cached between writing and reading but by the kernel. The reference is Gorilla's coding (Pelkonen et al., VLDB 2015: XOR of doubles, a
 * bit for a timestamp that is in time), computed here of the same values. With FILE: the samples in OpenMetrics' text instead, for peers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/check.h"
#include "common/store/samples_private.h"

#define SECOND UINT64_C(1000000000)
#define INTERVAL (15 * SECOND)
#define BEGIN (UINT64_C(20780) * SAMPLES_DAY_NS)

enum {
    SERIES = 250,
    TICKS = 5760,
    MANY = 10240,
    MANY_TICKS = 720,
    ROUNDS = 25,
    IN_ROUNDS = 4,
    KINDS = 20,
    PATH_BYTES = 4096
};

static uint64_t state;

static uint64_t random_number(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double uniform(void) {
    return (double)(random_number() >> 11) * 0x1p-53;
}

/* Of the processor: files are in memory, so that nothing is waited for, and other programs are not what is measured. */
static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- the samples --- */

static double next_value(unsigned kind, double *level, double rate) {
    if (kind < 4)
        return *level;
    if (kind < 8)
        return *level += uniform() < 0.1 ? floor(uniform() * 7) - 3 : 0;
    if (kind < 14)
        return *level += floor(rate * (0.9 + 0.2 * uniform()));
    if (kind < 16)
        return *level += uniform() < 0.3;
    if (kind == 19)
        return *level += 4096 * (floor(uniform() * 9) - 4);
    double scale = kind == 16 ? 10 : kind == 17 ? 100 : 1000;
    *level += (uniform() - 0.5) * (kind == 16 ? 4 : kind == 17 ? 1 : 0.3);
    return round(*level * scale) / scale;
}

static void make(double *values, size_t series, size_t ticks, bool random) {
    state = 88172645463325252;
    for (size_t s = 0; s < series; s++) {
        double level = floor(uniform() * 1000), rate = pow(10, uniform() * 4);
        for (size_t t = 0; t < ticks; t++)
            values[t * series + s] =
                random && s % 4 == 3 ? uniform() * 100 : next_value((unsigned)(s % KINDS), &level, rate);
    }
}

/* --- writing --- */

static struct samples_definition definition_of(size_t n, char labels[METRIC_LABELS_BYTES]) {
    char text[32];
    snprintf(text, sizeof(text), "%zu", n);
    struct samples_definition definition = { .family = TEXT_LITERAL("taskforge_bench_gauge"), .created_ns = BEGIN };
    struct metric_label label = { TEXT_LITERAL("n"), text_of(text) };
    definition.metric.name = TEXT_LITERAL("bench");
    definition.metric.kind = METRIC_GAUGE;
    check(metric_labels_pack(&label, 1, labels, &definition.metric.labels, NULL) == 0);
    return definition;
}

static void fail(const struct error *error) {
    fprintf(stderr, "bench_history: %s\n", error->text);
    exit(1);
}

static void add_all(struct samples_writer *writer, size_t series) {
    char labels[METRIC_LABELS_BYTES];
    struct error error = { "" };
    for (size_t s = 0; s < series; s++) {
        struct samples_definition definition = definition_of(s, labels);
        uint32_t number;
        if (samples_writer_series(writer, &definition, &number, &error) < 0)
            fail(&error);
        check(number == s);
    }
}

/* The seconds it took but for the first tick, which adds the series. every: ticks of a commit. */
static double write_all(struct samples_writer *writer, const double *values, size_t series, size_t ticks,
                        size_t every) {
    struct error error = { "" };
    double began = 0;
    for (size_t t = 0; t < ticks; t++) {
        int result = samples_writer_begin(writer, BEGIN + t * INTERVAL, &error);
        if (result < 0)
            fail(&error);
        if (result == 1)
            add_all(writer, series);
        for (size_t s = 0; s < series; s++)
            samples_writer_set(writer, (uint32_t)s, values[t * series + s]);
        if (samples_writer_end(writer, t % every == every - 1 || t + 1 == ticks, &error) < 0)
            fail(&error);
        if (t == 0)
            began = seconds();
    }
    return seconds() - began;
}

static struct samples_writer *open_writer(const char *folder) {
    struct samples_options options = { .interval_ns = INTERVAL };
    struct samples_writer *writer = NULL;
    struct error error = { "" };
    char command[PATH_BYTES];
    snprintf(command, sizeof(command), "rm -rf '%s/metrics'", folder);
    if (system(command) != 0 || samples_writer_open(folder, &options, &writer, &error) < 0)
        fail(&error);
    return writer;
}

static double bytes_on_disk(const char *folder) {
    struct partition_name *names = NULL;
    size_t count = 0;
    double bytes = 0;
    check(samples_list(folder, &names, &count, NULL) == 0 && count > 0);
    for (size_t i = 0; i < count; i++)
        bytes += (double)names[i].size;
    free(names);
    return bytes;
}

/* --- reading --- */

struct reading {
    const double *values;
    size_t samples;
};

static int take(void *argument, const struct samples_block *block) {
    struct reading *reading = argument;
    reading->samples += block->count;
    reading->values = block->values;
    __asm__ volatile("" : : "r"(block->values) : "memory");
    return 0;
}

/* The quickest of some rounds, in ms; the first one is by itself. */
static double read_all(const char *folder, double *ret_first) {
    struct samples_reader *reader = NULL;
    struct samples_selection *selection = NULL;
    struct samples_want want = { .end_ns = UINT64_MAX };
    struct error error = { "" };
    double best = INFINITY;
    if (samples_reader_open(folder, NULL, NULL, &reader, &error) < 0 ||
        samples_select(reader, &want, &selection, &error) < 0)
        fail(&error);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct reading reading = { 0 };
        double began = seconds();
        if (samples_read(selection, 0, UINT64_MAX, take, &reading, &error) < 0)
            fail(&error);
        double took = (seconds() - began) * 1e3;
        check(reading.samples == (size_t)SERIES * TICKS);
        if (round == 0)
            *ret_first = took;
        best = took < best ? took : best;
    }
    samples_selection_free(selection);
    samples_reader_close(reader);
    return best;
}

/* --- Gorilla's coding --- */

struct bits {
    uint64_t *words;
    size_t count;
};

static void put_bits(struct bits *bits, uint64_t value, unsigned width) {
    for (; width > 0;) {
        unsigned at = bits->count % 64, room = 64 - at, some = width < room ? width : room;
        uint64_t part = some == 64 ? value : value >> (width - some) & ((UINT64_C(1) << some) - 1);
        if (at == 0)
            bits->words[bits->count / 64] = 0;
        bits->words[bits->count / 64] |= part << (room - some);
        bits->count += some;
        width -= some;
    }
}

static uint64_t get_bits(const struct bits *bits, size_t *at, unsigned width) {
    uint64_t value = 0;
    while (width > 0) {
        unsigned from = *at % 64, room = 64 - from, some = width < room ? width : room;
        uint64_t part = bits->words[*at / 64] << from >> (64 - some);
        value = some == 64 ? part : value << some | part;
        *at += some;
        width -= some;
    }
    return value;
}

/* A block of two hours, as there: the first value whole. */
static void gorilla_encode(struct bits *bits, const double *values, size_t count) {
    uint64_t before = 0;
    unsigned lead = 65, trail = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = samples_bits_of(values[i]), other = value ^ before;
        before = value;
        put_bits(bits, 0, 1); /* the time is as expected */
        if (i == 0) {
            put_bits(bits, value, 64);
            continue;
        }
        put_bits(bits, other != 0, 1);
        if (other == 0)
            continue;
        unsigned leading = (unsigned)__builtin_clzll(other), trailing = (unsigned)__builtin_ctzll(other);
        leading = leading > 31 ? 31 : leading;
        bool anew = lead > 64 || leading < lead || trailing < trail;
        put_bits(bits, anew, 1);
        if (anew) {
            lead = leading;
            trail = trailing;
            put_bits(bits, lead, 5);
            put_bits(bits, (64 - lead - trail) % 64, 6);
        }
        put_bits(bits, other >> trail, 64 - lead - trail);
    }
}

static void gorilla_decode(const struct bits *bits, size_t *at, size_t count, double *ret) {
    uint64_t value = 0;
    unsigned lead = 0, trail = 0;
    for (size_t i = 0; i < count; i++) {
        (void)get_bits(bits, at, 1);
        if (i == 0) {
            value = get_bits(bits, at, 64);
        } else if (get_bits(bits, at, 1)) {
            if (get_bits(bits, at, 1)) {
                lead = (unsigned)get_bits(bits, at, 5);
                unsigned width = (unsigned)get_bits(bits, at, 6);
                trail = 64 - lead - (width ? width : 64);
            }
            value ^= get_bits(bits, at, 64 - lead - trail) << trail;
        }
        ret[i] = samples_of_bits(value);
    }
}

static double gorilla(const double *by_tick, double *ret_decode_ms) {
    enum { BLOCK = 480 };
    double *values = calloc((size_t)SERIES * TICKS, sizeof(*values));
    check(values != NULL);
    for (size_t s = 0; s < SERIES; s++)
        for (size_t t = 0; t < TICKS; t++)
            values[s * TICKS + t] = by_tick[t * SERIES + s];
    struct bits bits = { .words = calloc((size_t)SERIES * TICKS * 2, sizeof(uint64_t)) };
    double decoded[BLOCK], best = INFINITY;
    check(bits.words != NULL);
    for (size_t at = 0; at < (size_t)SERIES * TICKS; at += BLOCK)
        gorilla_encode(&bits, values + at, BLOCK);
    for (unsigned round = 0; round < 5; round++) {
        size_t from = 0;
        double began = seconds();
        for (size_t at = 0; at < (size_t)SERIES * TICKS; at += BLOCK) {
            gorilla_decode(&bits, &from, BLOCK, decoded);
            check(round > 0 || memcmp(decoded, values + at, sizeof(decoded)) == 0);
            __asm__ volatile("" : : "r"(decoded) : "memory");
        }
        double took = (seconds() - began) * 1e3;
        best = took < best ? took : best;
    }
    free(bits.words);
    free(values);
    *ret_decode_ms = best;
    return (double)bits.count / 8 / SERIES / TICKS;
}

/* --- the lines --- */

static double write_and_finish(struct samples_writer *writer, const double *values, size_t series, size_t ticks,
                               size_t every) {
    struct error error = { "" };
    double took = write_all(writer, values, series, ticks, every), began = seconds();
    if (samples_writer_finish(writer, &error) < 0)
        fail(&error);
    took += seconds() - began;
    samples_writer_close(writer);
    return took;
}

static void measure_day(const char *folder, const double *values, const char *name, double reach) {
    struct samples_writer *writer = open_writer(folder);
    struct error error = { "" };
    double first, decode_ms, all = (double)SERIES * TICKS;
    double took = write_all(writer, values, SERIES, TICKS, 1);
    double open = bytes_on_disk(folder) / all;
    double began = seconds();
    if (samples_writer_finish(writer, &error) < 0)
        fail(&error);
    took += seconds() - began;
    samples_writer_close(writer);
    double closed = bytes_on_disk(folder) / all, reference = gorilla(values, &decode_ms);
    double best = read_all(folder, &first);
    printf("%s: %.3f bytes a sample (%.3f while it is written)   reach %.2f, %.2f of it   Gorilla %.2f, %.2f x\n", name,
           closed, open, reach, closed / reach, reference, reference / closed);
    printf("  in, a commit for each tick of 250: %.1f M samples/s, %.0f us a tick\n", all / took / 1e6,
           took * 1e6 / TICKS);
    printf("  out, %.2f M samples: %.2f ms, the first time %.2f   reach 3, %.2f of it   Gorilla %.1f ms, %.1f x\n",
           all / 1e6, best, first, best / 3, decode_ms, decode_ms / best);
}

static void measure_in(const char *folder) {
    double *values = calloc((size_t)MANY * MANY_TICKS, sizeof(*values)), all = (double)MANY * (MANY_TICKS - 1);
    static const size_t every[] = { 1, 60 };
    check(values != NULL);
    make(values, MANY, MANY_TICKS, true);
    for (size_t i = 0; i < COUNT_OF(every); i++) {
        double best = INFINITY;
        for (unsigned round = 0; round < IN_ROUNDS; round++) {
            struct samples_writer *writer = open_writer(folder);
            double took = write_and_finish(writer, values, MANY, MANY_TICKS, every[i]);
            best = took < best ? took : best;
        }
        printf("in, %d series, a commit for %zu tick%s: %.1f M samples/s   reach 20, %.2f of it\n", MANY, every[i],
               every[i] == 1 ? "" : "s", all / best / 1e6, all / best / 20e6);
    }
    free(values);
}

static int write_text(const char *path, const double *values) {
    FILE *file = fopen(path, "we");
    if (!file)
        return 1;
    fprintf(file, "# TYPE bench gauge\n");
    for (size_t s = 0; s < SERIES; s++)
        for (size_t t = 0; t < TICKS; t++)
            fprintf(file, "bench{n=\"%zu\"} %.17g %llu\n", s, values[t * SERIES + s],
                    (unsigned long long)(BEGIN / SECOND + t * (INTERVAL / SECOND)));
    fprintf(file, "# EOF\n");
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    double *values = calloc((size_t)SERIES * TICKS, sizeof(*values));
    if (argc < 2 || !values) {
        fprintf(stderr, "usage: bench_history FOLDER [plain|random FILE]\n");
        return 2;
    }
    int result = 0;
    if (argc == 4) {
        make(values, SERIES, TICKS, strcmp(argv[2], "random") == 0);
        result = write_text(argv[3], values);
    } else {
        make(values, SERIES, TICKS, true);
        measure_day(argv[1], values, "a quarter random", 2.75);
        make(values, SERIES, TICKS, false);
        measure_day(argv[1], values, "none random", 1.2);
        measure_in(argv[1]);
    }
    free(values);
    return result;
}
