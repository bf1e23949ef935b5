#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "collector/limits.h"
#include "collector/retention.h"

#define DAY (86400 * CLOCK_SECOND)
#define GIB (UINT64_C(1) << 30)

static const struct retention_disk roomy = { 1000 * GIB, 900 * GIB };
static const char *why;

/* Five partitions of 1 GiB, made on day 100, 101 .. 104. */
static struct partition_name names[5];

static int make_names(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        names[i] = (struct partition_name) { .created_ns = (100 + i) * DAY, .first_sequence = i * 10, .size = GIB };
    return 0;
}

static void keeps_all_within_the_limits(void **state) {
    (void)state;
    const struct config_retention limits = { .max_age_ns = 30 * DAY, .max_size = 10 * GIB, .keep_free_percent = 15 };
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 105 * DAY, &why), 0);
    assert_null(why);
}

static void the_age_of_a_partition_counts_from_its_end(void **state) {
    (void)state;
    const struct config_retention limits = { .max_age_ns = 3 * DAY, .max_size = 10 * GIB };
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 104 * DAY, &why), 0);
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 104 * DAY + 1, &why), 1);
    assert_string_equal(why, "older than max_age");
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 106 * DAY + 1, &why), 3);
}

static void never_takes_the_authority(void **state) {
    (void)state;
    const struct config_retention limits = { .max_age_ns = DAY, .max_size = 1 };
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 1000 * DAY, &why), 4);
    assert_int_equal(retention_choose(names, 1, &limits, &roomy, 1000 * DAY, &why), 0);
    assert_int_equal(retention_choose(names, 0, &limits, &roomy, 1000 * DAY, &why), 0);
}

static void the_oldest_go_until_the_size_fits(void **state) {
    (void)state;
    const struct config_retention limits = { .max_size = 3 * GIB + GIB / 2 };
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 105 * DAY, &why), 2);
    assert_string_equal(why, "the store is larger than max_size");
}

static void the_oldest_go_until_the_disk_has_its_share_free(void **state) {
    (void)state;
    const struct retention_disk tight = { 100 * GIB, 13 * GIB };
    const struct config_retention share = { .max_size = 100 * GIB, .keep_free_percent = 15 };
    assert_int_equal(retention_choose(names, 5, &share, &tight, 105 * DAY, &why), 2);
    const struct config_retention bytes = { .max_size = 100 * GIB, .keep_free_bytes = 14 * GIB };
    assert_int_equal(retention_choose(names, 5, &bytes, &tight, 105 * DAY, &why), 1);
    assert_string_equal(why, "less of the disk is free than keep_free");
}

static void without_a_written_size_it_is_a_tenth_of_the_disk_but_at_most_4_gib(void **state) {
    (void)state;
    const struct config_retention limits = { 0 };
    const struct retention_disk small = { 10 * GIB, GIB };
    assert_int_equal(retention_max_size(&limits, &roomy), 4 * GIB);
    assert_int_equal(retention_max_size(&limits, &small), GIB);
    assert_int_equal(retention_partition_bytes(&limits, &small), GIB / 8);
    const struct config_retention tiny = { .max_size = 1024 };
    assert_int_equal(retention_partition_bytes(&tiny, &small), PARTITION_BYTES_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_all_within_the_limits),
        cmocka_unit_test(the_age_of_a_partition_counts_from_its_end),
        cmocka_unit_test(never_takes_the_authority),
        cmocka_unit_test(the_oldest_go_until_the_size_fits),
        cmocka_unit_test(the_oldest_go_until_the_disk_has_its_share_free),
        cmocka_unit_test(without_a_written_size_it_is_a_tenth_of_the_disk_but_at_most_4_gib),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
