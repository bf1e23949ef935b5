/* rings.h - what stands in the rings that the caller may read and is not in the store yet.
 *
 * For tail and losses, which also work while the collector is down. Read-only: no lock, no write, nothing in a ring changes. Everything
 * there is hostile and read through ring_reader.h; a broken ring is passed over (the collector sets it aside). The caller's own ring can always be
 * found; the others where the folder may be listed (root, the collector's user). One thread.
 */
#ifndef TASKFORGE_EXPORTER_TFCTL_RINGS_H
#define TASKFORGE_EXPORTER_TFCTL_RINGS_H

#include "common/process/config.h"
#include "common/query/trace.h"
#include "common/shm/ring_reader.h"
#include "common/store/reader.h"

struct rings;

/* RUNTIME_DIR/rings need not exist. The configuration says what is redacted: as the collector does before it stores. -ENOMEM. */
int rings_open(const char *runtime_dir, const struct config *config, struct rings **ret);
void rings_close(struct rings *rings);

/* Append the entries that are committed in the lanes beyond what the store holds and beyond the last look, as the
 * collector would store them; of one lane in order. 0, -ENOMEM, or what reading the state gave. */
int rings_look(struct rings *rings, struct store_reader *reader, struct entry_copies *out, struct error *error);

/* Visit the losses in the ledgers that the store was not told of. visit returns 0 to go on. */
struct ring_loss {
    struct text service;
    enum level level;
    enum loss_reason reason;
    uint64_t count, first_ns, last_ns;
};
int rings_losses(struct rings *rings, struct store_reader *reader,
                 int (*visit)(void *argument, const struct ring_loss *loss), void *argument, struct error *error);

/* Add the spans that processes have open now, of one trace, or of all (NULL): 0, -ENOMEM. */
int rings_spans(struct rings *rings, const uint8_t *trace_id, struct trace *open);

#endif
