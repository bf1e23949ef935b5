/* filter_judge.c - judging values and entries by a filter. */
#include <errno.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/query/filter.h"
#include "common/query/stored_entry.h"

static bool is_negative(enum filter_operator op) {
    return op == FILTER_NOT_EQUAL || op == FILTER_NOT_MATCH;
}

static bool number_passes(const struct filter_matcher *matcher, struct text text) {
    struct filter_number number;
    double wanted = matcher->number.value;
    if (!filter_number_parse(text, &number) || number.kind != matcher->number.kind)
        return false;
    switch (matcher->op) {
    case FILTER_GREATER:
        return number.value > wanted;
    case FILTER_GREATER_EQUAL:
        return number.value >= wanted;
    case FILTER_LESS:
        return number.value < wanted;
    case FILTER_LESS_EQUAL:
        return number.value <= wanted;
    case FILTER_NUMBER_EQUAL:
        return number.value <= wanted && number.value >= wanted;
    default:
        return number.value < wanted || number.value > wanted;
    }
}

int filter_matcher_text(const struct filter_matcher *matcher, struct text value, struct error *error) {
    int equal;
    if (matcher->op > FILTER_NOT_MATCH)
        return number_passes(matcher, value);
    if (matcher->pattern) {
        equal = pattern_match(matcher->pattern, value, error);
        if (equal < 0)
            return equal;
    } else {
        equal = text_equal(matcher->value, value);
    }
    return is_negative(matcher->op) ? !equal : equal;
}

int filter_matcher_uuid(const struct filter_matcher *matcher, const struct uuid *value, struct error *error) {
    if (!matcher->pattern && matcher->op <= FILTER_NOT_MATCH)
        return uuid_equal(&matcher->uuid, value) ? !is_negative(matcher->op) : is_negative(matcher->op);
    char text[UUID_TEXT_SIZE] = "";
    if (!uuid_is_zero(value))
        uuid_format(value, text);
    return filter_matcher_text(matcher, text_of(text), error);
}

/* A metadata value by its key; a key with dots goes down where it does not stand as it is. */
static bool find_metadata(struct text map, struct text key, struct pack_value *ret) {
    if (!stored_metadata_is_sound(map)) /* also of a ring's or a block's that somebody else made */
        return false;
    while (pack_is_map(map)) {
        if (pack_find(map, key, ret))
            return true;
        const char *dot = memchr(key.data, '.', key.length);
        if (!dot || !pack_find(map, (struct text) { key.data, (size_t)(dot - key.data) }, ret))
            return false;
        map = ret->whole;
        key = (struct text) { dot + 1, key.length - (size_t)(dot - key.data) - 1 };
    }
    return false;
}

static int judge_found(const struct filter_matcher *matcher, const struct pack_value *value, struct buffer *scratch,
                       struct error *error) {
    if (value->type == PACK_TEXT)
        return filter_matcher_text(matcher, value->text, error);
    buffer_clear(scratch);
    pack_append_json(scratch, value->whole);
    if (scratch->failed)
        return error_set(error, -ENOMEM, "out of memory while matching metadata");
    return filter_matcher_text(matcher, buffer_text(scratch), error);
}

int filter_matcher_metadata(const struct filter_matcher *matcher, struct text metadata, struct buffer *scratch,
                            struct error *error) {
    struct pack_value value;
    if (!find_metadata(metadata, matcher->key, &value))
        return filter_matcher_text(matcher, TEXT_EMPTY, error);
    return judge_found(matcher, &value, scratch, error);
}

int filter_matcher_value(const struct filter_matcher *matcher, struct text value, struct text path,
                         struct buffer *scratch, struct error *error) {
    struct pack_reader reader = { value.data, value.data + value.length };
    struct pack_value found;
    bool there = path.length > 0 ? find_metadata(value, path, &found)
                                 : value.length > 0 && pack_check(value) == 0 && pack_next(&reader, &found) > 0;
    return there ? judge_found(matcher, &found, scratch, error) : filter_matcher_text(matcher, TEXT_EMPTY, error);
}

int filter_matcher_template(const struct filter_matcher *matcher, uint64_t template, struct error *error) {
    char text[17];
    if (matcher->op == FILTER_EQUAL || matcher->op == FILTER_NOT_EQUAL)
        return (matcher->template == template) == (matcher->op == FILTER_EQUAL);
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)template);
    return filter_matcher_text(matcher, text_of(text), error);
}

bool filter_has_service(const struct filter *filter, struct text service) {
    for (uint32_t i = 0; i < filter->service_count; i++)
        if (text_equal(filter->services[i], service))
            return true;
    return filter->service_count == 0;
}

static int alternative_matches(const struct filter_alternative *alternative, struct text message, struct error *error) {
    if (!pattern_find(message, alternative->bytes))
        return 0;
    if (!alternative->pattern || pattern_is_literal(alternative->pattern))
        return 1;
    return pattern_match(alternative->pattern, message, error);
}

int filter_line_text(const struct filter_line *line, struct text message, struct error *error) {
    for (uint32_t i = 0; i < line->alternative_count; i++) {
        int found = alternative_matches(&line->alternatives[i], message, error);
        if (found != 0)
            return found < 0 ? found : !line->negated;
    }
    return line->negated;
}

static int judge_matcher(const struct filter_matcher *matcher, const struct entry *entry, struct buffer *scratch,
                         struct error *error) {
    char pid[12] = "";
    uint64_t template;
    switch (matcher->field) {
    case FILTER_SERVICE:
        return filter_matcher_text(matcher, entry->service, error);
    case FILTER_MODULE:
        return filter_matcher_text(matcher, entry->module, error);
    case FILTER_OPERATION:
        return filter_matcher_text(matcher, entry->operation, error);
    case FILTER_HOST:
        return filter_matcher_text(matcher, entry->host, error);
    case FILTER_PID:
        if (entry->pid)
            snprintf(pid, sizeof(pid), "%u", entry->pid);
        return filter_matcher_text(matcher, text_of(pid), error);
    case FILTER_TRACE_ID:
        return filter_matcher_text(matcher, entry->trace_id, error);
    case FILTER_SPAN_ID:
        return filter_matcher_text(matcher, entry->span_id, error);
    case FILTER_CORRELATION_ID:
        return filter_matcher_text(matcher, entry->correlation_id, error);
    case FILTER_USER_ID:
        return filter_matcher_uuid(matcher, &entry->user_id, error);
    case FILTER_ORGANIZATION_ID:
        return filter_matcher_uuid(matcher, &entry->organization_id, error);
    case FILTER_ID:
        return filter_matcher_uuid(matcher, &entry->id, error);
    case FILTER_METADATA:
        return filter_matcher_metadata(matcher, entry->metadata, scratch, error);
    case FILTER_TEMPLATE:
        if (block_template_of(entry, scratch, &template) < 0)
            return error_set(error, -ENOMEM, "out of memory while matching a template");
        return filter_matcher_template(matcher, template, error);
    case FILTER_LEVEL:
        break;
    }
    check(!"a level matcher is part of the levels");
    return 0;
}

struct judging {
    const struct entry *entry;
    struct buffer *scratch;
    struct error *error;
};

static int judge_node(void *argument, const struct filter_node *node) {
    const struct judging *judging = argument;
    if (node->kind == FILTER_NODE_LEVELS)
        return (node->levels & 1u << judging->entry->level) != 0;
    return judge_matcher(&node->matcher, judging->entry, judging->scratch, judging->error);
}

int filter_entry(const struct filter *filter, const struct entry *entry, struct buffer *scratch, struct error *error) {
    if (entry->timestamp_ns < filter->since_ns || entry->timestamp_ns >= filter->until_ns ||
        !(filter->levels & 1u << entry->level) || !filter_has_service(filter, entry->service))
        return 0;
    for (uint32_t i = 0; i < filter->matcher_count; i++) {
        int status = judge_matcher(&filter->matchers[i], entry, scratch, error);
        if (status <= 0)
            return status;
    }
    struct judging judging = { entry, scratch, error };
    for (uint32_t i = 0; i < filter->tree_count; i++) {
        int status = filter_tree_judge(&filter->trees[i], judge_node, &judging);
        if (status <= 0)
            return status;
    }
    for (uint32_t i = 0; i < filter->line_count; i++) {
        int status = filter_line_text(&filter->lines[i], entry->message, error);
        if (status <= 0)
            return status;
    }
    return 1;
}

int filter_service(const struct filter *filter, struct text service, struct error *error) {
    if (service.length == 0 || !filter_has_service(filter, service)) /* none: what stood there is gone (common/store/gone.h) */
        return 0;
    for (uint32_t i = 0; i < filter->matcher_count; i++) {
        if (filter->matchers[i].field != FILTER_SERVICE)
            continue;
        int status = filter_matcher_text(&filter->matchers[i], service, error);
        if (status <= 0)
            return status;
    }
    return 1;
}

bool filter_is_countable(const struct filter *filter) {
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        if (filter->matchers[i].field != FILTER_SERVICE)
            return false;
    return filter->line_count == 0 && filter->tree_count == 0;
}
