/* writer.h - the only code that writes the store: one batch, one transaction.
 *
 * A commit holds: the entries as blocks with their index, the spans, a merge of small blocks where one is due, the batch's state puts,
 * the sequence with the flush time, the output's cursor. Rolling to a new partition happens before it, when age or size ask for it.
 * One thread, but for writer_end and writer_output_cursor. */
#ifndef TASKFORGE_COLLECTOR_WRITER_H
#define TASKFORGE_COLLECTOR_WRITER_H

#include <stdatomic.h>

#include "collector/batch.h"
#include "collector/merge.h"
#include "collector/partitions.h"

struct writer {
    struct partitions *partitions; /* borrowed */
    struct state_map *state;       /* borrowed; sequence, spill offset and output cursor are put by the writer */
    struct state_sequence sequence;
    struct block_builder *builder;
    struct merge_tail tail;
    uint64_t next_span;       /* the sequence of the next span */
    bool has_spans;           /* the authority holds some */
    uint64_t partition_ns;    /* roll after so long; set by whoever knows the configuration */
    uint64_t partition_bytes; /* roll beyond that size */
    uint64_t reserve_bytes;   /* kept for the last commits on a full disk */
    bool roll_due;            /* a roll was begun and did not come to its end: the authority may be closed */
    unsigned damage_seen;     /* commits in a row that found the authority damaged */
    uint64_t spill_over;      /* spill files below that id are over: put with the next batch of `apply`, if not 0 */
    char reserve[PATHS_MAX + 16];
    uint64_t output_stored;         /* the cursor that the store holds */
    _Atomic uint64_t output_cursor; /* the next sequence to be printed: set by the output's thread */
    _Atomic uint64_t end;           /* the sequence after the last committed entry */
};

int writer_init(struct writer *writer, struct partitions *partitions, struct state_map *state, struct error *error);
void writer_finish(struct writer *writer);

/* Commit the batch. `apply`: its puts also go into the state in memory (not for a spill frame, whose puts went there when it
 * was spilled). 0; or a negative errno and nothing happened. Rolling in the middle of taking in the spill is fine: the state in
 * memory, which the new partition gets, is the one after the spill's last frame, and frames taken in later end there too. */
int writer_commit(struct writer *writer, const struct batch *batch, bool apply, uint64_t now_ns, struct error *error);

/* Leave `count` sequences for a partition that is taken in: *ret_first is the first of them, and a new partition begins behind them. */
int writer_leave_place(struct writer *writer, uint64_t count, uint64_t *ret_first, struct error *error);

/* So many bytes are kept in reserve from now on. */
void writer_set_reserve(struct writer *writer, uint64_t bytes);

/* After a failure, before the next try: look at the store anew; a damaged one is set aside and begun again. */
int writer_recover(struct writer *writer, struct error *error);

/* Whether the output's cursor moved since it was last committed. */
static inline bool writer_cursor_moved(struct writer *writer) {
    return atomic_load_explicit(&writer->output_cursor, memory_order_relaxed) != writer->output_stored;
}

#endif
