/* producer.h - the client library for the agent's inputs and our own daemons: records as they are, and no loss unasked.
 *
 * An app's call that finds no room is dropped and counted. An input holds back instead: producer_write says -EAGAIN,
 * counts nothing, and the input tries again later, or lets go and says so with producer_count_loss. Besides, an input
 * gives a service, a time and an input position with each record, which taskforge.h does not offer.
 *
 * One producer holds one slot of the ring; each thread that writes through it gets a lane of its own. Any thread may use
 * it, and after fork(2) the child writes through a slot and lanes of its own without further ado. No call blocks, and
 * none makes a system call or allocates after a thread's first record, but while there is no ring: then one attempt to
 * attach is made each second at most. Levels are not looked at: whether an entry is wanted is the caller's
 * (producer_wants).
 */
#ifndef TASKFORGE_AGENT_CLIENT_PRODUCER_H
#define TASKFORGE_AGENT_CLIENT_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/level.h"
#include "common/model/record.h"
#include "common/shm/layout.h"

struct producer;

/* Open a producer whose slot carries `service` (1 to 100 characters, copied). runtime_dir NULL: where paths_runtime_dir
 * says. That no ring can be attached now is no failure (the sentence is left in *error all the same, "" otherwise):
 * writes say -EAGAIN until one can. -EINVAL for a bad service, -ENAMETOOLONG, -ENOMEM. Free with producer_close. */
int producer_open(const char *runtime_dir, const char *service, struct producer **ret, struct error *error);

/* Give back lanes and slot; what was written stays in the ring. NULL is fine. No other thread may use it any more. */
void producer_close(struct producer *producer);

/* Write one entry, with its position where record->has_position, at `time_ns` (real; 0: now). A zero id is made here (and
 * only there: an id given stays), a zero timestamp is time_ns, an empty service is the producer's. The entry must have
 * been repaired or validated before; its site must be 0. Borrowed until the call returns.
 * 0: committed to the ring, it will be in the store. -EAGAIN: no room, or no ring, nothing happened and nothing was
 * counted. -E2BIG: larger than any record may be. */
int producer_write(struct producer *producer, const struct record_entry *record, uint64_t time_ns);

/* producer_write for the last time: where there is no room, the entry is counted as lost, with the true reason (-EAGAIN). */
int producer_write_or_lose(struct producer *producer, const struct record_entry *record, uint64_t time_ns);

/* Write one record of another kind (RECORD_INPUT_POSITION alone, RECORD_AUDIT_EVENT, ...); record->position is ignored, a
 * zero time_ns is now. Takes room as a record of level error does, but a metric update as one of level info: a stream of
 * them must not fill what errors keep free. Returns as producer_write; -EINVAL for what cannot be encoded. */
int producer_write_record(struct producer *producer, const struct record *record);

/* producer_write_record for the last time: where there is no room, it is counted as lost at that level (-EAGAIN). */
int producer_write_record_or_lose(struct producer *producer, const struct record *record);

/* Count `count` records that the caller lets go, in the slot's ledger (kept here until there is one). Returns 0. */
int producer_count_loss(struct producer *producer, enum level level, enum loss_reason reason, uint64_t count);

/* Whether -EAGAIN is about room, so that waiting makes sense: false while no ring can be attached to at all. */
bool producer_attached(const struct producer *producer);

struct metric_definition; /* common/model/metric.h */
struct tf_metric;         /* updated by tf_counter_add and so on of taskforge.h */

/* A metric by handle, with the naming its definition says: a daemon's own are METRIC_NAMING_PREFIXED ("exporter_requests_total"). Texts
 * are copied; the handle lives as long as the producer. -EINVAL, -EEXIST with the reason, -ENOSPC, -ENOMEM. */
int producer_metric_register(struct producer *producer, const struct metric_definition *definition,
                             struct tf_metric **ret, struct error *error);

/* For a program that writes a record or two and ends: its threads take no lane of their own (half a MiB that only a collector gives
 * back) but share the overflow lanes. Call before the first record. */
void producer_share_lanes(struct producer *producer);

/* For a program that brings in what others have written, as fast as it comes: a thread whose lane is full goes on in further private lanes,
 * as many as the ring can spare, so that it can write while the collector commits. Order holds across them for what goes through this
 * header; nothing else may be written by such a thread. Call before the first record. */
void producer_take_rows(struct producer *producer);

/* Give back the calling thread's further lanes when it has not needed them for some seconds. To be called now and then. */
void producer_ease(struct producer *producer);

/* The client below, for tf_log and what else of taskforge.h writes as an app does: its losses are counted then. Lives as long as the
 * producer, and is never to be closed. */
struct tf_client *producer_client(struct producer *producer);

/* Whether entries of this level are wanted now: one load. */
bool producer_wants(const struct producer *producer, enum level level);

/* Wait until the collector has taken all that this process wrote through the producer into the store (its tails have
 * passed): 0, or -ETIMEDOUT after timeout_ns. Sleeps in short steps. */
int producer_flush(struct producer *producer, uint64_t timeout_ns);

#endif
