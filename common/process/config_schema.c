/* Every key of the configuration, as tables: a row is a key, its reader, its place and its limits. A row without a reader is
 * a key of the contract whose feature is not built yet. */
#include "common/process/config_read.h"

#include "common/base/clock.h"
#include "common/process/config_inputs.h"
#include "common/process/config_library.h"
#include "common/process/config_retention.h"
#include "common/process/config_value.h"

#include <errno.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define MINUTE (60 * CLOCK_SECOND)
#define DAY (24 * 60 * MINUTE)

enum { NAMESPACE_MAX = 64, KEEP_FREE_PERCENT_MAX = 90 };

/* A Prometheus metric name's first part. */
static void read_namespace(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    const char *text = config_text(reader, value);

    if (!text)
        return;
    if (strlen(text) < 1 || strlen(text) > NAMESPACE_MAX || !strchr(first, text[0]) ||
        strspn(text + strspn(text, first), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") !=
            strlen(text + strspn(text, first)))
        config_fault_of(reader, value, "must be 1 to %d letters, digits and '_', beginning with no digit",
                        NAMESPACE_MAX);
    else
        config_keep(reader, field, text);
}

static void read_output(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    struct config_collector *collector = field;

    if (!text)
        return;
    if (strcmp(text, "stdout") == 0)
        collector->output = CONFIG_OUTPUT_STDOUT;
    else if (strcmp(text, "none") == 0)
        collector->output = CONFIG_OUTPUT_NONE;
    else if (*text != '/')
        config_fault_of(reader, value, "must be stdout, none or an absolute path, not \"%.60s\"", text);
    else {
        collector->output = CONFIG_OUTPUT_FILE;
        config_read_path(reader, value, &collector->output_path);
    }
}

static void read_keep_free(struct config_reader *reader, const struct config_value *value, void *field) {
    struct config_retention *retention = field;
    const struct yaml_tree_node *node = value->node;
    struct text text = text_of(node->kind == YAML_TREE_SCALAR ? node->text : "");
    uint64_t bytes;
    unsigned percent;

    if (config_parse_percent(text, &percent) == 0 && percent <= KEEP_FREE_PERCENT_MAX) {
        retention->keep_free_percent = percent;
        retention->keep_free_bytes = 0;
    } else if (config_parse_size(text, &bytes) == 0 && bytes <= value->key->max) {
        retention->keep_free_percent = 0;
        retention->keep_free_bytes = bytes;
    } else
        config_fault_of(reader, value, "must be a share of the disk up to %d%% or a size such as 1GiB, not %s%.60s%s",
                        KEEP_FREE_PERCENT_MAX, text.length ? "\"" : yaml_tree_describe(node),
                        text.length ? text.data : "", text.length ? "\"" : "");
}

static void read_percent(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct yaml_tree_node *node = value->node;
    unsigned percent;

    if (node->kind != YAML_TREE_SCALAR || config_parse_percent(text_of(node->text), &percent) < 0)
        config_fault_of(reader, value, "must be a share from 0%% to 100%%");
    else
        *(unsigned *)field = percent;
}

static void read_listen(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    struct config_endpoint endpoint;

    if (!text)
        return;
    if (config_parse_endpoint(text_of(text), &endpoint) < 0)
        config_fault_of(reader, value,
                        "must be an address in numbers and a port, such as 127.0.0.1:9740 or [::1]:9740, not \"%.60s\"",
                        text);
    else
        config_keep(reader, field, text);
}

/* What may stand at the end of a metric's name. */
static void read_gauge_suffix(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    const char *text = config_text(reader, value);

    if (!text)
        return;
    if (strlen(text) > NAMESPACE_MAX || strspn(text, allowed) != strlen(text))
        config_fault_of(reader, value, "must be at most %d letters, digits and '_'", NAMESPACE_MAX);
    else
        config_keep(reader, field, text);
}

static const struct config_key ring_keys[] = {
    { .name = "size",
      .read = config_read_size,
      .offset = offsetof(struct config_ring, size),
      .min = 8 * MIB,
      .max = 16 * GIB },
    { .name = NULL },
};

static const struct config_key host_metrics_keys[] = {
    { .name = "interval",
      .read = config_read_duration,
      .offset = offsetof(struct config_agent, host_metrics_interval_ns),
      .min = CLOCK_SECOND,
      .max = 60 * MINUTE },
    { .name = NULL },
};

static const struct config_key agent_keys[] = {
    { .name = "host_metrics", .read = config_read_nested, .offset = 0, .keys = host_metrics_keys },
    { .name = "inputs", .read = config_read_inputs, .offset = 0 },
    { .name = NULL },
};

static const struct config_key retention_keys[] = {
    { .name = "max_age",
      .read = config_read_duration,
      .offset = offsetof(struct config_retention, max_age_ns),
      .min = CLOCK_SECOND,
      .max = 36500 * DAY },
    { .name = "max_size",
      .read = config_read_size,
      .offset = offsetof(struct config_retention, max_size),
      .min = 16 * MIB,
      .max = 1024 * TIB },
    { .name = "keep_free", .read = read_keep_free, .offset = 0, .max = 1024 * TIB },
    { .name = "levels", .read = config_read_retention_levels, .offset = 0 },
    { .name = "services", .read = config_read_retention_services, .offset = 0 },
    { .name = NULL },
};

static const struct config_key redact_keys[] = {
    { .name = "keys", .read = config_read_redact_keys, .offset = offsetof(struct config_redact, keys) },
    { .name = "patterns", .read = config_read_patterns, .offset = offsetof(struct config_redact, patterns) },
    { .name = NULL },
};

static const struct config_key encrypt_keys[] = {
    { .name = "keys", .read = config_read_redact_keys, .offset = offsetof(struct config_encrypt, keys) },
    { .name = "public_key_file", .read = config_read_path, .offset = offsetof(struct config_encrypt, public_key_file) },
    { .name = NULL },
};

/* Half of it would encrypt nothing, and say nothing. */
static void read_encrypt(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct config_encrypt *encrypt = field;
    size_t faults = reader->faults->count + reader->faults->omitted;

    config_read_nested(reader, value, field);
    if (reader->faults->count + reader->faults->omitted == faults && !reader->out_of_memory &&
        (encrypt->keys.count == 0) != (encrypt->public_key_file == NULL))
        config_fault_of(reader, value, "needs both keys and public_key_file (tfctl keygen makes one)");
}

static const struct config_key dedup_keys[] = {
    { .name = "window",
      .read = config_read_duration,
      .offset = offsetof(struct config_collector, dedup_window_ns),
      .min = CLOCK_SECOND,
      .max = 60 * MINUTE },
    { .name = NULL },
};

/* A duration, or never. */
static void read_stale_after(struct config_reader *reader, const struct config_value *value, void *field) {
    if (value->node->kind == YAML_TREE_SCALAR && strcmp(value->node->text, "never") == 0)
        *(uint64_t *)field = 0;
    else
        config_read_duration(reader, value, field);
}

static const struct config_key metrics_keys[] = {
    { .name = "max_series",
      .read = config_read_count,
      .offset = offsetof(struct config_metrics, max_series),
      .min = 100,
      .max = 4000000 },
    { .name = "max_series_per_metric",
      .read = config_read_count,
      .offset = offsetof(struct config_metrics, max_series_per_metric),
      .min = 1,
      .max = 4000000 },
    { .name = "stale_after",
      .read = read_stale_after,
      .offset = offsetof(struct config_metrics, stale_after_ns),
      .min = CLOCK_SECOND,
      .max = 366 * DAY },
    { .name = NULL },
};

static const struct config_key flight_recorder_keys[] = {
    { .name = "levels", .read = config_read_low_levels, .offset = offsetof(struct config_flight_recorder, levels) },
    { .name = "keep",
      .read = config_read_duration,
      .offset = offsetof(struct config_flight_recorder, keep_ns),
      .min = CLOCK_SECOND,
      .max = 60 * MINUTE },
    { .name = NULL },
};

static bool is_off(const struct yaml_tree_node *node) {
    return node->kind == YAML_TREE_SCALAR && node->plain && strcmp(node->text, "off") == 0;
}

/* A part of the day, so that ticks are the same each day; or off. */
static void read_history_interval(struct config_reader *reader, const struct config_value *value, void *field) {
    size_t faults = reader->faults->count + reader->faults->omitted;
    uint64_t interval_ns = 0;

    if (!is_off(value->node))
        config_read_duration(reader, value, &interval_ns);
    if (reader->faults->count + reader->faults->omitted > faults)
        return;
    if (interval_ns % CLOCK_SECOND != 0 || (interval_ns > 0 && DAY % interval_ns != 0))
        config_fault_of(reader, value,
                        "must be whole seconds of which a day is a multiple, such as 10s, 15s or 1m; or off");
    else
        *(uint64_t *)field = interval_ns;
}

static const struct config_key history_keys[] = {
    { .name = "interval",
      .read = read_history_interval,
      .offset = offsetof(struct config_history, interval_ns),
      .min = CLOCK_SECOND,
      .max = 60 * MINUTE },
    { .name = "max_age",
      .read = config_read_duration,
      .offset = offsetof(struct config_history, max_age_ns),
      .min = CLOCK_SECOND,
      .max = 36500 * DAY },
    { .name = "max_size",
      .read = config_read_size,
      .offset = offsetof(struct config_history, max_size),
      .min = 16 * MIB,
      .max = 1024 * TIB },
    { .name = NULL },
};

static void read_history(struct config_reader *reader, const struct config_value *value, void *field) {
    if (is_off(value->node))
        ((struct config_history *)field)->interval_ns = 0;
    else
        config_read_nested(reader, value, field);
}

static const struct config_key collector_keys[] = {
    { .name = "flush_interval",
      .read = config_read_duration,
      .offset = offsetof(struct config_collector, flush_interval_ns),
      .min = CLOCK_MILLISECOND,
      .max = MINUTE },
    { .name = "flush_entries",
      .read = config_read_count,
      .offset = offsetof(struct config_collector, flush_entries),
      .min = 1,
      .max = 1000000 },
    { .name = "output", .read = read_output, .offset = 0 },
    { .name = "history",
      .read = read_history,
      .offset = offsetof(struct config_collector, history),
      .keys = history_keys },
    { .name = "metrics",
      .read = config_read_nested,
      .offset = offsetof(struct config_collector, metrics),
      .keys = metrics_keys },
    { .name = "retention",
      .read = config_read_nested,
      .offset = offsetof(struct config_collector, retention),
      .keys = retention_keys },
    { .name = "partition",
      .read = config_read_duration,
      .offset = offsetof(struct config_collector, partition_ns),
      .min = CLOCK_SECOND,
      .max = 366 * DAY },
    { .name = "spill_dir", .read = config_read_path, .offset = offsetof(struct config_collector, spill_dir) },
    { .name = "redact",
      .read = config_read_nested,
      .offset = offsetof(struct config_collector, redact),
      .keys = redact_keys },
    { .name = "encrypt",
      .read = read_encrypt,
      .offset = offsetof(struct config_collector, encrypt),
      .keys = encrypt_keys },
    { .name = "sampling", .read = config_read_sampling, .offset = offsetof(struct config_collector, sampling) },
    { .name = "flight_recorder",
      .read = config_read_nested,
      .offset = offsetof(struct config_collector, flight_recorder),
      .keys = flight_recorder_keys },
    { .name = "dedup", .read = config_read_nested, .offset = 0, .keys = dedup_keys },
    { .name = NULL },
};

static const struct config_key alerter_keys[] = {
    { .name = "interval",
      .read = config_read_duration,
      .offset = offsetof(struct config_alerter, interval_ns),
      .min = 100 * CLOCK_MILLISECOND,
      .max = 60 * MINUTE },
    { .name = "rules_files", .read = config_read_paths, .offset = offsetof(struct config_alerter, rules_files) },
    { .name = "heartbeat" },
    { .name = NULL },
};

static const struct config_key thresholds_keys[] = {
    { .name = "degraded_below",
      .read = read_percent,
      .offset = offsetof(struct config_thresholds, degraded_below_percent) },
    { .name = "unhealthy_below",
      .read = read_percent,
      .offset = offsetof(struct config_thresholds, unhealthy_below_percent) },
    { .name = NULL },
};

static const struct config_key health_keys[] = {
    { .name = "memory",
      .read = config_read_nested,
      .offset = offsetof(struct config_health, memory),
      .keys = thresholds_keys },
    { .name = "disk",
      .read = config_read_nested,
      .offset = offsetof(struct config_health, disk),
      .keys = thresholds_keys },
    { .name = "checks" },
    { .name = NULL },
};

static const struct config_key exporter_keys[] = {
    { .name = "listen", .read = read_listen, .offset = offsetof(struct config_exporter, listen) },
    { .name = "token_file", .read = config_read_path_or_null, .offset = offsetof(struct config_exporter, token_file) },
    { .name = "admin_token_file",
      .read = config_read_path_or_null,
      .offset = offsetof(struct config_exporter, admin_token_file) },
    { .name = "tls" },
    { .name = "gauge_suffix", .read = read_gauge_suffix, .offset = offsetof(struct config_exporter, gauge_suffix) },
    { .name = "created_samples",
      .read = config_read_flag,
      .offset = offsetof(struct config_exporter, created_samples) },
    { .name = "health",
      .read = config_read_nested,
      .offset = offsetof(struct config_exporter, health),
      .keys = health_keys },
    { .name = "sinks" },
    { .name = NULL },
};

const struct config_key config_top_keys[] = {
    { .name = "namespace", .read = read_namespace, .offset = offsetof(struct config, namespace_) },
    { .name = "runtime_dir", .read = config_read_path, .offset = offsetof(struct config, runtime_dir) },
    { .name = "data_dir", .read = config_read_path, .offset = offsetof(struct config, data_dir) },
    { .name = "labels", .read = config_read_labels, .offset = offsetof(struct config, labels) },
    { .name = "ring", .read = config_read_nested, .offset = offsetof(struct config, ring), .keys = ring_keys },
    { .name = "agent", .read = config_read_nested, .offset = offsetof(struct config, agent), .keys = agent_keys },
    { .name = "collector",
      .read = config_read_nested,
      .offset = offsetof(struct config, collector),
      .keys = collector_keys },
    { .name = "alerter", .read = config_read_nested, .offset = offsetof(struct config, alerter), .keys = alerter_keys },
    { .name = "exporter",
      .read = config_read_nested,
      .offset = offsetof(struct config, exporter),
      .keys = exporter_keys },
    { .name = NULL },
};
