/* scrape.h - GET /metrics. Its own look at the segment, since it runs on the server's thread, whatever queries do meanwhile. */
#ifndef TASKFORGE_EXPORTER_SCRAPE_H
#define TASKFORGE_EXPORTER_SCRAPE_H

#include "exporter/exposition.h"
#include "exporter/http.h"

struct scrape { /* the server thread's, once requests come */
    const char *runtime_dir; /* borrowed */
    struct segment *segment;
    struct exposition *exposition;
};
int scrape_init(struct scrape *scrape, const char *runtime_dir); /* -ENOMEM */
void scrape_finish(struct scrape *scrape);                       /* fine on a zeroed one */

/* The segment as it is now, in the format that Accept asks for; a segment that took the place of the one before is taken up first, so that no
 * counter falls when the collector begins anew. 503 without one, or when it is damaged. */
void scrape_answer(struct scrape *scrape, const struct http_request *request, struct http_answer *answer);

/* The route; the context is the exporter. */
void scrape_metrics(const struct http_request *request, struct http_answer *answer, void *context);

#endif
