#include "alerter/alert_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64], path[128];
};

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    strcpy(place->folder, "/tmp/taskforge-alerts-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof(place->path), "%s/alerter/alerts.mdb", place->folder);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", place->folder);
    int result = system(command);
    free(place);
    return result;
}

static struct alert_store *opened(const struct place *place, const char *set_aside) {
    struct alert_store *store = NULL;
    struct error aside, error = { "" };
    int result = alert_store_open(place->folder, &store, &aside, &error);
    if (result < 0)
        print_error("%s\n", error.text);
    assert_int_equal(result, 0);
    if (set_aside)
        assert_non_null(strstr(aside.text, set_aside));
    else
        assert_string_equal(aside.text, "");
    return store;
}

static void put(struct alert_store *store, enum alert_store_table table, const char *key, const char *value) {
    struct alert_store_txn *txn;
    struct error error = { "" };
    assert_int_equal(alert_store_begin(store, true, &txn, &error), 0);
    assert_int_equal(alert_store_put(txn, table, text_of(key), text_of(value), &error), 0);
    assert_int_equal(alert_store_commit(txn, &error), 0);
}

static int append(void *argument, struct text key, struct text value) {
    buffer_append_format(argument, "%.*s=%.*s ", TEXT_FORMAT(key), TEXT_FORMAT(value));
    return 0;
}

static void holds(struct alert_store *store, enum alert_store_table table, const char *expected) {
    struct alert_store_txn *txn;
    struct buffer out = BUFFER_EMPTY;
    struct error error = { "" };
    assert_int_equal(alert_store_begin(store, false, &txn, &error), 0);
    assert_int_equal(alert_store_walk(txn, table, append, &out, &error), 0);
    alert_store_abort(txn);
    buffer_append_char(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_finish(&out);
}

static void tables_are_apart_and_outlive_the_process(void **state) {
    const struct place *place = *state;
    struct alert_store *store = opened(place, NULL);
    holds(store, ALERT_STORE_ALERTS, "");
    put(store, ALERT_STORE_ALERTS, "b", "1");
    put(store, ALERT_STORE_ALERTS, "a", "2");
    put(store, ALERT_STORE_OUTBOX, "a", "3");
    put(store, ALERT_STORE_HISTORY, "z", "4");
    alert_store_close(store);
    store = opened(place, NULL);
    holds(store, ALERT_STORE_ALERTS, "a=2 b=1 ");
    holds(store, ALERT_STORE_OUTBOX, "a=3 ");
    struct alert_store_txn *txn;
    struct text value;
    struct error error = { "" };
    assert_int_equal(alert_store_begin(store, true, &txn, &error), 0);
    assert_int_equal(alert_store_get(txn, ALERT_STORE_HISTORY, TEXT_LITERAL("z"), &value, &error), 1);
    assert_true(text_is(value, "4"));
    assert_int_equal(alert_store_delete(txn, ALERT_STORE_HISTORY, TEXT_LITERAL("z"), &error), 0);
    assert_int_equal(alert_store_delete(txn, ALERT_STORE_HISTORY, TEXT_LITERAL("z"), &error), 0);
    assert_int_equal(alert_store_commit(txn, &error), 0);
    holds(store, ALERT_STORE_HISTORY, "");
    alert_store_close(store);
}

static void what_was_not_committed_never_was(void **state) {
    const struct place *place = *state;
    struct alert_store *store = opened(place, NULL);
    struct alert_store_txn *txn;
    struct error error = { "" };
    put(store, ALERT_STORE_ALERTS, "a", "1");
    assert_int_equal(alert_store_begin(store, true, &txn, &error), 0);
    assert_int_equal(alert_store_put(txn, ALERT_STORE_ALERTS, TEXT_LITERAL("a"), TEXT_LITERAL("2"), &error), 0);
    assert_int_equal(alert_store_put(txn, ALERT_STORE_OUTBOX, TEXT_LITERAL("o"), TEXT_LITERAL("2"), &error), 0);
    alert_store_abort(txn);
    holds(store, ALERT_STORE_ALERTS, "a=1 ");
    holds(store, ALERT_STORE_OUTBOX, "");
    alert_store_close(store);
}

/* A child commits pairs, told by a byte after each commit, and is killed in the middle. Alert and notification of one
 * transaction are both there or both not, and all that was told is. */
static void a_kill_leaves_whole_transactions(void **state) {
    const struct place *place = *state;
    alert_store_close(opened(place, NULL));
    for (unsigned round = 0; round < 8; round++) {
        int told[2];
        char byte;
        unsigned count = 0;
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct alert_store *store;
            struct error aside, error;
            if (alert_store_open(place->folder, &store, &aside, &error) < 0)
                _exit(1);
            for (unsigned i = 0;; i++) {
                struct alert_store_txn *txn;
                char key[32], value[3000];
                snprintf(key, sizeof(key), "%u-%06u", round, i);
                memset(value, 'x', sizeof(value));
                const struct text text = { value, sizeof(value) };
                if (alert_store_begin(store, true, &txn, &error) < 0 ||
                    alert_store_put(txn, ALERT_STORE_ALERTS, text_of(key), text, &error) < 0 ||
                    alert_store_put(txn, ALERT_STORE_OUTBOX, text_of(key), text, &error) < 0 ||
                    alert_store_commit(txn, &error) < 0 || write(told[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        close(told[1]);
        while (count < 3 + 7 * round && read(told[0], &byte, 1) == 1)
            count++;
        kill(child, SIGKILL);
        while (read(told[0], &byte, 1) == 1)
            count++;
        waitpid(child, NULL, 0);
        close(told[0]);
        struct alert_store *store = opened(place, NULL);
        struct alert_store_txn *txn;
        struct error error;
        struct text value;
        assert_int_equal(alert_store_begin(store, false, &txn, &error), 0);
        for (unsigned i = 0; i < count + 2; i++) {
            char key[32];
            snprintf(key, sizeof(key), "%u-%06u", round, i);
            int alert = alert_store_get(txn, ALERT_STORE_ALERTS, text_of(key), &value, &error);
            int outbox = alert_store_get(txn, ALERT_STORE_OUTBOX, text_of(key), &value, &error);
            assert_int_equal(alert, outbox);
            assert_true(alert == 1 || i >= count);
        }
        alert_store_abort(txn);
        alert_store_close(store);
    }
}

static unsigned count_set_aside(const struct place *place) {
    char folder[100];
    unsigned count = 0;
    snprintf(folder, sizeof(folder), "%s/alerter", place->folder);
    DIR *entries = opendir(folder);
    for (struct dirent *entry; (entry = readdir(entries));)
        count += strstr(entry->d_name, ".damaged-") != NULL;
    closedir(entries);
    return count;
}

static void a_damaged_file_is_set_aside(void **state) {
    const struct place *place = *state;
    struct alert_store *store = opened(place, NULL);
    put(store, ALERT_STORE_ALERTS, "a", "1");
    alert_store_close(store);
    assert_int_equal(truncate(place->path, 5000), 0);
    store = opened(place, "set aside as");
    holds(store, ALERT_STORE_ALERTS, "");
    put(store, ALERT_STORE_ALERTS, "b", "2");
    alert_store_close(store);
    assert_int_equal(count_set_aside(place), 1);
    store = opened(place, NULL);
    holds(store, ALERT_STORE_ALERTS, "b=2 ");
    alert_store_close(store);
}

/* Each stored value is found by its content in the file and one bit of it is turned: LMDB does not notice, the checksum
 * does. */
static void a_flipped_bit_is_found(void **state) {
    const struct place *place = *state;
    struct alert_store *store = opened(place, NULL);
    put(store, ALERT_STORE_ALERTS, "a", "a value that stands nowhere else");
    alert_store_close(store);
    int fd = open(place->path, O_RDWR);
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    char *found = memmem(bytes, (size_t)status.st_size, "stands nowhere", 14);
    assert_non_null(found);
    *found ^= 4;
    assert_int_equal(pwrite(fd, found, 1, found - bytes), 1);
    close(fd);
    free(bytes);
    alert_store_close(opened(place, "damaged"));
    assert_int_equal(count_set_aside(place), 1);
}

static void garbage_and_foreign_files_are_set_aside(void **state) {
    const struct place *place = *state;
    alert_store_close(opened(place, NULL));
    for (unsigned i = 0; i < 3; i++) {
        int fd = open(place->path, O_WRONLY | O_TRUNC);
        for (unsigned page = 0; i > 0 && page < 16; page++) {
            char junk[4096];
            memset(junk, (int)(i * 37 + page), sizeof(junk));
            assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
        }
        close(fd);
        alert_store_close(opened(place, "set aside as"));
    }
    assert_int_equal(count_set_aside(place), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_are_apart_and_outlive_the_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_committed_never_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_leaves_whole_transactions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_set_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_and_foreign_files_are_set_aside, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
