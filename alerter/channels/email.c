/* email.c - the alert as a mail: plain text with everything that helps whoever is woken by it. */
#include "alerter/channels.h"

#include "alerter/channels/mail_message.h"
#include "common/model/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/* --- the text --- */

/* Of any origin: control characters are made visible, and further lines are set in. */
static void append_value(struct buffer *out, struct text value) {
    while (value.length > 0) {
        const char *end = memchr(value.data, '\n', value.length);
        size_t length = end ? (size_t)(end - value.data) : value.length;

        text_append_printable(out, (struct text) { value.data, length }, false);
        length += end != NULL;
        value.data += length;
        value.length -= length;
        if (value.length > 0)
            buffer_append_string(out, "\n    ");
    }
    buffer_append_char(out, '\n');
}

static void append_field(struct buffer *out, const char *name, struct text value) {
    buffer_append_format(out, "%-15s ", name);
    append_value(out, value);
}

static void append_time(struct buffer *out, const char *name, uint64_t time_ns) {
    char text[CLOCK_RFC3339_SIZE];

    clock_format(time_ns, text);
    append_field(out, name, text_of(text));
}

static void append_pairs(struct buffer *out, const char *title, const struct alert_pairs *pairs) {
    if (pairs->count > 0)
        buffer_append_format(out, "\n%s\n", title);
    for (size_t i = 0; i < pairs->count; i++) {
        buffer_append_string(out, "  ");
        text_append_printable(out, text_of(pairs->items[i].key), false);
        buffer_append_string(out, ": ");
        append_value(out, text_of(pairs->items[i].value));
    }
}

/* JSON of the alert as msgpack in *room (the caller frees); false when it is none after all. */
static bool unpack(const char *json, char **room, struct text *ret) {
    size_t capacity = 9 * strlen(json) + 16; /* "1," may become a double */
    struct pack_writer writer = { .data = malloc(capacity), .capacity = capacity };

    *room = writer.data;
    if (!writer.data || pack_from_json(text_of(json), &writer, NULL) < 0)
        return false;
    *ret = (struct text) { writer.data, writer.length };
    return true;
}

static void append_packed(struct buffer *out, const struct pack_value *value) {
    _cleanup_buffer_ struct buffer json = BUFFER_EMPTY;

    if (value->type == PACK_TEXT) {
        append_value(out, value->text);
        return;
    }
    pack_append_json(&json, value->whole);
    out->failed |= json.failed;
    append_value(out, buffer_text(&json));
}

static void append_details(struct buffer *out, const char *json) {
    struct pack_value value;
    struct text packed;
    char *room;

    if (unpack(json, &room, &packed)) {
        struct pack_reader reader = { packed.data, packed.data + packed.length };
        uint32_t count = pack_next(&reader, &value) == 1 && value.type == PACK_MAP ? value.count : 0;

        if (count > 0)
            buffer_append_string(out, "\nDetails\n");
        for (uint32_t i = 0; i < count && pack_next(&reader, &value) == 1; i++) {
            buffer_append_string(out, "  ");
            text_append_printable(out, value.text, false);
            buffer_append_string(out, ": ");
            if (pack_next(&reader, &value) == 1)
                append_packed(out, &value);
            reader.at = value.whole.data + value.whole.length; /* behind its children */
        }
    }
    free(room);
}

/* One entry: "TIME LEVEL SERVICE MODULE OPERATION: MESSAGE", then its trace. */
static void append_entry(struct buffer *out, struct text packed) {
    static const struct text heads[] = { TEXT_INITIALIZER("timestamp"), TEXT_INITIALIZER("level"),
                                         TEXT_INITIALIZER("service"), TEXT_INITIALIZER("module"),
                                         TEXT_INITIALIZER("operation") };
    struct pack_value value;
    const char *separator = "  ";

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        if (pack_find(packed, heads[i], &value) != 1 || value.type != PACK_TEXT)
            continue;
        buffer_append_string(out, separator);
        text_append_printable(out, value.text, false);
        separator = " ";
    }
    if (pack_find(packed, TEXT_LITERAL("message"), &value) == 1 && value.type == PACK_TEXT) {
        buffer_append_string(out, ": ");
        append_value(out, value.text);
    } else
        buffer_append_char(out, '\n');
    if (pack_find(packed, TEXT_LITERAL("trace_id"), &value) == 1 && value.type == PACK_TEXT) {
        buffer_append_string(out, "    trace_id: ");
        append_value(out, value.text);
    }
}

static void append_entries(struct buffer *out, const char *json) {
    struct pack_value value;
    struct text packed;
    char *room;

    if (unpack(json, &room, &packed)) {
        struct pack_reader reader = { packed.data, packed.data + packed.length };
        uint32_t count = pack_next(&reader, &value) == 1 && value.type == PACK_ARRAY ? value.count : 0;

        if (count > 0)
            buffer_append_string(out, "\nEntries, newest first\n");
        for (uint32_t i = 0; i < count && pack_next(&reader, &value) == 1; i++) {
            if (value.type == PACK_MAP)
                append_entry(out, value.whole);
            reader.at = value.whole.data + value.whole.length;
        }
    }
    free(room);
}

static void append_text(struct buffer *out, const struct notification *notification) {
    const struct alert *alert = notification->alert;
    const char *runbook = alert_pairs_get(&alert->annotations, "runbook_url");
    char id[UUID_TEXT_SIZE];

    append_value(out, text_of(alert->message));
    buffer_append_char(out, '\n');
    append_field(out, "Alert:", text_of(alert->name));
    append_field(out, "Status:", text_of(alert_status_name(alert->status)));
    append_field(out, "Severity:", text_of(alert_severity_name(alert->severity)));
    append_time(out, "Active since:", alert->timestamp_ns);
    if (alert->acknowledged_by) {
        append_field(out, "Acknowledged:", text_of(alert->acknowledged_by));
        append_field(out, "Reason:", text_of(alert->acknowledged_reason));
    }
    if (alert->resolved_at_ns > 0)
        append_time(out, "Resolved at:", alert->resolved_at_ns);
    if (runbook)
        append_field(out, "Runbook:", text_of(runbook));
    append_pairs(out, "Labels", &alert->labels);
    append_pairs(out, "Annotations", &alert->annotations);
    append_details(out, alert->details ? alert->details : "{}");
    append_entries(out, alert->entries ? alert->entries : "[]");
    buffer_append_char(out, '\n');
    uuid_format(&alert->id, id);
    append_field(out, "Alert id:", text_of(id));
    append_field(out, "Rule id:", text_of(alert->rule_id));
    append_time(out, "Notified at:", notification->created_ns);
}

/* --- the mail --- */

/* No password goes over a network in clear; to this host it may. */
static int judge_login(const struct channel_config *channel, struct error *error) {
    if (!channel->username || channel->starttls || strncasecmp(channel->smtp_url, "smtps:", 6) == 0 ||
        http_url_is_loopback(channel->smtp_url))
        return 0;
    return error_set(error, -EINVAL,
                     "the password would go over the network in clear: set starttls: true, or write smtps://");
}

static void append_subject(struct buffer *out, const struct alert *alert) {
    buffer_append_char(out, '[');
    for (const char *at = alert_severity_name(alert->severity); *at; at++)
        buffer_append_char(out, (char)(*at - 'a' + 'A'));
    buffer_append_format(out, "] %s: %s", alert->name, alert_status_name(alert->status));
}

/* Ids of the mail itself and of all mails of the alert, at the sender's domain. */
static void append_ids(struct buffer *id, struct buffer *thread, const char *from,
                       const struct notification *notification) {
    const char *domain = strrchr(from, '@');
    char uuid[UUID_TEXT_SIZE];

    domain = domain ? domain + 1 : "localhost";
    uuid_format(&notification->alert->id, uuid);
    buffer_append_format(thread, "%s@%s", uuid, domain);
    buffer_append_char(thread, '\0');
    buffer_append_format(id, "%s.%s.%llu@%s", uuid, alert_status_name(notification->alert->status),
                         (unsigned long long)(notification->created_ns / CLOCK_MILLISECOND), domain);
    buffer_append_char(id, '\0');
}

int email_build(const struct channel_config *channel, const struct notification *notification,
                struct channel_request *ret, struct error *error) {
    _cleanup_buffer_ struct buffer subject = BUFFER_EMPTY;
    _cleanup_buffer_ struct buffer text = BUFFER_EMPTY;
    _cleanup_buffer_ struct buffer thread = BUFFER_EMPTY;

    int r = judge_login(channel, error);

    if (r == 0 && channel->password_file)
        r = channel_read_secret(channel->password_file, &ret->password, error);
    if (r < 0)
        return r;
    append_subject(&subject, notification->alert);
    append_text(&text, notification);
    append_ids(&ret->key, &thread, channel->from, notification);
    if (subject.failed || text.failed || thread.failed || ret->key.failed)
        return error_set(error, -ENOMEM, "out of memory");
    mail_append(&ret->body, &(struct mail) { .from = channel->from,
                                             .recipients = (const char *const *)channel->recipients,
                                             .recipient_count = channel->recipient_count,
                                             .subject = buffer_text(&subject),
                                             .id = ret->key.data,
                                             .thread = thread.data,
                                             .time_ns = notification->created_ns,
                                             .body = buffer_text(&text) });
    ret->message.url = channel->smtp_url;
    ret->message.body = buffer_text(&ret->body);
    ret->message.from = channel->from;
    ret->message.recipients = (const char *const *)channel->recipients;
    ret->message.recipient_count = channel->recipient_count;
    ret->message.starttls = channel->starttls;
    ret->message.username = channel->username;
    ret->message.password = channel->password_file ? ret->password.data : channel->password;
    return 0;
}

/* 5xx is for good, but 530 to 538 (RFC 4954): a login that fails says nothing about the message. */
enum channel_verdict email_judge(const struct http_answer *answer) {
    if (answer->status < 300)
        return CHANNEL_DELIVERED;
    return answer->status < 500 || (answer->status >= 530 && answer->status <= 538) ? CHANNEL_RETRY : CHANNEL_REFUSED;
}
