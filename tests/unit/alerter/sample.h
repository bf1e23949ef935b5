/* sample.h - an alert for the tests of notifications. */
#ifndef TASKFORGE_TESTS_UNIT_ALERTER_SAMPLE_H
#define TASKFORGE_TESTS_UNIT_ALERTER_SAMPLE_H

#include <stdlib.h>
#include <string.h>

#include "alerter/alert.h"

#define SAMPLE_TIME UINT64_C(1764000000123456789) /* 2025-11-24T16:00:00.123456789Z */
#define SAMPLE_ID "01980000-0000-7000-8000-000000000001"

static inline struct alert sample_alert(void) {
    struct alert alert = {
        .severity = ALERT_CRITICAL, .status = ALERT_ACTIVE, .value = 12, .timestamp_ns = SAMPLE_TIME
    };

    if (uuid_parse(TEXT_LITERAL(SAMPLE_ID), &alert.id) < 0)
        abort();
    alert.rule_id = strdup("many-errors");
    alert.name = strdup("Many errors in the queue service");
    alert.message = strdup("12 errors");
    alert.details = strdup("{\"value\":12,\"threshold\":10,\"window\":\"5m\",\"deep\":{\"a\":[1,2]}}");
    alert.entries =
        strdup("[{\"timestamp\":\"2025-11-24T15:59:59.000000000Z\",\"level\":\"error\",\"service\":\"queue\","
               "\"module\":\"m\",\"operation\":\"o\",\"message\":\"first line\\nsecond\\u001b[31m line\","
               "\"trace_id\":\"abc\"},{\"level\":\"error\"}]");
    if (alert_pairs_set(&alert.labels, TEXT_LITERAL("queue"), TEXT_LITERAL("mail")) < 0 ||
        alert_pairs_set(&alert.annotations, TEXT_LITERAL("runbook_url"), TEXT_LITERAL("https://wiki.example/queue")) <
            0)
        abort();
    return alert;
}

#endif
