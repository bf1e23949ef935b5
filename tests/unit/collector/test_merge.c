#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "collector/merge.h"

static struct merge_tail tail;
static uint64_t next_sequence;

static int begin(void **state) {
    (void)state;
    memset(&tail, 0, sizeof(tail));
    next_sequence = 0;
    return 0;
}

static void append(uint32_t count) {
    merge_tail_append(&tail, (struct merge_block) { next_sequence, count, count * UINT64_C(200) });
    next_sequence += count;
}

/* What a flush does: append, and merge once if it is due. The number of entries written anew. */
static uint32_t flush(uint32_t count) {
    size_t from;
    append(count);
    size_t chosen = merge_choose(&tail, &from);
    if (chosen == 0)
        return 0;
    struct merge_block merged = { .first_sequence = tail.blocks[from].first_sequence };
    for (size_t i = 0; i < chosen; i++) {
        assert_int_equal(tail.blocks[from + i].first_sequence, merged.first_sequence + merged.count);
        merged.count += tail.blocks[from + i].count;
        merged.raw += tail.blocks[from + i].raw;
    }
    assert_true(merged.count <= BLOCK_ENTRIES_FULL);
    merge_tail_replace(&tail, from, chosen, merged);
    return merged.count;
}

static void tiers_are_powers_of_sixteen_and_a_full_block_is_the_last(void **state) {
    (void)state;
    const struct merge_block one = { 0, 1, 100 }, sixteen = { 0, 16, 100 }, most = { 0, 4095, 100 },
                             full = { 0, BLOCK_ENTRIES_FULL, 100 }, heavy = { 0, 2, BLOCK_RAW_FULL };
    assert_int_equal(merge_tier(&one), 0);
    assert_int_equal(merge_tier(&sixteen), 1);
    assert_int_equal(merge_tier(&most), 2);
    assert_int_equal(merge_tier(&full), MERGE_TIERS);
    assert_int_equal(merge_tier(&heavy), MERGE_TIERS);
}

static void fifteen_of_a_tier_are_left_and_sixteen_are_merged(void **state) {
    (void)state;
    size_t from;
    for (int i = 0; i < 15; i++)
        append(3);
    assert_int_equal(merge_choose(&tail, &from), 0);
    append(3);
    assert_int_equal(merge_choose(&tail, &from), 16);
    assert_int_equal(from, 0);
}

static void only_what_stands_at_the_end_is_merged(void **state) {
    (void)state;
    size_t from;
    append(300);
    for (int i = 0; i < 16; i++)
        append(1);
    assert_int_equal(merge_choose(&tail, &from), 16);
    assert_int_equal(from, 1);
}

static void smaller_ones_between_do_not_keep_a_tier_from_merging(void **state) {
    (void)state;
    size_t from;
    for (int i = 0; i < 16; i++) {
        append(20);
        append(2);
    }
    assert_int_equal(merge_choose(&tail, &from), 32);
    assert_int_equal(from, 0);
}

static void a_merged_block_is_never_above_full(void **state) {
    (void)state;
    size_t from;
    for (int i = 0; i < 16; i++)
        append(1500);
    assert_int_equal(merge_choose(&tail, &from), 2);
    assert_int_equal(from, 0);
}

static void a_block_that_fits_with_no_neighbour_is_let_go(void **state) {
    (void)state;
    size_t from;
    append(4000);
    for (int i = 0; i < 15; i++)
        append(1000);
    assert_int_equal(merge_choose(&tail, &from), 4);
    assert_int_equal(from, 0);
    assert_int_equal(tail.blocks[0].count, 1000);
}

static void an_entry_is_written_a_few_times_at_most(void **state) {
    (void)state;
    const uint32_t sizes[] = { 1, 3, 15, 20, 100, 300, 1808 };
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        uint64_t written = 0;
        begin(NULL);
        for (int i = 0; i < 20000; i++)
            written += flush(sizes[s]);
        assert_true(written <= 4 * next_sequence);
        assert_true(tail.count < 64);
    }
}

static void mixed_sizes_stay_bounded_too(void **state) {
    (void)state;
    uint64_t random = 88172645463325252u, written = 0;
    for (int i = 0; i < 50000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        written += flush((uint32_t)(1 + (random % 8 == 0 ? random % 2000 : random % 30)));
    }
    assert_true(written <= 5 * next_sequence);
    assert_true(tail.count < MERGE_TAIL_MAX);
}

static void what_stands_before_a_full_block_is_forgotten(void **state) {
    (void)state;
    append(10);
    append(BLOCK_ENTRIES_FULL);
    assert_int_equal(tail.count, 0);
    append(10);
    append(20);
    merge_tail_settle(&tail, 0, 1);
    assert_int_equal(tail.count, 1);
    assert_int_equal(tail.blocks[0].count, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tiers_are_powers_of_sixteen_and_a_full_block_is_the_last, begin),
        cmocka_unit_test_setup(fifteen_of_a_tier_are_left_and_sixteen_are_merged, begin),
        cmocka_unit_test_setup(only_what_stands_at_the_end_is_merged, begin),
        cmocka_unit_test_setup(smaller_ones_between_do_not_keep_a_tier_from_merging, begin),
        cmocka_unit_test_setup(a_merged_block_is_never_above_full, begin),
        cmocka_unit_test_setup(a_block_that_fits_with_no_neighbour_is_let_go, begin),
        cmocka_unit_test_setup(an_entry_is_written_a_few_times_at_most, begin),
        cmocka_unit_test_setup(mixed_sizes_stay_bounded_too, begin),
        cmocka_unit_test_setup(what_stands_before_a_full_block_is_forgotten, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
