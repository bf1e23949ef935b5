/* entry_copy.h - entries that outlive what they borrow from: copied one after the other into one growing buffer. */
#ifndef TASKFORGE_COMMON_QUERY_ENTRY_COPY_H
#define TASKFORGE_COMMON_QUERY_ENTRY_COPY_H

#include "common/model/entry.h"

struct entry_copies {
    struct entry *entries; /* their texts hold offsets into bytes; entry_copies_get makes them whole */
    size_t count, capacity;
    struct buffer bytes;
};
#define ENTRY_COPIES_EMPTY ((struct entry_copies) { 0 })

void entry_copies_finish(struct entry_copies *copies);
void entry_copies_clear(struct entry_copies *copies);                         /* keeps the room */
int entry_copies_add(struct entry_copies *copies, const struct entry *entry); /* -ENOMEM */
/* Borrowed until the next add, clear or finish. */
void entry_copies_get(const struct entry_copies *copies, size_t index, struct entry *ret);

#endif
