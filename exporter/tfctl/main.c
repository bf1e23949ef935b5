/* main.c - tfctl, the read side for people: finds the command and runs it. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "exporter/tfctl/command.h"

static const struct command *const built[] = {
    &command_query,  &command_tail,  &command_stats,   &command_losses,   &command_verify,
    &command_alerts, &command_ack,   &command_resolve, &command_health,   &command_metrics,
    &command_traces, &command_trace, &command_level,   &command_recorder, &command_keygen, &command_export,
    &command_import,
};

static const char *const not_built[] = {
    "eval", "service", "silence", "top", "sinks",
};

enum { HEAP_KEPT = 32 * 1024 * 1024 };

static const struct option options[] = { COMMON_OPTIONS, { 0 } };

static const char usage[] =
    "usage: tfctl [--config FILE] [--data-dir DIR] [--runtime-dir DIR] COMMAND [OPTIONS]\n"
    "The read side of TaskForge Monitoring.\n\n"
    "  query [FILTER]    matching entries of the store\n"
    "  tail [-f]         the last entries, and those that come\n"
    "  stats             how many entries by service and level\n"
    "  losses            what was dropped: from whom, how many, when, why\n"
    "  verify            check the store\n"
    "  export FILE       entries into one file that can be carried elsewhere\n"
    "  import FILE       such a file, or lines of JSON, into the store\n"
    "  metrics [PREFIX]  what all metrics are now\n"
    "  traces [--active] the latest traces, or those with a span open now\n"
    "  trace ID          one trace as a waterfall, its entries in place\n"
    "  health            how database, memory, disk and pipeline are\n"
    "  alerts            what is active; ack ID, resolve ID\n"
    "  level             which levels running programs write: set LEVEL, show, reset\n"
    "  recorder store    what the flight recorder holds of running programs\n"
    "  keygen FILE       a pair of keys, for encrypted fields\n\n"
    "  --help            of a command with \"tfctl COMMAND --help\"\n"
    "  --version\n\n"
    "The environment variables TASKFORGE_CONFIG, TASKFORGE_DATA_DIR and TASKFORGE_RUNTIME_DIR stand in for the\n"
    "options.\n";

static const struct command general = { .name = NULL, .help = usage };

/* "query, tail, ... or health", of the table. */
static const char *expected(char *out, size_t size) {
    size_t used = 0;
    for (size_t i = 0; i < COUNT_OF(built) && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s",
                                 i == 0                    ? ""
                                 : i + 1 < COUNT_OF(built) ? ", "
                                                           : " or ",
                                 built[i]->name);
    return out;
}

static int run_command(struct session *session, int argc, char **argv) {
    for (size_t i = 0; i < COUNT_OF(built); i++) {
        if (strcmp(argv[0], built[i]->name) == 0) {
            session->command = built[i];
            optind = 0; /* glibc: start anew with this argv */
            opterr = 0;
            return built[i]->run(session, argc, argv);
        }
    }
    char names[256];
    for (size_t i = 0; i < COUNT_OF(not_built); i++)
        if (strcmp(argv[0], not_built[i]) == 0)
            return usage_error(session, "\"%s\" is not built yet: expected %s", argv[0],
                               expected(names, sizeof(names)));
    return usage_error(session, "unknown command \"%s\": expected %s", argv[0], expected(names, sizeof(names)));
}

int main(int argc, char **argv) {
    struct session session = { .command = &general };
    int option, status = GO_ON;
    char names[256];
    opterr = 0;
    /* Columns of some hundred KiB come and go by the thousand: keep their pages instead of giving each back to the kernel. */
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    while (status == GO_ON && (option = getopt_long(argc, argv, "+:", options, NULL)) != -1)
        status = session_option(&session, option, argv);
    if (status == GO_ON && optind == argc)
        status = usage_error(&session, "expected a command: %s (see tfctl --help)", expected(names, sizeof(names)));
    else if (status == GO_ON)
        status = run_command(&session, argc - optind, argv + optind);
    config_destroy(session.config);
    if (fflush(stdout) != 0 && status == EXIT_FINE)
        status = EXIT_FAULT;
    return status;
}
