/* statistics.c - queue, worker and job statistics (taskforge.h): gauges by handle with names of their own. */
#include "agent/client/metrics.h"

struct statistic {
    const char *name, *state, *help;
};

enum { QUEUE = 0, WORKER = 3, JOB = 7 };

static const struct statistic table[STATISTICS_COUNT] = {
    [QUEUE] = { "queue_count", "total", "queues, by state" },
    { "queue_count", "active", "queues, by state" },
    { "queue_count", "paused", "queues, by state" },
    [WORKER] = { "worker_count", "total", "workers, by state" },
    { "worker_count", "online", "workers, by state" },
    { "worker_count", "offline", "workers, by state" },
    { "worker_count", "draining", "workers, by state" },
    [JOB] = { "job_count", "total", "jobs, by state" },
    { "job_count", "pending", "jobs, by state" },
    { "job_count", "processing", "jobs, by state" },
    { "job_count", "succeeded", "jobs, by state" },
    { "job_count", "failed", "jobs, by state" },
};

static int statistic_register(struct tf_client *client, unsigned number, tf_metric **ret) {
    const struct tf_label label = { "state", table[number].state };
    struct metric_definition definition = { .kind = METRIC_GAUGE,
                                            .naming = METRIC_NAMING_PREFIXED,
                                            .name = text_of(table[number].name),
                                            .help = text_of(table[number].help) };
    char room[METRIC_LABELS_BYTES];
    struct call call;
    if (!call_enter(&call))
        return -ENOMEM;
    int r = metric_labels_of(&label, 1, room, &definition.labels, call.error);
    if (r == 0)
        r = metric_register(client, &definition, ret, call.error);
    call_leave();
    return r < 0 ? call_refuse(&call, r) : 0;
}

static int statistics_set(struct tf_client *given, unsigned first, const uint64_t *values, unsigned count) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        tf_metric *metric = atomic_load_explicit(&client->statistics[first + i], memory_order_acquire);
        int r = metric ? 0 : statistic_register(client, first + i, &metric);
        if (r < 0)
            return r;
        atomic_store_explicit(&client->statistics[first + i], metric, memory_order_release);
        tf_gauge_set(metric, (double)values[i]);
    }
    return 0;
}

int tf_queue_stats(tf_client *client, uint64_t total, uint64_t active, uint64_t paused) {
    const uint64_t values[] = { total, active, paused };
    return statistics_set(client, QUEUE, values, COUNT_OF(values));
}

int tf_worker_stats(tf_client *client, uint64_t total, uint64_t online, uint64_t offline, uint64_t draining) {
    const uint64_t values[] = { total, online, offline, draining };
    return statistics_set(client, WORKER, values, COUNT_OF(values));
}

int tf_job_stats(tf_client *client, uint64_t total, uint64_t pending, uint64_t processing, uint64_t succeeded,
                 uint64_t failed) {
    const uint64_t values[] = { total, pending, processing, succeeded, failed };
    return statistics_set(client, JOB, values, COUNT_OF(values));
}
