/* filter_options.c - see filter_options.h. */
#include "exporter/tfctl/filter_options.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/logql_parser.h"

static const struct {
    int option;
    const char *name, *label;
} id_options[] = {
    { OPTION_TRACE_ID, "--trace-id", "trace_id" },
    { OPTION_SPAN_ID, "--span-id", "span_id" },
    { OPTION_CORRELATION_ID, "--correlation-id", "correlation_id" },
    { OPTION_USER_ID, "--user-id", "user_id" },
    { OPTION_ORGANIZATION_ID, "--organization-id", "organization_id" },
    { OPTION_TEMPLATE, "--template", "template" },
};

int option_time(struct session *session, const char *name, const char *value, uint64_t *ret) {
    if (clock_parse_human(value, clock_real_ns(), ret) < 0)
        return usage_error(
            session,
            "%s \"%s\": expected a time such as 2026-11-23T15:04:05Z, \"2026-11-23 15:04\", 15:04, today, "
            "yesterday, 90s, 15m, 2h, 7d or Unix seconds",
            name, value);
    return GO_ON;
}

int option_count(struct session *session, const char *name, const char *value, uint64_t most, uint64_t *ret) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || errno || number > most) {
        if (most == UINT64_MAX)
            return usage_error(session, "%s \"%s\": expected a whole number", name, value);
        return usage_error(session, "%s \"%s\": expected a whole number up to %llu", name, value,
                           (unsigned long long)most);
    }
    *ret = number;
    return GO_ON;
}

static int level_option(struct session *session, struct filter *filter, const char *name, bool minimum,
                        const char *value) {
    enum level level;
    if (level_parse(text_of(value), &level) < 0)
        return usage_error(session, "%s \"%s\": expected trace, debug, info, warn, error or critical", name, value);
    if (minimum)
        filter_set_min_level(filter, level);
    else
        filter_set_level(filter, level);
    return GO_ON;
}

static int line_option(struct session *session, struct filter *filter, const char *name, bool regex,
                       const char *value) {
    struct error error = { "" };
    struct text text = text_of(value);
    if (filter_add_line(filter, false, regex, &text, 1, &error) < 0)
        return usage_error(session, "%s: %s", name, error.text);
    return GO_ON;
}

static int id_option(struct session *session, struct filter *filter, int option) {
    for (size_t i = 0; i < COUNT_OF(id_options); i++) {
        struct error error = { "" };
        if (id_options[i].option != option)
            continue;
        if (!optarg[0])
            return usage_error(session, "%s: expected an id, found nothing", id_options[i].name);
        if (filter_add_matcher(filter, text_of(id_options[i].label), FILTER_EQUAL, text_of(optarg), &error) < 0)
            return usage_error(session, "%s: %s", id_options[i].name, error.text);
    }
    return GO_ON;
}

static int service_option(struct session *session, struct filter *filter) {
    struct error error = { "" };
    if (filter_add_service(filter, text_of(optarg), &error) < 0)
        return usage_error(session, "--service: %s", error.text);
    return GO_ON;
}

int filter_option(struct session *session, struct filter *filter, int option, char **argv) {
    switch (option) {
    case 's':
        return service_option(session, filter);
    case OPTION_LEVEL:
        return level_option(session, filter, "--level", false, optarg);
    case 'p':
        return level_option(session, filter, "--min-level", true, optarg);
    case 'S':
        return option_time(session, "--since", optarg, &filter->since_ns);
    case 'U':
        return option_time(session, "--until", optarg, &filter->until_ns);
    case 'g':
        return line_option(session, filter, "--grep", true, optarg);
    case 'F':
        return line_option(session, filter, "--fixed", false, optarg);
    case OPTION_TRACE_ID:
    case OPTION_SPAN_ID:
    case OPTION_CORRELATION_ID:
    case OPTION_USER_ID:
    case OPTION_ORGANIZATION_ID:
    case OPTION_TEMPLATE:
        return id_option(session, filter, option);
    case OPTION_KEY:
        session->key_path = optarg;
        return GO_ON;
    default:
        return session_option(session, option, argv);
    }
}

int filter_argument(struct session *session, struct filter *filter, int argc, char **argv) {
    struct error error = { "" };
    if (argc == 0)
        return GO_ON;
    if (argc > 1)
        return usage_error(session, "expected one FILTER (in quotes), found %d words: \"%s\", \"%s\"", argc, argv[0],
                           argv[1]);
    if (logql_parse(text_of(argv[0]), filter, &error) < 0)
        return usage_error(session, "FILTER, %s", error.text);
    return GO_ON;
}
