/* match.c - see match.h. */
#include "common/query/match.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/match_private.h"

void row_set_finish(struct row_set *set) {
    free(set->rows);
    *set = ROW_SET_EMPTY;
}

int match_no_memory(struct error *error) {
    return error_set(error, -ENOMEM, "out of memory while searching a block");
}

static int start_with(struct row_set *set, uint32_t from, uint32_t to, struct error *error) {
    uint32_t count = to - from;
    if (count > set->capacity) {
        uint32_t *grown = realloc(set->rows, count * sizeof(*grown));
        if (!grown)
            return match_no_memory(error);
        set->rows = grown;
        set->capacity = count;
    }
    for (uint32_t i = 0; i < count; i++)
        set->rows[i] = from + i;
    set->count = count;
    return 0;
}

int match_need_verdicts(struct matching *matching, size_t count) {
    if (count > matching->verdict_capacity) {
        uint8_t *grown = realloc(matching->verdicts, count);
        if (!grown)
            return match_no_memory(matching->error);
        matching->verdicts = grown;
        matching->verdict_capacity = count;
    }
    memset(matching->verdicts, 0, count);
    return 0;
}

/* --- time --- */

static int by_time(struct matching *matching) {
    const struct filter *filter = matching->filter;
    struct row_set *set = matching->set;
    if (filter->since_ns == 0 && filter->until_ns == UINT64_MAX)
        return 0;
    int status = block_load(matching->block, BLOCK_TIMESTAMP, matching->error);
    if (status < 0)
        return status;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint64_t timestamp = block_timestamp(matching->block, set->rows[i]);
        if (timestamp >= filter->since_ns && timestamp < filter->until_ns)
            set->rows[kept++] = set->rows[i];
    }
    set->count = kept;
    return 0;
}

/* --- host: judged once for each dictionary value --- */

bool match_asks_for(const struct filter *filter, enum filter_field field) {
    if (field == FILTER_SERVICE) /* always: rows without one are no entries (common/store/gone.h) */
        return true;
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        if (filter->matchers[i].field == field)
            return true;
    return false;
}

static int judge_host(const struct filter *filter, struct text host, struct error *error) {
    int status = 1;
    for (uint32_t i = 0; i < filter->matcher_count && status > 0; i++)
        if (filter->matchers[i].field == FILTER_HOST)
            status = filter_matcher_text(&filter->matchers[i], host, error);
    return status;
}

static int by_host(struct matching *matching) {
    struct row_set *set = matching->set;
    if (!match_asks_for(matching->filter, FILTER_HOST))
        return 0;
    int status = block_load(matching->block, BLOCK_HOST, matching->error);
    uint32_t size = status < 0 ? 0 : block_dictionary_size(matching->block, BLOCK_HOST);
    if (status == 0)
        status = match_need_verdicts(matching, size);
    for (uint32_t i = 0; i < size && status >= 0; i++) {
        status = judge_host(matching->filter, block_dictionary_text(matching->block, BLOCK_HOST, i), matching->error);
        matching->verdicts[i] = status > 0;
    }
    if (status < 0)
        return status;
    const uint16_t *indexes = block_dictionary_rows(matching->block, BLOCK_HOST);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->count; i++)
        if (matching->verdicts[indexes[set->rows[i]]])
            set->rows[kept++] = set->rows[i];
    set->count = kept;
    return 0;
}

/* --- the other matchers: row by row --- */

static const struct {
    enum filter_field field;
    enum block_column column;
} row_columns[] = {
    { FILTER_PID, BLOCK_PID },         { FILTER_TRACE_ID, BLOCK_TRACE_ID },
    { FILTER_SPAN_ID, BLOCK_SPAN_ID }, { FILTER_CORRELATION_ID, BLOCK_CORRELATION_ID },
    { FILTER_USER_ID, BLOCK_USER_ID }, { FILTER_ORGANIZATION_ID, BLOCK_ORGANIZATION_ID },
    { FILTER_ID, BLOCK_ID },
};

static uint64_t template_of(const struct block *block, uint32_t row) {
    return block_template_id(block, block_statements(block)[block_statement_rows(block)[row]].template);
}

static int judge_row(struct matching *matching, const struct filter_matcher *matcher, enum block_column column,
                     uint32_t row) {
    char pid[12] = "";
    switch (matcher->field) {
    case FILTER_PID:
        if (block_pid(matching->block, row))
            snprintf(pid, sizeof(pid), "%u", block_pid(matching->block, row));
        return filter_matcher_text(matcher, text_of(pid), matching->error);
    case FILTER_USER_ID:
    case FILTER_ORGANIZATION_ID:
    case FILTER_ID:
        return filter_matcher_uuid(matcher, block_uuid(matching->block, column, row), matching->error);
    case FILTER_TEMPLATE:
        return filter_matcher_template(matcher, template_of(matching->block, row), matching->error);
    case FILTER_METADATA:
        return filter_matcher_metadata(matcher, block_text(matching->block, column, row), &matching->scratch,
                                       matching->error);
    default:
        return filter_matcher_text(matcher, block_text(matching->block, column, row), matching->error);
    }
}

static int by_matcher(struct matching *matching, const struct filter_matcher *matcher, enum block_column column) {
    struct row_set *set = matching->set;
    uint32_t kept = 0;
    int status = set->count ? block_load(matching->block, column, matching->error) : 0;
    for (uint32_t i = 0; i < set->count && status >= 0; i++) {
        status = judge_row(matching, matcher, column, set->rows[i]);
        if (status > 0)
            set->rows[kept++] = set->rows[i];
    }
    set->count = kept;
    return status < 0 ? status : 0;
}

static int by_field(struct matching *matching, enum filter_field field, enum block_column column) {
    const struct filter *filter = matching->filter;
    int status = 0;
    for (uint32_t i = 0; i < filter->matcher_count && status == 0; i++)
        if (filter->matchers[i].field == field)
            status = by_matcher(matching, &filter->matchers[i], column);
    return status;
}

static int by_row_columns(struct matching *matching) {
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(row_columns) && status == 0; i++)
        status = by_field(matching, row_columns[i].field, row_columns[i].column);
    return status;
}

/* --- trees of label filters: row by row, all columns they name --- */

static const struct {
    enum filter_field field;
    enum block_column column;
} name_columns[] = {
    { FILTER_SERVICE, BLOCK_SERVICE }, { FILTER_MODULE, BLOCK_MODULE },     { FILTER_OPERATION, BLOCK_OPERATION },
    { FILTER_HOST, BLOCK_HOST },       { FILTER_TEMPLATE, BLOCK_TEMPLATE },
};

static enum block_column column_of(enum filter_field field) {
    for (size_t i = 0; i < COUNT_OF(name_columns); i++)
        if (name_columns[i].field == field)
            return name_columns[i].column;
    for (size_t i = 0; i < COUNT_OF(row_columns); i++)
        if (row_columns[i].field == field)
            return row_columns[i].column;
    return BLOCK_METADATA;
}

struct judging {
    struct matching *matching;
    uint32_t row;
};

static int judge_node(void *argument, const struct filter_node *node) {
    const struct judging *judging = argument;
    struct matching *matching = judging->matching;
    enum block_column column = node->kind == FILTER_NODE_LEVELS ? BLOCK_LEVEL : column_of(node->matcher.field);
    int status = block_load(matching->block, column, matching->error); /* once */
    if (status < 0)
        return status;
    if (node->kind == FILTER_NODE_LEVELS)
        return (node->levels & 1u << block_level(matching->block, judging->row)) != 0;
    return judge_row(matching, &node->matcher, column, judging->row);
}

static int by_trees(struct matching *matching) {
    const struct filter *filter = matching->filter;
    struct row_set *set = matching->set;
    int status = 0;
    for (uint32_t t = 0; t < filter->tree_count && status >= 0; t++) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < set->count && status >= 0; i++) {
            struct judging judging = { matching, set->rows[i] };
            status = filter_tree_judge(&filter->trees[t], judge_node, &judging);
            if (status > 0)
                set->rows[kept++] = set->rows[i];
        }
        set->count = kept;
    }
    return status < 0 ? status : 0;
}

static int (*const steps[])(struct matching *matching) = {
    /* the cheap columns first */
    match_by_statement, by_time, by_host, by_row_columns, match_by_lines, match_by_metadata, by_trees,
};

int match_block(const struct filter *filter, struct block *block, uint32_t from, uint32_t to, struct row_set *set,
                struct error *error) {
    struct matching matching = { .filter = filter, .block = block, .set = set, .error = error };
    check(from <= to && to <= block_count(block));
    int status = start_with(set, from, to, error);
    for (size_t i = 0; i < COUNT_OF(steps) && status == 0 && set->count > 0; i++)
        status = steps[i](&matching);
    free(matching.verdicts);
    buffer_finish(&matching.scratch);
    return status;
}
