#include "agent/tools/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/diag.h"

#define STEP_NS CLOCK_MILLISECOND

int writer_open(struct writer *writer, const char *service, struct error *error) {
    int r = producer_open(NULL, service, &writer->producer, error);
    if (r == 0)
        writer->reason = *error;
    return r;
}

void writer_close(struct writer *writer) {
    producer_close(writer->producer);
    writer->producer = NULL;
}

static void pause_a_moment(struct writer *writer) {
    if (writer->idle)
        writer->idle(writer->argument);
    struct timespec step = { .tv_nsec = STEP_NS };
    nanosleep(&step, NULL);
}

/* An entry, or a record of another kind. */
struct message {
    const struct record_entry *entry;
    const struct record *other; /* when entry is NULL */
};

static int write_once(struct writer *writer, const struct message *message) {
    return message->entry ? producer_write(writer->producer, message->entry, 0)
                          : producer_write_record(writer->producer, message->other);
}

static int write_or_lose(struct writer *writer, const struct message *message) {
    return message->entry ? producer_write_or_lose(writer->producer, message->entry, 0)
                          : producer_write_record_or_lose(writer->producer, message->other);
}

static int write_waiting(struct writer *writer, const struct message *message) {
    uint64_t begin = clock_monotonic_ns();
    int r;
    while ((r = write_once(writer, message)) == -EAGAIN) {
        if (writer->wait_ns == 0 || writer->in_vain || !producer_attached(writer->producer))
            break;
        if (clock_monotonic_ns() - begin >= writer->wait_ns) {
            writer->in_vain = true;
            break;
        }
        pause_a_moment(writer);
    }
    return r == -EAGAIN ? write_or_lose(writer, message) : r;
}

/* Keep account. */
static int account(struct writer *writer, int r) {
    if (r < 0) {
        writer->lost++;
        return r;
    }
    writer->written++;
    writer->in_vain = false;
    return 0;
}

int writer_put_record(struct writer *writer, const struct record *record) {
    return account(writer, write_waiting(writer, &(struct message) { .other = record }));
}

int writer_put(struct writer *writer, const struct entry *entry, struct buffer *scratch) {
    if (!producer_wants(writer->producer, entry->level))
        return 0;
    struct record_entry record = { .entry = *entry };
    buffer_clear(scratch);
    int r = entry_repair(&record.entry, 0, scratch);
    if (r >= 0)
        r = write_waiting(writer, &(struct message) { .entry = &record });
    return account(writer, r);
}

void writer_tell_losses(const struct writer *writer, const char *what) {
    if (writer->lost == 0)
        return;
    const char *reason = "the ring is full; is the collector running?";
    if (!producer_attached(writer->producer))
        reason = writer->reason.text[0] ? writer->reason.text : "there is no ring";
    diag_error("%" PRIu64 " of %" PRIu64 " %s did not fit and are counted as lost: %s", writer->lost,
               writer->lost + writer->written, what, reason);
}
