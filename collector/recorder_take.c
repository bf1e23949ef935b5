/* recorder_take.c - see recorder_private.h: out of the recorder's lanes into the batch. */
#include <stdlib.h>

#include "collector/origin.h"
#include "collector/recorder_private.h"

static bool is_entry(const struct record_header *header) {
    return header->kind == RECORD_ENTRY || header->kind == RECORD_CALL;
}

/* --- walking a lane --- */

struct walk {
    struct recorder *recorder;
    struct lane *lane;
    const struct recorder_mark *now; /* NULL: empty */
    const struct recorder_windows *due;
    uint64_t too_old_ns; /* nobody will ask for what is older */
    uint64_t end;        /* below, all is done with */
    uint64_t first;      /* where the first record stands that is left for later; UINT64_MAX: there is none */
    uint64_t key;
    struct recorder_mark next;
    struct batch *batch;
};

static bool is_wanted(const struct walk *walk, const char *bytes, const struct record_header *header) {
    struct text trace;
    bool raw;
    if (recorder_windows_hold(walk->due, header->time_ns))
        return true;
    if (walk->recorder->trace_count == 0 || !record_trace(bytes, header, &trace, &raw))
        return false;
    const struct recorder_trace *asked = recorder_find_trace(walk->recorder, raw, trace);
    return asked && recorder_windows_hold(&asked->windows, header->time_ns);
}

static void add_item(struct walk *walk, const char *bytes, const struct record_header *header) {
    struct recorder *recorder = walk->recorder;
    if (recorder->item_count == recorder->item_capacity) {
        size_t capacity = recorder->item_capacity ? recorder->item_capacity * 2 : 1024;
        struct recorder_item *grown = realloc(recorder->items, capacity * sizeof(*grown));
        if (!grown) {
            walk->batch->failed = true;
            return;
        }
        recorder->items = grown;
        recorder->item_capacity = capacity;
    }
    struct text copy = arena_copy(&walk->batch->arena, (struct text) { bytes, header->length });
    recorder->items[recorder->item_count] = (struct recorder_item) {
        .key = walk->key,
        .number = recorder->item_count,
        .lane = walk->lane,
        .bytes = copy.data,
        .position = header->position,
        .length = header->length,
    };
    recorder->item_count++;
    recorder->item_bytes += header->length;
    walk->batch->failed |= walk->batch->arena.failed;
}

static void judge(struct walk *walk, const char *bytes, const struct record_header *header) {
    bool taken = walk->now && recorder_mark_has(walk->now, header->position);
    if (!taken && is_wanted(walk, bytes, header)) {
        add_item(walk, bytes, header);
        taken = true;
    }
    bool is_left = !taken && header->position >= walk->end && header->time_ns >= walk->too_old_ns;
    if (is_left && walk->first == UINT64_MAX)
        walk->first = header->position;
    else if (taken && walk->first != UINT64_MAX)
        recorder_mark_take(&walk->next, header->position, header->length, &walk->first);
}

void recorder_walk(struct drain *drain, struct lane *lane, const struct recorder_windows *due, uint64_t end,
                   struct batch *batch) {
    struct recorder *recorder = drain->recorder;
    struct recorder_reader reader;
    struct record_header header;
    size_t items = recorder->item_count;
    struct walk walk = {
        .recorder = recorder,
        .lane = lane,
        .now = lane->recorder ? &lane->recorder->now : NULL,
        .due = due,
        .too_old_ns = recorder_windows_begin(due),
        .end = end,
        .first = UINT64_MAX,
        .batch = batch,
    };
    if (ring_reader_recorder(&lane->ring->ring, lane->index, lane->position, recorder->room, &reader) < 0) {
        rings_break(drain->rings, lane->ring, "a lane of the flight recorder cannot be read");
        return;
    }
    for (const char *bytes; !batch->failed && (bytes = recorder_reader_next(&reader, &header));) {
        walk.key = header.time_ns > walk.key ? header.time_ns : walk.key;
        if (is_entry(&header))
            judge(&walk, bytes, &header);
    }
    /* Looked through for traces, and none was there: not every lane is to move with each error. */
    if (recorder->item_count == items && due->count == 0 && end == 0)
        return;
    lane->taken = walk.first != UINT64_MAX ? walk.first : reader.end;
    recorder_set_mark(lane, &walk.next, batch);
}

uint64_t recorder_newest(struct recorder *recorder, struct lane *lane) {
    struct recorder_reader reader;
    struct record_header header;
    uint64_t newest = 0;
    if (ring_reader_recorder(&lane->ring->ring, lane->index, lane->position, recorder->room, &reader) < 0)
        return 0; /* found out when it is walked */
    while (recorder_reader_next(&reader, &header))
        newest = is_entry(&header) && header.time_ns > newest ? header.time_ns : newest;
    return newest;
}

/* --- items into the batch --- */

static int compare_items(const void *left, const void *right) {
    const struct recorder_item *a = left, *b = right;
    return a->key != b->key ? (a->key < b->key ? -1 : 1) : a->number < b->number ? -1 : 1;
}

static void add_entry(struct drain *drain, const struct recorder_item *item, struct batch *batch) {
    struct lane *lane = item->lane;
    if (record_decode(item->bytes, item->length, item->position, &lane->record) < 0)
        return; /* scribbled on */
    origin_add_recorded(drain, lane, batch);
    recorder_count_entry(drain->recorder, recorder_slot_of(drain->rings, lane));
}

void recorder_add_items(struct drain *drain, uint64_t now_ns, struct batch *batch) {
    struct recorder *recorder = drain->recorder;
    size_t before = batch->entry_count;
    if (recorder->item_count > 1)
        qsort(recorder->items, recorder->item_count, sizeof(*recorder->items), compare_items);
    for (size_t i = 0; i < recorder->item_count && !batch->failed; i++)
        add_entry(drain, &recorder->items[i], batch);
    size_t added = batch->entry_count - before;
    recorder->item_count = recorder->item_bytes = 0;
    if (added == 0 || batch->failed)
        return;
    batch_move_front(batch, before);
    if (drain->fold) {
        drain->fold->user = SHARES_SELF;
        fold_add(drain->fold, OWN_RING_RECORDED, NULL, (double)added, now_ns, batch);
    }
}
