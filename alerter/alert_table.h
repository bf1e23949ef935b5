/* alert_table.h - the alerts in memory: all that the store has, found by id and by rule and labels. One thread. */
#ifndef TASKFORGE_ALERTER_ALERT_TABLE_H
#define TASKFORGE_ALERTER_ALERT_TABLE_H

#include "alerter/alert.h"
#include "alerter/alert_store.h"

enum {
    ALERTS_OPEN_MAX = 10000,     /* pending, active, acknowledged; what would be more is not begun, and counted */
    ALERTS_RESOLVED_MAX = 10000, /* kept for `alerts all`, the newest */
};

struct alert_slot {
    struct alert alert;
    uint64_t visited; /* the last evaluation that said something of it */
    /* private */
    uint64_t hash;
    struct alert_slot *older; /* in its bucket */
};

struct alert_table {
    struct alert_slot **slots; /* oldest first */
    size_t count, capacity, open_count;
    struct alert_slot **buckets;
};

/* 0 or -ENOMEM. */
int alert_table_init(struct alert_table *table);
void alert_table_finish(struct alert_table *table); /* fine on zeroes */

/* Take in what is stored. What is no alert is passed over, counted in *ret_unread. -EPROTO: of a newer version. */
int alert_table_load(struct alert_table *table, struct alert_store *store, size_t *ret_unread, struct error *error);

/* The newest alert of a rule and a label set, open or not; NULL when there is none. */
struct alert_slot *alert_table_newest(const struct alert_table *table, const char *rule_id,
                                      const struct alert_pairs *labels);
struct alert_slot *alert_table_find(const struct alert_table *table, const struct uuid *id);

/* Room for `more` alerts, so that adding them cannot fail. -ENOMEM. */
int alert_table_reserve(struct alert_table *table, size_t more);
/* Takes *alert over (it is zeroed). There must be room. */
struct alert_slot *alert_table_add(struct alert_table *table, struct alert *alert);
/* Put *alert (taken over, zeroed) in place of the slot's: the same alert, further on. */
void alert_table_replace(struct alert_table *table, struct alert_slot *slot, struct alert *alert);
void alert_table_remove(struct alert_table *table, struct alert_slot *slot);

uint64_t alert_hash(const char *rule_id, const struct alert_pairs *labels);

/* Keys in the store: the id's bytes, which sort by time. */
static inline struct text alert_key(const struct alert *alert) {
    return (struct text) { (const char *)alert->id.bytes, UUID_SIZE };
}

#endif
