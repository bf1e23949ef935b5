/* run.c - see run.h. */
#include "common/query/run.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/candidates.h"
#include "common/query/entry_copy.h"
#include "common/query/stored_entry.h"

enum {
    WINDOW_ENTRIES = 256,
    WINDOW_BYTES = 1024 * 1024,
    RENDERED_MAX = 32 * 1024 * 1024, /* bytes of one block's entries, written */
    ENTRY_WEIGHT = 320,              /* bytes of an entry decoded, as most are */
};

struct run {
    struct block *block; /* NULL: evicted */
    uint64_t first_sequence;
    size_t count, at;
    /* evicted: copies of the entries of matches [window_at, window_at + window_count) */
    struct entry_copies window;
    size_t window_at;
    struct buffer text; /* written by run_render: of match i up to ends[i] */
    uint32_t *ends;     /* NULL: not written */
    bool given_up;
    bool loaded; /* the block's rows are, all that matched */
    struct run_match matches[];
};

static int compare(const void *a, const void *b) {
    return run_compare(a, b);
}

static bool is_sorted(const struct run *run) {
    for (size_t i = 1; i < run->count; i++)
        if (run_compare(&run->matches[i - 1], &run->matches[i]) > 0)
            return false;
    return true;
}

static void turn_around(struct run *run) {
    for (size_t i = 0, j = run->count - 1; i < j; i++, j--) {
        struct run_match kept = run->matches[i];
        run->matches[i] = run->matches[j];
        run->matches[j] = kept;
    }
}

int run_create(struct block *block, uint64_t first_sequence, const struct row_set *rows, bool by_time, bool reverse,
               struct run **ret, struct error *error) {
    int status = by_time ? block_load(block, BLOCK_TIMESTAMP, error) : 0;
    if (status < 0)
        return status;
    struct run *run = malloc(sizeof(*run) + rows->count * sizeof(run->matches[0]));
    if (!run)
        return error_set(error, -ENOMEM, "out of memory for the matches of a block");
    *run = (struct run) { .block = block, .first_sequence = first_sequence, .count = rows->count };
    for (uint32_t i = 0; i < rows->count; i++)
        run->matches[i] =
            (struct run_match) { by_time ? block_timestamp(block, rows->rows[i]) : 0, first_sequence + rows->rows[i] };
    if (!is_sorted(run))
        qsort(run->matches, run->count, sizeof(run->matches[0]), compare);
    if (reverse)
        turn_around(run);
    *ret = run;
    return 0;
}

void run_destroy(struct run *run) {
    if (!run)
        return;
    block_destroy(run->block);
    entry_copies_finish(&run->window);
    buffer_finish(&run->text);
    free(run->ends);
    free(run);
}

void run_evict(struct run *run) {
    block_destroy(run->block);
    run->block = NULL;
    buffer_finish(&run->text);
    free(run->ends);
    run->ends = NULL;
}

size_t run_weight(const struct run *run) {
    return (run->block ? (size_t)block_count(run->block) * ENTRY_WEIGHT : 0) + run->text.capacity;
}

void run_give_up(struct run *run) {
    run->given_up = true;
    run_evict(run);
}

/* Of matches [begin, end), as many as the block holds; first is its first sequence. */
static int load_rows(const struct run *run, struct block *block, uint64_t first, size_t begin, size_t end,
                     struct error *error) {
    uint32_t count = 0, *rows = malloc((end - begin) * sizeof(*rows));
    if (!rows)
        return error_set(error, -ENOMEM, "out of memory for entries found");
    for (size_t i = begin; i < end; i++) {
        uint64_t sequence = run->matches[i].sequence;
        if (sequence >= first && sequence - first < block_count(block))
            rows[count++] = (uint32_t)(sequence - first);
    }
    int status = block_load_rows(block, rows, count, error);
    free(rows);
    return status;
}

int run_load(struct run *run, struct error *error) {
    int status = run->loaded ? 0 : load_rows(run, run->block, run->first_sequence, 0, run->count, error);
    run->loaded = status == 0;
    return status;
}

/* --- written ahead --- */

static int render_all(struct run *run, void (*render)(void *argument, struct buffer *out, const struct entry *entry),
                      void *argument, struct error *error) {
    struct entry entry;
    int status = run_load(run, error);
    for (size_t i = 0; i < run->count && status == 0; i++) {
        stored_entry(run->block, (uint32_t)(run->matches[i].sequence - run->first_sequence), &entry);
        render(argument, &run->text, &entry);
        run->ends[i] = (uint32_t)run->text.length;
        if (run->text.failed)
            status = error_set(error, -ENOMEM, "out of memory for entries found");
        else if (run->text.length > RENDERED_MAX)
            status = 1;
    }
    return status;
}

int run_render(struct run *run, void (*render)(void *argument, struct buffer *out, const struct entry *entry),
               void *argument, struct error *error) {
    run->ends = malloc(run->count * sizeof(*run->ends));
    if (!run->ends)
        return error_set(error, -ENOMEM, "out of memory for entries found");
    int status = render_all(run, render, argument, error);
    if (status == 0) {
        block_destroy(run->block);
        run->block = NULL;
        return 0;
    }
    buffer_finish(&run->text);
    free(run->ends);
    run->ends = NULL;
    return status < 0 ? status : 0;
}

bool run_text(const struct run *run, struct text *ret) {
    if (!run->ends)
        return false;
    size_t begin = run->at ? run->ends[run->at - 1] : 0;
    *ret = (struct text) { run->text.data + begin, run->ends[run->at] - begin };
    return true;
}

const struct run_match *run_at(const struct run *run) {
    check(run->at < run->count);
    return &run->matches[run->at];
}

bool run_advance(struct run *run) {
    run->at++;
    return run->at < run->count;
}

/* Copy the entries of the next matches out of the block that holds the current one now. */
static int fill_window(struct run *run, struct store_reader *reader, struct error *error) {
    struct block *block;
    struct entry entry;
    uint64_t first, sequence = run_at(run)->sequence;
    int status = candidate_locate(reader, sequence, sequence + 1, &block, &first, error);
    if (status <= 0)
        return status;
    size_t end = run->count - run->at < WINDOW_ENTRIES ? run->count : run->at + WINDOW_ENTRIES;
    status = load_rows(run, block, first, run->at, end, error);
    entry_copies_clear(&run->window);
    run->window_at = run->at;
    for (size_t i = run->at; i < end && status == 0; i++) {
        sequence = run->matches[i].sequence;
        if (sequence < first || sequence - first >= block_count(block) || run->window.bytes.length > WINDOW_BYTES)
            break;
        stored_entry(block, (uint32_t)(sequence - first), &entry);
        status = entry_copies_add(&run->window, &entry);
        if (status < 0)
            error_set(error, status, "out of memory for entries found");
    }
    block_destroy(block);
    return status < 0 ? status : 1;
}

int run_entry(struct run *run, struct store_reader *reader, struct entry *ret, struct error *error) {
    int status;
    if (run->given_up)
        return 0;
    if (run->block) {
        status = run_load(run, error);
        if (status < 0)
            return status;
        stored_entry(run->block, (uint32_t)(run_at(run)->sequence - run->first_sequence), ret);
        return 1;
    }
    if (run->at < run->window_at || run->at >= run->window_at + run->window.count) {
        status = fill_window(run, reader, error);
        if (status <= 0)
            return status;
        if (run->window.count == 0) /* the block that should hold it is shorter than its index says */
            return 0;
    }
    entry_copies_get(&run->window, run->at - run->window_at, ret);
    return 1;
}
