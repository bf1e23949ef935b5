#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "collector/batch.h"

static struct text number_text(char out[16], int number) {
    return (struct text) { out, (size_t)snprintf(out, 16, "key %d", number) };
}

static int add_bytes(void *argument, struct text key, struct text value) {
    *(size_t *)argument += key.length + value.length;
    return 0;
}

static void holds_the_last_value_of_each_of_many_keys(void **state) {
    (void)state;
    struct state_map map = STATE_MAP_EMPTY;
    struct text value;
    char name[16], again[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 3000; i++)
            assert_int_equal(state_map_put(&map, number_text(name, i), number_text(again, i * 10 + round)), 0);
    assert_int_equal(map.count, 3000);
    for (int i = 0; i < 3000; i++) {
        assert_true(state_map_get(&map, number_text(name, i), &value));
        assert_true(text_equal(value, number_text(again, i * 10 + 1)));
    }
    for (int i = 0; i < 3000; i += 2)
        state_map_delete(&map, number_text(name, i));
    assert_int_equal(map.count, 1500);
    size_t bytes = 0;
    assert_int_equal(state_map_walk(&map, TEXT_EMPTY, add_bytes, &bytes), 0);
    assert_int_equal(map.bytes, bytes);
    assert_false(state_map_get(&map, number_text(name, 2), &value));
    assert_true(state_map_get(&map, number_text(name, 3), &value));
    state_map_finish(&map);
}

static int count_key(void *argument, struct text key, struct text value) {
    (void)key, (void)value;
    ++*(int *)argument;
    return 0;
}

static void walks_the_keys_of_one_prefix(void **state) {
    (void)state;
    struct state_map map = STATE_MAP_EMPTY;
    const uint8_t ring[16] = { 1 }, other[16] = { 2 };
    struct state_key key;
    int count = 0;
    for (uint32_t lane = 0; lane < 10; lane++) {
        state_key_lane(&key, lane < 4 ? ring : other, lane);
        assert_int_equal(state_map_put(&map, state_key_text(&key), TEXT_LITERAL("12345678")), 0);
    }
    state_key_lanes(&key, ring);
    state_map_walk(&map, state_key_text(&key), count_key, &count);
    assert_int_equal(count, 4);
    state_map_finish(&map);
}

static void an_input_key_of_any_size_fits_or_is_refused(void **state) {
    (void)state;
    static char long_name[400];
    struct state_key key;
    assert_int_equal(state_key_input(&key, 7, (struct text) { long_name, 100 }, (struct text) { long_name, 200 }), 0);
    assert_int_equal(key.length, 6 + 4 + 1 + 100 + 200);
    assert_int_equal(state_key_input(&key, 7, (struct text) { long_name, 256 }, TEXT_EMPTY), -E2BIG);
    assert_int_equal(state_key_input(&key, 7, (struct text) { long_name, 255 }, (struct text) { long_name, 200 }),
                     -E2BIG);
}

static void a_sequence_reads_back_as_written(void **state) {
    (void)state;
    const struct state_sequence sequence = { 77, UINT64_MAX - 1, 3, { 9, 8, 7 } };
    struct state_sequence again;
    char bytes[STATE_SEQUENCE_SIZE];
    state_sequence_encode(&sequence, bytes);
    assert_true(state_sequence_decode((struct text) { bytes, sizeof(bytes) }, &again));
    assert_memory_equal(&again, &sequence, sizeof(again));
    assert_false(state_sequence_decode((struct text) { bytes, sizeof(bytes) - 1 }, &again));
}

/* --- batches: the state that goes with a commit --- */

static void of_several_puts_for_a_key_the_last_holds(void **state) {
    (void)state;
    struct batch batch = BATCH_EMPTY;
    struct state_map map = STATE_MAP_EMPTY;
    struct text value;
    char name[16];
    for (int i = 0; i < 1000; i++)
        batch_put_u64(&batch, number_text(name, i % 10), (uint64_t)i);
    batch_put(&batch, TEXT_LITERAL("key 3"), TEXT_LITERAL("longer than before"));
    batch_put(&batch, TEXT_LITERAL("key 3"), TEXT_LITERAL("short"));
    batch_remove(&batch, TEXT_LITERAL("key 4"));
    assert_int_equal(batch.put_count, 10);
    assert_int_equal(state_map_put(&map, TEXT_LITERAL("key 4"), TEXT_LITERAL("old")), 0);
    assert_int_equal(batch_apply(&batch, &map), 0);
    uint64_t number = 0;
    assert_true(state_map_get_u64(&map, TEXT_LITERAL("key 5"), &number));
    assert_int_equal(number, 995);
    assert_true(state_map_get(&map, TEXT_LITERAL("key 3"), &value));
    assert_true(text_is(value, "short"));
    assert_false(state_map_get(&map, TEXT_LITERAL("key 4"), &value));
    batch_finish(&batch);
    state_map_finish(&map);
}

static void an_invalid_entry_is_repaired_and_outlives_the_next(void **state) {
    (void)state;
    struct batch batch = BATCH_EMPTY;
    const char *const bad[] = { "first \xff", "second \xfe" };
    for (int i = 0; i < 2; i++) {
        struct entry entry = { .timestamp_ns = 1, .level = LEVEL_INFO, .service = TEXT_LITERAL("s") };
        entry.message = text_of(bad[i]);
        batch_add(&batch, &entry);
    }
    assert_false(batch.failed);
    assert_int_equal(batch.repaired, 2);
    assert_true(text_starts_with(batch.entries[0].message, TEXT_LITERAL("first \xef\xbf\xbd")));
    assert_true(text_starts_with(batch.entries[1].message, TEXT_LITERAL("second \xef\xbf\xbd")));
    assert_true(text_is(batch.entries[0].module, "unknown"));
    struct error error;
    assert_int_equal(entry_validate(&batch.entries[0], &error), 0);
    batch_finish(&batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_last_value_of_each_of_many_keys),
        cmocka_unit_test(walks_the_keys_of_one_prefix),
        cmocka_unit_test(an_input_key_of_any_size_fits_or_is_refused),
        cmocka_unit_test(a_sequence_reads_back_as_written),
        cmocka_unit_test(of_several_puts_for_a_key_the_last_holds),
        cmocka_unit_test(an_invalid_entry_is_repaired_and_outlives_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
