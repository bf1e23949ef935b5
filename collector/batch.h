/* batch.h - what one commit holds: entries and spans in their final order and the state that goes with them.
 *
 * It is the same whether it goes into the store or into the spill. Texts of entries borrow from the lanes' private copies
 * (or a spill frame) or live in the batch's arena; both stay as long as the batch. One thread. */
#ifndef TASKFORGE_COLLECTOR_BATCH_H
#define TASKFORGE_COLLECTOR_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/arena.h"
#include "collector/state_map.h"
#include "common/model/span.h"

struct batch_put {
    struct text key, value; /* in the arena */
    bool remove;
    struct state_node *node; /* for batch_apply, when it was prepared */
};

struct batch {
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct span *spans;
    size_t span_count, span_capacity;
    struct batch_put *puts;
    size_t put_count, put_capacity;
    uint32_t *put_index; /* open addressing by key: put number + 1, 0 empty */
    size_t put_index_size;
    struct arena arena;
    struct buffer scratch;  /* of entry_repair */
    uint64_t repaired;      /* entries that entry_repair had to change */
    uint64_t redacted;      /* values that collector.redact.patterns changed */
    uint64_t unsealed;      /* values that found no room sealed, and were left out */
    uint64_t too_costly;    /* of them, those that could not be judged in time */
    uint64_t invalid_spans; /* that were not added */
    bool failed;            /* out of memory: the batch must not be used */
};
#define BATCH_EMPTY ((struct batch) { 0 })

void batch_clear(struct batch *batch);
void batch_finish(struct batch *batch);

/* Add an entry: it is repaired where it is not valid. Texts are borrowed unless repaired. */
void batch_add(struct batch *batch, const struct entry *entry);

/* The two halves of that. */
void batch_repair(struct batch *batch, struct entry *entry);
void batch_push(struct batch *batch, const struct entry *entry);

/* Add a span: repaired likewise; one without a trace id or an id of its own is only counted. */
void batch_add_span(struct batch *batch, const struct span *span);
/* The entries from that number on go in front of the others. */
void batch_move_front(struct batch *batch, size_t from);

/* A state key's new value; of several for one key the last holds. Both are copied. */
void batch_put(struct batch *batch, struct text key, struct text value);
void batch_put_u64(struct batch *batch, struct text key, uint64_t value);
void batch_remove(struct batch *batch, struct text key);

static inline bool batch_is_empty(const struct batch *batch) {
    return batch->entry_count == 0 && batch->span_count == 0 && batch->put_count == 0;
}

/* Have the memory that batch_apply needs, while the batch can still be refused: -ENOMEM. */
int batch_prepare(const struct batch *batch, struct state_map *map);

/* The batch is safe: its puts hold from now on. Cannot fail after batch_prepare; else -ENOMEM leaves the rest undone. */
int batch_apply(const struct batch *batch, struct state_map *map);

#endif
