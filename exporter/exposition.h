/* exposition.h - /metrics: series as Prometheus text 0.0.4 and OpenMetrics 1.0.
 *
 * Formats: prometheus.io/docs/instrumenting/exposition_formats and github.com/prometheus/OpenMetrics (specification/OpenMetrics.md).
 * Families come in the order of their names, series in that of their labels, buckets, sum and count of a histogram together. Numbers
 * have the fewest digits that read back the same; `le` is written as Go does it, in OpenMetrics with ".0" where nothing else says that
 * it is a float, so that series have the labels which other exporters would give them. Left out: hidden series, a counter that is no number or
 * negative, a series whose name and labels another one has already, in OpenMetrics _sum and _count of a histogram with a bound or a sum below
 * 0. No timestamps, no _created. One thread for each object.
 */
#ifndef TASKFORGE_EXPORTER_EXPOSITION_H
#define TASKFORGE_EXPORTER_EXPOSITION_H

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/shm/segment.h"

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_FORMATS };

/* What a client wants by its Accept (RFC 9110, section 12.5.1): OpenMetrics where it asks for application/openmetrics-text of version
 * 1.0.0, or of none, at least as much as for text; else text, also for nothing, nonsense, and what nobody has. */
enum exposition_format exposition_negotiate(struct text accept);
const char *exposition_content_type(enum exposition_format format); /* a literal */

/* --- pieces; pure --- */

/* A family's HELP, TYPE and UNIT lines. help and unit may be empty; HELP then says so, UNIT is written only where the format and the name allow it. */
void exposition_append_family(struct buffer *out, enum exposition_format format, enum metric_kind kind,
                              struct text family, struct text help, struct text unit);

/* The lines of one series (none when it is to be left out). */
void exposition_append_series(struct buffer *out, enum exposition_format format, const struct segment_sample *sample);

/* What stands at the end. */
void exposition_append_end(struct buffer *out, enum exposition_format format);

/* A number as both formats have it: 5, 0.25, NaN, +Inf. */
void exposition_append_number(struct buffer *out, double number);

/* --- the whole segment, kept until something in it changes --- */

struct exposition;
int exposition_create(struct exposition **ret); /* -ENOMEM */
void exposition_destroy(struct exposition *exposition);

/* The segment's series now; *ret stays until the next call. Formats anew only what has changed since the last time, and orders the series anew
 * only when some have come. The segment may be another one each time (segment_refresh, which is the caller's, before each
 * scrape). -EBADMSG or -EFAULT: it is damaged, with the sentence; -ENOMEM. */
int exposition_read(struct exposition *exposition, struct segment *segment, enum exposition_format format,
                    struct text *ret, struct error *error);

#endif
