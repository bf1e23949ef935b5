#include "exporter/routes.h"

#include "agent/client/taskforge.h"
#include "common/base/check.h"
#include "exporter/api/page.h"
#include "exporter/api/probes.h"
#include "exporter/exporter.h"
#include "exporter/scrape.h"
#include "exporter/self.h"

/* The API's handlers take what they share; a row's function takes the exporter. */
#define API(handler)                                                                                                   \
    static void route_##handler(const struct http_request *request, struct http_answer *answer, void *context) {       \
        uint64_t started = tf_timer_start();                                                                           \
        handler(request, answer, exporter_api(context));                                                               \
        self_queried(exporter_self(context), started);                                                                 \
    }
API(api_logs)
API(api_logs_stats)
API(api_metrics)
API(api_metric)
API(api_system)
API(api_health)
API(api_healthz)
API(api_traces)
API(api_trace)
API(api_alerts)
API(api_alert_change)

/* Paths of the contract that come later: refused by name. */
static void not_built(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)context;
    http_fail(answer, 501, "%.*s is not built yet", TEXT_FORMAT(request->path));
}
#define NOT_BUILT(path)                                                                                                \
    { path, HTTP_GET | HTTP_POST, HTTP_READ, HTTP_ADMIN, HTTP_INLINE, not_built }

const struct http_route routes[] = {
    { "/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, page_index },
    { "/static/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, page_static },
    { "/metrics", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_SCRAPE, scrape_metrics },
    { "/livez", HTTP_GET, HTTP_OPEN, HTTP_OPEN, HTTP_INLINE, probes_livez },
    { "/readyz", HTTP_GET, HTTP_OPEN, HTTP_OPEN, HTTP_INLINE, probes_readyz },
    { "/healthz", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_healthz },
    { "/api/v1/health", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_health },
    { "/api/v1/logs", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_logs },
    { "/api/v1/logs/stats", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_logs_stats },
    { "/api/v1/metrics", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_metrics },
    { "/api/v1/metrics/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_metric },
    { "/api/v1/system", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_system },
    { "/api/v1/traces", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_traces },
    { "/api/v1/traces/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_trace },
    { "/api/v1/alerts", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, route_api_alerts },
    { "/api/v1/alerts/", HTTP_POST, HTTP_READ, HTTP_ADMIN, HTTP_QUERY, route_api_alert_change },
    NOT_BUILT("/api/v1/logs/tail"),
    NOT_BUILT("/api/v1/services"),
    NOT_BUILT("/api/v1/services/"),
    NOT_BUILT("/api/v1/silences"),
    NOT_BUILT("/alertmanager/"),
    NOT_BUILT("/prometheus/"),
    NOT_BUILT("/loki/"),
};
const size_t route_count = COUNT_OF(routes);

bool route_is_built(const struct http_route *route) {
    return route->function != not_built;
}
