/* pipeline.c - see checks.h: whether what is written still reaches the store: the collector answers, the store advances, the
 * rings do not fill. By what the collector says of itself over its control socket. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/process/control.h"
#include "exporter/checks/checks.h"

enum { STATUS_PACKED_SIZE = 4096 };
#define ANSWER_NS (2 * CLOCK_SECOND)
#define WAITING_DEGRADED 5.0 /* seconds that something has been in hand without being stored */
#define WAITING_UNHEALTHY 30.0
#define HISTORY_DEGRADED 60.0 /* seconds that samples of metrics could not be written */
#define FILL_DEGRADED 0.5
#define FILL_UNHEALTHY 0.75 /* from here on info entries are dropped */

static int ask(const struct checks *checks, struct buffer *answer, struct error *error) {
    char path[PATHS_MAX + 32];
    snprintf(path, sizeof(path), "%s/collector.sock", checks->runtime_dir);
    int fd = control_connect(path, error);
    if (fd < 0)
        return fd;
    int result = control_request(fd, TEXT_LITERAL("status"), clock_monotonic_ns() + ANSWER_NS, answer, error);
    close(fd);
    return result;
}

static double number(struct text status, const char *key) {
    struct pack_value value;
    if (pack_find(status, text_of(key), &value) != 1)
        return 0;
    switch (value.type) {
    case PACK_UINT:
        return (double)value.natural;
    case PACK_DOUBLE:
        return value.number;
    case PACK_BOOL:
        return value.boolean;
    default:
        return 0;
    }
}

static void judge(struct text status, struct check_result *ret) {
    double waiting = number(status, "waiting_seconds"), fill = number(status, "ring_fill");
    double spilled = number(status, "spill_bytes"), history = number(status, "history_failing_seconds");
    if (number(status, "spill_failing") > 0)
        check_say(ret, CHECK_UNHEALTHY, "neither the store nor the spill can be written");
    if (number(status, "store_failing") > 0)
        check_say(ret, CHECK_UNHEALTHY, "the store cannot be written; %.0f bytes wait in the spill", spilled);
    if (waiting >= WAITING_DEGRADED)
        check_say(ret, waiting >= WAITING_UNHEALTHY ? CHECK_UNHEALTHY : CHECK_DEGRADED,
                  "what is written has waited %.0f s to be stored", waiting);
    if (fill >= FILL_DEGRADED)
        check_say(ret, fill >= FILL_UNHEALTHY ? CHECK_UNHEALTHY : CHECK_DEGRADED, "a ring's lane is %.0f %% full",
                  fill * 100);
    if (spilled > 0)
        check_say(ret, CHECK_DEGRADED, "%.0f bytes wait in the spill", spilled);
    if (history >= HISTORY_DEGRADED)
        check_say(ret, CHECK_DEGRADED, "samples of metrics could not be written for %.0f s", history);
    if (!ret->details[0])
        check_say(ret, CHECK_HEALTHY, "rings: %.0f, processes: %.0f; what they write is stored",
                  number(status, "rings"), number(status, "processes"));
}

void check_pipeline(const struct checks *checks, struct check_result *ret) {
    struct buffer answer = BUFFER_EMPTY;
    struct error error = { "" };
    char room[STATUS_PACKED_SIZE];
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    int result = ask(checks, &answer, &error);
    if (result < 0)
        check_say(ret, CHECK_UNHEALTHY, "the collector does not answer: %s", error.text);
    else if (pack_from_json(buffer_text(&answer), &writer, &error) < 0 || writer.failed)
        check_say(ret, CHECK_UNHEALTHY, "the collector's answer makes no sense: %s", error.text);
    else
        judge((struct text) { room, writer.length }, ret);
    buffer_finish(&answer);
}
