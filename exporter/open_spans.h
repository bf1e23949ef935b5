/* open_spans.h - the spans that are open now, as the collector tells them over its control socket: what the API and tfctl share. It can look
 * into all rings; who asks hears of his own processes, or, where he may read the store, of all. Blocks up to OPEN_SPANS_NS. */
#ifndef TASKFORGE_EXPORTER_OPEN_SPANS_H
#define TASKFORGE_EXPORTER_OPEN_SPANS_H

#include "common/query/trace.h"

/* Add them, of one trace, or of all (NULL), to *open; open->more where there are too many. 0, or a negative errno with a sentence: nobody
 * answers, or -ENOMEM. */
int open_spans_ask(const char *runtime_dir, const uint8_t *trace_id, struct trace *open, struct error *error);

#endif
