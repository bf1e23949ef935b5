#include "exporter/http_body.h"

#include "exporter/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct http_head chunked = { .chunked = true };

static int parse(const struct http_head *head, const char *bytes, size_t length, struct buffer *out,
                 struct http_fault *fault) {
    static char *kept;
    free(kept);
    kept = malloc(length + 1);
    assert_non_null(kept);
    memcpy(kept, bytes, length);
    return http_body_parse(head, (struct text) { kept, length }, out, fault);
}

static void refused(unsigned status, const char *bytes) {
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    struct http_fault fault = { 0, "" };
    assert_int_equal(parse(&chunked, bytes, strlen(bytes), &out, &fault), -1);
    assert_int_equal(fault.status, status);
    assert_null(strpbrk(fault.sentence, "\"\\\n"));
}

static void a_told_length_is_waited_for(void **state) {
    const struct http_head head = { .content_length = 4 };
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    struct http_fault fault;
    (void)state;
    assert_int_equal(parse(&head, "abc", 3, &out, &fault), 0);
    assert_int_equal(parse(&head, "abcdef", 6, &out, &fault), 1);
    assert_true(text_is(buffer_text(&out), "abcd"));
}

static void chunks_are_put_together(void **state) {
    static const char bytes[] = "3\r\nabc\r\n00A;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nbehind";
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    struct http_fault fault;
    (void)state;
    assert_int_equal(parse(&chunked, bytes, sizeof(bytes) - 1, &out, &fault), 1);
    assert_true(text_is(buffer_text(&out), "abc0123456789"));
    for (size_t length = 0; length < sizeof(bytes) - 1 - 6; length++)
        assert_int_equal(parse(&chunked, bytes, length, &out, &fault), 0);
}

static void bad_chunks_are_refused(void **state) {
    (void)state;
    refused(400, "\r\n");
    refused(400, "x\r\n");
    refused(400, "-1\r\n");
    refused(400, " 1\r\na\r\n");
    refused(400, "1 \r\na\r\n");
    refused(400, "1\r\nabc");
    refused(400, "1;a\nb\r\n");
    refused(400, "0\r\na\1b\r\n");
    refused(413, "10001\r\n");
    refused(413, "ffffffffffffffffffff1\r\n");
}

static void lines_between_chunks_have_a_size(void **state) {
    char bytes[HTTP_CHUNK_LINE_MAX + 32];
    (void)state;
    memset(bytes, '0', sizeof(bytes) - 1);
    bytes[sizeof(bytes) - 1] = '\0';
    refused(400, bytes);
    memcpy(bytes, "0\r\n", 3);
    refused(400, bytes);
}

static void chunks_together_have_a_size(void **state) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    (void)state;
    for (int i = 0; i < HTTP_BODY_MAX / 1024; i++)
        buffer_append_format(&bytes, "400\r\n%01024d\r\n", 0);
    buffer_append(&bytes, "1\r\na\r\n0\r\n\r\n", 12);
    refused(413, bytes.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_told_length_is_waited_for), cmocka_unit_test(chunks_are_put_together),
        cmocka_unit_test(bad_chunks_are_refused),      cmocka_unit_test(lines_between_chunks_have_a_size),
        cmocka_unit_test(chunks_together_have_a_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
