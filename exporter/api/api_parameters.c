#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/logql_parser.h"
#include "exporter/api/api.h"

bool api_parameters_known(const struct http_request *request, const char *const *names, struct http_answer *answer) {
    for (size_t i = 0; i < request->parameter_count; i++) {
        struct text name = request->parameters[i].name;
        size_t known = 0;
        while (names[known] && !text_is(name, names[known]))
            known++;
        if (!names[known]) {
            http_fail(answer, 400, "unknown parameter \"%.*s\"", (int)(name.length < 60 ? name.length : 60), name.data);
            return false;
        }
        for (size_t j = 0; j < i; j++)
            if (text_equal(request->parameters[j].name, name)) {
                http_fail(answer, 400, "parameter \"%s\" is given twice", names[known]);
                return false;
            }
    }
    return true;
}

bool api_parameters_none(const struct http_request *request, struct http_answer *answer) {
    static const char *const names[] = { NULL };
    return api_parameters_known(request, names, answer);
}

bool api_parameter_time(const struct http_request *request, const char *name, struct http_answer *answer,
                        uint64_t *ret) {
    const struct text *value = http_parameter(request, name);
    char text[64];
    if (!value || value->length == 0)
        return true;
    if (value->length < sizeof(text)) {
        memcpy(text, value->data, value->length);
        text[value->length] = '\0';
        if (clock_parse_human(text, clock_real_ns(), ret) == 0)
            return true;
    }
    http_fail(answer, 400, "%s must be a time: RFC 3339, Unix seconds, or an age such as 15m", name);
    return false;
}

bool api_parameter_duration(const struct http_request *request, const char *name, struct http_answer *answer,
                            uint64_t *ret) {
    const struct text *value = http_parameter(request, name);
    if (!value || value->length == 0)
        return true;
    if (clock_parse_duration(value->data, value->length, ret) == 0 && *ret >= CLOCK_SECOND)
        return true;
    http_fail(answer, 400, "%s must be a duration of a second or more, such as 5m or 1h", name);
    return false;
}

bool api_parameter_count(const struct http_request *request, const char *name, uint64_t most,
                         struct http_answer *answer, uint64_t *ret) {
    const struct text *value = http_parameter(request, name);
    uint64_t number = 0;
    if (!value || value->length == 0)
        return true;
    bool good = value->length <= 18;
    for (size_t i = 0; i < value->length && good; i++) {
        good = value->data[i] >= '0' && value->data[i] <= '9';
        number = number * 10 + (uint64_t)(unsigned char)(value->data[i] - '0');
    }
    if (!good || number > most) {
        http_fail(answer, 400, "%s must be a whole number up to %llu", name, (unsigned long long)most);
        return false;
    }
    *ret = number;
    return true;
}

static bool level_parameters(const struct http_request *request, struct http_answer *answer, struct filter *filter) {
    static const char *const names[] = { "level", "min_level" };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct text *value = http_parameter(request, names[i]);
        enum level level;
        if (!value || value->length == 0)
            continue;
        if (level_parse(*value, &level) < 0) {
            http_fail(answer, 400, "%s must be trace, debug, info, warn, error or critical", names[i]);
            return false;
        }
        if (i == 0)
            filter_set_level(filter, level);
        else
            filter_set_min_level(filter, level);
    }
    return true;
}

/* Whatever condition it is, its sentence names the parameter. */
static bool taken(int result, const char *name, const struct error *error, struct http_answer *answer) {
    if (result < 0)
        http_fail(answer, result == -ENOMEM ? 503 : 400, "%s: %s", name, error->text);
    return result == 0;
}

/* LogQL's form, or text that the message has to hold. */
static bool query_parameter(const struct http_request *request, struct http_answer *answer, struct filter *filter) {
    const struct text *value = http_parameter(request, "q");
    struct error error = { "" };
    if (!value || value->length == 0)
        return true;
    bool logql = value->data[0] == '{' || text_starts_with(*value, TEXT_LITERAL("|=")) ||
                 text_starts_with(*value, TEXT_LITERAL("|~")) || text_starts_with(*value, TEXT_LITERAL("!=")) ||
                 text_starts_with(*value, TEXT_LITERAL("!~")) || text_starts_with(*value, TEXT_LITERAL("| "));
    int result = logql ? logql_parse(*value, filter, &error) : filter_add_line(filter, false, false, value, 1, &error);
    return taken(result, "q", &error, answer);
}

bool api_parameters_filter(const struct http_request *request, struct http_answer *answer, struct filter *filter) {
    static const char *const ids[] = { "trace_id", "span_id", "correlation_id", "user_id", "organization_id", "template" };
    const struct text *service = http_parameter(request, "service");
    struct error error = { "" };
    filter_init(filter);
    if (service && service->length > 0 &&
        !taken(filter_add_service(filter, *service, &error), "service", &error, answer))
        return false;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        const struct text *value = http_parameter(request, ids[i]);
        if (value && value->length > 0 &&
            !taken(filter_add_matcher(filter, text_of(ids[i]), FILTER_EQUAL, *value, &error), ids[i], &error, answer))
            return false;
    }
    return level_parameters(request, answer, filter) && query_parameter(request, answer, filter) &&
           api_parameter_time(request, "start", answer, &filter->since_ns) &&
           api_parameter_time(request, "end", answer, &filter->until_ns);
}
