#include "tests/unit/shm/segment_fixture.h"

#include <errno.h>
#include <math.h>

#include "common/base/check.h"

static const char *folder_of(void **state) {
    return ((struct ring_fixture *)*state)->runtime_dir;
}

static void assert_text(struct text text, const char *expected) {
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

/* --- write and read --- */

static void reads_back_a_series_with_all_its_texts(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct metric_definition definition = {
        .kind = METRIC_HISTOGRAM,
        .naming = METRIC_NAMING_PREFIXED,
        .name = TEXT_LITERAL("size"),
        .unit = TEXT_LITERAL("bytes"),
        .help = TEXT_LITERAL("How large, \xc3\xa4\n."),
    };
    const double bounds[] = { -1, 0.5, 1e9 };
    char packed[METRIC_BOUNDS_BYTES], labels[METRIC_LABELS_BYTES];
    const struct metric_label two[] = { { TEXT_LITERAL("b"), TEXT_LITERAL("2") },
                                        { TEXT_LITERAL("a"), TEXT_LITERAL("1") } };
    uint64_t series;
    assert_int_equal(metric_bounds_pack(bounds, 3, packed, &definition.bounds, NULL), 0);
    assert_int_equal(metric_labels_pack(two, 2, labels, &definition.labels, NULL), 0);
    assert_int_equal(segment_add(writer, &definition, TEXT_LITERAL("taskforge_size"), 17, &series), 0);

    struct segment *segment = fixture_open(folder_of(state));
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_int_equal(sample.definition.kind, METRIC_HISTOGRAM);
    assert_int_equal(sample.definition.naming, METRIC_NAMING_PREFIXED);
    assert_text(sample.family, "taskforge_size");
    assert_text(sample.definition.name, "size");
    assert_text(sample.definition.unit, "bytes");
    assert_text(sample.definition.help, "How large, \xc3\xa4\n.");
    assert_true(text_equal(sample.definition.labels, definition.labels));
    assert_true(text_equal(sample.definition.bounds, definition.bounds));
    assert_int_equal(sample.created_ns, 17);
    assert_int_equal(sample.updated_ns, 0);
    assert_false(sample.hidden);
    assert_int_equal(histogram_count(&sample.histogram), 0);
    assert_int_equal(segment_next(segment, sample.position, &sample), 0);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

static void reads_values_as_they_change_and_passes_octaves_by(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct histogram histogram = HISTOGRAM_EMPTY;
    uint64_t timer = fixture_add(writer, METRIC_TIMER, "run", ""), positions[2];
    segment_set_value(writer, fixture_add(writer, METRIC_COUNTER, "jobs", "mail"), 3, 50);
    struct segment *segment = fixture_open(folder_of(state));
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    positions[0] = sample.position;
    assert_int_equal(segment_next(segment, positions[0], &sample), 1);
    positions[1] = sample.position;
    assert_true(sample.value == 3);
    assert_int_equal(sample.updated_ns, 50);
    assert_text(metric_labels_find(sample.definition.labels, TEXT_LITERAL("queue")), "mail");

    histogram_add(&histogram, 0.25, 4); /* a new octave with each of these, behind the counter */
    histogram_add(&histogram, 0, 1);
    assert_int_equal(segment_set_histogram(writer, timer, &histogram, 60), 0);
    histogram_add(&histogram, 30, 2);
    histogram_add(&histogram, 1e-9, 1);
    assert_int_equal(segment_set_histogram(writer, timer, &histogram, 70), 0);
    histogram_add(&histogram, 0.26, 1); /* and none with this */
    assert_int_equal(segment_set_histogram(writer, timer, &histogram, 80), 0);
    assert_int_equal(segment_read(segment, positions[0], &sample), 0);
    assert_int_equal(sample.updated_ns, 80);
    assert_true(sample.histogram.sum == histogram.sum);
    assert_int_equal(sample.histogram.zero, 1);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++) {
        assert_int_equal(!sample.histogram.octaves[i], !histogram.octaves[i]);
        if (histogram.octaves[i])
            assert_memory_equal(sample.histogram.octaves[i], histogram.octaves[i], sizeof(uint64_t[HISTOGRAM_BUCKETS]));
    }
    segment_set_value(writer, fixture_add(writer, METRIC_GAUGE, "depth", ""), -INFINITY, 90);
    assert_int_equal(segment_next(segment, positions[1], &sample), 1); /* the octaves lie between */
    assert_true(sample.value == -INFINITY);
    assert_int_equal(segment_check(writer, NULL), 0);
    histogram_finish(&histogram);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

static void tells_what_changed_and_that_the_writer_lives(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    uint64_t series = fixture_add(writer, METRIC_COUNTER, "jobs", "");
    struct segment *segment = fixture_open(folder_of(state));
    struct segment_info before, after;
    assert_int_equal(segment_info_get(segment, &before), 0);
    assert_string_equal(before.namespace_, "taskforge");
    assert_string_equal(before.gauge_suffix, "_gauge");
    assert_int_equal(before.series_count, 1);
    assert_int_equal(before.heartbeat_ns, 0);
    segment_beat(writer, 7000, 6000);
    assert_int_equal(segment_info_get(segment, &after), 0);
    assert_int_equal(after.heartbeat_ns, 7000);
    assert_int_equal(after.last_commit_ns, 6000);
    assert_int_equal(after.changes, before.changes); /* a beat changes no series */
    segment_set_value(writer, series, 1, 1);
    assert_int_equal(segment_info_get(segment, &before), 0);
    assert_true(before.changes > after.changes);
    segment_set_hidden(writer, series, true);
    assert_int_equal(segment_info_get(segment, &after), 0);
    assert_true(after.changes > before.changes);
    segment_close(segment);
    segment_destroy(writer);
}

static void hides_and_shows_a_series(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    uint64_t series = fixture_add(writer, METRIC_GAUGE, "depth", "");
    struct segment *segment = fixture_open(folder_of(state));
    segment_set_hidden(writer, series, true);
    segment_set_value(writer, series, 1, 1);
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_true(sample.hidden);
    segment_set_hidden(writer, series, false);
    assert_int_equal(segment_read(segment, sample.position, &sample), 0);
    assert_false(sample.hidden);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

/* --- the file's life --- */

static void refuses_a_scheme_that_no_name_may_hold(void **state) {
    struct segment_writer *writer = NULL;
    char large[SEGMENT_SCHEME_TEXT + 1];
    memset(large, 'x', SEGMENT_SCHEME_TEXT);
    large[SEGMENT_SCHEME_TEXT] = '\0';
    assert_int_equal(segment_create(folder_of(state), &(struct metric_scheme) { large, "" }, &writer, NULL), -EINVAL);
    assert_int_equal(segment_create(folder_of(state), &(struct metric_scheme) { "a b", "" }, &writer, NULL), -EINVAL);
    struct error error = { "" };
    assert_int_equal(segment_create("/nowhere/here", &fixture_scheme, &writer, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nowhere/here"));
    assert_null(writer);
}

static unsigned files_in(const char *folder) {
    char command[256];
    unsigned count = 0;
    snprintf(command, sizeof(command), "ls -A %s | wc -l", folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

static void appears_whole_with_its_mode_and_leaves_nothing_else(void **state) {
    struct segment_writer *killed = fixture_writer(folder_of(state));
    killed->temporary[0] = '\0'; /* as a killed one leaves it */
    segment_destroy(killed);
    assert_int_equal(files_in(folder_of(state)), 1);
    mode_t mask = umask(0777);
    struct segment_writer *writer = fixture_writer(folder_of(state));
    umask(mask);
    struct segment *segment = NULL;
    struct error error = { "" };
    assert_int_equal(segment_open(folder_of(state), &segment, &error), -ENOENT);
    assert_non_null(strstr(error.text, "collector"));
    assert_int_equal(segment_publish(writer, NULL), 0);
    assert_int_equal(files_in(folder_of(state)), 1);
    struct stat status;
    assert_int_equal(fstat(writer->map.fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_true(status.st_blocks * 512 <= 2 << 20); /* sparse: as much as is used, in steps */
    segment_destroy(writer);
    assert_int_equal(files_in(folder_of(state)), 1);
    segment_destroy(fixture_writer(folder_of(state))); /* never published: gone */
    assert_int_equal(files_in(folder_of(state)), 1);
}

static void a_reader_moves_to_the_one_that_took_the_place(void **state) {
    struct segment_writer *old = fixture_published(folder_of(state));
    segment_set_value(old, fixture_add(old, METRIC_COUNTER, "jobs", ""), 5, 1);
    struct segment *segment = fixture_open(folder_of(state));
    struct segment_info before, after;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    assert_int_equal(segment_refresh(segment, NULL), 0);
    struct segment_writer *new = fixture_writer(folder_of(state));
    segment_set_value(new, fixture_add(new, METRIC_COUNTER, "jobs", ""), 6, 1);
    assert_int_equal(segment_refresh(segment, NULL), 0);
    assert_int_equal(segment_info_get(segment, &before), 0);
    assert_false(before.replaced);
    assert_int_equal(segment_publish(new, NULL), 0);
    assert_int_equal(segment_info_get(segment, &before), 0);
    assert_true(before.replaced);
    assert_int_equal(segment_check(old, NULL), -EBADMSG);
    assert_int_equal(segment_refresh(segment, NULL), 1);
    assert_int_equal(segment_info_get(segment, &after), 0);
    assert_memory_not_equal(before.id, after.id, sizeof(after.id));
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_true(sample.value == 6);
    segment_destroy(old);
    segment_destroy(new);
    char path[192];
    snprintf(path, sizeof(path), "%s/metrics", folder_of(state));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(segment_refresh(segment, NULL), -ENOENT);
    assert_int_equal(segment_read(segment, sample.position, &sample), 0); /* what it has stays */
    segment_sample_finish(&sample);
    segment_close(segment);
}

static int open_as_nobody(void *argument) {
    struct segment *segment;
    struct error error = { "" };
    if (setegid(65534) < 0 || seteuid(65534) < 0)
        return 1;
    return segment_open(argument, &segment, &error) == -EACCES && strstr(error.text, "join the group taskforge") ? 0
                                                                                                                 : 2;
}

static void tells_who_may_not_read_what_to_do(void **state) {
    if (geteuid() != 0)
        skip();
    segment_destroy(fixture_published(folder_of(state)));
    assert_int_equal(chmod(folder_of(state), 0755), 0);
    assert_int_equal(fixture_in_child(open_as_nobody, (void *)folder_of(state)), 0);
}

/* --- full, cut, scribbled on --- */

static void says_that_it_is_full_and_changes_nothing(void **state) {
    struct segment_writer *writer = NULL;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct histogram histogram = HISTOGRAM_EMPTY;
    uint64_t series;
    assert_int_equal(segment_create_sized(folder_of(state), &fixture_scheme, 8192, &writer, NULL), 0);
    assert_int_equal(segment_publish(writer, NULL), 0);
    uint64_t timer = fixture_add(writer, METRIC_TIMER, "run", "");
    struct metric_definition definition = { .kind = METRIC_GAUGE, .name = TEXT_LITERAL("depth") };
    for (int i = 0; i < 6; i++) {
        histogram_add(&histogram, ldexp(1.5, i), 1);
        assert_int_equal(segment_set_histogram(writer, timer, &histogram, 1), 0);
    }
    double sum = histogram.sum;
    histogram_add(&histogram, 1.5, 1);
    histogram_add(&histogram, 300, 1);
    histogram_add(&histogram, 3000, 1);
    assert_int_equal(segment_set_histogram(writer, timer, &histogram, 2), -ENOSPC);
    struct segment *segment = fixture_open(folder_of(state));
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_true(sample.histogram.sum == sum);
    assert_int_equal(histogram_count(&sample.histogram), 6);
    assert_int_equal(sample.updated_ns, 1);
    int result, added = 0;
    while ((result = segment_add(writer, &definition, TEXT_LITERAL("depth"), 1, &series)) == 0)
        added++;
    assert_int_equal(result, -ENOSPC);
    assert_true(added > 0);
    assert_int_equal(segment_check(writer, NULL), 0);
    histogram_finish(&histogram);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

/* A fault within its own release-store leaves the thread sanitizer locked. */
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER true
#endif
#endif
#ifndef THREAD_SANITIZER
#define THREAD_SANITIZER false
#endif

static void lives_on_when_the_file_is_cut(void **state) {
    if (THREAD_SANITIZER)
        skip();
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct histogram histogram = HISTOGRAM_EMPTY;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct segment_info info;
    struct error error = { "" };
    struct metric_definition definition = { .kind = METRIC_GAUGE, .name = TEXT_LITERAL("depth") };
    uint64_t gauge = fixture_add(writer, METRIC_GAUGE, "depth", ""),
             timer = fixture_add(writer, METRIC_TIMER, "run", ""), series;
    struct segment *segment = fixture_open(folder_of(state));
    assert_int_equal(segment_check(writer, NULL), 0);
    assert_int_equal(ftruncate(writer->map.fd, 0), 0);
    histogram_add(&histogram, 1, 1);
    assert_int_equal(segment_next(segment, 0, &sample), -EFAULT);
    assert_int_equal(segment_read(segment, 4096, &sample), -EFAULT);
    assert_int_equal(segment_info_get(segment, &info), -EFAULT);
    assert_int_equal(segment_check(writer, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "cut"));
    segment_set_value(writer, gauge, 1, 1);
    segment_set_hidden(writer, gauge, true);
    segment_beat(writer, 1, 1);
    assert_int_equal(segment_set_histogram(writer, timer, &histogram, 1), -EFAULT);
    assert_int_equal(segment_add(writer, &definition, TEXT_LITERAL("depth"), 1, &series), -EFAULT);
    assert_int_equal(ftruncate(writer->map.fd, (off_t)writer->map.size), 0);
    assert_int_equal(segment_check(writer, NULL), -EBADMSG); /* long again is not whole again */
    histogram_finish(&histogram);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

static void put(const struct segment_writer *writer, uint64_t position, uint64_t value, size_t size) {
    assert_int_equal(pwrite(writer->map.fd, &value, size, (off_t)position), size);
}

static uint64_t get(const struct segment_writer *writer, uint64_t position, size_t size) {
    uint64_t value = 0;
    assert_int_equal(pread(writer->map.fd, &value, size, (off_t)position), size);
    return value;
}

/* Behind the texts of a series, up to the next multiple of 8. */
static bool is_padding(const struct segment_writer *writer, uint64_t position) {
    for (size_t i = 0; i < writer->count; i++) {
        struct segment_fixed fixed;
        uint64_t end = writer->series[i].position + sizeof(struct segment_series);
        assert_int_equal(pread(writer->map.fd, &fixed, sizeof(fixed), (off_t)writer->series[i].position),
                         sizeof(fixed));
        for (int text = 0; text < SEGMENT_TEXTS; text++)
            end += fixed.lengths[text];
        if (position >= end && position < (end + 7) / 8 * 8)
            return true;
    }
    return false;
}

static void the_writer_sees_every_scribble(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct histogram histogram = HISTOGRAM_EMPTY;
    struct error error = { "" };
    uint64_t timer = fixture_add(writer, METRIC_TIMER, "run", "mail");
    segment_set_value(writer, fixture_add(writer, METRIC_GAUGE, "depth", "mail"), 7, 7);
    histogram_add(&histogram, 1, 1);
    histogram_add(&histogram, 100, 1);
    assert_int_equal(segment_set_histogram(writer, timer, &histogram, 1), 0);
    segment_beat(writer, 1, 1);
    for (uint64_t at = 0; at < writer->used; at++) {
        if (at == offsetof(struct segment_header, replaced) + 8)
            at = offsetof(struct segment_header, used); /* room between */
        if (at == offsetof(struct segment_header, heartbeat_ns))
            at = SEGMENT_HEADER_SIZE; /* written anew each second, and room */
        if (is_padding(writer, at))
            continue;
        uint64_t was = get(writer, at, 1);
        put(writer, at, was ^ 0x10, 1);
        if (segment_check(writer, &error) == 0)
            fail_msg("byte %llu", (unsigned long long)at);
        put(writer, at, was, 1);
        assert_int_equal(segment_check(writer, NULL), 0);
    }
    assert_non_null(strstr(error.text, "scribbled"));
    histogram_finish(&histogram);
    segment_destroy(writer);
}

/* --- hostile files: a reader ends, and says so --- */

struct hostile {
    struct segment_writer *writer;
    uint64_t series, older, newer; /* positions: of a timer, and of its two octaves */
};

static struct hostile make_hostile(const char *folder) {
    struct hostile hostile = { .writer = fixture_published(folder) };
    struct histogram histogram = HISTOGRAM_EMPTY;
    uint64_t timer = fixture_add(hostile.writer, METRIC_TIMER, "run", "mail");
    histogram_add(&histogram, 1, 1);
    histogram_add(&histogram, 100, 1);
    assert_int_equal(segment_set_histogram(hostile.writer, timer, &histogram, 1), 0);
    hostile.series = hostile.writer->series[timer].position;
    hostile.older = hostile.writer->series[timer].octaves[0].position;
    hostile.newer = hostile.writer->series[timer].octaves[1].position;
    histogram_finish(&histogram);
    return hostile;
}

static void refuses_what_makes_no_sense_and_ends(void **state) {
    struct hostile hostile = make_hostile(folder_of(state));
    struct segment *segment = fixture_open(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    const uint64_t octave_word = hostile.series + offsetof(struct segment_series, words[SEGMENT_WORD_OCTAVE]),
                   next = offsetof(struct segment_octave, next), number = offsetof(struct segment_octave, number),
                   used = offsetof(struct segment_header, used), length = offsetof(struct segment_fixed, lengths);
    const struct {
        uint64_t at, value;
        size_t size;
    } scribbles[] = {
        { hostile.newer + next, hostile.newer, 8 }, /* a chain into itself */
        { hostile.older + next, hostile.newer, 8 }, /* in a ring of two */
        { hostile.newer + next, UINT64_MAX - 7, 8 },
        { hostile.newer + next, hostile.older + 8, 8 }, /* within an octave */
        { hostile.newer + next, hostile.older + 1, 8 },
        { hostile.newer + next, hostile.series, 8 },
        { hostile.newer + next, 8, 8 },
        { octave_word, UINT64_MAX, 8 },
        { octave_word, SEGMENT_SIZE - 8, 8 },
        { hostile.newer + number, HISTOGRAM_OCTAVES, 8 },
        { hostile.newer + number, 29, 8 }, /* the older one's */
        { hostile.newer + 4, 7, 4 },       /* types */
        { hostile.series + 4, 7, 4 },
        { hostile.series, 0, 4 }, /* sizes */
        { hostile.series, UINT32_MAX, 4 },
        { hostile.series, 8, 4 },
        { hostile.series, 81, 4 },
        { hostile.series + offsetof(struct segment_fixed, kind), 0, 1 },
        { hostile.series + offsetof(struct segment_fixed, kind), METRIC_KIND_END, 1 },
        { hostile.series + offsetof(struct segment_fixed, naming), METRIC_NAMING_END, 1 },
        { hostile.series + length, UINT16_MAX, 2 },
        { hostile.series + offsetof(struct segment_series, texts), '{', 1 },       /* the family's name */
        { hostile.series + offsetof(struct segment_series, texts) + 24, 0xc1, 1 }, /* the labels */
        { used, 0, 8 },
        { used, UINT64_MAX, 8 },
        { used, SEGMENT_SIZE + 8, 8 },
        { used, SEGMENT_HEADER_SIZE + 4, 8 },
        { used, hostile.series + 16, 8 },
    };
    for (size_t i = 0; i < COUNT_OF(scribbles); i++) {
        uint64_t was = get(hostile.writer, scribbles[i].at, scribbles[i].size);
        put(hostile.writer, scribbles[i].at, scribbles[i].value, scribbles[i].size);
        if (segment_next(segment, 0, &sample) != -EBADMSG)
            fail_msg("scribble %zu", i);
        put(hostile.writer, scribbles[i].at, was, scribbles[i].size);
        assert_int_equal(segment_next(segment, 0, &sample), 1);
    }
    /* A huge `used` over nothing: the walk ends at the first empty piece. */
    put(hostile.writer, used, SEGMENT_SIZE, 8);
    assert_int_equal(segment_next(segment, sample.position, &sample), -EBADMSG);
    for (uint64_t position = 1; position < 32; position++)
        assert_int_equal(segment_read(segment, position, &sample), -EBADMSG);
    assert_int_equal(segment_read(segment, hostile.older, &sample), -EBADMSG);
    assert_int_equal(segment_read(segment, UINT64_MAX - 7, &sample), -EBADMSG);
    assert_int_equal(segment_next(segment, UINT64_MAX - 7, &sample), -EBADMSG);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(hostile.writer);
}

static void takes_what_is_there_when_the_writer_died_within_an_update(void **state) {
    struct hostile hostile = make_hostile(folder_of(state));
    struct segment *segment = fixture_open(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    put(hostile.writer, hostile.series + offsetof(struct segment_series, words[SEGMENT_WORD_SEQUENCE]), 5, 8);
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_int_equal(histogram_count(&sample.histogram), 2);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(hostile.writer);
}

static void opens_only_what_is_a_segment(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment *segment = NULL;
    struct error error = { "" };
    static const struct {
        uint64_t at, value;
        size_t size;
        int result;
    } scribbles[] = {
        { 0, 0, 8, -EBADMSG },
        { offsetof(struct segment_header, version), 0, 4, -EBADMSG },
        { offsetof(struct segment_header, version), SEGMENT_VERSION + 1, 4, -EPROTO },
        { offsetof(struct segment_header, header_size), 64, 4, -EBADMSG },
        { offsetof(struct segment_header, file_size), 4096, 8, -EBADMSG },
        { offsetof(struct segment_header, namespace_), 0, 8, -EBADMSG },
        { offsetof(struct segment_header, gauge_suffix), '\n', 1, -EBADMSG },
    };
    for (size_t i = 0; i < COUNT_OF(scribbles); i++) {
        uint64_t was = get(writer, scribbles[i].at, scribbles[i].size);
        put(writer, scribbles[i].at, scribbles[i].value, scribbles[i].size);
        assert_int_equal(segment_open(folder_of(state), &segment, &error), scribbles[i].result);
        assert_non_null(strstr(error.text, scribbles[i].result == -EPROTO ? "newer" : "damaged"));
        put(writer, scribbles[i].at, was, scribbles[i].size);
    }
    assert_int_equal(ftruncate(writer->map.fd, 4095), 0);
    assert_int_equal(segment_open(folder_of(state), &segment, &error), -EBADMSG);
    char path[192];
    snprintf(path, sizeof(path), "%s/metrics", folder_of(state));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(segment_open(folder_of(state), &segment, &error), -EBADMSG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(segment_open(folder_of(state), &segment, &error), -ELOOP);
    assert_null(segment);
    segment_destroy(writer);
}

static int install_guard(void **state) {
    fixture_setup(state);
    return map_guard_install(NULL);
}

#define SEGMENT_TEST(function) cmocka_unit_test_setup_teardown(function, install_guard, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SEGMENT_TEST(reads_back_a_series_with_all_its_texts),
        SEGMENT_TEST(reads_values_as_they_change_and_passes_octaves_by),
        SEGMENT_TEST(tells_what_changed_and_that_the_writer_lives),
        SEGMENT_TEST(hides_and_shows_a_series),
        SEGMENT_TEST(refuses_a_scheme_that_no_name_may_hold),
        SEGMENT_TEST(appears_whole_with_its_mode_and_leaves_nothing_else),
        SEGMENT_TEST(a_reader_moves_to_the_one_that_took_the_place),
        SEGMENT_TEST(tells_who_may_not_read_what_to_do),
        SEGMENT_TEST(says_that_it_is_full_and_changes_nothing),
        SEGMENT_TEST(lives_on_when_the_file_is_cut),
        SEGMENT_TEST(the_writer_sees_every_scribble),
        SEGMENT_TEST(refuses_what_makes_no_sense_and_ends),
        SEGMENT_TEST(takes_what_is_there_when_the_writer_died_within_an_update),
        SEGMENT_TEST(opens_only_what_is_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
