/* taskforge-collector - the only reader of the rings and the only writer of the store. */
#include <signal.h>
#include <sys/resource.h>

#include "collector/collector.h"
#include "common/base/diag.h"
#include "common/process/config_fault.h"
#include "common/process/daemon.h"

enum { FILES_WANTED = 8192 };

/* Each process that writes is watched by a descriptor: as many as we may have, up to what is enough for some rings full of them. */
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* For --check: the public key that values are sealed to. */
static int judge_key(const struct config *config, struct config_faults *faults) {
    uint8_t key[SEAL_KEY_BYTES];
    struct error error = { "" };
    int result = intake_read_key(config, key, &error);
    if (result < 0)
        config_fault_add(faults, config->file ? config->file : CONFIG_DEFAULT_PATH, 0, 0, "%s", error.text);
    return result;
}

static int on_reload(const struct config *config, void *context, struct error *error) {
    return collector_reload(context, config, error);
}

static void on_stop(void *context) {
    struct collector *collector = context;
    collector_drain_all(collector);
    loop_stop(collector->loop, DAEMON_OK);
}

int main(int argc, char **argv) {
    static const struct daemon_spec spec = {
        .program = "taskforge-collector",
        .summary = "Reads the rings of all users, writes the store, and prints each stored entry as one JSON line.",
        .judge = judge_key,
    };
    static struct collector collector; /* outlives an output thread that hangs in a write */
    struct daemon daemon;
    struct error error = { "" };
    int status = daemon_setup(&daemon, &spec, argc, argv);
    if (status != DAEMON_GO_ON)
        return status;
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write, like a full disk */
    raise_file_limit();
    if (collector_start(&collector, daemon.config, daemon.loop, &error) < 0) {
        diag_error("%s", error.text);
        daemon_finish(&daemon);
        return DAEMON_FAILED;
    }
    daemon.reload = on_reload;
    daemon.stop = on_stop;
    daemon.context = &collector;
    daemon_ready(&daemon, "%zu ring%s, the store goes on at sequence %llu", collector.rings.count,
                 collector.rings.count == 1 ? "" : "s", (unsigned long long)collector.writer.sequence.next);
    status = daemon_run(&daemon);
    collector_finish(&collector);
    daemon_finish(&daemon);
    return status;
}
