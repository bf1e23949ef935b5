/* Statements: what a call site said of its message is kept, through merges, in block and index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/model/template.h"
#include "common/store/filter_index.h"

enum { ROWS = 100 };

static void must(int result) {
    assert_int_equal(result, 0);
}

struct row {
    struct buffer message;
    struct entry_argument arguments[TEMPLATE_ARGUMENTS_MAX];
    struct entry entry;
};

/* "user%s of queue %s": its first argument goes on a word. */
static void make(struct row *row, unsigned number) {
    char raw[64], user[16];
    int count;
    *row = (struct row) { .entry = { .level = number % 3 ? LEVEL_INFO : LEVEL_WARN } };
    snprintf(user, sizeof(user), "%u", number);
    uint32_t lengths[] = { (uint32_t)strlen(user), number % 2 ? 4 : 0 };
    memcpy(raw, &lengths[0], 4);
    memcpy(raw + 4, user, lengths[0]);
    memcpy(raw + 4 + lengths[0], &lengths[1], 4);
    memcpy(raw + 8 + lengths[0], "mail", lengths[1]);
    const struct text arguments = { raw, 8 + lengths[0] + lengths[1] };
    must(template_format_marked(TEXT_LITERAL("user%s of queue %s"), arguments, &row->message, row->arguments, &count));
    assert_int_equal(count, 2);
    row->entry.service = number % 5 ? TEXT_LITERAL("a") : TEXT_LITERAL("b");
    row->entry.module = TEXT_LITERAL("m");
    row->entry.message = buffer_text(&row->message);
    row->entry.templated = true;
    row->entry.arguments = row->arguments;
    row->entry.argument_count = 2;
}

static struct block *encode(struct block_builder *builder, struct buffer *out) {
    struct block *block;
    must(block_builder_encode(builder, 1, out));
    must(block_open(buffer_text(out), 1, &block, NULL));
    must(block_load_all(block, NULL));
    return block;
}

static void add_rows(struct block_builder *builder) {
    for (unsigned i = 0; i < ROWS; i++) {
        struct row row;
        make(&row, i);
        must(block_builder_add(builder, &row.entry));
        buffer_finish(&row.message);
    }
}

static const char template_text[] = "user\x11 of queue \x11";

static void check_block(const struct block *block) {
    assert_int_equal(block_template_count(block), 1);
    assert_true(text_is(block_template_text(block, 0), template_text));
    assert_int_equal(block_template_id(block, 0), hash_bytes(template_text, sizeof(template_text) - 1));
    assert_int_equal(block_statement_count(block), 4);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct row row;
        make(&row, i);
        const struct block_statement *statement = &block_statements(block)[block_statement_rows(block)[i]];
        assert_int_equal(statement->level, row.entry.level);
        assert_int_equal(block_level(block, i), row.entry.level);
        assert_true(text_equal(block_dictionary_text(block, BLOCK_SERVICE, statement->service), row.entry.service));
        assert_true(text_equal(block_text(block, BLOCK_SERVICE, i), row.entry.service));
        assert_true(text_equal(block_text(block, BLOCK_MESSAGE, i), row.entry.message));
        buffer_finish(&row.message);
    }
}

static void keeps_the_template_of_a_call_site_also_when_blocks_are_merged(void **state) {
    (void)state;
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY, merged = BUFFER_EMPTY;
    must(block_builder_create(&builder));
    add_rows(builder);
    struct block *block = encode(builder, &encoded);
    check_block(block);
    block_builder_clear(builder);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct entry entry;
        struct entry_argument arguments[ENTRY_ARGUMENTS_MAX];
        block_entry(block, i, &entry);
        assert_false(entry.templated);
        block_entry_arguments(block, i, arguments, &entry);
        assert_true(entry.templated);
        must(block_builder_add(builder, &entry));
    }
    block_destroy(block);
    block = encode(builder, &merged);
    check_block(block);
    block_destroy(block);
    block_builder_destroy(builder);
    buffer_finish(&encoded);
    buffer_finish(&merged);
}

static void index_knows_templates_and_the_words_across_their_gaps(void **state) {
    (void)state;
    static const struct index_flush flush = { 0, 1 };
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY;
    struct index_entry index;
    must(block_builder_create(&builder));
    add_rows(builder);
    const struct entry other = { .service = TEXT_LITERAL("a"), .message = TEXT_LITERAL("started") };
    must(block_builder_add(builder, &other));
    must(index_encode(builder, 1, &flush, 1, &encoded));
    must(index_decode(buffer_text(&encoded), &index));
    assert_int_equal(index.template_count, 2);
    assert_false(index.has_more_templates);
    assert_int_equal(index.templates[0].count, ROWS);
    assert_int_equal(index.templates[0].id, hash_bytes(template_text, sizeof(template_text) - 1));
    assert_int_equal(index.templates[1].count, 1);
    assert_true(index_may_have_template(&index, index.templates[1].id));
    assert_false(index_may_have_template(&index, 1));
    for (unsigned i = 0; i < ROWS; i++) {
        struct buffer spaced = BUFFER_EMPTY;
        buffer_append_format(&spaced, " user%u of queue %s ", i, i % 2 ? "mail" : "");
        assert_true(index_may_contain(&index, buffer_text(&spaced)));
        buffer_finish(&spaced);
    }
    assert_false(index_may_contain(&index, TEXT_LITERAL(" zeppelin ")));
    index_entry_finish(&index);
    buffer_finish(&encoded);
    block_builder_destroy(builder);
}

static void has_no_host_of_its_own_where_all_is_of_the_partitions(void **state) {
    (void)state;
    struct block_builder *builder;
    struct block *block;
    struct buffer encoded = BUFFER_EMPTY;
    struct entry entry = { .message = TEXT_LITERAL("m"), .host = TEXT_LITERAL("here") };
    must(block_builder_create(&builder));
    must(block_builder_set_host(builder, TEXT_LITERAL("here")));
    must(block_builder_add(builder, &entry));
    must(block_builder_encode(builder, 1, &encoded));
    must(block_open(buffer_text(&encoded), 1, &block, NULL));
    block_set_host(block, TEXT_LITERAL("there")); /* whatever the partition says now */
    must(block_load_all(block, NULL));
    assert_true(text_is(block_text(block, BLOCK_HOST, 0), "there"));
    block_destroy(block);
    entry.host = TEXT_LITERAL("elsewhere");
    must(block_builder_add(builder, &entry));
    buffer_clear(&encoded);
    must(block_builder_encode(builder, 1, &encoded));
    must(block_open(buffer_text(&encoded), 1, &block, NULL));
    block_set_host(block, TEXT_LITERAL("there"));
    must(block_load_all(block, NULL));
    assert_true(text_is(block_text(block, BLOCK_HOST, 0), "here"));
    assert_true(text_is(block_text(block, BLOCK_HOST, 1), "elsewhere"));
    block_destroy(block);
    block_builder_destroy(builder);
    buffer_finish(&encoded);
}

/* Places that a damaged spill file or a hostile app made up: found by their looks, and the text is what counts. */
static void does_not_believe_places_that_make_no_sense(void **state) {
    (void)state;
    static const struct entry_argument wrong[][2] = { { { 5, 10 }, { 0, 1 } },
                                                      { { 3, 2 }, { 4, 1 } },
                                                      { { 0, 1 }, { 65535, 65535 } } };
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY;
    must(block_builder_create(&builder));
    for (unsigned i = 0; i < 3; i++) {
        const struct entry entry = {
            .message = TEXT_LITERAL("job 12 ran"), .templated = true, .arguments = wrong[i], .argument_count = 2
        };
        must(block_builder_add(builder, &entry));
    }
    struct block *block = encode(builder, &encoded);
    assert_int_equal(block_template_count(block), 1);
    assert_true(text_is(block_template_text(block, 0), "job \x11 ran"));
    for (uint32_t i = 0; i < 3; i++)
        assert_true(text_is(block_text(block, BLOCK_MESSAGE, i), "job 12 ran"));
    block_destroy(block);
    block_builder_destroy(builder);
    buffer_finish(&encoded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_template_of_a_call_site_also_when_blocks_are_merged),
        cmocka_unit_test(index_knows_templates_and_the_words_across_their_gaps),
        cmocka_unit_test(has_no_host_of_its_own_where_all_is_of_the_partitions),
        cmocka_unit_test(does_not_believe_places_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
