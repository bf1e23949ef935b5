/* outbox_private.h - what the two files of the outbox share: queues (outbox.c) and delivery (outbox_deliver.c). */
#ifndef TASKFORGE_ALERTER_OUTBOX_PRIVATE_H
#define TASKFORGE_ALERTER_OUTBOX_PRIVATE_H

#include "alerter/outbox.h"
#include "alerter/outbox_record.h"

struct waiting {
    uint64_t sequence;
    uint64_t created_ns;
};

/* One channel's name and what waits for it, oldest first. The last `put` of the queue stand in a transaction that has not
 * ended, and `doomed` behind the one in hand are deleted in it. */
struct lane {
    struct outbox *outbox;
    struct lane *next;
    char name[CHANNEL_NAME_MAX + 1];
    const struct channel_config *channel; /* NULL: there is none of that name now */
    struct waiting *items;
    size_t first, count, capacity;
    size_t put, doomed;

    struct http_request *request; /* in hand, of the first */
    enum channel_type sent_by;    /* what it was sent through: the channel may have changed or gone meanwhile */
    bool noting;                  /* the first is done with, but still in the store: it must not be sent again */
    unsigned failures;            /* in a row, of the first */
    struct loop_timer *timer;     /* of the next attempt */
    struct outbox_counts grown;   /* since outbox_take_counts; what is so now stays 0 */
};

struct outbox {
    struct loop *loop;
    struct http_client *client;
    struct alert_store *store;
    struct lane *lanes;
    uint64_t next_sequence;
    const struct channel_config *channels;
    size_t channel_count;
    bool ready;               /* the channels are known */
    size_t put_count, doomed; /* of all lanes */
    struct outbox_counts counts;
    outbox_delivered_function *delivered; /* NULL: nobody watches */
    void *delivered_context;
};

/* Count n of something on a channel, and in all. */
#define LANE_COUNT(lane, what, n)                                                                                      \
    do {                                                                                                               \
        (lane)->grown.what += (n);                                                                                     \
        (lane)->outbox->counts.what += (n);                                                                            \
    } while (0)

void lane_take(struct lane *lane, size_t position, size_t count); /* out of the queue */
void lane_go(struct lane *lane); /* attempt the first in the loop's next round, if one may be */
void lane_attempt(struct loop_timer *timer, void *context);

#endif
