/* rule.c - what is asked of rules, and their end. */
#include "alerter/rule.h"

#include <stdlib.h>

const char *rule_kind_name(enum rule_kind kind) {
    static const char *const names[] = { [RULE_LOG] = "log", [RULE_METRIC] = "metric", [RULE_SILENCE] = "silence" };
    return names[kind];
}

const char *rule_operator_sign(enum rule_operator operator) {
    static const char *const signs[] = {
        [RULE_GREATER] = ">",           [RULE_LESS] = "<",           [RULE_EQUAL] = "==", [RULE_NOT_EQUAL] = "!=",
        [RULE_GREATER_OR_EQUAL] = ">=", [RULE_LESS_OR_EQUAL] = "<=",
    };
    return signs[operator];
}

const struct rule *rules_find(const struct rules *rules, const char *id) {
    for (size_t i = 0; i < rules->rule_count; i++)
        if (strcmp(rules->rules[i].id, id) == 0)
            return &rules->rules[i];
    return NULL;
}

const struct channel_config *rules_channel(const struct rules *rules, const char *name) {
    for (size_t i = 0; i < rules->channel_count; i++)
        if (strcmp(rules->channels[i].name, name) == 0)
            return &rules->channels[i];
    return NULL;
}

const struct rule_names *rules_channels_of(const struct rules *rules, const struct rule *rule) {
    return rule && rule->channels.written ? &rule->channels : &rules->default_channels;
}

bool rule_fits_labels(const struct rule *rule, const struct alert_pairs *labels) {
    const char *service = rule->kind == RULE_LOG ? rule->log.service : rule->silence.service;
    if (rule->kind != RULE_METRIC) {
        const char *found = alert_pairs_get(labels, "service");
        return labels->count == (service ? 1 : 0) && (!service || (found && strcmp(found, service) == 0));
    }
    for (size_t i = 0; i < rule->metric.labels.count; i++) {
        const char *found = alert_pairs_get(labels, rule->metric.labels.items[i].key);
        if (!found || strcmp(found, rule->metric.labels.items[i].value) != 0)
            return false;
    }
    return true;
}

void rule_names_finish(struct rule_names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct rule_names) { 0 };
}

void rule_finish(struct rule *rule) {
    free(rule->id);
    free(rule->name);
    free(rule->log.service);
    free(rule->log.filter_text);
    filter_finish(&rule->log.filter);
    free(rule->metric.name);
    alert_pairs_finish(&rule->metric.labels);
    free(rule->silence.service);
    filter_finish(&rule->silence.filter);
    rule_names_finish(&rule->channels);
    alert_pairs_finish(&rule->annotations);
}

void channel_config_finish(struct channel_config *channel) {
    char *const texts[] = { channel->name, channel->url,      channel->url_file, channel->smtp_url,
                            channel->from, channel->username, channel->password, channel->password_file };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    for (size_t i = 0; i < channel->recipient_count; i++)
        free(channel->recipients[i]);
    free(channel->recipients);
}

void rules_destroy(struct rules *rules) {
    if (!rules)
        return;
    for (size_t i = 0; i < rules->channel_count; i++)
        channel_config_finish(&rules->channels[i]);
    free(rules->channels);
    for (size_t i = 0; i < rules->rule_count; i++)
        rule_finish(&rules->rules[i]);
    free(rules->rules);
    rule_names_finish(&rules->default_channels);
    free(rules);
}
