/* alerts.c - tfctl alerts, ack, resolve: what the alerter knows, and what people say to it, over its control socket. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"
#include "exporter/alerter_client.h"
#include "exporter/tfctl/command.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"

enum { OPTION_ALL = OPTION_COMMAND_FIRST, OPTION_REASON, OPTION_UTC };
enum { ALERT_PACKED_MAX = 1024 * 1024 };

struct alerts {
    struct session *session;
    bool all, json, utc;
    const char *reason;
    struct output output;
    char *packed; /* ALERT_PACKED_MAX bytes: the alert being printed */
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "all", no_argument, NULL, OPTION_ALL },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { 0 },
};

static const struct option change_options[] = {
    COMMON_OPTIONS,
    { "reason", required_argument, NULL, OPTION_REASON },
    { 0 },
};

static int take_option(struct alerts *alerts, int option, char **argv) {
    switch (option) {
    case OPTION_ALL:
        alerts->all = true;
        return GO_ON;
    case OPTION_REASON:
        alerts->reason = optarg;
        return GO_ON;
    case OPTION_UTC:
        alerts->utc = true;
        return GO_ON;
    case 'o':
        alerts->json = strcmp(optarg, "json") == 0;
        return alerts->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(alerts->session, "--format \"%s\": expected text or json", optarg);
    default:
        return session_option(alerts->session, option, argv);
    }
}

/* --- printing --- */

static struct text field(struct text alert, const char *key) {
    struct pack_value value;
    return pack_find(alert, text_of(key), &value) == 1 && value.type == PACK_TEXT ? value.text : TEXT_EMPTY;
}

static void append_field(struct buffer *out, struct text alert, const char *key, int width) {
    size_t before = out->length;
    format_printable(out, field(alert, key));
    size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s ", characters < (size_t)width ? (int)((size_t)width - characters) : 0, "");
}

/* "ID  active        critical  2026-11-23 18:15:04.123+07:00  RULE: MESSAGE (acknowledged by uid:0: on it)" */
static void append_alert(struct alerts *alerts, struct text alert) {
    struct buffer *out = &alerts->output.buffer;
    struct text time = field(alert, "timestamp"), by = field(alert, "acknowledged_by");
    uint64_t timestamp_ns;
    append_field(out, alert, "id", 36);
    append_field(out, alert, "status", 12);
    append_field(out, alert, "severity", 8);
    if (clock_parse(time.data ? time.data : "", time.length, &timestamp_ns) == 0)
        format_time(out, timestamp_ns, alerts->utc);
    buffer_append_char(out, ' ');
    format_printable(out, field(alert, "rule_id"));
    buffer_append_string(out, ": ");
    format_printable(out, field(alert, "message"));
    if (by.length > 0) {
        struct text why = field(alert, "acknowledged_reason");
        buffer_append_string(out, " (acknowledged by ");
        format_printable(out, by);
        buffer_append_string(out, why.length ? ": " : "");
        format_printable(out, why);
        buffer_append_char(out, ')');
    }
    buffer_append_char(out, '\n');
}

static void print_line(struct alerts *alerts, struct text line) {
    struct pack_writer writer = { .data = alerts->packed, .capacity = ALERT_PACKED_MAX };
    if (alerts->json) {
        format_harden_json(&alerts->output.buffer, line);
        buffer_append_char(&alerts->output.buffer, '\n');
    } else if (pack_from_json(line, &writer, NULL) == 0 && !writer.failed &&
               pack_is_map((struct text) { alerts->packed, writer.length })) {
        append_alert(alerts, (struct text) { alerts->packed, writer.length });
    }
}

static void print_lines(struct alerts *alerts, struct text lines) {
    while (lines.length > 0) {
        const char *end = memchr(lines.data, '\n', lines.length);
        struct text line = { lines.data, end ? (size_t)(end - lines.data) : lines.length };
        size_t taken = line.length + (end != NULL);
        print_line(alerts, line);
        lines = (struct text) { lines.data + taken, lines.length - taken };
    }
}

static int ask_and_print(struct alerts *alerts, struct text request) {
    struct buffer answer = BUFFER_EMPTY;
    struct error error = { "" };
    int status = EXIT_FINE;
    output_init(&alerts->output, false);
    alerts->packed = malloc(ALERT_PACKED_MAX);
    int result = alerts->packed ? alerter_ask(alerts->session->runtime_dir, request, &answer, &error)
                                : error_set(&error, -1, "out of memory");
    if (result == 0)
        print_lines(alerts, buffer_text(&answer));
    else
        status = fault(alerts->session, &error);
    if (output_finish(&alerts->output, &error) < 0)
        status = fault(alerts->session, &error);
    buffer_finish(&answer);
    free(alerts->packed);
    return status;
}

/* --- the commands --- */

static int parse(struct alerts *alerts, const struct option *table, const char *letters, int argc, char **argv) {
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, letters, table, NULL)) != -1)
        status = take_option(alerts, option, argv);
    return status;
}

static int run_alerts(struct session *session, int argc, char **argv) {
    struct alerts alerts = { .session = session };
    int status = parse(&alerts, options, ":o:", argc, argv);
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    if (status == GO_ON)
        status = session_resolve(session);
    return status == GO_ON ? ask_and_print(&alerts, alerts.all ? TEXT_LITERAL("alerts all") : TEXT_LITERAL("alerts"))
                           : status;
}

static int run_change(struct session *session, const char *verb, int argc, char **argv) {
    struct alerts alerts = { .session = session, .json = true };
    struct buffer request = BUFFER_EMPTY;
    struct error error = { "" };
    char actor[32];
    int status = parse(&alerts, change_options, ":", argc, argv);
    if (status == GO_ON && optind + 1 != argc)
        status = usage_error(session, "expected the id of one alert (see tfctl alerts)");
    if (status == GO_ON)
        status = session_resolve(session);
    snprintf(actor, sizeof(actor), "uid:%u", (unsigned)getuid());
    if (status == GO_ON && alerter_change_request(verb, text_of(argv[optind]), actor,
                                                  text_of(alerts.reason ? alerts.reason : ""), &request, &error) < 0)
        status = usage_error(session, "%s", error.text);
    if (status == GO_ON)
        status = ask_and_print(&alerts, buffer_text(&request));
    buffer_finish(&request);
    return status;
}

static int run_ack(struct session *session, int argc, char **argv) {
    return run_change(session, "ack", argc, argv);
}

static int run_resolve(struct session *session, int argc, char **argv) {
    return run_change(session, "resolve", argc, argv);
}

const struct command command_alerts = {
    .name = "alerts",
    .run = run_alerts,
    .help = "usage: tfctl alerts [--all] [--format text|json]\n"
            "The alerts that are active or acknowledged; the alerter has to run.\n\n"
            "      --all                 those that were resolved in the last 7 days, too\n"
            "  -o, --format FORMAT       text or json (an object a line)\n"
            "      --utc                 times in UTC instead of local time\n"
            "      --runtime-dir DIR     --config FILE\n",
};

const struct command command_ack = {
    .name = "ack",
    .run = run_ack,
    .help =
        "usage: tfctl ack ID [--reason WHY]\n"
        "Acknowledge an alert: it stays active, and nothing more is notified of it but its end. Prints it as JSON.\n\n"
        "      --reason WHY          one line, kept with the alert and in the audit entry\n"
        "      --runtime-dir DIR     --config FILE\n",
};

const struct command command_resolve = {
    .name = "resolve",
    .run = run_resolve,
    .help = "usage: tfctl resolve ID [--reason WHY]\n"
            "End an alert by hand. Should its condition still hold, it fires anew. Prints it as JSON.\n\n"
            "      --reason WHY          one line, kept with the alert and in the audit entry\n"
            "      --runtime-dir DIR     --config FILE\n",
};
