/* checks.h - the health checks: those of the table, a name and a function that looks, and those that applications report. What /healthz, /api/v1/health and `tfctl health`
 * tell. Each look is bounded in time; none needs another process to run. One thread for each struct checks.
 */
#ifndef TASKFORGE_EXPORTER_CHECKS_CHECKS_H
#define TASKFORGE_EXPORTER_CHECKS_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/paths.h"
#include "common/base/text.h"
#include "common/process/config.h"
#include "common/store/reader.h"

enum check_state { CHECK_HEALTHY, CHECK_DEGRADED, CHECK_UNHEALTHY };
const char *check_state_name(enum check_state state); /* "healthy" "degraded" "unhealthy" */

enum { CHECK_DETAILS_SIZE = 512 };

struct check_result {
    const char *name;
    enum check_state state;
    char details[CHECK_DETAILS_SIZE]; /* one sentence */
    uint64_t timestamp_ns;            /* real */
    const char *words;                /* of a report, instead of details; they may be long, and of any characters */
    char *owned;                      /* a report's name and words */
};

struct check_results {
    struct check_result *items;
    size_t count, capacity;
};
#define CHECK_RESULTS_EMPTY ((struct check_results) { 0 })
void check_results_finish(struct check_results *results);
struct check_result *check_results_add(struct check_results *results); /* all zero; NULL: no memory */

/* Where to look; set by the caller. */
struct checks {
    char runtime_dir[PATHS_MAX], data_dir[PATHS_MAX];
    struct config_health limits;
    const char *meminfo; /* "/proc/meminfo"; tests give another */
    struct store_reader
        *reader;         /* borrowed: a process opens a partition once. NULL: `trouble` says why there is none */
    const char *trouble; /* why there is no reader, or what of the store is damaged; "" */
};

struct check {
    const char *name;
    void (*look)(const struct checks *checks, struct check_result *ret); /* fills state and details */
};
extern const struct check check_table[];
extern const size_t check_count;

/* Run all, into an empty *ret; what there is no memory for is left out. */
void checks_run(const struct checks *checks, struct check_results *ret);

/* The worst of them, named "overall", with the details of those that are not healthy. */
void checks_overall(const struct check_results *results, struct check_result *ret);

/* One sentence. */
static inline const char *check_details(const struct check_result *result) {
    return result->words ? result->words : result->details;
}

/* {"name","status","details","timestamp"} */
void check_append_json(struct buffer *out, const struct check_result *result);

/* For the functions of the table: set state and sentence; a worse state that was set before stays. */
void check_say(struct check_result *result, enum check_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void check_database(const struct checks *checks, struct check_result *ret);
void check_memory(const struct checks *checks, struct check_result *ret);
void check_disk(const struct checks *checks, struct check_result *ret);
void check_pipeline(const struct checks *checks, struct check_result *ret);

/* reported.c: add what applications report, by name. */
void checks_reported(const struct checks *checks, struct check_results *results);

#endif
