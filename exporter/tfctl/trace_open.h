/* trace_open.h - the spans that are open now, for traces and trace. */
#ifndef TASKFORGE_EXPORTER_TFCTL_TRACE_OPEN_H
#define TASKFORGE_EXPORTER_TFCTL_TRACE_OPEN_H

#include "common/query/trace.h"
#include "exporter/tfctl/command.h"

/* Add those of one trace, or of all (NULL), to *open: as the collector tells them, and where it does not answer, those of the rings that the
 * caller may read. None of a store that is not the rings'. 0, or -ENOMEM with the sentence. */
int trace_open(const struct session *session, const uint8_t *trace_id, struct trace *open, struct error *error);

/* "12.345 ms", "1.234 s" or "1.2 h". */
void trace_append_duration(struct buffer *out, uint64_t ns);

#endif
