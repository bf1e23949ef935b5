/* config.h - the one YAML file (CONTRACT section 6) as a plain, immutable struct.
 *
 * config_load reads, checks and hands out a struct config that nobody changes any more; live state lives elsewhere. Every
 * key of the contract is known to the tables in config_schema.c; one whose feature is not built is refused by name. All
 * faults of a file are found in one go, each with file, line and column. Everything is owned by the struct and freed by
 * config_destroy. Reading takes no lock and touches no global: any thread may load, and share the result for reading.
 */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_H

#include "common/base/error.h"
#include "common/model/level.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT_PATH "/etc/taskforge/taskforge.yaml"

enum {
    CONFIG_FILE_MAX = 1024 * 1024, /* bytes of a configuration file */
    CONFIG_FAULTS_MAX = 100,       /* faults reported for one file; more are counted */
    CONFIG_INPUTS_MAX = 64,
    CONFIG_PATHS_MAX = 256, /* globs of one input */
    CONFIG_NAME_MAX = 100,  /* characters of an input's name and of a service */
    CONFIG_REDACT_KEYS_MAX = 64,
    CONFIG_REDACT_KEY_BYTES = 100,
    CONFIG_RETENTION_SERVICES_MAX = 64,
    CONFIG_LABELS_MAX = 32,
    CONFIG_LABEL_NAME_BYTES = 64,
    CONFIG_LABEL_VALUE_BYTES = 256,
    CONFIG_REDACT_PATTERNS_MAX = 32,
};

struct config_strings {
    char **items;
    size_t count;
};

enum config_input_type { CONFIG_INPUT_TAIL, CONFIG_INPUT_JOURNAL, CONFIG_INPUT_SYSLOG, CONFIG_INPUT_STDIN };
enum config_format { CONFIG_FORMAT_AUTO, CONFIG_FORMAT_TEXT, CONFIG_FORMAT_JSON };
enum config_start { CONFIG_START_BEGINNING, CONFIG_START_END };

struct config_input {
    enum config_input_type type;
    char *name;                /* never NULL, unique among the inputs; the type's own name where none was written */
    char *service;             /* tail: NULL means the file's name without its ending; stdin: "stdin" unless written */
    enum config_format format; /* tail, stdin */
    struct config_strings paths; /* tail: absolute globs, at least one */
    struct config_strings
        exclude;                /* tail: globs against the whole path, and against the file's name when without '/' */
    enum config_start start_at; /* tail: where a file begins that no position is known for */
    uint64_t ignore_older_ns;   /* tail: files unchanged for longer are not opened; 0: no limit */
    char *listen;               /* syslog: absolute path of the unix datagram socket */
};

struct config_agent {
    struct config_input *inputs;
    size_t input_count;
    bool inputs_default; /* nothing was written: the host's logs, as far as they can be read (warn, do not fail) */
    uint64_t host_metrics_interval_ns; /* between two looks at the host's metrics; default 10 s */
};

enum config_output { CONFIG_OUTPUT_STDOUT, CONFIG_OUTPUT_NONE, CONFIG_OUTPUT_FILE };

/* What goes earlier than all else; 0: no limit of its own. */
struct config_retention_level {
    uint64_t max_age_ns;
};
struct config_retention_service {
    char name[CONFIG_NAME_MAX * 4 + 1];
    uint64_t max_age_ns;
    uint64_t max_size; /* bytes of the store */
};

struct config_retention {
    uint64_t max_age_ns;        /* default 30 days */
    uint64_t max_size;          /* bytes; 0: not written, which means a tenth of the disk but at most 4 GiB */
    unsigned keep_free_percent; /* of the disk; default 15; 0 where keep_free is a size */
    uint64_t keep_free_bytes;   /* 0 where keep_free is a percentage */
    struct config_retention_level levels[LEVEL_COUNT];
    struct config_retention_service services[CONFIG_RETENTION_SERVICES_MAX];
    size_t service_count;
};

struct config_redact {
    struct config_strings
        keys; /* of metadata; 1 to CONFIG_REDACT_KEY_BYTES bytes each. Done by the library, in its process */
    struct config_strings patterns; /* regular expressions, each sound; done by the collector */
};
struct config_encrypt {
    struct config_strings
        keys;              /* as above, "message" and "error_details" mean those fields, too; none: nothing is sealed */
    char *public_key_file; /* absolute; NULL exactly where there are no keys */
};
struct config_sampling {
    double shares[LEVEL_COUNT]; /* of each level, 0 to 1: kept; default 1, of error and critical always */
};
struct config_flight_recorder {
    unsigned levels;  /* bit 1 << level: held in memory first, none of error and critical; default 0, nothing */
    uint64_t keep_ns; /* for so long; default 60 s */
};

/* Samples of all metrics over time. */
struct config_history {
    uint64_t interval_ns; /* whole seconds of which a day is a multiple; default 15 s; 0: off */
    uint64_t max_age_ns;  /* default 30 days */
    uint64_t max_size;    /* bytes; 0: not written, which means a quarter of what the logs may have */
};

struct config_metrics {
    uint64_t max_series;            /* on /metrics at once; default 100,000 */
    uint64_t max_series_per_metric; /* of them, of one metric; default 10,000 */
    uint64_t stale_after_ns;        /* without updates a series leaves /metrics; default 2 days; 0: never */
};

struct config_collector {
    uint64_t flush_interval_ns; /* default 100 ms */
    uint64_t flush_entries;     /* default 10,000 */
    enum config_output output;  /* default stdout */
    char *output_path;          /* absolute, for CONFIG_OUTPUT_FILE; else NULL */
    struct config_history history;
    struct config_metrics metrics;
    struct config_retention retention;
    uint64_t partition_ns; /* how long one partition of the store is written to; default 1 day */
    char *spill_dir;       /* default /var/spool/taskforge for root, else DATA_DIR/spill */
    struct config_redact redact;
    struct config_encrypt encrypt;
    struct config_sampling sampling;
    struct config_flight_recorder flight_recorder;
    uint64_t dedup_window_ns; /* 0: repeats are stored like anything else */
};

struct config_alerter {
    uint64_t interval_ns;              /* between two evaluations of all rules; default 5 s */
    struct config_strings rules_files; /* absolute paths; each is read by the alerter alone */
};

/* A share of what there is in all, in percent, below which a health check changes its mind. */
struct config_thresholds {
    unsigned degraded_below_percent;  /* default 10 */
    unsigned unhealthy_below_percent; /* default 3; never above degraded */
};

struct config_exporter {
    char *listen; /* "HOST:PORT" or "[IPV6]:PORT", numeric; default 127.0.0.1:9740. Loopback, or token_file is set */
    char *token_file;       /* NULL: reading needs no token */
    char *admin_token_file; /* NULL: the reading token serves */
    char *gauge_suffix;     /* default "_gauge"; may be empty */
    bool created_samples;   /* _created in OpenMetrics; default false */
    struct config_health {
        struct config_thresholds memory, disk;
    } health;
};

/* What this host's data is known by elsewhere. Names are Prometheus' and unique. */
struct config_label {
    char *name, *value;
};
struct config_labels {
    struct config_label *items;
    size_t count;
};

struct config_ring {
    uint64_t size; /* bytes of shared memory for each user id; default 64 MiB */
};

struct config {
    char *file;        /* where it was read from; NULL: the built-in defaults */
    char *namespace_;  /* metric name prefix */
    char *runtime_dir; /* absolute; environment, file and defaults taken together (common/base/paths.h) */
    char *data_dir;    /* likewise */
    struct config_labels labels;
    struct config_ring ring;
    struct config_agent agent;
    struct config_collector collector;
    struct config_alerter alerter;
    struct config_exporter exporter;
};

/* What is wrong, one "FILE:LINE:COLUMN: sentence" for each fault, in the order of the file. */
struct config_faults {
    char **lines;
    size_t count;   /* at most CONFIG_FAULTS_MAX */
    size_t omitted; /* found beyond that */
};

#define CONFIG_FAULTS_EMPTY ((struct config_faults) { 0 })
void config_faults_finish(struct config_faults *faults);

/* Load `path`; NULL means $TASKFORGE_CONFIG, and without that CONFIG_DEFAULT_PATH, which alone may be missing (then the
 * defaults hold). 0 and *ret; or, *ret untouched, with at least one line in *faults: -EINVAL for faults in the text, another
 * negative errno where the file cannot be read ("FILE: why"). */
int config_load(const char *path, struct config **ret, struct config_faults *faults);

/* The same from memory, for tests and fuzzing; `name` stands for the file in faults. */
int config_load_text(const char *name, const char *data, size_t length, struct config **ret,
                     struct config_faults *faults);

void config_destroy(struct config *config); /* NULL is fine */

#endif
