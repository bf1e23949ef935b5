/* fold_stale.c - see fold.h: series without updates leave /metrics, and come back with their total.
 *
 *   living     on /metrics, counted towards the limits
 *   stale      no update for collector.metrics.stale_after, and no process that is alive has a handle of it: hidden. Its total is kept in
 *              memory and state, its room is given up, so that labels that come and go use up no limit; with its next update it takes
 *              room again, or, where there is none, the update goes to the overflow series and the total waits on
 *   forgotten  stale for FOLD_FORGET_NS; or earlier, the longest stale first, where a user's stale series are many: as many may be
 *              kept as there may be living ones. Nothing is left of it; should it come back, it begins at 0
 *
 * The collector's own are never stale. Which are stale is not stored: it follows from when they were updated. */
#include <errno.h>
#include <stdlib.h>

#include "collector/exemplars.h"
#include "collector/fold_private.h"
#include "collector/limits.h"
#include "common/base/check.h"
#include "common/base/diag.h"

static uint64_t bytes_of(const struct series *series) {
    return series_bytes(&series->definition) + series_value_bytes(&series->safe);
}

/* --- coming back --- */

static void unhide(struct fold *fold, struct series *series) {
    if (!fold->segment)
        return;
    int result = fold_show(fold, series);
    if (result < 0)
        fold_segment_fails(fold, strerror(-result));
}

bool fold_revive(struct fold *fold, struct series *series, struct error *error) {
    check(series->stale);
    uint64_t bytes = bytes_of(series);
    int stale_share = shares_of(&fold->stale, series->user);
    int result = stale_share < 0    ? stale_share
                 : series->reserved ? shares_take_reserve(&fold->shares, series->share, 1, bytes, error)
                                    : fold_take_room(fold, series->share, series->name, bytes, error);
    if (result < 0)
        return false;
    shares_give(&fold->stale, stale_share, 1, bytes);
    series->stale = false;
    series->name->stale--;
    series->name->series++;
    unhide(fold, series);
    return true;
}

/* --- leaving --- */

static bool note_removed(struct fold *fold, uint32_t id) {
    if (fold->removed_count == fold->removed_capacity) {
        size_t capacity = fold->removed_capacity ? fold->removed_capacity * 2 : 64;
        uint32_t *grown = reallocarray(fold->removed, capacity, sizeof(*grown));
        if (!grown)
            return false;
        fold->removed = grown;
        fold->removed_capacity = capacity;
    }
    fold->removed[fold->removed_count++] = id;
    return true;
}

/* Out of memory and, with the next batch, out of the state. Its room among the stale was given up. */
static void forget(struct fold *fold, struct series *series) {
    struct name *name = series->name;
    if (name->overflow == series)
        name->overflow = NULL;
    name->stale--;
    fold->names_gone += names_drop_unused(&fold->names, name);
    fold->forgotten++;
    gauges_forget(&fold->gauges, series);
    fold->memo_is_old = true;
    series_remove(&fold->table, series);
}

static void leave(struct fold *fold, struct series *series) {
    int stale_share = shares_of(&fold->stale, series->user);
    uint64_t bytes = bytes_of(series);
    if (stale_share < 0)
        return;
    bool kept = shares_take(&fold->stale, stale_share, 1, bytes, NULL) == 0;
    if (!kept && !note_removed(fold, series->id))
        return; /* out of memory: the next time */
    shares_give(&fold->shares, series->share, 1, bytes);
    series->stale = true;
    series->name->series--;
    series->name->stale++;
    exemplars_drop(fold, series);
    if (series->shown && fold->segment)
        fold_hide(fold, series, true);
    if (!kept)
        forget(fold, series);
}

static void leave_for_good(struct fold *fold, struct series *series) {
    int stale_share = shares_of(&fold->stale, series->user);
    if (stale_share < 0 || !note_removed(fold, series->id))
        return;
    shares_give(&fold->stale, stale_share, 1, bytes_of(series));
    forget(fold, series);
}

/* --- the look --- */

static uint64_t patience_of(struct fold *fold, const struct series *series) {
    int share = shares_of(&fold->stale, series->user);
    uint64_t patience = share < 0 ? 0 : fold->stale.items[share].patience_ns;
    return patience ? patience : FOLD_FORGET_NS;
}

static void look_at(struct fold *fold, struct series *series, uint64_t now_ns) {
    uint64_t stale_ns = fold->limits.stale_after_ns;
    uint64_t since = series->safe.updated_ns > series->created_ns ? series->safe.updated_ns : series->created_ns;
    uint64_t age = now_ns > since ? now_ns - since : 0; /* from the future: the clock was set back */
    bool old = stale_ns != 0 && age >= stale_ns && series->handles == 0;
    if (series->touched || series->user == SHARES_SELF)
        return;
    if (!series->stale && old && series->defined)
        leave(fold, series);
    else if (series->stale && !old)
        fold_revive(fold, series, NULL); /* the setting was changed */
    else if (series->stale && age >= stale_ns + patience_of(fold, series))
        leave_for_good(fold, series);
}

/* Who has many stale ones keeps them for a shorter time, by half with each look at all. */
static void set_patience(struct fold *fold) {
    for (size_t i = 0; i < fold->stale.count; i++) {
        struct share *share = &fold->stale.items[i];
        uint64_t patience = share->patience_ns ? share->patience_ns : FOLD_FORGET_NS;
        share->patience_ns = shares_is_nearly_used_up(&fold->stale, (int)i) ? patience / 2 : FOLD_FORGET_NS;
    }
}

static void look_at_bucket(struct fold *fold, size_t bucket, uint64_t now_ns) {
    for (struct series *series = fold->table.buckets[bucket], *next; series; series = next) {
        next = series->next;
        look_at(fold, series, now_ns);
    }
}

/* Hidden series take room in the segment, and time of its readers. */
static void make_segment_compact(struct fold *fold) {
    if (fold->hidden >= FOLD_HIDDEN_MIN && fold->hidden * 2 > fold->table.count - fold->stale.series) {
        segment_destroy(fold->segment);
        fold->segment = NULL; /* fold_maintain begins a new one, which has the living alone */
    }
}

void fold_look_for_stale(struct fold *fold, uint64_t now_ns) {
    size_t buckets = fold->table.bucket_count, share = buckets / 60; /* all of them within a minute */
    if (!fold->settled)
        return; /* which processes have handles is not known yet */
    for (size_t i = 0; i < buckets && (i < FOLD_STALE_SCAN || i < share); i++) {
        if (fold->stale_cursor >= buckets) {
            fold->stale_cursor = 0;
            set_patience(fold);
        }
        look_at_bucket(fold, fold->stale_cursor++, now_ns);
    }
    if (fold->memo_is_old)
        fold_memo_clear(&fold->memo);
    fold->memo_is_old = false;
    if (fold->names_gone * 4 > fold->names.count + 64)
        fold_rebuild_names(fold);
    if (fold->segment)
        make_segment_compact(fold);
}
