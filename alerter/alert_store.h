/* alert_store.h - DATA_DIR/alerter/alerts.mdb: the alerter's own LMDB environment, its only writer the alerter.
 *
 * Alerts and outgoing notifications stand in one environment, so that a change and what is to be sent about it are stored in one
 * transaction before anything is sent. It is kept by the store's room for partitions (common/store/partition.h), the one
 * owner of LMDB: guarded against damage, every value with a checksum, room reserved before a commit, never NOSYNC. All on
 * one thread.
 */
#ifndef TASKFORGE_ALERTER_ALERT_STORE_H
#define TASKFORGE_ALERTER_ALERT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/text.h"

enum { ALERT_STORE_KEY_MAX = 300 };
#define ALERT_STORE_SIZE_MAX (UINT64_C(2) << 30) /* bytes the file may grow to */

/* Who keeps what; each knows its own keys and values alone. */
enum alert_store_table {
    ALERT_STORE_ALERTS,  /* alerter.c */
    ALERT_STORE_OUTBOX,  /* outbox.c: notifications still to be sent */
    ALERT_STORE_HISTORY, /* history.c: entries about changes that the ring had no room for */
};

struct alert_store;
struct alert_store_txn;

/* Open it, made new where there is none (the folder too). A damaged file is set aside as alerts.mdb.damaged-TIME, told in
 * *ret_set_aside (a sentence; "" otherwise), and a new one begun. -EPROTO: a newer format, never written over. */
int alert_store_open(const char *data_dir, struct alert_store **ret, struct error *ret_set_aside, struct error *error);
void alert_store_close(struct alert_store *store); /* NULL is fine */

/* One at a time. begin -> puts and deletes -> commit, or abort. After a failed put or delete only abort is allowed.
 * -ENOSPC, -EIO: nothing has changed. */
int alert_store_begin(struct alert_store *store, bool write, struct alert_store_txn **ret, struct error *error);
int alert_store_commit(struct alert_store_txn *txn, struct error *error); /* ends txn, also on failure */
void alert_store_abort(struct alert_store_txn *txn);                      /* NULL is fine; ends a reading one too */

/* Keys are 1 to ALERT_STORE_KEY_MAX bytes, and come back in the order of their bytes. */
int alert_store_put(struct alert_store_txn *txn, enum alert_store_table table, struct text key, struct text value,
                    struct error *error);
int alert_store_delete(struct alert_store_txn *txn, enum alert_store_table table, struct text key,
                       struct error *error); /* absent is fine */
/* 1 and *ret (borrowed until txn ends), 0 when absent, -EBADMSG when its checksum is wrong. */
int alert_store_get(struct alert_store_txn *txn, enum alert_store_table table, struct text key, struct text *ret,
                    struct error *error);
/* All of a table in the order of keys; visit returns 0 to go on, and must not write. Returns the first non-zero it gave. */
int alert_store_walk(struct alert_store_txn *txn, enum alert_store_table table,
                     int (*visit)(void *argument, struct text key, struct text value), void *argument,
                     struct error *error);

#endif
