#include "tests/unit/shm/segment_fixture.h"

#include <errno.h>
#include <pthread.h>

static const char *folder_of(void **state) {
    return ((struct ring_fixture *)*state)->runtime_dir;
}

static void a_copy_stays_as_it_was(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct segment_info info;
    struct segment *segment;
    uint64_t series = fixture_add(writer, METRIC_COUNTER, "jobs", "mail");
    segment_set_value(writer, series, 5, 100);
    assert_int_equal(segment_open_copy(folder_of(state), &segment, NULL), 0);
    segment_set_value(writer, series, 6, 200);
    fixture_add(writer, METRIC_GAUGE, "depth", "");
    segment_destroy(writer);
    assert_int_equal(truncate(segment->path, 0), 0);
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_true(sample.value == 5 && sample.updated_ns == 100);
    assert_int_equal(segment_next(segment, sample.position, &sample), 0);
    assert_int_equal(segment_info_get(segment, &info), 0);
    assert_int_equal(info.series_count, 1);
    assert_string_equal(info.namespace_, "taskforge");
    segment_sample_finish(&sample);
    segment_close(segment);
}

static void what_cannot_be_copied_is_said(void **state) {
    struct segment *segment = NULL;
    struct error error = { "" };
    assert_int_equal(segment_open_copy(folder_of(state), &segment, &error), -ENOENT);
    assert_non_null(strstr(error.text, "has not run here"));
    struct segment_writer *writer = fixture_published(folder_of(state));
    char path[192];
    snprintf(path, sizeof(path), "%s/" SEGMENT_NAME, folder_of(state));
    segment_header_of(&writer->map)->version = SEGMENT_VERSION + 1;
    assert_int_equal(segment_open_copy(folder_of(state), &segment, &error), -EPROTO);
    assert_non_null(strstr(error.text, "newer version"));
    segment_header_of(&writer->map)->version = SEGMENT_VERSION;
    segment_header_of(&writer->map)->magic++;
    assert_int_equal(segment_open_copy(folder_of(state), &segment, &error), -EBADMSG);
    segment_header_of(&writer->map)->magic--;
    static const uint64_t bad[] = { 0, SEGMENT_HEADER_SIZE - 8, SEGMENT_SIZE + 8, UINT64_MAX };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        segment_header_of(&writer->map)->used = bad[i];
        assert_int_equal(segment_open_copy(folder_of(state), &segment, &error), -EBADMSG);
        assert_non_null(strstr(error.text, "damaged"));
    }
    segment_header_of(&writer->map)->used = SEGMENT_HEADER_SIZE;
    assert_int_equal(truncate(path, SEGMENT_HEADER_SIZE + 4096), 0);
    assert_int_equal(segment_open_copy(folder_of(state), &segment, &error), -EBADMSG);
    assert_null(segment);
    segment_destroy(writer);
}

static void of_a_writer_killed_within_an_update_what_stands_there_is_taken(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    struct segment *segment;
    segment_set_value(writer, fixture_add(writer, METRIC_COUNTER, "jobs", ""), 5, 100);
    struct segment_series *series = (struct segment_series *)(void *)(writer->map.base + SEGMENT_HEADER_SIZE);
    series->words[SEGMENT_WORD_SEQUENCE]++;
    assert_int_equal(segment_open_copy(folder_of(state), &segment, NULL), 0);
    assert_int_equal(segment_next(segment, 0, &sample), 1);
    assert_true(sample.value == 5);
    segment_sample_finish(&sample);
    segment_close(segment);
    segment_destroy(writer);
}

struct busy {
    struct segment_writer *writer;
    uint64_t series;
    _Atomic bool stop;
};

/* The histogram's count and its sum are always equal, and so is the count of each of its two octaves. */
static void *write_on(void *argument) {
    struct busy *busy = argument;
    struct histogram histogram = HISTOGRAM_EMPTY;
    for (uint64_t i = 1; !atomic_load(&busy->stop); i++) {
        assert_int_equal(histogram_add(&histogram, 0.5, 2), 0);
        assert_int_equal(histogram_add(&histogram, 2, 2), 0);
        histogram.sum -= 1;
        assert_int_equal(segment_set_histogram(busy->writer, busy->series, &histogram, i), 0);
        for (int pause = 0; pause < 2000 && !atomic_load(&busy->stop); pause++)
            ; /* as long as a copy takes, about: both ways it turns out happen */
    }
    histogram_finish(&histogram);
    return NULL;
}

static void a_copy_is_of_one_moment(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct busy busy = { .writer = writer, .series = fixture_add(writer, METRIC_HISTOGRAM, "size", "") };
    struct segment_sample sample = SEGMENT_SAMPLE_EMPTY;
    pthread_t thread;
    uint64_t last = 0;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &busy), 0);
    for (int copies = 0; copies < 50;) {
        struct segment *segment;
        int result = segment_open_copy(folder_of(state), &segment, NULL);
        if (result == -EAGAIN)
            continue;
        assert_int_equal(result, 0);
        assert_int_equal(segment_next(segment, 0, &sample), 1);
        uint64_t count = histogram_count(&sample.histogram);
        assert_true((double)count == sample.histogram.sum);
        assert_true(count >= last && count % 4 == 0);
        last = count;
        copies++;
        segment_close(segment);
    }
    atomic_store(&busy.stop, true);
    pthread_join(thread, NULL);
    segment_sample_finish(&sample);
    segment_destroy(writer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_copy_stays_as_it_was),
        CASE(what_cannot_be_copied_is_said),
        CASE(of_a_writer_killed_within_an_update_what_stands_there_is_taken),
        CASE(a_copy_is_of_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
