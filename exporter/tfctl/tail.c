/* tail.c - tfctl tail: the last entries by arrival, and with -f those that come.
 *
 * What the rings hold beyond the store is shown, too, so that tail works while the collector is down; such an entry is
 * remembered by its id, and passed over once when the store has it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/query/scan.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/opening.h"
#include "exporter/tfctl/output.h"
#include "exporter/tfctl/rings.h"
#include "exporter/tfctl/uuid_map.h"

enum { OPTION_UTC = OPTION_COMMAND_FIRST, OPTION_NO_PAGER };
enum { LINES_DEFAULT = 10, POLL_MILLISECONDS = 100 };

struct tail {
    struct session *session;
    struct filter filter;
    uint64_t lines;
    bool follow;
    const struct format *format;
    struct format_style style;
    struct output output;
    bool printed;
    struct store_reader *reader;
    struct rings *rings;         /* NULL: not this store's */
    uint64_t cursor;             /* the next sequence to show */
    struct entry_copies waiting; /* of the rings, not yet shown */
    size_t *order;               /* indexes into waiting by time */
    size_t order_count, order_capacity;
    struct uuid_map known; /* ids of ring entries: index + 1 while waiting, SHOWN after */
    struct buffer scratch;
    struct opening *opening; /* of --key, or NULL */
};
enum { SHOWN = 0 };

static const struct option options[] = {
    FILTER_OPTIONS,
    KEY_OPTION,
    COMMON_OPTIONS,
    { "follow", no_argument, NULL, 'f' },
    { "lines", required_argument, NULL, 'n' },
    { "limit", required_argument, NULL, 'n' },
    { "format", required_argument, NULL, 'o' },
    { "utc", no_argument, NULL, OPTION_UTC },
    { "no-pager", no_argument, NULL, OPTION_NO_PAGER },
    { 0 },
};

static int take_option(struct tail *tail, int option, char **argv) {
    switch (option) {
    case 'f':
        tail->follow = true;
        return GO_ON;
    case 'n':
        return option_count(tail->session, "-n", optarg, UINT64_MAX, &tail->lines);
    case 'o':
        tail->format = format_find(optarg);
        return tail->format ? GO_ON : usage_error(tail->session, "--format \"%s\": expected " FORMAT_NAMES, optarg);
    case OPTION_UTC:
        tail->style.utc = true;
        return GO_ON;
    case OPTION_NO_PAGER: /* there never is one */
        return GO_ON;
    default:
        return filter_option(tail->session, &tail->filter, option, argv);
    }
}

static bool print(struct tail *tail, const struct entry *entry) {
    if (!tail->printed)
        tail->format->header(&tail->output.buffer, &tail->style);
    tail->printed = true;
    tail->format->entry(&tail->output.buffer, &tail->style, entry, true);
    return output_push(&tail->output);
}

/* --- the rings' side --- */

static int compare_time(const void *a, const void *b, void *argument) {
    const struct entry_copies *copies = argument;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    uint64_t x = copies->entries[i].timestamp_ns, y = copies->entries[j].timestamp_ns;
    if (x != y)
        return x < y ? -1 : 1;
    return i < j ? -1 : i > j; /* of one lane in order */
}

/* Look into the rings; what matches waits, in order of time. */
static int look(struct tail *tail, struct error *error) {
    entry_copies_clear(&tail->waiting);
    tail->order_count = 0;
    if (!tail->rings)
        return 0;
    int status = rings_look(tail->rings, tail->reader, &tail->waiting, error);
    if (status < 0)
        return status;
    if (tail->waiting.count > tail->order_capacity) {
        size_t *grown = realloc(tail->order, tail->waiting.count * sizeof(*grown));
        if (!grown)
            return error_set(error, -ENOMEM, "out of memory for the entries of the rings");
        tail->order = grown;
        tail->order_capacity = tail->waiting.count;
    }
    for (size_t i = 0; i < tail->waiting.count; i++) {
        struct entry entry;
        entry_copies_get(&tail->waiting, i, &entry);
        if (uuid_is_zero(&entry.id) || uuid_map_find(&tail->known, &entry.id))
            continue;
        status = filter_entry(&tail->filter, &entry, &tail->scratch, error);
        if (status < 0)
            return status;
        if (status == 0)
            continue;
        if (uuid_map_put(&tail->known, &entry.id, (uint32_t)i + 1) < 0)
            return error_set(error, -ENOMEM, "out of memory for the entries of the rings");
        tail->order[tail->order_count++] = i;
    }
    if (tail->order_count > 1)
        qsort_r(tail->order, tail->order_count, sizeof(*tail->order), compare_time, &tail->waiting);
    return 0;
}

/* Print the last `most` of those that still wait; all of them count as shown. */
static void print_waiting(struct tail *tail, uint64_t most) {
    size_t left = 0;
    struct entry entry;
    for (size_t i = 0; i < tail->order_count; i++) {
        uint32_t *state = uuid_map_find(&tail->known, &tail->waiting.entries[tail->order[i]].id);
        left += state && *state != SHOWN;
    }
    for (size_t i = 0; i < tail->order_count; i++) {
        entry_copies_get(&tail->waiting, tail->order[i], &entry);
        uint32_t *state = uuid_map_find(&tail->known, &entry.id);
        if (!state || *state == SHOWN) /* the store had it meanwhile */
            continue;
        *state = SHOWN;
        if (left-- <= most && !print(tail, &entry))
            return;
    }
}

/* --- the store's side --- */

/* Whether an entry of the store is to be shown: not when the rings' copy was. One that still waits is forgotten there. */
static bool is_new(struct tail *tail, const struct uuid *id) {
    uint32_t *state = uuid_map_find(&tail->known, id);
    if (!state)
        return true;
    bool shown = *state == SHOWN;
    uuid_map_remove(&tail->known, id);
    return !shown;
}

static const struct filter *scanned(const struct tail *tail) {
    return tail->opening ? &tail->opening->scanned : &tail->filter;
}

/* The entry the scan stands at, opened where there is a key: 1; 0 it is not to be shown. */
static int take_entry(struct tail *tail, struct scan *scan, struct entry *ret, struct error *error) {
    int status = scan_entry(scan, ret, error);
    return status > 0 && tail->opening ? opening_judge(tail->opening, ret, error) : status;
}

/* Show (or, quiet, only take note of) what matches in [from, to). */
static int print_stored(struct tail *tail, uint64_t from, uint64_t to, bool quiet, struct error *error) {
    struct scan_options range = SCAN_EVERYTHING;
    struct scan *scan;
    struct entry entry;
    uint64_t sequence;
    range.by_arrival = true;
    range.from_sequence = from;
    range.to_sequence = to;
    range.damaged = session_damaged;
    range.damaged_argument = tail->session;
    int status = from < to ? scan_open(tail->reader, scanned(tail), &range, &scan, error) : 0;
    if (from >= to || status < 0)
        return status;
    while ((status = scan_next(scan, &sequence, error)) > 0) {
        status = take_entry(tail, scan, &entry, error);
        if (status < 0 || (status > 0 && is_new(tail, &entry.id) && !quiet && !print(tail, &entry)))
            break;
    }
    scan_close(scan);
    return status < 0 ? status : 0;
}

/* The sequence from which `count` matches stand before `end`. */
static int find_start(struct tail *tail, uint64_t end, uint64_t count, uint64_t *ret, struct error *error) {
    struct scan_options range = SCAN_EVERYTHING;
    struct scan *scan;
    int status;
    range.by_arrival = range.reverse = range.sequences_only = true;
    range.to_sequence = end;
    range.limit = tail->opening ? UINT64_MAX : count;
    range.damaged = session_damaged;
    range.damaged_argument = tail->session;
    *ret = end;
    if (count == 0 || (status = scan_open(tail->reader, scanned(tail), &range, &scan, error)) < 0)
        return count == 0 ? 0 : status;
    while (count > 0 && (status = scan_next(scan, ret, error)) > 0) {
        struct entry entry;
        if (tail->opening && (status = take_entry(tail, scan, &entry, error)) < 0)
            break;
        count -= status > 0;
    }
    scan_close(scan);
    return status < 0 ? status : 0;
}

static int end_of(struct tail *tail, uint64_t *ret, struct error *error) {
    int status = store_reader_refresh(tail->reader, error);
    return status < 0 ? status : store_reader_end(tail->reader, ret, error);
}

/* --- the two together --- */

/* What was committed between our look at the store's end and the look into the rings stands in both: found by its ids. */
static int print_last(struct tail *tail, struct error *error) {
    uint64_t before, end, start;
    int status = end_of(tail, &before, error);
    if (status == 0)
        status = look(tail, error);
    if (status == 0)
        status = end_of(tail, &end, error);
    if (status == 0)
        status = print_stored(tail, before, end, true, error);
    if (status < 0)
        return status;
    uint64_t waiting = tail->known.count;
    status = find_start(tail, end, tail->lines > waiting ? tail->lines - waiting : 0, &start, error);
    if (status == 0)
        status = print_stored(tail, start, end, false, error);
    print_waiting(tail, tail->lines);
    tail->cursor = end;
    return status;
}

static int print_new(struct tail *tail, struct error *error) {
    uint64_t end;
    int status = look(tail, error);
    if (status == 0)
        status = end_of(tail, &end, error);
    if (status == 0)
        status = print_stored(tail, tail->cursor, end, false, error);
    if (status < 0)
        return status;
    if (end > tail->cursor)
        tail->cursor = end;
    print_waiting(tail, UINT64_MAX);
    return 0;
}

/* Until a signal, or until nobody reads. The signals are taken while we wait and at no other time. */
static int follow(struct tail *tail, struct error *error) {
    const struct timespec pause = { .tv_nsec = POLL_MILLISECONDS * 1000000L };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int status = 0;
    while (status == 0 && output_flush(&tail->output) && !output_reader_gone(&tail->output) &&
           sigtimedwait(&signals, NULL, &pause) < 0)
        status = print_new(tail, error);
    return status;
}

static void close_all(struct tail *tail) {
    rings_close(tail->rings);
    store_reader_close(tail->reader);
    entry_copies_finish(&tail->waiting);
    uuid_map_finish(&tail->known);
    buffer_finish(&tail->scratch);
    free(tail->order);
}

static int run_tail(struct tail *tail) {
    struct session *session = tail->session;
    struct error error = { "" }, output_error = { "" };
    int status = session_resolve(session);
    if (status == GO_ON)
        status = session_open_store(session, &tail->reader);
    if (status != GO_ON)
        return status;
    if (session->rings_belong && rings_open(session->runtime_dir, session->config, &tail->rings) < 0) {
        store_reader_close(tail->reader);
        error_set(&error, -ENOMEM, "out of memory");
        return fault(session, &error);
    }
    output_init(&tail->output, false);
    tail->style.colour = output_coloured(&tail->output);
    tail->style.terminal = tail->output.terminal;
    struct opening opening;
    if (session->key_path && opening_begin(session, &tail->filter, &opening) != GO_ON) {
        output_finish(&tail->output, NULL);
        close_all(tail);
        return EXIT_FAULT;
    }
    tail->opening = session->key_path ? &opening : NULL;
    status = print_last(tail, &error);
    if (status == 0 && tail->follow)
        status = follow(tail, &error);
    int written = output_finish(&tail->output, &output_error);
    close_all(tail);
    session->damaged |= tail->opening && opening_end(session, tail->opening);
    if (status < 0)
        return fault(session, &error);
    if (written < 0)
        return fault(session, &output_error);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct tail tail = { .session = session, .lines = LINES_DEFAULT, .format = &format_text };
    int option, status = GO_ON;
    filter_init(&tail.filter);
    while (status == GO_ON && (option = getopt_long(argc, argv, ":fn:o:" FILTER_LETTERS, options, NULL)) != -1)
        status = take_option(&tail, option, argv);
    if (status == GO_ON)
        status = filter_argument(session, &tail.filter, argc - optind, argv + optind);
    if (status == GO_ON)
        status = run_tail(&tail);
    filter_finish(&tail.filter);
    return status;
}

const struct command command_tail = {
    .name = "tail",
    .run = run,
    .help = "usage: tfctl tail [FILTER] [-f] [-n N] [OPTIONS]\n"
            "Print the last matching entries in order of arrival, and with -f those that come, until Ctrl-C. Works "
            "while the\n"
            "collector is down, too: then with what stands in the rings that you may read.\n\n"
            "  -f, --follow              go on with what comes\n"
            "  -n, --lines N             the last N (10)\n"
            "  -o, --format FORMAT       text, json (one object a line) or csv\n"
            "      --utc                 times in UTC instead of local time\n" KEY_HELP "\n" FILTER_HELP
            "\n      --data-dir DIR        --runtime-dir DIR  --config FILE\n",
};
