/* main.c - taskforge-exporter: what the host knows, over HTTP. */
#include "common/base/diag.h"
#include "common/process/daemon.h"
#include "exporter/exporter.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    FILES_WANTED = 4096,
    HEAP_KEPT = 4 * 1024 * 1024, /* free at a heap's end, of which each thread that answers queries has one */
};

/* Connections, and the partitions of the store: as many descriptors as we may have, up to what is enough. */
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int on_reload(const struct config *config, void *context, struct error *error) {
    return exporter_reload(context, config, error);
}

int main(int argc, char **argv) {
    static const struct daemon_spec spec = {
        .program = "taskforge-exporter",
        .summary = "Serves metrics, health, logs, alerts and the dashboard over HTTP.",
    };
    struct daemon daemon;
    struct exporter *exporter = NULL;
    struct error error = { 0 };
    int status = daemon_setup(&daemon, &spec, argc, argv);
    if (status != DAEMON_GO_ON)
        return status;
    raise_file_limit();
    /* Columns of some hundred KiB come and go by the thousand: keep their pages instead of giving each back to the kernel. */
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    if (exporter_create(daemon.config, daemon.loop, &exporter, &error) < 0) {
        diag_error("%s", error.text);
        status = DAEMON_FAILED;
    } else {
        daemon.context = exporter;
        daemon.reload = on_reload;
        daemon_ready(&daemon, "listening on %s", exporter_url(exporter));
        status = daemon_run(&daemon);
    }
    if (!exporter_destroy(exporter))
        quick_exit(status); /* a query is in the middle of its reading; what is said at an end is said all the same */
    daemon_finish(&daemon);
    return status;
}
