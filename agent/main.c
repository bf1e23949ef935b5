/* main.c - taskforge-agent: takes in what apps do not write themselves, and writes it to the ring as any app does. */
#include "agent/agent.h"
#include "agent/client/producer.h"
#include "agent/host/host.h"
#include "agent/self.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/model/pack.h"
#include "common/process/daemon.h"

#include <sys/resource.h>

enum { FILES_WANTED = 8192, RUNTIME_DIR_MODE = 0755 };

static int write_entry(void *context, const struct record_entry *record) {
    return producer_write(context, record, 0);
}

static int write_position(void *context, const struct input_position *position) {
    struct record record = { .kind = RECORD_INPUT_POSITION, .input_position = *position };
    return producer_write_record(context, &record);
}

static int write_metric(void *context, const struct record_metric_update *update) {
    struct record record = { .kind = RECORD_METRIC_UPDATE, .metric_update = *update };
    return producer_write_record(context, &record);
}

static void count_loss(void *context, enum level level, uint64_t count) {
    producer_count_loss(context, level, LOSS_INPUT, count);
}

/* Thousands of files are followed: as many descriptors as we may have, up to what is enough. */
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

struct program {
    struct daemon daemon;
    struct agent *agent;
    struct host *host;
    struct producer *producer;
    struct outlet outlet;
    struct daemon_metrics *metrics;
    struct loop_timer *tell;
    struct host_counters host_told;
    int lock;
};

static void on_done(void *context) {
    struct program *program = context;
    loop_stop(program->daemon.loop, DAEMON_OK);
}

/* Say what happened in the host's metrics and end them. */
static void end_host(struct program *program) {
    if (!program->host)
        return;
    const struct host_counters *counters = host_counters(program->host);
    diag_info("host metrics: %llu looks, %llu samples, %llu repaired, %llu times held back",
              (unsigned long long)counters->looks, (unsigned long long)counters->samples,
              (unsigned long long)counters->repaired, (unsigned long long)counters->held);
    self_tell_host(program->metrics, counters, &program->host_told);
    host_destroy(program->host);
    program->host = NULL;
}

/* What happened since the last time, as metrics. */
static void tell(struct program *program) {
    agent_tell_metrics(program->agent, program->metrics);
    if (program->host)
        self_tell_host(program->metrics, host_counters(program->host), &program->host_told);
    daemon_metrics_tell_usage(program->metrics);
}

static void on_tell(struct loop_timer *timer, void *context) {
    struct program *program = context;
    tell(program);
    producer_ease(program->producer);
    loop_set_timer(timer, DAEMON_METRICS_TELL_NS);
}

static void on_stop(void *context) {
    struct program *program = context;
    end_host(program);
    agent_stop(program->agent);
}

/* The audit entry of a reload. */
static void tell_reload(struct producer *producer, const struct config *config) {
    char metadata[4096 + 64];
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    const char *const pairs[] = { "actor",  "signal", "target", config->file ? config->file : "the defaults",
                                  "reason", "SIGHUP" };
    pack_map(&writer, COUNT_OF(pairs) / 2);
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        pack_text(&writer, text_of(pairs[i]));
    struct record_entry record = { .entry = { .level = LEVEL_INFO,
                                              .service = TEXT_LITERAL("taskforge"),
                                              .module = TEXT_LITERAL("audit"),
                                              .operation = TEXT_LITERAL("reload"),
                                              .message = TEXT_LITERAL("the agent has read its configuration again") } };
    if (!writer.failed)
        record.entry.metadata = (struct text) { metadata, writer.length };
    producer_write_or_lose(producer, &record, 0);
}

static int on_reload(const struct config *config, void *context, struct error *error) {
    struct program *program = context;
    int result = agent_reload(program->agent, config, error);
    if (result == 0 && program->host) /* not while we end */
        host_set_interval(program->host, config->agent.host_metrics_interval_ns);
    if (result == 0)
        tell_reload(program->producer, config);
    return result;
}

static int set_up(struct program *program, struct error *error) {
    const struct config *config = program->daemon.config;
    int result = daemon_make_dir(config->runtime_dir, RUNTIME_DIR_MODE, "the runtime folder (runtime_dir)", error);
    if (result != 0)
        return result;
    program->lock = daemon_lock(config->runtime_dir, "agent", error);
    if (program->lock < 0)
        return program->lock;
    result = producer_open(config->runtime_dir, "taskforge-agent", &program->producer, error);
    if (result != 0)
        return result;
    producer_take_rows(program->producer);
    if (error->text[0] != '\0')
        diag_warn("%s; inputs hold back until that changes", error->text);
    program->outlet = (struct outlet) { write_entry, write_position, write_metric, count_loss, program->producer };
    error->text[0] = '\0';
    result = daemon_metrics_create(program->producer, "taskforge-agent", &program->metrics, error);
    if (result != 0)
        return result;
    result = agent_create(config, program->daemon.loop, &program->outlet, on_done, program, &program->agent, error);
    if (result != 0)
        return result;
    struct host_options options = { .interval_ns = config->agent.host_metrics_interval_ns };
    result = host_create(program->daemon.loop, &program->outlet, &options, &program->host, error);
    if (result != 0)
        return result;
    result = loop_add_timer(program->daemon.loop, on_tell, program, &program->tell);
    if (result != 0)
        return error_set(error, result, "cannot set up a timer: %s", strerror(-result));
    loop_set_timer(program->tell, 0);
    program->daemon.context = program;
    program->daemon.stop = on_stop;
    program->daemon.reload = on_reload;
    return 0;
}

int main(int argc, char **argv) {
    static const struct daemon_spec spec = {
        .program = "taskforge-agent",
        .summary = "Takes in files, stdin, the journal, syslog and the host's metrics, and writes them to the ring.",
    };
    static struct program program;
    struct error error = { 0 };
    int status = daemon_setup(&program.daemon, &spec, argc, argv);
    if (status != DAEMON_GO_ON)
        return status;
    raise_file_limit();
    if (set_up(&program, &error) == 0) {
        size_t count = agent_input_count(program.agent);
        daemon_ready(&program.daemon, "taking in %zu input%s", count, count == 1 ? "" : "s");
        status = daemon_run(&program.daemon);
        tell(&program);
        agent_say_counters(program.agent);
    } else {
        diag_error("%s", error.text);
        status = DAEMON_FAILED;
    }
    end_host(&program);
    agent_destroy(program.agent);
    daemon_metrics_destroy(program.metrics);
    producer_close(program.producer);
    daemon_finish(&program.daemon);
    return status;
}
