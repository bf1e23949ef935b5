#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sys/mount.h>

#include "common/shm/slot_metrics.h"

static const struct text service = { "billing", 7 };

/* A producer's and a reader's view of one ring in one process, each by its own mapping. */
struct pair {
    struct ring producer, reader;
    struct slot_claim claim;
    struct slot_metrics_view view;
};

static void pair_open(const struct ring_fixture *f, struct pair *pair) {
    *pair = (struct pair) { .view = SLOT_METRICS_VIEW_EMPTY };
    assert_int_equal(map_guard_install(NULL), 0); /* over the handlers that cmocka sets for each test */
    fixture_attach(f, &pair->producer);
    assert_int_equal(ring_slot_claim(&pair->producer, service, 0, &pair->claim), 0);
    fixture_map_again(f, &pair->reader);
}

static void pair_close(struct pair *pair) {
    slot_metrics_view_finish(&pair->view);
    ring_finish(&pair->reader);
    ring_finish(&pair->producer);
}

static struct metric_definition define(enum metric_kind kind, const char *name) {
    return (struct metric_definition) { .kind = kind, .naming = METRIC_NAMING_APP, .name = text_of(name) };
}

static uint32_t add(struct pair *pair, enum metric_kind kind, const char *name) {
    struct metric_definition definition = define(kind, name);
    uint32_t place = UINT32_MAX;
    assert_int_equal(slot_metric_add(&pair->producer, &pair->claim, &definition, &place), 0);
    return place;
}

static void look(struct pair *pair) {
    assert_int_equal(ring_reader_metrics(&pair->reader, pair->claim.index, &pair->view), 0);
    assert_int_equal(ring_reader_metric_count(&pair->reader, pair->claim.index), pair->view.count);
}

static struct slot_metric_values values(struct pair *pair, uint32_t metric) {
    struct slot_metric_values values;
    look(pair);
    assert_int_equal(slot_metrics_values(&pair->view, metric, &values), 0);
    return values;
}

/* --- what is registered and counted is read --- */

static void a_definition_is_read_as_it_was_given(void **state) {
    struct pair pair;
    char labels[METRIC_LABELS_BYTES], bounds[METRIC_BOUNDS_BYTES];
    const struct metric_label list[] = { { TEXT_LITERAL("queue"), TEXT_LITERAL("mail") },
                                         { TEXT_LITERAL("host"), TEXT_LITERAL("a") } };
    const double limits[] = { 0.5, 1, 2 };
    struct metric_definition definition = define(METRIC_HISTOGRAM, "size"), read;
    uint32_t place;
    assert_int_equal(metric_labels_pack(list, 2, labels, &definition.labels, NULL), 0);
    assert_int_equal(metric_bounds_pack(limits, 3, bounds, &definition.bounds, NULL), 0);
    definition.naming = METRIC_NAMING_PREFIXED;
    definition.unit = TEXT_LITERAL("bytes");
    definition.help = TEXT_LITERAL("how large they are");
    pair_open(*state, &pair);
    assert_int_equal(ring_reader_metric_count(&pair.reader, pair.claim.index), 0);
    assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &definition, &place), 0);
    add(&pair, METRIC_GAUGE, "depth");
    struct metric_definition rule = define(METRIC_GAUGE, "level");
    rule.naming = METRIC_NAMING_VERBATIM;
    rule.combine = METRIC_COMBINE_MAX;
    assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &rule, &place), 0);
    look(&pair);
    assert_int_equal(pair.view.count, 3);
    assert_int_equal(slot_metrics_definition(&pair.view, 0, &read), 0);
    assert_int_equal(read.kind, METRIC_HISTOGRAM);
    assert_int_equal(read.naming, METRIC_NAMING_PREFIXED);
    assert_true(text_is(read.name, "size") && text_is(read.unit, "bytes") && text_is(read.help, "how large they are"));
    assert_true(text_equal(read.labels, definition.labels) && text_equal(read.bounds, definition.bounds));
    assert_int_equal(slot_metrics_definition(&pair.view, 1, &read), 0);
    assert_true(text_is(read.name, "depth") && read.labels.length == 0 && read.help.length == 0);
    assert_int_equal(read.combine, METRIC_COMBINE_LAST);
    assert_int_equal(slot_metrics_definition(&pair.view, 2, &read), 0);
    assert_true(read.combine == METRIC_COMBINE_MAX && read.naming == METRIC_NAMING_VERBATIM);
    slot_gauge_set(pair.claim.slot, place, 7, 100);
    slot_gauge_leave(pair.claim.slot, place);
    assert_int_equal(values(&pair, 2).set_ns, 0);
    pair_close(&pair);
}

static void a_counter_adds_up(void **state) {
    struct pair pair;
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_COUNTER, "jobs");
    assert_int_equal(values(&pair, 0).total, 0);
    slot_counter_add(pair.claim.slot, place, 3);
    slot_counter_add(pair.claim.slot, place, UINT64_C(1) << 40);
    assert_int_equal(values(&pair, 0).total, (UINT64_C(1) << 40) + 3);
    assert_int_equal(slot_counter_total(pair.claim.slot, place), (UINT64_C(1) << 40) + 3);
    pair_close(&pair);
}

static void a_gauge_says_its_value_and_when(void **state) {
    struct pair pair;
    uint64_t set_ns;
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_GAUGE, "depth");
    assert_int_equal(values(&pair, 0).set_ns, 0);
    slot_gauge_set(pair.claim.slot, place, -2.5, 100);
    struct slot_metric_values read = values(&pair, 0);
    assert_true(read.value == -2.5 && read.set_ns == 100 && read.kind == METRIC_GAUGE);
    slot_gauge_add(pair.claim.slot, place, 4, 200);
    read = values(&pair, 0);
    assert_true(read.value == 1.5 && read.set_ns == 200);
    assert_true(slot_gauge_value(pair.claim.slot, place, &set_ns) == 1.5 && set_ns == 200);
    slot_gauge_set(pair.claim.slot, place, INFINITY, 300);
    assert_true(isinf(values(&pair, 0).value));
    pair_close(&pair);
}

static void a_histogram_counts_by_bucket(void **state) {
    struct pair pair;
    struct histogram same = HISTOGRAM_EMPTY;
    static const double observed[] = { 0.001, 0.0011, 1, 1.5, 1.5, 1e6, 0, -3 };
    double sum;
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_TIMER, "work");
    for (size_t i = 0; i < sizeof(observed) / sizeof(observed[0]); i++) {
        assert_int_equal(slot_histogram_observe(pair.claim.slot, place, observed[i]), 0);
        assert_int_equal(histogram_add(&same, observed[i], 1), 0);
    }
    struct slot_metric_values read = values(&pair, 0);
    assert_true(read.histogram.sum == same.sum && read.histogram.zero == 2);
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++) {
        assert_int_equal(read.histogram.octaves[o] != NULL, same.octaves[o] != NULL);
        if (same.octaves[o])
            assert_memory_equal(read.histogram.octaves[o], same.octaves[o], HISTOGRAM_BUCKETS * sizeof(uint64_t));
    }
    assert_int_equal(slot_histogram_total(pair.claim.slot, place, &sum), 8);
    assert_true(sum == same.sum);
    histogram_finish(&same);
    pair_close(&pair);
}

static void counts_from_elsewhere_are_added(void **state) {
    struct pair pair;
    uint64_t counts[HISTOGRAM_BUCKETS] = { [0] = 4, [63] = 6 };
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_HISTOGRAM, "size");
    assert_int_equal(slot_histogram_observe(pair.claim.slot, place, 1), 0); /* the last bucket of octave 29 */
    assert_int_equal(slot_histogram_add_octave(pair.claim.slot, place, 29, counts), 0);
    slot_histogram_add_rest(pair.claim.slot, place, 5, 2.5);
    struct slot_metric_values read = values(&pair, 0);
    assert_int_equal(read.histogram.octaves[29][0], 4);
    assert_int_equal(read.histogram.octaves[29][63], 7);
    assert_true(read.histogram.zero == 5 && read.histogram.sum == 3.5);
    assert_int_equal(histogram_count(&read.histogram), 16);
    pair_close(&pair);
}

/* --- room --- */

static void at_most_so_many_series(void **state) {
    struct pair pair;
    char name[16];
    struct metric_definition definition;
    uint32_t place;
    pair_open(*state, &pair);
    for (int i = 0; i < SLOT_METRICS_MAX; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        place = add(&pair, METRIC_COUNTER, name);
        slot_counter_add(pair.claim.slot, place, (uint64_t)i);
    }
    definition = define(METRIC_COUNTER, "more");
    assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &definition, &place), -ENOSPC);
    look(&pair);
    assert_int_equal(pair.view.count, SLOT_METRICS_MAX);
    for (uint32_t i = 0; i < SLOT_METRICS_MAX; i++)
        assert_int_equal(values(&pair, i).total, i);
    pair_close(&pair);
}

static void a_full_area_refuses_and_stays_whole(void **state) {
    struct pair pair;
    static char help[METRIC_HELP_BYTES];
    char name[16];
    uint32_t count = 0, place, first = 0;
    pair_open(*state, &pair);
    memset(help, 'h', sizeof(help));
    int result;
    do {
        snprintf(name, sizeof(name), "m%u", count);
        struct metric_definition definition = define(METRIC_HISTOGRAM, name);
        definition.help = (struct text) { help, sizeof(help) };
        result = slot_metric_add(&pair.producer, &pair.claim, &definition, &place);
        if (count++ == 0) {
            first = place;
            assert_int_equal(slot_histogram_observe(pair.claim.slot, first, 1), 0);
        }
    } while (result == 0);
    assert_int_equal(result, -ENOSPC);
    assert_true(count > 70 && count < SLOT_METRICS_MAX);
    unsigned chunks = 1; /* what is left is less than a definition: room for two more at most */
    for (double value = 2; (result = slot_histogram_observe(pair.claim.slot, first, value)) == 0; value *= 2)
        chunks++;
    assert_int_equal(result, -ENOSPC);
    assert_in_range(chunks, 1, 3);
    assert_int_equal(slot_histogram_observe(pair.claim.slot, first, 1), 0); /* an octave that has its chunk goes on */
    struct slot_metric_values read = values(&pair, 0);
    assert_int_equal(pair.view.count, count - 1); /* the last one was refused */
    assert_int_equal(pair.view.chunks, chunks);
    assert_int_equal(histogram_count(&read.histogram), chunks + 1);
    pair_close(&pair);
}

static void pages_come_with_the_first_metric(void **state) {
    struct pair pair;
    struct stat before, after;
    pair_open(*state, &pair);
    assert_int_equal(fstat(pair.producer.map.fd, &before), 0);
    add(&pair, METRIC_COUNTER, "jobs");
    assert_int_equal(fstat(pair.producer.map.fd, &after), 0);
    assert_int_equal((after.st_blocks - before.st_blocks) * 512, RING_SLOT_METRICS_SIZE);
    add(&pair, METRIC_COUNTER, "more");
    assert_int_equal(fstat(pair.producer.map.fd, &before), 0);
    assert_int_equal(after.st_blocks, before.st_blocks);
    pair_close(&pair);
}

static void a_slot_taken_again_starts_at_zero(void **state) {
    struct pair pair;
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_COUNTER, "jobs"), timer = add(&pair, METRIC_TIMER, "work");
    slot_counter_add(pair.claim.slot, place, 7);
    assert_int_equal(slot_histogram_observe(pair.claim.slot, timer, 1), 0);
    struct slot_claim first = pair.claim;
    ring_slot_release(&pair.producer, &first, true);
    assert_int_equal(ring_slot_claim(&pair.producer, service, 0, &pair.claim), 0);
    assert_int_equal(pair.claim.index, first.index);
    assert_int_equal(ring_reader_metric_count(&pair.reader, first.index), 0);
    look(&pair);
    assert_int_equal(pair.view.count, 0);
    timer = add(&pair, METRIC_TIMER, "other");
    assert_int_equal(values(&pair, 0).histogram.zero, 0);
    assert_int_equal(pair.view.chunks, 0);
    assert_int_equal(slot_histogram_observe(pair.claim.slot, timer, 1), 0);
    struct slot_metric_values read = values(&pair, 0);
    assert_int_equal(histogram_count(&read.histogram), 1);
    pair_close(&pair);
}

static void a_full_tmpfs_is_an_error_and_no_signal(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct metric_definition definition = define(METRIC_COUNTER, "jobs");
    uint32_t place;
    if (geteuid() != 0 || mount("none", f->runtime_dir, "tmpfs", 0, "size=100k") < 0)
        skip();
    pair_open(f, &pair);
    assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &definition, &place), -ENOSPC);
    assert_int_equal(ring_reader_metric_count(&pair.reader, pair.claim.index), 0);
    pair_close(&pair);
    assert_int_equal(umount(f->runtime_dir), 0);
}

static void without_our_descriptor_there_is_no_room(void **state) {
    struct pair pair;
    struct metric_definition definition = define(METRIC_COUNTER, "jobs");
    uint32_t place;
    pair_open(*state, &pair);
    close(pair.producer.map.fd);
    assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &definition, &place), -EBADF);
    pair_close(&pair);
}

/* --- nothing is trusted --- */

static void a_cut_file_is_an_error(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    pair_open(f, &pair);
    add(&pair, METRIC_COUNTER, "jobs");
    uint64_t at = pair.producer.slots_at + (uint64_t)pair.claim.index * RING_SLOT_SIZE;
    assert_int_equal(truncate(f->path, (off_t)(at + RING_SLOT_CLAIM_SIZE)), 0);
    assert_int_equal(ring_reader_metrics(&pair.reader, pair.claim.index, &pair.view), -EFAULT);
    assert_int_equal(pair.view.count, 0);
    assert_int_equal(truncate(f->path, (off_t)at), 0);
    assert_int_equal(ring_reader_metric_count(&pair.reader, pair.claim.index), 0);
    pair_close(&pair);
}

struct scribble {
    size_t at; /* in the slot */
    size_t size;
    uint64_t value;
};

static void what_makes_no_sense_is_refused(void **state) {
    struct pair pair;
    struct metric_definition definition;
    struct slot_metric_values read;
    const size_t area = RING_SLOT_CLAIM_SIZE;
    const struct scribble scribbles[] = {
        { offsetof(struct ring_slot, metric_count), 4, SLOT_METRICS_MAX + 1 },
        { offsetof(struct ring_slot, metric_count), 4, UINT32_MAX },
        { offsetof(struct ring_slot, metric_count), 4, 2 }, /* one more than there is */
        { offsetof(struct ring_slot, metric_marks) + 4, 4, SLOT_METRIC_CHUNKS_MAX },
        { offsetof(struct ring_slot, metric_marks) + 4, 4, UINT32_MAX },
        { offsetof(struct ring_slot, metric_marks) + 4, 4, 0 }, /* the chunk in use is beyond them */
        { area, 4, 0 },
        { area, 4, 8 },
        { area, 4, 17 },
        { area, 4, RING_SLOT_METRICS_SIZE + 8 },
        { area, 4, UINT32_MAX - 7 },
        { area + offsetof(struct slot_metric, kind), 1, METRIC_KIND_END },
        { area + offsetof(struct slot_metric, kind), 1, METRIC_COUNTER }, /* the size of another kind's */
        { area + offsetof(struct slot_metric, naming), 1, METRIC_NAMING_END },
        { area + offsetof(struct slot_metric, name_length), 2, UINT16_MAX },
        { area + offsetof(struct slot_metric, name_length), 2, 0 },
        { area + sizeof(struct slot_metric) + sizeof(struct slot_histogram_cell), 1, '-' }, /* no name */
        { area + sizeof(struct slot_metric) + offsetof(struct slot_histogram_cell, octaves), 2, 2 },
        { area + sizeof(struct slot_metric) + offsetof(struct slot_histogram_cell, octaves), 2, UINT16_MAX },
    };
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_HISTOGRAM, "size");
    assert_int_equal(slot_histogram_observe(pair.claim.slot, place, 1), 0);
    for (size_t i = 0; i < sizeof(scribbles) / sizeof(scribbles[0]); i++) {
        char *at = (char *)pair.claim.slot + scribbles[i].at;
        uint64_t before = 0;
        memcpy(&before, at, scribbles[i].size);
        memcpy(at, &scribbles[i].value, scribbles[i].size);
        int result = ring_reader_metrics(&pair.reader, pair.claim.index, &pair.view);
        if (result == 0)
            result = slot_metrics_definition(&pair.view, 0, &definition);
        if (result == 0)
            result = slot_metrics_values(&pair.view, 0, &read);
        if (result != -EBADMSG)
            fail_msg("scribble %zu: %d", i, result);
        memcpy(at, &before, scribbles[i].size);
    }
    look(&pair);
    pair_close(&pair);
}

static void a_producer_lives_with_scribbled_marks_and_chunks(void **state) {
    struct pair pair;
    struct metric_definition definition = define(METRIC_COUNTER, "more");
    uint32_t other;
    pair_open(*state, &pair);
    uint32_t place = add(&pair, METRIC_HISTOGRAM, "size");
    struct slot_histogram_cell *cell =
        (void *)((char *)pair.claim.slot + RING_SLOT_CLAIM_SIZE + place * sizeof(uint64_t));
    cell->octaves[29] = UINT16_MAX; /* where 1 belongs */
    assert_int_equal(slot_histogram_observe(pair.claim.slot, place, 1), -ENOSPC);
    static const uint64_t marks[] = { UINT64_MAX, UINT32_MAX, UINT64_C(0xffffffff) << 32, 7, RING_SLOT_METRICS_SIZE };
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        pair.claim.slot->metric_marks = marks[i];
        assert_int_equal(slot_histogram_observe(pair.claim.slot, place, 4), -ENOSPC);
        assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &definition, &other), -ENOSPC);
    }
    pair.claim.slot->metric_count = UINT32_MAX;
    assert_int_equal(slot_metric_add(&pair.producer, &pair.claim, &definition, &other), -ENOSPC);
    pair_close(&pair);
}

/* --- threads --- */

enum { THREADS = 4, UPDATES = 20000, REGISTERED = 40 };

struct shared {
    struct pair pair;
    uint32_t counter, gauge, timer;
    _Atomic unsigned done;
};

static void *update(void *argument) {
    struct shared *shared = argument;
    struct ring_slot *slot = shared->pair.claim.slot;
    for (unsigned i = 0; i < UPDATES; i++) {
        slot_counter_add(slot, shared->counter, 2);
        slot_gauge_add(slot, shared->gauge, 1, i + 1);
        assert_int_equal(slot_histogram_observe(slot, shared->timer, ldexp(1.5, (int)(i % 20))), 0);
    }
    atomic_fetch_add(&shared->done, 1);
    return NULL;
}

/* While threads update and one registers, every look is whole and nothing ever goes back. */
static void threads_update_while_a_reader_looks(void **state) {
    static struct shared shared;
    struct pair *pair = &shared.pair;
    pthread_t threads[THREADS];
    char name[16];
    uint64_t last_total = 0, last_count = 0;
    pair_open(*state, pair);
    shared.counter = add(pair, METRIC_COUNTER, "jobs");
    shared.gauge = add(pair, METRIC_GAUGE, "depth");
    shared.timer = add(pair, METRIC_TIMER, "work");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update, &shared), 0);
    for (int registered = 0; atomic_load(&shared.done) < THREADS || registered < REGISTERED;) {
        if (registered < REGISTERED) {
            snprintf(name, sizeof(name), "m%d", registered++);
            add(pair, METRIC_GAUGE, name);
        }
        struct slot_metric_values jobs = values(pair, 0), work = values(pair, 2);
        uint64_t count = histogram_count(&work.histogram);
        assert_true(jobs.total >= last_total && count >= last_count);
        last_total = jobs.total;
        last_count = count;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct slot_metric_values work = values(pair, 2);
    assert_int_equal(values(pair, 0).total, 2 * THREADS * UPDATES);
    assert_true(values(pair, 1).value == THREADS * UPDATES);
    assert_int_not_equal(values(pair, 1).set_ns, 0);
    assert_int_equal(histogram_count(&work.histogram), THREADS * UPDATES);
    assert_int_equal(pair->view.count, 3 + REGISTERED);
    assert_in_range(pair->view.chunks, 20, 20 * THREADS);
    pair_close(pair);
}

/* --- death --- */

static int count_and_die(void *argument) {
    struct ring_fixture *f = argument;
    struct ring ring;
    struct slot_claim claim;
    struct metric_definition definition = define(METRIC_COUNTER, "jobs");
    uint32_t place;
    if (ring_attach(f->runtime_dir, RING_SIZE_MIN, &ring, NULL) != 0 ||
        ring_slot_claim(&ring, service, 0, &claim) != 0 || slot_metric_add(&ring, &claim, &definition, &place) != 0)
        return 1;
    slot_counter_add(claim.slot, place, 41);
    slot_counter_add(claim.slot, place, 1);
    raise(SIGKILL);
    return 2;
}

static void the_totals_of_a_killed_process_are_there(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair = { .view = SLOT_METRICS_VIEW_EMPTY };
    assert_int_equal(map_guard_install(NULL), 0);
    assert_int_equal(fixture_in_child(count_and_die, f), 256 + SIGKILL);
    fixture_map_again(f, &pair.reader);
    assert_int_equal(values(&pair, 0).total, 42); /* of slot 0, which the child had */
    pair.producer.map.fd = -1;
    pair_close(&pair);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_definition_is_read_as_it_was_given),    CASE(a_counter_adds_up),
        CASE(a_gauge_says_its_value_and_when),         CASE(a_histogram_counts_by_bucket),
        CASE(counts_from_elsewhere_are_added),         CASE(at_most_so_many_series),
        CASE(a_full_area_refuses_and_stays_whole),     CASE(pages_come_with_the_first_metric),
        CASE(a_slot_taken_again_starts_at_zero),       CASE(a_full_tmpfs_is_an_error_and_no_signal),
        CASE(without_our_descriptor_there_is_no_room), CASE(a_cut_file_is_an_error),
        CASE(what_makes_no_sense_is_refused),          CASE(a_producer_lives_with_scribbled_marks_and_chunks),
        CASE(threads_update_while_a_reader_looks),     CASE(the_totals_of_a_killed_process_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
