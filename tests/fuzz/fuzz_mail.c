/* Any bytes as subject (the first line) and body of a mail: lines of printable ASCII that end with CRLF, none too long, none a
 * lone dot, and no header that the subject put in. */
#include <stddef.h>
#include <stdint.h>

#include "alerter/channels/mail_message.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(struct text line) {
    check(line.length <= 78);
    check(!text_is(line, ".") && !text_starts_with(line, TEXT_LITERAL("From ")));
    for (size_t i = 0; i < line.length; i++)
        check((line.data[i] >= ' ' && line.data[i] < 0x7f) || line.data[i] == '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const recipients[] = { "b@c", "d@e" };
    const char *text = (const char *)data, *end = size ? memchr(text, '\n', size) : NULL;
    size_t length = end ? (size_t)(end - text) : size, headers = 0;
    struct buffer out = BUFFER_EMPTY;
    struct text rest;
    bool body = false;

    mail_append(&out, &(struct mail) { .from = "a@b",
                                       .recipients = recipients,
                                       .recipient_count = 2,
                                       .subject = { text, length },
                                       .id = "i@b",
                                       .thread = "t@b",
                                       .time_ns = size * UINT64_C(0x123456789abcdef),
                                       .body = { text + length, size - length } });
    check(!out.failed);
    for (rest = buffer_text(&out); rest.length > 0;) {
        const char *feed = memchr(rest.data, '\n', rest.length);
        struct text line;

        check(feed && feed > rest.data && feed[-1] == '\r');
        line = (struct text) { rest.data, (size_t)(feed - 1 - rest.data) };
        check_line(line);
        body |= line.length == 0;
        headers += !body && line.data[0] != ' ';
        rest.length -= (size_t)(feed + 1 - rest.data);
        rest.data = feed + 1;
    }
    check(body && headers == 10);
    buffer_finish(&out);
    return 0;
}
