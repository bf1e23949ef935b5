/* The lives that processes lead: in pid namespaces of their own, with a pid that a dead one had, with all descriptors closed, after fork
 * without exec, with 64 threads, under a clock that steps by an hour and a day. The collector's own code reads. Of each stream every
 * entry comes once, in order; nobody who lives loses his slot, and of who is dead all comes back. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/torture/lives.h"
#include "tests/torture/ring_lib.h"

enum { LINES = 40 };

/* --- pid namespaces --- */

/* Lines, a child's lines, lines again; without exec. */
static void live_with_a_child(tf_client *client, struct life *self) {
    life_log(client, 0, 0, LINES);
    pid_t child = fork();
    if (child == 0) {
        life_log(client, 1, 0, LINES);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    life_step(self);
    life_log(client, 0, LINES, 2 * LINES);
    life_step(self);
}

/* Its first process, pid 1 there, is app->pid here. */
static void container_start(const struct lives *lives, struct life *app, const char *service) {
    int pids[2];
    require(pipe2(pids, O_CLOEXEC) == 0, "%s", strerror(errno));
    struct life outer;
    int in[2], out[2];
    require(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "%s", strerror(errno));
    outer.pid = torture_fork();
    if (outer.pid == 0) {
        require(unshare(CLONE_NEWPID) == 0, "%s", strerror(errno));
        pid_t first = fork();
        if (first == 0) {
            struct life self = { .in = in[0], .out = out[1] };
            require(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getpid() == 1, "no namespace");
            close(in[1]);
            close(out[0]);
            live_with_a_child(life_client(lives->directory, service), &self);
            _exit(0);
        }
        require(write(pids[1], &first, sizeof(first)) == sizeof(first), "%s", strerror(errno));
        waitpid(first, NULL, 0);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    require(read(pids[0], &app->pid, sizeof(app->pid)) == sizeof(app->pid), "no pid");
    close(pids[0]);
    close(pids[1]);
    app->in = in[1];
    app->out = out[0];
}

static void in_pid_namespaces_the_locks_tell_who_lives(void) {
    struct lives lives;
    struct life first, second;
    lives_open(&lives);
    container_start(&lives, &first, "first");
    container_start(&lives, &second, "second");
    life_await(&lives, &first);
    life_await(&lives, &second);
    lives_lines(&lives, "first", 2 * LINES);
    lives_lines(&lives, "second", 2 * LINES);
    lives_slots(&lives, 2);
    lives_stay(&lives, 2);
    kill(first.pid, SIGKILL);
    lives_slots(&lives, 1);
    lives_stay(&lives, 1);
    life_next(&lives, &second);
    lives_lines(&lives, "second", 3 * LINES);
    lives_lines(&lives, "first", 2 * LINES);
    kill(second.pid, SIGKILL);
    lives_close(&lives);
    close(first.in), close(first.out), close(second.in), close(second.out);
}

/* --- a pid given again --- */

static void live_plainly(tf_client *client, struct life *self) {
    life_log(client, 0, 0, LINES);
    life_step(self);
    life_log(client, 0, LINES, 2 * LINES);
    life_step(self);
}

/* The next process gets this pid: only the first process of a namespace of its own, with its own /proc, can ask for it. */
static void ask_for_pid(pid_t pid) {
    char text[16];
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    int length = snprintf(text, sizeof(text), "%d", (int)pid - 1);
    require(fd >= 0 && write(fd, text, (size_t)length) == length, "ns_last_pid: %s", strerror(errno));
    close(fd);
}

static _Noreturn void give_a_pid_again(void) {
    struct lives lives;
    struct life old, young;
    lives_open(&lives);
    life_start(&lives, &old, "old", live_plainly);
    life_await(&lives, &old);
    pid_t pid = old.pid;
    nanosleep(&(struct timespec) { 0, 30000000 }, NULL); /* start times count in hundredths of a second */
    life_end(&old);
    ask_for_pid(pid);
    life_start(&lives, &young, "young", live_plainly);
    require(young.pid == pid, "pid %d, not %d", (int)young.pid, (int)pid);
    life_await(&lives, &young);
    lives_slots(&lives, 1);
    lives_stay(&lives, 1);
    life_next(&lives, &young);
    lives_lines(&lives, "old", LINES);
    lives_lines(&lives, "young", 2 * LINES);
    life_end(&young);
    lives_close(&lives);
    exit(0);
}

static void a_process_with_a_dead_ones_pid_is_another(void) {
    int status;
    pid_t outer = torture_fork();
    if (outer == 0) {
        require(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0, "%s", strerror(errno));
        pid_t first = fork();
        if (first == 0) {
            require(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                        mount("proc", "/proc", "proc", 0, NULL) == 0,
                    "%s", strerror(errno));
            give_a_pid_again();
        }
        waitpid(first, &status, 0);
        _exit(status != 0);
    }
    require(waitpid(outer, &status, 0) == outer && status == 0, "it ended with %x", status);
}

/* --- descriptors closed --- */

static void live_without_descriptors(tf_client *client, struct life *self) {
    life_log(client, 0, 0, LINES);
    for (int fd = 0; fd < 1024; fd++) /* the record lock goes with it */
        if (fd != self->in && fd != self->out)
            close(fd);
    life_step(self);
    life_log(client, 0, LINES, 2 * LINES);
    life_step(self);
}

static void an_app_that_closed_everything_lives(void) {
    struct lives lives;
    struct life app;
    lives_open(&lives);
    life_start(&lives, &app, "daemon", live_without_descriptors);
    life_await(&lives, &app);
    lives_stay(&lives, 1);
    life_next(&lives, &app);
    lives_lines(&lives, "daemon", 2 * LINES);
    life_end(&app);
    lives_close(&lives);
}

/* --- fork without exec --- */

enum { GENERATIONS = 16 };

static void live_through_generations(tf_client *client, struct life *self) {
    for (unsigned generation = 0;; generation++) {
        life_log(client, generation, 0, LINES);
        pid_t child = generation + 1 < GENERATIONS ? fork() : 1;
        if (child == 0)
            continue;
        if (child > 1)
            waitpid(child, NULL, 0);
        life_log(client, generation, LINES, 2 * LINES);
        if (generation > 0)
            _exit(0);
        break;
    }
    life_step(self);
}

static void each_generation_writes_on_its_own(void) {
    struct lives lives;
    struct life app;
    lives_open(&lives);
    life_start(&lives, &app, "family", live_through_generations);
    life_await(&lives, &app);
    lives_lines(&lives, "family", 2 * LINES * GENERATIONS);
    lives_slots(&lives, 1);
    life_end(&app);
    lives_close(&lives);
}

/* --- 64 threads --- */

struct job {
    tf_client *client;
    unsigned stream, lines;
};

static void *log_as_told(void *argument) {
    struct job *job = argument;
    life_log(job->client, job->stream, 0, job->lines);
    return NULL;
}

static void live_with_threads(tf_client *client, struct life *self) {
    pthread_t threads[STREAMS_MAX];
    struct job jobs[STREAMS_MAX];
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        jobs[i] = (struct job) { .client = client, .stream = i, .lines = 10 * LINES };
        require(pthread_create(&threads[i], NULL, log_as_told, &jobs[i]) == 0, "thread");
    }
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        pthread_join(threads[i], NULL);
    life_step(self);
}

/* With lanes for all of them, and with a few lanes. */
static void sixty_four_threads_write_side_by_side(uint64_t ring_size) {
    struct lives lives;
    struct life app;
    struct shared_settings settings;
    lives_open(&lives);
    settings_read(lives.directory, &settings);
    settings.ring_size = ring_size;
    require(settings_write(lives.directory, &settings, NULL) == 0, "settings");
    life_start(&lives, &app, "crowd", live_with_threads);
    life_await(&lives, &app);
    lives_lines(&lives, "crowd", 10 * LINES * STREAMS_MAX);
    life_end(&app);
    lives_close(&lives);
}

/* --- a clock that steps --- */

static const int64_t steps_s[] = { 0, 3600, 3600, 0, -3600, -86400, 86400, 0, 1, -1, 2 * 86400, -2 * 86400, 0 };
enum { STEPS = sizeof(steps_s) / sizeof(steps_s[0]) };

static void write_at(struct lane_writer *writer, unsigned stream, unsigned number, uint64_t time_ns) {
    char message[32];
    int length = snprintf(message, sizeof(message), "%u %u", stream, number);
    struct record_entry record = { .entry = { .level = LEVEL_INFO,
                                              .module = TEXT_LITERAL("m"),
                                              .operation = TEXT_LITERAL("o"),
                                              .message = { message, (size_t)length },
                                              .timestamp_ns = time_ns } };
    uint64_t position;
    uint32_t size;
    require(record_entry_size(&record, &size) == 0, "size");
    void *span = lane_claim(writer, size, LEVEL_INFO, &position);
    require(span, "no room");
    record_entry_encode(&record, position, time_ns, span, size);
    lane_commit(writer, size);
}

/* Two threads whose records' times step back and forth; nothing waits for a clock to come round. */
static void records_whose_time_steps_keep_their_order_and_wait_for_nothing(void) {
    struct lives lives;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writers[2];
    uint32_t lane;
    lives_open(&lives);
    require(ring_attach(lives.directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    require(ring_slot_claim(&ring, TEXT_LITERAL("steps"), 0, &claim) == 0, "slot");
    for (int i = 0; i < 2; i++)
        require(ring_lane_claim(&ring, &claim, false, &writers[i], &lane) == 0, "lane");
    for (unsigned number = 0; number < 20 * STEPS; number++) {
        uint64_t now = clock_real_ns();
        for (unsigned i = 0; i < 2; i++)
            write_at(&writers[i], i, number,
                     now + (uint64_t)(steps_s[(number / 20 + i) % STEPS] * (int64_t)CLOCK_SECOND));
        if (number % 7 == 0)
            lives_turn(&lives);
    }
    uint64_t begun = clock_monotonic_ns();
    for (int i = 0; i < 4; i++)
        lives_turn(&lives);
    lives_lines(&lives, "steps", 2 * 20 * STEPS);
    require(clock_monotonic_ns() - begun < 2 * CLOCK_SECOND, "something was waited for");
    ring_slot_release(&ring, &claim, false);
    lives_slots(&lives, 0);
    ring_finish(&ring);
    lives_close(&lives);
}

static void live_with_a_clock_that_steps(tf_client *client, struct life *self) {
    for (unsigned i = 0; i < STEPS; i++) {
        clock_set_for_test(0);
        clock_set_for_test(clock_real_ns() + (uint64_t)(steps_s[i] * (int64_t)CLOCK_SECOND));
        life_log(client, 0, i * LINES, (i + 1) * LINES);
    }
    clock_set_for_test(0);
    life_step(self);
}

/* The library's clock, and then the collector's. */
static void clocks_may_step(void) {
    struct lives lives;
    struct life app;
    lives_open(&lives);
    life_start(&lives, &app, "stepping", live_with_a_clock_that_steps);
    life_await(&lives, &app);
    for (unsigned i = 0; i < STEPS; i++) {
        clock_set_for_test(0);
        clock_set_for_test(clock_real_ns() + (uint64_t)(steps_s[i] * (int64_t)CLOCK_SECOND));
        lives_turn(&lives);
    }
    clock_set_for_test(0);
    lives_lines(&lives, "stepping", STEPS * LINES);
    life_end(&app);
    lives_close(&lives);
}

#define TRY(call) (call, printf("ok %s\n", #call), (void)fflush(stdout))

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "%s", strerror(errno));
    if (geteuid() == 0) {
        TRY(in_pid_namespaces_the_locks_tell_who_lives());
        TRY(a_process_with_a_dead_ones_pid_is_another());
    } else {
        printf("not root: no pid namespaces, no pid given again\n");
    }
    TRY(an_app_that_closed_everything_lives());
    TRY(each_generation_writes_on_its_own());
    TRY(sixty_four_threads_write_side_by_side(RING_SIZE_DEFAULT));
    TRY(sixty_four_threads_write_side_by_side(RING_SIZE_MIN));
    TRY(records_whose_time_steps_keep_their_order_and_wait_for_nothing());
    TRY(clocks_may_step());
    return 0;
}
