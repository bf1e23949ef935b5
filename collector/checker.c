#include "collector/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/diag.h"

#define LOOK_NS (2 * CLOCK_SECOND)
enum { FAILURES_MAX = 3 };
#define BACK_OFF_NS (600 * CLOCK_SECOND) /* a note that could not be written would be due at once */
#define CHECK_AGAIN_NS (UINT64_C(86400) * CLOCK_SECOND)

void checker_init(struct checker *checker, struct loop *loop, const char *data_dir) {
    *checker = (struct checker) { .loop = loop, .data_dir = data_dir };
}

static void end_child(struct checker *checker) {
    loop_remove_fd(checker->source);
    checker->source = NULL;
    verify_child_stop(checker->child);
    checker->child = NULL;
}

void checker_finish(struct checker *checker) {
    end_child(checker);
}

/* --- one check --- */

static void say(const struct checker *checker, const struct verify_result *result) {
    if (result->verdict == PARTITION_UNREADABLE)
        diag_error("%s is damaged and passed over: %s; put a copy in its place, or remove it", checker->path,
                   result->why);
    else if (result->verdict == PARTITION_PARTLY)
        diag_error("%s is damaged: %s (faults: %u); what is sound in it is served; \"tfctl verify\" tells all",
                   checker->path, result->why, result->faults);
    else if (result->verdict == PARTITION_UNCHECKED)
        diag_warn("%s: %s; it is tried again", checker->path, result->why);
}

static void on_child(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct checker *checker = context;
    struct verify_result result;
    struct partition_note note;
    (void)source;
    (void)fd;
    (void)events;
    if (verify_child_read(checker->child, NULL, NULL, &result) == 1)
        return;
    end_child(checker);
    if (result.verdict == PARTITION_UNREADABLE) /* it may have died before it could say so */
        (void)partition_sum_write_note(checker->path, &checker->checked, result.verdict, result.faults, result.why,
                                       NULL);
    if ((unsigned)result.verdict < PARTITION_VERDICTS)
        checker->checked_as[result.verdict]++;
    say(checker, &result);
    if (result.verdict != PARTITION_UNCHECKED && partition_sum_note(checker->path, &note) == 1) {
        checker->failures = 0;
        checker->look_ns = 0;
    } else { /* another file may have taken its place */
        checker->look_ns = clock_monotonic_ns() + (++checker->failures < FAILURES_MAX ? LOOK_NS : BACK_OFF_NS);
    }
}

static int start(struct checker *checker, const char *path) {
    struct error error = { "" };
    if (stat(path, &checker->checked) < 0)
        return 0; /* gone meanwhile */
    int result = verify_child_start(path, VERIFY_QUICK | VERIFY_NOTE | VERIFY_GENTLE, &checker->child, &error);
    if (result == 0) {
        snprintf(checker->path, sizeof(checker->path), "%s", path);
        result =
            loop_add_fd(checker->loop, verify_child_fd(checker->child), EPOLLIN, on_child, checker, &checker->source);
        if (result < 0)
            end_child(checker);
    }
    return result;
}

/* --- which --- */

static bool is_due(const struct partition_note *note, uint64_t now_real_ns) {
    bool given_up = note->verdict == PARTITION_PARTLY && note->hashed_ns == 0; /* not looked at since */
    return given_up || note->checked_ns > now_real_ns || now_real_ns - note->checked_ns > CHECK_AGAIN_NS;
}

/* Count the damaged, and take the first that is to be checked; NULL: none. */
static const char *choose(struct checker *checker, const struct partition_name *names, size_t count,
                          const char *authority) {
    char aside[PARTITION_PATH_MAX];
    const char *due = NULL;
    checker->damaged = partition_count_aside(checker->data_dir, aside);
    for (size_t i = 0; i < count; i++) {
        struct partition_note note;
        if (strcmp(names[i].path, authority) == 0)
            continue;
        int known = partition_sum_note(names[i].path, &note);
        checker->damaged += known && note.verdict != PARTITION_SOUND;
        if (!due && (!known || is_due(&note, clock_real_ns())))
            due = names[i].path;
    }
    return due;
}

void checker_look(struct checker *checker, const char *authority, uint64_t now_ns) {
    struct partition_name *names;
    size_t count;
    if (checker->child || now_ns < checker->look_ns)
        return;
    checker->look_ns = now_ns + LOOK_NS;
    if (partition_list(checker->data_dir, &names, &count, NULL) < 0)
        return;
    const char *due = choose(checker, names, count, authority);
    if (due && start(checker, due) < 0)
        checker->look_ns = now_ns + BACK_OFF_NS;
    free(names);
}
