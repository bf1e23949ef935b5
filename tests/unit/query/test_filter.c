#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/model/pack.h"
#include "common/query/logql_parser.h"

static char metadata_bytes[512];

static struct entry sample(void) {
    struct pack_writer writer = { .data = metadata_bytes, .capacity = sizeof(metadata_bytes) };
    struct entry entry = {
        .timestamp_ns = 1000,
        .level = LEVEL_ERROR,
        .service = TEXT_LITERAL("queue"),
        .module = TEXT_LITERAL("worker"),
        .operation = TEXT_LITERAL("poll"),
        .message = TEXT_LITERAL("timeout after 30s, id=17"),
        .trace_id = TEXT_LITERAL("4bf92f3577b34da6a3ce929d0e0e4736"),
        .host = TEXT_LITERAL("h1"),
        .pid = 42,
    };
    assert_int_equal(uuid_parse(TEXT_LITERAL("0190163d-8694-739b-aea5-966c26f8ad91"), &entry.user_id), 0);
    assert_int_equal(
        pack_from_json(TEXT_LITERAL("{\"queue\":\"mail\",\"tries\":3,\"http\":{\"status\":503},\"a.b\":\"dot\"}"),
                       &writer, NULL),
        0);
    entry.metadata = (struct text) { metadata_bytes, writer.length };
    return entry;
}

static int judge(const char *source) {
    struct filter filter;
    struct error error = { "" };
    struct buffer scratch = BUFFER_EMPTY;
    struct entry entry = sample();
    filter_init(&filter);
    if (logql_parse(text_of(source), &filter, &error) < 0)
        fail_msg("%s: %s", source, error.text);
    int status = filter_entry(&filter, &entry, &scratch, &error);
    filter_finish(&filter);
    buffer_finish(&scratch);
    return status;
}

static void judges_each_field(void **state) {
    (void)state;
    static const struct {
        const char *source;
        int verdict;
    } cases[] = {
        { "{}", 1 },
        { "{service=\"queue\"}", 1 },
        { "{service=\"que\"}", 0 },
        { "{service=~\"que.*\",module!=\"x\",operation!~\"p\"}", 1 },
        { "{operation!~\"p.*\"}", 0 },
        { "{host=\"h1\",pid=\"42\"}", 1 },
        { "{pid=\"4\"}", 0 },
        { "{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"}", 1 },
        { "{span_id=\"\",correlation_id=\"\"}", 1 },
        { "{span_id!=\"\"}", 0 },
        { "{user_id=\"0190163D-8694-739B-AEA5-966C26F8AD91\"}", 1 },
        { "{user_id=\"0190163d8694739baea5966c26f8ad91\"}", 1 },
        { "{user_id=\"0190163d-8694-739b-aea5-966c26f8ad92\"}", 0 },
        { "{user_id=~\"0190163d-.*\"}", 1 },
        { "{organization_id=\"\"}", 1 },
        { "{organization_id!=\"\"}", 0 },
        { "{user_id!=\"\"}", 1 },
        { "{level=\"err\"}", 1 },
        { "{level!=\"error\"}", 0 },
        { "{level=~\"warning|err\"}", 1 },
        { "{level!~\"err.*\"}", 0 },
        { "{queue=\"mail\"}", 1 },
        { "{tries=\"3\"}", 1 },
        { "{tries=~\"[0-9]\",nothing=\"\"}", 1 },
        { "{nothing!=\"\"}", 0 },
        { "{http.status=\"503\",a.b=\"dot\"}", 1 },
        { "{http=`{\"status\":503}`}", 1 },
        { "{http.status.x=\"503\"}", 0 },
        { "{} |= \"timeout\" |~ \"id=[0-9]+$\" !~ \"^x\" != \"retry\"", 1 },
        { "{} != \"timeout\"", 0 },
        { "{} |= \"Timeout\"", 0 },
        { "{} |= \"nothing\" or \"30s\"", 1 },
        { "{} != \"nothing\" or \"30s\"", 0 },
        { "{} |~ \"a{3}\" or \"id=\\\\d\\\\d\"", 1 },
        { "{} |= \"\"", 1 },
        { "{} != \"\"", 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (judge(cases[i].source) != cases[i].verdict)
            fail_msg("%s is not %d", cases[i].source, cases[i].verdict);
}

static void judges_time_as_a_half_open_range(void **state) {
    (void)state;
    struct filter filter;
    struct buffer scratch = BUFFER_EMPTY;
    struct entry entry = sample();
    filter_init(&filter);
    filter.since_ns = 1000;
    filter.until_ns = 1001;
    assert_int_equal(filter_entry(&filter, &entry, &scratch, NULL), 1);
    filter.until_ns = 1000;
    assert_int_equal(filter_entry(&filter, &entry, &scratch, NULL), 0);
    filter.until_ns = UINT64_MAX;
    filter.since_ns = 1001;
    assert_int_equal(filter_entry(&filter, &entry, &scratch, NULL), 0);
    filter_finish(&filter);
}

static void narrows_levels_and_widens_services(void **state) {
    (void)state;
    struct filter filter;
    struct buffer scratch = BUFFER_EMPTY;
    struct entry entry = sample();
    filter_init(&filter);
    filter_set_min_level(&filter, LEVEL_WARN);
    assert_int_equal(filter.levels, 1 << LEVEL_WARN | 1 << LEVEL_ERROR | 1 << LEVEL_CRITICAL);
    assert_int_equal(filter_add_service(&filter, TEXT_LITERAL("other"), NULL), 0);
    assert_int_equal(filter_entry(&filter, &entry, &scratch, NULL), 0);
    assert_int_equal(filter_add_service(&filter, TEXT_LITERAL("queue"), NULL), 0);
    assert_int_equal(filter_entry(&filter, &entry, &scratch, NULL), 1);
    filter_set_level(&filter, LEVEL_INFO); /* and above warn: none */
    assert_int_equal(filter.levels, 0);
    assert_int_equal(filter_entry(&filter, &entry, &scratch, NULL), 0);
    filter_finish(&filter);
}

static void passes_on_that_an_expression_is_too_costly(void **state) {
    (void)state;
    struct filter filter;
    struct error error;
    struct buffer scratch = BUFFER_EMPTY;
    struct entry entry = sample();
    struct text costly = TEXT_LITERAL("(a+)+$");
    char message[5000];
    memset(message, 'a', sizeof(message));
    message[sizeof(message) - 1] = 'b';
    entry.message = (struct text) { message, sizeof(message) };
    filter_init(&filter);
    assert_int_equal(filter_add_line(&filter, true, true, &costly, 1, NULL), 0);
    assert_int_equal(filter_entry(&filter, &entry, &scratch, &error), -E2BIG);
    filter_finish(&filter);
}

static void keeps_the_filter_as_it_was_when_a_condition_is_refused(void **state) {
    (void)state;
    struct filter filter;
    struct text bad[] = { TEXT_LITERAL("fine"), TEXT_LITERAL("(") };
    filter_init(&filter);
    assert_int_equal(filter_add_matcher(&filter, TEXT_LITERAL("service"), FILTER_MATCH, TEXT_LITERAL("("), NULL),
                     -EINVAL);
    assert_int_equal(filter_add_matcher(&filter, TEXT_LITERAL("user_id"), FILTER_EQUAL, TEXT_LITERAL("x"), NULL),
                     -EINVAL);
    assert_int_equal(filter_add_line(&filter, false, true, bad, 2, NULL), -EINVAL);
    assert_int_equal(filter.matcher_count + filter.line_count, 0);
    assert_int_equal(filter.levels, FILTER_ALL_LEVELS);
    filter_finish(&filter);
}

static void is_countable_with_time_level_and_service_alone(void **state) {
    (void)state;
    struct filter filter;
    struct text line = TEXT_LITERAL("x");
    filter_init(&filter);
    filter_set_level(&filter, LEVEL_ERROR);
    assert_int_equal(filter_add_matcher(&filter, TEXT_LITERAL("service"), FILTER_MATCH, TEXT_LITERAL("q.*"), NULL), 0);
    assert_true(filter_is_countable(&filter));
    assert_int_equal(filter_service(&filter, TEXT_LITERAL("queue"), NULL), 1);
    assert_int_equal(filter_service(&filter, TEXT_LITERAL("mail"), NULL), 0);
    assert_int_equal(filter_add_line(&filter, false, false, &line, 1, NULL), 0);
    assert_false(filter_is_countable(&filter));
    filter_finish(&filter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_each_field),
        cmocka_unit_test(judges_time_as_a_half_open_range),
        cmocka_unit_test(narrows_levels_and_widens_services),
        cmocka_unit_test(passes_on_that_an_expression_is_too_costly),
        cmocka_unit_test(keeps_the_filter_as_it_was_when_a_condition_is_refused),
        cmocka_unit_test(is_countable_with_time_level_and_service_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
