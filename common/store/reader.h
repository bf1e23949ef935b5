/* reader.h - the whole store, for those who only read: partitions as they come and go, blocks by sequence and by time.
 *
 * Needs no running process. Every call uses short read transactions of its own; nothing is held between calls but open
 * environments. A closed partition is read when it is known to be sound: the collector has noted that (partition_sum.h), or a child process finds it before
 * the first use. What is damaged is reported once a partition through `damaged` and passed over: a block, or as much of the partition as cannot be read.
 * A block whose index value is damaged or missing is found all the same. One thread.
 */
#ifndef TASKFORGE_COMMON_STORE_READER_H
#define TASKFORGE_COMMON_STORE_READER_H

#include "common/store/block.h"
#include "common/store/filter_index.h"
#include "common/store/partition.h"
#include "common/store/span_codec.h"

struct store_reader;

/* damaged may be NULL. data_dir as partition_list takes it. An empty or missing store opens well and holds nothing;
 * -EACCES and the sentence when the folder may not be read. */
int store_reader_open(const char *data_dir, void (*damaged)(void *argument, const char *path, const char *why),
                      void *argument, struct store_reader **ret, struct error *error);
void store_reader_close(struct store_reader *reader);

/* Look again for new and vanished partitions, and for those that are not what they were. */
int store_reader_refresh(struct store_reader *reader, struct error *error);

/* How many partitions are damaged or set aside, as far as that is known by now, and a sentence about the first; "" and 0 when all are sound. */
size_t store_reader_trouble(const struct store_reader *reader, char ret[ERROR_TEXT_SIZE]);

/* The sequence after the last stored entry (0: nothing was ever stored). */
int store_reader_end(struct store_reader *reader, uint64_t *ret_sequence, struct error *error);

/* Visit the index value of every block that holds sequences in [from, to) in ascending order (descending: the other way). The
 * index_entry is valid during the visit only. visit returns 0 to go on. */
int store_reader_walk(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                      int (*visit)(void *argument, const struct index_entry *index), void *argument,
                      struct error *error);
/* Likewise, but only what is wanted of each index value is read, or a little more; the rest of it is empty, and answers "perhaps". */
int store_reader_walk_parts(struct store_reader *reader, uint64_t from, uint64_t to, bool descending,
                            const struct index_want *want,
                            int (*visit)(void *argument, const struct index_entry *index), void *argument,
                            struct error *error);

/* Between which times lies all that stands before the sequence in the whole store; unknown where an index does not tell. */
int store_reader_before(struct store_reader *reader, uint64_t sequence, struct index_before *ret, struct error *error);
/* How early anything can be that stands at the sequence or behind it; 0: unknown. */
int store_reader_earliest(struct store_reader *reader, uint64_t sequence, uint64_t *ret_ns, struct error *error);

/* Copy out the block that starts at first_sequence, as the walk named it. -ENOENT when it was merged or retired meanwhile: walk
 * again from that sequence. */
int store_reader_block(struct store_reader *reader, uint64_t first_sequence, struct block **ret, struct error *error);

/* One state value of the authority (the newest ready partition): 1 and a copy appended to out, 0 when absent. */
int store_reader_state(struct store_reader *reader, struct text key, struct buffer *out, struct error *error);
int store_reader_state_walk(struct store_reader *reader, struct text prefix,
                            int (*visit)(void *argument, struct text key, struct text value), void *argument,
                            struct error *error);

/* --- spans --- */

/* Visit every stored span of a trace, whatever partitions it stands in; in the order of arrival. Borrowed during the visit, which returns
 * 0 to go on. A damaged one is told of and passed over. */
int store_reader_trace(struct store_reader *reader, const uint8_t trace_id[SPAN_TRACE_BYTES],
                       int (*visit)(void *argument, const struct span *span), void *argument, struct error *error);

/* Walk the starts of all spans that began before until_ns, the latest first. The reader must stay as it is until the walk is closed. */
struct span_walk;
int span_walk_open(struct store_reader *reader, uint64_t until_ns, struct span_walk **ret, struct error *error);
int span_walk_next(struct span_walk *walk, struct partition_span_time *ret, struct error *error); /* 1, 0 at the end */
void span_walk_close(struct span_walk *walk);
/* What span_times says of a service. */
uint64_t span_service_hash(struct text service);

#endif
