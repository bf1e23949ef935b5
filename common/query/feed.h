/* feed.h - the blocks of a plan, each opened and worked on, in the plan's order; by several threads where there are many.
 *
 * The caller's thread alone reads the store. The first blocks it also works on alone, so that whoever wants a few entries pays for no
 * thread; from then on a crew works ahead of it. Everything that is given out is the caller's.
 */
#ifndef TASKFORGE_COMMON_QUERY_FEED_H
#define TASKFORGE_COMMON_QUERY_FEED_H

#include "common/query/candidates.h"
#include "common/query/crew.h"
#include "common/query/match.h"

enum {
    FEED_ALONE = 4,                         /* blocks before a crew is called */
    FEED_ENOUGH = 3,                        /* fewer left are no work for threads */
    FEED_WORKERS_MAX = CREW_THREADS_MAX + 1 /* the caller is worker 0 */
};

/* What one thread works with. */
struct feed_worker {
    unsigned number;
    struct filter filter; /* shares the caller's texts; its patterns' scratch is its own */
    struct row_set rows;
};

/* Work on one block, which is yours: rows [from_row, to_row) are wanted. A result is optional. 0, or a negative errno with
 * its sentence. */
typedef int feed_work(void *argument, struct feed_worker *worker, const struct candidate *candidate,
                      struct block *block, uint64_t first_sequence, uint32_t from_row, uint32_t to_row,
                      void **ret_result, struct error *error);

struct feed_plan {
    struct store_reader *reader;
    const struct filter *filter;
    const struct candidate *candidates; /* in order; borrowed, as all of this */
    size_t count;
    bool alone; /* no threads */
    bool ahead; /* all of it will be asked for: call the crew at once */
    feed_work *work;
    int (*take)(void *argument, void *result); /* takes it over in any case; 0 or -ENOMEM */
    void (*discard)(void *result);
    void *argument; /* of work and take */
    /* Told of each damaged block, which is then passed over; NULL: it is an error. */
    void (*damaged)(void *argument, const char *why);
    void *damaged_argument;
};

struct feed;

int feed_open(const struct feed_plan *plan, struct feed **ret, struct error *error);
void feed_close(struct feed *feed); /* NULL is fine */

/* The results of the next candidate, one for each block it was found in, go to `take`. 1; 0 behind the last; negative. */
int feed_next(struct feed *feed, struct error *error);

#endif
