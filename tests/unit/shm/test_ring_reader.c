#include "tests/unit/shm/ring_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "common/shm/liveness.h"
#include "common/shm/ring_reader.h"

static const struct text service = { "billing", 7 };

/* A producer's and a reader's view of one ring in one process, each by its own mapping. */
struct pair {
    struct ring producer, reader;
    struct slot_claim claim;
};

static int open_folder(const struct ring_fixture *f) {
    char rings[160];
    snprintf(rings, sizeof(rings), "%s/rings", f->runtime_dir);
    return open(rings, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void pair_open(const struct ring_fixture *f, struct pair *pair) {
    struct error error = { "" };
    assert_int_equal(map_guard_install(NULL), 0); /* over the handlers that cmocka sets for each test */
    fixture_attach(f, &pair->producer);
    assert_int_equal(ring_slot_claim(&pair->producer, service, 0, &pair->claim), 0);
    int rings_fd = open_folder(f);
    if (ring_reader_open(rings_fd, geteuid(), true, &pair->reader, &error) != 0)
        fail_msg("open: %s", error.text);
    close(rings_fd);
}

static void pair_close(struct pair *pair) {
    ring_finish(&pair->reader);
    ring_finish(&pair->producer);
}

static void write_bytes(struct lane_writer *writer, uint32_t size, char byte) {
    uint64_t position;
    char *span = lane_claim(writer, size, LEVEL_INFO, &position);
    assert_non_null(span);
    memset(span, byte, size);
    lane_commit(writer, size);
}

/* --- the file --- */

static void opens_the_ring_its_name_says(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    pair_open(f, &pair);
    assert_int_equal(pair.reader.uid, geteuid());
    assert_memory_equal(pair.reader.ring_id, pair.producer.ring_id, 16);
    assert_int_equal(ring_reader_check(&pair.reader, NULL), 0);
    pair_close(&pair);
}

static void a_squatter_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct ring ring;
    struct error error = { "" };
    char other[192];
    fixture_attach(f, &ring);
    ring_finish(&ring);
    snprintf(other, sizeof(other), "%s/rings/54321", f->runtime_dir);
    assert_int_equal(link(f->path, other), 0); /* our file under another user's name */
    int rings_fd = open_folder(f);
    assert_int_equal(ring_reader_open(rings_fd, 54321, true, &ring, &error), -EPERM);
    assert_non_null(strstr(error.text, "54321"));
    assert_int_equal(unlink(other), 0);
    assert_int_equal(symlink(f->path, other), 0);
    assert_int_equal(ring_reader_open(rings_fd, 54321, true, &ring, NULL), -EPERM);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(ring_reader_open(rings_fd, 54321, false, &ring, NULL), -EPERM);
    assert_int_equal(ring_reader_open(rings_fd, 11111, true, &ring, &error), -ENOENT);
    assert_non_null(strstr(error.text, "11111"));
    close(rings_fd);
}

static void the_look_each_second_sees_a_cut_and_a_scribble(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct error error = { "" };
    pair_open(f, &pair);
    pair.producer.header->ring_id[3] ^= 1;
    assert_int_equal(ring_reader_check(&pair.reader, &error), -EBADMSG);
    assert_true(error.text[0] != '\0');
    pair.producer.header->ring_id[3] ^= 1;
    pair.producer.header->data_at += 4096;
    assert_int_equal(ring_reader_check(&pair.reader, NULL), -EBADMSG);
    pair.producer.header->data_at -= 4096;
    assert_int_equal(ring_reader_check(&pair.reader, NULL), 0);
    assert_int_equal(truncate(f->path, (off_t)pair.reader.map.size - 1), 0);
    assert_int_equal(ring_reader_check(&pair.reader, NULL), -EBADMSG);
    pair_close(&pair);
}

/* The thread sanitizer holds locks of its own around an atomic's access; one that is left by a fault is never let go.
 */
#if defined(__SANITIZE_THREAD__)
#define ATOMICS_MAY_FAULT false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMICS_MAY_FAULT false
#endif
#endif
#ifndef ATOMICS_MAY_FAULT
#define ATOMICS_MAY_FAULT true
#endif

static void a_cut_file_is_an_error_for_every_operation(void **state) {
    if (!ATOMICS_MAY_FAULT)
        skip();
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_state lane;
    struct slot_info slot;
    struct loss_counts losses;
    static struct site_info site;
    char out[64];
    pair_open(f, &pair);
    assert_int_equal(truncate(f->path, 0), 0);
    assert_int_equal(ring_reader_check(&pair.reader, NULL), -EBADMSG);
    assert_int_equal(ring_reader_lane(&pair.reader, 0, &lane), -EFAULT);
    assert_int_equal(ring_reader_copy(&pair.reader, 0, 4096, 4160, out), -EFAULT);
    assert_int_equal(ring_reader_set_tail(&pair.reader, 0, 4096), -EFAULT);
    assert_int_equal(ring_reader_slot(&pair.reader, 0, &slot), -EFAULT);
    assert_int_equal(ring_reader_losses(&pair.reader, 0, &losses), -EFAULT);
    assert_int_equal(ring_reader_losses(&pair.reader, RING_SLOTS_MAX, &losses), -EFAULT);
    assert_int_equal(ring_reader_losses_told(&pair.reader, 0), -EFAULT);
    assert_int_equal(ring_reader_site(&pair.reader, 0, 1, &site), -EFAULT);
    assert_int_equal(ring_reader_lane_free(&pair.reader, 0, 1), -EFAULT);
    assert_int_equal(ring_reader_slot_free(&pair.reader, 0, 1), -EFAULT);
    assert_int_equal(ring_reader_set_control(&pair.reader, 0, 1), -EFAULT);
    assert_int_equal(ring_reader_retire(&pair.reader, false), -EFAULT);
    assert_int_equal(ring_reader_retire(&pair.reader, true), -EFAULT);
    pair_close(&pair);
}

/* --- lanes --- */

static void a_lane_shows_owner_head_and_tail(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_writer writer;
    struct lane_state lane;
    uint32_t number;
    pair_open(f, &pair);
    assert_int_equal(ring_reader_lane(&pair.reader, 1, &lane), 0);
    assert_int_equal(lane.slot, RING_SLOTS_MAX);
    assert_int_equal(lane.head, LANE_POSITION_START);
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &number), 0);
    write_bytes(&writer, 64, 'a');
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_int_equal(lane.slot, pair.claim.index);
    assert_int_equal(lane.generation, pair.claim.generation);
    assert_int_equal(lane.head, LANE_POSITION_START + 64);
    assert_int_equal(lane.tail, LANE_POSITION_START);
    assert_false(lane.released);
    ring_lane_release(&pair.producer, &pair.claim, number);
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_true(lane.released);
    pair_close(&pair);
}

static void what_was_committed_is_copied_and_its_room_given_back(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_writer writer;
    struct lane_state lane;
    uint32_t number;
    char out[64];
    pair_open(f, &pair);
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &number), 0);
    write_bytes(&writer, 32, 'a');
    write_bytes(&writer, 32, 'b');
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_int_equal(ring_reader_copy(&pair.reader, number, lane.tail, lane.head, out), 0);
    assert_int_equal(out[31], 'a');
    assert_int_equal(out[32], 'b');
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, lane.head), 0);
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_int_equal(lane.tail, lane.head);
    pair_close(&pair);
}

static void a_tail_never_goes_back_nor_past_the_head(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_writer writer;
    uint32_t number;
    pair_open(f, &pair);
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &number), 0);
    write_bytes(&writer, 64, 'a');
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, LANE_POSITION_START + 72), -EBADMSG);
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, LANE_POSITION_START + 4), -EBADMSG);
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, LANE_POSITION_START + 64), 0);
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, LANE_POSITION_START), -EBADMSG);
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, LANE_POSITION_START + 64), 0);
    pair_close(&pair);
}

static void scribbled_positions_and_owners_are_refused(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_state lane;
    pair_open(f, &pair);
    struct lane_header *header = ring_lane_header(&pair.producer, 1);
    static const uint64_t bad[] = { 1, UINT64_MAX, LANE_POSITION_START - 8, UINT64_C(1) << 40 };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        header->head = bad[i];
        assert_int_equal(ring_reader_lane(&pair.reader, 1, &lane), -EBADMSG);
        header->head = LANE_POSITION_START;
        header->tail = bad[i];
        if (bad[i] != LANE_POSITION_START - 8) /* a lower tail alone is a possible one */
            assert_int_equal(ring_reader_lane(&pair.reader, 1, &lane), -EBADMSG);
        header->tail = LANE_POSITION_START;
    }
    header->owner = 0xffff;
    assert_int_equal(ring_reader_lane(&pair.reader, 1, &lane), -EBADMSG);
    header->owner = (uint64_t)pair.reader.slot_count + 1;
    assert_int_equal(ring_reader_lane(&pair.reader, 1, &lane), -EBADMSG);
    pair_close(&pair);
}

static void only_a_drained_lane_returns_to_the_pool(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_writer writer;
    struct lane_state lane;
    uint32_t number;
    pair_open(f, &pair);
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &number), 0);
    write_bytes(&writer, 64, 'a');
    ring_lane_release(&pair.producer, &pair.claim, number);
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_int_equal(ring_reader_lane_free(&pair.reader, number, lane.owner), -EBUSY);
    assert_int_equal(ring_reader_set_tail(&pair.reader, number, lane.head), 0);
    assert_int_equal(ring_reader_lane_free(&pair.reader, number, lane.owner), 0);
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_int_equal(lane.owner, 0);
    assert_int_equal(lane.head, LANE_POSITION_START + 64); /* positions never go back */
    pair_close(&pair);
}

static void a_lane_taken_up_again_is_not_freed_by_the_earlier_look(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_writer writer;
    struct lane_state lane;
    uint32_t number, again;
    pair_open(f, &pair);
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &number), 0);
    ring_lane_release(&pair.producer, &pair.claim, number);
    assert_int_equal(ring_reader_lane(&pair.reader, number, &lane), 0);
    assert_true(lane.released && lane.head == lane.tail);
    /* meanwhile the next thread comes and goes, and its records are drained too */
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &again), 0);
    assert_int_equal(again, number);
    ring_lane_release(&pair.producer, &pair.claim, number);
    assert_int_equal(ring_reader_lane_free(&pair.reader, number, lane.owner), -EAGAIN);
    pair_close(&pair);
}

/* --- slots --- */

static void a_slot_is_copied_and_its_name_repaired(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct slot_info info;
    pair_open(f, &pair);
    assert_int_equal(ring_reader_slot(&pair.reader, pair.claim.index, &info), 0);
    assert_int_equal(info.state, SLOT_ACTIVE);
    assert_int_equal(info.generation, pair.claim.generation);
    assert_int_equal(info.pid, getpid());
    assert_memory_equal(info.producer_id, pair.claim.slot->producer_id, 16);
    assert_true(text_is(info.service, "billing"));
    pair.claim.slot->service[1] = (char)0xff;
    assert_int_equal(ring_reader_slot(&pair.reader, pair.claim.index, &info), 0);
    assert_true(text_is(info.service, "b\xef\xbf\xbdlling"));
    memset(pair.claim.slot->service, 0xff, ENTRY_NAME_BYTES); /* grows threefold: cut at a character */
    pair.claim.slot->service_length = ENTRY_NAME_BYTES;
    assert_int_equal(ring_reader_slot(&pair.reader, pair.claim.index, &info), 0);
    assert_true(info.service.length <= ENTRY_NAME_BYTES && info.service.length > ENTRY_NAME_BYTES - 3);
    assert_true(text_utf8_valid(info.service));
    assert_int_equal(ring_reader_slot(&pair.reader, 5, &info), 0);
    assert_int_equal(info.state, SLOT_FREE);
    assert_int_equal(info.service.length, 0);
    pair_close(&pair);
}

static void a_scribbled_slot_is_refused(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct slot_info info;
    pair_open(f, &pair);
    pair.claim.slot->service_length = ENTRY_NAME_BYTES + 1;
    assert_int_equal(ring_reader_slot(&pair.reader, pair.claim.index, &info), -EBADMSG);
    pair.claim.slot->service_length = 1;
    pair.claim.slot->state = 0x1ff;
    assert_int_equal(ring_reader_slot(&pair.reader, pair.claim.index, &info), -EBADMSG);
    pair_close(&pair);
}

static void a_slot_is_freed_only_when_no_lane_carries_its_number(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct lane_writer writer;
    struct slot_claim next;
    struct slot_info info;
    uint32_t number;
    pair_open(f, &pair);
    assert_int_equal(ring_lane_claim(&pair.producer, &pair.claim, false, &writer, &number), 0);
    ring_lane_release(&pair.producer, &pair.claim, number);
    ring_slot_release(&pair.producer, &pair.claim, false);
    assert_int_equal(ring_reader_slot(&pair.reader, pair.claim.index, &info), 0);
    assert_int_equal(info.state, SLOT_CLOSED);
    assert_int_equal(ring_reader_slot_free(&pair.reader, pair.claim.index, info.state_word), -EBUSY);
    assert_int_equal(ring_reader_lane_free(&pair.reader, number, ring_lane_header(&pair.reader, number)->owner), 0);
    assert_int_equal(ring_reader_slot_free(&pair.reader, pair.claim.index, info.state_word - 256), -EAGAIN);
    assert_int_equal(ring_reader_slot_free(&pair.reader, pair.claim.index, info.state_word), 0);
    assert_int_equal(ring_slot_claim(&pair.producer, service, 0, &next), 0);
    assert_int_equal(next.index, pair.claim.index);
    assert_int_equal(next.generation, pair.claim.generation + 1);
    pair_close(&pair);
}

static void the_collectors_word_reaches_the_slot(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    pair_open(f, &pair);
    assert_int_equal(ring_reader_set_control(&pair.reader, pair.claim.index, LEVEL_WARN), 0);
    assert_int_equal(pair.claim.slot->control, LEVEL_WARN);
    pair_close(&pair);
}

static void call_sites_come_out_as_they_went_in(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    static struct site_info site;
    pair_open(f, &pair);
    assert_int_equal(
        ring_site_add(&pair.producer, &pair.claim, LEVEL_WARN, TEXT_LITERAL("mod"), TEXT_EMPTY, TEXT_LITERAL("a %d")),
        1);
    assert_int_equal(
        ring_site_add(&pair.producer, &pair.claim, LEVEL_INFO, TEXT_LITERAL("m2"), TEXT_LITERAL("op"), TEXT_EMPTY), 2);
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 1, &site), 0);
    assert_int_equal(site.level, LEVEL_WARN);
    assert_true(text_is(site.module, "mod") && text_is(site.operation, "") && text_is(site.format, "a %d"));
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 2, &site), 0);
    assert_true(text_is(site.module, "m2") && text_is(site.operation, "op") && text_is(site.format, ""));
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 0, &site), -EBADMSG);
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 3, &site), -EBADMSG);
    pair_close(&pair);
}

static void scribbled_call_sites_are_refused(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    static struct site_info out;
    pair_open(f, &pair);
    assert_int_equal(
        ring_site_add(&pair.producer, &pair.claim, LEVEL_WARN, TEXT_LITERAL("m"), TEXT_LITERAL("o"), TEXT_EMPTY), 1);
    struct slot_site *site = &pair.claim.slot->sites[0], good = *site;
    site->level = LEVEL_COUNT;
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 1, &out), -EBADMSG);
    *site = good;
    site->text_at = SLOT_SITE_TEXT_SIZE;
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 1, &out), -EBADMSG);
    site->text_at = UINT32_MAX;
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 1, &out), -EBADMSG);
    *site = good;
    site->module_length = site->operation_length = site->format_length = UINT16_MAX;
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, 1, &out), -EBADMSG);
    *site = good;
    pair.claim.slot->site_count = UINT32_MAX;
    assert_int_equal(ring_reader_site(&pair.reader, pair.claim.index, SLOT_SITES_MAX + 1, &out), -EBADMSG);
    pair_close(&pair);
}

static void losses_are_read_and_told(void **state) {
    struct ring_fixture *f = *state;
    struct pair pair;
    struct loss_counts losses;
    pair_open(f, &pair);
    loss_count(&pair.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 3, 1000);
    loss_count(ring_anonymous_ledger(&pair.producer), LOSS_NO_RING, LEVEL_ERROR, 1, 2000);
    assert_int_equal(ring_reader_losses(&pair.reader, pair.claim.index, &losses), 0);
    assert_int_equal(losses.cells[LOSS_LANE_FULL][LEVEL_DEBUG].count, 3);
    assert_int_equal(losses.cells[LOSS_LANE_FULL][LEVEL_DEBUG].first_ns, 1000);
    assert_int_equal(losses.cells[LOSS_NO_RING][LEVEL_ERROR].count, 0);
    assert_int_equal(ring_reader_losses(&pair.reader, RING_SLOTS_MAX, &losses), 0);
    assert_int_equal(losses.cells[LOSS_NO_RING][LEVEL_ERROR].last_ns, 2000);
    assert_int_equal(ring_reader_losses_told(&pair.reader, pair.claim.index), 0);
    loss_count(&pair.claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 1, 5000);
    assert_int_equal(ring_reader_losses(&pair.reader, pair.claim.index, &losses), 0);
    assert_int_equal(losses.cells[LOSS_LANE_FULL][LEVEL_DEBUG].count, 4); /* only ever grows */
    assert_int_equal(losses.cells[LOSS_LANE_FULL][LEVEL_DEBUG].first_ns, 5000);
    pair_close(&pair);
}

/* --- who is dead: a child with a slot of its own, which tells us when it has it and does then as asked --- */

struct child {
    pid_t pid;
    uint32_t slot;
};

enum child_job { CHILD_WAITS, CHILD_CLOSES_ALL };

static void run_child(const struct ring_fixture *f, enum child_job job, int out) {
    struct ring ring;
    struct slot_claim claim;
    if (ring_attach(f->runtime_dir, 0, &ring, NULL) != 0 || ring_slot_claim(&ring, service, 0, &claim) != 0)
        _exit(1);
    if (job == CHILD_CLOSES_ALL)
        for (int fd = 3; fd < 1024; fd++)
            if (fd != out)
                close(fd);
    if (write(out, &claim.index, sizeof(claim.index)) != sizeof(claim.index))
        _exit(2);
    for (;;)
        pause();
}

static void child_start(const struct ring_fixture *f, enum child_job job, struct child *ret) {
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    ret->pid = fixture_fork();
    assert_true(ret->pid >= 0);
    if (ret->pid == 0)
        run_child(f, job, fds[1]);
    assert_int_equal(read(fds[0], &ret->slot, sizeof(ret->slot)), sizeof(ret->slot));
    close(fds[0]);
    close(fds[1]);
}

static bool is_dead(struct ring *reader, uint32_t slot) {
    struct slot_info info;
    assert_int_equal(ring_reader_slot(reader, slot, &info), 0);
    return ring_reader_slot_dead(reader, slot, &info);
}

static void end(struct child *child) {
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
}

static void a_live_process_is_not_dead_and_a_killed_one_is(void **state) {
    struct pair pair;
    struct child child;
    siginfo_t info;
    pair_open(*state, &pair);
    child_start(*state, CHILD_WAITS, &child);
    assert_false(is_dead(&pair.reader, child.slot));
    kill(child.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(is_dead(&pair.reader, child.slot)); /* a zombie already */
    end(&child);
    assert_true(is_dead(&pair.reader, child.slot));
    assert_false(is_dead(&pair.reader, pair.claim.index)); /* ourselves: F_GETLK never shows our own lock */
    assert_false(is_dead(&pair.reader, 9));                /* a free slot */
    pair_close(&pair);
}

static void a_stopped_process_is_not_dead(void **state) {
    struct pair pair;
    struct child child;
    pair_open(*state, &pair);
    child_start(*state, CHILD_WAITS, &child);
    assert_int_equal(kill(child.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(child.pid, NULL, WUNTRACED), child.pid);
    assert_false(is_dead(&pair.reader, child.slot));
    end(&child);
    pair_close(&pair);
}

static void a_process_that_closed_every_descriptor_is_not_dead(void **state) {
    struct pair pair;
    struct child child;
    pair_open(*state, &pair);
    child_start(*state, CHILD_CLOSES_ALL, &child);
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = RING_LOCK_OFFSET + child.slot, .l_len = 1
    };
    assert_int_equal(fcntl(pair.reader.map.fd, F_GETLK, &lock), 0);
    assert_int_equal(lock.l_type, F_UNLCK); /* its lock is gone indeed */
    assert_false(is_dead(&pair.reader, child.slot));
    end(&child);
    assert_true(is_dead(&pair.reader, child.slot));
    pair_close(&pair);
}

static void in_a_foreign_pid_namespace_the_lock_decides(void **state) {
    struct pair pair;
    struct child child;
    struct slot_info info;
    pair_open(*state, &pair);
    child_start(*state, CHILD_WAITS, &child);
    assert_int_equal(ring_reader_slot(&pair.reader, child.slot, &info), 0);
    info.pid_namespace += 1;
    info.pid = 1; /* which lives here, but it is not that one */
    assert_false(ring_reader_slot_dead(&pair.reader, child.slot, &info));
    end(&child);
    assert_true(ring_reader_slot_dead(&pair.reader, child.slot, &info));
    pair_close(&pair);
}

/* Another process, which takes the slot's lock as one does that is about to claim it, and is stopped. */
static pid_t lock_and_stop(const struct ring_fixture *f, uint32_t slot) {
    pid_t pid = fixture_fork();
    if (pid == 0) {
        int fd = open(f->path, O_RDWR);
        if (fd < 0 || slot_lock_take(fd, slot) != 0 || raise(SIGSTOP) != 0)
            _exit(1);
        for (;;)
            pause();
    }
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

static void a_stranger_with_the_lock_keeps_no_dead_process(void **state) {
    struct pair pair;
    struct child child;
    struct slot_info info;
    pair_open(*state, &pair);
    child_start(*state, CHILD_CLOSES_ALL, &child);
    pid_t stranger = lock_and_stop(*state, child.slot);
    assert_false(is_dead(&pair.reader, child.slot));
    end(&child);
    assert_true(is_dead(&pair.reader, child.slot));
    assert_int_equal(ring_reader_slot(&pair.reader, child.slot, &info), 0);
    info.pid_namespace += 1; /* then nobody can tell a stranger from the owner */
    assert_false(ring_reader_slot_dead(&pair.reader, child.slot, &info));
    end(&(struct child) { .pid = stranger });
    pair_close(&pair);
}

static void a_pid_that_was_given_again_is_not_the_old_process(void **state) {
    struct pair pair;
    struct child child;
    struct slot_info info;
    pair_open(*state, &pair);
    child_start(*state, CHILD_CLOSES_ALL, &child); /* lives, without a lock: as a stranger with that pid would */
    assert_int_equal(ring_reader_slot(&pair.reader, child.slot, &info), 0);
    assert_false(ring_reader_slot_dead(&pair.reader, child.slot, &info));
    info.start_time -= 1;
    assert_true(ring_reader_slot_dead(&pair.reader, child.slot, &info));
    end(&child);
    pair_close(&pair);
}

static void a_scribbled_pid_harms_nobody(void **state) {
    struct pair pair;
    struct child child;
    struct slot_info info;
    pair_open(*state, &pair);
    child_start(*state, CHILD_CLOSES_ALL, &child);
    assert_int_equal(ring_reader_slot(&pair.reader, child.slot, &info), 0);
    static const uint32_t pids[] = { 0, UINT32_MAX, (uint32_t)INT32_MAX + 1, 1 };
    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        info.pid = pids[i];
        ring_reader_slot_dead(&pair.reader, child.slot,
                              &info); /* whatever it says: no signal is sent, nothing crashes */
    }
    assert_int_equal(kill(child.pid, 0), 0);
    end(&child);
    pair_close(&pair);
}

static void the_slot_of_a_killed_process_is_reaped_and_claimed_again(void **state) {
    struct pair pair;
    struct child child;
    struct slot_info info;
    struct slot_claim claim;
    pair_open(*state, &pair);
    child_start(*state, CHILD_WAITS, &child);
    end(&child);
    assert_int_equal(ring_reader_slot(&pair.reader, child.slot, &info), 0);
    assert_true(ring_reader_slot_dead(&pair.reader, child.slot, &info));
    assert_int_equal(ring_slot_claim(&pair.producer, service, 0, &claim), 0);
    assert_int_not_equal(claim.index, child.slot); /* not before it was reaped */
    assert_int_equal(ring_reader_slot_free(&pair.reader, child.slot, info.state_word), 0);
    assert_int_equal(ring_slot_claim(&pair.producer, service, 0, &claim), 0);
    assert_int_equal(claim.index, child.slot);
    assert_int_equal(claim.generation, info.generation + 1);
    pair_close(&pair);
}

/* --- retirement --- */

static void a_used_ring_is_not_retired_and_an_unused_one_is(void **state) {
    struct pair pair;
    struct slot_claim claim;
    pair_open(*state, &pair);
    assert_int_equal(ring_reader_retire(&pair.reader, false), -EBUSY);
    ring_slot_release(&pair.producer, &pair.claim, false);
    assert_int_equal(ring_reader_retire(&pair.reader, false), -EBUSY); /* closed: not drained yet */
    assert_int_equal(ring_reader_slot_free(&pair.reader, pair.claim.index, pair.claim.slot->state), 0);
    assert_int_equal(ring_reader_retire(&pair.reader, false), 0);
    assert_int_equal(ring_reader_retire(&pair.reader, false), 0);
    assert_int_equal(ring_slot_claim(&pair.producer, service, 0, &claim), -ESTALE);
    pair_close(&pair);
}

static void a_forced_retirement_tells_every_slot(void **state) {
    struct pair pair;
    pair_open(*state, &pair);
    pair.claim.slot->control = LEVEL_INFO;
    assert_int_equal(ring_reader_retire(&pair.reader, true), 0);
    assert_int_equal(pair.claim.slot->control, LEVEL_INFO | SLOT_CONTROL_REATTACH);
    struct ring other;
    assert_int_equal(ring_attach(((struct ring_fixture *)*state)->runtime_dir, 0, &other, NULL), -ESTALE);
    pair_close(&pair);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(opens_the_ring_its_name_says),
        CASE(a_squatter_is_refused),
        CASE(the_look_each_second_sees_a_cut_and_a_scribble),
        CASE(a_cut_file_is_an_error_for_every_operation),
        CASE(a_lane_shows_owner_head_and_tail),
        CASE(what_was_committed_is_copied_and_its_room_given_back),
        CASE(a_tail_never_goes_back_nor_past_the_head),
        CASE(scribbled_positions_and_owners_are_refused),
        CASE(only_a_drained_lane_returns_to_the_pool),
        CASE(a_lane_taken_up_again_is_not_freed_by_the_earlier_look),
        CASE(a_slot_is_copied_and_its_name_repaired),
        CASE(a_scribbled_slot_is_refused),
        CASE(a_slot_is_freed_only_when_no_lane_carries_its_number),
        CASE(the_collectors_word_reaches_the_slot),
        CASE(call_sites_come_out_as_they_went_in),
        CASE(scribbled_call_sites_are_refused),
        CASE(losses_are_read_and_told),
        CASE(a_live_process_is_not_dead_and_a_killed_one_is),
        CASE(a_stopped_process_is_not_dead),
        CASE(a_process_that_closed_every_descriptor_is_not_dead),
        CASE(in_a_foreign_pid_namespace_the_lock_decides),
        CASE(a_stranger_with_the_lock_keeps_no_dead_process),
        CASE(a_pid_that_was_given_again_is_not_the_old_process),
        CASE(a_scribbled_pid_harms_nobody),
        CASE(the_slot_of_a_killed_process_is_reaped_and_claimed_again),
        CASE(a_used_ring_is_not_retired_and_an_unused_one_is),
        CASE(a_forced_retirement_tells_every_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
