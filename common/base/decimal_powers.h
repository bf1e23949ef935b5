/* decimal_powers.h - the table of decimal.c, which decimal_powers.py writes when this is built. */
#ifndef TASKFORGE_COMMON_BASE_DECIMAL_POWERS_H
#define TASKFORGE_COMMON_BASE_DECIMAL_POWERS_H

#include <stdint.h>

enum { DECIMAL_POWER_LEAST = -292, DECIMAL_POWER_MOST = 324 };

/* 10^k as 128 bits, the highest of them set, rounded up. */
struct decimal_power {
    uint64_t high, low;
};
extern const struct decimal_power decimal_powers[DECIMAL_POWER_MOST - DECIMAL_POWER_LEAST + 1];

#endif
