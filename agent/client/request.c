/* request.c - one request that an application has served (taskforge.h): a counter and a timer, by name, since the labels are not known
 * beforehand. */
#include "agent/client/metrics.h"

int tf_request(tf_client *given, const char *service, const char *operation, uint64_t duration_ns, int failed) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    /* An operation of NULL is refused as any label without a value. */
    const struct tf_label labels[] = { { "service", service ? service : client->service_bytes },
                                       { "operation", operation },
                                       { "status", failed ? "error" : "ok" } };
    int r = tf_metric_count(client, "requests", 1, labels, COUNT_OF(labels));
    int timed = r == -EINVAL || r == -EEXIST
                    ? r
                    : tf_metric_time(client, "request_duration", (double)duration_ns / (double)CLOCK_SECOND, labels,
                                     COUNT_OF(labels) - 1);
    return r < 0 ? r : timed;
}
