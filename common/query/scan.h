/* scan.h - matching entries of the store, one after the other, in order.
 *
 * By time: (timestamp, sequence), however late an entry came. By arrival: sequence, which never changes: what tail, follow and cursors use.
 * Streaming: a block is opened when its turn comes and closed when it is done, so the first entry of a long answer comes at
 * once and a limit stops the work. The plan is made when the scan is opened: what arrives later is not in it (with a limit it is made
 * piece by piece, up to where the store ended then). Blocks that the
 * collector merges meanwhile are found again, and no entry is seen twice or missed. Long scans work ahead with threads of their own
 * (feed.h); the caller is one thread. The reader stays the caller's and must outlive the scan, as must the filter.
 */
#ifndef TASKFORGE_COMMON_QUERY_SCAN_H
#define TASKFORGE_COMMON_QUERY_SCAN_H

#include "common/query/filter.h"
#include "common/store/reader.h"

enum { SCAN_MEMORY = 40 * 1024 * 1024 };

struct scan_options {
    bool by_arrival;
    bool reverse;
    uint64_t from_sequence; /* [from, to) */
    uint64_t to_sequence;
    uint64_t offset; /* matches passed over */
    uint64_t limit;
    /* Told of each damaged block, which is then passed over; NULL: it ends the scan with -EBADMSG. */
    void (*damaged)(void *argument, const char *why);
    void *damaged_argument;
    /* How scan_text writes an entry. May be called by several threads at once, and for entries that are not asked for in the end. */
    void (*render)(void *argument, struct buffer *out, const struct entry *entry);
    void *render_argument;
    bool alone;    /* no threads */
    size_t memory; /* bytes of open blocks, roughly; 0: SCAN_MEMORY */
    bool
        sequences_only; /* neither scan_entry nor scan_text will be called: threads need not decode whole entries ahead */
};
#define SCAN_EVERYTHING ((struct scan_options) { .to_sequence = UINT64_MAX, .limit = UINT64_MAX })

struct scan;

int scan_open(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
              struct scan **ret, struct error *error);
void scan_close(struct scan *scan);

/* The next match: 1 and its sequence, 0 at the end, -EBADMSG a damaged block, -E2BIG an expression too costly, -ENOMEM, -EIO. */
int scan_next(struct scan *scan, uint64_t *ret_sequence, struct error *error);

/* The entry scan_next stands at, whole; borrowed until the next call of scan_next. 1; 0: it was retired this moment, or damaged and
 * told of; negative. */
int scan_entry(struct scan *scan, struct entry *ret, struct error *error);
/* The same, written by options.render and appended to *out: quicker where there are many. */
int scan_text(struct scan *scan, struct buffer *out, struct error *error);

#endif
