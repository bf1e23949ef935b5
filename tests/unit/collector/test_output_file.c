#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/limits.h"
#include "collector/output_file.h"

static char folder[64], path[96];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/taskforge-output-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/out", folder);
    return 0;
}

static void numbered(char out[128], int number) {
    snprintf(out, 128, number ? "%s.%d" : "%s", path, number);
}

static int remove_folder(void **state) {
    (void)state;
    char name[128];
    for (int i = 0; i <= OUTPUT_FILES_KEPT + 1; i++) {
        numbered(name, i);
        unlink(name);
    }
    return rmdir(folder);
}

static void expect_content(int number, const char *content) {
    char name[128], found[256] = "";
    numbered(name, number);
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(found, content);
}

static void write_line(struct output_file *file, const char *line) {
    struct error error = { "" };
    assert_int_equal(output_file_rotate(file, &error), 0);
    assert_int_equal(output_file_write(file, line, strlen(line)), strlen(line));
}

static void a_file_is_made_0640_and_appended_to(void **state) {
    (void)state;
    struct output_file file;
    struct stat status;
    umask(0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(output_file_open(&file, path, 1000, NULL), 0);
        write_line(&file, "line\n");
        output_file_close(&file);
    }
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    expect_content(0, "line\nline\n");
}

static void a_line_that_a_killed_predecessor_did_not_finish_is_taken_off(void **state) {
    (void)state;
    struct output_file file;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "whole\n{\"half\":", 14), 14);
    close(fd);
    assert_int_equal(output_file_open(&file, path, 1000, NULL), 0);
    assert_int_equal(file.size, 6);
    write_line(&file, "next\n");
    output_file_close(&file);
    expect_content(0, "whole\nnext\n");
}

static void a_file_of_its_size_is_rotated_and_the_oldest_goes(void **state) {
    (void)state;
    struct output_file file;
    char line[16], name[128];
    assert_int_equal(output_file_open(&file, path, 5, NULL), 0);
    for (int i = 0; i < OUTPUT_FILES_KEPT + 3; i++) {
        snprintf(line, sizeof(line), "n %d\n", 10 + i);
        write_line(&file, line);
    }
    output_file_close(&file);
    expect_content(0, "n 22\n");
    expect_content(1, "n 21\n");
    expect_content(OUTPUT_FILES_KEPT, "n 12\n");
    numbered(name, OUTPUT_FILES_KEPT + 1);
    assert_int_equal(access(name, F_OK), -1);
}

static void after_a_rename_from_outside_reopening_begins_a_new_file(void **state) {
    (void)state;
    struct output_file file;
    char name[128];
    assert_int_equal(output_file_open(&file, path, 1000, NULL), 0);
    write_line(&file, "old\n");
    numbered(name, 1);
    assert_int_equal(rename(path, name), 0);
    write_line(&file, "old too\n");
    assert_int_equal(output_file_reopen(&file, NULL), 0);
    write_line(&file, "new\n");
    output_file_close(&file);
    expect_content(1, "old\nold too\n");
    expect_content(0, "new\n");
}

static void a_folder_or_a_missing_one_is_refused_by_name(void **state) {
    (void)state;
    struct output_file file;
    struct error error = { "" };
    assert_true(output_file_open(&file, folder, 1000, &error) < 0);
    assert_non_null(strstr(error.text, folder));
    assert_int_equal(output_file_open(&file, "/no/such/folder/out", 1000, &error), -ENOENT);
    assert_non_null(strstr(error.text, "/no/such/folder/out"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(a_file_is_made_0640_and_appended_to),
        TEST(a_line_that_a_killed_predecessor_did_not_finish_is_taken_off),
        TEST(a_file_of_its_size_is_rotated_and_the_oldest_goes),
        TEST(after_a_rename_from_outside_reopening_begins_a_new_file),
        TEST(a_folder_or_a_missing_one_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
