/* filter_plan.c - judging whole blocks by their index values. */
#include "common/base/check.h"
#include "common/query/filter.h"

/* Else every block has such. */
static bool asks_for_counts(const struct filter *filter) {
    bool asks = filter->levels != FILTER_ALL_LEVELS || filter->service_count > 0;
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        asks |= filter->matchers[i].field == FILTER_SERVICE;
    return asks;
}

static int may_have_service(const struct filter *filter, const struct index_entry *index, struct error *error) {
    for (uint32_t i = 0; i < index->count_count; i++) {
        bool level = false;
        for (unsigned l = 0; l < LEVEL_COUNT; l++)
            level |= (filter->levels & 1u << l) && index->counts[i].by_level[l] > 0;
        int status = level ? filter_service(filter, index->counts[i].service, error) : 0;
        if (status != 0)
            return status;
    }
    return 0;
}

static const enum index_filter_kind id_kinds[] = {
    [FILTER_TRACE_ID] = INDEX_TRACE,
    [FILTER_SPAN_ID] = INDEX_SPAN,
    [FILTER_CORRELATION_ID] = INDEX_CORRELATION,
    [FILTER_USER_ID] = INDEX_USER,
    [FILTER_ORGANIZATION_ID] = INDEX_ORGANIZATION,
};

/* The id that every match has, as the index knows it: false when the matcher names none. */
static bool names_id(const struct filter_matcher *matcher, enum index_filter_kind *ret_kind, struct text *ret_value) {
    if (matcher->op != FILTER_EQUAL || matcher->value.length == 0 || (size_t)matcher->field >= COUNT_OF(id_kinds) ||
        id_kinds[matcher->field] == 0)
        return false;
    *ret_kind = id_kinds[matcher->field];
    *ret_value = matcher->value;
    if (matcher->field == FILTER_USER_ID || matcher->field == FILTER_ORGANIZATION_ID)
        *ret_value = (struct text) { (const char *)matcher->uuid.bytes, UUID_SIZE };
    return true;
}

static bool names_template(const struct filter_matcher *matcher) {
    return matcher->field == FILTER_TEMPLATE && matcher->op == FILTER_EQUAL && matcher->value.length > 0;
}

static bool may_have_id(const struct filter_matcher *matcher, const struct index_entry *index) {
    enum index_filter_kind kind;
    struct text value;
    if (names_template(matcher))
        return index_may_have_template(index, matcher->template);
    return !names_id(matcher, &kind, &value) || index_may_have_id(index, kind, value);
}

static bool may_have_line(const struct filter_line *line, const struct index_entry *index) {
    if (line->negated)
        return true;
    for (uint32_t i = 0; i < line->alternative_count; i++)
        if (line->alternatives[i].bytes.length == 0 || index_may_contain(index, line->alternatives[i].bytes))
            return true;
    return false;
}

int filter_index(const struct filter *filter, const struct index_entry *index, struct error *error) {
    if (index->max_timestamp_ns < filter->since_ns || index->min_timestamp_ns >= filter->until_ns)
        return 0;
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        if (!may_have_id(&filter->matchers[i], index))
            return 0;
    for (uint32_t i = 0; i < filter->line_count; i++)
        if (!may_have_line(&filter->lines[i], index))
            return 0;
    return asks_for_counts(filter) ? may_have_service(filter, index, error) : 1;
}

void filter_want(const struct filter *filter, struct index_want *ret) {
    *ret = (struct index_want) { .counts = asks_for_counts(filter) };
    for (uint32_t i = 0; i < filter->matcher_count; i++) {
        enum index_filter_kind kind;
        struct text value;
        ret->templates |= names_template(&filter->matchers[i]);
        if (names_id(&filter->matchers[i], &kind, &value))
            index_want_id(ret, kind, value);
    }
    for (uint32_t i = 0; i < filter->line_count; i++)
        for (uint32_t k = 0; k < filter->lines[i].alternative_count && !filter->lines[i].negated; k++)
            index_want_words(ret, filter->lines[i].alternatives[k].bytes);
}

bool filter_covers(const struct filter *filter, const struct index_entry *index) {
    return index->min_timestamp_ns >= filter->since_ns && index->max_timestamp_ns < filter->until_ns;
}
