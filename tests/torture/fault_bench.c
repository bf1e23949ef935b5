#include "tests/torture/fault_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/model/pack.h"
#include "tests/torture/ring_lib.h"

#define WORST_NS (UINT64_C(50) * CLOCK_MILLISECOND)
#define PATIENCE_NS (UINT64_C(60) * CLOCK_SECOND)

enum { TURN_MS = 5, TELL_FD = 100 };

/* --- the account --- */

static uint64_t app_accepted(const struct app *app) {
    uint64_t sum = 0;
    for (int i = 0; i < STREAMS; i++)
        sum += atomic_load(&app->account->streams[i].accepted);
    return sum;
}

static uint64_t app_refused(const struct app *app) {
    uint64_t sum = 0;
    for (int i = 0; i < STREAMS; i++)
        sum += atomic_load(&app->account->streams[i].refused);
    return sum;
}

static uint64_t app_stored(const struct app *app) {
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

void bench_read(struct bench *bench) {
    if (!bench->reading)
        reader_open(&bench->reader, bench->directory);
    bench->reading = true;
}

void bench_turn(struct bench *bench) {
    if (bench->reading && !bench->pausing)
        reader_turn(&bench->reader, false, see, bench);
    else
        poll(NULL, 0, 1);
}

/* --- apps --- */

void bench_start(struct bench *bench, struct app *app, const char *life, const char *wish) {
    char path[128]; /* of the account; whoever has it mapped needs no name any more, but the app to begin with */
    int in[2], out[2];
    if (*wish)
        snprintf(bench->wish, sizeof(bench->wish), "%s", wish);
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

void app_forget(struct app *app) {
    close(app->in);
    close(app->out);
    munmap(app->account, sizeof(*app->account));
    *app = (struct app) { .service = "" };
}

/* Wait for something to be read, while the ring is drained: false at the end of it. */
bool bench_wait(struct bench *bench, int fd, void *room, size_t size) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    for (;;) {
        if (poll(&poll_fd, 1, TURN_MS) > 0) {
            ssize_t got = read(fd, room, size);
            require(got >= 0, "%s", strerror(errno));
            return got == (ssize_t)size;
        }
        bench_turn(bench);
        require(clock_monotonic_ns() < deadline, "nothing came for a minute");
    }
}

/* The other process goes on, whoever is dead or stands still. Of the dead it takes over what they held, so that nothing is refused; an
 * overflow lane of one that stands still is passed over. */
void bench_survive(struct bench *bench, bool dead) {
    struct app *app = &bench->survivor;
    char byte = 'x';
    uint64_t before = app_refused(app);
    atomic_store(&app->account->worst_ns, 0);
    uint64_t worst = UINT64_MAX;
    /* Again where a loaded machine left it without a processor for as long. */
    for (int attempt = 0; attempt < 3 && worst >= WORST_NS; attempt++) {
        atomic_store(&app->account->worst_ns, 0);
        require(write(app->in, &byte, 1) == 1, "%s", strerror(errno));
        require(bench_wait(bench, app->out, &byte, 1), "the survivor ended");
        worst = atomic_load(&app->account->worst_ns);
    }
    require(worst < WORST_NS, "a call of the survivor was held up for %llu ms (%s)",
            (unsigned long long)(worst / CLOCK_MILLISECOND), bench->wish);
    require(!dead || app_refused(app) == before, "calls of the survivor were refused (%s)", bench->wish);
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

/* A zombie whose other threads are still on their way out has not let go of its locks. */
static bool is_dead(struct bench *bench, pid_t pid) {
    siginfo_t info = { .si_pid = 0 };
    if (pid != bench->victim.pid)
        return state_of(pid) == 'X' || state_of(pid) == 'Z'; /* children have one thread */
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == pid;
}

void bench_wait_struck(struct bench *bench, pid_t pid, bool stop) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    while (stop ? state_of(pid) != 'T' : !is_dead(bench, pid)) {
        require(clock_monotonic_ns() < deadline, "%d does not %s", (int)pid, stop ? "stop" : "die");
        bench_turn(bench);
    }
}

/* Until the victim has ended; whether by SIGKILL. */
bool bench_victim_ended(struct bench *bench) {
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(bench->victim.pid, &status, WNOHANG)) == 0) {
        require(clock_monotonic_ns() < deadline, "the victim does not end");
        bench_turn(bench);
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
void bench_settle(struct bench *bench) {
    uint32_t own = bench->survivor.pid != 0;
    uint64_t deadline = clock_monotonic_ns() + PATIENCE_NS;
    struct reader_taken taken;
    for (;;) {
        reader_turn(&bench->reader, true, see, bench); /* nobody writes, and nothing is waited for */
        taken = reader_taken(&bench->reader);
        if (taken.slots == own && taken.lanes == own && taken.overflow == 0)
            break;
        require(clock_monotonic_ns() < deadline, "%u slots, %u lanes and %u overflow lanes are taken", taken.slots,
                taken.lanes, taken.overflow);
    }
    bench_turn(bench);
}

/* What a call that was cut short by SIGKILL may have left: entries and losses are one more at most, together. */
static void judge_cut(const struct app *app, const char *point) {
    uint64_t more = app_stored(app) - app_accepted(app), more_lost = app->seen.lost - app_refused(app);
    require(more + more_lost <= 1, "at %s: %llu entries and %llu losses too many", point, (unsigned long long)more,
            (unsigned long long)more_lost);
    if (strcmp(point, "committed") == 0 || strcmp(point, "overflow_giving") == 0)
        require(more == 1, "at %s: the entry is not there", point);
    if (strcmp(point, "commit") == 0 || strcmp(point, "loss_timed") == 0 || strcmp(point, "span_claimed") == 0)
        require(more == 0 && more_lost == 0, "at %s: something was counted", point);
    if (strcmp(point, "loss_counted") == 0)
        require(more_lost == 1, "at %s: the loss is not counted", point);
}

void bench_judge(const struct bench *bench, const struct app *app, bool killed, const char *point) {
    uint64_t counted = atomic_load(&app->account->counted), observed = atomic_load(&app->account->observed);
    uint64_t total = reader_total(&bench->reader, "fault_counted", app->service);
    uint64_t observations = reader_total(&bench->reader, "fault_sizes", app->service);
    if (killed) {
        judge_cut(app, point);
        require(total <= counted + 1 && observations <= observed + 1, "at %s: too much is counted", point);
        if (strcmp(point, "counter_added") == 0)
            require(total == counted + 1, "at %s: the increment is gone", point);
    }
    require(killed || (app_stored(app) == app_accepted(app) && app->seen.lost == app_refused(app)),
            "at %s: %s: %llu stored, %llu accepted; %llu lost, %llu refused", point, app->service,
            (unsigned long long)app_stored(app), (unsigned long long)app_accepted(app),
            (unsigned long long)app->seen.lost, (unsigned long long)app_refused(app));
    require(app_stored(app) >= app_accepted(app) && app->seen.lost >= app_refused(app) && total >= counted &&
                observations >= observed && (killed || (total == counted && observations == observed)),
            "at %s: %s: something is missing", point, app->service);
}

/* --- the bench --- */

void bench_open(struct bench *bench, const char *program) {
    struct shared_settings settings;
    *bench = (struct bench) { .program = program };
    torture_directory(bench->directory);
    settings_read(bench->directory, &settings);
    settings.ring_size = RING_SIZE_MIN; /* one overflow lane, and few others */
    require(settings_write(bench->directory, &settings, NULL) == 0, "settings");
}

unsigned long bench_run_victim(struct bench *bench) {
    char text[16] = "";
    bench_start(bench, &bench->victim, "victim", "");
    bench_wait(bench, bench->victim.out, text, sizeof(text) - 1);
    require(!bench_victim_ended(bench) && atoi(text) > 0, "\"%s\" points", text);
    bench_settle(bench);
    bench_judge(bench, &bench->victim, false, "no point");
    app_forget(&bench->victim);
    return strtoul(text, NULL, 10);
}

static void end_survivor(struct bench *bench) {
    int status;
    close(bench->survivor.in); /* it ends well when its stdin does */
    bench->survivor.in = -1;
    require(waitpid(bench->survivor.pid, &status, 0) == bench->survivor.pid && status == 0, "the survivor ended badly");
    bench->survivor.pid = 0;
    bench_settle(bench);
    bench_judge(bench, &bench->survivor, false, "the end");
    app_forget(&bench->survivor);
}

void bench_close(struct bench *bench) {
    if (bench->survivor.pid)
        end_survivor(bench);
    reader_close(&bench->reader);
    torture_remove(bench->directory);
}
