/* kinds.h - which kind each metric name has: one name has one kind, whatever the labels and whoever uses it. One thread. */
#ifndef TASKFORGE_COLLECTOR_KINDS_H
#define TASKFORGE_COLLECTOR_KINDS_H

#include "common/base/error.h"
#include "common/model/metric.h"

struct kinds {
    struct kind_of_name *items; /* open addressing, a power of two */
    size_t capacity, count;
};
#define KINDS_EMPTY ((struct kinds) { 0 })

/* Note the kind of a name (a bare one, metric_name_bare): 0 when it is new or has that kind; -EEXIST with the reason; -ENOMEM. */
int kinds_add(struct kinds *kinds, enum metric_kind kind, enum metric_naming naming, struct text name,
              struct error *error);
/* The same without noting it. */
int kinds_check(const struct kinds *kinds, enum metric_kind kind, enum metric_naming naming, struct text name,
                struct error *error);
void kinds_finish(struct kinds *kinds);

#endif
