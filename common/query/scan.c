/* scan.c - the merge: a heap of runs, one for each open block, fed from the plan as its blocks' turns come. */
#include "common/query/scan.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/feed.h"
#include "common/query/run.h"

/* A limit is mostly reached long before the end: the plan is made for so many sequences, then for four times as many ... */
enum { PIECE_FIRST = 65536, PIECE_FACTOR = 4 };

struct scan {
    struct store_reader *reader;
    const struct filter *filter;
    struct scan_options options;
    struct candidates candidates; /* in the order in which they have to be opened */
    size_t next_candidate;
    struct feed *feed;
    uint64_t left_from, left_to; /* sequences that are not planned yet */
    uint64_t piece;
    uint64_t left_ns;  /* by time: nothing in them is later (reverse) or earlier than this */
    bool ahead;        /* threads decode or write whole entries */
    struct run **heap; /* the run with the next match on top */
    size_t run_count, run_capacity;
    size_t
        resident; /* bytes of open blocks, decoded or written: those beyond the options' memory keep only their matches */
    struct run *current; /* whose match the caller stands at */
};

/* --- order --- */

/* What a candidate's matches cannot come before. */
static uint64_t candidate_key(const struct candidate *candidate, const struct filter *filter,
                              const struct scan_options *options) {
    if (options->by_arrival)
        return options->reverse ? candidate->to - 1 : candidate->from;
    if (options->reverse)
        return candidate->max_timestamp_ns < filter->until_ns ? candidate->max_timestamp_ns : filter->until_ns - 1;
    return candidate->min_timestamp_ns > filter->since_ns ? candidate->min_timestamp_ns : filter->since_ns;
}

static int compare_candidates(const void *a, const void *b, void *argument) {
    const struct scan *scan = argument;
    uint64_t x = candidate_key(a, scan->filter, &scan->options), y = candidate_key(b, scan->filter, &scan->options);
    int order = x < y ? -1 : x > y;
    return scan->options.reverse ? -order : order;
}

static bool run_before(const struct scan *scan, const struct run *a, const struct run *b) {
    int order = run_compare(run_at(a), run_at(b));
    return scan->options.reverse ? order > 0 : order < 0;
}

/* Must this candidate be opened before the top run's match may be given out? */
static bool candidate_is_due(const struct scan *scan) {
    if (scan->next_candidate == scan->candidates.count)
        return false;
    if (scan->run_count == 0)
        return true;
    const struct run_match *top = run_at(scan->heap[0]);
    uint64_t key = candidate_key(&scan->candidates.items[scan->next_candidate], scan->filter, &scan->options);
    uint64_t reached = scan->options.by_arrival ? top->sequence : top->timestamp_ns;
    return scan->options.reverse ? key >= reached : key <= reached;
}

/* --- the heap --- */

static void sift_down(struct scan *scan) {
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= scan->run_count)
            return;
        if (child + 1 < scan->run_count && run_before(scan, scan->heap[child + 1], scan->heap[child]))
            child++;
        if (!run_before(scan, scan->heap[child], scan->heap[at]))
            return;
        struct run *moved = scan->heap[at];
        scan->heap[at] = scan->heap[child];
        scan->heap[child] = moved;
        at = child;
    }
}

static int push(struct scan *scan, struct run *run) {
    if (scan->run_count == scan->run_capacity) {
        size_t capacity = scan->run_capacity ? scan->run_capacity * 2 : 16;
        struct run **grown = realloc(scan->heap, capacity * sizeof(struct run *));
        if (!grown)
            return -ENOMEM;
        scan->heap = grown;
        scan->run_capacity = capacity;
    }
    size_t at = scan->run_count++;
    for (; at > 0 && run_before(scan, run, scan->heap[(at - 1) / 2]); at = (at - 1) / 2)
        scan->heap[at] = scan->heap[(at - 1) / 2];
    scan->heap[at] = run;
    return 0;
}

static void pop(struct scan *scan) {
    scan->heap[0] = scan->heap[--scan->run_count];
    sift_down(scan);
}

static void evict(struct scan *scan, struct run *run) {
    scan->resident -= run_weight(run);
    run_evict(run);
}

static void drop_run(struct scan *scan, struct run *run) {
    evict(scan, run);
    run_destroy(run);
}

/* --- opening --- */

/* Any thread. */
static int work_on_block(void *argument, struct feed_worker *worker, const struct candidate *candidate,
                         struct block *block, uint64_t first_sequence, uint32_t from_row, uint32_t to_row,
                         void **ret_result, struct error *error) {
    const struct scan *scan = argument;
    struct run *run = NULL;
    (void)candidate;
    int status = match_block(&worker->filter, block, from_row, to_row, &worker->rows, error);
    if (status == 0 && worker->rows.count > 0)
        status = run_create(block, first_sequence, &worker->rows, !scan->options.by_arrival, scan->options.reverse,
                            &run, error);
    if (!run) {
        block_destroy(block);
        return status;
    }
    if (scan->ahead && worker->number > 0)
        status = scan->options.render ? run_render(run, scan->options.render, scan->options.render_argument, error)
                                      : run_load(run, error);
    if (status < 0) {
        run_destroy(run);
        return status;
    }
    *ret_result = run;
    return 0;
}

static void discard_run(void *run) {
    run_destroy(run);
}

static int take_run(void *argument, void *result) {
    struct scan *scan = argument;
    struct run *run = result;
    scan->resident += run_weight(run);
    if (scan->resident > (scan->options.memory ? scan->options.memory : SCAN_MEMORY) && scan->run_count > 0)
        evict(scan, run);
    int status = push(scan, run);
    if (status < 0)
        drop_run(scan, run);
    return status;
}

static int open_due(struct scan *scan, struct error *error) {
    int status = 1;
    while (status > 0 && candidate_is_due(scan)) {
        scan->next_candidate++;
        status = feed_next(scan->feed, error);
    }
    return status < 0 ? status : 0;
}

static int start_feed(struct scan *scan, struct error *error) {
    const struct feed_plan plan = { .reader = scan->reader,
                                    .filter = scan->filter,
                                    .candidates = scan->candidates.items,
                                    .count = scan->candidates.count,
                                    .alone = scan->options.alone,
                                    .ahead = scan->options.limit == UINT64_MAX,
                                    .work = work_on_block,
                                    .take = take_run,
                                    .discard = discard_run,
                                    .argument = scan,
                                    .damaged = scan->options.damaged,
                                    .damaged_argument = scan->options.damaged_argument };
    return feed_open(&plan, &scan->feed, error);
}

/* The next piece of what is left: [*ret_from, *ret_to). */
static void cut_piece(struct scan *scan, uint64_t *ret_from, uint64_t *ret_to) {
    uint64_t from = scan->left_from, to = scan->left_to;
    if (to - from > scan->piece) {
        from = scan->options.reverse ? to - scan->piece : from;
        to = from + scan->piece;
    }
    scan->piece = scan->piece < UINT64_MAX / PIECE_FACTOR ? scan->piece * PIECE_FACTOR : UINT64_MAX;
    if (scan->options.reverse)
        scan->left_to = from;
    else
        scan->left_from = to;
    *ret_from = from;
    *ret_to = to;
}

/* By time: how late, or how early, an entry can be that is not in any piece yet. */
static int look_ahead(struct scan *scan, struct error *error) {
    struct index_before before;
    if (scan->options.by_arrival || scan->left_from >= scan->left_to)
        return 0;
    int status = scan->options.reverse ? store_reader_before(scan->reader, scan->left_to, &before, error)
                                       : store_reader_earliest(scan->reader, scan->left_from, &scan->left_ns, error);
    if (status < 0)
        return status;
    if (scan->options.reverse)
        scan->left_ns = before.max_ns;
    if (scan->options.reverse ? scan->left_ns < scan->filter->since_ns : scan->left_ns >= scan->filter->until_ns)
        scan->left_to = scan->left_from;
    return 0;
}

/* Plan the next piece, and begin to feed on it and on what is not opened yet of those before. */
static int plan_piece(struct scan *scan, struct error *error) {
    uint64_t from, to;
    struct candidates candidates;
    cut_piece(scan, &from, &to);
    feed_close(scan->feed);
    scan->feed = NULL;
    int status = candidates_collect(scan->reader, scan->filter, from, to, NULL, NULL, &candidates, error);
    if (status < 0)
        return status;
    if (scan->next_candidate < scan->candidates.count)
        status = candidates_append(&candidates, scan->candidates.items + scan->next_candidate,
                                   scan->candidates.count - scan->next_candidate, error);
    candidates_finish(&scan->candidates);
    scan->candidates = candidates;
    scan->next_candidate = 0;
    if (status == 0)
        status = look_ahead(scan, error);
    if (status < 0)
        return status;
    if (scan->candidates.count > 1)
        qsort_r(scan->candidates.items, scan->candidates.count, sizeof(*scan->candidates.items), compare_candidates,
                scan);
    return start_feed(scan, error);
}

/* All at once, but where there is a limit. */
static int plan(struct scan *scan, struct error *error) {
    const struct scan_options *options = &scan->options;
    scan->left_from = options->from_sequence;
    scan->left_to = options->to_sequence;
    scan->piece = UINT64_MAX;
    if (options->limit < UINT64_MAX) {
        uint64_t end;
        int status = store_reader_end(scan->reader, &end, error);
        if (status < 0)
            return status;
        scan->left_to = end < scan->left_to ? end : scan->left_to;
        scan->piece = PIECE_FIRST;
    }
    scan->left_to = scan->left_to < scan->left_from ? scan->left_from : scan->left_to;
    return plan_piece(scan, error);
}

int scan_open(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
              struct scan **ret, struct error *error) {
    struct scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return error_set(error, -ENOMEM, "out of memory for a query");
    scan->reader = reader;
    scan->filter = filter;
    scan->options = *options;
    scan->ahead = !options->sequences_only && options->offset == 0;
    int status = plan(scan, error);
    if (status < 0) {
        scan_close(scan);
        return status;
    }
    *ret = scan;
    return 0;
}

void scan_close(struct scan *scan) {
    if (!scan)
        return;
    for (size_t i = 0; i < scan->run_count; i++) /* `current` is the top of it */
        run_destroy(scan->heap[i]);
    free(scan->heap);
    feed_close(scan->feed);
    candidates_finish(&scan->candidates);
    free(scan);
}

/* --- reading --- */

/* May an entry that is in no piece yet come before the top run's match? */
static bool piece_is_due(const struct scan *scan) {
    if (scan->left_from >= scan->left_to)
        return false;
    if (scan->run_count == 0 || scan->options.by_arrival)
        return scan->run_count == 0;
    uint64_t top_ns = run_at(scan->heap[0])->timestamp_ns;
    return scan->options.reverse ? top_ns < scan->left_ns : top_ns > scan->left_ns;
}

static int open_next(struct scan *scan, struct error *error) {
    int status = open_due(scan, error);
    while (status == 0 && piece_is_due(scan)) {
        status = plan_piece(scan, error);
        if (status == 0)
            status = open_due(scan, error);
    }
    return status;
}

/* Move past the match that was given out last. */
static void leave_current(struct scan *scan) {
    if (!scan->current)
        return;
    check(scan->heap[0] == scan->current);
    if (run_advance(scan->current)) {
        sift_down(scan);
    } else {
        pop(scan);
        drop_run(scan, scan->current);
    }
    scan->current = NULL;
}

int scan_next(struct scan *scan, uint64_t *ret_sequence, struct error *error) {
    for (;;) {
        leave_current(scan);
        if (scan->options.limit == 0)
            return 0;
        int status = open_next(scan, error);
        if (status < 0)
            return status;
        if (scan->run_count == 0)
            return 0;
        scan->current = scan->heap[0];
        if (scan->options.offset == 0)
            break;
        scan->options.offset--;
    }
    scan->options.limit--;
    *ret_sequence = run_at(scan->current)->sequence;
    return 1;
}

/* A damaged block: told of once and passed over (0), where the caller wants that. */
static int pass_over(struct scan *scan, int status, struct error *error) {
    if (status != -EBADMSG || !scan->options.damaged)
        return status;
    scan->options.damaged(scan->options.damaged_argument, error->text);
    error->text[0] = '\0';
    scan->resident -= run_weight(scan->current);
    run_give_up(scan->current);
    return 0;
}

int scan_entry(struct scan *scan, struct entry *ret, struct error *error) {
    struct error own = { "" };
    check(scan->current);
    error = error ? error : &own;
    return pass_over(scan, run_entry(scan->current, scan->reader, ret, error), error);
}

int scan_text(struct scan *scan, struct buffer *out, struct error *error) {
    struct text text;
    struct entry entry;
    check(scan->current && scan->options.render);
    if (run_text(scan->current, &text)) {
        buffer_append_text(out, text);
        return 1;
    }
    int status = scan_entry(scan, &entry, error);
    if (status > 0)
        scan->options.render(scan->options.render_argument, out, &entry);
    return status;
}
