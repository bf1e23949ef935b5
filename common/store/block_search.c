/* Searching the messages of a block without putting them together.
 *
 * A text that stands in a message stands whole in a fixed part of its template (then all rows of the template have it), whole in one argument, or
 * it goes across an edge of a gap. Templates are one run of bytes, and so are the arguments of gaps beside each other: each is searched at once. Of the
 * last kind there is a row only where the fixed part at the first edge that is crossed agrees with the text, which templates tell; those few rows are
 * looked at one by one. The looks of a gap (block_looks.c) mostly tell that it can have no part in the text: arguments, most of a block's bytes, are
 * loaded when that does not rule out every gap. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/block_reading.h"

struct search {
    struct block *block;
    struct text needle;
    uint32_t from, to;
    uint8_t *marks;
    struct buffer message;
    bool has[256]; /* bytes of the needle */
    bool *whole;   /* of each template: all rows have the needle */
    struct error *error;
};

static const char *find(struct text text, struct text needle) {
    return text.length < needle.length ? NULL : memmem(text.data, text.length, needle.data, needle.length);
}

static int no_memory(const struct search *search) {
    return error_set(search->error, -ENOMEM, "block %llu: out of memory",
                     (unsigned long long)search->block->first_sequence);
}

static inline void mark(struct search *search, uint32_t row) {
    if (row >= search->from && row < search->to)
        search->marks[row - search->from] = 1;
}

/* The fixed part before gap number `gap` of the template; behind the last one for gap == number of gaps. */
static struct text fixed_part(const struct templates *templates, uint32_t template, uint32_t gap) {
    uint32_t first = templates->gap_begins[template], count = templates->gap_begins[template + 1] - first;
    uint32_t begin = gap ? templates->gaps[first + gap - 1] + 1 : template ? templates->ends[template - 1] : 0;
    uint32_t end = gap < count ? templates->gaps[first + gap] : templates->ends[template];
    return (struct text) { templates->bytes + begin, end - begin };
}

static const struct block_look *look_of(const struct search *search, uint32_t template, uint32_t gap) {
    return search->block->looks ? &search->block->looks[search->block->templates.gap_begins[template] + gap] : NULL;
}

/* Whole in fixed parts: the templates' texts are one run. Their gaps' byte is in no fixed part. */
static bool search_templates(struct search *search) {
    const struct templates *templates = &search->block->templates;
    size_t at = 0, end = templates->ends[templates->count - 1];
    bool any = false;
    if (memchr(search->needle.data, BLOCK_GAP, search->needle.length))
        return false;
    for (uint32_t template = 0; at < end;) {
        const char *found = find((struct text) { templates->bytes + at, end - at }, search->needle);
        if (!found)
            break;
        size_t hit = (size_t)(found - templates->bytes);
        while (templates->ends[template] <= hit)
            template += 1;
        at = hit + 1;
        if (hit + search->needle.length > templates->ends[template])
            continue; /* it goes on in the next template */
        search->whole[template] = any = true;
        at = templates->ends[template];
    }
    return any;
}

/* All rows of the templates that have it. */
static int mark_templates(struct search *search) {
    const struct block *block = search->block;
    uint8_t *of_statement = calloc(block->statement_count, sizeof(*of_statement));
    if (!of_statement)
        return no_memory(search);
    for (uint32_t i = 0; i < block->statement_count; i++)
        of_statement[i] = search->whole[block->statements[i].template];
    for (uint32_t row = search->from; row < search->to; row++)
        search->marks[row - search->from] |= of_statement[block->statement_rows[row]];
    free(of_statement);
    return 0;
}

struct span { /* of arguments; the first is of this template */
    uint32_t first, end, template;
};

/* Whole in one of these arguments: they are one run. */
static void search_arguments(struct search *search, const struct span *span) {
    uint32_t argument = span->first, template = span->template;
    const struct templates *templates = &search->block->templates;
    const struct run *arguments = &search->block->arguments;
    const uint32_t *offsets = arguments->offsets;
    size_t at = offsets[argument], end = offsets[span->end];
    while (at < end) {
        const char *found = find((struct text) { arguments->bytes + at, end - at }, search->needle);
        if (!found)
            return;
        size_t hit = (size_t)(found - arguments->bytes);
        while (offsets[argument + 1] <= hit)
            argument++;
        at = hit + 1;
        if (hit + search->needle.length > offsets[argument + 1])
            continue; /* it goes on in the next one */
        while (templates->argument_begins[template + 1] <= argument)
            template += 1;
        uint32_t begin = templates->row_begins[template], count = templates->row_begins[template + 1] - begin;
        mark(search, templates->rows[begin + (argument - templates->argument_begins[template]) % count]);
        at = offsets[argument + 1];
    }
}

/* The first template from `template` on of whose gaps one may hold the needle and which has not been marked; *gap is that. */
static bool next_gap(const struct search *search, uint64_t classes, uint32_t *template, uint32_t *gap) {
    const struct templates *templates = &search->block->templates;
    for (; *template <templates->count; ++*template, *gap = 0) {
        uint32_t gaps = templates->gap_begins[*template + 1] - templates->gap_begins[*template];
        for (; *gap < gaps && !search->whole[*template]; ++*gap)
            if (block_may_hold(look_of(search, *template, *gap), search->needle, classes))
                return true;
    }
    return false;
}

/* Of the gaps that may hold the needle those beside each other are searched at once. */
static int search_gaps(struct search *search) {
    const struct templates *templates = &search->block->templates;
    uint64_t classes = block_classes(search->needle);
    struct span span = { 0, 0, 0 };
    uint32_t template = 0, gap = 0;
    if (!next_gap(search, classes, &template, &gap))
        return 0;
    int result = block_load(search->block, BLOCK_ARGUMENT, search->error);
    for (; result == 0 && next_gap(search, classes, &template, &gap); gap++) {
        uint32_t rows = templates->row_begins[template + 1] - templates->row_begins[template];
        uint32_t begin = templates->argument_begins[template] + gap * rows;
        if (begin != span.end) {
            search_arguments(search, &span);
            span = (struct span) { begin, begin, template };
        }
        span.end = begin + rows;
    }
    if (result == 0)
        search_arguments(search, &span);
    return result;
}

/* The needle parted at k: does the first part agree with what ends at an edge, as far as that reaches? */
static bool agrees_before(struct text before, struct text needle, size_t k) {
    size_t common = k < before.length ? k : before.length;
    return common == 0 || memcmp(before.data + before.length - common, needle.data + k - common, common) == 0;
}

static bool agrees_behind(struct text behind, struct text needle, size_t k) {
    size_t left = needle.length - k, common = left < behind.length ? left : behind.length;
    return common == 0 || memcmp(behind.data, needle.data + k, common) == 0;
}

/* Rows of the template in which the needle may begin before an edge of this gap and end behind it: looked at whole. `into` tells which
 * edge: the needle's first k bytes end the fixed part and the rest begins in the argument; or they end the argument. */
static int look_at_rows(struct search *search, uint32_t template, uint32_t gap, size_t k, bool into) {
    const struct templates *templates = &search->block->templates;
    int result = block_load(search->block, BLOCK_ARGUMENT, search->error);
    if (result < 0)
        return result;
    uint32_t begin = templates->row_begins[template], count = templates->row_begins[template + 1] - begin;
    for (uint32_t rank = 0; rank < count; rank++) {
        uint32_t row = templates->rows[begin + rank];
        if (row < search->from || row >= search->to || search->marks[row - search->from])
            continue;
        struct text argument = block_argument(search->block, template, gap, rank);
        if (into ? !agrees_behind(argument, search->needle, k)
                 : argument.length < k || !agrees_before(argument, search->needle, k))
            continue;
        buffer_clear(&search->message);
        block_append_message(search->block, row, &search->message);
        if (search->message.failed)
            return no_memory(search);
        if (find(buffer_text(&search->message), search->needle))
            mark(search, row);
    }
    return 0;
}

/* The needle begins in the fixed part before the gap, or in the argument, and the edge behind that is the first it crosses. Two bytes beside an
 * edge mostly rule that out. */
static int search_edges(struct search *search, uint32_t template, uint32_t gap) {
    const struct templates *templates = &search->block->templates;
    struct text before = fixed_part(templates, template, gap), behind = fixed_part(templates, template, gap + 1);
    struct text needle = search->needle;
    const struct block_look *look = look_of(search, template, gap);
    bool last = gap + 1 == templates->gap_begins[template + 1] - templates->gap_begins[template];
    int ends = before.length ? (unsigned char)before.data[before.length - 1] : -1;
    int begins = behind.length ? (unsigned char)behind.data[0] : -1;
    int result = 0;
    for (size_t k = 1; k < needle.length && result == 0; k++) {
        struct text rest = { needle.data + k, needle.length - k };
        if ((unsigned char)needle.data[k - 1] == ends && k <= before.length && agrees_before(before, needle, k) &&
            block_may_begin(look, rest, behind, last))
            result = look_at_rows(search, template, gap, k, true);
        if (begins >= 0 ? (unsigned char)needle.data[k] != begins : last)
            continue;
        if (result == 0 && agrees_behind(behind, needle, k) && !(last && rest.length > behind.length) &&
            block_may_end(look, (struct text) { needle.data, k }))
            result = look_at_rows(search, template, gap, k, false);
    }
    return result;
}

static int search_all_edges(struct search *search, uint32_t template) {
    const struct templates *templates = &search->block->templates;
    uint32_t begin = template ? templates->ends[template - 1] : 0, end = templates->ends[template];
    uint32_t first = templates->gap_begins[template], last = templates->gap_begins[template + 1];
    int result = 0;
    for (uint32_t gap = first; gap < last && result == 0; gap++) {
        uint32_t at = templates->gaps[gap];
        const unsigned char *bytes = (const unsigned char *)templates->bytes + at;
        /* a byte beside it that the needle has, or another gap (of whose byte `has` says so) */
        if ((at > begin && search->has[bytes[-1]]) || (at + 1 < end && search->has[bytes[1]]))
            result = search_edges(search, template, gap - first);
    }
    return result;
}

int block_mark_messages(struct block *block, struct text needle, uint32_t from, uint32_t to, uint8_t *marks,
                        struct error *error) {
    struct search search = { .block = block, .needle = needle, .from = from, .to = to, .marks = marks, .error = error };
    check(needle.length > 0 && from <= to && to <= block->count);
    int result = block_load(block, BLOCK_LOOK, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < needle.length; i++)
        search.has[(unsigned char)needle.data[i]] = true;
    search.has[BLOCK_GAP] = true;
    search.whole = calloc(block->templates.count, sizeof(*search.whole));
    if (!search.whole)
        return no_memory(&search);
    result = search_templates(&search) ? mark_templates(&search) : 0;
    if (result == 0)
        result = search_gaps(&search);
    for (uint32_t i = 0; i < block->templates.count && result == 0; i++)
        if (!search.whole[i])
            result = search_all_edges(&search, i);
    buffer_finish(&search.message);
    free(search.whole);
    return result;
}
