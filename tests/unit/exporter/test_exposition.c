#include "tests/unit/shm/segment_fixture.h"

#include <errno.h>
#include <math.h>

#include "common/base/check.h"
#include "exporter/exposition.h"

static const char *folder_of(void **state) {
    return ((struct ring_fixture *)*state)->runtime_dir;
}

/* --- which format --- */

static void chooses_the_format_by_accept(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        enum exposition_format format;
    } cases[] = {
        { "", EXPOSITION_TEXT },
        { "*/*", EXPOSITION_TEXT },
        { "text/html,application/xhtml+xml,*/*;q=0.8", EXPOSITION_TEXT },
        { "text/plain", EXPOSITION_TEXT },
        { "application/openmetrics-text", EXPOSITION_OPENMETRICS },
        { "application/openmetrics-text; version=1.0.0", EXPOSITION_OPENMETRICS },
        { "Application/OpenMetrics-Text ; Version=\"1.0.0\"; charset=utf-8", EXPOSITION_OPENMETRICS },
        { "application/openmetrics-text; version=0.0.1", EXPOSITION_TEXT },
        { "application/openmetrics-text; version=2.0.0, text/plain;q=0.1", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=0.5, text/plain;q=0.6", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=0.5, text/plain;version=1.0.0;q=0.6", EXPOSITION_OPENMETRICS },
        { "application/openmetrics-text;q=0.500, text/plain;q=0.5", EXPOSITION_OPENMETRICS },
        { "application/openmetrics-text;q=0", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=0.7, */*;q=0.8", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=0.7, */*;q=0.8, text/*;q=0.1", EXPOSITION_OPENMETRICS },
        { "application/openmetrics-text;q=0.7, text/plain;q=0, */*", EXPOSITION_OPENMETRICS },
        { "application/openmetrics-text;q=2", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=1.001", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=", EXPOSITION_TEXT },
        { "application/openmetrics-text;q=0.5x", EXPOSITION_TEXT },
        { "text/plain;x=\", application/openmetrics-text\"", EXPOSITION_TEXT },
        { "text/plain;x=\"\\\", application/openmetrics-text", EXPOSITION_TEXT }, /* a quote without an end */
        { ";;;,,,;q=1,=,\"", EXPOSITION_TEXT },
        { "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
          "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
          "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
          "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
          EXPOSITION_OPENMETRICS }, /* Prometheus 3 */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (exposition_negotiate(text_of(cases[i].accept)) != cases[i].format)
            fail_msg("%s", cases[i].accept);
    assert_string_equal(exposition_content_type(EXPOSITION_TEXT), "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(exposition_content_type(EXPOSITION_OPENMETRICS),
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

/* --- pieces --- */

static void assert_buffer(struct buffer *buffer, const char *expected) {
    buffer_append_char(buffer, '\0');
    assert_false(buffer->failed);
    assert_string_equal(buffer->data, expected);
    buffer_finish(buffer);
}

static void numbers_have_the_fewest_digits(void **state) {
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { -0.0, "-0" },
        { 5, "5" },
        { -17, "-17" },
        { 0.1, "0.1" },
        { 1.0 / 3, "0.3333333333333333" },
        { 1e15, "1e+15" },
        { 1e22, "1e+22" },
        { 5e-324, "5e-324" },
        { NAN, "NaN" },
        { INFINITY, "+Inf" },
        { -INFINITY, "-Inf" },
        { 999999999999999, "999999999999999" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer out = BUFFER_EMPTY;
        exposition_append_number(&out, cases[i].number);
        assert_buffer(&out, cases[i].text);
    }
}

static void metadata_is_told_as_each_format_has_it(void **state) {
    (void)state;
    struct text help = TEXT_LITERAL("A \"b\" \\ c\nd"), unit = TEXT_LITERAL("bytes");
    struct buffer out = BUFFER_EMPTY;
    exposition_append_family(&out, EXPOSITION_TEXT, METRIC_COUNTER, TEXT_LITERAL("sent_bytes"), help, unit);
    assert_buffer(&out, "# HELP sent_bytes_total A \"b\" \\\\ c\\nd\n# TYPE sent_bytes_total counter\n");
    exposition_append_family(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, TEXT_LITERAL("sent_bytes"), help, unit);
    assert_buffer(&out,
                  "# HELP sent_bytes A \\\"b\\\" \\\\ c\\nd\n# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\n");
    exposition_append_family(&out, EXPOSITION_OPENMETRICS, METRIC_GAUGE, TEXT_LITERAL("size_bytes_gauge"), TEXT_EMPTY,
                             unit);
    assert_buffer(&out, "# HELP size_bytes_gauge A gauge that nobody described.\n# TYPE size_bytes_gauge gauge\n");
    exposition_append_family(&out, EXPOSITION_OPENMETRICS, METRIC_GAUGE, TEXT_LITERAL("bytes"), TEXT_EMPTY, unit);
    assert_buffer(&out, "# HELP bytes A gauge that nobody described.\n# TYPE bytes gauge\n");
    exposition_append_family(&out, EXPOSITION_OPENMETRICS, METRIC_GAUGE, TEXT_LITERAL("kilobytes"), TEXT_EMPTY, unit);
    assert_buffer(&out, "# HELP kilobytes A gauge that nobody described.\n# TYPE kilobytes gauge\n");
    exposition_append_family(&out, EXPOSITION_OPENMETRICS, METRIC_TIMER, TEXT_LITERAL("run_seconds"), TEXT_EMPTY,
                             TEXT_EMPTY);
    assert_buffer(&out, "# HELP run_seconds A timer that nobody described.\n# TYPE run_seconds histogram\n# UNIT "
                        "run_seconds seconds\n");
    exposition_append_family(&out, EXPOSITION_OPENMETRICS, METRIC_UNKNOWN, TEXT_LITERAL("x"), TEXT_EMPTY, TEXT_EMPTY);
    exposition_append_family(&out, EXPOSITION_TEXT, METRIC_UNKNOWN, TEXT_LITERAL("x"), TEXT_EMPTY, TEXT_EMPTY);
    assert_buffer(&out, "# HELP x A unknown that nobody described.\n# TYPE x unknown\n# HELP x A unknown that nobody "
                        "described.\n# TYPE x untyped\n");
    exposition_append_end(&out, EXPOSITION_TEXT);
    exposition_append_end(&out, EXPOSITION_OPENMETRICS);
    assert_buffer(&out, "# EOF\n");
}

static void label_values_are_escaped(void **state) {
    (void)state;
    const struct metric_label list[] = { { TEXT_LITERAL("a"), TEXT_LITERAL("\"\\\n") },
                                         { TEXT_LITERAL("b"), TEXT_LITERAL("x\ty{}=,\xc3\xa4\r") } };
    char labels[METRIC_LABELS_BYTES];
    struct segment_sample sample = { .family = TEXT_LITERAL("m"), .value = -1.5 };
    struct buffer out = BUFFER_EMPTY;
    _cleanup_buffer_ struct buffer printed = BUFFER_EMPTY;
    sample.definition.kind = METRIC_GAUGE;
    assert_int_equal(metric_labels_pack(list, 2, labels, &sample.definition.labels, NULL), 0);
    metric_labels_print(sample.definition.labels, &printed);
    sample.labels = buffer_text(&printed);
    exposition_append_series(&out, EXPOSITION_TEXT, &sample);
    assert_buffer(&out, "m{a=\"\\\"\\\\\\n\",b=\"x\ty{}=,\xc3\xa4\r\"} -1.5\n");
    sample.labels = TEXT_EMPTY;
    sample.definition.kind = METRIC_COUNTER;
    exposition_append_series(&out, EXPOSITION_TEXT, &sample); /* a total below 0 is none */
    sample.value = NAN;
    exposition_append_series(&out, EXPOSITION_OPENMETRICS, &sample);
    sample.value = 3;
    exposition_append_series(&out, EXPOSITION_OPENMETRICS, &sample);
    assert_buffer(&out, "m_total 3\n");
}

static void bounds_are_written_as_go_does(void **state) {
    (void)state;
    const double bounds[] = { 1e-9,   1e-5, 0.0001, 0.0025, 0.01, 0.95,      1,     1.7,  10,
                              123.25, 1000, 1e5,    123456, 1e6,  1234567.5, 2.5e6, 1e10, 1.25e22 };
    static const char *const text[] = { "1e-09",         "1e-05",   "0.0001", "0.0025",  "0.01",   "0.95",   "1",
                                        "1.7",           "10",      "123.25", "1000",    "100000", "123456", "1e+06",
                                        "1.2345675e+06", "2.5e+06", "1e+10",  "1.25e+22" };
    static const char *const openmetrics[] = { "1e-09",    "1e-05", "0.0001",        "0.0025",  "0.01",   "0.95",
                                               "1.0",      "1.7",   "10.0",          "123.25",  "1000.0", "100000.0",
                                               "123456.0", "1e+06", "1.2345675e+06", "2.5e+06", "1e+10",  "1.25e+22" };
    char packed[METRIC_BOUNDS_BYTES];
    struct segment_sample sample = { .family = TEXT_LITERAL("m") };
    sample.definition.kind = METRIC_HISTOGRAM;
    assert_int_equal(metric_bounds_pack(bounds, COUNT_OF(bounds), packed, &sample.definition.bounds, NULL), 0);
    for (int format = 0; format < EXPOSITION_FORMATS; format++) {
        struct buffer out = BUFFER_EMPTY, expected = BUFFER_EMPTY;
        for (size_t i = 0; i < COUNT_OF(bounds); i++)
            buffer_append_format(&expected, "m_bucket{le=\"%s\"} 0\n",
                                 format == EXPOSITION_TEXT ? text[i] : openmetrics[i]);
        buffer_append_format(&expected, "m_bucket{le=\"+Inf\"} 0\nm_sum 0\nm_count 0\n");
        buffer_append_char(&expected, '\0');
        exposition_append_series(&out, format, &sample);
        assert_buffer(&out, expected.data);
        buffer_finish(&expected);
    }
}

static void a_sum_that_is_no_counter_is_not_told_in_openmetrics(void **state) {
    (void)state;
    const double bounds[] = { -1, 0, 1 };
    char packed[METRIC_BOUNDS_BYTES];
    struct segment_sample sample = { .family = TEXT_LITERAL("m") };
    struct buffer out = BUFFER_EMPTY;
    sample.definition.kind = METRIC_HISTOGRAM;
    assert_int_equal(metric_bounds_pack(bounds, 3, packed, &sample.definition.bounds, NULL), 0);
    assert_int_equal(histogram_add(&sample.histogram, 0.5, 2), 0);
    exposition_append_series(&out, EXPOSITION_OPENMETRICS, &sample);
    assert_buffer(&out,
                  "m_bucket{le=\"-1.0\"} 0\nm_bucket{le=\"0.0\"} 0\nm_bucket{le=\"1.0\"} 2\nm_bucket{le=\"+Inf\"} 2\n");
    exposition_append_series(&out, EXPOSITION_TEXT, &sample);
    assert_buffer(&out, "m_bucket{le=\"-1\"} 0\nm_bucket{le=\"0\"} 0\nm_bucket{le=\"1\"} 2\nm_bucket{le=\"+Inf\"} 2\n"
                        "m_sum 1\nm_count 2\n");
    assert_int_equal(metric_bounds_pack(bounds + 2, 1, packed, &sample.definition.bounds, NULL), 0);
    assert_int_equal(histogram_add(&sample.histogram, -4, 1), 0);
    exposition_append_series(&out, EXPOSITION_OPENMETRICS, &sample);
    assert_buffer(&out, "m_bucket{le=\"1.0\"} 3\nm_bucket{le=\"+Inf\"} 3\n");
    exposition_append_series(&out, EXPOSITION_TEXT, &sample);
    assert_buffer(&out, "m_bucket{le=\"1\"} 3\nm_bucket{le=\"+Inf\"} 3\nm_sum -3\nm_count 3\n");
    histogram_finish(&sample.histogram);
}

/* --- a whole segment --- */

static uint64_t add(struct segment_writer *writer, enum metric_kind kind, const char *family, const char *value,
                    const char *help, const char *unit) {
    struct metric_definition definition = {
        .kind = kind, .name = TEXT_LITERAL("x"), .help = text_of(help), .unit = text_of(unit)
    };
    struct metric_label label = { TEXT_LITERAL("q"), text_of(value) };
    char labels[METRIC_LABELS_BYTES];
    uint64_t series = UINT64_MAX;
    assert_int_equal(metric_labels_pack(&label, 1, labels, &definition.labels, NULL), 0);
    assert_int_equal(segment_add(writer, &definition, text_of(family), 1, &series), 0);
    return series;
}

static void assert_exposition(struct exposition *exposition, struct segment *segment, enum exposition_format format,
                              const char *expected) {
    struct error error = { "" };
    struct text text = TEXT_EMPTY;
    if (exposition_read(exposition, segment, format, &text, &error) != 0)
        fail_msg("%s", error.text);
    if (!text_is(text, expected))
        fail_msg("\n%.*s is not\n%s", TEXT_FORMAT(text), expected);
}

static void families_and_series_come_in_order_and_hidden_ones_not(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct exposition *exposition = NULL;
    uint64_t late = add(writer, METRIC_COUNTER, "jobs", "b", "", "");
    uint64_t hidden = add(writer, METRIC_GAUGE, "depth_bytes", "b", "How deep.", "");
    segment_set_value(writer, late, 7, 1);
    segment_set_value(writer, add(writer, METRIC_GAUGE, "depth_bytes", "a", "Not this one.", "bytes"), 2.5, 1);
    segment_set_value(writer, add(writer, METRIC_GAUGE, "depth_bytes", "b", "", ""), 9,
                      1); /* the hidden one's name again */
    segment_set_value(writer, add(writer, METRIC_GAUGE, "depth_bytes", "a", "", ""), 8, 1);   /* one that is there */
    segment_set_value(writer, add(writer, METRIC_COUNTER, "depth_bytes", "c", "", ""), 8, 1); /* another kind */
    segment_set_value(writer, add(writer, METRIC_GAUGE, "jobs_total", "", "", ""), 8, 1);     /* a counter's name */
    segment_set_value(writer, hidden, 1, 1);
    segment_set_hidden(writer, hidden, true);
    segment_set_hidden(writer, add(writer, METRIC_GAUGE, "gone", "", "All are hidden.", ""), true);
    segment_set_value(writer, add(writer, METRIC_COUNTER, "jobs", "a", "", ""), 1, 1);
    struct segment *segment = fixture_open(folder_of(state));
    assert_int_equal(exposition_create(&exposition), 0);
    assert_exposition(
        exposition, segment, EXPOSITION_TEXT,
        "# HELP depth_bytes How deep.\n# TYPE depth_bytes gauge\ndepth_bytes{q=\"a\"} 2.5\ndepth_bytes{q=\"b\"} 9\n"
        "# HELP jobs_total A counter that nobody described.\n# TYPE jobs_total counter\njobs_total{q=\"a\"} "
        "1\njobs_total{q=\"b\"} 7\n");
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS,
                      "# HELP depth_bytes How deep.\n# TYPE depth_bytes gauge\n# UNIT depth_bytes bytes\n"
                      "depth_bytes{q=\"a\"} 2.5\ndepth_bytes{q=\"b\"} 9\n"
                      "# HELP jobs A counter that nobody described.\n# TYPE jobs counter\njobs_total{q=\"a\"} "
                      "1\njobs_total{q=\"b\"} 7\n# EOF\n");
    exposition_destroy(exposition);
    segment_close(segment);
    segment_destroy(writer);
}

static void is_formatted_again_only_when_something_changed(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct exposition *exposition = NULL;
    struct text one, two;
    assert_int_equal(exposition_create(&exposition), 0);
    struct segment *segment = fixture_open(folder_of(state));
    assert_exposition(exposition, segment, EXPOSITION_TEXT, "");
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, "# EOF\n");
    uint64_t jobs = add(writer, METRIC_COUNTER, "jobs", "", "", "");
    assert_exposition(exposition, segment, EXPOSITION_TEXT,
                      "# HELP jobs_total A counter that nobody described.\n# TYPE jobs_total counter\njobs_total 0\n");
    assert_int_equal(exposition_read(exposition, segment, EXPOSITION_TEXT, &one, NULL), 0);
    ((char *)one.data)[0] = '!'; /* the mark of what is kept */
    segment_beat(writer, 5, 5);
    assert_int_equal(exposition_read(exposition, segment, EXPOSITION_TEXT, &two, NULL), 0);
    assert_true(two.data[0] == '!');
    segment_set_value(writer, jobs, 4, 4);
    assert_exposition(exposition, segment, EXPOSITION_TEXT,
                      "# HELP jobs_total A counter that nobody described.\n# TYPE jobs_total counter\njobs_total 4\n");
    add(writer, METRIC_GAUGE, "depth", "", "", "");
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS,
                      "# HELP depth A gauge that nobody described.\n# TYPE depth gauge\ndepth 0\n# HELP jobs A counter "
                      "that nobody described.\n# TYPE jobs counter\njobs_total 4\n# EOF\n");
    /* another segment in its place, with as many changes */
    struct segment_writer *next = fixture_writer(folder_of(state));
    segment_set_value(next, add(next, METRIC_COUNTER, "jobs", "", "", ""), 6, 6);
    assert_int_equal(segment_publish(next, NULL), 0);
    while (next->changes < writer->changes)
        segment_set_value(next, 0, 6, 6);
    assert_int_equal(segment_refresh(segment, NULL), 1);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS,
                      "# HELP jobs A counter that nobody described.\n# TYPE jobs counter\njobs_total 6\n# EOF\n");
    /* damaged, and whole again */
    struct error error = { "" };
    segment_set_value(next, 0, 7, 7);
    assert_int_equal(pwrite(next->map.fd, "\xff", 1, SEGMENT_HEADER_SIZE), 1);
    assert_int_equal(exposition_read(exposition, segment, EXPOSITION_OPENMETRICS, &one, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "damaged"));
    assert_int_equal(ftruncate(next->map.fd, 0), 0);
    assert_int_equal(exposition_read(exposition, segment, EXPOSITION_OPENMETRICS, &one, &error), -EFAULT);
    segment_destroy(next);
    next = fixture_published(folder_of(state));
    assert_int_equal(segment_refresh(segment, NULL), 1);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, "# EOF\n");
    segment_destroy(next);
    exposition_destroy(exposition);
    segment_close(segment);
    segment_destroy(writer);
}

static int setup(void **state) {
    fixture_setup(state);
    return map_guard_install(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_format_by_accept),
        cmocka_unit_test(numbers_have_the_fewest_digits),
        cmocka_unit_test(metadata_is_told_as_each_format_has_it),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(bounds_are_written_as_go_does),
        cmocka_unit_test(a_sum_that_is_no_counter_is_not_told_in_openmetrics),
        cmocka_unit_test_setup_teardown(families_and_series_come_in_order_and_hidden_ones_not, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(is_formatted_again_only_when_something_changed, setup, fixture_teardown),
    };
    exposition_destroy(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
