/* The inputs' way in: no loss unasked, a service and a position with each record. */
#include "tests/unit/client/client_fixture.h"

#include "agent/client/producer.h"
#include "common/model/metric.h"

static struct record_entry line(const char *service, const char *message) {
    return (struct record_entry) { .entry = { .level = LEVEL_INFO,
                                              .service = text_of(service),
                                              .module = TEXT_LITERAL("tail"),
                                              .operation = TEXT_LITERAL("line"),
                                              .message = text_of(message) } };
}

static struct producer *open_producer(const struct fixture *fixture) {
    struct producer *producer = NULL;
    struct error error = { "" };
    assert_int_equal(producer_open(fixture->runtime_dir, "taskforge-agent", &producer, &error), 0);
    assert_string_equal(error.text, "");
    return producer;
}

static void writes_a_record_with_its_own_service_time_and_position(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = open_producer(fixture);
    struct record_entry record = line("kernel", "text");
    record.has_position = true;
    record.position = (struct input_position) { .input = TEXT_LITERAL("tail"),
                                                .key = TEXT_LITERAL("8:1:77"),
                                                .value = TEXT_LITERAL("1024") };
    assert_int_equal(producer_write(producer, &record, UINT64_C(1763900000123456789)), 0);
    record.entry.service = TEXT_EMPTY;
    assert_int_equal(producer_write(producer, &record, 0), 0);
    struct record alone = { .kind = RECORD_INPUT_POSITION, .input_position = record.position };
    assert_int_equal(producer_write_record(producer, &alone), 0);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 2);
    assert_int_equal(drain.positions, 3);
    assert_int_equal(drain_count(&drain, "\"timestamp\":\"2025-11-23T12:13:20.123456789Z\""), 1);
    assert_int_equal(drain_count(&drain, "\"service\":\"kernel\""), 1);
    assert_int_equal(drain_count(&drain, "\"service\":\"taskforge-agent\""), 1);
    assert_int_equal(drain_count(&drain, "{\"id\":\"00000000"), 0);
    drain_finish(&drain);
    producer_close(producer);
}

static void keeps_an_id_and_a_timestamp_that_were_given(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = open_producer(fixture);
    struct record_entry record = line("s", "text");
    record.entry.timestamp_ns = UINT64_C(1000000000);
    uuid_parse(TEXT_LITERAL("6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11"), &record.entry.id);
    assert_int_equal(producer_write(producer, &record, 0), 0);
    assert_entry_with(fixture, "{\"id\":\"6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11\","
                               "\"timestamp\":\"1970-01-01T00:00:01.000000000Z\"");
    producer_close(producer);
}

static void says_no_room_without_counting_a_loss(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = open_producer(fixture);
    struct record_entry record = line("s", "text");
    unsigned written = 0;
    while (producer_write(producer, &record, 0) == 0)
        written++;
    assert_int_equal(producer_write(producer, &record, 0), -EAGAIN);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), written);
    assert_int_equal(drain.lost_total, 0);
    drain_finish(&drain);
    assert_int_equal(producer_write(producer, &record, 0), 0);
    assert_int_equal(producer_count_loss(producer, LEVEL_WARN, LOSS_INPUT, 3), 0);
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.lost[LOSS_INPUT][LEVEL_WARN], 3);
    assert_int_equal(drain.lost_total, 3);
    drain_finish(&drain);
    assert_int_equal(producer_flush(producer, 0), 0);
    producer_close(producer);
}

static void a_daemon_s_metrics_keep_their_naming(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = open_producer(fixture);
    struct metric_definition definition = { .kind = METRIC_COUNTER,
                                            .naming = METRIC_NAMING_PREFIXED,
                                            .name = TEXT_LITERAL("pr_requests_total"),
                                            .help = TEXT_LITERAL("requests served") };
    struct error error = { "" };
    tf_metric *requests, *load;
    assert_int_equal(producer_metric_register(producer, &definition, &requests, &error), 0);
    definition.kind = METRIC_GAUGE;
    assert_int_equal(producer_metric_register(producer, &definition, &load, &error), -EEXIST);
    assert_non_null(strstr(error.text, "would collide"));
    definition.naming = METRIC_NAMING_VERBATIM;
    definition.name = TEXT_LITERAL("pr_node_load1");
    assert_int_equal(producer_metric_register(producer, &definition, &load, &error), 0);
    assert_int_equal(tf_counter_add(requests, 3), 0);
    assert_int_equal(tf_gauge_set(load, 0.5), 0);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_string_equal(drain.cells.data,
                        "counter prefixed pr_requests_total{} 3\ngauge verbatim pr_node_load1{} 0.5\n");
    drain_finish(&drain);
    producer_close(producer);
}

static void metric_updates_leave_room_for_errors(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = open_producer(fixture);
    struct record update = { .kind = RECORD_METRIC_UPDATE,
                             .metric_update = { .metric_kind = METRIC_GAUGE,
                                                .naming = METRIC_NAMING_VERBATIM,
                                                .operation = METRIC_SET,
                                                .value = 1.5,
                                                .name = TEXT_LITERAL("pr_node_load5") } };
    unsigned written = 0;
    while (producer_write_record(producer, &update) == 0)
        written++;
    struct record_entry record = line("s", "an error still fits");
    record.entry.level = LEVEL_ERROR;
    assert_int_equal(producer_write(producer, &record, 0), 0);
    assert_int_equal(producer_write_record_or_lose(producer, &update), -EAGAIN);
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 1);
    assert_int_equal(drain.update_count, written);
    assert_int_equal(drain.lost_total, 1);
    assert_int_equal(drain.lost[LOSS_LANE_FULL][LEVEL_INFO], 1);
    drain_finish(&drain);
    producer_close(producer);
}

static void says_what_stands_in_the_way_of_a_ring(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = NULL;
    struct error error = { "" };
    char path[192];
    snprintf(path, sizeof(path), "%s/settings", fixture->runtime_dir); /* a file, no folder */
    assert_int_equal(producer_open(path, "s", &producer, &error), 0);
    assert_true(strlen(error.text) > 0);
    struct record_entry record = line("s", "text");
    assert_int_equal(producer_write(producer, &record, 0), -EAGAIN);
    producer_close(producer);
}

static void refuses_what_cannot_be(void **state) {
    struct fixture *fixture = *state;
    struct producer *producer = NULL;
    struct error error = { "" };
    assert_int_equal(producer_open(fixture->runtime_dir, "", &producer, &error), -EINVAL);
    assert_non_null(strstr(error.text, "service"));
    assert_null(producer);
    producer_close(NULL);
    producer = open_producer(fixture);
    struct record_entry record = line("s", "text");
    record.site = 1;
    assert_int_equal(producer_write(producer, &record, 0), -EINVAL);
    record.site = 0;
    record.entry.message.length = 1 << 20;
    assert_int_equal(producer_write(producer, &record, 0), -E2BIG);
    producer_close(producer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(writes_a_record_with_its_own_service_time_and_position),
        fixture_test(keeps_an_id_and_a_timestamp_that_were_given),
        fixture_test(says_no_room_without_counting_a_loss),
        fixture_test(a_daemon_s_metrics_keep_their_naming),
        fixture_test(metric_updates_leave_room_for_errors),
        fixture_test(says_what_stands_in_the_way_of_a_ring),
        fixture_test(refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
