/* descriptions.h - what is known of a metric's name, whatever the labels: unit, help and bounds.
 *
 * They come with a record of their own (tf_metric_describe, tfmetric --describe), or with a registration by handle that knows more than
 * the series did. The first of each that is not empty holds; what was empty is completed by one that comes later, in series that are there
 * already with their next update, in new ones at once. In the state, so that series of labels that come after a restart have them too:
 *
 *   "describe/" id u32 -> u8 version 1, u8 kind, u8 naming, u8 0, u32 user, then name, unit, help and bounds, each u16 length and bytes
 *
 * Their room is taken of the share of whoever described first. One thread. */
#ifndef TASKFORGE_COLLECTOR_DESCRIPTIONS_H
#define TASKFORGE_COLLECTOR_DESCRIPTIONS_H

#include "collector/batch.h"
#include "collector/series.h"

struct fold;

struct descriptions {
    struct description **buckets;
    size_t bucket_count, count; /* a power of two, or 0 */
    struct description *unsafe; /* not as they stand in the state */
    uint32_t next_id;
    uint32_t version; /* grows with every change: series that were completed by another one are looked at anew */
};
void descriptions_finish(struct descriptions *descriptions);

/* Out of the state. What makes no sense there is left out. -ENOMEM. */
int descriptions_load(struct fold *fold, size_t *ret_bad);

/* This describes its name; labels and rule do not matter. What cannot be is refused and counted. */
void fold_describe(struct fold *fold, const struct metric_definition *definition, struct batch *batch);

/* Whether the definition says more of a series' name than the series does. */
bool description_is_news(const struct series *series, const struct metric_definition *definition);

/* What a definition leaves empty, of what is known; the texts live as long as the fold. True when there was something. */
bool description_complete(const struct fold *fold, struct metric_definition *definition);

/* The batch's end. */
void descriptions_put(struct fold *fold, struct batch *batch);
void descriptions_settle(struct descriptions *descriptions);

#endif
