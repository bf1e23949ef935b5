/* exposition_order.h - in which order series come on /metrics, and where they are; used by exposition*.c alone.
 *
 * The order is kept while it is the same segment, and grows by what comes. Of a series it keeps 12 bytes: where it is, a hash of its labels
 * and which of the private copies of what it has in common with others is its. So lines are made from the segment's bytes and
 * judged by the hash.
 */
#ifndef TASKFORGE_EXPORTER_EXPOSITION_ORDER_H
#define TASKFORGE_EXPORTER_EXPOSITION_ORDER_H

#include "exporter/exposition_lines.h"

struct exposition_row {
    uint32_t place; /* position / 8 */
    uint32_t hash;  /* of its labels */
    uint32_t about : 31;
    uint32_t again : 1; /* name and labels are those of the row before: shown only where that is not */
};

struct exposition_run { /* of rows of one family */
    uint32_t first, end;
    uint32_t help, unit; /* numbers of abouts: of the oldest series that has one; EXPOSITION_NONE */
    bool split;          /* it lies in more than one chunk ... */
    bool shown;          /* ... then: whether it has lines, decided before any chunk is formatted */
};
#define EXPOSITION_NONE UINT32_MAX

struct exposition_chunk { /* what one thread formats at a time */
    uint32_t first, end;
    uint32_t run; /* of the first row */
};

struct exposition_order {
    uint8_t id[16];      /* of the segment that all this is about */
    uint64_t seed, last; /* of the hashes; position of the newest row */
    struct exposition_about **abouts;
    size_t about_count, about_capacity;
    struct about_place *places; /* positions of abouts: open addressing, a power of two */
    size_t place_capacity;
    struct metric_families families;
    struct exposition_row *rows; /* sorted */
    struct exposition_run *runs;
    struct exposition_chunk *chunks;
    size_t row_count, run_count, chunk_count, line_count; /* lines: about */
    struct segment_sample sample;
};

void exposition_order_forget(struct exposition_order *order); /* frees; a zeroed one is fine, and so is it afterwards */

/* Take in what has come; all anew of another segment. -EBADMSG, -EFAULT, -ENOMEM; -EPROTO for a version without such rows. */
int exposition_order_update(struct exposition_order *order, struct segment *segment);

/* The hash of a row's labels. */
uint32_t exposition_order_hash(const struct exposition_order *order, struct text labels);

#endif
