/* clock.h - the one place time comes from, and how times and durations are written.
 *
 * All times are nanoseconds in 64 bits. "real" is since 1970 UTC, "monotonic" never goes back and
 * survives neither reboot nor comparison between hosts. Tests may put the clock under their control.
 * Thread-safe; the readers are async-signal-safe.
 */
#ifndef TASKFORGE_COMMON_BASE_CLOCK_H
#define TASKFORGE_COMMON_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND UINT64_C(1000000000)
#define CLOCK_MILLISECOND UINT64_C(1000000)

uint64_t clock_real_ns(void);
uint64_t clock_monotonic_ns(void);

/* Tests: from now on both clocks return this value (0: the system's clocks again). */
void clock_set_for_test(uint64_t now_ns);

enum { CLOCK_RFC3339_SIZE = 36 }; /* "2026-11-23T18:15:04.123456789Z" and NUL, with room */

/* Write real_ns as RFC 3339 UTC with nanoseconds ("2026-11-23T18:15:04.123456789Z") and a NUL; returns
 * the length without it. Always nine digits, so that texts sort as times do. */
size_t clock_format(uint64_t real_ns, char out[CLOCK_RFC3339_SIZE]);

/* Read RFC 3339 ("T" or a space, any fraction, "Z" or "+07:00", with or without a colon). -EINVAL, *ret
 * untouched, when it is not one in full or lies outside 1970..2262. */
int clock_parse(const char *text, size_t length, uint64_t *ret_real_ns);

/* The T of the tools (CONTRACT section 5): RFC 3339, "2026-11-23 15:04:05" or a part of it in local time,
 * "15:04", "today", "yesterday", an age ("90s", "15m", "2h", "7d": before now), Unix seconds. */
int clock_parse_human(const char *text, uint64_t now_real_ns, uint64_t *ret_real_ns);

/* Durations "500ms 10s 5m 2h 7d" (also "1.5s", "us", "ns"; a bare number is refused). Nanoseconds out. */
int clock_parse_duration(const char *text, size_t length, uint64_t *ret_ns);

#endif
