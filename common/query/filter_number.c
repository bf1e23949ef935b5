/* filter_number.c - see filter_number.h. */
#include "common/query/filter_number.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/check.h"

static const struct {
    struct text name;
    enum filter_number_kind kind;
    double factor;
} units[] = {
    { TEXT_INITIALIZER("ns"), FILTER_DURATION, 1e-9 },
    { TEXT_INITIALIZER("us"), FILTER_DURATION, 1e-6 },
    { TEXT_INITIALIZER("\xc2\xb5s"), FILTER_DURATION, 1e-6 },
    { TEXT_INITIALIZER("ms"), FILTER_DURATION, 1e-3 },
    { TEXT_INITIALIZER("s"), FILTER_DURATION, 1 },
    { TEXT_INITIALIZER("m"), FILTER_DURATION, 60 },
    { TEXT_INITIALIZER("h"), FILTER_DURATION, 3600 },
    { TEXT_INITIALIZER("d"), FILTER_DURATION, 86400 },
    { TEXT_INITIALIZER("w"), FILTER_DURATION, 604800 },
    { TEXT_INITIALIZER("b"), FILTER_SIZE, 1 },
    { TEXT_INITIALIZER("kb"), FILTER_SIZE, 1e3 },
    { TEXT_INITIALIZER("mb"), FILTER_SIZE, 1e6 },
    { TEXT_INITIALIZER("gb"), FILTER_SIZE, 1e9 },
    { TEXT_INITIALIZER("tb"), FILTER_SIZE, 1e12 },
    { TEXT_INITIALIZER("kib"), FILTER_SIZE, 1024.0 },
    { TEXT_INITIALIZER("mib"), FILTER_SIZE, 1048576.0 },
    { TEXT_INITIALIZER("gib"), FILTER_SIZE, 1073741824.0 },
    { TEXT_INITIALIZER("tib"), FILTER_SIZE, 1099511627776.0 },
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Digits with a point and an exponent: no hex, no names, whatever strtod would take besides. */
static bool take_digits(struct text *text, double *ret) {
    char room[FILTER_NUMBER_LENGTH_MAX + 1];
    size_t length = 0, digits = 0;
    while (length < text->length && (is_digit(text->data[length]) || text->data[length] == '.'))
        digits += is_digit(text->data[length++]);
    if (digits == 0)
        return false;
    if (length + 1 < text->length && (text->data[length] | 0x20) == 'e') {
        size_t exponent = length + 1 + (text->data[length + 1] == '-' || text->data[length + 1] == '+'), at = exponent;
        while (at < text->length && is_digit(text->data[at]))
            at++;
        length = at > exponent ? at : length;
    }
    memcpy(room, text->data, length);
    room[length] = '\0';
    char *end;
    *ret = strtod(room, &end);
    *text = (struct text) { text->data + length, text->length - length };
    return *end == '\0' && isfinite(*ret);
}

static bool take_unit(struct text *text, enum filter_number_kind *ret_kind, double *ret_factor) {
    size_t length = 0;
    while (length < text->length && !is_digit(text->data[length]) && text->data[length] != '.')
        length++;
    struct text name = { text->data, length };
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        bool same = units[i].kind == FILTER_SIZE ? text_equal_ignoring_case(name, units[i].name)
                                                 : text_equal(name, units[i].name);
        if (same) {
            *ret_kind = units[i].kind;
            *ret_factor = units[i].factor;
            *text = (struct text) { text->data + length, text->length - length };
            return true;
        }
    }
    return false;
}

bool filter_number_parse(struct text text, struct filter_number *ret) {
    struct filter_number number = { FILTER_PLAIN, 0 };
    if (text.length == 0 || text.length > FILTER_NUMBER_LENGTH_MAX)
        return false;
    bool negative = text.data[0] == '-', first = true;
    text.data += negative;
    text.length -= negative;
    do { /* 1h30m */
        enum filter_number_kind kind;
        double value, factor;
        if (!take_digits(&text, &value))
            return false;
        if (first && text.length == 0) {
            number.value = value;
            break;
        }
        if (!take_unit(&text, &kind, &factor) || (!first && (kind != number.kind || kind != FILTER_DURATION)))
            return false;
        number.kind = kind;
        number.value += value * factor;
        first = false;
    } while (text.length > 0);
    if (negative)
        number.value = -number.value;
    *ret = number;
    return isfinite(number.value);
}
