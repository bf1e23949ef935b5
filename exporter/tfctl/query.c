/* query.c - tfctl query: matching entries of the store, or how many there are. */
#include <errno.h>
#include <stdio.h>

#include "common/query/context.h"
#include "common/query/scan.h"
#include "common/query/tally.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/opening.h"
#include "exporter/tfctl/output.h"

enum { OPTION_OFFSET = OPTION_COMMAND_FIRST, OPTION_UTC, OPTION_NO_PAGER, OPTION_COUNT };

struct query {
    struct session *session;
    struct filter filter;
    struct scan_options scan;
    uint64_t context;
    const struct format *format;
    struct format_style style;
    bool page, count;
    struct output output;
    bool printed; /* an entry */
};

static const struct option options[] = {
    FILTER_OPTIONS,
    KEY_OPTION,
    COMMON_OPTIONS,
    { "limit", required_argument, NULL, 'n' },
    { "offset", required_argument, NULL, OPTION_OFFSET },
    { "reverse", no_argument, NULL, 'r' },
    { "context", required_argument, NULL, 'C' },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
    { "count", no_argument, NULL, OPTION_COUNT },
    { 0 },
};

static int take_option(struct query *query, int option, char **argv) {
    struct session *session = query->session;
    switch (option) {
    case 'n':
        return option_count(session, "--limit", optarg, UINT64_MAX, &query->scan.limit);
    case OPTION_OFFSET:
        return option_count(session, "--offset", optarg, UINT64_MAX, &query->scan.offset);
    case 'r':
        query->scan.reverse = true;
        return GO_ON;
    case 'C':
        return option_count(session, "--context", optarg, CONTEXT_MAX, &query->context);
    case 'o':
        query->format = format_find(optarg);
        return query->format ? GO_ON : usage_error(session, "--format \"%s\": expected " FORMAT_NAMES, optarg);
    case OPTION_UTC:
        query->style.utc = true;
        return GO_ON;
    case OPTION_NO_PAGER:
        query->page = false;
        return GO_ON;
    case OPTION_COUNT:
        query->count = true;
        return GO_ON;
    default:
        return filter_option(session, &query->filter, option, argv);
    }
}

static int parse(struct query *query, int argc, char **argv) {
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":n:rC:o:" FILTER_LETTERS, options, NULL)) != -1)
        status = take_option(query, option, argv);
    if (status == GO_ON && query->context > 0 && query->session->key_path)
        status = usage_error(query->session,
                             "--key and --context do not go together: look at the surroundings without --key");
    return status == GO_ON ? filter_argument(query->session, &query->filter, argc - optind, argv + optind) : status;
}

static void print_header(struct query *query) {
    if (!query->printed)
        query->format->header(&query->output.buffer, &query->style);
    query->printed = true;
}

static bool print(struct query *query, const struct entry *entry, bool match) {
    print_header(query);
    query->format->entry(&query->output.buffer, &query->style, entry, match);
    return output_push(&query->output);
}

/* Any of the scan's threads. */
static void render(void *argument, struct buffer *out, const struct entry *entry) {
    const struct query *query = argument;
    query->format->entry(out, &query->style, entry, true);
}

/* 0 at the end or when nobody reads any more, negative errno. */
static int print_scan(struct query *query, struct store_reader *reader, struct error *error) {
    struct scan *scan;
    uint64_t sequence;
    query->scan.render = render;
    query->scan.render_argument = query;
    int status = scan_open(reader, &query->filter, &query->scan, &scan, error);
    if (status < 0)
        return status;
    while ((status = scan_next(scan, &sequence, error)) > 0) {
        print_header(query);
        status = scan_text(scan, &query->output.buffer, error);
        if (status < 0 || !output_push(&query->output))
            break;
    }
    scan_close(scan);
    return status < 0 ? status : 0;
}

static int print_context(struct query *query, struct store_reader *reader, struct error *error) {
    struct context *context;
    struct context_row row;
    int status = context_open(reader, &query->filter, &query->scan, query->context, &context, error);
    if (status < 0)
        return status;
    while ((status = context_next(context, &row, error)) > 0) {
        if (row.gap)
            query->format->gap(&query->output.buffer, &query->style);
        if (!print(query, &row.entry, row.match))
            break;
    }
    context_close(context);
    return status < 0 ? status : 0;
}

/* With --key: each entry is judged once it is open. */
static int print_opened(struct query *query, struct opening *opening, struct store_reader *reader,
                        struct error *error) {
    struct scan_options range = query->scan;
    uint64_t sequence, found = 0;
    struct scan *scan;
    struct entry entry;
    range.offset = 0;
    range.limit = UINT64_MAX;
    int status = scan_open(reader, &opening->scanned, &range, &scan, error);
    if (status < 0)
        return status;
    while ((found < query->scan.offset || found - query->scan.offset < query->scan.limit) &&
           (status = scan_next(scan, &sequence, error)) > 0) {
        status = scan_entry(scan, &entry, error);
        if (status > 0)
            status = opening_judge(opening, &entry, error);
        if (status < 0)
            break;
        if (status == 1 && ++found > query->scan.offset && !query->count && !print(query, &entry, true))
            break;
    }
    scan_close(scan);
    if (query->count && status >= 0)
        buffer_append_format(&query->output.buffer, "%llu\n",
                             (unsigned long long)(found > query->scan.offset ? found - query->scan.offset : 0));
    return status < 0 ? status : 0;
}

static int open_and_print(struct query *query, struct store_reader *reader, struct error *error) {
    struct opening opening;
    int status = opening_begin(query->session, &query->filter, &opening);
    if (status != GO_ON)
        return -ENOKEY; /* said */
    status = print_opened(query, &opening, reader, error);
    query->session->damaged |= opening_end(query->session, &opening);
    return status;
}

/* With a limit or an offset: how many would be printed. */
static int print_count(struct query *query, struct store_reader *reader, struct error *error) {
    struct tally tally;
    int status = tally_make(reader, &query->filter, &query->scan, true, &tally, error);
    if (status < 0)
        return status;
    uint64_t count = tally.total > query->scan.offset ? tally.total - query->scan.offset : 0;
    buffer_append_format(&query->output.buffer, "%llu\n",
                         (unsigned long long)(count < query->scan.limit ? count : query->scan.limit));
    tally_finish(&tally);
    return 0;
}

static int run_query(struct query *query) {
    struct session *session = query->session;
    struct store_reader *reader;
    struct error error = { "" };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &reader);
    if (status != GO_ON)
        return status;
    output_init(&query->output, query->page && !query->count);
    query->style.colour = output_coloured(&query->output);
    query->style.terminal = query->output.terminal;
    query->style.context = query->context > 0;
    if (session->key_path)
        status = open_and_print(query, reader, &error);
    else if (query->count)
        status = print_count(query, reader, &error);
    else if (query->context > 0)
        status = print_context(query, reader, &error);
    else
        status = print_scan(query, reader, &error);
    store_reader_close(reader);
    struct error output_error = { "" };
    int written = output_finish(&query->output, &output_error);
    if (status == -ENOKEY)
        return EXIT_FAULT;
    if (status < 0)
        return fault(session, &error);
    if (written < 0)
        return fault(session, &output_error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct query query = { .session = session, .scan = SCAN_EVERYTHING, .format = &format_text, .page = true };
    query.scan.damaged = session_damaged;
    query.scan.damaged_argument = session;
    filter_init(&query.filter);
    int status = parse(&query, argc, argv);
    if (status == GO_ON)
        status = run_query(&query);
    filter_finish(&query.filter);
    return status;
}

const struct command command_query = {
    .name = "query",
    .run = run,
    .help = "usage: tfctl query [FILTER] [OPTIONS]\n"
            "Print the matching entries of the store, oldest first. Needs no running process.\n\n" FILTER_HELP "\n" KEY_HELP
            "  -n, --limit N             at most N entries\n"
            "      --offset N            pass over the first N\n"
            "  -r, --reverse             newest first\n"
            "  -C, --context N           with N entries before and after in the whole log, in order of arrival\n"
            "      --count               print only how many match\n"
            "  -o, --format FORMAT       text, json (one object a line) or csv\n"
            "      --utc                 times in UTC instead of local time\n"
            "      --no-pager            never start $PAGER\n"
            "      --data-dir DIR        a data folder, a folder of copied partitions, or one partition file\n"
            "      --config FILE         --runtime-dir DIR\n",
};
