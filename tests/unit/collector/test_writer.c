/* The writer where the map, not the disk, is what is full; the rest of its troubles are in tests/torture/trouble.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/writer.h"
#include "common/base/diag.h"
#include "common/store/reader.h"
#include "common/store/verify.h"

enum { ENTRIES = 600 };
static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/taskforge-writer-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk) {
    (void)status;
    (void)flag;
    (void)walk;
    return remove(path);
}

static int remove_folder(void **state) {
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct error error;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        int must_result = (call);                                                                                      \
        if (must_result < 0)                                                                                           \
            fail_msg("%s: %d %s", #call, must_result, error.text);                                                     \
    } while (0)

/* One entry whose message no compression makes smaller. */
static void fill(struct batch *batch, uint64_t number) {
    static char message[10000];
    uint64_t dice = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < sizeof(message); i++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
        message[i] = (char)(' ' + (dice >> 33) % 94);
    }
    const struct entry entry = {
        .id = { { 1 } },
        .timestamp_ns = number + 1,
        .level = LEVEL_INFO,
        .service = TEXT_LITERAL("billing"),
        .module = TEXT_LITERAL("m"),
        .operation = TEXT_LITERAL("o"),
        .message = { message, sizeof(message) },
        .host = TEXT_LITERAL("host"),
    };
    batch_clear(batch);
    batch_add(batch, &entry);
    batch_put_u64(batch, TEXT_LITERAL("lane/x"), number);
    assert_false(batch->failed);
}

static void tell_nothing(void *argument, const char *path, const char *fault, const struct verify_result *result) {
    (void)argument;
    (void)result;
    if (fault)
        fail_msg("%s: %s", path, fault);
}

static void a_full_map_makes_a_new_partition(void **unused) {
    (void)unused;
    struct partitions partitions = { 0 };
    struct state_map state = STATE_MAP_EMPTY;
    struct writer writer;
    struct batch batch = BATCH_EMPTY;
    struct store_reader *reader;
    uint64_t end, position;
    must(partitions_open(&partitions, folder, 2 << 20, &state, &error));
    must(writer_init(&writer, &partitions, &state, &error));
    for (uint64_t i = 0; i < ENTRIES; i++) { /* some 5 MB */
        fill(&batch, i);
        must(writer_commit(&writer, &batch, true, i + 1, &error));
    }
    writer_finish(&writer);
    partitions_close(&partitions);
    assert_true(state_map_get_u64(&state, TEXT_LITERAL("lane/x"), &position));
    assert_int_equal(position, ENTRIES - 1);
    must(store_reader_open(folder, NULL, NULL, &reader, &error));
    must(store_reader_end(reader, &end, &error));
    assert_int_equal(end, ENTRIES);
    store_reader_close(reader);
    struct verify_totals totals;
    assert_int_equal(store_verify(folder, tell_nothing, NULL, &totals, &error), 0);
    assert_int_equal(totals.entries, ENTRIES);
    batch_finish(&batch);
    state_map_finish(&state);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_map_makes_a_new_partition, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
