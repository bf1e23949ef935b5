#include "agent/self.h"

static void tell_one(struct daemon_metrics *metrics, enum own_metric metric, const char *input, const char *reason,
                     uint64_t now, uint64_t *told) {
    daemon_metrics_count(metrics, metric, input, reason, daemon_metrics_grown(told, now));
}

void self_tell_input(struct daemon_metrics *metrics, const char *input, const struct input_counters *now,
                     struct input_counters *told) {
    tell_one(metrics, OWN_INPUT_LINES, input, NULL, now->lines, &told->lines);
    tell_one(metrics, OWN_INPUT_BYTES, input, NULL, now->bytes, &told->bytes);
    if (now->newest_ns > 0) {
        daemon_metrics_set(metrics, OWN_INPUT_NEWEST, input, NULL, (double)now->newest_ns / (double)CLOCK_SECOND);
        daemon_metrics_set(metrics, OWN_INPUT_LAG, input, NULL, (double)now->lag_ns / (double)CLOCK_SECOND);
    }
    if (now->open_files > 0 || told->open_files > 0)
        daemon_metrics_set(metrics, OWN_INPUT_OPEN_FILES, input, NULL, (double)now->open_files);
    told->open_files = now->open_files;
    tell_one(metrics, OWN_INPUT_CUT, input, NULL, now->cut, &told->cut);
    for (unsigned i = 0; i < INPUT_ERROR_COUNT; i++)
        tell_one(metrics, OWN_INPUT_ERRORS, input, input_error_name((enum input_error)i), now->errors[i],
                 &told->errors[i]);
    tell_one(metrics, OWN_INPUT_ENTRIES, input, NULL, now->entries, &told->entries);
    tell_one(metrics, OWN_INPUT_EMPTY, input, NULL, now->empty, &told->empty);
    tell_one(metrics, OWN_INPUT_OWN, input, NULL, now->own, &told->own);
    tell_one(metrics, OWN_INPUT_LOST, input, NULL, now->lost, &told->lost);
    tell_one(metrics, OWN_INPUT_HELD, input, NULL, now->held, &told->held);
    for (unsigned i = 0; i < INPUT_INVALID_REASON_COUNT; i++)
        tell_one(metrics, OWN_INPUT_INVALID, input, input_invalid_reason_name((enum input_invalid_reason)i),
                 now->invalid[i], &told->invalid[i]);
    for (unsigned i = 0; i < ENTRY_REPAIR_REASON_COUNT; i++)
        tell_one(metrics, OWN_INPUT_REPAIRED, input, entry_repair_reason_name((enum entry_repair_reason)(1U << i)),
                 now->repaired[i], &told->repaired[i]);
}

void self_tell_end(struct daemon_metrics *metrics, const char *input, const struct input_counters *told) {
    if (told->open_files > 0)
        daemon_metrics_set(metrics, OWN_INPUT_OPEN_FILES, input, NULL, 0);
}

void self_tell_host(struct daemon_metrics *metrics, const struct host_counters *now, struct host_counters *told) {
    tell_one(metrics, OWN_AGENT_HOST_LOOKS, NULL, NULL, now->looks, &told->looks);
    tell_one(metrics, OWN_AGENT_HOST_SAMPLES, NULL, NULL, now->samples, &told->samples);
    tell_one(metrics, OWN_AGENT_HOST_REPAIRED, NULL, NULL, now->repaired, &told->repaired);
    tell_one(metrics, OWN_AGENT_HOST_HELD, NULL, NULL, now->held, &told->held);
}
