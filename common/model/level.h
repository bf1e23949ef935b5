/* level.h - the six levels of CONTRACT.md section 3, their names and the names taken as input. */
#ifndef TASKFORGE_COMMON_MODEL_LEVEL_H
#define TASKFORGE_COMMON_MODEL_LEVEL_H

#include <stdint.h>

#include "common/base/text.h"

enum level { LEVEL_TRACE, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_CRITICAL };
enum { LEVEL_COUNT = 6 };

/* "trace" .. "critical"; level must be one of the six. */
const char *level_name(enum level level);

/* Any case: the six names; warning err crit fatal emerg emergency alert panic notice informational dbg verbose
 * fine (and the like); OpenTelemetry's "INFO2" forms. -EINVAL for anything else. */
int level_parse(struct text text, enum level *ret);

/* Syslog severity 0..7 (RFC 5424): 0-2 critical, 3 error, 4 warn, 5-6 info, 7 debug. */
int level_of_syslog(unsigned severity, enum level *ret);

/* OpenTelemetry severity number 1..24. */
int level_of_otel(unsigned number, enum level *ret);

/* A number in JSON input: 0..7 is syslog's severity, 10 20 .. 60 is pino's and bunyan's (trace .. fatal),
 * 8, 9, 11..19, 21..24 OpenTelemetry's. -EINVAL for any other. */
int level_of_number(int64_t number, enum level *ret);

#endif
