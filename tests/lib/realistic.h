/* realistic.h - entries as a host of TaskForge writes them in a day, made by a seeded generator: the same seed, the same entries.
 *
 * 20 services, some of them far busier than others, of two to four processes each; about 240 statements, messages near 90 bytes; 92 % of level
 * info and below; a trace id in 30 % (requests of several entries in several services, each service's part with a span id), correlation ids,
 * users and organisations of a few thousand; small metadata; error details with half of the errors. Spread over the 24 hours that end at
 * REALISTIC_END_NS, by arrival nearly in order of time, as a collector's batches are. One thread.
 */
#ifndef TASKFORGE_TESTS_LIB_REALISTIC_H
#define TASKFORGE_TESTS_LIB_REALISTIC_H

#include "common/model/entry.h"

enum {
    REALISTIC_SERVICES = 20,
    REALISTIC_TRACES = 64, /* requests under way at once */
    REALISTIC_ROOM = 2048,
};
#define REALISTIC_END_NS UINT64_C(1795516800000000000) /* 2026-11-24T10:40:00Z */
#define REALISTIC_SPAN_NS (UINT64_C(24) * 3600 * 1000000000)

struct realistic {
    uint64_t random, count, made, time_ns;
    struct realistic_trace {
        char trace[33], span[17], correlation[37];
        struct uuid user, organization;
        unsigned service, left;
        bool known, correlated; /* whose request it is; a correlation id came with it */
    } traces[REALISTIC_TRACES];
    uint64_t positions[REALISTIC_SERVICES * 4]; /* of each process's lane */
    uint8_t ring_id[16];
    bool plain_ids; /* set after realistic_init: ids of traces, spans and correlations count up, without random bits */
    uint64_t plain;
    size_t used;
    char room[REALISTIC_ROOM]; /* what the last entry borrows */
};

/* `count` entries are what the 24 hours are parted among; more may be taken. */
void realistic_init(struct realistic *realistic, uint64_t count, uint64_t seed);

/* The next entry; borrowed until the next call. */
void realistic_next(struct realistic *realistic, struct entry *ret);

/* The name of a service, 0 the busiest. */
const char *realistic_service(unsigned number);

#endif
