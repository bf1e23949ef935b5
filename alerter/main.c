/* main.c - taskforge-alerter: evaluates rules over store and metric segment, keeps alerts, notifies. */
#include "alerter/alerter.h"
#include "alerter/rules_file.h"
#include "alerter/send_test.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDER_MODE = 0755 };

struct program {
    struct daemon daemon;
    struct alerter *alerter;
    int lock;
};

/* --- rules --- */

static int judge_rules(const struct config *config, struct config_faults *faults) {
    struct rules *rules = NULL;
    int result = rules_load(&config->alerter.rules_files, &rules, faults);
    rules_destroy(rules);
    return result;
}

/* 0 and *ret; or every fault is said, and one sentence is in *error. */
static int load_rules(const struct config *config, struct rules **ret, struct error *error) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    int result = rules_load(&config->alerter.rules_files, ret, &faults);
    for (size_t i = 0; i < faults.count; i++)
        diag_error("%s", faults.lines[i]);
    if (result < 0)
        error_set(error, result, "%zu fault%s in the rules files (alerter.rules_files)", faults.count + faults.omitted,
                  faults.count + faults.omitted == 1 ? "" : "s");
    config_faults_finish(&faults);
    return result;
}

/* --- the daemon --- */

static void on_done(void *context) {
    struct program *program = context;
    loop_stop(program->daemon.loop, DAEMON_OK);
}

static void on_stop(void *context) {
    struct program *program = context;
    alerter_stop(program->alerter, on_done, program);
}

static int on_reload(const struct config *config, void *context, struct error *error) {
    struct program *program = context;
    struct rules *rules;
    int result = load_rules(config, &rules, error);
    return result < 0 ? result : alerter_reload(program->alerter, config, rules, error);
}

static int set_up(struct program *program, struct rules *rules, struct error *error) {
    const struct config *config = program->daemon.config;
    int result = daemon_make_dir(config->runtime_dir, FOLDER_MODE, "the runtime folder (runtime_dir)", error);
    (void)mkdir(config->data_dir, FOLDER_MODE); /* whoever comes first; it may be the collector's, with ours inside */
    if (result == 0) {
        program->lock = daemon_lock(config->runtime_dir, "alerter", error);
        result = program->lock < 0 ? program->lock : 0;
    }
    if (result < 0) {
        rules_destroy(rules);
        return result;
    }
    result = alerter_create(config, rules, program->daemon.loop, &program->alerter, error);
    program->daemon.context = program;
    program->daemon.stop = on_stop;
    program->daemon.reload = on_reload;
    return result;
}

static void say_ready(struct daemon *daemon, size_t rules, size_t files) {
    if (files == 0)
        daemon_ready(daemon, "no rules files (alerter.rules_files), nothing to watch; alerts are served");
    else
        daemon_ready(daemon, "watching %zu rule%s", rules, rules == 1 ? "" : "s");
}

static int run(struct program *program) {
    struct error error = { "" };
    struct rules *rules = NULL;
    int status = DAEMON_FAILED;
    if (load_rules(program->daemon.config, &rules, &error) < 0) {
        diag_error("%s", error.text);
    } else {
        size_t count = rules->rule_count;
        if (set_up(program, rules, &error) < 0) {
            diag_error("%s", error.text);
        } else {
            say_ready(&program->daemon, count, program->daemon.config->alerter.rules_files.count);
            status = daemon_run(&program->daemon);
        }
    }
    alerter_destroy(program->alerter);
    daemon_finish(&program->daemon);
    return status;
}

/* --- send-test CHANNEL --- */

static int print_answer(const struct channel_config *channel) {
    struct buffer answer = BUFFER_EMPTY;
    struct error error = { "" };
    int result = send_test(channel, &answer, &error);
    if (answer.length > 0)
        printf("%.*s%s", TEXT_FORMAT(buffer_text(&answer)), answer.data[answer.length - 1] == '\n' ? "" : "\n");
    if (result < 0 && error.text[0] != '\0')
        diag_error("%s", error.text);
    buffer_finish(&answer);
    return result == 0 && fflush(stdout) == 0 ? DAEMON_OK : DAEMON_FAILED;
}

static int send_one(const struct config *config, const char *name) {
    struct error error = { "" };
    struct rules *rules = NULL;
    if (load_rules(config, &rules, &error) < 0) {
        diag_error("%s", error.text);
        return DAEMON_FAILED;
    }
    const struct channel_config *channel = rules_channel(rules, name);
    if (!channel && config->alerter.rules_files.count == 0)
        diag_error("there is no channel named \"%s\": the configuration names no rules files (alerter.rules_files); "
                   "another configuration: --config FILE",
                   name);
    else if (!channel)
        diag_error("there is no channel named \"%s\" in the rules files", name);
    int status = channel ? print_answer(channel) : DAEMON_FAILED;
    rules_destroy(rules);
    return status;
}

/* "send-test CHANNEL" before the options. DAEMON_GO_ON, or the exit status with everything said. */
static int take_command(int *argc, char ***argv, const char **ret_channel) {
    static const char *const not_built[] = { "test", "replay" };
    const char *command = *argc > 1 ? (*argv)[1] : "";
    diag_open("taskforge-alerter");
    for (size_t i = 0; i < COUNT_OF(not_built); i++)
        if (strcmp(command, not_built[i]) == 0) {
            diag_error("\"%s\" is not built yet", command);
            return DAEMON_USAGE;
        }
    if (strcmp(command, "send-test") != 0)
        return DAEMON_GO_ON;
    if (*argc < 3 || (*argv)[2][0] == '-' || (*argv)[2][0] == '\0') {
        diag_error("send-test needs a channel; usage: taskforge-alerter send-test CHANNEL [--config FILE]");
        return DAEMON_USAGE;
    }
    *ret_channel = (*argv)[2];
    (*argv)[2] = (*argv)[0];
    *argc -= 2;
    *argv += 2;
    return DAEMON_GO_ON;
}

int main(int argc, char **argv) {
    static const struct daemon_spec spec = {
        .program = "taskforge-alerter",
        .summary = "Evaluates rules over the log and the metrics, keeps alerts, and notifies.\n"
                   "\"taskforge-alerter send-test CHANNEL\" sends one test notification, prints the answer, and ends.",
        .judge = judge_rules,
    };
    static struct program program;
    const char *channel = NULL;
    int status = take_command(&argc, &argv, &channel);
    if (status == DAEMON_GO_ON)
        status = daemon_setup(&program.daemon, &spec, argc, argv);
    if (status != DAEMON_GO_ON)
        return status;
    if (!channel)
        return run(&program);
    status = send_one(program.daemon.config, channel);
    daemon_finish(&program.daemon);
    return status;
}
