#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "collector/recorder_mark.h"
#include "common/store/state_keys.h"

static struct recorder_windows windows_of(size_t count, const uint64_t (*pairs)[2]) {
    struct recorder_windows windows = RECORDER_WINDOWS_NONE;
    for (size_t i = 0; i < count; i++)
        recorder_windows_add(&windows, (struct recorder_window) { pairs[i][0], pairs[i][1] });
    return windows;
}
#define WINDOWS(...)                                                                                                   \
    windows_of(sizeof((const uint64_t[][2]) { __VA_ARGS__ }) / 16, (const uint64_t[][2]) { __VA_ARGS__ })

static void windows_that_meet_become_one(void **state) {
    (void)state;
    struct recorder_windows windows = WINDOWS({ 100, 200 }, { 150, 250 }, { 250, 260 }, { 90, 100 });
    assert_int_equal(windows.count, 1);
    assert_true(windows.items[0].from_ns == 90 && windows.items[0].until_ns == 260);
    windows = WINDOWS({ 100, 200 }, { 300, 400 });
    assert_int_equal(windows.count, 2);
    const uint64_t times[][2] = { { 99, 0 }, { 100, 1 }, { 200, 1 }, { 201, 0 }, { 299, 0 }, { 300, 1 }, { 401, 0 } };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        assert_int_equal(recorder_windows_hold(&windows, times[i][0]), times[i][1]);
    assert_int_equal(recorder_windows_begin(&windows), 300);
    windows = WINDOWS({ 300, 400 }, { 100, 200 });
    assert_int_equal(recorder_windows_begin(&windows), 300);
    windows = RECORDER_WINDOWS_NONE;
    assert_false(recorder_windows_hold(&windows, 0));
    assert_int_equal(recorder_windows_begin(&windows), 0);
}

static void one_window_too_many_takes_in_what_is_between(void **state) {
    (void)state;
    struct recorder_windows windows = RECORDER_WINDOWS_NONE;
    for (uint64_t i = 0; i < RECORDER_WINDOWS_MAX + 3; i++)
        recorder_windows_add(&windows, (struct recorder_window) { i * 100, i * 100 + 10 });
    assert_int_equal(windows.count, RECORDER_WINDOWS_MAX);
    assert_true(recorder_windows_hold(&windows, (RECORDER_WINDOWS_MAX + 2) * 100 + 10));
    assert_true(recorder_windows_hold(&windows, RECORDER_WINDOWS_MAX * 100 + 50));
    assert_false(recorder_windows_hold(&windows, 50));
}

static struct recorder_mark sample(uint64_t position) {
    struct recorder_mark mark = { .due = WINDOWS({ 1, 2 }, { UINT64_MAX - 1, UINT64_MAX }) };
    uint64_t first = position;
    recorder_mark_take(&mark, position + 40, 40, &first);
    recorder_mark_take(&mark, position + 512 * 1024 - 8, 8, &first);
    assert_true(first == position);
    return mark;
}

static void a_mark_comes_back_from_the_state(void **state) {
    (void)state;
    const uint64_t position = UINT64_C(0x123456789abc00);
    struct recorder_mark mark = sample(position), back;
    char value[RECORDER_MARK_SIZE];
    struct text encoded = { value, recorder_mark_encode(&mark, position, value) };
    assert_true(recorder_mark_decode(encoded, position, &back));
    assert_true(recorder_windows_equal(&mark.due, &back.due));
    assert_int_equal(back.taken_count, 2);
    assert_true(recorder_mark_has(&back, position + 40) && recorder_mark_has(&back, position + 512 * 1024 - 8));
    assert_false(recorder_mark_has(&back, position) || recorder_mark_has(&back, position + 48) ||
                 recorder_mark_has(&back, UINT64_MAX));
    memset(&mark, 0, sizeof(mark));
    assert_int_equal(recorder_mark_encode(&mark, position, value), 4);
    assert_true(recorder_mark_decode((struct text) { value, 4 }, position, &back) && recorder_mark_is_empty(&back));
}

static void values_that_make_no_sense_are_not_taken(void **state) {
    (void)state;
    struct recorder_mark mark = sample(8), back;
    struct recorder_windows windows;
    char value[RECORDER_MARK_SIZE + 8];
    size_t length = recorder_mark_encode(&mark, 8, value);
    for (size_t i = 0; i < length; i++) {
        bool whole = i % 4 == 0 && i >= 36; /* fewer of those taken */
        assert_int_equal(recorder_mark_decode((struct text) { value, i }, 8, &back), whole);
    }
    memcpy(value + length, value + length - 4, 4); /* twice the same */
    assert_false(recorder_mark_decode((struct text) { value, length + 4 }, 8, &back));
    memset(value, 0xff, sizeof(value));
    assert_false(recorder_mark_decode((struct text) { value, length }, 8, &back));
    memset(value, 0, sizeof(value));
    value[0] = RECORDER_WINDOWS_MAX + 1;
    assert_false(recorder_mark_decode((struct text) { value, RECORDER_MARK_SIZE }, 8, &back));
    assert_false(recorder_mark_decode((struct text) { value, RECORDER_MARK_SIZE + 4 }, 8, &back));
    assert_false(recorder_windows_decode((struct text) { value, 15 }, &windows));
    assert_false(recorder_windows_decode((struct text) { value, RECORDER_WINDOWS_SIZE + 16 }, &windows));
}

static void beyond_its_room_the_oldest_are_forgotten_and_given_up(void **state) {
    (void)state;
    static struct recorder_mark mark;
    uint64_t first = 1000, was = first;
    memset(&mark, 0, sizeof(mark));
    for (uint64_t i = 0; i < 5 * RECORDER_TAKEN_MAX; i++) {
        recorder_mark_take(&mark, 1000 + i * 100, 40, &first);
        assert_true(mark.taken_count <= RECORDER_TAKEN_MAX && mark.taken[0] >= first);
        if (first != was) { /* right behind the last that was forgotten, before the first that is remembered */
            assert_int_equal(first, mark.taken[0] - 100 + 40);
            assert_true(mark.taken_count > RECORDER_TAKEN_MAX / 2);
        }
        was = first;
    }
    assert_true(first > 1000);
    assert_true(recorder_mark_has(&mark, 1000 + (5 * RECORDER_TAKEN_MAX - 1) * 100));
}

static void loads_what_is_of_the_lane(void **state) {
    (void)state;
    struct state_map map = STATE_MAP_EMPTY;
    struct recorder_mark mark = sample(4096);
    struct recorder_lane *lane;
    struct state_key key;
    char value[RECORDER_MARK_SIZE];
    const uint8_t ring_id[16] = { 7 };
    assert_int_equal(recorder_lane_load(&map, ring_id, 3, 4096, &lane), 0);
    assert_null(lane);
    recorder_mark_key(&key, ring_id, 3);
    assert_true(text_starts_with(state_key_text(&key), TEXT_LITERAL(STATE_LANE)));
    struct text encoded = { value, recorder_mark_encode(&mark, 4096, value) };
    assert_int_equal(state_map_put(&map, state_key_text(&key), encoded), 0);
    assert_int_equal(recorder_lane_load(&map, ring_id, 4, 4096, &lane), 0);
    assert_null(lane);
    assert_int_equal(recorder_lane_load(&map, ring_id, 3, 4096, &lane), 0);
    assert_true(lane && recorder_mark_has(&lane->now, 4136) && lane->now.due.count == 2 && !lane->moves);
    free(lane);
    assert_int_equal(state_map_put(&map, state_key_text(&key), TEXT_LITERAL("nonsense!")), 0);
    assert_int_equal(recorder_lane_load(&map, ring_id, 3, 4096, &lane), 0);
    assert_true(lane && recorder_mark_is_empty(&lane->now));
    free(lane);
    state_map_finish(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_that_meet_become_one),
        cmocka_unit_test(one_window_too_many_takes_in_what_is_between),
        cmocka_unit_test(a_mark_comes_back_from_the_state),
        cmocka_unit_test(values_that_make_no_sense_are_not_taken),
        cmocka_unit_test(beyond_its_room_the_oldest_are_forgotten_and_given_up),
        cmocka_unit_test(loads_what_is_of_the_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
