/* tail_bench.h - a tail input on a folder of its own. Restart means: a new input that knows what the last one's records
 * said. */
#ifndef TASKFORGE_TESTS_UNIT_AGENT_TAIL_BENCH_H
#define TASKFORGE_TESTS_UNIT_AGENT_TAIL_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/inputs/inputs.h"
#include "agent/inputs/tail_priv.h"
#include "common/base/check.h"
#include "fake_outlet.h"

struct bench {
    char folder[64], pattern[96], quiet[96];
    char *paths[1], *excluded[1];
    struct config_input config;
    struct config whole;
    struct own own;
    struct loop *loop;
    struct fake_outlet *fake;
    struct input_context context;
    struct input *input;
};

#define EXPECT(bench, ...)                                                                                             \
    do {                                                                                                               \
        const char *const expected_[] = { __VA_ARGS__ };                                                               \
        fake_outlet_wait((bench)->fake, (bench)->loop, COUNT_OF(expected_));                                           \
        fake_outlet_expect((bench)->fake, COUNT_OF(expected_), expected_);                                             \
    } while (0)

/* The path of a name in the folder; valid for four calls. */
const char *tail_bench_at(const struct bench *bench, const char *name);

/* `flags`: O_APPEND, O_TRUNC */
void tail_bench_write(const struct bench *bench, const char *name, int flags, struct text text);
void tail_bench_append(const struct bench *bench, const char *name, const char *text);
void tail_bench_rename(const struct bench *bench, const char *from, const char *to);

void tail_bench_start(struct bench *bench);
void tail_bench_kill(struct bench *bench);

/* Run the loop until as many positions are known, failing after ten seconds. */
void tail_bench_wait_positions(struct bench *bench, size_t count);

/* Of cmocka: *state is the bench. */
int tail_bench_setup(void **state);
int tail_bench_teardown(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, tail_bench_setup, tail_bench_teardown)

#endif
