/* The journal input on journal files that systemd-journal-remote made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/inputs/inputs.h"
#include "agent/inputs/journal.h"
#include "fake_outlet.h"

#define REMOTE "/lib/systemd/systemd-journal-remote"

struct bench {
    char folder[64];
    struct config_input config;
    struct own own;
    struct loop *loop;
    struct fake_outlet *fake;
    struct input_context context;
    struct input *input;
};

static const struct {
    const char *service, *message;
} given[] = { { "nginx.service", "first" },
              { "taskforge-agent.service", "ours" },
              { "nginx.service", "second" },
              { "cron.service", "third" } };

enum { GIVEN = sizeof(given) / sizeof(given[0]), THEIRS = 3 };

#define OTHER_BOOT "0123456789abcdef0123456789abcdef"

/* The id of this boot, which is where a first start begins. */
static const char *this_boot(void) {
    static char id[40];
    size_t length = 0;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF && c != '\n';)
        if (c != '-')
            id[length++] = (char)c;
    fclose(file);
    assert_int_equal(length, 32);
    return id;
}

/* A file of entries first .. before `end`, in the journal's export format. */
static void make_boot(const struct bench *bench, const char *name, const char *boot, size_t first, size_t end) {
    char path[128], command[512];
    snprintf(path, sizeof(path), "%s/export", bench->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = first; i < end; i++)
        fprintf(file,
                "__REALTIME_TIMESTAMP=%zu\n__MONOTONIC_TIMESTAMP=%zu\n_BOOT_ID=%s\n"
                "_MACHINE_ID=fedcba9876543210fedcba9876543210\nMESSAGE=%s\nPRIORITY=4\n_SYSTEMD_UNIT=%s\n\n",
                (size_t)1700000000000000 + i * 1000, 1000000 + i * 1000, boot, given[i].message, given[i].service);
    fclose(file);
    snprintf(command, sizeof(command), REMOTE " --output=%s/%s.journal %s >/dev/null 2>&1", bench->folder, name, path);
    assert_int_equal(system(command), 0);
    unlink(path);
}

static void make_journal(const struct bench *bench, const char *name, size_t first, size_t end) {
    make_boot(bench, name, this_boot(), first, end);
}

static void start(struct bench *bench) {
    assert_int_equal(input_journal.create(&bench->config, &bench->context, &bench->input, NULL), 0);
    journal_set_directory(bench->input, bench->folder);
    assert_int_equal(input_journal.start(bench->input, &bench->fake->positions, NULL), 0);
}

static void kill_input(struct bench *bench) {
    if (bench->input)
        input_journal.destroy(bench->input);
    bench->input = NULL;
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof(*bench));
    snprintf(bench->folder, sizeof(bench->folder), "/tmp/taskforge-journal-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    bench->config = (struct config_input) { .type = CONFIG_INPUT_JOURNAL, .name = (char *)"journal" };
    assert_int_equal(loop_create(&bench->loop, NULL), 0);
    bench->fake = malloc(sizeof(*bench->fake));
    fake_outlet_init(bench->fake);
    bench->context = (struct input_context) { .loop = bench->loop, .outlet = &bench->fake->outlet, .own = &bench->own };
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    char command[128];
    kill_input(bench);
    loop_destroy(bench->loop);
    fake_outlet_finish(bench->fake);
    free(bench->fake);
    snprintf(command, sizeof(command), "rm -rf %s", bench->folder);
    assert_int_equal(system(command), 0);
    free(bench);
    return 0;
}

static void need_remote(void) {
    if (access(REMOTE, X_OK) != 0) {
        print_message("skipped: %s is not installed\n", REMOTE);
        skip();
    }
}

static void reads_all_but_our_own(void **state) {
    struct bench *bench = *state;
    need_remote();
    make_journal(bench, "a", 0, GIVEN);
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, THEIRS);
    fake_outlet_expect(bench->fake, THEIRS, (const char *const[]) { "first", "second", "third" });
    assert_string_equal(bench->fake->services[0], "nginx");
    assert_int_equal(bench->fake->levels[0], LEVEL_WARN);
    assert_int_equal(bench->input->counters.own, 1);
    assert_true(bench->input->counters.lag_ns > 0 && bench->input->counters.newest_ns > 0);
}

static void begins_with_the_current_boot(void **state) {
    struct bench *bench = *state;
    need_remote();
    make_boot(bench, "old", OTHER_BOOT, 0, 1);
    make_journal(bench, "new", 2, GIVEN);
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 2);
    fake_outlet_expect(bench->fake, 2, (const char *const[]) { "second", "third" });
}

static void goes_on_at_its_cursor(void **state) {
    struct bench *bench = *state;
    need_remote();
    make_journal(bench, "a", 0, GIVEN);
    bench->fake->room = 1;
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 1);
    kill_input(bench);
    bench->fake->room = SIZE_MAX;
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, THEIRS);
    fake_outlet_expect(bench->fake, THEIRS, (const char *const[]) { "first", "second", "third" });
}

static void goes_on_by_time_when_the_cursors_entry_is_gone(void **state) {
    struct bench *bench = *state;
    char path[128];
    need_remote();
    make_journal(bench, "a", 0, 3);
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 2);
    kill_input(bench);
    snprintf(path, sizeof(path), "%s/a.journal", bench->folder);
    assert_int_equal(unlink(path), 0);
    make_journal(bench, "b", 1, GIVEN);
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, THEIRS);
    fake_outlet_expect(bench->fake, THEIRS, (const char *const[]) { "first", "second", "third" });
}

static void sees_a_file_that_comes_later(void **state) {
    struct bench *bench = *state;
    need_remote();
    make_journal(bench, "a", 0, 1);
    start(bench);
    fake_outlet_wait(bench->fake, bench->loop, 1);
    make_journal(bench, "b", 2, GIVEN);
    fake_outlet_wait(bench->fake, bench->loop, THEIRS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(reads_all_but_our_own),        TEST(begins_with_the_current_boot),
        TEST(goes_on_at_its_cursor),        TEST(goes_on_by_time_when_the_cursors_entry_is_gone),
        TEST(sees_a_file_that_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
