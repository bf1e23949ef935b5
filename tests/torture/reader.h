/* reader.h - the collector's rooms without a store: rings drained, losses told, cells folded, lanes and slots of the dead given back,
 * by the collector's own code. What would be committed is shown to the test. */
#ifndef TASKFORGE_TESTS_TORTURE_READER_H
#define TASKFORGE_TESTS_TORTURE_READER_H

#include "collector/cells.h"
#include "collector/drain.h"
#include "collector/reap.h"

struct reader {
    struct state_map state;
    struct rings rings;
    struct drain drain;
    struct fold fold;
    struct batch batch;
};

/* Makes the folders; a ring may come later. Aborts, with the reason on stderr, when anything is not as it must be. */
void reader_open(struct reader *reader, const char *runtime_dir);
void reader_close(struct reader *reader);

/* One turn of the collector: look, copy, commit, give back. show(argument, entry) sees each entry, in the order of the store. whole: no
 * record is left for the next turn. */
typedef void reader_show(void *argument, const struct entry *entry);
void reader_turn(struct reader *reader, bool whole, reader_show *show, void *argument);

/* The total (or count of observations) of a series with one label; 0 where there is none. */
uint64_t reader_total(const struct reader *reader, const char *name, const char *label_value);

/* How many lanes and slots anybody has, by fresh looks at the first ring. */
struct reader_taken {
    uint32_t slots, lanes, overflow;
};
struct reader_taken reader_taken(struct reader *reader);

#endif
