/* scrape.h - GET /metrics. Its own look at the segment, since it runs on the thread of scrapes, whatever queries do meanwhile. */
#ifndef TASKFORGE_EXPORTER_SCRAPE_H
#define TASKFORGE_EXPORTER_SCRAPE_H

#include "exporter/exposition.h"
#include "exporter/http.h"

struct scrape {              /* the scrape thread's, once requests come */
    const char *runtime_dir; /* borrowed */
    struct segment *segment;
    struct exposition *exposition;
    bool created; /* _created in OpenMetrics */
};
int scrape_init(struct scrape *scrape, const char *runtime_dir, bool created); /* -ENOMEM */
void scrape_finish(struct scrape *scrape);                                     /* fine on a zeroed one */

/* The segment as it is now, in the format that Accept asks for; a segment that took the place of the one before is taken up first, so that no
 * counter falls when the collector begins anew. 503 without one, when it is damaged, or when it cannot be done within the time the
 * client gives (X-Prometheus-Scrape-Timeout-Seconds, less a tenth of it, at most half a second). */
void scrape_answer(struct scrape *scrape, const struct http_request *request, struct http_answer *answer);

/* The route; the context is the exporter. */
void scrape_metrics(const struct http_request *request, struct http_answer *answer, void *context);

#endif
