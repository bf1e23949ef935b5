/* A broken check ends the process and says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"

static void says_the_condition_and_its_place_and_aborts(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        check_failed("1 == 2", "room.c", 17);
    }
    close(ends[1]);
    char text[256] = "";
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    assert_string_equal(text, "check failed: 1 == 2 (room.c:17)\n");
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void lets_what_holds_pass(void **state) {
    (void)state;
    check(1 + 1 == 2);
    int numbers[7];
    assert_int_equal(COUNT_OF(numbers), 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_the_condition_and_its_place_and_aborts),
        cmocka_unit_test(lets_what_holds_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
