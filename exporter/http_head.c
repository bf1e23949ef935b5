#include "exporter/http_head.h"

#include "common/base/check.h"
#include "exporter/http.h"

static int refuse(struct http_fault *fault, unsigned status, const char *sentence) {
    *fault = (struct http_fault) { status, sentence };
    return -1;
}

/* --- characters --- */

static bool is_token_character(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct text text) {
    for (size_t i = 0; i < text.length; i++)
        if (!is_token_character((unsigned char)text.data[i]))
            return false;
    return text.length > 0;
}

/* What may stand in a header's value: no control character but the tab. */
static bool is_value(struct text text) {
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_visible_ascii(struct text text) {
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return false;
    return true;
}

/* Take the next line (without its CR LF) off the front; the caller knows that one is there. */
static struct text take_line(struct text *rest) {
    const char *end = memmem(rest->data, rest->length, "\r\n", 2);
    check(end);
    struct text line = { rest->data, (size_t)(end - rest->data) };
    rest->data += line.length + 2;
    rest->length -= line.length + 2;
    return line;
}

/* --- the request line --- */

/* "http://host:port/path" names us the long way round (RFC 9112, 3.2.2). */
static int take_target(struct text target, struct http_head *head, struct http_fault *fault) {
    const struct text scheme = TEXT_LITERAL("http://");
    if (!is_visible_ascii(target) || memchr(target.data, '#', target.length))
        return refuse(fault, 400, "the request target has characters that must be percent-encoded");
    if (text_starts_with(target, scheme)) {
        const char *slash = memchr(target.data + scheme.length, '/', target.length - scheme.length);
        size_t skipped = slash ? (size_t)(slash - target.data) : target.length;
        target = slash ? (struct text) { slash, target.length - skipped } : TEXT_LITERAL("/");
    }
    if (target.length == 0 || target.data[0] != '/')
        return refuse(fault, 400, "the request target must be a path that begins with /");
    head->target = target;
    return 0;
}

static int take_request_line(struct text line, struct http_head *head, struct http_fault *fault) {
    const char *first = memchr(line.data, ' ', line.length);
    const char *last = memrchr(line.data, ' ', line.length);
    if (!first || first == last)
        return refuse(fault, 400, "the request line must be a method, a target and a version");
    head->method = (struct text) { line.data, (size_t)(first - line.data) };
    struct text target = { first + 1, (size_t)(last - first - 1) };
    struct text version = { last + 1, line.length - (size_t)(last + 1 - line.data) };
    if (!is_token(head->method) || head->method.length > HTTP_METHOD_MAX)
        return refuse(fault, 400, "the method is none");
    head->http_1_0 = text_is(version, "HTTP/1.0");
    if (!head->http_1_0 && !text_is(version, "HTTP/1.1"))
        return text_starts_with(version, TEXT_LITERAL("HTTP/")) && version.length == 8
                   ? refuse(fault, 505, "HTTP/1.1 and HTTP/1.0 are spoken here")
                   : refuse(fault, 400, "the request line must end with HTTP/1.1");
    return take_target(target, head, fault);
}

/* --- header lines --- */

/* The headers we look at. A `single` one that comes twice is refused: each reader might believe another one. */
static const struct {
    const char *name;
    size_t offset;
    bool single;
    const char *twice;
} known[] = {
#define KNOWN(name, field, single)                                                                                     \
    { name, offsetof(struct http_head, field), single, "the header " name " stands there twice" }
    KNOWN("Host", host, true),
    KNOWN("Content-Length", content_length_text, true),
    KNOWN("Transfer-Encoding", transfer_encoding, true),
    KNOWN("Expect", expect, true),
    KNOWN("Authorization", authorization, true),
    KNOWN("Origin", origin, true),
    KNOWN("Sec-Fetch-Site", sec_fetch_site, true),
    KNOWN("Accept", accept, false),
    KNOWN("Accept-Encoding", accept_encoding, false),
    KNOWN("If-None-Match", if_none_match, false),
    KNOWN("Last-Event-ID", last_event_id, false),
    KNOWN("X-Prometheus-Scrape-Timeout-Seconds", scrape_timeout, false),
#undef KNOWN
};

static int take_header(struct text line, struct http_head *head, uint32_t *seen, struct http_fault *fault) {
    const char *colon = memchr(line.data, ':', line.length);
    if (!colon)
        return refuse(fault, 400, "a header line has no colon");
    struct text name = { line.data, (size_t)(colon - line.data) };
    struct text value = text_trim((struct text) { colon + 1, line.length - name.length - 1 });
    if (!is_token(name)) /* also a folded line and "Name :" */
        return refuse(fault, 400, "a header's name has characters that may not stand there");
    if (!is_value(value))
        return refuse(fault, 400, "a header's value has control characters");
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (!text_equal_ignoring_case(name, text_of(known[i].name)))
            continue;
        if ((*seen & 1U << i) == 0)
            *(struct text *)((char *)head + known[i].offset) = value;
        else if (known[i].single)
            return refuse(fault, 400, known[i].twice);
        *seen |= 1U << i;
    }
    return 0;
}

static bool was_seen(uint32_t seen, size_t offset) {
    size_t i = 0;
    while (known[i].offset != offset)
        check(++i < COUNT_OF(known));
    return (seen & 1U << i) != 0;
}
#define SEEN(seen, field) was_seen(seen, offsetof(struct http_head, field))

/* --- what the headers say together --- */

static int take_length(struct http_head *head, struct http_fault *fault) {
    struct text digits = head->content_length_text;
    if (digits.length == 0 || digits.length > 18)
        return refuse(fault, 400, "Content-Length must be a number of bytes");
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return refuse(fault, 400, "Content-Length must be a number of bytes");
        head->content_length = head->content_length * 10 + (uint64_t)(digits.data[i] - '0');
    }
    if (head->content_length > HTTP_BODY_MAX)
        return refuse(fault, 413, "the body must have 65536 bytes at most");
    return 0;
}

static int take_transfer_encoding(struct http_head *head, struct http_fault *fault) {
    if (head->http_1_0)
        return refuse(fault, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (!text_equal_ignoring_case(head->transfer_encoding, TEXT_LITERAL("chunked")))
        return refuse(fault, 501, "of Transfer-Encoding only chunked is known");
    head->chunked = true;
    return 0;
}

static bool is_host(struct text host) {
    for (size_t i = 0; i < host.length; i++)
        if (!is_token_character((unsigned char)host.data[i]) && !strchr(":[]", host.data[i]))
            return false;
    return true;
}

static int judge(struct http_head *head, uint32_t seen, struct http_fault *fault) {
    bool length = SEEN(seen, content_length_text), encoding = SEEN(seen, transfer_encoding);
    if (length && encoding)
        return refuse(fault, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (!SEEN(seen, host) && !head->http_1_0)
        return refuse(fault, 400, "the header Host is missing");
    if (!is_host(head->host))
        return refuse(fault, 400, "the header Host is no host");
    if (length && take_length(head, fault) < 0)
        return -1;
    if (encoding && take_transfer_encoding(head, fault) < 0)
        return -1;
    if (SEEN(seen, expect) && !text_equal_ignoring_case(head->expect, TEXT_LITERAL("100-continue")))
        return refuse(fault, 417, "of Expect only 100-continue is known");
    head->expects_continue = SEEN(seen, expect) && !head->http_1_0;
    return 0;
}

/* A line feed alone, which some readers take for the end of a line and others do not. */
static bool has_bare_line_feed(struct text bytes) {
    const char *at = bytes.data, *end = bytes.data + bytes.length;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at == bytes.data || at[-1] != '\r')
            return true;
        at++;
    }
    return false;
}

int http_head_parse(struct text bytes, struct http_head *ret, struct http_fault *fault) {
    struct http_head head = { 0 };
    uint32_t seen = 0;
    size_t count = 0;

    _Static_assert(COUNT_OF(known) <= 32, "`seen` has a bit for each");
    if (bytes.length == 0)
        return 0;
    const char *end = bytes.data ? memmem(bytes.data, bytes.length, "\r\n\r\n", 4) : NULL;
    size_t length = end ? (size_t)(end - bytes.data) + 4 : bytes.length;
    if (memchr(bytes.data, '\0', length))
        return refuse(fault, 400, "the header section has a NUL");
    if (has_bare_line_feed((struct text) { bytes.data, length }))
        return refuse(fault, 400, "a line must end with CR LF");
    if (length > HTTP_HEADERS_MAX || (!end && length == HTTP_HEADERS_MAX))
        return memmem(bytes.data, HTTP_HEADERS_MAX, "\r\n", 2)
                   ? refuse(fault, 431, "the header section must have 32768 bytes at most")
                   : refuse(fault, 414, "the request line must have 32768 bytes at most");
    if (!end)
        return 0;
    head.length = length;
    struct text rest = { bytes.data, length - 2 }; /* without the empty line */
    if (take_request_line(take_line(&rest), &head, fault) < 0)
        return -1;
    while (rest.length > 0) {
        if (++count > HTTP_HEADER_COUNT_MAX)
            return refuse(fault, 431, "there must be 100 headers at most");
        if (take_header(take_line(&rest), &head, &seen, fault) < 0)
            return -1;
    }
    if (judge(&head, seen, fault) < 0)
        return -1;
    *ret = head;
    return 1;
}
