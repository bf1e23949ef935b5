/* kinds.h - which kind each metric name has, and gauges which rule: one name has one, whatever the labels and whoever uses it. One
 * thread. */
#ifndef TASKFORGE_COLLECTOR_KINDS_H
#define TASKFORGE_COLLECTOR_KINDS_H

#include "common/base/error.h"
#include "common/model/metric.h"

struct kinds {
    struct kind_of_name *items; /* open addressing, a power of two */
    size_t capacity, count;
};
#define KINDS_EMPTY ((struct kinds) { 0 })

/* Note the kind and rule of a name (a bare one, metric_name_bare): 0 when it is new or has those; -EEXIST with the reason; -ENOMEM. */
int kinds_add(struct kinds *kinds, const struct metric_definition *definition, struct error *error);
/* The same without noting it. */
int kinds_check(const struct kinds *kinds, const struct metric_definition *definition, struct error *error);
void kinds_finish(struct kinds *kinds);

#endif
