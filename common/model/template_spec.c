/* template_spec.c - printf's conversions (C11 7.21.6.1), those that can be deferred. */
#include "common/model/template_spec.h"

#include <errno.h>

static inline char peek(const char *at, const char *end) {
    return at < end ? *at : '\0';
}

static void take_flags(const char **at, const char *end, struct template_spec *spec) {
    for (;; (*at)++)
        switch (peek(*at, end)) {
        case '-':
            spec->minus = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        case '0':
            spec->zero = true;
            break;
        default:
            return;
        }
}

/* Digits or a star; more than TEMPLATE_WIDTH_MAX is that. */
static int take_size(const char **at, const char *end, bool *starred) {
    int size = 0;
    *starred = peek(*at, end) == '*';
    if (*starred) {
        (*at)++;
        return 0;
    }
    for (; peek(*at, end) >= '0' && peek(*at, end) <= '9'; (*at)++) {
        size = size * 10 + (**at - '0');
        if (size > TEMPLATE_WIDTH_MAX)
            size = TEMPLATE_WIDTH_MAX;
    }
    return size;
}

static char take_length(const char **at, const char *end) {
    char c = peek(*at, end), next = *at < end ? peek(*at + 1, end) : '\0';
    if ((c == 'h' || c == 'l') && next == c) {
        *at += 2;
        return c == 'h' ? 'H' : 'q';
    }
    if (c == 'h' || c == 'l' || c == 'z') {
        (*at)++;
        return c;
    }
    if (c == 'j' || c == 't') {
        (*at)++;
        return c == 'j' ? 'q' : 'z';
    }
    return '\0';
}

/* The argument's type, or 0 where it is not deferrable. */
static char type_of(const struct template_spec *spec) {
    switch (spec->conversion) {
    case 'd':
    case 'i':
    case 'o':
    case 'u':
    case 'x':
    case 'X':
        return spec->length == 'l' || spec->length == 'q' || spec->length == 'z' ? spec->length : 'i';
    case 'c':
        return spec->length == '\0' ? 'i' : '\0';
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        return spec->length == '\0' || spec->length == 'l' ? 'd' : '\0';
    case 's':
        if (spec->length != '\0')
            return '\0';
        return spec->precision_starred || spec->precision != TEMPLATE_NONE ? 'S' : 's';
    case 'p':
        return spec->length == '\0' ? 'p' : '\0';
    default:
        return '\0';
    }
}

int template_next_spec(const char **at, const char *end, struct template_spec *ret) {
    const char *start = *at, *percent = start < end ? memchr(start, '%', (size_t)(end - start)) : NULL;
    *ret = (struct template_spec) { .precision = TEMPLATE_NONE };
    ret->literal = (struct text) { start, (size_t)((percent ? percent : end) - start) };
    if (!percent) {
        *at = end;
        return 0;
    }
    *at = percent + 1;
    if (peek(*at, end) == '%') {
        (*at)++;
        ret->conversion = '%';
        return 1;
    }
    take_flags(at, end, ret);
    ret->width = take_size(at, end, &ret->width_starred);
    if (peek(*at, end) == '.') {
        (*at)++;
        ret->precision = take_size(at, end, &ret->precision_starred);
        if (ret->precision_starred)
            ret->precision = TEMPLATE_NONE;
    }
    ret->length = take_length(at, end);
    if (*at == end)
        return -ENOTSUP;
    ret->conversion = *(*at)++;
    ret->type = type_of(ret);
    return ret->type ? 1 : -ENOTSUP;
}
