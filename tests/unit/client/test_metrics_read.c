/* tf_metric_get and tf_metric_each: what the collector has of all processes, out of its segment. */
#include "tests/unit/client/metrics_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "common/shm/segment_layout.h"

static const struct metric_scheme scheme = { "taskforge", "_gauge" };

static struct segment_writer *begin(const struct fixture *fixture) {
    struct segment_writer *writer = NULL;
    assert_int_equal(map_guard_install(NULL), 0); /* the writer's; the library reads without */
    assert_int_equal(segment_create(fixture->runtime_dir, &scheme, &writer, NULL), 0);
    assert_int_equal(segment_publish(writer, NULL), 0);
    return writer;
}

static uint64_t add(struct segment_writer *writer, enum metric_kind kind, enum metric_naming naming, const char *name,
                    const char *queue) {
    struct metric_definition definition = { .kind = kind, .naming = naming, .name = text_of(name) };
    struct metric_label label = { TEXT_LITERAL("queue"), text_of(queue) };
    char labels[METRIC_LABELS_BYTES], family[METRIC_FAMILY_BYTES];
    uint64_t series;
    definition.help = TEXT_LITERAL("some help");
    assert_int_equal(metric_labels_pack(&label, 1, labels, &definition.labels, NULL), 0);
    size_t length = metric_family(&scheme, kind, naming, definition.name, family);
    assert_int_equal(segment_add(writer, &definition, (struct text) { family, length }, 1, &series), 0);
    return series;
}

static double get(tf_client *client, const char *name, const struct tf_label *labels) {
    struct tf_metric_value value;
    if (tf_metric_get(client, name, labels, labels ? 1 : 0, &value, sizeof(value)) != 0)
        fail_msg("%s: %s", name, tf_last_error());
    return value.value;
}

static void gets_one_by_the_app_s_name_or_that_on_metrics(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct segment_writer *writer = begin(*state);
    struct tf_metric_value value;
    segment_set_value(writer, add(writer, METRIC_COUNTER, METRIC_NAMING_APP, "jobs", "mail"), 42, 1000);
    segment_set_value(writer, add(writer, METRIC_COUNTER, METRIC_NAMING_APP, "jobs", ""), 3, 1000);
    segment_set_value(writer, add(writer, METRIC_GAUGE, METRIC_NAMING_PREFIXED, "depth", ""), 7, 1000);
    segment_set_value(writer, add(writer, METRIC_GAUGE, METRIC_NAMING_APP, "depth", ""), 8, 1000);
    segment_set_value(writer, add(writer, METRIC_UNKNOWN, METRIC_NAMING_VERBATIM, "node_load1", ""), 0.5, 1000);
    assert_true(get(client, "jobs", mail) == 42 && get(client, "jobs_total", mail) == 42);
    assert_true(get(client, "taskforge_jobs_total", mail) == 42 && get(client, "taskforge_jobs", mail) == 42);
    assert_true(get(client, "jobs", NULL) == 3);
    assert_true(get(client, "depth", NULL) == 8); /* the app's own */
    assert_true(get(client, "taskforge_depth", NULL) == 7 && get(client, "taskforge_depth_gauge", NULL) == 8);
    assert_true(get(client, "node_load1", NULL) == 0.5);
    assert_int_equal(tf_metric_get(client, "node_load1", NULL, 0, &value, sizeof(value)), 0);
    assert_int_equal(value.kind, 0);
    assert_int_equal(value.updated_ns, 1000);
    segment_destroy(writer);
    tf_close(client);
}

static void gets_the_spread_of_a_timer(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct segment_writer *writer = begin(*state);
    struct histogram histogram = HISTOGRAM_EMPTY;
    struct tf_metric_value value;
    uint64_t series = add(writer, METRIC_TIMER, METRIC_NAMING_APP, "work", "");
    for (double seconds = 0.001; seconds < 100; seconds *= 10)
        assert_int_equal(histogram_add(&histogram, seconds, 2), 0);
    assert_int_equal(segment_set_histogram(writer, series, &histogram, 2000), 0);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = { "work", "work_seconds", "taskforge_work_seconds" };
        assert_int_equal(tf_metric_get(client, names[i], NULL, 0, &value, sizeof(value)), 0);
        assert_int_equal(value.kind, TF_TIMER);
        assert_int_equal(value.count, 10);
        assert_true(value.sum == histogram.sum);
    }
    histogram_finish(&histogram);
    segment_destroy(writer);
    tf_close(client);
}

static int note(const struct tf_metric_sample *sample, void *argument) {
    struct buffer *out = argument;
    buffer_append_format(out, "%d %s %s", sample->value.kind, sample->name, sample->family);
    for (size_t i = 0; i < sample->label_count; i++)
        buffer_append_format(out, " %s=%s", sample->labels[i].name, sample->labels[i].value);
    buffer_append_format(out, " %g %s%s\n", sample->value.value, sample->unit, sample->help);
    return 0;
}

static int stop(const struct tf_metric_sample *sample, void *argument) {
    (void)sample, (void)argument;
    return 17;
}

static void each_series_comes_once_and_stale_ones_do_not(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct segment_writer *writer = begin(*state);
    struct buffer seen = BUFFER_EMPTY;
    assert_int_equal(tf_metric_each(client, note, &seen), 0);
    assert_int_equal(seen.length, 0);
    segment_set_value(writer, add(writer, METRIC_COUNTER, METRIC_NAMING_APP, "jobs", "mail"), 42, 1);
    segment_set_hidden(writer, add(writer, METRIC_GAUGE, METRIC_NAMING_APP, "gone", ""), true);
    segment_set_value(writer, add(writer, METRIC_GAUGE, METRIC_NAMING_APP, "depth", ""), -1, 1);
    assert_int_equal(tf_metric_each(client, note, &seen), 0);
    buffer_append_char(&seen, '\0');
    assert_string_equal(seen.data, "1 jobs taskforge_jobs queue=mail 42 some help\n"
                                   "2 depth taskforge_depth_gauge -1 some help\n");
    assert_int_equal(tf_metric_each(client, stop, NULL), 17);
    REFUSED(tf_metric_each(client, NULL, NULL), -EINVAL, "a function must be given");
    buffer_finish(&seen);
    segment_destroy(writer);
    tf_close(client);
}

static void says_what_stands_in_the_way(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_metric_value value;
    char path[192];
    REFUSED(tf_metric_get(client, "jobs", NULL, 0, &value, sizeof(value)), -ENOENT,
            "the collector, which makes it, has not run here");
    REFUSED(tf_metric_each(client, stop, NULL), -ENOENT, "has not run here");
    struct segment_writer *writer = begin(fixture);
    REFUSED(tf_metric_get(client, "jobs", NULL, 0, &value, sizeof(value)), -ENOENT, "no metric jobs with these labels");
    REFUSED(tf_metric_get(client, "jobs", NULL, 0, &value, 3), -EINVAL, "sizeof(struct tf_metric_value)");
    REFUSED(tf_metric_get(client, "1", NULL, 0, &value, sizeof(value)), -EINVAL, "no digit first");
    segment_set_value(writer, add(writer, METRIC_COUNTER, METRIC_NAMING_APP, "jobs", "mail"), 42, 1);
    REFUSED(tf_metric_get(client, "jobs", NULL, 0, &value, sizeof(value)), -ENOENT, "no metric jobs with these labels");
    snprintf(path, sizeof(path), "%s/" SEGMENT_NAME, fixture->runtime_dir);
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(seteuid(65534), 0);
        REFUSED(tf_metric_get(client, "jobs", mail, 1, &value, sizeof(value)), -EACCES, "join the group taskforge");
        assert_int_equal(seteuid(0), 0);
    }
    segment_destroy(writer);
    tf_close(client);
}

/* Without a handler for SIGBUS: the process would die of one. */
static int read_a_damaged_one(void *argument) {
    tf_client *client = argument;
    struct tf_metric_value value;
    signal(SIGBUS, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    return tf_metric_get(client, "jobs", mail, 1, &value, sizeof(value)) == -EBADMSG ? 0 : 1;
}

static void a_cut_or_scribbled_segment_is_an_error_and_no_signal(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct segment_writer *writer = begin(fixture);
    char path[192];
    snprintf(path, sizeof(path), "%s/" SEGMENT_NAME, fixture->runtime_dir);
    add(writer, METRIC_COUNTER, METRIC_NAMING_APP, "jobs", "mail");
    int fd = open(path, O_RDWR);
    const uint64_t used = UINT64_MAX, zero = 0;
    uint64_t before;
    const off_t at = offsetof(struct segment_header, used);
    assert_int_equal(pread(fd, &before, sizeof(before), at), sizeof(before));
    assert_int_equal(pwrite(fd, &used, sizeof(used), at), sizeof(used));
    assert_int_equal(in_child(read_a_damaged_one, client), 0);
    assert_int_equal(pwrite(fd, &zero, sizeof(zero), at), sizeof(zero));
    assert_int_equal(in_child(read_a_damaged_one, client), 0);
    assert_int_equal(pwrite(fd, &before, sizeof(before), at), sizeof(before));
    assert_int_equal(pwrite(fd, &used, sizeof(used), SEGMENT_HEADER_SIZE), sizeof(used)); /* the first piece's size */
    assert_int_equal(in_child(read_a_damaged_one, client), 0);
    assert_int_equal(ftruncate(fd, SEGMENT_HEADER_SIZE), 0);
    assert_int_equal(in_child(read_a_damaged_one, client), 0);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(in_child(read_a_damaged_one, client), 0);
    close(fd);
    segment_destroy(writer);
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(gets_one_by_the_app_s_name_or_that_on_metrics),        fixture_test(gets_the_spread_of_a_timer),
        fixture_test(each_series_comes_once_and_stale_ones_do_not),         fixture_test(says_what_stands_in_the_way),
        fixture_test(a_cut_or_scribbled_segment_is_an_error_and_no_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
