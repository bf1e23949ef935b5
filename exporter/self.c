#include "exporter/self.h"

#include "agent/client/producer.h"
#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "common/model/metric.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* One for each field of http_counters. */
static const struct row {
    enum metric_kind kind;
    struct text name, help;
    size_t offset;
} rows[] = {
#define ROW(kind, name, field, help)                                                                                   \
    { kind, TEXT_INITIALIZER("exporter_http_" name), TEXT_INITIALIZER(help), offsetof(struct http_counters, field) }
    ROW(METRIC_COUNTER, "requests_total", requests, "requests that were let through to a path"),
    ROW(METRIC_COUNTER, "requests_refused_total", refused, "requests that were refused before any path saw them"),
    ROW(METRIC_COUNTER, "request_timeouts_total", timeouts, "connections whose request did not arrive in time"),
    ROW(METRIC_COUNTER, "connections_accepted_total", connections, "connections that were accepted"),
    ROW(METRIC_COUNTER, "connections_evicted_total", evicted, "connections that gave way to others"),
    ROW(METRIC_COUNTER, "response_bytes_total", bytes_out, "bytes of bodies that went out"),
    ROW(METRIC_GAUGE, "connections_open", open, "connections there are"),
    ROW(METRIC_GAUGE, "response_pending_bytes", answers_bytes, "bytes of bodies that have not gone out"),
    ROW(METRIC_GAUGE, "queries_waiting", queries_waiting, "queries that wait or run"),
#undef ROW
};

struct self {
    struct producer *producer;
    struct tf_metric *metrics[COUNT_OF(rows)];
    struct tf_metric *scrapes;
    struct http_counters told;
};

static int register_all(struct self *self, struct error *error) {
    const struct metric_definition scrapes = {
        .kind = METRIC_TIMER,
        .naming = METRIC_NAMING_PREFIXED,
        .name = TEXT_LITERAL("exporter_scrape_seconds"),
        .help = TEXT_LITERAL("how long it took to write /metrics"),
    };
    int result = producer_metric_register(self->producer, &scrapes, &self->scrapes, error);
    for (size_t i = 0; i < COUNT_OF(rows) && result == 0; i++) {
        const struct metric_definition definition = {
            .kind = rows[i].kind,
            .naming = METRIC_NAMING_PREFIXED,
            .name = rows[i].name,
            .help = rows[i].help,
        };
        result = producer_metric_register(self->producer, &definition, &self->metrics[i], error);
    }
    return result;
}

int self_open(const char *runtime_dir, struct self **ret, struct error *error) {
    struct self *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "out of memory");
    int result = producer_open(runtime_dir, "taskforge-exporter", &self->producer, error);
    if (result == 0)
        result = register_all(self, error);
    if (result < 0) {
        self_close(self);
        return result;
    }
    *ret = self;
    return 0;
}

void self_close(struct self *self) {
    if (!self)
        return;
    producer_close(self->producer);
    free(self);
}

static uint64_t field(const struct http_counters *counters, const struct row *row) {
    return *(const uint64_t *)((const char *)counters + row->offset);
}

void self_tell(struct self *self, const struct http_counters *counters) {
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].kind == METRIC_GAUGE)
            tf_gauge_set(self->metrics[i], (double)field(counters, &rows[i]));
        else
            tf_counter_add(self->metrics[i], (int64_t)(field(counters, &rows[i]) - field(&self->told, &rows[i])));
    }
    self->told = *counters;
}

void self_scraped(struct self *self, uint64_t started) {
    tf_timer_stop(self->scrapes, started);
}
