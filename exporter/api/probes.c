#include "exporter/api/probes.h"

#include "exporter/exporter.h"

void probes_livez(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    answer->content_type = "text/plain; charset=utf-8";
    buffer_append_string(&answer->body, "ok\n");
}

void probes_readyz(const struct http_request *request, struct http_answer *answer, void *context) {
    struct exporter_readiness ready = exporter_readiness(context);
    (void)request;
    if (!ready.fresh)
        http_fail(answer, 503, "not ready: the exporter has not looked for 5 seconds");
    else if (!ready.store)
        http_fail(answer, 503, "not ready: there is no store in %s that can be read", exporter_data_dir(context));
    else if (!ready.segment)
        http_fail(answer, 503, "not ready: there is no metric segment in %s that can be read",
                  exporter_runtime_dir(context));
    else if (!ready.collector)
        http_fail(answer, 503, "not ready: the collector does not run, or hangs");
    else
        buffer_append_string(&answer->body, "{\"status\":\"ready\"}\n");
}
