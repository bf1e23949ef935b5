/* Each length, offset, count and position that a reader takes out of a ring is flipped between its true value and an evil one by
 * another thread, as fast as it can, while the reader reads: what was checked must be what is used. Under the sanitizers a value that
 * was read twice shows as a stray access. And an app that logs while its ring is scribbled on loses entries, never its life. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/shm/geometry.h"
#include "common/shm/slot_metrics.h"
#include "tests/torture/ring_lib.h"
#include "tests/torture/ring_sweep.h"

enum { TARGETS_MAX = 128, EVIL = 4 };

struct target {
    volatile void *at;
    size_t size; /* 2, 4 or 8 */
    uint64_t truth, evil[EVIL];
};

static struct target targets[TARGETS_MAX];
static size_t target_count;
static _Atomic bool done;

static uint64_t load(const struct target *target) {
    return target->size == 2   ? *(const volatile uint16_t *)target->at
           : target->size == 4 ? *(const volatile uint32_t *)target->at
                               : *(const volatile uint64_t *)target->at;
}

static void store(const struct target *target, uint64_t value) {
    if (target->size == 2)
        *(volatile uint16_t *)target->at = (uint16_t)value;
    else if (target->size == 4)
        *(volatile uint32_t *)target->at = (uint32_t)value;
    else
        *(volatile uint64_t *)target->at = value;
}

static void add_target(volatile void *at, size_t size, uint64_t limit) {
    require(target_count < TARGETS_MAX, "more targets");
    struct target *target = &targets[target_count++];
    *target = (struct target) { .at = at, .size = size };
    target->truth = load(target);
    target->evil[0] = target->truth + 8;
    target->evil[1] = limit + 1;
    target->evil[2] = UINT64_MAX - 7;
    target->evil[3] = target->truth ^ UINT64_C(1) << (size * 8 - 2); /* of an owner word: recorder */
}
#define ADD(place, limit) add_target(&(place), sizeof(place), limit)

static void add_lane(struct ring *ring, uint32_t lane) {
    struct lane_header *header = ring_lane_header(ring, lane);
    ADD(header->owner, RING_SLOTS_MAX);
    ADD(header->head, atomic_load(&header->tail) + ring_lane_size(ring, lane));
    ADD(header->tail, atomic_load(&header->head));
    char *record = ring->map.base + ring_lane_data_at(ring, lane) + LANE_POSITION_START;
    for (size_t word = 0; word < RECORD_ENTRY_FIXED_END / sizeof(uint32_t);
         word++) /* header and fixed part, 32 bits each */
        add_target(record + word * sizeof(uint32_t), sizeof(uint32_t), RECORD_SIZE_MAX);
}

static void add_slot(struct ring *ring, uint32_t index) {
    struct ring_slot *slot = ring_slot_at(ring, index);
    struct slot_metric *metric = (struct slot_metric *)(void *)((char *)slot + RING_SLOT_CLAIM_SIZE);
    ADD(slot->state, UINT64_MAX);
    ADD(slot->service_length, ENTRY_NAME_BYTES);
    ADD(slot->site_count, SLOT_SITES_MAX);
    ADD(slot->sites[0].text_at, SLOT_SITE_TEXT_SIZE);
    ADD(slot->sites[0].module_length, SLOT_SITE_TEXT_SIZE);
    ADD(slot->sites[0].operation_length, SLOT_SITE_TEXT_SIZE);
    ADD(slot->sites[0].format_length, SLOT_SITE_TEXT_SIZE);
    ADD(slot->sites[0].level, LEVEL_COUNT);
    ADD(slot->metric_count, SLOT_METRICS_MAX);
    ADD(slot->metric_marks, (uint64_t)SLOT_METRIC_CHUNKS_MAX << 32);
    for (uint32_t i = 0; i < atomic_load(&slot->metric_count); i++) {
        ADD(metric->size, RING_SLOT_METRICS_SIZE);
        add_target(&metric->kind, sizeof(uint16_t), UINT16_MAX); /* and the naming */
        ADD(metric->name_length, RING_SLOT_METRICS_SIZE);
        ADD(metric->labels_length, RING_SLOT_METRICS_SIZE);
        ADD(metric->unit_length, RING_SLOT_METRICS_SIZE);
        ADD(metric->help_length, RING_SLOT_METRICS_SIZE);
        ADD(metric->bounds_length, RING_SLOT_METRICS_SIZE);
        if (metric->kind == METRIC_TIMER) {
            struct slot_histogram_cell *cell = (struct slot_histogram_cell *)(void *)(metric + 1);
            for (unsigned octave = 30; octave < 60; octave += 3)
                ADD(cell->octaves[octave], SLOT_METRIC_CHUNKS_MAX);
        }
        metric = (struct slot_metric *)(void *)((char *)metric + metric->size);
    }
}

/* One or two at a time: to get past a check may take both. */
static void *flip(void *argument) {
    uint64_t random = (uint64_t)getpid() * 31 + 7, *flips = argument;
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        const struct target *target = &targets[torture_random(&random) % target_count];
        const struct target *other = &targets[torture_random(&random) % 4]; /* slots_used, or of the lane's header */
        uint64_t draw = torture_random(&random);
        if (draw % 2)
            store(other, other->evil[draw / 2 % EVIL]);
        store(target, target->evil[draw / 8 % EVIL]);
        for (volatile uint64_t spin = draw / 32 % 300; spin > 0; spin--)
            ;
        store(target, target->truth);
        store(other, other->truth);
        ++*flips;
    }
    return NULL;
}

static void read_what_is_flipped(uint64_t sweeps) {
    char directory[64];
    struct ring ring, reader;
    pthread_t thread;
    uint64_t flips = 0, records = 0;
    char *copy = malloc(RING_OVERFLOW_SIZE);
    struct error error = { "" };
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, &error) == 0, "attach: %s", error.text);
    torture_fill(&ring);
    int rings_fd = open_rings(directory);
    require(ring_reader_open(rings_fd, geteuid(), true, &reader, &error) == 0, "%s", error.text);
    ADD(ring.header->slots_used, ring.slot_count);
    add_lane(&ring, ring.overflow_count);
    add_slot(&ring, 0);
    require(pthread_create(&thread, NULL, flip, &flips) == 0, "thread");
    for (uint64_t i = 0; i < sweeps; i++)
        records +=
            i % 256 == 0 ? ring_sweep(&reader, copy, false) : ring_sweep_one(&reader, reader.overflow_count, 0, copy);
    atomic_store(&done, true);
    pthread_join(thread, NULL);
    uint64_t all = ring_sweep(&reader, copy, false);
    require(all >= 199, "%llu records are there in the end", (unsigned long long)all);
    printf("%llu flips of %zu places, %llu sweeps, %llu records in spite of them\n", (unsigned long long)flips,
           target_count, (unsigned long long)sweeps, (unsigned long long)records);
    close(rings_fd);
    free(copy);
    ring_finish(&reader);
    ring_finish(&ring);
    torture_remove(directory);
}

/* --- an app whose ring is scribbled on --- */

static void *log_a_little(void *client) {
    TF_LOG_TO((tf_client *)client, TF_LEVEL_INFO, "flips", "on a thread: %s", "text");
    return NULL;
}

static void use_library(tf_client *client, const char *blob) {
    const struct tf_field field = tf_str("blob", blob);
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_HISTOGRAM, "flips");
    tf_metric *metric;
    pthread_t thread;
    TF_LOG_TO(client, TF_LEVEL_INFO, "flips", "%d and %s", 1, "two");
    tf_log(client, TF_LEVEL_WARN, NULL, "flips", "plain");
    tf_log_with_metadata(client, TF_LEVEL_ERROR, NULL, "flips", blob + 51000, &field, 1);
    tf_metric_count(client, "flips_by_name", 1, NULL, 0);
    if (tf_metric_register(client, &definition, &metric) == 0)
        for (double value = 0x1p-20; value < 0x1p20; value *= 8)
            tf_histogram_observe(metric, value);
    if (pthread_create(&thread, NULL, log_a_little, client) == 0)
        pthread_join(thread, NULL);
}

static _Noreturn void be_app(const char *directory, uint64_t rounds) {
    static char blob[60001];
    struct tf_options options = TF_OPTIONS_INIT;
    options.runtime_dir = directory;
    memset(blob, 'b', sizeof(blob) - 1);
    for (uint64_t round = 0; round < rounds; round++) {
        tf_client *client;
        if (tf_open("flips", &options, &client) < 0)
            _exit(1);
        for (int i = 0; i < 20; i++)
            use_library(client, blob);
        tf_close(client);
    }
    _exit(0);
}

static void write_into_what_is_scribbled_on(uint64_t rounds) {
    char directory[64];
    struct ring ring;
    uint64_t random = (uint64_t)getpid() * 104729 + 1, words = 0;
    int status;
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, NULL) == 0, "attach");
    uint64_t front = ring.data_at - RING_HEADER_SIZE;
    char *sound = malloc(front);
    require(sound, "out of memory");
    memcpy(sound, ring.map.base + RING_HEADER_SIZE, front);
    pid_t app = torture_fork();
    if (app == 0)
        be_app(directory, rounds);
    while (waitpid(app, &status, WNOHANG) == 0) {
        for (int i = 0; i < 200; i++, words++) {
            uint64_t value = torture_nasty(&random);
            memcpy(ring.map.base + torture_place(&ring, &random), &value, sizeof(value));
        }
        if (words % 20000 == 0) /* so that it gets further than the first refusal */
            memcpy(ring.map.base + RING_HEADER_SIZE, sound, front);
    }
    require(status == 0, "the app ended with %x", status);
    printf("%llu words under an app that logs and counts\n", (unsigned long long)words);
    free(sound);
    ring_finish(&ring);
    torture_remove(directory);
}

int main(void) {
    require(map_guard_install(NULL) == 0, "guard");
    read_what_is_flipped(torture_count(30000, 10000000));
    write_into_what_is_scribbled_on(torture_count(20, 1000));
    return 0;
}
