/* UUIDs: version 7 in order, and their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"

static void makes_version_7_with_the_time_in_front(void **state) {
    (void)state;
    struct uuid_generator generator = { .counter = 5 };
    struct uuid id;
    uuid_make(&generator, UINT64_C(1795457704123456789), &id);
    uint64_t millisecond = 0;
    for (int i = 0; i < 6; i++)
        millisecond = millisecond << 8 | id.bytes[i];
    assert_true(millisecond == UINT64_C(1795457704123));
    assert_int_equal(id.bytes[6] >> 4, 7);
    assert_int_equal(id.bytes[8] >> 6, 2);
    assert_int_equal((id.bytes[6] & 15) << 8 | id.bytes[7], 456789 * 4096 / 1000000);
    assert_int_equal(id.bytes[15], 5);
}

static void sorts_ids_of_one_generator_as_they_were_made(void **state) {
    (void)state;
    struct uuid_generator generator = { .counter = 250 };
    struct uuid previous, next;
    uint64_t now = UINT64_C(1795457704123456789);
    uuid_make(&generator, now, &previous);
    for (int i = 0; i < 10000; i++) {
        now += (uint64_t)(i % 3) * 400;
        uuid_make(&generator, now, &next);
        assert_true(memcmp(previous.bytes, next.bytes, UUID_SIZE) < 0);
        previous = next;
    }
}

static void gives_each_generator_its_own_start(void **state) {
    (void)state;
    struct uuid_generator a, b;
    assert_int_equal(uuid_generator_init(&a), 0);
    assert_int_equal(uuid_generator_init(&b), 0);
    assert_true(a.counter != b.counter);
}

/* --- ids that are derived --- */

static struct uuid derive(uint64_t real_ns, uint8_t ring, uint32_t lane, uint64_t position) {
    const uint8_t ring_id[16] = { ring, 2, 3 };
    struct uuid id;
    uuid_derive(real_ns, ring_id, lane, position, &id);
    return id;
}

static void derives_version_7_from_where_a_record_stands(void **state) {
    (void)state;
    struct uuid id = derive(UINT64_C(1795457704123456789), 1, 3, 4096), again;
    uint64_t millisecond = 0;
    for (int i = 0; i < 6; i++)
        millisecond = millisecond << 8 | id.bytes[i];
    assert_true(millisecond == UINT64_C(1795457704123));
    assert_int_equal(id.bytes[6] >> 4, 7);
    assert_int_equal(id.bytes[8] >> 6, 2);
    assert_int_equal((id.bytes[6] & 15) << 8 | id.bytes[7], 456789 * 4096 / 1000000);
    again = derive(UINT64_C(1795457704123456789), 1, 3, 4096); /* whoever derives it */
    assert_true(uuid_equal(&id, &again));
}

static void derived_ids_of_a_lane_sort_as_its_records(void **state) {
    (void)state;
    uint64_t now = UINT64_C(1795457704123456789), position = 4096;
    struct uuid previous = derive(now, 1, 3, position);
    for (int i = 1; i < 20000; i++) { /* records of any length, some in the same moment */
        position += 8 * (uint64_t)(3 + i % 50);
        now += (uint64_t)(i % 3) * 400;
        struct uuid next = derive(now, 1, 3, position);
        assert_true(memcmp(previous.bytes, next.bytes, UUID_SIZE) < 0);
        previous = next;
    }
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, UUID_SIZE);
}

static void derived_ids_differ_by_ring_lane_and_position(void **state) {
    (void)state;
    enum { RINGS = 8, LANES = 64, POSITIONS = 64, ALL = RINGS * LANES * POSITIONS };
    struct uuid *ids = malloc(ALL * sizeof(*ids));
    uint64_t now = UINT64_C(1795457704123456789); /* the same for all */
    for (unsigned i = 0; i < ALL; i++)
        ids[i] = derive(now, (uint8_t)(i % RINGS), i / RINGS % LANES, 4096 + (uint64_t)(i / RINGS / LANES) * 8);
    qsort(ids, ALL, sizeof(*ids), compare_ids);
    for (unsigned i = 1; i < ALL; i++)
        assert_false(uuid_equal(&ids[i - 1], &ids[i]));
    free(ids);
}

static void formats_and_parses_back(void **state) {
    (void)state;
    const char *text = "0190163d-8694-739b-aea5-966c26f8ad91";
    struct uuid id, again;
    char out[UUID_TEXT_SIZE];
    assert_int_equal(uuid_parse(text_of(text), &id), 0);
    uuid_format(&id, out);
    assert_string_equal(out, text);
    assert_int_equal(uuid_parse(text_of("0190163D8694739BAEA5966C26F8AD91"), &again), 0);
    assert_true(uuid_equal(&id, &again));
    assert_false(uuid_is_zero(&id));
    assert_int_equal(uuid_parse(text_of("00000000-0000-0000-0000-000000000000"), &again), 0);
    assert_true(uuid_is_zero(&again));
    assert_false(uuid_equal(&id, &again));
}

static void refuses_what_is_no_uuid(void **state) {
    (void)state;
    static const char *const bad[] = { "",
                                       "0",
                                       "0190163d-8694-739b-aea5-966c26f8ad9",
                                       "0190163d-8694-739b-aea5-966c26f8ad911",
                                       "0190163d-8694-739b-aea5-966c26f8ad9g",
                                       "0190163d8694-739b-aea5-966c26f8ad9100",
                                       "{190163d-8694-739b-aea5-966c26f8ad9}",
                                       "0190163d8694739baea5966c26f8ad9 ",
                                       "0190163d-8694-739b-aea5+966c26f8ad91" };
    struct uuid id = { { 7 } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(uuid_parse(text_of(bad[i]), &id), -EINVAL);
    assert_int_equal(uuid_parse(TEXT_EMPTY, &id), -EINVAL);
    assert_int_equal(id.bytes[0], 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_version_7_with_the_time_in_front),
        cmocka_unit_test(sorts_ids_of_one_generator_as_they_were_made),
        cmocka_unit_test(gives_each_generator_its_own_start),
        cmocka_unit_test(derives_version_7_from_where_a_record_stands),
        cmocka_unit_test(derived_ids_of_a_lane_sort_as_its_records),
        cmocka_unit_test(derived_ids_differ_by_ring_lane_and_position),
        cmocka_unit_test(formats_and_parses_back),
        cmocka_unit_test(refuses_what_is_no_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
