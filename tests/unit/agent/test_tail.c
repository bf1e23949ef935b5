/* The tail input on real files: growth, rotation, truncation, restarts. */
#include "tail_bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void reads_what_is_there_and_what_comes(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\r\ntwo\n\n \nthree");
    tail_bench_start(bench);
    EXPECT(bench, "one", "two");
    tail_bench_append(bench, "a.log", " and a half\n");
    tail_bench_append(bench, "b.log", "new file\n");
    EXPECT(bench, "one", "two", "three and a half", "new file");
    assert_string_equal(bench->fake->services[0], "a");
    assert_string_equal(bench->fake->services[3], "b");
    assert_int_equal(bench->input->counters.empty, 2);
}

static void goes_on_after_a_restart_where_the_records_end(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\ntwo\nhalf");
    tail_bench_start(bench);
    EXPECT(bench, "one", "two");
    tail_bench_kill(bench);
    tail_bench_append(bench, "a.log", " a line\nfour\n");
    tail_bench_append(bench, "b.log", "made while dead\n");
    tail_bench_start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 5);
    assert_int_equal(bench->fake->count, 5);
}

static void goes_on_after_a_kill_between_two_records(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\ntwo\nthree\nfour\n");
    bench->fake->room = 2;
    tail_bench_start(bench);
    EXPECT(bench, "one", "two");
    tail_bench_kill(bench);
    bench->fake->room = SIZE_MAX;
    tail_bench_start(bench);
    EXPECT(bench, "one", "two", "three", "four");
}

static void holds_back_while_there_is_no_room(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\ntwo\nthree\n");
    bench->fake->room = 1;
    tail_bench_start(bench);
    EXPECT(bench, "one");
    while (bench->input->counters.held < 3)
        loop_run_once(bench->loop, CLOCK_SECOND);
    bench->fake->room = SIZE_MAX;
    EXPECT(bench, "one", "two", "three");
    assert_int_equal(bench->input->counters.lines, 3);
    assert_int_equal(bench->fake->lost, 0);
}

static void follows_a_rename_to_its_end_before_the_new_file(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    int writer = open(tail_bench_at(bench, "a.log"), O_WRONLY | O_APPEND);
    assert_int_equal(rename(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "a.log.1")), 0);
    tail_bench_append(bench, "a.log", "new\n");
    assert_int_equal(write(writer, "late\n", 5), 5);
    close(writer);
    EXPECT(bench, "one", "late", "new");
}

static void takes_the_last_line_of_a_finished_file_without_its_newline(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\nlast");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    assert_int_equal(rename(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "a.log.1")), 0);
    tail_bench_append(bench, "a.log", "new\n");
    EXPECT(bench, "one", "last", "new");
}

static void reads_the_rest_of_a_file_that_was_unlinked(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    int writer = open(tail_bench_at(bench, "a.log"), O_WRONLY | O_APPEND);
    unlink(tail_bench_at(bench, "a.log"));
    assert_int_equal(write(writer, "two\nthree", 9), 9);
    close(writer);
    EXPECT(bench, "one", "two", "three");
}

static void finds_after_a_restart_what_was_rotated_meanwhile(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    tail_bench_kill(bench);
    tail_bench_append(bench, "a.log", "two\n");
    rename(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "a.log.2"));
    tail_bench_append(bench, "a.log", "between\n");
    rename(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "a.log.1"));
    tail_bench_append(bench, "a.log", "new\n");
    tail_bench_start(bench);
    EXPECT(bench, "one", "two", "between", "new");
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(bench->fake->services[i], "a");
}

static void leaves_alone_older_rotated_files_it_never_knew(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log.1", "old\n");
    struct timespec past[2] = { { .tv_sec = 1700000000 }, { .tv_sec = 1700000000 } };
    assert_int_equal(utimensat(AT_FDCWD, tail_bench_at(bench, "a.log.1"), past, 0), 0);
    tail_bench_append(bench, "a.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    rename(tail_bench_at(bench, "a.log.1"), tail_bench_at(bench, "a.log.2"));
    rename(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "a.log.1"));
    tail_bench_append(bench, "a.log", "new\n");
    EXPECT(bench, "one", "new");
}

static void begins_again_after_a_truncation(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\ntwo\n");
    tail_bench_start(bench);
    EXPECT(bench, "one", "two");
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("new\n"));
    EXPECT(bench, "one", "two", "new");
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("longer than before, so that size says nothing\n"));
    fake_outlet_wait(bench->fake, bench->loop, 4);
    assert_string_equal(bench->fake->messages[3], "longer than before, so that size says nothing");
}

static void begins_again_when_it_was_truncated_while_dead(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\ntwo\n");
    tail_bench_start(bench);
    EXPECT(bench, "one", "two");
    tail_bench_kill(bench);
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("other and longer\nlines\n"));
    tail_bench_start(bench);
    EXPECT(bench, "one", "two", "other and longer", "lines");
}

static void passes_over_the_hole_that_a_truncation_leaves(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\ntwo\n");
    tail_bench_start(bench);
    EXPECT(bench, "one", "two");
    int writer = open(tail_bench_at(bench, "a.log"), O_WRONLY);
    assert_int_equal(ftruncate(writer, 0), 0);
    assert_int_equal(pwrite(writer, "three\n", 6, 5000), 6);
    close(writer);
    EXPECT(bench, "one", "two", "three");
    assert_non_null(strstr(bench->fake->metadata[2], "\"repaired\":[\"utf8\"]"));
}

static void starts_at_the_end_once_and_never_again(void **state) {
    struct bench *bench = *state;
    bench->config.start_at = CONFIG_START_END;
    tail_bench_append(bench, "a.log", "old\nhalf");
    tail_bench_append(bench, "old.log", "old\n");
    tail_bench_start(bench);
    tail_bench_append(bench, "a.log", " a line\n");
    tail_bench_append(bench, "later.log", "from its beginning\n");
    fake_outlet_wait(bench->fake, bench->loop, 2);
    assert_string_equal(bench->fake->messages[0], "half a line");
    tail_bench_kill(bench);
    tail_bench_append(bench, "old.log", "grew while dead\n");
    tail_bench_append(bench, "dead.log", "made while dead\n");
    tail_bench_start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 4);
    assert_int_equal(bench->fake->count, 4);
}

static void forgets_what_is_gone(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\n");
    tail_bench_append(bench, "b.log", "two\n");
    tail_bench_start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 2);
    tail_bench_wait_positions(bench, 3); /* and that the first start has been */
    tail_bench_kill(bench);
    unlink(tail_bench_at(bench, "a.log"));
    tail_bench_start(bench);
    while (bench->fake->positions.count > 2)
        loop_run_once(bench->loop, CLOCK_SECOND);
    tail_bench_append(bench, "b.log", "three\n");
    fake_outlet_wait(bench->fake, bench->loop, 3);
}

static void does_not_take_a_new_file_for_an_old_one_with_its_inode(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    tail_bench_kill(bench);
    tail_bench_write(bench, "a.log", O_TRUNC, TEXT_LITERAL("another file\n")); /* what inode reuse looks like */
    rename(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "z.log"));
    tail_bench_start(bench);
    EXPECT(bench, "one", "another file");
    assert_string_equal(bench->fake->services[1], "z");
}

static void reads_a_file_with_two_names_once(void **state) {
    struct bench *bench = *state;
    tail_bench_append(bench, "a.log", "one\n");
    assert_int_equal(link(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "b.log")), 0);
    assert_int_equal(symlink(tail_bench_at(bench, "a.log"), tail_bench_at(bench, "c.log")), 0);
    tail_bench_start(bench);
    tail_bench_append(bench, "b.log", "two\n");
    EXPECT(bench, "one", "two");
}

static void passes_over_what_is_no_text_file(void **state) {
    struct bench *bench = *state;
    tail_bench_write(bench, "gzip.log", 0, TEXT_LITERAL("\x1f\x8b\x08 packed\n"));
    tail_bench_write(bench, "nuls.log", 0, TEXT_LITERAL("\0\0\0\0\1\n\0\0"));
    assert_int_equal(mkdir(tail_bench_at(bench, "folder.log"), 0755), 0);
    assert_int_equal(mkfifo(tail_bench_at(bench, "pipe.log"), 0644), 0);
    assert_int_equal(symlink("/dev/null", tail_bench_at(bench, "null.log")), 0);
    assert_int_equal(symlink("nowhere", tail_bench_at(bench, "dangling.log")), 0);
    tail_bench_append(bench, "z.log", "text with one \xff byte\n");
    tail_bench_start(bench);
    EXPECT(bench, "text with one \xef\xbf\xbd byte");
}

static void excludes_by_name_and_by_path(void **state) {
    struct bench *bench = *state;
    char whole[128];
    char *exclude[] = { (char *)"skip*", whole };
    snprintf(whole, sizeof(whole), "%s/b.log", bench->folder);
    bench->config.exclude = (struct config_strings) { exclude, 2 };
    tail_bench_append(bench, "skip.log", "x\n");
    tail_bench_append(bench, "b.log", "x\n");
    tail_bench_append(bench, "c.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
}

static void ignores_what_is_old_until_it_changes(void **state) {
    struct bench *bench = *state;
    struct timespec past[2] = { { .tv_sec = 1700000000 }, { .tv_sec = 1700000000 } };
    bench->config.ignore_older_ns = 3600 * CLOCK_SECOND;
    tail_bench_append(bench, "old.log", "old\n");
    assert_int_equal(utimensat(AT_FDCWD, tail_bench_at(bench, "old.log"), past, 0), 0);
    tail_bench_append(bench, "z.log", "one\n");
    tail_bench_start(bench);
    EXPECT(bench, "one");
    tail_bench_append(bench, "old.log", "new\n");
    EXPECT(bench, "one", "old", "new");
}

static void never_reads_our_own_files(void **state) {
    struct bench *bench = *state;
    char output[160];
    assert_int_equal(mkdir(bench->quiet, 0755), 0);
    snprintf(output, sizeof(output), "%s", tail_bench_at(bench, "out.log"));
    own_finish(&bench->own);
    bench->whole.collector.output_path = output;
    assert_int_equal(own_init(&bench->own, &bench->whole), 0);
    tail_bench_append(bench, "out.log", "ours\n");
    tail_bench_append(bench, "own/x.log", "ours\n");
    assert_int_equal(symlink(tail_bench_at(bench, "own/x.log"), tail_bench_at(bench, "link.log")), 0);
    tail_bench_append(bench, "z.log",
                      "Nov 23 15:04:05 vm taskforge-collector[7]: ours\nNov 23 15:04:05 vm a: theirs\n");
    tail_bench_start(bench);
    EXPECT(bench, "theirs");
    assert_int_equal(bench->input->counters.own, 1);
}

static void keeps_both_ends_of_a_line_longer_than_a_mebibyte(void **state) {
    struct bench *bench = *state;
    size_t size = 3 * INPUT_LINE_MAX + 17;
    char *line = malloc(size);
    memset(line, 'x', size);
    memcpy(line, "begin", 5);
    memcpy(line + size - 4, "end\n", 4);
    tail_bench_write(bench, "a.log", 0, (struct text) { line, size });
    free(line);
    tail_bench_append(bench, "a.log", "next\n");
    tail_bench_start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 2);
    const char *message = bench->fake->messages[0];
    assert_memory_equal(message, "begin", 5);
    assert_string_equal(message + strlen(message) - 3, "end");
    assert_non_null(strstr(bench->fake->metadata[0], "\"cut\""));
    assert_string_equal(bench->fake->messages[1], "next");
}

static void reads_many_files_with_few_descriptors(void **state) {
    struct bench *bench = *state;
    enum { FILES = 200 };
    char name[32];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%d.log", i);
        tail_bench_append(bench, name, "one\ntwo\n");
    }
    assert_int_equal(input_tail.create(&bench->config, &bench->context, &bench->input, NULL), 0);
    struct tail *tail = (struct tail *)bench->input;
    tail->open_max = 16;
    assert_int_equal(input_tail.start(bench->input, &bench->fake->positions, NULL), 0);
    fake_outlet_wait(bench->fake, bench->loop, 2 * FILES);
    assert_true(tail->open_count <= 16);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%d.log", i);
        tail_bench_append(bench, name, "three\n");
    }
    fake_outlet_wait(bench->fake, bench->loop, 3 * FILES);
    assert_int_equal(bench->fake->count, 3 * FILES);
}

static void retries_a_file_it_may_not_read(void **state) {
    struct bench *bench = *state;
    if (geteuid() == 0)
        skip(); /* root may read everything */
    tail_bench_append(bench, "a.log", "one\n");
    assert_int_equal(chmod(tail_bench_at(bench, "a.log"), 0), 0);
    tail_bench_append(bench, "b.log", "two\n");
    tail_bench_start(bench);
    EXPECT(bench, "two");
    assert_int_equal(chmod(tail_bench_at(bench, "a.log"), 0644), 0);
    EXPECT(bench, "two", "one");
}

static void refuses_positions_that_make_no_sense(void **state) {
    (void)state;
    static const char *const values[] = { "",
                                          "1",
                                          "1 2 3 4 /a",
                                          "1 1 x 4 /a",
                                          "9 300 ab 4 /a",
                                          "-1 0 0 0 /a",
                                          "99999999999999999999 0 0 0 /a",
                                          "1 0 0 99999999999 /a" };
    struct tail_position position;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        if (tail_position_parse(text_of(values[i]), &position) == 0)
            fail_msg("%s", values[i]);
    assert_int_equal(tail_position_parse(TEXT_LITERAL("300 256 ab 7 /a b"), &position), 0);
    assert_int_equal(position.offset, 300);
    assert_true(text_is(position.label, "/a b"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(reads_what_is_there_and_what_comes),
        TEST(goes_on_after_a_restart_where_the_records_end),
        TEST(goes_on_after_a_kill_between_two_records),
        TEST(holds_back_while_there_is_no_room),
        TEST(follows_a_rename_to_its_end_before_the_new_file),
        TEST(takes_the_last_line_of_a_finished_file_without_its_newline),
        TEST(reads_the_rest_of_a_file_that_was_unlinked),
        TEST(finds_after_a_restart_what_was_rotated_meanwhile),
        TEST(leaves_alone_older_rotated_files_it_never_knew),
        TEST(begins_again_after_a_truncation),
        TEST(begins_again_when_it_was_truncated_while_dead),
        TEST(passes_over_the_hole_that_a_truncation_leaves),
        TEST(starts_at_the_end_once_and_never_again),
        TEST(forgets_what_is_gone),
        TEST(does_not_take_a_new_file_for_an_old_one_with_its_inode),
        TEST(reads_a_file_with_two_names_once),
        TEST(passes_over_what_is_no_text_file),
        TEST(excludes_by_name_and_by_path),
        TEST(ignores_what_is_old_until_it_changes),
        TEST(never_reads_our_own_files),
        TEST(keeps_both_ends_of_a_line_longer_than_a_mebibyte),
        TEST(reads_many_files_with_few_descriptors),
        TEST(retries_a_file_it_may_not_read),
        TEST(refuses_positions_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
