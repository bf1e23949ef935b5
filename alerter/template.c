/* template.c - see template.h: one reader of {{ }}, which the check runs without values. */
#include "alerter/template.h"

#include "alerter/template_functions.h"
#include "common/base/check.h"

#include <errno.h>

struct call {
    const struct template_function *function;
    struct text format;
};

/* One {{ }}: a value and the functions it passes through. */
struct action {
    bool is_label;
    struct text label;
    struct call calls[ALERT_TEMPLATE_CALLS_MAX];
    size_t count;
};

struct reader {
    struct text text;
    size_t at;
    struct error *error;
};

static const struct {
    const char *name;
    const char *why;
} refused[] = {
    { "if", "conditions are not supported" },
    { "else", "conditions are not supported" },
    { "end", "conditions and loops are not supported" },
    { "range", "loops are not supported" },
    { "with", "conditions are not supported" },
    { "define", "templates of one's own are not supported" },
    { "template", "templates of one's own are not supported" },
    { "query", "queries in templates are not supported" },
    { "first", "queries in templates are not supported" },
    { "value", "queries in templates are not supported" },
    { "$externalLabels", "there are no external labels here; write them as text" },
    { ".ExternalLabels", "there are no external labels here; write them as text" },
    { "$externalURL", "there is no external URL here; write it as text" },
    { ".ExternalURL", "there is no external URL here; write it as text" },
    { "$labels", "write one label, as in $labels.NAME" },
    { ".Labels", "write one label, as in .Labels.NAME" },
};

static int fault(struct reader *reader, size_t at, const char *what, struct text word) {
    return error_set(reader->error, -EINVAL, "character %zu: %s%s%.*s%s",
                     text_utf8_count((struct text) { reader->text.data, at }) + 1, what, word.length ? " \"" : "",
                     word.length > 60 ? 60 : (int)word.length, word.data ? word.data : "", word.length ? "\"" : "");
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct reader *reader) {
    while (reader->at < reader->text.length && is_space(reader->text.data[reader->at]))
        reader->at++;
}

/* Whether the rest begins with `sign`, which is passed then. */
static bool take(struct reader *reader, const char *sign) {
    struct text rest = { reader->text.data + reader->at, reader->text.length - reader->at };

    if (!text_starts_with(rest, text_of(sign)))
        return false;
    reader->at += strlen(sign);
    return true;
}

/* A word of the field: $value, .Labels.x, humanize. Empty when something else stands here. */
static struct text take_word(struct reader *reader) {
    size_t start = reader->at;

    while (reader->at < reader->text.length) {
        char c = reader->text.data[reader->at];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '.' &&
            c != '$')
            break;
        reader->at++;
    }
    return (struct text) { reader->text.data + start, reader->at - start };
}

static bool is_name(struct text text) {
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] == '.' || text.data[i] == '$')
            return false;
    return text.length > 0 && !(text.data[0] >= '0' && text.data[0] <= '9');
}

/* 1: the word is a value, kept in *action; 0: it is none; negative: it is one that is refused. */
static int read_value(struct reader *reader, struct text word, struct action *action) {
    static const struct text labels[] = { TEXT_INITIALIZER("$labels."), TEXT_INITIALIZER(".Labels.") };

    if (text_is(word, "$value") || text_is(word, ".Value"))
        return 1;
    for (size_t i = 0; i < COUNT_OF(labels); i++) {
        if (!text_starts_with(word, labels[i]))
            continue;
        action->is_label = true;
        action->label = (struct text) { word.data + labels[i].length, word.length - labels[i].length };
        return is_name(action->label) ? 1 : fault(reader, reader->at - word.length, "this is no label name:", word);
    }
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (text_is(word, refused[i].name))
            return fault(reader, reader->at - word.length, refused[i].why, TEXT_EMPTY);
    if (text_starts_with(word, TEXT_LITERAL("$externalLabels.")) ||
        text_starts_with(word, TEXT_LITERAL(".ExternalLabels.")))
        return fault(reader, reader->at - word.length, "there are no external labels here; write them as text",
                     TEXT_EMPTY);
    return 0;
}

/* "FORMAT" or `FORMAT`, without escapes. */
static int read_format(struct reader *reader, struct text *ret) {
    size_t start;
    char quote;
    struct error why;

    skip_space(reader);
    start = reader->at;
    quote = start < reader->text.length ? reader->text.data[start] : '\0';
    if (quote != '"' && quote != '`')
        return fault(reader, start, "printf needs a format in quotes, as in printf \"%.2f\"", TEXT_EMPTY);
    for (reader->at++; reader->at < reader->text.length && reader->text.data[reader->at] != quote; reader->at++)
        if (reader->text.data[reader->at] == '\\' || reader->text.data[reader->at] == '\n')
            return fault(reader, reader->at, "a format may hold no backslash and no line end", TEXT_EMPTY);
    if (reader->at == reader->text.length)
        return fault(reader, start, "the format does not end", TEXT_EMPTY);
    *ret = (struct text) { reader->text.data + start + 1, reader->at - start - 1 };
    reader->at++;
    if (template_format_check(*ret, &why) < 0)
        return fault(reader, start, why.text, TEXT_EMPTY);
    return 0;
}

/* A command: VALUE, FUNCTION VALUE, or (behind a |) FUNCTION. */
static int read_command(struct reader *reader, bool first, struct action *action) {
    struct text word;
    struct call *call;
    size_t start;
    int r;

    skip_space(reader);
    start = reader->at;
    word = take_word(reader);
    if (word.length == 0)
        return fault(reader, start, first ? "expected $value or $labels.NAME" : "expected a function behind the |",
                     TEXT_EMPTY);
    r = read_value(reader, word, action);
    if (r < 0 || (r > 0 && first))
        return r;
    if (r > 0)
        return fault(reader, start, "only a function can stand behind a |, not", word);
    if (action->count == ALERT_TEMPLATE_CALLS_MAX)
        return fault(reader, start, "too many functions in one {{ }}", TEXT_EMPTY);
    call = &action->calls[action->count++];
    call->function = template_function_find(word);
    if (!call->function)
        return fault(reader, start, "there is no function", word);
    r = call->function->formats ? read_format(reader, &call->format) : 0;
    if (r < 0 || !first)
        return r;
    skip_space(reader);
    start = reader->at;
    r = read_value(reader, take_word(reader), action);
    return r == 0 ? fault(reader, start, "expected $value or $labels.NAME", TEXT_EMPTY) : r;
}

/* What stands behind "{{", up to and with "}}". *ret_trim: it ends with "-}}". */
static int read_action(struct reader *reader, struct action *action, bool *ret_trim) {
    int r = read_command(reader, true, action);

    while (r >= 0) {
        size_t start;

        skip_space(reader);
        start = reader->at;
        *ret_trim = take(reader, "-}}");
        if (*ret_trim || take(reader, "}}"))
            return 0;
        if (!take(reader, "|"))
            return fault(reader, start, start == reader->text.length ? "a {{ without its }}" : "expected | or }}",
                         TEXT_EMPTY);
        r = read_command(reader, false, action);
    }
    return r;
}

static void run_action(const struct action *action, double value, const struct alert_pairs *labels,
                       struct buffer *out) {
    struct template_value in = { .is_number = !action->is_label, .number = value };
    struct buffer results[2] = { BUFFER_EMPTY, BUFFER_EMPTY }; /* of the last function, and of the one before */

    for (size_t i = 0; action->is_label && i < labels->count; i++)
        if (text_is(action->label, labels->items[i].key))
            in.text = text_of(labels->items[i].value);
    for (size_t i = 0; i < action->count; i++) {
        struct buffer *result = &results[i % 2];

        buffer_clear(result);
        action->calls[i].function->call(in, action->calls[i].format, result);
        in = (struct template_value) { .text = buffer_text(result) };
    }
    template_append(in, out);
    out->failed |= results[0].failed || results[1].failed;
    buffer_finish(&results[0]);
    buffer_finish(&results[1]);
}

/* Read the whole; out NULL: only check. */
static int run(struct text text, double value, const struct alert_pairs *labels, struct buffer *out,
               struct error *error) {
    struct reader reader = { .text = text, .error = error };
    size_t begin = out ? out->length : 0;
    bool trim = false;

    while (reader.at < text.length && !(out && out->length - begin > ALERT_TEMPLATE_RESULT_MAX)) {
        const char *start = text.data + reader.at;
        const char *open = memmem(start, text.length - reader.at, "{{", 2);
        struct text plain = { start, open ? (size_t)(open - start) : text.length - reader.at };
        struct action action = { 0 };
        int r;

        reader.at += plain.length + (open ? 2 : 0);
        if (trim)
            while (plain.length > 0 && is_space(plain.data[0]))
                plain.data++, plain.length--;
        if (open && reader.at + 1 < text.length && text.data[reader.at] == '-' && is_space(text.data[reader.at + 1])) {
            reader.at++;
            while (plain.length > 0 && is_space(plain.data[plain.length - 1]))
                plain.length--;
        }
        if (out)
            buffer_append_text(out, plain);
        if (!open)
            break;
        r = read_action(&reader, &action, &trim);
        if (r < 0)
            return r;
        if (out)
            run_action(&action, value, labels, out);
    }
    return 0;
}

int alert_template_check(struct text template, struct error *error) {
    if (template.length > ALERT_TEMPLATE_MAX)
        return error_set(error, -EINVAL, "a template has at most %d bytes", ALERT_TEMPLATE_MAX);
    return run(template, 0, NULL, NULL, error);
}

void alert_template_expand(struct text template, double value, const struct alert_pairs *labels, struct buffer *out) {
    size_t start = out->length;

    if (template.length <= ALERT_TEMPLATE_MAX)
        (void)run(template, value, labels, out, NULL); /* what failed the check ends at its fault */
    if (out->length - start <= ALERT_TEMPLATE_RESULT_MAX)
        return;
    out->length = start + ALERT_TEMPLATE_RESULT_MAX;
    while (out->length > start && ((unsigned char)out->data[out->length] & 0xc0) == 0x80)
        out->length--;
}
