/* RUNTIME_DIR/settings: what is written comes back, and whatever stands in the file, what is read may be used unchecked. */
#include <errno.h>

#include "common/base/check.h"
#include "tests/unit/shm/ring_fixture.h"

enum { HOSTILE_ROUNDS = 2000 };

static void put_bytes(const struct ring_fixture *f, const void *bytes, size_t length) {
    char path[192];
    snprintf(path, sizeof(path), "%s/settings", f->runtime_dir);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

/* What is read when `in` stands in the file. */
static struct shared_settings read_back(const struct ring_fixture *f, const struct shared_settings *in) {
    struct shared_settings out;
    put_bytes(f, in, sizeof(*in));
    settings_read(f->runtime_dir, &out);
    return out;
}

static struct shared_settings sample(void) {
    struct shared_settings sample;
    settings_default(&sample);
    sample.ring_size = UINT64_C(32) << 20;
    sample.level = LEVEL_INFO;
    sample.sequence = 300;
    sample.recorder_levels = 1 << LEVEL_TRACE | 1 << LEVEL_DEBUG;
    sample.recorder_keep_ns = UINT64_C(60) * SETTINGS_RECORDER_KEEP_MIN;
    sample.sampling[LEVEL_DEBUG] = 1000;
    sample.redact_count = 2;
    strcpy(sample.redact_keys[0], "password");
    memset(sample.redact_keys[1], 'k', SETTINGS_REDACT_KEY_BYTES);
    return sample;
}

static void what_is_written_is_read(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings in = sample(), out;
    assert_int_equal(settings_write(f->runtime_dir, &in, NULL), 0);
    settings_read(f->runtime_dir, &out);
    assert_memory_equal(&out, &in, sizeof(in));
}

static void settings_that_are_missing_or_foreign_are_the_defaults(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings good, bad[6], out = { .ring_size = 5 };
    settings_default(&good);
    settings_read(f->runtime_dir, &out);
    assert_memory_equal(&out, &good, sizeof(out));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        bad[i] = sample();
    bad[0].magic++;
    bad[1].size = SETTINGS_SIZE_FIRST - 1;
    bad[2].ring_size = RING_SIZE_MIN - 1;
    bad[3].level = LEVEL_COUNT;
    bad[4].version = 0;
    bad[5].ring_size = RING_SIZE_MAX + 1;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        out = read_back(f, &bad[i]);
        assert_memory_equal(&out, &good, sizeof(out));
    }
    struct shared_settings cut = sample();
    for (size_t length = 0; length < sizeof(cut); length += 20) {
        put_bytes(f, &cut, length);
        settings_read(f->runtime_dir, &out);
        assert_memory_equal(&out, &good, sizeof(out));
    }
}

static void an_older_or_newer_file_is_read_as_far_as_both_know_it(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings old = sample(), expected, out;
    old.size = SETTINGS_SIZE_FIRST;
    put_bytes(f, &old, SETTINGS_SIZE_FIRST);
    settings_read(f->runtime_dir, &out);
    settings_default(&expected);
    expected.ring_size = old.ring_size;
    expected.level = old.level;
    assert_memory_equal(&out, &expected, sizeof(out));

    char newer[sizeof(struct shared_settings) + 100] = "";
    struct shared_settings now = sample();
    now.version++;
    now.size = sizeof(newer);
    memcpy(newer, &now, sizeof(now));
    put_bytes(f, newer, sizeof(newer));
    settings_read(f->runtime_dir, &out);
    expected = sample();
    assert_memory_equal(&out, &expected, sizeof(out));
}

static void of_damaged_fields_the_defaults_hold_and_the_rest_stays(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings bad = sample(), out;
    bad.recorder_levels = 1 << LEVEL_ERROR;
    bad.sampling[LEVEL_ERROR] = 0;
    bad.sampling[LEVEL_CRITICAL] = 7;
    out = read_back(f, &bad);
    assert_int_equal(out.recorder_levels, 0);
    assert_int_equal(out.sampling[LEVEL_ERROR], SETTINGS_SAMPLING_ALL);
    assert_int_equal(out.sampling[LEVEL_CRITICAL], SETTINGS_SAMPLING_ALL);
    assert_int_equal(out.sampling[LEVEL_DEBUG], 1000);
    assert_int_equal(out.redact_count, 2);
    bad = sample();
    bad.recorder_keep_ns = UINT64_MAX;
    assert_int_equal(read_back(f, &bad).recorder_levels, 0);
    bad.recorder_keep_ns = 0;
    assert_int_equal(read_back(f, &bad).recorder_levels, 0);
}

static void every_key_that_is_one_is_redacted(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings bad = sample(), out;
    memset(bad.redact_keys, 'x', sizeof(bad.redact_keys)); /* none of them ends */
    bad.redact_keys[0][0] = '\0';
    strcpy(bad.redact_keys[1], "bad \xff text");
    strcpy(bad.redact_keys[2], "token");
    strcpy(bad.redact_keys[63], "authorization");
    bad.redact_count = UINT32_MAX;
    out = read_back(f, &bad);
    assert_int_equal(out.redact_count, 2);
    assert_string_equal(out.redact_keys[0], "token");
    assert_string_equal(out.redact_keys[1], "authorization");
    assert_int_equal(out.redact_keys[1][SETTINGS_REDACT_KEY_SIZE - 1], 0); /* no rest of what stood there */
    assert_int_equal(out.redact_keys[2][0], 0);
}

/* Any bytes behind a sound beginning. */
static void whatever_stands_there_is_in_range_once_read(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings in = sample(), out, again;
    uint64_t random = 88172645463325252; /* xorshift */
    for (int round = 0; round < HOSTILE_ROUNDS; round++) {
        unsigned char *bytes = (unsigned char *)&in;
        for (int i = 0; i < 64; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            bytes[SETTINGS_SIZE_FIRST + random % (sizeof(in) - SETTINGS_SIZE_FIRST)] = (unsigned char)(random >> 32);
        }
        out = read_back(f, &in);
        assert_true(out.redact_count <= SETTINGS_REDACT_KEYS_MAX);
        for (uint32_t i = 0; i < SETTINGS_REDACT_KEYS_MAX; i++) {
            size_t length = strnlen(out.redact_keys[i], SETTINGS_REDACT_KEY_SIZE);
            assert_true(length <= SETTINGS_REDACT_KEY_BYTES && (length > 0) == (i < out.redact_count));
        }
        assert_int_equal(out.recorder_levels & ~SETTINGS_RECORDER_LEVELS, 0);
        assert_int_equal(settings_write(f->runtime_dir, &out, NULL), 0); /* which takes only what is in range */
        settings_read(f->runtime_dir, &again);
        assert_memory_equal(&again, &out, sizeof(out));
    }
}

static void what_is_out_of_range_is_not_written(void **state) {
    struct ring_fixture *f = *state;
    struct shared_settings bad[5], good = sample();
    struct error error = { "" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        bad[i] = sample();
    bad[0].ring_size = 1;
    bad[1].sampling[LEVEL_ERROR] = 0;
    bad[2].recorder_levels = 1 << LEVEL_CRITICAL;
    bad[3].redact_count = SETTINGS_REDACT_KEYS_MAX + 1;
    bad[4].redact_keys[0][0] = '\0';
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(settings_write(f->runtime_dir, &bad[i], &error), -EINVAL);
    assert_int_equal(settings_write("/nowhere", &good, &error), -ENOENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_is_read),
        CASE(settings_that_are_missing_or_foreign_are_the_defaults),
        CASE(an_older_or_newer_file_is_read_as_far_as_both_know_it),
        CASE(of_damaged_fields_the_defaults_hold_and_the_rest_stays),
        CASE(every_key_that_is_one_is_redacted),
        CASE(whatever_stands_there_is_in_range_once_read),
        CASE(what_is_out_of_range_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
