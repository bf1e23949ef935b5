/* observe.c - log and silence conditions: counting in the store. Metrics are in observe_metrics.c. */
#include "alerter/observe.h"

#include "alerter/observe_metrics.h"
#include "alerter/window_count.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/base/hash.h"
#include "common/query/scan.h"
#include "common/query/tally.h"

#include <errno.h>
#include <stdlib.h>

enum { ENTRIES_BYTES_MAX = 64 * 1024 }; /* of an alert: the store has room for that many times OUTBOX_WAITING_MAX */

struct observer {
    struct store_reader *reader;
    struct metrics_observer *metrics;
    bool repeats;                /* entries may stand for more than one */
    struct window_count *counts; /* one for each rule; NULL: none yet */
    size_t count_count;
    uint64_t end;              /* sequences below it are observed */
    uint64_t told_damage;      /* hash of the last sentence about a damaged block */
    uint64_t first_arrival_ns; /* of the oldest block; UINT64_MAX: the store is empty */
};

void observations_finish(struct observations *observations) {
    for (size_t i = 0; i < observations->count; i++)
        alert_pairs_finish(&observations->series[i].labels);
    free(observations->series);
    *observations = OBSERVATIONS_EMPTY;
}

/* --- opening --- */

static void on_damaged(void *argument, const char *path, const char *why) {
    (void)argument;
    diag_warn("%s: passed over: %s", path, why);
}

int observer_open(const char *data_dir, const char *runtime_dir, struct observer **ret, struct error *error) {
    struct observer *observer = calloc(1, sizeof(*observer));
    if (!observer)
        return error_set(error, -ENOMEM, "out of memory");
    int result = store_reader_open(data_dir, on_damaged, NULL, &observer->reader, error);
    if (result == 0)
        result = metrics_observer_open(runtime_dir, &observer->metrics, error);
    if (result < 0) {
        observer_close(observer);
        return result;
    }
    *ret = observer;
    return 0;
}

void observer_close(struct observer *observer) {
    if (!observer)
        return;
    observer_forget(observer);
    store_reader_close(observer->reader);
    metrics_observer_close(observer->metrics);
    free(observer);
}

void observer_forget(struct observer *observer) {
    for (size_t i = 0; i < observer->count_count; i++)
        window_count_finish(&observer->counts[i]);
    free(observer->counts);
    observer->counts = NULL;
    observer->count_count = 0;
}

bool observer_collector_lives(const struct observer *observer) {
    return metrics_observer_collector(observer->metrics) != METRICS_COLLECTOR_DEAD;
}

/* --- windows by arrival --- */

static const struct index_want when = { .flushes = true };

struct window {
    uint64_t since_ns;
    uint64_t from; /* the first sequence that arrived in it */
};

/* Blocks come newest first: the first one that holds rows from before the window ends the walk. */
static int find_start(void *argument, const struct index_entry *index) {
    struct window *window = argument;
    for (uint32_t i = index->flush_count; i > 0; i--) {
        const struct index_flush *flush = &index->flushes[i - 1];
        if (flush->flush_ns < window->since_ns)
            return 1;
        window->from = index->first_sequence + flush->first_row;
    }
    return 0;
}

static int window_start(struct observer *observer, uint64_t now_ns, uint64_t length_ns, uint64_t *ret,
                        struct error *error) {
    struct window window = { .since_ns = now_ns > length_ns ? now_ns - length_ns : 0, .from = observer->end };
    int result = store_reader_walk_parts(observer->reader, 0, observer->end, true, &when, find_start, &window, error);
    *ret = window.from;
    return result < 0 ? result : 0;
}

static int take_first_arrival(void *argument, const struct index_entry *index) {
    *(uint64_t *)argument = index->flushes[0].flush_ns;
    return 1;
}

static int refresh(struct observer *observer, struct error *error) {
    int result = store_reader_refresh(observer->reader, error);
    if (result == 0)
        result = store_reader_end(observer->reader, &observer->end, error);
    observer->first_arrival_ns = UINT64_MAX;
    if (result == 0)
        result = store_reader_walk_parts(observer->reader, 0, observer->end, false, &when, take_first_arrival,
                                         &observer->first_arrival_ns, error);
    return result < 0 ? result : 0;
}

void observer_count_repeats(struct observer *observer, bool repeats) {
    if (observer->repeats != repeats)
        observer_forget(observer);
    observer->repeats = repeats;
}

/* --- counting --- */

/* Once for each block, not at each evaluation while it is in a window. */
static void tell_damaged(void *argument, const char *why) {
    struct observer *observer = argument;
    uint64_t hash = hash_bytes(why, strlen(why));
    if (observer->told_damage != hash)
        diag_warn("a block is passed over: %s", why);
    observer->told_damage = hash;
}

struct counting {
    struct observer *observer;
    const struct filter *filter;
    struct error *error;
};

/* Entry by entry, each as many as it stands for. */
static int count_repeats(const struct counting *counting, const struct scan_options *options, uint64_t *ret) {
    struct scan *scan;
    struct entry entry;
    uint64_t sequence;
    int result = scan_open(counting->observer->reader, counting->filter, options, &scan, counting->error);
    if (result < 0)
        return result;
    *ret = 0;
    while ((result = scan_next(scan, &sequence, counting->error)) > 0) {
        result = scan_entry(scan, &entry, counting->error);
        if (result < 0)
            break;
        *ret += result > 0 ? entry_repeats(entry.metadata) : 0;
    }
    scan_close(scan);
    return result;
}

static int count_range(void *argument, uint64_t from, uint64_t to, uint64_t *ret) {
    const struct counting *counting = argument;
    struct scan_options options = SCAN_EVERYTHING;
    struct tally tally;
    options.from_sequence = from;
    options.to_sequence = to;
    options.damaged = tell_damaged;
    options.damaged_argument = counting->observer;
    if (counting->observer->repeats)
        return count_repeats(counting, &options, ret);
    int result = tally_make(counting->observer->reader, counting->filter, &options, true, &tally, counting->error);
    if (result < 0)
        return result;
    *ret = tally.total;
    tally_finish(&tally);
    return 0;
}

static int add_series(struct observations *observations, const char *service, struct observation observation) {
    struct observed_series *series = calloc(1, sizeof(*series));
    if (!series)
        return -ENOMEM;
    if (service && alert_pairs_set(&series->labels, TEXT_LITERAL("service"), text_of(service)) < 0) {
        free(series);
        return -ENOMEM;
    }
    series->observation = observation;
    observations->series = series;
    observations->count = observations->capacity = 1;
    return 0;
}

/* A count that is too low proves something only while a collector takes in what comes; no entry at all proves silence only where
 * the whole window was seen. */
static bool is_partial(const struct observer *observer, const struct rule *rule, uint64_t now_ns) {
    enum metrics_collector collector = metrics_observer_collector(observer->metrics);
    if (rule->kind == RULE_LOG)
        return collector < METRICS_COLLECTOR_LIVES;
    uint64_t since_ns = metrics_observer_collector_since(observer->metrics);
    since_ns = observer->first_arrival_ns < since_ns ? observer->first_arrival_ns : since_ns;
    return collector != METRICS_COLLECTOR_SETTLED || since_ns > now_ns ||
           now_ns - since_ns < rule->silence.time_window_ns;
}

static void observe_store(struct observer *observer, const struct rule *rule, struct window_count *window,
                          uint64_t now_ns, struct observations *ret) {
    bool silence = rule->kind == RULE_SILENCE;
    struct counting counting = { observer, silence ? &rule->silence.filter : &rule->log.filter, &ret->error };
    uint64_t from, count = 0, window_ns = silence ? rule->silence.time_window_ns : rule->log.time_window_ns;
    ret->result = window_start(observer, now_ns, window_ns, &from, &ret->error);
    if (ret->result == 0)
        ret->result = window_count_move(window, from, observer->end, count_range, &counting, &count);
    if (ret->result < 0)
        return;
    const struct observation observation = { .value = (double)count, .partial = is_partial(observer, rule, now_ns) };
    ret->result = add_series(ret, silence ? rule->silence.service : rule->log.service, observation);
}

static int make_counts(struct observer *observer, size_t count, struct error *error) {
    if (observer->counts)
        return 0;
    observer->counts = calloc(count + 1, sizeof(*observer->counts));
    observer->count_count = observer->counts ? count : 0;
    return observer->counts ? 0 : error_set(error, -ENOMEM, "out of memory");
}

void observe(struct observer *observer, const struct rules *rules, uint64_t now_ns, struct observations *all) {
    struct error error = { "" };
    int result = refresh(observer, &error);
    if (result == 0)
        result = make_counts(observer, rules->rule_count, &error);
    check(result < 0 || observer->count_count == rules->rule_count);
    uint64_t begun_ns = clock_monotonic_ns();
    metrics_observe(observer->metrics, rules, now_ns, all);
    uint64_t then_ns = clock_monotonic_ns(), metrics_ns = then_ns - begun_ns;
    for (size_t i = 0; i < rules->rule_count; i++) {
        if (rules->rules[i].kind == RULE_METRIC) {
            all[i].took_ns = metrics_ns;
            continue;
        }
        all[i].result = result;
        all[i].error = error;
        if (result == 0)
            observe_store(observer, &rules->rules[i], &observer->counts[i], now_ns, &all[i]);
        begun_ns = then_ns;
        then_ns = clock_monotonic_ns();
        all[i].took_ns = then_ns - begun_ns;
    }
}

/* --- the lines that travel with an alert --- */

/* One entry; a large one without its metadata and details. False: it does not fit, and nothing was appended. */
static bool append_entry(struct buffer *out, size_t before, bool first, struct entry *entry) {
    size_t here = out->length;
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        buffer_append_string(out, first ? "" : ",");
        entry_append_json(out, entry);
        if (out->length - before < ENTRIES_BYTES_MAX)
            return true;
        out->length = here;
        entry->metadata = entry->error_details = TEXT_EMPTY;
    }
    return false;
}

int observe_entries(struct observer *observer, const struct rule *rule, uint64_t now_ns, struct buffer *out,
                    struct error *error) {
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan = NULL;
    struct entry entry;
    uint64_t sequence;
    size_t before = out->length;
    options.by_arrival = options.reverse = true;
    options.limit = ALERT_ENTRIES_MAX;
    options.to_sequence = observer->end;
    options.damaged = tell_damaged;
    options.damaged_argument = observer;
    int result = window_start(observer, now_ns, rule->log.time_window_ns, &options.from_sequence, error);
    if (result == 0)
        result = scan_open(observer->reader, &rule->log.filter, &options, &scan, error);
    if (result < 0)
        return result;
    buffer_append_char(out, '[');
    bool first = true;
    while ((result = scan_next(scan, &sequence, error)) > 0) {
        result = scan_entry(scan, &entry, error);
        if (result < 0)
            break;
        if (result > 0 && !append_entry(out, before, first, &entry))
            break;
        first = first && result == 0;
    }
    scan_close(scan);
    buffer_append_char(out, ']');
    if (result >= 0 && out->failed)
        result = error_set(error, -ENOMEM, "out of memory");
    if (result < 0 && !out->failed)
        out->length = before;
    return result < 0 ? result : 0;
}
