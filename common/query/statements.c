/* statements.c - see statements.h. */
#include "common/query/statements.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/query/feed.h"

struct counting {
    struct statements statements[FEED_WORKERS_MAX];
};

static int no_memory(struct error *error) {
    return error_set(error, -ENOMEM, "out of memory for the counts of statements");
}

/* --- a table of them --- */

void statements_finish(struct statements *statements) {
    for (size_t i = 0; i < statements->count; i++) {
        free((char *)statements->items[i].service.data);
        free((char *)statements->items[i].text.data);
    }
    free(statements->items);
    free(statements->table);
    *statements = (struct statements) { 0 };
}

static size_t place_of(const struct statements *statements, uint64_t template, struct text service) {
    size_t at = hash_bytes_seeded(service.data, service.length, template) & (statements->table_size - 1);
    for (uint32_t number; (number = statements->table[at]) != 0; at = (at + 1) & (statements->table_size - 1)) {
        const struct statement *statement = &statements->items[number - 1];
        if (statement->template == template && text_equal(statement->service, service))
            break;
    }
    return at;
}

static bool grow(struct statements *statements) {
    size_t capacity = statements->capacity ? statements->capacity * 2 : 256;
    struct statement *items = realloc(statements->items, capacity * sizeof(*items));
    if (!items)
        return false;
    statements->items = items;
    uint32_t *table = calloc(capacity * 2, sizeof(*table));
    if (!table)
        return false;
    free(statements->table);
    statements->capacity = capacity;
    statements->table = table;
    statements->table_size = capacity * 2;
    for (size_t i = 0; i < statements->count; i++)
        table[place_of(statements, items[i].template, items[i].service)] = (uint32_t)i + 1;
    return true;
}

static bool copy(struct text text, size_t most, struct text *ret) {
    size_t length = text.length < most ? text.length : most;
    char *bytes = malloc(length + 1);
    if (!bytes)
        return false;
    if (length)
        memcpy(bytes, text.data, length);
    *ret = (struct text) { bytes, length };
    return true;
}

/* 1 and its row; 0: there are too many; negative. */
static int find(struct statements *statements, uint64_t template, struct text service, struct text text,
                struct statement **ret, struct error *error) {
    if (statements->count == statements->capacity && !grow(statements))
        return no_memory(error);
    size_t at = place_of(statements, template, service);
    if (statements->table[at] == 0) {
        struct statement statement = { .template = template };
        if (statements->count == STATEMENTS_MAX)
            return 0;
        if (!copy(service, SIZE_MAX, &statement.service))
            return no_memory(error);
        if (!copy(text, STATEMENTS_TEXT_MAX, &statement.text)) {
            free((char *)statement.service.data);
            return no_memory(error);
        }
        statements->items[statements->count++] = statement;
        statements->table[at] = (uint32_t)statements->count;
    }
    *ret = &statements->items[statements->table[at] - 1];
    return 1;
}

static int add(struct statements *statements, const struct statement *from, struct error *error) {
    struct statement *row = NULL;
    int status = find(statements, from->template, from->service, from->text, &row, error);
    if (status < 0)
        return status;
    statements->total += from->total;
    statements->others += status == 0 ? from->total : 0;
    for (unsigned level = 0; level < LEVEL_COUNT && status > 0; level++)
        row->by_level[level] += from->by_level[level];
    if (status > 0)
        row->total += from->total;
    return 0;
}

/* --- blocks --- */

static int add_statement(struct statements *statements, const struct block *block,
                         const struct block_statement *statement, uint32_t rows, struct error *error) {
    struct statement counted = { .template = block_template_id(block, statement->template),
                                 .service = block_dictionary_text(block, BLOCK_SERVICE, statement->service),
                                 .text = block_template_text(block, statement->template),
                                 .total = rows };
    counted.by_level[statement->level] = rows;
    return add(statements, &counted, error);
}

static int count_rows(struct statements *statements, struct block *block, const struct row_set *set,
                      struct error *error) {
    static const enum block_column columns[] = { BLOCK_STATEMENT, BLOCK_SERVICE, BLOCK_TEMPLATE };
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(columns) && status == 0; i++)
        status = block_load(block, columns[i], error);
    if (status < 0)
        return status;
    uint32_t count = block_statement_count(block);
    uint32_t *counts = calloc(count ? count : 1, sizeof(*counts));
    if (!counts)
        return no_memory(error);
    const uint16_t *rows = block_statement_rows(block);
    for (uint32_t i = 0; i < set->count; i++)
        counts[rows[set->rows[i]]]++;
    for (uint32_t i = 0; i < count && status == 0; i++)
        if (counts[i] > 0)
            status = add_statement(statements, block, &block_statements(block)[i], counts[i], error);
    free(counts);
    return status;
}

/* Any thread. */
static int count_block(void *argument, struct feed_worker *worker, const struct candidate *candidate,
                       struct block *block, uint64_t first_sequence, uint32_t from_row, uint32_t to_row,
                       void **ret_result, struct error *error) {
    struct counting *counting = argument;
    (void)candidate, (void)first_sequence, (void)ret_result;
    int status = match_block(&worker->filter, block, from_row, to_row, &worker->rows, error);
    if (status == 0 && worker->rows.count > 0)
        status = count_rows(&counting->statements[worker->number], block, &worker->rows, error);
    block_destroy(block);
    return status;
}

static int compare(const void *a, const void *b) {
    const struct statement *x = a, *y = b;
    if (x->total != y->total)
        return x->total > y->total ? -1 : 1;
    if (x->template != y->template)
        return (x->template < y->template) ? -1 : 1;
    return text_compare(x->service, y->service);
}

static int add_up(struct counting *counting, struct error *error) {
    struct statements *all = &counting->statements[0];
    int status = 0;
    for (size_t i = 1; i < FEED_WORKERS_MAX; i++) {
        struct statements *part = &counting->statements[i];
        for (size_t j = 0; j < part->count && status == 0; j++)
            status = add(all, &part->items[j], error);
        all->total += part->others;
        all->others += part->others;
    }
    return status;
}

static int run_feed(struct counting *counting, struct store_reader *reader, const struct filter *filter,
                    const struct scan_options *options, const struct candidates *candidates, struct error *error) {
    const struct feed_plan plan = { .reader = reader,
                                    .filter = filter,
                                    .candidates = candidates->items,
                                    .count = candidates->count,
                                    .alone = options->alone,
                                    .ahead = true,
                                    .work = count_block,
                                    .argument = counting,
                                    .damaged = options->damaged,
                                    .damaged_argument = options->damaged_argument };
    struct feed *feed;
    int status = feed_open(&plan, &feed, error);
    if (status < 0)
        return status;
    while ((status = feed_next(feed, error)) > 0)
        continue;
    feed_close(feed);
    return status < 0 ? status : add_up(counting, error);
}

int statements_count(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                     struct statements *ret, struct error *error) {
    struct counting counting = { 0 };
    struct candidates candidates;
    int status = candidates_collect(reader, filter, options->from_sequence, options->to_sequence, NULL, NULL,
                                    &candidates, error);
    if (status < 0)
        return status;
    status = run_feed(&counting, reader, filter, options, &candidates, error);
    candidates_finish(&candidates);
    for (size_t i = status < 0 ? 0 : 1; i < FEED_WORKERS_MAX; i++)
        statements_finish(&counting.statements[i]);
    if (status < 0)
        return status;
    *ret = counting.statements[0];
    if (ret->count > 1)
        qsort(ret->items, ret->count, sizeof(*ret->items), compare);
    free(ret->table); /* the order is another now */
    ret->table = NULL;
    return 0;
}
