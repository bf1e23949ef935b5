/* Whose lines the tail input takes first, and which files it finds at all, where files are rotated while it is away, behind,
 * or just looking: what a look at a folder gives is told here, name by name, and renamed in between. */
#include "tail_bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHAIN = 8, CHAIN_MAX = 40 };

static struct {
    const struct bench *bench;
    int rotations;                                           /* to come, each in the midst of a look */
    enum { ALL_AT_ONCE, WITH_EACH_NAME, IN_EACH_LOOK } pace; /* of its renames */
    int next;     /* of the rotation at hand: the rotated file to be renamed */
    int lines;    /* "line N" that were written */
    time_t begin; /* when line 0 was */
} writer;

static void set_time(const struct bench *bench, const char *name, time_t seconds) {
    struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };
    assert_int_equal(utimensat(AT_FDCWD, tail_bench_at(bench, name), times, 0), 0);
}

/* One line a file, a second apart: a.log.1 is the youngest of those rotated. */
static bool rotate_on(void) {
    char from[32], to[32], text[32];
    if (writer.next == 0)
        writer.next = CHAIN_MAX;
    while (--writer.next > 0) {
        snprintf(from, sizeof(from), "a.log.%d", writer.next);
        snprintf(to, sizeof(to), "a.log.%d", writer.next + 1);
        if (access(tail_bench_at(writer.bench, from), F_OK) != 0)
            continue;
        tail_bench_rename(writer.bench, from, to);
        return false;
    }
    tail_bench_rename(writer.bench, "a.log", "a.log.1");
    snprintf(text, sizeof(text), "line %d\n", writer.lines);
    tail_bench_append(writer.bench, "a.log", text);
    set_time(writer.bench, "a.log", writer.begin + writer.lines++);
    return true;
}

static void rotate(void) {
    while (!rotate_on())
        ;
}

/* What happens in the midst of a look. */
static void go_on(void) {
    if (writer.rotations == 0)
        return;
    bool done = rotate_on();
    while (!done && writer.pace == ALL_AT_ONCE)
        done = rotate_on();
    writer.rotations -= done;
}

static int greater_first(const struct dirent **a, const struct dirent **b) {
    return strverscmp((*b)->d_name, (*a)->d_name);
}

/* In the place of libc's: from the greatest name down, rotated once when half of them was given. */
struct dirent *readdir(DIR *stream) {
    static struct dirent **entries, given;
    static int count, next;
    if (fcntl(dirfd(stream), F_GETFD) == FD_CLOEXEC) { /* opendir sets it: a new look */
        char path[64];
        fcntl(dirfd(stream), F_SETFD, 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd(stream));
        while (next < count)
            free(entries[next++]);
        free(entries);
        count = scandir(path, &entries, NULL, greater_first);
        next = 0;
        assert_true(count >= 0);
    }
    if (writer.pace == WITH_EACH_NAME || next == count / 2)
        go_on();
    if (next == count) {
        free(entries);
        entries = NULL;
        count = next = 0;
        return NULL;
    }
    memcpy(&given, entries[next], entries[next]->d_reclen);
    free(entries[next++]);
    return &given;
}

/* Let it read line 0 of a.log, and what else there is. */
static void know_since(struct bench *bench, size_t files, time_t begin) {
    writer.bench = bench;
    writer.rotations = writer.next = 0;
    writer.pace = ALL_AT_ONCE;
    writer.lines = 1;
    writer.begin = begin;
    tail_bench_append(bench, "a.log", "line 0\n");
    set_time(bench, "a.log", writer.begin);
    tail_bench_start(bench);
    fake_outlet_wait(bench->fake, bench->loop, files);
    tail_bench_wait_positions(bench, files + 1); /* the files', and that the first start has been */
}

static void know(struct bench *bench, size_t files) {
    know_since(bench, files, time(NULL) - 1000);
}

static void wait_rotations(struct bench *bench) {
    uint64_t end_ns = clock_monotonic_ns() + 10 * CLOCK_SECOND;
    while (writer.rotations > 0 && clock_monotonic_ns() < end_ns)
        loop_run_once(bench->loop, CLOCK_SECOND);
    assert_int_equal(writer.rotations, 0);
}

static void expect_lines(struct bench *bench) {
    char text[32];
    fake_outlet_wait(bench->fake, bench->loop, (size_t)writer.lines);
    for (int i = 0; i < writer.lines; i++) {
        snprintf(text, sizeof(text), "line %d", i);
        assert_string_equal(bench->fake->messages[i], text);
    }
    assert_int_equal(bench->fake->count, writer.lines);
}

static void misses_no_file_that_is_renamed_while_it_looks(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    for (int i = 0; i < CHAIN; i++)
        rotate();
    writer.rotations = 5;
    tail_bench_start(bench);
    wait_rotations(bench);
    expect_lines(bench);
}

static void misses_no_file_that_is_renamed_while_it_runs(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    bench->fake->room = 0;
    for (int i = 0; i < CHAIN; i++)
        rotate();
    writer.rotations = 5;
    wait_rotations(bench);
    bench->fake->room = SIZE_MAX;
    expect_lines(bench);
}

static void misses_no_file_of_a_chain_that_is_renamed_over_several_looks(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    for (int i = 0; i < CHAIN; i++)
        rotate();
    writer.rotations = 5;
    writer.pace = WITH_EACH_NAME;
    tail_bench_start(bench);
    wait_rotations(bench);
    expect_lines(bench);
}

static void reads_a_file_that_it_never_saw_at_its_label(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_append(bench, "b.log", "first\n");
    tail_bench_rename(bench, "b.log", "b.log.1");
    tail_bench_append(bench, "b.log", "second\n");
    EXPECT(bench, "line 0", "first", "second");
    assert_string_equal(bench->fake->services[1], "b");
}

static void reads_what_was_made_and_rotated_while_it_was_dead(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    tail_bench_append(bench, "b.log.2", "first\n");
    tail_bench_append(bench, "b.log.1", "second\n");
    tail_bench_append(bench, "b.log", "third\n");
    tail_bench_append(bench, "c.log.1", "old\n");
    set_time(bench, "c.log.1", 1700000000); /* before the first start */
    tail_bench_append(bench, "c.log", "new\n");
    tail_bench_start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 5);
    assert_int_equal(bench->fake->count, 5);
    const char *last = "";
    for (size_t i = 1; i < 5; i++)
        if (strcmp(bench->fake->services[i], "b") == 0) {
            assert_true(strcmp(last, bench->fake->messages[i]) < 0);
            last = bench->fake->messages[i];
        }
    assert_string_equal(last, "third");
}

static void knows_what_it_only_saw(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "half");
    set_time(bench, "a.log", 1700000000);
    tail_bench_start(bench);
    tail_bench_wait_positions(bench, 2);
    tail_bench_kill(bench);
    tail_bench_rename(bench, "a.log", "a.log.1");
    tail_bench_append(bench, "a.log", "new\n");
    tail_bench_start(bench);
    EXPECT(bench, "half", "new");
}

static void finds_what_came_between_where_the_file_it_knew_is_gone(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    unlink(tail_bench_at(bench, "a.log"));
    tail_bench_append(bench, "a.log.1", "between\n");
    tail_bench_append(bench, "a.log", "new\n");
    tail_bench_start(bench);
    EXPECT(bench, "line 0", "between", "new");
}

static void finds_what_came_between_where_the_inode_came_again(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    tail_bench_append(bench, "a.log.1", "between\n");
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("another file\n"));
    tail_bench_start(bench);
    EXPECT(bench, "line 0", "between", "another file");
}

static void finds_what_came_between_where_the_inode_of_a_closed_file_came_again(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    ((struct tail *)bench->input)->open_max = 1;
    tail_bench_append(bench, "b.log", "closes the other\n");
    EXPECT(bench, "line 0", "closes the other");
    tail_bench_append(bench, "a.log.1", "between\n");
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("another file\n"));
    EXPECT(bench, "line 0", "closes the other", "between", "another file");
}

static void finds_what_came_between_under_an_inode_that_came_again(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("between\n"));
    tail_bench_rename(bench, "a.log", "a.log.1");
    tail_bench_append(bench, "a.log", "new\n");
    tail_bench_start(bench);
    EXPECT(bench, "line 0", "between", "new");
}

static void goes_on_in_the_copy_of_what_was_truncated_while_dead(void **state) {
    struct bench *bench = *state;
    know_since(bench, 1, time(NULL) + 1000); /* so that the earlier copy is younger than the first start */
    tail_bench_kill(bench);
    tail_bench_append(bench, "a.log.2", "an earlier copy\n");
    set_time(bench, "a.log.2", writer.begin - 1);
    tail_bench_append(bench, "a.log.1", "line 0\nrest\n");
    set_time(bench, "a.log.1", writer.begin + 1);
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("begun anew\n"));
    tail_bench_start(bench);
    EXPECT(bench, "line 0", "rest", "begun anew");
}

static void keeps_the_order_where_the_globs_give_rotated_names_too(void **state) {
    struct bench *bench = *state;
    snprintf(bench->pattern, sizeof(bench->pattern), "%s/a*", bench->folder);
    tail_bench_append(bench, "a.log.1", "old\n");
    know(bench, 2);
    tail_bench_kill(bench);
    for (int i = 0; i < CHAIN; i++)
        rotate();
    writer.rotations = 2;
    writer.pace = IN_EACH_LOOK;
    tail_bench_start(bench);
    wait_rotations(bench);
    fake_outlet_wait(bench->fake, bench->loop, (size_t)writer.lines + 1);
    for (int i = 1; i < writer.lines; i++) {
        char text[32];
        snprintf(text, sizeof(text), "line %d", i);
        assert_string_equal(bench->fake->messages[i + 1], text);
    }
    assert_int_equal(bench->fake->count, writer.lines + 1);
}

static void leaves_alone_what_comes_before_the_file_it_knows(void **state) {
    struct bench *bench = *state;
    for (int i = 3; i > 0; i--) {
        char name[32];
        snprintf(name, sizeof(name), "a.log.%d", i);
        tail_bench_append(bench, name, "old\n");
        set_time(bench, name, 1700000000 - i);
    }
    know(bench, 1);
    tail_bench_kill(bench);
    rotate();
    set_time(bench, "a.log.3", time(NULL)); /* touched */
    tail_bench_start(bench);
    expect_lines(bench);
}

static void is_not_held_up_by_what_cannot_be_read(void **state) {
    struct bench *bench = *state;
    bench->config.ignore_older_ns = 3600 * CLOCK_SECOND;
    know(bench, 1);
    tail_bench_append(bench, "b.log", "too old\n");
    set_time(bench, "b.log", 1700000000);
    assert_int_equal(symlink("nowhere", tail_bench_at(bench, "b.log.7")), 0);
    assert_int_equal(mkdir(tail_bench_at(bench, "b.log.8"), 0755), 0);
    tail_bench_kill(bench);
    tail_bench_start(bench);
    tail_bench_rename(bench, "b.log", "b.log.1");
    tail_bench_append(bench, "b.log", "new\n");
    EXPECT(bench, "line 0", "new");
}

static void reads_a_known_file_under_any_name_before_the_new_one(void **state) {
    struct bench *bench = *state;
    know(bench, 1);
    tail_bench_kill(bench);
    tail_bench_append(bench, "a.log", "rest\n");
    tail_bench_rename(bench, "a.log", "kept aside");
    tail_bench_append(bench, "a.log", "new\n");
    tail_bench_start(bench);
    EXPECT(bench, "line 0", "rest", "new");
}

/* --- the order of names --- */

struct named {
    const char *name;
    time_t seconds;
};

static void expect_order(const struct bench *bench, size_t count, const struct named *files) {
    struct tail_names names;
    struct tail_family family = { 0 };
    for (size_t i = 0; i < count; i++) {
        tail_bench_append(bench, files[i].name, "x\n");
        set_time(bench, files[i].name, files[i].seconds);
    }
    assert_int_equal(tail_names_read(&names, bench->folder), 0);
    assert_int_equal(tail_family_read(&family, tail_bench_at(bench, "a.log"), &names), 0);
    tail_family_sort(&family, tail_bench_at(bench, "a.log"));
    assert_int_equal(family.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(family.items[i].path, tail_bench_at(bench, files[i].name));
        unlink(family.items[i].path);
    }
    tail_family_finish(&family);
    tail_names_finish(&names);
}

static void orders_by_names_and_their_direction_by_times(void **state) {
    const struct bench *bench = *state;
    const struct named numbers[] = { { "a.log.10", 1 }, { "a.log.9.gz", 2 }, { "a.log.1", 3 } };
    const struct named one_instant[] = { { "a.log.11", 5 }, { "a.log.10", 5 }, { "a.log.9", 5 } };
    const struct named late_line[] = { { "a.log.4", 1 }, { "a.log.3", 9 }, { "a.log.2", 3 }, { "a.log.1", 4 } };
    const struct named rising[] = { { "a.log.1", 1 }, { "a.log.2", 2 }, { "a.log.10", 2 }, { "a.log.11", 3 } };
    const struct named dates[] = { { "a.log-20260930", 7 }, { "a.log-20261001", 7 }, { "a.log-20261002", 7 } };
    const struct named both[] = { { "a.log.2", 1 }, { "a.log-20261001", 2 }, { "a.log.1", 3 } };
    expect_order(bench, COUNT_OF(numbers), numbers);
    expect_order(bench, COUNT_OF(one_instant), one_instant);
    expect_order(bench, COUNT_OF(late_line), late_line);
    expect_order(bench, COUNT_OF(rising), rising);
    expect_order(bench, COUNT_OF(dates), dates);
    expect_order(bench, COUNT_OF(both), both);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(misses_no_file_that_is_renamed_while_it_looks),
        TEST(misses_no_file_that_is_renamed_while_it_runs),
        TEST(misses_no_file_of_a_chain_that_is_renamed_over_several_looks),
        TEST(reads_a_file_that_it_never_saw_at_its_label),
        TEST(reads_what_was_made_and_rotated_while_it_was_dead),
        TEST(knows_what_it_only_saw),
        TEST(finds_what_came_between_where_the_file_it_knew_is_gone),
        TEST(finds_what_came_between_where_the_inode_came_again),
        TEST(finds_what_came_between_where_the_inode_of_a_closed_file_came_again),
        TEST(finds_what_came_between_under_an_inode_that_came_again),
        TEST(goes_on_in_the_copy_of_what_was_truncated_while_dead),
        TEST(keeps_the_order_where_the_globs_give_rotated_names_too),
        TEST(leaves_alone_what_comes_before_the_file_it_knows),
        TEST(is_not_held_up_by_what_cannot_be_read),
        TEST(reads_a_known_file_under_any_name_before_the_new_one),
        TEST(orders_by_names_and_their_direction_by_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
