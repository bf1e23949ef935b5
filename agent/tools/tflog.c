/* tflog - write entries from shells and cron, as logger(1) does for syslog. CONTRACT sections 5 and 10. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/tools/lines.h"
#include "agent/tools/writer.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/model/pack.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_LOST = 3 };
enum { READ_SIZE = 65536 };

static const char help[] =
    "usage: tflog [OPTION...] [--] [MESSAGE...]\n"
    "\n"
    "Write MESSAGE (its words joined by spaces) as one log entry; without MESSAGE one entry\n"
    "for each line of stdin.\n"
    "\n"
    "  -s, --service SERVICE       default: tflog\n"
    "  -m, --module MODULE         default: shell\n"
    "  -o, --operation OPERATION   default: log\n"
    "  -l, --level LEVEL           trace debug info warn error critical; default: info\n"
    "      --trace-id ID           --span-id ID, --correlation-id ID: at most 128 bytes each\n"
    "      --user-id UUID          --organization-id UUID\n"
    "      --metadata JSON         a JSON object\n"
    "      --error-details JSON    any JSON value; levels error and critical\n"
    "      --wait DURATION         wait so long for room (500ms, 10s); without it what does not\n"
    "                              fit is dropped. After an entry has waited in vain, the next\n"
    "                              ones do not wait until there is room again\n"
    "      --help, --version\n"
    "\n"
    "Options end at the first word of MESSAGE. Lines of stdin that break a rule (empty, too long,\n"
    "no UTF-8) are repaired; options and a MESSAGE that do are refused.\n"
    "\n"
    "exit status: 0 all written; 1 stdin could not be read; 2 wrong usage; 3 something did not fit\n"
    "environment: TASKFORGE_RUNTIME_DIR\n";

enum option_code {
    OPTION_TRACE = 256,
    OPTION_SPAN,
    OPTION_CORRELATION,
    OPTION_USER,
    OPTION_ORGANIZATION,
    OPTION_METADATA,
    OPTION_DETAILS,
    OPTION_WAIT,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option long_options[] = {
    { "service", required_argument, NULL, 's' },
    { "module", required_argument, NULL, 'm' },
    { "operation", required_argument, NULL, 'o' },
    { "level", required_argument, NULL, 'l' },
    { "trace-id", required_argument, NULL, OPTION_TRACE },
    { "span-id", required_argument, NULL, OPTION_SPAN },
    { "correlation-id", required_argument, NULL, OPTION_CORRELATION },
    { "user-id", required_argument, NULL, OPTION_USER },
    { "organization-id", required_argument, NULL, OPTION_ORGANIZATION },
    { "metadata", required_argument, NULL, OPTION_METADATA },
    { "error-details", required_argument, NULL, OPTION_DETAILS },
    { "wait", required_argument, NULL, OPTION_WAIT },
    { "help", no_argument, NULL, OPTION_HELP },
    { "version", no_argument, NULL, OPTION_VERSION },
    { NULL, 0, NULL, 0 },
};

struct arguments {
    struct entry entry; /* all but the message */
    uint64_t wait_ns;
    bool has_message;
    struct buffer message;
    char metadata[ENTRY_METADATA_BYTES], error_details[ENTRY_ERROR_BYTES]; /* packed */
};

/* --- arguments; each reader returns 0 or -EINVAL with the sentence --- */

static int read_json(const char *field, const char *json, char *room, size_t size, struct text *ret,
                     struct error *error) {
    struct pack_writer writer = { .data = room, .capacity = size };
    int r = pack_from_json(text_of(json), &writer, error);
    if (r == -E2BIG || writer.failed)
        return error_set(error, -EINVAL, "%s must be at most %zu bytes", field, size);
    if (r < 0)
        return error_prefix(error, -EINVAL, "%s must be JSON", field);
    *ret = (struct text) { writer.data, writer.length };
    return 0;
}

static int read_uuid(const char *field, const char *text, struct uuid *ret, struct error *error) {
    if (uuid_parse(text_of(text), ret) < 0)
        return error_set(error, -EINVAL, "%s must be a UUID, is \"%s\"", field, text);
    return 0;
}

static int read_level(const char *text, enum level *ret, struct error *error) {
    if (level_parse(text_of(text), ret) < 0)
        return error_set(error, -EINVAL, "level must be trace, debug, info, warn, error or critical, is \"%s\"", text);
    return 0;
}

static int read_wait(const char *text, uint64_t *ret, struct error *error) {
    if (clock_parse_duration(text, strlen(text), ret) < 0)
        return error_set(error, -EINVAL, "wait must be a duration such as 500ms or 10s, is \"%s\"", text);
    return 0;
}

static int read_option(struct arguments *arguments, int code, const char *value, struct error *error) {
    struct entry *entry = &arguments->entry;
    switch (code) {
    case 's':
        entry->service = text_of(value);
        return 0;
    case 'm':
        entry->module = text_of(value);
        return 0;
    case 'o':
        entry->operation = text_of(value);
        return 0;
    case 'l':
        return read_level(value, &entry->level, error);
    case OPTION_TRACE:
        entry->trace_id = text_of(value);
        return 0;
    case OPTION_SPAN:
        entry->span_id = text_of(value);
        return 0;
    case OPTION_CORRELATION:
        entry->correlation_id = text_of(value);
        return 0;
    case OPTION_USER:
        return read_uuid("user_id", value, &entry->user_id, error);
    case OPTION_ORGANIZATION:
        return read_uuid("organization_id", value, &entry->organization_id, error);
    case OPTION_METADATA:
        return read_json("metadata", value, arguments->metadata, sizeof(arguments->metadata), &entry->metadata, error);
    case OPTION_DETAILS:
        return read_json("error_details", value, arguments->error_details, sizeof(arguments->error_details),
                         &entry->error_details, error);
    default:
        return read_wait(value, &arguments->wait_ns, error);
    }
}

static void read_message(struct arguments *arguments, int argc, char **argv) {
    arguments->has_message = optind < argc;
    for (int i = optind; i < argc; i++) {
        if (i > optind)
            buffer_append_char(&arguments->message, ' ');
        buffer_append_string(&arguments->message, argv[i]);
    }
}

/* Everything but lines of stdin is judged before anything is written. */
static int judge(const struct arguments *arguments, struct error *error) {
    struct entry entry = arguments->entry;
    entry.message = arguments->has_message ? buffer_text(&arguments->message) : TEXT_LITERAL("-");
    return entry_validate(&entry, error);
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments) {
    struct error error = { "" };
    int code;
    arguments->entry = (struct entry) { .level = LEVEL_INFO,
                                        .service = TEXT_LITERAL("tflog"),
                                        .module = TEXT_LITERAL("shell"),
                                        .operation = TEXT_LITERAL("log") };
    opterr = 0;
    while ((code = getopt_long(argc, argv, "+:s:m:o:l:h", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == 'h')
            return fputs(help, stdout) < 0;
        if (code == OPTION_VERSION)
            return puts("tflog " TASKFORGE_VERSION) < 0;
        if (code == '?' || code == ':') {
            diag_error(code == ':' ? "option %s needs a value (tflog --help)" : "unknown option %s (tflog --help)",
                       argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (read_option(arguments, code, optarg, &error) < 0) {
            diag_error("%s", error.text);
            return EXIT_USAGE;
        }
    }
    read_message(arguments, argc, argv);
    if (judge(arguments, &error) < 0) {
        diag_error("%s", error.text);
        return EXIT_USAGE;
    }
    return -1;
}

/* --- writing --- */

struct input {
    struct writer *writer;
    struct entry entry;
    struct buffer scratch;
};

static void write_line(void *argument, struct text line) {
    struct input *input = argument;
    input->entry.message = line;
    writer_put(input->writer, &input->entry, &input->scratch);
}

static int write_stdin(struct input *input) {
    static char bytes[READ_SIZE];
    struct lines lines;
    ssize_t count;
    lines_init(&lines, write_line, input);
    while ((count = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0 || (count < 0 && errno == EINTR))
        if (count > 0 && lines_feed(&lines, bytes, (size_t)count) < 0)
            input->writer->lost++;
    int r = count < 0 ? -errno : 0;
    lines_end(&lines);
    lines_finish(&lines);
    if (r < 0)
        diag_error("stdin cannot be read: %s", strerror(-r));
    return r;
}

static int run(const struct arguments *arguments) {
    struct writer writer = { .wait_ns = arguments->wait_ns };
    struct error error = { "" };
    char service[ENTRY_NAME_BYTES + 1];
    snprintf(service, sizeof(service), "%.*s", TEXT_FORMAT(arguments->entry.service));
    if (writer_open(&writer, service, &error) < 0) {
        diag_error("%s", error.text);
        return EXIT_FAULT;
    }
    struct input input = { .writer = &writer, .entry = arguments->entry };
    int r = 0;
    if (arguments->has_message) {
        producer_share_lanes(writer.producer);
        write_line(&input, buffer_text(&arguments->message));
    } else {
        r = write_stdin(&input);
    }
    writer_tell_losses(&writer, "entries");
    writer_close(&writer);
    buffer_finish(&input.scratch);
    return r < 0 ? EXIT_FAULT : writer.lost > 0 ? EXIT_LOST : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    static struct arguments arguments;
    diag_open("tflog");
    int status = parse_arguments(argc, argv, &arguments);
    if (status < 0)
        status = run(&arguments);
    buffer_finish(&arguments.message);
    return status;
}
