/* template.c - capturing a call's arguments, and formatting them later. */
#include "common/model/template.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/model/template_spec.h"

enum { SPEC_TEXT_SIZE = 40, ARGUMENT_SIZE = 8, LENGTH_SIZE = 4 };

/* --- the types of a format --- */

/* A conversion's argument types behind those already there; false when there are too many. */
static bool add_types(const struct template_spec *spec, struct template_types *types, size_t *count) {
    size_t more = (size_t)spec->width_starred + (size_t)spec->precision_starred + (spec->type != '\0');
    if (*count + more > TEMPLATE_ARGUMENTS_MAX)
        return false;
    if (spec->width_starred)
        types->types[(*count)++] = 'w';
    if (spec->precision_starred)
        types->types[(*count)++] = 'w';
    if (spec->type)
        types->types[(*count)++] = spec->type;
    return true;
}

int template_parse(const char *format, struct template_types *ret) {
    const char *at = format, *end = format + strlen(format);
    struct template_types types = { "" };
    struct template_spec spec;
    size_t count = 0;
    int rc;
    while ((rc = template_next_spec(&at, end, &spec)) > 0)
        if (!add_types(&spec, &types, &count))
            return -ENOTSUP;
    if (rc < 0)
        return rc;
    *ret = types;
    return 0;
}

/* --- capturing --- */

enum { PRECISION_STARRED = -2 };

/* Of each 'S' argument the precision the format gives it. Only formats that have one pay for the walk. */
static void find_precisions(const char *format, int precisions[TEMPLATE_ARGUMENTS_MAX]) {
    const char *at = format, *end = format + strlen(format);
    struct template_types types = { "" };
    struct template_spec spec;
    size_t count = 0;
    while (template_next_spec(&at, end, &spec) > 0 && add_types(&spec, &types, &count))
        if (spec.type)
            precisions[count - 1] = spec.precision_starred ? PRECISION_STARRED : spec.precision;
}

/* Room that fills up: `at` stays at the last that fitted, `full` tells. */
struct room {
    char *at, *end;
    bool full;
};

static inline void put(struct room *room, const void *value) {
    if (unlikely((size_t)(room->end - room->at) < ARGUMENT_SIZE)) {
        room->full = true;
        return;
    }
    memcpy(room->at, value, ARGUMENT_SIZE);
    room->at += ARGUMENT_SIZE;
}

static inline void put_integer(struct room *room, int64_t value) {
    put(room, &value);
}

/* At most string_max bytes; where that cuts, not inside a character. */
static void put_string(struct room *room, const char *string, int precision, size_t string_max) {
    if (!string)
        string = precision < 0 || precision >= 6 ? "(null)" : ""; /* as glibc does */
    size_t most = precision >= 0 && (size_t)precision < string_max ? (size_t)precision : string_max;
    size_t length = strnlen(string, most);
    if (length == string_max && (precision < 0 || (size_t)precision > string_max) && string_max > 0)
        for (int back = 0; back < 3 && length > 0 && ((unsigned char)string[length] & 0xc0) == 0x80; back++)
            length--;
    if (unlikely((size_t)(room->end - room->at) < LENGTH_SIZE + length || length > UINT32_MAX)) {
        room->full = true;
        return;
    }
    uint32_t size = (uint32_t)length;
    memcpy(room->at, &size, LENGTH_SIZE);
    memcpy(room->at + LENGTH_SIZE, string, length);
    room->at += LENGTH_SIZE + length;
}

int template_capture(const struct template_types *types, const char *format, va_list arguments, size_t string_max,
                     void *out, size_t capacity) {
    struct room room = { out, (char *)out + capacity, false };
    int precisions[TEMPLATE_ARGUMENTS_MAX], star = 0;
    if (strchr(types->types, 'S'))
        find_precisions(format, precisions);
    for (const char *type = types->types; *type && !room.full; type++)
        switch (*type) {
        case 'w':
            star = va_arg(arguments, int);
            put_integer(&room, star);
            break;
        case 'i':
            put_integer(&room, va_arg(arguments, int));
            break;
        case 'l':
            put_integer(&room, va_arg(arguments, long));
            break;
        case 'q':
            put_integer(&room, va_arg(arguments, long long));
            break;
        case 'z':
            put_integer(&room, (int64_t)va_arg(arguments, size_t));
            break;
        case 'd': {
            double value = va_arg(arguments, double);
            put(&room, &value);
            break;
        }
        case 'p':
            put_integer(&room, (int64_t)(intptr_t)va_arg(arguments, void *));
            break;
        case 's':
            put_string(&room, va_arg(arguments, const char *), -1, string_max);
            break;
        case 'S': {
            int precision = precisions[type - types->types];
            put_string(&room, va_arg(arguments, const char *), precision == PRECISION_STARRED ? star : precision,
                       string_max);
            break;
        }
        default:
            return -EINVAL;
        }
    return room.full ? -ENOSPC : (int)(room.at - (char *)out);
}

/* --- formatting: everything here may be hostile --- */

static bool take(struct text *arguments, void *value) {
    if (arguments->length < ARGUMENT_SIZE)
        return false;
    memcpy(value, arguments->data, ARGUMENT_SIZE);
    arguments->data += ARGUMENT_SIZE;
    arguments->length -= ARGUMENT_SIZE;
    return true;
}

static bool take_string(struct text *arguments, struct text *ret) {
    uint32_t length;
    if (arguments->length < LENGTH_SIZE)
        return false;
    memcpy(&length, arguments->data, LENGTH_SIZE);
    if (arguments->length - LENGTH_SIZE < length)
        return false;
    *ret = (struct text) { arguments->data + LENGTH_SIZE, length };
    arguments->data += LENGTH_SIZE + length;
    arguments->length -= LENGTH_SIZE + (size_t)length;
    return true;
}

static int clamp(int64_t size) {
    return size > TEMPLATE_WIDTH_MAX ? TEMPLATE_WIDTH_MAX : (int)size;
}

/* Put the starred sizes where constant ones would be. */
static bool take_stars(struct template_spec *spec, struct text *arguments) {
    int64_t size;
    if (spec->width_starred) {
        if (!take(arguments, &size))
            return false;
        size = (int)size; /* an int it was */
        spec->minus |= size < 0;
        spec->width = clamp(size < 0 ? -size : size);
    }
    if (spec->precision_starred) {
        if (!take(arguments, &size))
            return false;
        size = (int)size;
        spec->precision = size < 0 ? TEMPLATE_NONE : clamp(size);
    }
    return true;
}

static void append_spaces(struct buffer *out, size_t count) {
    if (count == 0 || !buffer_reserve(out, count))
        return;
    memset(out->data + out->length, ' ', count);
    out->length += count;
}

static void append_padded(struct buffer *out, const struct template_spec *spec, struct text text) {
    size_t pad = (size_t)spec->width > text.length ? (size_t)spec->width - text.length : 0;
    if (!spec->minus)
        append_spaces(out, pad);
    buffer_append_text(out, text);
    if (spec->minus)
        append_spaces(out, pad);
}

/* The conversion as printf wants it, from checked parts alone; `length` is ours, not the format's. */
static void write_spec(const struct template_spec *spec, const char *length, char text[SPEC_TEXT_SIZE]) {
    char precision[16] = "";
    if (spec->precision != TEMPLATE_NONE)
        snprintf(precision, sizeof(precision), ".%d", spec->precision);
    char width[16] = "";
    if (spec->width > 0)
        snprintf(width, sizeof(width), "%d", spec->width);
    snprintf(text, SPEC_TEXT_SIZE, "%%%s%s%s%s%s%s%s%s%c", spec->minus ? "-" : "", spec->plus ? "+" : "",
             spec->space ? " " : "", spec->alternate ? "#" : "", spec->zero ? "0" : "", width, precision, length,
             spec->conversion);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void append_printf(struct buffer *out, const struct template_spec *spec, const char *length, const void *value) {
    char text[SPEC_TEXT_SIZE];
    locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); /* glibc's own: nothing to free */
    write_spec(spec, length, text);
    if (spec->type == 'd')
        buffer_append_format(out, text, *(const double *)value);
    else if (spec->type == 'p')
        buffer_append_format(out, text, (void *)(uintptr_t) * (const uint64_t *)value);
    else
        buffer_append_format(out, text, *(const long long *)value);
    uselocale(before);
}

#pragma GCC diagnostic pop

/* What the app's integer was before it became 64 bits. */
static int64_t narrow(const struct template_spec *spec, int64_t value) {
    bool is_signed = spec->conversion == 'd' || spec->conversion == 'i';
    switch (spec->length) {
    case 'H':
        return is_signed ? (int64_t)(signed char)value : (int64_t)(unsigned char)value;
    case 'h':
        return is_signed ? (int64_t)(short)value : (int64_t)(unsigned short)value;
    case '\0':
        return is_signed ? (int64_t)(int)value : (int64_t)(unsigned)value;
    default:
        return value;
    }
}

static void append_decimal(struct buffer *out, int64_t value, bool is_signed) {
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = is_signed && value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (is_signed && value < 0)
        digits[--at] = '-';
    buffer_append(out, digits + at, sizeof(digits) - at);
}

static void append_integer(struct buffer *out, const struct template_spec *spec, int64_t value) {
    if (spec->conversion == 'c') {
        char c = (char)value;
        append_padded(out, spec, (struct text) { &c, 1 });
        return;
    }
    bool bare = spec->width == 0 && spec->precision == TEMPLATE_NONE && !spec->plus && !spec->space;
    value = narrow(spec, value);
    if (bare && (spec->conversion == 'd' || spec->conversion == 'i' || spec->conversion == 'u'))
        append_decimal(out, value, spec->conversion != 'u');
    else
        append_printf(out, spec, "ll", &value);
}

static bool append_argument(struct buffer *out, struct template_spec *spec, struct text *arguments) {
    if (!take_stars(spec, arguments))
        return false;
    if (spec->type == 's' || spec->type == 'S') {
        struct text string;
        if (!take_string(arguments, &string))
            return false;
        if (spec->precision != TEMPLATE_NONE && string.length > (size_t)spec->precision)
            string.length = (size_t)spec->precision;
        append_padded(out, spec, string);
        return true;
    }
    uint64_t value;
    if (!take(arguments, &value))
        return false;
    if (spec->type == 'd' || spec->type == 'p')
        append_printf(out, spec, "", &value);
    else
        append_integer(out, spec, (int64_t)value);
    return true;
}

int template_format_marked(struct text format, struct text arguments, struct buffer *out,
                           struct entry_argument ret[TEMPLATE_ARGUMENTS_MAX], int *ret_count) {
    size_t start = out->length, begin;
    int marked = 0;
    const char *at = format.data, *end = format.length ? at + format.length : at;
    struct template_spec spec;
    int rc;
    size_t count = 0;
    while ((rc = template_next_spec(&at, end, &spec)) > 0) {
        buffer_append_text(out, spec.literal);
        if (spec.conversion == '%') {
            buffer_append_char(out, '%');
            continue;
        }
        count += (size_t)spec.width_starred + (size_t)spec.precision_starred + 1;
        begin = out->length - start;
        if (count > TEMPLATE_ARGUMENTS_MAX || !append_argument(out, &spec, &arguments))
            return -EBADMSG;
        size_t length = out->length - start - begin;
        ret[marked++] = (struct entry_argument) { (uint16_t)begin, (uint16_t)length };
    }
    buffer_append_text(out, spec.literal);
    *ret_count = out->length - start > UINT16_MAX ? -1 : marked;
    return rc < 0 || arguments.length > 0 ? -EBADMSG : 0;
}

int template_format(struct text format, struct text arguments, struct buffer *out) {
    struct entry_argument places[TEMPLATE_ARGUMENTS_MAX];
    int count;
    return template_format_marked(format, arguments, out, places, &count);
}
