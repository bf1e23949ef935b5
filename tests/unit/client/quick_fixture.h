/* quick_fixture.h - two clients of one service, of which one may go the quick way and the other never does: what they write must be the
 * same. Where the time stamp counter may not be used, both go the ordinary way. */
#ifndef TASKFORGE_TESTS_UNIT_CLIENT_QUICK_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_CLIENT_QUICK_FIXTURE_H

#include "tests/unit/client/client_fixture.h"

#include "agent/client/client_internal.h"
#include "agent/client/quick.h"

enum { QUICK, ORDINARY, BOTH };

struct pair {
    struct fixture *fixture;
    tf_client *clients[BOTH];
    struct drain drain;
};

/* A limit that is never reached: each call is looked at. */
static inline tf_client *open_ordinary(const struct fixture *fixture) {
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    options.site_rate = UINT32_MAX;
    tf_client *client = NULL;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    return client;
}

static inline void pair_open(struct pair *pair, void **state) {
    pair->fixture = *state;
    pair->clients[QUICK] = fixture_open(pair->fixture, TF_POLICY_DROP, 0);
    pair->clients[ORDINARY] = open_ordinary(pair->fixture);
    for (int i = 0; i < BOTH; i++)
        assert_int_equal(tf_log(pair->clients[i], TF_LEVEL_INFO, NULL, "o", "the first"), 0);
    /* Until the process has measured the counter's rate there is no quick way. */
    for (int tries = 0; tries < 100 && TICKS_EXIST && thread_self->ticks.valid == 0; tries++) {
        usleep(1000);
        assert_int_equal(tf_log(pair->clients[QUICK], TF_LEVEL_INFO, NULL, "o", "one more"), 0);
    }
    drain_open(&pair->drain, pair->fixture->runtime_dir);
    drain_read(&pair->drain, true);
}

static inline void pair_close(struct pair *pair) {
    drain_close(&pair->drain);
    for (int i = 0; i < BOTH; i++)
        tf_close(pair->clients[i]);
}

/* The ordinary way of a statement leaves its time in the thread's record. */
static inline void quick_watch(void) {
    thread_self->record.entry.timestamp_ns = 0;
}

static inline void assert_was_quick(bool expected) {
    if (thread_self->ticks.valid != 0)
        assert_int_equal(thread_self->record.entry.timestamp_ns == 0, expected);
}

/* A line without its id and timestamp; *rest moves on to the next. By lengths: the sanitizers read what ends with NUL to its end. */
static inline struct text line_take(struct text *rest) {
    const char *end = memchr(rest->data, '\n', rest->length);
    assert_non_null(end);
    const char *level = memmem(rest->data, (size_t)(end - rest->data), "\"level\"", 7);
    assert_non_null(level);
    rest->length -= (size_t)(end + 1 - rest->data);
    rest->data = end + 1;
    return (struct text) { level, (size_t)(end - level) };
}

/* Everything that is there now is taken: the quick one's entries, and the same of the other. The number of each. */
static inline unsigned assert_same_entries(struct pair *pair) {
    unsigned count = drain_read(&pair->drain, true) / 2;
    assert_int_equal(pair->drain.entries, 2 * count);
    struct text quick = buffer_text(&pair->drain.lines), ordinary = quick;
    for (unsigned i = 0; i < count; i++)
        line_take(&ordinary);
    for (unsigned i = 0; i < count; i++) {
        struct text a = line_take(&quick), b = line_take(&ordinary);
        if (!text_equal(a, b))
            fail_msg("%.*s\nis not\n%.*s", TEXT_FORMAT(a), TEXT_FORMAT(b));
    }
    return count;
}

#endif
