/* describe.h - an alert's words: message, details and annotations, from its rule and what was observed. Pure. */
#ifndef TASKFORGE_ALERTER_DESCRIBE_H
#define TASKFORGE_ALERTER_DESCRIBE_H

#include "alerter/evaluate.h"

/* Set value, no_data, message, details and annotations; also name and severity, which a reload may have changed. The message is the
 * annotation `summary`, or a sentence by the kind of condition. -ENOMEM, and then the alert may have some of it. */
int describe(struct alert *alert, const struct rule *rule, const struct observation *observation, bool no_data);

#endif
