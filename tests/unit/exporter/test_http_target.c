#include "exporter/http_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int parse(const char *raw, struct http_target *target, struct http_fault *fault) {
    static char *scratch;
    free(scratch);
    scratch = malloc(strlen(raw) + 1);
    assert_non_null(scratch);
    return http_target_parse(text_of(raw), scratch, target, fault);
}

static void assert_parameter(const struct http_target *target, size_t i, const char *name, const char *value) {
    assert_true(text_is(target->parameters[i].name, name));
    assert_true(text_is(target->parameters[i].value, value));
}

static void path_and_parameters_are_decoded(void **state) {
    struct http_target target;
    struct http_fault fault;
    (void)state;
    assert_int_equal(parse("/a%20b+c/%C3%a4?x=1&&y=a%3Db%26c=d&z&=v&x=a+b", &target, &fault), 0);
    assert_true(text_is(target.path, "/a b+c/\xc3\xa4"));
    assert_int_equal(target.count, 5);
    assert_parameter(&target, 0, "x", "1");
    assert_parameter(&target, 1, "y", "a=b&c=d");
    assert_parameter(&target, 2, "z", "");
    assert_parameter(&target, 3, "", "v");
    assert_parameter(&target, 4, "x", "a b");
}

static void a_parameter_is_found_by_its_name(void **state) {
    struct http_target target;
    struct http_fault fault;
    (void)state;
    assert_int_equal(parse("/?a=1&b=2&a=3", &target, &fault), 0);
    struct http_request request = { .parameters = target.parameters, .parameter_count = target.count };
    assert_true(text_is(*http_parameter(&request, "a"), "1"));
    assert_true(text_is(*http_parameter(&request, "b"), "2"));
    assert_null(http_parameter(&request, "c"));
}

static void bad_targets_are_refused(void **state) {
    static const char *const bad[] = { "/%",   "/%4",     "/%4g",       "/%00",          "/a?b=%0",         "/a?%zz=1",
                                       "/%ff", "/?a=%c3", "/?a=%c0%80", "/?a=%ed%a0%80", "/?a=%e2%82&b=%ac" };
    struct http_target target;
    struct http_fault fault;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fault.status = 0;
        assert_int_equal(parse(bad[i], &target, &fault), -1);
        assert_int_equal(fault.status, 400);
    }
}

static void parameters_have_a_number(void **state) {
    char raw[512] = "/?";
    struct http_target target;
    struct http_fault fault;
    (void)state;
    for (int i = 0; i < HTTP_PARAMETERS_MAX; i++)
        strcat(raw, "a=b&");
    assert_int_equal(parse(raw, &target, &fault), 0);
    assert_int_equal(target.count, HTTP_PARAMETERS_MAX);
    strcat(raw, "a");
    assert_int_equal(parse(raw, &target, &fault), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_and_parameters_are_decoded),
        cmocka_unit_test(a_parameter_is_found_by_its_name),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(parameters_have_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
