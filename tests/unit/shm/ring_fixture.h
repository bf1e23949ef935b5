/* ring_fixture.h - a runtime directory of the test's own with a small ring in it. */
#ifndef TASKFORGE_TESTS_UNIT_SHM_RING_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_SHM_RING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/shm/geometry.h"
#include "common/shm/ring.h"

struct ring_fixture {
    char runtime_dir[128];
    char path[192]; /* of the caller's ring file */
};

static inline int fixture_remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static inline int fixture_setup(void **state) {
    struct ring_fixture *fixture = calloc(1, sizeof(*fixture));
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    assert_non_null(fixture);
    snprintf(fixture->runtime_dir, sizeof(fixture->runtime_dir), "%s/taskforge-test-XXXXXX", parent);
    assert_non_null(mkdtemp(fixture->runtime_dir));
    snprintf(fixture->path, sizeof(fixture->path), "%s/rings/%u", fixture->runtime_dir, (unsigned)geteuid());
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state) {
    struct ring_fixture *fixture = *state;
    nftw(fixture->runtime_dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

static inline void fixture_attach(const struct ring_fixture *fixture, struct ring *ring) {
    struct error error = { "" };
    if (ring_attach(fixture->runtime_dir, RING_SIZE_MIN, ring, &error) != 0)
        fail_msg("attach: %s", error.text);
}

/* The same file once more, as another program's eyes would see it (its close drops this process's record locks). */
static inline void fixture_map_again(const struct ring_fixture *fixture, struct ring *ring) {
    assert_int_equal(ring_map(open(fixture->path, O_RDWR | O_CLOEXEC), true, ring, NULL), 0);
}

/* fork(2); the child dies with us, so that a test that is killed leaves nothing running. */
static inline pid_t fixture_fork(void) {
    pid_t parent = getpid(), child = fork();
    assert_true(child >= 0);
    if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(99);
    return child;
}

/* Run function in a child; its exit status, or 256 + the signal that ended it. */
static inline int fixture_in_child(int (*function)(void *argument), void *argument) {
    pid_t child = fixture_fork();
    if (child == 0)
        _exit(function(argument));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
