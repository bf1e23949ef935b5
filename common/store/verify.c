/* verify.c - see verify.h: the store's partitions, two at a time, told of in their order. */
#include "common/store/verify.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/store/samples.h"

enum { AT_ONCE = 2 };

struct job { /* a partition in work */
    struct verify_child *child;
    struct verify_result result;
    struct buffer faults; /* lines, told when those before are done */
    bool ended;
};

struct verify {
    const struct partition_name *names; /* those of logs, then those of samples */
    size_t count, of_logs, begun, told;
    struct job jobs[AT_ONCE]; /* of partition n: the n % AT_ONCE */
    verify_report_function *report;
    void *argument;
    struct verify_totals totals;
    uint64_t next; /* the sequence that the next partition must begin with; 0: any */
};

static void keep_fault(void *argument, const char *line) {
    struct job *job = argument;
    buffer_append_string(&job->faults, line);
    buffer_append_char(&job->faults, '\0');
}

static void tell_fault(struct verify *verify, const char *fault) {
    verify->totals.faults++;
    verify->report(verify->argument, verify->names[verify->told].path, fault, NULL);
}

/* How it goes on from the partition before. */
static void compare_ends(struct verify *verify, struct verify_result *result) {
    char line[128];
    if (verify->next != 0 && result->first != 0 && result->first != verify->next) {
        snprintf(line, sizeof(line), "block %llu: %s", (unsigned long long)result->first,
                 result->first < verify->next ? "it overlaps the block before" : "entries are missing before it");
        result->faults++;
        tell_fault(verify, line);
    }
    if (result->blocks > 0 || result->next == 0) /* unreadable, or all that was in it is gone */
        verify->next = result->next;
}

static void tell(struct verify *verify) {
    struct job *job = &verify->jobs[verify->told % AT_ONCE];
    for (size_t at = 0; at < job->faults.length; at += strlen(job->faults.data + at) + 1)
        tell_fault(verify, job->faults.data + at);
    if (job->result.verdict == PARTITION_UNCHECKED) {
        job->result.faults++;
        tell_fault(verify, job->result.why);
    }
    if (verify->told < verify->of_logs)
        compare_ends(verify, &job->result);
    verify->report(verify->argument, verify->names[verify->told].path, NULL, &job->result);
    verify->totals.partitions++;
    verify->totals.blocks += job->result.blocks;
    verify->totals.entries += job->result.entries;
    verify->totals.spans += job->result.spans;
    verify->totals.series += job->result.series;
    verify->totals.samples += job->result.samples;
    verify_child_stop(job->child);
    buffer_finish(&job->faults);
    *job = (struct job) { 0 };
    verify->told++;
}

static int begin_more(struct verify *verify, struct error *error) {
    int result = 0;
    for (; result == 0 && verify->begun < verify->count && verify->begun < verify->told + AT_ONCE; verify->begun++)
        result = verify_child_start(verify->names[verify->begun].path, 0, &verify->jobs[verify->begun % AT_ONCE].child,
                                    error);
    return result;
}

static void wait_for_one(struct verify *verify) {
    struct pollfd waits[AT_ONCE];
    for (size_t i = 0; i < AT_ONCE; i++) {
        const struct job *job = &verify->jobs[i];
        waits[i] =
            (struct pollfd) { .fd = job->child && !job->ended ? verify_child_fd(job->child) : -1, .events = POLLIN };
    }
    (void)poll(waits, AT_ONCE, -1);
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct job *job = &verify->jobs[i];
        if (waits[i].revents)
            job->ended = verify_child_read(job->child, keep_fault, job, &job->result) == 0;
    }
}

static int list_all(const char *data_dir, struct verify *verify, struct partition_name **ret, struct error *error) {
    struct partition_name *logs = NULL, *samples = NULL, *all;
    size_t of_samples = 0;
    int result = partition_list(data_dir, &logs, &verify->of_logs, error);
    if (result == 0)
        result = samples_list(data_dir, &samples, &of_samples, error);
    if (result == 0 && verify->of_logs == 1 && of_samples == 1 && strcmp(logs[0].path, samples[0].path) == 0)
        verify->of_logs = 0; /* one file, which its name or what stands in it tells of */
    verify->count = verify->of_logs + of_samples;
    all = result == 0 ? calloc(verify->count + 1, sizeof(*all)) : NULL;
    if (result == 0 && !all)
        result = error_set(error, -ENOMEM, "out of memory");
    if (all && verify->of_logs > 0)
        memcpy(all, logs, verify->of_logs * sizeof(*all));
    if (all && of_samples > 0)
        memcpy(all + verify->of_logs, samples, of_samples * sizeof(*all));
    free(logs);
    free(samples);
    *ret = all;
    return result;
}

int store_verify(const char *data_dir, verify_report_function *report, void *argument, struct verify_totals *ret,
                 struct error *error) {
    struct partition_name *names = NULL;
    struct verify verify = { .report = report, .argument = argument };
    int result = list_all(data_dir, &verify, &names, error);
    verify.names = names;
    while (result == 0 && verify.told < verify.count) {
        result = begin_more(&verify, error);
        if (result == 0)
            wait_for_one(&verify);
        while (verify.jobs[verify.told % AT_ONCE].ended)
            tell(&verify);
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        verify_child_stop(verify.jobs[i].child);
        buffer_finish(&verify.jobs[i].faults);
    }
    free(names);
    *ret = verify.totals;
    return result < 0 ? result : (int)verify.totals.faults;
}
