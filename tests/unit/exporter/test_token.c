#include "exporter/token.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/taskforge-token-XXXXXX";

static int load_bytes(const char *bytes, size_t length, mode_t mode, struct token *token, struct error *error) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return token_load(path, "exporter.token_file", token, error);
}

static int load(const char *text, mode_t mode, struct token *token, struct error *error) {
    return load_bytes(text, strlen(text), mode, token, error);
}

static void a_file_holds_one_line(void **state) {
    struct token token = { 0 };
    struct error error = { "" };
    (void)state;
    assert_int_equal(load("  s3cret+/=\r\n", 0640, &token, &error), 0);
    assert_true(token_equal(&token, TEXT_LITERAL("s3cret+/=")));
    assert_int_equal(load("two\nlines\n", 0600, &token, &error), -EINVAL);
    assert_int_equal(load("two words", 0600, &token, &error), -EINVAL);
    assert_int_equal(load("\xc3\xa4", 0600, &token, &error), -EINVAL);
    assert_int_equal(load_bytes("a\0b", 3, 0600, &token, &error), -EINVAL);
    assert_int_equal(load("", 0600, &token, &error), -EINVAL);
    assert_int_equal(load(" \n", 0600, &token, &error), -EINVAL);
    assert_non_null(strstr(error.text, "exporter.token_file"));
    assert_non_null(strstr(error.text, path));
    assert_true(token_equal(&token, TEXT_LITERAL("s3cret+/="))); /* untouched */
}

static void a_file_has_a_size(void **state) {
    static char bytes[TOKEN_MAX + 1];
    struct token token = { 0 };
    struct error error = { "" };
    (void)state;
    memset(bytes, 'a', sizeof(bytes));
    assert_int_equal(load_bytes(bytes, TOKEN_MAX, 0600, &token, &error), 0);
    assert_int_equal(token.length, TOKEN_MAX);
    assert_int_equal(load_bytes(bytes, TOKEN_MAX + 1, 0600, &token, &error), -EINVAL);
}

static void a_file_is_not_for_everybody(void **state) {
    struct token token = { 0 };
    struct error error = { "" };
    (void)state;
    assert_int_equal(load("secret", 0644, &token, &error), -EACCES);
    assert_non_null(strstr(error.text, "chmod o="));
    assert_int_equal(load("secret", 0602, &token, &error), -EACCES);
    assert_int_equal(load("secret", 0660, &token, &error), 0);
}

static void who_cannot_read_it_is_told(void **state) {
    struct token token = { 0 };
    struct error error = { "" };
    int result;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(load("secret", 0600, &token, &error), 0);
    assert_int_equal(seteuid(65534), 0);
    result = token_load(path, "k", &token, &error);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(result, -EACCES);
    assert_non_null(strstr(error.text, "the exporter's user must be able to"));
}

static void what_is_no_file_is_refused(void **state) {
    struct token token = { 0 };
    struct error error = { "" };
    (void)state;
    assert_int_equal(token_load("/nowhere/at/all", "k", &token, &error), -ENOENT);
    assert_int_equal(token_load("/dev/null", "k", &token, &error), -EINVAL);
    assert_int_equal(token_load("/", "k", &token, &error), -EINVAL);
}

static void tokens_are_equal_or_not(void **state) {
    struct token token = { .length = 6, .text = "secret" };
    (void)state;
    assert_true(token_equal(&token, TEXT_LITERAL("secret")));
    assert_false(token_equal(&token, TEXT_LITERAL("Secret")));
    assert_false(token_equal(&token, TEXT_LITERAL("secre")));
    assert_false(token_equal(&token, TEXT_LITERAL("secretsecret")));
    assert_false(token_equal(&token, TEXT_EMPTY));
}

static void assert_shown(const char *authorization, const char *token) {
    char scratch[TOKEN_MAX];
    struct text shown = token_shown(text_of(authorization), scratch);
    assert_int_equal(shown.length, strlen(token));
    assert_true(text_is(shown, token));
}

static void headers_show_a_token_in_two_ways(void **state) {
    (void)state;
    assert_shown("Bearer abc", "abc");
    assert_shown("bearer   abc ", "abc");
    assert_shown("Basic dXNlcjpzZWNyZXQ=", "secret"); /* user:secret */
    assert_shown("basic OnMzOmNyZXQ=", "s3:cret");    /* :s3:cret */
    assert_shown("Basic dXNlcg==", "");               /* user */
    assert_shown("Basic !!!", "");
    assert_shown("Basic ", "");
    assert_shown("Bearer", "");
    assert_shown("Bearerabc", "");
    assert_shown("Digest abc", "");
    assert_shown("", "");
}

static void long_headers_show_no_more_than_fits(void **state) {
    static char header[3 * TOKEN_MAX];
    char scratch[TOKEN_MAX];
    (void)state;
    memset(header, 'O', sizeof(header) - 1);
    memcpy(header, "Basic ", 6);
    struct text shown = token_shown(text_of(header), scratch);
    assert_true(shown.length <= TOKEN_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_holds_one_line),
        cmocka_unit_test(a_file_has_a_size),
        cmocka_unit_test(a_file_is_not_for_everybody),
        cmocka_unit_test(who_cannot_read_it_is_told),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(tokens_are_equal_or_not),
        cmocka_unit_test(headers_show_a_token_in_two_ways),
        cmocka_unit_test(long_headers_show_no_more_than_fits),
    };
    close(mkstemp(path));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
