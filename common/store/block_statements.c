/* Statements, templates and arguments of a block that is read, and the messages made of them. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_reading.h"

enum { STATEMENT_BYTES = 9 };

/* --- decoding --- */

int block_decode_statements(struct block *block, struct text raw) {
    uint32_t size = raw.length < 4 ? 0 : get_u32(raw.data);
    if (size == 0 || size > block->count || (raw.length - 4) / STATEMENT_BYTES < size)
        return -EBADMSG;
    block->statements = calloc(size, sizeof(*block->statements));
    block->statement_rows = calloc(block->count, sizeof(uint16_t));
    if (!block->statements || !block->statement_rows)
        return -ENOMEM;
    const char *at = raw.data + 4;
    for (uint32_t i = 0; i < size; i++) {
        struct block_statement *statement = &block->statements[i];
        statement->service = get_u16(at + 2 * (size_t)i);
        statement->module = get_u16(at + 2 * ((size_t)size + i));
        statement->operation = get_u16(at + 2 * (2 * (size_t)size + i));
        statement->template = get_u16(at + 2 * (3 * (size_t)size + i));
        statement->level = (uint8_t)at[8 * (size_t)size + i];
        if (statement->level >= LEVEL_COUNT)
            return -EBADMSG;
    }
    block->statement_count = size;
    struct text rows = { at + (size_t)size * STATEMENT_BYTES, raw.length - 4 - (size_t)size * STATEMENT_BYTES };
    return block_rows_unpack(rows, block->count, size, block->statement_rows);
}

/* Where gaps are, and which rows each template has. */
static int find_gaps(struct templates *templates) {
    uint32_t total = block_gaps((struct text) { templates->bytes, templates->ends[templates->count - 1] });
    templates->gap_begins = calloc((size_t)templates->count + 1, sizeof(uint32_t));
    templates->gaps = calloc((size_t)total + 1, sizeof(uint32_t));
    if (!templates->gap_begins || !templates->gaps)
        return -ENOMEM;
    for (uint32_t i = 0, at = 0, gap = 0; i < templates->count; i++, at = templates->ends[i - 1]) {
        const char *found, *end = templates->bytes + templates->ends[i];
        for (const char *from = templates->bytes + at; (found = memchr(from, BLOCK_GAP, (size_t)(end - from)));
             from = found + 1)
            templates->gaps[gap++] = (uint32_t)(found - templates->bytes);
        templates->gap_begins[i + 1] = gap;
        if (gap - templates->gap_begins[i] > ENTRY_ARGUMENTS_MAX)
            return -EBADMSG;
    }
    return 0;
}

static int order_rows(struct block *block) {
    struct templates *templates = &block->templates;
    uint32_t *begins = templates->row_begins = calloc((size_t)templates->count + 2, sizeof(uint32_t));
    templates->rows = calloc(block->count, sizeof(uint16_t));
    templates->ranks = calloc(block->count, sizeof(uint16_t));
    templates->argument_begins = calloc((size_t)templates->count + 1, sizeof(uint32_t));
    if (!begins || !templates->rows || !templates->ranks || !templates->argument_begins)
        return -ENOMEM;
    begins += 2; /* while counting, each begin stands one further */
    for (uint32_t row = 0; row < block->count; row++)
        templates->ranks[row] = (uint16_t)begins[block->statements[block->statement_rows[row]].template]++;
    begins--;
    for (uint32_t i = 1; i <= templates->count; i++)
        begins[i] += begins[i - 1];
    for (uint32_t row = 0; row < block->count; row++)
        templates->rows[begins[block->statements[block->statement_rows[row]].template]++] = (uint16_t)row;
    templates->row_begins[0] = 0;
    for (uint32_t i = 0, argument = 0; i <= templates->count; i++) {
        templates->argument_begins[i] = argument;
        if (i < templates->count)
            argument += (templates->row_begins[i + 1] - templates->row_begins[i]) *
                        (templates->gap_begins[i + 1] - templates->gap_begins[i]);
    }
    return 0;
}

int block_decode_templates(struct block *block, struct text raw) {
    struct templates *templates = &block->templates;
    const unsigned char *at = (const unsigned char *)raw.data + 4, *end = (const unsigned char *)raw.data + raw.length;
    uint64_t total = 0, length;
    uint32_t size = raw.length < 4 ? 0 : get_u32(raw.data);
    if (size == 0 || size > block->count || size > raw.length - 4)
        return -EBADMSG;
    for (uint32_t i = 0; i < block->statement_count; i++)
        if (block->statements[i].template >= size)
            return -EBADMSG;
    templates->ends = calloc(size, sizeof(uint32_t));
    if (!templates->ends)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++) {
        unsigned used = varint_get(at, end, &length);
        if (used == 0 || length > raw.length)
            return -EBADMSG;
        at += used;
        total += length;
        if (total > raw.length)
            return -EBADMSG;
        templates->ends[i] = (uint32_t)total;
    }
    if ((uint64_t)(end - at) != total)
        return -EBADMSG;
    templates->bytes = malloc(total + BLOCK_SLACK);
    if (!templates->bytes)
        return -ENOMEM;
    memcpy(templates->bytes, at, total);
    memset(templates->bytes + total, 0, BLOCK_SLACK);
    templates->count = size;
    int result = find_gaps(templates);
    return result < 0 ? result : order_rows(block);
}

/* The column's plain bytes are the arguments: they stay where they are. */
static bool keep_arguments(struct block *block, size_t size, char **plain) {
    char *bytes = *plain ? *plain : malloc(BLOCK_SLACK);
    if (!bytes)
        return false;
    *plain = NULL;
    memset(bytes + size, 0, BLOCK_SLACK);
    block->arguments.bytes = bytes;
    return true;
}

int block_decode_arguments(struct block *block, struct text raw, char **plain, struct error *error) {
    const struct templates *templates = &block->templates;
    uint32_t total = templates->argument_begins[templates->count];
    char *lengths;
    struct text packed;
    int result = block_plain(block, BLOCK_ARGUMENT_LENGTH, &lengths, &packed, error);
    if (result < 0)
        return result;
    struct lengths_reader reader = { (const unsigned char *)packed.data,
                                     (const unsigned char *)packed.data + packed.length };
    uint32_t *offsets = block->arguments.offsets = calloc((size_t)total + 1, sizeof(uint32_t));
    result = offsets ? 0 : -ENOMEM;
    for (uint32_t i = 0, at = 1; i < templates->count && result == 0; i++) {
        uint32_t rows = templates->row_begins[i + 1] - templates->row_begins[i];
        uint32_t gaps = templates->gap_begins[i + 1] - templates->gap_begins[i];
        for (uint32_t gap = 0; gap < gaps && result == 0; gap++, at += rows)
            result = block_lengths_unpack(&reader, rows, offsets + at);
    }
    if (result == 0 && reader.at != reader.end)
        result = -EBADMSG;
    free(lengths);
    uint64_t sum = 0;
    for (uint32_t i = 1; i <= total && result == 0; i++) {
        sum += offsets[i];
        offsets[i] = (uint32_t)sum;
        result = sum <= raw.length ? 0 : -EBADMSG;
    }
    if (result < 0 || sum != raw.length)
        return result < 0 ? result : -EBADMSG;
    return keep_arguments(block, raw.length, plain) ? 0 : -ENOMEM;
}

/* --- blocks of version 1 --- */

int block_make_statements(struct block *block) {
    struct dictionary statements = { .size = 0 };
    int number = 0;
    block->statement_rows = calloc(block->count, sizeof(uint16_t));
    for (uint32_t row = 0; row < block->count && number >= 0 && block->statement_rows; row++) {
        const struct block_statement statement = { .service = block->names[0].rows[row],
                                                   .module = block->names[1].rows[row],
                                                   .operation = block->names[2].rows[row],
                                                   .level = block->levels[row] };
        number = dictionary_add(&statements, (struct text) { (const char *)&statement, sizeof(statement) });
        block->statement_rows[row] = (uint16_t)number;
    }
    block->statement_count = statements.size;
    block->statements = calloc(statements.size ? statements.size : 1, sizeof(*block->statements));
    bool failed = number < 0 || !block->statement_rows || !block->statements;
    if (!failed)
        memcpy(block->statements, statements.bytes.data, statements.size * sizeof(*block->statements));
    dictionary_finish(&statements);
    return failed ? -ENOMEM : 0;
}

int block_make_template(struct block *block) {
    static const char one[] = { 1, 0, 0, 0, 1, BLOCK_GAP };
    return block_decode_templates(block, (struct text) { one, sizeof(one) });
}

/* --- undoing --- */

void block_undo_statements(struct block *block) {
    free(block->statements);
    free(block->statement_rows);
    block->statements = NULL;
    block->statement_rows = NULL;
}

void block_undo_templates(struct block *block) {
    struct templates *templates = &block->templates;
    void *const arrays[] = {
        templates->bytes,      templates->ends, templates->gap_begins, templates->gaps,
        templates->row_begins, templates->rows, templates->ranks,      templates->argument_begins
    };
    for (unsigned i = 0; i < COUNT_OF(arrays); i++)
        free(arrays[i]);
    *templates = (struct templates) { 0 };
}

void block_undo_arguments(struct block *block) {
    if (block->arguments.bytes != block->texts[0].bytes)
        free(block->arguments.bytes);
    if (block->arguments.offsets != block->texts[0].offsets)
        free(block->arguments.offsets);
    block->arguments = (struct run) { NULL, NULL };
}

/* --- messages --- */

/* Copies short texts without a call: whole steps, into and out of slack. */
static inline char *put_text(char *to, const char *from, size_t length) {
    if (length > BLOCK_SLACK) {
        memcpy(to, from, length);
    } else {
        memcpy(to, from, 16);
        if (length > 16)
            memcpy(to + 16, from + 16, 16);
    }
    return to + length;
}

/* The message of a row at `to`; its end. */
static char *put_message(const struct block *block, uint32_t row, char *to) {
    const struct templates *templates = &block->templates;
    uint32_t template = block->statements[block->statement_rows[row]].template;
    uint32_t at = template ? templates->ends[template - 1] : 0, end = templates->ends[template];
    uint32_t rows = templates->row_begins[template + 1] - templates->row_begins[template];
    uint32_t argument = templates->argument_begins[template] + templates->ranks[row];
    for (uint32_t gap = templates->gap_begins[template]; gap < templates->gap_begins[template + 1]; gap++) {
        to = put_text(to, templates->bytes + at, templates->gaps[gap] - at);
        const uint32_t *offsets = block->arguments.offsets + argument;
        to = put_text(to, block->arguments.bytes + offsets[0], offsets[1] - offsets[0]);
        at = templates->gaps[gap] + 1;
        argument += rows;
    }
    return put_text(to, templates->bytes + at, end - at);
}

static uint64_t messages_size(const struct block *block) {
    const struct templates *templates = &block->templates;
    uint64_t size = block->arguments.offsets[templates->argument_begins[templates->count]];
    for (uint32_t i = 0; i < templates->count; i++) {
        uint64_t fixed = templates->ends[i] - (i ? templates->ends[i - 1] : 0) -
                         (templates->gap_begins[i + 1] - templates->gap_begins[i]);
        size += fixed * (templates->row_begins[i + 1] - templates->row_begins[i]);
    }
    return size;
}

static size_t message_size(const struct block *block, uint32_t row) {
    const struct templates *templates = &block->templates;
    uint32_t template = block->statements[block->statement_rows[row]].template, rank = templates->ranks[row];
    uint32_t gaps = templates->gap_begins[template + 1] - templates->gap_begins[template];
    size_t size = templates->ends[template] - (template ? templates->ends[template - 1] : 0) - gaps;
    for (uint32_t gap = 0; gap < gaps; gap++)
        size += block_argument(block, template, gap, rank).length;
    return size;
}

static uint64_t wanted_size(const struct block *block, const uint8_t *wanted) {
    uint64_t size = 0;
    for (uint32_t row = 0; row < block->count; row++)
        size += wanted[row] ? message_size(block, row) : 0;
    return size;
}

int block_assemble_messages(struct block *block, const uint8_t *wanted) {
    struct run *run = &block->texts[block_text_of(BLOCK_MESSAGE)];
    uint64_t size = wanted ? wanted_size(block, wanted) : messages_size(block);
    if (size > BLOCK_RAW_MAX)
        return -EBADMSG;
    run->offsets = calloc((size_t)block->count + 1, sizeof(uint32_t));
    run->bytes = malloc(size + BLOCK_SLACK);
    if (!run->offsets || !run->bytes)
        return -ENOMEM;
    char *at = run->bytes;
    for (uint32_t row = 0; row < block->count; row++) {
        if (!wanted || wanted[row])
            at = put_message(block, row, at);
        run->offsets[row + 1] = (uint32_t)(at - run->bytes);
    }
    return 0;
}

void block_append_message(const struct block *block, uint32_t row, struct buffer *out) {
    check(row < block->count && block->loaded[BLOCK_ARGUMENT]);
    if (block->version == 1) {
        buffer_append_text(out, run_get(&block->texts[block_text_of(BLOCK_MESSAGE)], row));
        return;
    }
    if (!buffer_reserve(out, message_size(block, row) + BLOCK_SLACK))
        return;
    out->length = (size_t)(put_message(block, row, out->data + out->length) - out->data);
}

void block_entry_arguments(const struct block *block, uint32_t row, struct entry_argument room[ENTRY_ARGUMENTS_MAX],
                           struct entry *entry) {
    const struct templates *templates = &block->templates;
    check(row < block->count && block->loaded[BLOCK_ARGUMENT]);
    uint32_t template = block->statements[block->statement_rows[row]].template;
    uint32_t at = template ? templates->ends[template - 1] : 0, first = templates->gap_begins[template];
    uint32_t gaps = templates->gap_begins[template + 1] - first;
    size_t begin = 0;
    if (entry->message.length > UINT16_MAX || (gaps == 1 && templates->ends[template] - at == 1))
        return; /* one gap and nothing else: there may be more in it */
    for (uint32_t gap = 0; gap < gaps; gap++) {
        size_t length = block_argument(block, template, gap, templates->ranks[row]).length;
        begin += templates->gaps[first + gap] - at;
        room[gap] = (struct entry_argument) { (uint16_t)begin, (uint16_t)length };
        begin += length;
        at = templates->gaps[first + gap] + 1;
    }
    entry->arguments = room;
    entry->argument_count = (uint8_t)gaps;
    entry->templated = true;
}

/* --- what others see --- */

uint32_t block_statement_count(const struct block *block) {
    check(block->loaded[BLOCK_STATEMENT]);
    return block->statement_count;
}

const struct block_statement *block_statements(const struct block *block) {
    check(block->loaded[BLOCK_STATEMENT]);
    return block->statements;
}

const uint16_t *block_statement_rows(const struct block *block) {
    check(block->loaded[BLOCK_STATEMENT]);
    return block->statement_rows;
}

uint32_t block_template_count(const struct block *block) {
    check(block->loaded[BLOCK_TEMPLATE]);
    return block->templates.count;
}

struct text block_template_text(const struct block *block, uint32_t template) {
    const struct templates *templates = &block->templates;
    check(block->loaded[BLOCK_TEMPLATE] && templates->count > template);
    uint32_t begin = template ? templates->ends[template - 1] : 0;
    return (struct text) { templates->bytes + begin, templates->ends[template] - begin };
}

uint64_t block_template_id(const struct block *block, uint32_t template) {
    struct text text = block_template_text(block, template);
    return hash_bytes(text.data, text.length);
}
