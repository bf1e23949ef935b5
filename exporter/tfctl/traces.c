/* traces.c - tfctl traces: the latest traces of the store, or those that have a span open now. */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/query/trace_list.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/trace_open.h"

enum { OPTION_ACTIVE = OPTION_COMMAND_FIRST, OPTION_UTC };
enum { LIMIT_DEFAULT = 20, LIMIT_MAX = 1000000 };

struct traces {
    struct session *session;
    struct trace_list_options list;
    bool active, json, utc, colour;
    struct output output;
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "active", no_argument, NULL, OPTION_ACTIVE },
    { "service", required_argument, NULL, 's' },
    { "since", required_argument, NULL, 'S' },
    { "until", required_argument, NULL, 'U' },
    { "limit", required_argument, NULL, 'n' },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { 0 },
};

static int take_option(struct traces *traces, int option, char **argv) {
    struct session *session = traces->session;
    uint64_t limit;
    int status;
    switch (option) {
    case OPTION_ACTIVE:
        traces->active = true;
        return GO_ON;
    case OPTION_UTC:
        traces->utc = true;
        return GO_ON;
    case 's':
        traces->list.service = text_of(optarg);
        return GO_ON;
    case 'S':
        return option_time(session, "--since", optarg, &traces->list.since_ns);
    case 'U':
        return option_time(session, "--until", optarg, &traces->list.until_ns);
    case 'n':
        status = option_count(session, "--limit", optarg, LIMIT_MAX, &limit);
        traces->list.limit = status == GO_ON ? (size_t)limit : 0;
        return status;
    case 'o':
        traces->json = strcmp(optarg, "json") == 0;
        return traces->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(session, "--format \"%s\": expected text or json", optarg);
    default:
        return session_option(session, option, argv);
    }
}

/* --- printing --- */

static void append_json(struct buffer *out, const struct trace_line *line, const struct trace *open) {
    struct buffer json = BUFFER_EMPTY;
    trace_line_append_json(&json, line, open);
    format_harden_json(out, buffer_text(&json));
    buffer_append_char(out, '\n');
    out->failed |= json.failed;
    buffer_finish(&json);
}

/* How long it took, or has been going on. */
static void append_duration(struct buffer *out, const struct trace_line *line, uint64_t now_ns) {
    struct buffer text = BUFFER_EMPTY;
    uint64_t end_ns = line->end_ns ? line->end_ns : now_ns;
    trace_append_duration(&text, end_ns > line->start_ns ? end_ns - line->start_ns : 0);
    buffer_append_format(out, " %12.*s", (int)text.length, text.data);
    buffer_finish(&text);
}

static void append_count(struct buffer *out, size_t count, bool more, bool red) {
    buffer_append_format(out, "%s %6zu%c%s", red ? "\033[31m" : "", count, more ? '+' : ' ', red ? "\033[0m" : "");
}

static void append_text(struct traces *traces, const struct trace_line *line, uint64_t now_ns) {
    struct buffer *out = &traces->output.buffer;
    char digits[SPAN_TRACE_DIGITS];
    text_hex(line->id, sizeof(line->id), digits);
    buffer_append_format(out, "%.*s  ", SPAN_TRACE_DIGITS, digits);
    format_time(out, line->start_ns, traces->utc);
    append_duration(out, line, now_ns);
    append_count(out, line->spans, line->more, false);
    if (!traces->active)
        append_count(out, line->failed, line->more, traces->colour && line->failed > 0);
    buffer_append_char(out, ' ');
    format_printable(out, line->service);
    buffer_append_char(out, '/');
    format_printable(out, line->operation);
    buffer_append_char(out, '\n');
}

static void append_head(struct traces *traces) {
    const char *zone = traces->utc ? "" : "      ";
    buffer_append_format(&traces->output.buffer, "%-32s  %-24s%s %12s  %5s  %s%s\n", "trace", "start", zone, "duration",
                         traces->active ? " open" : "spans", traces->active ? "" : "failed ", "service/operation");
}

/* The latest last, as query has them. */
static void print_lines(struct traces *traces, const struct trace_list *list, const struct trace *open) {
    uint64_t now_ns = clock_real_ns();
    bool going_on = true;
    if (!traces->json && list->count > 0)
        append_head(traces);
    for (size_t i = list->count; i-- > 0 && going_on;) {
        if (traces->json)
            append_json(&traces->output.buffer, &list->lines[i], open);
        else
            append_text(traces, &list->lines[i], now_ns);
        going_on = output_push(&traces->output);
    }
}

/* --- finding --- */

static int find_active(struct traces *traces, struct trace *open, struct trace_list *list, struct error *error) {
    int result = trace_open(traces->session, NULL, open, error);
    if (result == 0 && trace_list_open(list, open, &traces->list) < 0)
        result = error_set(error, -1, "out of memory");
    if (open->more)
        session_note(traces->session, "there are more open spans than can be shown");
    return result;
}

static int find_recent(struct traces *traces, struct trace_list *list, struct error *error) {
    struct store_reader *reader;
    int status = session_open_store(traces->session, &reader);
    if (status != GO_ON)
        return status;
    status = trace_list_make(list, reader, &traces->list, error);
    store_reader_close(reader);
    return status;
}

static int run_traces(struct traces *traces) {
    struct session *session = traces->session;
    struct trace_list list = TRACE_LIST_EMPTY;
    struct trace open = TRACE_EMPTY;
    struct error error = { "" };
    int status = session_resolve(session);
    if (status != GO_ON)
        return status;
    int result = traces->active ? find_active(traces, &open, &list, &error) : find_recent(traces, &list, &error);
    if (result == 0) {
        output_init(&traces->output, false);
        traces->colour = output_coloured(&traces->output);
        print_lines(traces, &list, traces->active ? &open : NULL);
        result = output_finish(&traces->output, &error);
    }
    trace_list_finish(&list);
    trace_finish(&open);
    if (result > 0)
        return result; /* an exit status, and said */
    if (result < 0)
        return fault(session, &error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct traces traces = { .session = session, .list = { .until_ns = UINT64_MAX, .limit = LIMIT_DEFAULT } };
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":s:S:U:n:o:", options, NULL)) != -1)
        status = take_option(&traces, option, argv);
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    return status == GO_ON ? run_traces(&traces) : status;
}

const struct command command_traces = {
    .name = "traces",
    .run = run,
    .help =
        "usage: tfctl traces [--active] [OPTIONS]\n"
        "The latest traces of the store, the last one last; or those of spans that are open now, which are read out\n"
        "of the rings and need no collector.\n\n"
        "      --active              traces with a span that is open now\n"
        "  -s, --service S           a span of this service is in it\n"
        "  -S, --since T             it began at T or later\n"
        "  -U, --until T             it began before T\n"
        "  -n, --limit N             the last N (20)\n"
        "  -o, --format FORMAT       text, or json (an object a line)\n"
        "      --utc                 times in UTC instead of local time\n"
        "      --data-dir DIR        --runtime-dir DIR       --config FILE\n",
};
