#include "sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/query/match.h"

enum { ENTRIES = 500 };

static struct block *sample_block(struct sample *sample, uint32_t count) {
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block;
    struct error error;
    assert_int_equal(block_builder_create(&builder), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry = sample_entry(sample, i);
        assert_int_equal(block_builder_add(builder, &entry), 0);
    }
    assert_int_equal(block_builder_encode(builder, 1, &encoded), 0);
    block_builder_destroy(builder);
    if (block_open(buffer_text(&encoded), 1, &block, &error) < 0)
        fail_msg("%s", error.text);
    buffer_finish(&encoded);
    return block;
}

static struct block *open_again(struct block *block) { /* one whose columns are all loaded, as the judge of the other */
    struct error error;
    if (block_load_all(block, &error) < 0)
        fail_msg("%s", error.text);
    return block;
}

/* Whatever the filter: the rows are those whose whole entries pass it one by one. */
static void finds_the_rows_that_pass_one_by_one(void **state) {
    (void)state;
    struct sample sample = { .random = 7 }, same = { .random = 7 };
    struct block *whole = open_again(sample_block(&same, ENTRIES));
    struct row_set set = ROW_SET_EMPTY;
    struct buffer scratch = BUFFER_EMPTY;
    uint64_t found = 0;
    struct block *block = sample_block(&sample, ENTRIES);
    for (int round = 0; round < 2000; round++) {
        struct filter filter;
        struct error error = { "" };
        uint32_t from = sample_random(&sample, ENTRIES), to = from + sample_random(&sample, ENTRIES - from + 1), at = 0;
        if (round % 50 == 0) { /* loading what is needed, and no more, from the beginning again */
            struct sample again = { .random = 7 };
            block_destroy(block);
            block = sample_block(&again, ENTRIES);
        }
        sample_filter(&sample, &filter, ENTRIES);
        if (match_block(&filter, block, from, to, &set, &error) < 0)
            fail_msg("%s", error.text);
        for (uint32_t row = from; row < to; row++) {
            struct entry entry;
            block_entry(whole, row, &entry);
            int passes = filter_entry(&filter, &entry, &scratch, &error);
            bool in_set = at < set.count && set.rows[at] == row;
            if (passes != in_set)
                fail_msg("round %d, row %u: passes %d, found %d", round, row, passes, in_set);
            at += in_set;
        }
        assert_int_equal(at, set.count);
        found += set.count;
        filter_finish(&filter);
    }
    assert_true(found > 10000);
    block_destroy(block);
    block_destroy(whole);
    row_set_finish(&set);
    buffer_finish(&scratch);
}

static void finds_no_text_across_two_messages(void **state) {
    (void)state;
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block;
    struct filter filter;
    struct row_set set = ROW_SET_EMPTY;
    struct sample sample = { .random = 1 };
    struct text needle = TEXT_LITERAL("aba");
    static const char *const messages[] = { "xab", "ab", "abab", "a", "xxaba" };
    assert_int_equal(block_builder_create(&builder), 0);
    for (uint32_t i = 0; i < 5; i++) {
        struct entry entry = sample_entry(&sample, i);
        entry.message = text_of(messages[i]);
        assert_int_equal(block_builder_add(builder, &entry), 0);
    }
    assert_int_equal(block_builder_encode(builder, 1, &encoded), 0);
    assert_int_equal(block_open(buffer_text(&encoded), 1, &block, NULL), 0);
    filter_init(&filter);
    assert_int_equal(filter_add_line(&filter, false, false, &needle, 1, NULL), 0);
    assert_int_equal(match_block(&filter, block, 0, 5, &set, NULL), 0);
    assert_int_equal(set.count, 2);
    assert_int_equal(set.rows[0], 2);
    assert_int_equal(set.rows[1], 4);
    filter_finish(&filter);
    row_set_finish(&set);
    block_destroy(block);
    block_builder_destroy(builder);
    buffer_finish(&encoded);
}

static void ends_with_an_error_on_an_expression_too_costly(void **state) {
    (void)state;
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block;
    struct filter filter;
    struct row_set set = ROW_SET_EMPTY;
    struct sample sample = { .random = 1 };
    struct entry entry = sample_entry(&sample, 0);
    struct text costly = TEXT_LITERAL("(a+)+$");
    struct error error;
    static char message[8000];
    memset(message, 'a', sizeof(message) - 1);
    message[sizeof(message) - 2] = 'b';
    entry.message = text_of(message);
    assert_int_equal(block_builder_create(&builder), 0);
    assert_int_equal(block_builder_add(builder, &entry), 0);
    assert_int_equal(block_builder_encode(builder, 1, &encoded), 0);
    assert_int_equal(block_open(buffer_text(&encoded), 1, &block, NULL), 0);
    filter_init(&filter);
    assert_int_equal(filter_add_line(&filter, false, true, &costly, 1, NULL), 0);
    assert_int_equal(match_block(&filter, block, 0, 1, &set, &error), -E2BIG);
    filter_finish(&filter);
    row_set_finish(&set);
    block_destroy(block);
    block_builder_destroy(builder);
    buffer_finish(&encoded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_rows_that_pass_one_by_one),
        cmocka_unit_test(finds_no_text_across_two_messages),
        cmocka_unit_test(ends_with_an_error_on_an_expression_too_costly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
