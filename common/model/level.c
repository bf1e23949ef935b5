/* level.c - the six levels, and what the world calls them. */
#include "common/model/level.h"

#include <errno.h>

#include "common/base/check.h"

enum { SYSLOG_SEVERITIES = 8, OTEL_NUMBERS = 24, OTEL_STEP = 4, PINO_STEP = 10 };

static const char *const names[LEVEL_COUNT] = { "trace", "debug", "info", "warn", "error", "critical" };

static const struct {
    const char *name;
    enum level level;
} accepted[] = {
    { "trace", LEVEL_TRACE },      { "debug", LEVEL_DEBUG },
    { "info", LEVEL_INFO },        { "warn", LEVEL_WARN },
    { "error", LEVEL_ERROR },      { "critical", LEVEL_CRITICAL },
    { "warning", LEVEL_WARN },     { "err", LEVEL_ERROR },
    { "crit", LEVEL_CRITICAL },    { "fatal", LEVEL_CRITICAL },
    { "notice", LEVEL_INFO },      { "information", LEVEL_INFO },
    { "inf", LEVEL_INFO },         { "informational", LEVEL_INFO },
    { "dbg", LEVEL_DEBUG },        { "verbose", LEVEL_DEBUG },
    { "fine", LEVEL_DEBUG },       { "finer", LEVEL_TRACE },
    { "finest", LEVEL_TRACE },     { "trc", LEVEL_TRACE },
    { "silly", LEVEL_TRACE },      { "wrn", LEVEL_WARN },
    { "severe", LEVEL_ERROR },     { "failure", LEVEL_ERROR },
    { "emerg", LEVEL_CRITICAL },   { "emergency", LEVEL_CRITICAL },
    { "alert", LEVEL_CRITICAL },   { "panic", LEVEL_CRITICAL },
    { "dpanic", LEVEL_CRITICAL },  { "log", LEVEL_INFO },
    { "default", LEVEL_INFO },     { "t", LEVEL_TRACE },
    { "d", LEVEL_DEBUG },          { "i", LEVEL_INFO },
    { "w", LEVEL_WARN },           { "e", LEVEL_ERROR },
    { "f", LEVEL_CRITICAL },       { "ftl", LEVEL_CRITICAL },
    { "config", LEVEL_DEBUG },     { "http", LEVEL_DEBUG },
    { "unspecified", LEVEL_INFO }, { "catastrophe", LEVEL_CRITICAL },
    { "c", LEVEL_CRITICAL },
};

/* OpenTelemetry's short names, which may carry 2, 3 or 4. */
static const char *const otel_names[LEVEL_COUNT] = { "trace", "debug", "info", "warn", "error", "fatal" };

static const enum level of_syslog[SYSLOG_SEVERITIES] = {
    LEVEL_CRITICAL, LEVEL_CRITICAL, LEVEL_CRITICAL, LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_INFO, LEVEL_DEBUG,
};

const char *level_name(enum level level) {
    check((unsigned)level < LEVEL_COUNT);
    return names[level];
}

int level_parse(struct text text, enum level *ret) {
    for (size_t i = 0; i < COUNT_OF(accepted); i++)
        if (text_equal_ignoring_case(text, text_of(accepted[i].name))) {
            *ret = accepted[i].level;
            return 0;
        }
    if (text.length < 2 || text.data[text.length - 1] < '1' || text.data[text.length - 1] > '4')
        return -EINVAL;
    text.length--;
    for (int i = 0; i < LEVEL_COUNT; i++)
        if (text_equal_ignoring_case(text, text_of(otel_names[i]))) {
            *ret = (enum level)i;
            return 0;
        }
    return -EINVAL;
}

int level_of_syslog(unsigned severity, enum level *ret) {
    if (severity >= SYSLOG_SEVERITIES)
        return -EINVAL;
    *ret = of_syslog[severity];
    return 0;
}

int level_of_otel(unsigned number, enum level *ret) {
    if (number < 1 || number > OTEL_NUMBERS)
        return -EINVAL;
    *ret = (enum level)((number - 1) / OTEL_STEP);
    return 0;
}

int level_of_number(int64_t number, enum level *ret) {
    if (number < 0)
        return -EINVAL;
    if (number < SYSLOG_SEVERITIES)
        return level_of_syslog((unsigned)number, ret);
    if (number % PINO_STEP == 0 && number / PINO_STEP <= LEVEL_COUNT) {
        *ret = (enum level)(number / PINO_STEP - 1);
        return 0;
    }
    return number <= OTEL_NUMBERS ? level_of_otel((unsigned)number, ret) : -EINVAL;
}
