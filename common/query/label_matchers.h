/* label_matchers.h - which series of a metric are wanted, by their labels: {queue="mail",state!="done",host=~"web.*"}, as Prometheus writes it.
 *
 * All must hold; a label that a series does not have is the empty text; expressions match the whole value. One thread at a time, since
 * patterns keep scratch memory. */
#ifndef TASKFORGE_COMMON_QUERY_LABEL_MATCHERS_H
#define TASKFORGE_COMMON_QUERY_LABEL_MATCHERS_H

#include "common/base/error.h"
#include "common/base/pattern.h"
#include "common/base/text.h"

enum { LABEL_MATCHERS_MAX = 32 };

struct label_matcher {
    struct text name, value; /* owned */
    bool negated;
    struct pattern *pattern; /* owned; NULL: the value is compared */
};

struct label_matchers {
    struct label_matcher items[LABEL_MATCHERS_MAX];
    size_t count;
};
#define LABEL_MATCHERS_EMPTY ((struct label_matchers) { .count = 0 })
void label_matchers_finish(struct label_matchers *matchers);

/* -EINVAL with "character 7: expected ...", -E2BIG, -ENOMEM; *ret is to be finished after 0 only. */
int label_matchers_parse(struct text text, struct label_matchers *ret, struct error *error);

/* NAME or NAME{...}: the name as it stands (it may be empty), and the matchers behind it. Likewise. */
int label_matchers_parse_selector(struct text text, struct text *ret_name, struct label_matchers *ret,
                                  struct error *error);

/* Canonical labels (metric.h): 1 when all hold, 0, or -E2BIG with the sentence of an expression that takes too long. */
int label_matchers_judge(const struct label_matchers *matchers, struct text labels, struct error *error);

#endif
