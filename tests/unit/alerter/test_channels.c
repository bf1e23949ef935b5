#include "alerter/channels.h"

#include "alerter/channels/mail_message.h"
#include "common/model/pack.h"
#include "sample.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char folder_template[] = "/tmp/taskforge-test-channels-XXXXXX";
static char folder[sizeof(folder_template)];

static int make_folder(void **state) {
    (void)state;
    memcpy(folder, folder_template, sizeof(folder));
    return mkdtemp(folder) ? 0 : -1;
}

static const char *secret(const char *content, size_t length) {
    static char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/secret", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, length, file), length);
    fclose(file);
    return path;
}

static int remove_folder(void **state) {
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/secret", folder);
    unlink(path);
    return rmdir(folder);
}

static bool contains(struct buffer text, const char *part) {
    return memmem(text.data, text.length, part, strlen(part)) != NULL;
}

static void assert_contains(struct buffer text, const char *part) {
    if (!contains(text, part))
        fail_msg("\"%s\" is not in:\n%.*s", part, (int)text.length, text.data);
}

/* --- webhook --- */

static struct channel_config webhook(void) {
    return (struct channel_config) { .name = (char *)"hook",
                                     .type = CHANNEL_WEBHOOK,
                                     .url = (char *)"http://127.0.0.1:1/x" };
}

static void a_webhook_body_is_the_contracts_json(void **state) {
    static const char *const keys[] = { "id",          "rule_id",   "name",    "severity",      "status",
                                        "message",     "timestamp", "details", "last_notified", "labels",
                                        "annotations", "dedup_key", "entries" };
    struct channel_config channel = webhook();
    struct alert alert = sample_alert();
    struct channel_request request;
    char room[65536];
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    struct pack_reader reader;
    struct pack_value value;
    struct error error;

    (void)state;
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error), 0);
    assert_int_equal(pack_from_json(request.message.body, &writer, &error), 0);
    reader = (struct pack_reader) { room, room + writer.length };
    assert_int_equal(pack_next(&reader, &value), 1);
    assert_int_equal(value.count, sizeof(keys) / sizeof(keys[0]));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(pack_next(&reader, &value), 1);
        assert_true(text_is(value.text, keys[i]));
        assert_int_equal(pack_next(&reader, &value), 1);
        reader.at = value.whole.data + value.whole.length;
    }
    assert_contains(request.body, "\"status\":\"active\"");
    assert_contains(request.body, "\"dedup_key\":\"many-errors:" SAMPLE_ID "\"");
    assert_contains(request.body, "\"timestamp\":\"2025-11-24T16:00:00.123456789Z\"");
    assert_string_equal(request.message.url, "http://127.0.0.1:1/x");
    assert_true(request.message.own_connection);
    assert_int_equal(request.message.header_count, 3);
    assert_string_equal(request.headers[0].value, "application/json");
    assert_string_equal(request.headers[2].name, "Idempotency-Key");
    assert_string_equal(request.headers[2].value, "many-errors:" SAMPLE_ID ":active:1764000000123");
    channel_request_finish(&request);
    alert_finish(&alert);
}

static void a_rule_id_cannot_put_a_header_in(void **state) {
    struct channel_config channel = webhook();
    struct alert alert = sample_alert();
    struct channel_request request;
    struct error error;

    (void)state;
    free(alert.rule_id);
    alert.rule_id = strdup("a\r\nX-Evil: 1");
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error), 0);
    assert_int_equal(http_check_header(&request.headers[2], &error), -EINVAL);
    channel_request_finish(&request);
    alert_finish(&alert);
}

static void answers_are_judged_by_their_status(void **state) {
    static const struct {
        enum channel_type type;
        unsigned status;
        enum channel_verdict verdict;
    } cases[] = {
        { CHANNEL_WEBHOOK, 0, CHANNEL_RETRY },       { CHANNEL_WEBHOOK, 200, CHANNEL_DELIVERED },
        { CHANNEL_WEBHOOK, 204, CHANNEL_DELIVERED }, { CHANNEL_WEBHOOK, 301, CHANNEL_REFUSED },
        { CHANNEL_WEBHOOK, 400, CHANNEL_REFUSED },   { CHANNEL_WEBHOOK, 404, CHANNEL_REFUSED },
        { CHANNEL_WEBHOOK, 408, CHANNEL_RETRY },     { CHANNEL_WEBHOOK, 429, CHANNEL_RETRY },
        { CHANNEL_WEBHOOK, 500, CHANNEL_RETRY },     { CHANNEL_WEBHOOK, 503, CHANNEL_RETRY },
        { CHANNEL_EMAIL, 0, CHANNEL_RETRY },         { CHANNEL_EMAIL, 250, CHANNEL_DELIVERED },
        { CHANNEL_EMAIL, 421, CHANNEL_RETRY },       { CHANNEL_EMAIL, 451, CHANNEL_RETRY },
        { CHANNEL_EMAIL, 535, CHANNEL_RETRY },       { CHANNEL_EMAIL, 550, CHANNEL_REFUSED },
        { CHANNEL_EMAIL, 554, CHANNEL_REFUSED },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(channel_judge(cases[i].type, &(struct http_answer) { .status = cases[i].status }),
                         cases[i].verdict);
    assert_string_equal(channel_type_name(CHANNEL_WEBHOOK), "webhook");
    assert_string_equal(channel_type_name(CHANNEL_EMAIL), "email");
}

static void what_came_in_place_of_acceptance_has_a_name(void **state) {
    static const struct {
        enum channel_type type;
        unsigned status;
        bool timed_out;
        const char *cause;
    } cases[] = {
        { CHANNEL_WEBHOOK, 0, true, "timeout" },     { CHANNEL_WEBHOOK, 0, false, "connection" },
        { CHANNEL_WEBHOOK, 101, false, "http_3xx" }, { CHANNEL_WEBHOOK, 302, false, "http_3xx" },
        { CHANNEL_WEBHOOK, 429, false, "http_4xx" }, { CHANNEL_WEBHOOK, 599, false, "http_5xx" },
        { CHANNEL_WEBHOOK, 999, false, "http_5xx" }, { CHANNEL_EMAIL, 0, true, "timeout" },
        { CHANNEL_EMAIL, 0, false, "connection" },   { CHANNEL_EMAIL, 354, false, "smtp_4xx" },
        { CHANNEL_EMAIL, 451, false, "smtp_4xx" },   { CHANNEL_EMAIL, 550, false, "smtp_5xx" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct http_answer answer = { .status = cases[i].status, .timed_out = cases[i].timed_out };

        assert_string_equal(channel_cause_name(channel_cause(cases[i].type, &answer)), cases[i].cause);
    }
    for (int i = 0; i < CHANNEL_CAUSE_COUNT; i++)
        assert_non_null(channel_cause_name((enum channel_cause)i));
}

static void secrets_are_read_from_files_and_judged(void **state) {
    static const char url[] = "https://hook.example/T0/abc \t\r\n\n";
    struct channel_config channel = webhook();
    struct alert alert = sample_alert();
    struct channel_request request;
    struct buffer out = BUFFER_EMPTY;
    char large[CHANNEL_TEXT_MAX + 100];
    struct error error;

    (void)state;
    channel.url = NULL;
    channel.url_file = (char *)secret(url, strlen(url));
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error), 0);
    assert_string_equal(request.message.url, "https://hook.example/T0/abc");
    channel_request_finish(&request);
    memset(large, 'x', sizeof(large));
    assert_int_equal(channel_read_secret(secret("", 0), &out, &error), -EINVAL);
    assert_int_equal(channel_read_secret(secret(" \n", 2), &out, &error), -EINVAL);
    assert_int_equal(channel_read_secret(secret("a\nb", 3), &out, &error), -EINVAL);
    assert_int_equal(channel_read_secret(secret("a\0b", 3), &out, &error), -EINVAL);
    assert_int_equal(channel_read_secret(secret(large, CHANNEL_TEXT_MAX + 1), &out, &error), -EINVAL);
    assert_int_equal(channel_read_secret(secret(large, sizeof(large)), &out, &error), -EINVAL);
    assert_int_equal(channel_read_secret(folder, &out, &error), -EINVAL);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(out.length, 0);
    assert_int_equal(channel_read_secret(secret(large, CHANNEL_TEXT_MAX), &out, &error), 0);
    assert_int_equal(out.length, CHANNEL_TEXT_MAX + 1);
    channel.url_file = (char *)"/nonexistent/url";
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error),
                     -ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/url"));
    channel_request_finish(&request);
    buffer_finish(&out);
    alert_finish(&alert);
}

/* --- email --- */

static struct channel_config email(void) {
    static char *recipients[] = { (char *)"b@example.org", (char *)"c@example.org" };

    return (struct channel_config) { .name = (char *)"mail",
                                     .type = CHANNEL_EMAIL,
                                     .smtp_url = (char *)"smtp://127.0.0.1:25",
                                     .from = (char *)"a@example.org",
                                     .recipients = recipients,
                                     .recipient_count = 2,
                                     .starttls = true,
                                     .username = (char *)"u" };
}

static void a_mail_says_everything_that_helps(void **state) {
    struct channel_config channel = email();
    struct alert alert = sample_alert();
    struct channel_request request;
    struct error error;

    (void)state;
    channel.password_file = (char *)secret("word\n", 5);
    alert.status = ALERT_RESOLVED;
    alert.resolved_at_ns = SAMPLE_TIME + 60 * CLOCK_SECOND;
    alert.acknowledged_by = strdup("uid:1000");
    alert.acknowledged_reason = strdup("looking");
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error), 0);
    assert_string_equal(request.message.url, "smtp://127.0.0.1:25");
    assert_string_equal(request.message.from, "a@example.org");
    assert_int_equal(request.message.recipient_count, 2);
    assert_string_equal(request.message.recipients[1], "c@example.org");
    assert_true(request.message.starttls);
    assert_string_equal(request.message.username, "u");
    assert_string_equal(request.message.password, "word");
    assert_contains(request.body, "Date: Mon, 24 Nov 2025 16:00:00 +0000\r\nFrom: <a@example.org>\r\nTo: "
                                  "<b@example.org>,\r\n <c@example.org>\r\n");
    assert_contains(request.body, "Subject: [CRITICAL] Many errors in the queue service: resolved\r\n");
    assert_contains(request.body, "Message-ID: <" SAMPLE_ID ".resolved.1764000000123@example.org>\r\n");
    assert_contains(request.body, "References: <" SAMPLE_ID "@example.org>\r\n");
    assert_contains(request.body, "\r\n\r\n12 errors\r\n\r\n");
    assert_contains(
        request.body,
        "Acknowledged:   uid:1000\r\nReason:         looking\r\nResolved at:    2025-11-24T16:01:00.123456789Z\r\n"
        "Runbook:        https://wiki.example/queue\r\n");
    assert_contains(request.body, "\r\nLabels\r\n  queue: mail\r\n");
    assert_contains(request.body,
                    "\r\nDetails\r\n  value: 12\r\n  threshold: 10\r\n  window: 5m\r\n  deep: {\"a\":[1,2]}\r\n");
    assert_contains(request.body,
                    "\r\nEntries, newest first\r\n  2025-11-24T15:59:59.000000000Z error queue m o: first line\r\n"
                    "    second\\x1b[31m line\r\n    trace_id: abc\r\n  error\r\n");
    assert_contains(request.body, "Alert id:       " SAMPLE_ID "\r\nRule id:        many-errors\r\n");
    channel_request_finish(&request);
    channel.password_file = (char *)"/nonexistent/word";
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error),
                     -ENOENT);
    channel_request_finish(&request);
    channel.password_file = NULL;
    channel.password = (char *)"clear";
    free(alert.details);
    free(alert.entries);
    alert.details = strdup("not JSON");
    alert.entries = strdup("{}");
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error), 0);
    assert_string_equal(request.message.password, "clear");
    assert_false(contains(request.body, "Details"));
    assert_false(contains(request.body, "Entries"));
    channel_request_finish(&request);
    alert_finish(&alert);
}

static void no_password_goes_over_the_network_in_clear(void **state) {
    static const struct {
        const char *url;
        bool starttls;
        int result;
    } cases[] = {
        { "smtp://mail.example:25", false, -EINVAL },
        { "smtp://128.0.0.1", false, -EINVAL },
        { "smtp://localhost.example", false, -EINVAL },
        { "smtp://mail.example:587", true, 0 },
        { "smtps://mail.example:465", false, 0 },
        { "SMTPS://mail.example", false, 0 },
        { "smtp://127.0.0.1:25", false, 0 },
        { "smtp://LOCALHOST", false, 0 },
        { "smtp://[::1]:25", false, 0 },
    };
    struct channel_config channel = email();
    struct alert alert = sample_alert();
    struct channel_request request;
    struct error error;

    (void)state;
    channel.password = (char *)"clear";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        channel.smtp_url = (char *)cases[i].url;
        channel.starttls = cases[i].starttls;
        assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error),
                         cases[i].result);
        channel_request_finish(&request);
    }
    channel.smtp_url = (char *)"smtp://mail.example";
    channel.starttls = false;
    channel.username = channel.password = NULL;
    assert_int_equal(channel_build(&channel, &(struct notification) { &alert, SAMPLE_TIME }, &request, &error), 0);
    channel_request_finish(&request);
    alert_finish(&alert);
}

static struct buffer message(const char *subject, struct text body) {
    static const char *const recipients[] = { "b@c" };
    struct buffer out = BUFFER_EMPTY;

    mail_append(&out, &(struct mail) { .from = "a@b",
                                       .recipients = recipients,
                                       .recipient_count = 1,
                                       .subject = text_of(subject),
                                       .id = "i@b",
                                       .thread = "t@b",
                                       .time_ns = 951786000 * CLOCK_SECOND,
                                       .body = body });
    assert_false(out.failed);
    return out;
}

/* Each line ends with CRLF, has at most 78 characters of printable ASCII, and there are no other line ends. */
static void assert_lines(struct buffer out) {
    size_t start = 0;

    for (size_t i = 0; i < out.length; i++) {
        unsigned char c = (unsigned char)out.data[i];

        if (c == '\n') {
            assert_true(i > 0 && out.data[i - 1] == '\r');
            assert_true(i - 1 - start <= 78);
            start = i + 1;
        } else if (c == '\r')
            assert_true(i + 1 < out.length && out.data[i + 1] == '\n');
        else
            assert_true((c >= ' ' && c < 0x7f) || c == '\t');
    }
    assert_int_equal(start, out.length);
}

static void subjects_are_encoded_where_they_must_be(void **state) {
    static const struct {
        const char *subject;
        const char *line;
    } cases[] = {
        { "plain", "\r\nSubject: plain\r\n" },
        { "", "\r\nSubject: \r\n" },
        { "é", "\r\nSubject: =?UTF-8?B?w6k=?=\r\n" },
        { "=?x?=", "\r\nSubject: =?UTF-8?B?PT94Pz0=?=\r\n" },
        { "a\r\nBcc: x@y", "\r\nSubject: a??Bcc: x@y\r\n" },
        { "\xff", "\r\nSubject: =?UTF-8?B?77+9?=\r\n" },
        { "0123456789012345678901234567890123456789012345678901234567890123456789",
          "\r\nSubject: =?UTF-8?B?MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4?=\r\n "
          "=?UTF-8?B?OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==?=\r\n" },
        { "xéééééééééééééééééééééééé",
          "\r\nSubject: =?UTF-8?B?eMOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOp?=\r\n "
          "=?UTF-8?B?w6nDqcOpw6nDqQ==?=\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = message(cases[i].subject, TEXT_LITERAL("x\n"));

        assert_contains(out, cases[i].line);
        assert_contains(out, "Date: Tue, 29 Feb 2000 01:00:00 +0000\r\n");
        assert_lines(out);
        buffer_finish(&out);
    }
}

static void bodies_are_quoted_printable(void **state) {
    static const struct {
        const char *body;
        const char *expected;
    } cases[] = {
        { "", "" },
        { "a\n\nb", "a\r\n\r\nb\r\n" },
        { "a=b é", "a=3Db =C3=A9\r\n" },
        { "end \nend\t\n", "end=20\r\nend=09\r\n" },
        { ".\n..x\nFrom me\nFroma\n", "=2E\r\n=2E.x\r\n=46rom me\r\nFroma\r\n" },
        { "a\rb\x01", "a=0Db=01\r\n" },
        { "0123456789012345678901234567890123456789012345678901234567890123456789012345.6789",
          "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n5.6789\r\n" },
        { "012345678901234567890123456789012345678901234567890123456789012345678901234.6789",
          "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n=2E6789\r\n" },
        { "0123456789012345678901234567890123456789012345678901234567890123456789012é",
          "0123456789012345678901234567890123456789012345678901234567890123456789012=\r\n=C3=A9\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = message("s", text_of(cases[i].body));
        const char *body = memmem(out.data, out.length, "\r\n\r\n", 4);

        assert_non_null(body);
        assert_lines(out);
        buffer_append_char(&out, '\0');
        body = strstr(out.data, "\r\n\r\n") + 4;
        assert_string_equal(body, cases[i].expected);
        buffer_finish(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_body_is_the_contracts_json),
        cmocka_unit_test(a_rule_id_cannot_put_a_header_in),
        cmocka_unit_test(answers_are_judged_by_their_status),
        cmocka_unit_test(what_came_in_place_of_acceptance_has_a_name),
        cmocka_unit_test(secrets_are_read_from_files_and_judged),
        cmocka_unit_test(a_mail_says_everything_that_helps),
        cmocka_unit_test(no_password_goes_over_the_network_in_clear),
        cmocka_unit_test(subjects_are_encoded_where_they_must_be),
        cmocka_unit_test(bodies_are_quoted_printable),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
