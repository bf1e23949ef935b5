/* api.h - the JSON API's handlers, and what they share. All run on the server's query thread (http.h): one at a time, each bounded
 * by API_QUERY_NS. Answers are JSON, failures {"error": "..."} with their status.
 */
#ifndef TASKFORGE_EXPORTER_API_API_H
#define TASKFORGE_EXPORTER_API_API_H

#include "common/base/clock.h"
#include "common/query/filter.h"
#include "common/shm/segment.h"
#include "common/store/reader.h"
#include "common/store/samples.h"
#include "exporter/checks/checks.h"
#include "exporter/http.h"

enum {
    API_LIMIT_DEFAULT = 100,
    API_LIMIT_MAX = 10000,
    API_BODY_MAX = 32 * 1024 * 1024, /* a page is ended when it has grown to this */
    API_BUCKETS_MAX = 120,           /* of a count over time */
    API_TRACES_MAX = 1000,
};
#define API_QUERY_NS (10 * CLOCK_SECOND) /* then a query gives up */
#define API_HEALTH_CACHE_NS CLOCK_SECOND /* how long the looks of the checks hold */

/* The store as it is now (one reader for the process: a partition is opened once), or NULL and *error. `damage` gets the first
 * damage that its reader met, "" for none. */
typedef struct store_reader *api_store_function(void *context, char damage[ERROR_TEXT_SIZE], struct error *error);

struct api {
    struct checks checks;
    api_store_function *store;
    void *store_context;
    char trouble[ERROR_TEXT_SIZE]; /* why there is no store, or its damage */
    struct segment *segment;
    struct samples_reader *samples; /* NULL: not opened yet */
    uint64_t history_interval_ns;   /* as configured; 0: none is written */
    struct check_results results;
    uint64_t looked_ns; /* monotonic: when the checks looked last; 0: never */
};

void api_init(struct api *api, const char *runtime_dir, const char *data_dir, api_store_function *store,
              void *store_context);
void api_finish(struct api *api);

/* The store as it is now, or NULL and the answer has failed with 503. */
struct store_reader *api_store(struct api *api, struct http_answer *answer);
/* Point the checks at the store as it is now. */
void api_look_at_store(struct api *api);
/* The segment as it is now, or NULL and *error. */
struct segment *api_segment(struct api *api, struct error *error);

/* The metric history as it is now, or NULL and *error. */
struct samples_reader *api_samples(struct api *api, struct error *error);

/* The handlers. */
void api_logs(const struct http_request *request, struct http_answer *answer, struct api *api);
void api_logs_stats(const struct http_request *request, struct http_answer *answer, struct api *api);
void api_metrics(const struct http_request *request, struct http_answer *answer, struct api *api);
void api_metric(const struct http_request *request, struct http_answer *answer, struct api *api); /* .../NAME */
void api_system(const struct http_request *request, struct http_answer *answer, struct api *api);
void api_health(const struct http_request *request, struct http_answer *answer, struct api *api); /* every check */
void api_healthz(const struct http_request *request, struct http_answer *answer,
                 struct api *api); /* overall; 503 unhealthy */
void api_traces(const struct http_request *request, struct http_answer *answer, struct api *api);
void api_trace(const struct http_request *request, struct http_answer *answer, struct api *api); /* .../ID */
void api_alerts(const struct http_request *request, struct http_answer *answer, struct api *api);
void api_alert_change(const struct http_request *request, struct http_answer *answer, struct api *api); /* .../ID/ack */

/* --- parameters; api_parameters.c. Each false: the answer has failed with 400 and says why --- */

/* GET of a path that has no parameters. */
bool api_parameters_none(const struct http_request *request, struct http_answer *answer);
/* Every parameter's name is among `names` (up to a NULL) and stands once. */
bool api_parameters_known(const struct http_request *request, const char *const *names, struct http_answer *answer);
bool api_parameter_time(const struct http_request *request, const char *name, struct http_answer *answer,
                        uint64_t *ret);
/* A duration of a second or more. */
bool api_parameter_duration(const struct http_request *request, const char *name, struct http_answer *answer,
                            uint64_t *ret);
bool api_parameter_count(const struct http_request *request, const char *name, uint64_t most,
                         struct http_answer *answer, uint64_t *ret);
/* The filter that service, level, min_level, start, end, q and the ids make; to be finished by the caller in any case. */
bool api_parameters_filter(const struct http_request *request, struct http_answer *answer, struct filter *filter);

#endif
