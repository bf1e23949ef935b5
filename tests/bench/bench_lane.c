/* What one record costs its thread: size, claim, encode, commit of an entry with six strings and a 100-byte message,
 * into a private lane. ns for each record: mean, p50, p99, p99.9; the timer's own cost is taken off. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/shm/ring_reader.h"
#include "tests/torture/ring_lib.h"

enum { RECORDS = 200000, WARM_UP = 20000 };

static inline uint64_t ticks(void) {
#if defined(__x86_64__)
    unsigned low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (uint64_t)high << 32 | low;
#else
    return clock_monotonic_ns();
#endif
}

static double ns_for_tick(void) {
    uint64_t ns = clock_monotonic_ns(), start = ticks();
    while (clock_monotonic_ns() - ns < 50 * CLOCK_MILLISECOND)
        ;
    return (double)(clock_monotonic_ns() - ns) / (double)(ticks() - start);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void write_one(struct lane_writer *writer, const struct record_entry *entry, uint64_t now) {
    uint64_t position;
    uint32_t size = 0;
    check(record_entry_size(entry, &size) == 0);
    void *span = lane_claim(writer, size, LEVEL_ERROR, &position);
    check(span);
    record_entry_encode(entry, position, now, span, size);
    lane_commit(writer, size);
}

static uint64_t timer_cost(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t start = ticks(), cost = ticks() - start;
        least = cost < least ? cost : least;
    }
    return least;
}

int main(void) {
    static uint64_t cost[RECORDS];
    static const char message[] =
        "a message of one hundred bytes: the worker has taken job 4711 out of queue mail and begins to send it";
    struct record_entry entry = { .entry = { .timestamp_ns = 1,
                                             .level = LEVEL_INFO,
                                             .module = TEXT_LITERAL("worker"),
                                             .operation = TEXT_LITERAL("process"),
                                             .message = { message, 100 },
                                             .trace_id = TEXT_LITERAL("4bf92f3577b34da6a3ce929d0e0e4736"),
                                             .span_id = TEXT_LITERAL("00f067aa0ba902b7"),
                                             .correlation_id = TEXT_LITERAL("order-4711") } };
    char directory[64];
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    torture_directory(directory);
    check(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0);
    check(ring_slot_claim(&ring, TEXT_LITERAL("bench"), 0, &claim) == 0);
    check(ring_lane_claim(&ring, &claim, false, &writer, &lane) == 0);
    double scale = ns_for_tick(), sum = 0;
    uint64_t timer = timer_cost();
    memset(entry.entry.id.bytes, 7, sizeof(entry.entry.id.bytes));
    for (int i = -WARM_UP; i < RECORDS; i++) {
        if (writer.head - writer.tail > RING_LANE_SIZE / 4) { /* the collector's part, off the clock */
            check(ring_reader_set_tail(&ring, lane, writer.head) == 0);
            writer.tail = writer.head; /* as the next look at a full lane would find it */
        }
        uint64_t start = ticks();
        write_one(&writer, &entry, (uint64_t)i);
        uint64_t end = ticks();
        if (i >= 0)
            cost[i] = end - start > timer ? end - start - timer : 0;
    }
    for (int i = 0; i < RECORDS; i++)
        sum += (double)cost[i];
    qsort(cost, RECORDS, sizeof(cost[0]), by_value);
    printf("ns for each record: mean %.0f, p50 %.0f, p99 %.0f, p99.9 %.0f\n", sum / RECORDS * scale,
           (double)cost[RECORDS / 2] * scale, (double)cost[RECORDS / 100 * 99] * scale,
           (double)cost[RECORDS / 1000 * 999] * scale);
    ring_finish(&ring);
    torture_remove(directory);
    return 0;
}
