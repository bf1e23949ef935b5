/* host.c - the looks: which file goes to which parser, and how a look that finds no room goes on. */
#include "agent/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/host/file_systems.h"
#include "agent/host/update.h"
#include "common/base/check.h"

enum {
    RETRY_MS = 100,
    READ_SIZE = 32 * 1024,
    FILE_MAX = 4 << 20, /* of one /proc file; what is behind it is left out */
    PATH_SIZE = 512,
};

struct host {
    struct loop *loop;
    const struct outlet *outlet;
    struct host_options options;
    struct loop_timer *timer, *retry;
    struct file_systems *file_systems;
    struct host_cpus cpus;
    struct buffer file;
    struct host_update_room room;
    struct host_counters counters;
    uint64_t next_ns; /* monotonic: when the next look is due */
    size_t section;   /* of the look in hand; SECTIONS: all are written */
    bool has_space;   /* and then the file systems, once they were looked at */
    bool held;        /* there was no room: on_retry goes on */
    size_t index;     /* the sample in the section */
    size_t skip;      /* how many of the section were written before there was no room */
};

/* --- writing --- */

/* The sink of every parser: -EAGAIN ends it, and when its section is read again, what was written is passed over. */
static int write_sample(void *context, const struct host_sample *sample) {
    struct host *host = context;
    struct record_metric_update update;
    if (host->index++ < host->skip)
        return 0;
    bool repaired = host_update_make(sample, &host->room, &update);
    int result = host->outlet->write_metric(host->outlet->context, &update);
    if (result == -EAGAIN) {
        host->skip = host->index - 1;
        return result;
    }
    check(result == 0); /* an update that host_update_make made can be encoded */
    host->counters.samples++;
    host->counters.repaired += repaired;
    return 0;
}

/* --- the sections: a file and its parser --- */

static int give_stat(struct host *host, struct text file) {
    return parse_host_stat(file, &host->cpus, write_sample, host);
}
static int give_load(struct host *host, struct text file) {
    return parse_host_load(file, write_sample, host);
}
static int give_memory(struct host *host, struct text file) {
    return parse_host_memory(file, write_sample, host);
}
static int give_vmstat(struct host *host, struct text file) {
    return parse_host_vmstat(file, write_sample, host);
}
static int give_disks(struct host *host, struct text file) {
    return parse_host_disks(file, write_sample, host);
}
static int give_network(struct host *host, struct text file) {
    return parse_host_network(file, write_sample, host);
}
static int give_files(struct host *host, struct text file) {
    return parse_host_files(file, write_sample, host);
}
static int give_entropy(struct host *host, struct text file) {
    return parse_host_number(file, HOST_ENTROPY_AVAILABLE, write_sample, host);
}
static int give_pool(struct host *host, struct text file) {
    return parse_host_number(file, HOST_ENTROPY_POOL_SIZE, write_sample, host);
}
static int give_pressure_cpu(struct host *host, struct text file) {
    return parse_host_pressure(file, HOST_PRESSURE_CPU_WAITING, HOST_FAMILY_COUNT, write_sample, host);
}
static int give_pressure_io(struct host *host, struct text file) {
    return parse_host_pressure(file, HOST_PRESSURE_IO_WAITING, HOST_PRESSURE_IO_STALLED, write_sample, host);
}
static int give_pressure_memory(struct host *host, struct text file) {
    return parse_host_pressure(file, HOST_PRESSURE_MEMORY_WAITING, HOST_PRESSURE_MEMORY_STALLED, write_sample, host);
}
static int give_pressure_irq(struct host *host, struct text file) {
    return parse_host_pressure(file, HOST_FAMILY_COUNT, HOST_PRESSURE_IRQ_STALLED, write_sample, host);
}

static int give_system(struct host *host, struct text file) {
    struct utsname names;
    (void)file;
    struct host_sample now = { .family = HOST_TIME, .value = (double)clock_real_ns() / (double)CLOCK_SECOND };
    int result = write_sample(host, &now);
    return result != 0 || uname(&names) != 0 ? result : host_uname(&names, write_sample, host);
}

static const struct {
    const char *path; /* below proc; NULL: no file */
    int (*give)(struct host *host, struct text file);
} sections[] = {
    { "stat", give_stat },
    { "loadavg", give_load },
    { "meminfo", give_memory },
    { "vmstat", give_vmstat },
    { "diskstats", give_disks },
    { "net/dev", give_network },
    { "sys/fs/file-nr", give_files },
    { "sys/kernel/random/entropy_avail", give_entropy },
    { "sys/kernel/random/poolsize", give_pool },
    { "pressure/cpu", give_pressure_cpu },
    { "pressure/io", give_pressure_io },
    { "pressure/memory", give_pressure_memory },
    { "pressure/irq", give_pressure_irq },
    { NULL, give_system },
};

/* The whole file into host->file; false when it is not there or cannot be read. */
static bool read_file(struct host *host, const char *path) {
    char whole[PATH_SIZE];
    struct buffer *file = &host->file;
    ssize_t got = -1;
    buffer_clear(file);
    if (snprintf(whole, sizeof(whole), "%s/%s", host->options.proc, path) >= (int)sizeof(whole))
        return false;
    int fd = open(whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (file->length < FILE_MAX && buffer_reserve(file, READ_SIZE) &&
           (got = read(fd, file->data + file->length, READ_SIZE)) > 0)
        file->length += (size_t)got;
    close(fd);
    bool result = got >= 0 && !file->failed;
    if (file->failed)
        buffer_finish(file);
    return result;
}

static int write_section(struct host *host) {
    const char *path = sections[host->section].path;
    host->index = 0;
    if (path && !read_file(host, path))
        return 0;
    return sections[host->section].give(host, path ? buffer_text(&host->file) : TEXT_EMPTY);
}

static int write_space(struct host *host) {
    host->index = 0;
    return file_systems_give(host->file_systems, write_sample, host);
}

/* --- the looks --- */

static void hold(struct host *host) {
    host->held = true;
    host->counters.held++;
    loop_set_timer(host->retry, RETRY_MS * CLOCK_MILLISECOND);
}

/* Write what is left of the look, as far as there is room. */
static void go_on(struct host *host) {
    host->held = false;
    for (; host->section < COUNT_OF(sections); host->section++, host->skip = 0) {
        if (write_section(host) != 0) {
            hold(host);
            return;
        }
    }
    if (host->has_space && write_space(host) != 0) {
        hold(host);
        return;
    }
    host->has_space = false;
    host->skip = 0;
}

static void on_retry(struct loop_timer *timer, void *context) {
    (void)timer;
    go_on(context);
}

static void on_space(void *context) {
    struct host *host = context;
    host->has_space = true;
    if (!host->held)
        go_on(host);
}

/* The mounts of the first process are the host's; where it may not be seen (hidepid, a sandbox), our own. */
static bool read_mounts(struct host *host) {
    return read_file(host, "1/mounts") || read_file(host, "self/mounts");
}

static void on_timer(struct loop_timer *timer, void *context) {
    struct host *host = context;
    uint64_t now_ns = clock_monotonic_ns();
    host->next_ns += host->options.interval_ns;
    if (host->next_ns <= now_ns) /* the clock stood, or we did */
        host->next_ns = now_ns + host->options.interval_ns;
    loop_set_timer(timer, host->next_ns - now_ns);
    if (host->held) /* the look before is not written yet */
        return;
    host->counters.looks++;
    if (read_mounts(host))
        file_systems_look(host->file_systems, buffer_text(&host->file));
    host->section = 0;
    go_on(host);
}

void host_set_interval(struct host *host, uint64_t interval_ns) {
    if (interval_ns == host->options.interval_ns)
        return;
    host->options.interval_ns = interval_ns;
    host->next_ns = clock_monotonic_ns() + interval_ns;
    loop_set_timer(host->timer, interval_ns);
}

const struct host_counters *host_counters(const struct host *host) {
    return &host->counters;
}

static int stat_path(const char *path, struct statvfs *ret) {
    return statvfs(path, ret);
}

int host_create(struct loop *loop, const struct outlet *outlet, const struct host_options *options, struct host **ret,
                struct error *error) {
    struct host *host = calloc(1, sizeof(*host));
    if (!host)
        return error_set(error, -ENOMEM, "host metrics: out of memory");
    host->loop = loop;
    host->outlet = outlet;
    host->options = *options;
    if (!host->options.proc)
        host->options.proc = "/proc";
    uint64_t deadline_ns = options->deadline_ns > 0 ? options->deadline_ns : HOST_STAT_DEADLINE_S * CLOCK_SECOND;
    host->section = COUNT_OF(sections);
    host->next_ns = clock_monotonic_ns();
    int result = loop_add_timer(loop, on_timer, host, &host->timer);
    if (result == 0)
        result = loop_add_timer(loop, on_retry, host, &host->retry);
    if (result == 0)
        result = file_systems_create(loop, options->stat ? options->stat : stat_path, deadline_ns, on_space, host,
                                     &host->file_systems);
    if (result != 0) {
        host_destroy(host);
        return error_set(error, result, "host metrics: %s", strerror(-result));
    }
    loop_set_timer(host->timer, 0);
    *ret = host;
    return 0;
}

void host_destroy(struct host *host) {
    if (!host)
        return;
    loop_remove_timer(host->timer);
    loop_remove_timer(host->retry);
    file_systems_destroy(host->file_systems);
    host_cpus_finish(&host->cpus);
    buffer_finish(&host->file);
    free(host);
}
