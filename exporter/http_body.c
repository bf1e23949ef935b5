#include "exporter/http_body.h"

#include "exporter/http.h"

static int refuse(struct http_fault *fault, unsigned status, const char *sentence) {
    *fault = (struct http_fault) { status, sentence };
    return -1;
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next line without its CR LF: 1, off the front; 0: not all there; -1: longer than `max` or with control characters. */
static int take_line(struct text *rest, size_t max, struct text *ret, struct http_fault *fault) {
    const char *end = memmem(rest->data, rest->length, "\r\n", 2);
    size_t length = end ? (size_t)(end - rest->data) : rest->length;
    if (length > max)
        return refuse(fault, 400, "a line between the chunks is too long");
    if (!end)
        return 0;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)rest->data[i] < ' ' && rest->data[i] != '\t')
            return refuse(fault, 400, "a line between the chunks has control characters");
    *ret = (struct text) { rest->data, length };
    rest->data += length + 2;
    rest->length -= length + 2;
    return 1;
}

/* "1a2b" or "1a2b;extension": the size. */
static int chunk_size(struct text line, size_t *ret, struct http_fault *fault) {
    size_t size = 0, i = 0;
    while (i < line.length && digit_of(line.data[i]) >= 0) {
        size = size * 16 + (size_t)digit_of(line.data[i++]);
        if (size > HTTP_BODY_MAX)
            return refuse(fault, 413, "the body must have 65536 bytes at most");
    }
    if (i == 0 || (i < line.length && line.data[i] != ';'))
        return refuse(fault, 400, "a chunk has no size");
    *ret = size;
    return 0;
}

static int skip_trailers(struct text rest, struct http_fault *fault) {
    size_t left = HTTP_CHUNK_LINE_MAX;
    struct text line;
    int result;
    while ((result = take_line(&rest, left, &line, fault)) == 1 && line.length > 0)
        left -= line.length;
    return result;
}

static int parse_chunks(struct text rest, struct buffer *out, struct http_fault *fault) {
    for (;;) {
        struct text line;
        size_t size = 0;
        int result = take_line(&rest, HTTP_CHUNK_LINE_MAX, &line, fault);
        if (result <= 0)
            return result;
        if (chunk_size(line, &size, fault) < 0)
            return -1;
        if (size == 0)
            return skip_trailers(rest, fault);
        if (out->length + size > HTTP_BODY_MAX)
            return refuse(fault, 413, "the body must have 65536 bytes at most");
        if (rest.length < size + 2)
            return 0;
        if (memcmp(rest.data + size, "\r\n", 2) != 0)
            return refuse(fault, 400, "a chunk does not end where its size says");
        buffer_append(out, rest.data, size);
        rest.data += size + 2;
        rest.length -= size + 2;
    }
}

int http_body_parse(const struct http_head *head, struct text bytes, struct buffer *out, struct http_fault *fault) {
    buffer_clear(out);
    if (head->chunked)
        return parse_chunks(bytes, out, fault);
    if (bytes.length < head->content_length)
        return 0;
    buffer_append(out, bytes.data, head->content_length);
    return 1;
}
