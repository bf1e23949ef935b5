/* json_number.c - numbers as RFC 8259 has them; their values do not depend on the locale. */
#include "common/model/json_number.h"

#include <locale.h>
#include <stdlib.h>

enum {
    EXACT_DIGITS = 15, /* a whole number of so many digits is exact as a double... */
    EXACT_POWER = 22,  /* ...and so is a power of ten up to this */
    POWER_MAX = 100000,
};

static inline bool is_digit(const char *at, const char *end) {
    return at < end && *at >= '0' && *at <= '9';
}

/* One digit or more; false where none stands. */
static bool take_digits(const char **at, const char *end, struct json_number *number) {
    const char *first = *at;
    for (; is_digit(*at, end); (*at)++) {
        unsigned digit = (unsigned)(**at - '0');
        if (__builtin_mul_overflow(number->digits, 10, &number->digits) ||
            __builtin_add_overflow(number->digits, digit, &number->digits))
            number->exact = false;
        number->count += number->count > 0 || digit > 0;
    }
    return *at > first;
}

static bool take_exponent(const char **at, const char *end, struct json_number *number) {
    bool negative = false;
    int exponent = 0;
    if (*at < end && (**at == '+' || **at == '-'))
        negative = *(*at)++ == '-';
    if (!is_digit(*at, end))
        return false;
    for (; is_digit(*at, end); (*at)++)
        if (exponent < POWER_MAX)
            exponent = exponent * 10 + (**at - '0');
    number->power += negative ? -exponent : exponent;
    return true;
}

const char *json_scan_number(const char **at, const char *end, struct json_number *ret) {
    *ret = (struct json_number) { .whole = true, .exact = true };
    if (*at < end && **at == '-') {
        ret->negative = true;
        (*at)++;
    }
    const char *first = *at;
    if (!take_digits(at, end, ret))
        return "a number needs a digit here";
    if (*first == '0' && *at - first > 1)
        return "a number must not begin with 0";
    if (*at < end && **at == '.') {
        const char *point = ++*at;
        ret->whole = false;
        if (!take_digits(at, end, ret))
            return "the fraction has no digits";
        ret->power = -(int)(*at - point < POWER_MAX ? *at - point : POWER_MAX);
    }
    if (*at < end && (**at == 'e' || **at == 'E')) {
        (*at)++;
        ret->whole = false;
        if (!take_exponent(at, end, ret))
            return "the exponent has no digits";
    }
    return NULL;
}

bool json_number_value(const struct json_number *number, struct text text, double *ret) {
    static const double powers[EXACT_POWER + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    if (number->exact && number->count <= EXACT_DIGITS && abs(number->power) <= EXACT_POWER) {
        /* Clinger's fast path: both parts are exact doubles, so one operation rounds correctly */
        double value = (double)number->digits;
        value = number->power < 0 ? value / powers[-number->power] : value * powers[number->power];
        *ret = number->negative ? -value : value;
        return true;
    }
    char copy[JSON_NUMBER_TEXT_MAX + 1];
    if (text.length > JSON_NUMBER_TEXT_MAX)
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    /* the app's locale may write 1,5; glibc gives its one "C" locale without allocating */
    *ret = strtod_l(copy, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
    return true;
}
