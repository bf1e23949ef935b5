#include "tests/torture/ring_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/shm/slot_metrics.h"

enum { MESSAGE_MAX = 30000 };

void torture_fail(const char *file, int line, const char *condition, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "%s:%d: not true: %s: ", file, line, condition);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

uint64_t torture_count(uint64_t count, uint64_t count_long) {
    const char *value = getenv("TASKFORGE_LONG");
    return value && strcmp(value, "1") == 0 ? count_long : count;
}

uint64_t torture_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

pid_t torture_fork(void) {
    pid_t parent = getpid(), child = fork();
    require(child >= 0, "%s", strerror(errno));
    if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
        _exit(1);
    return child;
}

int open_rings(const char *directory) {
    char path[128];
    snprintf(path, sizeof(path), "%s/rings", directory);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(fd >= 0, "%s: %s", path, strerror(errno));
    return fd;
}

void torture_directory(char out[64]) {
    snprintf(out, 64, "%s/taskforge-torture-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(out), "%s", strerror(errno));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

void torture_remove(const char *directory) {
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- numbered records --- */

/* Mostly short, one in 64 up to 30 kB, so that laps end at every kind of place. */
static size_t message_length(uint64_t stream, uint64_t place) {
    uint64_t state = (stream << 32 ^ place) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint64_t draw = torture_random(&state);
    return 1 + (draw % 64 == 0 ? draw / 64 % (MESSAGE_MAX - 1) : draw / 64 % 300);
}

static char message_byte(uint64_t stream, uint64_t place, size_t i) {
    return (char)('0' + (stream * 31 + place * 7 + i) % 64);
}

static uint32_t build(struct record_entry *out, char message[MESSAGE_MAX], uint64_t stream, uint64_t place) {
    size_t length = message_length(stream, place);
    for (size_t i = 0; i < length; i++)
        message[i] = message_byte(stream, place, i);
    *out = (struct record_entry) { .entry = { .timestamp_ns = place,
                                              .level = LEVEL_ERROR,
                                              .module = TEXT_LITERAL("torture"),
                                              .operation = TEXT_LITERAL("write"),
                                              .message = { message, length } } };
    memcpy(out->entry.id.bytes, &stream, sizeof(stream));
    out->entry.id.bytes[15] = 1; /* never the zero id */
    uint32_t size = 0;
    int result = record_entry_size(out, &size);
    require(result == 0, "%d", result);
    return size;
}

bool stream_write(struct lane_writer *writer, uint64_t stream, uint64_t place) {
    char message[MESSAGE_MAX];
    struct record_entry entry;
    uint64_t position;
    uint32_t size = build(&entry, message, stream, place);
    void *span = lane_claim(writer, size, LEVEL_ERROR, &position);
    if (!span)
        return false;
    record_entry_encode(&entry, position, place, span, size);
    lane_commit(writer, size);
    return true;
}

bool stream_write_with_hello(struct lane_writer *writer, uint64_t stream, uint64_t place) {
    char message[MESSAGE_MAX];
    struct record_entry entry;
    uint64_t position;
    struct record hello = { .kind = RECORD_PROCESS_HELLO,
                            .process_hello = { .service = TEXT_LITERAL("torture"), .pid = (uint32_t)getpid() } };
    uint32_t size = build(&entry, message, stream, place);
    char *span = lane_claim(writer, 256 + size, LEVEL_ERROR, &position);
    if (!span)
        return false;
    hello.position = position;
    int length = record_encode(&hello, span, 256);
    require(length > 0, "%d", length);
    record_entry_encode(&entry, position + (uint64_t)length, place, span + length, size);
    lane_commit(writer, (uint32_t)length + size);
    return true;
}

int stream_write_overflow(struct ring *ring, const struct slot_claim *claim, uint64_t stream, uint64_t place) {
    struct lane_writer writer;
    uint32_t lane;
    int result = ring_overflow_take(ring, claim, &writer, &lane);
    if (result < 0)
        return result;
    bool written = stream_write_with_hello(&writer, stream, place);
    ring_overflow_give(ring, lane);
    return written ? 0 : -EAGAIN;
}

/* --- a ring with something in it --- */

/* A counter, a gauge and a timer, updated a few times; the ring may be full of nasty values. */
void torture_metrics(struct ring *ring, const struct slot_claim *claim) {
    const struct metric_definition definitions[] = {
        { .kind = METRIC_COUNTER, .name = TEXT_LITERAL("jobs") },
        { .kind = METRIC_GAUGE, .name = TEXT_LITERAL("depth"), .help = TEXT_LITERAL("how deep") },
        { .kind = METRIC_TIMER, .name = TEXT_LITERAL("work") },
    };
    uint32_t place;
    for (unsigned i = 0; i < sizeof(definitions) / sizeof(definitions[0]); i++) {
        if (slot_metric_add(ring, claim, &definitions[i], &place) < 0)
            continue;
        if (i == 0)
            slot_counter_add(claim->slot, place, 3);
        else if (i == 1)
            slot_gauge_add(claim->slot, place, 2.5, 1);
        for (double value = 0x1p-40; i == 2 && value < 0x1p60; value *= 8)
            slot_histogram_observe(claim->slot, place, value);
    }
}

void torture_fill(struct ring *ring) {
    struct slot_claim claim;
    struct lane_writer writer;
    uint32_t lane;
    require(ring_slot_claim(ring, TEXT_LITERAL("torture"), 0, &claim) == 0, "slot");
    require(ring_lane_claim(ring, &claim, false, &writer, &lane) == 0, "lane");
    for (uint64_t place = 1; place < 200; place++)
        stream_write(&writer, 1, place);
    require(ring_site_add(ring, &claim, LEVEL_INFO, TEXT_LITERAL("m"), TEXT_LITERAL("o"), TEXT_LITERAL("f")) == 1,
            "site");
    torture_metrics(ring, &claim);
}

/* --- scribbling --- */

/* Values that hurt: limits, neighbours, other people's numbers. */
uint64_t torture_nasty(uint64_t *random) {
    static const uint64_t values[] = {
        0,
        1,
        7,
        8,
        24,
        255,
        256,
        4095,
        4096,
        4104,
        65535,
        65536,
        RING_LANE_SIZE,
        RING_OVERFLOW_SIZE,
        INT32_MAX,
        UINT32_MAX,
        INT64_MAX,
        UINT64_MAX,
        UINT64_MAX - 7,
        LANE_OWNER_RELEASED | 1,
        LANE_OWNER_RELEASED,
        LANE_OWNER_RECORDER | 1,
        LANE_OWNER_RECORDER | LANE_OWNER_RELEASED | LANE_OWNER_TURN | 1 << 16 | 1,
        SLOT_ACTIVE | 1 << 8,
        SLOT_CLOSED | 1 << 8,
    };
    uint64_t draw = torture_random(random);
    return draw % 4 == 0 ? torture_random(random) : values[draw / 4 % (sizeof(values) / sizeof(values[0]))];
}

/* A place in one of the parts, the small ones as often as the large. */
uint64_t torture_place(const struct ring *ring, uint64_t *random) {
    const uint64_t slot = ring->slots_at; /* the one in use */
    const uint64_t bounds[][2] = {
        { 0, RING_HEADER_SIZE },
        { 0, sizeof(struct ring_header) },
        { RING_HEADER_SIZE, ring->lanes_at },
        { ring->lanes_at, ring->slots_at },
        { ring->slots_at, ring->data_at },
        { ring->data_at, ring->data_at + 65536 },
        { ring->data_at, ring->map.size },
        { slot, slot + offsetof(struct ring_slot, ledger) },
        { slot + offsetof(struct ring_slot, site_count), slot + offsetof(struct ring_slot, sites) + 64 },
        { slot + offsetof(struct ring_slot, spans), slot + sizeof(struct ring_slot) },
        { slot, slot + RING_SLOT_CLAIM_SIZE },
        { slot + RING_SLOT_CLAIM_SIZE, slot + RING_SLOT_CLAIM_SIZE + 1024 },
    };
    const uint64_t *part = bounds[torture_random(random) % (sizeof(bounds) / sizeof(bounds[0]))];
    return part[0] + torture_random(random) % (part[1] - part[0] - 8) / 8 * 8;
}

/* --- the reader --- */

void follower_init(struct follower *follower, struct ring *ring, uint64_t stream_max) {
    *follower = (struct follower) { .ring = ring, .stream_max = stream_max };
    follower->copy = malloc(RING_OVERFLOW_SIZE);
    follower->next = malloc(stream_max * sizeof(*follower->next));
    require(follower->copy && follower->next, "out of memory");
    for (uint64_t i = 0; i < stream_max; i++)
        follower->next[i] = 1;
}

void follower_finish(struct follower *follower) {
    free(follower->copy);
    free(follower->next);
}

static void prove(struct follower *follower, const struct record *record) {
    require(record->kind == RECORD_ENTRY, "kind %d", record->kind);
    const struct entry *entry = &record->entry.entry;
    uint64_t stream, place = entry->timestamp_ns;
    memcpy(&stream, entry->id.bytes, sizeof(stream));
    require(stream < follower->stream_max, "stream %llu", (unsigned long long)stream);
    require(place == follower->next[stream], "stream %llu: record %llu where %llu comes next",
            (unsigned long long)stream, (unsigned long long)place, (unsigned long long)follower->next[stream]);
    require(entry->message.length == message_length(stream, place), "%zu bytes", entry->message.length);
    for (size_t i = 0; i < entry->message.length; i++)
        require(entry->message.data[i] == message_byte(stream, place, i), "byte %zu", i);
    follower->next[stream]++;
    follower->records++;
}

void follower_drain_lane(struct follower *follower, uint32_t lane, struct lane_state *ret) {
    struct record record;
    int result = ring_reader_lane(follower->ring, lane, ret);
    require(result == 0, "lane %u: %d", lane, result);
    if (ret->head == ret->tail)
        return;
    result = ring_reader_copy(follower->ring, lane, ret->tail, ret->head, follower->copy);
    require(result == 0, "lane %u: %d", lane, result);
    struct span_reader reader = { .bytes = follower->copy, .position = ret->tail, .end = ret->head };
    while ((result = span_reader_next(&reader, &record)) == 1)
        prove(follower, &record);
    require(result == 0, "lane %u at %llu: %d", lane, (unsigned long long)reader.position, result);
    require(lane >= follower->ring->overflow_count || reader.has_hello, "overflow lane %u without hello", lane);
    result = ring_reader_set_tail(follower->ring, lane, ret->head);
    require(result == 0, "lane %u: %d", lane, result);
    ret->tail = ret->head;
}

void follower_drain(struct follower *follower) {
    struct lane_state state;
    for (uint32_t lane = 0; lane < follower->ring->lane_count; lane++)
        follower_drain_lane(follower, lane, &state);
}

uint64_t follower_look(struct follower *follower, uint32_t lane, uint64_t from, uint64_t stream, uint64_t *ret_first,
                       uint64_t *ret_last) {
    struct recorder_reader reader;
    struct record_header header;
    struct record record;
    const char *bytes;
    uint64_t count = 0;
    int result = ring_reader_recorder(follower->ring, lane, from, follower->copy, &reader);
    require(result == 0, "lane %u: %d", lane, result);
    for (; (bytes = recorder_reader_next(&reader, &header)); count++) {
        result = record_decode(bytes, header.length, header.position, &record);
        require(result == 0, "lane %u at %llu: %d", lane, (unsigned long long)header.position, result);
        if (count == 0)
            *ret_first = follower->next[stream] = record.entry.entry.timestamp_ns;
        prove(follower, &record);
        require(header.time_ns == follower->next[stream] - 1, "a record of another stream");
        *ret_last = header.time_ns;
    }
    return count;
}
