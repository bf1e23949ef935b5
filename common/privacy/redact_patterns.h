/* redact_patterns.h - what looks like a secret is taken out of an entry: each match of configured expressions, in the message, in the
 * texts and whole numbers of metadata and error details (at any depth; a number by its digits), becomes "[redacted]".
 *
 * Keys of maps are no values, and stay. What is written may be chosen by an enemy, and an expression may be ill-advised, so there is a
 * budget of time for each entry: a value that cannot be judged within it is redacted whole. Where nothing matches, which is the rule,
 * a look at its bytes mostly settles that. One thread. */
#ifndef TASKFORGE_COMMON_PRIVACY_REDACT_PATTERNS_H
#define TASKFORGE_COMMON_PRIVACY_REDACT_PATTERNS_H

#include "common/base/pattern.h"
#include "common/model/entry.h"

enum { REDACT_PATTERNS_MAX = 32 };

struct redact_patterns {
    struct pattern *items[REDACT_PATTERNS_MAX];
    size_t count;
    size_t least;                   /* bytes of the shortest match of any */
    uint64_t redacted;              /* values that something was taken out of, whole ones included */
    uint64_t too_costly;            /* of them, those redacted whole for want of time */
    uint64_t deadline_ns;           /* monotonic, of the present entry; 0: the clock was not looked at yet */
    uint64_t processor_deadline_ns; /* likewise, of this thread's processor time */
    struct buffer message;          /* what was made anew, until the next call */
    struct buffer metadata, error_details;
    struct buffer value, other; /* one being made */
};
#define REDACT_PATTERNS_EMPTY ((struct redact_patterns) { .count = 0 })

/* Whether an expression will do: -EINVAL and why not (it is none, or the empty text matches); -ENOMEM. */
int redact_pattern_check(struct text source, struct error *error);

/* Add one that will do: as above; -ENOSPC beyond REDACT_PATTERNS_MAX. */
int redact_patterns_add(struct redact_patterns *patterns, struct text source, struct error *error);
void redact_patterns_finish(struct redact_patterns *patterns);

/* Which parts of an entry were made anew. */
enum { ENTRY_PART_MESSAGE = 1, ENTRY_PART_METADATA = 2, ENTRY_PART_ERROR_DETAILS = 4 };

/* Redact an entry whose packed parts were checked (its texts may hold any bytes): the parts that changed, whose bytes are borrowed from
 * `patterns` until the next call; or -ENOMEM. What was longer than an entry's limit or becomes so is left to entry_repair. */
int redact_patterns_entry(struct redact_patterns *patterns, struct entry *entry);

/* One text likewise: 1 and *text anew, 0, -ENOMEM. */
int redact_patterns_text(struct redact_patterns *patterns, struct text *text);

/* One packed value likewise. */
int redact_patterns_packed(struct redact_patterns *patterns, struct text *packed);

#endif
