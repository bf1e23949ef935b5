#include "tests/unit/shm/segment_fixture.h"

#include <errno.h>
#include <libdeflate.h>
#include <math.h>

#include "common/base/check.h"
#include "exporter/deflate.h"
#include "exporter/exposition_body.h"
#include "exporter/exposition_lines.h"

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

static struct exposition_about *about_of(enum metric_kind kind, struct text bounds) {
    struct metric_definition definition = { .kind = kind, .name = TEXT_LITERAL("m"), .bounds = bounds };
    struct exposition_about *about = exposition_about_create(&definition, TEXT_LITERAL("m"));
    assert_non_null(about);
    return about;
}

static void append_number(struct buffer *out, enum exposition_format format, enum metric_kind kind, const char *labels,
                          double value, const struct metric_exemplar *exemplar, bool created) {
    struct exposition_about *about = about_of(kind, TEXT_EMPTY);
    size_t at = SIZE_MAX;
    exposition_append_number_lines(out, (struct exposition_style) { format, created }, about, text_of(labels), value,
                                   exemplar, 1520430000123456789, &at);
    if (at != SIZE_MAX && labels[0])
        assert_memory_equal(out->data + at, labels, strlen(labels));
    free(about);
}

static void a_number_is_a_line(void **state) {
    (void)state;
    struct buffer out = BUFFER_EMPTY;
    append_number(&out, EXPOSITION_TEXT, METRIC_GAUGE, "a=\"\\\"\\n\",b=\"{}\"", -1.5, NULL, true);
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_GAUGE, "", NAN, NULL, true);
    append_number(&out, EXPOSITION_TEXT, METRIC_UNKNOWN, "", INFINITY, NULL, true);
    append_number(&out, EXPOSITION_TEXT, METRIC_COUNTER, "", -1, NULL, true); /* a total below 0 is none */
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "", NAN, NULL, true);
    append_number(&out, EXPOSITION_TEXT, METRIC_COUNTER, "x=\"y\"", 3, NULL, true);
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "", 3, NULL, false);
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "x=\"y\"", 3, NULL, true);
    assert_buffer(&out,
                  "m{a=\"\\\"\\n\",b=\"{}\"} -1.5\nm NaN\nm +Inf\nm_total{x=\"y\"} 3\nm_total 3\nm_total{x=\"y\"} "
                  "3\nm_created{x=\"y\"} 1520430000.123\n");
}

static void exemplars_stand_behind_totals_of_openmetrics(void **state) {
    (void)state;
    struct metric_exemplar exemplar = {
        .value = 0.67, .time_ns = 1520879607789000000, .length = 6, .trace_id = "a\"\\\nb"
    };
    struct buffer out = BUFFER_EMPTY;
    exemplar.length = 5;
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "", 3, &exemplar, false);
    append_number(&out, EXPOSITION_TEXT, METRIC_COUNTER, "", 3, &exemplar, false);
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_GAUGE, "", 3, &exemplar, false);
    exemplar.time_ns = 0;
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "", 3, &exemplar, false);
    exemplar.trace_id[0] = '\xff'; /* not UTF-8: none */
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "", 3, &exemplar, false);
    exemplar.length = 0;
    append_number(&out, EXPOSITION_OPENMETRICS, METRIC_COUNTER, "", 3, &exemplar, false);
    assert_buffer(&out, "m_total 3 # {trace_id=\"a\\\"\\\\\\nb\"} 0.67 1520879607.789\nm_total 3\nm 3\n"
                        "m_total 3 # {trace_id=\"a\\\"\\\\\\nb\"} 0.67\nm_total 3\nm_total 3\n");
}

static void append_histogram(struct buffer *out, enum exposition_format format, struct text bounds, const char *labels,
                             const struct segment_counts *counts, bool created) {
    struct exposition_about *about = about_of(METRIC_HISTOGRAM, bounds);
    size_t at = SIZE_MAX;
    exposition_append_histogram_lines(out, (struct exposition_style) { format, created }, about, text_of(labels),
                                      counts, 17000000000, &at);
    assert_memory_equal(out->data + at, labels, strlen(labels));
    free(about);
}

static void bounds_are_written_as_go_does(void **state) {
    (void)state;
    static const double bounds[] = { 1e-9,   1e-5, 0.0001, 0.0025, 0.01, 0.95,      1,     1.7,  10,
                                     123.25, 1000, 1e5,    123456, 1e6,  1234567.5, 2.5e6, 1e10, 1.25e22 };
    static const char *const text[] = { "1e-09",         "1e-05",   "0.0001", "0.0025",  "0.01",   "0.95",   "1",
                                        "1.7",           "10",      "123.25", "1000",    "100000", "123456", "1e+06",
                                        "1.2345675e+06", "2.5e+06", "1e+10",  "1.25e+22" };
    static const char *const openmetrics[] = { "1e-09",    "1e-05", "0.0001",        "0.0025",  "0.01",   "0.95",
                                               "1.0",      "1.7",   "10.0",          "123.25",  "1000.0", "100000.0",
                                               "123456.0", "1e+06", "1.2345675e+06", "2.5e+06", "1e+10",  "1.25e+22" };
    static const struct segment_counts counts;
    char packed[METRIC_BOUNDS_BYTES];
    struct text packed_text;
    assert_int_equal(metric_bounds_pack(bounds, COUNT_OF(bounds), packed, &packed_text, NULL), 0);
    for (int format = 0; format < EXPOSITION_FORMATS; format++) {
        struct buffer out = BUFFER_EMPTY, expected = BUFFER_EMPTY;
        for (size_t i = 0; i < COUNT_OF(bounds); i++)
            buffer_append_format(&expected, "m_bucket{le=\"%s\"} 0\n",
                                 format == EXPOSITION_TEXT ? text[i] : openmetrics[i]);
        buffer_append_format(&expected, "m_bucket{le=\"+Inf\"} 0\nm_sum 0\nm_count 0\n");
        buffer_append_char(&expected, '\0');
        append_histogram(&out, format, packed_text, "", &counts, false);
        assert_buffer(&out, expected.data);
        buffer_finish(&expected);
    }
}

static void the_longest_bound_fits(void **state) {
    (void)state;
    static const double bounds[] = { -1.2345678901234567e-308, 0.00012345678901234567, 123456.12345678901 };
    static const struct segment_counts counts;
    char packed[METRIC_BOUNDS_BYTES];
    struct text packed_text;
    struct buffer out = BUFFER_EMPTY;
    assert_int_equal(metric_bounds_pack(bounds, 3, packed, &packed_text, NULL), 0);
    append_histogram(&out, EXPOSITION_OPENMETRICS, packed_text, "", &counts, false);
    assert_buffer(&out, "m_bucket{le=\"-1.2345678901234567e-308\"} 0\nm_bucket{le=\"0.00012345678901234567\"} "
                        "0\nm_bucket{le=\"123456.123456789\"} 0\nm_bucket{le=\"+Inf\"} 0\n");
}

static void a_histogram_is_buckets_sum_and_count(void **state) {
    (void)state;
    static struct segment_counts counts;
    const double bounds[] = { 0.5, 2, 100 };
    char packed[METRIC_BOUNDS_BYTES];
    struct text packed_text;
    struct buffer out = BUFFER_EMPTY;
    assert_int_equal(metric_bounds_pack(bounds, 3, packed, &packed_text, NULL), 0);
    assert_int_equal(histogram_add(&counts.histogram, 0.25, 2), 0);
    assert_int_equal(histogram_add(&counts.histogram, 0, 1), 0);
    assert_int_equal(histogram_add(&counts.histogram, 50, 3), 0);
    assert_int_equal(histogram_add(&counts.histogram, 1000, 4), 0);
    counts.exemplar_count = 4;
    counts.exemplars[0] =
        (struct metric_exemplar) { .value = 0.25, .time_ns = 1000000000, .length = 1, .trace_id = "a" };
    counts.exemplars[3] = (struct metric_exemplar) { .value = 1000, .length = 1, .trace_id = "b" };
    append_histogram(&out, EXPOSITION_OPENMETRICS, packed_text, "x=\"y\"", &counts, true);
    assert_buffer(&out, "m_bucket{x=\"y\",le=\"0.5\"} 3 # {trace_id=\"a\"} 0.25 1.000\nm_bucket{x=\"y\",le=\"2.0\"} 3\n"
                        "m_bucket{x=\"y\",le=\"100.0\"} 6\nm_bucket{x=\"y\",le=\"+Inf\"} 10 # {trace_id=\"b\"} 1000\n"
                        "m_sum{x=\"y\"} 4150.5\nm_count{x=\"y\"} 10\nm_created{x=\"y\"} 17.000\n");
    append_histogram(&out, EXPOSITION_TEXT, packed_text, "x=\"y\"", &counts, true);
    assert_buffer(&out, "m_bucket{x=\"y\",le=\"0.5\"} 3\nm_bucket{x=\"y\",le=\"2\"} 3\nm_bucket{x=\"y\",le=\"100\"} 6\n"
                        "m_bucket{x=\"y\",le=\"+Inf\"} 10\nm_sum{x=\"y\"} 4150.5\nm_count{x=\"y\"} 10\n");
    histogram_finish(&counts.histogram);
}

static void a_sum_that_is_no_counter_is_not_told_in_openmetrics(void **state) {
    (void)state;
    static struct segment_counts counts;
    const double bounds[] = { -1, 0, 1 };
    char packed[METRIC_BOUNDS_BYTES];
    struct text packed_text;
    struct buffer out = BUFFER_EMPTY;
    assert_int_equal(metric_bounds_pack(bounds, 3, packed, &packed_text, NULL), 0);
    assert_int_equal(histogram_add(&counts.histogram, 0.5, 2), 0);
    append_histogram(&out, EXPOSITION_OPENMETRICS, packed_text, "", &counts, false);
    assert_buffer(&out, "m_bucket{le=\"-1.0\"} 0\nm_bucket{le=\"0.0\"} 0\nm_bucket{le=\"1.0\"} "
                        "2\nm_bucket{le=\"+Inf\"} 2\n");
    append_histogram(&out, EXPOSITION_TEXT, packed_text, "", &counts, false);
    assert_buffer(&out, "m_bucket{le=\"-1\"} 0\nm_bucket{le=\"0\"} 0\nm_bucket{le=\"1\"} 2\nm_bucket{le=\"+Inf\"} 2\n"
                        "m_sum 1\nm_count 2\n");
    assert_int_equal(metric_bounds_pack(bounds + 2, 1, packed, &packed_text, NULL), 0);
    assert_int_equal(histogram_add(&counts.histogram, -4, 1), 0);
    append_histogram(&out, EXPOSITION_OPENMETRICS, packed_text, "", &counts, false);
    assert_buffer(&out, "m_bucket{le=\"1.0\"} 3\nm_bucket{le=\"+Inf\"} 3\n");
    append_histogram(&out, EXPOSITION_TEXT, packed_text, "", &counts, false);
    assert_buffer(&out, "m_bucket{le=\"1\"} 3\nm_bucket{le=\"+Inf\"} 3\nm_sum -3\nm_count 3\n");
    histogram_finish(&counts.histogram);
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

static struct exposition_body *read_body(struct exposition *exposition, struct segment *segment,
                                         const struct exposition_wish *wish) {
    struct exposition_body *body = NULL;
    struct error error = { "" };
    if (exposition_read(exposition, segment, wish, &body, &error) != 0)
        fail_msg("%s", error.text);
    return body;
}

/* All of it in one piece; to be finished. */
static struct buffer joined(const struct exposition_body *body) {
    struct buffer all = BUFFER_EMPTY;
    size_t count, length;
    const struct iovec *pieces = exposition_body_pieces(body, &count, &length);
    for (size_t i = 0; i < count; i++)
        buffer_append(&all, pieces[i].iov_base, pieces[i].iov_len);
    assert_int_equal(all.length, length);
    return all;
}

static void assert_exposition(struct exposition *exposition, struct segment *segment, enum exposition_format format,
                              const char *expected) {
    struct exposition_body *body =
        read_body(exposition, segment, &(struct exposition_wish) { .format = format, .arrived_ns = UINT64_MAX });
    _cleanup_buffer_ struct buffer all = joined(body);
    if (!text_is(buffer_text(&all), expected))
        fail_msg("\n%.*s is not\n%s", TEXT_FORMAT(buffer_text(&all)), expected);
    exposition_body_release(body);
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
    struct exposition_wish wish = { .arrived_ns = UINT64_MAX };
    struct exposition_body *one, *two, *three;
    assert_int_equal(exposition_create(&exposition), 0);
    struct segment *segment = fixture_open(folder_of(state));
    assert_exposition(exposition, segment, EXPOSITION_TEXT, "");
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, "# EOF\n");
    uint64_t jobs = add(writer, METRIC_COUNTER, "jobs", "", "", "");
    assert_exposition(exposition, segment, EXPOSITION_TEXT,
                      "# HELP jobs_total A counter that nobody described.\n# TYPE jobs_total counter\njobs_total 0\n");
    one = read_body(exposition, segment, &wish);
    segment_beat(writer, 5, 5);
    two = read_body(exposition, segment, &wish);
    assert_ptr_equal(one, two);
    segment_set_value(writer, jobs, 4, 4);
    three = read_body(exposition, segment, &wish);
    assert_ptr_not_equal(one, three);
    _cleanup_buffer_ struct buffer before = joined(one); /* who still sends it has it as it was */
    assert_true(text_is(buffer_text(&before), "# HELP jobs_total A counter that nobody described.\n# TYPE jobs_total "
                                              "counter\njobs_total 0\n"));
    exposition_body_release(one);
    exposition_body_release(two);
    /* who had asked before it was begun shares it, whatever came since */
    segment_set_value(writer, jobs, 5, 5);
    wish.arrived_ns = 1;
    assert_ptr_equal(three, read_body(exposition, segment, &wish));
    exposition_body_release(three);
    exposition_body_release(three);
    assert_exposition(exposition, segment, EXPOSITION_TEXT,
                      "# HELP jobs_total A counter that nobody described.\n# TYPE jobs_total counter\njobs_total 5\n");
    add(writer, METRIC_GAUGE, "depth", "", "", "");
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS,
                      "# HELP depth A gauge that nobody described.\n# TYPE depth gauge\ndepth 0\n# HELP jobs A counter "
                      "that nobody described.\n# TYPE jobs counter\njobs_total 5\n# EOF\n");
    /* another segment in its place, with as many changes */
    struct segment_writer *next = fixture_writer(folder_of(state));
    segment_set_value(next, add(next, METRIC_COUNTER, "jobs", "", "", ""), 6, 6);
    assert_int_equal(segment_publish(next, NULL), 0);
    while (next->changes < writer->changes)
        segment_set_value(next, 0, 6, 6);
    assert_int_equal(segment_refresh(segment, NULL), 1);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS,
                      "# HELP jobs A counter that nobody described.\n# TYPE jobs counter\njobs_total 6\n# EOF\n");
    exposition_destroy(exposition);
    segment_destroy(next);
    segment_close(segment);
    segment_destroy(writer);
}

static void assert_fails(struct exposition *exposition, struct segment *segment, int result, const char *why) {
    const struct exposition_wish wish = { .format = EXPOSITION_OPENMETRICS, .arrived_ns = UINT64_MAX };
    struct exposition_body *body = NULL;
    struct error error = { "" };
    assert_int_equal(exposition_read(exposition, segment, &wish, &body, &error), result);
    assert_null(body);
    assert_non_null(strstr(error.text, why));
}

static void put(const struct segment_writer *writer, uint64_t position, uint64_t value, size_t size) {
    assert_int_equal(pwrite(writer->map.fd, &value, size, (off_t)position), size);
}

static void of_a_damaged_segment_nothing_is_served(void **state) {
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct exposition *exposition = NULL;
    struct error error = { "" };
    assert_int_equal(exposition_create(&exposition), 0);
    segment_set_value(writer, add(writer, METRIC_COUNTER, "jobs", "mail", "", ""), 6, 6);
    uint64_t timer = add(writer, METRIC_TIMER, "run_seconds", "mail", "", "");
    struct segment *segment = fixture_open(folder_of(state));
    const char expected[] = "# HELP jobs A counter that nobody described.\n# TYPE jobs counter\njobs_total{q=\"mail\"} "
                            "6\n# EOF\n";
    segment_set_hidden(writer, timer, true);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, expected);
    segment_set_value(writer, 0, 6, 7);
    /* labels that were good when the series came, and have changed since */
    const uint64_t labels = writer->series[0].position + offsetof(struct segment_series, labels),
                   length = writer->series[0].position + offsetof(struct segment_fixed, labels_length);
    put(writer, labels + 3, 'M', 1);
    assert_fails(exposition, segment, -EBADMSG, "damaged");
    put(writer, labels + 3, 'm', 1);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, expected);
    segment_set_value(writer, 0, 6, 8);
    put(writer, length, 7, 2);
    assert_fails(exposition, segment, -EBADMSG, "damaged");
    put(writer, length, UINT16_MAX, 2);
    assert_fails(exposition, segment, -EBADMSG, "damaged");
    put(writer, length, 8, 2);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, expected);
    segment_set_hidden(writer, timer, false);
    put(writer, writer->series[timer].position + offsetof(struct segment_series, words[SEGMENT_WORD_OCTAVE]), 8, 8);
    assert_fails(exposition, segment, -EBADMSG, "damaged");
    assert_int_equal(ftruncate(writer->map.fd, 0), 0);
    assert_fails(exposition, segment, -EFAULT, "damaged");
    segment_destroy(writer);
    writer = fixture_published(folder_of(state));
    assert_int_equal(segment_refresh(segment, NULL), 1);
    assert_exposition(exposition, segment, EXPOSITION_OPENMETRICS, "# EOF\n");
    segment->version = SEGMENT_VERSION_OLDEST;
    segment_set_value(writer, add(writer, METRIC_COUNTER, "jobs", "", "", ""), 6, 6);
    assert_fails(exposition, segment, -EPROTO, "restart the collector");
    segment->version = SEGMENT_VERSION;
    const struct exposition_wish late = { .arrived_ns = UINT64_MAX, .deadline_ns = 1 };
    struct exposition_body *body = NULL;
    assert_int_equal(exposition_read(exposition, segment, &late, &body, &error), -ETIMEDOUT);
    assert_non_null(strstr(error.text, "time"));
    segment_destroy(writer);
    exposition_destroy(exposition);
    segment_close(segment);
}

/* Thousands of series, in a random order, some of them later: several chunks, families that several of them hold. */
static void many_series_come_in_order_however_they_came(void **state) {
    enum { SERIES = 9000, FAMILIES = 3 };
    struct segment_writer *writer = fixture_published(folder_of(state));
    struct exposition *exposition = NULL;
    static unsigned numbers[SERIES];
    assert_int_equal(exposition_create(&exposition), 0);
    struct segment *segment = fixture_open(folder_of(state));
    for (unsigned i = 0; i < SERIES; i++)
        numbers[i] = i;
    uint64_t seed = 5;
    for (unsigned i = SERIES - 1; i > 0; i--) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        unsigned other = (unsigned)(seed >> 33) % (i + 1), was = numbers[i];
        numbers[i] = numbers[other];
        numbers[other] = was;
    }
    for (unsigned i = 0; i < SERIES; i++) {
        char value[16], family[16];
        snprintf(value, sizeof(value), "%05u", numbers[i] / FAMILIES);
        snprintf(family, sizeof(family), "family_%u", numbers[i] % FAMILIES);
        uint64_t series = add(writer, METRIC_GAUGE, family, value, "", "");
        segment_set_value(writer, series, numbers[i], 1);
        if (numbers[i] % FAMILIES == 1) /* a whole family that nobody sees, over several chunks */
            segment_set_hidden(writer, series, true);
        if (i == SERIES / 2 || i == SERIES / 2 + 1 || i == SERIES - 5) {
            struct exposition_body *body =
                read_body(exposition, segment, &(struct exposition_wish) { .arrived_ns = UINT64_MAX });
            exposition_body_release(body);
        }
    }
    struct buffer expected = BUFFER_EMPTY;
    for (unsigned family = 0; family < FAMILIES; family += 2) {
        buffer_append_format(&expected, "# HELP family_%u A gauge that nobody described.\n# TYPE family_%u gauge\n",
                             family, family);
        for (unsigned i = 0; i < SERIES / FAMILIES; i++)
            buffer_append_format(&expected, "family_%u{q=\"%05u\"} %u\n", family, i, i * FAMILIES + family);
    }
    buffer_append_char(&expected, '\0');
    assert_exposition(exposition, segment, EXPOSITION_TEXT, expected.data);
    for (int turn = 0; turn < 2; turn++) { /* memory is used again */
        struct exposition_body *packed =
            read_body(exposition, segment, &(struct exposition_wish) { .gzip = true, .arrived_ns = UINT64_MAX });
        struct buffer all = joined(packed);
        static char back[1 << 20];
        size_t length = 0;
        struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
        assert_true(exposition_body_is_gzip(packed));
        assert_int_equal(libdeflate_gzip_decompress(decompressor, all.data, all.length, back, sizeof(back), &length),
                         LIBDEFLATE_SUCCESS);
        assert_int_equal(length, expected.length - 1);
        assert_memory_equal(back, expected.data, length);
        libdeflate_free_decompressor(decompressor);
        buffer_finish(&all);
        exposition_body_release(packed);
        segment_set_value(writer, 0, numbers[0], 2);
    }
    buffer_finish(&expected);
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
        cmocka_unit_test(a_number_is_a_line),
        cmocka_unit_test(exemplars_stand_behind_totals_of_openmetrics),
        cmocka_unit_test(the_longest_bound_fits),
        cmocka_unit_test(a_histogram_is_buckets_sum_and_count),
        cmocka_unit_test(bounds_are_written_as_go_does),
        cmocka_unit_test(a_sum_that_is_no_counter_is_not_told_in_openmetrics),
        cmocka_unit_test_setup_teardown(families_and_series_come_in_order_and_hidden_ones_not, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(of_a_damaged_segment_nothing_is_served, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(many_series_come_in_order_however_they_came, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(is_formatted_again_only_when_something_changed, setup, fixture_teardown),
    };
    exposition_destroy(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
