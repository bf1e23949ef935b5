/* tally.h - how many entries match, by service and level: from the index alone wherever that is enough.
 *
 * Where only time, level and service are asked for, a block that lies inside the time range is answered by its index value and
 * never opened; the others are opened, and of them only the columns that the filter needs. One thread.
 */
#ifndef TASKFORGE_COMMON_QUERY_TALLY_H
#define TASKFORGE_COMMON_QUERY_TALLY_H

#include "common/query/filter.h"
#include "common/query/scan.h"
#include "common/store/reader.h"

struct tally_service {
    struct text service; /* owned by the tally */
    uint64_t by_level[LEVEL_COUNT];
};

struct tally {
    uint64_t total;
    struct tally_service *services; /* ascending by name; empty when only the total was asked for */
    size_t service_count, service_capacity;
    uint64_t first_ns, last_ns; /* of the blocks counted, cut to the filter's time range; 0 when nothing was counted */
    uint64_t blocks_opened;     /* for tests: what the index could not answer */
};

/* Count what matches in the options' sequences (offset, limit and order are not looked at). As scan_next fails. */
int tally_make(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
               bool total_only, struct tally *ret, struct error *error);
void tally_finish(struct tally *tally);

#endif
