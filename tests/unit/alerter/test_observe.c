/* A real partition and a real segment, with flush times and heartbeats as the tests want them. */
#include "alerter/observe.h"
#include "alerter/observe_metrics.h"

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/guard.h"
#include "common/query/logql_parser.h"
#include "common/shm/segment.h"
#include "common/store/partition.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND

struct place {
    char folder[64], path[PARTITION_PATH_MAX];
    uint64_t next;   /* sequence */
    uint64_t now_ns; /* when everything began, real */
    struct segment_writer *segment;
    struct observer *observer;
};

static int set_up(void **state) {
    static const struct metric_scheme scheme = { "taskforge", "_gauge" };
    struct place *place = calloc(1, sizeof(*place));
    struct partition *partition;
    struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .created_ns = 1, .first_sequence = 1 };
    strcpy(place->folder, "/tmp/taskforge-observe-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/logs", place->folder);
    mkdir(place->path, 0755);
    place->now_ns = clock_real_ns();
    meta.created_ns = place->now_ns;
    partition_make_path(place->folder, 1, meta.created_ns, place->path);
    place->next = 1;
    check(guard_install(NULL) == 0);
    check(partition_create(place->path, &meta, UINT64_C(1) << 28, &partition, NULL) == 0);
    partition_close(partition);
    check(segment_create(place->folder, &scheme, &place->segment, NULL) == 0);
    check(segment_publish(place->segment, NULL) == 0);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    char command[128];
    observer_close(place->observer);
    segment_destroy(place->segment);
    snprintf(command, sizeof(command), "rm -rf %s", place->folder);
    int result = system(command);
    free(place);
    return result;
}

static void open_observer(struct place *place) {
    struct error error = { "" };
    check(guard_install(NULL) == 0); /* cmocka takes the signals for each test */
    if (observer_open(place->folder, place->folder, &place->observer, &error) < 0)
        fail_msg("%s", error.text);
}

/* By another process, as LMDB wants it: one process opens a file once. */
static void put_block(const struct place *place, struct text block, struct text index) {
    struct partition *partition;
    struct partition_txn *txn;
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        _exit(partition_open(place->path, PARTITION_WRITE, UINT64_C(1) << 28, &partition, NULL) < 0 ||
              partition_begin(partition, true, &txn, NULL) < 0 ||
              partition_block_put(txn, place->next, block, index, NULL) < 0 || partition_commit(txn, NULL) < 0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
}

/* One block of entries of a service, one a second, each with a flush of its own from `first_s` after the beginning on. */
static void add_block(struct place *place, const char *service, enum level level, unsigned count, uint64_t first_s) {
    struct block_builder *builder;
    struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    struct index_flush flushes[64];
    check(count <= COUNT_OF(flushes) && block_builder_create(&builder) == 0);
    for (unsigned i = 0; i < count; i++) {
        char message[32];
        snprintf(message, sizeof(message), "message %u", i);
        const struct entry entry = { .id = { { 1, (uint8_t)i } },
                                     .timestamp_ns = 5, /* long ago: only arrival counts */
                                     .level = level,
                                     .service = text_of(service),
                                     .module = TEXT_LITERAL("m"),
                                     .operation = TEXT_LITERAL("o"),
                                     .message = text_of(message) };
        check(block_builder_add(builder, &entry) == 0);
        flushes[i] = (struct index_flush) { i, place->now_ns + (first_s + i) * SECOND };
    }
    check(block_builder_encode(builder, place->next, &block) == 0);
    check(index_encode(builder, place->next, flushes, count, &index) == 0);
    put_block(place, buffer_text(&block), buffer_text(&index));
    place->next += count;
    block_builder_destroy(builder);
    buffer_finish(&block);
    buffer_finish(&index);
}

static void make_log_rule(struct rule *rule, const char *logql, unsigned window_s) {
    *rule = (struct rule) { .kind = RULE_LOG, .log = { .time_window_ns = window_s * SECOND } };
    filter_init(&rule->log.filter);
    filter_init(&rule->silence.filter);
    check(logql_parse(text_of(logql), &rule->log.filter, NULL) == 0);
}

static void make_silence_rule(struct rule *rule, char *service, unsigned window_s) {
    *rule =
        (struct rule) { .kind = RULE_SILENCE, .silence = { .service = service, .time_window_ns = window_s * SECOND } };
    filter_init(&rule->log.filter);
    filter_init(&rule->silence.filter);
    check(filter_add_service(&rule->silence.filter, text_of(service), NULL) == 0);
}

/* Observe one rule; *ret is the only series. */
static void observe_one(struct place *place, struct rule *rule, uint64_t second, struct observation *ret) {
    struct rules rules = { .rules = rule, .rule_count = 1 };
    struct observations all = OBSERVATIONS_EMPTY;
    observe(place->observer, &rules, place->now_ns + second * SECOND, &all);
    if (all.result < 0)
        fail_msg("%s", all.error.text);
    assert_int_equal(all.count, 1);
    *ret = all.series[0].observation;
    observations_finish(&all);
}

static void beat(struct place *place, uint64_t second) {
    segment_beat(place->segment, place->now_ns + second * SECOND, place->now_ns + second * SECOND);
}

static double counted(struct place *place, const char *logql, unsigned window_s, uint64_t second) {
    struct rule rule;
    struct observation observation;
    beat(place, second);
    make_log_rule(&rule, logql, window_s);
    observer_forget(place->observer); /* another rule */
    observe_one(place, &rule, second, &observation);
    assert_false(observation.partial);
    filter_finish(&rule.log.filter);
    filter_finish(&rule.silence.filter);
    return observation.value;
}

static void a_window_counts_what_arrived_in_it(void **state) {
    struct place *place = *state;
    open_observer(place);
    add_block(place, "queue", LEVEL_ERROR, 10, 0);  /* arrive at 0 .. 9 */
    add_block(place, "queue", LEVEL_INFO, 10, 10);  /* 10 .. 19 */
    add_block(place, "other", LEVEL_ERROR, 10, 20); /* 20 .. 29 */
    assert_true(counted(place, "{}", 100, 30) == 30);
    assert_true(counted(place, "{level=\"error\"}", 100, 30) == 20);
    assert_true(counted(place, "{service=\"queue\"}", 100, 30) == 20);
    assert_true(counted(place, "{} |= \"message 3\"", 100, 30) == 3);
    assert_true(counted(place, "{}", 10, 30) == 10);                 /* since 20, which counts */
    assert_true(counted(place, "{service=\"queue\"}", 10, 29) == 1); /* since 19: in the middle of a block */
    assert_true(counted(place, "{service=\"queue\"}", 15, 29) == 6); /* since 14 */
    assert_true(counted(place, "{service=\"queue\"}", 10, 30) == 0);
    assert_true(counted(place, "{}", 10, 100) == 0);
    add_block(place, "queue", LEVEL_ERROR, 1, 100);
    assert_true(counted(place, "{}", 10, 100) == 1); /* found though it came after the observer was opened */
}

static void a_window_moves_on(void **state) {
    struct place *place = *state;
    struct rule rule;
    struct observation observation;
    open_observer(place);
    make_log_rule(&rule, "{} |= \"message\"", 7);
    for (unsigned second = 0; second < 40; second++) {
        if (second % 10 == 0 && second < 30)
            add_block(place, "queue", LEVEL_ERROR, 10, second); /* arrives at this second and the next nine */
        observe_one(place, &rule, second, &observation);
        unsigned since = second > 7 ? second - 7 : 0, until = second / 10 * 10 + 10; /* the block is there whole */
        until = until > 30 ? 30 : until;
        assert_true(observation.value == (until > since ? until - since : 0));
    }
    filter_finish(&rule.log.filter);
    filter_finish(&rule.silence.filter);
}

static void the_newest_lines_travel(void **state) {
    struct place *place = *state;
    struct rule rule;
    struct observation observation;
    struct buffer out = BUFFER_EMPTY;
    struct error error = { "" };
    open_observer(place);
    add_block(place, "queue", LEVEL_ERROR, 30, 0);
    make_log_rule(&rule, "{}", 5);
    observe_one(place, &rule, 30, &observation);
    assert_true(observation.value == 5);
    assert_int_equal(observe_entries(place->observer, &rule, place->now_ns + 30 * SECOND, &out, &error), 0);
    buffer_append_char(&out, '\0');
    const char *newest = strstr(out.data, "message 29"), *oldest = strstr(out.data, "message 25");
    assert_true(newest && oldest && newest < oldest && !strstr(out.data, "message 24"));
    buffer_clear(&out);
    rule.log.time_window_ns = 100 * SECOND;
    assert_int_equal(observe_entries(place->observer, &rule, place->now_ns + 30 * SECOND, &out, &error), 0);
    buffer_append_char(&out, '\0');
    assert_true(strstr(out.data, "message 20") && !strstr(out.data, "message 19"));
    buffer_finish(&out);
    filter_finish(&rule.log.filter);
    filter_finish(&rule.silence.filter);
}

static void too_few_are_partial_without_a_heartbeat(void **state) {
    struct place *place = *state;
    struct rule rule;
    struct observation observation;
    open_observer(place);
    make_log_rule(&rule, "{}", 5);
    beat(place, 10);
    observe_one(place, &rule, 12, &observation);
    assert_false(observation.partial);
    observe_one(place, &rule, 14, &observation);
    assert_true(observation.partial);
    observe_one(place, &rule, 60, &observation);
    assert_true(observation.partial);
    assert_false(observer_collector_lives(place->observer));
    filter_finish(&rule.log.filter);
    filter_finish(&rule.silence.filter);
}

static void silence_needs_a_window_that_was_seen(void **state) {
    struct place *place = *state;
    struct rule rule;
    struct observation observation;
    char service[] = "billing";
    open_observer(place);
    make_silence_rule(&rule, service, 20);
    beat(place, 1);
    observe_one(place, &rule, 1, &observation); /* the collector has only just begun */
    assert_true(observation.value == 0 && observation.partial);
    beat(place, 10);
    observe_one(place, &rule, 10, &observation); /* and nothing is known of 20 s */
    assert_true(observation.partial);
    beat(place, 30);
    observe_one(place, &rule, 30, &observation);
    assert_true(observation.value == 0 && !observation.partial);
    observe_one(place, &rule, 34, &observation); /* no heartbeat */
    assert_true(observation.partial);
    add_block(place, "billing", LEVEL_DEBUG, 1, 30);
    add_block(place, "other", LEVEL_DEBUG, 1, 32);
    observe_one(place, &rule, 34, &observation);
    assert_true(observation.value == 1);
    beat(place, 51);
    observe_one(place, &rule, 51, &observation);
    assert_true(observation.value == 0 && !observation.partial);
    filter_finish(&rule.log.filter);
    filter_finish(&rule.silence.filter);
}

static uint64_t add_series(struct place *place, enum metric_kind kind, const char *name, const char *queue) {
    static const struct metric_scheme scheme = { "taskforge", "_gauge" };
    struct metric_definition definition = { .kind = kind, .name = text_of(name) };
    struct metric_label label = { TEXT_LITERAL("queue"), text_of(queue) };
    char labels[METRIC_LABELS_BYTES], family[METRIC_FAMILY_BYTES];
    uint64_t series = 0;
    check(metric_labels_pack(&label, 1, labels, &definition.labels, NULL) == 0);
    size_t length = metric_family(&scheme, kind, definition.naming, definition.name, family);
    check(segment_add(place->segment, &definition, (struct text) { family, length }, place->now_ns, &series) == 0);
    return series;
}

static size_t series_of(struct place *place, const char *name, const char *queue, uint64_t second, double *ret_value,
                        int *ret_result) {
    struct rule rule = { .kind = RULE_METRIC, .metric = { .name = (char *)(uintptr_t)name } };
    struct rules rules = { .rules = &rule, .rule_count = 1 };
    struct observations all = OBSERVATIONS_EMPTY;
    if (queue)
        check(alert_pairs_set(&rule.metric.labels, TEXT_LITERAL("queue"), text_of(queue)) == 0);
    observe(place->observer, &rules, place->now_ns + second * SECOND, &all);
    size_t count = all.count;
    *ret_value = 0;
    for (size_t i = 0; i < count; i++)
        *ret_value += all.series[i].observation.value;
    if (ret_result)
        *ret_result = all.result;
    else
        assert_int_equal(all.result, 0);
    alert_pairs_finish(&rule.metric.labels);
    observations_finish(&all);
    return count;
}

static void metrics_are_found_by_both_names(void **state) {
    struct place *place = *state;
    struct histogram histogram = HISTOGRAM_EMPTY;
    double value;
    open_observer(place);
    segment_set_value(place->segment, add_series(place, METRIC_GAUGE, "depth", "mail"), 3, place->now_ns);
    segment_set_value(place->segment, add_series(place, METRIC_GAUGE, "depth", "jobs"), 40, place->now_ns);
    segment_set_value(place->segment, add_series(place, METRIC_COUNTER, "jobs", "mail"), 7, place->now_ns);
    check(histogram_add(&histogram, 2, 5) == 0);
    check(segment_set_histogram(place->segment, add_series(place, METRIC_HISTOGRAM, "size", ""), &histogram, 1) == 0);
    histogram_finish(&histogram);
    uint64_t hidden = add_series(place, METRIC_GAUGE, "depth", "hidden");
    segment_set_hidden(place->segment, hidden, true);
    beat(place, 5);
    assert_int_equal(series_of(place, "depth", NULL, 5, &value, NULL), 2);
    assert_true(value == 43);
    assert_int_equal(series_of(place, "taskforge_depth_gauge", NULL, 5, &value, NULL), 2);
    assert_int_equal(series_of(place, "depth", "jobs", 5, &value, NULL), 1);
    assert_true(value == 40);
    assert_int_equal(series_of(place, "depth", "nowhere", 5, &value, NULL), 0);
    assert_int_equal(series_of(place, "jobs", NULL, 5, &value, NULL), 1);
    assert_int_equal(series_of(place, "taskforge_jobs_total", NULL, 5, &value, NULL), 1);
    assert_true(value == 7);
    assert_int_equal(series_of(place, "taskforge_size_count", NULL, 5, &value, NULL), 1);
    assert_true(value == 5);
    assert_int_equal(series_of(place, "taskforge_size_sum", NULL, 5, &value, NULL), 1);
    assert_true(value == 10);
    assert_int_equal(series_of(place, "size", NULL, 5, &value, NULL), 0);
    assert_int_equal(series_of(place, "dept", NULL, 5, &value, NULL), 0);
}

static void old_values_are_no_values(void **state) {
    struct place *place = *state;
    double value;
    int result;
    segment_set_value(place->segment, add_series(place, METRIC_GAUGE, "depth", "mail"), 3, place->now_ns);
    open_observer(place);
    assert_int_equal(series_of(place, "depth", NULL, 60, &value, &result), 0);
    assert_int_equal(result, -EAGAIN); /* the collector may be starting as well as we are */
    beat(place, 60);
    assert_int_equal(series_of(place, "depth", NULL, 60, &value, NULL), 1);
    assert_int_equal(series_of(place, "depth", NULL, 69, &value, NULL), 1);
    assert_int_equal(series_of(place, "depth", NULL, 70, &value, &result), 0);
    assert_int_equal(result, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_counts_what_arrived_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_window_moves_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_lines_travel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_few_are_partial_without_a_heartbeat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_needs_a_window_that_was_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_are_found_by_both_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_values_are_no_values, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
