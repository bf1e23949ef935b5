#include "common/process/daemon.h"

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/process/notify.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_SIZE = 256 };

/* --- the command line --- */

struct command_line {
    const char *config_path;
    bool check, version, help;
};

static const struct daemon_option *find_option(const struct daemon_spec *spec, const struct daemon_option *common,
                                               size_t common_count, const char *name, size_t length) {
    for (size_t i = 0; i < common_count + spec->option_count; i++) {
        const struct daemon_option *option = i < common_count ? &common[i] : &spec->options[i - common_count];

        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

static int wrong_usage(const struct daemon_spec *spec, const char *what, const char *argument) {
    diag_error("%s \"%s\"; usage: %s [--config FILE] [--check] (see --help)", what, argument, spec->program);
    return DAEMON_USAGE;
}

/* "--name VALUE", "--name=VALUE", "--name". DAEMON_GO_ON or DAEMON_USAGE. */
static int parse_options(const struct daemon_spec *spec, const struct daemon_option *common, size_t common_count,
                         int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        size_t length = strcspn(argv[i], "=");
        const struct daemon_option *option = find_option(spec, common, common_count, argv[i], length);

        if (!option)
            return wrong_usage(spec, "unknown argument", argv[i]);
        if (!option->argument && argv[i][length] == '=')
            return wrong_usage(spec, "no value is taken by", argv[i]);
        if (!option->argument)
            *option->flag = true;
        else if (argv[i][length] == '=')
            *option->value = argv[i] + length + 1;
        else if (i + 1 < argc)
            *option->value = argv[++i];
        else
            return wrong_usage(spec, "a value is missing after", argv[i]);
        if (option->argument && **option->value == '\0')
            return wrong_usage(spec, "an empty value is given to", option->name);
    }
    return DAEMON_GO_ON;
}

static void print_option(const struct daemon_option *option) {
    char left[64];

    snprintf(left, sizeof(left), "%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    printf("  %-20s %s\n", left, option->help);
}

static void print_help(const struct daemon_spec *spec, const struct daemon_option *common, size_t common_count) {
    printf("Usage: %s [OPTION...]\n%s\n\n", spec->program, spec->summary);
    for (size_t i = 0; i < common_count; i++)
        print_option(&common[i]);
    for (size_t i = 0; i < spec->option_count; i++)
        print_option(&spec->options[i]);
    printf("\nIt stays in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again.\n"
           "TASKFORGE_CONFIG, TASKFORGE_RUNTIME_DIR and TASKFORGE_DATA_DIR stand in for --config and for the keys\n"
           "runtime_dir and data_dir.\n");
}

/* Whatever stdout got must have arrived: a full disk or a closed pipe is a failure, not a success. */
static int printed(void) {
    return fflush(stdout) == 0 && !ferror(stdout) ? DAEMON_OK : DAEMON_FAILED;
}

static int parse_arguments(const struct daemon_spec *spec, int argc, char **argv, struct command_line *line) {
    const struct daemon_option common[] = {
        { "--config", "FILE", "the configuration (default " CONFIG_DEFAULT_PATH ")", &line->config_path, NULL },
        { "--check", NULL, "check the configuration, say what is wrong, and exit", NULL, &line->check },
        { "--version", NULL, "say which version this is, and exit", NULL, &line->version },
        { "--help", NULL, "this", NULL, &line->help },
    };
    int status = parse_options(spec, common, COUNT_OF(common), argc, argv);

    if (status != DAEMON_GO_ON)
        return status;
    if (line->help)
        print_help(spec, common, COUNT_OF(common));
    else if (line->version)
        printf("%s %s\n", spec->program, TASKFORGE_VERSION);
    else
        return DAEMON_GO_ON;
    return printed();
}

/* --- configuration --- */

static void report_faults(const struct config_faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        diag_error("%s", faults->lines[i]);
    if (faults->omitted > 0)
        diag_error("and %zu faults more", faults->omitted);
}

/* The bare lines on stdout, as compilers' users expect them. */
static int print_check(const struct daemon_spec *spec, const char *path) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    int status, r = config_load(path, &config, &faults);

    if (r == 0 && spec->judge)
        r = spec->judge(config, &faults);
    status = r < 0 ? DAEMON_FAILED : DAEMON_OK;
    for (size_t i = 0; i < faults.count; i++)
        printf("%s\n", faults.lines[i]);
    if (faults.omitted > 0)
        printf("and %zu faults more\n", faults.omitted);
    config_faults_finish(&faults);
    config_destroy(config);
    return printed() == DAEMON_OK ? status : DAEMON_FAILED;
}

static int load_config(struct daemon *daemon, struct config **ret) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    int r = config_load(daemon->config_path, ret, &faults);

    if (r < 0)
        report_faults(&faults);
    config_faults_finish(&faults);
    return r;
}

/* --- signals --- */

static void reload(struct loop *loop, int number, void *context) {
    struct daemon *daemon = context;
    struct error error = { 0 };
    struct config *config = NULL;
    int r;

    (void)loop, (void)number;
    notify_send(daemon->notify_fd, "STATUS=reading the configuration again");
    r = load_config(daemon, &config);
    if (r == 0 && daemon->reload)
        r = daemon->reload(config, daemon->context, &error);
    if (r < 0) {
        diag_error("the configuration was not taken%s%s; the old one stays", error.text[0] ? ": " : "", error.text);
        notify_send(daemon->notify_fd, "STATUS=a faulty configuration was refused, the old one is in force");
        config_destroy(config);
        return;
    }
    config_destroy(daemon->config);
    daemon->config = config;
    diag_info("the configuration was read again");
    notify_send(daemon->notify_fd, "STATUS=running with the configuration read again");
}

static void stop(struct loop *loop, int number, void *context) {
    struct daemon *daemon = context;

    (void)number;
    if (daemon->stopping || !daemon->stop) {
        loop_stop(loop, DAEMON_OK);
        return;
    }
    daemon->stopping = true;
    notify_send(daemon->notify_fd, "STOPPING=1\nSTATUS=finishing what is in hand");
    daemon->stop(daemon->context);
}

static int take_signals(struct daemon *daemon) {
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    int r;

    if (sigaction(SIGPIPE, &ignore, NULL) < 0)
        return -errno;
    r = loop_add_signal(daemon->loop, SIGTERM, stop, daemon);
    if (r == 0)
        r = loop_add_signal(daemon->loop, SIGINT, stop, daemon);
    if (r == 0)
        r = loop_add_signal(daemon->loop, SIGHUP, reload, daemon);
    return r;
}

/* --- the watchdog --- */

static void feed_watchdog(struct loop_timer *timer, void *context) {
    struct daemon *daemon = context;

    notify_send(daemon->notify_fd, "WATCHDOG=1");
    loop_set_timer(timer, daemon->watchdog_ns / 2);
}

static int start_watchdog(struct daemon *daemon) {
    int r;

    daemon->watchdog_ns = notify_watchdog_ns();
    if (daemon->watchdog_ns == 0 || daemon->notify_fd < 0)
        return 0;
    r = loop_add_timer(daemon->loop, feed_watchdog, daemon, &daemon->watchdog);
    if (r == 0)
        loop_set_timer(daemon->watchdog, daemon->watchdog_ns / 2);
    return r;
}

/* --- a daemon's life --- */

/* 0, 1 and 2 are kept open, so that no file of ours ever gets the number of a closed stdout. */
static int keep_standard_descriptors(void) {
    FILE *null;

    for (int fd = 0; fd <= 2; fd++) {
        char mode[] = "r+";

        if (lseek(fd, 0, SEEK_CUR) != (off_t)-1 || errno != EBADF)
            continue;
        null = fopen("/dev/null", mode); /* gets the lowest free number, which is this one; meant to stay */
        if (!null)
            return -errno;
    }
    return 0;
}

static int set_up(struct daemon *daemon) {
    struct error error = { 0 };
    int r = loop_create(&daemon->loop, &error);

    if (r < 0) {
        diag_error("%s", error.text);
        return r;
    }
    r = take_signals(daemon);
    if (r == 0) {
        daemon->notify_fd = notify_open();
        r = start_watchdog(daemon);
    }
    if (r < 0) {
        diag_error("cannot set up signals and timers: %s", strerror(-r));
        return r;
    }
    return load_config(daemon, &daemon->config);
}

int daemon_setup(struct daemon *daemon, const struct daemon_spec *spec, int argc, char **argv) {
    struct command_line line = { 0 };
    int status;

    *daemon = (struct daemon) { .spec = spec, .notify_fd = -1 };
    diag_open(spec->program);
    if (keep_standard_descriptors() < 0)
        return DAEMON_FAILED;
    status = parse_arguments(spec, argc, argv, &line);
    if (status != DAEMON_GO_ON)
        return status;
    if (line.check)
        return print_check(spec, line.config_path);
    daemon->config_path = line.config_path;
    if (set_up(daemon) < 0) {
        daemon_finish(daemon);
        return DAEMON_FAILED;
    }
    return DAEMON_GO_ON;
}

/* "PREFIX" and the sentence as one STATUS= assignment: a newline in it would begin another. */
static void send_status(struct daemon *daemon, const char *prefix, char sentence[STATUS_SIZE]) {
    char text[STATUS_SIZE + 32];

    for (char *c = sentence; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = '?';
    snprintf(text, sizeof(text), "%sSTATUS=%s", prefix, sentence);
    notify_send(daemon->notify_fd, text);
}

void daemon_ready(struct daemon *daemon, const char *format, ...) {
    char sentence[STATUS_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    send_status(daemon, "READY=1\n", sentence);
    diag_info("ready: %s", sentence);
}

void daemon_status(struct daemon *daemon, const char *format, ...) {
    char sentence[STATUS_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    send_status(daemon, "", sentence);
}

int daemon_run(struct daemon *daemon) {
    int code = loop_run(daemon->loop);

    notify_send(daemon->notify_fd, "STOPPING=1");
    if (code < 0) {
        diag_error("the event loop failed: %s", strerror(-code));
        return DAEMON_FAILED;
    }
    return code;
}

void daemon_finish(struct daemon *daemon) {
    loop_destroy(daemon->loop);
    config_destroy(daemon->config);
    if (daemon->notify_fd >= 0)
        close(daemon->notify_fd);
    *daemon = (struct daemon) { .spec = daemon->spec, .notify_fd = -1 };
}
