/* Where the two directories are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/paths.h"

static int clear_environment(void **state) {
    (void)state;
    unsetenv("TASKFORGE_RUNTIME_DIR");
    unsetenv("TASKFORGE_DATA_DIR");
    return 0;
}

static void takes_the_environment_before_everything(void **state) {
    (void)state;
    char out[PATHS_MAX];
    setenv("TASKFORGE_RUNTIME_DIR", "/a", 1);
    setenv("TASKFORGE_DATA_DIR", "/b", 1);
    assert_int_equal(paths_runtime_dir("/configured", out), 0);
    assert_string_equal(out, "/a");
    assert_int_equal(paths_data_dir("/configured", out), 0);
    assert_string_equal(out, "/b");
}

static void takes_the_configuration_next(void **state) {
    (void)state;
    char out[PATHS_MAX];
    assert_int_equal(paths_runtime_dir("/configured", out), 0);
    assert_string_equal(out, "/configured");
    setenv("TASKFORGE_DATA_DIR", "", 1); /* empty is unset */
    assert_int_equal(paths_data_dir("/configured", out), 0);
    assert_string_equal(out, "/configured");
}

static void refuses_a_name_that_is_too_long(void **state) {
    (void)state;
    char out[PATHS_MAX], name[PATHS_MAX + 8];
    memset(name, 'x', sizeof(name));
    name[0] = '/';
    name[PATHS_MAX] = '\0';
    assert_int_equal(paths_runtime_dir(name, out), -ENAMETOOLONG);
    name[PATHS_MAX - 1] = '\0';
    assert_int_equal(paths_data_dir(name, out), 0);
}

/* Runs as an ordinary user in a child, since root's answers are the system's folders alone. */
static void as_user(void (*body)(const char *folder)) {
    char folder[] = "/tmp/taskforge-paths-XXXXXX";
    assert_non_null(mkdtemp(folder));
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (chown(folder, 65534, 65534) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
            _exit(99);
        setenv("XDG_RUNTIME_DIR", folder, 1);
        setenv("XDG_DATA_HOME", folder, 1);
        body(folder);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    char inner[64];
    snprintf(inner, sizeof(inner), "%s/taskforge", folder);
    rmdir(inner);
    rmdir(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void own_folder(const char *folder) {
    char out[PATHS_MAX], own[PATHS_MAX];
    snprintf(own, sizeof(own), "%s/taskforge", folder);
    if (paths_user_runtime_dir(out) < 0 || strcmp(out, own) != 0)
        _exit(1);
    if (paths_data_dir(NULL, out) < 0 || strcmp(out, "/var/lib/taskforge") != 0)
        _exit(2); /* it is not there */
    if (mkdir(own, 0700) < 0 || paths_data_dir(NULL, out) < 0 || strcmp(out, own) != 0)
        _exit(3);
    if (paths_runtime_dir(NULL, out) < 0 || strcmp(out, own) != 0)
        _exit(4);
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/home/someone", 1);
    if (paths_user_data_dir(out) < 0 || strcmp(out, "/home/someone/.local/share/taskforge") != 0)
        _exit(5);
    unsetenv("XDG_RUNTIME_DIR");
    snprintf(own, sizeof(own), "/dev/shm/taskforge-%u", (unsigned)geteuid());
    if (paths_user_runtime_dir(out) < 0 || strcmp(out, own) != 0)
        _exit(6);
}

static void finds_the_folders_of_an_ordinary_user_once_they_exist(void **state) {
    (void)state;
    as_user(own_folder);
}

static void linked_folder(const char *folder) {
    char out[PATHS_MAX], own[PATHS_MAX];
    snprintf(own, sizeof(own), "%s/taskforge", folder);
    if (symlink("/tmp", own) < 0 || paths_data_dir(NULL, out) < 0)
        _exit(1);
    unlink(own);
    if (strcmp(out, "/var/lib/taskforge") != 0)
        _exit(2);
}

static void does_not_follow_a_link_to_a_folder_of_somebody_else(void **state) {
    (void)state;
    as_user(linked_folder);
}

static void gives_root_the_folders_of_the_system(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    char out[PATHS_MAX];
    assert_int_equal(paths_runtime_dir(NULL, out), 0);
    assert_string_equal(out, "/run/taskforge");
    assert_int_equal(paths_user_data_dir(out), 0);
    assert_string_equal(out, "/var/lib/taskforge");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(takes_the_environment_before_everything, clear_environment),
        cmocka_unit_test_setup(takes_the_configuration_next, clear_environment),
        cmocka_unit_test_setup(refuses_a_name_that_is_too_long, clear_environment),
        cmocka_unit_test_setup(finds_the_folders_of_an_ordinary_user_once_they_exist, clear_environment),
        cmocka_unit_test_setup(does_not_follow_a_link_to_a_folder_of_somebody_else, clear_environment),
        cmocka_unit_test_setup(gives_root_the_folders_of_the_system, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
