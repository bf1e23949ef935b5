#include "exporter/self.h"

#include <errno.h>
#include <stdlib.h>

struct self {
    struct daemon_metrics *metrics;
    struct tf_metric *queries, *scrapes;
    struct http_counters told;
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
    daemon_metrics_tell_usage(self->metrics);
}

void self_queried(struct self *self, uint64_t started) {
    tf_timer_stop(self->queries, started);
}

void self_scraped(struct self *self, uint64_t started) {
    tf_timer_stop(self->scrapes, started);
}
