/* segment.h - the metric segment, RUNTIME_DIR/metrics: every series' value now, one writer (the collector), any readers.
 *
 *   0          4096                                                             used
 *  +----------+----------------------------------------------------------------+------------------------------+
 *  | header   | pieces, one behind the other, 8-aligned                        | not there yet (a sparse file) |
 *  +----------+----------------------------------------------------------------+------------------------------+
 *
 *   series  +------+-------+--------+---------+--------+----------+-------+------+---------+--------+-----------+--------+
 *           | size | about | length | created | hidden | sequence | value | zero | updated | newest | exemplars | labels |
 *           | type |       |        |         |        |          | sum   |      |         | octave |           |        |
 *           +------+-------+--------+---------+--------+----------+-------+------+---------+--------+-----------+--------+
 *   about       size and type, kind, naming, rule, lengths, family name unit help bounds: once for all series that have the same
 *   octave      size and type, number, next octave of the series, HISTOGRAM_BUCKETS counts (histogram.h)
 *   exemplars   size and type, count, for each classic bucket: value, time, trace id. Only of series that had one
 *
 * The file has one size for its life, mapped whole by everyone, so that it grows without a new mapping: the writer allocates
 * (fallocate) what it uses next. A series is published by a release-store of `used`; it never moves. Its values change
 * under its own sequence lock (argued in segment_layout.h): a reader copies them and looks at the sequence again. When the collector starts (or the file is
 * damaged) it builds a new file under a temporary name from the totals of the store and renames it into place; the old one
 * is marked replaced, and readers open anew. So a reader sees each counter grow or stay, never fall.
 *
 * The segment holds only what was committed: the collector folds after the commit. Mode 0640, the collector's group.
 * Readers trust nothing: everything is checked against the file's size and touched under the guard. Version 2; version 1 is read, too.
 */
#ifndef TASKFORGE_COMMON_SHM_SEGMENT_H
#define TASKFORGE_COMMON_SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/model/histogram.h"
#include "common/model/metric.h"

enum { SEGMENT_VERSION = 2, SEGMENT_VERSION_OLDEST = 1, SEGMENT_HEADER_SIZE = 4096, SEGMENT_SCHEME_TEXT = 72 };
#define SEGMENT_SIZE (UINT64_C(1) << 30) /* address space: millions of series; memory is what is used of it */

/* --- the writer; one thread --- */

struct segment_writer;

/* Begin a new segment under a temporary name in RUNTIME_DIR (which exists); what a killed one left there is removed. scheme: how names
 * come out; copied into the header, so that readers need no configuration (-EINVAL: a text of SEGMENT_SCHEME_TEXT bytes or more, or one that no
 * name may hold). -ENOSPC and so on with a sentence. Needs map_guard_install (map.h) in the process. */
int segment_create(const char *runtime_dir, const struct metric_scheme *scheme, struct segment_writer **ret,
                   struct error *error);
/* Rename it into place, once, and mark the one before as replaced. */
int segment_publish(struct segment_writer *writer, struct error *error);
/* Unmaps; the file stays where it was published, and goes where it was not. NULL is fine. */
void segment_destroy(struct segment_writer *writer);

/* A new series, with value 0 and never updated: *ret names it in the calls below. The definition is valid, `family` as metric_family made
 * it. -ENOSPC when the segment or the memory is full, -ENOMEM, -EFAULT when the file was cut (this and the calls below never
 * raise a signal; what they could not write shows in segment_check). */
int segment_add(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                uint64_t created_ns, uint64_t *ret);
/* The same, hidden from the start: segment_set_hidden shows it once its values are there. */
int segment_add_hidden(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                       uint64_t created_ns, uint64_t *ret);
void segment_set_value(struct segment_writer *writer, uint64_t series, double value, uint64_t updated_ns);
/* -ENOSPC (or -ENOMEM) when an octave finds no room: then nothing of it has changed. Counts never shrink. */
int segment_set_histogram(struct segment_writer *writer, uint64_t series, const struct histogram *histogram,
                          uint64_t updated_ns);
/* The newest exemplar of a classic bucket (the one beyond the bounds is the last), of a counter with bucket 0: below
 * metric_exemplar_count. Its trace id is valid UTF-8 without NUL of 1 byte at least. -ENOSPC, -ENOMEM, -EFAULT: nothing has changed. */
int segment_set_exemplar(struct segment_writer *writer, uint64_t series, unsigned bucket,
                         const struct metric_exemplar *exemplar);
/* A hidden series is passed over by readers (stale); setting a value does not show it again, this does. */
void segment_set_hidden(struct segment_writer *writer, uint64_t series, bool hidden);

/* Once a second, and after each commit: that the collector lives, and how far it is. Real ns. */
void segment_beat(struct segment_writer *writer, uint64_t now_ns, uint64_t last_commit_ns);

/* Whether the file is still ours and whole: -EBADMSG with the reason (cut, removed, scribbled on) says: begin a new one. Compares up to 16 MiB with
 * what was written, further on with each call. */
int segment_check(struct segment_writer *writer, struct error *error);

/* --- readers; one thread for each --- */

struct segment;

/* -ENOENT: no collector has been here; -EACCES with "join the group taskforge"; -EPROTO newer; -EBADMSG damaged. Needs
 * map_guard_install (map.h) in the process. */
int segment_open(const char *runtime_dir, struct segment **ret, struct error *error);
/* What stands there now, copied to private memory, for a process without a guard (the client library, in other people's
 * programs): nothing below touches the file then. Not to be refreshed. -EAGAIN: it changed faster than it could be copied. */
int segment_open_copy(const char *runtime_dir, struct segment **ret, struct error *error);
void segment_close(struct segment *segment); /* NULL is fine */
/* Look whether another file has taken its place, and open that: 1 when it did (samples' positions are void), 0, or a negative errno as of
 * segment_open, and the old one stays. */
int segment_refresh(struct segment *segment, struct error *error);

struct segment_info {
    char namespace_[SEGMENT_SCHEME_TEXT], gauge_suffix[SEGMENT_SCHEME_TEXT];
    uint64_t heartbeat_ns, last_commit_ns, created_ns; /* real */
    uint64_t used, series_count;
    uint64_t changes; /* the same as before: no series has changed since, and none has come */
    bool replaced;    /* segment_refresh will find another one */
    uint8_t id[16];   /* random: another segment, another id; series positions hold within one */
};
int segment_info_get(struct segment *segment, struct segment_info *ret); /* 0, -EFAULT, -EBADMSG */

/* One series, copied. Texts and bounds point into `bytes`, which belongs to the reader of this sample. */
struct segment_sample {
    uint64_t position; /* names it within this segment's id */
    uint64_t about;    /* the same for two series: they differ in their labels only. 0: not known */
    struct metric_definition definition;
    struct text family;
    struct text labels; /* the definition's, as metric_labels_print has them */
    bool hidden;
    double value; /* counters and gauges */
    uint64_t created_ns, updated_ns;
    struct histogram histogram;        /* histograms and timers: owned by the sample */
    struct metric_exemplar *exemplars; /* owned: by bucket, a counter's first; NULL: none */
    unsigned exemplar_count;
    struct buffer bytes;
};
#define SEGMENT_SAMPLE_EMPTY ((struct segment_sample) { 0 })
void segment_sample_finish(struct segment_sample *sample);

/* The series behind position `after` (0: the first) into *sample, which is used again: 1, 0 at the end, -EBADMSG, -EFAULT, -ENOMEM (then
 * the sample holds nothing to be used). Hidden ones come too. Values are of one moment, but for a histogram whose writer was killed within its
 * update: then each count is whole, and some are of the moment after. */
int segment_next(struct segment *segment, uint64_t after, struct segment_sample *sample);
/* The same for the series at a position that an earlier sample of this segment had: 0 or as above. */
int segment_read(struct segment *segment, uint64_t position, struct segment_sample *sample);

#endif
