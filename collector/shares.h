/* shares.h - what of the room for metric series each user has taken, so that none starves the others: series, and the bytes that they
 * take in memory and in the segment (octaves of histograms are most of it).
 *
 * A user may have as much as is still free: alone half of all, and whatever some have taken, others find room. root and the
 * collector's own user may have all; what the collector tells of itself has a little more, and so have the overflow series,
 * which take what finds no room otherwise. One thread.
 */
#ifndef TASKFORGE_COLLECTOR_SHARES_H
#define TASKFORGE_COLLECTOR_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"

#define SHARES_SELF ((uid_t)-1) /* nobody's: the collector's metrics of itself */

struct share {
    uid_t user;
    uint64_t series, bytes;
    uint64_t patience_ns; /* fold_stale.c: how long what is stale is kept */
};

struct shares {
    struct share *items;
    size_t count, capacity;
    uint64_t series, bytes;         /* of all */
    uint64_t series_max, bytes_max; /* what there is */
    uid_t privileged;               /* beside root */
};

void shares_init(struct shares *shares, uid_t privileged);
void shares_finish(struct shares *shares);

/* What there is for so many series. What was taken stays. */
void shares_set_limit(struct shares *shares, uint64_t series);

/* The number of a user's share: -ENOMEM. */
int shares_of(struct shares *shares, uid_t user);

/* Take so much: 0, or -ENOSPC with the reason. */
int shares_take(struct shares *shares, int share, uint64_t series, uint64_t bytes, struct error *error);
/* The same for an overflow series. */
int shares_take_reserve(struct shares *shares, int share, uint64_t series, uint64_t bytes, struct error *error);
/* The same whatever the limits say: of what is there already. */
void shares_note(struct shares *shares, int share, uint64_t series, uint64_t bytes);
void shares_give(struct shares *shares, int share, uint64_t series, uint64_t bytes);

/* Whether more than seven eighths of what the share could have are taken. */
bool shares_is_nearly_used_up(const struct shares *shares, int share);

#endif
