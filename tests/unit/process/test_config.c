#include "common/process/config.h"

#include "common/base/check.h"
#include "common/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY (24 * 3600 * CLOCK_SECOND)

static struct config *loaded(const char *text) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    int r = config_load_text("c.yaml", text, strlen(text), &config, &faults);

    for (size_t i = 0; i < faults.count; i++)
        print_error("%s\n", faults.lines[i]);
    assert_int_equal(r, 0);
    assert_int_equal(faults.count, 0);
    return config;
}

/* The text is refused with exactly these lines. */
static void refused_with(const char *text, const char *const *lines, size_t count) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;

    assert_int_equal(config_load_text("c.yaml", text, strlen(text), &config, &faults), -EINVAL);
    assert_null(config);
    for (size_t i = 0; i < count && i < faults.count; i++)
        assert_string_equal(faults.lines[i], lines[i]);
    assert_int_equal(faults.count, count);
    config_faults_finish(&faults);
}

static void refused(const char *text, const char *line) {
    refused_with(text, &line, 1);
}

static void an_empty_file_gives_the_defaults(void **state) {
    static const char *const texts[] = { "", "# only a comment\n", "collector:\nagent:\n", "---\n...\n" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct config *config = loaded(texts[i]);

        assert_string_equal(config->namespace_, "taskforge");
        assert_string_equal(config->runtime_dir, "/tmp/tf-run");
        assert_string_equal(config->data_dir, "/tmp/tf-data");
        assert_int_equal(config->ring.size, 64 << 20);
        assert_int_equal(config->collector.flush_interval_ns, 100 * CLOCK_MILLISECOND);
        assert_int_equal(config->collector.flush_entries, 10000);
        assert_int_equal(config->collector.metrics.max_series, 100000);
        assert_int_equal(config->collector.metrics.max_series_per_metric, 10000);
        assert_int_equal(config->collector.metrics.stale_after_ns, 2 * 86400 * CLOCK_SECOND);
        assert_int_equal(config->collector.output, CONFIG_OUTPUT_STDOUT);
        assert_null(config->collector.output_path);
        assert_int_equal(config->collector.retention.max_age_ns, 30 * DAY);
        assert_int_equal(config->collector.retention.max_size, 0);
        assert_int_equal(config->collector.retention.keep_free_percent, 15);
        assert_int_equal(config->collector.partition_ns, DAY);
        assert_string_equal(config->collector.spill_dir,
                            geteuid() == 0 ? "/var/spool/taskforge" : "/tmp/tf-data/spill");
        config_destroy(config);
    }
}

static void without_inputs_the_hosts_logs_are_taken(void **state) {
    struct config *config = loaded("");

    (void)state;
    assert_true(config->agent.inputs_default);
    assert_int_equal(config->agent.input_count, 3);
    assert_int_equal(config->agent.inputs[0].type, CONFIG_INPUT_TAIL);
    assert_string_equal(config->agent.inputs[0].paths.items[0], "/var/log/*.log");
    assert_int_equal(config->agent.inputs[1].type, CONFIG_INPUT_JOURNAL);
    assert_int_equal(config->agent.inputs[2].type, CONFIG_INPUT_SYSLOG);
    assert_string_equal(config->agent.inputs[2].listen, "/tmp/tf-run/syslog.sock");
    config_destroy(config);
    config = loaded("agent: { inputs: [] }");
    assert_false(config->agent.inputs_default);
    assert_int_equal(config->agent.input_count, 0);
    config_destroy(config);
}

static void reads_every_key_that_is_built(void **state) {
    struct config *config = loaded("namespace: shop\n"
                                   "runtime_dir: /r\n"
                                   "data_dir: /d\n"
                                   "ring: { size: 16MiB }\n"
                                   "agent:\n"
                                   "  inputs:\n"
                                   "    - type: tail\n"
                                   "      paths: [\"/var/log/*.log\", /srv/*/log]\n"
                                   "      exclude: [\"*.gz\"]\n"
                                   "      service: host\n"
                                   "      format: json\n"
                                   "      start_at: end\n"
                                   "      ignore_older: 2d\n"
                                   "      name: files\n"
                                   "    - { type: journal }\n"
                                   "    - { type: syslog, listen: \"unixgram:///x/s.sock\" }\n"
                                   "    - { type: stdin, service: myapp, format: text }\n"
                                   "collector:\n"
                                   "  flush_interval: 50ms\n"
                                   "  flush_entries: 7\n"
                                   "  output: /var/x.ndjson\n"
                                   "  retention: { max_age: 2h, max_size: 10GiB, keep_free: 1GiB }\n"
                                   "  partition: 6h\n"
                                   "  spill_dir: /s\n");
    const struct config_input *tail = &config->agent.inputs[0];

    (void)state;
    assert_string_equal(config->namespace_, "shop");
    assert_string_equal(config->runtime_dir, "/tmp/tf-run"); /* the environment stands before the file */
    assert_int_equal(config->ring.size, 16 << 20);
    assert_int_equal(config->agent.input_count, 4);
    assert_int_equal(tail->paths.count, 2);
    assert_string_equal(tail->paths.items[1], "/srv/*/log");
    assert_string_equal(tail->exclude.items[0], "*.gz");
    assert_string_equal(tail->service, "host");
    assert_int_equal(tail->format, CONFIG_FORMAT_JSON);
    assert_int_equal(tail->start_at, CONFIG_START_END);
    assert_int_equal(tail->ignore_older_ns, 2 * DAY);
    assert_string_equal(tail->name, "files");
    assert_string_equal(config->agent.inputs[1].name, "journal");
    assert_string_equal(config->agent.inputs[2].listen, "/x/s.sock");
    assert_string_equal(config->agent.inputs[3].service, "myapp");
    assert_int_equal(config->agent.inputs[3].format, CONFIG_FORMAT_TEXT);
    assert_int_equal(config->collector.flush_interval_ns, 50 * CLOCK_MILLISECOND);
    assert_int_equal(config->collector.flush_entries, 7);
    assert_int_equal(config->collector.output, CONFIG_OUTPUT_FILE);
    assert_string_equal(config->collector.output_path, "/var/x.ndjson");
    assert_int_equal(config->collector.retention.max_age_ns, 2 * 3600 * CLOCK_SECOND);
    assert_int_equal(config->collector.retention.max_size, UINT64_C(10) << 30);
    assert_int_equal(config->collector.retention.keep_free_percent, 0);
    assert_int_equal(config->collector.retention.keep_free_bytes, UINT64_C(1) << 30);
    assert_string_equal(config->collector.spill_dir, "/s");
    config_destroy(config);
}

static void without_the_environment_the_file_names_the_folders(void **state) {
    struct config *config;

    (void)state;
    unsetenv("TASKFORGE_RUNTIME_DIR");
    unsetenv("TASKFORGE_DATA_DIR");
    config = loaded("runtime_dir: /r\ndata_dir: /d\nagent: { inputs: [{ type: syslog }] }\n");
    assert_string_equal(config->runtime_dir, "/r");
    assert_string_equal(config->data_dir, "/d");
    assert_string_equal(config->agent.inputs[0].listen, "/r/syslog.sock");
    config_destroy(config);
    setenv("TASKFORGE_RUNTIME_DIR", "/tmp/tf-run", 1);
    setenv("TASKFORGE_DATA_DIR", "/tmp/tf-data", 1);
}

static void an_unknown_key_is_named_with_the_one_that_was_meant(void **state) {
    (void)state;
    refused("collector:\n  retenton: { max_age: 1d }\n",
            "c.yaml:2:3: unknown key \"retenton\" in collector; did you mean \"retention\"?");
    refused("colector: {}\n", "c.yaml:1:1: unknown key \"colector\" at the top; did you mean \"collector\"?");
    refused("collector: { retention: { max_sise: 1GiB } }\n",
            "c.yaml:1:27: unknown key \"max_sise\" in collector.retention; did you mean \"max_size\"?");
    refused("agent: { inputs: [{ type: tail, path: [/x], paths: [/y] }] }\n",
            "c.yaml:1:33: unknown key \"path\" in a tail input; did you mean \"paths\"?");
    refused("\n\n  weather: fine\n", "c.yaml:3:3: unknown key \"weather\" at the top");
    refused("agent: { inputs: [{ type: journal, paths: [/x] }] }\n",
            "c.yaml:1:36: unknown key \"paths\" in a journal input");
}

static void a_key_that_is_not_built_is_refused_by_name(void **state) {
    static const char *const exporter[] = { "tls", "sinks" };
    char text[200], line[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(exporter); i++) {
        snprintf(text, sizeof(text), "exporter:\n  %s: { a: 1 }\n", exporter[i]);
        snprintf(line, sizeof(line), "c.yaml:2:3: exporter.%s is not built yet", exporter[i]);
        refused(text, line);
    }
    refused("exporter: { health: { checks: [] } }", "c.yaml:1:23: exporter.health.checks is not built yet");
    refused("alerter: { heartbeat: {} }", "c.yaml:1:12: alerter.heartbeat is not built yet");
    refused("agent: { inputs: [{ type: statsd }] }", "c.yaml:1:27: inputs of type statsd are not built yet");
    refused("agent: { inputs: [{ type: otlp }] }", "c.yaml:1:27: inputs of type otlp are not built yet");
    refused("agent: { inputs: [{ type: forward }] }", "c.yaml:1:27: inputs of type forward are not built yet");
    refused("agent: { inputs: [{ type: syslog, listen: \"udp://127.0.0.1:514\" }] }",
            "c.yaml:1:43: listen of a syslog input over udp is not built yet");
    refused("agent: { inputs: [{ type: tail, paths: [/x], format: logfmt }] }",
            "c.yaml:1:54: format of a tail input \"logfmt\" is not built yet");
    refused("agent: { inputs: [{ type: tail, paths: [/x], multiline: java }] }",
            "c.yaml:1:46: multiline of a tail input is not built yet");
}

static void what_is_served_and_judged_is_read(void **state) {
    struct config *config = loaded("agent: { host_metrics: { interval: 30s } }\n"
                                   "alerter: { interval: 1s, rules_files: [/etc/a.yaml, /etc/b.yaml] }\n"
                                   "exporter:\n"
                                   "  listen: \"[::]:1234\"\n"
                                   "  token_file: /etc/token\n"
                                   "  admin_token_file: null\n"
                                   "  gauge_suffix: \"\"\n"
                                   "  created_samples: yes\n"
                                   "  health: { memory: { degraded_below: 20% }, disk: { unhealthy_below: 0% } }\n");

    (void)state;
    assert_int_equal(config->agent.host_metrics_interval_ns, 30 * CLOCK_SECOND);
    assert_int_equal(config->alerter.interval_ns, CLOCK_SECOND);
    assert_int_equal(config->alerter.rules_files.count, 2);
    assert_string_equal(config->alerter.rules_files.items[1], "/etc/b.yaml");
    assert_string_equal(config->exporter.listen, "[::]:1234");
    assert_string_equal(config->exporter.token_file, "/etc/token");
    assert_null(config->exporter.admin_token_file);
    assert_string_equal(config->exporter.gauge_suffix, "");
    assert_true(config->exporter.created_samples);
    assert_int_equal(config->exporter.health.memory.degraded_below_percent, 20);
    assert_int_equal(config->exporter.health.memory.unhealthy_below_percent, 3);
    assert_int_equal(config->exporter.health.disk.unhealthy_below_percent, 0);
    config_destroy(config);
    config = loaded("");
    assert_string_equal(config->exporter.listen, "127.0.0.1:9740");
    assert_string_equal(config->exporter.gauge_suffix, "_gauge");
    assert_false(config->exporter.created_samples);
    assert_int_equal(config->alerter.interval_ns, 5 * CLOCK_SECOND);
    config_destroy(config);
}

static void history_is_read_and_can_be_off(void **state) {
    static const char *const off[] = {
        "collector: { history: off }",
        "collector: { history: { interval: off, max_age: 2d } }",
    };
    struct config *config = loaded("");

    (void)state;
    assert_int_equal(config->collector.history.interval_ns, 15 * CLOCK_SECOND);
    assert_int_equal(config->collector.history.max_age_ns, 30 * DAY);
    assert_int_equal(config->collector.history.max_size, 0);
    config_destroy(config);
    config = loaded("collector: { history: { interval: 1m, max_age: 90d, max_size: 1GiB } }");
    assert_int_equal(config->collector.history.interval_ns, 60 * CLOCK_SECOND);
    assert_int_equal(config->collector.history.max_age_ns, 90 * DAY);
    assert_int_equal(config->collector.history.max_size, 1 << 30);
    config_destroy(config);
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        config = loaded(off[i]);
        assert_int_equal(config->collector.history.interval_ns, 0);
        config_destroy(config);
    }
    refused("collector: { history: { interval: 7s } }",
            "c.yaml:1:35: collector.history.interval must be whole seconds of which a day is a multiple, such as 10s, "
            "15s or 1m; or off");
    refused("collector: { history: { interval: 1500ms } }",
            "c.yaml:1:35: collector.history.interval must be whole seconds of which a day is a multiple, such as 10s, "
            "15s or 1m; or off");
    refused("collector: { history: { interval: 2h } }",
            "c.yaml:1:35: collector.history.interval must be between 1s and 1h");
}

static void what_goes_earlier_is_read(void **state) {
    struct config *config = loaded("collector:\n"
                                   "  retention:\n"
                                   "    levels: { debug: { max_age: 2d }, TRACE: { max_age: 1h } }\n"
                                   "    services:\n"
                                   "      debugger: { max_age: 2d, max_size: 1GiB }\n"
                                   "      12: { max_size: 2MiB }\n");
    const struct config_retention *retention = &config->collector.retention;

    (void)state;
    assert_int_equal(retention->levels[LEVEL_DEBUG].max_age_ns, 48 * 3600 * CLOCK_SECOND);
    assert_int_equal(retention->levels[LEVEL_TRACE].max_age_ns, 3600 * CLOCK_SECOND);
    assert_int_equal(retention->levels[LEVEL_INFO].max_age_ns, 0);
    assert_int_equal(retention->service_count, 2);
    assert_string_equal(retention->services[0].name, "debugger");
    assert_int_equal(retention->services[0].max_age_ns, 48 * 3600 * CLOCK_SECOND);
    assert_int_equal(retention->services[0].max_size, UINT64_C(1) << 30);
    assert_string_equal(retention->services[1].name, "12");
    assert_int_equal(retention->services[1].max_age_ns, 0);
    config_destroy(config);
    config = loaded("collector: { retention: { levels: {}, services: } }");
    assert_int_equal(config->collector.retention.service_count, 0);
    config_destroy(config);
}

static void what_cannot_go_earlier_is_refused(void **state) {
    char text[CONFIG_RETENTION_SERVICES_MAX * 40 + 100], line[100];
    size_t length = (size_t)snprintf(text, sizeof(text), "collector: { retention: { services: {");

    (void)state;
    refused("collector: { retention: { levels: [debug] } }",
            "c.yaml:1:35: collector.retention.levels must be a mapping such as { debug: { max_age: 2d } }, not a list");
    refused("collector: { retention: { levels: { loud: { max_age: 2d } } } }",
            "c.yaml:1:37: collector.retention.levels needs levels: trace, debug, info, warn, error or critical, not "
            "\"loud\"");
    refused("collector: { retention: { levels: { warn: { max_age: 2d }, warning: { max_age: 3d } } } }",
            "c.yaml:1:60: collector.retention.levels names warn a second time");
    refused("collector: { retention: { levels: { debug: {} } } }",
            "c.yaml:1:44: collector.retention.levels of \"debug\" needs a limit such as { max_age: 2d }");
    refused("collector: { retention: { levels: { debug: { max_size: 1GiB } } } }",
            "c.yaml:1:46: unknown key \"max_size\" in collector.retention.levels.debug");
    refused("collector: { retention: { levels: { debug: 2d } } }",
            "c.yaml:1:44: collector.retention.levels.debug must be a mapping of keys to values, not text");
    refused("collector: { retention: { services: { a: { max_size: 10KiB } } } }",
            "c.yaml:1:54: collector.retention.services.a.max_size must be between 1MiB and 1024TiB");
    refused("collector: { retention: { services: { \"\": { max_age: 1d } } } }",
            "c.yaml:1:39: collector.retention.services needs names of services with 1 to 100 characters");
    refused("collector: { retention: { services: { a: { max_age: 1d }, a: { max_age: 2d } } } }",
            "c.yaml:1:59: collector.retention.services names the service a second time");
    for (unsigned i = 0; i <= CONFIG_RETENTION_SERVICES_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "\n  service%u: { max_age: 1d },", i);
    snprintf(text + length, sizeof(text) - length, "\n} } }\n");
    snprintf(line, sizeof(line), "c.yaml:%d:3: collector.retention.services has more than %d services",
             CONFIG_RETENTION_SERVICES_MAX + 2, CONFIG_RETENTION_SERVICES_MAX);
    refused(text, line);
}

static void labels_are_read(void **state) {
    struct config *config = loaded("labels: { site: jkt1, _rack2: \"12 b\" }");

    (void)state;
    assert_int_equal(config->labels.count, 2);
    assert_string_equal(config->labels.items[0].name, "site");
    assert_string_equal(config->labels.items[0].value, "jkt1");
    assert_string_equal(config->labels.items[1].name, "_rack2");
    assert_string_equal(config->labels.items[1].value, "12 b");
    config_destroy(config);
    refused("labels: [site]", "c.yaml:1:9: labels must be a mapping such as { site: jkt1 }, not a list");
    refused("labels: { 2site: a }", "c.yaml:1:11: labels needs names of at most 64 letters, digits and '_' that begin "
                                    "with no digit and not with \"__\"");
    refused("labels: { __site: a }", "c.yaml:1:11: labels needs names of at most 64 letters, digits and '_' that begin "
                                     "with no digit and not with \"__\"");
    refused("labels: { site: a, site: b }", "c.yaml:1:20: labels names \"site\" a second time");
    refused("labels: { site: \"\" }", "c.yaml:1:17: labels needs values of 1 to 256 bytes");
    refused("labels: { site: 12 }", "c.yaml:1:17: labels must be text, not a number; put it in quotes if it is meant");
}

static void what_the_library_does_is_read(void **state) {
    struct config *config = loaded("collector:\n"
                                   "  redact: { keys: [password, \"a b\"], patterns: ['\\b\\d{16}\\b', x] }\n"
                                   "  sampling: { debug: 0.1, warning: 1, trace: 0 }\n"
                                   "  flight_recorder: { levels: [trace, DEBUG], keep: 2m }\n");
    const struct config_collector *collector = &config->collector;

    (void)state;
    assert_int_equal(collector->redact.keys.count, 2);
    assert_string_equal(collector->redact.keys.items[1], "a b");
    assert_int_equal(collector->redact.patterns.count, 2);
    assert_string_equal(collector->redact.patterns.items[0], "\\b\\d{16}\\b");
    assert_true(collector->sampling.shares[LEVEL_TRACE] == 0);
    assert_true(collector->sampling.shares[LEVEL_DEBUG] == 0.1);
    for (int level = LEVEL_INFO; level < LEVEL_COUNT; level++)
        assert_true(collector->sampling.shares[level] == 1);
    assert_int_equal(collector->flight_recorder.levels, 1 << LEVEL_TRACE | 1 << LEVEL_DEBUG);
    assert_int_equal(collector->flight_recorder.keep_ns, 120 * CLOCK_SECOND);
    config_destroy(config);
    config = loaded("collector:\n  sampling:\n  redact: { keys: [] }\n  flight_recorder: { levels: [] }\n");
    assert_int_equal(config->collector.redact.keys.count, 0);
    assert_true(config->collector.sampling.shares[LEVEL_DEBUG] == 1);
    assert_int_equal(config->collector.flight_recorder.levels, 0);
    assert_int_equal(config->collector.flight_recorder.keep_ns, 60 * CLOCK_SECOND);
    config_destroy(config);
}

static void encryption_needs_both_its_keys(void **state) {
    struct config *config =
        loaded("collector: { encrypt: { keys: [email, message], public_key_file: /etc/taskforge/reader.pub } }\n");

    (void)state;
    assert_int_equal(config->collector.encrypt.keys.count, 2);
    assert_string_equal(config->collector.encrypt.public_key_file, "/etc/taskforge/reader.pub");
    config_destroy(config);
    config = loaded("collector: { encrypt: {} }\n");
    assert_null(config->collector.encrypt.public_key_file);
    config_destroy(config);
    refused("collector: { encrypt: { keys: [email] } }",
            "c.yaml:1:23: collector.encrypt needs both keys and public_key_file (tfctl keygen makes one)");
    refused("collector: { encrypt: { public_key_file: /k } }",
            "c.yaml:1:23: collector.encrypt needs both keys and public_key_file (tfctl keygen makes one)");
}

static void the_window_of_repeats_is_read(void **state) {
    struct config *config = loaded("collector: { metrics: { stale_after: never, max_series: 1000000 } }\n");
    assert_int_equal(config->collector.metrics.stale_after_ns, 0);
    assert_int_equal(config->collector.metrics.max_series, 1000000);
    config_destroy(config);
    refused("collector: { metrics: { stale_after: 1ms } }",
            "c.yaml:1:38: collector.metrics.stale_after must be between 1s and 366d");
    config = loaded("collector: { dedup: { window: 10s } }\n");

    (void)state;
    assert_int_equal(config->collector.dedup_window_ns, 10 * CLOCK_SECOND);
    config_destroy(config);
    config = loaded("");
    assert_int_equal(config->collector.dedup_window_ns, 0);
    config_destroy(config);
    refused("collector: { dedup: { window: 100ms } }", "c.yaml:1:31: collector.dedup.window must be between 1s and 1h");
}

static void what_the_library_cannot_do_is_refused(void **state) {
    char text[200 * 70], key[102];
    size_t length = (size_t)snprintf(text, sizeof(text), "collector: { redact: { keys: [");

    (void)state;
    refused(
        "collector: { sampling: { error: 0.5 } }",
        "c.yaml:1:26: collector.sampling must not name error: entries of level error and critical are always stored");
    refused("collector: { sampling: { loud: 0.5 } }",
            "c.yaml:1:26: collector.sampling needs levels: trace, debug, info or warn, not \"loud\"");
    refused("collector: { sampling: { debug: 0.5, dbg: 0.4 } }",
            "c.yaml:1:38: collector.sampling names debug a second time");
    refused("collector: { sampling: { debug: 1.5 } }",
            "c.yaml:1:33: collector.sampling needs a share from 0 to 1 for each level, such as 0.1, not \"1.5\"");
    refused("collector: { sampling: { debug: 10% } }",
            "c.yaml:1:33: collector.sampling needs a share from 0 to 1 for each level, such as 0.1, not \"10%\"");
    refused("collector: { sampling: { debug: [1] } }",
            "c.yaml:1:33: collector.sampling needs a share from 0 to 1 for each level, such as 0.1, not a list");
    refused(
        "collector: { sampling: 0.1 }",
        "c.yaml:1:24: collector.sampling must be a mapping of levels to shares such as { debug: 0.1 }, not a number");
    refused("collector: { flight_recorder: { levels: [debug, critical] } }",
            "c.yaml:1:49: collector.flight_recorder.levels must not name critical: entries of level error and critical "
            "are always stored");
    refused("collector: { flight_recorder: { levels: debug } }",
            "c.yaml:1:41: collector.flight_recorder.levels must be a list of levels such as [trace, debug], not text");
    refused("collector: { flight_recorder: { keep: 10ms } }",
            "c.yaml:1:39: collector.flight_recorder.keep must be between 1s and 1h");
    refused("collector: { redact: { keys: password } }",
            "c.yaml:1:30: collector.redact.keys must be a list of at most 64 keys such as [password, token]");
    refused("collector: { redact: { patterns: x } }",
            "c.yaml:1:34: collector.redact.patterns must be a list of at most 32 regular expressions such as "
            "['\\b\\d{16}\\b']");
    refused(
        "collector: { redact: { patterns: [a, 'b('] } }",
        "c.yaml:1:38: collector.redact.patterns regular expression \"b(\", character 3: missing closing parenthesis");
    refused("collector: { redact: { keys: [\"\"] } }",
            "c.yaml:1:31: collector.redact.keys must have 1 to 100 bytes each");
    memset(key, 'k', sizeof(key));
    key[101] = '\0';
    snprintf(text + length, sizeof(text) - length, "%s] } }", key);
    refused(text, "c.yaml:1:31: collector.redact.keys must have 1 to 100 bytes each");
    for (int i = 0; i < 65; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "k%d,", i);
    snprintf(text + length, sizeof(text) - length, "] } }");
    refused(text, "c.yaml:1:30: collector.redact.keys must be a list of at most 64 keys such as [password, token]");
}

static void an_address_that_others_reach_needs_a_token(void **state) {
    (void)state;
    refused("exporter: { listen: \"0.0.0.0:9740\" }",
            "c.yaml: exporter.listen 0.0.0.0:9740 can be reached from other hosts: set exporter.token_file as well");
    refused("exporter: { listen: here }",
            "c.yaml:1:21: exporter.listen must be an address in numbers and a port, such as 127.0.0.1:9740 or "
            "[::1]:9740, not \"here\"");
    refused("exporter: { created_samples: \"true\" }",
            "c.yaml:1:30: exporter.created_samples must be true or false, not \"true\"");
    refused("exporter: { created_samples: 1 }",
            "c.yaml:1:30: exporter.created_samples must be true or false, not \"1\"");
    refused("exporter: { gauge_suffix: a-b }",
            "c.yaml:1:27: exporter.gauge_suffix must be at most 64 letters, digits and '_'");
    refused("exporter: { health: { disk: { degraded_below: 2% } } }",
            "c.yaml: exporter.health.disk: unhealthy_below (3%) must not be above degraded_below (2%)");
    refused("exporter: { health: { disk: { degraded_below: lots } } }",
            "c.yaml:1:47: exporter.health.disk.degraded_below must be a share from 0% to 100%");
}

static void a_wrong_type_is_said_with_its_place(void **state) {
    (void)state;
    refused("namespace: 5\n", "c.yaml:1:12: namespace must be text, not a number; put it in quotes if it is meant");
    refused("namespace: [a]\n", "c.yaml:1:12: namespace must be text, not a list");
    refused("data_dir: true\n",
            "c.yaml:1:11: data_dir must be text, not a truth value; put it in quotes if it is meant");
    refused("collector: 7\n", "c.yaml:1:12: collector must be a mapping of keys to values, not a number");
    refused("- a\n", "c.yaml:1:1: the configuration must be a mapping of keys to values, not a list");
    refused("collector: { flush_entries: \"10\" }\n",
            "c.yaml:1:29: collector.flush_entries must be a whole number, not \"10\"");
    refused("collector: { flush_interval: 100 }\n",
            "c.yaml:1:30: collector.flush_interval must be a duration such as 500ms, 10s, 5m, 2h or 7d, not \"100\"");
    refused("ring: { size: big }\n", "c.yaml:1:15: ring.size must be a size such as 64KiB, 10MiB or 1GiB, not \"big\"");
    refused("agent: { inputs: { type: tail } }\n", "c.yaml:1:18: agent.inputs must be a list of inputs, not a mapping");
    refused("agent: { inputs: [journal] }\n",
            "c.yaml:1:19: an input must be a mapping such as { type: journal }, not text");
    refused("agent: { inputs: [{ type: tail, paths: /x }] }\n",
            "c.yaml:1:40: paths of a tail input must be a list such as [\"/var/log/*.log\"], not \"/x\"");
}

static void an_impossible_value_is_refused(void **state) {
    (void)state;
    refused("ring: { size: 1KiB }\n", "c.yaml:1:15: ring.size must be between 8MiB and 16GiB");
    refused("ring: { size: 99999999999999999999GiB }\n", "c.yaml:1:15: ring.size must be between 8MiB and 16GiB");
    refused("collector: { flush_entries: 0 }\n", "c.yaml:1:29: collector.flush_entries must be between 1 and 1000000");
    refused("collector: { flush_interval: 2h }\n", "c.yaml:1:30: collector.flush_interval must be between 1ms and 1m");
    refused("collector: { output: stdot }\n",
            "c.yaml:1:22: collector.output must be stdout, none or an absolute path, not \"stdot\"");
    refused("collector: { retention: { keep_free: 100% } }\n",
            "c.yaml:1:38: collector.retention.keep_free must be a share of the disk up to 90% or a size such as 1GiB, "
            "not \"100%\"");
    refused("data_dir: here\n", "c.yaml:1:11: data_dir must be an absolute path (it begins with '/'), not \"here\"");
    refused("namespace: 9lives\n",
            "c.yaml:1:12: namespace must be 1 to 64 letters, digits and '_', beginning with no digit");
    refused("agent: { inputs: [{ type: tail }] }\n", "c.yaml:1:19: a tail input needs paths");
    refused("agent: { inputs: [{ type: tail, paths: [] }] }\n", "c.yaml:1:40: a tail input needs at least one path");
    refused("agent: { inputs: [{ paths: [/x] }] }\n",
            "c.yaml:1:19: an input needs a type: tail, journal, syslog or stdin");
    refused("agent: { inputs: [{ type: tial }] }\n",
            "c.yaml:1:27: an input's type must be tail, journal, syslog or stdin, not \"tial\"");
    refused("agent: { inputs: [{ type: stdin, name: \"a b\" }] }\n",
            "c.yaml:1:40: name of a stdin input must be 1 to 100 letters, digits, '.', '_' and '-'");
}

static void what_stands_twice_is_refused(void **state) {
    (void)state;
    refused("namespace: a\nnamespace: b\n",
            "c.yaml:2:1: key \"namespace\" stands here a second time; the first is in line 1");
    refused("agent:\n  inputs:\n    - { type: tail, paths: [/x] }\n    - { type: tail, paths: [/y] }\n",
            "c.yaml:4:7: two inputs are named \"tail\"; give this one a name of its own");
    refused("agent: { inputs: [{ type: stdin }, { type: stdin, name: b }] }\n",
            "c.yaml:1:36: there is only one stdin; input \"stdin\" reads it");
    refused("agent: { inputs: [{ type: syslog }, { type: syslog, name: b }] }\n",
            "c.yaml:1:37: input \"syslog\" listens at the same place");
}

static void all_faults_are_reported_in_order(void **state) {
    static const char *const lines[] = {
        "c.yaml:1:12: namespace must be text, not a number; put it in quotes if it is meant",
        "c.yaml:2:1: unknown key \"rong\" at the top; did you mean \"ring\"?",
        "c.yaml:4:3: unknown key \"inpust\" in agent; did you mean \"inputs\"?",
        "c.yaml:6:18: collector.flush_entries must be a whole number, not \"-1\"",
    };

    (void)state;
    refused_with("namespace: 1\nrong: {}\nagent:\n  inpust: []\ncollector:\n  flush_entries: -1\n", lines,
                 COUNT_OF(lines));
}

static void the_number_of_reported_faults_is_bounded(void **state) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    char text[4096];
    size_t length = 0;

    (void)state;
    for (int i = 0; i < 150; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "key%d: 1\n", i);
    assert_int_equal(config_load_text("c.yaml", text, length, &config, &faults), -EINVAL);
    assert_int_equal(faults.count, CONFIG_FAULTS_MAX);
    assert_int_equal(faults.omitted, 50);
    config_faults_finish(&faults);
}

static void bad_yaml_has_line_and_column(void **state) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    static const char text[] = "collector:\n  output: [stdout\nagent: {}\n";
    struct config *config = NULL;

    (void)state;
    assert_int_equal(config_load_text("c.yaml", text, strlen(text), &config, &faults), -EINVAL);
    assert_int_equal(faults.count, 1);
    assert_ptr_equal(strstr(faults.lines[0], "c.yaml:3:"), faults.lines[0]);
    assert_non_null(strstr(faults.lines[0], "not valid YAML"));
    config_faults_finish(&faults);
}

static void what_could_grow_without_end_is_refused(void **state) {
    char deep[200];

    (void)state;
    refused("a: &x [1]\nb: *x\n", "c.yaml:1:4: anchors and tags are not taken here");
    refused("b: *x\n", "c.yaml:1:4: aliases are not taken here");
    refused("a: !!str b\n", "c.yaml:1:4: anchors and tags are not taken here");
    refused("namespace: a\n---\nnamespace: b\n", "c.yaml:2:1: a second document in one file");
    memset(deep, '[', 100);
    deep[100] = '\0';
    refused(deep, "c.yaml:1:33: nested too deeply");
    refused("? [a, b]\n: c\n", "c.yaml:1:3: a key must be a plain word");
}

static void control_characters_of_the_file_do_not_reach_the_terminal(void **state) {
    (void)state;
    refused("\"ring\\e[31m\": 1\n", "c.yaml:1:1: unknown key \"ring\\x1b[31m\" at the top");
}

/* --- files --- */

static void a_named_file_that_is_missing_is_a_fault(void **state) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;

    (void)state;
    assert_int_equal(config_load("/nonexistent/x.yaml", &config, &faults), -ENOENT);
    assert_string_equal(faults.lines[0], "/nonexistent/x.yaml: cannot be read: No such file or directory");
    config_faults_finish(&faults);
    assert_int_equal(config_load("/", &config, &faults), -EISDIR);
    assert_string_equal(faults.lines[0], "/: cannot be read: Is a directory");
    config_faults_finish(&faults);
}

static void the_environment_stands_in_for_the_option(void **state) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    char path[] = "/tmp/tf-config-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "namespace: mine\n", 16), 16);
    close(fd);
    setenv("TASKFORGE_CONFIG", path, 1);
    assert_int_equal(config_load(NULL, &config, &faults), 0);
    assert_string_equal(config->namespace_, "mine");
    assert_string_equal(config->file, path);
    config_destroy(config);
    unsetenv("TASKFORGE_CONFIG");
    unlink(path);
}

static void a_file_that_is_too_large_is_refused(void **state) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    size_t length = CONFIG_FILE_MAX + 1;
    char *text = malloc(length);

    (void)state;
    memset(text, '#', length);
    assert_int_equal(config_load_text("c.yaml", text, length, &config, &faults), -EINVAL);
    assert_string_equal(faults.lines[0], "c.yaml: larger than 1048576 bytes");
    config_faults_finish(&faults);
    free(text);
}

/* What deploy/ hands out to people is right, and says the defaults as they are. */
static void the_example_configuration_holds_the_defaults(void **state) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *example = NULL, *defaults = loaded("");

    (void)state;
    assert_int_equal(config_load(EXAMPLE_CONFIG, &example, &faults), 0);
    assert_int_equal(example->ring.size, defaults->ring.size);
    assert_int_equal(example->collector.flush_interval_ns, defaults->collector.flush_interval_ns);
    assert_int_equal(example->collector.flush_entries, defaults->collector.flush_entries);
    assert_int_equal(example->collector.metrics.max_series, defaults->collector.metrics.max_series);
    assert_int_equal(example->collector.metrics.max_series_per_metric,
                     defaults->collector.metrics.max_series_per_metric);
    assert_int_equal(example->collector.metrics.stale_after_ns, defaults->collector.metrics.stale_after_ns);
    assert_int_equal(example->collector.retention.max_age_ns, defaults->collector.retention.max_age_ns);
    assert_int_equal(example->collector.retention.keep_free_percent, defaults->collector.retention.keep_free_percent);
    assert_int_equal(example->collector.retention.service_count, 0);
    for (int level = 0; level < LEVEL_COUNT; level++)
        assert_int_equal(example->collector.retention.levels[level].max_age_ns, 0);
    assert_int_equal(example->labels.count, 0);
    assert_int_equal(example->collector.partition_ns, defaults->collector.partition_ns);
    assert_int_equal(example->collector.redact.keys.count, 0);
    assert_memory_equal(&example->collector.sampling, &defaults->collector.sampling,
                        sizeof(defaults->collector.sampling));
    assert_int_equal(example->collector.flight_recorder.levels, 0);
    assert_int_equal(example->collector.flight_recorder.keep_ns, defaults->collector.flight_recorder.keep_ns);
    assert_int_equal(example->agent.input_count, defaults->agent.input_count);
    for (size_t i = 0; i < example->agent.input_count; i++) {
        assert_int_equal(example->agent.inputs[i].type, defaults->agent.inputs[i].type);
        assert_int_equal(example->agent.inputs[i].ignore_older_ns, defaults->agent.inputs[i].ignore_older_ns);
        assert_string_equal(example->agent.inputs[i].name, defaults->agent.inputs[i].name);
    }
    config_destroy(example);
    config_destroy(defaults);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(without_inputs_the_hosts_logs_are_taken),
        cmocka_unit_test(reads_every_key_that_is_built),
        cmocka_unit_test(without_the_environment_the_file_names_the_folders),
        cmocka_unit_test(an_unknown_key_is_named_with_the_one_that_was_meant),
        cmocka_unit_test(a_key_that_is_not_built_is_refused_by_name),
        cmocka_unit_test(what_is_served_and_judged_is_read),
        cmocka_unit_test(history_is_read_and_can_be_off),
        cmocka_unit_test(what_goes_earlier_is_read),
        cmocka_unit_test(what_cannot_go_earlier_is_refused),
        cmocka_unit_test(labels_are_read),
        cmocka_unit_test(what_the_library_does_is_read),
        cmocka_unit_test(encryption_needs_both_its_keys),
        cmocka_unit_test(the_window_of_repeats_is_read),
        cmocka_unit_test(what_the_library_cannot_do_is_refused),
        cmocka_unit_test(an_address_that_others_reach_needs_a_token),
        cmocka_unit_test(a_wrong_type_is_said_with_its_place),
        cmocka_unit_test(an_impossible_value_is_refused),
        cmocka_unit_test(what_stands_twice_is_refused),
        cmocka_unit_test(all_faults_are_reported_in_order),
        cmocka_unit_test(the_number_of_reported_faults_is_bounded),
        cmocka_unit_test(bad_yaml_has_line_and_column),
        cmocka_unit_test(what_could_grow_without_end_is_refused),
        cmocka_unit_test(control_characters_of_the_file_do_not_reach_the_terminal),
        cmocka_unit_test(a_named_file_that_is_missing_is_a_fault),
        cmocka_unit_test(the_environment_stands_in_for_the_option),
        cmocka_unit_test(a_file_that_is_too_large_is_refused),
        cmocka_unit_test(the_example_configuration_holds_the_defaults),
    };

    setenv("TASKFORGE_RUNTIME_DIR", "/tmp/tf-run", 1);
    setenv("TASKFORGE_DATA_DIR", "/tmp/tf-data", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
