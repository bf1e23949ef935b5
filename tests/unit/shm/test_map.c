#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/shm/map.h"

enum { PAGE = 4096, SIZE = 4 * PAGE };

static int new_file(void) {
    int fd = memfd_create("map", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, SIZE), 0);
    return fd;
}

static void maps_a_file_of_the_expected_size(void **state) {
    (void)state;
    struct map map = MAP_EMPTY;
    assert_int_equal(map_file(new_file(), SIZE, true, &map, NULL), 0);
    map.base[SIZE - 1] = 'x';
    char byte = 0;
    assert_int_equal(pread(map.fd, &byte, 1, SIZE - 1), 1);
    assert_int_equal(byte, 'x');
    map_finish(&map);
    assert_int_equal(map.fd, -1);
    map_finish(&map); /* fine on an empty one */
}

static void refuses_another_size_and_closes_the_descriptor(void **state) {
    (void)state;
    struct map map = MAP_EMPTY;
    struct error error = { "" };
    int fd = new_file();
    assert_int_equal(map_file(fd, SIZE + PAGE, true, &map, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "16384"));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(map.fd, -1);
}

static void refuses_what_is_no_regular_file(void **state) {
    (void)state;
    struct map map = MAP_EMPTY;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(map_file(fds[0], SIZE, false, &map, NULL), -EBADMSG);
    close(fds[1]);
    assert_int_equal(map_file(-1, SIZE, false, &map, NULL), -EBADF);
}

static void allocates_pages_and_keeps_the_content(void **state) {
    (void)state;
    struct map map = MAP_EMPTY;
    struct stat before, after;
    assert_int_equal(map_file(new_file(), SIZE, true, &map, NULL), 0);
    map.base[10] = 'k';
    assert_int_equal(fstat(map.fd, &before), 0);
    assert_int_equal(map_allocate(&map, 0, 2 * PAGE), 0);
    assert_int_equal(fstat(map.fd, &after), 0);
    assert_int_equal(after.st_blocks - before.st_blocks, PAGE / 512);
    assert_int_equal(after.st_size, SIZE);
    assert_int_equal(map.base[10], 'k');
    map_finish(&map);
}

static void knows_when_its_descriptor_belongs_to_another_file(void **state) {
    (void)state;
    struct map map = MAP_EMPTY;
    assert_int_equal(map_file(new_file(), SIZE, true, &map, NULL), 0);
    assert_true(map_owns_descriptor(&map));
    close(map.fd); /* an application that closes every number it finds */
    assert_false(map_owns_descriptor(&map));
    int other = new_file();
    assert_int_equal(other, map.fd);
    assert_false(map_owns_descriptor(&map));
    assert_int_equal(map_allocate(&map, 0, PAGE), -EBADF);
    map_finish(&map);
    assert_true(fcntl(other, F_GETFD) >= 0); /* the other file stays open */
    close(other);
}

/* cmocka sets handlers of its own for each test: ours goes over them inside the test. */
static void install_guard(void) {
    assert_int_equal(map_guard_install(NULL), 0);
}

static int read_last_byte(void *argument) {
    const struct map *map = argument;
    return ((volatile char *)map->base)[map->size - 1] + 1;
}

static void a_cut_file_is_an_error_under_the_guard(void **state) {
    (void)state;
    install_guard();
    struct map map = MAP_EMPTY;
    assert_int_equal(map_file(new_file(), SIZE, true, &map, NULL), 0);
    assert_int_equal(map_guarded(read_last_byte, &map), 1);
    for (int i = 0; i < 3; i++) { /* and it works more than once */
        assert_int_equal(ftruncate(map.fd, PAGE), 0);
        assert_int_equal(map_guarded(read_last_byte, &map), -EFAULT);
        assert_int_equal(ftruncate(map.fd, SIZE), 0);
        assert_int_equal(map_guarded(read_last_byte, &map), 1);
    }
    map_finish(&map);
}

static int guard_again(void *argument) {
    return map_guarded(read_last_byte, argument) == -EFAULT ? read_last_byte(argument) : 0;
}

static void an_inner_guard_gives_back_the_outer_one(void **state) {
    (void)state;
    install_guard();
    struct map map = MAP_EMPTY;
    assert_int_equal(map_file(new_file(), SIZE, true, &map, NULL), 0);
    assert_int_equal(ftruncate(map.fd, PAGE), 0);
    assert_int_equal(map_guarded(guard_again, &map), -EFAULT);
    map_finish(&map);
}

static int raise_sigbus(void *argument) {
    (void)argument;
    return raise(SIGBUS);
}

/* In a child without core dump: how it ended. */
static int death_of(int (*function)(void *), bool guarded, void *argument) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (guarded)
            map_guarded(function, argument);
        else
            function(argument);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void outside_a_guard_sigbus_ends_the_process(void **state) {
    (void)state;
    install_guard();
    struct map map = MAP_EMPTY;
    assert_int_equal(map_file(new_file(), SIZE, true, &map, NULL), 0);
    assert_int_equal(ftruncate(map.fd, PAGE), 0);
    assert_int_equal(death_of(read_last_byte, false, &map), SIGBUS);
    assert_int_equal(death_of(read_last_byte, true, &map), 0);
    assert_int_equal(death_of(raise_sigbus, true, NULL), SIGBUS); /* sent by somebody: no fault of the mapping */
    map_finish(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_a_file_of_the_expected_size),
        cmocka_unit_test(refuses_another_size_and_closes_the_descriptor),
        cmocka_unit_test(refuses_what_is_no_regular_file),
        cmocka_unit_test(allocates_pages_and_keeps_the_content),
        cmocka_unit_test(knows_when_its_descriptor_belongs_to_another_file),
        cmocka_unit_test(a_cut_file_is_an_error_under_the_guard),
        cmocka_unit_test(an_inner_guard_gives_back_the_outer_one),
        cmocka_unit_test(outside_a_guard_sigbus_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
