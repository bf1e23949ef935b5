/* store_spans.h - made-up spans, put into partitions. */
#ifndef TASKFORGE_TESTS_UNIT_STORE_SPANS_H
#define TASKFORGE_TESTS_UNIT_STORE_SPANS_H

#include "common/store/span_codec.h"
#include "common/store/reader.h"
#include "store_fixture.h"

/* Span `number` of trace `trace`, which began at FIXTURE_NOW + start. */
static inline struct span make_span(uint8_t trace, uint8_t number, uint64_t start) {
    struct span span = { .record = { .start_ns = FIXTURE_NOW + start,
                                     .thread = 7,
                                     .failed = number % 2,
                                     .service = TEXT_LITERAL("billing"),
                                     .operation = TEXT_LITERAL("charge"),
                                     .status = TEXT_LITERAL("card refused"),
                                     .metadata = TEXT_LITERAL("\x81\xa1k\x01") },
                         .end_ns = FIXTURE_NOW + start + 1000,
                         .host = TEXT_LITERAL("host"),
                         .pid = 42 };
    span.record.trace_id[0] = trace;
    span.record.span_id[7] = number;
    span.record.parent_id[7] = number > 1 ? 1 : 0;
    return span;
}

static inline void put_span(struct partition_txn *txn, uint64_t sequence, const struct span *span) {
    _cleanup_buffer_ struct buffer value = BUFFER_EMPTY;
    struct partition_span_time time = { .start_ns = span->record.start_ns,
                                        .sequence = sequence,
                                        .service_hash = span_service_hash(span->record.service) };
    memcpy(time.trace_id, span->record.trace_id, sizeof(time.trace_id));
    must(span_encode(span, sequence, &value));
    must(partition_span_put(txn, &time, buffer_text(&value), &error));
}

#endif
