/* rings.c - see rings.h: which rings there are, their lanes and their ledgers. Records become entries in ring_entry.c. */
#include "exporter/tfctl/rings.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/paths.h"
#include "common/store/state_keys.h"
#include "exporter/tfctl/ring_entry.h"

enum { RINGS_MAX = 64, COPY_ATTEMPTS = 4, STATE_ID_SIZE = 16 };

struct open_ring {
    struct ring ring;
    uid_t uid;
    dev_t device;
    ino_t inode;
    uint64_t *seen;   /* for each lane: looked at up to here */
    uint64_t *stored; /* for each lane, during a look: the store holds what is below */
};

struct rings {
    char folder[PATHS_MAX + 8];
    int folder_fd; /* -1: not there yet */
    struct open_ring items[RINGS_MAX];
    size_t count;
    struct buffer bytes; /* a copied span */
    struct ring_entry_reader entries;
};

int rings_open(const char *runtime_dir, const struct config *config, struct rings **ret) {
    struct rings *rings = calloc(1, sizeof(*rings));
    if (!rings)
        return -ENOMEM;
    rings->folder_fd = -1;
    snprintf(rings->folder, sizeof(rings->folder), "%s/rings", runtime_dir);
    if (ring_entry_reader_init(&rings->entries, &config->collector) < 0) {
        rings_close(rings);
        return -ENOMEM;
    }
    *ret = rings;
    return 0;
}

static void close_ring(struct open_ring *open) {
    ring_finish(&open->ring);
    free(open->seen);
    free(open->stored);
}

static void drop_ring(struct rings *rings, size_t index) {
    close_ring(&rings->items[index]);
    rings->items[index] = rings->items[--rings->count];
}

void rings_close(struct rings *rings) {
    if (!rings)
        return;
    while (rings->count > 0)
        drop_ring(rings, rings->count - 1);
    if (rings->folder_fd >= 0)
        close(rings->folder_fd);
    buffer_finish(&rings->bytes);
    ring_entry_reader_finish(&rings->entries);
    free(rings);
}

/* --- finding --- */

/* Whether the name is still the file that was opened. */
static bool is_same_file(const struct rings *rings, const struct open_ring *open, struct stat *status) {
    char name[16];
    snprintf(name, sizeof(name), "%u", (unsigned)open->uid);
    return fstatat(rings->folder_fd, name, status, AT_SYMLINK_NOFOLLOW) == 0 && status->st_dev == open->device &&
           status->st_ino == open->inode;
}

static void open_one(struct rings *rings, uid_t uid) {
    struct open_ring open = { .uid = uid };
    struct stat status;
    for (size_t i = 0; i < rings->count; i++)
        if (rings->items[i].uid == uid)
            return;
    if (rings->count == RINGS_MAX || ring_reader_open(rings->folder_fd, uid, false, &open.ring, NULL) < 0)
        return; /* not there, not ours to read, or broken: not ours to say */
    open.seen = calloc(open.ring.lane_count, sizeof(*open.seen));
    open.stored = calloc(open.ring.lane_count, sizeof(*open.stored));
    if (!open.seen || !open.stored || fstat(open.ring.map.fd, &status) < 0) {
        close_ring(&open);
        return;
    }
    open.device = status.st_dev;
    open.inode = status.st_ino;
    rings->items[rings->count++] = open;
}

static void open_listed(struct rings *rings) {
    int fd = openat(rings->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char *end;
        errno = 0;
        unsigned long uid = strtoul(entry->d_name, &end, 10);
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && !*end && !errno && uid < UINT32_MAX)
            open_one(rings, (uid_t)uid);
    }
    closedir(folder);
}

static void refresh(struct rings *rings) {
    struct stat status;
    if (rings->folder_fd >= 0 && (fstat(rings->folder_fd, &status) < 0 || status.st_nlink == 0)) {
        close(rings->folder_fd); /* the folder was made anew */
        rings->folder_fd = -1;
    }
    if (rings->folder_fd < 0)
        rings->folder_fd = open(rings->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = rings->count; i-- > 0;)
        if (rings->folder_fd < 0 || !is_same_file(rings, &rings->items[i], &status))
            drop_ring(rings, i);
    if (rings->folder_fd < 0)
        return;
    open_one(rings, getuid());
    open_listed(rings);
}

/* --- the stored side --- */

struct stored {
    struct open_ring *open;
    size_t prefix_length;
};

static int take_position(void *argument, struct text key, struct text value) {
    struct stored *stored = argument;
    uint32_t lane;
    uint64_t position;
    if (key.length != stored->prefix_length + sizeof(lane) || value.length < sizeof(position))
        return 0;
    memcpy(&lane, key.data + stored->prefix_length, sizeof(lane));
    memcpy(&position, value.data, sizeof(position));
    lane = le32toh(lane);
    if (lane < stored->open->ring.lane_count)
        stored->open->stored[lane] = le64toh(position);
    return 0;
}

static size_t make_prefix(char *key, const char *name, const uint8_t id[STATE_ID_SIZE]) {
    size_t length = strlen(name);
    memcpy(key, name, length);
    memcpy(key + length, id, STATE_ID_SIZE);
    return length + STATE_ID_SIZE;
}

static int read_positions(struct open_ring *open, struct store_reader *reader, struct error *error) {
    char key[64];
    struct stored stored = { open, make_prefix(key, STATE_LANE, open->ring.ring_id) };
    memset(open->stored, 0, open->ring.lane_count * sizeof(*open->stored));
    return store_reader_state_walk(reader, (struct text) { key, stored.prefix_length }, take_position, &stored, error);
}

/* --- lanes --- */

static uint64_t start_of(const struct open_ring *open, uint32_t lane, const struct lane_state *state) {
    uint64_t from = state->tail;
    if (open->stored[lane] > from)
        from = open->stored[lane];
    return open->seen[lane] > from ? open->seen[lane] : from;
}

static bool has_news(struct open_ring *open) {
    memset(open->stored, 0, open->ring.lane_count * sizeof(*open->stored));
    for (uint32_t lane = 0; lane < open->ring.lane_count; lane++) {
        struct lane_state state;
        if (ring_reader_lane(&open->ring, lane, &state) == 0 && !state.recorder &&
            start_of(open, lane, &state) < state.head)
            return true;
    }
    return false;
}

/* Copy what is new in the lane: 1 and its range, 0 nothing new, negative: leave it. The bytes are sound only if the collector has not
 * let the producer overwrite them meanwhile, so the tail is looked at again. */
static int copy_news(struct rings *rings, struct open_ring *open, uint32_t lane, struct lane_state *state,
                     uint64_t *ret_from) {
    for (int attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
        struct lane_state after;
        if (ring_reader_lane(&open->ring, lane, state) < 0)
            return -EBADMSG;
        uint64_t from = start_of(open, lane, state);
        if (state->recorder || from >= state->head || from % RECORD_ALIGN != 0)
            return 0;
        buffer_clear(&rings->bytes);
        if (!buffer_reserve(&rings->bytes, state->head - from))
            return -ENOMEM;
        if (ring_reader_copy(&open->ring, lane, from, state->head, rings->bytes.data) < 0 ||
            ring_reader_lane(&open->ring, lane, &after) < 0)
            return -EBADMSG;
        if (after.tail <= from) {
            *ret_from = from;
            return 1;
        }
    }
    return 0; /* a busy collector stores it all the same */
}

static int look_at_lane(struct rings *rings, struct open_ring *open, uint32_t lane, struct entry_copies *out) {
    struct lane_state state;
    uint64_t from;
    int status = copy_news(rings, open, lane, &state, &from);
    if (status <= 0)
        return status;
    open->seen[lane] = state.head;
    struct span_reader span = { .bytes = rings->bytes.data, .position = from, .end = state.head };
    return ring_entries_read(&rings->entries, &open->ring, lane, &state, &span, out);
}

int rings_look(struct rings *rings, struct store_reader *reader, struct entry_copies *out, struct error *error) {
    refresh(rings);
    for (size_t i = 0; i < rings->count; i++) {
        struct open_ring *open = &rings->items[i];
        if (!has_news(open))
            continue;
        int status = read_positions(open, reader, error);
        if (status < 0)
            return status;
        for (uint32_t lane = 0; lane < open->ring.lane_count; lane++)
            if (look_at_lane(rings, open, lane, out) == -ENOMEM)
                return error_set(error, -ENOMEM, "out of memory while reading ring %u", (unsigned)open->uid);
    }
    return 0;
}

/* --- ledgers --- */

struct told {
    size_t prefix_length;
    uint64_t counts[LOSS_REASON_COUNT][LEVEL_COUNT];
};

static int take_told(void *argument, struct text key, struct text value) {
    struct told *told = argument;
    uint64_t count;
    if (key.length != told->prefix_length + 2 || value.length < sizeof(count))
        return 0;
    uint8_t reason = (uint8_t)key.data[told->prefix_length], level = (uint8_t)key.data[told->prefix_length + 1];
    memcpy(&count, value.data, sizeof(count));
    if (reason < LOSS_REASON_COUNT && level < LEVEL_COUNT)
        told->counts[reason][level] = le64toh(count);
    return 0;
}

static int visit_ledger(const struct loss_counts *counts, const uint8_t producer_id[STATE_ID_SIZE], struct text service,
                        struct store_reader *reader, int (*visit)(void *argument, const struct ring_loss *loss),
                        void *argument, struct error *error) {
    char key[64];
    struct told told = { .prefix_length = make_prefix(key, STATE_LOSS, producer_id) };
    int status = store_reader_state_walk(reader, (struct text) { key, told.prefix_length }, take_told, &told, error);
    for (int reason = 0; reason < LOSS_REASON_COUNT && status == 0; reason++)
        for (int level = 0; level < LEVEL_COUNT && status == 0; level++) {
            uint64_t count = counts->cells[reason][level].count;
            struct ring_loss loss = {
                .service = service,
                .level = (enum level)level,
                .reason = (enum loss_reason)reason,
                .count = count - told.counts[reason][level],
                .first_ns = counts->cells[reason][level].first_ns,
                .last_ns = counts->cells[reason][level].last_ns,
            };
            if (count > told.counts[reason][level])
                status = visit(argument, &loss);
        }
    return status;
}

static bool has_losses(const struct loss_counts *counts) {
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++)
            if (counts->cells[reason][level].count > 0)
                return true;
    return false;
}

int rings_losses(struct rings *rings, struct store_reader *reader,
                 int (*visit)(void *argument, const struct ring_loss *loss), void *argument, struct error *error) {
    int status = 0;
    refresh(rings);
    for (size_t i = 0; i < rings->count && status == 0; i++) {
        struct ring *ring = &rings->items[i].ring;
        struct loss_counts counts;
        if (ring_reader_losses(ring, RING_SLOTS_MAX, &counts) == 0 && has_losses(&counts)) /* the anonymous ledger */
            status = visit_ledger(&counts, ring->ring_id, TEXT_LITERAL("unknown"), reader, visit, argument, error);
        for (uint32_t slot = 0; slot < ring_reader_slots_used(ring) && status == 0; slot++) {
            struct slot_info info;
            if (ring_reader_slot(ring, slot, &info) == 0 && info.state != SLOT_FREE &&
                ring_reader_losses(ring, slot, &counts) == 0 && has_losses(&counts))
                status = visit_ledger(&counts, info.producer_id, info.service, reader, visit, argument, error);
        }
    }
    return status;
}

/* --- open spans --- */

static int add_open(struct rings *rings, const struct slot_info *info, const struct open_span *found,
                    struct trace *open) {
    struct span span = { .record = { .start_ns = found->start_ns,
                                     .thread = found->thread,
                                     .service = info->service,
                                     .operation = { found->operation, found->operation_length } },
                         .host = text_of(rings->entries.host),
                         .pid = info->pid };
    memcpy(span.record.trace_id, found->trace_id, sizeof(span.record.trace_id));
    memcpy(span.record.span_id, found->span_id, sizeof(span.record.span_id));
    memcpy(span.record.parent_id, found->parent_id, sizeof(span.record.parent_id));
    return trace_add(open, &span);
}

static int look_at_slot(struct rings *rings, struct ring *ring, uint32_t slot, const uint8_t *trace_id,
                        struct trace *open) {
    struct open_span spans[SLOT_SPANS_MAX];
    struct slot_info info;
    if (ring_reader_slot(ring, slot, &info) < 0 || info.state != SLOT_ACTIVE ||
        ring_reader_slot_dead(ring, slot, &info))
        return 0;
    int count = ring_reader_spans(ring, slot, spans);
    for (int i = 0; i < count; i++)
        if ((!trace_id || memcmp(spans[i].trace_id, trace_id, SPAN_TRACE_BYTES) == 0) &&
            add_open(rings, &info, &spans[i], open) < 0)
            return -ENOMEM;
    return 0;
}

int rings_spans(struct rings *rings, const uint8_t *trace_id, struct trace *open) {
    refresh(rings);
    for (size_t i = 0; i < rings->count; i++) {
        struct ring *ring = &rings->items[i].ring;
        for (uint32_t slot = 0; slot < ring_reader_slots_used(ring); slot++)
            if (look_at_slot(rings, ring, slot, trace_id, open) < 0)
                return -ENOMEM;
    }
    return 0;
}
