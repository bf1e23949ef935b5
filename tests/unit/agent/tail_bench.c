#include "tail_bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_S = 10 };

const char *tail_bench_at(const struct bench *bench, const char *name) {
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", bench->folder, name);
    return path;
}

void tail_bench_write(const struct bench *bench, const char *name, int flags, struct text text) {
    int fd = open(tail_bench_at(bench, name), O_WRONLY | O_CREAT | flags, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.length), text.length);
    close(fd);
}

void tail_bench_append(const struct bench *bench, const char *name, const char *text) {
    tail_bench_write(bench, name, O_APPEND, text_of(text));
}

void tail_bench_rename(const struct bench *bench, const char *from, const char *to) {
    assert_int_equal(rename(tail_bench_at(bench, from), tail_bench_at(bench, to)), 0);
}

void tail_bench_start(struct bench *bench) {
    assert_int_equal(input_tail.create(&bench->config, &bench->context, &bench->input, NULL), 0);
    struct positions known = POSITIONS_EMPTY;
    for (size_t i = 0; i < bench->fake->positions.count; i++)
        positions_add(&known, bench->fake->positions.items[i].key, bench->fake->positions.items[i].value);
    assert_int_equal(input_tail.start(bench->input, &known, NULL), 0);
    positions_finish(&known);
}

void tail_bench_kill(struct bench *bench) {
    if (bench->input)
        input_tail.destroy(bench->input);
    bench->input = NULL;
}

void tail_bench_wait_positions(struct bench *bench, size_t count) {
    uint64_t end_ns = clock_monotonic_ns() + WAIT_S * CLOCK_SECOND;
    while (bench->fake->positions.count < count) {
        if (clock_monotonic_ns() > end_ns)
            fail_msg("%zu positions came, not %zu", bench->fake->positions.count, count);
        loop_run_once(bench->loop, CLOCK_SECOND / 10);
    }
}

int tail_bench_setup(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    snprintf(bench->folder, sizeof(bench->folder), "/tmp/taskforge-tail-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    snprintf(bench->pattern, sizeof(bench->pattern), "%s/*.log", bench->folder);
    bench->paths[0] = bench->pattern;
    bench->config =
        (struct config_input) { .type = CONFIG_INPUT_TAIL, .name = (char *)"t", .paths = { bench->paths, 1 } };
    snprintf(bench->quiet, sizeof(bench->quiet), "%s/own", bench->folder);
    bench->whole = (struct config) { .data_dir = bench->quiet, .runtime_dir = bench->quiet };
    bench->whole.collector.spill_dir = bench->quiet;
    assert_int_equal(own_init(&bench->own, &bench->whole), 0);
    assert_int_equal(loop_create(&bench->loop, NULL), 0);
    bench->fake = malloc(sizeof(*bench->fake));
    fake_outlet_init(bench->fake);
    bench->context = (struct input_context) { .loop = bench->loop, .outlet = &bench->fake->outlet, .own = &bench->own };
    *state = bench;
    return 0;
}

int tail_bench_teardown(void **state) {
    struct bench *bench = *state;
    char command[128];
    tail_bench_kill(bench);
    loop_destroy(bench->loop);
    own_finish(&bench->own);
    fake_outlet_finish(bench->fake);
    free(bench->fake);
    snprintf(command, sizeof(command), "rm -rf %s", bench->folder);
    assert_int_equal(system(command), 0);
    free(bench);
    return 0;
}
