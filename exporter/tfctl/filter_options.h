/* filter_options.h - the filters that query, tail and stats share, from the command line to a struct filter. */
#ifndef TASKFORGE_EXPORTER_TFCTL_FILTER_OPTIONS_H
#define TASKFORGE_EXPORTER_TFCTL_FILTER_OPTIONS_H

#include "common/query/filter.h"
#include "exporter/tfctl/command.h"

#define FILTER_LETTERS "s:p:S:U:g:F:"

enum {
    OPTION_LEVEL = OPTION_COMMAND_FIRST + 100,
    OPTION_TRACE_ID,
    OPTION_SPAN_ID,
    OPTION_CORRELATION_ID,
    OPTION_USER_ID,
    OPTION_ORGANIZATION_ID,
    OPTION_TEMPLATE,
    OPTION_KEY,
};
#define FILTER_OPTIONS                                                                                                 \
    { "service", required_argument, NULL, 's' }, { "level", required_argument, NULL, OPTION_LEVEL },                   \
        { "min-level", required_argument, NULL, 'p' }, { "since", required_argument, NULL, 'S' },                      \
        { "until", required_argument, NULL, 'U' }, { "trace-id", required_argument, NULL, OPTION_TRACE_ID },           \
        { "span-id", required_argument, NULL, OPTION_SPAN_ID },                                                        \
        { "correlation-id", required_argument, NULL, OPTION_CORRELATION_ID },                                          \
        { "user-id", required_argument, NULL, OPTION_USER_ID },                                                        \
        { "organization-id", required_argument, NULL, OPTION_ORGANIZATION_ID },                                        \
        { "template", required_argument, NULL, OPTION_TEMPLATE }, { "grep", required_argument, NULL, 'g' }, {          \
        "fixed", required_argument, NULL, 'F'                                                                          \
    }
/* Of those that show entries, besides. */
#define KEY_OPTION                                                                                                     \
    { "key", required_argument, NULL, OPTION_KEY }

#define FILTER_HELP                                                                                                    \
    "FILTER is LogQL's form: '{service=\"queue\",level=~\"error|critical\"} |= \"timeout\" != \"retry\" |~ "           \
    "`id=[0-9]+`'\n"                                                                                                   \
    "  labels: service module operation level host pid trace_id span_id correlation_id user_id\n"                      \
    "  organization_id template, or a key of metadata; with = != =~ !~; lines with |= != |~ !~;\n"                     \
    "  numbers behind a |: '{} | json | attempt > 3 or took >= 1.5s'\n\n"                                              \
    "  -s, --service S           this service (more than one: any of them)\n"                                          \
    "      --level L             this level alone: trace debug info warn error critical\n"                             \
    "  -p, --min-level L         this level and above\n"                                                               \
    "  -S, --since T             from T on\n"                                                                          \
    "  -U, --until T             before T\n"                                                                           \
    "      --trace-id ID  --span-id ID  --correlation-id ID  --user-id ID  --organization-id ID\n"                     \
    "      --template ID         the statement's, 16 hex digits, as \"tfctl stats --templates\" shows it\n"            \
    "  -g, --grep REGEX          the message matches the regular expression\n"                                         \
    "  -F, --fixed TEXT          the message holds the text\n\n"                                                       \
    "T is RFC 3339, 2026-11-23 15:04:05 or a part of it, 15:04, today, yesterday, an age (90s 15m 2h 7d), or\n"        \
    "Unix seconds.\n"

#define KEY_HELP                                                                                                       \
    "      --key FILE            open what is encrypted to this secret key (tfctl keygen), filters included\n"

/* Take one option into *filter: GO_ON, or the exit status (an option that is not a filter's goes to session_option). */
int filter_option(struct session *session, struct filter *filter, int option, char **argv);

/* What stands behind the options: at most one FILTER. GO_ON, or the exit status. */
int filter_argument(struct session *session, struct filter *filter, int argc, char **argv);

/* Values of options: GO_ON, or the exit status with the reason said. `name` is the option as the user knows it. */
int option_time(struct session *session, const char *name, const char *value, uint64_t *ret);
int option_count(struct session *session, const char *name, const char *value, uint64_t most, uint64_t *ret);

#endif
