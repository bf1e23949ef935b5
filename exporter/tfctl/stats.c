/* stats.c - tfctl stats: how many entries each service wrote, by level; or, with --step, over time. */
#include <stdio.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/tally.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/stats_print.h"

enum { OPTION_UTC = OPTION_COMMAND_FIRST, OPTION_STEP };

struct stats {
    struct session *session;
    struct filter filter;
    uint64_t step_ns; /* 0: not over time */
    struct stats_style style;
    struct output output;
};

static const struct option options[] = {
    FILTER_OPTIONS,
    COMMON_OPTIONS,
    { "step", required_argument, NULL, OPTION_STEP },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { 0 },
};

static int format_option(struct stats *stats, const char *name) {
    static const char *const names[] = { [STATS_TEXT] = "text", [STATS_JSON] = "json", [STATS_CSV] = "csv" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            stats->style.format = (enum stats_format)i;
            return GO_ON;
        }
    return usage_error(stats->session, "--format \"%s\": expected text, json or csv", name);
}

static int take_option(struct stats *stats, int option, char **argv) {
    switch (option) {
    case 'o':
        return format_option(stats, optarg);
    case OPTION_STEP:
        if (clock_parse_duration(optarg, strlen(optarg), &stats->step_ns) < 0 || stats->step_ns < CLOCK_SECOND)
            return usage_error(stats->session,
                               "--step \"%s\": expected a duration of a second or more, such as 5m, 1h, 1d", optarg);
        return GO_ON;
    case OPTION_UTC:
        stats->style.utc = true;
        return GO_ON;
    default:
        return filter_option(stats->session, &stats->filter, option, argv);
    }
}

/* The period: what was asked for, and where nothing was, what the store holds. */
static void settle_period(struct stats *stats, struct tally *tally) {
    if (stats->filter.since_ns > 0)
        tally->first_ns = stats->filter.since_ns;
    if (stats->filter.until_ns < UINT64_MAX)
        tally->last_ns = stats->filter.until_ns;
}

/* How far local time is east of UTC, so that a day begins at midnight here. */
static int64_t zone_of(const struct stats *stats, uint64_t real_ns) {
    time_t seconds = (time_t)(real_ns / CLOCK_SECOND);
    struct tm parts;
    return stats->style.utc || !localtime_r(&seconds, &parts) ? 0 : (int64_t)parts.tm_gmtoff * (int64_t)CLOCK_SECOND;
}

static int count_steps(struct stats *stats, struct store_reader *reader, const struct scan_options *everything,
                       struct tally *ret, struct error *error) {
    struct tally_steps steps;
    uint64_t first, last;
    int status = tally_range(reader, &stats->filter, &first, &last, error);
    if (status <= 0)
        return status;
    if (stats->filter.since_ns > 0)
        first = stats->filter.since_ns;
    if (stats->filter.until_ns < UINT64_MAX && stats->filter.until_ns > first)
        last = stats->filter.until_ns - 1;
    status = tally_steps_over(first, last, stats->step_ns, zone_of(stats, first), &steps, error);
    return status < 0 ? error_prefix(error, status, "--step")
                      : tally_make_steps(reader, &stats->filter, everything, &steps, ret, error);
}

static int count(struct stats *stats, struct store_reader *reader, struct tally *ret, struct error *error) {
    struct scan_options everything = SCAN_EVERYTHING;
    everything.damaged = session_damaged;
    everything.damaged_argument = stats->session;
    return stats->step_ns > 0 ? count_steps(stats, reader, &everything, ret, error)
                              : tally_make(reader, &stats->filter, &everything, false, ret, error);
}

static int run_stats(struct stats *stats) {
    struct session *session = stats->session;
    struct store_reader *reader;
    struct error error = { "" };
    struct tally tally = { 0 };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &reader);
    if (status != GO_ON)
        return status;
    status = count(stats, reader, &tally, &error);
    store_reader_close(reader);
    if (status < 0)
        return fault(session, &error);
    output_init(&stats->output, false);
    settle_period(stats, &tally);
    if (stats->step_ns > 0)
        stats_print_steps(&stats->output.buffer, &stats->style, &tally);
    else
        stats_print_services(&stats->output.buffer, &stats->style, &tally);
    tally_finish(&tally);
    if (output_finish(&stats->output, &error) < 0)
        return fault(session, &error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct stats stats = { .session = session };
    int option, status = GO_ON;
    filter_init(&stats.filter);
    while (status == GO_ON && (option = getopt_long(argc, argv, ":o:" FILTER_LETTERS, options, NULL)) != -1)
        status = take_option(&stats, option, argv);
    if (status == GO_ON)
        status = filter_argument(session, &stats.filter, argc - optind, argv + optind);
    if (status == GO_ON)
        status = run_stats(&stats);
    filter_finish(&stats.filter);
    return status;
}

const struct command command_stats = {
    .name = "stats",
    .run = run,
    .help = "usage: tfctl stats [FILTER] [--step D] [OPTIONS]\n"
            "Count the matching entries of each service by level; with --step, of all of them over time. json: an "
            "object a\n"
            "line, with error_logs (level error and above) and warn_logs (level warn alone).\n\n"
            "      --step D              over time: a row for each D (5m, 1h, 1d), begun at a multiple of it in local "
            "time\n"
            "  -o, --format FORMAT       text, json or csv\n"
            "      --utc                 times in UTC instead of local time\n\n" FILTER_HELP
            "\n      --data-dir DIR        --config FILE\n",
};
