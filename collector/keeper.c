#include "collector/keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/diag.h"

#define LOOK_NS (2 * CLOCK_SECOND)
enum { FAILURES_MAX = 3 };
#define BACK_OFF_NS (600 * CLOCK_SECOND) /* a note that could not be written would be due at once */
#define CHECK_AGAIN_NS (UINT64_C(86400) * CLOCK_SECOND)

void keeper_init(struct keeper *keeper, struct loop *loop, const char *data_dir) {
    *keeper = (struct keeper) { .loop = loop, .data_dir = data_dir };
}

static void end_child(struct keeper *keeper) {
    loop_remove_fd(keeper->source);
    keeper->source = NULL;
    verify_child_stop(keeper->child);
    keeper->child = NULL;
}

void keeper_finish(struct keeper *keeper) {
    end_child(keeper);
}

/* --- one check --- */

static void say(const struct keeper *keeper, const struct verify_result *result) {
    if (result->verdict == PARTITION_UNREADABLE)
        diag_error("%s is damaged and passed over: %s; put a copy in its place, or remove it", keeper->path,
                   result->why);
    else if (result->verdict == PARTITION_PARTLY)
        diag_error("%s is damaged: %s (faults: %u); what is sound in it is served; \"tfctl verify\" tells all",
                   keeper->path, result->why, result->faults);
}

static void on_child(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct keeper *keeper = context;
    struct verify_result result;
    struct partition_note note;
    (void)source;
    (void)fd;
    (void)events;
    if (verify_child_read(keeper->child, NULL, NULL, &result) == 1)
        return;
    end_child(keeper);
    if (result.verdict == PARTITION_UNREADABLE) /* it may have died before it could say so */
        (void)partition_sum_write_note(keeper->path, &keeper->checked, result.verdict, result.faults, result.why, NULL);
    say(keeper, &result);
    if (partition_sum_note(keeper->path, &note) == 1) {
        keeper->failures = 0;
        keeper->look_ns = 0;
    } else { /* another file may have taken its place */
        keeper->look_ns = clock_monotonic_ns() + (++keeper->failures < FAILURES_MAX ? LOOK_NS : BACK_OFF_NS);
    }
}

static int start(struct keeper *keeper, const char *path) {
    struct error error = { "" };
    if (stat(path, &keeper->checked) < 0)
        return 0; /* gone meanwhile */
    int result = verify_child_start(path, VERIFY_QUICK | VERIFY_NOTE | VERIFY_GENTLE, &keeper->child, &error);
    if (result == 0) {
        snprintf(keeper->path, sizeof(keeper->path), "%s", path);
        result = loop_add_fd(keeper->loop, verify_child_fd(keeper->child), EPOLLIN, on_child, keeper, &keeper->source);
        if (result < 0)
            end_child(keeper);
    }
    return result;
}

/* --- which --- */

static bool is_due(const struct partition_note *note, uint64_t now_real_ns) {
    bool given_up = note->verdict == PARTITION_PARTLY && note->hashed_ns == 0; /* not looked at since */
    return given_up || note->checked_ns > now_real_ns || now_real_ns - note->checked_ns > CHECK_AGAIN_NS;
}

/* Count the damaged, and take the first that is to be checked; NULL: none. */
static const char *choose(struct keeper *keeper, const struct partition_name *names, size_t count,
                          const char *authority) {
    char aside[PARTITION_PATH_MAX];
    const char *due = NULL;
    keeper->damaged = partition_count_aside(keeper->data_dir, aside);
    for (size_t i = 0; i < count; i++) {
        struct partition_note note;
        if (strcmp(names[i].path, authority) == 0)
            continue;
        int known = partition_sum_note(names[i].path, &note);
        keeper->damaged += known && note.verdict != PARTITION_SOUND;
        if (!due && (!known || is_due(&note, clock_real_ns())))
            due = names[i].path;
    }
    return due;
}

void keeper_look(struct keeper *keeper, const char *authority, uint64_t now_ns) {
    struct partition_name *names;
    size_t count;
    if (keeper->child || now_ns < keeper->look_ns)
        return;
    keeper->look_ns = now_ns + LOOK_NS;
    if (partition_list(keeper->data_dir, &names, &count, NULL) < 0)
        return;
    const char *due = choose(keeper, names, count, authority);
    if (due && start(keeper, due) < 0)
        keeper->look_ns = now_ns + BACK_OFF_NS;
    free(names);
}
