/* client_fixture.h - a runtime directory of the test's own, and what a collector would read there. */
#ifndef TASKFORGE_TESTS_UNIT_CLIENT_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "tests/lib/drain.h"

struct fixture {
    char runtime_dir[128];
};

static inline int fixture_remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

static inline int fixture_setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    strcpy(fixture->runtime_dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/tf-test-XXXXXX" : "/tmp/tf-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->runtime_dir));
    struct shared_settings settings;
    settings_read(fixture->runtime_dir, &settings);
#ifdef FIXTURE_RING_SIZE
    settings.ring_size = FIXTURE_RING_SIZE;
#else
    settings.ring_size = RING_SIZE_MIN; /* a few lanes only: soon full */
#endif
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), 0);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state) {
    struct fixture *fixture = *state;
    nftw(fixture->runtime_dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

static inline tf_client *fixture_open(const struct fixture *fixture, int policy, uint64_t wait_ns) {
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = fixture->runtime_dir;
    options.policy = policy;
    options.wait_ns = wait_ns;
    tf_client *client = NULL;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_string_equal(tf_last_error(), "");
    return client;
}

static inline uint64_t fixture_lost(tf_client *client) {
    struct tf_loss_counts losses;
    assert_int_equal(tf_losses(client, &losses, sizeof(losses)), 0);
    return losses.total;
}

/* The only entry there is must contain `part`. */
static inline void assert_entry_with(const struct fixture *fixture, const char *part) {
    struct drain drain;
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 1);
    if (!strstr(drain.lines.data, part))
        fail_msg("no %s in %s", part, drain.lines.data);
    drain_finish(&drain);
}

/* Run function in a child; its exit status, or 256 + the signal that ended it. */
static inline int in_child(int (*function)(void *argument), void *argument) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(function(argument));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define fixture_test(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif
