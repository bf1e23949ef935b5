/* tally.h - how many entries match, by service and level, and over time: from the index alone wherever that is enough.
 *
 * Where only time, level and service are asked for, a block that lies inside the time range (over time: inside one step) is answered
 * by its index value and never opened; the others are opened, and of them only the columns that the filter needs, by several threads
 * where they are many.
 */
#ifndef TASKFORGE_COMMON_QUERY_TALLY_H
#define TASKFORGE_COMMON_QUERY_TALLY_H

#include "common/query/filter.h"
#include "common/query/scan.h"
#include "common/store/reader.h"

enum {
    TALLY_GUESSES = 128,
    TALLY_STEPS_MAX = 20000,
    TALLY_CELLS_MAX = 400000, /* services times steps: 48 bytes each, for each thread */
};

/* Equal parts of time: [first, first + step), ... */
struct tally_steps {
    uint64_t first_ns, step_ns;
    size_t count; /* 0: no counts over time */
};

typedef uint64_t tally_levels[LEVEL_COUNT];

struct tally_service {
    struct text service; /* owned by the tally */
    tally_levels by_level;
    double estimated[LEVEL_COUNT]; /* what was there before sampling and dedup (entry_weight) */
    tally_levels *by_step; /* steps.count of them; NULL: none asked for */
};

struct tally {
    uint64_t total;
    struct tally_service *services; /* ascending by name; empty when only the total was asked for */
    size_t service_count, service_capacity;
    uint32_t guesses[TALLY_GUESSES]; /* by a name's hash: where its row was lately */
    struct tally_steps steps;
    uint64_t first_ns, last_ns; /* of the blocks counted, cut to the filter's time range; 0 when nothing was counted */
    bool weighed;               /* some entry stands for others: the estimates differ from the counts */
    bool too_many;              /* services times steps */
    uint64_t blocks_opened;     /* for tests: what the index could not answer */
};

/* Count what matches in the options' sequences (offset, limit and order are not looked at). As scan_next fails. */
int tally_make(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
               bool total_only, struct tally *ret, struct error *error);
/* The same for each step, too. The filter's time range lies within the steps. -E2BIG: more steps than TALLY_STEPS_MAX. */
int tally_make_steps(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                     const struct tally_steps *steps, struct tally *ret, struct error *error);
void tally_finish(struct tally *tally);

/* The time range that may hold matches, by the index: 1 and [*ret_first, *ret_last], cut to the filter's; 0: nothing. */
int tally_range(struct store_reader *reader, const struct filter *filter, uint64_t *ret_first_ns, uint64_t *ret_last_ns,
                struct error *error);

/* Steps of step_ns that hold [first, last], beginning at a multiple of the step (of `zone_ns` east of UTC). -E2BIG with a sentence. */
int tally_steps_over(uint64_t first_ns, uint64_t last_ns, uint64_t step_ns, int64_t zone_ns, struct tally_steps *ret,
                     struct error *error);

#endif
