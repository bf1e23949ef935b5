#include "alerter/rules_file.h"

#include "common/base/check.h"
#include "common/base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MINUTE (60 * CLOCK_SECOND)

static struct rules *loaded(const char *text) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct rules *rules = NULL;
    int result = rules_load_text("r.yaml", text, strlen(text), &rules, &faults);
    for (size_t i = 0; i < faults.count; i++)
        print_error("%s\n", faults.lines[i]);
    assert_int_equal(result, 0);
    return rules;
}

static void refused(const char *text, const char *line) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct rules *rules = NULL;
    assert_int_equal(rules_load_text("r.yaml", text, strlen(text), &rules, &faults), -EINVAL);
    assert_null(rules);
    for (size_t i = 1; i < faults.count; i++)
        print_error("also: %s\n", faults.lines[i]);
    assert_int_equal(faults.count, 1);
    assert_string_equal(faults.lines[0], line);
    config_faults_finish(&faults);
}

#define HOOK "channels: [{ name: hook, type: webhook, url: \"http://127.0.0.1:9000/alert\" }]\n"
#define LOG_CONDITION "condition: { log: { time_window: 5m } }"

static void the_contracts_rules_are_read(void **state) {
    (void)state;
    struct rules *rules = loaded(
        "channels:\n"
        "  - name: mail\n    type: email\n    smtp_url: \"smtp://127.0.0.1:25\"\n    from: a@example.org\n"
        "    recipients: [b@example.org, c@example.org]\n    starttls: true\n    username: u\n    password_file: "
        "/etc/p\n"
        "  - { name: hook, type: webhook, url: \"http://127.0.0.1:9000/alert\", format: taskforge }\n"
        "default_channels: [hook]\n"
        "repeat_interval: 4h\n"
        "rules:\n"
        "  - id: many-errors\n    name: Many errors in the queue service\n    severity: critical\n"
        "    condition: { log: { level: error, service: queue, count_threshold: 10, time_window: 5m } }\n"
        "    channels: [hook, mail]\n    cooldown_period: 15m\n"
        "    annotations: { summary: \"{{ $value }} errors\", runbook_url: \"https://wiki.example/queue\" }\n"
        "  - id: deep-queue\n    name: Queue is deep\n    severity: warning\n"
        "    condition: { metric: { name: queue_depth, operator: \">\", threshold: 100, labels: { queue: mail } } }\n"
        "    for: 1m\n    keep_firing_for: 2m\n    resolve_threshold: 80\n    no_data: keep\n"
        "  - id: silent-billing\n    name: Billing says nothing\n    severity: error\n"
        "    condition: { silence: { service: billing, time_window: 10m } }\n");
    assert_int_equal(rules->channel_count, 2);
    const struct channel_config *mail = rules_channel(rules, "mail");
    assert_int_equal(mail->type, CHANNEL_EMAIL);
    assert_int_equal(mail->recipient_count, 2);
    assert_string_equal(mail->recipients[1], "c@example.org");
    assert_true(mail->starttls);
    assert_string_equal(mail->password_file, "/etc/p");
    assert_string_equal(rules_channel(rules, "hook")->url, "http://127.0.0.1:9000/alert");
    assert_int_equal(rules->repeat_interval_ns, 240 * MINUTE);

    assert_int_equal(rules->rule_count, 3);
    const struct rule *log = rules_find(rules, "many-errors");
    assert_int_equal(log->kind, RULE_LOG);
    assert_int_equal(log->severity, ALERT_CRITICAL);
    assert_int_equal(log->log.level, LEVEL_ERROR);
    assert_int_equal(log->log.count_threshold, 10);
    assert_int_equal(log->log.time_window_ns, 5 * MINUTE);
    assert_int_equal(log->log.filter.levels, 1u << LEVEL_ERROR);
    assert_int_equal(log->cooldown_ns, 15 * MINUTE);
    assert_int_equal(rules_channels_of(rules, log)->count, 2);
    assert_string_equal(alert_pairs_get(&log->annotations, "summary"), "{{ $value }} errors");

    const struct rule *metric = rules_find(rules, "deep-queue");
    assert_int_equal(metric->metric.operator, RULE_GREATER);
    assert_true(metric->metric.threshold == 100);
    assert_string_equal(alert_pairs_get(&metric->metric.labels, "queue"), "mail");
    assert_int_equal(metric->for_ns, MINUTE);
    assert_int_equal(metric->keep_firing_ns, 2 * MINUTE);
    assert_true(metric->has_resolve_threshold && metric->resolve_threshold == 80);
    assert_int_equal(rules_channels_of(rules, metric)->count, 1);
    assert_string_equal(rules_channels_of(rules, metric)->items[0], "hook");

    const struct rule *silence = rules_find(rules, "silent-billing");
    assert_int_equal(silence->kind, RULE_SILENCE);
    assert_string_equal(silence->silence.service, "billing");
    rules_destroy(rules);
}

static void an_empty_file_has_no_rules(void **state) {
    static const char *const texts[] = { "", "# nothing\n", "rules:\nchannels:\n", "rules: []\n" };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct rules *rules = loaded(texts[i]);
        assert_int_equal(rules->rule_count + rules->channel_count, 0);
        rules_destroy(rules);
    }
}

static void operators_may_be_words(void **state) {
    static const struct {
        const char *word;
        int operator;
    } words[] = { { "greater_than", RULE_GREATER }, { "less_than", RULE_LESS }, { "equal", RULE_EQUAL },
                  { "not_equal", RULE_NOT_EQUAL },  { "\"==\"", RULE_EQUAL },   { "\"!=\"", RULE_NOT_EQUAL } };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        char text[200];
        snprintf(text, sizeof(text),
                 "rules: [{ id: a, condition: { metric: { name: x, operator: %s, threshold: -1.5e3 } } }]\n",
                 words[i].word);
        struct rules *rules = loaded(text);
        assert_int_equal(rules->rules[0].metric.operator, words[i].operator);
        assert_true(rules->rules[0].metric.threshold == -1500);
        assert_int_equal(rules->rules[0].severity, ALERT_WARNING);
        assert_string_equal(rules->rules[0].name, "a");
        rules_destroy(rules);
    }
}

static void our_own_entries_count_only_where_asked_for(void **state) {
    (void)state;
    struct rules *rules =
        loaded("rules:\n"
               "  - { id: any, condition: { log: { min_level: error, time_window: 1m } } }\n"
               "  - { id: own, condition: { log: { service: taskforge, time_window: 1m } } }\n"
               "  - { id: ql, condition: { log: { filter: '{service=\"taskforge\"}', time_window: 1m } } }\n");
    const struct entry entry = { .level = LEVEL_ERROR,
                                 .service = TEXT_LITERAL("taskforge"),
                                 .message = TEXT_LITERAL("m") };
    const int expected[] = { 0, 1, 1 };
    for (size_t i = 0; i < 3; i++) {
        _cleanup_buffer_ struct buffer scratch = BUFFER_EMPTY;
        assert_int_equal(filter_entry(&rules->rules[i].log.filter, &entry, &scratch, NULL), expected[i]);
    }
    rules_destroy(rules);
}

/* 60 characters, 120 bytes. */
#define TEN "\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
#define LONG_NAME TEN TEN TEN TEN TEN TEN

static void faults_say_where_and_what(void **state) {
    static const struct {
        const char *text, *line;
    } cases[] = {
        { "rule: []\n", "r.yaml:1:1: unknown key \"rule\" at the top; did you mean \"rules\"?" },
        { "rules:\n  - id: a\n    severty: error\n    " LOG_CONDITION "\n",
          "r.yaml:3:5: unknown key \"severty\" in a rule; did you mean \"severity\"?" },
        { "rules:\n  - id: a\n    severity: loud\n    " LOG_CONDITION "\n",
          "r.yaml:3:15: severity of a rule must be one of info, warning, error, critical, not \"loud\"" },
        { "rules: [{ " LOG_CONDITION " }]\n", "r.yaml:1:9: a rule needs id" },
        { "rules: [{ id: a }]\n", "r.yaml:1:9: a rule needs condition" },
        { "rules: [{ id: a, condition: { log: {} } }]\n", "r.yaml:1:36: a log condition needs time_window" },
        { "rules: [{ id: a, condition: { log: { time_window: 5 } } }]\n",
          "r.yaml:1:51: time_window of a log condition must be a duration such as 500ms, 10s, 5m, 2h or 7d, not "
          "\"5\"" },
        { "rules: [{ id: a, condition: { log: { time_window: 5m, level: warn, min_level: warn } } }]\n",
          "r.yaml:1:36: a log condition has one of level and min_level, not both" },
        { "rules: [{ id: a, condition: { log: { time_window: 5m, count_threshold: 0 } } }]\n",
          "r.yaml:1:72: count_threshold of a log condition must be between 1 and 1000000000" },
        { "rules: [{ id: a, condition: { metric: { name: x, operator: \"~\", threshold: 1 } } }]\n",
          "r.yaml:1:60: operator of a metric condition must be one of >, <, ==, !=, >=, <=, greater_than, less_than, "
          "equal, not_equal, greater_or_equal, less_or_equal, not \"~\"" },
        { "rules: [{ id: a, condition: { metric: { name: x, operator: \">\", threshold: \"1\" } } }]\n",
          "r.yaml:1:76: threshold of a metric condition must be a number" },
        { "rules: [{ id: a, condition: { metric: { name: x, operator: \">\", threshold: .nan } } }]\n",
          "r.yaml:1:76: threshold of a metric condition must be a number" },
        { "rules: [{ id: a, condition: { silence: { time_window: 5m } } }]\n",
          "r.yaml:1:40: a silence condition needs service" },
        { "rules: [{ id: a, condition: { log: { time_window: 1m }, silence: { service: b, time_window: 1m } } }]\n",
          "r.yaml:1:29: a condition is exactly one of log, metric and silence" },
        { "rules: [{ id: a, " LOG_CONDITION ", resolve_threshold: 80 }]\n",
          "r.yaml:1:78: resolve_threshold must not be above the threshold, which is 1" },
        { "rules: [{ id: a, " LOG_CONDITION ", resolve_threshold: 0 }]\n",
          "r.yaml:1:78: resolve_threshold must be above 0: no count of entries is below it" },
        { "rules: [{ id: a, " LOG_CONDITION ", channels: [nobody] }]\n",
          "r.yaml:1:70: channels: there is no channel named \"nobody\"" },
        { "default_channels: [x]\n", "r.yaml:1:20: default_channels: there is no channel named \"x\"" },
        { "rules: [{ id: a, " LOG_CONDITION " }, { id: a, " LOG_CONDITION " }]\n",
          "r.yaml:1:61: a rule with the id \"a\" stands in r.yaml:1 already" },
        { "rules: [{ id: a, condition: { log: { time_window: 5m, filter: '{service=' } } }]\n",
          "r.yaml:1:63: filter of a log condition cannot be read: character 10: expected a value in quotes, found the "
          "end" },
        { "channels: [{ name: a, type: webhook }]\n", "r.yaml:1:12: a webhook channel needs a url" },
        { "channels: [{ name: a, type: webhook, url: \"ftp://x\" }]\n",
          "r.yaml:1:43: url of a webhook channel must be a URL such as http://127.0.0.1:9000/alert, not \"ftp://x\"" },
        { "channels: [{ name: a, type: webhook, url: \"http://x y\" }]\n",
          "r.yaml:1:43: url of a webhook channel must be a URL such as http://127.0.0.1:9000/alert, not \"http://x "
          "y\"" },
        { "channels: [{ type: webhook, url: \"http://x\" }]\n", "r.yaml:1:12: a channel needs a name" },
        { HOOK "default_channels: [hook]\ndefault_channels: []\n",
          "r.yaml:3:1: key \"default_channels\" stands here a second time; the first is in line 2" },
        { "channels: [{ name: a, type: email, smtp_url: \"smtp://h:25\", from: \"a b@x\", recipients: [b@x] }]\n",
          "r.yaml:1:67: from of an email channel must be a mail address such as a@example.org, not \"a b@x\"" },
        { "channels: [{ name: a, type: email, smtp_url: \"smtp://h:25\", from: a@x, recipients: [] }]\n",
          "r.yaml:1:84: recipients of an email channel must name at least one address" },
        { "channels: [{ name: a, type: email, smtp_url: \"smtp://h:25\", from: a@x, recipients: [\"b:c@x\"] }]\n",
          "r.yaml:1:85: recipients of an email channel must be a mail address such as a@example.org, not \"b:c@x\"" },
        { "channels: [{ name: a, type: email, smtp_url: \"smtp://h:25\", from: a@x, recipients: [b@x], username: u, "
          "password: "
          "p }]\n",
          "r.yaml:1:12: the password would go over the network in clear: set starttls: true, or write smtps://" },
        { "channels: [{ name: a, type: webhook, url: \"http://h:port/\" }]\n",
          "r.yaml:1:43: url of a webhook channel must be a URL such as http://127.0.0.1:9000/alert, not "
          "\"http://h:port/\"" },
        { "channels: [{ name: " LONG_NAME ", type: webhook, url: \"http://x\" }]\n",
          "r.yaml:1:20: name of a webhook channel must have at most 100 bytes" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refused(cases[i].text, cases[i].line);
}

static void what_is_not_built_is_refused_by_name(void **state) {
    static const struct {
        const char *text, *line;
    } cases[] = {
        { "groups: []\n", "r.yaml:1:1: groups is not built yet" },
        { "group_by: [a]\n", "r.yaml:1:1: group_by is not built yet" },
        { "group_wait: 30s\n", "r.yaml:1:1: group_wait is not built yet" },
        { "group_interval: 5m\n", "r.yaml:1:1: group_interval is not built yet" },
        { "inhibit_rules: []\n", "r.yaml:1:1: inhibit_rules is not built yet" },
        { "mute_time_intervals: []\n", "r.yaml:1:1: mute_time_intervals is not built yet" },
        { "rules: [{ id: a, condition: { query: \"up == 0\" } }]\n",
          "r.yaml:1:31: query of a condition is not built yet" },
        { "channels: [{ name: a, type: slack, webhook_url_file: /x }]\n",
          "r.yaml:1:29: channels of type slack are not built yet" },
        { "channels: [{ name: a, type: pagerduty }]\n", "r.yaml:1:29: channels of type pagerduty are not built yet" },
        { "channels: [{ name: a, type: alertmanager }]\n",
          "r.yaml:1:29: channels of type alertmanager are not built yet" },
        { "channels: [{ name: a, type: webhook, url: \"http://x\", format: alertmanager }]\n",
          "r.yaml:1:63: format of a webhook channel \"alertmanager\" is not built yet" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refused(cases[i].text, cases[i].line);
}

static void a_template_that_cannot_be_expanded_is_a_fault(void **state) {
    static const char text[] = "rules: [{ id: a, " LOG_CONDITION ", annotations: { summary: \"{{ if }}\" } }]\n";
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct rules *rules = NULL;
    (void)state;
    assert_int_equal(rules_load_text("r.yaml", text, strlen(text), &rules, &faults), -EINVAL);
    assert_int_equal(faults.count, 1);
    assert_non_null(strstr(faults.lines[0], "r.yaml:1:83: the template of \"summary\": character "));
    config_faults_finish(&faults);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void rules_of_one_file_use_channels_of_another(void **state) {
    char folder[] = "/tmp/taskforge-rules-XXXXXX", a[64], b[64], line[200];
    char *items[] = { a, b };
    const struct config_strings files = { items, 2 };
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct rules *rules = NULL;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(a, sizeof(a), "%s/a.yaml", folder);
    snprintf(b, sizeof(b), "%s/b.yaml", folder);
    write_file(a, "default_channels: [hook]\nrules: [{ id: a, " LOG_CONDITION " }]\n");
    write_file(b, HOOK "rules: [{ id: b, " LOG_CONDITION ", channels: [hook] }]\n");
    assert_int_equal(rules_load(&files, &rules, &faults), 0);
    assert_int_equal(rules->rule_count, 2);
    rules_destroy(rules);

    write_file(b, HOOK "default_channels: [hook]\nrules: [{ id: a, " LOG_CONDITION " }]\n");
    assert_int_equal(rules_load(&files, &rules, &faults), -EINVAL);
    assert_int_equal(faults.count, 2);
    snprintf(line, sizeof(line), "%s:2:19: default_channels stands in %s:1 already", b, a);
    assert_string_equal(faults.lines[0], line);
    snprintf(line, sizeof(line), "%s:3:9: a rule with the id \"a\" stands in %s:2 already", b, a);
    assert_string_equal(faults.lines[1], line);
    config_faults_finish(&faults);

    unlink(b);
    assert_int_equal(rules_load(&files, &rules, &faults), -ENOENT);
    assert_int_equal(faults.count, 1);
    snprintf(line, sizeof(line), "%s: the rules file cannot be read: No such file or directory", b);
    assert_string_equal(faults.lines[0], line);
    config_faults_finish(&faults);
    unlink(a);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contracts_rules_are_read),
        cmocka_unit_test(an_empty_file_has_no_rules),
        cmocka_unit_test(operators_may_be_words),
        cmocka_unit_test(our_own_entries_count_only_where_asked_for),
        cmocka_unit_test(faults_say_where_and_what),
        cmocka_unit_test(what_is_not_built_is_refused_by_name),
        cmocka_unit_test(a_template_that_cannot_be_expanded_is_a_fault),
        cmocka_unit_test(rules_of_one_file_use_channels_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
