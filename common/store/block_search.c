/* Searching the messages of a block without putting them together.
 *
 * A text that stands in a message stands whole in a fixed part of its template (then all rows of the template have it), whole in one argument, or
 * it goes across an edge of a gap. Templates are one run of bytes, and so are arguments: each is searched at once. Of the last kind there is a
 * row only where the fixed part at the first edge that is crossed agrees with the text, which templates tell; those few rows are looked at one by one. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/store/block_reading.h"

struct search {
    const struct block *block;
    struct text needle;
    uint32_t from, to;
    uint8_t *marks;
    struct buffer message;
};

static const char *find(struct text text, struct text needle) {
    return text.length < needle.length ? NULL : memmem(text.data, text.length, needle.data, needle.length);
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

/* Whole in fixed parts: the templates' texts are one run. Their gaps' byte is in no fixed part. */
static void search_templates(struct search *search) {
    const struct templates *templates = &search->block->templates;
    size_t at = 0, end = templates->ends[templates->count - 1];
    if (memchr(search->needle.data, BLOCK_GAP, search->needle.length))
        return;
    for (uint32_t template = 0; at < end;) {
        const char *found = find((struct text) { templates->bytes + at, end - at }, search->needle);
        if (!found)
            return;
        size_t hit = (size_t)(found - templates->bytes);
        while (templates->ends[template] <= hit)
            template += 1;
        at = hit + 1;
        if (hit + search->needle.length > templates->ends[template])
            continue; /* it goes on in the next template */
        for (uint32_t i = templates->row_begins[template]; i < templates->row_begins[template + 1]; i++)
            mark(search, templates->rows[i]);
        at = templates->ends[template];
    }
}

/* Whole in an argument: all of them are one run. */
static void search_arguments(struct search *search) {
    const struct templates *templates = &search->block->templates;
    const struct run *arguments = &search->block->arguments;
    const uint32_t *offsets = arguments->offsets;
    size_t at = 0, end = offsets[templates->argument_begins[templates->count]];
    for (uint32_t argument = 0, template = 0; at < end;) {
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
            return -ENOMEM;
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
    bool last = gap + 1 == templates->gap_begins[template + 1] - templates->gap_begins[template];
    int ends = before.length ? (unsigned char)before.data[before.length - 1] : -1;
    int begins = behind.length ? (unsigned char)behind.data[0] : -1;
    int result = 0;
    for (size_t k = 1; k < needle.length && result == 0; k++) {
        if ((unsigned char)needle.data[k - 1] == ends && k <= before.length && agrees_before(before, needle, k))
            result = look_at_rows(search, template, gap, k, true);
        if (begins >= 0 ? (unsigned char)needle.data[k] != begins : last)
            continue;
        if (result == 0 && agrees_behind(behind, needle, k) && !(last && needle.length - k > behind.length))
            result = look_at_rows(search, template, gap, k, false);
    }
    return result;
}

static int search_all_edges(struct search *search, uint32_t template) {
    const struct templates *templates = &search->block->templates;
    uint32_t gaps = templates->gap_begins[template + 1] - templates->gap_begins[template];
    int result = 0;
    for (uint32_t gap = 0; gap < gaps && result == 0; gap++)
        result = search_edges(search, template, gap);
    return result;
}

int block_mark_messages(struct block *block, struct text needle, uint32_t from, uint32_t to, uint8_t *marks,
                        struct error *error) {
    struct search search = { .block = block, .needle = needle, .from = from, .to = to, .marks = marks };
    check(needle.length > 0 && from <= to && to <= block->count);
    int result = block_load(block, BLOCK_ARGUMENT, error);
    if (result < 0)
        return result;
    search_templates(&search);
    search_arguments(&search);
    for (uint32_t i = 0; i < block->templates.count && result == 0; i++)
        result = search_all_edges(&search, i);
    buffer_finish(&search.message);
    return result < 0 ? error_set(error, result, "block %llu: out of memory", (unsigned long long)block->first_sequence)
                      : 0;
}
