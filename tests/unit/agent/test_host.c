/* The looks: a /proc of the test's own, an outlet with as much room as the test gives, file systems that hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/host/file_systems.h"
#include "agent/host/host.h"
#include "host_lines.h"

enum { WAIT_S = 20, DEADLINE_MS = 300 };

/* --- the world --- */

struct world {
    char proc[64];
    struct loop *loop;
    struct outlet outlet;
    struct buffer lines; /* of what was written */
    size_t count, room;
    struct host *host;
};

static int take_metric(void *context, const struct record_metric_update *update) {
    struct world *world = context;
    if (world->room == 0)
        return -EAGAIN;
    world->room--;
    world->count++;
    host_lines_append(&world->lines, update);
    return 0;
}

static void put(const struct world *world, const char *path, const char *text) {
    char whole[256];
    snprintf(whole, sizeof(whole), "%s/%s", world->proc, path);
    for (char *slash = whole + strlen(world->proc) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(whole, 0700);
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static void world_begin(struct world *world) {
    struct error error;
    *world = (struct world) { .proc = "/tmp/taskforge-proc-XXXXXX", .room = SIZE_MAX };
    assert_non_null(mkdtemp(world->proc));
    assert_int_equal(loop_create(&world->loop, &error), 0);
    world->outlet = (struct outlet) { .write_metric = take_metric, .context = world };
}

static void host_begin(struct world *world, uint64_t interval_ns, space_job_stat *stat) {
    struct host_options options = {
        .interval_ns = interval_ns, .proc = world->proc, .stat = stat, .deadline_ns = DEADLINE_MS * CLOCK_MILLISECOND
    };
    struct error error;
    assert_int_equal(host_create(world->loop, &world->outlet, &options, &world->host, &error), 0);
}

static void world_end(struct world *world) {
    host_destroy(world->host);
    loop_destroy(world->loop);
    buffer_finish(&world->lines);
    nftw(world->proc, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static size_t count_of(const struct world *world, const char *part) {
    size_t count = 0, length = strlen(part);
    const char *at = world->lines.data, *end = at ? at + world->lines.length : at;
    while (at && (at = memmem(at, (size_t)(end - at), part, length))) {
        count++;
        at += length;
    }
    return count;
}

static void wait_for(struct world *world, const char *part, size_t count) {
    uint64_t end_ns = clock_monotonic_ns() + WAIT_S * CLOCK_SECOND;
    while (count_of(world, part) < count) {
        if (clock_monotonic_ns() > end_ns)
            fail_msg("%zu times \"%s\", not %zu, in:\n%.*s", count_of(world, part), part, count,
                     TEXT_FORMAT(buffer_text(&world->lines)));
        loop_run_once(world->loop, CLOCK_SECOND / 10);
    }
}

static void forget(struct world *world) {
    buffer_clear(&world->lines);
    world->count = 0;
}

/* ThreadSanitizer has a thread of its own. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { OTHER_THREADS = 2 };
#else
enum { OTHER_THREADS = 1 };
#endif

/* Threads of file systems in this process: 0 when no look is on and none hangs. */
static size_t thread_count(void) {
    DIR *folder = opendir("/proc/self/task");
    size_t count = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count > OTHER_THREADS ? count - OTHER_THREADS : 0;
}

/* A look that is on may have a thread for a moment, beside those that hang. loop: to go on meanwhile, or NULL. */
static void wait_for_threads(struct loop *loop, size_t count) {
    uint64_t end_ns = clock_monotonic_ns() + WAIT_S * CLOCK_SECOND;
    while (thread_count() != count) {
        if (clock_monotonic_ns() > end_ns)
            fail_msg("%zu threads, not %zu", thread_count(), count);
        if (loop)
            loop_run_once(loop, CLOCK_MILLISECOND);
        else
            usleep(1000);
    }
}

static void wait_for_no_thread(void) {
    wait_for_threads(NULL, 0);
}

/* --- statvfs of the tests: paths with "hang" wait for the gate, paths with "bad" fail --- */

static sem_t gate;
static _Atomic unsigned asked;

static int fake_stat(const char *path, struct statvfs *ret) {
    atomic_fetch_add(&asked, 1);
    if (strstr(path, "hang"))
        while (sem_wait(&gate) != 0)
            continue;
    if (strstr(path, "bad")) {
        errno = EIO;
        return -1;
    }
    *ret =
        (struct statvfs) { .f_frsize = 1024, .f_blocks = 10, .f_bfree = 5, .f_bavail = 4, .f_files = 3, .f_ffree = 2 };
    return 0;
}

static int set_up(void **state) {
    (void)state;
    atomic_store(&asked, 0);
    return sem_init(&gate, 0, 0);
}

/* --- the tests --- */

static void looks_at_everything_at_once_and_then_at_each_interval(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    put(&world, "stat", "cpu  1 1 1 1\ncpu0 1 1 1 1\nctxt 5\n");
    put(&world, "loadavg", "0.10 0.20 0.30 1/1 1\n");
    put(&world, "meminfo", "MemFree: 4 kB\n");
    put(&world, "vmstat", "pgfault 4\n");
    put(&world, "diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
    put(&world, "net/dev", "lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    put(&world, "sys/fs/file-nr", "1 0 3\n");
    put(&world, "sys/kernel/random/entropy_avail", "256\n");
    put(&world, "sys/kernel/random/poolsize", "256\n");
    for (const char *const *part = (const char *const[]) { "cpu", "io", "memory", "irq", NULL }; *part; part++) {
        char path[32];
        snprintf(path, sizeof(path), "pressure/%s", *part);
        put(&world, path, "some avg10=0.00 total=1000000\nfull avg10=0.00 total=2000000\n");
    }
    put(&world, "1/mounts", "/dev/sda / ext4 rw 0 0\n/dev/sdb /bad ext4 ro 0 0\n/dev/sda / ext4 rw 0 0\n");
    host_begin(&world, 3600 * CLOCK_SECOND, fake_stat);
    wait_for(&world, "node_filesystem_device_error", 2);
    /* 4 modes, ctxt; 3 loads; 1; 1; 11 of a disk; 16 of a device; 2; 2; 6 of pressure; time, uname; 7 and 2 of space */
    assert_int_equal(world.count, 5 + 3 + 1 + 1 + 11 + 16 + 2 + 2 + 6 + 2 + 9);
    assert_int_equal(count_of(&world, "node_uname_info{"), 1);
    assert_int_equal(count_of(&world, "node_pressure_irq_stalled_seconds_total 2"), 1);
    assert_int_equal(
        count_of(&world, "node_filesystem_device_error{device=\"/dev/sdb\",fstype=\"ext4\",mountpoint=\"/bad\"} 1"), 1);
    assert_int_equal(
        count_of(&world, "node_filesystem_size_bytes{device=\"/dev/sda\",fstype=\"ext4\",mountpoint=\"/\"} 10240"), 1);
    forget(&world);
    put(&world, "loadavg", "1.10 1.20 1.30 1/1 1\n");
    host_set_interval(world.host, CLOCK_SECOND / 50);
    wait_for(&world, "node_load1 1.1", 3);
    assert_true(host_counters(world.host)->looks >= 4);
    assert_int_equal(host_counters(world.host)->held, 0);
    world_end(&world);
    wait_for_no_thread();
}

static void leaves_out_what_is_not_there(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    put(&world, "loadavg", "0.10 0.20 0.30 1/1 1\n");
    put(&world, "vmstat/folder", "cannot be read as a file");
    put(&world, "self/mounts", "/dev/sda /own ext4 rw 0 0\n");
    host_begin(&world, 3600 * CLOCK_SECOND, fake_stat);
    wait_for(&world, "mountpoint=\"/own\"", 7);
    assert_int_equal(world.count, 3 + 2 + 7);
    world_end(&world);
}

static void goes_on_where_there_was_no_room(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    put(&world, "loadavg", "0.10 0.20 0.30 1/1 1\n");
    put(&world, "net/dev", "a: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\nb: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    put(&world, "1/mounts", "/dev/sda / ext4 rw 0 0\n");
    world.room = 3 + 20; /* ends within b */
    host_begin(&world, CLOCK_SECOND / 100, fake_stat);
    for (uint64_t held = 1; held <= 3; held++)
        while (host_counters(world.host)->held < held)
            loop_run_once(world.loop, CLOCK_SECOND);
    assert_int_equal(host_counters(world.host)->looks, 1); /* the next waits for this one's end */
    assert_int_equal(world.count, 23);
    world.room = 12 + 2 + 3; /* ends within the file system */
    while (world.room > 0)
        loop_run_once(world.loop, CLOCK_SECOND);
    while (host_counters(world.host)->held < 5)
        loop_run_once(world.loop, CLOCK_SECOND);
    world.room = 4;
    while (world.room > 0)
        loop_run_once(world.loop, CLOCK_SECOND);
    assert_int_equal(world.count, 3 + 32 + 2 + 7);
    for (const char *const *name =
             (const char *const[]) { "load1 ", "load15", "_bytes_total{device=\"b\"", "uname", NULL };
         *name; name++)
        if (count_of(&world, *name) != (strstr(*name, "bytes") ? 2U : 1U))
            fail_msg("%s: %zu", *name, count_of(&world, *name));
    assert_int_equal(count_of(&world, "node_filesystem_"), 7);
    assert_int_equal(host_counters(world.host)->samples, world.count);
    world_end(&world);
}

static void repairs_what_no_series_may_have(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    char mounts[3072] = "";
    memset(mounts, '\xff', 3000); /* no UTF-8, and longer than a label may be */
    snprintf(mounts + 3000, sizeof(mounts) - 3000, " / ext4 rw 0 0\n");
    put(&world, "1/mounts", mounts);
    host_begin(&world, CLOCK_SECOND, fake_stat);
    wait_for(&world, "node_filesystem", 7);
    assert_int_equal(host_counters(world.host)->repaired, 7);
    assert_int_equal(count_of(&world, "\xef\xbf\xbd\xe2\x80\xa6"), 7); /* cut, and a hash behind it */
    world_end(&world);
}

static void takes_a_new_interval(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    put(&world, "loadavg", "0.10 0.20 0.30 1/1 1\n");
    host_begin(&world, 3600 * CLOCK_SECOND, fake_stat);
    wait_for(&world, "node_load1 ", 1);
    host_set_interval(world.host, 3600 * CLOCK_SECOND);
    host_set_interval(world.host, CLOCK_SECOND / 20);
    wait_for(&world, "node_load1 ", 3);
    world_end(&world);
}

static void a_file_system_that_hangs_delays_no_other(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    put(&world, "loadavg", "0.10 0.20 0.30 1/1 1\n");
    put(&world, "1/mounts", "a / ext4 rw 0 0\nserver:/x /hang/1 nfs rw 0 0\nb /b ext4 rw 0 0\nc /hang/2 nfs rw 0 0\n");
    host_begin(&world, CLOCK_SECOND / 100, fake_stat);
    wait_for(&world, "node_load1 ", 3); /* the first look's file systems still wait for the deadline, or a second one */
    wait_for(&world, "node_filesystem_device_error", 12);
    assert_int_equal(count_of(&world, "node_filesystem_size_bytes{device=\"a\",fstype=\"ext4\",mountpoint=\"/\"}"), 3);
    assert_int_equal(count_of(&world, "node_filesystem_size_bytes{device=\"b\""), 3);
    assert_int_equal(
        count_of(&world, "node_filesystem_device_error{device=\"server:/x\",fstype=\"nfs\",mountpoint=\"/hang/1\"} 1"),
        3);
    assert_int_equal(count_of(&world, "node_filesystem_size_bytes{device=\"c\""), 0);
    wait_for_threads(world.loop, 2);
    assert_true(atomic_load(&asked) < 2 + 2 * (host_counters(world.host)->looks + 1) + 1); /* the hung ones once */
    sem_post(&gate); /* one of them answers, and is asked again: as it answers, the other */
    sem_post(&gate);
    forget(&world);
    for (int i = 0; i < 40; i++)
        sem_post(&gate);
    wait_for(&world, "node_filesystem_size_bytes{device=\"server:/x\"", 1);
    wait_for(&world, "node_filesystem_size_bytes{device=\"c\"", 1);
    world_end(&world);
    wait_for_no_thread();
}

static void ends_while_a_file_system_hangs(void **state) {
    (void)state;
    struct world world;
    world_begin(&world);
    put(&world, "1/mounts", "c /hang/1 nfs rw 0 0\nc /hang/2 nfs rw 0 0\n");
    host_begin(&world, CLOCK_SECOND / 100, fake_stat);
    while (atomic_load(&asked) < 2) /* the first hangs for good, the second within its deadline */
        loop_run_once(world.loop, CLOCK_SECOND / 100);
    world_end(&world);
    wait_for_threads(NULL, 2);
    sem_post(&gate);
    sem_post(&gate);
    wait_for_no_thread();
}

/* --- file_systems alone --- */

static void on_ready(void *context) {
    ++*(unsigned *)context;
}

static void run_until(struct loop *loop, const unsigned *ready, unsigned count) {
    uint64_t end_ns = clock_monotonic_ns() + WAIT_S * CLOCK_SECOND;
    while (*ready < count) {
        assert_true(clock_monotonic_ns() < end_ns);
        loop_run_once(loop, CLOCK_SECOND);
    }
}

/* Within one round of the loop: the thread ends, then the deadline passes, and only then the timers run. */
static void end_at_the_last_moment(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)fd;
    (void)events;
    const uint64_t *end_ns = context;
    sem_post(&gate);
    wait_for_no_thread();
    while (clock_monotonic_ns() <= *end_ns)
        usleep(1000);
    loop_remove_fd(source);
}

static void a_job_that_ends_at_its_deadline_hangs_not(void **state) {
    (void)state;
    struct file_systems *file_systems;
    struct host_lines lines = HOST_LINES_EMPTY;
    struct loop_fd *source;
    struct loop *loop;
    struct error error;
    unsigned ready = 0;
    int fd = eventfd(1, EFD_CLOEXEC);
    uint64_t end_ns;
    assert_int_equal(loop_create(&loop, &error), 0);
    assert_int_equal(
        file_systems_create(loop, fake_stat, DEADLINE_MS * CLOCK_MILLISECOND, on_ready, &ready, &file_systems), 0);
    assert_int_equal(loop_add_fd(loop, fd, EPOLLIN, end_at_the_last_moment, &end_ns, &source), 0);
    file_systems_look(file_systems, TEXT_LITERAL("c /hang nfs rw 0 0\n"));
    file_systems_look(file_systems, TEXT_LITERAL("c /while-a-look-is-on nfs rw 0 0\n")); /* nothing happens */
    end_ns = clock_monotonic_ns() + DEADLINE_MS * CLOCK_MILLISECOND;
    run_until(loop, &ready, 1);
    assert_int_equal(file_systems_hung(file_systems), 0);
    assert_int_equal(file_systems_give(file_systems, host_lines_sink, &lines), 0);
    assert_int_equal(lines.count, 7); /* it answered */
    host_lines_finish(&lines);
    file_systems_destroy(file_systems);
    loop_destroy(loop);
    close(fd);
}

static void not_more_than_so_many_may_hang(void **state) {
    (void)state;
    struct file_systems *file_systems;
    struct host_lines lines = HOST_LINES_EMPTY;
    struct buffer mounts = BUFFER_EMPTY;
    struct loop *loop;
    struct error error;
    unsigned ready = 0;
    for (unsigned i = 0; i < FILE_SYSTEMS_HUNG_MAX; i++)
        buffer_append_format(&mounts, "c /hang/%u nfs rw 0 0\n", i);
    for (unsigned i = FILE_SYSTEMS_HUNG_MAX; i < FILE_SYSTEMS_MAX + 10; i++)
        buffer_append_format(&mounts, "c /%u ext4 rw 0 0\n", i);
    assert_int_equal(loop_create(&loop, &error), 0);
    assert_int_equal(file_systems_create(loop, fake_stat, CLOCK_MILLISECOND, on_ready, &ready, &file_systems), 0);
    file_systems_look(file_systems, buffer_text(&mounts));
    run_until(loop, &ready, 1);
    assert_int_equal(file_systems_hung(file_systems), FILE_SYSTEMS_HUNG_MAX);
    file_systems_give(file_systems, host_lines_sink, &lines);
    assert_int_equal(lines.count, 2 * FILE_SYSTEMS_MAX); /* all of them failed, and no more mounts than that */
    for (unsigned i = 0; i < FILE_SYSTEMS_HUNG_MAX; i++)
        sem_post(&gate);
    wait_for_no_thread();
    do { /* so short is the deadline that /a itself may miss it at first */
        file_systems_look(file_systems, TEXT_LITERAL("c /a ext4 rw 0 0\n"));
        run_until(loop, &ready, ready + 1);
    } while (file_systems_hung(file_systems) > 0);
    host_lines_finish(&lines);
    lines = HOST_LINES_EMPTY;
    file_systems_give(file_systems, host_lines_sink, &lines);
    assert_int_equal(lines.count, 7);
    host_lines_finish(&lines);
    file_systems_destroy(file_systems);
    loop_destroy(loop);
    buffer_finish(&mounts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(looks_at_everything_at_once_and_then_at_each_interval, set_up),
        cmocka_unit_test_setup(leaves_out_what_is_not_there, set_up),
        cmocka_unit_test_setup(goes_on_where_there_was_no_room, set_up),
        cmocka_unit_test_setup(repairs_what_no_series_may_have, set_up),
        cmocka_unit_test_setup(takes_a_new_interval, set_up),
        cmocka_unit_test_setup(a_file_system_that_hangs_delays_no_other, set_up),
        cmocka_unit_test_setup(ends_while_a_file_system_hangs, set_up),
        cmocka_unit_test_setup(a_job_that_ends_at_its_deadline_hangs_not, set_up),
        cmocka_unit_test_setup(not_more_than_so_many_may_hang, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
