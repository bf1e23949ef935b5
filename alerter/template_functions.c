#include "alerter/template_functions.h"

#include "alerter/template.h"
#include "common/base/check.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_SIZE = 512, FORMAT_SIZE = 16 };

/* Go's and C's "%.4g" part only in what is no number. */
static void append_g4(struct buffer *out, double value, const char *unit) {
    if (isfinite(value))
        buffer_append_format(out, "%.4g%s", value, unit);
    else
        buffer_append_format(out, "%s%s", isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf", unit);
}

/* Go's %v of a float64: the shortest digits, in exponent form below 1e-4 and from a million on. */
void alert_append_value(struct buffer *out, double value) {
    char digits[NUMBER_SIZE];
    int precision = 0, exponent;

    if (!isfinite(value)) {
        append_g4(out, value, "");
        return;
    }
    do
        snprintf(digits, sizeof(digits), "%.*e", precision, value);
    while (strtod(digits, NULL) != value && ++precision < 17); /* 17 digits always suffice */
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent >= -4 && exponent < 6)
        snprintf(digits, sizeof(digits), "%.*f", precision > exponent ? precision - exponent : 0, value);
    buffer_append_string(out, digits);
}

void template_append(struct template_value value, struct buffer *out) {
    if (value.is_number)
        alert_append_value(out, value.number);
    else
        buffer_append_text(out, value.text);
}

/* The value as a number: false, with the text appended as it is, when it is none. */
static bool number_of(struct template_value value, double *ret, struct buffer *out) {
    char copy[64], *end;

    if (value.is_number) {
        *ret = value.number;
        return true;
    }
    if (value.text.length > 0 && value.text.length < sizeof(copy)) {
        memcpy(copy, value.text.data, value.text.length);
        copy[value.text.length] = '\0';
        *ret = strtod(copy, &end);
        if (end == copy + value.text.length)
            return true;
    }
    buffer_append_text(out, value.text);
    return false;
}

/* Scale towards 1 <= |value| < step by the prefixes, up or down. */
static double scale(double value, double step, const char *const *prefixes, const char **ret_prefix) {
    *ret_prefix = "";
    for (; *prefixes; prefixes++) {
        if (step > 1 ? fabs(value) < step : fabs(value) >= 1)
            break;
        *ret_prefix = *prefixes;
        value /= step;
    }
    return value;
}

static const char *const large[] = { "k", "M", "G", "T", "P", "E", "Z", "Y", NULL };
static const char *const binary[] = { "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi", NULL };
static const char *const small[] = { "m", "u", "n", "p", "f", "a", "z", "y", NULL };

static void humanize(struct template_value value, struct text format, struct buffer *out) {
    const char *prefix = "";
    double number;

    (void)format;
    if (!number_of(value, &number, out))
        return;
    if (number != 0 && isfinite(number))
        number = fabs(number) >= 1 ? scale(number, 1000, large, &prefix) : scale(number, 1e-3, small, &prefix);
    append_g4(out, number, prefix);
}

static void humanize1024(struct template_value value, struct text format, struct buffer *out) {
    const char *prefix = "";
    double number;

    (void)format;
    if (!number_of(value, &number, out))
        return;
    if (fabs(number) > 1 && isfinite(number))
        number = scale(number, 1024, binary, &prefix);
    append_g4(out, number, prefix);
}

static void humanize_duration(struct template_value value, struct text format, struct buffer *out) {
    const char *prefix = "", *sign = "";
    double number, minutes, hours, days;

    (void)format;
    if (!number_of(value, &number, out))
        return;
    if (!isfinite(number)) {
        append_g4(out, number, "");
        return;
    }
    if (fabs(number) < 1) {
        number = number == 0 ? 0 : scale(number, 1e-3, small, &prefix);
        append_g4(out, number, prefix);
        buffer_append_char(out, 's');
        return;
    }
    if (number < 0) {
        sign = "-";
        number = -number;
    }
    days = floor(number / 86400);
    hours = floor(fmod(number, 86400) / 3600);
    minutes = floor(fmod(number, 3600) / 60);
    buffer_append_string(out, sign);
    if (days > 0)
        buffer_append_format(out, "%.0fd ", days);
    if (number >= 3600)
        buffer_append_format(out, "%.0fh ", hours);
    if (number >= 60)
        buffer_append_format(out, "%.0fm %.0fs", minutes, floor(fmod(number, 60)));
    else
        append_g4(out, number, "s");
}

static void humanize_percentage(struct template_value value, struct text format, struct buffer *out) {
    double number;

    (void)format;
    if (number_of(value, &number, out))
        append_g4(out, number * 100, "%");
}

static void append_changed(struct template_value value, struct buffer *out, int (*change)(int c, bool begins)) {
    size_t start = out->length;
    bool begins = true;

    template_append(value, out);
    for (size_t i = start; i < out->length; i++) {
        unsigned char c = (unsigned char)out->data[i];

        if (c < 0x80)
            out->data[i] = (char)change(c, begins);
        begins = c == ' ' || c == '\t' || c == '\n';
    }
}

static int upper(int c, bool begins) {
    (void)begins;
    return toupper(c);
}

static int lower(int c, bool begins) {
    (void)begins;
    return tolower(c);
}

static int upper_first(int c, bool begins) {
    return begins ? toupper(c) : c;
}

static void to_upper(struct template_value value, struct text format, struct buffer *out) {
    (void)format;
    append_changed(value, out, upper);
}

static void to_lower(struct template_value value, struct text format, struct buffer *out) {
    (void)format;
    append_changed(value, out, lower);
}

static void title(struct template_value value, struct text format, struct buffer *out) {
    (void)format;
    append_changed(value, out, upper_first);
}

/* --- printf --- */

struct verb {
    struct text before, after; /* with "%%" in them */
    char form[FORMAT_SIZE];    /* "%-8.2f" */
};

static size_t span(struct text text, size_t at, const char *characters) {
    size_t start = at;

    while (at < text.length && text.data[at] && strchr(characters, text.data[at]))
        at++;
    return at - start;
}

/* Behind the verb that begins with the '%' at `at`; 0 when it is none of ours. */
static size_t verb_end(struct text format, size_t at) {
    size_t width, precision = 0;

    at++;
    at += span(format, at, "+- 0");
    width = span(format, at, "0123456789");
    at += width;
    if (span(format, at, ".") == 1) {
        precision = span(format, ++at, "0123456789");
        at += precision;
    }
    return width <= 2 && precision <= 2 && span(format, at, "fFeEgGsv") > 0 ? at + 1 : 0;
}

/* The one verb of the format; what it has instead in *ret_wrong when there is not exactly one. */
static bool split_format(struct text format, struct verb *ret, const char **ret_wrong) {
    bool found = false;
    size_t end;

    for (size_t i = 0; i < format.length; i++) {
        if (format.data[i] != '%')
            continue;
        if (i + 1 < format.length && format.data[i + 1] == '%') {
            i++;
            continue;
        }
        *ret_wrong = "more than one verb";
        if (found)
            return false;
        found = true;
        *ret_wrong = "a verb other than %f %e %g %s %v, or a width or precision of more than two digits";
        end = verb_end(format, i);
        if (end == 0 || end - i >= sizeof(ret->form))
            return false;
        ret->before = (struct text) { format.data, i };
        ret->after = (struct text) { format.data + end, format.length - end };
        memcpy(ret->form, format.data + i, end - i);
        ret->form[end - i] = '\0';
        i = end - 1;
    }
    *ret_wrong = "no verb";
    return found;
}

int template_format_check(struct text format, struct error *error) {
    struct verb verb;
    const char *wrong;

    if (split_format(format, &verb, &wrong))
        return 0;
    return error_set(error, -EINVAL, "the format of printf has %s", wrong);
}

static void append_plain(struct buffer *out, struct text text) {
    for (size_t i = 0; i < text.length; i++) {
        buffer_append_char(out, text.data[i]);
        i += text.data[i] == '%'; /* the second of two */
    }
}

static void append_number(struct buffer *out, const char *form, double number) {
    char text[NUMBER_SIZE];

    if (!isfinite(number)) {
        append_g4(out, number, "");
        return;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* split_format has looked at all of it */
    snprintf(text, sizeof(text), form, number);
#pragma GCC diagnostic pop
    buffer_append_string(out, text);
}

static void print_formatted(struct template_value value, struct text format, struct buffer *out) {
    const char *wrong;
    struct verb verb;
    char last;
    double number;

    check(split_format(format, &verb, &wrong));
    append_plain(out, verb.before);
    last = verb.form[strlen(verb.form) - 1];
    if (last == 's' || last == 'v')
        template_append(value, out);
    else if (number_of(value, &number, out))
        append_number(out, verb.form, number);
    append_plain(out, verb.after);
}

static const struct template_function functions[] = {
    { "humanize", false, humanize },
    { "humanize1024", false, humanize1024 },
    { "humanizeDuration", false, humanize_duration },
    { "humanizePercentage", false, humanize_percentage },
    { "title", false, title },
    { "toUpper", false, to_upper },
    { "toLower", false, to_lower },
    { "printf", true, print_formatted },
};

const struct template_function *template_function_find(struct text name) {
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (text_is(name, functions[i].name))
            return &functions[i];
    return NULL;
}
