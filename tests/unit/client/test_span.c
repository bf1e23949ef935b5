/* Spans: the thread's context while they last, their record, what others see of those that are open. */
#include "tests/unit/client/client_fixture.h"

#include <pthread.h>
#include <sys/syscall.h>

#include "agent/client/client_internal.h"
#include "common/model/pack.h"

/* --- what a collector would read of them --- */

enum { SEEN_MAX = 128 };

struct seen {
    unsigned count;
    struct {
        struct record_span span; /* its texts are here: */
        char operation[ENTRY_NAME_BYTES + 1], status[RECORD_SPAN_STATUS_BYTES + 1], metadata[256];
        uint64_t end_ns;
    } spans[SEEN_MAX];
};

static void see(struct seen *seen, const struct record *record) {
    assert_true(seen->count < SEEN_MAX);
    struct record_span *span = &seen->spans[seen->count].span;
    *span = record->span;
    seen->spans[seen->count].end_ns = record->time_ns;
    snprintf(seen->spans[seen->count].operation, ENTRY_NAME_BYTES + 1, "%.*s", TEXT_FORMAT(span->operation));
    snprintf(seen->spans[seen->count].status, RECORD_SPAN_STATUS_BYTES + 1, "%.*s", TEXT_FORMAT(span->status));
    struct buffer json = BUFFER_EMPTY;
    if (span->metadata.length > 0)
        pack_append_json(&json, span->metadata);
    snprintf(seen->spans[seen->count].metadata, sizeof(seen->spans[0].metadata), "%.*s",
             TEXT_FORMAT(buffer_text(&json)));
    buffer_finish(&json);
    seen->count++;
}

/* All spans in the ring, which are taken out of it. */
static void take_spans_of(struct drain *drain, struct seen *seen) {
    seen->count = 0;
    for (uint32_t lane = 0; lane < drain->ring.lane_count; lane++) {
        struct lane_state state;
        struct record record;
        assert_int_equal(ring_reader_lane(&drain->ring, lane, &state), 0);
        if (state.head == state.tail)
            continue;
        char *bytes = malloc(state.head - state.tail);
        assert_int_equal(ring_reader_copy(&drain->ring, lane, state.tail, state.head, bytes), 0);
        struct span_reader reader = { .bytes = bytes, .position = state.tail, .end = state.head };
        while (span_reader_next(&reader, &record) == 1)
            if (record.kind == RECORD_SPAN)
                see(seen, &record);
        assert_int_equal(reader.position, reader.end);
        assert_int_equal(ring_reader_set_tail(&drain->ring, lane, state.head), 0);
        free(bytes);
    }
}

static struct seen seen;

static void take_spans(const struct fixture *fixture) {
    struct drain drain;
    drain_open(&drain, fixture->runtime_dir);
    take_spans_of(&drain, &seen);
    drain_close(&drain);
}

/* --- the thread's context --- */

static void assert_current(const uint8_t trace_id[16], const uint8_t span_id[8]) {
    struct tf_context now;
    assert_int_equal(tf_context_get(&now), 0);
    assert_int_equal(now.has & TF_HAS_SPAN, span_id ? TF_HAS_SPAN : 0);
    assert_int_equal(now.has & TF_HAS_TRACE, trace_id ? TF_HAS_TRACE : 0);
    if (trace_id)
        assert_memory_equal(now.trace_id, trace_id, 16);
    if (span_id)
        assert_memory_equal(now.span_id, span_id, 8);
}

static void the_inner_is_the_outer_s_child_and_gives_way_to_it(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_span spans[3];
    static const char *const operations[] = { "outer", "middle", "inner" };
    tf_context_clear();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tf_span_start(client, operations[i], &spans[i]), 0);
        assert_current(spans[i].context.trace_id, spans[i].context.span_id);
        assert_memory_equal(spans[i].context.trace_id, spans[0].context.trace_id, 16);
        assert_int_equal(spans[i].context.trace_flags, TF_TRACE_SAMPLED);
    }
    for (int i = 2; i >= 0; i--) {
        assert_current(spans[i].context.trace_id, spans[i].context.span_id);
        assert_int_equal(tf_span_end(&spans[i], i == 1), 0);
    }
    assert_current(NULL, NULL);
    take_spans(fixture);
    assert_int_equal(seen.count, 3);
    static const uint8_t none[8];
    for (int i = 0; i < 3; i++) { /* they come as they ended */
        const struct record_span *span = &seen.spans[2 - i].span;
        assert_string_equal(seen.spans[2 - i].operation, operations[i]);
        assert_memory_equal(span->trace_id, spans[0].context.trace_id, 16);
        assert_memory_equal(span->span_id, spans[i].context.span_id, 8);
        assert_memory_equal(span->parent_id, i == 0 ? none : spans[i - 1].context.span_id, 8);
        assert_int_equal(span->failed, i == 1);
        assert_int_equal(span->thread, syscall(SYS_gettid));
        assert_true(span->start_ns >= seen.spans[2].span.start_ns && span->start_ns <= seen.spans[2 - i].end_ns);
    }
    tf_close(client);
}

static void entries_carry_the_span_they_were_written_in(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_context context = { .has = 0 };
    struct tf_span span;
    char trace[33] = "", ids[128];
    assert_int_equal(tf_context_from_traceparent(&context, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
                     0);
    assert_int_equal(tf_context_set_user(&context, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", NULL), 0);
    assert_int_equal(tf_context_set_correlation(&context, "order-7"), 0);
    assert_int_equal(tf_context_use(&context), 0);
    assert_int_equal(tf_span_start(client, "deliver", &span), 0);
    assert_memory_equal(span.context.trace_id, context.trace_id, 16);
    assert_memory_equal(span.parent_id, context.span_id, 8);
    assert_int_equal(span.context.trace_flags, 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "inside %d", 1);
    assert_int_equal(tf_span_end(&span, 0), 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "outside %d", 1);
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    text_hex(span.context.span_id, 8, trace);
    trace[16] = '\0';
    snprintf(ids, sizeof(ids), "inside 1\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"%s\"",
             trace);
    assert_int_equal(drain_count(&drain, ids), 1);
    assert_int_equal(drain_count(&drain, "outside 1\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":"
                                         "\"00f067aa0ba902b7\""),
                     1);
    assert_int_equal(drain_count(&drain, "\"correlation_id\":\"order-7\",\"user_id\":\"6f1c0f0e-"), 2);
    drain_finish(&drain);
    tf_context_clear();
    tf_close(client);
}

static void text_ids_come_back_behind_a_span(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_span span;
    assert_int_equal(tf_context_set("request 17", "step", NULL), 0);
    assert_int_equal(tf_span_start(client, "o", &span), 0); /* of a trace of its own: text is no id of W3C's */
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "inside");
    assert_int_equal(tf_span_end(&span, 0), 0);
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "outside");
    struct drain drain;
    assert_int_equal(drain_once(fixture->runtime_dir, true, &drain), 2);
    assert_int_equal(drain_count(&drain, "\"trace_id\":\"request 17\",\"span_id\":\"step\""), 1);
    drain_finish(&drain);
    tf_context_clear();
    tf_close(client);
}

static void an_end_leaves_a_context_that_was_set_meanwhile(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_context other = { .has = 0 };
    struct tf_span span;
    assert_int_equal(tf_context_new_trace(&other), 0);
    assert_int_equal(tf_span_start(client, "o", &span), 0);
    assert_int_equal(tf_context_use(&other), 0);
    assert_int_equal(tf_span_end(&span, 0), 0);
    assert_current(other.trace_id, other.span_id);
    tf_context_clear();
    tf_close(client);
}

/* --- one for another thread --- */

static void *end_it(void *argument) {
    struct tf_span *span = argument;
    assert_int_equal(tf_span_end(span, 1), 0);
    assert_current(NULL, NULL);
    return NULL;
}

static void a_span_in_a_context_may_end_on_another_thread(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_context current = { .has = 0 }, parent = { .has = 0 }, user = { .has = 0 };
    struct tf_span span, under, alone;
    pthread_t thread;
    assert_int_equal(tf_context_new_trace(&current), 0);
    assert_int_equal(tf_context_new_trace(&parent), 0);
    assert_int_equal(tf_context_set_user(&parent, NULL, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11"), 0);
    assert_int_equal(tf_context_set_correlation(&parent, "order-7"), 0);
    assert_int_equal(tf_context_use(&current), 0);
    assert_int_equal(tf_span_start_in(client, "parent", &parent, &span), 0);
    assert_current(current.trace_id, current.span_id); /* left alone */
    assert_memory_equal(span.context.trace_id, parent.trace_id, 16);
    assert_memory_equal(span.parent_id, parent.span_id, 8);
    assert_int_equal(span.context.has, TF_HAS_TRACE | TF_HAS_SPAN | TF_HAS_ORGANIZATION);
    assert_memory_equal(span.context.correlation_id, "order-7", 7);
    assert_int_equal(span.context.correlation_length, 7);
    assert_int_equal(tf_span_start_in(client, "under", &span.context, &under), 0);
    assert_memory_equal(under.parent_id, span.context.span_id, 8);
    assert_int_equal(pthread_create(&thread, NULL, end_it, &span), 0);
    pthread_join(thread, NULL);
    assert_int_equal(tf_span_end(&span, 0), -EINVAL);
    assert_int_equal(tf_span_end(&under, 0), 0);
    /* without a parent, and under one that has no trace: of new ones */
    assert_int_equal(tf_span_start_in(client, "alone", NULL, &alone), 0);
    assert_memory_not_equal(alone.context.trace_id, current.trace_id, 16);
    assert_int_equal(tf_span_end(&alone, 0), 0);
    assert_int_equal(tf_context_set_user(&user, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", NULL), 0);
    assert_int_equal(tf_span_start_in(client, "alone", &user, &alone), 0);
    assert_int_equal(alone.context.has, TF_HAS_TRACE | TF_HAS_SPAN | TF_HAS_USER);
    assert_int_equal(tf_span_end(&alone, 0), 0);
    assert_current(current.trace_id, current.span_id);
    take_spans(fixture);
    assert_int_equal(seen.count, 4);
    tf_context_clear();
    tf_close(client);
}

/* --- the end --- */

static void a_span_ends_once_and_only_if_it_began(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_span span, zeros, garbage;
    memset(&zeros, 0, sizeof(zeros));
    memset(&garbage, 0xa5, sizeof(garbage));
    assert_int_equal(tf_span_start(client, "o", &span), 0);
    assert_int_equal(tf_span_end(&span, 0), 0);
    assert_int_equal(tf_span_end(&span, 0), -EINVAL);
    assert_string_equal(tf_last_error(), "the span has ended already");
    assert_int_equal(tf_span_end_with(&span, "why", NULL, 0), -EINVAL);
    struct tf_span *const none[] = { &zeros, &garbage, NULL };
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_int_equal(tf_span_end(none[i], 0), -EINVAL);
        assert_string_equal(tf_last_error(), "there is no such span: it was not started");
    }
    static char long_name[ENTRY_NAME_CHARACTERS + 2];
    memset(long_name, 'x', sizeof(long_name) - 1);
    const char *const bad[] = { NULL, "", long_name, "bad \xff" };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(tf_span_start(client, bad[i], &span), -EINVAL);
        assert_string_equal(tf_last_error(), "a span's operation must be 1 to 100 characters of UTF-8");
        assert_current(NULL, NULL);
        assert_int_equal(tf_span_end(&span, 0), -EINVAL);
    }
    assert_int_equal(tf_span_start(client, "o", NULL), -EINVAL);
    assert_int_equal(tf_span_start_in(client, "o", NULL, NULL), -EINVAL);
    take_spans(fixture);
    assert_int_equal(seen.count, 1);
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static void says_why_it_failed_and_what_else_there_is(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    const struct tf_field fields[] = { tf_str("queue", "mail"), tf_int("attempt", 2) }, bad = tf_str("k", "\xff");
    char long_why[RECORD_SPAN_STATUS_BYTES + 2];
    struct tf_span span;
    memset(long_why, 'x', sizeof(long_why) - 1);
    long_why[sizeof(long_why) - 1] = '\0';
    assert_int_equal(tf_span_start(client, "deliver", &span), 0);
    /* what is refused leaves it open */
    assert_int_equal(tf_span_end_with(&span, long_why, NULL, 0), -EINVAL);
    assert_string_equal(tf_last_error(), "why a span failed must be at most 1024 bytes of UTF-8");
    assert_int_equal(tf_span_end_with(&span, "bad \xff", NULL, 0), -EINVAL);
    assert_int_equal(tf_span_end_with(&span, NULL, &bad, 1), -EINVAL);
    assert_string_equal(tf_last_error(), "metadata \"k\" must be UTF-8");
    assert_current(span.context.trace_id, span.context.span_id);
    assert_int_equal(tf_span_end_with(&span, long_why + 1, fields, 2), 0);
    assert_int_equal(tf_span_start(client, "deliver", &span), 0);
    assert_int_equal(tf_span_end_with(&span, NULL, fields, 1), 0);
    assert_int_equal(tf_span_start(client, "deliver", &span), 0);
    assert_int_equal(tf_span_end_with(&span, "", NULL, 0), 0);
    take_spans(fixture);
    assert_int_equal(seen.count, 3);
    assert_true(seen.spans[0].span.failed);
    assert_string_equal(seen.spans[0].status, long_why + 1);
    assert_string_equal(seen.spans[0].metadata, "{\"queue\":\"mail\",\"attempt\":2}");
    assert_false(seen.spans[1].span.failed);
    assert_string_equal(seen.spans[1].metadata, "{\"queue\":\"mail\"}");
    assert_false(seen.spans[2].span.failed);
    assert_string_equal(seen.spans[2].metadata, "");
    tf_close(client);
}

static void without_room_it_is_lost_at_level_info(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_loss_counts losses;
    struct tf_span span;
    while (tf_log(client, TF_LEVEL_INFO, NULL, "fill", "the lane") == 0)
        ;
    assert_int_equal(tf_span_start(client, "o", &span), 0);
    assert_int_equal(tf_span_end(&span, 0), -EAGAIN);
    assert_current(NULL, NULL);
    assert_int_equal(tf_span_end(&span, 0), -EINVAL);
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    assert_int_equal(losses.lane_full[TF_LEVEL_INFO], 2);
    assert_int_equal(losses.total, 2);
    tf_close(client);
}

static void it_begins_without_a_ring_and_ends_in_one(void **state) {
    struct fixture *fixture = *state;
    char path[192];
    snprintf(path, sizeof(path), "%s/rings", fixture->runtime_dir);
    FILE *in_the_way = fopen(path, "w"); /* a file where the folder should be */
    assert_non_null(in_the_way);
    fclose(in_the_way);
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    tf_client *client;
    struct tf_span span, lost;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_int_equal(tf_span_start(client, "before", &span), 0);
    assert_int_equal(tf_span_start(client, "lost", &lost), 0);
    assert_int_equal(tf_span_end(&lost, 0), -EAGAIN);
    assert_string_equal(tf_last_error(), "no ring to write an entry of level info to");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tf_prepare(client), 0);
    assert_int_equal(tf_span_end(&span, 0), 0);
    take_spans(fixture);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.spans[0].operation, "before");
    assert_int_equal(fixture_lost(client), 1);
    tf_close(client);
}

/* A thread that does nothing but start and end spans leaves a ring that is set aside, too. */
static void spans_alone_go_to_the_new_ring(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_span span, open;
    struct drain old;
    char path[192];
    snprintf(path, sizeof(path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    assert_int_equal(tf_span_start(client, "old", &span), 0);
    assert_int_equal(tf_span_end(&span, 0), 0);
    assert_int_equal(tf_span_start(client, "both", &open), 0);
    drain_open(&old, fixture->runtime_dir);
    assert_int_equal(ring_reader_retire(&old.ring, true), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tf_span_start(client, "new", &span), 0);
    assert_int_equal(tf_span_end(&span, 0), 0);
    assert_int_equal(tf_span_end(&open, 0), 0);
    take_spans_of(&old, &seen);
    assert_int_equal(seen.count, 1);
    drain_close(&old);
    take_spans(fixture);
    assert_int_equal(seen.count, 2);
    tf_close(client);
}

/* --- those that are open --- */

struct open_spans {
    unsigned count, stop_at;
    struct tf_open_span spans[SEEN_MAX];
    char operations[SEEN_MAX][SLOT_SPAN_OPERATION_BYTES + 1];
};

static int collect(const struct tf_open_span *span, void *argument) {
    struct open_spans *found = argument;
    assert_int_equal(span->size, sizeof(*span));
    assert_string_equal(span->service, "mailer");
    found->spans[found->count] = *span;
    strcpy(found->operations[found->count], span->operation);
    return ++found->count == found->stop_at ? 7 : 0;
}

static struct open_spans found;

static void find_open(tf_client *client, const char *trace_id) {
    found = (struct open_spans) { .count = 0 };
    assert_int_equal(tf_open_spans(client, trace_id, collect, &found), 0);
}

static void those_that_are_open_are_seen_until_they_end(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_span outer, inner, other;
    char trace[33] = "", span[17] = "";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    find_open(client, NULL);
    assert_int_equal(found.count, 0);
    /* cut between two characters */
    const char *const name = "a name so long that it has to be cut in the table: \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
    assert_int_equal(tf_span_start(client, "outer", &outer), 0);
    assert_int_equal(tf_span_start(client, name, &inner), 0);
    assert_int_equal(tf_span_start_in(client, "other", NULL, &other), 0);
    find_open(client, NULL);
    assert_int_equal(found.count, 3);
    text_hex(outer.context.trace_id, 16, trace);
    find_open(client, trace);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.operations[0], "outer");
    assert_memory_equal(found.operations[1], name, 54);
    assert_int_equal(strlen(found.operations[1]), 54);
    assert_string_equal(found.spans[1].trace_id, trace);
    text_hex(outer.context.span_id, 8, span);
    assert_string_equal(found.spans[0].span_id, span);
    assert_string_equal(found.spans[0].parent_id, "");
    assert_string_equal(found.spans[1].parent_id, span);
    assert_int_equal(found.spans[1].pid, getpid());
    assert_int_equal(found.spans[1].thread, syscall(SYS_gettid));
    assert_true(found.spans[1].start_ns / 1000000000 - (uint64_t)now.tv_sec < 60);
    found = (struct open_spans) { .stop_at = 2 };
    assert_int_equal(tf_open_spans(client, NULL, collect, &found), 7);
    assert_int_equal(found.count, 2);
    assert_int_equal(tf_open_spans(client, "4bf9", collect, &found), -EINVAL);
    assert_int_equal(tf_span_end(&inner, 0), 0);
    assert_int_equal(tf_span_end(&other, 0), 0);
    find_open(client, NULL);
    assert_int_equal(found.count, 1);
    assert_int_equal(tf_span_end(&outer, 0), 0);
    find_open(client, NULL);
    assert_int_equal(found.count, 0);
    tf_close(client);
}

static void more_than_the_table_holds_are_records_all_the_same(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    enum { MORE = SLOT_SPANS_MAX + 10 };
    struct tf_span spans[MORE];
    for (int round = 0; round < 2; round++) { /* places are used again */
        for (int i = 0; i < MORE; i++)
            assert_int_equal(tf_span_start_in(client, "o", NULL, &spans[i]), 0);
        find_open(client, NULL);
        assert_int_equal(found.count, SLOT_SPANS_MAX);
        for (int i = MORE - 1; i >= 0; i -= 2)
            assert_int_equal(tf_span_end(&spans[i], 0), 0);
        find_open(client, NULL);
        assert_int_equal(found.count, SLOT_SPANS_MAX / 2);
        for (int i = 0; i < MORE; i += 2)
            assert_int_equal(tf_span_end(&spans[i], 0), 0);
        find_open(client, NULL);
        assert_int_equal(found.count, 0);
        take_spans(fixture);
        assert_int_equal(seen.count, MORE);
    }
    tf_close(client);
}

struct family {
    tf_client *client;
    struct tf_span *span;
};

/* In the child: the parent's span is seen, and ended here it stays the parent's; one's own comes and goes. */
static int go_on_in_child(void *argument) {
    struct family *family = argument;
    struct tf_span own;
    if (tf_span_start(family->client, "child", &own) != 0)
        return 1;
    if (memcmp(own.parent_id, family->span->context.span_id, sizeof(own.parent_id)) != 0)
        return 2;
    found = (struct open_spans) { .count = 0 };
    if (tf_open_spans(family->client, NULL, collect, &found) != 0 || found.count != 2)
        return 3;
    if (tf_span_end(&own, 0) != 0 || tf_span_end(family->span, 1) != 0)
        return 4;
    found = (struct open_spans) { .count = 0 };
    return tf_open_spans(family->client, NULL, collect, &found) != 0 || found.count != 1 ||
           found.spans[0].pid != (uint32_t)getppid();
}

static void a_fork_with_open_spans_leaves_the_parent_s_alone(void **state) {
    struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    struct tf_span span;
    struct family family = { client, &span };
    assert_int_equal(tf_span_start(client, "parent", &span), 0);
    assert_int_equal(in_child(go_on_in_child, &family), 0);
    find_open(client, NULL);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.operations[0], "parent");
    assert_int_equal(tf_span_end(&span, 0), 0);
    take_spans(fixture);
    assert_int_equal(seen.count, 3);
    tf_close(client);
}

static int look_from_outside(void *argument) {
    struct fixture *fixture = argument;
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    tf_client *client;
    if (tf_open("onlooker", &options, &client) != 0)
        return 1;
    found = (struct open_spans) { .count = 0 };
    int r = tf_open_spans(client, NULL, collect, &found);
    tf_close(client);
    return r != 0 || found.count != 1 || strcmp(found.operations[0], "seen from outside") != 0;
}

static void another_process_sees_them(void **state) {
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    struct tf_span span;
    assert_int_equal(tf_span_start(client, "seen from outside", &span), 0);
    assert_int_equal(in_child(look_from_outside, *state), 0);
    assert_int_equal(tf_span_end(&span, 0), 0);
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(the_inner_is_the_outer_s_child_and_gives_way_to_it),
        fixture_test(entries_carry_the_span_they_were_written_in),
        fixture_test(text_ids_come_back_behind_a_span),
        fixture_test(an_end_leaves_a_context_that_was_set_meanwhile),
        fixture_test(a_span_in_a_context_may_end_on_another_thread),
        fixture_test(a_span_ends_once_and_only_if_it_began),
        fixture_test(says_why_it_failed_and_what_else_there_is),
        fixture_test(without_room_it_is_lost_at_level_info),
        fixture_test(it_begins_without_a_ring_and_ends_in_one),
        fixture_test(spans_alone_go_to_the_new_ring),
        fixture_test(those_that_are_open_are_seen_until_they_end),
        fixture_test(more_than_the_table_holds_are_records_all_the_same),
        fixture_test(a_fork_with_open_spans_leaves_the_parent_s_alone),
        fixture_test(another_process_sees_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
