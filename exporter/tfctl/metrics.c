/* metrics.c - tfctl metrics: what all series are now, out of the metric segment alone; with --since what they were (metrics_history.h). No
 * process needs to run. */
#include <math.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/shm/map.h"
#include "exporter/metric_list.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/metrics_history.h"
#include "exporter/tfctl/output.h"

enum { NAME_COLUMN_MAX = 72 };
#define BEAT_STALE_NS (5 * CLOCK_SECOND) /* the collector beats once a second */

struct metrics {
    struct session *session;
    struct text prefix;
    bool json, utc;
    bool quantiles;                         /* were given */
    struct metrics_history_options history; /* since_ns 0: what is now */
};

enum { OPTION_UTC = OPTION_COMMAND_FIRST, OPTION_STEP, OPTION_QUANTILES };

static const struct option options[] = {
    COMMON_OPTIONS,
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { "since", required_argument, NULL, 'S' },
    { "until", required_argument, NULL, 'U' },
    { "step", required_argument, NULL, OPTION_STEP },
    { "quantiles", required_argument, NULL, OPTION_QUANTILES },
    { 0 },
};

/* --- a line for a person --- */

/* name{label="value"}: no control character of the data. */
static void append_name(struct buffer *out, const struct metric_row *row) {
    buffer_append_text(out, row->name);
    format_labels(out, row->labels);
}

static void append_number(struct buffer *out, double number) {
    if (isfinite(number))
        json_append_number(out, number);
    else
        buffer_append_string(out, isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
}

static void append_values(struct buffer *out, const struct metric_row *row) {
    if (!metric_kind_is_histogram(row->kind)) {
        append_number(out, row->value);
        return;
    }
    buffer_append_format(out, "count %llu  sum ", (unsigned long long)row->count);
    append_number(out, row->sum);
    if (row->count > 0) /* four digits: quantiles are no more exact */
        buffer_append_format(out, "  avg %.4g  p50 %.4g  p95 %.4g  p99 %.4g", row->average, row->p50, row->p95,
                             row->p99);
}

/* The width of the widest name that is not too wide. */
static size_t width_of(const struct metric_list *list) {
    struct buffer name = BUFFER_EMPTY;
    size_t width = 0;
    for (size_t i = 0; i < list->count; i++) {
        buffer_clear(&name);
        append_name(&name, &list->rows[i]);
        size_t characters = text_utf8_count(buffer_text(&name));
        if (characters <= NAME_COLUMN_MAX && characters > width)
            width = characters;
    }
    buffer_finish(&name);
    return width;
}

static void append_text(struct buffer *out, const struct metric_row *row, size_t width) {
    size_t before = out->length;
    append_name(out, row);
    size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s  ", (int)(width > characters ? width - characters : 0), "");
    append_values(out, row);
    buffer_append_char(out, '\n');
}

static void append_json(struct buffer *out, const struct metric_row *row) {
    struct buffer line = BUFFER_EMPTY;
    metric_row_append_json(&line, row);
    format_harden_json(out, buffer_text(&line));
    buffer_append_char(out, '\n');
    out->failed |= line.failed;
    buffer_finish(&line);
}

/* --- the command --- */

/* Values that nobody keeps any more are told as such, once, beside them. */
static void tell_age(const struct metrics *metrics, struct segment *segment) {
    struct segment_info info;
    struct buffer time = BUFFER_EMPTY;
    uint64_t now = clock_real_ns();
    if (segment_info_get(segment, &info) < 0 || now < info.heartbeat_ns || now - info.heartbeat_ns < BEAT_STALE_NS)
        return;
    format_time(&time, info.heartbeat_ns, metrics->utc);
    session_note(metrics->session, "the collector does not run: values as of %.*s", (int)time.length, time.data);
    buffer_finish(&time);
}

static int print(struct metrics *metrics, const struct metric_list *list) {
    struct error error = { "" };
    struct output output;
    output_init(&output, !metrics->json);
    size_t width = metrics->json ? 0 : width_of(list);
    for (size_t i = 0; i < list->count; i++) {
        if (metrics->json)
            append_json(&output.buffer, &list->rows[i]);
        else
            append_text(&output.buffer, &list->rows[i], width);
        if (!output_push(&output))
            break;
    }
    return output_finish(&output, &error) < 0 ? fault(metrics->session, &error) : EXIT_FINE;
}

static int run_metrics(struct metrics *metrics) {
    struct session *session = metrics->session;
    struct metric_list list = METRIC_LIST_EMPTY;
    struct segment *segment = NULL;
    struct error error = { "" };
    int result = map_guard_install(&error);
    if (result == 0)
        result = segment_open(session->runtime_dir, &segment, &error);
    if (result == 0)
        result = metric_list_read(segment, metrics->prefix, false, &list, &error);
    if (result == 0)
        tell_age(metrics, segment);
    segment_close(segment);
    int status = result < 0 ? fault(session, &error) : print(metrics, &list);
    metric_list_finish(&list);
    return status;
}

static int format_option(struct metrics *metrics, const char *name) {
    static const char *const names[] = { [METRICS_TEXT] = "text", [METRICS_JSON] = "json", [METRICS_CSV] = "csv" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            metrics->history.format = (enum metrics_format)i;
            return GO_ON;
        }
    return usage_error(metrics->session, "--format \"%s\": expected text, json or, with --since, csv", name);
}

static int step_option(struct metrics *metrics, const char *value) {
    uint64_t *step = &metrics->history.step_ns;
    if (clock_parse_duration(value, strlen(value), step) < 0 || *step < CLOCK_SECOND)
        return usage_error(metrics->session,
                           "--step \"%s\": expected a duration of a second or more, such as 30s, 5m, 1h", value);
    metrics->history.steps = true;
    return GO_ON;
}

static int quantiles_option(struct metrics *metrics, const char *value) {
    struct error error = { "" };
    if (series_quantiles_parse(text_of(value), &metrics->history.quantiles, &error) < 0)
        return usage_error(metrics->session, "--quantiles \"%s\": %s", value, error.text);
    metrics->quantiles = true;
    return GO_ON;
}

static int take_option(struct metrics *metrics, int option, char **argv) {
    switch (option) {
    case 'o':
        return format_option(metrics, optarg);
    case 'S':
        return option_time(metrics->session, "--since", optarg, &metrics->history.since_ns);
    case 'U':
        return option_time(metrics->session, "--until", optarg, &metrics->history.until_ns);
    case OPTION_STEP:
        return step_option(metrics, optarg);
    case OPTION_QUANTILES:
        return quantiles_option(metrics, optarg);
    case OPTION_UTC:
        metrics->utc = metrics->history.utc = true;
        return GO_ON;
    default:
        return session_option(metrics->session, option, argv);
    }
}

/* What goes with --since alone, and what cannot be. */
static int check_options(struct metrics *metrics) {
    const struct metrics_history_options *history = &metrics->history;
    const char *alone = history->step_ns > 0             ? "--step"
                        : history->until_ns > 0          ? "--until"
                        : metrics->quantiles             ? "--quantiles"
                        : history->format == METRICS_CSV ? "--format csv"
                                                         : NULL;
    if (history->since_ns == 0 && alone)
        return usage_error(metrics->session, "%s goes with --since: expected both, or neither", alone);
    metrics->json = history->format == METRICS_JSON;
    if (history->until_ns == 0)
        metrics->history.until_ns = clock_real_ns();
    if (history->since_ns >= history->until_ns)
        return usage_error(metrics->session, "--since: expected a time before %s",
                           history->until_ns < clock_real_ns() ? "--until" : "now");
    return GO_ON;
}

static int run(struct session *session, int argc, char **argv) {
    struct metrics metrics = { .session = session, .history = { .quantiles = SERIES_QUANTILES_DEFAULT } };
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":o:S:U:", options, NULL)) != -1)
        status = take_option(&metrics, option, argv);
    if (status == GO_ON && optind + 1 < argc)
        status = usage_error(session, "expected one NAME at most, found \"%s\" too", argv[optind + 1]);
    if (status == GO_ON)
        status = check_options(&metrics);
    if (status == GO_ON)
        status = session_resolve(session);
    if (status == GO_ON && optind < argc)
        metrics.prefix = metrics.history.selector = text_of(argv[optind]);
    if (status != GO_ON)
        return status;
    return metrics.history.since_ns > 0 ? metrics_history_run(session, &metrics.history) : run_metrics(&metrics);
}

const struct command command_metrics = {
    .name = "metrics",
    .run = run,
    .help =
        "usage: tfctl metrics [PREFIX] [--format text|json]\n"
        "       tfctl metrics [NAME[{LABEL=\"VALUE\",...}]] --since T [--until T] [--step D] [OPTIONS]\n"
        "What all metrics are now; with PREFIX those whose name, on /metrics or of the application's own, begins so.\n"
        "Of histograms and timers count, sum, average and quantiles. Reads the collector's last word: no process\n"
        "needs to run.\n\n"
        "With --since what they were, out of the samples that the collector keeps: a line for each series, drawn and\n"
        "summed up, and of a single one, or with --step, a row for each step. NAME is a name, or where none is called\n"
        "so the beginning of one; labels are compared with = != =~ !~.\n\n"
        "  -S, --since T             from T on: an age (90s 15m 2h 7d), 15:04, today, RFC 3339 ... (tfctl query "
        "--help)\n"
        "  -U, --until T             before T\n"
        "      --step D              so long is a step (30s, 5m, 1h, 1d), begun at a multiple of it; some 200 "
        "otherwise\n"
        "      --quantiles Q,...     of histograms and timers (0.5,0.95,0.99)\n"
        "  -o, --format FORMAT       text, json (an object a line) or, with --since, csv\n"
        "      --utc                 times in UTC instead of local time\n\n"
        "      --data-dir DIR        --runtime-dir DIR     --config FILE\n",
};
