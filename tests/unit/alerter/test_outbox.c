/* The outbox over a real store; the HTTP client and the end of a transaction are played by the test (ld's --wrap). */
#include "alerter/outbox.h"

#include "alerter/outbox_record.h"
#include "common/base/diag.h"
#include "sample.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW SAMPLE_TIME
enum { IN_HAND_MAX = 8 };

/* --- the played client --- */

struct http_request {
    bool used;
    char url[64];
    char key[200];
    http_done_function *done;
    void *context;
};

static struct http_request in_hand[IN_HAND_MAX];
static unsigned sent, cancelled;
static int send_result, commit_result;

int __wrap_http_send(struct http_client *client, const struct http_message *message, http_done_function *done,
                     void *context, struct http_request **ret, struct error *error);
void __wrap_http_cancel(struct http_request *request);
int __real_alert_store_commit(struct alert_store_txn *txn, struct error *error);
int __wrap_alert_store_commit(struct alert_store_txn *txn, struct error *error);

int __wrap_http_send(struct http_client *client, const struct http_message *message, http_done_function *done,
                     void *context, struct http_request **ret, struct error *error) {
    struct http_request *request = in_hand;

    (void)client;
    if (send_result < 0)
        return error_set(error, send_result, "played");
    while (request->used)
        request++;
    assert_true(request < in_hand + IN_HAND_MAX);
    *request = (struct http_request) { .used = true, .done = done, .context = context };
    snprintf(request->url, sizeof(request->url), "%s", message->url);
    snprintf(request->key, sizeof(request->key), "%s", message->headers[2].value);
    *ret = request;
    sent++;
    return 0;
}

void __wrap_http_cancel(struct http_request *request) {
    if (!request)
        return;
    assert_true(request->used);
    request->used = false;
    cancelled++;
}

int __wrap_alert_store_commit(struct alert_store_txn *txn, struct error *error) {
    if (commit_result == 0)
        return __real_alert_store_commit(txn, error);
    alert_store_abort(txn);
    return error_set(error, commit_result, "played");
}

/* --- what each test has --- */

static struct channel_config channels[] = {
    { .name = (char *)"a", .type = CHANNEL_WEBHOOK, .url = (char *)"http://a/" },
    { .name = (char *)"b", .type = CHANNEL_WEBHOOK, .url = (char *)"http://b/" },
};

struct bench {
    char folder[64];
    struct loop *loop;
    struct alert_store *store;
    struct outbox *outbox;
    uint64_t now;
    struct alert alert;
};

static void at(struct bench *bench, uint64_t now) {
    bench->now = now;
    clock_set_for_test(now);
}

static void turn(struct bench *bench) {
    while (loop_run_once(bench->loop, 0) > 0)
        ;
}

static void open_outbox(struct bench *bench) {
    assert_int_equal(outbox_open(bench->loop, NULL, bench->store, &bench->outbox, NULL), 0);
}

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    struct error aside, error = { "" };

    snprintf(bench->folder, sizeof(bench->folder), "/tmp/taskforge-test-outbox-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    assert_int_equal(loop_create(&bench->loop, NULL), 0);
    at(bench, NOW);
    if (alert_store_open(bench->folder, &bench->store, &aside, &error) < 0)
        fail_msg("%s", error.text);
    bench->alert = sample_alert();
    memset(in_hand, 0, sizeof(in_hand));
    sent = cancelled = 0;
    send_result = commit_result = 0;
    open_outbox(bench);
    *state = bench;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *place) {
    (void)status, (void)flag, (void)place;
    return remove(path);
}

static int tear_down(void **state) {
    struct bench *bench = *state;

    outbox_close(bench->outbox);
    alert_store_close(bench->store);
    loop_destroy(bench->loop);
    alert_finish(&bench->alert);
    clock_set_for_test(0);
    nftw(bench->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(bench);
    return 0;
}

static struct alert_store_txn *begin(struct bench *bench) {
    struct alert_store_txn *txn;

    assert_int_equal(alert_store_begin(bench->store, true, &txn, NULL), 0);
    return txn;
}

static void put(struct bench *bench, struct alert_store_txn *txn, const char *channel) {
    struct error error;

    if (outbox_put(bench->outbox, txn, channel, &bench->alert, bench->now, &error) < 0)
        fail_msg("%s", error.text);
}

static void put_one(struct bench *bench, const char *channel) {
    struct alert_store_txn *txn = begin(bench);

    put(bench, txn, channel);
    assert_int_equal(__real_alert_store_commit(txn, NULL), 0);
    outbox_commit(bench->outbox);
}

static void restart(struct bench *bench) {
    outbox_close(bench->outbox);
    open_outbox(bench);
    outbox_set_channels(bench->outbox, channels, 2);
    turn(bench);
}

/* The request in hand to that address; fails when there is none. */
static struct http_request *request_to(const char *url) {
    for (size_t i = 0; i < IN_HAND_MAX; i++)
        if (in_hand[i].used && strcmp(in_hand[i].url, url) == 0)
            return &in_hand[i];
    fail_msg("nothing is in hand to %s", url);
    return NULL;
}

static void answer_with(struct bench *bench, const char *url, struct http_answer answer) {
    struct http_request *request = request_to(url);

    answer.line = answer.line ? answer.line : "played";
    answer.refused = answer.refused ? answer.refused : "";
    answer.failure = answer.status ? "" : "played failure";
    request->used = false;
    request->done(&answer, request->context);
    turn(bench);
}

static void answer(struct bench *bench, const char *url, unsigned status) {
    answer_with(bench, url, (struct http_answer) { .status = status });
}

static struct outbox_counts counts(struct bench *bench) {
    return outbox_counts(bench->outbox);
}

static int count_one(void *argument, struct text key, struct text value) {
    (void)key, (void)value;
    ++*(size_t *)argument;
    return 0;
}

static size_t stored(struct bench *bench) {
    struct alert_store_txn *txn;
    size_t count = 0;

    assert_int_equal(alert_store_begin(bench->store, false, &txn, NULL), 0);
    assert_int_equal(alert_store_walk(txn, ALERT_STORE_OUTBOX, count_one, &count, NULL), 0);
    alert_store_abort(txn);
    return count;
}

/* --- tests --- */

static void what_is_committed_is_sent_and_removed_when_taken(void **state) {
    struct bench *bench = *state;

    put_one(bench, "a");
    turn(bench);
    assert_int_equal(sent, 0); /* the channels are not known yet */
    outbox_set_channels(bench->outbox, channels, 2);
    turn(bench);
    assert_int_equal(sent, 1);
    assert_string_equal(request_to("http://a/")->key, "many-errors:" SAMPLE_ID ":active:1764000000123");
    assert_int_equal(stored(bench), 1);
    answer(bench, "http://a/", 200);
    assert_int_equal(stored(bench), 0);
    assert_int_equal(counts(bench).delivered, 1);
    assert_int_equal(counts(bench).waiting, 0);
    restart(bench);
    assert_int_equal(sent, 1);
}

static void what_is_aborted_was_never_there(void **state) {
    struct bench *bench = *state;
    struct alert_store_txn *txn = begin(bench);

    outbox_set_channels(bench->outbox, channels, 2);
    put(bench, txn, "a");
    put(bench, txn, "b");
    alert_store_abort(txn);
    outbox_abort(bench->outbox);
    turn(bench);
    assert_int_equal(sent + counts(bench).waiting, 0);
    put_one(bench, "a");
    turn(bench);
    assert_int_equal(sent, 1);
    assert_int_equal(counts(bench).waiting, 1);
    assert_int_equal(counts(bench).damaged, 0);
}

static void channels_wait_for_themselves_alone_and_keep_the_order(void **state) {
    struct bench *bench = *state;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    at(bench, NOW + CLOCK_SECOND);
    put_one(bench, "a");
    for (int i = 0; i < 40; i++) { /* the queue grows, and moves on in its memory */
        put_one(bench, "b");
        put_one(bench, "b");
        turn(bench);
        answer(bench, "http://b/", 204);
        assert_int_equal(counts(bench).delivered, i + 1);
    }
    for (int i = 40; i < 80; i++)
        answer(bench, "http://b/", 204);
    assert_int_equal(counts(bench).delivered, 80);
    assert_non_null(strstr(request_to("http://a/")->key, ":1764000000123"));
    answer(bench, "http://a/", 200);
    assert_non_null(strstr(request_to("http://a/")->key, ":1764000001123"));
    assert_int_equal(counts(bench).waiting, 1);
    assert_int_equal(stored(bench), 1);
}

static void what_fails_in_passing_is_tried_again_later_and_later(void **state) {
    struct bench *bench = *state;
    uint64_t expected = 1;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    put_one(bench, "a");
    turn(bench);
    for (unsigned i = 1; i < 12; i++) {
        answer(bench, "http://a/", i % 2 ? 0 : 500);
        assert_int_equal(counts(bench).failed, i);
        if (i == 3)
            put_one(bench, "a"); /* another one does not hasten it */
        at(bench, bench->now + expected * CLOCK_SECOND / 4 * 3 - CLOCK_MILLISECOND);
        turn(bench);
        assert_int_equal(sent, i); /* not yet */
        at(bench, bench->now + expected * CLOCK_SECOND / 2 + 2 * CLOCK_MILLISECOND);
        turn(bench);
        assert_int_equal(sent, i + 1);
        expected = expected * 2 < 300 ? expected * 2 : 300;
    }
    answer(bench, "http://a/", 200);
    assert_int_equal(sent, 13); /* the second, at once */
    assert_int_equal(stored(bench), 2);
}

static void the_wait_grows_within_its_bounds(void **state) {
    uint64_t least = 750 * CLOCK_MILLISECOND;

    (void)state;
    for (unsigned failures = 1; failures < 100; failures++) {
        uint64_t low = outbox_backoff_ns(failures, 0), high = outbox_backoff_ns(failures, UINT32_MAX);

        assert_int_equal(low, least);
        assert_true(high <= least / 3 * 5 && high <= OUTBOX_BACKOFF_MAX_NS && high > low);
        least = least * 2 < OUTBOX_BACKOFF_MAX_NS / 4 * 3 ? least * 2 : OUTBOX_BACKOFF_MAX_NS / 4 * 3;
    }
    assert_int_equal(outbox_backoff_ns(1, UINT32_MAX), 1250 * CLOCK_MILLISECOND);
    assert_int_equal(outbox_backoff_ns(UINT32_MAX, UINT32_MAX), OUTBOX_BACKOFF_MAX_NS);
}

static void retry_after_is_honoured_where_it_means_something(void **state) {
    static const struct {
        unsigned status;
        uint64_t said, waited;
    } cases[] = { { 429, 100, 100 }, { 503, 60, 60 }, { 429, 100000, 3600 }, { 500, 100, 0 }, { 429, 0, 0 } };
    struct bench *bench = *state;

    outbox_set_channels(bench->outbox, channels, 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned before;

        put_one(bench, "a");
        turn(bench);
        before = sent;
        answer_with(bench, "http://a/",
                    (struct http_answer) { .status = cases[i].status, .retry_after_ns = cases[i].said * CLOCK_SECOND });
        if (cases[i].waited > 0) {
            at(bench, bench->now + cases[i].waited * CLOCK_SECOND - CLOCK_MILLISECOND);
            turn(bench);
            assert_int_equal(sent, before);
            at(bench, bench->now + CLOCK_MILLISECOND);
        } else
            at(bench, bench->now + 2 * CLOCK_SECOND);
        turn(bench);
        assert_int_equal(sent, before + 1);
        answer(bench, "http://a/", 200);
    }
}

static void what_is_refused_for_good_is_set_aside_and_the_next_goes_on(void **state) {
    struct bench *bench = *state;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    put_one(bench, "a");
    turn(bench);
    answer_with(bench, "http://a/", (struct http_answer) { .status = 400, .body = TEXT_LITERAL("no such \x1b room") });
    assert_int_equal(sent, 2);
    answer(bench, "http://a/", 301);
    assert_int_equal(counts(bench).refused, 2);
    assert_int_equal(stored(bench), 0);
}

static void one_recipient_refused_is_still_delivered(void **state) {
    struct bench *bench = *state;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    turn(bench);
    answer(bench, "http://a/", 500);
    at(bench, bench->now + 2 * CLOCK_SECOND);
    turn(bench);
    answer_with(bench, "http://a/", (struct http_answer) { .status = 250, .refused = "550 who" });
    assert_int_equal(counts(bench).delivered, 1);
}

static void what_is_a_day_old_is_given_up(void **state) {
    struct bench *bench = *state;

    put_one(bench, "a");
    put_one(bench, "a");
    at(bench, NOW + OUTBOX_AGE_MAX_NS - 1);
    put_one(bench, "a");
    at(bench, NOW + OUTBOX_AGE_MAX_NS);
    restart(bench);
    assert_int_equal(counts(bench).expired, 2);
    assert_int_equal(counts(bench).waiting, 1);
    assert_int_equal(stored(bench), 1);
    assert_int_equal(sent, 1);
    answer(bench, "http://a/", 0);
    at(bench, NOW + 2 * OUTBOX_AGE_MAX_NS);
    turn(bench);
    assert_int_equal(counts(bench).expired, 3);
    assert_int_equal(sent, 1);
    at(bench, NOW - CLOCK_SECOND); /* the clock was set back: younger than now is not old */
    put_one(bench, "b");
    at(bench, NOW - 100 * CLOCK_SECOND);
    restart(bench);
    request_to("http://b/");
}

static void a_full_outbox_drops_the_oldest_but_not_the_one_in_hand(void **state) {
    struct bench *bench = *state;
    struct alert_store_txn *txn;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    turn(bench);
    assert_int_equal(sent, 1);
    txn = begin(bench);
    for (int i = 1; i < OUTBOX_WAITING_MAX; i++)
        put(bench, txn, i % 2 ? "b" : "a");
    assert_int_equal(__real_alert_store_commit(txn, NULL), 0);
    outbox_commit(bench->outbox);
    assert_int_equal(counts(bench).waiting, OUTBOX_WAITING_MAX);
    assert_int_equal(counts(bench).dropped, 0);
    txn = begin(bench);
    put(bench, txn, "a");
    alert_store_abort(txn);
    outbox_abort(bench->outbox);
    assert_int_equal(stored(bench), OUTBOX_WAITING_MAX);
    at(bench, NOW + CLOCK_SECOND);
    txn = begin(bench);
    put(bench, txn, "a");
    put(bench, txn, "b");
    put(bench, txn, "a");
    assert_int_equal(__real_alert_store_commit(txn, NULL), 0);
    outbox_commit(bench->outbox);
    assert_int_equal(counts(bench).dropped, 3);
    assert_int_equal(counts(bench).waiting, OUTBOX_WAITING_MAX);
    assert_int_equal(stored(bench), OUTBOX_WAITING_MAX);
    turn(bench);
    answer(bench, "http://a/", 200);
    assert_int_equal(counts(bench).delivered, 1);
    assert_int_equal(counts(bench).waiting, OUTBOX_WAITING_MAX - 1);
    assert_int_equal(stored(bench), OUTBOX_WAITING_MAX - 1);
    restart(bench);
    assert_int_equal(counts(bench).waiting, OUTBOX_WAITING_MAX - 1);
}

static void one_transaction_may_go_beyond_the_limit(void **state) {
    struct bench *bench = *state;
    struct alert_store_txn *txn = begin(bench);

    for (int i = 0; i < OUTBOX_WAITING_MAX + 5; i++)
        put(bench, txn, "a");
    assert_int_equal(__real_alert_store_commit(txn, NULL), 0);
    outbox_commit(bench->outbox);
    assert_int_equal(counts(bench).waiting, OUTBOX_WAITING_MAX + 5);
    assert_int_equal(stored(bench), OUTBOX_WAITING_MAX + 5);
}

static void what_was_taken_is_not_sent_again_while_it_cannot_be_noted(void **state) {
    struct bench *bench = *state;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    put_one(bench, "a");
    turn(bench);
    commit_result = -ENOSPC;
    answer(bench, "http://a/", 200);
    for (int i = 0; i < 3; i++) {
        at(bench, bench->now + CLOCK_SECOND);
        turn(bench);
        outbox_set_channels(bench->outbox, channels, 2);
        turn(bench);
    }
    assert_int_equal(sent, 1);
    assert_int_equal(stored(bench), 2);
    commit_result = 0;
    at(bench, bench->now + CLOCK_SECOND);
    turn(bench);
    assert_int_equal(sent, 2);
    assert_int_equal(stored(bench), 1);
    assert_int_equal(counts(bench).delivered, 1);
}

static void what_is_too_old_is_not_sent_when_it_cannot_be_removed(void **state) {
    struct bench *bench = *state;

    put_one(bench, "a");
    at(bench, NOW + OUTBOX_AGE_MAX_NS);
    commit_result = -ENOSPC;
    outbox_set_channels(bench->outbox, channels, 2);
    turn(bench);
    assert_int_equal(sent + counts(bench).expired, 0);
    assert_int_equal(counts(bench).failed, 1);
}

static void a_restart_sends_what_was_in_hand_with_the_same_key(void **state) {
    struct bench *bench = *state;
    char key[200];

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    put_one(bench, "b");
    turn(bench);
    memcpy(key, request_to("http://a/")->key, sizeof(key));
    at(bench, NOW + 3600 * CLOCK_SECOND);
    restart(bench);
    assert_int_equal(cancelled, 2);
    assert_int_equal(sent, 4);
    assert_string_equal(request_to("http://a/")->key, key);
}

static void a_channel_that_is_gone_is_waited_for(void **state) {
    struct bench *bench = *state;

    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "b");
    put_one(bench, "b");
    turn(bench);
    outbox_set_channels(bench->outbox, channels, 1);
    turn(bench);
    answer(bench, "http://b/", 200); /* taken, though the channel has gone meanwhile */
    assert_int_equal(counts(bench).delivered, 1);
    assert_int_equal(counts(bench).failed, 1);
    assert_int_equal(sent, 1);
    outbox_set_channels(bench->outbox, channels, 2);
    turn(bench);
    answer(bench, "http://b/", 200);
    assert_int_equal(counts(bench).delivered, 2);
    outbox_set_channels(bench->outbox, channels, 1); /* nothing waits there: forgotten */
    put_one(bench, "a");
    turn(bench);
    answer(bench, "http://a/", 200);
}

static void what_cannot_be_sent_now_is_tried_again(void **state) {
    struct bench *bench = *state;

    send_result = -EAGAIN;
    outbox_set_channels(bench->outbox, channels, 2);
    put_one(bench, "a");
    turn(bench);
    assert_int_equal(counts(bench).failed, 1);
    send_result = 0;
    at(bench, NOW + 2 * CLOCK_SECOND);
    turn(bench);
    answer(bench, "http://a/", 200);
    assert_int_equal(counts(bench).delivered, 1);
}

static void store_raw(struct bench *bench, struct text key, struct text value) {
    struct alert_store_txn *txn = begin(bench);

    assert_int_equal(alert_store_put(txn, ALERT_STORE_OUTBOX, key, value, NULL), 0);
    assert_int_equal(__real_alert_store_commit(txn, NULL), 0);
}

static void damaged_records_are_removed_and_hold_nobody_up(void **state) {
    static const char key[OUTBOX_KEY_SIZE] = { 0, 0, 0, 0, 0, 0, 0, 1 },
                      tenth[OUTBOX_KEY_SIZE] = { 0, 0, 0, 0, 0, 0, 0, 10 };
    struct bench *bench = *state;

    put_one(bench, "a");
    put_one(bench, "a");
    store_raw(bench, TEXT_LITERAL("short"), TEXT_LITERAL("x"));
    store_raw(bench, (struct text) { tenth, sizeof(tenth) }, TEXT_LITERAL("\x93\x01"));
    outbox_close(bench->outbox);
    commit_result = -EIO;
    bench->outbox = NULL;
    assert_int_equal(outbox_open(bench->loop, NULL, bench->store, &bench->outbox, NULL), -EIO);
    commit_result = 0;
    open_outbox(bench);
    assert_int_equal(counts(bench).damaged, 2);
    assert_int_equal(counts(bench).waiting, 2);
    store_raw(bench, (struct text) { key, sizeof(key) },
              TEXT_LITERAL("\x94\x01\xa1"
                           "a\x00\xc4\x01x")); /* no alert inside */
    outbox_set_channels(bench->outbox, channels, 2);
    turn(bench);
    assert_int_equal(counts(bench).damaged, 3);
    assert_int_equal(sent, 1);
    answer(bench, "http://a/", 200);
    assert_int_equal(stored(bench), 0);
}

static void records_are_read_strictly(void **state) {
    struct bench *bench = *state;
    struct buffer value = BUFFER_EMPTY;
    struct outbox_record record;
    char long_name[CHANNEL_NAME_MAX + 2];

    assert_int_equal(outbox_record_encode("a", 7, &bench->alert, &value), 0);
    assert_int_equal(outbox_record_decode(buffer_text(&value), &record), 0);
    assert_string_equal(record.channel, "a");
    assert_int_equal(record.created_ns, 7);
    for (size_t length = 0; length < value.length; length++)
        assert_int_equal(outbox_record_decode((struct text) { value.data, length }, &record), -EINVAL);
    assert_int_equal(outbox_record_decode(TEXT_LITERAL("\x94\x02\xa1"
                                                       "a\x00\xc4\x01x"),
                                          &record),
                     -EINVAL); /* version */
    assert_int_equal(outbox_record_decode(TEXT_LITERAL("\x94\x01\xa1\x00\x00\xc4\x01x"), &record), -EINVAL); /* NUL */
    assert_int_equal(outbox_record_decode(TEXT_LITERAL("\x94\x01\x01\x00\xc4\x01x"), &record), -EINVAL);
    assert_int_equal(outbox_record_decode(TEXT_LITERAL("\x94\x01\xa1"
                                                       "a\xff\xc4\x01x"),
                                          &record),
                     -EINVAL); /* time */
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(outbox_record_encode(long_name, 7, &bench->alert, &value), -EINVAL);
    buffer_finish(&value);
}

struct seen {
    const char *channel;
    struct outbox_counts grown;
    unsigned calls;
};

static void see(void *context, const char *channel, const struct outbox_counts *grown) {
    struct seen *seen = context;
    if (strcmp(channel, seen->channel) == 0)
        seen->grown = *grown;
    seen->calls++;
}

static struct outbox_counts taken(struct bench *bench, const char *channel) {
    struct seen seen = { .channel = channel };
    outbox_take_counts(bench->outbox, see, &seen);
    assert_int_equal(seen.calls, 2);
    return seen.grown;
}

static void count_delivered(void *context, const char *channel, uint64_t age_ns) {
    assert_string_equal(channel, "a");
    assert_true(age_ns < UINT64_MAX / 2);
    ++*(unsigned *)context;
}

static void each_channel_has_counts_of_its_own_which_are_taken_once(void **state) {
    struct bench *bench = *state;
    unsigned delivered = 0;

    outbox_set_channels(bench->outbox, channels, 2);
    outbox_watch(bench->outbox, count_delivered, &delivered);
    for (int i = 0; i < 3; i++)
        put_one(bench, "a");
    put_one(bench, "b");
    turn(bench);
    answer(bench, "http://a/", 200);
    answer(bench, "http://a/", 400);
    answer(bench, "http://b/", 503);
    assert_int_equal(delivered, 1);
    assert_int_equal(counts(bench).causes[CHANNEL_CAUSE_HTTP_5XX], 1);
    struct outbox_counts a = taken(bench, "a");
    assert_int_equal(a.delivered, 1);
    assert_int_equal(a.refused, 1);
    assert_int_equal(a.failed, 0);
    assert_int_equal(a.causes[CHANNEL_CAUSE_HTTP_4XX], 1);
    assert_int_equal(a.causes[CHANNEL_CAUSE_HTTP_5XX], 0);
    assert_int_equal(a.waiting, 1);
    assert_true(a.oldest_ns > 0);
    struct outbox_counts b = taken(bench, "b"); /* by the first call already, but for what is so now */
    assert_int_equal(b.failed, 0);
    assert_int_equal(b.waiting, 1);
    answer(bench, "http://a/", 200);
    a = taken(bench, "a");
    assert_int_equal(a.delivered, 1);
    assert_int_equal(a.refused, 0);
    assert_int_equal(a.causes[CHANNEL_CAUSE_HTTP_4XX], 0);
    assert_int_equal(a.waiting, 0);
    assert_int_equal(a.oldest_ns, 0);
    assert_int_equal(counts(bench).delivered, 2);
    assert_int_equal(counts(bench).failed, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_committed_is_sent_and_removed_when_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_aborted_was_never_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(channels_wait_for_themselves_alone_and_keep_the_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fails_in_passing_is_tried_again_later_and_later, set_up, tear_down),
        cmocka_unit_test(the_wait_grows_within_its_bounds),
        cmocka_unit_test_setup_teardown(retry_after_is_honoured_where_it_means_something, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_refused_for_good_is_set_aside_and_the_next_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_recipient_refused_is_still_delivered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_a_day_old_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_outbox_drops_the_oldest_but_not_the_one_in_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_transaction_may_go_beyond_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_taken_is_not_sent_again_while_it_cannot_be_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_old_is_not_sent_when_it_cannot_be_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restart_sends_what_was_in_hand_with_the_same_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_channel_that_is_gone_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent_now_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_records_are_removed_and_hold_nobody_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_channel_has_counts_of_its_own_which_are_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_are_read_strictly, set_up, tear_down),
    };

    diag_open("test_outbox");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
