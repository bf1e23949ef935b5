/* Gathers entries as plain arrays; block_pack.c packs them. A message is kept as the number of its statement and its arguments alone. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/block_private.h"

enum {
    ROWS_FIRST = 256,
    ROWS_MAX = BLOCK_ENTRIES_MAX - 1, /* one less: "absent" and a different UUID in each row still fit a u16 */
    ENTRY_RAW_FIXED = 64,
    TEMPLATES_FIRST = 256, /* so many in any block, and one for every so many rows: */
    ROWS_A_TEMPLATE = 8,
    STATEMENTS_TRIED = 16,
};

int block_name_of(enum block_column column) {
    switch (column) {
    case BLOCK_SERVICE:
        return 0;
    case BLOCK_MODULE:
        return 1;
    case BLOCK_OPERATION:
        return 2;
    case BLOCK_HOST:
        return 3;
    default:
        return -1;
    }
}

int block_text_of(enum block_column column) {
    switch (column) {
    case BLOCK_MESSAGE:
        return 0;
    case BLOCK_METADATA:
        return 1;
    case BLOCK_ERROR_DETAILS:
        return 2;
    case BLOCK_TRACE_ID:
        return 3;
    case BLOCK_SPAN_ID:
        return 4;
    case BLOCK_CORRELATION_ID:
        return 5;
    default:
        return -1;
    }
}

int block_builder_create(struct block_builder **ret) {
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void block_builder_destroy(struct block_builder *builder) {
    if (!builder)
        return;
    void *const arrays[] = { builder->timestamps,
                             builder->ids,
                             builder->users,
                             builder->organizations,
                             builder->pids,
                             builder->hosts,
                             builder->statement_rows,
                             builder->shape_rows,
                             builder->first_arguments,
                             builder->first_values,
                             builder->arguments.ends,
                             builder->values.ends,
                             builder->template_statements,
                             builder->statement_next };
    for (unsigned i = 0; i < COUNT_OF(arrays); i++)
        free(arrays[i]);
    struct dictionary *const dictionaries[] = { &builder->templates, &builder->statements, &builder->keys,
                                                &builder->shapes };
    for (unsigned i = 0; i < COUNT_OF(dictionaries); i++)
        dictionary_finish(dictionaries[i]);
    for (unsigned i = 0; i < BLOCK_NAMES; i++)
        dictionary_finish(&builder->names[i]);
    for (unsigned i = 0; i < BLOCK_TEXTS; i++) {
        buffer_finish(&builder->texts[i].bytes);
        free(builder->texts[i].ends);
    }
    struct buffer *const buffers[] = { &builder->arguments.bytes, &builder->values.bytes, &builder->host,
                                       &builder->scratch,         &builder->column,       &builder->packed };
    for (unsigned i = 0; i < COUNT_OF(buffers); i++)
        buffer_finish(buffers[i]);
    free(builder);
}

static void value_run_clear(struct value_run *run) {
    buffer_clear(&run->bytes);
    run->count = 0;
}

void block_builder_clear(struct block_builder *builder) {
    builder->weighed = false;
    builder->count = 0;
    builder->raw_size = 0;
    for (unsigned i = 0; i < BLOCK_NAMES; i++)
        dictionary_clear(&builder->names[i]);
    dictionary_clear(&builder->templates);
    dictionary_clear(&builder->statements);
    dictionary_clear(&builder->keys);
    dictionary_clear(&builder->shapes);
    if (builder->template_statements)
        memset(builder->template_statements, 0, builder->template_capacity * sizeof(uint16_t));
    value_run_clear(&builder->arguments);
    value_run_clear(&builder->values);
    for (unsigned i = 0; i < BLOCK_TEXTS; i++)
        buffer_clear(&builder->texts[i].bytes);
}

int block_builder_set_host(struct block_builder *builder, struct text host) {
    buffer_clear(&builder->host);
    buffer_append_text(&builder->host, host);
    return builder->host.failed ? -ENOMEM : 0;
}

uint32_t block_builder_count(const struct block_builder *builder) {
    return builder->count;
}
size_t block_builder_raw_size(const struct block_builder *builder) {
    return builder->raw_size;
}

static bool grow(void *array, size_t count, size_t size) {
    void *before, *grown;
    memcpy(&before, array, sizeof(before));
    grown = reallocarray(before, count, size);
    if (grown)
        memcpy(array, &grown, sizeof(grown));
    return grown != NULL;
}

static int grow_rows(struct block_builder *builder) {
    uint32_t rows = builder->capacity ? builder->capacity * 2 : ROWS_FIRST;
    const struct {
        void *array;
        size_t size;
    } arrays[] = {
        { &builder->timestamps, sizeof(uint64_t) },
        { &builder->ids, sizeof(struct uuid) },
        { &builder->users, sizeof(struct uuid) },
        { &builder->organizations, sizeof(struct uuid) },
        { &builder->pids, sizeof(uint32_t) },
        { &builder->hosts, sizeof(uint16_t) },
        { &builder->statement_rows, sizeof(uint16_t) },
        { &builder->shape_rows, sizeof(uint16_t) },
        { &builder->first_arguments, sizeof(uint32_t) },
        { &builder->first_values, sizeof(uint32_t) },
    };
    bool grown = true;
    for (unsigned i = 0; grown && i < COUNT_OF(arrays); i++)
        grown = grow(arrays[i].array, rows, arrays[i].size);
    for (unsigned i = 0; grown && i < BLOCK_TEXTS; i++)
        grown = grow(&builder->texts[i].ends, rows, sizeof(uint32_t));
    if (!grown)
        return -ENOMEM;
    builder->capacity = rows;
    return 0;
}

/* --- messages --- */

/* Of call sites (and merged blocks, which cannot be told apart) twice as many. */
static bool may_have_another_template(const struct block_builder *builder, bool templated) {
    return builder->templates.size < (TEMPLATES_FIRST + builder->count / ROWS_A_TEMPLATE) * (templated ? 2 : 1);
}

/* The number of the message's template. Text in which mining finds something new in row after row is no text of statements:
 * its messages are one argument each, so that the cost stays bounded. */
static int add_template(struct block_builder *builder, const struct entry *entry, struct mined *mined) {
    block_mine(entry, mined);
    block_mine_template(entry->message, mined, &builder->scratch);
    if (builder->scratch.failed)
        return -ENOMEM;
    struct text text = buffer_text(&builder->scratch);
    uint64_t hash = hash_bytes(text.data, text.length);
    if (!may_have_another_template(builder, entry->templated)) {
        int found = dictionary_find(&builder->templates, text, hash);
        if (found >= 0)
            return found;
        block_mine_whole(entry->message, mined);
        static const char gap[] = { BLOCK_GAP };
        return dictionary_add(&builder->templates, (struct text) { gap, 1 });
    }
    return dictionary_add_hashed(&builder->templates, text, hash);
}

/* The new statement goes in front of the others of its template. */
static int link_statement(struct block_builder *builder, uint16_t template, uint32_t number) {
    if (template >= builder->template_capacity) {
        uint32_t capacity = builder->templates.capacity;
        if (!grow(&builder->template_statements, capacity, sizeof(uint16_t)))
            return -ENOMEM;
        memset(builder->template_statements + builder->template_capacity, 0,
               (capacity - builder->template_capacity) * sizeof(uint16_t));
        builder->template_capacity = capacity;
    }
    if (number >= builder->statement_capacity) {
        if (!grow(&builder->statement_next, builder->statements.capacity, sizeof(uint16_t)))
            return -ENOMEM;
        builder->statement_capacity = builder->statements.capacity;
    }
    builder->statement_next[number] = builder->template_statements[template];
    builder->template_statements[template] = (uint16_t)(number + 1);
    return 0;
}

static int new_statement(struct block_builder *builder, const struct entry *entry, uint16_t template) {
    struct block_statement statement = { .template = template, .level = (uint8_t)entry->level };
    const struct text names[] = { entry->service, entry->module, entry->operation };
    uint16_t *numbers[] = { &statement.service, &statement.module, &statement.operation };
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        int number = dictionary_add(&builder->names[i], names[i]);
        if (number < 0)
            return number;
        *numbers[i] = (uint16_t)number;
    }
    uint32_t before = builder->statements.size;
    int number = dictionary_add(&builder->statements, (struct text) { (const char *)&statement, sizeof(statement) });
    if (number >= 0 && builder->statements.size > before && link_statement(builder, template, (uint32_t)number) < 0)
        return -ENOMEM;
    return number;
}

static bool is_statement(const struct block_builder *builder, const struct block_statement *statement,
                         const struct entry *entry) {
    return statement->level == entry->level &&
           text_equal(dictionary_get(&builder->names[0], statement->service), entry->service) &&
           text_equal(dictionary_get(&builder->names[2], statement->operation), entry->operation) &&
           text_equal(dictionary_get(&builder->names[1], statement->module), entry->module);
}

/* Mostly a template is one statement's, or a few: those are compared with the entry, which is cheaper than finding three names by their hashes. */
static int add_statement(struct block_builder *builder, const struct entry *entry, uint16_t template) {
    uint32_t at = builder->template_capacity > template ? builder->template_statements[template] : 0;
    for (unsigned i = 0; i < STATEMENTS_TRIED && at != 0; i++, at = builder->statement_next[at - 1])
        if (is_statement(builder, &builder_statements(builder)[at - 1], entry))
            return (int)at - 1;
    return new_statement(builder, entry, template);
}

/* The message's arguments behind the others. They are short: a step of 16 bytes with slack behind costs less than a call. */
static int add_arguments(struct block_builder *builder, struct text message, const struct mined *mined) {
    struct value_run *run = &builder->arguments;
    if (value_run_reserve(run, mined->count) < 0 || !buffer_reserve(&run->bytes, message.length + BUILDER_SLACK))
        return -ENOMEM;
    char *to = run->bytes.data + run->bytes.length;
    const char *end = message.data + message.length;
    for (unsigned i = 0; i < mined->count; i++) {
        const char *from = message.data + mined->arguments[i].begin;
        size_t length = mined->arguments[i].length;
        if (length <= BUILDER_SLACK && end - from >= BUILDER_SLACK)
            memcpy(to, from, BUILDER_SLACK);
        else
            memcpy(to, from, length);
        to += length;
        run->ends[run->count++] = (uint32_t)(to - run->bytes.data);
    }
    run->bytes.length = (size_t)(to - run->bytes.data);
    return 0;
}

static int add_message(struct block_builder *builder, const struct entry *entry, uint32_t row) {
    struct mined mined;
    int number = add_template(builder, entry, &mined);
    int statement = number < 0 ? number : add_statement(builder, entry, (uint16_t)number);
    if (statement < 0)
        return statement;
    builder->statement_rows[row] = (uint16_t)statement;
    builder->first_arguments[row] = builder->arguments.count;
    return mined.count ? add_arguments(builder, entry->message, &mined) : 0;
}

void builder_append_message(const struct block_builder *builder, uint32_t row, struct buffer *out) {
    struct text template = dictionary_get(&builder->templates, builder_statement(builder, row)->template);
    uint32_t argument = builder->first_arguments[row];
    while (template.length > 0) {
        const char *gap = memchr(template.data, BLOCK_GAP, template.length);
        size_t fixed = gap ? (size_t)(gap - template.data) : template.length;
        buffer_append(out, template.data, fixed);
        if (gap) {
            buffer_append_text(out, value_run_get(&builder->arguments, argument++));
            fixed++;
        }
        template.data += fixed;
        template.length -= fixed;
    }
}

/* --- the rest --- */

static int add_texts(struct block_builder *builder, const struct entry *entry, uint32_t row) {
    const struct {
        enum block_column column;
        struct text text;
    } texts[] = { { BLOCK_ERROR_DETAILS, entry->error_details },
                  { BLOCK_TRACE_ID, entry->trace_id },
                  { BLOCK_SPAN_ID, entry->span_id },
                  { BLOCK_CORRELATION_ID, entry->correlation_id } };
    for (unsigned i = 0; i < COUNT_OF(texts); i++) {
        struct text_run *run = &builder->texts[block_text_of(texts[i].column)];
        if (texts[i].text.length > 0)
            buffer_append_text(&run->bytes, texts[i].text);
        run->ends[row] = (uint32_t)run->bytes.length;
        if (run->bytes.failed)
            return -ENOMEM;
    }
    return 0;
}

static int add_row(struct block_builder *builder, const struct entry *entry, uint32_t row) {
    builder->timestamps[row] = entry->timestamp_ns;
    builder->ids[row] = entry->id;
    builder->users[row] = entry->user_id;
    builder->organizations[row] = entry->organization_id;
    builder->pids[row] = entry->pid;
    struct dictionary *hosts = &builder->names[block_name_of(BLOCK_HOST)];
    int host = row > 0 && text_equal(dictionary_get(hosts, builder->hosts[row - 1]), entry->host)
                   ? builder->hosts[row - 1]
                   : dictionary_add(hosts, entry->host);
    if (host < 0)
        return host;
    builder->hosts[row] = (uint16_t)host;
    int result = block_metadata_add(builder, entry->metadata, row);
    return result < 0 ? result : add_texts(builder, entry, row);
}

int block_builder_add(struct block_builder *builder, const struct entry *entry) {
    size_t size = ENTRY_RAW_FIXED + entry->message.length + entry->metadata.length + entry->error_details.length +
                  entry->trace_id.length + entry->span_id.length + entry->correlation_id.length;
    uint32_t row = builder->count;
    if (row >= ROWS_MAX || builder->raw_size + size > BLOCK_RAW_MAX / 2)
        return -E2BIG;
    /* An entry that keeps the rules has nothing longer; one of a block that somebody else made may. */
    if (entry->message.length > UINT16_MAX || entry->trace_id.length > ENTRY_TRACE_BYTES ||
        entry->span_id.length > ENTRY_TRACE_BYTES || entry->correlation_id.length > ENTRY_TRACE_BYTES)
        return -E2BIG;
    if (row >= builder->capacity && grow_rows(builder) < 0)
        return -ENOMEM;
    int result = add_message(builder, entry, row);
    if (result == 0)
        result = add_row(builder, entry, row);
    if (result < 0)
        return result;
    builder->count++;
    builder->raw_size += size;
    return 0;
}
