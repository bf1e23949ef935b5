/* The lives that processes lead: in pid namespaces of their own, with a pid that a dead one had, with all descriptors closed, after fork
 * without exec, with 64 threads, under a clock that steps by an hour and a day. The collector's own code reads. Of each stream every
 * entry comes once, in order; nobody who lives loses his slot, and of who is dead all comes back. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

#include "agent/client/taskforge.h"
#include "tests/torture/reader.h"
#include "tests/torture/ring_lib.h"

enum { SERVICES_MAX = 32, STREAMS_MAX = 64, LINES = 40, TURNS_OF_LIFE = 60 };

#define PATIENCE_NS (60 * CLOCK_SECOND)

struct tally {
    char service[16];
    uint64_t next[STREAMS_MAX]; /* the number that must come next, from 0 */
};

struct bench {
    char directory[64];
    struct reader reader;
    struct tally tallies[SERVICES_MAX];
    size_t count;
};

/* --- reading --- */

static struct tally *tally_of(struct bench *bench, struct text service) {
    for (size_t i = 0; i < bench->count; i++)
        if (text_is(service, bench->tallies[i].service))
            return &bench->tallies[i];
    require(bench->count < SERVICES_MAX, "too many services");
    struct tally *tally = &bench->tallies[bench->count++];
    snprintf(tally->service, sizeof(tally->service), "%.*s", TEXT_FORMAT(service));
    return tally;
}

static void see(void *argument, const struct entry *entry) {
    char head[64];
    unsigned stream;
    unsigned long long number;
    if (text_is(entry->module, "crash")) /* that it was killed */
        return;
    struct tally *tally = tally_of(argument, entry->service);
    snprintf(head, sizeof(head), "%.*s", TEXT_FORMAT(entry->message));
    require(sscanf(head, "%u %llu", &stream, &number) == 2 && stream < STREAMS_MAX, "%s: \"%s\"", tally->service, head);
    require(number == tally->next[stream], "%s, stream %u: %llu where %llu comes next", tally->service, stream, number,
            (unsigned long long)tally->next[stream]);
    tally->next[stream]++;
}

static void turn(struct bench *bench) {
    reader_turn(&bench->reader, false, see, bench);
}

/* While nobody writes: nothing is waited for, neither what is to come nor news of who was killed. */
static void turn_whole(struct bench *bench) {
    reader_turn(&bench->reader, true, see, bench);
}

static uint64_t seen(struct bench *bench, const char *service) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        sum += tally_of(bench, text_of(service))->next[i];
    return sum;
}

static void expect_lines(struct bench *bench, const char *service, uint64_t lines) {
    for (uint64_t end = clock_monotonic_ns() + PATIENCE_NS; seen(bench, service) < lines;) {
        require(clock_monotonic_ns() < end, "%s: %llu of %llu lines", service, (unsigned long long)seen(bench, service),
                (unsigned long long)lines);
        turn(bench);
    }
    turn(bench);
    require(seen(bench, service) == lines, "%s: %llu lines, not %llu", service,
            (unsigned long long)seen(bench, service), (unsigned long long)lines);
}

static void expect_slots(struct bench *bench, uint32_t slots) {
    for (uint64_t end = clock_monotonic_ns() + PATIENCE_NS; reader_taken(&bench->reader).slots != slots;) {
        require(clock_monotonic_ns() < end, "%u slots are taken, not %u", reader_taken(&bench->reader).slots, slots);
        turn_whole(bench);
    }
    require(slots > 0 || reader_taken(&bench->reader).lanes == 0, "lanes are taken");
}

/* Whoever lives keeps what he has, however often it is looked at. */
static void expect_slots_to_stay(struct bench *bench, uint32_t slots) {
    for (int i = 0; i < TURNS_OF_LIFE; i++)
        turn(bench);
    require(reader_taken(&bench->reader).slots == slots, "%u slots are taken, not %u",
            reader_taken(&bench->reader).slots, slots);
}

static void bench_open(struct bench *bench) {
    memset(bench, 0, sizeof(*bench));
    torture_directory(bench->directory);
    reader_open(&bench->reader, bench->directory);
}

static void bench_close(struct bench *bench) {
    expect_slots(bench, 0);
    reader_close(&bench->reader);
    torture_remove(bench->directory);
}

/* --- apps: each does what it is to do at each byte it is sent, and sends one when it is done --- */

struct app {
    pid_t pid;
    int in, out;
};
typedef void app_life(tf_client *client, struct app *self);

static tf_client *open_client(const char *directory, const char *service) {
    struct tf_options options = TF_OPTIONS_INIT;
    tf_client *client;
    options.runtime_dir = directory;
    options.policy = TF_POLICY_WAIT;
    options.wait_ns = 60 * CLOCK_SECOND;
    require(tf_open(service, &options, &client) == 0, "%s", tf_last_error());
    return client;
}

static void log_lines(tf_client *client, unsigned stream, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++)
        require(tf_logf(client, TF_LEVEL_INFO, NULL, "live", "%u %u", stream, i) == 0, "%s", tf_last_error());
}

/* Tell that it is done, and wait for what is next. */
static void step(struct app *self) {
    char byte = 'x';
    if (write(self->out, &byte, 1) != 1 || read(self->in, &byte, 1) != 1)
        _exit(0);
}

static void app_start(const struct bench *bench, struct app *app, const char *service, app_life *life) {
    int in[2], out[2];
    require(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "%s", strerror(errno));
    app->pid = torture_fork();
    if (app->pid == 0) {
        struct app self = { .in = in[0], .out = out[1] };
        close(in[1]);
        close(out[0]);
        life(open_client(bench->directory, service), &self);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    app->in = in[1];
    app->out = out[0];
}

/* Until it has done its step, while the ring is read. */
static void await(struct bench *bench, const struct app *app) {
    struct pollfd done = { .fd = app->out, .events = POLLIN };
    char byte;
    for (uint64_t end = clock_monotonic_ns() + PATIENCE_NS; poll(&done, 1, 1) == 0;) {
        require(clock_monotonic_ns() < end, "an app does not go on");
        turn(bench);
    }
    require(read(app->out, &byte, 1) == 1, "an app ended");
}

static void next_step(struct bench *bench, const struct app *app) {
    require(write(app->in, "x", 1) == 1, "%s", strerror(errno));
    await(bench, app);
}

static void app_end(struct app *app) {
    kill(app->pid, SIGKILL);
    waitpid(app->pid, NULL, 0);
    close(app->in);
    close(app->out);
}

/* --- pid namespaces --- */

/* Lines, a child's lines, lines again; without exec. */
static void live_with_a_child(tf_client *client, struct app *self) {
    log_lines(client, 0, 0, LINES);
    pid_t child = fork();
    if (child == 0) {
        log_lines(client, 1, 0, LINES);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    step(self);
    log_lines(client, 0, LINES, 2 * LINES);
    step(self);
}

/* Its first process, pid 1 there, is app->pid here. */
static void container_start(const struct bench *bench, struct app *app, const char *service) {
    int pids[2];
    require(pipe2(pids, O_CLOEXEC) == 0, "%s", strerror(errno));
    struct app outer;
    int in[2], out[2];
    require(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "%s", strerror(errno));
    outer.pid = torture_fork();
    if (outer.pid == 0) {
        require(unshare(CLONE_NEWPID) == 0, "%s", strerror(errno));
        pid_t first = fork();
        if (first == 0) {
            struct app self = { .in = in[0], .out = out[1] };
            require(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getpid() == 1, "no namespace");
            close(in[1]);
            close(out[0]);
            live_with_a_child(open_client(bench->directory, service), &self);
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
    struct bench bench;
    struct app first, second;
    bench_open(&bench);
    container_start(&bench, &first, "first");
    container_start(&bench, &second, "second");
    await(&bench, &first);
    await(&bench, &second);
    expect_lines(&bench, "first", 2 * LINES);
    expect_lines(&bench, "second", 2 * LINES);
    expect_slots(&bench, 2);
    expect_slots_to_stay(&bench, 2);
    kill(first.pid, SIGKILL);
    expect_slots(&bench, 1);
    expect_slots_to_stay(&bench, 1);
    next_step(&bench, &second);
    expect_lines(&bench, "second", 3 * LINES);
    expect_lines(&bench, "first", 2 * LINES);
    kill(second.pid, SIGKILL);
    bench_close(&bench);
    close(first.in), close(first.out), close(second.in), close(second.out);
}

/* --- a pid given again --- */

static void live_plainly(tf_client *client, struct app *self) {
    log_lines(client, 0, 0, LINES);
    step(self);
    log_lines(client, 0, LINES, 2 * LINES);
    step(self);
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
    struct bench bench;
    struct app old, young;
    bench_open(&bench);
    app_start(&bench, &old, "old", live_plainly);
    await(&bench, &old);
    pid_t pid = old.pid;
    nanosleep(&(struct timespec) { 0, 30000000 }, NULL); /* start times count in hundredths of a second */
    app_end(&old);
    ask_for_pid(pid);
    app_start(&bench, &young, "young", live_plainly);
    require(young.pid == pid, "pid %d, not %d", (int)young.pid, (int)pid);
    await(&bench, &young);
    expect_slots(&bench, 1);
    expect_slots_to_stay(&bench, 1);
    next_step(&bench, &young);
    expect_lines(&bench, "old", LINES);
    expect_lines(&bench, "young", 2 * LINES);
    app_end(&young);
    bench_close(&bench);
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

static void live_without_descriptors(tf_client *client, struct app *self) {
    log_lines(client, 0, 0, LINES);
    for (int fd = 0; fd < 1024; fd++) /* the record lock goes with it */
        if (fd != self->in && fd != self->out)
            close(fd);
    step(self);
    log_lines(client, 0, LINES, 2 * LINES);
    step(self);
}

static void an_app_that_closed_everything_lives(void) {
    struct bench bench;
    struct app app;
    bench_open(&bench);
    app_start(&bench, &app, "daemon", live_without_descriptors);
    await(&bench, &app);
    expect_slots_to_stay(&bench, 1);
    next_step(&bench, &app);
    expect_lines(&bench, "daemon", 2 * LINES);
    app_end(&app);
    bench_close(&bench);
}

/* --- fork without exec --- */

enum { GENERATIONS = 16 };

static void live_through_generations(tf_client *client, struct app *self) {
    for (unsigned generation = 0;; generation++) {
        log_lines(client, generation, 0, LINES);
        pid_t child = generation + 1 < GENERATIONS ? fork() : 1;
        if (child == 0)
            continue;
        if (child > 1)
            waitpid(child, NULL, 0);
        log_lines(client, generation, LINES, 2 * LINES);
        if (generation > 0)
            _exit(0);
        break;
    }
    step(self);
}

static void each_generation_writes_on_its_own(void) {
    struct bench bench;
    struct app app;
    bench_open(&bench);
    app_start(&bench, &app, "family", live_through_generations);
    await(&bench, &app);
    expect_lines(&bench, "family", 2 * LINES * GENERATIONS);
    expect_slots(&bench, 1);
    app_end(&app);
    bench_close(&bench);
}

/* --- 64 threads --- */

struct job {
    tf_client *client;
    unsigned stream, lines;
};

static void *log_as_told(void *argument) {
    struct job *job = argument;
    log_lines(job->client, job->stream, 0, job->lines);
    return NULL;
}

static void live_with_threads(tf_client *client, struct app *self) {
    pthread_t threads[STREAMS_MAX];
    struct job jobs[STREAMS_MAX];
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        jobs[i] = (struct job) { .client = client, .stream = i, .lines = 10 * LINES };
        require(pthread_create(&threads[i], NULL, log_as_told, &jobs[i]) == 0, "thread");
    }
    for (unsigned i = 0; i < STREAMS_MAX; i++)
        pthread_join(threads[i], NULL);
    step(self);
}

/* With lanes for all of them, and with a few lanes. */
static void sixty_four_threads_write_side_by_side(uint64_t ring_size) {
    struct bench bench;
    struct app app;
    struct shared_settings settings;
    bench_open(&bench);
    settings_read(bench.directory, &settings);
    settings.ring_size = ring_size;
    require(settings_write(bench.directory, &settings, NULL) == 0, "settings");
    app_start(&bench, &app, "crowd", live_with_threads);
    await(&bench, &app);
    expect_lines(&bench, "crowd", 10 * LINES * STREAMS_MAX);
    app_end(&app);
    bench_close(&bench);
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
    struct bench bench;
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writers[2];
    uint32_t lane;
    bench_open(&bench);
    require(ring_attach(bench.directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    require(ring_slot_claim(&ring, TEXT_LITERAL("steps"), 0, &claim) == 0, "slot");
    for (int i = 0; i < 2; i++)
        require(ring_lane_claim(&ring, &claim, false, &writers[i], &lane) == 0, "lane");
    for (unsigned number = 0; number < 20 * STEPS; number++) {
        uint64_t now = clock_real_ns();
        for (unsigned i = 0; i < 2; i++)
            write_at(&writers[i], i, number,
                     now + (uint64_t)(steps_s[(number / 20 + i) % STEPS] * (int64_t)CLOCK_SECOND));
        if (number % 7 == 0)
            turn(&bench);
    }
    uint64_t begun = clock_monotonic_ns();
    for (int i = 0; i < 4; i++)
        turn(&bench);
    expect_lines(&bench, "steps", 2 * 20 * STEPS);
    require(clock_monotonic_ns() - begun < 2 * CLOCK_SECOND, "something was waited for");
    ring_slot_release(&ring, &claim, false);
    expect_slots(&bench, 0);
    ring_finish(&ring);
    bench_close(&bench);
}

static void live_with_a_clock_that_steps(tf_client *client, struct app *self) {
    for (unsigned i = 0; i < STEPS; i++) {
        clock_set_for_test(0);
        clock_set_for_test(clock_real_ns() + (uint64_t)(steps_s[i] * (int64_t)CLOCK_SECOND));
        log_lines(client, 0, i * LINES, (i + 1) * LINES);
    }
    clock_set_for_test(0);
    step(self);
}

/* The library's clock, and then the collector's. */
static void clocks_may_step(void) {
    struct bench bench;
    struct app app;
    bench_open(&bench);
    app_start(&bench, &app, "stepping", live_with_a_clock_that_steps);
    await(&bench, &app);
    for (unsigned i = 0; i < STEPS; i++) {
        clock_set_for_test(0);
        clock_set_for_test(clock_real_ns() + (uint64_t)(steps_s[i] * (int64_t)CLOCK_SECOND));
        turn(&bench);
    }
    clock_set_for_test(0);
    expect_lines(&bench, "stepping", STEPS * LINES);
    app_end(&app);
    bench_close(&bench);
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
