#include "common/process/daemon.h"

#include "common/base/check.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32]; /* of one test */

static int make_dir(void **state) {
    (void)state;
    strcpy(dir, "/tmp/tf-daemon-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

static const char *in_dir(const char *name) {
    static char path[4][128];
    static unsigned next;
    char *out = path[next++ % 4];

    snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
    return out;
}

/* --- the lock --- */

static void the_second_holder_is_told_who_the_first_is(void **state) {
    struct error error = { 0 };
    char expected[256];
    int fd = daemon_lock(dir, "collector", &error);

    (void)state;
    assert_true(fd >= 0);
    snprintf(expected, sizeof(expected), "%s/collector.lock is held by %s (pid %ld); stop that one first", dir,
             program_invocation_short_name, (long)getpid());
    assert_int_equal(daemon_lock(dir, "collector", &error), -EBUSY);
    assert_string_equal(error.text, expected);
    close(fd);
    fd = daemon_lock(dir, "collector", &error); /* its end frees the lock, the file stays */
    assert_true(fd >= 0);
    close(fd);
}

static void a_killed_holder_holds_nothing(void **state) {
    int ends[2], fd, status;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        if (daemon_lock(dir, "x", NULL) < 0 || write(ends[1], "l", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(daemon_lock(dir, "x", NULL), -EBUSY);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    fd = daemon_lock(dir, "x", NULL);
    assert_true(fd >= 0);
    close(fd);
    close(ends[0]);
    close(ends[1]);
}

static void a_lock_is_not_written_through_a_link(void **state) {
    struct error error = { 0 };

    (void)state;
    assert_int_equal(symlink("/tmp/elsewhere", in_dir("x.lock")), 0);
    assert_int_equal(daemon_lock(dir, "x", &error), -ELOOP);
    assert_int_equal(daemon_lock("/nonexistent", "x", &error), -ENOENT);
}

/* --- folders --- */

static void folders_are_made_with_their_modes(void **state) {
    struct error error = { 0 };
    struct stat status;
    mode_t mask = umask(077);

    (void)state;
    assert_int_equal(daemon_runtime_dirs(in_dir("run"), &error), 0);
    umask(mask);
    assert_int_equal(stat(in_dir("run"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    assert_int_equal(stat(in_dir("run/rings"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 03773);
    assert_int_equal(daemon_runtime_dirs(in_dir("run"), &error), 0); /* and found again */
}

static void what_is_wrong_with_a_folder_is_said(void **state) {
    struct error error = { 0 };
    int fd;

    (void)state;
    assert_int_equal(daemon_make_dir("/nonexistent/a/b", 0755, "the data folder (data_dir)", &error), -ENOENT);
    assert_string_equal(error.text,
                        "the data folder (data_dir) /nonexistent/a/b cannot be created: the folder above it is "
                        "missing; create it, or choose another");
    fd = open(in_dir("file"), O_WRONLY | O_CREAT, 0600);
    close(fd);
    assert_int_equal(daemon_make_dir(in_dir("file"), 0755, "the data folder", &error), -ENOTDIR);
    assert_non_null(strstr(error.text, "is not a folder"));
    assert_int_equal(daemon_make_dir("/proc/self", 0755, "the data folder", &error) < 0, 1);
    assert_int_equal(symlink("/tmp", in_dir("rings")), 0);
    assert_int_equal(daemon_runtime_dirs(dir, &error) < 0, 1); /* a ring folder is never reached through a link */
}

/* --- the main of a daemon --- */

static const char *word;
static bool wanted;
static const struct daemon_option options[] = {
    { "--word", "TEXT", "a word", &word, NULL },
    { "--wanted", NULL, "a flag", NULL, &wanted },
};
/* What --check asks a daemon: here, whether the namespace is one it likes. */
static int judge(const struct config *config, struct config_faults *faults) {
    if (strcmp(config->namespace_, "disliked") != 0)
        return 0;
    faults->lines = calloc(1, sizeof(*faults->lines));
    faults->lines[faults->count++] = strdup("other.yaml:1:2: not this one");
    return -EINVAL;
}

static const struct daemon_spec spec = { "taskforge-test", "Does nothing.", options, COUNT_OF(options), judge };

struct outcome {
    int status;
    char out[4096];
    char err[4096];
};

static void read_all(const char *path, char *out, size_t size) {
    FILE *file = fopen(path, "r");
    size_t n = fread(out, 1, size - 1, file);

    out[n] = '\0';
    fclose(file);
}

/* Run `body` in a child with its streams in files. */
static struct outcome in_child(int (*body)(int argc, char **argv), int argc, char **argv) {
    struct outcome outcome;
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (!freopen(in_dir("out"), "w", stdout) || !freopen(in_dir("err"), "w", stderr))
            _exit(99);
        status = body(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    waitpid(pid, &status, 0);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_all(in_dir("out"), outcome.out, sizeof(outcome.out));
    read_all(in_dir("err"), outcome.err, sizeof(outcome.err));
    return outcome;
}

static int set_up_only(int argc, char **argv) {
    struct daemon daemon;
    int status = daemon_setup(&daemon, &spec, argc, argv);

    if (status != DAEMON_GO_ON)
        return status;
    printf("word=%s wanted=%d namespace=%s", word ? word : "", wanted, daemon.config->namespace_);
    daemon_finish(&daemon);
    return 42;
}

#define ARGUMENTS(...) COUNT_OF(((char *[]) { "x", __VA_ARGS__ })), ((char *[]) { "x", __VA_ARGS__, NULL })

static void wrong_usage_is_one_line_and_status_2(void **state) {
    struct outcome outcome = in_child(set_up_only, ARGUMENTS("--wat"));

    (void)state;
    assert_int_equal(outcome.status, 2);
    assert_string_equal(outcome.err,
                        "taskforge-test: unknown argument \"--wat\"; usage: taskforge-test [--config FILE] "
                        "[--check] (see --help)\n");
    assert_string_equal(outcome.out, "");
    assert_int_equal(in_child(set_up_only, ARGUMENTS("stray")).status, 2);
    assert_int_equal(in_child(set_up_only, ARGUMENTS("--config")).status, 2);
    assert_int_equal(in_child(set_up_only, ARGUMENTS("--config=")).status, 2);
    assert_int_equal(in_child(set_up_only, ARGUMENTS("--wanted=1")).status, 2);
}

static void help_and_version_go_to_stdout(void **state) {
    struct outcome outcome = in_child(set_up_only, ARGUMENTS("--help"));

    (void)state;
    assert_int_equal(outcome.status, 0);
    assert_non_null(strstr(outcome.out, "Usage: taskforge-test [OPTION...]\nDoes nothing.\n"));
    assert_non_null(strstr(outcome.out, "--word TEXT"));
    assert_string_equal(outcome.err, "");
    outcome = in_child(set_up_only, ARGUMENTS("--version"));
    assert_string_equal(outcome.out, "taskforge-test " TASKFORGE_VERSION "\n");
}

static void write_config(const char *text) {
    FILE *file = fopen(in_dir("c.yaml"), "w");

    fputs(text, file);
    fclose(file);
}

static void a_daemons_own_options_are_taken(void **state) {
    struct outcome outcome;

    (void)state;
    write_config("namespace: mine\n");
    setenv("TASKFORGE_CONFIG", in_dir("c.yaml"), 1);
    outcome = in_child(set_up_only, ARGUMENTS("--word=a=b", "--wanted"));
    unsetenv("TASKFORGE_CONFIG");
    assert_int_equal(outcome.status, 42);
    assert_string_equal(outcome.out, "word=a=b wanted=1 namespace=mine");
}

static void check_prints_each_fault_with_its_place(void **state) {
    char path[128], expected[512];
    struct outcome outcome;

    (void)state;
    strcpy(path, in_dir("c.yaml"));
    write_config("namespace: good\n");
    outcome = in_child(set_up_only, ARGUMENTS("--check", "--config", path));
    assert_int_equal(outcome.status, 0);
    assert_string_equal(outcome.out, "");
    write_config("colector: {}\nring: { size: 1 }\n");
    outcome = in_child(set_up_only, ARGUMENTS("--check", "--config", path));
    assert_int_equal(outcome.status, 1);
    snprintf(expected, sizeof(expected),
             "%s:1:1: unknown key \"colector\" at the top; did you mean \"collector\"?\n"
             "%s:2:15: ring.size must be a size such as 64KiB, 10MiB or 1GiB, not \"1\"\n",
             path, path);
    assert_string_equal(outcome.out, expected);
    write_config("namespace: disliked\n");
    outcome = in_child(set_up_only, ARGUMENTS("--check", "--config", path));
    assert_int_equal(outcome.status, 1);
    assert_string_equal(outcome.out, "other.yaml:1:2: not this one\n");
}

static void a_faulty_configuration_keeps_a_daemon_from_starting(void **state) {
    struct outcome outcome;
    char path[128];

    (void)state;
    strcpy(path, in_dir("c.yaml"));
    write_config("namespace: 1\n");
    outcome = in_child(set_up_only, ARGUMENTS("--config", path));
    assert_int_equal(outcome.status, 1);
    assert_non_null(strstr(outcome.err, "c.yaml:1:12: namespace must be text"));
}

/* --- running --- */

static int reloads;

static int count_reload(const struct config *config, void *context, struct error *error) {
    (void)context;
    if (strcmp(config->namespace_, "refused") == 0)
        return error_set(error, -EINVAL, "this one is not liked");
    reloads++;
    return 0;
}

static int run_daemon(int argc, char **argv) {
    struct daemon daemon;
    int status = daemon_setup(&daemon, &spec, argc, argv);

    if (status != DAEMON_GO_ON)
        return status;
    daemon.reload = count_reload;
    daemon_ready(&daemon, "all is\nwell");
    status = daemon_run(&daemon);
    printf("status=%d reloads=%d namespace=%s", status, reloads, daemon.config->namespace_);
    daemon_finish(&daemon);
    return status;
}

/* The next datagram without the watchdog's; its text in out. */
static void next_message(int fd, char out[256]) {
    do {
        ssize_t n = recv(fd, out, 255, 0);

        assert_true(n > 0);
        out[n] = '\0';
    } while (strcmp(out, "WATCHDOG=1") == 0);
}

static void tells_the_service_manager_and_reloads_on_hangup(void **state) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char path[128], message[256], out[4096];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), status;
    pid_t pid;

    (void)state;
    strcpy(path, in_dir("c.yaml"));
    strcpy(address.sun_path, in_dir("notify"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    write_config("namespace: first\n");
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "20000", 1);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (!freopen(in_dir("out"), "w", stdout) || !freopen(in_dir("err"), "w", stderr))
            _exit(99);
        status = run_daemon(ARGUMENTS("--config", path));
        fflush(NULL);
        _exit(status);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");

    next_message(fd, message);
    assert_string_equal(message, "READY=1\nSTATUS=all is?well");
    assert_true(recv(fd, message, sizeof(message) - 1, 0) > 0); /* the watchdog is fed though nothing happens */
    assert_memory_equal(message, "WATCHDOG=1", 10);

    write_config("namespace: 3\n");
    kill(pid, SIGHUP);
    next_message(fd, message);
    next_message(fd, message);
    assert_string_equal(message, "STATUS=a faulty configuration was refused, the old one is in force");
    write_config("namespace: refused\n");
    kill(pid, SIGHUP);
    next_message(fd, message);
    next_message(fd, message);
    assert_string_equal(message, "STATUS=a faulty configuration was refused, the old one is in force");
    write_config("namespace: second\n");
    kill(pid, SIGHUP);
    next_message(fd, message);
    next_message(fd, message);
    assert_string_equal(message, "STATUS=running with the configuration read again");

    kill(pid, SIGPIPE); /* is nothing */
    kill(pid, SIGTERM);
    next_message(fd, message);
    assert_string_equal(message, "STOPPING=1");
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    read_all(in_dir("out"), out, sizeof(out));
    assert_string_equal(out, "status=0 reloads=1 namespace=second");
    read_all(in_dir("err"), out, sizeof(out));
    assert_non_null(strstr(out, "taskforge-test: ready: all is?well\n"));
    assert_non_null(strstr(out, "this one is not liked; the old one stays\n"));
    close(fd);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_DIR(the_second_holder_is_told_who_the_first_is),
        WITH_DIR(a_killed_holder_holds_nothing),
        WITH_DIR(a_lock_is_not_written_through_a_link),
        WITH_DIR(folders_are_made_with_their_modes),
        WITH_DIR(what_is_wrong_with_a_folder_is_said),
        WITH_DIR(wrong_usage_is_one_line_and_status_2),
        WITH_DIR(help_and_version_go_to_stdout),
        WITH_DIR(a_daemons_own_options_are_taken),
        WITH_DIR(check_prints_each_fault_with_its_place),
        WITH_DIR(a_faulty_configuration_keeps_a_daemon_from_starting),
        WITH_DIR(tells_the_service_manager_and_reloads_on_hangup),
    };

    unsetenv("JOURNAL_STREAM"); /* the lines below carry no <6> */
    unsetenv("TASKFORGE_CONFIG");
    setenv("TASKFORGE_RUNTIME_DIR", "/tmp/tf-run", 1);
    setenv("TASKFORGE_DATA_DIR", "/tmp/tf-data", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
