/* describe.c - see describe.h. */
#include "alerter/describe.h"

#include "alerter/template.h"
#include "common/model/pack.h"
#include "common/process/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define WHOLE_BELOW 1e15

/* --- details --- */

static void add_key(struct buffer *out, const char *key) {
    buffer_append_format(out, "%s\"%s\":", out->length > 1 ? "," : "", key);
}

static void add_text(struct buffer *out, const char *key, const char *value) {
    add_key(out, key);
    json_append_string(out, text_of(value));
}

/* Whole numbers without a fraction, as people write them. */
static void add_number(struct buffer *out, const char *key, double value) {
    add_key(out, key);
    if (value == floor(value) && fabs(value) < WHOLE_BELOW)
        buffer_append_format(out, "%.0f", value);
    else
        json_append_double(out, value);
}

static void add_window(struct buffer *out, uint64_t window_ns) {
    char text[CONFIG_VALUE_SIZE];
    add_text(out, "time_window", config_format_duration(window_ns, text));
}

static void add_log(struct buffer *out, const struct rule_log *log, double count) {
    add_number(out, "count", count);
    add_number(out, "count_threshold", (double)log->count_threshold);
    add_window(out, log->time_window_ns);
    if (log->level >= 0)
        add_text(out, "level", level_name((enum level)log->level));
    if (log->min_level >= 0)
        add_text(out, "min_level", level_name((enum level)log->min_level));
    if (log->service)
        add_text(out, "service", log->service);
    if (log->filter_text)
        add_text(out, "filter", log->filter_text);
}

static void add_metric(struct buffer *out, const struct rule_metric *metric, double value, bool no_data) {
    add_text(out, "metric", metric->name);
    if (!no_data)
        add_number(out, "value", value);
    add_text(out, "operator", rule_operator_sign((enum rule_operator)metric->operator));
    add_number(out, "threshold", metric->threshold);
}

static void make_details(struct buffer *out, const struct alert *alert, const struct rule *rule) {
    buffer_append_char(out, '{');
    if (rule->kind == RULE_LOG)
        add_log(out, &rule->log, alert->value);
    if (rule->kind == RULE_METRIC)
        add_metric(out, &rule->metric, alert->value, alert->no_data);
    if (rule->kind == RULE_SILENCE) {
        add_text(out, "service", rule->silence.service);
        add_window(out, rule->silence.time_window_ns);
    }
    if (alert->no_data) {
        add_key(out, "no_data");
        buffer_append_string(out, "true");
    }
    buffer_append_string(out, "}");
    buffer_append_char(out, '\0');
}

/* --- the message --- */

static void say_log(struct buffer *out, const struct rule_log *log, double count) {
    char window[CONFIG_VALUE_SIZE];
    int level = log->level >= 0 ? log->level : log->min_level;
    alert_append_value(out, count);
    if (level >= 0)
        buffer_append_format(out, " %s", level_name((enum level)level));
    buffer_append_format(out, " %s%s", count == 1 ? "entry" : "entries", log->min_level >= 0 ? " or above" : "");
    if (log->service)
        buffer_append_format(out, " of %s", log->service);
    buffer_append_format(out, " in %s", config_format_duration(log->time_window_ns, window));
}

static void say_metric(struct buffer *out, const struct rule_metric *metric, double value) {
    buffer_append_format(out, "%s is ", metric->name);
    alert_append_value(out, value);
    buffer_append_format(out, " (%s ", rule_operator_sign((enum rule_operator)metric->operator));
    alert_append_value(out, metric->threshold);
    buffer_append_char(out, ')');
}

static void make_message(struct buffer *out, const struct alert *alert, const struct rule *rule) {
    char window[CONFIG_VALUE_SIZE];
    const char *summary = alert_pairs_get(&alert->annotations, "summary");
    if (summary && !alert->no_data) {
        buffer_append_string(out, summary);
    } else {
        buffer_append_format(out, "%s: ", rule->name);
        if (alert->no_data)
            buffer_append_format(out, "no data%s%s", rule->kind == RULE_METRIC ? " for " : "",
                                 rule->kind == RULE_METRIC ? rule->metric.name : "");
        else if (rule->kind == RULE_LOG)
            say_log(out, &rule->log, alert->value);
        else if (rule->kind == RULE_METRIC)
            say_metric(out, &rule->metric, alert->value);
        else
            buffer_append_format(out, "no entry of %s for %s", rule->silence.service,
                                 config_format_duration(rule->silence.time_window_ns, window));
    }
    if (!out->failed)
        text_blank_controls(out->data, out->length);
    buffer_append_char(out, '\0');
}

/* --- the whole --- */

static int replace(char **field, struct buffer *made) {
    if (made->failed) {
        buffer_finish(made);
        return -ENOMEM;
    }
    free(*field);
    *field = made->data;
    return 0;
}

static int copy_into(char **field, const char *text) {
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int expand_annotations(struct alert *alert, const struct rule *rule) {
    struct alert_pairs expanded = ALERT_PAIRS_EMPTY;
    int result = 0;
    for (size_t i = 0; i < rule->annotations.count && result == 0; i++) {
        _cleanup_buffer_ struct buffer text = BUFFER_EMPTY;
        alert_template_expand(text_of(rule->annotations.items[i].value), alert->value, &alert->labels, &text);
        result = text.failed ? -ENOMEM
                             : alert_pairs_set(&expanded, text_of(rule->annotations.items[i].key), buffer_text(&text));
    }
    if (result < 0) {
        alert_pairs_finish(&expanded);
        return result;
    }
    alert_pairs_finish(&alert->annotations);
    alert->annotations = expanded;
    return 0;
}

int describe(struct alert *alert, const struct rule *rule, const struct observation *observation, bool no_data) {
    struct buffer details = BUFFER_EMPTY, message = BUFFER_EMPTY;
    alert->severity = (enum alert_severity)rule->severity;
    alert->value = no_data ? 0 : observation->value;
    alert->no_data = no_data;
    int result = copy_into(&alert->name, rule->name);
    if (result == 0)
        result = expand_annotations(alert, rule);
    if (result < 0)
        return result;
    make_details(&details, alert, rule);
    make_message(&message, alert, rule);
    result = replace(&alert->details, &details);
    int second = replace(&alert->message, &message);
    return result < 0 ? result : second;
}
