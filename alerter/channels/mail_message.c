#include "alerter/channels/mail_message.h"

#include "common/base/clock.h"

#include <time.h>

enum {
    LINE_MAX_LENGTH = 76, /* of quoted-printable, the soft "=" included (RFC 2045) */
    WORD_BYTES = 39,      /* in one encoded word: 52 characters of base64, 12 around them, "Subject: " (RFC 2047: 76) */
};

static void append_date(struct buffer *out, uint64_t time_ns) {
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    time_t seconds = (time_t)(time_ns / CLOCK_SECOND);
    struct tm tm;

    gmtime_r(&seconds, &tm); /* 64 bits of nanoseconds end in 2554 */
    buffer_append_format(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
                         months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void append_base64(struct buffer *out, struct text text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < text.length; i += 3) {
        size_t left = text.length - i;
        uint32_t bits = (uint32_t)(unsigned char)text.data[i] << 16 |
                        (left > 1 ? (uint32_t)(unsigned char)text.data[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)(unsigned char)text.data[i + 2] : 0);

        buffer_append_char(out, digits[bits >> 18]);
        buffer_append_char(out, digits[bits >> 12 & 63]);
        buffer_append_char(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        buffer_append_char(out, left > 2 ? digits[bits & 63] : '=');
    }
}

/* As it is when it is short and plain ASCII, else in encoded words of whole characters. */
static void append_subject(struct buffer *out, struct text subject) {
    _cleanup_buffer_ struct buffer clean = BUFFER_EMPTY;
    size_t at = 0;

    text_utf8_repair(subject, &clean);
    text_blank_controls(clean.data, clean.length);
    buffer_append_string(out, "Subject: ");
    if (clean.length == 0 ||
        (text_is_ascii(buffer_text(&clean)) && clean.length <= 60 && !memmem(clean.data, clean.length, "=?", 2))) {
        buffer_append_text(out, buffer_text(&clean));
        buffer_append_string(out, "\r\n");
        return;
    }
    while (at < clean.length) {
        size_t end = clean.length - at < WORD_BYTES ? clean.length : at + WORD_BYTES;

        while (end < clean.length && ((unsigned char)clean.data[end] & 0xc0) == 0x80)
            end--;
        buffer_append_string(out, at > 0 ? "\r\n =?UTF-8?B?" : "=?UTF-8?B?");
        append_base64(out, (struct text) { clean.data + at, end - at });
        buffer_append_string(out, "?=");
        at = end;
    }
    buffer_append_string(out, "\r\n");
    out->failed |= clean.failed;
}

/* What must not begin a line: a "." by itself ends a message, and some that pass mail on change "From ". */
static bool is_awkward_first(struct text rest) {
    return rest.data[0] == '.' || text_starts_with(rest, TEXT_LITERAL("From "));
}

/* One line without its end. Bytes that are not printable ASCII, "=", and white space at the end are written as =XX. */
static void append_quoted_line(struct buffer *out, struct text line) {
    size_t width = 0;

    for (size_t i = 0; i < line.length; i++) {
        unsigned char c = (unsigned char)line.data[i];
        struct text rest = { line.data + i, line.length - i };
        bool plain = c == ' ' || c == '\t' ? rest.length > 1 : c > ' ' && c < 0x7f && c != '=';

        if (width + (plain ? 1 : 3) > LINE_MAX_LENGTH - 1) {
            buffer_append_string(out, "=\r\n");
            width = 0;
        }
        plain = plain && !(width == 0 && is_awkward_first(rest));
        if (plain)
            buffer_append_char(out, (char)c);
        else
            buffer_append_format(out, "=%02X", c);
        width += plain ? 1 : 3;
    }
    buffer_append_string(out, "\r\n");
}

static void append_body(struct buffer *out, struct text body) {
    while (body.length > 0) {
        const char *end = memchr(body.data, '\n', body.length);
        struct text line = { body.data, end ? (size_t)(end - body.data) : body.length };

        append_quoted_line(out, line);
        body.data += line.length + (end != NULL);
        body.length -= line.length + (end != NULL);
    }
}

void mail_append(struct buffer *out, const struct mail *mail) {
    append_date(out, mail->time_ns);
    buffer_append_format(out, "From: <%s>\r\nTo:", mail->from);
    for (size_t i = 0; i < mail->recipient_count; i++)
        buffer_append_format(out, "%s <%s>", i > 0 ? ",\r\n" : "", mail->recipients[i]);
    buffer_append_string(out, "\r\n");
    append_subject(out, mail->subject);
    buffer_append_format(out, "Message-ID: <%s>\r\nReferences: <%s>\r\n", mail->id, mail->thread);
    buffer_append_string(
        out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    append_body(out, mail->body);
}
