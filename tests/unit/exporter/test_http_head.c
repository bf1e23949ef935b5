#include "exporter/http_head.h"

#include "exporter/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOST "Host: a\r\n"

/* The section is copied to memory of just its size, so that a look behind it is seen. */
static int parse(const char *bytes, size_t length, struct http_head *head, struct http_fault *fault) {
    static char *kept;
    free(kept);
    kept = malloc(length + 1);
    assert_non_null(kept);
    memcpy(kept, bytes, length);
    return http_head_parse((struct text) { kept, length }, head, fault);
}

static void refused_with(unsigned status, const char *bytes, size_t length) {
    struct http_head head;
    struct http_fault fault = { 0, "" };
    int result = parse(bytes, length, &head, &fault);
    if (result != -1 || fault.status != status)
        print_error("%s: %d %u %s\n", bytes, result, fault.status, fault.sentence);
    assert_int_equal(result, -1);
    assert_int_equal(fault.status, status);
    assert_null(strpbrk(fault.sentence, "\"\\\n")); /* goes into JSON as it is */
}
#define refused(status, literal) refused_with(status, literal, sizeof(literal) - 1)

static void a_whole_section_is_read_once(void **state) {
    static const char bytes[] = "GET /a?b=c HTTP/1.1\r\nhost: h:9740\r\nACCEPT:  text/plain \t\r\nAccept: */*\r\n"
                                "Authorization: Bearer x\r\nX-Other: \xff\r\n\r\nbehind";
    struct http_head head;
    struct http_fault fault;
    (void)state;
    assert_int_equal(parse(bytes, sizeof(bytes) - 1, &head, &fault), 1);
    assert_int_equal(head.length, sizeof(bytes) - 1 - 6);
    assert_true(text_is(head.method, "GET"));
    assert_true(text_is(head.target, "/a?b=c"));
    assert_true(text_is(head.host, "h:9740"));
    assert_true(text_is(head.accept, "text/plain")); /* of several the first */
    assert_true(text_is(head.authorization, "Bearer x"));
    assert_false(head.http_1_0 || head.chunked || head.expects_continue);
    for (size_t length = 0; length < head.length; length++)
        assert_int_equal(parse(bytes, length, &head, &fault), 0);
}

static void an_absolute_target_loses_its_host(void **state) {
    struct http_head head;
    struct http_fault fault;
    (void)state;
    assert_int_equal(parse("GET http://h/a?b HTTP/1.1\r\n" HOST "\r\n", 38, &head, &fault), 1);
    assert_true(text_is(head.target, "/a?b"));
    assert_int_equal(parse("GET http://h HTTP/1.0\r\n\r\n", 25, &head, &fault), 1);
    assert_true(text_is(head.target, "/"));
    assert_true(head.http_1_0);
}

static void lengths_and_expectations_are_read(void **state) {
    struct http_head head;
    struct http_fault fault;
    (void)state;
    static const char length[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\nExpect: 100-Continue\r\n\r\n";
    static const char chunks[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n";
    assert_int_equal(parse(length, sizeof(length) - 1, &head, &fault), 1);
    assert_int_equal(head.content_length, 65536);
    assert_true(head.expects_continue);
    assert_int_equal(parse(chunks, sizeof(chunks) - 1, &head, &fault), 1);
    assert_true(head.chunked);
}

static void two_lengths_are_refused(void **state) {
    (void)state;
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "content-length: 5\r\nContent-Length: 6\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\nContent-Length: 6\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void bad_lengths_are_refused(void **state) {
    (void)state;
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n");
    refused(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n");
    refused(413, "POST / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n");
    refused(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n");
    refused(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n");
    refused(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(417, "POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n");
}

static void control_characters_are_refused(void **state) {
    (void)state;
    refused(400, "GET /\0 HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "A\0: b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "A: b\0\r\n\r\n");
    refused(400, "GET / HTT\0"); /* at once */
    refused(400, "GET / HTTP/1.1\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n");
    refused(400, "GET /a\tb HTTP/1.1\r\n" HOST "\r\n");
}

static void header_lines_have_one_reading(void **state) {
    (void)state;
    refused(400, "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "\tA: b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "A b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n" HOST "Origin: a\r\nOrigin: b\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
}

static void request_lines_have_one_reading(void **state) {
    (void)state;
    refused(400, "\r\n\r\n");
    refused(400, "GET /\r\n\r\n");
    refused(400, "GET  / HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "GET / a HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "G(T / HTTP/1.1\r\n" HOST "\r\n");
    refused(400, " / HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "GET / HTTP/1.1 \r\n" HOST "\r\n");
    refused(400, "GET / http/1.1\r\n" HOST "\r\n");
    refused(505, "GET / HTTP/2.0\r\n" HOST "\r\n");
    refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    refused(400, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n");
    refused(400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n");
}

static void sections_have_a_size_and_a_number_of_lines(void **state) {
    static char bytes[HTTP_HEADERS_MAX + 64];
    struct http_head head;
    struct http_fault fault;
    size_t length = (size_t)snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\n" HOST);
    (void)state;
    for (int i = 0; i < HTTP_HEADER_COUNT_MAX - 1; i++)
        length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "A: b\r\n");
    memcpy(bytes + length, "\r\n", 2);
    assert_int_equal(parse(bytes, length + 2, &head, &fault), 1);
    memcpy(bytes + length, "A: b\r\n\r\n", 8);
    refused_with(431, bytes, length + 8);

    memset(bytes, 'a', sizeof(bytes));
    memcpy(bytes, "GET / HTTP/1.1\r\nHost: a\r\nB: ", 28);
    assert_int_equal(parse(bytes, HTTP_HEADERS_MAX - 1, &head, &fault), 0);
    refused_with(431, bytes, HTTP_HEADERS_MAX);
    memcpy(bytes + HTTP_HEADERS_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(parse(bytes, HTTP_HEADERS_MAX, &head, &fault), 1);
    memcpy(bytes + HTTP_HEADERS_MAX - 4, "a\r\n\r\n", 5);
    refused_with(431, bytes, HTTP_HEADERS_MAX + 1);
    memset(bytes, 'a', sizeof(bytes));
    refused_with(414, bytes, HTTP_HEADERS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_section_is_read_once),
        cmocka_unit_test(an_absolute_target_loses_its_host),
        cmocka_unit_test(lengths_and_expectations_are_read),
        cmocka_unit_test(two_lengths_are_refused),
        cmocka_unit_test(bad_lengths_are_refused),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(header_lines_have_one_reading),
        cmocka_unit_test(request_lines_have_one_reading),
        cmocka_unit_test(sections_have_a_size_and_a_number_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
