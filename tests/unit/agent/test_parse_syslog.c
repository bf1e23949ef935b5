/* Syslog datagrams as programs send them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/inputs/parse_syslog.h"
#include "common/base/check.h"
#include "common/base/clock.h"

static const uint64_t now = UINT64_C(1795457700) * 1000000000; /* 2026-11-23T18:15:00Z */
static struct parse_scratch scratch;

static void assert_text(struct text text, const char *expected) {
    if (!text_is(text, expected))
        fail_msg("\"%.*s\" is not \"%s\"", TEXT_FORMAT(text), expected);
}

static const char *metadata(const struct parsed *parsed) {
    static char out[4096];
    struct buffer buffer = BUFFER_EMPTY;
    assert_int_equal(pack_check(parsed->entry.metadata), 0);
    pack_append_json(&buffer, parsed->entry.metadata);
    snprintf(out, sizeof(out), "%.*s", TEXT_FORMAT(buffer_text(&buffer)));
    buffer_finish(&buffer);
    return out;
}

static void reads_what_programs_send(void **state) {
    (void)state;
    static const struct {
        const char *datagram;
        enum level level;
        const char *service, *message, *metadata, *time; /* time NULL: none */
    } cases[] = {
        { "<13>Nov 23 15:04:05 root: hello", LEVEL_INFO, "root", "hello", "{\"facility\":\"user\"}",
          "2026-11-23T15:04:05Z" },
        { "<27>Nov 23 15:04:05 vm app[77]: a: b\n", LEVEL_ERROR, "app", "a: b",
          "{\"facility\":\"daemon\",\"host\":\"vm\",\"procid\":\"77\"}", "2026-11-23T15:04:05Z" },
        { "<0>kernel: panic", LEVEL_CRITICAL, "kernel", "panic", "{\"facility\":\"kern\"}", NULL },
        { "<191>2026-11-23T15:04:05.5+00:00 vm a: b", LEVEL_DEBUG, "a", "b",
          "{\"facility\":\"local7\",\"host\":\"vm\"}", "2026-11-23T15:04:05.5Z" },
        { "no priority at all", LEVEL_INFO, "", "no priority at all", "{\"facility\":\"user\"}", NULL },
        { "<13>Nov 23 15:04:05 t:", LEVEL_INFO, "t", "", "{\"facility\":\"user\"}", "2026-11-23T15:04:05Z" },
        { "<192>x", LEVEL_INFO, "", "<192>x", "{\"facility\":\"user\"}", NULL },
        { "<1", LEVEL_INFO, "", "<1", "{\"facility\":\"user\"}", NULL },
        { "<>x", LEVEL_INFO, "", "<>x", "{\"facility\":\"user\"}", NULL },
        { "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
          LEVEL_CRITICAL, "su", "'su root' failed",
          "{\"facility\":\"auth\",\"host\":\"mymachine.example.com\",\"msgid\":\"ID47\"}", "2003-10-11T22:14:15.003Z" },
        { "<165>1 - - app 8710 - [a@1 k=\"v\" q=\"\\\"\\\\\\]\\n\"][b] m", LEVEL_INFO, "app", "m",
          "{\"facility\":\"local4\",\"procid\":\"8710\",\"structured_data\":{\"a@1\":{\"k\":\"v\",\"q\":\"\\\"\\\\]"
          "\\\\n\"},"
          "\"b\":{}}}",
          NULL },
        { "<165>1 2003-10-11T22:14:15Z h a p m [x y=\"1\"]", LEVEL_INFO, "a", "",
          "{\"facility\":\"local4\",\"host\":\"h\",\"procid\":\"p\",\"msgid\":\"m\",\"structured_data\":{\"x\":{\"y\":"
          "\"1\"}}}",
          "2003-10-11T22:14:15Z" },
        { "<165>1 soon h a p m - x", LEVEL_INFO, "", "1 soon h a p m - x", "{\"facility\":\"local4\"}", NULL },
        { "<165>1 - h a p m [x y=1] z", LEVEL_INFO, "", "1 - h a p m [x y=1] z", "{\"facility\":\"local4\"}", NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct parsed parsed;
        uint64_t expected = 0;
        if (cases[i].time)
            clock_parse(cases[i].time, strlen(cases[i].time), &expected);
        assert_int_equal(parse_syslog(text_of(cases[i].datagram), now, &scratch, &parsed), 0);
        if (parsed.entry.level != cases[i].level || parsed.entry.timestamp_ns != expected)
            fail_msg("%s: %s %llu", cases[i].datagram, level_name(parsed.entry.level),
                     (unsigned long long)parsed.entry.timestamp_ns);
        assert_text(parsed.entry.service, cases[i].service);
        assert_text(parsed.entry.message, cases[i].message);
        assert_string_equal(metadata(&parsed), cases[i].metadata);
    }
}

static void refuses_a_datagram_with_nothing_in_it(void **state) {
    (void)state;
    struct parsed parsed;
    assert_int_equal(parse_syslog(TEXT_EMPTY, now, &scratch, &parsed), -EINVAL);
    assert_int_equal(parse_syslog(TEXT_LITERAL("\n\0\r"), now, &scratch, &parsed), -EINVAL);
}

/* Every front of a datagram is read without a byte beyond it (the address sanitizer watches). */
static void reads_every_front_of_a_datagram(void **state) {
    (void)state;
    static const char *const datagrams[] = { "<165>1 2003-10-11T22:14:15Z h a p m [x y=\"1\\\"\"][z] text",
                                             "<27>Nov 23 15:04:05 vm app[77]: text" };
    for (size_t i = 0; i < COUNT_OF(datagrams); i++)
        for (size_t length = 1; length <= strlen(datagrams[i]); length++) {
            struct parsed parsed;
            char *exact = malloc(length);
            assert_non_null(exact);
            memcpy(exact, datagrams[i], length);
            assert_int_equal(parse_syslog((struct text) { exact, length }, now, &scratch, &parsed), 0);
            assert_int_equal(pack_check(parsed.entry.metadata), 0);
            free(exact);
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
        cmocka_unit_test(reads_what_programs_send),
        cmocka_unit_test(refuses_a_datagram_with_nothing_in_it),
        cmocka_unit_test(reads_every_front_of_a_datagram),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
