#include "collector/spans.h"

#include <errno.h>
#include <unistd.h>

#include "common/store/reader.h"

/* --- into the batch, into the store --- */

void spans_add(const struct drain *drain, const struct origin *origin, const struct record *record,
               struct batch *batch) {
    struct span span = {
        .record = record->span, .end_ns = record->time_ns, .host = text_of(drain->host), .pid = origin->pid
    };
    if (span.record.service.length == 0)
        span.record.service = arena_copy(&batch->arena, origin->service);
    intake_span(drain->intake, &span, batch);
}

int spans_put(struct partition_txn *txn, const struct batch *batch, uint64_t first, struct error *error) {
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    int result = 0;
    for (size_t i = 0; i < batch->span_count && result == 0; i++) {
        const struct span *span = &batch->spans[i];
        struct partition_span_time time = { .start_ns = span->record.start_ns,
                                            .sequence = first + i,
                                            .service_hash = span_service_hash(span->record.service) };
        memcpy(time.trace_id, span->record.trace_id, sizeof(time.trace_id));
        buffer_clear(&value);
        result = span_encode(span, time.sequence, &value);
        if (result < 0)
            return error_set(error, result, "cannot encode a span: %s", strerror(-result));
        result = partition_span_put(txn, &time, buffer_text(&value), error);
    }
    return result;
}

/* --- what is open --- */

struct answer {
    struct control_call *call;
    const char *host;
    bool one; /* trace alone */
    uint8_t trace[SPAN_TRACE_BYTES];
    struct buffer line;
    size_t bytes;
};

static void answer_span(struct answer *answer, const struct slot_info *info, const struct open_span *open) {
    struct span span = { .record = { .start_ns = open->start_ns,
                                     .thread = open->thread,
                                     .service = info->service,
                                     .operation = { open->operation, open->operation_length } },
                         .host = text_of(answer->host),
                         .pid = info->pid };
    memcpy(span.record.trace_id, open->trace_id, sizeof(span.record.trace_id));
    memcpy(span.record.span_id, open->span_id, sizeof(span.record.span_id));
    memcpy(span.record.parent_id, open->parent_id, sizeof(span.record.parent_id));
    buffer_clear(&answer->line);
    span_append_json(&answer->line, &span);
    control_add_text(answer->call, buffer_text(&answer->line));
    answer->bytes += answer->line.length;
}

static void answer_ring(struct answer *answer, struct rings *rings, struct collector_ring *ring) {
    static struct open_span spans[SLOT_SPANS_MAX]; /* 6 KiB; the collector reads rings on one thread */
    rings_slots_count(ring);
    for (uint32_t i = 0; i < ring->slots_used && answer->bytes < SPANS_ANSWER_BYTES; i++) {
        const struct slot *slot = &ring->slots[i];
        if (!rings_slot_refresh(rings, ring, i) || slot->ending || slot->info.state != SLOT_ACTIVE)
            continue;
        int count = ring_reader_spans(&ring->ring, i, spans);
        for (int s = 0; s < count; s++)
            if (!answer->one || memcmp(spans[s].trace_id, answer->trace, SPAN_TRACE_BYTES) == 0)
                answer_span(answer, &slot->info, &spans[s]);
    }
}

void spans_answer(struct rings *rings, const char *host, struct control_call *call, struct text trace) {
    struct answer answer = { .call = call, .host = host, .one = trace.length > 0 };
    if (answer.one && span_trace_parse(trace, answer.trace) < 0) {
        control_fail(call, "expected: spans [TRACE], the trace as 32 hex digits");
        return;
    }
    bool all = control_may_change(call); /* root, ourselves, and the group that the store is readable to */
    uid_t asker = control_peer(call).uid;
    for (size_t r = 0; r < rings->count; r++) {
        struct collector_ring *ring = rings->items[r];
        if (ring->phase != RING_BROKEN && (all || ring->uid == asker))
            answer_ring(&answer, rings, ring);
    }
    if (answer.bytes >= SPANS_ANSWER_BYTES)
        control_add(call, "{\"more\":true}");
    bool failed = answer.line.failed;
    buffer_finish(&answer.line);
    if (failed)
        control_fail(call, "out of memory");
    else
        control_done(call);
}
