/* exposition.h - /metrics: series as Prometheus text 0.0.4 and OpenMetrics 1.0.
 *
 * Formats: prometheus.io/docs/instrumenting/exposition_formats and github.com/prometheus/OpenMetrics (specification/OpenMetrics.md).
 * Families come in the order of their names, series in that of their labels, buckets, sum and count of a histogram together. Numbers
 * have the fewest digits that read back the same; `le` is written as Go does it, in OpenMetrics with ".0" where nothing else says that
 * it is a float, so that series have the labels which other exporters would give them. Left out: hidden series, a counter that is no number or
 * negative, a series whose name and labels another one has already, in OpenMetrics _sum and _count of a histogram with a bound or a sum below
 * 0. No timestamps; in OpenMetrics exemplars, and _created where it is asked for.
 *
 *   segment ── order (kept: 12 bytes a series) ──> chunks of some 2000 lines ──> two threads: lines, compressed ──> pieces of a body
 *
 * A body is always whole: it is made before a byte of it goes out, from the segment's bytes, each series judged by a hash of what it was when it
 * came. Lines are never kept beside it.
 */
#ifndef TASKFORGE_EXPORTER_EXPOSITION_H
#define TASKFORGE_EXPORTER_EXPOSITION_H

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/shm/segment.h"

#include <sys/uio.h>

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_FORMATS };

/* What a client wants by its Accept (RFC 9110, section 12.5.1): OpenMetrics where it asks for application/openmetrics-text of version
 * 1.0.0, or of none, at least as much as for text; else text, also for nothing, nonsense, and what nobody has. */
enum exposition_format exposition_negotiate(struct text accept);
const char *exposition_content_type(enum exposition_format format); /* a literal */

struct exposition_wish {
    enum exposition_format format;
    bool gzip;            /* one stream of RFC 1952 */
    bool created;         /* OpenMetrics: _created of counters, histograms and timers */
    uint64_t arrived_ns;  /* monotonic: a body that was begun before is too old, unless nothing has changed since */
    uint64_t deadline_ns; /* monotonic: when to give up; 0: never */
};

/* What goes out; stays as it is until it is let go. */
struct exposition_body;
const struct iovec *exposition_body_pieces(const struct exposition_body *body, size_t *ret_count, size_t *ret_length);
bool exposition_body_is_gzip(const struct exposition_body *body); /* wished, and large enough for it */
void exposition_body_release(struct exposition_body *body);       /* any thread */

struct exposition;                                      /* one thread, which has another one help it */
int exposition_create(struct exposition **ret);         /* -ENOMEM */
void exposition_destroy(struct exposition *exposition); /* bodies may outlive it; NULL is fine */

/* The segment's series now. The segment may be another one each time (segment_refresh, which is the caller's, before each scrape). Wishes that came
 * while another body was made, or before, share the next one. -EBADMSG or -EFAULT: it is damaged; -EPROTO: a collector of before has made it; -ENOMEM;
 * -ETIMEDOUT; each with the sentence. */
int exposition_read(struct exposition *exposition, struct segment *segment, const struct exposition_wish *wish,
                    struct exposition_body **ret, struct error *error);

#endif
