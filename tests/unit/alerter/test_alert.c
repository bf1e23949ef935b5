#include "alerter/alert.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct alert sample(void) {
    struct alert alert = {
        .rule_id = strdup("deep-queue"),
        .name = strdup("Queue is \"deep\""),
        .severity = ALERT_CRITICAL,
        .status = ALERT_ACKNOWLEDGED,
        .message = strdup("queue_depth is 120"),
        .details = strdup("{\"value\":120}"),
        .entries = strdup("[{\"message\":\"a\"}]"),
        .value = 120.5,
        .pending_since_ns = UINT64_C(1795457700000000000),
        .timestamp_ns = UINT64_C(1795457704000000000),
        .last_notified_ns = UINT64_C(1795457705123456789),
        .last_firing_ns = UINT64_C(1795457705000000000),
        .told = true,
        .acknowledged_by = strdup("uid:1000"),
        .acknowledged_reason = strdup("seen"),
    };
    assert_int_equal(uuid_parse(TEXT_LITERAL("0193a6b0-1111-7222-8333-444455556666"), &alert.id), 0);
    assert_int_equal(alert_pairs_set(&alert.labels, TEXT_LITERAL("queue"), TEXT_LITERAL("mail")), 0);
    assert_int_equal(alert_pairs_set(&alert.labels, TEXT_LITERAL("host"), TEXT_LITERAL("h1")), 0);
    assert_int_equal(alert_pairs_set(&alert.annotations, TEXT_LITERAL("summary"), TEXT_LITERAL("s")), 0);
    return alert;
}

static const char json[] =
    "{\"id\":\"0193a6b0-1111-7222-8333-444455556666\",\"rule_id\":\"deep-queue\",\"name\":\"Queue is \\\"deep\\\"\","
    "\"severity\":\"critical\",\"status\":\"acknowledged\",\"message\":\"queue_depth is 120\","
    "\"timestamp\":\"2026-11-23T18:15:04.000000000Z\",\"details\":{\"value\":120},"
    "\"last_notified\":\"2026-11-23T18:15:05.123456789Z\",\"labels\":{\"host\":\"h1\",\"queue\":\"mail\"},"
    "\"annotations\":{\"summary\":\"s\"},\"dedup_key\":\"deep-queue:0193a6b0-1111-7222-8333-444455556666\","
    "\"acknowledged_by\":\"uid:1000\",\"acknowledged_reason\":\"seen\",\"entries\":[{\"message\":\"a\"}]}";

static void the_json_is_the_contracts(void **state) {
    struct alert alert = sample();
    struct buffer out = BUFFER_EMPTY;
    (void)state;
    alert_append_json(&out, &alert, true);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, json);
    buffer_finish(&out);
    alert_finish(&alert);
}

static void what_is_stored_comes_back(void **state) {
    struct alert alert = sample(), copy, back;
    struct buffer encoded = BUFFER_EMPTY, out = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(alert_copy(&alert, &copy), 0);
    assert_int_equal(alert_encode(&copy, &encoded), 0);
    assert_int_equal(alert_decode(buffer_text(&encoded), &back), 0);
    alert_append_json(&out, &back, true);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, json);
    assert_true(back.value == alert.value && back.told && !back.no_data);
    assert_int_equal(back.pending_since_ns, alert.pending_since_ns);
    assert_int_equal(back.last_firing_ns, alert.last_firing_ns);
    assert_int_equal(back.cleared_since_ns, 0);
    buffer_finish(&encoded);
    buffer_finish(&out);
    alert_finish(&alert);
    alert_finish(&copy);
    alert_finish(&back);
}

/* Every cut and every changed byte is either refused or gives some alert; the sanitizers see to the rest. */
static void damage_is_refused(void **state) {
    struct alert alert = sample(), back;
    struct buffer encoded = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(alert_encode(&alert, &encoded), 0);
    for (size_t length = 0; length < encoded.length; length++)
        assert_int_equal(alert_decode((struct text) { encoded.data, length }, &back), -EINVAL);
    for (size_t at = 0; at < encoded.length; at++) {
        char before = encoded.data[at];
        for (unsigned value = 0; value < 256; value += 15) {
            encoded.data[at] = (char)value;
            if (alert_decode(buffer_text(&encoded), &back) == 0)
                alert_finish(&back);
        }
        encoded.data[at] = before;
    }
    encoded.data[3] = 2; /* array 16 of 22 fields: the byte behind its head is the version */
    assert_int_equal(alert_decode(buffer_text(&encoded), &back), -EPROTO);
    buffer_finish(&encoded);
    alert_finish(&alert);
}

static void pairs_are_sorted_and_unique(void **state) {
    struct alert_pairs pairs = ALERT_PAIRS_EMPTY, other;
    struct buffer out = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(alert_pairs_set(&pairs, TEXT_LITERAL("b"), TEXT_LITERAL("1")), 0);
    assert_int_equal(alert_pairs_set(&pairs, TEXT_LITERAL("a"), TEXT_LITERAL("2")), 0);
    assert_int_equal(alert_pairs_set(&pairs, TEXT_LITERAL("b"), TEXT_LITERAL("3")), 0);
    alert_pairs_append_json(&out, &pairs);
    assert_true(text_is(buffer_text(&out), "{\"a\":\"2\",\"b\":\"3\"}"));
    assert_int_equal(alert_pairs_copy(&pairs, &other), 0);
    assert_true(alert_pairs_equal(&pairs, &other));
    assert_int_equal(alert_pairs_set(&other, TEXT_LITERAL("a"), TEXT_LITERAL("4")), 0);
    assert_false(alert_pairs_equal(&pairs, &other));
    for (int i = 0; i < ALERT_PAIRS_MAX - 2; i++) {
        char key[3] = { 'k', (char)('0' + i), 0 };
        assert_int_equal(alert_pairs_set(&other, text_of(key), TEXT_EMPTY), 0);
    }
    assert_int_equal(alert_pairs_set(&other, TEXT_LITERAL("one more"), TEXT_EMPTY), -E2BIG);
    assert_int_equal(alert_pairs_set(&other, TEXT_LITERAL("a"), TEXT_EMPTY), 0);
    alert_pairs_finish(&pairs);
    alert_pairs_finish(&other);
    buffer_finish(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_is_the_contracts),
        cmocka_unit_test(what_is_stored_comes_back),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(pairs_are_sorted_and_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
