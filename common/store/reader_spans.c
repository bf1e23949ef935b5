/* The reader's spans: one trace out of all partitions, and all spans by their start, the partitions' merged. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/store/reader_private.h"

enum { SPANS_AT_A_TIME = 128 }; /* of one partition, in one transaction */

uint64_t span_service_hash(struct text service) {
    return hash_bytes(service.data, service.length);
}

/* --- one trace --- */

struct trace_walk {
    struct store_reader *reader;
    struct member *member;
    struct partition_txn *txn;
    const uint8_t *trace_id;
    int (*visit)(void *argument, const struct span *span);
    void *argument;
};

static void tell_span(const struct trace_walk *walk, uint64_t sequence, const char *why) {
    char text[128];
    snprintf(text, sizeof(text), "span %llu %s", (unsigned long long)sequence, why);
    reader_tell_once(walk->reader, walk->member, text);
}

/* The span that stands at the sequence: what the visitor said, 0 also when it is damaged and passed over. */
static int visit_span(const struct trace_walk *walk, uint64_t sequence, int *ret_verdict, struct error *error) {
    struct span span;
    struct text value;
    uint64_t found;
    int result = partition_span_seek(walk->txn, sequence, false, &found, &value, error);
    if (result < 0)
        return result;
    if (result == 0 || found != sequence)
        tell_span(walk, sequence, "is missing");
    else if (span_decode(value, sequence, &span) < 0 ||
             memcmp(span.record.trace_id, walk->trace_id, SPAN_TRACE_BYTES) != 0)
        tell_span(walk, sequence, "is damaged");
    else
        *ret_verdict = walk->visit(walk->argument, &span);
    return 0;
}

/* Some spans of the trace from *sequence on, in one transaction: 1 when there may be more. */
static int visit_some(struct trace_walk *walk, uint64_t *sequence, int *ret_verdict, struct error *error) {
    int result = partition_begin(walk->member->partition, false, &walk->txn, error);
    if (result < 0)
        return result;
    for (int i = 0; i < SPANS_AT_A_TIME; i++) {
        uint64_t found;
        result = partition_span_of_trace(walk->txn, walk->trace_id, *sequence, &found, error);
        if (result == 1 && found < *sequence) /* so that a walk over a damaged tree always ends */
            result = error_set(error, -EBADMSG, "the spans are out of order");
        if (result != 1)
            break;
        result = visit_span(walk, found, ret_verdict, error);
        if (result < 0 || *ret_verdict != 0 || found == UINT64_MAX)
            break;
        *sequence = found + 1;
        result = 1;
    }
    partition_abort(walk->txn);
    return result;
}

int store_reader_trace(struct store_reader *reader, const uint8_t trace_id[SPAN_TRACE_BYTES],
                       int (*visit)(void *argument, const struct span *span), void *argument, struct error *error) {
    struct trace_walk walk = { .reader = reader, .trace_id = trace_id, .visit = visit, .argument = argument };
    int verdict = 0;
    for (size_t i = 0; i < reader->count && verdict == 0; i++) {
        struct error why = { "" };
        uint64_t sequence = 0;
        int result = 1;
        walk.member = reader->members[i];
        while (result == 1 && verdict == 0 && reader_use(reader, walk.member))
            result = visit_some(&walk, &sequence, &verdict, &why);
        if (reader_is_passing(result))
            return error_set(error, result, "%s", why.text);
        if (result < 0)
            reader_tell_damaged(reader, walk.member, why.text);
    }
    return verdict;
}

/* --- by time --- */

struct span_source { /* a partition's next spans, the latest first */
    struct member *member;
    bool ended;
    unsigned at, count;
    struct partition_span_time times[SPANS_AT_A_TIME];
};

struct span_walk {
    struct store_reader *reader;
    size_t count;
    struct span_source sources[];
};

static int fill(struct span_walk *walk, struct span_source *source, uint64_t start_ns, uint64_t sequence,
                struct error *error) {
    struct partition_txn *txn;
    source->at = source->count = 0;
    if (!reader_use(walk->reader, source->member)) {
        source->ended = true;
        return 0;
    }
    struct error why = { "" };
    int result = partition_begin(source->member->partition, false, &txn, &why);
    if (result == 0) {
        while (source->count < SPANS_AT_A_TIME) {
            struct partition_span_time *next = &source->times[source->count];
            result = partition_span_before(txn, start_ns, sequence, next, &why);
            if (result == 1 &&
                (next->start_ns > start_ns || (next->start_ns == start_ns && next->sequence >= sequence)))
                result = error_set(&why, -EBADMSG, "the times of the spans are out of order");
            if (result != 1)
                break;
            start_ns = next->start_ns;
            sequence = next->sequence;
            source->count++;
        }
        partition_abort(txn);
    }
    source->ended = result != 1;
    if (reader_is_passing(result))
        return error_set(error, result, "%s", why.text);
    if (result < 0)
        reader_tell_damaged(walk->reader, source->member, why.text);
    return 0;
}

int span_walk_open(struct store_reader *reader, uint64_t until_ns, struct span_walk **ret, struct error *error) {
    struct span_walk *walk = calloc(1, sizeof(*walk) + reader->count * sizeof(walk->sources[0]));
    int result = walk ? 0 : error_set(error, -ENOMEM, "out of memory");
    if (result < 0)
        return result;
    walk->reader = reader;
    walk->count = reader->count;
    for (size_t i = 0; i < walk->count && result == 0; i++) {
        walk->sources[i].member = reader->members[i];
        result = fill(walk, &walk->sources[i], until_ns, 0, error);
    }
    if (result < 0) {
        span_walk_close(walk);
        return result;
    }
    *ret = walk;
    return 0;
}

static bool is_later(const struct partition_span_time *a, const struct partition_span_time *b) {
    return a->start_ns != b->start_ns ? a->start_ns > b->start_ns : a->sequence > b->sequence;
}

int span_walk_next(struct span_walk *walk, struct partition_span_time *ret, struct error *error) {
    struct span_source *latest = NULL;
    for (size_t i = 0; i < walk->count; i++) {
        struct span_source *source = &walk->sources[i];
        if (source->at < source->count && (!latest || is_later(&source->times[source->at], &latest->times[latest->at])))
            latest = source;
    }
    if (!latest)
        return 0;
    *ret = latest->times[latest->at++];
    if (latest->at == latest->count && !latest->ended) {
        int result = fill(walk, latest, ret->start_ns, ret->sequence, error);
        if (result < 0)
            return result;
    }
    return 1;
}

void span_walk_close(struct span_walk *walk) {
    free(walk);
}
