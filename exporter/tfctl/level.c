/* level.c - tfctl level: which levels running programs write, over the collector's control socket. */
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"
#include "exporter/tfctl/collector_request.h"
#include "exporter/tfctl/command.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"

enum { OPTION_FOR = OPTION_COMMAND_FIRST, OPTION_UTC };
enum { ROW_PACKED_MAX = 4096 };
#define DEFAULT_NAME "(default)"

struct level_command {
    struct session *session;
    const char *service, *time; /* of the options, or NULL */
    bool json, utc;
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "service", required_argument, NULL, 's' },
    { "for", required_argument, NULL, OPTION_FOR },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { 0 },
};

static int take_option(struct level_command *command, int option, char **argv) {
    switch (option) {
    case 's':
        command->service = optarg;
        return GO_ON;
    case OPTION_FOR:
        command->time = optarg;
        return GO_ON;
    case OPTION_UTC:
        command->utc = true;
        return GO_ON;
    case 'o':
        command->json = strcmp(optarg, "json") == 0;
        return command->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(command->session, "--format \"%s\": expected text or json", optarg);
    default:
        return session_option(command->session, option, argv);
    }
}

/* --- printing --- */

struct row { /* one line of the answer; texts point into `packed` */
    struct text service, level, until, then;
    uint64_t processes;
    char packed[ROW_PACKED_MAX];
};

static struct text field(struct text map, const char *key) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) == 1 && value.type == PACK_TEXT ? value.text : TEXT_EMPTY;
}

static bool parse_row(struct text line, struct row *ret) {
    struct pack_writer writer = { .data = ret->packed, .capacity = sizeof(ret->packed) };
    struct pack_value processes;
    if (pack_from_json(line, &writer, NULL) < 0 || writer.failed)
        return false;
    struct text map = { ret->packed, writer.length };
    if (!pack_is_map(map))
        return false;
    ret->service = field(map, "service");
    if (ret->service.length == 0)
        ret->service = TEXT_LITERAL(DEFAULT_NAME);
    ret->level = field(map, "level");
    ret->until = field(map, "until");
    ret->then = field(map, "then");
    ret->processes = 0;
    if (pack_find(map, TEXT_LITERAL("processes"), &processes) == 1 && processes.type == PACK_UINT)
        ret->processes = processes.natural;
    return true;
}

static void append_padded(struct buffer *out, struct text text, size_t width) {
    size_t before = out->length;
    format_printable(out, text);
    size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s ", (int)(width > characters ? width - characters : 0), "");
}

static void append_row(struct buffer *out, const struct row *row, size_t width, bool utc) {
    uint64_t until_ns;
    append_padded(out, row->service, width);
    append_padded(out, row->level, 8);
    buffer_append_format(out, "%9llu  ", (unsigned long long)row->processes);
    if (row->until.length > 0 && clock_parse(row->until.data, row->until.length, &until_ns) == 0)
        format_time(out, until_ns, utc);
    else
        buffer_append_char(out, '-');
    if (row->then.length > 0) {
        buffer_append_string(out, ", then ");
        format_printable(out, row->then);
    }
    buffer_append_char(out, '\n');
}

static void append_table(struct buffer *out, struct text lines, bool utc) {
    struct text rest = lines, line;
    struct row row;
    size_t width = sizeof(DEFAULT_NAME) - 1;
    while (collector_next_line(&rest, &line)) {
        size_t characters = parse_row(line, &row) ? text_utf8_count(row.service) : 0;
        width = characters > width ? characters : width;
    }
    buffer_append_format(out, "%-*s %-8s %9s  %s\n", (int)width, "service", "level", "processes", "until");
    while (collector_next_line(&lines, &line))
        if (parse_row(line, &row))
            append_row(out, &row, width, utc);
}

static int print(const struct level_command *command, struct text lines) {
    struct error error = { "" };
    struct output output;
    struct text line;
    output_init(&output, false);
    if (!command->json && lines.length > 0)
        append_table(&output.buffer, lines, command->utc);
    while (command->json && collector_next_line(&lines, &line)) {
        format_harden_json(&output.buffer, line);
        buffer_append_char(&output.buffer, '\n');
    }
    return output_finish(&output, &error) < 0 ? fault(command->session, &error) : EXIT_FINE;
}

/* --- asking --- */

static int ask_and_print(const struct level_command *command, const struct buffer *request) {
    _cleanup_buffer_ struct buffer answer = BUFFER_EMPTY;
    int status = collector_request(command->session, request, &answer);
    return status == GO_ON ? print(command, buffer_text(&answer)) : status;
}

static int check_time(const struct level_command *command) {
    uint64_t ns;
    if (!command->time || clock_parse_duration(command->time, strlen(command->time), &ns) == 0)
        return GO_ON;
    return usage_error(command->session, "--for \"%s\": expected a duration such as 90s, 15m or 2h", command->time);
}

/* --- the three --- */

static int run_set(const struct level_command *command, int count, char **words, struct buffer *request) {
    enum level level;
    if (count != 1)
        return usage_error(command->session,
                           "expected one LEVEL behind set: trace, debug, info, warn, error or critical");
    if (level_parse(text_of(words[0]), &level) < 0)
        return usage_error(command->session, "\"%s\": expected trace, debug, info, warn, error or critical", words[0]);
    buffer_append_format(request, "level set %s %s %s", level_name(level), command->time ? command->time : "-",
                         command->service ? command->service : "");
    return check_time(command);
}

static int run_reset(const struct level_command *command, int count, char **words, struct buffer *request) {
    if (count != 0 || command->time)
        return usage_error(command->session, "reset: expected nothing but --service, found \"%s\"",
                           command->time ? "--for" : words[0]);
    buffer_append_format(request, "level reset %s", command->service ? command->service : "");
    return GO_ON;
}

static int run_show(const struct level_command *command, int count, char **words, struct buffer *request) {
    if (count != 0 || command->service || command->time)
        return usage_error(command->session, "show: expected no service, level or time, found \"%s\"",
                           count              ? words[0]
                           : command->service ? "--service"
                                              : "--for");
    buffer_append_string(request, "levels");
    return GO_ON;
}

static const struct {
    const char *name;
    int (*run)(const struct level_command *command, int count, char **words, struct buffer *request);
} verbs[] = { { "set", run_set }, { "show", run_show }, { "reset", run_reset } };

static int make_request(const struct level_command *command, int count, char **words, struct buffer *request) {
    for (size_t i = 0; count > 0 && i < COUNT_OF(verbs); i++)
        if (strcmp(words[0], verbs[i].name) == 0) {
            int status = verbs[i].run(command, count - 1, words + 1, request);
            return status == GO_ON ? collector_check_service(command->session, command->service) : status;
        }
    if (count > 0)
        return usage_error(command->session, "\"%s\": expected set, show or reset", words[0]);
    return usage_error(command->session, "expected set, show or reset");
}

static int run(struct session *session, int argc, char **argv) {
    struct level_command command = { .session = session };
    _cleanup_buffer_ struct buffer request = BUFFER_EMPTY;
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":s:o:", options, NULL)) != -1)
        status = take_option(&command, option, argv);
    if (status == GO_ON)
        status = make_request(&command, argc - optind, argv + optind, &request);
    if (status == GO_ON)
        status = session_resolve(session);
    return status == GO_ON ? ask_and_print(&command, &request) : status;
}

const struct command command_level = {
    .name = "level",
    .run = run,
    .help =
        "usage: tfctl level set [--service S] LEVEL [--for D]\n"
        "       tfctl level show [--format text|json]\n"
        "       tfctl level reset [--service S]\n"
        "Which levels programs write: entries below LEVEL are not made. Running ones follow with their next call; a\n"
        "program's own min_level still holds. The collector has to run; who may set joins the group taskforge.\n\n"
        "  -s, --service S           of this service; without it set is for all that have no level of their own,\n"
        "                            and reset takes back whatever was set\n"
        "      --for D               for so long (90s, 15m, 2h); then what was set before holds again\n"
        "  -o, --format FORMAT       text or json (an object a line)\n"
        "      --utc                 times in UTC instead of local time\n"
        "      --runtime-dir DIR     --config FILE\n",
};
