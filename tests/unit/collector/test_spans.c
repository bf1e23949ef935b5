/* Spans and health reports out of the rings, and spans into the store. */
#include "tests/unit/shm/ring_fixture.h"

#include "collector/drain.h"
#include "collector/spans.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"
#include "common/store/reader.h"

struct setup {
    struct ring producer;
    struct slot_claim claim;
    struct lane_writer writer;
    struct state_map state;
    struct rings rings;
    struct health health;
    struct drain drain;
    struct batch batch;
};

static void setup_open(const struct ring_fixture *f, struct setup *s) {
    struct error error = { "" };
    uint32_t lane;
    memset(s, 0, sizeof(*s));
    fixture_attach(f, &s->producer);
    assert_int_equal(ring_slot_claim(&s->producer, TEXT_LITERAL("billing"), 0, &s->claim), 0);
    assert_int_equal(ring_lane_claim(&s->producer, &s->claim, false, &s->writer, &lane), 0);
    assert_int_equal(daemon_runtime_dirs(f->runtime_dir, &error), 0);
    assert_int_equal(rings_init(&s->rings, f->runtime_dir, &s->state, &error), 0);
    assert_int_equal(drain_init(&s->drain, &s->rings, NULL, &error), 0);
    health_init(&s->health, &s->state);
    s->drain.health = &s->health;
    assert_true(rings_scan(&s->rings));
}

static void setup_close(struct setup *s) {
    batch_finish(&s->batch);
    drain_finish(&s->drain);
    rings_finish(&s->rings);
    state_map_finish(&s->state);
    ring_finish(&s->producer);
}

static void write_record(struct setup *s, struct record *record) {
    char room[RECORD_SIZE_MAX / 2];
    uint64_t position;
    int size = record_encode(record, room, sizeof(room));
    assert_true(size > 0);
    void *at = lane_claim(&s->writer, (uint32_t)size, LEVEL_ERROR, &position);
    assert_non_null(at);
    record->position = position;
    assert_int_equal(record_encode(record, at, (size_t)size), size);
    lane_commit(&s->writer, (uint32_t)size);
}

static struct record make_record(uint8_t id) {
    return (struct record) { .kind = RECORD_SPAN,
                             .time_ns = 2000,
                             .span = { .trace_id = { 1 },
                                       .span_id = { id },
                                       .start_ns = 1000,
                                       .thread = 7,
                                       .operation = TEXT_LITERAL("charge") } };
}

static void gather(struct setup *s) {
    struct drain_state seen;
    drain_round(&s->drain, &seen);
    batch_clear(&s->batch);
    assert_true(drain_gather(&s->drain, true, clock_real_ns(), &s->batch));
}

static void settle(struct setup *s) {
    assert_int_equal(batch_apply(&s->batch, &s->state), 0);
    drain_settle(&s->drain);
}

static void a_span_gets_what_its_slot_says(void **state) {
    struct setup s;
    setup_open(*state, &s);
    struct record record = make_record(1);
    write_record(&s, &record);
    record.span.service = TEXT_LITERAL("other");
    record.span.failed = true;
    record.span.status = TEXT_LITERAL("card refused");
    record.span.metadata = TEXT_LITERAL("\x81\xa1k\x01");
    write_record(&s, &record);
    gather(&s);
    assert_int_equal(s.batch.span_count, 2);
    const struct span *span = s.batch.spans;
    assert_true(text_is(span[0].record.service, "billing"));
    assert_true(text_is(span[0].host, s.drain.host));
    assert_int_equal(span[0].pid, getpid());
    assert_int_equal(span[0].record.start_ns, 1000);
    assert_int_equal(span[0].end_ns, 2000);
    assert_true(text_is(span[0].record.status, ""));
    assert_true(text_is(span[1].record.service, "other"));
    assert_true(text_is(span[1].record.status, "card refused"));
    assert_int_equal(span[1].record.metadata.length, 4);
    drain_discard(&s.drain); /* not safe: gathered again */
    gather(&s);
    assert_int_equal(s.batch.span_count, 2);
    settle(&s);
    gather(&s);
    assert_int_equal(s.batch.span_count, 0);
    setup_close(&s);
}

static void a_span_that_breaks_rules_is_repaired_or_counted(void **state) {
    struct setup s;
    static char status[RECORD_SPAN_STATUS_BYTES];
    setup_open(*state, &s);
    memset(status, '\xff', sizeof(status));
    struct record record = make_record(0); /* no id */
    write_record(&s, &record);
    record = make_record(1);
    record.span.trace_id[0] = 0;
    write_record(&s, &record);
    record = make_record(2);
    record.span.operation = TEXT_LITERAL("\xff");
    record.span.status = (struct text) { status, sizeof(status) };
    record.span.start_ns = 0;
    write_record(&s, &record);
    record = make_record(3);
    record.span.operation = TEXT_EMPTY;
    record.time_ns = 0;
    write_record(&s, &record);
    gather(&s);
    assert_int_equal(s.batch.invalid_spans, 2);
    assert_int_equal(s.batch.span_count, 2);
    assert_int_equal(s.batch.repaired, 0); /* of entries */
    const struct record_span *span = &s.batch.spans[0].record;
    assert_true(text_is(span->operation, "\xef\xbf\xbd"));
    assert_true(text_utf8_valid(span->status) && span->status.length <= RECORD_SPAN_STATUS_BYTES);
    assert_true(span->metadata.length > 0); /* says that it was repaired */
    assert_int_equal(span->start_ns, 2000);
    assert_true(text_is(s.batch.spans[1].record.operation, "unknown"));
    assert_false(span_is_open(&s.batch.spans[1]));
    setup_close(&s);
}

/* --- into the store --- */

static int count_span(void *argument, const struct span *span) {
    assert_true(text_is(span->record.service, "billing"));
    ++*(int *)argument;
    return 0;
}

static void spans_are_stored_and_found_by_trace_and_time(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    struct error error = { "" };
    char path[PARTITION_PATH_MAX], logs[256];
    struct partition *partition;
    struct partition_txn *txn;
    const struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .created_ns = 1 };
    setup_open(f, &s);
    for (uint8_t i = 1; i <= 3; i++) {
        struct record record = make_record(i);
        write_record(&s, &record);
    }
    gather(&s);
    snprintf(logs, sizeof(logs), "%s/logs", f->runtime_dir);
    assert_int_equal(mkdir(logs, 0755), 0);
    assert_int_equal(partition_make_path(f->runtime_dir, 0, 1, path), 0);
    assert_int_equal(partition_create(path, &meta, 16 << 20, &partition, &error), 0);
    assert_int_equal(partition_begin(partition, true, &txn, &error), 0);
    assert_int_equal(spans_put(txn, &s.batch, 40, &error), 0);
    assert_int_equal(partition_commit(txn, &error), 0);
    partition_close(partition);
    struct store_reader *reader;
    struct span_walk *walk;
    struct partition_span_time time;
    const uint8_t trace[16] = { 1 };
    int count = 0;
    assert_int_equal(store_reader_open(f->runtime_dir, NULL, NULL, &reader, &error), 0);
    assert_int_equal(store_reader_trace(reader, trace, count_span, &count, &error), 0);
    assert_int_equal(count, 3);
    assert_int_equal(span_walk_open(reader, UINT64_MAX, &walk, &error), 0);
    for (uint64_t i = 3; i-- > 0;) {
        assert_int_equal(span_walk_next(walk, &time, &error), 1);
        assert_int_equal(time.sequence, 40 + i);
        assert_int_equal(time.start_ns, 1000);
    }
    assert_int_equal(span_walk_next(walk, &time, &error), 0);
    span_walk_close(walk);
    store_reader_close(reader);
    setup_close(&s);
}

/* --- health reports --- */

static void write_report(struct setup *s, const char *name, const char *word, const char *details, uint64_t time_ns) {
    struct record record = { .kind = RECORD_HEALTH_REPORT,
                             .time_ns = time_ns,
                             .health_report = { .name = text_of(name),
                                                .state = text_of(word),
                                                .details = text_of(details),
                                                .time_to_live_ns = 5 * CLOCK_SECOND } };
    write_record(s, &record);
}

static int take_report(void *argument, struct text key, struct text value) {
    struct health_report *report = argument;
    (void)key;
    assert_int_equal(health_report_decode(value, report), 0);
    return 0;
}

/* How many the state has; *ret is one of them. */
static size_t reports(const struct setup *s, struct health_report *ret) {
    assert_int_equal(state_map_walk(&s->state, TEXT_LITERAL(STATE_HEALTH), take_report, ret), 0);
    return s->state.count - 1; /* but the lane's position */
}

static void the_newest_report_of_a_name_is_kept(void **state) {
    struct setup s;
    struct health_report report;
    setup_open(*state, &s);
    write_report(&s, "database", "healthy", "", 100);
    write_report(&s, "database", "degraded", "slow", 200);
    gather(&s);
    drain_discard(&s.drain);
    health_discard(&s.health);
    assert_int_equal(s.health.count, 0);
    gather(&s);
    settle(&s);
    assert_int_equal(reports(&s, &report), 1);
    assert_true(text_is(report.service, "billing") && text_is(report.name, "database"));
    assert_int_equal(report.state, HEALTH_DEGRADED);
    assert_true(text_is(report.details, "slow"));
    assert_int_equal(report.time_ns, 200);
    assert_int_equal(report.ttl_ns, 5 * CLOCK_SECOND);
    assert_int_equal(report.pid, getpid());
    write_report(&s, "database", "healthy", "from a lane that waited", 150);
    gather(&s);
    settle(&s);
    assert_int_equal(reports(&s, &report), 1);
    assert_int_equal(report.state, HEALTH_DEGRADED);
    health_init(&s.health, &s.state); /* as at the next start */
    assert_int_equal(s.health.count, 1);
    write_report(&s, "database", "healthy", "", 300);
    gather(&s);
    settle(&s);
    assert_int_equal(reports(&s, &report), 1);
    assert_int_equal(report.state, HEALTH_HEALTHY);
    setup_close(&s);
}

static void a_report_that_makes_no_sense_is_told_as_unhealthy(void **state) {
    struct setup s;
    struct health_report report;
    setup_open(*state, &s);
    write_report(&s, "database", "\xff", "why", UINT64_MAX);
    gather(&s);
    settle(&s);
    assert_int_equal(reports(&s, &report), 1);
    assert_int_equal(report.state, HEALTH_UNHEALTHY);
    assert_true(text_is(report.details, "(a state that does not exist: \"\xef\xbf\xbd\") why"));
    assert_true(report.time_ns <= clock_real_ns()); /* a clock that is ahead makes nothing last for ever */
    setup_close(&s);
}

static void reports_that_are_over_leave(void **state) {
    struct setup s;
    struct health_report report;
    setup_open(*state, &s);
    uint64_t now = clock_real_ns();
    write_report(&s, "old", "healthy", "", now - 2 * HEALTH_KEPT_NS);
    write_report(&s, "late", "healthy", "", now - HEALTH_KEPT_NS / 2);
    gather(&s);
    settle(&s);
    assert_int_equal(reports(&s, &report), 2);
    batch_clear(&s.batch);
    health_expire(&s.health, now, &s.batch);
    settle(&s);
    assert_int_equal(reports(&s, &report), 1);
    assert_true(text_is(report.name, "late"));
    assert_true(health_report_is_late(&report, now));
    setup_close(&s);
}

static void no_user_has_more_than_his_share_of_reports(void **state) {
    struct setup s;
    const struct origin origin = { .service = TEXT_LITERAL("s") };
    setup_open(*state, &s);
    batch_clear(&s.batch);
    for (uint64_t i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%llu", (unsigned long long)i);
        const struct record_health_report record = { .name = text_of(name), .state = TEXT_LITERAL("healthy") };
        health_add(&s.health, (uid_t)(i % 10), &origin, &record, 1000 + i, &s.batch);
    }
    assert_int_equal(s.health.count, HEALTH_REPORTS_MAX);
    size_t of[10] = { 0 };
    for (size_t i = 0; i < s.health.count; i++) {
        of[s.health.items[i].user]++;
        assert_true(s.health.items[i].time_ns > 1000 + 5000 - 2000); /* the oldest went */
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(of[i], HEALTH_REPORTS_MAX / 10 - 1, HEALTH_REPORTS_MAX / 10 + 1);
    for (uint64_t i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "m%llu", (unsigned long long)i);
        const struct record_health_report record = { .name = text_of(name), .state = TEXT_LITERAL("healthy") };
        health_add(&s.health, 77, &origin, &record, 10000 + i, &s.batch);
    }
    size_t own = 0;
    for (size_t i = 0; i < s.health.count; i++)
        own += s.health.items[i].user == 77;
    assert_true(own <= HEALTH_REPORTS_USER);
    settle(&s);
    size_t kept = s.health.count;
    health_init(&s.health, &s.state); /* the state has what memory has */
    assert_int_equal(s.health.count, kept);
    setup_close(&s);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(a_span_gets_what_its_slot_says),
        TEST(a_span_that_breaks_rules_is_repaired_or_counted),
        TEST(spans_are_stored_and_found_by_trace_and_time),
        TEST(the_newest_report_of_a_name_is_kept),
        TEST(a_report_that_makes_no_sense_is_told_as_unhealthy),
        TEST(reports_that_are_over_leave),
        TEST(no_user_has_more_than_his_share_of_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
