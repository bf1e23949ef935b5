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
#define MEASURE_NS (10 * CLOCK_MILLISECOND)
#define MEASURE_WELL_NS CLOCK_SECOND /* from here on a measurement is better than what stands in the header */
enum { RATE_OFF_SHARE = 5000, READ_ATTEMPTS = 3, READ_TICKS_MAX = 2000 };

/* The process's: when it began to measure, and what it believes. Any thread reads and writes; each value stands for itself. */
static _Atomic uint64_t begin_ticks, begin_ns;
static _Atomic uint64_t rate_now;

static bool is_plausible(uint64_t rate) {
    return rate >= RATE_MIN && rate <= RATE_MAX;
}

static bool differ(uint64_t a, uint64_t b) {
    uint64_t apart = a > b ? a - b : b - a;
    return apart > a / RATE_OFF_SHARE;
}

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
    uint64_t rate = atomic_load_explicit(shared, memory_order_relaxed);
    if (rate == RATE_UNKNOWN) {
        rate = is_invariant() ? RATE_TO_MEASURE : RATE_UNUSABLE;
        atomic_store_explicit(shared, rate, memory_order_relaxed);
    }
    if (is_plausible(rate) && TICKS_EXIST)
        atomic_store_explicit(&rate_now, rate, memory_order_relaxed);
    if (rate == RATE_UNUSABLE || !TICKS_EXIST)
        return; /* no point is taken, so nobody measures */
    if (atomic_load(&begin_ticks) == 0) {
        atomic_store(&begin_ns, clock_monotonic_ns());
        atomic_store(&begin_ticks, ticks_read());
    }
}

/* The rate since the process began, and whether to believe it rather than the header's. */
static void measure(uint64_t ticks, uint64_t now_ns, _Atomic uint64_t *shared) {
    uint64_t from = atomic_load(&begin_ticks), from_ns = atomic_load(&begin_ns);
    if (from == 0 || now_ns < from_ns + MEASURE_NS || ticks <= from)
        return;
    uint64_t rate = (uint64_t)(((__extension__ (unsigned __int128)(now_ns - from_ns)) << 32) / (ticks - from));
    uint64_t known = atomic_load(&rate_now);
    if (!is_plausible(rate)) {
        atomic_store(&rate_now, RATE_UNKNOWN);
        atomic_store(&begin_ticks, 0); /* never again */
        return;
    }
    if (known == RATE_UNKNOWN || differ(rate, known) ||
        (now_ns - from_ns >= MEASURE_WELL_NS && now_ns - from_ns < MEASURE_WELL_NS + 2 * VALID_NS)) {
        atomic_store(&rate_now, rate);
        atomic_store_explicit(shared, rate, memory_order_relaxed);
    }
}

uint64_t ticks_renew(struct ticks *ticks, _Atomic uint64_t *shared) {
    uint64_t before = 0, after = 0, real = 0;
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        before = ticks_read();
        real = clock_real_ns();
        after = ticks_read();
        if (after - before < READ_TICKS_MAX)
            break; /* not interrupted in between */
    }
    if (!TICKS_EXIST || atomic_load_explicit(&begin_ticks, memory_order_relaxed) == 0)
        return real;
    measure(after, clock_monotonic_ns(), shared);
    uint64_t rate = atomic_load(&rate_now);
    ticks->valid = 0;
    if (!is_plausible(rate) || after - before >= READ_TICKS_MAX)
        return real;
    ticks->at = before + (after - before) / 2;
    ticks->real_ns = real;
    ticks->rate = rate;
    ticks->valid = (VALID_NS << 32) / rate;
    return real;
}
