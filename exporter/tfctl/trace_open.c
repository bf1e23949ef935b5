/* trace_open.c - see trace_open.h. */
#include "exporter/tfctl/trace_open.h"

#include <errno.h>

#include "common/base/clock.h"
#include "exporter/open_spans.h"
#include "exporter/tfctl/rings.h"

int trace_open(const struct session *session, const uint8_t *trace_id, struct trace *open, struct error *error) {
    struct rings *rings;
    if (!session->rings_belong)
        return 0;
    int result = open_spans_ask(session->runtime_dir, trace_id, open, error);
    if (result == 0 || result == -ENOMEM)
        return result;
    if (rings_open(session->runtime_dir, session->config, &rings) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    result = rings_spans(rings, trace_id, open);
    rings_close(rings);
    return result < 0 ? error_set(error, result, "out of memory") : 0;
}

void trace_append_duration(struct buffer *out, uint64_t ns) {
    if (ns < CLOCK_SECOND)
        buffer_append_format(out, "%.3f ms", (double)ns / (double)CLOCK_MILLISECOND);
    else if (ns < 3600 * CLOCK_SECOND)
        buffer_append_format(out, "%.3f s", (double)ns / (double)CLOCK_SECOND);
    else
        buffer_append_format(out, "%.1f h", (double)ns / (3600.0 * (double)CLOCK_SECOND));
}
