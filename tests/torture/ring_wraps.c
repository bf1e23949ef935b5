/* Counters at their ends: a ring whose positions, generations and counts of claims begin just below where they wrap, or where their
 * sign would, is written and read like any other. (A position of 64 bits wraps after centuries; what a reader does then is set the
 * ring aside.) */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/shm/geometry.h"
#include "tests/torture/fault_bench.h"
#include "tests/torture/ring_lib.h"

enum { VICTIMS = 3, TURNS = 40000 /* more than twice what an owner word counts */ };

static void set_positions(struct ring *ring, uint64_t position) {
    for (uint32_t lane = 0; lane < ring->lane_count; lane++) {
        struct lane_header *header = ring_lane_header(ring, lane);
        atomic_store(&header->head, position);
        atomic_store(&header->tail, position);
    }
}

static void prepare(const char *directory, uint64_t position, uint32_t generation, uint64_t attach) {
    struct ring ring;
    struct error error = { "" };
    require(ring_attach(directory, 0, &ring, &error) == 0, "attach: %s", error.text);
    set_positions(&ring, position);
    for (uint32_t slot = 0; slot < ring.slot_count; slot++) {
        require(map_allocate(&ring.map, ring.slots_at + (uint64_t)slot * RING_SLOT_SIZE, RING_SLOT_HEAD_SIZE) == 0,
                "room");
        atomic_store(&ring_slot_at(&ring, slot)->state, slot_state_word(generation, SLOT_FREE));
    }
    atomic_store(&ring.header->slots_used, ring.slot_count);
    atomic_store(&ring.header->attach, attach);
    ring_finish(&ring);
}

static uint64_t apps_begin_at(const char *program, uint64_t position, uint32_t generation, uint64_t attach) {
    struct bench bench;
    bench_open(&bench, program);
    prepare(bench.directory, position, generation, attach);
    bench_read(&bench);
    bench_start(&bench, &bench.survivor, "survivor", "");
    bench_survive(&bench, true);
    for (int i = 0; i < VICTIMS; i++)
        bench_run_victim(&bench);
    bench_survive(&bench, true);
    bench_close(&bench);
    return bench.entries;
}

/* One thread after the other takes up a lane and releases it, until the turn in the owner word has wrapped twice; the reader gives it back
 * once. */
static uint64_t turns_wrap(void) {
    char directory[64];
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    struct lane_state state;
    struct follower follower;
    uint64_t highest = 0;
    uint32_t lane;
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    require(ring_slot_claim(&ring, TEXT_LITERAL("turns"), 0, &claim) == 0, "slot");
    follower_init(&follower, &ring, 1);
    for (uint64_t place = 1; place <= TURNS; place++) {
        require(ring_lane_claim(&ring, &claim, false, &writer, &lane) == 0, "lane");
        require(stream_write(&writer, 0, place), "no room at %llu", (unsigned long long)place);
        ring_lane_release(&ring, &claim, lane);
        uint64_t turn = (atomic_load(&ring_lane_header(&ring, lane)->owner) & ~LANE_OWNER_FLAGS) / LANE_OWNER_TURN;
        highest = turn > highest ? turn : highest;
        if (place % 64 == 0)
            follower_drain(&follower);
        if (place == TURNS / 2) {
            follower_drain_lane(&follower, lane, &state);
            require(state.released && ring_reader_lane_free(&ring, lane, state.owner) == 0, "free");
        }
    }
    follower_drain(&follower);
    require(follower.records == TURNS, "%llu of %d records", (unsigned long long)follower.records, TURNS);
    follower_finish(&follower);
    ring_finish(&ring);
    torture_remove(directory);
    return highest;
}

/* A lane at the end of its 64 bits: the writer goes on to the end, the reader sees that a position went back. */
static void a_position_that_wraps_is_seen(void) {
    char directory[64];
    struct ring ring;
    struct slot_claim claim;
    struct lane_writer writer;
    struct lane_state state;
    uint64_t place = 1;
    uint32_t lane;
    int result;
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    set_positions(&ring, 0 - (uint64_t)RING_LANE_SIZE);
    require(ring_slot_claim(&ring, TEXT_LITERAL("end"), 0, &claim) == 0, "slot");
    require(ring_lane_claim(&ring, &claim, false, &writer, &lane) == 0, "lane");
    while ((result = ring_reader_lane(&ring, lane, &state)) == 0) {
        require(stream_write(&writer, 0, place++) || ring_reader_set_tail(&ring, lane, state.head) == 0, "stuck");
        require(place < 1000000, "it goes on without end");
    }
    require(result == -EBADMSG, "%d", result);
    require(lane_writer_init(&writer, ring_lane_header(&ring, lane), writer.data, writer.size, false) == -EBADMSG,
            "a lane that makes no sense is written to");
    ring_finish(&ring);
    torture_remove(directory);
}

static void count_losses(void *argument, const struct entry *entry) {
    *(uint64_t *)argument += text_is(entry->module, "loss");
}

/* 2^64 losses, and one: told before it wraps; then there is nothing to tell, and nobody waits for it. */
static void a_loss_count_that_wraps_holds_nobody_up(void) {
    char directory[64];
    struct ring ring;
    struct slot_claim claim;
    struct reader reader;
    uint64_t told = 0;
    torture_directory(directory);
    reader_open(&reader, directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    require(ring_slot_claim(&ring, TEXT_LITERAL("loser"), 0, &claim) == 0, "slot");
    atomic_store(&claim.slot->ledger.cells[LOSS_LANE_FULL][LEVEL_DEBUG].count, UINT64_MAX - 1);
    for (int turn = 0; turn < 3; turn++)
        reader_turn(&reader, false, count_losses, &told);
    require(told == 1, "told %llu times", (unsigned long long)told);
    loss_count(&claim.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 5, 1000);
    ring_slot_release(&ring, &claim, false);
    for (int turn = 0; turn < 3; turn++)
        reader_turn(&reader, false, count_losses, &told);
    require(told == 1 && reader_taken(&reader).slots == 0, "told %llu times, %u slots are taken",
            (unsigned long long)told, reader_taken(&reader).slots);
    ring_finish(&ring);
    reader_close(&reader);
    torture_remove(directory);
}

int main(int argc, char **argv) {
    static const uint64_t positions[] = { LANE_POSITION_START, (UINT64_C(1) << 32) - RING_LANE_SIZE / 2,
                                          (UINT64_C(1) << 32) + RING_OVERFLOW_SIZE - 4096,
                                          (UINT64_C(1) << 63) - RING_LANE_SIZE / 2 };
    uint64_t entries = 0;
    require(argc == 2, "which app?");
    signal(SIGPIPE, SIG_IGN);
    require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "%s", strerror(errno));
    require(map_guard_install(NULL) == 0, "guard");
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++)
        entries += apps_begin_at(argv[1], positions[i], UINT32_MAX - 3, UINT64_MAX - 7);
    printf("%llu entries across the wraps of positions, generations and claims\n", (unsigned long long)entries);
    uint64_t highest = turns_wrap();
    require(highest == LANE_OWNER_RECORDER / LANE_OWNER_TURN - 1, "the highest turn was %llu",
            (unsigned long long)highest);
    printf("%d turns of lanes, the word's highest %llu\n", TURNS, (unsigned long long)highest);
    a_position_that_wraps_is_seen();
    a_loss_count_that_wraps_holds_nobody_up();
    return 0;
}
