/* match.c - see match.h. */
#include "common/query/match.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"

/* What the steps share. Each narrows `set` and returns 0 or a negative errno. */
struct matching {
    const struct filter *filter;
    struct block *block;
    struct row_set *set;
    struct buffer scratch;
    uint8_t *verdicts; /* one for each dictionary value, or row of a run search */
    size_t verdict_capacity;
    struct error *error;
};

void row_set_finish(struct row_set *set) {
    free(set->rows);
    *set = ROW_SET_EMPTY;
}

static int no_memory(struct error *error) {
    return error_set(error, -ENOMEM, "out of memory while searching a block");
}

static int start_with(struct row_set *set, uint32_t from, uint32_t to, struct error *error) {
    uint32_t count = to - from;
    if (count > set->capacity) {
        uint32_t *grown = realloc(set->rows, count * sizeof(*grown));
        if (!grown)
            return no_memory(error);
        set->rows = grown;
        set->capacity = count;
    }
    for (uint32_t i = 0; i < count; i++)
        set->rows[i] = from + i;
    set->count = count;
    return 0;
}

static int need_verdicts(struct matching *matching, size_t count) {
    if (count > matching->verdict_capacity) {
        uint8_t *grown = realloc(matching->verdicts, count);
        if (!grown)
            return no_memory(matching->error);
        matching->verdicts = grown;
        matching->verdict_capacity = count;
    }
    memset(matching->verdicts, 0, count);
    return 0;
}

/* --- time and level --- */

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

static int by_level(struct matching *matching) {
    struct row_set *set = matching->set;
    if (matching->filter->levels == FILTER_ALL_LEVELS)
        return 0;
    int status = block_load(matching->block, BLOCK_LEVEL, matching->error);
    if (status < 0)
        return status;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->count; i++)
        if (matching->filter->levels & 1u << block_level(matching->block, set->rows[i]))
            set->rows[kept++] = set->rows[i];
    set->count = kept;
    return 0;
}

/* --- names: judged once for each dictionary value --- */

static int judge_name(const struct filter *filter, enum filter_field field, struct text name, struct error *error) {
    if (field == FILTER_SERVICE && (name.length == 0 || !filter_has_service(filter, name))) /* none: gone (gone.h) */
        return 0;
    for (uint32_t i = 0; i < filter->matcher_count; i++) {
        if (filter->matchers[i].field != field)
            continue;
        int status = filter_matcher_text(&filter->matchers[i], name, error);
        if (status <= 0)
            return status;
    }
    return 1;
}

static bool asks_for(const struct filter *filter, enum filter_field field) {
    if (field == FILTER_SERVICE) /* always: rows without one are no entries */
        return true;
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        if (filter->matchers[i].field == field)
            return true;
    return false;
}

static int by_name(struct matching *matching, enum filter_field field, enum block_column column) {
    struct row_set *set = matching->set;
    if (!asks_for(matching->filter, field))
        return 0;
    int status = block_load(matching->block, column, matching->error);
    uint32_t size = status < 0 ? 0 : block_dictionary_size(matching->block, column);
    if (status == 0)
        status = need_verdicts(matching, size);
    for (uint32_t i = 0; i < size && status >= 0; i++) {
        status =
            judge_name(matching->filter, field, block_dictionary_text(matching->block, column, i), matching->error);
        if (status >= 0)
            matching->verdicts[i] = (uint8_t)status;
    }
    if (status < 0)
        return status;
    const uint16_t *indexes = block_dictionary_rows(matching->block, column);
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
    { FILTER_SERVICE, BLOCK_SERVICE },
    { FILTER_MODULE, BLOCK_MODULE },
    { FILTER_OPERATION, BLOCK_OPERATION },
    { FILTER_HOST, BLOCK_HOST },
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

/* --- messages --- */

/* Mark in verdicts[row - first] the rows of [first, last] whose message holds the bytes: one search over the whole run, since a call for
 * each row costs more than the bytes do. A hit across two messages is none. */
static void mark_run(struct text run, const uint32_t *offsets, struct text bytes, uint32_t first, uint32_t last,
                     uint8_t *verdicts) {
    size_t at = offsets[first], end = offsets[last + 1];
    uint32_t row = first;
    while (at < end) {
        const char *found = pattern_find((struct text) { run.data + at, end - at }, bytes);
        if (!found)
            return;
        size_t hit = (size_t)(found - run.data);
        while (offsets[row + 1] <= hit)
            row++;
        if (hit + bytes.length <= offsets[row + 1]) {
            verdicts[row - first] = 1;
            at = offsets[row + 1];
        } else {
            at = hit + 1;
        }
    }
}

/* Narrow the set to the rows that pass one alternative-free positive line filter whose bytes are known. */
static int by_run(struct matching *matching, const struct filter_line *line) {
    struct row_set *set = matching->set;
    const struct filter_alternative *alternative = &line->alternatives[0];
    uint32_t first = set->rows[0], last = set->rows[set->count - 1], kept = 0;
    const uint32_t *offsets;
    struct text run = block_message_bytes(matching->block, &offsets);
    int status = need_verdicts(matching, (size_t)last - first + 1);
    if (status < 0)
        return status;
    mark_run(run, offsets, alternative->bytes, first, last, matching->verdicts);
    bool judge = alternative->pattern && !pattern_is_literal(alternative->pattern);
    for (uint32_t i = 0; i < set->count && status >= 0; i++) {
        uint32_t row = set->rows[i];
        status = matching->verdicts[row - first];
        if (status > 0 && judge)
            status =
                pattern_match(alternative->pattern, block_text(matching->block, BLOCK_MESSAGE, row), matching->error);
        status = status < 0 ? status : status ^ line->negated;
        if (status > 0)
            set->rows[kept++] = row;
    }
    set->count = kept;
    return status < 0 ? status : 0;
}

static int by_row(struct matching *matching, const struct filter_line *line) {
    struct row_set *set = matching->set;
    uint32_t kept = 0;
    int status = 0;
    for (uint32_t i = 0; i < set->count && status >= 0; i++) {
        status = filter_line_text(line, block_text(matching->block, BLOCK_MESSAGE, set->rows[i]), matching->error);
        if (status > 0)
            set->rows[kept++] = set->rows[i];
    }
    set->count = kept;
    return status < 0 ? status : 0;
}

static int by_lines(struct matching *matching) {
    const struct filter *filter = matching->filter;
    struct row_set *set = matching->set;
    int status = 0;
    if (filter->line_count > 0 && set->count > 0)
        status = block_load(matching->block, BLOCK_MESSAGE, matching->error);
    for (uint32_t i = 0; i < filter->line_count && set->count > 0 && status == 0; i++) {
        const struct filter_line *line = &filter->lines[i];
        bool dense = set->count > (set->rows[set->count - 1] - set->rows[0]) / 8;
        if (dense && line->alternative_count == 1 && line->alternatives[0].bytes.length > 0)
            status = by_run(matching, line);
        else
            status = by_row(matching, line);
    }
    return status;
}

static int by_service(struct matching *matching) {
    return by_name(matching, FILTER_SERVICE, BLOCK_SERVICE);
}
static int by_module(struct matching *matching) {
    return by_name(matching, FILTER_MODULE, BLOCK_MODULE);
}
static int by_operation(struct matching *matching) {
    return by_name(matching, FILTER_OPERATION, BLOCK_OPERATION);
}
static int by_host(struct matching *matching) {
    return by_name(matching, FILTER_HOST, BLOCK_HOST);
}
static int by_metadata(struct matching *matching) {
    return by_field(matching, FILTER_METADATA, BLOCK_METADATA);
}

static int (*const steps[])(struct matching *matching) = {
    /* the cheap columns first */
    by_level, by_service, by_time, by_module, by_operation, by_host, by_row_columns, by_lines, by_metadata, by_trees,
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
