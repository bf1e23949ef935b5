/* filter.c - building a filter. Judging with it is in filter_judge.c. */
#include "common/query/filter.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"

static const struct {
    const char *name;
    enum filter_field field;
} fields[] = {
    { "service", FILTER_SERVICE },
    { "module", FILTER_MODULE },
    { "operation", FILTER_OPERATION },
    { "level", FILTER_LEVEL },
    { "host", FILTER_HOST },
    { "pid", FILTER_PID },
    { "trace_id", FILTER_TRACE_ID },
    { "span_id", FILTER_SPAN_ID },
    { "correlation_id", FILTER_CORRELATION_ID },
    { "user_id", FILTER_USER_ID },
    { "organization_id", FILTER_ORGANIZATION_ID },
    { "id", FILTER_ID },
    { "template", FILTER_TEMPLATE },
};

static const struct text metadata_prefix = TEXT_INITIALIZER("metadata.");

void filter_init(struct filter *filter) {
    *filter = (struct filter) { .until_ns = UINT64_MAX, .levels = FILTER_ALL_LEVELS };
}

void filter_matcher_finish(struct filter_matcher *matcher) {
    free((char *)matcher->key.data);
    free((char *)matcher->value.data);
    pattern_destroy(matcher->pattern);
}

static void line_finish(struct filter_line *line) {
    for (uint32_t i = 0; i < line->alternative_count; i++) {
        if (!line->alternatives[i].pattern || !line->regex)
            free((char *)line->alternatives[i].bytes.data);
        pattern_destroy(line->alternatives[i].pattern);
    }
    free(line->alternatives);
}

void filter_finish(struct filter *filter) {
    for (uint32_t i = 0; i < filter->service_count; i++)
        free((char *)filter->services[i].data);
    for (uint32_t i = 0; i < filter->matcher_count; i++)
        filter_matcher_finish(&filter->matchers[i]);
    for (uint32_t i = 0; i < filter->line_count; i++)
        line_finish(&filter->lines[i]);
    for (uint32_t i = 0; i < filter->tree_count; i++)
        filter_tree_finish(&filter->trees[i]);
    free(filter->services);
    free(filter->matchers);
    free(filter->lines);
    free(filter->trees);
    filter_init(filter);
}

static int no_memory(struct error *error) {
    return error_set(error, -ENOMEM, "out of memory for a filter");
}

/* A copy of our own, with a NUL behind it; never NULL data, so that freeing and comparing need no cases. */
static int copy(struct text text, struct text *ret, struct error *error) {
    if (text.length > FILTER_VALUE_MAX)
        return error_set(error, -E2BIG, "a value in a filter may have %d bytes, this has %zu", FILTER_VALUE_MAX,
                         text.length);
    char *data = malloc(text.length + 1);
    if (!data)
        return no_memory(error);
    if (text.length)
        memcpy(data, text.data, text.length);
    data[text.length] = '\0';
    *ret = (struct text) { data, text.length };
    return 0;
}

/* Room for one more in an array of `size`-byte items. */
static int grow(void **array, uint32_t count, size_t size, const char *what, struct error *error) {
    if (count >= FILTER_CONDITIONS_MAX)
        return error_set(error, -E2BIG, "a filter may have %d %s", FILTER_CONDITIONS_MAX, what);
    void *grown = realloc(*array, (count + 1) * size);
    if (!grown)
        return no_memory(error);
    *array = grown;
    return 0;
}

int filter_add_service(struct filter *filter, struct text service, struct error *error) {
    struct text owned;
    int status = grow((void **)&filter->services, filter->service_count, sizeof(*filter->services), "services", error);
    if (status == 0)
        status = copy(service, &owned, error);
    if (status == 0)
        filter->services[filter->service_count++] = owned;
    return status;
}

void filter_set_level(struct filter *filter, enum level level) {
    filter->levels &= 1u << level;
}

void filter_set_min_level(struct filter *filter, enum level level) {
    filter->levels &= FILTER_ALL_LEVELS & ~((1u << level) - 1);
}

/* --- matchers --- */

/* Spellings of a level besides its name that an expression may mean, too. */
static const struct {
    const char *name;
    enum level level;
} level_spellings[] = {
    { "trace", LEVEL_TRACE },   { "debug", LEVEL_DEBUG },    { "info", LEVEL_INFO }, { "warn", LEVEL_WARN },
    { "warning", LEVEL_WARN },  { "error", LEVEL_ERROR },    { "err", LEVEL_ERROR }, { "critical", LEVEL_CRITICAL },
    { "crit", LEVEL_CRITICAL }, { "fatal", LEVEL_CRITICAL },
};

static int levels_of_pattern(struct text value, unsigned *ret, struct error *error) {
    struct pattern *pattern;
    unsigned levels = 0;
    int status = pattern_compile(value, true, &pattern, error);
    if (status < 0)
        return status;
    for (size_t i = 0; i < COUNT_OF(level_spellings) && status >= 0; i++) {
        status = pattern_match(pattern, text_of(level_spellings[i].name), error);
        if (status > 0)
            levels |= 1u << level_spellings[i].level;
    }
    pattern_destroy(pattern);
    if (status < 0)
        return status;
    *ret = levels;
    return 0;
}

static int level_matcher(enum filter_operator op, struct text value, unsigned *ret, struct error *error) {
    unsigned levels = 0;
    enum level level;
    if (op > FILTER_NOT_MATCH)
        return error_set(error, -EINVAL, "level is compared by = != =~ !~ with a name in quotes");
    if (op == FILTER_MATCH || op == FILTER_NOT_MATCH) {
        int status = levels_of_pattern(value, &levels, error);
        if (status < 0)
            return status;
    } else if (level_parse(value, &level) == 0) {
        levels = 1u << level;
    } else {
        return error_set(error, -EINVAL,
                         "level \"%.*s\" is unknown: expected trace, debug, info, warn, error or critical",
                         TEXT_FORMAT(value));
    }
    *ret = op == FILTER_EQUAL || op == FILTER_MATCH ? levels : FILTER_ALL_LEVELS & ~levels;
    return 1;
}

static bool is_uuid_field(enum filter_field field) {
    return field == FILTER_USER_ID || field == FILTER_ORGANIZATION_ID || field == FILTER_ID;
}

/* As tfctl stats --templates shows it. */
static bool template_parse(struct text value, uint64_t *ret) {
    uint64_t number = 0;
    for (size_t i = 0; i < value.length; i++) {
        char c = value.data[i], letter = (char)(c | 0x20);
        if (!(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'f'))
            return false;
        number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : letter - 'a' + 10);
    }
    *ret = number;
    return value.length == 16;
}

static int fill_matcher(struct filter_matcher *matcher, struct text label, struct text key, struct text value,
                        struct error *error) {
    int status = copy(key, &matcher->key, error);
    if (status < 0)
        return status;
    if (matcher->op == FILTER_MATCH || matcher->op == FILTER_NOT_MATCH)
        return pattern_compile(value, true, &matcher->pattern, error);
    if (matcher->op > FILTER_NOT_MATCH)
        return filter_number_parse(value, &matcher->number)
                   ? 0
                   : error_set(error, -EINVAL,
                               "\"%.*s\" is no number: expected one such as 3, -1.5, 12ms, 1h30m or 5KB",
                               TEXT_FORMAT(value));
    if (matcher->field == FILTER_TEMPLATE && !template_parse(value, &matcher->template))
        return error_set(
            error, -EINVAL,
            "template \"%.*s\" is unknown: expected 16 hex digits as \"tfctl stats --templates\" shows them",
            TEXT_FORMAT(value));
    if (is_uuid_field(matcher->field) && value.length > 0 && uuid_parse(value, &matcher->uuid) < 0)
        return error_set(error, -EINVAL,
                         "%.*s \"%.*s\" is no UUID: expected the form "
                         "0190163d-8694-739b-aea5-966c26f8ad91",
                         TEXT_FORMAT(label), TEXT_FORMAT(value));
    return copy(value, &matcher->value, error);
}

int filter_matcher_make(struct filter_matcher *ret, struct text label, enum filter_operator op, struct text value,
                        unsigned *ret_levels, struct error *error) {
    struct filter_matcher matcher = { .field = FILTER_METADATA, .op = op };
    struct text key = label;
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (text_is(label, fields[i].name))
            matcher.field = fields[i].field;
    if (matcher.field == FILTER_LEVEL)
        return level_matcher(op, value, ret_levels, error);
    if (text_starts_with(label, metadata_prefix) && label.length > metadata_prefix.length)
        key = (struct text) { label.data + metadata_prefix.length, label.length - metadata_prefix.length };
    int status = fill_matcher(&matcher, label, key, value, error);
    if (status < 0) {
        filter_matcher_finish(&matcher);
        return status;
    }
    *ret = matcher;
    return 0;
}

int filter_take_matcher(struct filter *filter, struct filter_matcher *matcher, struct error *error) {
    int status = grow((void **)&filter->matchers, filter->matcher_count, sizeof(*filter->matchers), "matchers", error);
    if (status < 0)
        filter_matcher_finish(matcher);
    else
        filter->matchers[filter->matcher_count++] = *matcher;
    return status;
}

int filter_take_tree(struct filter *filter, struct filter_tree *tree, struct error *error) {
    int status = grow((void **)&filter->trees, filter->tree_count, sizeof(*filter->trees), "label filters", error);
    if (status < 0)
        filter_tree_finish(tree);
    else
        filter->trees[filter->tree_count++] = *tree;
    return status;
}

int filter_add_matcher(struct filter *filter, struct text label, enum filter_operator op, struct text value,
                       struct error *error) {
    struct filter_matcher matcher;
    unsigned levels;
    int status = filter_matcher_make(&matcher, label, op, value, &levels, error);
    if (status > 0)
        filter->levels &= levels;
    return status < 0 ? status : status > 0 ? 0 : filter_take_matcher(filter, &matcher, error);
}

/* --- line filters --- */

static int fill_alternative(struct filter_alternative *alternative, bool regex, struct text value,
                            struct error *error) {
    if (!regex)
        return copy(value, &alternative->bytes, error);
    int status = pattern_compile(value, false, &alternative->pattern, error);
    if (status < 0)
        return status;
    alternative->bytes = pattern_literal(alternative->pattern);
    return 0;
}

int filter_add_line(struct filter *filter, bool negated, bool regex, const struct text *alternatives, uint32_t count,
                    struct error *error) {
    struct filter_line line = { .negated = negated, .regex = regex };
    if (count > FILTER_CONDITIONS_MAX)
        return error_set(error, -E2BIG, "a line filter may have %d alternatives", FILTER_CONDITIONS_MAX);
    int status = grow((void **)&filter->lines, filter->line_count, sizeof(*filter->lines), "line filters", error);
    if (status < 0)
        return status;
    line.alternatives = calloc(count, sizeof(*line.alternatives));
    if (!line.alternatives)
        return no_memory(error);
    for (uint32_t i = 0; i < count && status == 0; i++) {
        line.alternative_count = i + 1;
        status = fill_alternative(&line.alternatives[i], regex, alternatives[i], error);
    }
    if (status < 0) {
        line_finish(&line);
        return status;
    }
    filter->lines[filter->line_count++] = line;
    return 0;
}
