/* command.h - what the commands of tfctl share: the table's row, the session, and how they speak.
 *
 * A command is one file and one line in main.c's table. It returns the exit status. One thread.
 */
#ifndef TASKFORGE_EXPORTER_TFCTL_COMMAND_H
#define TASKFORGE_EXPORTER_TFCTL_COMMAND_H

#include <getopt.h>
#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/paths.h"
#include "common/process/config.h"
#include "common/store/reader.h"

enum exit_status { EXIT_FINE = 0, EXIT_FAULT = 1, EXIT_USAGE = 2 };

struct session {
    const struct command *command; /* the one that runs; never NULL, its name is before one was found */
    const char *config_path;       /* of --config and so on, or NULL; borrowed from argv */
    const char *data_dir_option;
    const char *runtime_dir_option;
    const char *key_path;     /* of --key, or NULL: opening.h */
    char data_dir[PATHS_MAX]; /* after session_resolve */
    char runtime_dir[PATHS_MAX];
    bool
        rings_belong; /* the rings in runtime_dir are those of this store: not so for a copy named by --data-dir alone */
    bool damaged;     /* something was passed over: the exit status says so */
    struct config_health health; /* after session_resolve: the limits of the configuration */
    struct config *config;       /* likewise, all of it; main frees it */
};

struct command {
    const char *name;
    const char *help; /* what --help prints, whole; NULL: not built yet */
    int (*run)(struct session *session, int argc, char **argv);
};

extern const struct command command_query, command_tail, command_stats, command_losses, command_verify, command_metrics;
extern const struct command command_alerts, command_ack, command_resolve, command_health, command_traces, command_trace,
    command_level, command_recorder, command_keygen, command_export, command_import;

/* --- options; every command takes the common ones, too --- */

enum { /* what getopt_long returns for options without a letter */
       OPTION_CONFIG = 256,
       OPTION_DATA_DIR,
       OPTION_RUNTIME_DIR,
       OPTION_URL,
       OPTION_HELP,
       OPTION_VERSION,
       OPTION_COMMAND_FIRST, /* a command's own start here */
};
#define COMMON_OPTIONS                                                                                                 \
    { "config", required_argument, NULL, OPTION_CONFIG }, { "data-dir", required_argument, NULL, OPTION_DATA_DIR },    \
        { "runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR },                                                \
        { "url", required_argument, NULL, OPTION_URL }, { "help", no_argument, NULL, OPTION_HELP }, {                  \
        "version", no_argument, NULL, OPTION_VERSION                                                                   \
    }

enum { GO_ON = -1 }; /* no exit status */

/* Deal with an option that is not the command's own: GO_ON, or the exit status (help was printed, or the usage is wrong; `argv` and `option` as
 * getopt_long left them). */
int session_option(struct session *session, int option, char **argv);

/* The folders, from environment, options, configuration and defaults, in that order. GO_ON, or the exit status with the reason said. */
int session_resolve(struct session *session);

/* Open the store of the session. GO_ON, or the exit status with the reason said. */
int session_open_store(struct session *session, struct store_reader **ret);

/* --- speaking; all on stderr, one line, "tfctl query: ..." --- */

int usage_error(const struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_note(const struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fault(const struct session *session, const struct error *error); /* EXIT_FAULT */
void session_damaged(void *session, const char *why);                /* for scans: said, and remembered */

#endif
