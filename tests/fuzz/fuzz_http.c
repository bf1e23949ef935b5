/* Any bytes as a request: its header section, target and body. What is let through is what the rules say, and every piece of it
 * lies inside of what came. */
#include "common/base/check.h"
#include "exporter/http_access.h"
#include "exporter/http_body.h"
#include "exporter/http_head.h"
#include "exporter/http_target.h"
#include "exporter/gzip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct text part, const char *data, size_t size) {
    check(part.length == 0 || (part.data >= data && part.data + part.length <= data + size));
}

static void parse_rest(const struct http_head *head, struct text bytes) {
    static const struct http_tokens tokens = { .read = { .length = 6, .text = "secret" } };
    char *scratch = malloc(head->target.length + 1);
    struct http_target target;
    struct http_fault fault;
    struct buffer body = BUFFER_EMPTY;
    const char *actor;
    check(scratch);
    if (http_target_parse(head->target, scratch, &target, &fault) == 0) {
        check(target.count <= HTTP_PARAMETERS_MAX && target.path.length > 0 && text_utf8_valid(target.path));
        for (size_t i = 0; i < target.count; i++) {
            check_inside(target.parameters[i].name, scratch, head->target.length);
            check_inside(target.parameters[i].value, scratch, head->target.length);
            check(!memchr(target.parameters[i].value.data, '\0', target.parameters[i].value.length));
        }
    }
    struct text rest = { bytes.data + head->length, bytes.length - head->length };
    if (http_body_parse(head, rest, &body, &fault) == 1)
        check(body.length <= HTTP_BODY_MAX && (head->chunked || body.length == head->content_length));
    http_same_site(head, true);
    http_admit(&tokens, HTTP_READ, head->authorization, &actor);
    gzip_accepted(head->accept_encoding);
    buffer_finish(&body);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text bytes = { (const char *)data, size };
    struct http_head head;
    struct http_fault fault = { 0, NULL };
    int result = http_head_parse(bytes, &head, &fault);
    check(result == 1 || (result == -1 && fault.status >= 400 && fault.sentence) || (result == 0 && !fault.sentence));
    if (result != 1)
        return 0;
    check(head.length <= size && head.length <= HTTP_HEADERS_MAX);
    check(!memchr(data, '\0', head.length) && !(head.chunked && head.content_length_text.length > 0));
    check_inside(head.method, bytes.data, head.length);
    check_inside(head.host, bytes.data, head.length);
    check_inside(head.authorization, bytes.data, head.length);
    check(head.target.length > 0 && head.target.data[0] == '/');
    parse_rest(&head, bytes);
    return 0;
}
