/* outbox.h - notifications on their way: each one in the store until its channel has taken it.
 *
 * outbox_put writes a notification in the caller's transaction, the one that stores what it tells of; after the commit
 * it is delivered, from the loop, in the order of puts for each channel. One channel has one request in hand; a channel that
 * hangs or fails delays neither the others nor the loop. Repeated is what fails in passing (no connection, a time-out, 408,
 * 429, 5xx; in mail 4xx and a refused login), after 1, 2, 4 ... seconds, at most OUTBOX_BACKOFF_MAX_NS, each a quarter
 * more or less at random; after what Retry-After says of a 429 or 503 (at most OUTBOX_RETRY_AFTER_MAX_NS). What the other
 * side refuses for good (any other status) is set aside: removed, said in one line with the answer, and counted. So is what
 * is OUTBOX_AGE_MAX_NS old, and the oldest when OUTBOX_WAITING_MAX wait.
 *
 * A notification leaves the store after it was taken, so a kill between the two repeats it, with the same dedup_key and
 * Idempotency-Key; nothing else does. It says its sentences by diag, as a part of the daemon. All on the loop's thread.
 */
#ifndef TASKFORGE_ALERTER_OUTBOX_H
#define TASKFORGE_ALERTER_OUTBOX_H

#include "alerter/alert.h"
#include "alerter/alert_store.h"
#include "alerter/channels.h"
#include "common/base/clock.h"
#include "common/process/http_client.h"
#include "common/process/loop.h"

enum {
    OUTBOX_WAITING_MAX = 10000, /* notifications, for all channels together */
};
#define OUTBOX_BACKOFF_MIN_NS CLOCK_SECOND
#define OUTBOX_BACKOFF_MAX_NS (300 * CLOCK_SECOND)
#define OUTBOX_RETRY_AFTER_MAX_NS (3600 * CLOCK_SECOND)
#define OUTBOX_AGE_MAX_NS (24 * 3600 * CLOCK_SECOND)

struct outbox;

struct outbox_counts { /* since outbox_open, but for what is so now */
    uint64_t delivered;
    uint64_t failed; /* attempts that will be repeated */
    uint64_t refused;
    uint64_t expired; /* older than OUTBOX_AGE_MAX_NS */
    uint64_t dropped; /* beyond OUTBOX_WAITING_MAX */
    uint64_t damaged; /* records in the store that were none of ours */
    uint64_t causes[CHANNEL_CAUSE_COUNT]; /* of what failed and was refused */
    uint64_t waiting;                     /* now */
    uint64_t oldest_ns;                   /* now, by channel: real time from which the first that waits is; 0: none */
};

/* Find what waits in the store. Nothing is sent before outbox_set_channels. loop, client and store are borrowed and must
 * outlive it. */
int outbox_open(struct loop *loop, struct http_client *client, struct alert_store *store, struct outbox **ret,
                struct error *error);
/* Cancels what is in hand: it stays in the store. NULL is fine. Close it before the client, the client before the loop. */
void outbox_close(struct outbox *outbox);

/* The channels from now on, borrowed until the next call (or the close); what waits is tried at once, so that a repaired
 * channel need not wait. Notifications to a channel that is not among them wait for it. */
void outbox_set_channels(struct outbox *outbox, const struct channel_config *channels, size_t count);

/* Write a notification of `alert` as it is now into txn. Then, by how the transaction ended, exactly one of outbox_commit
 * and outbox_abort, before the loop goes on; between them any number of puts. A negative errno: only abort is left. */
int outbox_put(struct outbox *outbox, struct alert_store_txn *txn, const char *channel, const struct alert *alert,
               uint64_t now_real_ns, struct error *error);
void outbox_commit(struct outbox *outbox);
void outbox_abort(struct outbox *outbox);

struct outbox_counts outbox_counts(const struct outbox *outbox);

/* Be told of each notification that its channel took, `age_ns` after it was put in. It may not call the outbox. */
typedef void outbox_delivered_function(void *context, const char *channel, uint64_t age_ns);
void outbox_watch(struct outbox *outbox, outbox_delivered_function *function, void *context);

/* What happened on each channel since this was called last, `waiting` and `oldest_ns` what is so now. A channel that is gone from the rules is
 * forgotten with the next outbox_set_channels that finds nothing waiting for it: call this before. Not within a transaction. */
typedef void outbox_channel_function(void *context, const char *channel, const struct outbox_counts *grown);
void outbox_take_counts(struct outbox *outbox, outbox_channel_function *function, void *context);

/* How long to wait after the n-th failure in a row (n from 1), `random` any number. Pure. */
uint64_t outbox_backoff_ns(unsigned failures, uint32_t random);

#endif
