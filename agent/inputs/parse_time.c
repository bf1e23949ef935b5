/* parse_time.c - leading timestamps and timestamps in values. */
#include "agent/inputs/parse_time.h"

#include "common/base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

/* The largest numbers that are still taken as seconds, milliseconds, microseconds: each in the year 5138. */
#define SECONDS_MAX 1e11
#define MILLISECONDS_MAX 1e14
#define MICROSECONDS_MAX 1e17
#define TIME_MAX_SECONDS INT64_C(9214646400) /* 2262-01-01 */

enum { DAY_SECONDS = 86400, NUMBER_TEXT_MAX = 40, YEAR_MIN = 1970, YEAR_MAX = 2261 };

struct cursor {
    const char *at, *end;
};

static bool digits(struct cursor *cursor, int count, int *ret) {
    if (cursor->end - cursor->at < count)
        return false;
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (cursor->at[i] < '0' || cursor->at[i] > '9')
            return false;
        value = value * 10 + (cursor->at[i] - '0');
    }
    cursor->at += count;
    *ret = value;
    return true;
}

static bool one_of(struct cursor *cursor, const char *set) {
    if (cursor->at == cursor->end || *cursor->at == '\0' || !strchr(set, *cursor->at))
        return false;
    cursor->at++;
    return true;
}

/* ".123456" to nanoseconds; more digits than nine are read and dropped. Without a fraction nothing is taken. */
static uint32_t fraction(struct cursor *cursor, const char *marks) {
    struct cursor next = *cursor;
    if (!one_of(&next, marks) || next.at == next.end || *next.at < '0' || *next.at > '9')
        return 0;
    uint32_t value = 0, scale = 100000000;
    for (; next.at < next.end && *next.at >= '0' && *next.at <= '9'; next.at++, scale /= 10)
        value += (uint32_t)(*next.at - '0') * scale;
    *cursor = next;
    return value;
}

/* "15:04:05" */
static bool clock_time(struct cursor *cursor, struct tm *tm) {
    return digits(cursor, 2, &tm->tm_hour) && one_of(cursor, ":") && digits(cursor, 2, &tm->tm_min) &&
           one_of(cursor, ":") && digits(cursor, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec <= 60;
}

/* A zone, perhaps after one space: 1 and its offset, 0 where there is none. */
static int zone(struct cursor *cursor, int *ret_offset) {
    struct cursor next = *cursor;
    one_of(&next, " ");
    if (next.at < next.end && (*next.at == 'Z' || *next.at == 'z')) {
        next.at++;
        if (next.at < next.end && ((*next.at | 0x20) >= 'a' && (*next.at | 0x20) <= 'z'))
            return 0; /* a word that begins with Z */
        *ret_offset = 0;
        *cursor = next;
        return 1;
    }
    if (next.at == next.end || (*next.at != '+' && *next.at != '-'))
        return 0;
    int sign = *next.at++ == '-' ? -1 : 1, hours, minutes;
    if (!digits(&next, 2, &hours))
        return 0;
    one_of(&next, ":");
    if (!digits(&next, 2, &minutes) || hours > 23 || minutes > 59)
        return 0;
    *ret_offset = sign * (hours * 3600 + minutes * 60);
    *cursor = next;
    return 1;
}

static bool date_is_possible(const struct tm *tm) {
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= days[tm->tm_mon] &&
           tm->tm_year + 1900 >= YEAR_MIN && tm->tm_year + 1900 <= YEAR_MAX;
}

/* Whether the timestamp ends here: a letter or digit behind it means that it was something else. */
static bool ends(const struct cursor *cursor) {
    return cursor->at == cursor->end || !((*cursor->at >= '0' && *cursor->at <= '9') ||
                                          ((*cursor->at | 0x20) >= 'a' && (*cursor->at | 0x20) <= 'z'));
}

static bool to_ns(struct tm *tm, bool has_zone, int offset, uint32_t nanoseconds, uint64_t *ret) {
    if (!date_is_possible(tm))
        return false;
    tm->tm_isdst = -1;
    int64_t seconds = has_zone ? (int64_t)timegm(tm) - offset : (int64_t)mktime(tm);
    if (seconds < 0 || seconds >= TIME_MAX_SECONDS)
        return false;
    *ret = (uint64_t)seconds * CLOCK_SECOND + nanoseconds;
    return true;
}

size_t parse_time_iso(struct text line, uint64_t *ret_ns) {
    struct cursor cursor = { line.data, line.data + line.length };
    struct tm tm = { 0 };
    int year, month, offset = 0;
    if (!digits(&cursor, 4, &year) || !one_of(&cursor, "-/") || !digits(&cursor, 2, &month) || !one_of(&cursor, "-/") ||
        !digits(&cursor, 2, &tm.tm_mday) || !one_of(&cursor, "Tt ") || !clock_time(&cursor, &tm))
        return 0;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    uint32_t nanoseconds = fraction(&cursor, ".,");
    bool has_zone = zone(&cursor, &offset);
    if (!ends(&cursor) || !to_ns(&tm, has_zone, offset, nanoseconds, ret_ns))
        return 0;
    return (size_t)(cursor.at - line.data);
}

static bool month_name(struct cursor *cursor, int *ret) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (cursor->end - cursor->at < 3)
        return false;
    for (int i = 0; i < 12; i++)
        if (memcmp(cursor->at, names + 3 * i, 3) == 0) {
            cursor->at += 3;
            *ret = i;
            return true;
        }
    return false;
}

/* "Nov 23 15:04:05", also "Nov  3" and "Nov 03" */
static bool month_day_time(struct cursor *cursor, struct tm *tm) {
    if (!month_name(cursor, &tm->tm_mon) || !one_of(cursor, " "))
        return false;
    bool padded = one_of(cursor, " ");
    if (!digits(cursor, padded ? 1 : 2, &tm->tm_mday) && (padded || !digits(cursor, 1, &tm->tm_mday)))
        return false;
    return one_of(cursor, " ") && clock_time(cursor, tm);
}

/* The year is not written: of the years around now the latest in which the time is not later than tomorrow. */
static bool with_year(const struct tm *without, uint32_t nanoseconds, uint64_t now_ns, uint64_t *ret) {
    time_t now = (time_t)(now_ns / CLOCK_SECOND);
    struct tm today;
    if (!localtime_r(&now, &today))
        return false;
    uint64_t latest = now_ns + (uint64_t)DAY_SECONDS * CLOCK_SECOND;
    for (int year = today.tm_year + 1; year >= today.tm_year - 1; year--) {
        struct tm tm = *without;
        tm.tm_year = year;
        if (to_ns(&tm, false, 0, nanoseconds, ret) && *ret <= latest)
            return true;
    }
    return false;
}

size_t parse_time_syslog(struct text line, uint64_t now_ns, uint64_t *ret_ns) {
    struct cursor cursor = { line.data, line.data + line.length };
    struct tm tm = { 0 };
    if (!month_day_time(&cursor, &tm))
        return 0;
    uint32_t nanoseconds = fraction(&cursor, ".");
    if (!ends(&cursor) || !with_year(&tm, nanoseconds, now_ns, ret_ns))
        return 0;
    return (size_t)(cursor.at - line.data);
}

static size_t parse_time_asctime(struct text line, uint64_t *ret_ns) {
    static const char names[] = "SunMonTueWedThuFriSat";
    struct cursor cursor = { line.data, line.data + line.length };
    struct tm tm = { 0 };
    int year;
    if (line.length < 4)
        return 0;
    bool day = false;
    for (int i = 0; i < 7 && !day; i++)
        day = memcmp(line.data, names + 3 * i, 3) == 0;
    cursor.at += 3;
    if (!day || !one_of(&cursor, " ") || !month_day_time(&cursor, &tm))
        return 0;
    uint32_t nanoseconds = fraction(&cursor, ".");
    if (!one_of(&cursor, " ") || !digits(&cursor, 4, &year))
        return 0;
    tm.tm_year = year - 1900;
    if (!ends(&cursor) || !to_ns(&tm, false, 0, nanoseconds, ret_ns))
        return 0;
    return (size_t)(cursor.at - line.data);
}

size_t parse_time_leading(struct text line, uint64_t now_ns, uint64_t *ret_ns) {
    bool bracket = line.length > 0 && line.data[0] == '[';
    struct text text = { line.data + bracket, line.length - bracket };
    uint64_t ns;
    size_t taken = parse_time_iso(text, &ns);
    if (taken == 0)
        taken = parse_time_syslog(text, now_ns, &ns);
    if (taken == 0)
        taken = parse_time_asctime(text, &ns);
    if (taken == 0)
        return 0;
    if (bracket) {
        if (taken == text.length || text.data[taken] != ']')
            return 0;
        taken += 2;
    }
    *ret_ns = ns;
    return taken;
}

static int time_of_number(double number, uint64_t *ret_ns) {
    double scale = number < SECONDS_MAX ? 1e9 : number < MILLISECONDS_MAX ? 1e6 : number < MICROSECONDS_MAX ? 1e3 : 1;
    if (!(number > 0) || number * scale >= (double)TIME_MAX_SECONDS * 1e9)
        return -EINVAL;
    if (scale < 1e9) {
        *ret_ns = (uint64_t)(number * scale);
        return 0;
    }
    double whole = floor(number); /* parted, so that a fraction keeps its microseconds: a double has 53 bits */
    *ret_ns = (uint64_t)whole * CLOCK_SECOND + (uint64_t)((number - whole) * 1e9);
    return 0;
}

static int time_of_natural(uint64_t number, uint64_t *ret_ns) {
    double size = (double)number;
    uint64_t scale = size < SECONDS_MAX        ? CLOCK_SECOND
                     : size < MILLISECONDS_MAX ? CLOCK_MILLISECOND
                     : size < MICROSECONDS_MAX ? 1000
                                               : 1;
    if (number == 0 || size * (double)scale >= (double)TIME_MAX_SECONDS * 1e9)
        return -EINVAL;
    *ret_ns = number * scale;
    return 0;
}

static int time_of_text(struct text text, uint64_t now_ns, uint64_t *ret_ns) {
    text = text_trim(text);
    uint64_t ns;
    if (clock_parse(text.data, text.length, &ns) == 0 && ns < (uint64_t)TIME_MAX_SECONDS * CLOCK_SECOND) {
        *ret_ns = ns; /* as most are written; without the calendar of the C library, which is slow */
        return 0;
    }
    if (text.length > 0 && parse_time_leading(text, now_ns, &ns) == text.length) {
        *ret_ns = ns;
        return 0;
    }
    char number[NUMBER_TEXT_MAX + 1];
    if (text.length == 0 || text.length > NUMBER_TEXT_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] != '.' && (text.data[i] < '0' || text.data[i] > '9'))
            return -EINVAL;
    memcpy(number, text.data, text.length);
    number[text.length] = '\0';
    char *end;
    if (!memchr(number, '.', text.length)) {
        errno = 0;
        unsigned long long natural = strtoull(number, &end, 10);
        return errno == 0 ? time_of_natural(natural, ret_ns) : -EINVAL;
    }
    double value = strtod(number, &end);
    return *end == '\0' ? time_of_number(value, ret_ns) : -EINVAL;
}

int parse_time_value(const struct pack_value *value, uint64_t now_ns, uint64_t *ret_ns) {
    switch (value->type) {
    case PACK_UINT:
        return time_of_natural(value->natural, ret_ns);
    case PACK_DOUBLE:
        return time_of_number(value->number, ret_ns);
    case PACK_TEXT:
        return time_of_text(value->text, now_ns, ret_ns);
    default:
        return -EINVAL;
    }
}
