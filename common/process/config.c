#include "common/process/config.h"

#include "common/base/clock.h"
#include "common/base/paths.h"
#include "common/base/text.h"
#include "common/process/config_fault.h"
#include "common/process/config_inputs.h"
#include "common/process/config_read.h"
#include "common/process/config_retention.h"
#include "common/process/config_value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY (24 * 3600 * CLOCK_SECOND)
#define MIB (UINT64_C(1) << 20)

static struct config *config_new(const char *file) {
    struct config *config = calloc(1, sizeof(*config));

    if (!config)
        return NULL;
    config->ring.size = 64 * MIB;
    config->agent.inputs_default = true;
    config->collector.flush_interval_ns = 100 * CLOCK_MILLISECOND;
    config->collector.flush_entries = 10000;
    config->collector.history = (struct config_history) { .interval_ns = 15 * CLOCK_SECOND, .max_age_ns = 30 * DAY };
    config->collector.metrics = (struct config_metrics) { .max_series = 100000,
                                                          .max_series_per_metric = 10000,
                                                          .stale_after_ns = 2 * DAY /* what runs once a day stays */ };
    config->collector.retention.max_age_ns = 30 * DAY;
    config->collector.retention.keep_free_percent = 15;
    config->collector.partition_ns = DAY;
    config->collector.flight_recorder.keep_ns = 60 * CLOCK_SECOND;
    for (int level = 0; level < LEVEL_COUNT; level++)
        config->collector.sampling.shares[level] = 1;
    config->agent.host_metrics_interval_ns = 10 * CLOCK_SECOND;
    config->alerter.interval_ns = 5 * CLOCK_SECOND;
    config->exporter.health.memory = config->exporter.health.disk = (struct config_thresholds) { 10, 3 };
    config->exporter.listen = strdup("127.0.0.1:9740");
    config->exporter.gauge_suffix = strdup("_gauge");
    config->namespace_ = strdup("taskforge");
    config->file = file ? strdup(file) : NULL;
    if (!config->namespace_ || (file && !config->file) || !config->exporter.listen || !config->exporter.gauge_suffix) {
        config_destroy(config);
        return NULL;
    }
    return config;
}

static void strings_finish(struct config_strings *strings) {
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
}

void config_destroy(struct config *config) {
    if (!config)
        return;
    config_inputs_finish(&config->agent);
    free(config->file);
    free(config->namespace_);
    free(config->runtime_dir);
    free(config->data_dir);
    free(config->collector.output_path);
    free(config->collector.spill_dir);
    config_labels_finish(&config->labels);
    strings_finish(&config->collector.redact.keys);
    strings_finish(&config->collector.redact.patterns);
    strings_finish(&config->collector.encrypt.keys);
    free(config->collector.encrypt.public_key_file);
    strings_finish(&config->alerter.rules_files);
    free(config->exporter.listen);
    free(config->exporter.token_file);
    free(config->exporter.admin_token_file);
    free(config->exporter.gauge_suffix);
    free(config);
}

/* Environment, file and defaults, in that order, make a folder. */
static void settle_folder(struct config_reader *reader, char **field, const char *what,
                          int (*settle)(const char *, char[PATHS_MAX])) {
    char path[PATHS_MAX];

    if (settle(*field, path) < 0)
        config_fault_add(reader->faults, reader->file, 0, 0, "the path of %s is too long", what);
    else if (path[0] != '/')
        config_fault_add(reader->faults, reader->file, 0, 0, "%s \"%s\" is not an absolute path", what, path);
    else
        config_keep(reader, field, path);
}

static void settle_sockets(struct config_reader *reader) {
    const struct config_agent *agent = &reader->config->agent;

    for (size_t i = 0; i < agent->input_count; i++)
        if (agent->inputs[i].listen && strlen(agent->inputs[i].listen) > CONFIG_SOCKET_PATH_MAX)
            config_fault_add(reader->faults, reader->file, 0, 0,
                             "runtime_dir is too long: the path of a socket there (%s) passes %d bytes",
                             agent->inputs[i].listen, CONFIG_SOCKET_PATH_MAX);
}

static void settle_thresholds(struct config_reader *reader, const struct config_thresholds *thresholds,
                              const char *what) {
    if (thresholds->unhealthy_below_percent > thresholds->degraded_below_percent)
        config_fault_add(reader->faults, reader->file, 0, 0,
                         "exporter.health.%s: unhealthy_below (%u%%) must not be above degraded_below (%u%%)", what,
                         thresholds->unhealthy_below_percent, thresholds->degraded_below_percent);
}

/* What is read from other hosts is read with a token. */
static void settle_exporter(struct config_reader *reader) {
    const struct config_exporter *exporter = &reader->config->exporter;
    struct config_endpoint endpoint;

    if (config_parse_endpoint(text_of(exporter->listen), &endpoint) == 0 && !endpoint.loopback && !exporter->token_file)
        config_fault_add(reader->faults, reader->file, 0, 0,
                         "exporter.listen %s can be reached from other hosts: set exporter.token_file as well",
                         exporter->listen);
    settle_thresholds(reader, &exporter->health.memory, "memory");
    settle_thresholds(reader, &exporter->health.disk, "disk");
}

static int settle_defaults(struct config_reader *reader) {
    struct config *config = reader->config;
    struct config_collector *collector = &config->collector;

    settle_folder(reader, &config->runtime_dir, "runtime_dir", paths_runtime_dir);
    settle_folder(reader, &config->data_dir, "data_dir", paths_data_dir);
    if (reader->faults->count > 0 || reader->out_of_memory)
        return reader->out_of_memory ? -ENOMEM : -EINVAL;
    if (!collector->spill_dir && geteuid() == 0)
        config_keep(reader, &collector->spill_dir, "/var/spool/taskforge");
    else if (!collector->spill_dir && asprintf(&collector->spill_dir, "%s/spill", config->data_dir) < 0) {
        collector->spill_dir = NULL;
        return -ENOMEM;
    }
    if (config_default_inputs(config) < 0 || reader->out_of_memory)
        return -ENOMEM;
    settle_sockets(reader);
    settle_exporter(reader);
    return reader->faults->count > 0 ? -EINVAL : 0;
}

static int read_tree(struct config_reader *reader, const char *data, size_t length) {
    struct yaml_tree_problem problem = { 0 };
    struct yaml_tree_node *root = NULL;
    int r = yaml_tree_read(data, length, &root, &problem);

    if (r == -EINVAL)
        config_fault_add(reader->faults, reader->file, problem.line, problem.column, "%s", problem.text);
    if (r < 0)
        return r;
    if (root)
        config_read_section(reader, root, "", config_top_keys, reader->config);
    yaml_tree_destroy(root);
    return reader->faults->count + reader->faults->omitted > 0 ? -EINVAL : 0;
}

static int load(const char *name, const char *file, const char *data, size_t length, struct config **ret,
                struct config_faults *faults) {
    struct config_reader reader = { .file = name, .faults = faults, .config = config_new(file) };
    int r = -ENOMEM;

    if (reader.config)
        r = read_tree(&reader, data, length);
    if (r == 0)
        r = settle_defaults(&reader);
    if (r < 0) {
        if (r == -ENOMEM || reader.out_of_memory)
            config_fault_add(faults, name, 0, 0, "out of memory");
        config_destroy(reader.config);
        return r;
    }
    *ret = reader.config;
    return 0;
}

int config_load_text(const char *name, const char *data, size_t length, struct config **ret,
                     struct config_faults *faults) {
    if (length > CONFIG_FILE_MAX) {
        config_fault_add(faults, name, 0, 0, "larger than %d bytes", CONFIG_FILE_MAX);
        return -EINVAL;
    }
    return load(name, name, data, length, ret, faults);
}

static int read_descriptor(int fd, struct buffer *text) {
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    while (text->length <= CONFIG_FILE_MAX) {
        ssize_t n;

        if (!buffer_reserve(text, 64 * 1024))
            return -ENOMEM;
        n = read(fd, text->data + text->length, 64 * 1024);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        text->length += n > 0 ? (size_t)n : 0;
    }
    return 0; /* too large: said by whoever parses it */
}

int config_read_file(const char *path, struct buffer *text) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r;

    if (fd < 0)
        return -errno;
    r = read_descriptor(fd, text);
    close(fd);
    return r;
}

int config_load(const char *path, struct config **ret, struct config_faults *faults) {
    const char *environment = getenv("TASKFORGE_CONFIG");
    bool may_be_missing = !path && !(environment && *environment);
    struct buffer text = BUFFER_EMPTY;
    int r;

    if (!path)
        path = may_be_missing ? CONFIG_DEFAULT_PATH : environment;
    r = config_read_file(path, &text);
    if (r == -ENOENT && may_be_missing)
        r = load(path, NULL, "", 0, ret, faults);
    else if (r < 0)
        config_fault_add(faults, path, 0, 0, "cannot be read: %s", strerror(-r));
    else
        r = config_load_text(path, text.data, text.length, ret, faults);
    buffer_finish(&text);
    return r;
}
