/* parse_host.h - the pure half of the host's metrics: the text of a /proc file in, samples out.
 *
 * Every parser takes the whole text of one file (any bytes; a line that is not as the kernel writes it is passed over, a
 * number beyond 64 bits too) and gives each sample to a sink. Samples borrow from the text and from the parser's frame: they
 * hold for the call. A sink that returns anything but 0 ends the parser, which returns that; else parsers return 0.
 * Nothing is allocated (but by host_cpus), no global state, thread-safe.
 * Formats: proc(5), and in the kernel's Documentation/ admin-guide/iostats.rst, accounting/psi.rst, filesystems/proc.rst.
 */
#ifndef TASKFORGE_AGENT_HOST_PARSE_HOST_H
#define TASKFORGE_AGENT_HOST_PARSE_HOST_H

#include <stdbool.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "agent/host/families.h"
#include "common/model/metric.h"

enum {
    HOST_LABELS_MAX = 6,
    HOST_FIELD_MAX = 64,   /* bytes of a field of /proc/meminfo or /proc/vmstat; longer ones are passed over */
    HOST_PATH_MAX = 4096,  /* of a mount point or device (PATH_MAX); longer ones are passed over */
    HOST_CPUS_MAX = 65536, /* CPU numbers; higher ones are passed over */
    HOST_CPU_MODES = 10,
};

struct host_sample {
    enum host_family family;
    struct text field; /* what stands for the '*' in the family's name; else empty */
    double value;
    struct metric_label labels[HOST_LABELS_MAX]; /* sorted by name */
    size_t label_count;
};

typedef int host_sink(void *context, const struct host_sample *sample);

/* --- CPUs --- */

/* The last ticks of each CPU, by its number: idle and iowait of the kernel's run backwards a little now and then, which no
 * counter may. As node_exporter does, such a value stays where it was; where idle goes back by three seconds and more, the CPU
 * was taken out and put back, and all its counters begin anew. */
struct host_cpus {
    uint64_t (*ticks)[HOST_CPU_MODES];
    size_t count;
};
void host_cpus_finish(struct host_cpus *cpus);

/* /proc/stat: CPU seconds, interrupts, context switches, boot time, forks, processes. cpus may be NULL. */
int parse_host_stat(struct text file, struct host_cpus *cpus, host_sink *sink, void *context);

/* --- the others --- */

int parse_host_load(struct text file, host_sink *sink, void *context);   /* /proc/loadavg */
int parse_host_memory(struct text file, host_sink *sink, void *context); /* /proc/meminfo */
int parse_host_vmstat(struct text file, host_sink *sink,
                      void *context); /* /proc/vmstat: paging, swapping, faults, oom */
int parse_host_disks(struct text file, host_sink *sink,
                     void *context); /* /proc/diskstats: whole disks, none of ram, loop, fd */
int parse_host_network(struct text file, host_sink *sink, void *context); /* /proc/net/dev */
int parse_host_files(struct text file, host_sink *sink, void *context);   /* /proc/sys/fs/file-nr */

/* One number and nothing else, as in /proc/sys/kernel/random: a sample of `family`. */
int parse_host_number(struct text file, enum host_family family, host_sink *sink, void *context);

/* /proc/pressure/...: the totals of its lines "some" and "full" as these families (HOST_FAMILY_COUNT: not told). */
int parse_host_pressure(struct text file, enum host_family some, enum host_family full, host_sink *sink, void *context);

int host_uname(const struct utsname *names, host_sink *sink, void *context);

/* --- file systems --- */

struct host_mount {
    struct text device, path, type; /* escapes undone */
    bool read_only;
};
typedef int host_mount_sink(void *context, const struct host_mount *mount);

/* /proc/PID/mounts: each mount but those of the kernel's own types and under /dev, /proc, /sys and what containers mount,
 * as node_exporter leaves them out. */
int parse_host_mounts(struct text file, host_mount_sink *sink, void *context);

/* The samples of one mount; space NULL: the file system gave no answer, or an error. */
int host_file_system(const struct host_mount *mount, const struct statvfs *space, host_sink *sink, void *context);

#endif
