#include "exporter/http_target.h"

static int refuse(struct http_fault *fault, const char *sentence) {
    *fault = (struct http_fault) { 400, sentence };
    return -1;
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode raw to *scratch, which is moved behind it. */
static int decode(struct text raw, bool plus, char **scratch, struct text *ret, struct http_fault *fault) {
    char *out = *scratch;
    for (size_t i = 0; i < raw.length; i++) {
        char c = raw.data[i];
        if (c == '%') {
            int high = i + 2 < raw.length ? digit_of(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.length ? digit_of(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return refuse(fault, "in the request target a % is not followed by two hexadecimal digits");
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return refuse(fault, "the request target has a NUL");
        *out++ = c;
    }
    *ret = (struct text) { *scratch, (size_t)(out - *scratch) };
    *scratch = out;
    return text_utf8_valid(*ret) ? 0 : refuse(fault, "the request target is not UTF-8");
}

/* What stands before `c` in *rest, taken off with it; all of it when `c` is not there. */
static struct text take_until(struct text *rest, char c) {
    const char *at = rest->length ? memchr(rest->data, c, rest->length) : NULL;
    struct text part = { rest->data, at ? (size_t)(at - rest->data) : rest->length };
    size_t taken = part.length + (at ? 1 : 0);
    *rest = (struct text) { taken ? rest->data + taken : rest->data, rest->length - taken };
    return part;
}

int http_target_parse(struct text raw, char *scratch, struct http_target *ret, struct http_fault *fault) {
    struct text query = raw;
    struct text path = take_until(&query, '?');
    ret->count = 0;
    if (decode(path, false, &scratch, &ret->path, fault) < 0)
        return -1;
    while (query.length > 0) {
        struct text value = take_until(&query, '&');
        if (value.length == 0)
            continue;
        if (ret->count == HTTP_PARAMETERS_MAX)
            return refuse(fault, "the query has more than 64 parameters");
        struct http_parameter *parameter = &ret->parameters[ret->count++];
        struct text name = take_until(&value, '=');
        if (decode(name, true, &scratch, &parameter->name, fault) < 0 ||
            decode(value, true, &scratch, &parameter->value, fault) < 0)
            return -1;
    }
    return 0;
}
