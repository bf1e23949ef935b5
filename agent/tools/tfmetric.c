/* tfmetric - update metrics from shells and cron. CONTRACT sections 5 and 10. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/tools/writer.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/base/paths.h"
#include "common/model/metric.h"
#include "common/process/control.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_LOST = 3 };
#define ASK_NS (200 * CLOCK_MILLISECOND)

static const char help[] =
    "usage: tfmetric [OPTION...] counter NAME [N] [KEY=VALUE...]\n"
    "       tfmetric [OPTION...] gauge NAME N [KEY=VALUE...]\n"
    "       tfmetric [OPTION...] histogram NAME N [KEY=VALUE...]\n"
    "       tfmetric [OPTION...] timer NAME DURATION [KEY=VALUE...]\n"
    "\n"
    "Update one metric: a counter grows by N (without N by 1), a gauge is N, a histogram or a timer\n"
    "takes in one value. DURATION is a number with its unit: 12ms, 1.5s. KEY=VALUE are labels.\n"
    "\n"
    "  -s, --service SERVICE   the program that speaks, for the account of losses; no label.\n"
    "                          Default: tfmetric\n"
    "      --add               a gauge changes by N, up or down, from what it is\n"
    "      --describe TEXT     a sentence that says what the metric is\n"
    "      --unit UNIT         letters, digits and '_': bytes, seconds\n"
    "      --bounds N,N,...    the classic buckets of a histogram or timer (in seconds), ascending\n"
    "      --trace-id ID       at most 128 bytes; counters, histograms and timers carry it as an\n"
    "                          exemplar, unless it is longer than 64\n"
    "      --wait DURATION     wait so long for room (500ms, 10s); without it what does not fit is\n"
    "                          dropped\n"
    "      --help, --version\n"
    "\n"
    "exit status: 0 written; 1 no memory; 2 wrong usage, or a name that is another kind's; 3 it did\n"
    "not fit\n"
    "environment: TASKFORGE_RUNTIME_DIR\n";

enum option_code {
    OPTION_TRACE = 256,
    OPTION_ADD,
    OPTION_DESCRIBE,
    OPTION_UNIT,
    OPTION_BOUNDS,
    OPTION_WAIT,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    { "service", required_argument, NULL, 's' },      { "trace-id", required_argument, NULL, OPTION_TRACE },
    { "add", no_argument, NULL, OPTION_ADD },         { "describe", required_argument, NULL, OPTION_DESCRIBE },
    { "unit", required_argument, NULL, OPTION_UNIT }, { "bounds", required_argument, NULL, OPTION_BOUNDS },
    { "wait", required_argument, NULL, OPTION_WAIT }, { "help", no_argument, NULL, OPTION_HELP },
    { "version", no_argument, NULL, OPTION_VERSION }, { NULL, 0, NULL, 0 },
};

struct arguments {
    const char *service;
    uint64_t wait_ns;
    bool add; /* of a gauge */
    struct record_metric_update update;
    char labels[METRIC_LABELS_BYTES];            /* packed */
    struct record_metric_definition description; /* unit, help, bounds: where given, in front of the update */
    char bounds[METRIC_BOUNDS_BYTES];            /* packed */
};

/* --- arguments; each reader returns 0 or -EINVAL with the sentence --- */

static int read_service(struct arguments *arguments, const char *value, struct error *error) {
    struct entry specimen = { .service = text_of(value),
                              .module = TEXT_LITERAL("-"),
                              .operation = TEXT_LITERAL("-"),
                              .message = TEXT_LITERAL("-") };
    arguments->service = value;
    return entry_validate(&specimen, error);
}

static int read_trace_id(struct arguments *arguments, const char *value, struct error *error) {
    arguments->update.trace_id = text_of(value);
    if (arguments->update.trace_id.length > ENTRY_TRACE_BYTES || !text_utf8_valid(arguments->update.trace_id))
        return error_set(error, -EINVAL, "trace_id must be at most %d bytes of UTF-8", ENTRY_TRACE_BYTES);
    return 0;
}

static int read_bounds(struct arguments *arguments, const char *value, struct error *error) {
    double bounds[METRIC_BOUNDS_MAX + 1];
    size_t count = 0;
    char *end;
    do {
        bounds[count] = strtod(value, &end);
        if (end == value || (*end && *end != ',') || count == METRIC_BOUNDS_MAX)
            return error_set(error, -EINVAL, "bounds must be 1 to %d numbers with commas between them, at \"%s\"",
                             METRIC_BOUNDS_MAX, value);
        count++;
        value = end + 1;
    } while (*end);
    return metric_bounds_pack(bounds, count, arguments->bounds, &arguments->description.bounds, error);
}

static int read_option(struct arguments *arguments, int code, const char *value, struct error *error) {
    if (code == OPTION_ADD) {
        arguments->add = true;
        return 0;
    }
    if (code == OPTION_DESCRIBE || code == OPTION_UNIT) {
        *(code == OPTION_UNIT ? &arguments->description.unit : &arguments->description.help) = text_of(value);
        return 0;
    }
    if (code == OPTION_BOUNDS)
        return read_bounds(arguments, value, error);
    if (code == 's')
        return read_service(arguments, value, error);
    if (code == OPTION_TRACE)
        return read_trace_id(arguments, value, error);
    if (clock_parse_duration(value, strlen(value), &arguments->wait_ns) < 0)
        return error_set(error, -EINVAL, "wait must be a duration such as 500ms or 10s, is \"%s\"", value);
    return 0;
}

static int read_kind(const char *word, uint8_t *ret, struct error *error) {
    for (unsigned kind = METRIC_COUNTER; kind <= METRIC_TIMER; kind++)
        if (strcmp(word, metric_kind_name((enum metric_kind)kind)) == 0) {
            *ret = (uint8_t)kind;
            return 0;
        }
    return error_set(error, -EINVAL, "kind must be counter, gauge, histogram or timer, is \"%s\"", word);
}

static int read_duration(const char *word, double *ret, struct error *error) {
    uint64_t ns;
    if (clock_parse_duration(word, strlen(word), &ns) < 0)
        return error_set(error, -EINVAL, "a timer takes a duration such as 12ms or 1.5s, not \"%s\"", word);
    *ret = (double)ns / (double)CLOCK_SECOND;
    return 0;
}

static int read_number(enum metric_kind kind, bool add, const char *word, double *ret, struct error *error) {
    char *end;
    errno = 0;
    *ret = strtod(word, &end);
    if (end == word || *end || (errno == ERANGE && isinf(*ret)))
        return error_set(error, -EINVAL, "a %s takes a number, not \"%s\"", metric_kind_name(kind), word);
    if (kind == METRIC_COUNTER && !(*ret >= 0 && isfinite(*ret)))
        return error_set(error, -EINVAL, "a counter cannot grow by %s: it must be 0 or more, and finite", word);
    if (kind == METRIC_HISTOGRAM && isnan(*ret))
        return error_set(error, -EINVAL, "a histogram takes no NaN");
    if (add && isnan(*ret))
        return error_set(error, -EINVAL, "a gauge cannot change by NaN");
    return 0;
}

/* Labels beyond the limits: as the library does it. */
static int read_labels(struct arguments *arguments, char *const *words, int count, struct error *error) {
    struct metric_label labels[METRIC_LABELS_MAX];
    arguments->update.labels = metric_overflow_labels;
    if (count > METRIC_LABELS_MAX)
        return 0;
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(words[i], '=');
        if (!equals)
            return error_set(error, -EINVAL, "a label is KEY=VALUE, not \"%s\"", words[i]);
        labels[i] = (struct metric_label) { { words[i], (size_t)(equals - words[i]) }, text_of(equals + 1) };
    }
    int result = metric_labels_pack(labels, (size_t)count, arguments->labels, &arguments->update.labels, error);
    return result == -E2BIG ? 0 : result;
}

static bool is_described(const struct arguments *arguments) {
    const struct record_metric_definition *given = &arguments->description;
    return given->unit.length > 0 || given->help.length > 0 || given->bounds.length > 0;
}

/* What the options say of the metric that the words name. */
static int check_description(struct arguments *arguments, struct error *error) {
    struct record_metric_definition *given = &arguments->description;
    const struct metric_definition definition = { .kind = (enum metric_kind)arguments->update.metric_kind,
                                                  .name = arguments->update.name,
                                                  .unit = given->unit,
                                                  .help = given->help,
                                                  .bounds = given->bounds };
    given->metric_kind = arguments->update.metric_kind;
    given->name = arguments->update.name;
    if (given->bounds.length > 0 && !metric_kind_is_histogram(definition.kind))
        return error_set(error, -EINVAL, "--bounds is for histograms and timers");
    return metric_definition_check(&definition, error);
}

/* KIND NAME [VALUE] [KEY=VALUE...] */
static int read_words(struct arguments *arguments, int count, char *const *words, struct error *error) {
    struct record_metric_update *update = &arguments->update;
    if (count < 2)
        return error_set(error, -EINVAL, "expected: counter|gauge|histogram|timer NAME [VALUE] [KEY=VALUE...]");
    int r = read_kind(words[0], &update->metric_kind, error);
    if (r < 0)
        return r;
    enum metric_kind kind = (enum metric_kind)update->metric_kind;
    bool has_value = count > 2 && !strchr(words[2], '=');
    update->naming = METRIC_NAMING_APP;
    update->operation = kind == METRIC_GAUGE && !arguments->add ? METRIC_SET : METRIC_ADD;
    if (arguments->add && kind != METRIC_GAUGE)
        return error_set(error, -EINVAL, "--add is for gauges; a %s has nothing else", words[0]);
    update->name = text_of(words[1]);
    update->value = 1;
    r = metric_name_check(update->name, error);
    update->name = metric_name_bare(kind, update->name);
    if (r == 0 && has_value)
        r = kind == METRIC_TIMER ? read_duration(words[2], &update->value, error)
                                 : read_number(kind, arguments->add, words[2], &update->value, error);
    else if (r == 0 && kind != METRIC_COUNTER)
        r = error_set(error, -EINVAL, "a %s needs a value behind its name", words[0]);
    int first = has_value ? 3 : 2;
    if (r == 0)
        r = read_labels(arguments, words + first, count - first, error);
    return r < 0 ? r : check_description(arguments, error);
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments) {
    struct error error = { "" };
    int code;
    arguments->service = "tfmetric";
    opterr = 0;
    while ((code = getopt_long(argc, argv, "+:s:h", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == 'h')
            return fputs(help, stdout) < 0;
        if (code == OPTION_VERSION)
            return puts("tfmetric " TASKFORGE_VERSION) < 0;
        if (code == '?' || code == ':') {
            diag_error(code == ':' ? "option %s needs a value (tfmetric --help)"
                                   : "unknown option %s (tfmetric --help)",
                       argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (read_option(arguments, code, optarg, &error) < 0) {
            diag_error("%s", error.text);
            return EXIT_USAGE;
        }
    }
    if (read_words(arguments, argc - optind, argv + optind, &error) < 0) {
        diag_error("%s (tfmetric --help)", error.text);
        return EXIT_USAGE;
    }
    return -1;
}

/* --- asking, writing --- */

/* Whether the collector, which knows the metrics of all processes, takes the name as this kind: false and its sentence when it
 * does not. Where nobody listens, or answers at once, or knows the question, the collector judges when it meets the record. */
static bool name_is_welcome(const struct record_metric_update *update, struct error *error) {
    char runtime_dir[PATHS_MAX], path[PATHS_MAX + 32], request[METRIC_NAME_BYTES + 64];
    struct buffer answer = BUFFER_EMPTY;
    if (paths_runtime_dir(NULL, runtime_dir) < 0)
        return true;
    snprintf(path, sizeof(path), "%s/collector.sock", runtime_dir);
    int length = snprintf(request, sizeof(request), "metric %s app %.*s",
                          metric_kind_name((enum metric_kind)update->metric_kind), TEXT_FORMAT(update->name));
    check(length > 0 && (size_t)length < sizeof(request));
    int fd = control_connect(path, NULL);
    if (fd < 0)
        return true;
    int r =
        control_request(fd, (struct text) { request, (size_t)length }, clock_monotonic_ns() + ASK_NS, &answer, error);
    close(fd);
    buffer_finish(&answer);
    return r != -EREMOTEIO || text_starts_with(text_of(error->text), TEXT_LITERAL("unknown request"));
}

static int run(const struct arguments *arguments) {
    struct writer writer = { .wait_ns = arguments->wait_ns };
    struct error error = { "" };
    if (!name_is_welcome(&arguments->update, &error)) {
        diag_error("%s", error.text);
        return EXIT_USAGE;
    }
    if (writer_open(&writer, arguments->service, &error) < 0) {
        diag_error("%s", error.text);
        return EXIT_FAULT;
    }
    const struct record description = { .kind = RECORD_METRIC_DEFINITION, .metric_definition = arguments->description };
    const struct record record = { .kind = RECORD_METRIC_UPDATE, .metric_update = arguments->update };
    producer_share_lanes(writer.producer);
    if (is_described(arguments))
        writer_put_record(&writer, &description);
    writer_put_record(&writer, &record);
    writer_tell_losses(&writer, "updates");
    writer_close(&writer);
    return writer.lost > 0 ? EXIT_LOST : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static struct arguments arguments;
    diag_open("tfmetric");
    int status = parse_arguments(argc, argv, &arguments);
    return status < 0 ? run(&arguments) : status;
}
