/* alerts.c - GET /api/v1/alerts; POST /api/v1/alerts/ID/ack and /resolve, with {"reason": "..."} or nothing as body. The alerter
 * is asked over its control socket; it keeps the state, and writes the audit entry. */
#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "exporter/alerter_client.h"
#include "exporter/api/api.h"

/* What stands in the alerter's sentence about an id that is none, or that it does not know. */
#define UNKNOWN "no alert"

static void fail_as(int result, const struct error *error, struct http_answer *answer) {
    unsigned refused = strstr(error->text, UNKNOWN) ? 404 : 409;
    buffer_clear(&answer->body);
    http_fail(answer, result == -EREMOTEIO ? refused : result == -EINVAL ? 400 : 503, "%s", error->text);
}

/* Lines, each a JSON object, into one list. */
static void append_lines(struct buffer *out, struct text lines) {
    bool first = true;
    while (lines.length > 0) {
        const char *end = memchr(lines.data, '\n', lines.length);
        size_t length = end ? (size_t)(end - lines.data) : lines.length;
        if (length > 0) {
            if (!first)
                buffer_append_char(out, ',');
            buffer_append(out, lines.data, length);
            first = false;
        }
        size_t taken = length + (end != NULL);
        lines = (struct text) { lines.data + taken, lines.length - taken };
    }
}

void api_alerts(const struct http_request *request, struct http_answer *answer, struct api *api) {
    static const char *const names[] = { "all", NULL };
    const struct text *all = http_parameter(request, "all");
    struct buffer lines = BUFFER_EMPTY;
    struct error error = { "" };
    if (!api_parameters_known(request, names, answer))
        return;
    bool every = all && !text_is(*all, "0") && !text_is(*all, "false");
    int result = alerter_ask(api->checks.runtime_dir, every ? TEXT_LITERAL("alerts all") : TEXT_LITERAL("alerts"),
                             &lines, &error);
    if (result < 0) {
        fail_as(result, &error, answer);
    } else {
        answer->compress = true;
        buffer_append_string(&answer->body, "{\"alerts\":[");
        append_lines(&answer->body, buffer_text(&lines));
        buffer_append_string(&answer->body, "]}\n");
    }
    buffer_finish(&lines);
}

/* "ID/ack" -> the id and the verb; false for anything else. */
static bool split_path(struct text rest, struct text *ret_id, const char **ret_verb) {
    static const char *const verbs[] = { "ack", "resolve" };
    const char *slash = rest.length ? memchr(rest.data, '/', rest.length) : NULL;
    if (!slash)
        return false;
    struct text verb = { slash + 1, rest.length - (size_t)(slash - rest.data) - 1 };
    *ret_id = (struct text) { rest.data, (size_t)(slash - rest.data) };
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (text_is(verb, verbs[i])) {
            *ret_verb = verbs[i];
            return ret_id->length > 0;
        }
    return false;
}

/* The body's "reason"; false when the body is something else. */
static bool read_reason(struct text body, char *room, size_t size, struct text *ret) {
    struct pack_writer writer = { .data = room, .capacity = size };
    struct pack_value value;
    *ret = TEXT_EMPTY;
    if (body.length == 0)
        return true;
    if (pack_from_json(body, &writer, NULL) < 0 || writer.failed)
        return false;
    struct text packed = { room, writer.length };
    if (!pack_is_map(packed))
        return false;
    if (pack_find(packed, TEXT_LITERAL("reason"), &value) != 1)
        return true;
    if (value.type != PACK_TEXT)
        return false;
    *ret = value.text;
    return true;
}

void api_alert_change(const struct http_request *request, struct http_answer *answer, struct api *api) {
    char room[HTTP_BODY_MAX];
    struct text id, reason;
    const char *verb;
    struct buffer line = BUFFER_EMPTY, lines = BUFFER_EMPTY;
    struct error error = { "" };
    if (!split_path(request->rest, &id, &verb)) {
        http_fail(answer, 404, "expected /api/v1/alerts/ID/ack or /api/v1/alerts/ID/resolve");
        return;
    }
    if (!read_reason(request->body, room, sizeof(room), &reason)) {
        http_fail(answer, 400, "the body must be nothing or a JSON object such as {\"reason\": \"...\"}");
        return;
    }
    int result = alerter_change_request(verb, id, request->actor, reason, &line, &error);
    if (result == 0)
        result = alerter_ask(api->checks.runtime_dir, buffer_text(&line), &lines, &error);
    if (result < 0)
        fail_as(result, &error, answer);
    else
        buffer_append_text(&answer->body, lines.length ? buffer_text(&lines) : TEXT_LITERAL("{}\n"));
    buffer_finish(&line);
    buffer_finish(&lines);
}
