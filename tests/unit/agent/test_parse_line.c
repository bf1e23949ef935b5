/* Lines of files and stdin: text, syslog's file form, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/inputs/parse_level.h"
#include "agent/inputs/parse_line.h"
#include "agent/inputs/parse_time.h"
#include "common/base/check.h"
#include "common/base/clock.h"

static const uint64_t now = UINT64_C(1795457700) * 1000000000; /* 2026-11-23T18:15:00Z */
static struct parse_scratch scratch;

static uint64_t time_of(const char *text) {
    uint64_t ns = 0;
    assert_int_equal(clock_parse(text, strlen(text), &ns), 0);
    return ns;
}

static void assert_text(struct text text, const char *expected) {
    if (!text_is(text, expected))
        fail_msg("\"%.*s\" is not \"%s\"", TEXT_FORMAT(text), expected);
}

/* Metadata as JSON, "" where there is none. */
static const char *metadata(const struct parsed *parsed) {
    static char out[4096];
    struct buffer buffer = BUFFER_EMPTY;
    out[0] = '\0';
    if (parsed->entry.metadata.length > 0) {
        assert_int_equal(pack_check(parsed->entry.metadata), 0);
        pack_append_json(&buffer, parsed->entry.metadata);
        snprintf(out, sizeof(out), "%.*s", TEXT_FORMAT(buffer_text(&buffer)));
    }
    buffer_finish(&buffer);
    return out;
}

static void parse(enum config_format format, const char *line, struct parsed *ret) {
    parse_line(format, text_of(line), now, &scratch, ret);
}

static void reads_leading_timestamps(void **state) {
    (void)state;
    static const struct {
        const char *line, *time;
        size_t taken;
    } cases[] = {
        { "2026-11-23T15:04:05Z x", "2026-11-23T15:04:05Z", 20 },
        { "2026-11-23T15:04:05.123456789+07:00 x", "2026-11-23T08:04:05.123456789Z", 35 },
        { "2026-11-23 15:04:05,123 INFO", "2026-11-23T15:04:05.123Z", 23 },
        { "2026-11-23 15:04:05 +0700 x", "2026-11-23T08:04:05Z", 25 },
        { "[2026-11-23 15:04:05.5] x", "2026-11-23T15:04:05.5Z", 23 },
        { "2026/11/23 15:04:05 [error]", "2026-11-23T15:04:05Z", 19 },
        { "Nov 23 15:04:05 host", "2026-11-23T15:04:05Z", 15 },
        { "Dec 25 15:04:05 host", "2025-12-25T15:04:05Z", 15 },
        { "Jun  1 01:02:03 host", "2026-06-01T01:02:03Z", 15 },
        { "[Sun Dec 04 04:47:44 2005] [notice]", "2005-12-04T04:47:44Z", 26 },
        { "Sun Dec 04 04:47:44.250 2005 x", "2005-12-04T04:47:44.25Z", 28 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t ns = 0;
        size_t taken = parse_time_leading(text_of(cases[i].line), now, &ns);
        if (ns != time_of(cases[i].time))
            fail_msg("%s: %llu", cases[i].line, (unsigned long long)ns);
        assert_int_equal(taken, cases[i].taken);
    }
}

static void takes_nothing_for_a_timestamp_that_is_none(void **state) {
    (void)state;
    static const char *const lines[] = { "",
                                         "[",
                                         "2026",
                                         "2026-13-01 00:00:00",
                                         "2026-02-30 25:00:00",
                                         "2026-11-23 15:04:0",
                                         "2026-11-23T15:04:05abc",
                                         "[2026-11-23 15:04:05",
                                         "1969-11-23 15:04:05",
                                         "9999-11-23 15:04:05",
                                         "Nov 31 99:00:00",
                                         "Nov",
                                         "Foo 11 11:11:11",
                                         "Sun Dec 04 04:47:44",
                                         "20261123 150405" };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        uint64_t ns = 7;
        assert_int_equal(parse_time_leading(text_of(lines[i]), now, &ns), 0);
        assert_int_equal(ns, 7);
    }
}

static void finds_a_level_that_stands_out(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int level; /* -1: none */
    } cases[] = {
        { "ERROR something", LEVEL_ERROR },
        { "081109 203615 148 INFO dfs.DataNode", LEVEL_INFO },
        { " - WARN  [QuorumPeer] - x", LEVEL_WARN },
        { "[error] mod_jk child", LEVEL_ERROR },
        { "[core:error] [pid 7]", LEVEL_ERROR },
        { "<warn>: x", LEVEL_WARN },
        { "error: no such file", LEVEL_ERROR },
        { "Warning: x", LEVEL_WARN },
        { "DEBUG: x", LEVEL_DEBUG },
        { "ts=1 level=error msg=x", LEVEL_ERROR },
        { "level=\"warn\" msg=x", LEVEL_WARN },
        { "FATAL x", LEVEL_CRITICAL },
        { "the error is here", -1 },
        { "no error: here", -1 },
        { "Error handling in Java", -1 },
        { "a b c d e f g ERROR", -1 },
        { "", -1 },
        { "[]", -1 },
        { ":", -1 },
        { "TERROR", -1 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum level level = LEVEL_TRACE;
        bool found = parse_level_early(text_of(cases[i].line), &level);
        if (found != (cases[i].level >= 0) || (found && (int)level != cases[i].level))
            fail_msg("%s: %d %s", cases[i].line, found, level_name(level));
    }
}

static void keeps_a_text_line_whole(void **state) {
    (void)state;
    struct parsed parsed;
    parse(CONFIG_FORMAT_AUTO, "2015-07-29 17:41:44,747 - WARN  [Quorum] - time out", &parsed);
    assert_text(parsed.entry.message, "2015-07-29 17:41:44,747 - WARN  [Quorum] - time out");
    assert_int_equal(parsed.entry.level, LEVEL_WARN);
    assert_int_equal(parsed.entry.timestamp_ns, time_of("2015-07-29T17:41:44.747Z"));
    assert_int_equal(parsed.repaired, 0);
    parse(CONFIG_FORMAT_TEXT, "{\"a\":1}", &parsed);
    assert_text(parsed.entry.message, "{\"a\":1}");
    assert_false(parsed.is_json);
}

static void reads_syslogs_file_form(void **state) {
    (void)state;
    static const struct {
        const char *line, *service, *message, *metadata;
    } cases[] = {
        { "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure", "sshd(pam_unix)",
          "authentication failure", "{\"host\":\"combo\",\"procid\":\"19939\"}" },
        { "2026-11-23T15:04:05.123456+07:00 vm kernel: [1.5] ready", "kernel", "[1.5] ready", "{\"host\":\"vm\"}" },
        { "Nov 23 15:04:05 vm cron[7]:", "cron", "", "{\"host\":\"vm\",\"procid\":\"7\"}" },
    };
    struct parsed parsed;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        parse(CONFIG_FORMAT_AUTO, cases[i].line, &parsed);
        assert_text(parsed.entry.service, cases[i].service);
        assert_text(parsed.entry.message, cases[i].message);
        assert_string_equal(metadata(&parsed), cases[i].metadata);
        assert_true(parsed.service_is_a_tag && parsed.entry.timestamp_ns != 0);
    }
}

static void takes_no_other_text_for_syslog(void **state) {
    (void)state;
    static const char *const lines[] = {
        "2026-11-23 15:04:05 INFO main: hello",
        "2026-11-23T15:04:05Z INFO main: hello",
        "2026-11-23T15:04:05 a main: hello",
        "Nov 23 15:04:05 combo last message repeated 5 times",
        "Nov 23 15:04:05",
        "Nov 23 15:04:05 a[b]: c",
    };
    struct parsed parsed;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        parse(CONFIG_FORMAT_AUTO, lines[i], &parsed);
        assert_text(parsed.entry.message, lines[i]);
        assert_false(parsed.service_is_a_tag);
    }
}

static void reads_json_fields_by_any_of_their_names(void **state) {
    (void)state;
    static const struct {
        const char *line;
        enum level level;
        const char *message, *service, *metadata, *time; /* time NULL: none */
        unsigned repaired;
    } cases[] = {
        { "{\"msg\":\"m\",\"severity\":\"WARNING\",\"service\":\"s\"}", LEVEL_WARN, "m", "s", "", NULL, 0 },
        { "{\"message\":\"m\",\"msg\":\"n\",\"level\":3}", LEVEL_ERROR, "m", "", "{\"msg\":\"n\"}", NULL, 0 },
        { "{\"message\":\"m\",\"level\":\"30\"}", LEVEL_INFO, "m", "", "", NULL, 0 },
        { "{\"message\":\"m\",\"level\":17}", LEVEL_ERROR, "m", "", "", NULL, 0 },
        { "{\"message\":\"m\",\"level\":\"loud\"}", LEVEL_INFO, "m", "", "{\"level\":\"loud\"}", NULL,
          ENTRY_REPAIR_LEVEL },
        { "{\"message\":\"m\",\"level\":null}", LEVEL_INFO, "m", "", "", NULL, 0 },
        { "{\"message\":\"m\",\"time\":\"2026-11-23T15:04:05Z\"}", LEVEL_INFO, "m", "", "", "2026-11-23T15:04:05Z", 0 },
        { "{\"message\":\"m\",\"ts\":1700000000.5}", LEVEL_INFO, "m", "", "", "2023-11-14T22:13:20.5Z", 0 },
        { "{\"message\":\"m\",\"@timestamp\":1700000000123}", LEVEL_INFO, "m", "", "", "2023-11-14T22:13:20.123Z", 0 },
        { "{\"message\":\"m\",\"ts\":1700000000123456}", LEVEL_INFO, "m", "", "", "2023-11-14T22:13:20.123456Z", 0 },
        { "{\"message\":\"m\",\"ts\":1700000000123456789}", LEVEL_INFO, "m", "", "", "2023-11-14T22:13:20.123456789Z",
          0 },
        { "{\"message\":\"m\",\"timestamp\":\"soon\",\"ts\":\"1700000000\"}", LEVEL_INFO, "m", "",
          "{\"timestamp\":\"soon\"}", "2023-11-14T22:13:20Z", 0 },
        { "{\"message\":{\"a\":1}}", LEVEL_INFO, "{\"a\":1}", "", "", NULL, 0 },
        { "{\"a\":1}", LEVEL_INFO, "{\"a\":1}", "", "{\"a\":1}", NULL, 0 },
        { "{\"message\":\"\"}", LEVEL_INFO, "", "", "", NULL, 0 },
        { "{\"message\":\"m\",\"metadata\":{\"a\":1,\"b\":2},\"b\":3}", LEVEL_INFO, "m", "",
          "{\"a\":1,\"b\":2,\"b_\":3}", NULL, 0 },
        { "{\"message\":\"m\",\"metadata\":7}", LEVEL_INFO, "m", "", "{\"metadata\":7}", NULL, 0 },
        { "{\"message\":\"m\",\"id\":\"x\",\"host\":\"h\",\"pid\":4}", LEVEL_INFO, "m", "",
          "{\"id\":\"x\",\"host\":\"h\",\"pid\":4}", NULL, 0 },
        { "{\"message\":\"m\",\"user_id\":\"nobody\"}", LEVEL_INFO, "m", "", "{\"user_id\":\"nobody\"}", NULL,
          ENTRY_REPAIR_ID },
        { "{\"message\":\"m\",\"trace_id\":5}", LEVEL_INFO, "m", "", "{\"trace_id\":5}", NULL, 0 },
    };
    struct parsed parsed;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        parse(CONFIG_FORMAT_JSON, cases[i].line, &parsed);
        if (parsed.entry.level != cases[i].level || parsed.repaired != cases[i].repaired || !parsed.is_json)
            fail_msg("%s: %s %u", cases[i].line, level_name(parsed.entry.level), parsed.repaired);
        assert_text(parsed.entry.message, cases[i].message);
        assert_text(parsed.entry.service, cases[i].service);
        assert_string_equal(metadata(&parsed), cases[i].metadata);
        uint64_t expected = cases[i].time ? time_of(cases[i].time) : 0;
        if (parsed.entry.timestamp_ns / 1000 != expected / 1000) /* doubles keep microseconds */
            fail_msg("%s: %llu", cases[i].line, (unsigned long long)parsed.entry.timestamp_ns);
    }
}

static void reads_ids_and_error_details(void **state) {
    (void)state;
    struct parsed parsed;
    parse(CONFIG_FORMAT_AUTO,
          " {\"message\":\"m\",\"level\":\"error\",\"module\":\"a\",\"operation\":\"b\",\"trace_id\":\"t\","
          "\"span_id\":\"s\",\"correlation_id\":\"c\",\"user_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\","
          "\"organization_id\":\"01890A5DAC96774BBCCEB302099A8057\",\"error_details\":[1]} ",
          &parsed);
    assert_text(parsed.entry.module, "a");
    assert_text(parsed.entry.operation, "b");
    assert_text(parsed.entry.trace_id, "t");
    assert_text(parsed.entry.span_id, "s");
    assert_text(parsed.entry.correlation_id, "c");
    assert_true(uuid_equal(&parsed.entry.user_id, &parsed.entry.organization_id));
    assert_false(uuid_is_zero(&parsed.entry.user_id));
    assert_memory_equal(parsed.entry.error_details.data, "\x91\x01", 2);
    assert_int_equal(parsed.entry.metadata.length, 0);
}

static void takes_broken_json_as_marked_text(void **state) {
    (void)state;
    static const struct {
        enum config_format format;
        const char *line;
        unsigned repaired;
    } cases[] = {
        { CONFIG_FORMAT_JSON, "{\"a\":", ENTRY_REPAIR_JSON },
        { CONFIG_FORMAT_JSON, "plain", ENTRY_REPAIR_JSON },
        { CONFIG_FORMAT_JSON, "[1]", ENTRY_REPAIR_JSON },
        { CONFIG_FORMAT_JSON, "{}x", ENTRY_REPAIR_JSON },
        { CONFIG_FORMAT_AUTO, "{ \"a\":1", ENTRY_REPAIR_JSON },
        { CONFIG_FORMAT_AUTO, "{a} is a set", 0 },
        { CONFIG_FORMAT_AUTO, "{", 0 },
        { CONFIG_FORMAT_TEXT, "{\"a\":", 0 },
    };
    struct parsed parsed;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        parse(cases[i].format, cases[i].line, &parsed);
        assert_text(parsed.entry.message, cases[i].line);
        assert_int_equal(parsed.repaired, cases[i].repaired);
    }
}

static void keeps_huge_metadata_apart_rather_than_merging_it_slowly(void **state) {
    (void)state;
    struct buffer line = BUFFER_EMPTY;
    struct parsed parsed;
    buffer_append_string(&line, "{\"message\":\"m\",\"metadata\":{\"a\":1");
    for (int i = 0; i < 2000; i++)
        buffer_append_format(&line, ",\"k%d\":1", i);
    buffer_append_char(&line, '}');
    for (int i = 0; i < 2000; i++)
        buffer_append_format(&line, ",\"k%d\":1", i);
    buffer_append_char(&line, '}');
    parse_line(CONFIG_FORMAT_JSON, buffer_text(&line), now, &scratch, &parsed);
    assert_text(parsed.entry.message, "m");
    struct pack_value value;
    assert_int_equal(pack_find(parsed.entry.metadata, TEXT_LITERAL("metadata"), &value), 1);
    assert_int_equal(value.count, 2001);
    buffer_finish(&line);
}

/* Real lines, where they are: each has a message, and each of a format known to carry one has a timestamp. */
static void reads_the_lines_of_loghub(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t with_time, with_tag;
    } files[] = { { "Apache", 2000, 0 },   { "Zookeeper", 2000, 0 },  { "Hadoop", 2000, 0 },
                  { "Linux", 2000, 1998 }, { "OpenSSH", 2000, 2000 }, { "HDFS", 0, 0 } };
    const char *corpora = getenv("TASKFORGE_CORPORA");
    char path[512];
    snprintf(path, sizeof(path), "%s/loghub/Linux.log", corpora ? corpora : "../shared/data");
    FILE *file = fopen(path, "r");
    if (!file)
        skip();
    fclose(file);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        snprintf(path, sizeof(path), "%s/loghub/%s.log", corpora ? corpora : "../shared/data", files[i].name);
        file = fopen(path, "r");
        assert_non_null(file);
        char *line = NULL;
        size_t size = 0, times = 0, tags = 0, lines = 0;
        for (ssize_t length; (length = getline(&line, &size, file)) > 0; lines++) {
            struct parsed parsed;
            parse_line(CONFIG_FORMAT_AUTO, (struct text) { line, strcspn(line, "\r\n") }, now, &scratch, &parsed);
            times += parsed.entry.timestamp_ns != 0;
            tags += parsed.service_is_a_tag;
            assert_true(parsed.entry.message.length > 0 || parsed.service_is_a_tag);
        }
        free(line);
        fclose(file);
        assert_int_equal(lines, 2000);
        assert_in_range(times, files[i].with_time - files[i].with_time / 10, 2000);
        assert_in_range(tags, files[i].with_tag - files[i].with_tag / 10, 2000);
    }
}

static int finish(void **state) {
    (void)state;
    parse_scratch_finish(&scratch);
    return 0;
}

int main(void) {
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_leading_timestamps),
        cmocka_unit_test(takes_nothing_for_a_timestamp_that_is_none),
        cmocka_unit_test(finds_a_level_that_stands_out),
        cmocka_unit_test(keeps_a_text_line_whole),
        cmocka_unit_test(reads_syslogs_file_form),
        cmocka_unit_test(takes_no_other_text_for_syslog),
        cmocka_unit_test(reads_json_fields_by_any_of_their_names),
        cmocka_unit_test(reads_ids_and_error_details),
        cmocka_unit_test(takes_broken_json_as_marked_text),
        cmocka_unit_test(keeps_huge_metadata_apart_rather_than_merging_it_slowly),
        cmocka_unit_test(reads_the_lines_of_loghub),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
