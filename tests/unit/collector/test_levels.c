/* Which level holds for a service, what is kept of it, and the control word. */
#include "collector/levels.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collector/limits.h"
#include "common/shm/layout.h"
#include "common/store/state_keys.h"

static const struct text billing = TEXT_INITIALIZER("billing"), queue = TEXT_INITIALIZER("queue");

static void where_nothing_is_set_every_level_is_wanted(void **state) {
    struct levels levels = LEVELS_EMPTY;
    (void)state;
    assert_int_equal(levels_of(&levels, billing), LEVEL_TRACE);
    assert_int_equal(levels_of(&levels, LEVELS_DEFAULT), LEVEL_TRACE);
    assert_false(levels_reset(&levels, billing));
    assert_false(levels_pass(&levels, UINT64_MAX));
    assert_null(levels_find(&levels, LEVELS_DEFAULT));
}

static void a_service_follows_its_own_level_and_the_others_the_default(void **state) {
    struct levels levels = LEVELS_EMPTY;
    (void)state;
    assert_int_equal(levels_set(&levels, LEVELS_DEFAULT, LEVEL_WARN, 0), 0);
    assert_int_equal(levels_set(&levels, billing, LEVEL_DEBUG, 0), 0);
    assert_int_equal(levels_of(&levels, billing), LEVEL_DEBUG);
    assert_int_equal(levels_of(&levels, queue), LEVEL_WARN);
    assert_int_equal(levels_of(&levels, TEXT_LITERAL("billin")), LEVEL_WARN);
    assert_int_equal(levels_set(&levels, billing, LEVEL_ERROR, 0), 0);
    assert_int_equal(levels_of(&levels, billing), LEVEL_ERROR);
    assert_int_equal(levels.count, 2);
    assert_true(levels_reset(&levels, billing));
    assert_int_equal(levels_of(&levels, billing), LEVEL_WARN);
    assert_true(levels_reset(&levels, LEVELS_DEFAULT));
    assert_int_equal(levels_of(&levels, billing), LEVEL_TRACE);
    levels_finish(&levels);
}

static void after_its_time_the_level_before_holds_again(void **state) {
    struct levels levels = LEVELS_EMPTY;
    (void)state;
    assert_int_equal(levels_set(&levels, billing, LEVEL_INFO, 0), 0);
    assert_int_equal(levels_set(&levels, billing, LEVEL_DEBUG, 1000), 0);
    assert_int_equal(levels_set(&levels, queue, LEVEL_ERROR, 2000), 0);
    assert_false(levels_pass(&levels, 999));
    assert_int_equal(levels_of(&levels, billing), LEVEL_DEBUG);
    assert_true(levels_pass(&levels, 1000));
    assert_false(levels_pass(&levels, 1000)); /* once */
    assert_int_equal(levels_of(&levels, billing), LEVEL_INFO);
    assert_int_equal(levels_of(&levels, queue), LEVEL_ERROR);
    assert_false(levels_pass(&levels, 500)); /* a clock that is set back brings nothing back */
    assert_int_equal(levels_of(&levels, billing), LEVEL_INFO);
    assert_true(levels_pass(&levels, 3000));
    assert_int_equal(levels_of(&levels, queue), LEVEL_TRACE);

    levels_forget_ended(&levels, billing);
    levels_forget_ended(&levels, queue);
    levels_forget_ended(&levels, TEXT_LITERAL("nobody"));
    assert_int_equal(levels.count, 1); /* of queue there is nothing left */
    assert_int_equal(levels_find(&levels, billing)->passing, LEVEL_NONE);
    assert_int_equal(levels_of(&levels, billing), LEVEL_INFO);
    levels_finish(&levels);
}

static void what_is_set_for_good_ends_what_would_have_ended(void **state) {
    struct levels levels = LEVELS_EMPTY;
    (void)state;
    assert_int_equal(levels_set(&levels, billing, LEVEL_DEBUG, 1000), 0);
    assert_int_equal(levels_set(&levels, billing, LEVEL_WARN, 0), 0);
    assert_false(levels_pass(&levels, 2000));
    assert_int_equal(levels_of(&levels, billing), LEVEL_WARN);
    assert_int_equal(levels_set(&levels, billing, LEVEL_DEBUG, 3000), 0);
    assert_true(levels_pass(&levels, 3000));
    assert_int_equal(levels_set(&levels, billing, LEVEL_TRACE, 4000),
                     0); /* anew, before the end of the last was told */
    levels_forget_ended(&levels, billing);
    assert_int_equal(levels_of(&levels, billing), LEVEL_TRACE);
    levels_finish(&levels);
}

static void our_own_programs_follow_no_level(void **state) {
    struct levels levels = LEVELS_EMPTY;
    (void)state;
    assert_int_equal(levels_set(&levels, LEVELS_DEFAULT, LEVEL_CRITICAL, 0), 0);
    assert_int_equal(levels_of(&levels, TEXT_LITERAL("taskforge")), LEVEL_TRACE);
    assert_int_equal(levels_of(&levels, TEXT_LITERAL("taskforge-agent")), LEVEL_TRACE);
    assert_int_equal(levels_of(&levels, TEXT_LITERAL("taskforger")), LEVEL_CRITICAL);
    levels_finish(&levels);
}

static void there_is_an_end_to_how_many_there_are(void **state) {
    struct levels levels = LEVELS_EMPTY, copy = LEVELS_EMPTY;
    char name[16];
    (void)state;
    for (int i = 0; i < LEVELS_MAX; i++) {
        snprintf(name, sizeof(name), "s%d", i * 7919 % LEVELS_MAX);
        assert_int_equal(levels_set(&levels, text_of(name), (enum level)(i % LEVEL_COUNT), 0), 0);
    }
    assert_int_equal(levels_set(&levels, billing, LEVEL_INFO, 0), -ENOSPC);
    assert_int_equal(levels_set(&levels, TEXT_LITERAL("s0"), LEVEL_CRITICAL, 0), 0); /* it has a place */
    assert_int_equal(levels_copy(&copy, &levels), 0);
    for (size_t i = 1; i < copy.count; i++)
        assert_true(text_compare(threshold_service(&copy.items[i - 1]), threshold_service(&copy.items[i])) < 0);
    for (int i = 0; i < LEVELS_MAX; i++) {
        snprintf(name, sizeof(name), "s%d", i * 7919 % LEVELS_MAX);
        assert_int_equal(levels_of(&copy, text_of(name)),
                         strcmp(name, "s0") == 0 ? LEVEL_CRITICAL : (enum level)(i % LEVEL_COUNT));
        assert_true(levels_reset(&copy, text_of(name)));
    }
    assert_int_equal(copy.count, 0);
    assert_int_equal(levels.count, LEVELS_MAX);
    levels_finish(&copy);
    levels_finish(&levels);
}

/* --- the state --- */

static void put(struct state_map *map, struct text service, const char value[LEVELS_VALUE_SIZE]) {
    struct state_key key;
    levels_key(&key, service);
    assert_int_equal(state_map_put(map, state_key_text(&key), (struct text) { value, LEVELS_VALUE_SIZE }), 0);
}

static void what_is_kept_is_loaded(void **state) {
    struct levels levels = LEVELS_EMPTY, loaded;
    struct state_map map = STATE_MAP_EMPTY;
    char longest[ENTRY_NAME_BYTES];
    (void)state;
    memset(longest, 'x', sizeof(longest));
    const struct text services[] = { LEVELS_DEFAULT, billing, queue, { longest, sizeof(longest) } };
    assert_int_equal(levels_set(&levels, services[0], LEVEL_TRACE, 0), 0);
    assert_int_equal(levels_set(&levels, services[1], LEVEL_INFO, 0), 0);
    assert_int_equal(levels_set(&levels, services[1], LEVEL_DEBUG, 5), 0);
    assert_int_equal(levels_set(&levels, services[2], LEVEL_CRITICAL, UINT64_MAX), 0);
    assert_int_equal(levels_set(&levels, services[3], LEVEL_ERROR, 0), 0);
    for (size_t i = 0; i < levels.count; i++) {
        char value[LEVELS_VALUE_SIZE];
        levels_encode(&levels.items[i], value);
        put(&map, threshold_service(&levels.items[i]), value);
    }
    assert_int_equal(state_map_put(&map, TEXT_LITERAL("levels"), TEXT_LITERAL("not ours")), 0);
    assert_int_equal(levels_load(&loaded, &map), 0);
    assert_int_equal(loaded.count, 4);
    for (size_t i = 0; i < loaded.count; i++) {
        assert_true(text_equal(threshold_service(&loaded.items[i]), threshold_service(&levels.items[i])));
        assert_int_equal(loaded.items[i].lasting, levels.items[i].lasting);
        assert_int_equal(loaded.items[i].passing, levels.items[i].passing);
        assert_true(loaded.items[i].until_ns == levels.items[i].until_ns);
    }
    levels_finish(&loaded);
    levels_finish(&levels);
    state_map_finish(&map);
}

static void what_makes_no_sense_is_left_out(void **state) {
    static const char bad[][LEVELS_VALUE_SIZE] = {
        "\x06\xff\0\0\0\0\0\0\0",   /* no level */
        "\x01\x06\x01\0\0\0\0\0\0", /* likewise */
        "\xff\xff\0\0\0\0\0\0\0",   /* neither lasting nor passing */
        "\xff\x01\0\0\0\0\0\0\0",   /* passing without an end */
        "\x01\xff\x01\0\0\0\0\0\0", /* an end of nothing */
    };
    struct levels levels;
    struct state_map map = STATE_MAP_EMPTY;
    char name[500] = STATE_LEVEL;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char service[2] = { (char)('a' + i), '\0' };
        put(&map, text_of(service), bad[i]);
    }
    memset(name + strlen(STATE_LEVEL), 'n', 450);
    assert_int_equal(state_map_put(&map, text_of(name), (struct text) { "\x01\xff\0\0\0\0\0\0\0", 10 }), 0);
    assert_int_equal(state_map_put(&map, TEXT_LITERAL(STATE_LEVEL "short"), TEXT_LITERAL("\x01\xff")), 0);
    put(&map, billing, "\x03\xff\0\0\0\0\0\0\0");
    assert_int_equal(levels_load(&levels, &map), 0);
    assert_int_equal(levels.count, 1);
    assert_int_equal(levels_of(&levels, billing), LEVEL_WARN);
    levels_finish(&levels);
    state_map_finish(&map);
}

static void the_control_word_has_both_thresholds_and_the_settings_number(void **state) {
    (void)state;
    assert_int_equal(slot_control_compose(LEVEL_TRACE, LEVEL_TRACE, 0, 0), 0);
    uint32_t word = slot_control_compose(LEVEL_WARN, LEVEL_TRACE, 0, 0x1234);
    assert_int_equal(word, LEVEL_WARN | LEVEL_WARN << SLOT_CONTROL_STORE_SHIFT | 0x34 << SLOT_CONTROL_SETTINGS_SHIFT);
    /* the client's own level, where it is higher */
    assert_int_equal(slot_control_compose(LEVEL_INFO, LEVEL_ERROR, 0, 0), slot_control_compose(LEVEL_ERROR, 0, 0, 0));
    /* a recorder makes lower levels of interest, but none that the client does not write */
    word = slot_control_compose(LEVEL_WARN, LEVEL_TRACE, 1 << LEVEL_DEBUG, 0);
    assert_int_equal(word & SLOT_CONTROL_LEVEL_MASK, LEVEL_DEBUG);
    assert_int_equal((word & SLOT_CONTROL_STORE_MASK) >> SLOT_CONTROL_STORE_SHIFT, LEVEL_WARN);
    word = slot_control_compose(LEVEL_WARN, LEVEL_INFO, 1 << LEVEL_DEBUG, 0);
    assert_int_equal(word & SLOT_CONTROL_LEVEL_MASK, LEVEL_WARN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nothing_is_set_every_level_is_wanted),
        cmocka_unit_test(a_service_follows_its_own_level_and_the_others_the_default),
        cmocka_unit_test(after_its_time_the_level_before_holds_again),
        cmocka_unit_test(what_is_set_for_good_ends_what_would_have_ended),
        cmocka_unit_test(our_own_programs_follow_no_level),
        cmocka_unit_test(there_is_an_end_to_how_many_there_are),
        cmocka_unit_test(what_is_kept_is_loaded),
        cmocka_unit_test(what_makes_no_sense_is_left_out),
        cmocka_unit_test(the_control_word_has_both_thresholds_and_the_settings_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
