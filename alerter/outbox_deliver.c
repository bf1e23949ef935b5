/* outbox_deliver.c - a lane's first notification: read, sent, judged, and removed or tried again. */
#include "alerter/outbox_private.h"

#include "alerter/channels.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/base/id.h"

#include <errno.h>

uint64_t outbox_backoff_ns(unsigned failures, uint32_t random) {
    unsigned doublings = failures > 1 ? failures - 1 : 0;
    uint64_t wait = OUTBOX_BACKOFF_MIN_NS << (doublings < 9 ? doublings : 9);

    wait = wait < OUTBOX_BACKOFF_MAX_NS ? wait : OUTBOX_BACKOFF_MAX_NS;
    wait = wait / 4 * 3 + (uint64_t)((double)(wait / 2) * ((double)random / UINT32_MAX));
    return wait < OUTBOX_BACKOFF_MAX_NS ? wait : OUTBOX_BACKOFF_MAX_NS;
}

/* Remove the first `count` from the store, in one transaction, and then from the queue. */
static int remove_first(struct lane *lane, size_t count, struct error *error) {
    struct alert_store_txn *txn;
    int r = alert_store_begin(lane->outbox->store, true, &txn, error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count && r == 0; i++) {
        char key[OUTBOX_KEY_SIZE];

        outbox_key(lane->items[lane->first + i].sequence, key);
        r = alert_store_delete(txn, ALERT_STORE_OUTBOX, (struct text) { key, sizeof(key) }, error);
    }
    if (r < 0)
        alert_store_abort(txn);
    else
        r = alert_store_commit(txn, error);
    if (r == 0)
        lane_take(lane, 0, count);
    return r;
}

/* The first is done with: note it. Until that succeeds nothing more is sent on this lane, and the first least of all. */
static void note_done(struct lane *lane) {
    struct error error;
    int r = remove_first(lane, 1, &error);

    if (r < 0) {
        if (!lane->noting)
            diag_error(
                "cannot note that a notification to the channel %s is done with, and send it no other before: %s",
                lane->name, error.text);
        lane->noting = true;
        loop_set_timer(lane->timer, OUTBOX_BACKOFF_MIN_NS);
        return;
    }
    lane->noting = false;
    lane->failures = 0;
    lane_go(lane);
}

static void try_later(struct lane *lane, const char *why, enum channel_cause cause, uint64_t retry_after_ns) {
    uint32_t random = 0;
    uint64_t wait;

    random_bytes(&random, sizeof(random));
    wait = outbox_backoff_ns(++lane->failures, random);
    if (retry_after_ns > wait)
        wait = retry_after_ns < OUTBOX_RETRY_AFTER_MAX_NS ? retry_after_ns : OUTBOX_RETRY_AFTER_MAX_NS;
    LANE_COUNT(lane, failed, 1);
    LANE_COUNT(lane, causes[cause], 1);
    diag_warn("the channel %s did not take a notification (attempt %u, %zu waiting): %s; tried again in %.1f s",
              lane->name, lane->failures, lane->count, why, (double)wait / 1e9);
    loop_set_timer(lane->timer, wait);
}

static void tell_delivered(const struct lane *lane) {
    const struct outbox *outbox = lane->outbox;
    uint64_t now = clock_real_ns(), created = lane->items[lane->first].created_ns;

    if (outbox->delivered)
        outbox->delivered(outbox->delivered_context, lane->name, now > created ? now - created : 0);
}

static void end_attempt(const struct http_answer *answer, void *context) {
    struct lane *lane = context;

    lane->request = NULL;
    switch (channel_judge(lane->sent_by, answer)) {
    case CHANNEL_DELIVERED:
        LANE_COUNT(lane, delivered, 1);
        tell_delivered(lane);
        if (answer->refused[0])
            diag_warn("the channel %s took a notification, but not for all its recipients: %s", lane->name,
                      answer->refused);
        if (lane->failures > 0)
            diag_info("the channel %s takes notifications again", lane->name);
        note_done(lane);
        break;
    case CHANNEL_REFUSED:
        LANE_COUNT(lane, refused, 1);
        LANE_COUNT(lane, causes[channel_cause(lane->sent_by, answer)], 1);
        diag_error("the channel %s refused a notification for good, it is not sent again: %s%s%.*s", lane->name,
                   answer->line, answer->body.length ? ": " : "",
                   answer->body.length < 200 ? (int)answer->body.length : 200,
                   answer->body.data ? answer->body.data : "");
        note_done(lane);
        break;
    case CHANNEL_RETRY:
        try_later(lane, answer->failure[0] ? answer->failure : answer->line, channel_cause(lane->sent_by, answer),
                  answer->status == 429 || answer->status == 503 ? answer->retry_after_ns : 0);
        break;
    }
}

/* Give up what is too old; 0 unless the store does not let us. */
static int expire(struct lane *lane, struct error *error) {
    uint64_t now = clock_real_ns();
    size_t count = 0;
    int r;

    for (; count < lane->count; count++) {
        uint64_t created = lane->items[lane->first + count].created_ns;

        if (created > now || now - created < OUTBOX_AGE_MAX_NS)
            break;
    }
    if (count == 0)
        return 0;
    r = remove_first(lane, count, error);
    if (r < 0)
        return r;
    LANE_COUNT(lane, expired, count);
    lane->failures = 0;
    diag_error("the channel %s has taken nothing for %llu hours: gave up %zu notification%s", lane->name,
               (unsigned long long)(OUTBOX_AGE_MAX_NS / CLOCK_SECOND / 3600), count, count == 1 ? "" : "s");
    return 0;
}

/* The first one's alert (the caller's) out of the store. -EBADMSG: what stands there is none. */
static int read_first(struct lane *lane, struct alert *ret, struct error *error) {
    struct alert_store_txn *txn;
    struct outbox_record record;
    struct text value;
    char key[OUTBOX_KEY_SIZE];
    int r = alert_store_begin(lane->outbox->store, false, &txn, error);

    if (r < 0)
        return r;
    outbox_key(lane->items[lane->first].sequence, key);
    r = alert_store_get(txn, ALERT_STORE_OUTBOX, (struct text) { key, sizeof(key) }, &value, error);
    if (r == 1)
        r = outbox_record_decode(value, &record) < 0 ? -EBADMSG : alert_decode(record.alert, ret);
    else if (r == 0)
        r = -EBADMSG;
    alert_store_abort(txn);
    return r == -EINVAL || r == -EPROTO ? -EBADMSG : r;
}

static int send_first(struct lane *lane, const struct alert *alert, struct error *error) {
    struct notification notification = { .alert = alert, .created_ns = lane->items[lane->first].created_ns };
    struct channel_request request;
    int r;

    if (!lane->channel)
        return error_set(error, -ENOENT, "the rules files have no channel of that name");
    r = channel_build(lane->channel, &notification, &request, error);
    lane->sent_by = lane->channel->type;
    if (r == 0)
        r = http_send(lane->outbox->client, &request.message, end_attempt, lane, &lane->request, error);
    channel_request_finish(&request);
    return r;
}

void lane_attempt(struct loop_timer *timer, void *context) {
    struct lane *lane = context;
    struct alert alert;
    struct error error = { "" };
    int r;

    (void)timer;
    if (lane->noting) {
        note_done(lane);
        return;
    }
    r = expire(lane, &error);
    if (r == 0 && lane->count == 0)
        return;
    if (r == 0)
        r = read_first(lane, &alert, &error);
    if (r == -EBADMSG) {
        LANE_COUNT(lane, damaged, 1);
        diag_error("a notification to the channel %s is unreadable in the store: removed", lane->name);
        note_done(lane);
        return;
    }
    if (r == 0) {
        r = send_first(lane, &alert, &error);
        alert_finish(&alert);
    }
    if (r < 0)
        try_later(lane, error.text, CHANNEL_CAUSE_UNSENT, 0);
}
