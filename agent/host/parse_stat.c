/* parse_stat.c - CPUs and processes, load, pressure, open files, single numbers, and who we are. */
#include "agent/host/scan.h"
#include "common/base/check.h"

#include <stdlib.h>

enum {
    TICKS_PER_SECOND = 100, /* USER_HZ, of the kernel's interface to processes, whatever HZ is */
    IDLE = 3,
    FIRST_GUEST = 8,
    IDLE_JUMP = 3 * TICKS_PER_SECOND,
};

void host_cpus_finish(struct host_cpus *cpus) {
    free(cpus->ticks);
    *cpus = (struct host_cpus) { 0 };
}

static bool cpus_reach(struct host_cpus *cpus, size_t number) {
    if (number < cpus->count)
        return true;
    size_t count = number + 1 > 2 * cpus->count ? number + 1 : 2 * cpus->count;
    void *grown = realloc(cpus->ticks, count * sizeof(*cpus->ticks));
    if (!grown)
        return false;
    cpus->ticks = grown;
    memset(cpus->ticks + cpus->count, 0, (count - cpus->count) * sizeof(*cpus->ticks));
    cpus->count = count;
    return true;
}

/* Let no counter of this CPU run backwards; see struct host_cpus. */
static void settle(struct host_cpus *cpus, size_t number, uint64_t ticks[HOST_CPU_MODES]) {
    if (!cpus_reach(cpus, number))
        return;
    uint64_t *last = cpus->ticks[number];
    if (last[IDLE] >= IDLE_JUMP && ticks[IDLE] <= last[IDLE] - IDLE_JUMP)
        memset(last, 0, sizeof(*cpus->ticks));
    for (size_t i = 0; i < HOST_CPU_MODES; i++) {
        if (ticks[i] < last[i])
            ticks[i] = last[i];
        last[i] = ticks[i];
    }
}

/* "0 17222 353 17435 47830 186 0 43 13 0 0", behind "cpu"; old kernels have fewer modes. */
static int give_cpu(struct text line, struct host_cpus *cpus, host_sink *sink, void *context) {
    static const char *const modes[HOST_CPU_MODES] = { "user", "nice",    "system", "idle", "iowait",
                                                       "irq",  "softirq", "steal",  "user", "nice" };
    uint64_t number, ticks[HOST_CPU_MODES] = { 0 };
    struct text rest = line, name;
    size_t count = 0;
    if (!scan_number(&rest, &number) || number >= HOST_CPUS_MAX)
        return 0;
    scan_word(&line, &name);
    while (count < HOST_CPU_MODES && scan_number(&rest, &ticks[count]))
        count++;
    if (count <= IDLE)
        return 0;
    if (cpus)
        settle(cpus, (size_t)number, ticks);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct host_sample sample = { .family = i < FIRST_GUEST ? HOST_CPU : HOST_CPU_GUEST,
                                      .value = (double)ticks[i] / TICKS_PER_SECOND,
                                      .labels = { { TEXT_LITERAL("cpu"), name },
                                                  { TEXT_LITERAL("mode"), text_of(modes[i]) } },
                                      .label_count = 2 };
        result = sink(context, &sample);
    }
    return result;
}

int parse_host_stat(struct text file, struct host_cpus *cpus, host_sink *sink, void *context) {
    static const struct {
        const char *word;
        enum host_family family;
    } rows[] = {
        { "intr", HOST_INTR },       { "ctxt", HOST_CONTEXT_SWITCHES },       { "btime", HOST_BOOT_TIME },
        { "processes", HOST_FORKS }, { "procs_running", HOST_PROCS_RUNNING }, { "procs_blocked", HOST_PROCS_BLOCKED },
    };
    const struct text cpu = TEXT_LITERAL("cpu");
    struct text line, word;
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        struct text rest = line;
        uint64_t number;
        if (text_starts_with(line, cpu)) {
            line.data += cpu.length;
            line.length -= cpu.length;
            if (line.length > 0 && line.data[0] >= '0' && line.data[0] <= '9') /* not their sum */
                result = give_cpu(line, cpus, sink, context);
        } else if (scan_word(&rest, &word) && scan_number(&rest, &number)) {
            for (size_t i = 0; i < COUNT_OF(rows) && result == 0; i++)
                if (text_is(word, rows[i].word))
                    result = scan_give(rows[i].family, (double)number, sink, context);
        }
    }
    return result;
}

int parse_host_load(struct text file, host_sink *sink, void *context) {
    double load[3];
    int result = 0;
    for (size_t i = 0; i < COUNT_OF(load); i++)
        if (!scan_decimal(&file, &load[i]))
            return 0;
    for (size_t i = 0; i < COUNT_OF(load) && result == 0; i++)
        result = scan_give((enum host_family)(HOST_LOAD1 + i), load[i], sink, context);
    return result;
}

int parse_host_pressure(struct text file, enum host_family some, enum host_family full, host_sink *sink,
                        void *context) {
    const double microseconds = 1e6;
    const struct text total = TEXT_LITERAL("total=");
    struct text line, word;
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        uint64_t number;
        if (!scan_word(&line, &word))
            continue;
        enum host_family family = text_is(word, "some") ? some : text_is(word, "full") ? full : HOST_FAMILY_COUNT;
        while (family != HOST_FAMILY_COUNT && result == 0 && scan_word(&line, &word)) {
            if (!text_starts_with(word, total))
                continue;
            struct text digits = { word.data + total.length, word.length - total.length };
            if (scan_number(&digits, &number))
                result = scan_give(family, (double)number / microseconds, sink, context);
        }
    }
    return result;
}

int parse_host_files(struct text file, host_sink *sink, void *context) {
    struct text line;
    uint64_t allocated, unused, maximum;
    if (!scan_line(&file, &line) || !scan_number(&line, &allocated) || !scan_number(&line, &unused) ||
        !scan_number(&line, &maximum))
        return 0;
    int result = scan_give(HOST_FILEFD_ALLOCATED, (double)allocated, sink, context);
    return result != 0 ? result : scan_give(HOST_FILEFD_MAXIMUM, (double)maximum, sink, context);
}

int parse_host_number(struct text file, enum host_family family, host_sink *sink, void *context) {
    struct text line, more;
    uint64_t number;
    if (!scan_line(&file, &line) || !scan_number(&line, &number) || scan_word(&line, &more))
        return 0;
    return scan_give(family, (double)number, sink, context);
}

int host_uname(const struct utsname *names, host_sink *sink, void *context) {
    struct host_sample sample = {
        .family = HOST_UNAME,
        .value = 1,
        .labels = { { TEXT_LITERAL("domainname"), text_of(names->domainname) },
                    { TEXT_LITERAL("machine"), text_of(names->machine) },
                    { TEXT_LITERAL("nodename"), text_of(names->nodename) },
                    { TEXT_LITERAL("release"), text_of(names->release) },
                    { TEXT_LITERAL("sysname"), text_of(names->sysname) },
                    { TEXT_LITERAL("version"), text_of(names->version) } },
        .label_count = 6,
    };
    return sink(context, &sample);
}
