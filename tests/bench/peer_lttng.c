/* peer_lttng - what a tracepoint of LTTng-UST costs, with the message and the ids of bench_call's bound call: a number, 100
 * bytes of text, trace and span id as strings. run_calls.py starts the session daemon, enables the event in a channel of
 * default settings, and sees whether what is called was recorded. Between batches the program stays busy while the
 * consumer daemon writes. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "tests/bench/peer_lttng_events.inc"

#include <stdio.h>

#include "common/base/clock.h"
#include "tests/bench/timing.h"

static const char hundred[] =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
static const char trace[] = "4bf92f3577b34da6a3ce929d0e0e4736", span[] = "00f067aa0ba902b7";

static uint64_t called;

static void call_tracepoint(unsigned i) {
    lttng_ust_tracepoint(taskforge_bench, job, (int)i, hundred, trace, span);
}

static void pause_between(void) {
    called += TIMED_TURN;
    timed_pause(CLOCK_MILLISECOND);
}

int main(void) {
    struct timed row = { .name = "LTTng-UST: tracepoint, as bound", .call = call_tracepoint, .after = pause_between };
    if (!lttng_ust_tracepoint_enabled(taskforge_bench, job)) {
        fprintf(stderr, "peer_lttng: nobody has enabled taskforge_bench:job; start it with run_calls.py\n");
        return 1;
    }
    timed_pin(1);
    timed_run(&row, 1, timed_rounds());
    timed_print(&row, 1, "beside", 0);
    printf("called: %llu\n", (unsigned long long)called);
    return 0;
}
