/* stats.c - tfctl stats: how many entries each service wrote, by level. */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/query/tally.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"

enum { OPTION_UTC = OPTION_COMMAND_FIRST };

struct stats {
    struct session *session;
    struct filter filter;
    bool json, utc;
    struct output output;
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "service", required_argument, NULL, 's' },
    { "since", required_argument, NULL, 'S' },
    { "until", required_argument, NULL, 'U' },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { 0 },
};

static int take_option(struct stats *stats, int option, char **argv) {
    switch (option) {
    case 'o':
        stats->json = strcmp(optarg, "json") == 0;
        return stats->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(stats->session, "--format \"%s\": expected text or json", optarg);
    case OPTION_UTC:
        stats->utc = true;
        return GO_ON;
    default:
        return filter_option(stats->session, &stats->filter, option, argv);
    }
}

static uint64_t sum_from(const struct tally_service *row, enum level level) {
    uint64_t sum = 0;
    for (unsigned l = level; l < LEVEL_COUNT; l++)
        sum += row->by_level[l];
    return sum;
}

static void append_json(struct buffer *out, const struct tally_service *row, const struct tally *tally) {
    char time[CLOCK_RFC3339_SIZE];
    buffer_append_string(out, "{\"service\":");
    json_append_string(out, row->service);
    buffer_append_format(out, ",\"total_logs\":%llu,\"error_logs\":%llu,\"warn_logs\":%llu,\"levels\":{",
                         (unsigned long long)sum_from(row, LEVEL_TRACE), (unsigned long long)sum_from(row, LEVEL_ERROR),
                         (unsigned long long)row->by_level[LEVEL_WARN]);
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, "%s\"%s\":%llu", level ? "," : "", level_name(level),
                             (unsigned long long)row->by_level[level]);
    clock_format(tally->first_ns, time);
    buffer_append_format(out, "},\"start_time\":\"%s\"", time);
    clock_format(tally->last_ns, time);
    buffer_append_format(out, ",\"end_time\":\"%s\"}\n", time);
}

static void print_json(struct stats *stats, const struct tally *tally) {
    for (size_t i = 0; i < tally->service_count; i++) {
        struct buffer line = BUFFER_EMPTY;
        append_json(&line, &tally->services[i], tally);
        stats->output.buffer.failed |= line.failed;
        format_harden_json(&stats->output.buffer, buffer_text(&line));
        buffer_finish(&line);
    }
}

static void append_row(struct buffer *out, struct text name, size_t width, const struct tally_service *row) {
    size_t before = out->length;
    format_printable(out, name);
    size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s", (int)(width > characters ? width - characters : 0), "");
    buffer_append_format(out, " %12llu", (unsigned long long)sum_from(row, LEVEL_TRACE));
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, " %10llu", (unsigned long long)row->by_level[level]);
    buffer_append_char(out, '\n');
}

static void print_table(struct stats *stats, const struct tally *tally) {
    struct buffer *out = &stats->output.buffer;
    struct tally_service total = { .service = TEXT_LITERAL("(all)") };
    size_t width = sizeof("service");
    for (size_t i = 0; i < tally->service_count; i++) {
        size_t length = text_utf8_count(tally->services[i].service);
        width = length > width ? length : width;
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            total.by_level[level] += tally->services[i].by_level[level];
    }
    if (tally->service_count == 0)
        return;
    buffer_append_format(out, "%-*s %12s", (int)width, "service", "total");
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, " %10s", level_name(level));
    buffer_append_char(out, '\n');
    for (size_t i = 0; i < tally->service_count; i++)
        append_row(out, tally->services[i].service, width, &tally->services[i]);
    if (tally->service_count > 1)
        append_row(out, total.service, width, &total);
    buffer_append_string(out, "from ");
    format_time(out, tally->first_ns, stats->utc);
    buffer_append_string(out, " to ");
    format_time(out, tally->last_ns, stats->utc);
    buffer_append_char(out, '\n');
}

/* The period: what was asked for, and where nothing was, what the store holds. */
static void settle_period(struct stats *stats, struct tally *tally) {
    if (stats->filter.since_ns > 0)
        tally->first_ns = stats->filter.since_ns;
    if (stats->filter.until_ns < UINT64_MAX)
        tally->last_ns = stats->filter.until_ns;
}

static int run_stats(struct stats *stats) {
    struct session *session = stats->session;
    struct scan_options everything = SCAN_EVERYTHING;
    struct store_reader *reader;
    struct error error = { "" };
    struct tally tally = { 0 };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &reader);
    if (status != GO_ON)
        return status;
    everything.damaged = session_damaged;
    everything.damaged_argument = session;
    status = tally_make(reader, &stats->filter, &everything, false, &tally, &error);
    store_reader_close(reader);
    if (status < 0)
        return fault(session, &error);
    output_init(&stats->output, false);
    settle_period(stats, &tally);
    if (stats->json)
        print_json(stats, &tally);
    else
        print_table(stats, &tally);
    tally_finish(&tally);
    if (output_finish(&stats->output, &error) < 0)
        return fault(session, &error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct stats stats = { .session = session };
    int option, status = GO_ON;
    filter_init(&stats.filter);
    while (status == GO_ON && (option = getopt_long(argc, argv, ":s:S:U:o:", options, NULL)) != -1)
        status = take_option(&stats, option, argv);
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    if (status == GO_ON)
        status = run_stats(&stats);
    filter_finish(&stats.filter);
    return status;
}

const struct command command_stats = {
    .name = "stats",
    .run = run,
    .help = "usage: tfctl stats [--service S] [--since T] [--until T] [--format text|json]\n"
            "Count the entries of each service by level. json: an object a line for each service, with error_logs\n"
            "(level error and above) and warn_logs (level warn alone).\n\n"
            "  -s, --service S           this service (more than one: each of them)\n"
            "  -S, --since T             from T on\n"
            "  -U, --until T             before T\n"
            "  -o, --format FORMAT       text or json\n"
            "      --utc                 times in UTC instead of local time\n"
            "      --data-dir DIR        --config FILE\n",
};
