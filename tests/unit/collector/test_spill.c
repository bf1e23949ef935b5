#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/spill.h"
#include "collector/spill_frame.h"
#include "common/base/diag.h"
#include "common/base/hash.h"
#include "common/store/state_keys.h"
#include "tests/lib/fail_at.h"

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/dev/shm/taskforge-spill-XXXXXX"); /* each frame is synced */
    if (mkdtemp(folder))
        return 0;
    snprintf(folder, sizeof(folder), "/tmp/taskforge-spill-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static void file_name(char out[128], uint64_t id) {
    snprintf(out, 128, "%s/spill-%016llx", folder, (unsigned long long)id);
}

static int remove_folder(void **state) {
    (void)state;
    char path[128];
    for (uint64_t id = 1; id < 300; id++) {
        file_name(path, id);
        unlink(path);
    }
    return rmdir(folder);
}

/* A batch of one entry whose message is `message`, and the lane position that goes with it. */
static void fill(struct batch *batch, const char *message, uint64_t position) {
    struct entry entry = {
        .id = { { 1 } },
        .timestamp_ns = position,
        .level = LEVEL_ERROR,
        .service = TEXT_LITERAL("billing"),
        .module = TEXT_LITERAL("m"),
        .operation = TEXT_LITERAL("o"),
        .message = text_of(message),
        .host = TEXT_LITERAL("host"),
        .pid = 4711,
    };
    batch_clear(batch);
    batch_add(batch, &entry);
    const struct span span = { .record = { .trace_id = { 1 },
                                           .span_id = { 2 },
                                           .start_ns = 7,
                                           .service = TEXT_LITERAL("billing"),
                                           .operation = text_of(message) },
                               .end_ns = 8,
                               .host = TEXT_LITERAL("host"),
                               .pid = 4712 };
    batch_add_span(batch, &span);
    batch_put_u64(batch, TEXT_LITERAL("lane/x"), position);
    batch_remove(batch, TEXT_LITERAL("gone"));
    assert_false(batch->failed);
}

static void append(struct spill *spill, const char *message, uint64_t position) {
    struct batch batch = BATCH_EMPTY;
    struct error error = { "" };
    fill(&batch, message, position);
    if (spill_append(spill, &batch, &error) != 0)
        fail_msg("append: %s", error.text);
    batch_finish(&batch);
}

/* Take the next frame in, as a commit would: its puts go to the state. */
static void take(struct spill *spill, struct state_map *state, const char *message) {
    struct batch batch = BATCH_EMPTY;
    uint64_t next;
    assert_int_equal(spill_next(spill, &batch, &next, NULL), 1);
    assert_int_equal(batch.entry_count, 1);
    assert_true(text_is(batch.entries[0].message, message));
    assert_true(text_is(batch.entries[0].host, "host"));
    assert_int_equal(batch.entries[0].pid, 4711);
    assert_int_equal(batch.entries[0].level, LEVEL_ERROR);
    assert_int_equal(batch.span_count, 1);
    assert_true(text_is(batch.spans[0].record.operation, message));
    assert_true(text_is(batch.spans[0].host, "host"));
    assert_int_equal(batch.spans[0].pid, 4712);
    assert_int_equal(batch.spans[0].record.start_ns, 7);
    assert_int_equal(batch.spans[0].end_ns, 8);
    assert_int_equal(batch_apply(&batch, state), 0);
    spill_taken(spill, next);
    batch_finish(&batch);
}

static void open_spill(struct spill *spill, struct state_map *state) {
    struct error error = { "" };
    if (spill_open(spill, folder, state, &error) != 0)
        fail_msg("open: %s", error.text);
}

static void gives_batches_back_in_order_and_then_the_file_is_gone(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    char path[128];
    open_spill(&spill, &state);
    assert_true(spill_is_empty(&spill));
    append(&spill, "one", 1);
    append(&spill, "two", 2);
    append(&spill, "three", 3);
    take(&spill, &state, "one");
    assert_false(spill_is_empty(&spill));
    take(&spill, &state, "two");
    append(&spill, "four", 4);
    take(&spill, &state, "three");
    take(&spill, &state, "four");
    assert_true(spill_is_empty(&spill));
    file_name(path, 1);
    assert_int_equal(access(path, F_OK), -1);
    append(&spill, "of a new file", 5);
    file_name(path, 2);
    assert_int_equal(access(path, F_OK), 0);
    take(&spill, &state, "of a new file");
    spill_close(&spill);
    state_map_finish(&state);
}

static void after_a_restart_it_goes_on_behind_the_stored_offset(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    uint64_t position = 0;
    open_spill(&spill, &state);
    append(&spill, "one", 1);
    append(&spill, "two", 2);
    take(&spill, &state, "one");
    spill_close(&spill); /* killed here: the state says how far it came */
    open_spill(&spill, &state);
    assert_true(state_map_get_u64(&state, TEXT_LITERAL("lane/x"), &position));
    assert_int_equal(position, 2); /* what is not in the store yet is newer than the store */
    take(&spill, &state, "two");
    spill_close(&spill);
    state_map_finish(&state);
}

static void taken_in_whole_and_killed_before_the_unlink_it_is_not_taken_twice(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    uint64_t next;
    open_spill(&spill, &state);
    append(&spill, "one", 1);
    assert_int_equal(spill_next(&spill, &batch, &next, NULL), 1);
    assert_int_equal(batch_apply(&batch, &state), 0);
    batch_finish(&batch);
    spill_close(&spill);
    open_spill(&spill, &state);
    assert_true(spill_is_empty(&spill));
    append(&spill, "later", 2);
    take(&spill, &state, "later");
    spill_close(&spill);
    state_map_finish(&state);
}

static void a_torn_last_frame_is_cut_off(void **unused) {
    (void)unused;
    struct spill spill;
    char path[128];
    struct stat whole;
    file_name(path, 1);
    for (off_t cut = 1; cut < 400; cut += 57) {
        struct state_map state = STATE_MAP_EMPTY;
        open_spill(&spill, &state);
        append(&spill, "one", 1);
        uint64_t first_end = spill.end;
        append(&spill, "two", 2);
        spill_close(&spill);
        assert_int_equal(stat(path, &whole), 0);
        off_t kept = whole.st_size - cut > (off_t)first_end ? whole.st_size - cut : (off_t)first_end + 1;
        assert_int_equal(truncate(path, kept), 0);
        open_spill(&spill, &state);
        assert_int_equal(spill.end, first_end);
        append(&spill, "instead", 2);
        take(&spill, &state, "one");
        take(&spill, &state, "instead");
        spill_close(&spill);
        state_map_finish(&state);
        unlink(path);
    }
}

static void a_damaged_frame_is_passed_over_and_the_ones_behind_it_are_not(void **unused) {
    (void)unused;
    const off_t places[] = { 0, 20, 41, 60, 150 }; /* its magic, file id, length, and twice its body */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct spill spill;
        struct state_map state = STATE_MAP_EMPTY;
        char path[128];
        open_spill(&spill, &state);
        append(&spill, "one", 1);
        append(&spill, "two", 2);
        spill_close(&spill);
        file_name(path, 1);
        int fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, "\x99", 1, places[i]), 1);
        close(fd);
        open_spill(&spill, &state);
        take(&spill, &state, "two");
        assert_true(spill_is_empty(&spill));
        spill_close(&spill);
        state_map_finish(&state);
    }
}

static void a_failed_write_leaves_nothing_of_the_batch(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    struct error error;
    struct rlimit before, limit;
    open_spill(&spill, &state);
    append(&spill, "one", 1);
    fill(&batch, "two", 2);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit) { spill.end + 50, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(spill_append(&spill, &batch, &error) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    batch_finish(&batch);
    append(&spill, "three", 3);
    take(&spill, &state, "one");
    take(&spill, &state, "three");
    assert_true(spill_is_empty(&spill));
    spill_close(&spill);
    state_map_finish(&state);
}

/* The frame's write failed and all of it may be on the disk: its batch goes into the store, and no later start takes it out of the file. */
static void a_withdrawn_frame_is_over_with_the_next_commit(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    struct rlimit before, limit;
    struct error error;
    open_spill(&spill, &state);
    fill(&batch, "one", 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit) { 50, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(spill_append(&spill, &batch, &error) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(spill_is_empty(&spill));
    assert_int_equal(spill.over, 2);
    spill_said_over(&spill);
    assert_int_equal(spill.over, 0);
    spill_close(&spill);

    /* the file is there again, with the frame whole */
    struct buffer frame = BUFFER_EMPTY;
    char path[128], value[16];
    assert_int_equal(spill_frame_encode(&batch, 1, 0, &frame), 0);
    file_name(path, 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, frame.data, frame.length), frame.length);
    close(fd);
    state_u64_put(value, 2);
    state_u64_put(value + 8, 0);
    assert_int_equal(state_map_put(&state, TEXT_LITERAL(STATE_SPILL), (struct text) { value, 16 }), 0);
    open_spill(&spill, &state);
    assert_true(spill_is_empty(&spill));
    assert_int_equal(access(path, F_OK), -1);
    append(&spill, "two", 2);
    assert_int_equal(spill.id, 3);
    take(&spill, &state, "two");
    assert_int_equal(spill.over, 4);
    spill_close(&spill);
    buffer_finish(&frame);
    batch_finish(&batch);
    state_map_finish(&state);
}

/* One is begun only when the one before is over. */
static void of_two_files_only_the_newest_is_taken_in(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    char path[128], kept[128];
    open_spill(&spill, &state);
    append(&spill, "one", 1);
    file_name(path, 1);
    snprintf(kept, sizeof(kept), "%s/kept", folder);
    assert_int_equal(link(path, kept), 0);
    take(&spill, &state, "one");
    append(&spill, "two", 2);
    spill_close(&spill);
    assert_int_equal(rename(kept, path), 0); /* its removal did not outlast a power cut */
    state_map_finish(&state);
    open_spill(&spill, &state);
    assert_int_equal(access(path, F_OK), -1);
    take(&spill, &state, "two");
    spill_close(&spill);
    state_map_finish(&state);
}

/* A frame as version 1 had it: without spans, and nothing behind the record of its only entry. */
static void to_version_1(struct buffer *frame) {
    size_t host = 48, pid = host + 2 + 4, length = pid + 4; /* the host is "host" */
    uint32_t size;
    memcpy(&size, frame->data + length, sizeof(size));
    size_t behind = length + 4 + size;
    memmove(frame->data + behind, frame->data + behind + 2, frame->length - behind - 2);
    frame->length -= 2;
    frame->data[8] = 1;
    state_u64_put(frame->data + 40, state_u64_get(frame->data + 40) - 2);
    state_u64_put(frame->data + frame->length - 8, hash_bytes(frame->data, frame->length - 8));
}

static void a_frame_of_version_1_is_read(void **unused) {
    (void)unused;
    struct batch batch = BATCH_EMPTY, decoded = BATCH_EMPTY;
    struct buffer frame = BUFFER_EMPTY;
    fill(&batch, "message", 9);
    batch.span_count = 0;
    assert_int_equal(spill_frame_encode(&batch, 3, 100, &frame), 0);
    assert_int_equal(state_u64_get(frame.data + 8), 2); /* the version, as eight bytes */
    to_version_1(&frame);
    assert_int_equal(spill_frame_decode(buffer_text(&frame), 3, 100, &decoded), 0);
    assert_int_equal(decoded.entry_count, 1);
    assert_false(decoded.entries[0].templated);
    assert_int_equal(decoded.put_count, batch.put_count);
    assert_int_equal(decoded.span_count, 0);
    buffer_finish(&frame);
    batch_finish(&batch);
    batch_finish(&decoded);
}

static void keeps_where_the_arguments_of_a_call_site_stand(void **unused) {
    (void)unused;
    static const struct entry_argument places[] = { { 1, 2 }, { 4, 0 } };
    struct batch batch = BATCH_EMPTY, decoded = BATCH_EMPTY;
    struct buffer frame = BUFFER_EMPTY;
    fill(&batch, "message", 9);
    batch.entries[0].templated = true;
    batch.entries[0].arguments = places;
    batch.entries[0].argument_count = 2;
    assert_int_equal(spill_frame_encode(&batch, 3, 100, &frame), 0);
    assert_int_equal(spill_frame_decode(buffer_text(&frame), 3, 100, &decoded), 0);
    assert_true(decoded.entries[0].templated);
    assert_int_equal(decoded.entries[0].argument_count, 2);
    assert_memory_equal(decoded.entries[0].arguments, places, sizeof(places));
    buffer_finish(&frame);
    batch_finish(&batch);
    batch_finish(&decoded);
}

static void a_batch_of_spans_alone_keeps_their_host(void **unused) {
    (void)unused;
    struct batch batch = BATCH_EMPTY, decoded = BATCH_EMPTY;
    struct buffer frame = BUFFER_EMPTY;
    fill(&batch, "message", 9);
    batch.entry_count = 0;
    assert_int_equal(spill_frame_encode(&batch, 3, 100, &frame), 0);
    assert_int_equal(spill_frame_decode(buffer_text(&frame), 3, 100, &decoded), 0);
    assert_int_equal(decoded.span_count, 1);
    assert_true(text_is(decoded.spans[0].host, "host"));
    buffer_finish(&frame);
    batch_finish(&batch);
    batch_finish(&decoded);
}

static void no_flipped_bit_of_a_frame_goes_through(void **unused) {
    (void)unused;
    struct batch batch = BATCH_EMPTY, decoded = BATCH_EMPTY;
    struct buffer frame = BUFFER_EMPTY;
    fill(&batch, "message", 9);
    assert_int_equal(spill_frame_encode(&batch, 3, 100, &frame), 0);
    assert_int_equal(spill_frame_decode(buffer_text(&frame), 3, 100, &decoded), 0);
    assert_int_equal(decoded.put_count, 2);
    for (size_t bit = 0; bit < frame.length * 8; bit++) {
        frame.data[bit / 8] ^= (char)(1 << bit % 8);
        batch_clear(&decoded);
        assert_int_equal(spill_frame_decode(buffer_text(&frame), 3, 100, &decoded), -EBADMSG);
        frame.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    batch_clear(&decoded);
    assert_int_equal(spill_frame_decode(buffer_text(&frame), 3, 101, &decoded), -EBADMSG); /* another place */
    assert_int_equal(spill_frame_decode(buffer_text(&frame), 4, 100, &decoded), -EBADMSG); /* another file */
    buffer_finish(&frame);
    batch_finish(&batch);
    batch_finish(&decoded);
}

/* --- each call fails once --- */

/* Nothing of what failed is in it, and what did not stays: read on by the same process, and by the next. */
static void sweep_append(unsigned kinds, int code) {
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    open_spill(&spill, &state);
    for (unsigned n = 1, failed = 1; failed; n++) {
        struct error error = { "" };
        append(&spill, "before", 1);
        fill(&batch, "swept", 2);
        fail_at(kinds, n, code);
        int result = spill_append(&spill, &batch, &error);
        failed = fail_stop();
        if (result < 0)
            assert_true(error.text[0] != '\0');
        if (n % 2) /* the process goes on, or another comes */
            append(&spill, "behind", 3);
        if (n % 2 == 0) {
            spill_close(&spill);
            open_spill(&spill, &state);
        }
        take(&spill, &state, "before");
        if (result == 0)
            take(&spill, &state, "swept");
        if (n % 2)
            take(&spill, &state, "behind");
        assert_true(spill_is_empty(&spill));
    }
    spill_close(&spill);
    batch_finish(&batch);
    state_map_finish(&state);
}

static void a_frame_is_in_it_whole_or_not_at_all(void **unused) {
    (void)unused;
    sweep_append(FAIL_MEMORY, 0);
    sweep_append(FAIL_SHORT, 0);
}

/* A frame that was written, and whose sync failed, may be on the disk: while the process lives it is not in the spill. */
static void a_frame_that_could_not_be_synced_is_not_in_it(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    open_spill(&spill, &state);
    for (unsigned n = 1, failed = 1; failed; n++) {
        struct error error = { "" };
        fill(&batch, "swept", 2);
        fail_at(FAIL_CALL, n, ENOSPC);
        int result = spill_append(&spill, &batch, &error);
        failed = fail_stop();
        if (result < 0) {
            assert_int_equal(result, -ENOSPC);
            assert_true(error.text[0] != '\0' && spill_is_empty(&spill));
        } else {
            take(&spill, &state, "swept");
        }
        append(&spill, "behind", 3);
        take(&spill, &state, "behind");
    }
    spill_close(&spill);
    batch_finish(&batch);
    state_map_finish(&state);
}

/* What is in a file that cannot be read is not passed over: then there is no start. */
static void what_cannot_be_read_for_a_moment_is_there_afterwards(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    open_spill(&spill, &state);
    append(&spill, "one", 1);
    append(&spill, "two", 2);
    spill_close(&spill);
    for (unsigned kinds = FAIL_MEMORY; kinds <= FAIL_CALL; kinds++)
        for (unsigned n = 1, failed = 1; failed; n++) {
            struct state_map own = STATE_MAP_EMPTY;
            struct error error = { "" };
            uint64_t next = 0;
            fail_at(kinds, n, EIO);
            int result = spill_open(&spill, folder, &own, &error);
            if (result == 0) {
                batch_clear(&batch);
                int got = spill_next(&spill, &batch, &next, &error);
                failed = fail_stop();
                assert_true(got == 1 || got == (kinds == FAIL_MEMORY ? -ENOMEM : -EIO));
                batch_clear(&batch);
                assert_int_equal(spill_next(&spill, &batch, &next, NULL), 1); /* the same again */
                assert_true(text_is(batch.entries[0].message, "one"));
                spill_close(&spill);
            } else {
                failed = fail_stop();
                assert_int_equal(result, kinds == FAIL_MEMORY ? -ENOMEM : -EIO);
                assert_true(error.text[0] != '\0');
            }
            state_map_finish(&own);
        }
    open_spill(&spill, &state);
    take(&spill, &state, "one");
    take(&spill, &state, "two");
    spill_close(&spill);
    batch_finish(&batch);
    state_map_finish(&state);
}

/* Nor is what stands behind a damaged frame given up for that. */
static void behind_a_damaged_frame_nothing_is_cut_off_for_a_failing_read(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    char path[128];
    open_spill(&spill, &state);
    append(&spill, "one", 1);
    const uint64_t second = spill.end;
    append(&spill, "two", 2);
    append(&spill, "three", 3);
    spill_close(&spill);
    file_name(path, 1);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "noise", 5, (off_t)second), 5);
    close(fd);
    for (unsigned n = 1, failed = 1; failed; n++) {
        struct state_map own = STATE_MAP_EMPTY;
        struct error error = { "" };
        uint64_t next, position;
        fail_at(FAIL_CALL, n, EIO);
        int result = spill_open(&spill, folder, &own, &error);
        failed = fail_stop();
        if (result == 0) {
            assert_true(state_map_get_u64(&own, TEXT_LITERAL("lane/x"), &position));
            assert_int_equal(position, 3);
            batch_clear(&batch);
            assert_int_equal(spill_next(&spill, &batch, &next, NULL), 1);
            spill.taken = next; /* as spill_taken, but the file stays */
            fail_at(FAIL_CALL, n, EIO);
            batch_clear(&batch);
            result = spill_next(&spill, &batch, &next, &error);
            failed |= fail_stop();
            batch_clear(&batch);
            if (result < 0) {
                assert_int_equal(result, -EIO);
                result = spill_next(&spill, &batch, &next, NULL);
            } else {
                spill.taken = second;
                result = spill_next(&spill, &batch, &next, NULL);
            }
            assert_int_equal(result, 1);
            assert_true(text_is(batch.entries[0].message, "three"));
            spill_close(&spill);
        }
        state_map_finish(&own);
    }
    batch_finish(&batch);
    state_map_finish(&state);
}

static void a_folder_that_cannot_be_had_means_no_spill(void **unused) {
    (void)unused;
    struct spill spill;
    struct state_map state = STATE_MAP_EMPTY;
    struct batch batch = BATCH_EMPTY;
    struct error error = { "" };
    char dir[PATHS_MAX + 1];
    memset(dir, 'x', sizeof(dir) - 1);
    dir[sizeof(dir) - 1] = '\0';
    assert_int_equal(spill_open(&spill, dir, &state, &error), -ENAMETOOLONG);
    snprintf(dir, sizeof(dir), "%s/none/below", folder);
    assert_int_equal(spill_open(&spill, dir, &state, &error), 0);
    fill(&batch, "one", 1);
    assert_int_equal(spill_append(&spill, &batch, &error), -ENOENT);
    assert_non_null(strstr(error.text, "cannot make spill_dir"));
    spill_close(&spill);
    snprintf(dir, sizeof(dir), "%s/made", folder);
    assert_int_equal(spill_open(&spill, dir, &state, &error), 0);
    assert_int_equal(spill_append(&spill, &batch, &error), 0);
    take(&spill, &state, "one");
    spill_close(&spill);
    assert_int_equal(rmdir(dir), 0);
    file_name(dir, 7);
    close(open(dir, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(spill_open(&spill, dir, &state, &error), 0); /* a file is no folder: said */
    assert_int_equal(spill_append(&spill, &batch, &error), -ENOTDIR);
    spill_close(&spill);
    batch_finish(&batch);
    state_map_finish(&state);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_batches_back_in_order_and_then_the_file_is_gone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(after_a_restart_it_goes_on_behind_the_stored_offset, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(taken_in_whole_and_killed_before_the_unlink_it_is_not_taken_twice, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_torn_last_frame_is_cut_off, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_damaged_frame_is_passed_over_and_the_ones_behind_it_are_not, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_nothing_of_the_batch, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_frame_is_in_it_whole_or_not_at_all, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_frame_that_could_not_be_synced_is_not_in_it, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_for_a_moment_is_there_afterwards, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(behind_a_damaged_frame_nothing_is_cut_off_for_a_failing_read, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_had_means_no_spill, make_folder, remove_folder),
        cmocka_unit_test(a_frame_of_version_1_is_read),
        cmocka_unit_test(keeps_where_the_arguments_of_a_call_site_stand),
        cmocka_unit_test_setup_teardown(a_withdrawn_frame_is_over_with_the_next_commit, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(of_two_files_only_the_newest_is_taken_in, make_folder, remove_folder),
        cmocka_unit_test(a_batch_of_spans_alone_keeps_their_host),
        cmocka_unit_test(no_flipped_bit_of_a_frame_goes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
