#include "collector/library_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void make(const char *text, struct shared_settings *ret) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    assert_int_equal(config_load_text("c.yaml", text, strlen(text), &config, &faults), 0);
    library_settings_make(config, ret);
    config_destroy(config);
}

static void without_a_word_the_library_does_what_it_does_by_default(void **state) {
    struct shared_settings made, expected;
    (void)state;
    make("", &made);
    settings_default(&expected);
    assert_memory_equal(&made, &expected, sizeof(made));
}

static void what_is_configured_is_told(void **state) {
    struct shared_settings made;
    (void)state;
    make("ring: { size: 32MiB }\n"
         "collector:\n"
         "  redact: { keys: [password, token] }\n"
         "  sampling: { trace: 0, debug: 0.25, info: 0.9999999999 }\n"
         "  flight_recorder: { levels: [debug], keep: 5s }\n",
         &made);
    assert_int_equal(made.ring_size, 32 << 20);
    assert_int_equal(made.redact_count, 2);
    assert_string_equal(made.redact_keys[1], "token");
    assert_int_equal(made.sampling[LEVEL_TRACE], 0);
    assert_int_equal(made.sampling[LEVEL_DEBUG], 0x3fffffff);
    assert_true(made.sampling[LEVEL_INFO] >= 0xfffffffe);
    assert_int_equal(made.sampling[LEVEL_WARN], SETTINGS_SAMPLING_ALL);
    assert_int_equal(made.recorder_levels, 1 << LEVEL_DEBUG);
    assert_int_equal(made.recorder_keep_ns, UINT64_C(5000000000));
}

static void only_what_is_another_gets_another_number(void **state) {
    char folder[] = "/tmp/tf-library-XXXXXX", path[64];
    struct shared_settings one, two, read;
    struct error error;
    (void)state;
    assert_non_null(mkdtemp(folder));
    make("", &one);
    make("collector: { redact: { keys: [password] } }", &two);
    assert_int_equal(library_settings_tell(folder, &one, &error), 0);
    uint64_t first = one.sequence;
    assert_true((first & 0xff) != 0);
    assert_int_equal(library_settings_tell(folder, &one, &error), 0);
    assert_true(one.sequence == first);
    for (int i = 0; i < 300; i++) {
        struct shared_settings *next = i % 2 ? &one : &two;
        uint64_t before = i % 2 ? two.sequence : one.sequence;
        assert_int_equal(library_settings_tell(folder, next, &error), 0);
        assert_true(next->sequence > before && (next->sequence & 0xff) != 0);
    }
    settings_read(folder, &read);
    assert_memory_equal(&read, &one, sizeof(read));

    /* A file that is damaged is written anew, though it reads as what is to be told. */
    snprintf(path, sizeof(path), "%s/settings", folder);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(library_settings_tell(folder, &one, &error), 0);
    assert_true(one.sequence != 0);
    settings_read(folder, &read);
    assert_memory_equal(&read, &one, sizeof(read));
    unlink(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_word_the_library_does_what_it_does_by_default),
        cmocka_unit_test(what_is_configured_is_told),
        cmocka_unit_test(only_what_is_another_gets_another_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
