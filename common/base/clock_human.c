/* clock_human.c - the T of the tools: what people type for a time. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"

#define YEAR_FIRST 1970
#define YEAR_LAST 2261 /* the last whole year that 63 bits of nanoseconds reach */

/* A broken-down local time; what was not written is at its beginning. */
static int from_local(struct tm *local, unsigned fraction_ns, uint64_t *ret) {
    struct tm asked = *local;
    local->tm_isdst = -1;
    time_t seconds = mktime(local);
    if (seconds < 0 || local->tm_mday != asked.tm_mday) /* mktime makes "31 February" March: refused here */
        return -EINVAL;
    *ret = (uint64_t)seconds * CLOCK_SECOND + fraction_ns;
    return 0;
}

static bool digits(const char **at, int count, int *ret) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9')
            return false;
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += count;
    *ret = value;
    return true;
}

static bool take(const char **at, char c) {
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

/* "15", "15:04", "15:04:05", "15:04:05.25"; minutes_needed refuses the first. */
static bool take_time(const char **at, bool minutes_needed, struct tm *local, unsigned *fraction_ns) {
    if (!digits(at, 2, &local->tm_hour) || local->tm_hour > 23)
        return false;
    if (!take(at, ':'))
        return !minutes_needed;
    if (!digits(at, 2, &local->tm_min) || local->tm_min > 59)
        return false;
    if (!take(at, ':'))
        return true;
    if (!digits(at, 2, &local->tm_sec) || local->tm_sec > 59)
        return false;
    if (!take(at, '.'))
        return true;
    unsigned unit = 100000000;
    const char *first = *at;
    for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        *fraction_ns += (unsigned)(**at - '0') * unit;
    return *at > first;
}

/* "2026-11-23 15:04:05" or a part of it from the left; a lone year is four digits. */
static int parse_date(const char *text, uint64_t *ret) {
    struct tm local = { .tm_mday = 1 };
    unsigned fraction = 0;
    int year, month;
    if (!digits(&text, 4, &year) || year < YEAR_FIRST || year > YEAR_LAST)
        return -EINVAL;
    local.tm_year = year - 1900;
    if (take(&text, '-')) {
        if (!digits(&text, 2, &month) || month < 1 || month > 12)
            return -EINVAL;
        local.tm_mon = month - 1;
        if (take(&text, '-')) {
            if (!digits(&text, 2, &local.tm_mday) || local.tm_mday < 1 || local.tm_mday > 31)
                return -EINVAL;
            if ((take(&text, ' ') || take(&text, 'T')) && !take_time(&text, false, &local, &fraction))
                return -EINVAL;
        }
    }
    return *text ? -EINVAL : from_local(&local, fraction, ret);
}

/* "today", "yesterday", with or without a time; "15:04" alone is today's. */
static int parse_day(const char *text, uint64_t now_real_ns, uint64_t *ret) {
    time_t now = (time_t)(now_real_ns / CLOCK_SECOND);
    struct tm local;
    unsigned fraction = 0;
    tzset();
    if (!localtime_r(&now, &local))
        return -EINVAL;
    local.tm_hour = local.tm_min = local.tm_sec = 0;
    bool named = true;
    if (strncmp(text, "today", 5) == 0) {
        text += 5;
    } else if (strncmp(text, "yesterday", 9) == 0) {
        text += 9;
        local.tm_hour = 12; /* noon: going back a day from midnight could land in another day where clocks change */
        local.tm_mday--;
        local.tm_isdst = -1;
        if (mktime(&local) < 0)
            return -EINVAL;
        local.tm_hour = 0;
    } else {
        named = false;
    }
    bool timed = !named || take(&text, ' ');
    if (timed && !take_time(&text, true, &local, &fraction))
        return -EINVAL;
    return *text ? -EINVAL : from_local(&local, fraction, ret);
}

/* "1795450000" or "1795450000.25". */
static int parse_unix(const char *text, uint64_t *ret) {
    uint64_t seconds = 0, fraction = 0, unit = CLOCK_SECOND;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    for (; *text >= '0' && *text <= '9'; text++) {
        seconds = seconds * 10 + (uint64_t)(*text - '0');
        if (seconds >= (uint64_t)INT64_MAX / CLOCK_SECOND)
            return -EINVAL;
    }
    if (take(&text, '.'))
        for (; *text >= '0' && *text <= '9'; text++) {
            unit /= 10;
            fraction += (uint64_t)(*text - '0') * unit;
        }
    if (*text)
        return -EINVAL;
    *ret = seconds * CLOCK_SECOND + fraction;
    return 0;
}

int clock_parse_human(const char *text, uint64_t now_real_ns, uint64_t *ret_real_ns) {
    size_t length = strlen(text);
    uint64_t age;
    if (strcmp(text, "now") == 0) {
        *ret_real_ns = now_real_ns;
        return 0;
    }
    if (clock_parse(text, length, ret_real_ns) == 0)
        return 0;
    if (clock_parse_duration(text, length, &age) == 0) {
        *ret_real_ns = age < now_real_ns ? now_real_ns - age : 0;
        return 0;
    }
    if (parse_date(text, ret_real_ns) == 0)
        return 0;
    if (parse_day(text, now_real_ns, ret_real_ns) == 0)
        return 0;
    return parse_unix(text, ret_real_ns);
}
