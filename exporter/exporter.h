/* exporter.h - what the exporter holds, and what its routes may use of it. `struct exporter` is the context of every route.
 *
 * Four threads: the main one (signals, the probe below), the HTTP server's (routes marked HTTP_INLINE), the query thread
 * (routes marked HTTP_QUERY) and that of scrapes (HTTP_SCRAPE), which has another one help it. Each function says which may call it.
 */
#ifndef TASKFORGE_EXPORTER_EXPORTER_H
#define TASKFORGE_EXPORTER_EXPORTER_H

#include "common/process/config.h"
#include "common/process/loop.h"
#include "common/store/reader.h"
#include "exporter/api/api.h"
#include "exporter/http.h"

struct exporter;
struct scrape;
struct self;

/* --- for main; its thread --- */

/* Make everything and listen. `loop` is borrowed, nothing of config is. */
int exporter_create(const struct config *config, struct loop *loop, struct exporter **ret, struct error *error);
/* New tokens and thresholds. What needs a new start is refused with a sentence; then all is as before. */
int exporter_reload(struct exporter *exporter, const struct config *config, struct error *error);
/* Where it listens: "http://127.0.0.1:9740/". */
const char *exporter_url(const struct exporter *exporter);
/* False: a query still runs, and the process must end as it is (http_destroy). NULL is fine. */
bool exporter_destroy(struct exporter *exporter);

/* --- for routes --- */

/* Any thread. Valid for the exporter's life. */
const char *exporter_runtime_dir(const struct exporter *exporter);
const char *exporter_data_dir(const struct exporter *exporter);
struct http *exporter_http(const struct exporter *exporter);
struct self *exporter_self(const struct exporter *exporter);

/* The query thread: what the API's handlers share, with the thresholds in force. */
struct api *exporter_api(struct exporter *exporter);

/* The thread of scrapes: what /metrics reads. */
struct scrape *exporter_scrape(struct exporter *exporter);

/* What the probe, which looks about twice a second, has found; any thread. */
struct exporter_readiness {
    bool store;     /* it can be read, and has a partition */
    bool segment;   /* likewise the metric segment */
    bool collector; /* listens, and has beaten in the segment lately */
    bool fresh;     /* the probe itself is alive */
};
struct exporter_readiness exporter_readiness(const struct exporter *exporter);

#endif
