/* health.c - tfctl health: the checks of /api/v1/health, looked at here and now. No exporter needs to run. */
#include <stdio.h>

#include "common/base/clock.h"
#include "exporter/checks/checks.h"
#include "exporter/tfctl/command.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"

enum { NAME_WIDTH = 10 };

struct health {
    struct session *session;
    bool json;
    char damage[ERROR_TEXT_SIZE];
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "format", required_argument, NULL, 'o' },
    { 0 },
};

static void append_result(struct health *health, struct buffer *out, const struct check_result *result) {
    if (health->json) {
        struct buffer line = BUFFER_EMPTY;
        check_append_json(&line, result);
        out->failed |= line.failed;
        format_harden_json(out, buffer_text(&line));
        buffer_finish(&line);
    } else {
        size_t before = out->length;
        format_printable(out, text_of(result->name));
        size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
        buffer_append_format(out, "%*s %-9s ", (int)(characters < NAME_WIDTH ? NAME_WIDTH - characters : 0), "",
                             check_state_name(result->state));
        format_printable(out, text_of(check_details(result)));
    }
    buffer_append_char(out, '\n');
}

static int look(struct health *health) {
    struct session *session = health->session;
    struct checks checks = { .limits = session->health, .meminfo = "/proc/meminfo", .trouble = health->damage };
    struct check_results results = CHECK_RESULTS_EMPTY;
    struct check_result overall;
    struct error error = { "" };
    struct output output;
    snprintf(checks.runtime_dir, sizeof(checks.runtime_dir), "%s", session->runtime_dir);
    snprintf(checks.data_dir, sizeof(checks.data_dir), "%s", session->data_dir);
    if (store_reader_open(session->data_dir, NULL, NULL, &checks.reader, &error) < 0) {
        checks.reader = NULL;
        snprintf(health->damage, sizeof(health->damage), "%s", error.text);
    } else {
        (void)store_reader_trouble(checks.reader, health->damage);
    }
    checks_run(&checks, &results);
    store_reader_close(checks.reader);
    checks_overall(&results, &overall);
    output_init(&output, false);
    for (size_t i = 0; i < results.count; i++)
        append_result(health, &output.buffer, &results.items[i]);
    append_result(health, &output.buffer, &overall);
    check_results_finish(&results);
    if (output_finish(&output, &error) < 0)
        return fault(session, &error);
    return overall.state == CHECK_UNHEALTHY ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct health health = { .session = session };
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
        if (option != 'o') {
            status = session_option(session, option, argv);
            continue;
        }
        health.json = strcmp(optarg, "json") == 0;
        if (!health.json && strcmp(optarg, "text") != 0)
            status = usage_error(session, "--format \"%s\": expected text or json", optarg);
    }
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    if (status == GO_ON)
        status = session_resolve(session);
    return status == GO_ON ? look(&health) : status;
}

const struct command command_health = {
    .name = "health",
    .run = run,
    .help = "usage: tfctl health [--format text|json]\n"
            "Look at the database, memory, disk and pipeline, and at what applications report of themselves: a line "
            "for each\n"
            "and one for all. Exit status 1 when something is unhealthy. The limits are the configuration's "
            "(exporter.health).\n\n"
            "  -o, --format FORMAT       text or json (an object a line)\n"
            "      --data-dir DIR        --runtime-dir DIR       --config FILE\n",
};
