/* stats.c - tfctl stats: how many entries each service wrote, by level; with --step, over time; with --templates, by statement. */
#include <stdio.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/tally.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/stats_print.h"

enum { OPTION_UTC = OPTION_COMMAND_FIRST, OPTION_STEP, OPTION_TEMPLATES };
enum { TEMPLATES_DEFAULT = 20 };

struct stats {
    struct session *session;
    struct filter filter;
    uint64_t step_ns; /* 0: not over time */
    bool templates;   /* the most frequent statements instead */
    uint64_t most;
    struct stats_style style;
    struct output output;
};

static const struct option options[] = {
    FILTER_OPTIONS,
    COMMON_OPTIONS,
    { "step", required_argument, NULL, OPTION_STEP },
    { "templates", no_argument, NULL, OPTION_TEMPLATES },
    { "limit", required_argument, NULL, 'n' },
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
    case OPTION_TEMPLATES:
        stats->templates = true;
        return GO_ON;
    case 'n':
        return option_count(stats->session, "--limit", optarg, UINT64_MAX, &stats->most);
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

static int print_counts(struct stats *stats, struct store_reader *reader, const struct scan_options *everything,
                        struct error *error) {
    struct tally tally = { 0 };
    int status = stats->step_ns > 0 ? count_steps(stats, reader, everything, &tally, error)
                                    : tally_make(reader, &stats->filter, everything, false, &tally, error);
    if (status < 0)
        return status;
    settle_period(stats, &tally);
    if (stats->step_ns > 0)
        stats_print_steps(&stats->output.buffer, &stats->style, &tally);
    else
        stats_print_services(&stats->output.buffer, &stats->style, &tally);
    tally_finish(&tally);
    return 0;
}

static int print_statements(struct stats *stats, struct store_reader *reader, const struct scan_options *everything,
                            struct error *error) {
    struct statements statements;
    int status = statements_count(reader, &stats->filter, everything, &statements, error);
    if (status < 0)
        return status;
    stats_print_statements(&stats->output.buffer, &stats->style, &statements, stats->most);
    if (statements.others > 0)
        session_note(stats->session, "%llu entries are of statements beyond the %d that are told apart",
                     (unsigned long long)statements.others, STATEMENTS_MAX);
    statements_finish(&statements);
    return 0;
}

static int run_stats(struct stats *stats) {
    struct session *session = stats->session;
    struct scan_options everything = SCAN_EVERYTHING;
    struct store_reader *reader;
    struct error error = { "" }, output_error = { "" };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &reader);
    if (status != GO_ON)
        return status;
    everything.damaged = session_damaged;
    everything.damaged_argument = session;
    output_init(&stats->output, false);
    status = stats->templates ? print_statements(stats, reader, &everything, &error)
                              : print_counts(stats, reader, &everything, &error);
    store_reader_close(reader);
    int written = output_finish(&stats->output, &output_error);
    if (status < 0)
        return fault(session, &error);
    if (written < 0)
        return fault(session, &output_error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int check_options(const struct stats *stats) {
    if (stats->templates && stats->step_ns > 0)
        return usage_error(stats->session, "--templates and --step: expected one of them");
    if (!stats->templates && stats->most != TEMPLATES_DEFAULT)
        return usage_error(stats->session, "--limit goes with --templates: expected both, or neither");
    return GO_ON;
}

static int run(struct session *session, int argc, char **argv) {
    struct stats stats = { .session = session, .most = TEMPLATES_DEFAULT };
    int option, status = GO_ON;
    filter_init(&stats.filter);
    while (status == GO_ON && (option = getopt_long(argc, argv, ":n:o:" FILTER_LETTERS, options, NULL)) != -1)
        status = take_option(&stats, option, argv);
    if (status == GO_ON)
        status = filter_argument(session, &stats.filter, argc - optind, argv + optind);
    if (status == GO_ON)
        status = check_options(&stats);
    if (status == GO_ON)
        status = run_stats(&stats);
    filter_finish(&stats.filter);
    return status;
}

const struct command command_stats = {
    .name = "stats",
    .run = run,
    .help = "usage: tfctl stats [FILTER] [--step D | --templates] [OPTIONS]\n"
            "Count the matching entries of each service by level; with --step, of all of them over time. json: an "
            "object a\n"
            "line, with error_logs (level error and above) and warn_logs (level warn alone).\n\n"
            "      --step D              over time: a row for each D (5m, 1h, 1d), begun at a multiple of it in local "
            "time\n"
            "      --templates           the most frequent statements instead: messages with <*> for what changes, and "
            "the\n"
            "                            number that --template takes\n"
            "  -n, --limit N             at most N of them (20)\n"
            "  -o, --format FORMAT       text, json or csv\n"
            "      --utc                 times in UTC instead of local time\n\n" FILTER_HELP
            "\n      --data-dir DIR        --config FILE\n",
};
