/* Health reports and requests: what is written, and what is refused with the reason. */
#include "client_fixture.h"

static void a_report_is_a_record(void **state) {
    const struct fixture *fixture = *state;
    struct drain drain;
    static char longest[8193];
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    memset(longest, 'x', 8192);
    assert_int_equal(tf_health_report(client, "database", TF_HEALTH_DEGRADED, "slow", 5000000000), 0);
    assert_int_equal(tf_health_report(client, "mail", TF_HEALTH_HEALTHY, NULL, 0), 0);
    assert_int_equal(tf_health_report(client, "disk", TF_HEALTH_UNHEALTHY, longest, 1), 0);
    drain_once(fixture->runtime_dir, true, &drain);
    char expected[8500];
    snprintf(expected, sizeof(expected),
             "database degraded 5000000000 slow\nmail healthy 60000000000 \ndisk unhealthy 1 %s\n", longest);
    assert_string_equal(drain.reports.data, expected);
    drain_finish(&drain);
    tf_close(client);
}

static void refuse(tf_client *client, const char *name, int health, const char *details, uint64_t ttl_ns,
                   const char *why) {
    assert_int_equal(tf_health_report(client, name, health, details, ttl_ns), -EINVAL);
    assert_string_equal(tf_last_error(), why);
}

static void a_report_that_breaks_a_rule_is_refused(void **state) {
    static char longer[8194], name[102];
    tf_client *client = fixture_open(*state, TF_POLICY_DROP, 0);
    memset(longer, 'x', 8193);
    memset(name, 'n', 101);
    refuse(client, NULL, 0, NULL, 0, "a health report's name must be 1 to 100 bytes, is 0");
    refuse(client, "", 0, NULL, 0, "a health report's name must be 1 to 100 bytes, is 0");
    refuse(client, name, 0, NULL, 0, "a health report's name must be 1 to 100 bytes, is 101");
    refuse(client, "\xff", 0, NULL, 0, "a health report's name and details must be UTF-8");
    refuse(client, "n", 0, "\xff", 0, "a health report's name and details must be UTF-8");
    refuse(client, "n", 0, longer, 0, "a health report's details must be at most 8192 bytes, are 8193");
    refuse(client, "n", 3, NULL, 0, "a health report's state must be TF_HEALTH_HEALTHY to TF_HEALTH_UNHEALTHY, is 3");
    refuse(client, "n", -1, NULL, 0, "a health report's state must be TF_HEALTH_HEALTHY to TF_HEALTH_UNHEALTHY, is -1");
    refuse(client, "n", 0, NULL, UINT64_MAX, "a health report lives for 30 days at most");
    tf_close(client);
}

static void a_report_has_the_room_of_errors(void **state) {
    const struct fixture *fixture = *state;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    while (tf_log(client, TF_LEVEL_WARN, NULL, "fill", "one of very many entries that fill the lane") == 0)
        continue;
    assert_int_equal(tf_health_report(client, "database", TF_HEALTH_UNHEALTHY, "no answer", 0), 0);
    tf_close(client);
}

static void a_request_is_counted_and_timed(void **state) {
    const struct fixture *fixture = *state;
    struct drain drain;
    tf_client *client = fixture_open(fixture, TF_POLICY_DROP, 0);
    assert_int_equal(tf_request(client, NULL, "send", 250000000, 0), 0);
    assert_int_equal(tf_request(client, "billing", "charge", 1000000, 1), 0);
    drain_once(fixture->runtime_dir, true, &drain);
    assert_string_equal(drain.updates.data,
                        "counter app add requests{operation=\"send\",service=\"mailer\",status=\"ok\"} 1 \n"
                        "timer app add request_duration{operation=\"send\",service=\"mailer\"} 0.25 \n"
                        "counter app add requests{operation=\"charge\",service=\"billing\",status=\"error\"} 1 \n"
                        "timer app add request_duration{operation=\"charge\",service=\"billing\"} 0.001 \n");
    drain_finish(&drain);
    assert_int_equal(tf_request(client, NULL, NULL, 1, 0), -EINVAL);
    assert_string_equal(tf_last_error(), "label 2 must have a name and a value");
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(a_report_is_a_record),
        fixture_test(a_report_that_breaks_a_rule_is_refused),
        fixture_test(a_report_has_the_room_of_errors),
        fixture_test(a_request_is_counted_and_timed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
