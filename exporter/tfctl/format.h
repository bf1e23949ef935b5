/* format.h - how entries are printed: a table of formats, each a name and its functions. Pure: bytes are appended to a buffer. */
#ifndef TASKFORGE_EXPORTER_TFCTL_FORMAT_H
#define TASKFORGE_EXPORTER_TFCTL_FORMAT_H

#include <stdbool.h>

#include "common/model/entry.h"

struct format_style {
    bool colour;
    bool utc;
    bool terminal; /* no control character of the data may pass, in any format */
    bool context;  /* matches and their neighbours are told apart */
};

struct format {
    const char *name;
    void (*header)(struct buffer *out, const struct format_style *style);
    void (*entry)(struct buffer *out, const struct format_style *style, const struct entry *entry, bool match);
    void (*gap)(struct buffer *out, const struct format_style *style); /* between groups of neighbours */
};

extern const struct format format_text, format_json, format_csv;

const struct format *format_find(const char *name); /* NULL: no such */
#define FORMAT_NAMES "text, json or csv"

/* --- pieces --- */

/* Append any bytes so that a terminal acts on none of them; repaired where they are no UTF-8. One line. */
void format_printable(struct buffer *out, struct text text);

/* {name="value",...} of canonical labels of a metric (metric.h), nothing for none; printable as above. */
void format_labels(struct buffer *out, struct text labels);

/* "2026-11-23 18:15:04.123+07:00": what -S and -U take, too. */
void format_time(struct buffer *out, uint64_t real_ns, bool utc);

/* The pairs of a map, "  key=value" each, as text has them behind a message; a level by its name, coloured. */
void format_metadata(struct buffer *out, const struct format_style *style, struct text map);
void format_level(struct buffer *out, const struct format_style *style, enum level level);

/* JSON whose strings hold control characters beyond C0 (DEL, C1, direction marks) as they are: the same with \u escapes. */
void format_harden_json(struct buffer *out, struct text json);

#endif
