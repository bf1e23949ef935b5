/* What /proc says of a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/process_stat.h"

static int read_of(const char *content, struct process_stat *ret) {
    char path[] = "/tmp/tf-test-stat-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
    int result = process_stat_read(path, ret);
    unlink(path);
    return result;
}

static void reads_the_fields_behind_any_name(void **state) {
    (void)state;
    struct process_stat stat;
    static const char *const names[] = { "sh", "a b", "x) R 1 (y", ")" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "42 (%s) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 7 21 4711 23\n", names[i]);
        assert_int_equal(read_of(text, &stat), 0);
        assert_int_equal(stat.state, 'S');
        assert_int_equal(stat.threads, 7);
        assert_int_equal(stat.start_time, 4711);
    }
}

static void refuses_what_is_no_such_file(void **state) {
    (void)state;
    static const char *const bad[] = { "", "42 (sh)", "42 (sh S 1",
                                       "42 (sh) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct process_stat stat = { .state = '?', .threads = 99 };
        assert_int_equal(read_of(bad[i], &stat), -EBADMSG);
        assert_int_equal(stat.state, '?');
        assert_int_equal(stat.threads, 99);
    }
    struct process_stat stat;
    assert_int_equal(process_stat_read("/proc/no-such", &stat), -ENOENT);
}

static void knows_what_this_process_uses(void **state) {
    (void)state;
    struct process_usage before, after;
    enum { FILES = 5, BYTES = 64 << 20 };
    int files[FILES];
    assert_int_equal(process_usage_read(&before), 0);
    for (int i = 0; i < FILES; i++)
        assert_true((files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    char *memory = malloc(BYTES);
    assert_non_null(memory);
    memset(memory, 1, BYTES);
    do {
        assert_int_equal(process_usage_read(&after), 0);
    } while (after.cpu_seconds < before.cpu_seconds + 0.01);
    assert_int_equal(after.open_files, before.open_files + FILES);
    assert_true(after.resident_bytes >= before.resident_bytes + BYTES / 2);
    assert_true(after.cpu_seconds < before.cpu_seconds + 60);
    assert_int_equal(memory[BYTES - 1], 1);
    free(memory);
    for (int i = 0; i < FILES; i++)
        close(files[i]);
}

static void knows_when_this_process_began(void **state) {
    (void)state;
    double now = (double)time(NULL), start = process_start_seconds();
    assert_true(start <= now + 1 && start > now - 600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_fields_behind_any_name),
        cmocka_unit_test(refuses_what_is_no_such_file),
        cmocka_unit_test(knows_what_this_process_uses),
        cmocka_unit_test(knows_when_this_process_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
