/* metric_sample.c - see metric_sample.h. Without a logarithm of libc's other half: libtaskforge is linked with libc alone. */
#include "agent/client/metric_sample.h"

#include <sys/types.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { FRACTION_BITS = 52 };

_Thread_local int64_t sample_left __attribute__((tls_model("initial-exec"))) = -1;
static _Thread_local uint64_t random_state __attribute__((tls_model("initial-exec"))); /* 0: no seed yet */
static _Thread_local bool begun __attribute__((tls_model("initial-exec")));

/* splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t next_random(void) {
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* An exponentially distributed distance by comparisons alone (von Neumann, "Various techniques used in connection with random
 * digits", 1951): the first number of a falling run is the fraction if the run's length is odd, else the whole part grows by one. */
static int64_t draw(void) {
    for (int64_t whole = 0;; whole++) {
        uint64_t first = next_random() >> (64 - FRACTION_BITS), last = first;
        unsigned length = 1;
        for (uint64_t next; (next = next_random() >> (64 - FRACTION_BITS)) < last; last = next)
            length++;
        if (length % 2 == 1)
            return (whole << FRACTION_BITS) + (int64_t)first;
    }
}

uint64_t sample_step(uint32_t sample) {
    check(sample >= 2 && sample <= METRIC_SAMPLE_MAX);
    double x = 1.0 / sample, power = 1, sum = 0;
    for (int k = 1; k <= FRACTION_BITS + 1; k++) { /* -ln(1 - x) */
        power *= x;
        sum += power / k;
    }
    return (uint64_t)(sum * (double)(UINT64_C(1) << FRACTION_BITS) + 0.5);
}

void sample_begin(uint64_t seed) {
    random_state = seed;
    sample_left = -1;
    begun = false;
}

bool sample_is_due(uint64_t step) {
    if (unlikely(!begun)) {
        if (random_state == 0) /* differs by thread and by process */
            random_state = (clock_monotonic_ns() ^ (uint64_t)getpid() << 40 ^ (uintptr_t)&random_state) | 1;
        begun = true;
        sample_left = draw() - (int64_t)step;
        if (sample_left >= 0)
            return false;
    }
    sample_left = draw();
    return true;
}
