#include "exporter/http_access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct token token(const char *text) {
    struct token token = { .length = strlen(text) };
    memcpy(token.text, text, token.length);
    return token;
}

static enum http_verdict admit(const struct http_tokens *tokens, enum http_access access, const char *authorization,
                               const char *actor) {
    const char *is;
    enum http_verdict verdict = http_admit(tokens, access, text_of(authorization), &is);
    assert_string_equal(is, actor);
    return verdict;
}

static void without_tokens_everybody_may(void **state) {
    const struct http_tokens none = { 0 };
    (void)state;
    assert_int_equal(admit(&none, HTTP_READ, NULL, "anyone"), HTTP_ADMITTED);
    assert_int_equal(admit(&none, HTTP_ADMIN, "Bearer x", "anyone"), HTTP_ADMITTED);
}

static void the_reading_token_writes_when_alone(void **state) {
    const struct http_tokens tokens = { .read = token("reader") };
    (void)state;
    assert_int_equal(admit(&tokens, HTTP_OPEN, NULL, "anyone"), HTTP_ADMITTED);
    assert_int_equal(admit(&tokens, HTTP_READ, NULL, "token"), HTTP_TOKEN_MISSING);
    assert_int_equal(admit(&tokens, HTTP_READ, "Bearer readers", "token"), HTTP_TOKEN_WRONG);
    assert_int_equal(admit(&tokens, HTTP_READ, "Bearer reader", "token"), HTTP_ADMITTED);
    assert_int_equal(admit(&tokens, HTTP_ADMIN, "Bearer reader", "token"), HTTP_ADMITTED);
    assert_int_equal(admit(&tokens, HTTP_ADMIN, NULL, "token"), HTTP_TOKEN_MISSING);
}

static void the_admins_token_writes_and_reads(void **state) {
    const struct http_tokens tokens = { .read = token("reader"), .admin = token("admin") };
    (void)state;
    assert_int_equal(admit(&tokens, HTTP_ADMIN, "Bearer reader", "token"), HTTP_TOKEN_WRONG);
    assert_int_equal(admit(&tokens, HTTP_ADMIN, "Bearer admin", "admin_token"), HTTP_ADMITTED);
    assert_int_equal(admit(&tokens, HTTP_READ, "Bearer admin", "admin_token"), HTTP_ADMITTED);
    assert_int_equal(admit(&tokens, HTTP_READ, "Bearer reader", "token"), HTTP_ADMITTED);
}

static void an_admins_token_alone_leaves_reading_open(void **state) {
    const struct http_tokens tokens = { .admin = token("admin") };
    (void)state;
    assert_int_equal(admit(&tokens, HTTP_READ, NULL, "anyone"), HTTP_ADMITTED);
    assert_int_equal(admit(&tokens, HTTP_ADMIN, NULL, "token"), HTTP_TOKEN_MISSING);
}

static bool same_site(const char *host, const char *origin, const char *fetch_site, bool open) {
    const struct http_head head = { .host = text_of(host),
                                    .origin = text_of(origin),
                                    .sec_fetch_site = text_of(fetch_site) };
    return http_same_site(&head, open);
}

static void pages_of_other_sites_may_not_ask_for_changes(void **state) {
    (void)state;
    assert_true(same_site("127.0.0.1:9740", NULL, NULL, true)); /* no browser */
    assert_true(same_site("127.0.0.1:9740", "http://127.0.0.1:9740", "same-origin", true));
    assert_true(same_site("localhost:9740", "http://LOCALHOST:9740", NULL, true));
    assert_true(same_site("mon.example.org", "https://mon.example.org", "same-origin", false));
    assert_true(same_site("a:1", NULL, "none", true)); /* typed by a person */
    assert_false(same_site("127.0.0.1:9740", "http://evil.example", NULL, true));
    assert_false(same_site("127.0.0.1:9740", "http://127.0.0.1:9741", NULL, true));
    assert_false(same_site("127.0.0.1:9740", "null", NULL, true));
    assert_false(same_site("127.0.0.1:9740", NULL, "cross-site", true));
    assert_false(same_site("127.0.0.1:9740", NULL, "same-site", true));
    assert_false(same_site("a", "file://a", NULL, true));
}

static void a_foreign_name_that_points_here_is_another_site(void **state) {
    (void)state;
    assert_false(same_site("evil.example:9740", "http://evil.example:9740", "same-origin", true));
    assert_false(same_site("1.evil", "http://1.evil", NULL, true));
    assert_true(same_site("[::1]:9740", "http://[::1]:9740", NULL, true));
    assert_true(same_site("a.localhost:1", "http://a.localhost:1", NULL, true));
    assert_true(same_site("desk:1", "http://desk:1", NULL, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_tokens_everybody_may),
        cmocka_unit_test(the_reading_token_writes_when_alone),
        cmocka_unit_test(the_admins_token_writes_and_reads),
        cmocka_unit_test(an_admins_token_alone_leaves_reading_open),
        cmocka_unit_test(pages_of_other_sites_may_not_ask_for_changes),
        cmocka_unit_test(a_foreign_name_that_points_here_is_another_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
