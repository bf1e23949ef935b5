/* match_message.c - line filters. Where many rows are left, their bytes are looked for in the block's templates and arguments
 * (block_mark_messages); only what an expression has still to judge, and what stands in few rows, is put together as a message. */
#include <errno.h>

#include "common/query/match_private.h"

enum { FEW = 16 }; /* rows whose messages are put together sooner than a whole block is searched */

/* Every alternative names bytes that have to be there: rows without any of them need no look. */
static bool can_be_marked(const struct filter_line *line) {
    for (uint32_t i = 0; i < line->alternative_count; i++)
        if (line->alternatives[i].bytes.length == 0)
            return false;
    return line->alternative_count > 0;
}

static bool needs_judging(const struct filter_line *line) {
    for (uint32_t i = 0; i < line->alternative_count; i++)
        if (line->alternatives[i].pattern && !pattern_is_literal(line->alternatives[i].pattern))
            return true;
    return false;
}

static int judge_message(struct matching *matching, const struct filter_line *line, uint32_t row) {
    int status = block_load(matching->block, BLOCK_ARGUMENT, matching->error); /* once */
    if (status < 0)
        return status;
    buffer_clear(&matching->scratch);
    block_append_message(matching->block, row, &matching->scratch);
    if (matching->scratch.failed)
        return match_no_memory(matching->error);
    return filter_line_text(line, buffer_text(&matching->scratch), matching->error);
}

static int by_marks(struct matching *matching, const struct filter_line *line) {
    struct row_set *set = matching->set;
    uint32_t first = set->rows[0], last = set->rows[set->count - 1], kept = 0;
    int status = match_need_verdicts(matching, (size_t)last - first + 1);
    for (uint32_t i = 0; i < line->alternative_count && status == 0; i++)
        status = block_mark_messages(matching->block, line->alternatives[i].bytes, first, last + 1, matching->verdicts,
                                     matching->error);
    bool judge = needs_judging(line);
    for (uint32_t i = 0; i < set->count && status >= 0; i++) {
        uint32_t row = set->rows[i];
        bool marked = matching->verdicts[row - first];
        status = marked && judge ? judge_message(matching, line, row) : marked != line->negated;
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
        status = judge_message(matching, line, set->rows[i]);
        if (status > 0)
            set->rows[kept++] = set->rows[i];
    }
    set->count = kept;
    return status < 0 ? status : 0;
}

int match_by_lines(struct matching *matching) {
    const struct filter *filter = matching->filter;
    struct row_set *set = matching->set;
    int status = 0;
    for (uint32_t i = 0; i < filter->line_count && set->count > 0 && status == 0; i++) {
        const struct filter_line *line = &filter->lines[i];
        bool some = set->count > FEW;
        status = some && can_be_marked(line) ? by_marks(matching, line) : by_row(matching, line);
    }
    return status;
}
