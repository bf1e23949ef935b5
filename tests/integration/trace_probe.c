/* trace_probe.c - an application under the hand of a test that has spans: does what its standard input says, line by line, and answers each
 * with one line. An argument: its service. Ids are hex digits, times milliseconds since EPOCH_NS.
 *
 *   span TRACE SPAN PARENT START DURATION OPERATION [STATUS]   a span that has ended; with a status it has failed   -> ok
 *   many TRACE N                                               N spans, their ids 1 to N                            -> ok
 *   open TRACE SPAN PARENT OPERATION                           a span that began now                                -> ok
 *   end SPAN                                                   and ends, untold                                     -> ok
 *   entry TRACE SPAN LEVEL AT MESSAGE                          an entry with these ids                              -> ok
 *   health NAME STATE TTL_MS DETAILS                           tf_health_report                                     -> its result
 *   request OPERATION DURATION_MS FAILED                       tf_request                                           -> its result
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/client/producer.h"
#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/shm/ring.h"

#define EPOCH_NS UINT64_C(1790000000000000000)

static struct producer *producer;
static const char *service;
static struct slot_claim claim; /* of the open spans; claimed with the first */

static void read_id(const char *digits, uint8_t *ret, size_t size) {
    memset(ret, 0, size);
    for (size_t i = 0; i < size && digits[2 * i] && digits[2 * i] != '-'; i++) {
        unsigned byte;
        check(sscanf(digits + 2 * i, "%2x", &byte) == 1);
        ret[i] = (uint8_t)byte;
    }
}

static void write_span(const struct record_span *span, uint64_t end_ns) {
    const struct record record = { .kind = RECORD_SPAN, .time_ns = end_ns, .span = *span };
    int result;
    while ((result = producer_write_record(producer, &record)) == -EAGAIN)
        nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL); /* a full lane */
    check(result == 0);
}

static void do_span(char *rest) {
    char trace[64], id[32], parent[32], operation[128];
    double start, duration;
    int at = 0;
    struct record_span span = { .thread = 1 };
    check(sscanf(rest, "%63s %31s %31s %lf %lf %127s %n", trace, id, parent, &start, &duration, operation, &at) == 6);
    read_id(trace, span.trace_id, sizeof(span.trace_id));
    read_id(id, span.span_id, sizeof(span.span_id));
    read_id(parent, span.parent_id, sizeof(span.parent_id));
    span.start_ns = EPOCH_NS + (uint64_t)(start * 1e6);
    span.operation = text_of(operation);
    span.status = text_of(rest + at);
    span.failed = span.status.length > 0;
    write_span(&span, span.start_ns + (uint64_t)(duration * 1e6));
}

static void do_many(char *rest) {
    char trace[64];
    unsigned long count;
    struct record_span span = { .start_ns = EPOCH_NS, .operation = TEXT_LITERAL("one of many") };
    check(sscanf(rest, "%63s %lu", trace, &count) == 2);
    read_id(trace, span.trace_id, sizeof(span.trace_id));
    for (uint64_t i = 1; i <= count; i++) {
        memcpy(span.span_id, &i, sizeof(i));
        write_span(&span, EPOCH_NS + i);
    }
}

static void do_open(char *rest) {
    static struct ring ring;
    static unsigned used;
    char trace[64], id[32], parent[32], operation[128];
    check(sscanf(rest, "%63s %31s %31s %127s", trace, id, parent, operation) == 4);
    if (!claim.slot)
        check(ring_attach(getenv("TASKFORGE_RUNTIME_DIR"), 0, &ring, NULL) == 0 &&
              ring_slot_claim(&ring, text_of(service), 0, &claim) == 0);
    check(used < SLOT_SPANS_MAX);
    struct slot_span *span = &claim.slot->spans[used++];
    atomic_store(&span->state, 1);
    read_id(trace, span->trace_id, sizeof(span->trace_id));
    read_id(id, span->span_id, sizeof(span->span_id));
    read_id(parent, span->parent_id, sizeof(span->parent_id));
    span->operation_length = (uint8_t)strnlen(operation, SLOT_SPAN_OPERATION_BYTES);
    memcpy(span->operation, operation, span->operation_length);
    atomic_store(&span->state, clock_real_ns() & ~UINT64_C(1));
}

static void do_end(const char *digits) {
    uint8_t id[8];
    read_id(digits, id, sizeof(id));
    for (unsigned i = 0; i < SLOT_SPANS_MAX; i++)
        if (memcmp(claim.slot->spans[i].span_id, id, sizeof(id)) == 0)
            atomic_store(&claim.slot->spans[i].state, 0);
}

static void do_entry(char *rest) {
    char trace[64], span[32], level_text[16];
    double start;
    int level, at = 0;
    struct tf_entry entry;
    check(sscanf(rest, "%63s %31s %15s %lf %n", trace, span, level_text, &start, &at) == 4);
    check(tf_level_parse(level_text, &level) == 0);
    tf_entry_init(&entry, level, NULL, "work", rest + at);
    entry.trace_id = trace;
    entry.span_id = span[0] == '-' ? NULL : span;
    entry.timestamp_ns = EPOCH_NS + (uint64_t)(start * 1e6);
    check(tf_entry_write(producer_client(producer), &entry) == 0);
}

static int do_health(char *rest) {
    char name[128], word[16];
    unsigned long ttl_ms;
    int at = 0, state = 0;
    static const char *const words[] = { "healthy", "degraded", "unhealthy" };
    check(sscanf(rest, "%127s %15s %lu %n", name, word, &ttl_ms, &at) == 3);
    while (state < 3 && strcmp(words[state], word) != 0)
        state++;
    return tf_health_report(producer_client(producer), name, state, rest + at, ttl_ms * CLOCK_MILLISECOND);
}

static int do_request(char *rest) {
    char operation[128];
    double duration_ms;
    int failed;
    check(sscanf(rest, "%127s %lf %d", operation, &duration_ms, &failed) == 3);
    return tf_request(producer_client(producer), NULL, operation, (uint64_t)(duration_ms * 1e6), failed);
}

static int obey(const char *command, char *rest) {
    int result = 0;
    if (strcmp(command, "span") == 0)
        do_span(rest);
    else if (strcmp(command, "many") == 0)
        do_many(rest);
    else if (strcmp(command, "open") == 0)
        do_open(rest);
    else if (strcmp(command, "end") == 0)
        do_end(rest);
    else if (strcmp(command, "entry") == 0)
        do_entry(rest);
    else if (strcmp(command, "health") == 0)
        result = do_health(rest);
    else if (strcmp(command, "request") == 0)
        result = do_request(rest);
    else
        check(!"a command");
    return result;
}

int main(int argc, char **argv) {
    static char line[16 * 1024];
    struct error error;
    check(argc == 2);
    service = argv[1];
    check(producer_open(NULL, service, &producer, &error) == 0);
    while (fgets(line, sizeof(line), stdin)) {
        char *command = strtok(line, " "), *rest = strtok(NULL, "\n");
        check(command && rest);
        int result = obey(command, rest);
        puts(result == 0 ? "ok" : strerror(-result));
        fflush(stdout);
    }
    producer_close(producer);
    return 0;
}
