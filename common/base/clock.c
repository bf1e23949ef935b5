/* clock.c - the clocks, and RFC 3339 by arithmetic (no locale, no time zone file, no lock). */
#include "common/base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "common/base/check.h"

enum { SECONDS_A_DAY = 86400 };

static _Atomic uint64_t test_now;

static uint64_t read_clock(clockid_t which) {
    struct timespec now;
    clock_gettime(which, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t clock_real_ns(void) {
    uint64_t set = atomic_load_explicit(&test_now, memory_order_relaxed);
    return likely(set == 0) ? read_clock(CLOCK_REALTIME) : set;
}

uint64_t clock_monotonic_ns(void) {
    uint64_t set = atomic_load_explicit(&test_now, memory_order_relaxed);
    return likely(set == 0) ? read_clock(CLOCK_MONOTONIC) : set;
}

void clock_set_for_test(uint64_t now_ns) {
    atomic_store_explicit(&test_now, now_ns, memory_order_relaxed);
}

/* --- the calendar: days since 1970-01-01 and civil dates (Howard Hinnant, "chrono-compatible low-level date
 *     algorithms": years begin in March, eras have 400 years) --- */

static unsigned days_of_civil(unsigned year, unsigned month, unsigned day) {
    unsigned y = month <= 2 ? year - 1 : year;
    unsigned era = y / 400, year_of_era = y % 400;
    unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_of_days(unsigned days, unsigned *year, unsigned *month, unsigned *day) {
    unsigned z = days + 719468, era = z / 146097, day_of_era = z % 146097;
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static unsigned days_in_month(unsigned year, unsigned month) {
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static inline void two_digits(char *out, unsigned value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    memcpy(out, pairs + 2 * (value % 100), 2);
}

size_t clock_format(uint64_t real_ns, char out[CLOCK_RFC3339_SIZE]) {
    static const char shape[] = "0000-00-00T00:00:00.000000000Z";
    uint64_t seconds = real_ns / CLOCK_SECOND;
    unsigned fraction = (unsigned)(real_ns % CLOCK_SECOND);
    unsigned second = (unsigned)(seconds % SECONDS_A_DAY), year, month, day;
    civil_of_days((unsigned)(seconds / SECONDS_A_DAY), &year, &month, &day);
    memcpy(out, shape, sizeof(shape));
    two_digits(out, year / 100);
    two_digits(out + 2, year % 100);
    two_digits(out + 5, month);
    two_digits(out + 8, day);
    two_digits(out + 11, second / 3600);
    two_digits(out + 14, second / 60 % 60);
    two_digits(out + 17, second % 60);
    unsigned high = fraction / 10000 % 10000, low = fraction % 10000;
    out[20] = (char)('0' + fraction / 100000000);
    two_digits(out + 21, high / 100);
    two_digits(out + 23, high);
    two_digits(out + 25, low / 100);
    two_digits(out + 27, low);
    return sizeof(shape) - 1;
}

/* --- reading --- */

/* Exactly `digits` digits at *at. */
static bool take_number(const char **at, const char *end, int digits, unsigned *ret) {
    unsigned value = 0;
    if (end - *at < digits)
        return false;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (unsigned)(**at - '0');
    }
    *ret = value;
    return true;
}

static bool take_char(const char **at, const char *end, char c) {
    if (*at == end || **at != c)
        return false;
    (*at)++;
    return true;
}

/* ".5": any number of digits, what lies below a nanosecond is dropped. */
static bool take_fraction(const char **at, const char *end, unsigned *ret_ns) {
    unsigned value = 0, unit = 100000000;
    *ret_ns = 0;
    if (!take_char(at, end, '.') && !take_char(at, end, ','))
        return true;
    const char *first = *at;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        value += (unsigned)(**at - '0') * unit;
    *ret_ns = value;
    return *at > first;
}

/* "Z", "+07:00", "-0330"; seconds east of UTC. */
static bool take_zone(const char **at, const char *end, int *ret_seconds) {
    if (take_char(at, end, 'Z') || take_char(at, end, 'z')) {
        *ret_seconds = 0;
        return true;
    }
    bool west = *at < end && **at == '-';
    unsigned hours, minutes;
    if (!take_char(at, end, '+') && !take_char(at, end, '-'))
        return false;
    if (!take_number(at, end, 2, &hours) || hours > 23)
        return false;
    take_char(at, end, ':');
    if (!take_number(at, end, 2, &minutes) || minutes > 59)
        return false;
    *ret_seconds = (int)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

int clock_parse(const char *text, size_t length, uint64_t *ret_real_ns) {
    const char *at = text, *end = text + length;
    unsigned year, month, day, hour, minute, second, fraction;
    int zone;
    if (!take_number(&at, end, 4, &year) || !take_char(&at, end, '-') || !take_number(&at, end, 2, &month) ||
        !take_char(&at, end, '-') || !take_number(&at, end, 2, &day))
        return -EINVAL;
    if (!take_char(&at, end, 'T') && !take_char(&at, end, 't') && !take_char(&at, end, ' '))
        return -EINVAL;
    if (!take_number(&at, end, 2, &hour) || !take_char(&at, end, ':') || !take_number(&at, end, 2, &minute) ||
        !take_char(&at, end, ':') || !take_number(&at, end, 2, &second) || !take_fraction(&at, end, &fraction) ||
        !take_zone(&at, end, &zone) || at != end)
        return -EINVAL;
    /* 1969 only for zones west of Greenwich; second 60 is a leap second: the next one */
    if (year < 1969 || year > 2262 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 60)
        return -EINVAL;
    int64_t seconds = (int64_t)(int32_t)days_of_civil(year, month, day) * SECONDS_A_DAY +
                      (int64_t)(hour * 3600 + minute * 60 + second) - zone;
    if (seconds < 0 || (uint64_t)seconds >= (uint64_t)INT64_MAX / CLOCK_SECOND)
        return -EINVAL;
    *ret_real_ns = (uint64_t)seconds * CLOCK_SECOND + fraction;
    return 0;
}

/* --- durations --- */

static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    { "ns", 1 },
    { "us", 1000 },
    { "ms", CLOCK_MILLISECOND },
    { "s", CLOCK_SECOND },
    { "m", 60 * CLOCK_SECOND },
    { "h", 3600 * CLOCK_SECOND },
    { "d", SECONDS_A_DAY *CLOCK_SECOND },
};

static uint64_t unit_of(const char *name, size_t length) {
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0)
            return units[i].ns;
    return 0;
}

/* One "1.5s". */
static int take_duration(const char **at, const char *end, uint64_t *ret_ns) {
    const char *whole = *at, *p = whole;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    const char *whole_end = p, *fraction = p, *fraction_end = p;
    if (p < end && *p == '.') {
        fraction = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        fraction_end = p;
        if (fraction == fraction_end)
            return -EINVAL;
    }
    const char *name = p;
    while (p < end && *p >= 'a' && *p <= 'z')
        p++;
    uint64_t unit = unit_of(name, (size_t)(p - name)), total = 0;
    if (whole == whole_end || unit == 0)
        return -EINVAL;
    for (const char *digit = whole; digit < whole_end; digit++)
        if (__builtin_mul_overflow(total, 10, &total) || __builtin_add_overflow(total, *digit - '0', &total))
            return -EINVAL;
    if (__builtin_mul_overflow(total, unit, &total))
        return -EINVAL;
    for (const char *digit = fraction; digit < fraction_end; digit++) {
        unit /= 10;
        if (__builtin_add_overflow(total, (uint64_t)(*digit - '0') * unit, &total))
            return -EINVAL;
    }
    *at = p;
    *ret_ns = total;
    return 0;
}

int clock_parse_duration(const char *text, size_t length, uint64_t *ret_ns) {
    const char *at = text, *end = text + length;
    uint64_t total = 0, part;
    if (length == 0)
        return -EINVAL;
    while (at < end) /* "1h30m" is the sum of its parts */
        if (take_duration(&at, end, &part) < 0 || __builtin_add_overflow(total, part, &total))
            return -EINVAL;
    *ret_ns = total;
    return 0;
}
