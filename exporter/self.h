/* self.h - the exporter's metrics about itself, told to the collector as any app's are. */
#ifndef TASKFORGE_EXPORTER_SELF_H
#define TASKFORGE_EXPORTER_SELF_H

#include "agent/client/daemon_metrics.h"
#include "common/base/error.h"
#include "exporter/http.h"

struct self;

/* `producer` is borrowed. -ENOMEM. */
int self_open(struct producer *producer, struct self **ret, struct error *error);
void self_close(struct self *self); /* NULL is fine; before the producer */

/* What the server has counted, and what the process uses: about once a second, one thread. */
void self_tell(struct self *self, const struct http_counters *counters);

/* A query, a scrape of /metrics took that long; any thread. */
void self_queried(struct self *self, uint64_t started); /* of tf_timer_start (taskforge.h) */
void self_scraped(struct self *self, uint64_t started, size_t bytes);

/* An answer; the server's thread. route NULL: of a request that came to none. */
void self_answered(struct self *self, const struct http_route *route, unsigned status, uint64_t duration_ns);

#endif
