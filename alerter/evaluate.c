/* evaluate.c - see evaluate.h. */
#include "alerter/evaluate.h"

#include <float.h>
#include <math.h>

/* Equal as the source document has it: nearer than the distance of 1 to the next number. */
static bool is_equal(double a, double b) {
    return a == b || fabs(a - b) < DBL_EPSILON;
}

static bool holds(double value, int operator, double threshold) {
    switch ((enum rule_operator) operator) {
    case RULE_GREATER:
        return value > threshold;
    case RULE_LESS:
        return value < threshold;
    case RULE_EQUAL:
        return is_equal(value, threshold);
    case RULE_NOT_EQUAL:
        return !is_equal(value, threshold);
    case RULE_GREATER_OR_EQUAL:
        return value >= threshold;
    case RULE_LESS_OR_EQUAL:
        return value <= threshold;
    }
    return false;
}

static enum verdict evaluate_log(const struct rule *rule, const struct observation *observation, bool firing) {
    if (observation->value >= (double)rule->log.count_threshold)
        return VERDICT_FIRING;
    if (firing && rule->has_resolve_threshold && observation->value >= rule->resolve_threshold)
        return VERDICT_FIRING;
    return observation->partial ? VERDICT_NO_DATA : VERDICT_OK;
}

static enum verdict evaluate_metric(const struct rule *rule, const struct observation *observation, bool firing) {
    const struct rule_metric *metric = &rule->metric;
    if (observation->missing || isnan(observation->value))
        return VERDICT_NO_DATA;
    if (holds(observation->value, metric->operator, metric->threshold))
        return VERDICT_FIRING;
    if (!firing || !rule->has_resolve_threshold)
        return VERDICT_OK;
    bool above = metric->operator== RULE_GREATER || metric->operator== RULE_GREATER_OR_EQUAL;
    bool cleared = above ? observation->value < rule->resolve_threshold : observation->value > rule->resolve_threshold;
    return cleared ? VERDICT_OK : VERDICT_FIRING;
}

static enum verdict evaluate_silence(const struct observation *observation) {
    if (observation->value > 0)
        return VERDICT_OK;
    return observation->partial ? VERDICT_NO_DATA : VERDICT_FIRING;
}

enum verdict evaluate(const struct rule *rule, const struct observation *observation, bool firing) {
    switch (rule->kind) {
    case RULE_LOG:
        return evaluate_log(rule, observation, firing);
    case RULE_METRIC:
        return evaluate_metric(rule, observation, firing);
    case RULE_SILENCE:
        return evaluate_silence(observation);
    }
    return VERDICT_NO_DATA;
}
