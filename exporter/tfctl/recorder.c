/* recorder.c - tfctl recorder: have what the flight recorder holds stored, over the collector's control socket. */
#include <stdio.h>

#include "common/model/pack.h"
#include "exporter/tfctl/collector_request.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"

enum { ANSWER_PACKED_MAX = 4096 };

static const struct option options[] = {
    COMMON_OPTIONS,
    { "service", required_argument, NULL, 's' },
    { "format", required_argument, NULL, 'o' },
    { 0 },
};

struct recorder_command {
    struct session *session;
    const char *service; /* or NULL */
    bool json;
};

static int take_option(struct recorder_command *command, int option, char **argv) {
    switch (option) {
    case 's':
        command->service = optarg;
        return collector_check_service(command->session, optarg);
    case 'o':
        command->json = strcmp(optarg, "json") == 0;
        return command->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(command->session, "--format \"%s\": expected text or json", optarg);
    default:
        return session_option(command->session, option, argv);
    }
}

static uint64_t number(struct text map, const char *key) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) == 1 && value.type == PACK_UINT ? value.natural : 0;
}

static void append_sentence(struct buffer *out, struct text line) {
    char packed[ANSWER_PACKED_MAX];
    struct pack_writer writer = { .data = packed, .capacity = sizeof(packed) };
    if (pack_from_json(line, &writer, NULL) < 0 || writer.failed)
        return;
    struct text map = { packed, writer.length };
    if (!pack_is_map(map))
        return;
    uint64_t processes = number(map, "processes"), entries = number(map, "entries");
    buffer_append_format(out, "%llu %s of %llu %s\n", (unsigned long long)entries, entries == 1 ? "entry" : "entries",
                         (unsigned long long)processes, processes == 1 ? "program" : "programs");
}

static int print(const struct recorder_command *command, struct text lines) {
    struct error error = { "" };
    struct output output;
    struct text line;
    output_init(&output, false);
    while (collector_next_line(&lines, &line)) {
        if (!command->json) {
            append_sentence(&output.buffer, line);
            continue;
        }
        format_harden_json(&output.buffer, line);
        buffer_append_char(&output.buffer, '\n');
    }
    return output_finish(&output, &error) < 0 ? fault(command->session, &error) : EXIT_FINE;
}

static int store(const struct recorder_command *command) {
    _cleanup_buffer_ struct buffer request = BUFFER_EMPTY, answer = BUFFER_EMPTY;
    buffer_append_format(&request, "recorder store %s", command->service ? command->service : "");
    int status = session_resolve(command->session);
    if (status == GO_ON)
        status = collector_request(command->session, &request, &answer);
    return status == GO_ON ? print(command, buffer_text(&answer)) : status;
}

static int run(struct session *session, int argc, char **argv) {
    struct recorder_command command = { .session = session };
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":s:o:", options, NULL)) != -1)
        status = take_option(&command, option, argv);
    if (status != GO_ON)
        return status;
    if (optind == argc || strcmp(argv[optind], "store") != 0)
        return usage_error(session, optind == argc ? "expected store" : "\"%s\": expected store", argv[optind]);
    if (optind + 1 < argc)
        return usage_error(session, "store: expected options only, found \"%s\"", argv[optind + 1]);
    return store(&command);
}

const struct command command_recorder = {
    .name = "recorder",
    .run = run,
    .help = "usage: tfctl recorder store [--service S] [--format text|json]\n"
            "Store what the flight recorder holds (collector.flight_recorder) without waiting for an error. Prints how "
            "many\n"
            "entries that were. The collector has to run; who may joins the group taskforge.\n\n"
            "  -s, --service S           of the programs of this service alone\n"
            "  -o, --format FORMAT       text or json (an object)\n"
            "      --runtime-dir DIR     --config FILE\n",
};
