/* scan.c - lines, words, numbers. */
#include "agent/host/scan.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void drop(struct text *rest, size_t length) {
    rest->data += length;
    rest->length -= length;
}

bool scan_line(struct text *rest, struct text *ret) {
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->length);
    size_t length = end ? (size_t)(end - rest->data) : rest->length;
    *ret = (struct text) { rest->data, length };
    drop(rest, end ? length + 1 : length);
    return true;
}

bool scan_word(struct text *rest, struct text *ret) {
    size_t begin = 0, end;
    while (begin < rest->length && is_space(rest->data[begin]))
        begin++;
    for (end = begin; end < rest->length && !is_space(rest->data[end]);)
        end++;
    if (begin == end)
        return false;
    *ret = (struct text) { rest->data + begin, end - begin };
    drop(rest, end);
    return true;
}

static bool read_digits(struct text word, uint64_t *ret) {
    uint64_t number = 0;
    if (word.length == 0)
        return false;
    for (size_t i = 0; i < word.length; i++) {
        unsigned digit = (unsigned char)word.data[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *ret = number;
    return true;
}

bool scan_number(struct text *rest, uint64_t *ret) {
    struct text word;
    return scan_word(rest, &word) && read_digits(word, ret);
}

bool scan_decimal(struct text *rest, double *ret) {
    enum { DIGITS_MAX = 9 };
    struct text word;
    uint64_t whole, fraction;
    double scale = 1;
    if (!scan_word(rest, &word))
        return false;
    const char *point = memchr(word.data, '.', word.length);
    size_t length = point ? (size_t)(point - word.data) : 0, behind = point ? word.length - length - 1 : 0;
    if (length > DIGITS_MAX || behind > DIGITS_MAX || !read_digits((struct text) { word.data, length }, &whole) ||
        !read_digits((struct text) { point + 1, behind }, &fraction))
        return false;
    for (size_t i = 0; i < behind; i++)
        scale *= 10;
    *ret = ((double)whole * scale + (double)fraction) / scale; /* one rounding: the nearest double to what is written */
    return true;
}

int scan_give(enum host_family family, double value, host_sink *sink, void *context) {
    struct host_sample sample = { .family = family, .value = value };
    return sink(context, &sample);
}

int scan_give_labeled(enum host_family family, double value, const char *label, struct text text, host_sink *sink,
                      void *context) {
    struct host_sample sample = {
        .family = family, .value = value, .labels = { { text_of(label), text } }, .label_count = 1
    };
    return sink(context, &sample);
}
