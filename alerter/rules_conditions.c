/* rules_conditions.c - the rules of a rules file, with their conditions. */
#include "alerter/rules_read.h"

#include "alerter/template.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/metric.h"
#include "common/query/logql_parser.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY (24 * 3600 * CLOCK_SECOND)
enum { ANNOTATION_MAX = 10000, LABEL_VALUE_MAX = 1024 };

/* --- single values --- */

static void read_severity(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    enum alert_severity severity;
    if (text && alert_severity_parse(text_of(text), &severity) < 0)
        config_fault_of(reader, value, "must be one of info, warning, error, critical, not \"%.60s\"", text);
    else if (text)
        *(int *)field = (int)severity;
}

static void read_level(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    enum level level;
    if (text && level_parse(text_of(text), &level) < 0)
        config_fault_of(reader, value, "must be one of trace, debug, info, warn, error, critical, not \"%.60s\"", text);
    else if (text)
        *(int *)field = (int)level;
}

static void read_number(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = value->node->kind == YAML_TREE_SCALAR && value->node->plain ? value->node->text : "";
    char *end;
    double number = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !isfinite(number) || strpbrk(text, " xX"))
        config_fault_of(reader, value, "must be a number");
    else
        *(double *)field = number;
}

static const struct config_choice operators[] = {
    { ">", RULE_GREATER, false },
    { "<", RULE_LESS, false },
    { "==", RULE_EQUAL, false },
    { "!=", RULE_NOT_EQUAL, false },
    { ">=", RULE_GREATER_OR_EQUAL, false },
    { "<=", RULE_LESS_OR_EQUAL, false },
    { "greater_than", RULE_GREATER, false },
    { "less_than", RULE_LESS, false },
    { "equal", RULE_EQUAL, false },
    { "not_equal", RULE_NOT_EQUAL, false },
    { "greater_or_equal", RULE_GREATER_OR_EQUAL, false },
    { "less_or_equal", RULE_LESS_OR_EQUAL, false },
    { .name = NULL },
};
static const struct config_choice no_data[] = {
    { "keep", RULE_KEEP, false },
    { "ok", RULE_OK, false },
    { "alert", RULE_ALERT, false },
    { .name = NULL },
};

/* A mapping of texts: labels, annotations. Values that YAML takes for numbers are taken as written. */
static void read_pairs(struct config_reader *reader, const struct config_value *value, struct alert_pairs *pairs,
                       size_t value_max, bool labels) {
    const struct yaml_tree_node *map = value->node;
    if (yaml_tree_is_null(map))
        return;
    if (map->kind != YAML_TREE_MAPPING || map->count / 2 > ALERT_PAIRS_MAX) {
        config_fault_of(reader, value, "must be a mapping of at most %d names to texts", ALERT_PAIRS_MAX);
        return;
    }
    for (size_t i = 0; i + 1 < map->count; i += 2) {
        const struct yaml_tree_node *key = map->children[i], *text = map->children[i + 1];
        struct error why = { "" };
        if (text->kind != YAML_TREE_SCALAR || strlen(text->text) > value_max) {
            config_fault_at(reader, text, "the value of \"%.60s\" must be text of at most %zu bytes", key->text,
                            value_max);
            continue;
        }
        if (alert_pairs_get(pairs, key->text))
            config_fault_at(reader, key, "\"%.60s\" stands here a second time", key->text);
        else if (key->text[0] == '\0' || strlen(key->text) > METRIC_LABEL_NAME_BYTES)
            config_fault_at(reader, key, "a name must have 1 to %d bytes", METRIC_LABEL_NAME_BYTES);
        else if (labels &&
                 metric_label_check(&(struct metric_label) { text_of(key->text), text_of(text->text) }, &why) < 0)
            config_fault_at(reader, key, "%s", why.text);
        else if (alert_pairs_set(pairs, text_of(key->text), text_of(text->text)) < 0)
            reader->out_of_memory = true;
    }
}

static void read_labels(struct config_reader *reader, const struct config_value *value, void *field) {
    read_pairs(reader, value, field, LABEL_VALUE_MAX, true);
}

static void read_annotations(struct config_reader *reader, const struct config_value *value, void *field) {
    struct error why = { "" };
    read_pairs(reader, value, field, ANNOTATION_MAX, false);
    for (size_t i = 1; value->node->kind == YAML_TREE_MAPPING && i < value->node->count; i += 2) {
        const struct yaml_tree_node *text = value->node->children[i];
        if (text->kind == YAML_TREE_SCALAR && alert_template_check(text_of(text->text), &why) < 0)
            config_fault_at(reader, text, "the template of \"%.60s\": %s", value->node->children[i - 1]->text,
                            why.text);
    }
}

static void read_resolve_threshold(struct config_reader *reader, const struct config_value *value, void *field) {
    struct rule *rule = field;
    rule->has_resolve_threshold = true;
    read_number(reader, value, &rule->resolve_threshold);
}

static void read_logql(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    struct filter filter;
    struct error error = { "" };
    if (!text)
        return;
    filter_init(&filter);
    if (logql_parse(text_of(text), &filter, &error) < 0)
        config_fault_of(reader, value, "cannot be read: %.200s", error.text);
    else
        config_keep(reader, field, text);
    filter_finish(&filter);
}

/* --- conditions --- */

#define WINDOW_KEY(type)                                                                                               \
    {                                                                                                                  \
        .name = "time_window", .read = config_read_duration, .offset = offsetof(struct type, time_window_ns),          \
        .min = 100 * CLOCK_MILLISECOND, .max = 30 * DAY                                                                \
    }
#define LOG_FIELD(field) offsetof(struct rule_log, field)
static const struct config_key log_keys[] = {
    { .name = "level", .read = read_level, .offset = LOG_FIELD(level) },
    { .name = "min_level", .read = read_level, .offset = LOG_FIELD(min_level) },
    { .name = "service", .read = rules_read_line, .offset = LOG_FIELD(service), .max = ENTRY_NAME_CHARACTERS },
    { .name = "filter", .read = read_logql, .offset = LOG_FIELD(filter_text) },
    { .name = "count_threshold",
      .read = config_read_count,
      .offset = LOG_FIELD(count_threshold),
      .min = 1,
      .max = 1000000000 },
    WINDOW_KEY(rule_log),
    { .name = NULL },
};
#define METRIC_FIELD(field) offsetof(struct rule_metric, field)
static const struct config_key metric_keys[] = {
    { .name = "name", .read = rules_read_line, .offset = METRIC_FIELD(name), .max = METRIC_FAMILY_BYTES },
    { .name = "operator", .read = config_read_choice, .offset = METRIC_FIELD(operator), .choices = operators },
    { .name = "threshold", .read = read_number, .offset = METRIC_FIELD(threshold) },
    { .name = "labels", .read = read_labels, .offset = METRIC_FIELD(labels) },
    { .name = NULL },
};
static const struct config_key silence_keys[] = {
    { .name = "service",
      .read = rules_read_line,
      .offset = offsetof(struct rule_silence, service),
      .max = ENTRY_NAME_CHARACTERS },
    WINDOW_KEY(rule_silence),
    { .name = NULL },
};

static bool names_a_service(const struct filter *filter) {
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        if (filter->matchers[i].field == FILTER_SERVICE)
            return true;
    return filter->service_count > 0;
}

/* level, min_level, service and filter as one filter. Where no service is asked for, our own entries (of alerts above all)
 * do not count: nothing feeds on itself. */
static void make_log_filter(struct config_reader *reader, const struct yaml_tree_node *node, struct rule_log *log) {
    struct error error = { "" };
    int result = 0;
    if (log->level >= 0)
        filter_set_level(&log->filter, (enum level)log->level);
    if (log->min_level >= 0)
        filter_set_min_level(&log->filter, (enum level)log->min_level);
    if (log->service)
        result = filter_add_service(&log->filter, text_of(log->service), &error);
    if (result == 0 && log->filter_text)
        result = logql_parse(text_of(log->filter_text), &log->filter, &error);
    if (result == 0 && !names_a_service(&log->filter))
        result = filter_add_matcher(&log->filter, TEXT_LITERAL("service"), FILTER_NOT_EQUAL,
                                    TEXT_LITERAL(RULE_OWN_SERVICE), &error);
    if (result < 0)
        config_fault_at(reader, node, "%s", error.text);
    if (log->level >= 0 && log->min_level >= 0)
        config_fault_at(reader, node, "a log condition has one of level and min_level, not both");
}

static void need(struct config_reader *reader, const struct yaml_tree_node *node, const char *what,
                 const char *const *keys) {
    for (; *keys; keys++)
        if (node->kind == YAML_TREE_MAPPING && !config_find(node, *keys))
            config_fault_at(reader, node, "%s needs %s", what, *keys);
}

static void read_log(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char *const needed[] = { "time_window", NULL };
    struct rule *rule = field;
    rule->kind = RULE_LOG;
    rule->log.level = rule->log.min_level = -1;
    rule->log.count_threshold = 1;
    config_read_section(reader, value->node, "a log condition", log_keys, &rule->log);
    need(reader, value->node, "a log condition", needed);
    make_log_filter(reader, value->node, &rule->log);
}

static void read_metric(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char *const needed[] = { "name", "operator", "threshold", NULL };
    struct rule *rule = field;
    rule->kind = RULE_METRIC;
    config_read_section(reader, value->node, "a metric condition", metric_keys, &rule->metric);
    need(reader, value->node, "a metric condition", needed);
}

static void read_silence(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char *const needed[] = { "service", "time_window", NULL };
    struct rule *rule = field;
    struct error error = { "" };
    rule->kind = RULE_SILENCE;
    config_read_section(reader, value->node, "a silence condition", silence_keys, &rule->silence);
    need(reader, value->node, "a silence condition", needed);
    if (rule->silence.service && filter_add_service(&rule->silence.filter, text_of(rule->silence.service), &error) < 0)
        config_fault_at(reader, value->node, "%s", error.text);
}

static const struct config_key condition_keys[] = {
    { .name = "log", .read = read_log },
    { .name = "metric", .read = read_metric },
    { .name = "silence", .read = read_silence },
    { .name = "query" },
    { .name = NULL },
};

static void read_condition(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct yaml_tree_node *node = value->node;
    config_read_section(reader, node, "a condition", condition_keys, field);
    if (yaml_tree_is_null(node) || (node->kind == YAML_TREE_MAPPING && node->count != 2))
        config_fault_at(reader, node, "a condition is exactly one of log, metric and silence");
}

/* --- rules --- */

#define FIELD(field) offsetof(struct rule, field)
#define DURATION_KEY(key, field)                                                                                       \
    { .name = key, .read = config_read_duration, .offset = FIELD(field), .max = 365 * DAY }
static const struct config_key rule_keys[] = {
    { .name = "id", .read = rules_read_line, .offset = FIELD(id), .max = RULE_NAME_MAX },
    { .name = "name", .read = rules_read_line, .offset = FIELD(name), .max = RULE_NAME_MAX },
    { .name = "severity", .read = read_severity, .offset = FIELD(severity) },
    { .name = "condition", .read = read_condition },
    { .name = "channels", .read = rules_read_channel_names, .offset = FIELD(channels) },
    DURATION_KEY("cooldown_period", cooldown_ns),
    DURATION_KEY("for", for_ns),
    DURATION_KEY("keep_firing_for", keep_firing_ns),
    { .name = "resolve_threshold", .read = read_resolve_threshold },
    { .name = "no_data", .read = config_read_choice, .offset = FIELD(no_data), .choices = no_data },
    { .name = "annotations", .read = read_annotations, .offset = FIELD(annotations) },
    { .name = NULL },
};

static void judge_resolve_threshold(struct config_reader *reader, const struct yaml_tree_node *item,
                                    const struct rule *rule) {
    const struct yaml_tree_node *node = config_find(item, "resolve_threshold");
    double from = rule->kind == RULE_LOG ? (double)rule->log.count_threshold : rule->metric.threshold;
    int operator= rule->kind == RULE_LOG ? RULE_GREATER_OR_EQUAL : rule->metric.operator;
    bool above = operator== RULE_GREATER || operator== RULE_GREATER_OR_EQUAL;
    if (!rule->has_resolve_threshold)
        return;
    if (rule->kind == RULE_SILENCE || operator== RULE_EQUAL || operator== RULE_NOT_EQUAL)
        config_fault_at(reader, node, "resolve_threshold has no meaning for %s",
                        rule->kind == RULE_SILENCE ? "a silence condition" : "== and !=");
    else if (above ? rule->resolve_threshold > from : rule->resolve_threshold < from)
        config_fault_at(reader, node, "resolve_threshold must not be %s the threshold, which is %g",
                        above ? "above" : "below", from);
    else if (rule->kind == RULE_LOG && rule->resolve_threshold <= 0)
        config_fault_at(reader, node, "resolve_threshold must be above 0: no count of entries is below it");
}

static struct rule *add_rule(struct rules_reader *reader) {
    struct rules *rules = reader->rules;
    struct rule *grown = realloc(rules->rules, (rules->rule_count + 1) * sizeof(*grown));
    if (!grown) {
        reader->reader.out_of_memory = true;
        return NULL;
    }
    rules->rules = grown;
    struct rule *rule = &grown[rules->rule_count++];
    *rule = (struct rule) { .severity = ALERT_WARNING };
    filter_init(&rule->log.filter);
    filter_init(&rule->silence.filter);
    return rule;
}

static void read_rule(struct rules_reader *reader, const struct yaml_tree_node *item) {
    static const char *const needed[] = { "id", "condition", NULL };
    struct config_reader *config = &reader->reader;
    if (item->kind != YAML_TREE_MAPPING) {
        config_fault_at(config, item, "a rule must be a mapping with id, severity and condition, not %s",
                        yaml_tree_describe(item));
        return;
    }
    struct rule *rule = add_rule(reader);
    if (!rule)
        return;
    config_read_section(config, item, "a rule", rule_keys, rule);
    need(config, item, "a rule", needed);
    if (config_find(item, "condition"))
        judge_resolve_threshold(config, item, rule);
    if (rule->id && !rule->name)
        config_keep(config, &rule->name, rule->id);
    rules_note(reader, &reader->ids, &reader->id_count, rule->id, item, NULL);
}

void rules_read_rules(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct rules *rules = field;
    const struct yaml_tree_node *list =
        rules_list(reader, value, RULES_MAX - rules->rule_count, "[{ id: ..., condition: ... }]");
    for (size_t i = 0; list && i < list->count; i++)
        read_rule(rules_reader_of(reader), list->children[i]);
}
