#include "tests/unit/shm/segment_fixture.h"

#include <errno.h>
#include <math.h>

#include "common/base/check.h"
#include "common/shm/segment_v1.h"

static const char *folder_of(void **state) {
    return ((struct ring_fixture *)*state)->runtime_dir;
}

static void assert_text(struct text text, const char *expected) {
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void put(const struct segment_writer *writer, uint64_t position, uint64_t value, size_t size) {
    assert_int_equal(pwrite(writer->map.fd, &value, size, (off_t)position), size);
}

static uint64_t get(const struct segment_writer *writer, uint64_t position, size_t size) {
    uint64_t value = 0;
    assert_int_equal(pread(writer->map.fd, &value, size, (off_t)position), size);
    return value;
}

static const struct metric_exemplar an_exemplar = {
    .value = 0.67, .time_ns = 1520879607789000000, .length = 6, .trace_id = "oHg5SJ"
};

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

static void keeps_the_newest_exemplar_of_each_bucket(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct metric_exemplar exemplar = an_exemplar;
    uint64_t timer = fixture_add(writer, METRIC_TIMER, "run", ""),
             counter = fixture_add(writer, METRIC_COUNTER, "jobs", "");
    size_t beyond = histogram_timer_bound_count;
    struct segment *segment = fixture_open(folder_of(state));
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_int_equal(sample.exemplar_count, 0);
    assert_int_equal(segment_set_exemplar(writer, timer, (unsigned)beyond, &exemplar), 0);
    exemplar.value = 99;
    exemplar.length = METRIC_TRACE_ID_BYTES;
    memset(exemplar.trace_id, 'x', METRIC_TRACE_ID_BYTES);
    assert_int_equal(segment_set_exemplar(writer, timer, (unsigned)beyond, &exemplar), 0);
    assert_int_equal(segment_set_exemplar(writer, timer, 0, &an_exemplar), 0);
    assert_int_equal(segment_read(segment, sample.position, &sample), 0);
    assert_int_equal(sample.exemplar_count, beyond + 1);
    assert_true(sample.exemplars[0].value == 0.67 && sample.exemplars[0].time_ns == an_exemplar.time_ns);
    assert_memory_equal(sample.exemplars[0].trace_id, "oHg5SJ", 6);
    assert_int_equal(sample.exemplars[1].length, 0);
    assert_true(sample.exemplars[beyond].value == 99 && sample.exemplars[beyond].length == METRIC_TRACE_ID_BYTES);
    assert_memory_equal(sample.exemplars[beyond].trace_id, exemplar.trace_id, METRIC_TRACE_ID_BYTES);
    assert_int_equal(segment_next(segment, sample.position, &sample), 1);
    assert_int_equal(sample.exemplar_count, 0);
    segment_set_value(writer, counter, 2, 1);
    assert_int_equal(segment_set_exemplar(writer, counter, 0, &an_exemplar), 0);
    assert_int_equal(segment_read(segment, sample.position, &sample), 0);
    assert_true(sample.exemplar_count == 1 && sample.exemplars[0].length == 6 && sample.value == 2);
    /* a torn id of a writer that died is none */
    put(writer, writer->series[counter].words[SEGMENT_WORD_EXEMPLARS] + 16 + 3 * 8, 0xff, 1);
    assert_int_equal(segment_read(segment, sample.position, &sample), 0);
    assert_int_equal(sample.exemplars[0].length, 0);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

static void what_a_family_shares_is_there_once(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct metric_definition definition = { .kind = METRIC_GAUGE,
                                            .combine = METRIC_COMBINE_MAX,
                                            .name = TEXT_LITERAL("queue_depth_of_the_mail_server"),
                                            .unit = TEXT_LITERAL("jobs"),
                                            .help = TEXT_LITERAL("How many jobs wait in the queue, of all tenants.") };
    enum { SERIES = 1000 };
    char labels[METRIC_LABELS_BYTES], value[24];
    uint64_t series, before = writer->used;
    for (int i = 0; i < SERIES; i++) {
        struct metric_label list[] = { { TEXT_LITERAL("queue"), { value, 0 } },
                                       { TEXT_LITERAL("state"), TEXT_LITERAL("waiting") },
                                       { TEXT_LITERAL("tenant"), TEXT_LITERAL("an-organization") } };
        list[0].value.length = (size_t)snprintf(value, sizeof(value), "queue-%d", i);
        assert_int_equal(metric_labels_pack(list, 3, labels, &definition.labels, NULL), 0);
        assert_int_equal(
            segment_add(writer, &definition, TEXT_LITERAL("taskforge_queue_depth_of_the_mail_server"), 1, &series), 0);
        segment_set_value(writer, series, i, 1);
    }
    assert_true((writer->used - before) / SERIES <= 160); /* bytes of a series */
    assert_int_equal(writer->about_count, 1);
    definition.combine = METRIC_COMBINE_SUM;
    assert_int_equal(
        segment_add(writer, &definition, TEXT_LITERAL("taskforge_queue_depth_of_the_mail_server"), 1, &series), 0);
    assert_int_equal(writer->about_count, 2);
    for (int i = 0; i < 100; i++) { /* the table grows */
        snprintf(value, sizeof(value), "f%d", i % 50);
        definition.name = text_of(value);
        assert_int_equal(segment_add(writer, &definition, text_of(value), 1, &series), 0);
    }
    assert_int_equal(writer->about_count, 52);
    struct segment *segment = fixture_open(folder_of(state));
    for (int i = 0; segment_next(segment, sample.position, &sample) == 1; i++) {
        assert_int_equal(sample.definition.combine, i < SERIES ? METRIC_COMBINE_MAX : METRIC_COMBINE_SUM);
        if (i == 17)
            assert_text(sample.labels, "queue=\"queue-17\",state=\"waiting\",tenant=\"an-organization\"");
    }
    assert_int_equal(segment_check(writer, NULL), 0);
    segment_sample_finish(&sample);
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

/* Behind the texts of a piece, up to the next multiple of 8. */
static bool is_padding(const struct segment_writer *writer, uint64_t position) {
    uint64_t end = 0;
    for (size_t i = 0; i < writer->count; i++) {
        uint64_t at = writer->series[i].position;
        end = at + sizeof(struct segment_series) + get(writer, at + offsetof(struct segment_fixed, labels_length), 2);
        if (position >= end && position < segment_round(end))
            return true;
    }
    for (size_t i = 0; i < writer->about_capacity; i++) {
        uint64_t at = writer->abouts[i].position;
        end = at + sizeof(struct segment_about);
        for (int text = 0; at > 0 && text < SEGMENT_TEXTS; text++)
            end += get(writer, at + offsetof(struct segment_about_fixed, lengths) + 2 * (uint64_t)text, 2);
        if (at > 0 && position >= end && position < segment_round(end))
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
    assert_int_equal(segment_set_exemplar(writer, timer, 1, &an_exemplar), 0);
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
    uint64_t series, older, newer, about, exemplars; /* positions: of a timer, its two octaves and so on */
};

static struct hostile make_hostile(const char *folder) {
    struct hostile hostile = { .writer = fixture_published(folder) };
    struct histogram histogram = HISTOGRAM_EMPTY;
    uint64_t timer = fixture_add(hostile.writer, METRIC_TIMER, "run", "mail");
    histogram_add(&histogram, 1, 1);
    histogram_add(&histogram, 100, 1);
    assert_int_equal(segment_set_histogram(hostile.writer, timer, &histogram, 1), 0);
    assert_int_equal(segment_set_exemplar(hostile.writer, timer, 16, &an_exemplar), 0);
    hostile.series = hostile.writer->series[timer].position;
    hostile.about = SEGMENT_HEADER_SIZE;
    hostile.exemplars = hostile.writer->series[timer].words[SEGMENT_WORD_EXEMPLARS];
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
                   used = offsetof(struct segment_header, used),
                   about = hostile.series + offsetof(struct segment_fixed, about),
                   length = hostile.series + offsetof(struct segment_fixed, labels_length),
                   lengths = hostile.about + offsetof(struct segment_about_fixed, lengths),
                   texts = hostile.about + offsetof(struct segment_about, texts),
                   exemplars_word = hostile.series + offsetof(struct segment_series, words[SEGMENT_WORD_EXEMPLARS]);
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
        { hostile.series, sizeof(struct segment_series) - 8, 4 },
        { hostile.about + offsetof(struct segment_about_fixed, kind), 0, 1 },
        { hostile.about + offsetof(struct segment_about_fixed, kind), METRIC_KIND_END, 1 },
        { hostile.about + offsetof(struct segment_about_fixed, naming), METRIC_NAMING_END, 1 },
        { hostile.about + offsetof(struct segment_about_fixed, combine), METRIC_COMBINE_SUM, 1 }, /* of a timer */
        { hostile.about + offsetof(struct segment_about_fixed, combine), METRIC_COMBINE_END, 1 },
        { hostile.about + 4, SEGMENT_PIECE_OCTAVE, 4 },
        { hostile.about, 16, 4 },
        { lengths, UINT16_MAX, 2 },
        { texts, '{', 1 }, /* the family's name */
        { length, UINT16_MAX, 2 },
        { length, METRIC_PRINTED_BYTES + 1, 2 },
        { hostile.series + offsetof(struct segment_series, labels), '{', 1 },
        { hostile.series + offsetof(struct segment_series, labels) + 7, '"', 1 },
        { hostile.series + offsetof(struct segment_series, labels) + 7, '\n', 1 },
        { hostile.series + offsetof(struct segment_series, labels) + 7, '\0', 1 },
        { hostile.series + offsetof(struct segment_series, labels) + 7, '\\', 1 },
        { about, 0, 4 },
        { about, UINT32_MAX, 4 },
        { about, hostile.series / 8, 4 },
        { about, hostile.newer / 8, 4 },
        { exemplars_word, UINT64_MAX, 8 },
        { exemplars_word, hostile.newer, 8 },
        { exemplars_word, hostile.about, 8 },
        { exemplars_word, hostile.exemplars + 8, 8 },
        { hostile.exemplars + 8, METRIC_BOUNDS_MAX + 2, 8 }, /* their count */
        { hostile.exemplars + 8, 3, 8 },
        { hostile.exemplars + 8, UINT64_MAX / 88 + 2, 8 },
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

/* --- version 1 --- */

struct v1_file {
    _Alignas(64) char bytes[16384]; /* as a page is */
    uint64_t used;
};

static uint64_t add_v1(struct v1_file *file, enum metric_kind kind, const struct text texts[SEGMENT_V1_TEXTS],
                       const uint64_t words[SEGMENT_V1_WORDS]) {
    uint64_t at = file->used;
    struct segment_v1_series *to = (struct segment_v1_series *)(void *)(file->bytes + at);
    size_t length = 0;
    for (int i = 0; i < SEGMENT_V1_TEXTS; i++) {
        to->fixed.lengths[i] = (uint16_t)texts[i].length;
        if (texts[i].length > 0)
            memcpy(to->texts + length, texts[i].data, texts[i].length);
        length += texts[i].length;
    }
    to->fixed.piece = (struct segment_piece) { (uint32_t)segment_round(sizeof(*to) + length), SEGMENT_PIECE_SERIES };
    to->fixed.kind = (uint8_t)kind;
    to->fixed.naming = METRIC_NAMING_PREFIXED;
    to->fixed.created_ns = 17;
    memcpy((void *)to->words, words, sizeof(to->words));
    file->used += to->fixed.piece.size;
    return at;
}

/* A counter of 5 and a timer with an octave, as a collector of version 1 wrote them. */
static void make_v1(struct v1_file *file, const char *folder) {
    const double five = 5, sum = 1.5;
    uint64_t words[SEGMENT_V1_WORDS] = { [SEGMENT_WORD_UPDATED] = 9 };
    const struct text counter[SEGMENT_V1_TEXTS] = { TEXT_LITERAL("taskforge_jobs"),
                                                    TEXT_LITERAL("jobs"),
                                                    TEXT_LITERAL("\x81\xa5queue\xa4m\"il"),
                                                    TEXT_EMPTY,
                                                    TEXT_LITERAL("Help."),
                                                    TEXT_EMPTY };
    const struct text timer[SEGMENT_V1_TEXTS] = { TEXT_LITERAL("taskforge_run_seconds"), TEXT_LITERAL("run") };
    *file = (struct v1_file) { .used = SEGMENT_HEADER_SIZE };
    struct segment_header *header = (struct segment_header *)(void *)file->bytes;
    memcpy(&words[SEGMENT_WORD_VALUE], &five, 8);
    add_v1(file, METRIC_COUNTER, counter, words);
    memcpy(&words[SEGMENT_WORD_VALUE], &sum, 8);
    words[SEGMENT_WORD_ZERO] = 2;
    uint64_t at = add_v1(file, METRIC_TIMER, timer, words);
    ((struct segment_v1_series *)(void *)(file->bytes + at))->words[SEGMENT_WORD_OCTAVE] = file->used;
    struct segment_octave *octave = (struct segment_octave *)(void *)(file->bytes + file->used);
    octave->piece = (struct segment_piece) { sizeof(*octave), SEGMENT_PIECE_OCTAVE };
    octave->number = 30;
    octave->counts[37] = 3;
    file->used += sizeof(*octave);
    *header = (struct segment_header) { .magic = SEGMENT_MAGIC,
                                        .version = 1,
                                        .header_size = SEGMENT_HEADER_SIZE,
                                        .file_size = sizeof(file->bytes),
                                        .namespace_ = "taskforge",
                                        .used = file->used,
                                        .series_count = 2 };
    char path[192];
    snprintf(path, sizeof(path), "%s/" SEGMENT_NAME, folder);
    FILE *to = fopen(path, "w");
    assert_true(to && fwrite(file->bytes, sizeof(file->bytes), 1, to) == 1 && fclose(to) == 0);
}

static void assert_v1(struct segment *segment) {
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_text(sample.family, "taskforge_jobs");
    assert_text(sample.definition.name, "jobs");
    assert_text(sample.definition.help, "Help.");
    assert_text(metric_labels_find(sample.definition.labels, TEXT_LITERAL("queue")), "m\"il");
    assert_text(sample.labels, "queue=\"m\\\"il\"");
    assert_true(sample.value == 5 && sample.created_ns == 17 && sample.updated_ns == 9);
    assert_true(sample.definition.naming == METRIC_NAMING_PREFIXED && sample.definition.combine == 0);
    assert_int_equal(segment_next(segment, sample.position, &sample), 1);
    assert_int_equal(sample.definition.kind, METRIC_TIMER);
    assert_true(sample.histogram.sum == 1.5 && sample.histogram.zero == 2 && sample.histogram.octaves[30][37] == 3);
    assert_int_equal(segment_next(segment, sample.position, &sample), 0);
    segment_sample_finish(&sample);
}

static void reads_what_a_collector_of_before_has_left(void **state) {
    static struct v1_file file;
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct segment *copy = NULL;
    make_v1(&file, folder_of(state));
    struct segment *segment = fixture_open(folder_of(state));
    assert_v1(segment);
    assert_int_equal(segment_open_copy(folder_of(state), &copy, NULL), 0);
    assert_v1(copy);
    segment_close(copy);
    static const struct {
        uint64_t at, value;
        size_t size;
    } scribbles[] = {
        { 0, 72, 4 }, { 0, 88, 4 }, { 10, UINT16_MAX, 2 }, { 14, 3, 2 }, { 80, '{', 1 }, { 80 + 18, 0xc1, 1 },
    };
    int fd = open(segment->path, O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < COUNT_OF(scribbles); i++) {
        assert_int_equal(
            pwrite(fd, &scribbles[i].value, scribbles[i].size, (off_t)(SEGMENT_HEADER_SIZE + scribbles[i].at)),
            scribbles[i].size);
        if (segment_next(segment, 0, &sample) != -EBADMSG)
            fail_msg("scribble %zu", i);
        assert_int_equal(pwrite(fd, file.bytes, sizeof(file.bytes), 0), sizeof(file.bytes));
    }
    assert_v1(segment);
    close(fd);
    segment_sample_finish(&sample);
    segment_close(segment);
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
        { offsetof(struct segment_header, version), SEGMENT_VERSION_OLDEST - 1, 4, -EBADMSG },
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
        SEGMENT_TEST(keeps_the_newest_exemplar_of_each_bucket),
        SEGMENT_TEST(what_a_family_shares_is_there_once),
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
        SEGMENT_TEST(reads_what_a_collector_of_before_has_left),
        SEGMENT_TEST(opens_only_what_is_a_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
