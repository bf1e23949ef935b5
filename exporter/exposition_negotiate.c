/* exposition_negotiate.c - see exposition.h: Accept, as far as it decides between the two formats. */
#include "exporter/exposition.h"

enum { QUALITY_MAX = 1000, QUALITY_NONE = -1 };

struct range {
    struct text type;    /* "text/plain" */
    struct text version; /* empty: none given */
    int quality;         /* 0 .. QUALITY_MAX */
};

/* Up to the next `end` outside of quotes; *rest goes behind it. */
static struct text take_until(struct text *rest, char end) {
    size_t i = 0;
    bool quoted = false;
    for (; i < rest->length && (quoted || rest->data[i] != end); i++) {
        if (rest->data[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->data[i] == '\\')
            i++;
    }
    i = i < rest->length ? i : rest->length;
    struct text taken = { rest->data, i };
    size_t behind = i < rest->length ? i + 1 : i;
    *rest = (struct text) { rest->data + behind, rest->length - behind };
    return text_trim(taken);
}

/* qvalue: "0.5", "1", "1.000"; what is none counts as 0, so that it is never preferred. */
static int read_quality(struct text text) {
    int quality = 0, unit = QUALITY_MAX;
    if (text.length < 1 || text.length > 5 || text.data[0] < '0' || text.data[0] > '1' ||
        (text.length > 1 && text.data[1] != '.'))
        return 0;
    for (size_t i = 0; i < text.length; i++) {
        if (i == 1)
            continue;
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        quality += (text.data[i] - '0') * unit;
        unit /= 10;
    }
    return quality <= QUALITY_MAX ? quality : 0;
}

static struct text without_quotes(struct text text) {
    if (text.length >= 2 && text.data[0] == '"' && text.data[text.length - 1] == '"')
        return (struct text) { text.data + 1, text.length - 2 };
    return text;
}

static struct range read_range(struct text text) {
    struct range range = { .type = take_until(&text, ';'), .quality = QUALITY_MAX };
    while (text.length > 0) {
        struct text value = take_until(&text, ';'), name = take_until(&value, '=');
        value = without_quotes(text_trim(value));
        if (text_equal_ignoring_case(name, TEXT_LITERAL("q")))
            range.quality = read_quality(value);
        else if (text_equal_ignoring_case(name, TEXT_LITERAL("version")))
            range.version = value;
    }
    return range;
}

static bool type_is(const struct range *range, const char *type) {
    return text_equal_ignoring_case(range->type, text_of(type));
}

enum exposition_format exposition_negotiate(struct text accept) {
    /* The most specific range that names text counts; of several equally specific ones the best. */
    int openmetrics = 0, text[3] = { QUALITY_NONE, QUALITY_NONE, QUALITY_NONE };
    while (accept.length > 0) {
        struct range range = read_range(take_until(&accept, ','));
        int at = type_is(&range, "text/plain") ? 0 : type_is(&range, "text/*") ? 1 : type_is(&range, "*/*") ? 2 : -1;
        if (at == 0 && range.version.length > 0 && !text_is(range.version, "0.0.4"))
            continue;
        if (at >= 0 && range.quality > text[at])
            text[at] = range.quality;
        if (type_is(&range, "application/openmetrics-text") &&
            (range.version.length == 0 || text_is(range.version, "1.0.0")) && range.quality > openmetrics)
            openmetrics = range.quality;
    }
    int plain = text[0] != QUALITY_NONE ? text[0] : text[1] != QUALITY_NONE ? text[1] : text[2];
    return openmetrics > 0 && openmetrics >= plain ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}

const char *exposition_content_type(enum exposition_format format) {
    return format == EXPOSITION_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                            : "text/plain; version=0.0.4; charset=utf-8";
}
