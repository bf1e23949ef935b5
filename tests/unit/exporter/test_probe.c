#include "exporter/probe.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/taskforge-probe-XXXXXX";

static void a_socket_that_nobody_listens_on_is_dead(void **state) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)state;
    assert_false(probe_listens(folder, "x.sock"));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/x.sock", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_false(probe_listens(folder, "x.sock"));
    assert_int_equal(listen(fd, 0), 0);
    for (int i = 0; i < 4; i++) /* its backlog is full now: it lives all the same */
        assert_true(probe_listens(folder, "x.sock"));
    close(fd);
    assert_false(probe_listens(folder, "x.sock"));
    unlink(address.sun_path);
}

static void a_path_that_is_too_long_is_dead(void **state) {
    char name[200];
    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_false(probe_listens(folder, name));
}

static void a_store_has_a_partition(void **state) {
    char path[200];
    (void)state;
    assert_false(probe_store(folder));
    snprintf(path, sizeof(path), "%s/logs", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(probe_store(folder));
    snprintf(path, sizeof(path), "%s/logs/a.mdb-lock", folder);
    close(creat(path, 0600));
    assert_false(probe_store(folder));
    unlink(path);
    snprintf(path, sizeof(path), "%s/logs/a.mdb", folder);
    close(creat(path, 0600));
    assert_true(probe_store(folder));
    unlink(path);
    snprintf(path, sizeof(path), "%s/logs", folder);
    rmdir(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_nobody_listens_on_is_dead),
        cmocka_unit_test(a_path_that_is_too_long_is_dead),
        cmocka_unit_test(a_store_has_a_partition),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
