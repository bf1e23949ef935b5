/* evaluate.h - what a rule says of one observation. Pure. */
#ifndef TASKFORGE_ALERTER_EVALUATE_H
#define TASKFORGE_ALERTER_EVALUATE_H

#include "alerter/rule.h"

/* What was seen of one label set. */
struct observation {
    double value; /* log, silence: how many entries arrived in the window; metric: the value */
    bool missing; /* metric: there is no such value now */
    bool
        partial; /* log, silence: more may have come than was seen (no collector takes entries in, or not long enough to
                     know the window): too few is then no proof */
};

enum verdict { VERDICT_OK, VERDICT_FIRING, VERDICT_NO_DATA };

/* `firing`: the alert is active or acknowledged, so that resolve_threshold counts. */
enum verdict evaluate(const struct rule *rule, const struct observation *observation, bool firing);

#endif
