/* trace.c - tfctl trace: one trace as a waterfall, each span below its parent, entries where they belong.
 *
 *   4bf92f3577b34da6a3ce929d0e0e4736  2026-11-23 18:15:04.123+07:00  120.500 ms  3 spans  1 failed
 *        0.000 ms   120.500 ms |================================| billing/charge [42]
 *        2.100 ms    10.000 ms |=                               |   db/query [43]  FAILED: timeout
 *        2.500 ms              |.                               |     ERROR main/query: no answer
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/trace_open.h"

enum { OPTION_UTC = OPTION_COMMAND_FIRST, OPTION_NO_PAGER };
enum { BAR_WIDTH = 32, DEPTH_SHOWN = 40, COLUMN_WIDTH = 12 };

struct waterfall {
    struct session *session;
    struct text id; /* as it was asked for */
    bool json, page;
    struct format_style style;
    struct output output;
    struct trace trace;
    struct entry_copies entries;
    bool more;
    uint64_t start_ns, end_ns; /* what the bar shows */
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
    { 0 },
};

/* --- a line --- */

static void colour(struct waterfall *fall, const char *sequence) {
    if (fall->style.colour)
        buffer_append_string(&fall->output.buffer, sequence);
}

/* A duration right-aligned in its column; UINT64_MAX: nothing there. */
static void append_column(struct buffer *out, uint64_t ns) {
    struct buffer text = BUFFER_EMPTY;
    if (ns != UINT64_MAX)
        trace_append_duration(&text, ns);
    buffer_append_format(out, "%*.*s ", COLUMN_WIDTH, (int)text.length, text.data ? text.data : "");
    buffer_finish(&text);
}

static unsigned place_of(const struct waterfall *fall, uint64_t time_ns) {
    uint64_t whole = fall->end_ns - fall->start_ns;
    if (time_ns <= fall->start_ns || whole == 0)
        return 0;
    double share = (double)(time_ns - fall->start_ns) / (double)whole;
    return share >= 1 ? BAR_WIDTH : (unsigned)(share * BAR_WIDTH);
}

/* From one time to another, a character at least; `last` stands at its end. */
static void append_bar(struct waterfall *fall, uint64_t from_ns, uint64_t to_ns, char fill, char last) {
    char bar[BAR_WIDTH + 1];
    unsigned from = place_of(fall, from_ns), to = place_of(fall, to_ns);
    if (from == BAR_WIDTH)
        from--;
    if (to <= from)
        to = from + 1;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar + from, fill, to - from);
    bar[to - 1] = last;
    bar[BAR_WIDTH] = '\0';
    buffer_append_format(&fall->output.buffer, "|%s| ", bar);
}

static void append_indent(struct waterfall *fall, uint32_t depth) {
    buffer_append_format(&fall->output.buffer, "%*s", (int)(2 * (depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN)), "");
}

static void append_offset(struct waterfall *fall, uint64_t time_ns, uint64_t duration_ns) {
    struct buffer *out = &fall->output.buffer;
    colour(fall, "\033[2m");
    if (time_ns < fall->start_ns) { /* an entry from before, by its clock */
        struct buffer text = BUFFER_EMPTY;
        buffer_append_char(&text, '-');
        trace_append_duration(&text, fall->start_ns - time_ns);
        buffer_append_format(out, "%*.*s ", COLUMN_WIDTH, (int)text.length, text.data);
        buffer_finish(&text);
    } else {
        append_column(out, time_ns - fall->start_ns);
    }
    colour(fall, "\033[0m");
    append_column(out, duration_ns);
}

static void append_span(struct waterfall *fall, const struct span *span, uint32_t depth) {
    struct buffer *out = &fall->output.buffer;
    bool open = span_is_open(span);
    uint64_t end_ns = open ? fall->end_ns : span->end_ns;
    uint64_t duration = end_ns > span->record.start_ns ? end_ns - span->record.start_ns : 0;
    append_offset(fall, span->record.start_ns, duration);
    append_bar(fall, span->record.start_ns, end_ns, '=', open ? '>' : '=');
    append_indent(fall, depth);
    colour(fall, "\033[1m");
    format_printable(out, span->record.service);
    colour(fall, "\033[0m");
    buffer_append_char(out, '/');
    format_printable(out, span->record.operation);
    if (span->pid)
        buffer_append_format(out, " [%u]", span->pid);
    if (open)
        buffer_append_string(out, "  open");
    if (span->record.failed) {
        colour(fall, "\033[31m");
        buffer_append_string(out, "  FAILED");
        colour(fall, "\033[0m");
    }
    if (span->record.status.length > 0) {
        buffer_append_string(out, span->record.failed ? ": " : "  ");
        format_printable(out, span->record.status);
    }
    format_metadata(out, &fall->style, span->record.metadata);
    buffer_append_char(out, '\n');
}

static void append_entry(struct waterfall *fall, const struct entry *entry, uint32_t depth) {
    struct buffer *out = &fall->output.buffer;
    append_offset(fall, entry->timestamp_ns, UINT64_MAX);
    append_bar(fall, entry->timestamp_ns, entry->timestamp_ns, '.', '.');
    append_indent(fall, depth);
    format_level(out, &fall->style, entry->level);
    buffer_append_char(out, ' ');
    format_printable(out, entry->module);
    buffer_append_char(out, '/');
    format_printable(out, entry->operation);
    buffer_append_string(out, ": ");
    format_printable(out, entry->message);
    format_metadata(out, &fall->style, entry->metadata);
    buffer_append_char(out, '\n');
}

/* --- all of them --- */

static void append_head(struct waterfall *fall, const struct trace_summary *summary) {
    struct buffer *out = &fall->output.buffer;
    colour(fall, "\033[1m");
    format_printable(out, fall->id);
    colour(fall, "\033[0m");
    buffer_append_string(out, "  ");
    format_time(out, fall->start_ns, fall->style.utc);
    buffer_append_string(out, "  ");
    trace_append_duration(out, fall->end_ns - fall->start_ns);
    buffer_append_format(out, "  %zu span%s", summary->spans, summary->spans == 1 ? "" : "s");
    if (summary->failed > 0)
        buffer_append_format(out, "  %zu failed", summary->failed);
    if (summary->open > 0)
        buffer_append_format(out, "  %zu open", summary->open);
    buffer_append_char(out, '\n');
}

/* The time that the bars stand for: from the first start to the last end, of open ones to now, of no spans from the first entry to the last. */
static void set_period(struct waterfall *fall, const struct trace_summary *summary) {
    uint64_t now_ns = clock_real_ns();
    fall->start_ns = summary->start_ns;
    fall->end_ns = summary->open > 0 && now_ns > summary->end_ns ? now_ns : summary->end_ns;
    if (summary->spans == 0 && fall->entries.count > 0) {
        fall->start_ns = fall->entries.entries[0].timestamp_ns;
        fall->end_ns = fall->entries.entries[fall->entries.count - 1].timestamp_ns;
    }
}

static int print_text(struct waterfall *fall) {
    struct trace_summary summary;
    struct trace_row *rows;
    if (trace_arrange(&fall->trace, &fall->entries, &rows) < 0)
        return -1;
    trace_summarize(&fall->trace, &summary);
    set_period(fall, &summary);
    append_head(fall, &summary);
    for (size_t i = 0; i < fall->trace.count + fall->entries.count; i++) {
        struct span span;
        struct entry entry;
        if (rows[i].is_entry) {
            entry_copies_get(&fall->entries, rows[i].index, &entry);
            append_entry(fall, &entry, rows[i].depth);
        } else {
            trace_span(&fall->trace, rows[i].index, &span);
            append_span(fall, &span, rows[i].depth);
        }
        if (!output_push(&fall->output))
            break;
    }
    free(rows);
    if (fall->more || fall->trace.more)
        session_note(fall->session, "the trace has more than is shown");
    return 0;
}

static int print_json(struct waterfall *fall) {
    struct buffer json = BUFFER_EMPTY;
    int result = trace_append_json(&json, &fall->trace, fall->id, &fall->entries, fall->more);
    format_harden_json(&fall->output.buffer, buffer_text(&json));
    buffer_append_char(&fall->output.buffer, '\n');
    buffer_finish(&json);
    return result;
}

static int print(struct waterfall *fall, struct error *error) {
    output_init(&fall->output, fall->page && !fall->json);
    fall->style.colour = output_coloured(&fall->output);
    fall->style.terminal = fall->output.terminal;
    int result = fall->trace.count + fall->entries.count == 0 ? 0 : fall->json ? print_json(fall) : print_text(fall);
    int written = output_finish(&fall->output, error);
    return result < 0 ? error_set(error, result, "out of memory") : written;
}

/* --- finding --- */

static int find_spans(struct waterfall *fall, struct store_reader *reader, struct error *error) {
    uint8_t id[SPAN_TRACE_BYTES];
    struct trace open = TRACE_EMPTY;
    if (span_trace_parse(fall->id, id) < 0)
        return 0;                                             /* no span can have it; entries may */
    int result = trace_open(fall->session, id, &open, error); /* before the store: what ends in between is there */
    if (result == 0)
        result = trace_load(&fall->trace, reader, id, error);
    for (size_t i = 0; i < open.count && result == 0; i++) {
        struct span span;
        trace_span(&open, i, &span);
        if (trace_add_open(&fall->trace, &span) < 0)
            result = error_set(error, -1, "out of memory");
    }
    trace_finish(&open);
    return result;
}

static int run_trace(struct waterfall *fall) {
    struct session *session = fall->session;
    struct store_reader *reader;
    struct error error = { "" };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &reader);
    if (status != GO_ON)
        return status;
    struct trace_search search = { .id = fall->id, .damaged = session_damaged, .argument = session };
    int result = find_spans(fall, reader, &error);
    if (result == 0)
        result = trace_entries(&search, reader, &fall->entries, &error);
    fall->more = search.more;
    store_reader_close(reader);
    if (result == 0)
        result = print(fall, &error);
    if (result < 0)
        return fault(session, &error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int take_option(struct waterfall *fall, int option, char **argv) {
    switch (option) {
    case 'o':
        fall->json = strcmp(optarg, "json") == 0;
        return fall->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(fall->session, "--format \"%s\": expected text or json", optarg);
    case OPTION_UTC:
        fall->style.utc = true;
        return GO_ON;
    case OPTION_NO_PAGER:
        fall->page = false;
        return GO_ON;
    default:
        return session_option(fall->session, option, argv);
    }
}

static int run(struct session *session, int argc, char **argv) {
    struct waterfall fall = { .session = session, .page = true };
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":o:", options, NULL)) != -1)
        status = take_option(&fall, option, argv);
    if (status == GO_ON && optind + 1 != argc)
        status = usage_error(session, "expected the id of one trace, found %d words", argc - optind);
    if (status == GO_ON) {
        fall.id = text_of(argv[optind]);
        if (fall.id.length == 0 || fall.id.length > ENTRY_TRACE_BYTES)
            status = usage_error(session, "a trace's id has 1 to %d bytes, not %zu", ENTRY_TRACE_BYTES, fall.id.length);
    }
    if (status == GO_ON)
        status = run_trace(&fall);
    trace_finish(&fall.trace);
    entry_copies_finish(&fall.entries);
    return status;
}

const struct command command_trace = {
    .name = "trace",
    .run = run,
    .help = "usage: tfctl trace ID [OPTIONS]\n"
            "One trace as a waterfall: each span below its parent, with when it began, how long it took, and a bar; "
            "and its\n"
            "entries where they belong. Spans whose parent is not there stand at the top, open ones end in \">\".\n"
            "ID is 32 hex digits, or whatever entries carry as trace_id.\n\n"
            "  -o, --format FORMAT       text, or json (one object)\n"
            "      --utc                 times in UTC instead of local time\n"
            "      --no-pager            never start $PAGER\n"
            "      --data-dir DIR        --runtime-dir DIR       --config FILE\n",
};
