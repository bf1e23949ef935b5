/* check.h - assertions that stay on in release builds.
 *
 * check(condition) documents what must hold at that point whatever came from outside; a broken one is
 * a defect of ours: it is written to stderr with its place and the process aborts (crash-only: whoever
 * supervises it starts it again, and nothing committed is lost). Input that may be wrong is never
 * checked with this: it gets an error code.
 */
#ifndef TASKFORGE_COMMON_BASE_CHECK_H
#define TASKFORGE_COMMON_BASE_CHECK_H

_Noreturn void check_failed(const char *condition, const char *file, int line);

#define check(condition)                                                                                               \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0))                                                                         \
            check_failed(#condition, __FILE__, __LINE__);                                                              \
    } while (0)

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
