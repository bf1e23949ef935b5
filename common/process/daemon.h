/* daemon.h - what the main of every daemon has in common (CONTRACT section 1).
 *
 *   int main(int argc, char **argv) {
 *       struct daemon daemon;
 *       int status = daemon_setup(&daemon, &spec, argc, argv);
 *       if (status != DAEMON_GO_ON)
 *           return status;
 *       ... status = set_up_what_is_ours(&daemon, &us, &error) ...
 *       if (status == 0) {
 *           daemon_ready(&daemon, "taking in 3 inputs");
 *           status = daemon_run(&daemon);
 *       }
 *       ...
 *       daemon_finish(&daemon);
 *       return status;
 *   }
 *
 * These functions speak to the user (diag, stdout) since only mains call them. Not thread-safe.
 */
#ifndef TASKFORGE_COMMON_PROCESS_DAEMON_H
#define TASKFORGE_COMMON_PROCESS_DAEMON_H

#include "common/base/error.h"
#include "common/process/config.h"
#include "common/process/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DAEMON_GO_ON = -1 }; /* of daemon_setup: no exit status, run */
enum daemon_status { DAEMON_OK = 0, DAEMON_FAILED = 1, DAEMON_USAGE = 2 };

/* An option of one daemon's own, "--name" or "--name VALUE"; *value (or *flag) is set when it is given. */
struct daemon_option {
    const char *name;     /* "--drain" */
    const char *argument; /* what --help calls its value; NULL: the option takes none */
    const char *help;
    const char **value; /* borrowed from argv */
    bool *flag;
};

/* For --check, of a configuration without a fault: whether the other files that this daemon reads (a rules file, a secret)
 * are sound. 0; or a negative errno with at least one line in *faults. */
typedef int daemon_judge_function(const struct config *config, struct config_faults *faults);

struct daemon_spec {
    const char *program; /* "taskforge-agent" */
    const char *summary; /* one sentence for --help */
    const struct daemon_option *options;
    size_t option_count;
    daemon_judge_function *judge; /* may be NULL */
};

/* On SIGHUP, with a configuration that was read without a fault. 0: taken, the daemon's `config` is replaced after the call
 * and the old one freed, so copy nothing out of the old one past it. Negative, with a sentence: refused, the old stays. */
typedef int daemon_reload_function(const struct config *config, void *context, struct error *error);
/* On SIGTERM and SIGINT: begin to end, and call loop_stop when what was in hand is done. A second signal stops at once. */
typedef void daemon_stop_function(void *context);

struct daemon {
    const struct daemon_spec *spec;
    const char *config_path; /* of --config, or NULL */
    struct config *config;   /* owned: the one in force */
    struct loop *loop;       /* owned */
    daemon_reload_function *reload;
    daemon_stop_function *stop;
    void *context; /* of both; the three are set by the daemon between setup and run, each may be NULL */
    /* private from here */
    int notify_fd;
    struct loop_timer *watchdog;
    uint64_t watchdog_ns;
    bool stopping;
};

/* Parse argv, answer --help, --version and --check, load the configuration, make the loop, ignore SIGPIPE, take SIGTERM,
 * SIGINT and SIGHUP through the loop, find systemd's sockets. Returns DAEMON_GO_ON, or the exit status with everything said
 * and nothing left to finish. */
int daemon_setup(struct daemon *daemon, const struct daemon_spec *spec, int argc, char **argv);

/* Say that the daemon serves: READY=1 and STATUS= to systemd, one line "ready: ..." on stderr. */
void daemon_ready(struct daemon *daemon, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* STATUS= alone; nothing on stderr. */
void daemon_status(struct daemon *daemon, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Run the loop, with the watchdog fed. Returns the exit status. */
int daemon_run(struct daemon *daemon);
void daemon_finish(struct daemon *daemon);

/* --- folders and the instance lock; pure of any struct daemon --- */

/* Hold DIR/NAME.lock for this process until the descriptor is closed (or the process dies, however). Returns the
 * descriptor; -EBUSY with a sentence naming the program and pid that hold it; another negative errno. */
int daemon_lock(const char *dir, const char *name, struct error *error);

/* Make sure that `path` is a folder that this process can write to; its last part is created with `mode` when missing.
 * `what` names it in the sentence ("the data folder (data_dir)"). 0 or a negative errno. */
int daemon_make_dir(const char *path, mode_t mode, const char *what, struct error *error);

/* The collector's: RUNTIME_DIR (0755) and RUNTIME_DIR/rings (03773: setgid, sticky; whoever may run here may create a ring
 * there, nobody but the owner may list it). */
int daemon_runtime_dirs(const char *runtime_dir, struct error *error);

#endif
