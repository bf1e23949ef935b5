/* health.c - what an application says of its own health (taskforge.h): a record, judged before it is written. */
#include "agent/client/client_internal.h"

#include "common/model/health.h"

static int report_check(struct record_health_report *report, int state, struct error *error) {
    if (report->name.length < 1 || report->name.length > HEALTH_NAME_BYTES)
        return error_set(error, -EINVAL, "a health report's name must be 1 to %d bytes, is %zu", HEALTH_NAME_BYTES,
                         report->name.length);
    if (!text_utf8_valid(report->name) || !text_utf8_valid(report->details))
        return error_set(error, -EINVAL, "a health report's name and details must be UTF-8");
    if (report->details.length > HEALTH_DETAIL_BYTES)
        return error_set(error, -EINVAL, "a health report's details must be at most %d bytes, are %zu",
                         HEALTH_DETAIL_BYTES, report->details.length);
    if (state < 0 || state >= HEALTH_STATE_COUNT)
        return error_set(error, -EINVAL,
                         "a health report's state must be TF_HEALTH_HEALTHY to TF_HEALTH_UNHEALTHY, is %d", state);
    if (report->time_to_live_ns > HEALTH_TTL_MAX_NS)
        return error_set(error, -EINVAL, "a health report lives for 30 days at most");
    report->state = text_of(health_state_name((enum health_state)state));
    if (report->time_to_live_ns == 0)
        report->time_to_live_ns = HEALTH_TTL_DEFAULT_NS;
    return 0;
}

int tf_health_report(tf_client *given, const char *name, int state, const char *details, uint64_t ttl_ns) {
    static_assert((int)TF_HEALTH_HEALTHY == HEALTH_HEALTHY && (int)TF_HEALTH_DEGRADED == HEALTH_DEGRADED &&
                      (int)TF_HEALTH_UNHEALTHY == HEALTH_UNHEALTHY,
                  "the header's states are the model's");
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    struct call call;
    struct record record = { .kind = RECORD_HEALTH_REPORT,
                             .health_report = {
                                 .name = text_of(name), .details = text_of(details), .time_to_live_ns = ttl_ns } };
    struct put put = { .other = &record, .level = LEVEL_ERROR, .time_ns = clock_real_ns() };
    bool entered = call_enter(&call);
    int r = report_check(&record.health_report, state, call.error);
    r = r < 0 ? call_refuse(&call, r) : put_by_policy(&call, client, &put);
    if (entered)
        call_leave();
    return r;
}
