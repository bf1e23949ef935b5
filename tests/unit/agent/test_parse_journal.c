/* Journal fields to entries, and which are our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "agent/inputs/parse_journal.h"
#include "common/base/check.h"

static struct parse_scratch scratch;

static void fill(struct journal_entry *entry, const char *const *fields) {
    *entry = (struct journal_entry) { .realtime_us = 1700000000000000 };
    for (; *fields; fields++)
        parse_journal_field(entry, text_of(*fields));
}

static void assert_text(struct text text, const char *expected) {
    if (!text_is(text, expected))
        fail_msg("\"%.*s\" is not \"%s\"", TEXT_FORMAT(text), expected);
}

static void names_the_service_by_its_unit(void **state) {
    (void)state;
    static const struct {
        const char *fields[5], *service, *module;
    } cases[] = {
        { { "_SYSTEMD_UNIT=nginx.service", "SYSLOG_IDENTIFIER=nginx", NULL }, "nginx", "nginx" },
        { { "_SYSTEMD_UNIT=user@1000.service", "_SYSTEMD_USER_UNIT=app.service", "_COMM=a", NULL }, "app", "a" },
        { { "_SYSTEMD_UNIT=session-3.scope", "SYSLOG_IDENTIFIER=sudo", NULL }, "sudo", "sudo" },
        { { "_SYSTEMD_UNIT=init.scope", "_COMM=systemd", NULL }, "systemd", "systemd" },
        { { "_TRANSPORT=kernel", NULL }, "kernel", "" },
        { { NULL }, "", "" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct journal_entry entry;
        struct parsed parsed;
        fill(&entry, cases[i].fields);
        parse_journal(&entry, &scratch, &parsed);
        assert_text(parsed.entry.service, cases[i].service);
        assert_text(parsed.entry.module, cases[i].module);
        assert_text(parsed.entry.operation, "journal");
    }
}

static void puts_the_useful_fields_into_metadata(void **state) {
    (void)state;
    static const char *const fields[] = {
        "MESSAGE=m=n",    "PRIORITY=3",        "_SYSTEMD_UNIT=a.service",
        "_PID=7",         "SYSLOG_FACILITY=3", "_HOSTNAME=h",
        "CODE_LINE=12",   "_BOOT_ID=x",        "_SOURCE_REALTIME_TIMESTAMP=1700000000000001",
        "MESSAGE=second", "noequals",          NULL
    };
    struct journal_entry entry;
    struct parsed parsed;
    struct buffer json = BUFFER_EMPTY;
    fill(&entry, fields);
    parse_journal(&entry, &scratch, &parsed);
    assert_text(parsed.entry.message, "m=n");
    assert_int_equal(parsed.entry.level, LEVEL_ERROR);
    assert_int_equal(parsed.entry.timestamp_ns, UINT64_C(1700000000000001000));
    assert_int_equal(pack_check(parsed.entry.metadata), 0);
    pack_append_json(&json, parsed.entry.metadata);
    assert_text(buffer_text(&json), "{\"unit\":\"a.service\",\"procid\":\"7\",\"host\":\"h\",\"line\":\"12\","
                                    "\"facility\":\"daemon\"}");
    buffer_finish(&json);
}

static void keeps_whom_a_core_dump_is_of(void **state) {
    (void)state;
    static const char *const fields[] = { "MESSAGE=Process 4711 (mailer) of user 0 dumped core.",
                                          "MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1",
                                          "_COMM=systemd-coredum",
                                          "COREDUMP_PID=4711",
                                          "COREDUMP_SIGNAL=11",
                                          "COREDUMP_SIGNAL_NAME=SIGSEGV",
                                          "COREDUMP_EXE=/usr/bin/mailer",
                                          "COREDUMP_COMM=mailer",
                                          "COREDUMP_ENVIRON=SECRET=x",
                                          NULL };
    struct journal_entry entry;
    struct parsed parsed;
    struct buffer json = BUFFER_EMPTY;
    fill(&entry, fields);
    parse_journal(&entry, &scratch, &parsed);
    pack_append_json(&json, parsed.entry.metadata);
    assert_text(buffer_text(&json), "{\"message_id\":\"fc2e22bc6ee647b6b90729ab34a250b1\",\"coredump_pid\":\"4711\","
                                    "\"coredump_signal\":\"11\",\"coredump_signal_name\":\"SIGSEGV\","
                                    "\"coredump_exe\":\"/usr/bin/mailer\",\"coredump_comm\":\"mailer\"}");
    buffer_finish(&json);
}

static void marks_a_priority_that_is_none(void **state) {
    (void)state;
    static const char *const priorities[] = { "PRIORITY=9", "PRIORITY=x", "PRIORITY=-1",
                                              "PRIORITY=99999999999999999999" };
    for (size_t i = 0; i < COUNT_OF(priorities); i++) {
        struct journal_entry entry;
        struct parsed parsed;
        fill(&entry, (const char *const[]) { priorities[i], NULL });
        parse_journal(&entry, &scratch, &parsed);
        assert_int_equal(parsed.entry.level, LEVEL_INFO);
        assert_int_equal(parsed.repaired, ENTRY_REPAIR_LEVEL);
    }
}

static void knows_our_own(void **state) {
    (void)state;
    static const struct {
        const char *field;
        bool own;
    } cases[] = {
        { "_SYSTEMD_UNIT=taskforge-agent.service", true },
        { "_SYSTEMD_UNIT=taskforge.service", true },
        { "_SYSTEMD_USER_UNIT=taskforge@1.service", true },
        { "SYSLOG_IDENTIFIER=taskforge-collector", true },
        { "_COMM=taskforge-colle", true },
        { "_EXE=/usr/bin/taskforge-exporter", true },
        { "_SYSTEMD_UNIT=taskforger.service", false },
        { "_EXE=/opt/taskforge-agent/bin/other", false },
        { "MESSAGE=taskforge-agent", false },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct journal_entry entry;
        fill(&entry, (const char *const[]) { cases[i].field, NULL });
        if (parse_journal_is_own(&entry) != cases[i].own)
            fail_msg("%s", cases[i].field);
    }
}

static int finish(void **state) {
    (void)state;
    parse_scratch_finish(&scratch);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_service_by_its_unit),
        cmocka_unit_test(puts_the_useful_fields_into_metadata),
        cmocka_unit_test(keeps_whom_a_core_dump_is_of),
        cmocka_unit_test(marks_a_priority_that_is_none),
        cmocka_unit_test(knows_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
