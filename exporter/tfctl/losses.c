/* losses.c - tfctl losses: what was dropped. The log's own loss entries, summed; and what the rings' ledgers hold beyond them, so that it
 * works while the collector is down, too. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/query/scan.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/rings.h"

enum { OPTION_UTC = OPTION_COMMAND_FIRST };
enum { SNAPSHOT_ATTEMPTS = 20 };

struct loss_row {
    struct text service, reason; /* owned */
    enum level level;
    uint64_t count, first_ns, last_ns;
};

struct losses {
    struct session *session;
    struct filter filter;
    uint64_t since_ns;
    bool json, utc;
    struct store_reader *reader;
    struct rings *rings; /* NULL: not this store's */
    struct loss_row *rows;
    size_t count, capacity;
    struct output output;
};

static const struct option options[] = {
    COMMON_OPTIONS,
    { "service", required_argument, NULL, 's' },
    { "since", required_argument, NULL, 'S' },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { 0 },
};

static int take_option(struct losses *losses, int option, char **argv) {
    switch (option) {
    case 's': {
        struct error error = { "" };
        if (filter_add_service(&losses->filter, text_of(optarg), &error) < 0)
            return usage_error(losses->session, "--service: %s", error.text);
        return GO_ON;
    }
    case 'S':
        return option_time(losses->session, "--since", optarg, &losses->since_ns);
    case 'o':
        losses->json = strcmp(optarg, "json") == 0;
        return losses->json || strcmp(optarg, "text") == 0
                   ? GO_ON
                   : usage_error(losses->session, "--format \"%s\": expected text or json", optarg);
    case OPTION_UTC:
        losses->utc = true;
        return GO_ON;
    default:
        return session_option(losses->session, option, argv);
    }
}

/* --- summing --- */

static void clear_rows(struct losses *losses) {
    for (size_t i = 0; i < losses->count; i++) {
        free((char *)losses->rows[i].service.data);
        free((char *)losses->rows[i].reason.data);
    }
    losses->count = 0;
}

static struct loss_row *row_of(struct losses *losses, struct text service, enum level level, struct text reason) {
    for (size_t i = 0; i < losses->count; i++) {
        struct loss_row *row = &losses->rows[i];
        if (row->level == level && text_equal(row->service, service) && text_equal(row->reason, reason))
            return row;
    }
    if (losses->count == losses->capacity) {
        size_t capacity = losses->capacity ? losses->capacity * 2 : 16;
        struct loss_row *grown = realloc(losses->rows, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        losses->rows = grown;
        losses->capacity = capacity;
    }
    char *service_copy = strndup(service.length ? service.data : "", service.length);
    char *reason_copy = strndup(reason.length ? reason.data : "", reason.length);
    if (!service_copy || !reason_copy) {
        free(service_copy);
        free(reason_copy);
        return NULL;
    }
    losses->rows[losses->count] = (struct loss_row) {
        .service = text_of(service_copy), .reason = text_of(reason_copy), .level = level, .first_ns = UINT64_MAX
    };
    return &losses->rows[losses->count++];
}

static int add(struct losses *losses, struct text service, enum level level, struct text reason, uint64_t count,
               uint64_t first_ns, uint64_t last_ns) {
    if (last_ns < losses->since_ns || !filter_has_service(&losses->filter, service))
        return 0;
    struct loss_row *row = row_of(losses, service, level, reason);
    if (!row)
        return -ENOMEM;
    row->count += count;
    row->first_ns = first_ns < row->first_ns ? first_ns : row->first_ns;
    row->last_ns = last_ns > row->last_ns ? last_ns : row->last_ns;
    return 0;
}

/* --- the log's loss entries --- */

static struct text find_text(struct text map, const char *key) {
    struct pack_value value;
    bool there = map.length > 0 && pack_is_map(map) && pack_find(map, text_of(key), &value) && value.type == PACK_TEXT;
    return there ? value.text : TEXT_EMPTY;
}

static uint64_t find_time(struct text map, const char *key, uint64_t otherwise) {
    struct text text = find_text(map, key);
    uint64_t time;
    return text.length > 0 && clock_parse(text.data, text.length, &time) == 0 ? time : otherwise;
}

static int add_entry(struct losses *losses, const struct entry *entry) {
    struct pack_value count = { 0 };
    enum level level;
    if (entry->metadata.length == 0 || !pack_is_map(entry->metadata) ||
        !pack_find(entry->metadata, TEXT_LITERAL("count"), &count) || count.type != PACK_UINT ||
        level_parse(find_text(entry->metadata, "level"), &level) < 0)
        return 0; /* somebody else's entry under our name */
    return add(losses, find_text(entry->metadata, "service"), level, find_text(entry->metadata, "reason"),
               count.natural, find_time(entry->metadata, "first", entry->timestamp_ns),
               find_time(entry->metadata, "last", entry->timestamp_ns));
}

static int add_stored(struct losses *losses, uint64_t end, struct error *error) {
    struct scan_options range = SCAN_EVERYTHING;
    struct filter filter;
    struct scan *scan = NULL;
    struct entry entry;
    uint64_t sequence;
    filter_init(&filter);
    range.by_arrival = true;
    range.to_sequence = end;
    range.damaged = session_damaged;
    range.damaged_argument = losses->session;
    filter_set_min_level(&filter, LEVEL_INFO); /* info: losses that were chosen */
    int status = filter_add_service(&filter, TEXT_LITERAL("taskforge"), error);
    if (status == 0)
        status = filter_add_matcher(&filter, TEXT_LITERAL("module"), FILTER_EQUAL, TEXT_LITERAL("loss"), error);
    if (status == 0)
        status = scan_open(losses->reader, &filter, &range, &scan, error);
    while (status >= 0 && (status = scan_next(scan, &sequence, error)) > 0) {
        status = scan_entry(scan, &entry, error);
        if (status > 0 && add_entry(losses, &entry) < 0)
            status = error_set(error, -ENOMEM, "out of memory for the losses");
    }
    scan_close(scan);
    filter_finish(&filter);
    return status;
}

/* --- the ledgers --- */

static int add_ring_loss(void *argument, const struct ring_loss *loss) {
    return add(argument, loss->service, loss->level, text_of(loss_reason_name(loss->reason)), loss->count,
               loss->first_ns ? loss->first_ns : loss->last_ns, loss->last_ns);
}

/* Ledgers, what the store was told of them, and the store's end have to be of one moment: what a commit in between told would be
 * counted twice, or not at all. Then it is done again. */
static int gather(struct losses *losses, struct error *error) {
    uint64_t before = 0, end = 0;
    int status = 0;
    for (int attempt = 0; attempt < SNAPSHOT_ATTEMPTS && status == 0; attempt++) {
        clear_rows(losses);
        status = store_reader_refresh(losses->reader, error);
        if (status == 0)
            status = store_reader_end(losses->reader, &before, error);
        if (status == 0 && losses->rings)
            status = rings_losses(losses->rings, losses->reader, add_ring_loss, losses, error);
        if (status == 0)
            status = store_reader_end(losses->reader, &end, error);
        if (before == end)
            break;
    }
    return status < 0 ? status : add_stored(losses, end, error);
}

/* --- printing --- */

static int compare_rows(const void *a, const void *b) {
    const struct loss_row *x = a, *y = b;
    int order = text_compare(x->service, y->service);
    if (order == 0)
        order = (int)y->level - (int)x->level;
    return order ? order : text_compare(x->reason, y->reason);
}

static void append_json(struct buffer *out, const struct loss_row *row) {
    char time[CLOCK_RFC3339_SIZE];
    buffer_append_string(out, "{\"service\":");
    json_append_string(out, row->service);
    buffer_append_format(out, ",\"level\":\"%s\",\"reason\":", level_name(row->level));
    json_append_string(out, row->reason);
    buffer_append_format(out, ",\"count\":%llu", (unsigned long long)row->count);
    clock_format(row->first_ns, time);
    buffer_append_format(out, ",\"first\":\"%s\"", time);
    clock_format(row->last_ns, time);
    buffer_append_format(out, ",\"last\":\"%s\"}\n", time);
}

static void append_padded(struct buffer *out, struct text text, size_t width) {
    size_t before = out->length;
    format_printable(out, text);
    size_t characters = text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s ", (int)(width > characters ? width - characters : 0), "");
}

static void append_text(struct buffer *out, const struct loss_row *row, size_t width, bool utc) {
    append_padded(out, row->service, width);
    append_padded(out, text_of(level_name(row->level)), 8);
    append_padded(out, row->reason, 12);
    buffer_append_format(out, "%12llu  ", (unsigned long long)row->count);
    format_time(out, row->first_ns, utc);
    buffer_append_string(out, "  ");
    format_time(out, row->last_ns, utc);
    buffer_append_char(out, '\n');
}

static void print_rows(struct losses *losses) {
    struct buffer *out = &losses->output.buffer;
    size_t width = sizeof("service") - 1;
    for (size_t i = 0; i < losses->count; i++) {
        size_t length = text_utf8_count(losses->rows[i].service);
        width = length > width ? length : width;
    }
    if (!losses->json && losses->count > 0)
        buffer_append_format(out, "%-*s %-8s %-12s %12s  %-29s  %s\n", (int)width, "service", "level", "reason",
                             "count", "first", "last");
    for (size_t i = 0; i < losses->count; i++) {
        struct buffer line = BUFFER_EMPTY;
        if (losses->json)
            append_json(&line, &losses->rows[i]);
        else
            append_text(out, &losses->rows[i], width, losses->utc);
        format_harden_json(out, buffer_text(&line));
        out->failed |= line.failed;
        buffer_finish(&line);
    }
}

static int run_losses(struct losses *losses) {
    struct session *session = losses->session;
    struct error error = { "" };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &losses->reader);
    if (status != GO_ON)
        return status;
    if (session->rings_belong && rings_open(session->runtime_dir, session->config, &losses->rings) < 0)
        status = error_set(&error, -ENOMEM, "out of memory");
    else
        status = gather(losses, &error);
    rings_close(losses->rings);
    store_reader_close(losses->reader);
    if (status < 0)
        return fault(session, &error);
    output_init(&losses->output, false);
    if (losses->count > 1)
        qsort(losses->rows, losses->count, sizeof(*losses->rows), compare_rows);
    print_rows(losses);
    if (output_finish(&losses->output, &error) < 0)
        return fault(session, &error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct losses losses = { .session = session };
    int option, status = GO_ON;
    filter_init(&losses.filter);
    while (status == GO_ON && (option = getopt_long(argc, argv, ":s:S:o:", options, NULL)) != -1)
        status = take_option(&losses, option, argv);
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    if (status == GO_ON)
        status = run_losses(&losses);
    clear_rows(&losses);
    free(losses.rows);
    filter_finish(&losses.filter);
    return status;
}

const struct command command_losses = {
    .name = "losses",
    .run = run,
    .help = "usage: tfctl losses [--since T] [--service S] [--format text|json]\n"
            "What was dropped: from whom, level, why, how many, when first and last. Works while the collector is "
            "down, too.\n\n"
            "  -S, --since T             only what was still being lost at T or later\n"
            "  -s, --service S           this service (more than one: each of them)\n"
            "  -o, --format FORMAT       text, or json (an object a line)\n"
            "      --utc                 times in UTC instead of local time\n"
            "      --data-dir DIR        --runtime-dir DIR  --config FILE\n",
};
