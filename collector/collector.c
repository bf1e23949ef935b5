#include "collector/collector.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/reap.h"
#include "collector/retention.h"
#include "collector/slots.h"
#include "collector/spans.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"
#include "common/store/state_keys.h"

/* --- settings --- */

static int copy_path(char *out, size_t size, const char *path, const char *what, struct error *error) {
    if (strlen(path) >= size)
        return error_set(error, -ENAMETOOLONG, "%s is too long", what);
    memcpy(out, path, strlen(path) + 1);
    return 0;
}

static int settings_copy(struct collector_settings *settings, const struct config *config, struct error *error) {
    *settings = (struct collector_settings) {
        .flush_interval_ns = config->collector.flush_interval_ns,
        .flush_entries = config->collector.flush_entries,
        .retention = config->collector.retention,
        .history = config->collector.history,
        .output = config->collector.output,
    };
    int result =
        copy_path(settings->runtime_dir, sizeof(settings->runtime_dir), config->runtime_dir, "runtime_dir", error);
    if (result == 0)
        result = copy_path(settings->data_dir, sizeof(settings->data_dir), config->data_dir, "data_dir", error);
    if (result == 0)
        result = copy_path(settings->spill_dir, sizeof(settings->spill_dir), config->collector.spill_dir,
                           "collector.spill_dir", error);
    if (result == 0 && config->collector.output_path)
        result = copy_path(settings->output_path, sizeof(settings->output_path), config->collector.output_path,
                           "collector.output", error);
    return result;
}

static void apply_sizes(struct collector *collector, const struct config *config) {
    struct retention_disk disk = { 0 };
    retention_disk_of(collector->settings.data_dir, &disk);
    collector->writer.partition_ns = config->collector.partition_ns;
    collector->writer.partition_bytes = retention_partition_bytes(&collector->settings.retention, &disk);
    writer_set_reserve(&collector->writer, retention_reserve_bytes(&collector->settings.retention, &disk));
    curator_set(collector->curator, &collector->settings.retention);
    history_set(collector->history, &collector->settings.history, &collector->settings.retention);
}

static void apply_recorder(struct collector *collector, const struct config *config) {
    const struct config_flight_recorder *flight_recorder = &config->collector.flight_recorder;
    recorder_configure(&collector->recorder, flight_recorder->levels ? flight_recorder->keep_ns : 0);
}

static void apply_metrics(struct collector *collector, const struct config *config) {
    const struct config_metrics *metrics = &config->collector.metrics;
    fold_set_limits(&collector->fold, &(struct fold_limits) { metrics->max_series, metrics->max_series_per_metric,
                                                              metrics->stale_after_ns });
}

/* What the store says once of all entries of a partition. */
static int apply_origin(struct collector *collector, const struct config *config, struct error *error) {
    char host[ENTRY_HOST_BYTES + 1];
    drain_host(host);
    struct partition_origin origin = { .host = text_of(host), .label_count = config->labels.count };
    for (size_t i = 0; i < config->labels.count; i++)
        origin.labels[i] =
            (struct partition_label) { text_of(config->labels.items[i].name), text_of(config->labels.items[i].value) };
    return partitions_set_origin(&collector->partitions, &origin, error);
}

/* --- state of what is gone --- */

static bool is_live(const struct rings *rings, const char id[16]) {
    for (size_t r = 0; r < rings->count; r++) {
        const struct collector_ring *ring = rings->items[r];
        if (memcmp(ring->ring.ring_id, id, 16) == 0)
            return true;
        for (uint32_t i = 0; i < ring->slots_used; i++)
            if (ring->slots[i].known && memcmp(ring->slots[i].info.producer_id, id, 16) == 0)
                return true;
    }
    return false;
}

static int collect_key(void *argument, struct text key, struct text value) {
    struct rings *rings = argument;
    const size_t prefix = sizeof(STATE_LANE) - 1; /* as long as the others */
    (void)value;
    if ((!text_starts_with(key, TEXT_LITERAL(STATE_LANE)) && !text_starts_with(key, TEXT_LITERAL(STATE_LOSS)) &&
         !text_starts_with(key, TEXT_LITERAL(STATE_CELL)) && !text_starts_with(key, TEXT_LITERAL(STATE_GONE)) &&
         !text_starts_with(key, TEXT_LITERAL(STATE_WANT))) ||
        key.length < prefix + 16 || is_live(rings, key.data + prefix))
        return 0;
    struct state_key gone = { .length = key.length };
    memcpy(gone.bytes, key.data, key.length);
    rings_remove_state(rings, &gone);
    return 0;
}

static void look_at_slots(struct rings *rings) {
    for (size_t r = 0; r < rings->count; r++)
        for (uint32_t i = 0; i < rings->items[r]->slots_used; i++)
            rings_slot_refresh(rings, rings->items[r], i);
    reap_scan(rings); /* who has died meanwhile */
    rings->starting = false;
}

/* Lanes, losses, cells and ends of rings and producers that are no more. Only when every ring there is could be read. */
static void collect_garbage(struct collector *collector) {
    state_map_walk(&collector->state, TEXT_EMPTY, collect_key, &collector->rings);
}

/* --- the loop's calls --- */

static void on_poll(struct loop_timer *timer, void *context) {
    struct collector *collector = context;
    collector_poll(collector);
    loop_set_timer(timer, collector->poll_ns);
}

static void on_watch(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct collector *collector = context;
    (void)source;
    (void)fd;
    (void)events;
    if (rings_changed(&collector->rings))
        rings_scan(&collector->rings);
}

/* A process has ended: what it held may be waited for. */
static void on_death(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct collector *collector = context;
    (void)source;
    (void)fd;
    (void)events;
    if (slots_note_deaths(&collector->rings))
        loop_set_timer(collector->poll_timer, 0);
}

static void on_maintenance(struct loop_timer *timer, void *context) {
    struct collector *collector = context;
    uint64_t now = clock_monotonic_ns();
    rings_scan(&collector->rings);
    rings_maintain(&collector->rings, now);
    if (collector->drain.entries == collector->trimmed_entries) { /* nothing came for a second */
        drain_trim(&collector->drain);
        arena_trim(&collector->batch.arena);
    }
    collector->trimmed_entries = collector->drain.entries;
    collector_look_at_itself(collector);
    fold_maintain(&collector->fold, clock_real_ns(), collector->last_commit_real_ns);
    /* On a disk that is full nothing is waited for: what may go makes the store writable again. */
    if (collector->failing)
        curator_wake(collector->curator);
    if (now - collector->last_readers_ns >= READER_CHECK_NS) {
        collector->last_readers_ns = now;
        if (collector->partitions.current->partition)
            partition_reader_check(collector->partitions.current->partition);
    }
    checker_look(&collector->checker, collector->partitions.current_path, now);
    if (writer_cursor_moved(&collector->writer) && now - collector->last_cursor_ns >= OUTPUT_CURSOR_NS) {
        collector->last_cursor_ns = now;
        collector_flush(collector, false, false);
    }
    loop_set_timer(timer, MAINTENANCE_NS);
}

static void on_positions(struct control_call *call, struct text arguments, void *context) {
    struct collector *collector = context;
    rings_scan(&collector->rings);
    positions_ask(&collector->positions, &collector->rings, call, control_word(&arguments));
    loop_set_timer(collector->poll_timer, 0);
}

static void on_level(struct control_call *call, struct text arguments, void *context) {
    struct collector *collector = context;
    rings_scan(&collector->rings);
    level_keeper_ask(&collector->levels, call, arguments);
    loop_set_timer(collector->poll_timer, 0);
}

static void on_levels(struct control_call *call, struct text arguments, void *context) {
    struct collector *collector = context;
    level_keeper_show(&collector->levels, call, arguments);
}

static void on_spans(struct control_call *call, struct text arguments, void *context) {
    struct collector *collector = context;
    rings_scan(&collector->rings);
    spans_answer(&collector->rings, collector->drain.host, call, control_word(&arguments));
}

static void on_recorder(struct control_call *call, struct text arguments, void *context) {
    struct collector *collector = context;
    recorder_ask(&collector->recorder, call, arguments);
    loop_set_timer(collector->poll_timer, 0);
}

static const struct control_verb verbs[] = {
    { "positions", "INPUT", on_positions },
    { "level", "set LEVEL FOR|- [SERVICE] | reset [SERVICE]", on_level },
    { "levels", "", on_levels },
    { "recorder", "store [SERVICE]", on_recorder },
    { "status", "", collector_on_status },
    { "metric", "KIND NAMING NAME", collector_on_metric },
    { "spans", "[TRACE]", on_spans },
};

/* --- start --- */

static int start_store(struct collector *collector, const struct config *config, struct error *error) {
    int result = daemon_make_dir(collector->settings.data_dir, 0750, "the data folder (data_dir)", error);
    if (result < 0)
        return result;
    collector->lock_fd = daemon_lock(collector->settings.data_dir, "collector", error);
    if (collector->lock_fd < 0)
        return collector->lock_fd;
    result = apply_origin(collector, config, error);
    if (result < 0)
        return result;
    result = partitions_open(&collector->partitions, collector->settings.data_dir,
                             PARTITION_BYTES_MAX + PARTITION_MAP_SLACK, &collector->state, error);
    if (result < 0)
        return result;
    collector->partitions_open = true;
    result = curator_create(&collector->partitions, &collector->curator, error);
    if (result < 0)
        return result;
    partitions_set_growth(&collector->partitions, curator_growth(collector->curator));
    result = history_create(collector->settings.data_dir, collector->settings.runtime_dir, &collector->history, error);
    if (result < 0)
        return result;
    checker_init(&collector->checker, collector->loop, collector->settings.data_dir);
    result = writer_init(&collector->writer, &collector->partitions, &collector->state, error);
    collector->writer_open = true;
    if (result < 0)
        return result;
    apply_sizes(collector, config);
    result = spill_open(&collector->spill, collector->settings.spill_dir, &collector->state, error);
    collector->spill_open = result == 0;
    return result;
}

static int start_intake(struct collector *collector, const struct config *config, struct error *error) {
    struct intake_rules rules;
    int result = intake_rules_make(config, &rules, error);
    dedup_init(&collector->intake.dedup, &collector->state);
    if (result == 0)
        intake_adopt(&collector->intake, &rules);
    return result;
}

static int start_rings(struct collector *collector, const struct config *config, struct error *error) {
    int result = daemon_runtime_dirs(collector->settings.runtime_dir, error);
    if (result < 0)
        return result;
    collector->runtime_lock_fd = daemon_lock(collector->settings.runtime_dir, "collector", error);
    if (collector->runtime_lock_fd < 0)
        return collector->runtime_lock_fd;
    result = level_keeper_init(&collector->levels, &collector->state, collector->settings.runtime_dir,
                               &collector->rings, error);
    if (result == 0)
        result = level_keeper_tell(&collector->levels, config, error);
    if (result < 0)
        return result;
    result = rings_init(&collector->rings, collector->settings.runtime_dir, &collector->state, error);
    collector->rings_open = true;
    if (result < 0)
        return result;
    collector->rings.level_keeper = &collector->levels;
    const struct metric_scheme scheme = { config->namespace_, config->exporter.gauge_suffix };
    result = fold_init(&collector->fold, collector->settings.runtime_dir, &scheme, &collector->state, error);
    collector->fold_open = result == 0;
    if (result == 0)
        apply_metrics(collector, config);
    if (result == 0 && recorder_init(&collector->recorder, &collector->state) < 0)
        result = error_set(error, -ENOMEM, "out of memory");
    collector->recorder_open = result == 0;
    if (result == 0)
        result = drain_init(&collector->drain, &collector->rings, &collector->fold, error);
    collector->drain_open = result == 0;
    if (result == 0)
        result = start_intake(collector, config, error);
    if (result < 0)
        return result;
    collector->drain.intake = &collector->intake;
    health_init(&collector->health, &collector->state);
    collector->drain.health = &collector->health;
    collector->drain.recorder = &collector->recorder;
    apply_recorder(collector, config);
    bool all = rings_scan(&collector->rings);
    look_at_slots(&collector->rings);
    if (all)
        collect_garbage(collector);
    return 0;
}

static int start_output(struct collector *collector, struct error *error) {
    return output_create(&collector->writer, collector->settings.output, collector->settings.output_path,
                         &collector->output, error);
}

static int start_loop(struct collector *collector, struct error *error) {
    int result = loop_add_timer(collector->loop, on_poll, collector, &collector->poll_timer);
    if (result == 0)
        result = loop_add_timer(collector->loop, on_maintenance, collector, &collector->maintenance_timer);
    if (result == 0 && collector->rings.watch_fd >= 0)
        result =
            loop_add_fd(collector->loop, collector->rings.watch_fd, EPOLLIN, on_watch, collector, &collector->watch);
    if (result == 0 && collector->rings.deaths_fd >= 0)
        result =
            loop_add_fd(collector->loop, collector->rings.deaths_fd, EPOLLIN, on_death, collector, &collector->deaths);
    if (result < 0)
        return error_set(error, result, "cannot set up the loop: %s", strerror(-result));
    snprintf(collector->control_path, sizeof(collector->control_path), "%s/collector.sock",
             collector->settings.runtime_dir);
    result = control_listen(collector->loop, collector->control_path, 0666, verbs, COUNT_OF(verbs), collector,
                            &collector->control, error);
    if (result < 0)
        return result;
    collector_look_at_itself(collector); /* before the first commit tells it */
    collector->poll_ns = POLL_ACTIVE_NS;
    loop_set_timer(collector->poll_timer, 0);
    loop_set_timer(collector->maintenance_timer, 0);
    result = curator_start(collector->curator, error);
    return result < 0 ? result : history_start(collector->history, error);
}

int collector_start(struct collector *collector, const struct config *config, struct loop *loop, struct error *error) {
    *collector = (struct collector) { .loop = loop, .lock_fd = -1, .runtime_lock_fd = -1 };
    int result = settings_copy(&collector->settings, config, error);
    if (result == 0)
        result = start_store(collector, config, error);
    if (result == 0)
        result = start_rings(collector, config, error);
    if (result == 0)
        result = start_output(collector, error);
    if (result == 0)
        result = start_loop(collector, error);
    if (result < 0)
        collector_finish(collector);
    return result;
}

/* --- later --- */

int collector_reload(struct collector *collector, const struct config *config, struct error *error) {
    struct collector_settings settings;
    int result = settings_copy(&settings, config, error);
    if (result < 0)
        return result;
    const struct collector_settings *now = &collector->settings;
    if (strcmp(settings.runtime_dir, now->runtime_dir) != 0 || strcmp(settings.data_dir, now->data_dir) != 0 ||
        strcmp(settings.spill_dir, now->spill_dir) != 0)
        return error_set(error, -EINVAL, "runtime_dir, data_dir and spill_dir cannot change while the collector runs");
    if (settings.output != now->output || strcmp(settings.output_path, now->output_path) != 0)
        return error_set(error, -EINVAL, "collector.output cannot change while the collector runs");
    if (strcmp(config->namespace_, collector->fold.namespace_) != 0 ||
        strcmp(config->exporter.gauge_suffix, collector->fold.gauge_suffix) != 0)
        return error_set(error, -EINVAL, "namespace and exporter.gauge_suffix cannot change while the collector runs");
    struct intake_rules rules;
    result = intake_rules_make(config, &rules, error);
    if (result < 0)
        return result;
    result = level_keeper_tell(&collector->levels, config, error);
    if (result == 0)
        result = apply_origin(collector, config, error);
    if (result < 0) {
        intake_rules_finish(&rules);
        return result;
    }
    intake_adopt(&collector->intake, &rules);
    collector->settings = settings;
    apply_sizes(collector, config);
    apply_recorder(collector, config);
    apply_metrics(collector, config);
    output_reopen(collector->output);
    snprintf(collector->reload_file, sizeof(collector->reload_file), "%s",
             config->file ? config->file : "the defaults");
    collector->reload_untold = true;
    return 0;
}

void collector_drain_all(struct collector *collector) {
    uint64_t until = clock_monotonic_ns() + STOP_NS;
    struct position_targets targets; /* producers may go on: what they write from now on is for the next start */
    rings_scan(&collector->rings);
    reap_scan(
        &collector->rings); /* a slot that only ever lost is known by no lane: what it lost is told all the same */
    position_targets_mark(&targets, &collector->rings, POSITIONS_ANY_USER);
    do {
        drain_round(&collector->drain, &collector->seen);
        collector_flush(collector, true, true);
    } while (!position_targets_are_safe(&targets, &collector->rings) && !collector->spill_failing &&
             clock_monotonic_ns() < until);
    if (crash_is_waiting(&collector->rings) && !collector->spill_failing)
        collector_flush(collector, true, true); /* it is behind what they wrote, and waits for nobody's news */
    if (!position_targets_are_safe(&targets, &collector->rings))
        diag_warn("not all that is in the rings could be stored: it stays there for the next start");
    position_targets_finish(&targets);
}

void collector_finish(struct collector *collector) {
    control_destroy(collector->control);
    history_destroy(collector->history);
    collector->history = NULL;
    curator_stop(collector->curator);
    positions_finish(&collector->positions);
    checker_finish(&collector->checker);
    level_keeper_finish(&collector->levels);
    loop_remove_fd(collector->watch);
    loop_remove_fd(collector->deaths);
    loop_remove_timer(collector->poll_timer);
    loop_remove_timer(collector->maintenance_timer);
    bool ended = output_destroy(collector->output);
    collector->output = NULL;
    if (collector->drain_open && ended && writer_cursor_moved(&collector->writer))
        collector_flush(collector, false, false); /* how far the output came */
    if (collector->drain_open)
        drain_finish(&collector->drain);
    intake_finish(&collector->intake);
    if (collector->recorder_open)
        recorder_finish(&collector->recorder);
    self_finish(&collector->self);
    if (collector->rings_open)
        rings_finish(&collector->rings);
    if (collector->fold_open)
        fold_finish(&collector->fold); /* behind the rings' cells, which know its series */
    batch_finish(&collector->batch);
    if (collector->spill_open)
        spill_close(&collector->spill);
    if (collector->partitions_open && ended)
        partitions_set_growth(&collector->partitions, (struct partition_growth) { 0 });
    curator_destroy(collector->curator);
    collector->curator = NULL;
    if (ended) { /* else the output's thread hangs in a write, and may still look at these */
        if (collector->writer_open)
            writer_finish(&collector->writer);
        if (collector->partitions_open)
            partitions_close(&collector->partitions);
        state_map_finish(&collector->state);
    }
    if (collector->runtime_lock_fd >= 0)
        close(collector->runtime_lock_fd);
    if (collector->lock_fd >= 0)
        close(collector->lock_fd);
}
