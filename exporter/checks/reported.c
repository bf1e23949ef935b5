/* reported.c - see checks.h: what applications report of themselves (tf_health_report), as the collector keeps it in the store; a report that
 * is late is as bad as one that says so, since nobody can tell the two apart. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/model/health.h"
#include "common/store/state_keys.h"
#include "exporter/checks/checks.h"

static_assert((int)HEALTH_HEALTHY == CHECK_HEALTHY && (int)HEALTH_DEGRADED == CHECK_DEGRADED &&
                  (int)HEALTH_UNHEALTHY == CHECK_UNHEALTHY,
              "a report's state is a check's");

struct reported {
    struct check_results *results;
    uint64_t now_ns;
};

static void add(struct check_results *results, const struct health_report *report, enum check_state state,
                struct text details) {
    struct check_result *result = check_results_add(results);
    if (!result)
        return;
    size_t size = report->service.length + 1 + report->name.length + 1 + details.length + 1;
    result->owned = malloc(size);
    if (!result->owned) {
        results->count--;
        return;
    }
    int length = snprintf(result->owned, size, "%.*s/%.*s", TEXT_FORMAT(report->service), TEXT_FORMAT(report->name));
    char *at = result->owned + length + 1;
    if (details.length > 0)
        memcpy(at, details.data, details.length);
    at[details.length] = '\0';
    result->name = result->owned;
    result->words = at;
    result->state = state;
    result->timestamp_ns = report->time_ns;
}

static int take(void *argument, struct text key, struct text value) {
    struct reported *reported = argument;
    struct health_report report;
    char text[64];
    (void)key;
    if (health_report_decode(value, &report) < 0 || health_report_is_over(&report, reported->now_ns))
        return 0;
    if (health_report_is_late(&report, reported->now_ns)) {
        uint64_t age_ns = reported->now_ns - report.time_ns;
        snprintf(text, sizeof(text), "no report for %llu s", (unsigned long long)(age_ns / CLOCK_SECOND));
        add(reported->results, &report, CHECK_UNHEALTHY, text_of(text));
    } else if (report.details.length > 0) {
        add(reported->results, &report, (enum check_state)report.state, report.details);
    } else {
        snprintf(text, sizeof(text), "reported %s", health_state_name(report.state));
        add(reported->results, &report, (enum check_state)report.state, text_of(text));
    }
    return 0;
}

static int compare(const void *left, const void *right) {
    const struct check_result *a = left, *b = right;
    return strcmp(a->name, b->name);
}

void checks_reported(const struct checks *checks, struct check_results *results) {
    struct reported reported = { results, clock_real_ns() };
    size_t before = results->count;
    struct error error = { "" };
    if (!checks->reader)
        return; /* the check of the database says why */
    (void)store_reader_state_walk(checks->reader, TEXT_LITERAL(STATE_HEALTH), take, &reported, &error);
    if (results->count - before > 1)
        qsort(results->items + before, results->count - before, sizeof(results->items[0]), compare);
}
