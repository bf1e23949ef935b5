/* seal_fields.h - which parts of an entry are sealed: values under chosen keys (at any depth, in metadata and error details, matched as
 * redact.keys are), and the message or the error details whole where those are named. */
#ifndef TASKFORGE_COMMON_PRIVACY_SEAL_FIELDS_H
#define TASKFORGE_COMMON_PRIVACY_SEAL_FIELDS_H

#include "common/model/entry.h"
#include "common/model/redact.h"
#include "common/privacy/pack_edit.h"

#define SEAL_COVER "(sealed)" /* stands in the place of what will be sealed */

struct seal_fields {
    struct redaction keys; /* the texts are owned */
    bool message, error_details;
};

/* -ENOSPC beyond REDACT_KEYS_MAX, -ENOMEM. */
int seal_fields_add(struct seal_fields *fields, struct text name);
void seal_fields_finish(struct seal_fields *fields);

/* What is made of an entry's parts. */
struct seal_parts {
    struct buffer metadata, error_details;
};
void seal_parts_finish(struct seal_parts *parts);

/* Put SEAL_COVER in the place of all that would be sealed, for a look at what is not stored yet: 0, -ENOMEM. What is made anew is borrowed from
 * `parts` until the next call. */
int seal_fields_cover(const struct seal_fields *fields, struct entry *entry, struct seal_parts *parts);

#endif
