#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "exporter/tfctl/uuid_map.h"

static struct uuid id_of(uint32_t number) {
    struct uuid id = { { 1 } };
    memcpy(id.bytes + 12, &number, sizeof(number));
    return id;
}

/* Against a plain table: put, find and remove in any order, collisions included. */
static void keeps_what_was_put_and_not_removed(void **state) {
    (void)state;
    enum { IDS = 300 };
    struct uuid_map map = UUID_MAP_EMPTY;
    uint32_t values[IDS] = { 0 }, random = 5;
    size_t count = 0;
    for (int round = 0; round < 50000; round++) {
        random = random * 1664525 + 1013904223;
        uint32_t number = (random >> 8) % IDS;
        struct uuid id = id_of(number);
        if (random >> 31) {
            count += values[number] == 0;
            values[number] = (uint32_t)round + 1;
            assert_int_equal(uuid_map_put(&map, &id, values[number]), 0);
        } else {
            count -= values[number] != 0;
            values[number] = 0;
            uuid_map_remove(&map, &id);
        }
        struct uuid other = id_of((random >> 4) % IDS);
        uint32_t *found = uuid_map_find(&map, &other), wanted = values[(random >> 4) % IDS];
        assert_int_equal(found ? *found : 0, wanted);
        assert_int_equal(map.count, count);
    }
    uuid_map_finish(&map);
}

static void finds_nothing_in_an_empty_map(void **state) {
    (void)state;
    struct uuid_map map = UUID_MAP_EMPTY;
    struct uuid id = id_of(1), none = { { 0 } };
    assert_null(uuid_map_find(&map, &id));
    uuid_map_remove(&map, &id);
    assert_int_equal(uuid_map_put(&map, &id, 7), 0);
    assert_null(uuid_map_find(&map, &none));
    uuid_map_finish(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_was_put_and_not_removed),
        cmocka_unit_test(finds_nothing_in_an_empty_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
