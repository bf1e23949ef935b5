#include "collector/fold_ahead.h"

#include "collector/series.h"

enum { STEPS = 4 /* records looked at for one, so that the look ahead comes to be ahead */ };

void fold_ahead_init(struct fold_ahead *ahead, const struct fold_memo *memo, const struct series_table *table) {
    ahead->memo = memo;
    ahead->table = table;
    ahead->next = NULL;
    ahead->first = ahead->count = 0;
}

static struct fold_ahead_item *item_at(struct fold_ahead *ahead, unsigned i) {
    return &ahead->items[(ahead->first + i) % FOLD_AHEAD];
}

/* The record at `next`, should it be an update: false where there is none. */
static bool look_at_next(struct fold_ahead *ahead, const char *end) {
    struct record_header header;
    struct fold_ahead_item *item = item_at(ahead, ahead->count);
    if (record_header_decode(ahead->next, (size_t)(end - ahead->next), ahead->position, &header) < 0)
        return false;
    item->bytes = ahead->next;
    ahead->next += header.length;
    ahead->position += header.length;
    if (!record_update_glance(item->bytes, &header, &item->glance))
        return true;
    item->series = NULL;
    fold_memo_hash(ahead->memo, &item->glance, item->hash);
    fold_memo_fetch(ahead->memo, item->hash);
    ahead->count++;
    return true;
}

static void find(struct fold_ahead *ahead, struct fold_ahead_item *item) {
    if (!item->series)
        item->series = fold_memo_find(ahead->memo, ahead->table, item->hash);
}

bool fold_ahead_knows(void *context, const void *bytes, size_t available, const struct record_header *header,
                      struct record_metric_update *ret) {
    struct fold_ahead *ahead = context;
    if (ahead->count == 0 || item_at(ahead, 0)->bytes != bytes) {
        ahead->count = 0;
        ahead->next = bytes;
        ahead->position = header->position;
    }
    for (int step = 0; step < STEPS && ahead->count < FOLD_AHEAD; step++)
        if (!look_at_next(ahead, (const char *)bytes + available))
            break;
    if (ahead->count > FOLD_AHEAD / 2) {
        struct fold_ahead_item *halfway = item_at(ahead, FOLD_AHEAD / 2);
        find(ahead, halfway);
        if (halfway->series)
            __builtin_prefetch(halfway->series, 1);
    }
    struct fold_ahead_item *item = item_at(ahead, 0);
    if (ahead->count == 0 || item->bytes != bytes)
        return false; /* not to be known like this: it has a trace id */
    find(ahead, item);
    ahead->first = (ahead->first + 1) % FOLD_AHEAD;
    ahead->count--;
    /* All of it: an earlier record stood there. */
    *ret = (struct record_metric_update) { .metric_kind = item->glance.kind,
                                           .naming = item->glance.naming,
                                           .operation = item->glance.operation,
                                           .value = item->glance.value,
                                           .hash = { item->hash[0], item->hash[1] } };
    if (!item->series || item->series->stale)
        return false;
    ret->known = item->series;
    return true;
}
