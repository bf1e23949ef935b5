#include "collector/recorder_mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- windows --- */

static void widen(struct recorder_window *window, struct recorder_window by) {
    window->from_ns = by.from_ns < window->from_ns ? by.from_ns : window->from_ns;
    window->until_ns = by.until_ns > window->until_ns ? by.until_ns : window->until_ns;
}

void recorder_windows_add(struct recorder_windows *windows, struct recorder_window window) {
    for (uint32_t i = 0; i < windows->count; i++) {
        struct recorder_window *item = &windows->items[i];
        if (window.from_ns <= item->until_ns && item->from_ns <= window.until_ns) {
            widen(item, window);
            return;
        }
    }
    if (windows->count < RECORDER_WINDOWS_MAX)
        windows->items[windows->count++] = window;
    else
        widen(&windows->items[RECORDER_WINDOWS_MAX - 1], window);
}

void recorder_windows_join(struct recorder_windows *windows, const struct recorder_windows *others) {
    for (uint32_t i = 0; i < others->count; i++)
        recorder_windows_add(windows, others->items[i]);
}

bool recorder_windows_hold(const struct recorder_windows *windows, uint64_t time_ns) {
    for (uint32_t i = 0; i < windows->count; i++)
        if (time_ns >= windows->items[i].from_ns && time_ns <= windows->items[i].until_ns)
            return true;
    return false;
}

bool recorder_windows_equal(const struct recorder_windows *a, const struct recorder_windows *b) {
    return a->count == b->count && memcmp(a->items, b->items, a->count * sizeof(a->items[0])) == 0;
}

uint64_t recorder_windows_begin(const struct recorder_windows *windows) {
    const struct recorder_window *latest = NULL;
    for (uint32_t i = 0; i < windows->count; i++)
        if (!latest || windows->items[i].until_ns > latest->until_ns)
            latest = &windows->items[i];
    return latest ? latest->from_ns : 0;
}

size_t recorder_windows_encode(const struct recorder_windows *windows, char out[RECORDER_WINDOWS_SIZE]) {
    for (uint32_t i = 0; i < windows->count; i++) {
        state_u64_put(out + 16 * i, windows->items[i].from_ns);
        state_u64_put(out + 16 * i + 8, windows->items[i].until_ns);
    }
    return (size_t)16 * windows->count;
}

bool recorder_windows_decode(struct text value, struct recorder_windows *ret) {
    if (value.length % 16 != 0 || value.length > RECORDER_WINDOWS_SIZE)
        return false;
    ret->count = (uint32_t)(value.length / 16);
    for (uint32_t i = 0; i < ret->count; i++)
        ret->items[i] =
            (struct recorder_window) { state_u64_get(value.data + 16 * i), state_u64_get(value.data + 16 * i + 8) };
    return true;
}

/* --- marks --- */

enum { GIVEN_UP_AT_ONCE = RECORDER_TAKEN_MAX / 8 };

void recorder_mark_take(struct recorder_mark *mark, uint64_t position, uint32_t length, uint64_t *first) {
    if (mark->taken_count == RECORDER_TAKEN_MAX) {
        const uint32_t last = GIVEN_UP_AT_ONCE - 1, left = RECORDER_TAKEN_MAX - GIVEN_UP_AT_ONCE;
        *first = mark->taken[last] + mark->lengths[last];
        memmove(mark->taken, mark->taken + GIVEN_UP_AT_ONCE, left * sizeof(mark->taken[0]));
        memmove(mark->lengths, mark->lengths + GIVEN_UP_AT_ONCE, left * sizeof(mark->lengths[0]));
        mark->taken_count = left;
    }
    mark->taken[mark->taken_count] = position;
    mark->lengths[mark->taken_count++] = length;
}

bool recorder_mark_has(const struct recorder_mark *mark, uint64_t position) {
    uint32_t low = 0, high = mark->taken_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (mark->taken[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < mark->taken_count && mark->taken[low] == position;
}

void recorder_mark_key(struct state_key *key, const uint8_t ring_id[16], uint32_t lane) {
    state_key_lane(key, ring_id, lane);
    key->bytes[key->length++] = 'r';
}

static void put_u32(char *out, uint64_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (char)(value >> (8 * i) & 0xff);
}

static uint32_t get_u32(const char *in) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(unsigned char)in[i] << (8 * i);
    return value;
}

/* A lane's records lie within its size: 32 bits are more than enough. */
size_t recorder_mark_encode(const struct recorder_mark *mark, uint64_t lane_position, char out[RECORDER_MARK_SIZE]) {
    put_u32(out, mark->due.count);
    size_t used = 4 + recorder_windows_encode(&mark->due, out + 4);
    for (uint32_t i = 0; i < mark->taken_count; i++, used += 4)
        put_u32(out + used, mark->taken[i] - lane_position);
    return used;
}

bool recorder_mark_decode(struct text value, uint64_t lane_position, struct recorder_mark *ret) {
    if (value.length < 4 || value.length % 4 != 0 || value.length > RECORDER_MARK_SIZE)
        return false;
    size_t windows = (size_t)16 * get_u32(value.data), used = 4 + windows;
    if (windows > RECORDER_WINDOWS_SIZE || used > value.length || (value.length - used) / 4 > RECORDER_TAKEN_MAX ||
        !recorder_windows_decode((struct text) { value.data + 4, windows }, &ret->due))
        return false;
    ret->taken_count = 0;
    for (; used < value.length; used += 4) {
        uint64_t position = lane_position + get_u32(value.data + used);
        if (ret->taken_count > 0 && position <= ret->taken[ret->taken_count - 1])
            return false;
        ret->taken[ret->taken_count++] = position;
    }
    return true;
}

int recorder_lane_load(const struct state_map *state, const uint8_t ring_id[16], uint32_t lane, uint64_t position,
                       struct recorder_lane **ret) {
    struct state_key key;
    struct text value;
    recorder_mark_key(&key, ring_id, lane);
    *ret = NULL;
    if (!state_map_get(state, state_key_text(&key), &value))
        return 0;
    struct recorder_lane *loaded = calloc(1, sizeof(*loaded));
    if (!loaded)
        return -ENOMEM;
    if (!recorder_mark_decode(value, position, &loaded->now))
        loaded->now = (struct recorder_mark) { .due = RECORDER_WINDOWS_NONE };
    *ret = loaded;
    return 0;
}
