/* health.h - what an application says of its own health: a report, as the collector keeps it (state_keys.h) and the checks read it. Pure.
 *
 * As bytes: a msgpack array [1, service, name, state, details, time, time to live, pid]; integers unsigned. Borrows all its bytes.
 */
#ifndef TASKFORGE_COMMON_MODEL_HEALTH_H
#define TASKFORGE_COMMON_MODEL_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/text.h"

enum health_state { HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_UNHEALTHY };
enum { HEALTH_STATE_COUNT = 3 };

enum { HEALTH_NAME_BYTES = 100, HEALTH_DETAIL_BYTES = 8192, HEALTH_VALUE_BYTES = 9216 /* one encoded, at most */ };
#define HEALTH_TTL_DEFAULT_NS (60 * CLOCK_SECOND)
#define HEALTH_TTL_MAX_NS (30 * 24 * 3600 * CLOCK_SECOND)
#define HEALTH_KEPT_NS (3600 * CLOCK_SECOND) /* after its time a report is told of for so long at least */

struct health_report {
    struct text service, name, details;
    enum health_state state;
    uint64_t time_ns; /* real: when it was made */
    uint64_t ttl_ns;  /* 1 to HEALTH_TTL_MAX_NS */
    uint32_t pid;
};

const char *health_state_name(enum health_state state); /* "healthy" "degraded" "unhealthy" */
int health_state_parse(struct text name, enum health_state *ret);

/* The encoded length, or -E2BIG. */
int health_report_encode(const struct health_report *report, char out[HEALTH_VALUE_BYTES]);
int health_report_decode(struct text value, struct health_report *ret); /* -EBADMSG */

/* Nothing newer came within its time to live. */
bool health_report_is_late(const struct health_report *report, uint64_t now_ns);
/* That is so long ago (ten times that, an hour at least) that it is to be forgotten. */
bool health_report_is_over(const struct health_report *report, uint64_t now_ns);

#endif
