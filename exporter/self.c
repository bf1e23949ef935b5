#include "exporter/self.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "exporter/routes.h"

enum { ROUTES_MAX = 63 };

static const char *const statuses[] = { "200", "204", "304", "400", "401", "403", "404", "405", "406", "408", "409",
                                        "413", "414", "415", "417", "431", "500", "501", "503", "504", "505", "other" };
enum { STATUSES = COUNT_OF(statuses) };

struct answers { /* of one route */
    _Atomic uint64_t counts[STATUSES];
    uint64_t told[STATUSES];
    struct tf_metric *time; /* NULL: not timed */
};

struct self {
    struct daemon_metrics *metrics;
    struct tf_metric *queries, *scrapes, *scrape_bytes;
    struct http_counters told;
    struct answers answers[ROUTES_MAX + 1]; /* by route; behind them what came to none */
};

int self_open(struct producer *producer, struct self **ret, struct error *error) {
    struct self *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "out of memory");
    int result = daemon_metrics_create(producer, "taskforge-exporter", &self->metrics, error);
    if (result < 0) {
        self_close(self);
        return result;
    }
    self->queries = daemon_metrics_handle(self->metrics, OWN_EXPORTER_QUERY_TIME, NULL, NULL);
    self->scrapes = daemon_metrics_handle(self->metrics, OWN_EXPORTER_SCRAPE_TIME, NULL, NULL);
    self->scrape_bytes = daemon_metrics_handle(self->metrics, OWN_EXPORTER_SCRAPE_BYTES, NULL, NULL);
    check(route_count <= ROUTES_MAX);
    for (size_t i = 0; i < route_count; i++)
        if (route_is_built(&routes[i]))
            self->answers[i].time =
                daemon_metrics_handle(self->metrics, OWN_EXPORTER_ANSWER_TIME, routes[i].path, NULL);
    *ret = self;
    return 0;
}

void self_close(struct self *self) {
    if (!self)
        return;
    daemon_metrics_destroy(self->metrics);
    free(self);
}

static void count(struct self *self, enum own_metric metric, const char *reason, uint64_t now, uint64_t *told) {
    daemon_metrics_count(self->metrics, metric, reason, NULL, daemon_metrics_grown(told, now));
}

static void set(struct self *self, enum own_metric metric, uint64_t value) {
    daemon_metrics_set(self->metrics, metric, NULL, NULL, (double)value);
}

static void tell_answers(struct self *self) {
    for (size_t i = 0; i <= ROUTES_MAX; i++)
        for (size_t status = 0; status < STATUSES; status++) {
            struct answers *answers = &self->answers[i];
            uint64_t count = atomic_load(&answers->counts[status]);
            if (count > answers->told[status])
                daemon_metrics_count(self->metrics, OWN_EXPORTER_ANSWERS, i < route_count ? routes[i].path : "none",
                                     statuses[status], daemon_metrics_grown(&answers->told[status], count));
        }
}

void self_tell(struct self *self, const struct http_counters *now) {
    struct http_counters *told = &self->told;
    count(self, OWN_EXPORTER_REQUESTS, NULL, now->requests, &told->requests);
    count(self, OWN_EXPORTER_REFUSED, NULL, now->refused, &told->refused);
    count(self, OWN_EXPORTER_TOKENS, "missing", now->tokens_missing, &told->tokens_missing);
    count(self, OWN_EXPORTER_TOKENS, "wrong", now->tokens_wrong, &told->tokens_wrong);
    count(self, OWN_EXPORTER_TIMEOUTS, NULL, now->timeouts, &told->timeouts);
    count(self, OWN_EXPORTER_ACCEPTED, NULL, now->connections, &told->connections);
    count(self, OWN_EXPORTER_EVICTED, NULL, now->evicted, &told->evicted);
    count(self, OWN_EXPORTER_SENT, NULL, now->bytes_out, &told->bytes_out);
    set(self, OWN_EXPORTER_OPEN, now->open);
    set(self, OWN_EXPORTER_PENDING, now->answers_bytes);
    set(self, OWN_EXPORTER_WAITING, now->queries_waiting);
    tell_answers(self);
    daemon_metrics_tell_usage(self->metrics);
}

void self_queried(struct self *self, uint64_t started) {
    tf_timer_stop(self->queries, started);
}

void self_scraped(struct self *self, uint64_t started, size_t bytes) {
    tf_timer_stop(self->scrapes, started);
    tf_histogram_observe(self->scrape_bytes, (double)bytes);
}

static size_t status_index(unsigned status) {
    size_t i = 0;
    while (i < STATUSES - 1 && (unsigned)atoi(statuses[i]) != status)
        i++;
    return i;
}

void self_answered(struct self *self, const struct http_route *route, unsigned status, uint64_t duration_ns) {
    struct answers *answers = &self->answers[route ? (size_t)(route - routes) : ROUTES_MAX];
    atomic_fetch_add(&answers->counts[status_index(status)], 1);
    if (answers->time)
        tf_timer_observe(answers->time, (double)duration_ns / (double)CLOCK_SECOND);
}
