/* tally.c - see tally.h. Each thread counts into a tally of its own; they are added up at the end. */
#include "common/query/tally.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/feed.h"
#include "common/query/stored_entry.h"
#include "common/query/tally_rows.h"

struct counting {
    const struct filter *filter;
    const struct tally_steps *steps;
    struct tally tallies[FEED_WORKERS_MAX];
    bool countable; /* the index may answer */
    bool total_only;
    struct error *error;
};

static int no_memory(struct error *error) {
    return error_set(error, -ENOMEM, "out of memory for the counts");
}

/* Cut to the filter's range. */
static void stretch(const struct counting *counting, struct tally *tally, uint64_t first_ns, uint64_t last_ns) {
    uint64_t since = counting->filter->since_ns, until = counting->filter->until_ns;
    tally_stretch(tally, first_ns < since ? since : first_ns, last_ns >= until ? until - 1 : last_ns);
}

/* --- by the index --- */

static int count_service(struct counting *counting, const struct index_count *count, size_t step) {
    struct tally *tally = &counting->tallies[0];
    struct tally_service *row = NULL;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        uint64_t entries = counting->filter->levels & 1u << level ? count->by_level[level] : 0;
        if (entries == 0)
            continue;
        tally->total += entries;
        if (counting->total_only)
            continue;
        row = row ? row : tally_row(tally, count->service);
        if (!row)
            return tally_no_row(tally, counting->error);
        tally_row_add(row, (enum level)level, step, entries, (double)entries);
    }
    return 0;
}

static int count_index(void *argument, const struct index_entry *index) {
    struct counting *counting = argument;
    size_t step = tally_step_of(counting->steps, index->min_timestamp_ns);
    if (index->weighed && !counting->total_only)
        return 0;
    if (!counting->countable || !filter_covers(counting->filter, index) ||
        step != tally_step_of(counting->steps, index->max_timestamp_ns))
        return 0;
    for (uint32_t i = 0; i < index->count_count; i++) {
        int status = filter_service(counting->filter, index->counts[i].service, counting->error);
        if (status > 0)
            status = count_service(counting, &index->counts[i], step);
        if (status < 0)
            return status;
    }
    stretch(counting, &counting->tallies[0], index->min_timestamp_ns, index->max_timestamp_ns);
    return 1;
}

/* --- by rows --- */

static int load_columns(const struct counting *counting, struct block *block, struct error *error) {
    int status = block_load(block, BLOCK_SERVICE, error);
    if (status == 0)
        status = block_load(block, BLOCK_LEVEL, error);
    if (status == 0 && counting->steps->count > 0)
        status = block_load(block, BLOCK_TIMESTAMP, error);
    return status;
}

/* Only where an entry of the block has a key that says that it stands for others. */
static int load_weights(struct block *block, bool *ret_weighed, struct error *error) {
    static const struct text keys[] = { TEXT_INITIALIZER(ENTRY_SAMPLE_SHARE), TEXT_INITIALIZER(ENTRY_REPEATED) };
    int status = 0;
    uint32_t key;
    for (size_t i = 0; i < COUNT_OF(keys) && status == 0; i++)
        status = block_load_metadata_key(block, keys[i], &key, error);
    *ret_weighed = status > 0;
    return status > 0 ? block_load(block, BLOCK_METADATA, error) : status;
}

static double weight_of(const struct block *block, uint32_t row) {
    struct text metadata = block_text(block, BLOCK_METADATA, row);
    return stored_metadata_is_sound(metadata) ? entry_weight(metadata) : 1;
}

/* The row of each service that is among the matches. Rows move while others are made: so all are made first. */
static int find_rows(struct tally *tally, const struct block *block, const struct row_set *set,
                     struct tally_service **rows, struct error *error) {
    const uint16_t *indexes = block_dictionary_rows(block, BLOCK_SERVICE);
    uint32_t size = block_dictionary_size(block, BLOCK_SERVICE);
    bool *used = calloc(size, sizeof(*used));
    int status = used ? 0 : no_memory(error);
    for (uint32_t i = 0; i < set->count && used; i++)
        used[indexes[set->rows[i]]] = true;
    for (unsigned pass = 0; pass < 2 && status == 0; pass++)
        for (uint32_t i = 0; i < size && status == 0; i++) {
            rows[i] = used[i] ? tally_row(tally, block_dictionary_text(block, BLOCK_SERVICE, i)) : NULL;
            if (used[i] && !rows[i])
                status = tally_no_row(tally, error);
        }
    free(used);
    return status;
}

static int count_rows(const struct counting *counting, struct tally *tally, struct block *block,
                      const struct row_set *set, struct error *error) {
    bool weighed = false;
    int status = load_columns(counting, block, error);
    if (status == 0)
        status = load_weights(block, &weighed, error);
    if (status < 0)
        return status;
    struct tally_service **rows = calloc(block_dictionary_size(block, BLOCK_SERVICE), sizeof(struct tally_service *));
    status = rows ? find_rows(tally, block, set, rows, error) : no_memory(error);
    const uint16_t *indexes = block_dictionary_rows(block, BLOCK_SERVICE);
    for (uint32_t i = 0; i < set->count && status == 0; i++) {
        uint32_t row = set->rows[i];
        size_t step = counting->steps->count ? tally_step_of(counting->steps, block_timestamp(block, row)) : 0;
        double weight = weighed ? weight_of(block, row) : 1;
        tally->weighed |= weight > 1;
        tally_row_add(rows[indexes[row]], block_level(block, row), step, 1, weight);
    }
    free(rows);
    return status;
}

/* Any thread. */
static int count_block(void *argument, struct feed_worker *worker, const struct candidate *candidate,
                       struct block *block, uint64_t first_sequence, uint32_t from_row, uint32_t to_row,
                       void **ret_result, struct error *error) {
    struct counting *counting = argument;
    struct tally *tally = &counting->tallies[worker->number];
    (void)first_sequence, (void)ret_result;
    tally->blocks_opened++;
    int status = match_block(&worker->filter, block, from_row, to_row, &worker->rows, error);
    if (status == 0 && worker->rows.count > 0 && !counting->total_only)
        status = count_rows(counting, tally, block, &worker->rows, error);
    if (status == 0 && worker->rows.count > 0) {
        tally->total += worker->rows.count;
        stretch(counting, tally, candidate->min_timestamp_ns, candidate->max_timestamp_ns);
    }
    block_destroy(block);
    return status;
}

/* --- the whole --- */

static int run_feed(struct counting *counting, struct store_reader *reader, const struct scan_options *options,
                    const struct candidates *candidates) {
    const struct feed_plan plan = { .reader = reader,
                                    .filter = counting->filter,
                                    .candidates = candidates->items,
                                    .count = candidates->count,
                                    .alone = options->alone,
                                    .ahead = true,
                                    .work = count_block,
                                    .argument = counting,
                                    .damaged = options->damaged,
                                    .damaged_argument = options->damaged_argument };
    struct feed *feed;
    int status = feed_open(&plan, &feed, counting->error);
    if (status < 0)
        return status;
    while ((status = feed_next(feed, counting->error)) > 0)
        continue;
    feed_close(feed);
    return status;
}

static int add_up(struct counting *counting, struct tally *ret, int status) {
    for (size_t i = 1; i < FEED_WORKERS_MAX; i++) {
        if (status == 0)
            status = tally_add(&counting->tallies[0], &counting->tallies[i], counting->error);
        tally_finish(&counting->tallies[i]);
    }
    if (status < 0)
        tally_finish(&counting->tallies[0]);
    else
        *ret = counting->tallies[0];
    return status;
}

static int make(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                const struct tally_steps *steps, bool total_only, struct tally *ret, struct error *error) {
    struct error own = { "" };
    struct candidates candidates = { 0 };
    struct counting counting = { .filter = filter,
                                 .steps = steps,
                                 .countable = filter_is_countable(filter),
                                 .total_only = total_only,
                                 .error = error ? error : &own };
    for (size_t i = 0; i < FEED_WORKERS_MAX; i++)
        counting.tallies[i].steps = *steps;
    int status = candidates_collect(reader, filter, options->from_sequence, options->to_sequence, count_index,
                                    &counting, &candidates, counting.error);
    if (status == 0 && candidates.count > 0)
        status = run_feed(&counting, reader, options, &candidates);
    candidates_finish(&candidates);
    return add_up(&counting, ret, status);
}

int tally_make(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
               bool total_only, struct tally *ret, struct error *error) {
    const struct tally_steps none = { 0 };
    return make(reader, filter, options, &none, total_only, ret, error);
}

int tally_make_steps(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                     const struct tally_steps *steps, struct tally *ret, struct error *error) {
    if (steps->count > TALLY_STEPS_MAX)
        return error_set(error, -E2BIG, "%zu steps are too many: at most %d; ask for a longer step or less time",
                         steps->count, TALLY_STEPS_MAX);
    check(steps->count == 0 || steps->step_ns > 0);
    return make(reader, filter, options, steps, false, ret, error);
}

int tally_range(struct store_reader *reader, const struct filter *filter, uint64_t *ret_first_ns, uint64_t *ret_last_ns,
                struct error *error) {
    struct candidates candidates;
    uint64_t first = UINT64_MAX, last = 0;
    int status = candidates_collect(reader, filter, 0, UINT64_MAX, NULL, NULL, &candidates, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < candidates.count; i++) {
        const struct candidate *candidate = &candidates.items[i];
        first = candidate->min_timestamp_ns < first ? candidate->min_timestamp_ns : first;
        last = candidate->max_timestamp_ns > last ? candidate->max_timestamp_ns : last;
    }
    bool any = candidates.count > 0;
    candidates_finish(&candidates);
    *ret_first_ns = first < filter->since_ns ? filter->since_ns : first;
    *ret_last_ns = last >= filter->until_ns ? filter->until_ns - 1 : last;
    return any;
}

int tally_steps_over(uint64_t first_ns, uint64_t last_ns, uint64_t step_ns, int64_t zone_ns, struct tally_steps *ret,
                     struct error *error) {
    check(step_ns > 0 && first_ns <= last_ns);
    uint64_t behind = (first_ns + (uint64_t)zone_ns) % step_ns; /* how far behind the multiple before it */
    uint64_t begin = first_ns > behind ? first_ns - behind : 0;
    uint64_t count = (last_ns - begin) / step_ns + 1;
    if (count > TALLY_STEPS_MAX)
        return error_set(error, -E2BIG, "%llu steps are too many: at most %d; ask for a longer step or less time",
                         (unsigned long long)count, TALLY_STEPS_MAX);
    *ret = (struct tally_steps) { .first_ns = begin, .step_ns = step_ns, .count = (size_t)count };
    return 0;
}
