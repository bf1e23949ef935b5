/* history.h - what the log shall know of the alerter's doings: alert changes and audit events, as entries of service
 * `taskforge`, modules `alert` and `audit`.
 *
 * Each is stored in the transaction of the change it tells of, with the id its entry will have, and goes into the ring
 * afterwards; while the ring is full (or there is none) it waits. A kill between ring and store's deletion repeats an entry
 * with the same id. One thread.
 */
#ifndef TASKFORGE_ALERTER_HISTORY_H
#define TASKFORGE_ALERTER_HISTORY_H

#include "agent/client/producer.h"
#include "alerter/alert.h"
#include "alerter/alert_store.h"
#include "alerter/rule.h"

enum { HISTORY_WAITING_MAX = 100000 }; /* beyond that the oldest are forgotten, with a line */

struct history;

/* Both borrowed. Finds what still waits. */
int history_create(struct alert_store *store, struct producer *producer, struct history **ret, struct error *error);
void history_destroy(struct history *history); /* NULL is fine; what waits stays stored */

/* Inside a transaction. `operation` of an alert is its new status, its level by its severity while it is active. */
int history_put_alert(struct history *history, struct alert_store_txn *txn, const struct alert *alert,
                      enum alert_status from, uint64_t now_ns, struct error *error);

struct history_audit {
    const char *operation; /* acknowledge, resolve, reload */
    struct text actor;     /* uid:1000 */
    uint32_t peer_uid;     /* of whoever spoke to the socket, as the kernel says */
    const char *target;
    struct text reason;
};
int history_put_audit(struct history *history, struct alert_store_txn *txn, const struct history_audit *audit,
                      uint64_t now_ns, struct error *error);

/* The transaction was committed, or not. */
void history_settle(struct history *history, bool committed);

/* Write what waits to the ring, as far as there is room. 0, also when some is left; or a negative errno of the store. */
int history_write(struct history *history, struct error *error);
size_t history_waiting(const struct history *history);

#endif
