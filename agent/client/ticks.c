#include "agent/client/ticks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

#if TICKS_EXIST
#include <cpuid.h>
#endif

enum { RATE_UNKNOWN = 0, RATE_UNUSABLE = 1, RATE_TO_MEASURE = 2 /* it may be used */ };

/* A tenth of a nanosecond (10 GHz) to ten (100 MHz). */
#define RATE_MIN ((UINT64_C(1) << 32) / 10)
#define RATE_MAX ((UINT64_C(1) << 32) * 10)
#define VALID_NS (100 * CLOCK_MILLISECOND)
#define VALID_UNSURE_NS (10 * CLOCK_MILLISECOND) /* while there is but a header's word */
#define MEASURE_NS (10 * CLOCK_MILLISECOND)
/* A measurement this long is better than what stands in the header; one much longer may have seen the machine sleep. */
#define MEASURE_WELL_NS CLOCK_SECOND
#define MEASURE_LONG_NS (10 * CLOCK_SECOND)
#define STEP_NS CLOCK_MILLISECOND /* so far off, a clock was set */
enum { RATE_OFF_SHARE = 5000, READ_ATTEMPTS = 3, READ_TICKS_MAX = 2000 };

static bool is_plausible(uint64_t rate) {
    return rate >= RATE_MIN && rate <= RATE_MAX;
}

static bool differ(uint64_t a, uint64_t b) {
    uint64_t apart = a > b ? a - b : b - a;
    return apart > a / RATE_OFF_SHARE;
}

/* --- measuring --- */

static uint64_t begin_anew(struct ticks_measurement *measurement, uint64_t ticks, uint64_t now_ns, uint64_t known) {
    *measurement = (struct ticks_measurement) { .begin_ticks = ticks, .begin_ns = now_ns, .sure = measurement->sure };
    return known;
}

uint64_t ticks_judge(struct ticks_measurement *measurement, uint64_t ticks, uint64_t now_ns, uint64_t known) {
    if (measurement->begin_ticks == 0 || ticks <= measurement->begin_ticks || now_ns < measurement->begin_ns)
        return begin_anew(measurement, ticks, now_ns, known);
    uint64_t since_ns = now_ns - measurement->begin_ns, since = ticks - measurement->begin_ticks, rate = RATE_UNKNOWN;
    if (since_ns < MEASURE_NS)
        return known;
    if (since_ns / 10 < since && since / 10 < since_ns)
        rate = (uint64_t)(((__extension__(unsigned __int128) since_ns) << 32) / since);
    if (rate == RATE_UNKNOWN && known == RATE_UNKNOWN)
        return begin_anew(measurement, ticks, now_ns, known);
    /* While the machine sleeps the counter may go on and the clock not: the rate has not changed by that. So what differs is measured
     * anew, and believed when that says the same. */
    if (rate == RATE_UNKNOWN || (known != RATE_UNKNOWN && differ(rate, known))) {
        bool confirmed = rate != RATE_UNKNOWN && !differ(rate, measurement->suspected);
        measurement->sure |= confirmed;
        begin_anew(measurement, ticks, now_ns, known);
        measurement->suspected = rate;
        return confirmed ? rate : known;
    }
    measurement->suspected = RATE_UNKNOWN;
    measurement->sure = true;
    if (known == RATE_UNKNOWN)
        return rate;
    if (measurement->refined || since_ns < MEASURE_WELL_NS)
        return known;
    if (since_ns > MEASURE_LONG_NS)
        return begin_anew(measurement, ticks, now_ns, known);
    measurement->refined = true;
    return rate;
}

/* The process's: whether a ring lets it use the counter, and the rate it believes. Any thread reads and writes; each value stands for itself. */
static _Atomic bool usable;
static _Atomic uint64_t rate_now;
static _Atomic bool is_sure;                     /* it was measured here */
static atomic_flag measuring = ATOMIC_FLAG_INIT; /* whoever has it, has: */
static struct ticks_measurement own;

/* A clock and the counter at one moment; false: each time something came in between. */
static bool read_together(uint64_t (*clock)(void), uint64_t *ret_ticks, uint64_t *ret_ns) {
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint64_t before = ticks_read();
        *ret_ns = clock();
        uint64_t between = ticks_read() - before;
        *ret_ticks = before + between / 2;
        if (between < READ_TICKS_MAX)
            return true;
    }
    return false;
}

/* The rate to go on by; RATE_UNKNOWN: none yet. Never waits: one thread measures at a time. */
static uint64_t measure(_Atomic uint64_t *shared) {
    uint64_t ticks, now_ns, known = atomic_load_explicit(&rate_now, memory_order_relaxed);
    if (atomic_flag_test_and_set_explicit(&measuring, memory_order_acquire))
        return known;
    if (read_together(clock_monotonic_ns, &ticks, &now_ns)) {
        known = atomic_load_explicit(&rate_now, memory_order_relaxed);
        uint64_t rate = ticks_judge(&own, ticks, now_ns, known);
        atomic_store_explicit(&rate_now, rate, memory_order_relaxed);
        atomic_store_explicit(&is_sure, own.sure, memory_order_relaxed);
        if (rate != known && is_plausible(rate))
            atomic_store_explicit(shared, rate, memory_order_relaxed);
        known = rate;
    }
    atomic_flag_clear_explicit(&measuring, memory_order_release);
    return known;
}

/* --- what rings say --- */

#if TICKS_EXIST
/* The processor says that it ticks evenly whatever its frequency, and the kernel trusts it (so all cores agree). */
static bool is_invariant(void) {
    unsigned a, b, c, d;
    char name[16] = "";
    if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & 1U << 8))
        return false;
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, name, sizeof(name) - 1);
    close(fd);
    return got >= 3 && memcmp(name, "tsc", 3) == 0;
}
#else
static bool is_invariant(void) {
    return false;
}
#endif

void ticks_attach(_Atomic uint64_t *shared) {
    uint64_t rate = atomic_load_explicit(shared, memory_order_relaxed), none = RATE_UNKNOWN;
    if (rate == RATE_UNKNOWN) {
        rate = is_invariant() ? RATE_TO_MEASURE : RATE_UNUSABLE;
        atomic_store_explicit(shared, rate, memory_order_relaxed);
    }
    if (rate == RATE_UNUSABLE || !TICKS_EXIST)
        return;             /* no point is taken, so nobody measures */
    if (is_plausible(rate)) /* what this process has measured is better than what stands there */
        atomic_compare_exchange_strong(&rate_now, &none, rate);
    measure(shared); /* it begins now */
    atomic_store_explicit(&usable, true, memory_order_relaxed);
}

/* --- a thread's point --- */

/* How far a thread's time was ahead of the clock when its point came to its end: 0 also where the clock was stepped. */
static uint64_t ahead_of(const struct ticks *old, uint64_t at, uint64_t real_ns) {
    uint64_t since = at - old->at;
    if (since >= 2 * old->valid)
        return 0;
    uint64_t was = old->real_ns + (since * old->rate >> 32);
    return was > real_ns && was - real_ns < STEP_NS ? was - real_ns : 0;
}

uint64_t ticks_renew(struct ticks *ticks, _Atomic uint64_t *shared) {
    uint64_t at, real_ns;
    struct ticks old = *ticks;
    bool together = read_together(clock_real_ns, &at, &real_ns);
    ticks->valid = 0;
    if (!TICKS_EXIST || !atomic_load_explicit(&usable, memory_order_relaxed) ||
        atomic_load_explicit(shared, memory_order_relaxed) == RATE_UNUSABLE)
        return real_ns;
    uint64_t rate = measure(shared);
    if (!together || !is_plausible(rate))
        return real_ns;
    uint64_t valid_ns = atomic_load_explicit(&is_sure, memory_order_relaxed) ? VALID_NS : VALID_UNSURE_NS;
    uint64_t ahead = ahead_of(&old, at, real_ns); /* it does not go back, but runs slower until the clock has come up */
    ticks->at = at;
    ticks->real_ns = real_ns + ahead;
    ticks->rate = rate - rate * ahead / valid_ns;
    ticks->valid = (valid_ns << 32) / rate;
    return ticks->real_ns;
}
