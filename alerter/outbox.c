/* outbox.c - see outbox.h. In memory stands only what waits where: each channel's queue of sequence numbers. The notification
 * itself is read from the store for each attempt. */
#include "alerter/outbox.h"

#include "alerter/outbox_private.h"
#include "common/base/check.h"
#include "common/base/diag.h"

#include <errno.h>
#include <stdlib.h>

/* --- queues --- */

static bool queue_append(struct lane *lane, struct waiting item) {
    if (lane->first + lane->count == lane->capacity) {
        size_t capacity = lane->count * 2 > 16 ? lane->count * 2 : 16;
        struct waiting *items = lane->items;

        if (lane->first > 0)
            memmove(items, items + lane->first, lane->count * sizeof(*items));
        lane->first = 0;
        if (lane->count * 2 >= lane->capacity) {
            items = realloc(items, capacity * sizeof(*items));
            if (!items)
                return false;
            lane->items = items;
            lane->capacity = capacity;
        }
    }
    lane->items[lane->first + lane->count++] = item;
    return true;
}

/* How many at the front are not to be touched: the one in hand. */
static size_t held(const struct lane *lane) {
    return lane->request || lane->noting;
}

void lane_take(struct lane *lane, size_t position, size_t count) {
    struct waiting *items = lane->items + lane->first;

    if (position == 0)
        lane->first += count;
    else
        memmove(items + position, items + position + count, (lane->count - position - count) * sizeof(*items));
    lane->count -= count;
    lane->outbox->counts.waiting -= count;
}

/* --- lanes --- */

static const struct channel_config *find_channel(const struct outbox *outbox, const char *name) {
    for (size_t i = 0; i < outbox->channel_count; i++)
        if (strcmp(outbox->channels[i].name, name) == 0)
            return &outbox->channels[i];
    return NULL;
}

static void lane_destroy(struct lane *lane) {
    http_cancel(lane->request);
    loop_remove_timer(lane->timer);
    free(lane->items);
    free(lane);
}

/* The lane of that name, made when there is none; NULL: out of memory. */
static struct lane *lane_of(struct outbox *outbox, const char *name) {
    struct lane *lane;

    for (lane = outbox->lanes; lane; lane = lane->next)
        if (strcmp(lane->name, name) == 0)
            return lane;
    lane = calloc(1, sizeof(*lane));
    if (!lane || loop_add_timer(outbox->loop, lane_attempt, lane, &lane->timer) < 0) {
        free(lane);
        return NULL;
    }
    lane->outbox = outbox;
    memcpy(lane->name, name, strlen(name) + 1);
    lane->channel = find_channel(outbox, name);
    lane->next = outbox->lanes;
    outbox->lanes = lane;
    return lane;
}

void lane_go(struct lane *lane) {
    if (lane->outbox->ready && lane->count > 0 && !held(lane) && lane->failures == 0)
        loop_set_timer(lane->timer, 0);
}

void outbox_set_channels(struct outbox *outbox, const struct channel_config *channels, size_t count) {
    outbox->channels = channels;
    outbox->channel_count = count;
    outbox->ready = true;
    for (struct lane **link = &outbox->lanes; *link;) {
        struct lane *lane = *link;

        lane->channel = find_channel(outbox, lane->name);
        if (!lane->channel && lane->count == 0) {
            *link = lane->next;
            lane_destroy(lane);
            continue;
        }
        lane->failures = 0;
        lane_go(lane);
        link = &lane->next;
    }
}

/* --- putting in --- */

/* The lane with the oldest notification that can still be dropped, or NULL. */
static struct lane *oldest(const struct outbox *outbox) {
    struct lane *found = NULL;
    uint64_t least = UINT64_MAX;

    for (struct lane *lane = outbox->lanes; lane; lane = lane->next) {
        size_t at = held(lane) + lane->doomed;

        if (at >= lane->count - lane->put || lane->items[lane->first + at].sequence >= least)
            continue;
        least = lane->items[lane->first + at].sequence;
        found = lane;
    }
    return found;
}

/* What is put in one transaction is never dropped in it, so that one may go beyond the limit by itself. */
static int make_room(struct outbox *outbox, struct alert_store_txn *txn, struct error *error) {
    struct lane *lane;
    char key[OUTBOX_KEY_SIZE];
    int r;

    if (outbox->counts.waiting + outbox->put_count - outbox->doomed < OUTBOX_WAITING_MAX)
        return 0;
    lane = oldest(outbox);
    if (!lane)
        return 0;
    outbox_key(lane->items[lane->first + held(lane) + lane->doomed].sequence, key);
    r = alert_store_delete(txn, ALERT_STORE_OUTBOX, (struct text) { key, sizeof(key) }, error);
    if (r < 0)
        return r;
    lane->doomed++;
    outbox->doomed++;
    return 0;
}

int outbox_put(struct outbox *outbox, struct alert_store_txn *txn, const char *channel, const struct alert *alert,
               uint64_t now_real_ns, struct error *error) {
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    char key[OUTBOX_KEY_SIZE];
    struct lane *lane;
    int r = outbox_record_encode(channel, now_real_ns, alert, &value);

    if (r < 0)
        return error_set(error, r, "cannot encode a notification for the channel %s: %s", channel, strerror(-r));
    r = make_room(outbox, txn, error);
    if (r < 0)
        return r;
    outbox_key(outbox->next_sequence, key);
    r = alert_store_put(txn, ALERT_STORE_OUTBOX, (struct text) { key, sizeof(key) }, buffer_text(&value), error);
    if (r < 0)
        return r;
    lane = lane_of(outbox, channel);
    if (!lane || !queue_append(lane, (struct waiting) { outbox->next_sequence, now_real_ns }))
        return error_set(error, -ENOMEM, "out of memory");
    outbox->next_sequence++;
    lane->put++;
    outbox->put_count++;
    return 0;
}

void outbox_commit(struct outbox *outbox) {
    if (outbox->doomed > 0)
        diag_warn(
            "more than %d notifications wait to be sent: dropped the %zu oldest; see why the channels do not take them",
            OUTBOX_WAITING_MAX, outbox->doomed);
    outbox->counts.waiting += outbox->put_count;
    outbox->put_count = outbox->doomed = 0;
    for (struct lane *lane = outbox->lanes; lane; lane = lane->next) {
        LANE_COUNT(lane, dropped, lane->doomed);
        lane_take(lane, held(lane), lane->doomed);
        lane->put = lane->doomed = 0;
        lane_go(lane);
    }
}

void outbox_abort(struct outbox *outbox) {
    outbox->put_count = outbox->doomed = 0;
    for (struct lane *lane = outbox->lanes; lane; lane = lane->next) {
        lane->count -= lane->put;
        lane->put = lane->doomed = 0;
    }
}

struct outbox_counts outbox_counts(const struct outbox *outbox) {
    return outbox->counts;
}

void outbox_watch(struct outbox *outbox, outbox_delivered_function *function, void *context) {
    outbox->delivered = function;
    outbox->delivered_context = context;
}

void outbox_take_counts(struct outbox *outbox, outbox_channel_function *function, void *context) {
    for (struct lane *lane = outbox->lanes; lane; lane = lane->next) {
        struct outbox_counts grown = lane->grown;

        grown.waiting = lane->count;
        grown.oldest_ns = lane->count > 0 ? lane->items[lane->first].created_ns : 0;
        lane->grown = (struct outbox_counts) { 0 };
        function(context, lane->name, &grown);
    }
}

/* --- at start --- */

struct damaged {
    char key[ALERT_STORE_KEY_MAX];
    size_t length;
};

static int find_damaged(void *argument, struct text key, struct text value) {
    struct damaged *damaged = argument;
    struct outbox_record record;
    uint64_t sequence;

    if (outbox_key_parse(key, &sequence) == 0 && outbox_record_decode(value, &record) == 0)
        return 0;
    memcpy(damaged->key, key.data, key.length);
    damaged->length = key.length;
    return 1;
}

static int remove_damaged(struct outbox *outbox, struct error *error) {
    struct alert_store_txn *txn;
    struct damaged damaged;
    int r;

    for (;;) {
        r = alert_store_begin(outbox->store, true, &txn, error);
        if (r < 0)
            return r;
        r = alert_store_walk(txn, ALERT_STORE_OUTBOX, find_damaged, &damaged, error);
        if (r == 1) {
            r = alert_store_delete(txn, ALERT_STORE_OUTBOX, (struct text) { damaged.key, damaged.length }, error);
            if (r == 0)
                r = alert_store_commit(txn, error);
            else
                alert_store_abort(txn);
            if (r < 0)
                return r;
            outbox->counts.damaged++;
            continue;
        }
        alert_store_abort(txn);
        return r;
    }
}

static int take_in(void *argument, struct text key, struct text value) {
    struct outbox *outbox = argument;
    struct outbox_record record;
    struct lane *lane;
    uint64_t sequence;

    check(outbox_key_parse(key, &sequence) == 0 && outbox_record_decode(value, &record) == 0);
    lane = lane_of(outbox, record.channel);
    if (!lane || !queue_append(lane, (struct waiting) { sequence, record.created_ns }))
        return -ENOMEM;
    outbox->counts.waiting++;
    outbox->next_sequence = sequence + 1;
    return 0;
}

int outbox_open(struct loop *loop, struct http_client *client, struct alert_store *store, struct outbox **ret,
                struct error *error) {
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    struct alert_store_txn *txn;
    int r;

    if (!outbox)
        return error_set(error, -ENOMEM, "out of memory");
    *outbox = (struct outbox) { .loop = loop, .client = client, .store = store, .next_sequence = 1 };
    r = remove_damaged(outbox, error);
    if (r == 0)
        r = alert_store_begin(store, false, &txn, error);
    if (r == 0) {
        r = alert_store_walk(txn, ALERT_STORE_OUTBOX, take_in, outbox, error);
        alert_store_abort(txn);
    }
    if (r < 0) {
        outbox_close(outbox);
        return error_prefix(error, r, "cannot read the waiting notifications");
    }
    if (outbox->counts.damaged > 0)
        diag_warn("%llu waiting notifications were unreadable in the store: removed",
                  (unsigned long long)outbox->counts.damaged);
    *ret = outbox;
    return 0;
}

void outbox_close(struct outbox *outbox) {
    if (!outbox)
        return;
    while (outbox->lanes) {
        struct lane *lane = outbox->lanes;

        outbox->lanes = lane->next;
        lane_destroy(lane);
    }
    free(outbox);
}
