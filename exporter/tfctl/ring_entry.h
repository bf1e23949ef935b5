/* ring_entry.h - records of a lane to entries, as the collector makes them: origin, call site, redaction, repair. One thread. */
#ifndef TASKFORGE_EXPORTER_TFCTL_RING_ENTRY_H
#define TASKFORGE_EXPORTER_TFCTL_RING_ENTRY_H

#include "common/privacy/redact_patterns.h"
#include "common/privacy/seal_fields.h"
#include "common/process/config.h"
#include "common/query/entry_copy.h"
#include "common/shm/ring_reader.h"

struct ring_entry_reader {
    char host[ENTRY_HOST_BYTES + 1];
    struct buffer message; /* one being formatted */
    struct buffer scratch; /* of repair */
    struct redact_patterns patterns;
    struct seal_fields sealed; /* what the store will have sealed: covered */
    struct seal_parts covered;
    struct site_info site;
    char trace_id[32], span_id[16]; /* of one entry, where its record has them raw */
};

/* -ENOMEM. */
int ring_entry_reader_init(struct ring_entry_reader *reader, const struct config_collector *config);
void ring_entry_reader_finish(struct ring_entry_reader *reader);

/* Append the entries of a copied span of that lane. 0; -EBADMSG at bytes that are no record (what came before is there), -ENOMEM. */
int ring_entries_read(struct ring_entry_reader *reader, struct ring *ring, uint32_t lane,
                      const struct lane_state *state, struct span_reader *span, struct entry_copies *out);

#endif
