/* command.c - see command.h. */
#include "exporter/tfctl/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/process/config.h"

__attribute__((format(printf, 2, 0))) static void say(const struct session *session, const char *format,
                                                      va_list arguments) {
    char line[ERROR_TEXT_SIZE + 256];
    int length = vsnprintf(line, sizeof(line), format, arguments);
    if (length >= (int)sizeof(line))
        length = (int)sizeof(line) - 1;
    if (length < 0)
        return;
    text_blank_controls(line, (size_t)length);
    const char *name = session->command->name;
    fprintf(stderr, "tfctl%s%s: %s\n", name ? " " : "", name ? name : "", line);
}

int usage_error(const struct session *session, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(session, format, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

void session_note(const struct session *session, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(session, format, arguments);
    va_end(arguments);
}

int fault(const struct session *session, const struct error *error) {
    session_note(session, "%s", error->text);
    return EXIT_FAULT;
}

void session_damaged(void *argument, const char *why) {
    struct session *session = argument;
    session->damaged = true;
    session_note(session, "passed over: %s", why);
}

static void partition_damaged(void *argument, const char *path, const char *why) {
    struct session *session = argument;
    session->damaged = true;
    session_note(session, "passed over: %s: %s", path, why);
}

/* What getopt_long could not take; it left the word in argv[optind - 1] (or the letter in optopt). */
static int unknown_option(const struct session *session, int option, char **argv) {
    const char *word = argv[optind - 1];
    const char *name = session->command->name ? session->command->name : "";
    if (option == ':')
        return usage_error(session, "option %s: a value is expected behind it", word);
    if (optopt > 0 && optopt < 256)
        return usage_error(session, "unknown option -%c: expected one of those in \"tfctl %s%s--help\"", optopt, name,
                           name[0] ? " " : "");
    return usage_error(session, "unknown option %s: expected one of those in \"tfctl %s%s--help\"", word, name,
                       name[0] ? " " : "");
}

int session_option(struct session *session, int option, char **argv) {
    switch (option) {
    case OPTION_CONFIG:
        session->config_path = optarg;
        return GO_ON;
    case OPTION_DATA_DIR:
        session->data_dir_option = optarg;
        return GO_ON;
    case OPTION_RUNTIME_DIR:
        session->runtime_dir_option = optarg;
        return GO_ON;
    case OPTION_URL:
        return usage_error(session, "--url is not built yet: tfctl reads the store itself");
    case OPTION_HELP:
        fputs(session->command->help, stdout);
        return EXIT_FINE;
    case OPTION_VERSION:
        puts("tfctl " TASKFORGE_VERSION);
        return EXIT_FINE;
    default:
        return unknown_option(session, option, argv);
    }
}

/* --- folders --- */

static bool is_set(const char *variable) {
    const char *value = secure_getenv(variable);
    return value && value[0] == '/'; /* as paths.c takes it */
}

/* An option stands above the environment, that above the file and its defaults (config.c has settled those). */
static int resolve(struct session *session, const char *option_name, const char *option, const char *configured,
                   char out[PATHS_MAX]) {
    int length = snprintf(out, PATHS_MAX, "%s", option ? option : configured);
    return length < PATHS_MAX ? GO_ON : usage_error(session, "%s: the path is too long", option_name);
}

int session_resolve(struct session *session) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    if (config_load(session->config_path, &config, &faults) < 0) {
        for (size_t i = 0; i < faults.count; i++)
            session_note(session, "%s", faults.lines[i]);
        config_faults_finish(&faults);
        return EXIT_FAULT;
    }
    int status = resolve(session, "--data-dir", session->data_dir_option, config->data_dir, session->data_dir);
    if (status == GO_ON)
        status =
            resolve(session, "--runtime-dir", session->runtime_dir_option, config->runtime_dir, session->runtime_dir);
    session->health = config->exporter.health;
    bool data_named = session->data_dir_option != NULL;
    session->rings_belong = !data_named || session->runtime_dir_option || is_set("TASKFORGE_RUNTIME_DIR");
    config_destroy(session->config);
    session->config = config;
    struct error error = { "" };
    if (status == GO_ON && session->data_dir_option &&
        access(session->data_dir, F_OK) < 0) { /* a slip is no empty store */
        error_set(&error, -errno, "--data-dir %s: %s", session->data_dir, strerror(errno));
        return fault(session, &error);
    }
    return status;
}

int session_open_store(struct session *session, struct store_reader **ret) {
    struct error error = { "" };
    if (store_reader_open(session->data_dir, partition_damaged, session, ret, &error) < 0)
        return fault(session, &error);
    return GO_ON;
}
