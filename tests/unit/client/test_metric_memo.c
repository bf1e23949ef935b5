/* Updates by name that are remembered write the record that the ordinary way writes, for what the words say now. */
#include "tests/unit/client/metrics_fixture.h"

#include "agent/client/metric_memo.h"

/* --- one update, both ways --- */

enum { MARK_AT = 5, MARK = 0x55 }; /* the header's flags, which nobody else sets: who copies a memo copies its mark */

struct written {
    uint32_t size; /* 0: nothing was */
    bool by_memo;
    char record[1024];
};

static struct lane_writer *writer_now(tf_client *client) {
    for (int i = 0; i < THREAD_LANES; i++)
        if (thread_self->lanes[i].session && thread_self->lanes[i].session->client == client)
            return &thread_self->lanes[i].writer;
    return NULL;
}

/* What stands in the lane from there on: one record at most, behind padding where a lap ended. Taken out. */
static struct written take(tf_client *client, uint64_t from) {
    struct lane_writer *writer = writer_now(client);
    struct written written = { .size = 0 };
    if (from % RING_LANE_SIZE > writer->head % RING_LANE_SIZE)
        from = writer->head - writer->head % RING_LANE_SIZE;
    const char *record = writer->data + from % RING_LANE_SIZE;
    written.size = (uint32_t)(writer->head - from);
    if (written.size == 0)
        return written;
    assert_true(written.size <= sizeof(written.record));
    written.by_memo = record[MARK_AT] == MARK;
    memcpy(written.record, record, written.size);
    written.record[MARK_AT] = 0;
    memset(written.record + 8, 0, 16); /* position and time are their own */
    atomic_store(&writer->header->tail, writer->head);
    return written;
}

typedef int update_function(tf_client *client, const char *name, double value, const struct tf_label *labels,
                            size_t label_count);

struct way {
    update_function *update;
    const char *name;
};

static const struct way ways[] = {
    { tf_metric_count, "mm_count" },     { tf_metric_set, "mm_gauge" }, { tf_metric_add, "mm_gauge" },
    { tf_metric_observe, "mm_observe" }, { tf_metric_time, "mm_time" },
};

/* The same update the ordinary way, and then as it comes: the same result, the same sentence, the same record. */
static bool assert_same_ways(tf_client *client, const struct way *way, double value, const struct tf_label *labels,
                             size_t count) {
    char sentence[256];
    thread_self->hot = NULL; /* not this time */
    uint64_t from = writer_now(client)->head;
    int r = way->update(client, way->name, value, labels, count);
    struct written ordinary = take(client, from);
    snprintf(sentence, sizeof(sentence), "%s", tf_last_error());
    assert_false(ordinary.by_memo);
    assert_int_equal(tf_prepare(client), 0); /* its lane is the one used last */
    for (int i = 0; i < MEMO_COUNT; i++)
        thread_self->memos[i].record[MARK_AT] = MARK;
    from = writer_now(client)->head;
    assert_int_equal(way->update(client, way->name, value, labels, count), r);
    struct written second = take(client, from);
    assert_string_equal(tf_last_error(), sentence);
    assert_int_equal(second.size, ordinary.size);
    assert_memory_equal(second.record, ordinary.record, ordinary.size);
    assert_int_equal(ordinary.size > 0, r == 0);
    return second.by_memo;
}

static tf_client *open_warm(const struct fixture *fixture) {
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    tf_context_clear();
    assert_int_equal(tf_prepare(client), 0);
    assert_int_equal(tf_log(client, TF_LEVEL_INFO, NULL, "o", "reads the settings"), 0);
    return client;
}

/* --- all of them --- */

static void every_kind_value_and_label_is_written_the_same(void **state) {
    tf_client *client = open_warm(*state);
    static const struct tf_label two[] = { { "queue", "mail" }, { "a", "\xc3\xa9 \"quoted\"" } };
    static const struct tf_label reversed[] = { { "a", "\xc3\xa9 \"quoted\"" }, { "queue", "mail" } };
    static const struct tf_label empty[] = { { "queue", "" }, { "b", "1" } };
    const struct {
        const struct tf_label *labels;
        size_t count;
    } sets[] = { { NULL, 0 }, { two, 2 }, { two, 1 }, { reversed, 2 }, { empty, 2 } };
    static const double values[] = { 0, -0.0, 1, 2.5, 1e300, 5e-324, 4294967296, -1, INFINITY, -INFINITY, NAN };
    static const char *const traces[] = { NULL, "4bf92f3577b34da6a3ce929d0e0e4736", "text" };
    unsigned remembered = 0, all = 0;
    for (size_t trace = 0; trace < COUNT_OF(traces); trace++) {
        assert_int_equal(tf_context_set(traces[trace], NULL, NULL), 0);
        for (size_t set = 0; set < COUNT_OF(sets); set++)
            for (size_t way = 0; way < COUNT_OF(ways); way++)
                for (size_t value = 0; value < COUNT_OF(values); value++, all++)
                    remembered +=
                        assert_same_ways(client, &ways[way], values[value], sets[set].labels, sets[set].count);
    }
    tf_context_clear();
    assert_true(remembered > all / 2); /* the rest are refused, or carry a trace as text */
    tf_close(client);
}

static void the_trace_of_now_goes_along(void **state) {
    tf_client *client = open_warm(*state);
    struct tf_context context = { .has = 0 };
    /* a label that has the same digits does not take the trace's place */
    static char digits[33];
    const struct tf_label label = { "trace", digits };
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tf_context_new_trace(&context), 0);
        assert_int_equal(tf_context_use(&context), 0);
        if (i % 5 == 0)
            text_hex(context.trace_id, 16, digits);
        for (size_t way = 0; way < COUNT_OF(ways); way++)
            assert_same_ways(client, &ways[way], i, &label, 1);
        assert_true(assert_same_ways(client, &ways[0], i, NULL, 0));
    }
    tf_context_clear();
    tf_close(client);
}

static void what_the_words_say_now_is_what_is_updated(void **state) {
    tf_client *client = open_warm(*state);
    char name[] = "mm_count", key[] = "queue", value[] = "mail1";
    struct tf_label label = { key, value };
    const struct way way = { tf_metric_count, name };
    struct drain drain;
    for (int i = 0; i < 3; i++) {
        assert_true(assert_same_ways(client, &way, 1, &label, 1));
        value[4]++;
        assert_true(assert_same_ways(client, &way, 1, &label, 1));
        key[0]++;
        assert_true(assert_same_ways(client, &way, 1, &label, 1));
        name[7]++;
        assert_true(assert_same_ways(client, &way, 1, &label, 1));
        value[2] = '\0';
        assert_true(assert_same_ways(client, &way, 1, &label, 1));
        value[2] = 'i';
    }
    /* one update each, without the ordinary one before */
    for (int i = 0; i < 4; i++) {
        value[4] = (char)('1' + i % 2);
        assert_int_equal(tf_metric_count(client, name, i, &label, 1), 0);
    }
    drain = look(*state);
    assert_string_equal(drain.updates.data, "counter app add mm_counw{tueue=\"mail1\"} 0 \n"
                                            "counter app add mm_counw{tueue=\"mail2\"} 1 \n"
                                            "counter app add mm_counw{tueue=\"mail1\"} 2 \n"
                                            "counter app add mm_counw{tueue=\"mail2\"} 3 \n");
    drain_finish(&drain);
    tf_close(client);
}

/* Without an ordinary one in between: what differs in one thing alone is another series, or another update. */
static void what_differs_in_one_thing_is_another_update(void **state) {
    tf_client *client = open_warm(*state);
    static char values[300]; /* so few updates that none is promoted */
    struct drain drain;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tf_metric_set(client, "mm_gauge", 1, NULL, 0), 0);
        assert_int_equal(tf_metric_add(client, "mm_gauge", 2, NULL, 0), 0);
    }
    drain = look(*state);
    assert_string_equal(drain.updates.data, "gauge app set mm_gauge{} 1 \ngauge app add mm_gauge{} 2 \n"
                                            "gauge app set mm_gauge{} 1 \ngauge app add mm_gauge{} 2 \n"
                                            "gauge app set mm_gauge{} 1 \ngauge app add mm_gauge{} 2 \n");
    drain_finish(&drain);
    /* wherever the label's value stands: some of these addresses share a place with none */
    for (size_t i = 0; i + 1 < sizeof(values); i++) {
        const struct tf_label label = { "l", &values[i] };
        values[i] = 'v';
        assert_int_equal(tf_metric_count(client, "mm_count", 1, &label, 1), 0);
        assert_int_equal(tf_metric_count(client, "mm_count", 1, NULL, 0), 0);
        assert_int_equal(tf_metric_count(client, "mm_count", 1, &label, 1), 0);
        values[i] = '\0';
    }
    drain = look(*state);
    unsigned labelled = 0;
    for (const char *at = drain.updates.data; (at = strstr(at, "mm_count{l=\"v\"}")); at++)
        labelled++;
    assert_int_equal(drain.update_count, 3 * (sizeof(values) - 1));
    assert_int_equal(labelled, 2 * (sizeof(values) - 1));
    drain_finish(&drain);
    tf_close(client);
}

static void a_label_with_the_trace_s_digits_keeps_them(void **state) {
    tf_client *client = open_warm(*state);
    static const char first[] = "4bf92f3577b34da6a3ce929d0e0e4736", second[] = "12345678901234567890123456789012";
    const struct tf_label label = { "trace", first };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tf_context_set(first, NULL, NULL), 0);
        assert_int_equal(tf_metric_count(client, "mm_count", 1, &label, 1), 0);
        assert_int_equal(tf_context_set(second, NULL, NULL), 0);
        assert_int_equal(tf_metric_count(client, "mm_count", 1, &label, 1), 0);
        tf_context_clear();
        assert_int_equal(tf_metric_count(client, "mm_count", 1, &label, 1), 0);
    }
    struct drain drain = look(*state);
    const char *at = drain.updates.data;
    for (int i = 0; i < 6; i++) {
        static const char *const traces[] = { first, second, "" };
        char expected[128];
        snprintf(expected, sizeof(expected), "counter app add mm_count{trace=\"%s\"} 1 %s\n", first, traces[i % 3]);
        assert_memory_equal(at, expected, strlen(expected));
        at += strlen(expected);
    }
    drain_finish(&drain);
    tf_close(client);
}

/* The places are fewer than the series: they take turns, and none is another's. */
static void many_series_take_turns(void **state) {
    tf_client *client = open_warm(*state);
    static char values[4 * MEMO_COUNT][16];
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 4 * MEMO_COUNT; i++) {
            snprintf(values[i], sizeof(values[i]), "v%d", i);
            const struct tf_label label = { "n", values[i] };
            assert_same_ways(client, &ways[(size_t)i % COUNT_OF(ways)], i, &label, 1);
        }
    tf_close(client);
}

static void what_is_too_long_is_not_remembered(void **state) {
    tf_client *client = open_warm(*state);
    static char text[METRIC_LABEL_VALUE_BYTES + 1];
    memset(text, 'v', METRIC_LABEL_VALUE_BYTES);
    for (size_t length = MEMO_WORDS_MAX - 40; length < MEMO_WORDS_MAX + 300; length++) {
        const struct tf_label label = { "l", text + METRIC_LABEL_VALUE_BYTES - length };
        bool remembered = assert_same_ways(client, &ways[0], 1, &label, 1);
        assert_int_equal(remembered, strlen(ways[0].name) + 1 + 2 + length + 1 <= MEMO_WORDS_MAX);
    }
    tf_close(client);
}

/* --- refusals and losses --- */

static int count_with_so_many_labels(void *client) {
    const struct tf_label one = { "a", "b" };
    for (int turn = 0; turn < 2; turn++)
        for (size_t count = METRIC_LABELS_MAX + 1; count != 0; count = count > SIZE_MAX / 2 ? 0 : count * 2 + 1)
            if (tf_metric_count(client, "mm_count", 1, &one, count) != 0)
                return 1;
    return 0;
}

/* Not even looked at, since the number may be garbage: for the overflow series. */
static void a_number_of_labels_that_cannot_be_overflows(void **state) {
    tf_client *client = open_warm(*state);
    assert_int_equal(in_child(count_with_so_many_labels, client), 0);
    assert_int_equal(count_with_so_many_labels(client), 0);
    tf_close(client);
}

static void one_name_has_one_kind_also_when_it_is_remembered(void **state) {
    tf_client *client = open_warm(*state);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tf_metric_count(client, "mm_kind", 1, NULL, 0), 0);
        REFUSED(tf_metric_observe(client, "mm_kind", 1, NULL, 0), -EEXIST,
                "mm_kind is a counter already and cannot be a histogram too");
        REFUSED(tf_metric_set(client, "mm_kind", 1, NULL, 0), -EEXIST, "mm_kind is a counter already");
    }
    tf_close(client);
}

static void one_client_s_memory_serves_the_other(void **state) {
    tf_client *client = open_warm(*state), *other = open_warm(*state);
    assert_true(assert_same_ways(client, &ways[0], 1, mail, 1));
    assert_true(assert_same_ways(other, &ways[0], 1, mail, 1));
    tf_close(other);
    assert_true(assert_same_ways(client, &ways[0], 1, mail, 1));
    tf_close(client);
}

static void loses_what_finds_no_room_and_goes_on_over_laps(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = open_warm(fixture);
    uint64_t updates = 0, read = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 10000; i++, updates++) {
            int r = tf_metric_count(client, "mm_count", 0.5, mail, 1); /* no fraction goes into a cell */
            assert_true(r == 0 || r == -EAGAIN);
        }
        struct drain drain = look(fixture);
        read += drain.update_count;
        assert_int_equal(read + fixture_lost(client), updates);
        assert_int_equal(drain.lost[LOSS_LANE_FULL][LEVEL_INFO], fixture_lost(client));
        drain_finish(&drain);
    }
    assert_true(fixture_lost(client) > 0);
    tf_close(client);
}

static int count_in_child(void *client) {
    for (int i = 0; i < 3; i++)
        if (tf_metric_count(client, "mm_count", 7, mail, 1) != 0)
            return 1;
    return 0;
}

static void a_child_writes_into_its_own_lane(void **state) {
    tf_client *client = open_warm(*state);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tf_metric_count(client, "mm_count", 1, mail, 1), 0);
    assert_int_equal(in_child(count_in_child, client), 0);
    assert_int_equal(tf_metric_count(client, "mm_count", 1, mail, 1), 0);
    struct drain drain = look(*state);
    assert_int_equal(drain.update_count, 7);
    drain_finish(&drain);
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(every_kind_value_and_label_is_written_the_same),
        fixture_test(the_trace_of_now_goes_along),
        fixture_test(what_the_words_say_now_is_what_is_updated),
        fixture_test(what_differs_in_one_thing_is_another_update),
        fixture_test(a_label_with_the_trace_s_digits_keeps_them),
        fixture_test(many_series_take_turns),
        fixture_test(what_is_too_long_is_not_remembered),
        fixture_test(a_number_of_labels_that_cannot_be_overflows),
        fixture_test(one_name_has_one_kind_also_when_it_is_remembered),
        fixture_test(one_client_s_memory_serves_the_other),
        fixture_test(loses_what_finds_no_room_and_goes_on_over_laps),
        fixture_test(a_child_writes_into_its_own_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
