/* opening.h - --key FILE of query and tail: what is sealed to that key is opened before it is judged and printed.
 *
 * What is sealed can only be judged once it is open, so the scan asks for the rest (time, level, service, ids ...) and the whole filter is
 * judged afterwards, on each opened entry. One thread. */
#ifndef TASKFORGE_EXPORTER_TFCTL_OPENING_H
#define TASKFORGE_EXPORTER_TFCTL_OPENING_H

#include "common/privacy/seal_entry.h"
#include "common/query/filter.h"
#include "exporter/tfctl/command.h"

struct opening {
    struct entry_opener opener;
    struct filter scanned; /* what the scan is to ask for; borrows from the whole filter */
    const struct filter *whole;
    struct buffer scratch;
};

/* Read session->key_path, and tell the audit log (a note where that cannot be). GO_ON, or the exit status with the reason said. The filter
 * must outlive it. */
int opening_begin(struct session *session, const struct filter *filter, struct opening *ret);

/* Open an entry and judge it: 1, 0, negative errno. What was opened is borrowed until the next call. */
int opening_judge(struct opening *opening, struct entry *entry, struct error *error);

/* Say once what stayed sealed: true when something did. */
bool opening_end(struct session *session, struct opening *opening);

#endif
