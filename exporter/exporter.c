#include "exporter/exporter.h"

#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/process/daemon.h"
#include "common/shm/map.h"
#include "common/shm/segment.h"
#include "exporter/audit.h"
#include "exporter/probe.h"
#include "exporter/routes.h"
#include "exporter/scrape.h"
#include "exporter/self.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RUNTIME_DIR_MODE = 0755, URL_SIZE = 128 };
#define PROBE_INTERVAL_NS (500 * CLOCK_MILLISECOND)
#define PROBE_STALE_NS (5 * CLOCK_SECOND)
#define BEAT_STALE_NS (5 * CLOCK_SECOND) /* it beats once a second */

struct exporter {
    char *runtime_dir, *data_dir;
    char url[URL_SIZE];
    int lock;
    struct http *http;
    struct producer *producer;
    struct self *self;
    struct loop_timer *probe, *tell;
    _Atomic(struct store_reader *) store; /* opened by the probe, used by the query thread */
    bool store_failed;                    /* said once */
    struct segment *segment;              /* the probe's */
    atomic_bool store_readable, segment_readable, collector_alive;
    atomic_uint_fast64_t probed_ns;
    pthread_mutex_t settings;
    struct config_health health; /* under settings */
    uint64_t history_interval_ns; /* likewise */
    struct api api;              /* the query thread's */
    struct scrape scrape;        /* the scrape thread's */
};

/* --- the probe --- */

static void damaged(void *argument, const char *path, const char *why) {
    (void)argument;
    diag_warn("%s is damaged: %s; what cannot be read of it is passed over", path, why);
}

static void open_store(struct exporter *exporter) {
    struct store_reader *store = NULL;
    struct error error = { 0 };
    if (atomic_load(&exporter->store))
        return;
    if (store_reader_open(exporter->data_dir, damaged, exporter, &store, &error) == 0)
        atomic_store(&exporter->store, store);
    else if (!exporter->store_failed)
        diag_warn("%s; trying again until it can be read", error.text);
    exporter->store_failed = !store;
}

/* The collector's last beat, real ns; 0: the segment cannot be read. */
static uint64_t last_beat(struct exporter *exporter) {
    struct segment_info info;
    if (!exporter->segment && segment_open(exporter->runtime_dir, &exporter->segment, NULL) < 0)
        return 0;
    if (segment_refresh(exporter->segment, NULL) >= 0 && segment_info_get(exporter->segment, &info) == 0)
        return info.heartbeat_ns;
    segment_close(exporter->segment);
    exporter->segment = NULL;
    return 0;
}

static void on_probe(struct loop_timer *timer, void *context) {
    struct exporter *exporter = context;
    uint64_t beat = last_beat(exporter);
    open_store(exporter);
    atomic_store(&exporter->store_readable, atomic_load(&exporter->store) && probe_store(exporter->data_dir));
    atomic_store(&exporter->segment_readable, beat != 0);
    atomic_store(&exporter->collector_alive,
                 beat + BEAT_STALE_NS > clock_real_ns() && probe_listens(exporter->runtime_dir, "collector.sock"));
    atomic_store(&exporter->probed_ns, clock_monotonic_ns());
    loop_set_timer(timer, PROBE_INTERVAL_NS);
}

/* --- the metrics of itself --- */

static void tell(struct exporter *exporter) {
    struct http_counters counters;
    http_counters_get(exporter->http, &counters);
    self_tell(exporter->self, &counters);
}

static void on_answered(const struct http_route *route, unsigned status, uint64_t duration_ns, void *context) {
    struct exporter *exporter = context;
    self_answered(exporter->self, route, status, duration_ns);
}

static void on_tell(struct loop_timer *timer, void *context) {
    tell(context);
    loop_set_timer(timer, DAEMON_METRICS_TELL_NS);
}

struct exporter_readiness exporter_readiness(const struct exporter *exporter) {
    return (struct exporter_readiness) {
        .store = atomic_load(&exporter->store_readable),
        .segment = atomic_load(&exporter->segment_readable),
        .collector = atomic_load(&exporter->collector_alive),
        .fresh = clock_monotonic_ns() - atomic_load(&exporter->probed_ns) < PROBE_STALE_NS,
    };
}

/* --- what routes use --- */

const char *exporter_runtime_dir(const struct exporter *exporter) {
    return exporter->runtime_dir;
}

const char *exporter_data_dir(const struct exporter *exporter) {
    return exporter->data_dir;
}

struct http *exporter_http(const struct exporter *exporter) {
    return exporter->http;
}

struct self *exporter_self(const struct exporter *exporter) {
    return exporter->self;
}

/* One reader for the process: LMDB opens a partition once. */
static struct store_reader *store_of(void *context, char damage[ERROR_TEXT_SIZE], struct error *error) {
    struct exporter *exporter = context;
    struct store_reader *store = atomic_load(&exporter->store);
    if (!store)
        error_set(error, -ENOENT, "%s cannot be read", exporter->data_dir);
    else if (store_reader_refresh(store, error) < 0)
        store = NULL;
    if (store)
        (void)store_reader_trouble(store, damage);
    return store;
}

struct scrape *exporter_scrape(struct exporter *exporter) {
    return &exporter->scrape;
}

struct api *exporter_api(struct exporter *exporter) {
    pthread_mutex_lock(&exporter->settings);
    exporter->api.checks.limits = exporter->health;
    exporter->api.history_interval_ns = exporter->history_interval_ns;
    pthread_mutex_unlock(&exporter->settings);
    return &exporter->api;
}

/* --- made and ended --- */

static void on_refused_token(const char *peer, struct text path, const char *reason, uint64_t count, void *context) {
    struct exporter *exporter = context;
    audit_write(exporter->producer, LEVEL_WARN, "token_refused", "a request without the right token was refused", peer,
                path, reason, count);
}

static void write_url(struct exporter *exporter, const char *listen_on) {
    const char *colon = strrchr(listen_on, ':');
    int host = colon ? (int)(colon - listen_on) : 0;
    snprintf(exporter->url, sizeof(exporter->url), "http://%.*s:%u/", host, listen_on, http_port(exporter->http));
}

static int set_up(struct exporter *exporter, const struct config *config, struct loop *loop, struct error *error) {
    exporter->runtime_dir = strdup(config->runtime_dir);
    exporter->data_dir = strdup(config->data_dir);
    exporter->health = config->exporter.health;
    exporter->history_interval_ns = config->collector.history.interval_ns;
    if (!exporter->runtime_dir || !exporter->data_dir)
        return error_set(error, -ENOMEM, "out of memory");
    int result = daemon_make_dir(config->runtime_dir, RUNTIME_DIR_MODE, "the runtime folder (runtime_dir)", error);
    if (result < 0)
        return result;
    exporter->lock = daemon_lock(config->runtime_dir, "exporter", error);
    if (exporter->lock < 0)
        return exporter->lock;
    result = map_guard_install(error); /* the store and the segment are files that others may cut */
    if (result == 0)
        result = producer_open(config->runtime_dir, "taskforge", &exporter->producer, error);
    if (result == 0)
        result = self_open(exporter->producer, &exporter->self, error);
    if (result < 0)
        return result;
    api_init(&exporter->api, exporter->runtime_dir, exporter->data_dir, store_of, exporter);
    if (scrape_init(&exporter->scrape, exporter->runtime_dir, config->exporter.created_samples) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    result = loop_add_timer(loop, on_probe, exporter, &exporter->probe);
    if (result == 0)
        result = loop_add_timer(loop, on_tell, exporter, &exporter->tell);
    if (result < 0)
        return error_set(error, result, "cannot set up a timer: %s", strerror(-result));
    on_probe(exporter->probe, exporter);
    result = http_create(&config->exporter, routes, route_count, on_refused_token, exporter, &exporter->http, error);
    if (result < 0)
        return result;
    http_watch_answers(exporter->http, on_answered);
    write_url(exporter, config->exporter.listen);
    loop_set_timer(exporter->tell, 0);
    return 0;
}

int exporter_create(const struct config *config, struct loop *loop, struct exporter **ret, struct error *error) {
    struct exporter *exporter = calloc(1, sizeof(*exporter));
    if (!exporter)
        return error_set(error, -ENOMEM, "out of memory");
    exporter->lock = -1;
    pthread_mutex_init(&exporter->settings, NULL);
    int result = set_up(exporter, config, loop, error);
    if (result < 0) {
        exporter_destroy(exporter);
        return result;
    }
    *ret = exporter;
    return 0;
}

int exporter_reload(struct exporter *exporter, const struct config *config, struct error *error) {
    if (strcmp(config->runtime_dir, exporter->runtime_dir) != 0 || strcmp(config->data_dir, exporter->data_dir) != 0)
        return error_set(error, -EINVAL, "runtime_dir or data_dir has changed: restart the exporter for that");
    int result = http_reload(exporter->http, &config->exporter, error);
    if (result < 0)
        return result;
    pthread_mutex_lock(&exporter->settings);
    exporter->health = config->exporter.health;
    exporter->history_interval_ns = config->collector.history.interval_ns;
    pthread_mutex_unlock(&exporter->settings);
    audit_write(exporter->producer, LEVEL_INFO, "reload", "the exporter has read its configuration again", "signal",
                text_of(config->file ? config->file : "the defaults"), "SIGHUP", 1);
    return 0;
}

const char *exporter_url(const struct exporter *exporter) {
    return exporter->url;
}

bool exporter_destroy(struct exporter *exporter) {
    if (!exporter)
        return true;
    loop_remove_timer(exporter->probe);
    loop_remove_timer(exporter->tell);
    bool stopped = http_stop(exporter->http);
    if (exporter->http)
        tell(exporter);
    if (!stopped || !http_destroy(exporter->http))
        return false;
    api_finish(&exporter->api);
    scrape_finish(&exporter->scrape);
    segment_close(exporter->segment);
    store_reader_close(atomic_load(&exporter->store));
    self_close(exporter->self);
    producer_close(exporter->producer);
    if (exporter->lock >= 0)
        close(exporter->lock);
    pthread_mutex_destroy(&exporter->settings);
    free(exporter->runtime_dir);
    free(exporter->data_dir);
    free(exporter);
    return true;
}
