/* self.h - the exporter's metrics about itself, told to the collector as any app's are. */
#ifndef TASKFORGE_EXPORTER_SELF_H
#define TASKFORGE_EXPORTER_SELF_H

#include "common/base/error.h"
#include "exporter/http.h"

struct self;

int self_open(const char *runtime_dir, struct self **ret, struct error *error);
void self_close(struct self *self); /* NULL is fine */

/* What the server has counted; one thread. */
void self_tell(struct self *self, const struct http_counters *counters);

/* A scrape of /metrics took that long; any thread. */
void self_scraped(struct self *self, uint64_t started); /* of tf_timer_start (taskforge.h) */

#endif
