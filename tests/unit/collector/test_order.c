#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/limits.h"
#include "collector/order.h"

static void gives_the_lane_with_the_least_key_first(void **state) {
    (void)state;
    struct order order = ORDER_EMPTY;
    const uint64_t keys[] = { 50, 10, 40, 20, 30, 60, 5 };
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(order_push(&order, (struct order_item) { keys[i], i, NULL }), 0);
    uint64_t last = 0;
    struct order_item item;
    for (int i = 0; i < 7; i++) {
        assert_true(order_pop(&order, &item));
        assert_true(item.key > last);
        last = item.key;
    }
    assert_false(order_pop(&order, &item));
    order_finish(&order);
}

static void breaks_ties_by_the_lanes_rank(void **state) {
    (void)state;
    struct order order = ORDER_EMPTY;
    struct order_item item;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(order_push(&order, (struct order_item) { 7, 99 - i, NULL }), 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(order_pop(&order, &item));
        assert_int_equal(item.rank, i);
    }
    order_finish(&order);
}

static void sorts_many_as_a_sort_would(void **state) {
    (void)state;
    struct order order = ORDER_EMPTY;
    uint64_t random = 88172645463325252u, last = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        assert_int_equal(order_push(&order, (struct order_item) { random % 1000, i, NULL }), 0);
    }
    struct order_item item;
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(order_pop(&order, &item));
        assert_true(item.key >= last);
        last = item.key;
    }
    order_finish(&order);
}

static void a_record_made_after_the_cut_waits(void **state) {
    (void)state;
    const uint64_t now = 100 * CLOCK_SECOND;
    assert_false(order_waits(now - 1, now, now));
    assert_false(order_waits(now, now, now));
    assert_true(order_waits(now + 1, now, now));
    assert_true(order_waits(now + FUTURE_NS, now, now));
}

static void a_record_from_far_ahead_is_not_waited_for(void **state) {
    (void)state;
    const uint64_t now = 100 * CLOCK_SECOND;
    assert_false(order_waits(now + FUTURE_NS + 1, now, now));
    assert_false(order_waits(UINT64_MAX, now, now));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_lane_with_the_least_key_first),
        cmocka_unit_test(breaks_ties_by_the_lanes_rank),
        cmocka_unit_test(sorts_many_as_a_sort_would),
        cmocka_unit_test(a_record_made_after_the_cut_waits),
        cmocka_unit_test(a_record_from_far_ahead_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
