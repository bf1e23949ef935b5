#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/samples_private.h"
#include "common/store/verify.h"

#define SECOND UINT64_C(1000000000)
#define INTERVAL (15 * SECOND)
#define BEGIN (UINT64_C(20780) * SAMPLES_DAY_NS + 3600 * SECOND) /* an hour of a day */

enum { SERIES = 300, TICKS = 700, HISTOGRAMS_FROM = 280 };

struct place {
    char folder[64];
};

static uint64_t state = 88172645463325252;

static uint64_t random_number(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int set_up(void **state_of_test) {
    struct place *place = calloc(1, sizeof(*place));
    strcpy(place->folder, "/tmp/taskforge-samples-XXXXXX");
    *state_of_test = place;
    return mkdtemp(place->folder) ? 0 : -1;
}

static int tear_down(void **state_of_test) {
    struct place *place = *state_of_test;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", place->folder);
    int result = system(command);
    free(place);
    return result;
}

/* --- series --- */

/* Series n is of family fN, N = n / 10, with the label n. */
static struct samples_definition definition_of(unsigned n, char family[32], char labels[METRIC_LABELS_BYTES]) {
    struct samples_definition definition = { .created_ns = n };
    char text[16];
    snprintf(text, sizeof(text), "%u", n);
    snprintf(family, 32, "f%u", n / 10);
    struct metric_label label = { TEXT_LITERAL("n"), text_of(text) };
    definition.family = definition.metric.name = text_of(family);
    definition.metric.kind = n >= HISTOGRAMS_FROM ? METRIC_HISTOGRAM : n % 2 ? METRIC_GAUGE : METRIC_COUNTER;
    definition.metric.help = TEXT_LITERAL("what it is");
    assert_int_equal(metric_labels_pack(&label, 1, labels, &definition.metric.labels, NULL), 0);
    return definition;
}

static unsigned number_of(const struct samples_definition *definition) {
    struct text n = metric_labels_find(definition->metric.labels, TEXT_LITERAL("n"));
    char text[16] = "";
    memcpy(text, n.data, n.length < sizeof(text) ? n.length : sizeof(text) - 1);
    return (unsigned)strtoul(text, NULL, 10);
}

static struct samples_writer *open_writer(const char *folder, uint64_t interval) {
    struct samples_options options = { .interval_ns = interval };
    struct samples_writer *writer;
    struct error error = { "" };
    int result = samples_writer_open(folder, &options, &writer, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(result, 0);
    return writer;
}

static uint32_t add_series(struct samples_writer *writer, unsigned n) {
    char family[32], labels[METRIC_LABELS_BYTES];
    struct samples_definition definition = definition_of(n, family, labels);
    uint32_t number;
    assert_int_equal(samples_writer_series(writer, &definition, &number, NULL), 0);
    return number;
}

static void set(struct samples_writer *writer, uint32_t number, unsigned n, double value) {
    struct histogram histogram = HISTOGRAM_EMPTY;
    if (n < HISTOGRAMS_FROM) {
        samples_writer_set(writer, number, value);
        return;
    }
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(histogram_add(&histogram, 0.001 * (i * i + 1), (uint64_t)value + i), 0);
    assert_int_equal(histogram_add(&histogram, -1, n), 0);
    histogram.sum = value;
    assert_int_equal(samples_writer_set_histogram(writer, number, &histogram), 0);
    histogram_finish(&histogram);
}

/* One tick with one value in one series. */
static int write_one(struct samples_writer *writer, uint64_t time_ns, double value) {
    int result = samples_writer_begin(writer, time_ns, NULL);
    if (result < 0)
        return result;
    samples_writer_set(writer, add_series(writer, 1), value);
    return samples_writer_end(writer, true, NULL);
}

/* --- what was read --- */

struct seen {
    uint64_t begin, interval;
    double (*values)[TICKS]; /* by n; holes where nothing was seen */
    const struct samples_selection *selection;
    size_t samples;
    uint64_t last[SERIES];
};

static void check_histogram(const struct samples_block *block, size_t i, unsigned n) {
    struct histogram histogram;
    if (samples_is_hole(block->values[i])) {
        assert_int_equal(samples_histogram_at(block, i, &histogram), -ENODATA);
        return;
    }
    assert_int_equal(samples_histogram_at(block, i, &histogram), 0);
    uint64_t value = (uint64_t)block->values[i];
    assert_int_equal(histogram_count(&histogram), value * 20 + 190 + n);
    assert_int_equal(samples_histogram_count(block, i), value * 20 + 190 + n);
    assert_int_equal(histogram.zero, n);
    unsigned octave, bucket;
    assert_true(histogram_place(0.001 * 26, &octave, &bucket));
    assert_int_equal(histogram.octaves[octave][bucket], value + 5);
    histogram_finish(&histogram);
}

static int see(void *argument, const struct samples_block *block) {
    struct seen *seen = argument;
    unsigned n = number_of(samples_selection_at(seen->selection, block->series));
    assert_true(n < SERIES && block->count > 0 && block->count <= SAMPLES_BLOCK_TICKS);
    assert_int_equal(block->interval_ns, seen->interval);
    assert_true(block->start_ns > seen->last[n]);
    seen->last[n] = block->start_ns + (block->count - 1) * block->interval_ns;
    for (size_t i = 0; i < block->count; i++) {
        uint64_t tick = (block->start_ns - seen->begin) / seen->interval + i;
        assert_true(tick < TICKS);
        assert_true(samples_is_hole(seen->values[n][tick]));
        seen->values[n][tick] = block->values[i];
        seen->samples += !samples_is_hole(block->values[i]);
        if (n >= HISTOGRAMS_FROM)
            check_histogram(block, i, n);
    }
    assert_int_equal(block->histograms != NULL, n >= HISTOGRAMS_FROM);
    return 0;
}

static double (*make_matrix(void))[TICKS] {
    double(*values)[TICKS] = calloc(SERIES, sizeof(values[0]));
    for (unsigned n = 0; n < SERIES; n++)
        for (unsigned t = 0; t < TICKS; t++)
            values[n][t] = samples_hole();
    return values;
}

static char told[PARTITION_PATH_MAX + 256];
static unsigned tellings;

static void tell(void *argument, const char *path, const char *why) {
    (void)argument;
    tellings++;
    snprintf(told, sizeof(told), "%s: %s", path, why);
}

static size_t read_all(const char *path, struct seen *seen, struct samples_want want, uint64_t start, uint64_t end) {
    struct samples_reader *reader;
    struct samples_selection *selection;
    struct error error = { "" };
    *seen = (struct seen) { .begin = seen->begin, .interval = seen->interval, .values = make_matrix() };
    tellings = 0;
    int result = samples_reader_open(path, tell, NULL, &reader, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(result, 0);
    want.start_ns = start;
    want.end_ns = end;
    assert_int_equal(samples_select(reader, &want, &selection, &error), 0);
    seen->selection = selection;
    size_t count = samples_selection_count(selection);
    for (size_t i = 1; i < count; i++)
        assert_true(
            samples_definition_compare(samples_selection_at(selection, i - 1), samples_selection_at(selection, i)) < 0);
    assert_int_equal(samples_read(selection, start, end, see, seen, &error), 0);
    assert_string_equal(error.text, "");
    samples_selection_free(selection);
    samples_reader_close(reader);
    return count;
}

static const struct samples_want everything = { 0 };

/* --- round trip --- */

static double value_of(unsigned n, unsigned tick) {
    uint64_t bits = random_number();
    if (n >= HISTOGRAMS_FROM)
        return tick * 3;
    switch (n % 8) {
    case 0:
        return tick * n;
    case 1:
        return (double)(bits % 1000) / 100;
    case 2:
        return tick % 50; /* a counter that begins anew */
    case 3:
        return samples_of_bits(bits & ~UINT64_C(1)) == 0 ? 0 : samples_of_bits(bits | 4);
    case 4:
        return n;
    case 5:
        return (double)bits;
    case 6:
        return bits % 40 ? 1 : NAN;
    default:
        return bits % 3 ? -0.0 : INFINITY;
    }
}

static bool has_value(unsigned n, unsigned tick) {
    return n % 11 != 3 || (tick / 100 % 2 == 0 && random_number() % 8 != 0); /* some come and go */
}

/* Ticks with gaps, some in one commit, with the writer killed (closed without a word) and opened again now and then. */
static void write_matrix(const char *folder, double (*values)[TICKS], uint64_t begin) {
    struct samples_writer *writer = open_writer(folder, INTERVAL);
    uint32_t numbers[SERIES];
    bool committed = true;
    for (unsigned tick = 0; tick < TICKS; tick++) {
        if (tick % 97 == 13)
            tick += tick % 5;
        if (tick == 333)
            tick += 60;
        if (committed && random_number() % 4 == 0) {
            samples_writer_close(writer);
            writer = open_writer(folder, INTERVAL);
        }
        int anew = samples_writer_begin(writer, begin + tick * INTERVAL, NULL);
        assert_true(anew == 0 || anew == 1);
        for (unsigned n = 0; n < SERIES; n++) {
            if (anew || tick == 0)
                numbers[n] = add_series(writer, n);
            if (!has_value(n, tick))
                continue;
            values[n][tick] = value_of(n, tick);
            set(writer, numbers[n], n, values[n][tick]);
        }
        committed = random_number() % 32 == 0 || tick == TICKS - 1;
        assert_int_equal(samples_writer_end(writer, committed, NULL), 0);
        assert_int_equal(samples_writer_last(writer), begin + tick * INTERVAL);
    }
    assert_int_equal(samples_writer_series_count(writer), SERIES);
    samples_writer_close(writer);
}

/* How many rows wait to become columns, of all partitions; and that some have. */
static uint64_t count_rows(const char *folder) {
    struct partition_name *names = NULL;
    struct partition_samples_counts counts;
    uint64_t rows = 0, columns = 0;
    size_t count;
    assert_int_equal(samples_list(folder, &names, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        struct partition *partition;
        struct partition_txn *txn;
        assert_int_equal(partition_samples_open(names[i].path, PARTITION_READ, 0, &partition, NULL), 0);
        assert_int_equal(partition_begin(partition, false, &txn, NULL), 0);
        assert_int_equal(partition_samples_count(txn, &counts, NULL), 0);
        partition_abort(txn);
        partition_close(partition);
        rows += counts.rows;
        columns += counts.columns;
    }
    assert_true(columns > 0);
    free(names);
    return rows;
}

static void what_was_written_is_read(void **state_of_test) {
    struct place *place = *state_of_test;
    double(*values)[TICKS] = make_matrix();
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    write_matrix(place->folder, values, BEGIN);
    assert_int_equal(read_all(place->folder, &seen, everything, 0, UINT64_MAX), SERIES);
    assert_memory_equal(seen.values, values, SERIES * sizeof(values[0]));
    assert_int_equal(tellings, 0);
    uint64_t rows = count_rows(place->folder); /* of two groups */
    assert_true(rows > 0 && rows <= 2 * SAMPLES_CHUNK_TICKS);
    free(seen.values);
    /* a part of the time */
    uint64_t from = 123, until = 456;
    read_all(place->folder, &seen, everything, BEGIN + from * INTERVAL - 1, BEGIN + until * INTERVAL + 1);
    for (unsigned n = 0; n < SERIES; n++)
        for (unsigned t = 0; t < TICKS; t++)
            if (t < from || t > until)
                assert_true(samples_is_hole(seen.values[n][t]));
            else
                assert_memory_equal(&seen.values[n][t], &values[n][t], sizeof(double));
    free(seen.values);
    /* closed: all in columns */
    struct samples_writer *writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, BEGIN + (TICKS + 1) * INTERVAL, 1), 0);
    assert_int_equal(samples_writer_finish(writer, NULL), 0);
    samples_writer_close(writer);
    assert_int_equal(count_rows(place->folder), 0);
    assert_int_equal(read_all(place->folder, &seen, everything, 0, BEGIN + TICKS * INTERVAL), SERIES);
    assert_memory_equal(seen.values, values, SERIES * sizeof(values[0]));
    free(seen.values);
    free(values);
}

static bool is_even(void *argument, const struct samples_definition *definition) {
    (void)argument;
    return number_of(definition) % 2 == 0;
}

static void series_are_chosen_by_family_and_labels(void **state_of_test) {
    struct place *place = *state_of_test;
    struct samples_reader *reader;
    struct samples_selection *selection;
    struct error error = { "" };
    double(*values)[TICKS] = make_matrix();
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    write_matrix(place->folder, values, BEGIN);
    struct samples_want want = { .family = TEXT_LITERAL("f2") };
    assert_int_equal(read_all(place->folder, &seen, want, 0, UINT64_MAX), 10);
    assert_memory_equal(seen.values[20], values[20], 10 * sizeof(values[0]));
    assert_true(samples_is_hole(seen.values[19][0]) && samples_is_hole(seen.values[200][0]));
    free(seen.values);
    want.prefix = true; /* f2 and f20 to f29 */
    assert_int_equal(read_all(place->folder, &seen, want, 0, UINT64_MAX), 110);
    free(seen.values);
    want.match = is_even;
    assert_int_equal(read_all(place->folder, &seen, want, 0, UINT64_MAX), 55);
    free(seen.values);
    want.family = TEXT_EMPTY;
    assert_int_equal(read_all(place->folder, &seen, want, 0, UINT64_MAX), 150);
    free(seen.values);
    want.family = TEXT_LITERAL("g");
    assert_int_equal(read_all(place->folder, &seen, want, 0, UINT64_MAX), 0);
    free(seen.values);
    want = (struct samples_want) { .most = 100, .end_ns = UINT64_MAX };
    assert_int_equal(samples_reader_open(place->folder, NULL, NULL, &reader, NULL), 0);
    assert_int_equal(samples_select(reader, &want, &selection, &error), -E2BIG);
    assert_string_equal(error.text, "more than 100 series match; ask for fewer");
    samples_reader_close(reader);
    free(values);
}

/* --- ticks --- */

static void a_tick_is_written_once(void **state_of_test) {
    struct place *place = *state_of_test;
    struct error error = { "" };
    struct samples_writer *writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, BEGIN, 1), 0);
    assert_int_equal(write_one(writer, BEGIN, 2), -EEXIST);
    assert_int_equal(write_one(writer, BEGIN + 5 * INTERVAL, 1), 0);
    assert_int_equal(samples_writer_begin(writer, BEGIN + INTERVAL, &error), -EEXIST);
    assert_string_equal(error.text, "metric history: there are samples up to 2026-11-23T01:01:15.000000000Z; none is "
                                    "written for 2026-11-23T01:00:15.000000000Z");
    assert_int_equal(write_one(writer, BEGIN + 1, 1), -EINVAL);
    samples_writer_close(writer);
    writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, BEGIN + 5 * INTERVAL, 2), -EEXIST);
    assert_int_equal(write_one(writer, BEGIN + 6 * INTERVAL, 1), 0);
    /* closed, and a new one on the same day */
    assert_int_equal(samples_writer_finish(writer, NULL), 0);
    assert_int_equal(write_one(writer, BEGIN + 6 * INTERVAL, 2), -EEXIST);
    assert_int_equal(write_one(writer, BEGIN + 7 * INTERVAL, 1), 0);
    /* a clock that ran ahead for some days, and came back */
    assert_int_equal(write_one(writer, BEGIN + 3 * SAMPLES_DAY_NS, 1), 0);
    assert_int_equal(write_one(writer, BEGIN + 7 * INTERVAL, 2), -EEXIST);
    assert_int_equal(write_one(writer, BEGIN + 8 * INTERVAL, 1), 0);
    samples_writer_close(writer);
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    assert_int_equal(read_all(place->folder, &seen, everything, 0, BEGIN + SAMPLES_DAY_NS), 1);
    assert_int_equal(seen.samples, 5);
    for (unsigned tick = 0; tick < TICKS; tick++)
        assert_true(samples_is_hole(seen.values[1][tick]) || seen.values[1][tick] == 1);
    free(seen.values);
}

static size_t count_partitions(const char *folder) {
    struct partition_name *names = NULL;
    size_t count;
    assert_int_equal(samples_list(folder, &names, &count, NULL), 0);
    free(names);
    return count;
}

static void a_day_and_an_interval_have_a_partition(void **state_of_test) {
    struct place *place = *state_of_test;
    uint64_t midnight = (samples_day_of(BEGIN) + 1) * SAMPLES_DAY_NS, bytes;
    struct samples_writer *writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, midnight - INTERVAL, 1), 0);
    assert_int_equal(write_one(writer, midnight, 2), 0);
    assert_int_equal(count_partitions(place->folder), 2);
    samples_writer_close(writer);
    writer = open_writer(place->folder, 5 * SECOND);
    assert_int_equal(write_one(writer, midnight, 3), -EEXIST);
    assert_int_equal(write_one(writer, midnight + 5 * SECOND, 3), 0);
    assert_int_equal(count_partitions(place->folder), 3);
    samples_writer_close(writer);
    struct seen seen = { .begin = midnight, .interval = INTERVAL };
    read_all(place->folder, &seen, everything, midnight, midnight + SECOND);
    assert_true(seen.values[1][0] == 2 && seen.samples == 1);
    free(seen.values);
    assert_int_equal(samples_expire(place->folder, midnight - 1, &bytes, NULL), 0);
    assert_int_equal(samples_expire(place->folder, midnight, &bytes, NULL), 1);
    assert_true(bytes > 4096);
    assert_int_equal(samples_drop_oldest(place->folder, &bytes, NULL), 1);
    assert_int_equal(samples_drop_oldest(place->folder, &bytes, NULL), 0);
    assert_int_equal(count_partitions(place->folder), 1);
    struct samples_options odd = { .interval_ns = 7 * SECOND };
    assert_int_equal(samples_writer_open(place->folder, &odd, &writer, NULL), -EINVAL);
}

static void what_is_not_committed_is_gone(void **state_of_test) {
    struct place *place = *state_of_test;
    struct samples_writer *writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, BEGIN, 1), 0);
    assert_int_equal(samples_writer_begin(writer, BEGIN + INTERVAL, NULL), 0);
    samples_writer_set(writer, 0, 2);
    (void)add_series(writer, 2);
    assert_int_equal(samples_writer_end(writer, false, NULL), 0);
    assert_int_equal(samples_writer_begin(writer, BEGIN + 2 * INTERVAL, NULL), 0);
    assert_int_equal(samples_writer_abort(writer), 1);
    assert_int_equal(samples_writer_begin(writer, BEGIN + INTERVAL, NULL), 1);
    assert_int_equal(samples_writer_series_count(writer), 1);
    samples_writer_close(writer);
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    assert_int_equal(read_all(place->folder, &seen, everything, 0, UINT64_MAX), 1);
    assert_int_equal(seen.samples, 1);
    free(seen.values);
}

/* --- kills, and what has no room --- */

/* Ticks as fast as they go, each told of once it is committed, until it is killed. */
static void write_until_killed(const char *folder, int out) {
    struct samples_writer *writer = open_writer(folder, INTERVAL);
    for (uint64_t tick = 0;; tick++) {
        int anew = samples_writer_begin(writer, BEGIN + tick * INTERVAL, NULL);
        if (anew == -EEXIST)
            continue;
        if (anew < 0 || tick >= TICKS)
            _exit(1);
        for (unsigned n = 0; n < 40; n++) /* added anew after a start only, which gives the same numbers */
            samples_writer_set(writer, anew ? add_series(writer, n) : n, (double)tick);
        if (samples_writer_end(writer, true, NULL) < 0 || write(out, &tick, sizeof(tick)) < 0)
            _exit(1);
    }
}

/* Kill a writer once it has told of that tick: the last one that it told of. */
static uint64_t live_until(const char *folder, uint64_t until) {
    uint64_t tick = 0;
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        write_until_killed(folder, ends[1]);
    close(ends[1]);
    while (read(ends[0], &tick, sizeof(tick)) == sizeof(tick) && tick < until)
        ;
    kill(child, SIGKILL);
    while (read(ends[0], &tick, sizeof(tick)) == sizeof(tick))
        ;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && tick >= until);
    return tick;
}

static void what_was_committed_outlives_a_kill(void **state_of_test) {
    struct place *place = *state_of_test;
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    uint64_t lives = getenv("TASKFORGE_LONG") ? 30 : 4;
    for (uint64_t life = 1; life <= lives; life++) {
        uint64_t tick = live_until(place->folder, life * 160 / lives); /* the last of them are behind the first chunk */
        assert_int_equal(read_all(place->folder, &seen, everything, 0, UINT64_MAX), 40);
        uint64_t ticks = seen.samples / 40; /* whole ticks only; nobody may have been told of the last one */
        assert_true(tellings == 0 && seen.samples % 40 == 0 && (ticks == tick + 1 || ticks == tick + 2));
        for (uint64_t i = 0; i < ticks; i++)
            assert_true(seen.values[39][i] == (double)i);
        free(seen.values);
    }
}

static int grow_or_not(void *argument, int fd, uint64_t from, uint64_t to) {
    const bool *full = argument;
    return *full ? ENOSPC : partition_grow_file(fd, from, to);
}

static void a_full_disk_costs_the_ticks_of_its_time(void **state_of_test) {
    struct place *place = *state_of_test;
    bool full = false;
    struct samples_options options = { .interval_ns = INTERVAL, .growth = { grow_or_not, &full } };
    struct samples_writer *writer;
    int failed = 0;
    assert_int_equal(samples_writer_open(place->folder, &options, &writer, NULL), 0);
    for (unsigned tick = 0; tick < 200; tick++) { /* what was allocated before is used up first */
        int result = samples_writer_begin(writer, BEGIN + tick * INTERVAL, NULL);
        for (unsigned n = 0; n < 280 && result >= 0; n++)
            samples_writer_set(writer, add_series(writer, n), sqrt(n + tick));
        if (result >= 0)
            result = samples_writer_end(writer, tick % 8 == 7, NULL);
        assert_true(result == 0 || result == -ENOSPC);
        failed += result < 0;
        full = failed < 2;
    }
    assert_int_equal(failed, 2);
    assert_int_equal(samples_writer_finish(writer, NULL), 0);
    samples_writer_close(writer);
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    assert_int_equal(read_all(place->folder, &seen, everything, 0, UINT64_MAX), 280);
    assert_int_equal(seen.samples, (200 - 2 * 8) * 280); /* with those that waited for the same commit */
    free(seen.values);
}

static void a_partition_that_is_large_is_followed_by_another(void **state_of_test) {
    struct place *place = *state_of_test;
    struct samples_options options = { .interval_ns = INTERVAL, .partition_bytes = 100000 };
    struct samples_writer *writer;
    assert_int_equal(samples_writer_open(place->folder, &options, &writer, NULL), 0);
    for (unsigned tick = 0; tick < 150; tick++) {
        int anew = samples_writer_begin(writer, BEGIN + tick * INTERVAL, NULL);
        assert_true(anew == 0 || anew == 1);
        for (unsigned n = 0; n < 100; n++)
            samples_writer_set(writer, anew ? add_series(writer, n) : n, tick + 1 / (n + 1.0));
        assert_int_equal(samples_writer_end(writer, tick % 8 == 7 || tick == 149, NULL), 0);
    }
    samples_writer_close(writer);
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    assert_true(count_partitions(place->folder) > 1);
    assert_int_equal(read_all(place->folder, &seen, everything, 0, UINT64_MAX), 100);
    assert_int_equal(seen.samples, 150 * 100);
    free(seen.values);
}

/* --- damage --- */

static char *read_file(const char *path, size_t *ret_size) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    *ret_size = (size_t)status.st_size;
    return bytes;
}

static void write_at(const char *path, const char *bytes, size_t size, size_t at) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), size);
    close(fd);
}

/* Whatever bit is flipped, what is read is what was written, or missing. */
static void a_flipped_bit_gives_no_other_sample(void **state_of_test) {
    struct place *place = *state_of_test;
    struct partition_name *names;
    double(*values)[TICKS] = make_matrix();
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    size_t count, size, missing = 0, told_of = 0, all = 0;
    struct samples_writer *writer = open_writer(place->folder, INTERVAL);
    for (unsigned tick = 0; tick < 140; tick++) {
        assert_true(samples_writer_begin(writer, BEGIN + tick * INTERVAL, NULL) >= 0);
        for (unsigned n = 276; n < 282; n++)
            set(writer, add_series(writer, n), n, values[n][tick] = value_of(n, tick));
        all += 6;
        assert_int_equal(samples_writer_end(writer, tick % 128 == 127 || tick == 139, NULL), 0);
    }
    samples_writer_close(writer);
    assert_int_equal(samples_list(place->folder, &names, &count, NULL), 0);
    char *bytes = read_file(names[0].path, &size);
    size_t step = getenv("TASKFORGE_LONG") ? 1 : 401;
    for (size_t at = 0; at < size; at += bytes[at] || step == 1 ? step / 8 + 1 : step) {
        char flipped = (char)(bytes[at] ^ 1 << random_number() % 8);
        write_at(names[0].path, &flipped, 1, at);
        read_all(place->folder, &seen, everything, 0, UINT64_MAX);
        for (unsigned n = 276; n < 282; n++)
            for (unsigned tick = 0; tick < 140; tick++)
                if (!samples_is_hole(seen.values[n][tick]))
                    assert_memory_equal(&seen.values[n][tick], &values[n][tick], sizeof(double));
        missing += seen.samples < all;
        told_of += seen.samples < all && tellings > 0;
        free(seen.values);
        write_at(names[0].path, bytes + at, 1, at);
    }
    assert_true(missing > 10 && told_of > missing / 2);
    for (size_t cut = 0; cut < size; cut += step == 1 ? 4096 : 65536) { /* as to its end */
        assert_int_equal(truncate(names[0].path, (off_t)cut), 0);
        read_all(place->folder, &seen, everything, 0, UINT64_MAX);
        assert_true(tellings == 1 && seen.samples == 0);
        free(seen.values);
        write_at(names[0].path, bytes, size, 0);
    }
    free(bytes);
    free(names);
    free(values);
}

/* --- verify --- */

static void tell_fault(void *argument, const char *path, const char *fault, const struct verify_result *result) {
    (void)argument;
    (void)path;
    (void)result;
    if (fault)
        snprintf(told, sizeof(told), "%s", fault);
}

static int verify(const char *path, struct verify_totals *totals) {
    told[0] = '\0';
    return store_verify(path, tell_fault, NULL, totals, NULL);
}

static void verify_knows_samples(void **state_of_test) {
    struct place *place = *state_of_test;
    struct partition_name *names;
    struct verify_totals totals;
    double(*values)[TICKS] = make_matrix();
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    size_t count, size, found = 0, tried = 0;
    char other[128];
    write_matrix(place->folder, values, BEGIN);
    read_all(place->folder, &seen, everything, 0, UINT64_MAX);
    free(seen.values);
    assert_int_equal(verify(place->folder, &totals), 0);
    assert_int_equal(totals.series, SERIES);
    assert_int_equal(totals.samples, seen.samples);
    assert_int_equal(samples_list(place->folder, &names, &count, NULL), 0);
    snprintf(other, sizeof(other), "%s/of any name", place->folder);
    assert_int_equal(rename(names[0].path, other), 0);
    assert_int_equal(verify(other, &totals), 0);
    assert_int_equal(totals.series, SERIES);
    char *bytes = read_file(other, &size);
    for (size_t at = 8192 + 100; at < size; at += size / 12) { /* what is in use is found: much of it is */
        char flipped = (char)(bytes[at] ^ 16);
        write_at(other, &flipped, 1, at);
        tried++;
        found += verify(other, &totals) > 0;
        write_at(other, bytes + at, 1, at);
    }
    assert_true(found > tried / 3);
    free(bytes);
    free(names);
    free(values);
}

static void a_damaged_partition_is_followed_by_another(void **state_of_test) {
    struct place *place = *state_of_test;
    struct partition_name *names;
    size_t count;
    struct samples_writer *writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, BEGIN, 1), 0);
    samples_writer_close(writer);
    assert_int_equal(samples_list(place->folder, &names, &count, NULL), 0);
    assert_int_equal(truncate(names[0].path, 5000), 0);
    writer = open_writer(place->folder, INTERVAL);
    assert_int_equal(write_one(writer, BEGIN + INTERVAL, 2), 0);
    assert_int_equal(write_one(writer, BEGIN + 2 * INTERVAL, 2), 0);
    /* removed while it is written */
    free(names);
    assert_int_equal(samples_list(place->folder, &names, &count, NULL), 0);
    assert_int_equal(unlink(names[1].path), 0);
    assert_int_equal(write_one(writer, BEGIN + 3 * INTERVAL, 3), -EBADMSG);
    assert_int_equal(write_one(writer, BEGIN + 4 * INTERVAL, 4), 0);
    samples_writer_close(writer);
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    read_all(place->folder, &seen, everything, 0, UINT64_MAX);
    assert_true(seen.samples == 1 && seen.values[1][4] == 4 && tellings == 1);
    free(seen.values);
    free(names);
}

/* A partition of logs is none of samples, whatever it is called. */
static void foreign_files_are_told_of(void **state_of_test) {
    struct place *place = *state_of_test;
    struct partition *partition;
    const struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .first_sequence = 1 };
    char path[PARTITION_PATH_MAX], folder[80];
    snprintf(folder, sizeof(folder), "%s/metrics", place->folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(samples_make_path(place->folder, BEGIN, BEGIN, path), 0);
    assert_int_equal(partition_create(path, &meta, 1 << 20, &partition, NULL), 0);
    partition_close(partition);
    struct seen seen = { .begin = BEGIN, .interval = INTERVAL };
    assert_int_equal(read_all(place->folder, &seen, everything, 0, UINT64_MAX), 0);
    assert_non_null(strstr(told, "a database is missing"));
    free(seen.values);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),
        TEST(series_are_chosen_by_family_and_labels),
        TEST(a_tick_is_written_once),
        TEST(a_day_and_an_interval_have_a_partition),
        TEST(what_is_not_committed_is_gone),
        TEST(what_was_committed_outlives_a_kill),
        TEST(a_full_disk_costs_the_ticks_of_its_time),
        TEST(a_partition_that_is_large_is_followed_by_another),
        TEST(a_flipped_bit_gives_no_other_sample),
        TEST(verify_knows_samples),
        TEST(a_damaged_partition_is_followed_by_another),
        TEST(foreign_files_are_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
