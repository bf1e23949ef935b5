/* A program's own lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/diag.h"

static char seen[8192];

/* What `say` writes to stderr, in seen. */
static void capture(void (*say)(void), const char *journal) {
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    if (journal) {
        struct stat status;
        char value[64];
        fstat(ends[1], &status);
        snprintf(value, sizeof(value), "%llu:%llu", (unsigned long long)status.st_dev,
                 (unsigned long long)status.st_ino + (strcmp(journal, "other") == 0));
        setenv("JOURNAL_STREAM", value, 1);
    } else {
        unsetenv("JOURNAL_STREAM");
    }
    diag_open("taskforge-test");
    say();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t got = read(ends[0], seen, sizeof(seen) - 1);
    seen[got > 0 ? got : 0] = '\0';
    close(ends[0]);
}

static void say_three(void) {
    diag_error("broken %d", 1);
    diag_warn("odd");
    diag_info("fine");
}

static void names_the_program_on_each_line(void **state) {
    (void)state;
    capture(say_three, NULL);
    assert_string_equal(seen, "taskforge-test: broken 1\ntaskforge-test: warning: odd\ntaskforge-test: fine\n");
}

static void gives_the_journal_its_priorities(void **state) {
    (void)state;
    capture(say_three, "this");
    assert_string_equal(seen,
                        "<3>taskforge-test: broken 1\n<4>taskforge-test: warning: odd\n<6>taskforge-test: fine\n");
    capture(say_three, "other");
    assert_int_equal(strncmp(seen, "taskforge-test", 14), 0);
}

static void say_hostile(void) {
    diag_error("%s", "a\nb\x1b]0;x\a");
}

static void lets_no_control_character_through(void **state) {
    (void)state;
    capture(say_hostile, NULL);
    assert_string_equal(seen, "taskforge-test: a?b?]0;x?\n");
}

static void say_long(void) {
    static char text[8000];
    memset(text, 'x', sizeof(text) - 1);
    diag_info("%s", text);
}

static void cuts_a_long_line_and_ends_it(void **state) {
    (void)state;
    capture(say_long, NULL);
    assert_true(strlen(seen) <= 4096);
    assert_int_equal(seen[strlen(seen) - 1], '\n');
    assert_int_equal(seen[strlen(seen) - 2], 'x');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_program_on_each_line),
        cmocka_unit_test(gives_the_journal_its_priorities),
        cmocka_unit_test(lets_no_control_character_through),
        cmocka_unit_test(cuts_a_long_line_and_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
