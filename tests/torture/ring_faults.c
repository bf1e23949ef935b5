/* A process is killed, or stopped, between any two steps that others can see (common/shm/fault.h), while another goes on and the
 * collector's own code reads:
 *
 *   - no call of the other is held up for 50 ms, and it attaches and claims lanes and slots as ever;
 *   - of each process calls accepted = entries stored, calls refused = losses told, each stream of entries once, whole, in order; of
 *     one that was killed within a call that call counts, wholly, or not at all, and which of the two its last step says;
 *   - counters are exact likewise;
 *   - all lanes and slots of the dead come back.
 *
 *   ring_faults FAULT_APP [POINT]
 *
 * Each point once; then at random instants, 10,000 with TASKFORGE_LONG=1. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/model/pack.h"
#include "tests/torture/fault_app.h"
#include "tests/torture/fault_names.h"
#include "tests/torture/reader.h"
#include "tests/torture/ring_lib.h"

#define WORST_NS (UINT64_C(50) * CLOCK_MILLISECOND)
#define PATIENCE_NS (UINT64_C(60) * CLOCK_SECOND)

enum { TURN_MS = 5, TELL_FD = 100 };

/* What was read of one app. */
struct seen {
    uint64_t next[STREAMS]; /* the number that must come next */
    uint64_t lost;
};

struct app {
    char service[16];
    pid_t pid;
    int in, out; /* of the survivor; the victim's out: who struck tells its pid there */
    struct fault_account *account;
    struct seen seen;
};

struct bench {
    const char *program;
    char directory[64];
    struct reader reader;
    bool reading, pausing; /* there is a collector; it does nothing for a while */
    struct app survivor, victim;
    uint64_t serial, entries, worst_ns;
};

/* --- the account --- */

static uint64_t accepted(const struct app *app) {
    uint64_t sum = 0;
    for (int i = 0; i < STREAMS; i++)
        sum += atomic_load(&app->account->streams[i].accepted);
    return sum;
}

static uint64_t refused(const struct app *app) {
    uint64_t sum = 0;
    for (int i = 0; i < STREAMS; i++)
        sum += atomic_load(&app->account->streams[i].refused);
    return sum;
}

static uint64_t stored(const struct app *app) {
    uint64_t sum = 0;
    for (int i = 0; i < STREAMS; i++)
        sum += app->seen.next[i] - 1;
    return sum;
}

/* --- what comes out of the ring --- */

static struct seen *seen_of(struct bench *bench, struct text service) {
    struct app *apps[] = { &bench->survivor, &bench->victim };
    for (size_t i = 0; i < 2; i++)
        if (text_is(service, apps[i]->service))
            return &apps[i]->seen;
    torture_fail(__FILE__, __LINE__, "service", "an entry of %.*s, whose account was closed", TEXT_FORMAT(service));
}

static void see_loss(struct bench *bench, struct text metadata) {
    struct pack_value service, count;
    require(pack_find(metadata, TEXT_LITERAL("service"), &service) == 1 &&
                pack_find(metadata, TEXT_LITERAL("count"), &count) == 1,
            "a loss without service or count");
    seen_of(bench, service.text)->lost += count.natural;
}

static void see(void *argument, const struct entry *entry) {
    struct bench *bench = argument;
    char head[64];
    unsigned stream;
    unsigned long long number;
    if (text_is(entry->service, "taskforge")) {
        if (text_is(entry->module, "loss"))
            see_loss(bench, entry->metadata);
        return;
    }
    if (text_is(entry->module, "crash")) /* that it was killed */
        return;
    struct seen *seen = seen_of(bench, entry->service);
    snprintf(head, sizeof(head), "%.*s", TEXT_FORMAT(entry->message));
    require(sscanf(head, "%u %llu ", &stream, &number) == 2 && stream < STREAMS, "\"%s\"", head);
    require(number == seen->next[stream], "%.*s, stream %u: %llu where %llu comes next", TEXT_FORMAT(entry->service),
            stream, number, (unsigned long long)seen->next[stream]);
    seen->next[stream]++;
    bench->entries++;
}

static void read_on(struct bench *bench) {
    if (!bench->reading)
        reader_open(&bench->reader, bench->directory);
    bench->reading = true;
}

static void turn(struct bench *bench) {
    if (bench->reading && !bench->pausing)
        reader_turn(&bench->reader, false, see, bench);
}

/* --- apps --- */

static void start(struct bench *bench, struct app *app, const char *life, const char *wish) {
    char path[128]; /* of the account; whoever has it mapped needs no name any more, but the app to begin with */
    int in[2], out[2];
    *app = (struct app) { .seen = { .next = { 1, 1, 1 } } };
    snprintf(app->service, sizeof(app->service), "%c%llu", life[0], (unsigned long long)bench->serial++);
    snprintf(path, sizeof(path), "%s/%s", bench->directory, app->service);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && ftruncate(fd, sizeof(*app->account)) == 0, "%s", strerror(errno));
    app->account = mmap(NULL, sizeof(*app->account), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    require(app->account != MAP_FAILED && pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "%s",
            strerror(errno));
    app->pid = torture_fork();
    if (app->pid == 0) {
        setenv("TASKFORGE_RUNTIME_DIR", bench->directory, 1);
        setenv("TASKFORGE_FAULT", wish, 1);
        setenv("TASKFORGE_FAULT_COUNT", *wish ? "" : "1", 1);
        setenv("TASKFORGE_FAULT_TELL", "100", 1);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], *wish ? TELL_FD : STDOUT_FILENO);
        execl(bench->program, bench->program, life, app->service, path, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(fd);
    app->in = in[1];
    app->out = out[0];
}

static void app_forget(struct app *app) {
    close(app->in);
    close(app->out);
    munmap(app->account, sizeof(*app->account));
    *app = (struct app) { .service = "" };
}

/* Wait for something to be read, while the ring is drained: false at the end of it. */
static bool wait_readable(struct bench *bench, int fd, void *room, size_t size) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    for (;;) {
        if (poll(&poll_fd, 1, TURN_MS) > 0) {
            ssize_t got = read(fd, room, size);
            require(got >= 0, "%s", strerror(errno));
            return got == (ssize_t)size;
        }
        turn(bench);
        require(clock_monotonic_ns() < deadline, "nothing came for a minute");
    }
}

/* The other process goes on (its next calls, once more where a loaded machine left it without a processor for as long), whoever is dead or stands still. Of the dead it takes over what they held, so that nothing is refused; an
 * overflow lane of one that stands still is passed over. */
static void survive(struct bench *bench, bool dead) {
    struct app *app = &bench->survivor;
    char byte = 'x';
    uint64_t before = refused(app), worst = UINT64_MAX;
    for (int attempt = 0; attempt < 3 && worst >= WORST_NS; attempt++) {
        atomic_store(&app->account->worst_ns, 0);
        require(write(app->in, &byte, 1) == 1, "%s", strerror(errno));
        require(wait_readable(bench, app->out, &byte, 1), "the survivor ended");
        worst = atomic_load(&app->account->worst_ns);
    }
    require(worst < WORST_NS, "a call of the survivor was held up for %llu ms",
            (unsigned long long)(worst / CLOCK_MILLISECOND));
    require(!dead || refused(app) == before, "calls of the survivor were refused");
    if (worst > bench->worst_ns)
        bench->worst_ns = worst;
}

static char state_of(pid_t pid) {
    char path[64], text[512], *end;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return 'X';
    text[length] = '\0';
    end = strrchr(text, ')');
    return end ? end[2] : 'X';
}

static void wait_struck(struct bench *bench, pid_t pid, bool stop) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    for (;;) {
        char state = state_of(pid);
        if (stop ? state == 'T' : state == 'X' || state == 'Z')
            return;
        require(clock_monotonic_ns() < deadline, "%d does not %s", (int)pid, stop ? "stop" : "die");
        turn(bench);
    }
}

/* Until the victim has ended; whether by SIGKILL. */
static bool wait_ended(struct bench *bench) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(bench->victim.pid, &status, WNOHANG)) == 0) {
        require(clock_monotonic_ns() < deadline, "the victim does not end");
        turn(bench);
        poll(NULL, 0, 1);
    }
    require(ended == bench->victim.pid, "%s", strerror(errno));
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the victim ended with %x", status);
    return false;
}

/* --- what there must be in the end --- */

/* Everything of the dead is read and given back: the survivor alone has a slot and a lane. */
static void settle(struct bench *bench, uint32_t slots, uint32_t lanes) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    struct reader_taken taken;
    for (;;) {
        turn(bench);
        taken = reader_taken(&bench->reader);
        if (taken.slots == slots && taken.lanes == lanes && taken.overflow == 0)
            break;
        require(clock_monotonic_ns() < deadline, "%u slots, %u lanes and %u overflow lanes are taken", taken.slots,
                taken.lanes, taken.overflow);
    }
    turn(bench);
}

/* What a call that was cut short by SIGKILL may have left: entries and losses are one more at most, together. */
static void judge_cut(const struct app *app, const char *point) {
    uint64_t more = stored(app) - accepted(app), more_lost = app->seen.lost - refused(app);
    require(more + more_lost <= 1, "at %s: %llu entries and %llu losses too many", point, (unsigned long long)more,
            (unsigned long long)more_lost);
    if (strcmp(point, "committed") == 0 || strcmp(point, "overflow_giving") == 0)
        require(more == 1, "at %s: the entry is not there", point);
    if (strcmp(point, "commit") == 0 || strcmp(point, "loss_timed") == 0 || strcmp(point, "span_claimed") == 0)
        require(more == 0 && more_lost == 0, "at %s: something was counted", point);
    if (strcmp(point, "loss_counted") == 0)
        require(more_lost == 1, "at %s: the loss is not counted", point);
}

static void judge(const struct bench *bench, const struct app *app, bool killed, const char *point) {
    uint64_t counted = atomic_load(&app->account->counted), observed = atomic_load(&app->account->observed);
    uint64_t total = reader_total(&bench->reader, "fault_counted", app->service);
    uint64_t observations = reader_total(&bench->reader, "fault_sizes", app->service);
    if (killed) {
        judge_cut(app, point);
        require(total <= counted + 1 && observations <= observed + 1, "at %s: too much is counted", point);
        if (strcmp(point, "counter_added") == 0)
            require(total == counted + 1, "at %s: the increment is gone", point);
    }
    require(killed || (stored(app) == accepted(app) && app->seen.lost == refused(app)),
            "at %s: %s: %llu stored, %llu accepted; %llu lost, %llu refused", point, app->service,
            (unsigned long long)stored(app), (unsigned long long)accepted(app), (unsigned long long)app->seen.lost,
            (unsigned long long)refused(app));
    require(stored(app) >= accepted(app) && app->seen.lost >= refused(app) && total >= counted &&
                observations >= observed && (killed || (total == counted && observations == observed)),
            "at %s: %s: something is missing", point, app->service);
}

/* --- one victim --- */

/* False when the point was not passed. */
static bool strike(struct bench *bench, const char *point, unsigned long count, bool stop) {
    char wish[64];
    int32_t struck;
    snprintf(wish, sizeof(wish), "%s:%lu:%s", point, count, stop ? "stop" : "kill");
    start(bench, &bench->victim, "victim", wish);
    bool passed = wait_readable(bench, bench->victim.out, &struck, sizeof(struck));
    if (!passed) {
        require(!wait_ended(bench), "the victim was killed by somebody");
    } else {
        bench->pausing = true; /* so that it is not the collector who gives back what the dead held */
        wait_struck(bench, struck, stop);
        if (!bench->survivor.pid)
            start(bench, &bench->survivor, "survivor", "");
        survive(bench, !stop);
        bench->pausing = false;
        read_on(bench);
        survive(bench, !stop);
        if (stop)
            require(kill(struck, SIGCONT) == 0, "%s", strerror(errno));
        bool killed = wait_ended(bench);
        require(killed == (!stop && struck == bench->victim.pid), "the victim ended otherwise than it should");
    }
    settle(bench, bench->survivor.pid ? 1 : 0, bench->survivor.pid ? 1 : 0);
    judge(bench, &bench->victim, passed && !stop, point);
    app_forget(&bench->victim);
    return passed;
}

/* --- the bench --- */

static void bench_open(struct bench *bench, const char *program) {
    struct shared_settings settings;
    *bench = (struct bench) { .program = program };
    torture_directory(bench->directory);
    settings_read(bench->directory, &settings);
    settings.ring_size = RING_SIZE_MIN; /* one overflow lane, and few others */
    require(settings_write(bench->directory, &settings, NULL) == 0, "settings");
}

static void bench_close(struct bench *bench) {
    int status;
    close(bench->survivor.in); /* it ends well when its stdin does */
    bench->survivor.in = -1;
    require(waitpid(bench->survivor.pid, &status, 0) == bench->survivor.pid && status == 0, "the survivor ended badly");
    settle(bench, 0, 0);
    judge(bench, &bench->survivor, false, "the end");
    app_forget(&bench->survivor);
    reader_close(&bench->reader);
    torture_remove(bench->directory);
}

static void in_a_new_ring(const char *program, const char *point, bool stop, struct bench *sums) {
    struct bench bench;
    bench_open(&bench, program);
    require(strike(&bench, point, 1, stop), "%s was not passed", point);
    bench_close(&bench);
    sums->entries += bench.entries;
    sums->worst_ns = bench.worst_ns > sums->worst_ns ? bench.worst_ns : sums->worst_ns;
}

static bool is_of_a_new_ring(int point) {
#define FAULT_POINT_ONE(name, text) +1
    return point < 0 FAULT_POINTS_OF_A_NEW_RING(FAULT_POINT_ONE);
}

/* Which time of passing: a counter that is placed is grown by 0 before. */
static unsigned long pass_of(const char *point) {
    return strcmp(point, "counter_added") == 0 ? 2 : 1;
}

static void at_each_point(struct bench *bench, const char *only) {
    for (int point = 0; point < FAULT_COUNT; point++) {
        const char *name = fault_names[point];
        for (int stop = 0; stop < 2 && (!only || strcmp(only, name) == 0); stop++) {
            if (is_of_a_new_ring(point))
                in_a_new_ring(bench->program, name, stop, bench);
            else
                require(strike(bench, name, pass_of(name), stop), "%s was not passed", name);
        }
    }
}

/* How many points a victim passes that nothing happens to. */
static unsigned long count_points(struct bench *bench) {
    char text[16] = "";
    start(bench, &bench->victim, "victim", "");
    wait_readable(bench, bench->victim.out, text, sizeof(text) - 1);
    require(!wait_ended(bench) && atoi(text) > FAULT_COUNT, "%s points", text);
    settle(bench, 1, 1);
    judge(bench, &bench->victim, false, "no point");
    app_forget(&bench->victim);
    return strtoul(text, NULL, 10);
}

static void at_random(struct bench *bench, uint64_t rounds) {
    unsigned long points = count_points(bench);
    uint64_t random = (uint64_t)getpid() * 7919 + 1, stops = 0, missed = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        bool stop = torture_random(&random) % 8 == 0;
        stops += stop;
        missed += !strike(bench, "any", 1 + torture_random(&random) % points, stop);
    }
    printf("%llu more at random, of them %llu stopped, %llu at their end before it\n", (unsigned long long)rounds,
           (unsigned long long)stops, (unsigned long long)missed);
    require(missed < rounds / 2 + 1, "too few were struck");
}

int main(int argc, char **argv) {
    static struct bench bench;
    require(argc >= 2, "which app?");
    signal(SIGPIPE, SIG_IGN);
    require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "%s", strerror(errno));
    bench_open(&bench, argv[1]);
    read_on(&bench);
    start(&bench, &bench.survivor, "survivor", "");
    survive(&bench, true);
    at_each_point(&bench, argc > 2 ? argv[2] : NULL);
    printf("%d points, killed and stopped at each\n", FAULT_COUNT);
    if (argc == 2)
        at_random(&bench, torture_count(20, 10000));
    bench_close(&bench);
    printf("%llu entries, none missing; the longest call of who went on: %llu us\n", (unsigned long long)bench.entries,
           (unsigned long long)(bench.worst_ns / 1000));
    return 0;
}
