/* partition_origin.h - what a partition says once of all its entries: the host they are from and that host's labels, and what became of it since.
 * Written when it is made, never changed in it. Partitions of format 1 say nothing. */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_ORIGIN_H
#define TASKFORGE_COMMON_STORE_PARTITION_ORIGIN_H

#include "common/store/block.h"
#include "common/store/partition.h"

enum {
    PARTITION_HOST_BYTES = 255,
    PARTITION_LABELS_MAX = 32,
    PARTITION_LABEL_NAME_BYTES = 64,
    PARTITION_LABEL_VALUE_BYTES = 256,
};

enum partition_flag {
    PARTITION_REWRITTEN = 1, /* it took the place of one that had more entries: blocks and rows may be missing in it */
    PARTITION_JUMPED =
        4, /* it does not begin where the one before it ends: what is between was left for an import, or is lost */
    PARTITION_IMPORTED = 2, /* its entries were brought in from a file, and stored elsewhere before */
};

struct partition_label {
    struct text name, value;
};

struct partition_origin {
    unsigned flags;        /* enum partition_flag */
    uint64_t rewritten_ns; /* when, 0: never */
    struct text host;      /* of entries whose block names none; empty: each block names its own */
    struct partition_label labels[PARTITION_LABELS_MAX];
    size_t label_count;
};
#define PARTITION_ORIGIN_EMPTY ((struct partition_origin) { 0 })

/* As the record's bytes. The decoded one borrows from them. -EINVAL past a limit, -ENOMEM; -EBADMSG, -EPROTO. */
int partition_origin_encode(const struct partition_origin *origin, struct buffer *out);
int partition_origin_decode(struct text encoded, struct partition_origin *ret);

/* As partition_create, with its origin. */
int partition_create_of(const char *path, const struct partition_meta *meta, const struct partition_origin *origin,
                        uint64_t map_size, struct partition **ret, struct error *error);

/* Of an open partition; lives as long as it. */
const struct partition_origin *partition_origin(const struct partition *partition);

/* As block_open, of a block that stands in the partition: entries whose block names no host are the partition's. */
int partition_block_open(const struct partition *partition, struct text encoded, uint64_t first_sequence,
                         struct block **ret, struct error *error);
/* As block_open_taking. */
int partition_block_open_taking(const struct partition *partition, char *encoded, size_t size, uint64_t first_sequence,
                                struct block **ret, struct error *error);

bool partition_origin_label(const struct partition_origin *origin, struct text name, struct text *ret);

/* The same host and labels, in the same order. */
bool partition_origin_same_place(const struct partition_origin *a, const struct partition_origin *b);

#endif
