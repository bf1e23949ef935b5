/* A trace put together: who is whose child, whatever the spans say; which traces there are. */
#include "tests/unit/store/store_spans.h"

#include "common/base/check.h"
#include "common/query/trace_list.h"

/* --- the tree --- */

static void add(struct trace *trace, uint8_t id, uint8_t parent, uint64_t start) {
    struct span span = make_span(1, id, start);
    memset(span.record.parent_id, 0, sizeof(span.record.parent_id));
    span.record.parent_id[7] = parent;
    assert_int_equal(trace_add(trace, &span), 0);
}

/* "1 .2 ..3": ids in their order, a dot for each step down; e and a number for entries. */
static void expect_rows(const struct trace *trace, const struct entry_copies *entries, const char *expected) {
    struct trace_row *rows;
    char found[256] = "";
    assert_int_equal(trace_arrange(trace, entries, &rows), 0);
    for (size_t i = 0; i < trace->count + (entries ? entries->count : 0); i++) {
        size_t length = strlen(found);
        unsigned number = rows[i].is_entry ? rows[i].index : trace->spans[rows[i].index].record.span_id[7];
        snprintf(found + length, sizeof(found) - length, "%s%.*s%s%u", i ? " " : "", (int)rows[i].depth, "........",
                 rows[i].is_entry ? "e" : "", number);
    }
    free(rows);
    assert_string_equal(found, expected);
}

static void children_stand_below_their_parents_by_time(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    expect_rows(&trace, NULL, "");
    add(&trace, 4, 2, 25);
    add(&trace, 3, 1, 30);
    add(&trace, 2, 1, 20);
    add(&trace, 1, 0, 10);
    add(&trace, 5, 2, 24);
    expect_rows(&trace, NULL, "1 .2 ..5 ..4 .3");
    trace_finish(&trace);
}

static void orphans_stand_at_the_top(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    add(&trace, 1, 0, 10);
    add(&trace, 2, 9, 5);
    add(&trace, 3, 2, 6);
    add(&trace, 4, 8, 50);
    expect_rows(&trace, NULL, "2 .3 1 4");
    struct trace_summary summary;
    trace_summarize(&trace, &summary);
    assert_int_equal(trace.spans[summary.root].record.span_id[7], 1); /* a root is better than an orphan */
    assert_int_equal(summary.start_ns, FIXTURE_NOW + 5);
    trace_finish(&trace);
}

static void a_child_whose_clock_is_another_one_stays_a_child(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    add(&trace, 1, 0, 1000);
    add(&trace, 2, 1, 1); /* before its parent */
    add(&trace, 3, 1, 999999);
    expect_rows(&trace, NULL, "1 .2 .3");
    trace_finish(&trace);
}

static void parents_that_go_in_a_ring_end_somewhere(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    add(&trace, 1, 1, 10); /* its own parent */
    expect_rows(&trace, NULL, "1");
    add(&trace, 2, 3, 20);
    add(&trace, 3, 4, 30);
    add(&trace, 4, 2, 40);
    add(&trace, 5, 3, 50);
    expect_rows(&trace, NULL, "1 4 .3 ..2 ..5");
    trace_finish(&trace);
}

static void of_two_spans_with_one_id_the_first_is_the_parent(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    add(&trace, 1, 0, 10);
    add(&trace, 1, 0, 20);
    add(&trace, 2, 1, 30);
    expect_rows(&trace, NULL, "1 .2 1");
    trace_finish(&trace);
}

static void entries_stand_below_the_span_they_name(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    struct entry_copies entries = ENTRY_COPIES_EMPTY;
    static const struct {
        const char *span;
        uint64_t at;
    } made[] = { { "0000000000000001", 15 }, { "0000000000000002", 21 }, { "", 12 },
                 { "000000000000000F", 13 }, { "no hex digits at", 14 }, { "0000000000000001", 40 } };
    for (size_t i = 0; i < COUNT_OF(made); i++) {
        const struct entry entry = { .timestamp_ns = FIXTURE_NOW + made[i].at, .span_id = text_of(made[i].span) };
        assert_int_equal(entry_copies_add(&entries, &entry), 0);
    }
    add(&trace, 1, 0, 10);
    add(&trace, 2, 1, 20);
    add(&trace, 15, 0, 5);
    expect_rows(&trace, &entries, "15 .e3 1 .e0 .2 ..e1 .e5 e2 e4");
    trace_finish(&trace);
    expect_rows(&trace, &entries, "e2 e3 e4 e0 e1 e5");
    entry_copies_finish(&entries);
}

static void a_chain_of_all_spans_there_may_be_needs_no_stack(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    struct trace_row *rows;
    for (uint64_t i = 1; i <= TRACE_SPANS_MAX + 5; i++) {
        struct span span = make_span(1, 1, i);
        uint64_t parent = i - 1;
        memcpy(span.record.span_id, &i, 8);
        memcpy(span.record.parent_id, &parent, 8);
        assert_int_equal(trace_add(&trace, &span), 0);
    }
    assert_int_equal(trace.count, TRACE_SPANS_MAX);
    assert_true(trace.more);
    assert_int_equal(trace_arrange(&trace, NULL, &rows), 0);
    for (uint32_t i = 0; i < trace.count; i++)
        assert_int_equal(rows[i].depth, i);
    free(rows);
    trace_finish(&trace);
}

static void any_parents_at_all_give_each_row_once(void **state) {
    (void)state;
    srand(3);
    for (int round = 0; round < 300; round++) {
        struct trace trace = TRACE_EMPTY;
        struct trace_row *rows;
        bool seen[20] = { false };
        size_t count = (size_t)(rand() % 20);
        for (size_t i = 0; i < count; i++)
            add(&trace, (uint8_t)(rand() % 15 + 1), (uint8_t)(rand() % 16), (uint64_t)(rand() % 10));
        assert_int_equal(trace_arrange(&trace, NULL, &rows), 0);
        for (size_t i = 0; i < count; i++) {
            assert_false(seen[rows[i].index]);
            seen[rows[i].index] = true;
            assert_true(rows[i].depth <= (i ? rows[i - 1].depth + 1 : 0));
        }
        free(rows);
        trace_finish(&trace);
    }
}

static void an_open_span_that_ended_meanwhile_is_there_once(void **state) {
    (void)state;
    struct trace trace = TRACE_EMPTY;
    struct trace_summary summary;
    add(&trace, 1, 0, 10);
    struct span open = make_span(1, 1, 10);
    open.end_ns = 0;
    open.record.failed = false;
    assert_int_equal(trace_add_open(&trace, &open), 0);
    open.record.span_id[7] = 2;
    assert_int_equal(trace_add_open(&trace, &open), 0);
    trace_summarize(&trace, &summary);
    assert_int_equal(summary.spans, 2);
    assert_int_equal(summary.open, 1);
    assert_int_equal(summary.failed, 1);
    trace_finish(&trace);
}

/* --- lists --- */

struct made {
    uint8_t trace, id;
    uint64_t start;
    const char *service;
};

static void put_made(uint64_t first, const struct made *made, size_t count) {
    struct partition *partition = fixture_create(fixture_path(first), first);
    struct partition_txn *txn = fixture_begin(partition, true);
    for (size_t i = 0; i < count; i++) {
        struct span span = make_span(made[i].trace, made[i].id, made[i].start);
        span.record.service = text_of(made[i].service);
        put_span(txn, first * 100 + i, &span);
    }
    must(partition_commit(txn, &error));
    partition_close(partition);
}

static struct store_reader *make_store(void) {
    static const struct made old[] = { { 1, 1, 100, "web" }, { 1, 2, 150, "db" }, { 2, 1, 200, "web" } };
    static const struct made young[] = { { 3, 1, 300, "web" }, { 1, 3, 500, "mail" }, { 4, 1, 250, "db" } };
    struct store_reader *reader;
    put_made(1, old, COUNT_OF(old));
    put_made(2, young, COUNT_OF(young));
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    return reader;
}

static void expect_list(struct store_reader *reader, const struct trace_list_options *options, const char *expected) {
    struct trace_list list = TRACE_LIST_EMPTY;
    char found[128] = "";
    must(trace_list_make(&list, reader, options, &error));
    for (size_t i = 0; i < list.count; i++) {
        size_t length = strlen(found);
        snprintf(found + length, sizeof(found) - length, "%s%u:%zu", i ? " " : "", list.lines[i].id[0],
                 list.lines[i].spans);
    }
    trace_list_finish(&list);
    assert_string_equal(found, expected);
}

static void the_latest_traces_come_first_by_when_they_began(void **state) {
    (void)state;
    struct store_reader *reader = make_store();
    struct trace_list_options options = { .until_ns = UINT64_MAX, .limit = 10 };
    expect_list(reader, &options, "3:1 4:1 2:1 1:3"); /* 1 has the latest span, but began first */
    options.limit = 2;
    expect_list(reader, &options, "3:1 4:1");
    options.limit = 0;
    expect_list(reader, &options, "");
    options = (struct trace_list_options) { .since_ns = FIXTURE_NOW + 200, .until_ns = FIXTURE_NOW + 300, .limit = 10 };
    expect_list(reader, &options, "4:1 2:1");
    options.since_ns = FIXTURE_NOW + 120; /* a trace that began before is none, though a span of it is inside */
    options.until_ns = FIXTURE_NOW + 190;
    expect_list(reader, &options, "");
    options = (struct trace_list_options) { .service = TEXT_LITERAL("mail"), .until_ns = UINT64_MAX, .limit = 10 };
    expect_list(reader, &options, "1:3");
    options.service = TEXT_LITERAL("db");
    expect_list(reader, &options, "4:1 1:3");
    options.service = TEXT_LITERAL("nobody");
    expect_list(reader, &options, "");
    store_reader_close(reader);
}

static void a_search_that_takes_too_long_is_given_up(void **state) {
    (void)state;
    struct trace_list list = TRACE_LIST_EMPTY;
    struct store_reader *reader = make_store();
    const struct trace_list_options options = { .until_ns = UINT64_MAX, .limit = 10, .give_up_ns = 1 };
    assert_int_equal(trace_list_make(&list, reader, &options, &error), -ETIMEDOUT);
    trace_list_finish(&list);
    store_reader_close(reader);
}

static void many_traces_are_listed_without_seeing_all_of_them(void **state) {
    (void)state;
    enum { MANY = 3000 };
    struct partition *partition = fixture_create(fixture_path(1), 1);
    struct partition_txn *txn = fixture_begin(partition, true);
    for (uint64_t i = 0; i < MANY; i++) {
        struct span span = make_span(1, 1, i * 10);
        memcpy(span.record.trace_id, &i, sizeof(i));
        put_span(txn, i, &span);
    }
    must(partition_commit(txn, &error));
    partition_close(partition);
    struct store_reader *reader;
    struct trace_list list = TRACE_LIST_EMPTY;
    struct trace_list_options options = { .until_ns = UINT64_MAX, .limit = SIZE_MAX };
    must(store_reader_open(fixture_folder, NULL, NULL, &reader, &error));
    must(trace_list_make(&list, reader, &options, &error));
    assert_int_equal(list.count, MANY);
    for (size_t i = 1; i < list.count; i++)
        assert_true(list.lines[i].start_ns < list.lines[i - 1].start_ns);
    trace_list_finish(&list);
    store_reader_close(reader);
}

static void open_spans_are_listed_by_trace(void **state) {
    (void)state;
    struct trace open = TRACE_EMPTY;
    struct trace_list list = TRACE_LIST_EMPTY;
    struct trace_list_options options = { .until_ns = UINT64_MAX, .limit = 10 };
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;
    static const struct made made[] = { { 1, 2, 20, "a" }, { 2, 1, 15, "b" }, { 1, 1, 10, "c" } };
    for (size_t i = 0; i < COUNT_OF(made); i++) {
        struct span span = make_span(made[i].trace, made[i].id, made[i].start);
        span.record.service = text_of(made[i].service);
        span.end_ns = 0;
        assert_int_equal(trace_add(&open, &span), 0);
    }
    assert_int_equal(trace_list_open(&list, &open, &options), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.lines[0].id[0], 2);
    assert_int_equal(list.lines[1].open, 2);
    assert_true(text_is(list.lines[1].service, "c"));
    trace_line_append_json(&json, &list.lines[0], &open);
    buffer_append_char(&json, '\0');
    assert_non_null(strstr(json.data, "\"active_count\":1,\"spans\":[{\"trace_id\":\"02"));
    assert_null(strstr(json.data, "duration"));
    trace_list_finish(&list);
    trace_finish(&open);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_stand_below_their_parents_by_time),
        cmocka_unit_test(orphans_stand_at_the_top),
        cmocka_unit_test(a_child_whose_clock_is_another_one_stays_a_child),
        cmocka_unit_test(parents_that_go_in_a_ring_end_somewhere),
        cmocka_unit_test(of_two_spans_with_one_id_the_first_is_the_parent),
        cmocka_unit_test(entries_stand_below_the_span_they_name),
        cmocka_unit_test(a_chain_of_all_spans_there_may_be_needs_no_stack),
        cmocka_unit_test(any_parents_at_all_give_each_row_once),
        cmocka_unit_test(an_open_span_that_ended_meanwhile_is_there_once),
        test(the_latest_traces_come_first_by_when_they_began),
        test(a_search_that_takes_too_long_is_given_up),
        test(many_traces_are_listed_without_seeing_all_of_them),
        cmocka_unit_test(open_spans_are_listed_by_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
