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

static const struct retention_disk roomy = { 1000 * GIB, 900 * GIB, 0 };
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

static void what_is_no_partition_counts_too(void **state) {
    (void)state;
    const struct config_retention limits = { .max_size = 6 * GIB };
    const struct retention_disk disk = { 1000 * GIB, 900 * GIB, GIB };
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 105 * DAY, &why), 0);
    assert_int_equal(retention_choose(names, 5, &limits, &disk, 105 * DAY, &why), 1);
}

static void some_room_is_kept_for_what_comes(void **state) {
    (void)state;
    const struct config_retention limits = { .max_size = 5 * GIB }, roomier = { .max_size = 5 * GIB + GIB / 2 };
    assert_int_equal(retention_headroom(&limits, &roomy), 5 * GIB / 16);
    assert_int_equal(retention_choose(names, 5, &limits, &roomy, 105 * DAY, &why), 1);
    assert_int_equal(retention_choose(names, 5, &roomier, &roomy, 105 * DAY, &why), 0);
    /* and for a partition that is written anew, where any may be */
    const struct config_retention selective = { .max_size = 5 * GIB + GIB / 2, .levels[LEVEL_DEBUG] = { DAY } };
    assert_int_equal(retention_headroom(&selective, &roomy), 11 * GIB / 32 + 11 * GIB / 16);
    assert_int_equal(retention_choose(names, 5, &selective, &roomy, 105 * DAY, &why), 1);
}

/* --- levels and services that go earlier --- */

/* Three partitions of 1000 entries and a GiB; the first two ended on day 101 and 102. Of each: 400 debug, 600 info; 300 are of service 0, half of
 * them debug, 100 info of service 1. */
static struct retention_share shares[3];
static struct retention_verdict verdicts[3];

static void make_shares(void) {
    for (uint64_t i = 0; i < 3; i++)
        shares[i] = (struct retention_share) {
            .size = GIB,
            .ended_ns = i < 2 ? (101 + i) * DAY : 0,
            .entries = 1000,
            .by_level = { [LEVEL_DEBUG] = 400, [LEVEL_INFO] = 600 },
            .by_service = { { [LEVEL_DEBUG] = 150, [LEVEL_INFO] = 150 }, { [LEVEL_INFO] = 100 } },
        };
}

static void a_level_goes_by_the_age_of_its_partition(void **state) {
    (void)state;
    const struct config_retention limits = { .levels[LEVEL_DEBUG] = { 2 * DAY } };
    make_shares();
    assert_true(retention_is_selective(&limits));
    retention_judge(shares, 3, &limits, 103 * DAY + 1, verdicts);
    assert_int_equal(verdicts[0].levels, 1 << LEVEL_DEBUG);
    assert_int_equal(verdicts[0].entries, 400);
    assert_true(verdicts[0].worth_it);
    assert_int_equal(verdicts[1].entries, 0);
    assert_false(verdicts[1].worth_it);
    retention_judge(shares, 3, &limits, 10000 * DAY, verdicts);
    assert_int_equal(verdicts[1].entries, 400);
    assert_int_equal(verdicts[2].entries, 0); /* the newest */
}

static void a_service_goes_by_age_and_is_not_counted_twice(void **state) {
    (void)state;
    const struct config_retention limits = { .levels[LEVEL_DEBUG] = { DAY },
                                             .services = { { "a", 2 * DAY, 0 }, { "b", 0, 0 } },
                                             .service_count = 2 };
    make_shares();
    retention_judge(shares, 3, &limits, 103 * DAY + 1, verdicts);
    assert_int_equal(verdicts[0].services, 1);
    assert_int_equal(verdicts[0].entries, 400 + 150);
    assert_int_equal(verdicts[1].services, 0);
    assert_int_equal(verdicts[1].entries, 400);
}

static void a_service_goes_out_of_the_oldest_until_it_fits(void **state) {
    (void)state;
    struct config_retention limits = { .services = { { "a", 0, GIB }, { "b", 0, GIB } }, .service_count = 2 };
    make_shares();
    retention_judge(shares, 3, &limits, 103 * DAY, verdicts); /* 0.9 and 0.3 GiB */
    assert_int_equal(verdicts[0].services | verdicts[1].services, 0);
    limits.services[0].max_size = GIB * 7 / 10;
    retention_judge(shares, 3, &limits, 103 * DAY, verdicts);
    assert_int_equal(verdicts[0].services, 1);
    assert_int_equal(verdicts[0].entries, 300);
    assert_int_equal(verdicts[1].services, 0);
    limits.services[0].max_size = 1;
    retention_judge(shares, 3, &limits, 103 * DAY, verdicts);
    assert_int_equal(verdicts[0].services, 1);
    assert_int_equal(verdicts[1].services, 1);
    assert_int_equal(verdicts[2].services, 0);
    shares[0].by_service[0][LEVEL_DEBUG] = shares[0].by_service[0][LEVEL_INFO] = 0; /* gone: no reason to go on at it */
    retention_judge(shares, 3, &limits, 103 * DAY, verdicts);
    assert_false(verdicts[0].worth_it);
}

static void few_entries_wait_for_an_hour(void **state) {
    (void)state;
    const struct config_retention limits = { .levels[LEVEL_WARN] = { CLOCK_SECOND } };
    make_shares();
    shares[0].by_level[LEVEL_WARN] = 49;
    uint64_t now = shares[0].ended_ns + 2 * CLOCK_SECOND;
    retention_judge(shares, 3, &limits, now, verdicts);
    assert_int_equal(verdicts[0].entries, 49);
    assert_false(verdicts[0].worth_it);
    retention_judge(shares, 3, &limits, shares[0].ended_ns + REWRITE_GAP_NS, verdicts);
    assert_true(verdicts[0].worth_it);
    shares[0].rewritten_ns = shares[0].ended_ns + REWRITE_GAP_NS / 2;
    retention_judge(shares, 3, &limits, shares[0].ended_ns + REWRITE_GAP_NS, verdicts);
    assert_false(verdicts[0].worth_it);
    shares[0].by_level[LEVEL_WARN] = 50;
    retention_judge(shares, 3, &limits, now, verdicts);
    assert_true(verdicts[0].worth_it);
}

static void the_oldest_go_until_the_disk_has_its_share_free(void **state) {
    (void)state;
    const struct retention_disk tight = { 100 * GIB, 13 * GIB, 0 };
    const struct config_retention share = { .max_size = 100 * GIB, .keep_free_percent = 15 };
    assert_int_equal(retention_choose(names, 5, &share, &tight, 105 * DAY, &why), 2);
    const struct config_retention bytes = { .max_size = 100 * GIB, .keep_free_bytes = 14 * GIB };
    assert_int_equal(retention_choose(names, 5, &bytes, &tight, 105 * DAY, &why), 1);
    assert_string_equal(why, "less of the disk is free than keep_free");
}

static void without_a_written_size_it_is_a_tenth_of_the_disk_but_at_most_4_gib(void **state) {
    (void)state;
    const struct config_retention limits = { 0 };
    const struct retention_disk small = { 10 * GIB, GIB, 0 };
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
        cmocka_unit_test(what_is_no_partition_counts_too),
        cmocka_unit_test(some_room_is_kept_for_what_comes),
        cmocka_unit_test(a_level_goes_by_the_age_of_its_partition),
        cmocka_unit_test(a_service_goes_by_age_and_is_not_counted_twice),
        cmocka_unit_test(a_service_goes_out_of_the_oldest_until_it_fits),
        cmocka_unit_test(few_entries_wait_for_an_hour),
        cmocka_unit_test(the_oldest_go_until_the_disk_has_its_share_free),
        cmocka_unit_test(without_a_written_size_it_is_a_tenth_of_the_disk_but_at_most_4_gib),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
