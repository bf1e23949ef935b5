/* filter_index.h - what the store knows of a block without opening it: one small index value for each block.
 *
 * Time range, counts by service and level, when its rows were flushed, and a filter (64-bit hashes in a
 * split-block Bloom filter, 10 or 16 bits for each distinct value) over trace, span and correlation ids, users and
 * organisations, and one over the words of messages; and how many rows each template of messages has. A filter says "certainly not" or "perhaps". The
 * layout is drawn in filter_index_private.h; version 2, version 1 is read. Each part has its checksum, and nothing is used before it is checked.
 */
#ifndef TASKFORGE_COMMON_STORE_FILTER_INDEX_H
#define TASKFORGE_COMMON_STORE_FILTER_INDEX_H

#include "common/store/block.h"
#include "common/store/index_parts.h"

struct index_count {
    struct text service;
    uint64_t by_level[LEVEL_COUNT];
};

struct index_flush { /* rows from first_row on arrived at flush_ns (until the next of these) */
    uint32_t first_row;
    uint64_t flush_ns;
};

struct index_template { /* of messages: its id (block.h) and how many rows have it */
    uint64_t id;
    uint32_t count;
};

enum index_filter_kind { INDEX_TRACE = 1, INDEX_SPAN, INDEX_CORRELATION, INDEX_USER, INDEX_ORGANIZATION, INDEX_WORD };

/* Between which times lies everything that stands in the partition before a block (nothing does: min > max), and how much earlier a block there began, at
 * most, than something before it. */
struct index_before {
    uint64_t min_ns, max_ns, late_ns;
};
#define INDEX_BEFORE_NOTHING ((struct index_before) { UINT64_MAX, 0, 0 })
#define INDEX_BEFORE_UNKNOWN ((struct index_before) { 0, UINT64_MAX, UINT64_MAX })

struct index_filter { /* where it lies in the value */
    size_t at, size;  /* the size without its checksums */
    bool in_pieces;   /* with a checksum each */
};

/* One decoded index value; texts borrow from the bytes that were decoded, the arrays are owned. What was not in the parts that were decoded answers
 * "perhaps", and is empty. */
struct index_entry {
    uint64_t first_sequence;
    uint32_t count;
    uint64_t min_timestamp_ns, max_timestamp_ns;
    struct index_before before;
    struct index_count *counts;
    uint32_t count_count;
    struct index_flush *flushes; /* at least one, ascending */
    uint32_t flush_count;
    struct index_template *templates; /* the most frequent first */
    uint32_t template_count;
    bool
        has_more_templates; /* than are listed: the rarest of very many, or all in a value of version 1, which lists none */
    bool weighed; /* entries that stand for others, by repeats or sampling, may be among them: counts are of what is stored */
    struct index_filter id_filter, word_filter;
    struct index_parts parts;
    uint32_t count_capacity, flush_capacity, template_capacity;
};

int index_decode(struct text encoded, struct index_entry *ret); /* all of it; -EBADMSG, -ENOMEM */
/* What there is of it. The entry is zeroed, or was decoded before: then its arrays are used again. To be finished in any case. */
int index_decode_parts(const struct index_parts *parts, struct index_entry *entry);
void index_entry_finish(struct index_entry *entry);

/* What stands before the block that follows one. */
struct index_before index_before_next(struct index_before before, uint64_t min_ns, uint64_t max_ns);

/* Make the index value of what a builder holds. `flushes` as above for these rows. */
int index_encode(const struct block_builder *builder, uint64_t first_sequence, const struct index_flush *flushes,
                 uint32_t flush_count, struct buffer *out);
/* Likewise, where it is known what stands before the block in its partition; then what stands before the next. */
int index_encode_behind(const struct block_builder *builder, uint64_t first_sequence, struct index_before *before,
                        const struct index_flush *flushes, uint32_t flush_count, struct buffer *out);

struct partition_txn;
/* What stands in the partition before a sequence at which a block may begin. Unknown where the index is damaged there. */
struct index_before index_before(struct partition_txn *txn, uint64_t first_sequence);
/* How early anything can be that stands in the partition at the sequence or behind it; 0: unknown. */
uint64_t index_earliest(struct partition_txn *txn, uint64_t sequence);

/* Could the block hold a row with this id (the id's text as it stands in entries; 16 raw bytes for users and organisations)? */
bool index_may_have_id(const struct index_entry *entry, enum index_filter_kind kind, struct text value);

/* Could the block hold a message of the template? */
bool index_may_have_template(const struct index_entry *entry, uint64_t id);

/* Could the block hold a message that contains `fixed` (any bytes, case-sensitive)? Uses only words that stand whole inside `fixed`
 * (a separator on both sides within it), so it never says no wrongly; but what is sealed has no
 * words, and is not found by its code. */
bool index_may_contain(const struct index_entry *entry, struct text fixed);

/* Want what these questions need: as index_may_have_id, index_may_contain. */
void index_want_id(struct index_want *want, enum index_filter_kind kind, struct text value);
void index_want_words(struct index_want *want, struct text fixed);

#endif
