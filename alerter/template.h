/* template.h - the templates of annotations: what Prometheus' rules use most, with the same results.
 *
 *   {{ $value }}  {{ .Value }}  {{ $labels.NAME }}  {{ .Labels.NAME }}       a label that is not there is ""
 *   {{ $value | FUNCTION | ... }}  {{ FUNCTION $value }}                     humanize humanize1024 humanizeDuration
 *        humanizePercentage title toUpper toLower, and printf "FORMAT" with one verb of %f %e %g %s %v
 *
 * and {{- -}}, which take the white space beside them away. Anything else (if, range, variables, queries, $externalLabels) is
 * refused by name. Pure; any thread. Source: prometheus/template/template.go and Go's strconv for how numbers look.
 */
#ifndef TASKFORGE_ALERTER_TEMPLATE_H
#define TASKFORGE_ALERTER_TEMPLATE_H

#include "alerter/alert.h"
#include "common/base/error.h"
#include "common/base/text.h"

enum {
    ALERT_TEMPLATE_MAX = 16 * 1024, /* bytes of a template */
    ALERT_TEMPLATE_RESULT_MAX = 16 * 1024,
    ALERT_TEMPLATE_CALLS_MAX = 8, /* functions in one {{ }} */
};

/* 0; -EINVAL with "character 17: ..." for one that cannot be expanded: a fault of the rules file. */
int alert_template_check(struct text template, struct error *error);

/* Append the expanded template, cut at ALERT_TEMPLATE_RESULT_MAX bytes (between characters). Of one that fails the check only
 * what stands before the fault is expanded. */
void alert_template_expand(struct text template, double value, const struct alert_pairs *labels, struct buffer *out);

/* A number as Prometheus prints it: the fewest digits that read back the same, 1.5e+06 from a million on, NaN, +Inf. */
void alert_append_value(struct buffer *out, double value);

#endif
