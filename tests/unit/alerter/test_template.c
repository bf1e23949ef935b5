#include "alerter/template.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct alert_pairs labels(void) {
    struct alert_pairs pairs = ALERT_PAIRS_EMPTY;

    assert_int_equal(alert_pairs_set(&pairs, TEXT_LITERAL("queue"), TEXT_LITERAL("mail {{ $value }} é")), 0);
    assert_int_equal(alert_pairs_set(&pairs, TEXT_LITERAL("size"), TEXT_LITERAL("2048")), 0);
    return pairs;
}

static void expands_to(const char *template, double value, const char *expected) {
    struct alert_pairs pairs = labels();
    struct buffer out = BUFFER_EMPTY;
    struct error error;

    if (alert_template_check(text_of(template), &error) < 0)
        fail_msg("%s: %s", template, error.text);
    alert_template_expand(text_of(template), value, &pairs, &out);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_finish(&out);
    alert_pairs_finish(&pairs);
}

static void text_without_braces_stays_as_it_is(void **state) {
    (void)state;
    expands_to("", 1, "");
    expands_to("100 % } of } {x} $value", 1, "100 % } of } {x} $value");
}

static void values_and_labels_are_put_in(void **state) {
    (void)state;
    expands_to("{{ $value }} errors", 12, "12 errors");
    expands_to("{{.Value}}{{$value}}", 0.5, "0.50.5");
    expands_to("<{{ $labels.queue }}|{{ .Labels.size }}|{{ $labels.none }}>", 1, "<mail {{ $value }} é|2048|>");
    expands_to("a  {{- $value -}}  b {{- $value }} c", 1, "a1b1 c");
    expands_to("{{ $value -}}\n {{ $value }}", -1, "-1-1");
}

static void numbers_look_as_prometheus_prints_them(void **state) {
    static const struct {
        double value;
        const char *expected;
    } cases[] = {
        { 0, "0" },
        { 1, "1" },
        { -2.5, "-2.5" },
        { 0.1, "0.1" },
        { 1.0 / 3, "0.3333333333333333" },
        { 123456, "123456" },
        { 999999, "999999" },
        { 1000000, "1e+06" },
        { 1234567, "1.234567e+06" },
        { 0.0001, "0.0001" },
        { 0.00001, "1e-05" },
        { 100, "100" },
        { NAN, "NaN" },
        { INFINITY, "+Inf" },
        { -INFINITY, "-Inf" },
        { 5e-324, "5e-324" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expands_to("{{ $value }}", cases[i].value, cases[i].expected);
}

static void functions_give_what_prometheus_gives(void **state) {
    static const struct {
        const char *template;
        double value;
        const char *expected;
    } cases[] = {
        { "{{ $value | humanize }}", 1234567, "1.235M" },
        { "{{ humanize $value }}", 0.0042, "4.2m" },
        { "{{ humanize $value }}", 0, "0" },
        { "{{ humanize $value }}", INFINITY, "+Inf" },
        { "{{ humanize $value }}", -999, "-999" },
        { "{{ humanize $value }}", 1e30, "1e+06Y" },
        { "{{ humanize $value }}", 1e-30, "1e-06y" },
        { "{{ humanize1024 $labels.size }}", 0, "2ki" },
        { "{{ humanize1024 $value }}", 1.0, "1" },
        { "{{ humanize1024 $value }}", NAN, "NaN" },
        { "{{ humanize $labels.none }}", 0, "" },
        { "{{ humanizePercentage $value }}", 0.1234567, "12.35%" },
        { "{{ humanizePercentage $labels.queue }}", 0, "mail {{ $value }} é" },
        { "{{ humanizeDuration $value }}", 0, "0s" },
        { "{{ humanizeDuration $value }}", 0.0125, "12.5ms" },
        { "{{ humanizeDuration $value }}", 59.5, "59.5s" },
        { "{{ humanizeDuration $value }}", 61, "1m 1s" },
        { "{{ humanizeDuration $value }}", -3600, "-1h 0m 0s" },
        { "{{ humanizeDuration $value }}", 90061, "1d 1h 1m 1s" },
        { "{{ humanizeDuration $value }}", NAN, "NaN" },
        { "{{ $labels.queue | title }}", 0, "Mail {{ $value }} é" },
        { "{{ $labels.queue | toUpper | toLower }}", 0, "mail {{ $value }} é" },
        { "{{ toUpper $value }}", 1e-9, "1E-09" },
        { "{{ $labels.queue | toUpper }}", 0, "MAIL {{ $VALUE }} é" },
        { "{{ printf \"%.2f\" $value }}", 2.0 / 3, "0.67" },
        { "{{ $value | printf `%5.1f %%|` }}", 1, "  1.0 %|" },
        { "{{ printf \"%% %+.1e\" $value }}", 12345, "% +1.2e+04" },
        { "{{ printf \"%s and %%\" $labels.queue }}", 0, "mail {{ $value }} é and %" },
        { "{{ printf \"%v\" $value }}", 1e6, "1e+06" },
        { "{{ printf \"%.0f\" $labels.size }}", 0, "2048" },
        { "{{ printf \"%.0f\" $labels.queue }}", 0, "mail {{ $value }} é" },
        { "{{ printf \"%.0f\" $value }}", -INFINITY, "-Inf" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expands_to(cases[i].template, cases[i].value, cases[i].expected);
}

static void faults_say_where_and_what(void **state) {
    static const struct {
        const char *template;
        const char *part;
    } cases[] = {
        { "é {{ $value", "character 12: a {{ without its }}" },
        { "{{ }}", "character 4: expected $value or $labels.NAME" },
        { "{{", "character 3: expected $value" },
        { "{{ value }}", "queries" },
        { "{{ if $value }}x{{ end }}", "conditions" },
        { "{{ range query \"up\" }}", "loops" },
        { "{{ $externalLabels.site }}", "external labels" },
        { "{{ .ExternalLabels.site }}", "external labels" },
        { "{{ $externalURL }}", "external URL" },
        { "{{ $labels }}", "write one label" },
        { "{{ $labels. }}", "no label name" },
        { "{{ $labels.a.b }}", "no label name: \"$labels.a.b\"" },
        { "{{ $labels.0a }}", "no label name" },
        { "{{ $labels.a-b }}", "expected | or }}" },
        { "{{ $value | shout }}", "there is no function \"shout\"" },
        { "{{ $value | $value }}", "only a function" },
        { "{{ $value | }}", "behind the |" },
        { "{{ humanize }}", "expected $value" },
        { "{{ humanize humanize }}", "expected $value" },
        { "{{ humanize $labels }}", "write one label" },
        { "{{ $value $value }}", "expected | or }}" },
        { "{{ printf $value }}", "needs a format" },
        { "{{ printf \"%f", "does not end" },
        { "{{ printf \"\\n%f\" $value }}", "no backslash" },
        { "{{ printf \"x\" $value }}", "no verb" },
        { "{{ printf \"%f%f\" $value }}", "more than one verb" },
        { "{{ printf \"%n\" $value }}", "other than" },
        { "{{ printf \"%\" $value }}", "other than" },
        { "{{ printf \"%100f\" $value }}", "more than two digits" },
        { "{{ printf \"%.100f\" $value }}", "more than two digits" },
        { "{{ printf \"%++++++++++++++++f\" $value }}", "other than" },
        { "{{ $value | humanize | humanize | humanize | humanize | humanize | humanize | humanize | humanize | "
          "humanize }}",
          "too many" },
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (alert_template_check(text_of(cases[i].template), &error) != -22)
            fail_msg("%s was taken", cases[i].template);
        if (!strstr(error.text, cases[i].part) || strncmp(error.text, "character ", 10) != 0)
            fail_msg("%s: %s", cases[i].template, error.text);
    }
}

static void what_grows_beyond_the_limit_is_cut_between_characters(void **state) {
    struct alert_pairs pairs = ALERT_PAIRS_EMPTY;
    struct buffer value = BUFFER_EMPTY, template = BUFFER_EMPTY, out = BUFFER_EMPTY;
    struct error error;

    (void)state;
    buffer_append_string(&value, "x");
    while (value.length < 20000)
        buffer_append_string(&value, "é");
    assert_int_equal(alert_pairs_set(&pairs, TEXT_LITERAL("l"), buffer_text(&value)), 0);
    while (template.length < ALERT_TEMPLATE_MAX - 20)
        buffer_append_string(&template, "{{ $labels.l }}");
    assert_int_equal(alert_template_check(buffer_text(&template), &error), 0);
    alert_template_expand(buffer_text(&template), 0, &pairs, &out);
    assert_int_equal(out.length, ALERT_TEMPLATE_RESULT_MAX - 1);
    assert_true(text_utf8_valid(buffer_text(&out)));
    assert_true(out.capacity < 100000);
    buffer_append(&template, "                    ", 20);
    assert_int_equal(alert_template_check(buffer_text(&template), &error), -22);
    buffer_clear(&out);
    alert_template_expand(buffer_text(&template), 0, &pairs, &out);
    assert_int_equal(out.length, 0);
    buffer_finish(&value);
    buffer_finish(&template);
    buffer_finish(&out);
    alert_pairs_finish(&pairs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_without_braces_stays_as_it_is),
        cmocka_unit_test(values_and_labels_are_put_in),
        cmocka_unit_test(numbers_look_as_prometheus_prints_them),
        cmocka_unit_test(functions_give_what_prometheus_gives),
        cmocka_unit_test(faults_say_where_and_what),
        cmocka_unit_test(what_grows_beyond_the_limit_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
