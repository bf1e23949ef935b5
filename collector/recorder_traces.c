/* recorder_traces.c - see recorder_private.h: the traces that are looked for in all lanes. */
#include <stdlib.h>

#include "collector/recorder_private.h"
#include "common/base/check.h"
#include "common/base/hash.h"

enum { TRACE_BYTES = 16, TRACE_HEX = 2 * TRACE_BYTES };

static uint64_t trace_hash(bool raw, struct text trace) {
    return hash_bytes_seeded(trace.data, trace.length, raw);
}

static bool is_trace(const struct recorder_trace *item, bool raw, struct text trace) {
    return item->raw == raw && item->length == trace.length && memcmp(item->bytes, trace.data, trace.length) == 0;
}

/* The place of a trace in the index: its number + 1 stands there, or 0 where it would go. Half of the places are free. */
static uint16_t *index_at(const struct recorder *recorder, uint64_t hash, bool raw, struct text trace) {
    size_t mask = COUNT_OF(recorder->trace_index) - 1;
    static_assert((COUNT_OF(recorder->trace_index) & (COUNT_OF(recorder->trace_index) - 1)) == 0, "a power of two");
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        const uint16_t *place = &recorder->trace_index[at];
        if (*place == 0 || is_trace(&recorder->traces[*place - 1], raw, trace))
            return (uint16_t *)place;
    }
}

static void index_anew(struct recorder *recorder) {
    memset(recorder->trace_index, 0, sizeof(recorder->trace_index));
    for (size_t i = 0; i < recorder->trace_count; i++) {
        const struct recorder_trace *item = &recorder->traces[i];
        struct text trace = { item->bytes, item->length };
        *index_at(recorder, item->hash, item->raw, trace) = (uint16_t)(i + 1);
    }
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Text that bytes would become is the same trace as they. */
static bool is_hex(struct text trace, char out[TRACE_BYTES]) {
    if (trace.length != TRACE_HEX)
        return false;
    for (size_t i = 0; i < TRACE_BYTES; i++) {
        int high = hex_digit(trace.data[2 * i]), low = hex_digit(trace.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (char)(high << 4 | low);
    }
    return true;
}

const struct recorder_trace *recorder_find_trace(const struct recorder *recorder, bool raw, struct text trace) {
    char bytes[TRACE_BYTES];
    if (recorder->trace_count == 0)
        return NULL;
    if (!raw && is_hex(trace, bytes)) {
        trace = (struct text) { bytes, TRACE_BYTES };
        raw = true;
    }
    uint16_t place = *index_at(recorder, trace_hash(raw, trace), raw, trace);
    return place == 0 ? NULL : &recorder->traces[place - 1];
}

/* The trace, put into the table if need be; NULL when there is no room. */
static struct recorder_trace *add_trace(struct recorder *recorder, bool raw, struct text trace) {
    if (!recorder->traces)
        recorder->traces = calloc(RECORDER_TRACES_MAX, sizeof(*recorder->traces));
    if (!recorder->traces || trace.length == 0 || trace.length > ENTRY_TRACE_BYTES)
        return NULL;
    uint64_t hash = trace_hash(raw, trace);
    uint16_t *place = index_at(recorder, hash, raw, trace);
    if (*place == 0) {
        if (recorder->trace_count == RECORDER_TRACES_MAX)
            return NULL;
        struct recorder_trace *added = &recorder->traces[recorder->trace_count];
        *added = (struct recorder_trace) { .hash = hash, .raw = raw, .length = (uint8_t)trace.length };
        memcpy(added->bytes, trace.data, trace.length);
        *place = (uint16_t)++recorder->trace_count;
    }
    return &recorder->traces[*place - 1];
}

void recorder_note_trace(struct recorder *recorder, struct text trace, struct recorder_window window) {
    char bytes[TRACE_BYTES];
    bool raw = is_hex(trace, bytes);
    struct recorder_trace *noted = add_trace(recorder, raw, raw ? (struct text) { bytes, TRACE_BYTES } : trace);
    if (noted)
        recorder_windows_add(&noted->windows, window);
}

/* --- in the state --- */

static void trace_key(struct state_key *key, const struct recorder_trace *trace) {
    const size_t prefix = sizeof(STATE_RECORDER) - 1;
    memcpy(key->bytes, STATE_RECORDER, prefix);
    key->bytes[prefix] = trace->raw ? 'b' : 't';
    memcpy(key->bytes + prefix + 1, trace->bytes, trace->length);
    key->length = prefix + 1 + trace->length;
}

static int load_trace(void *argument, struct text key, struct text value) {
    struct recorder *recorder = argument;
    const size_t prefix = sizeof(STATE_RECORDER) - 1;
    struct recorder_windows windows;
    if (key.length <= prefix + 1 || !recorder_windows_decode(value, &windows))
        return 0;
    struct text bytes = { key.data + prefix + 1, key.length - prefix - 1 };
    struct recorder_trace *trace = add_trace(recorder, key.data[prefix] == 'b', bytes);
    if (trace)
        trace->windows = trace->safe = windows;
    return 0;
}

void recorder_load_traces(struct recorder *recorder, const struct state_map *state) {
    state_map_walk(state, TEXT_LITERAL(STATE_RECORDER), load_trace, recorder);
}

/* Those that are not looked for yet into the state; those that were, out of it. */
void recorder_put_traces(struct recorder *recorder, struct batch *batch) {
    for (size_t i = 0; i < recorder->trace_count; i++) {
        const struct recorder_trace *trace = &recorder->traces[i];
        struct state_key key;
        char value[RECORDER_WINDOWS_SIZE];
        trace_key(&key, trace);
        if (recorder->scanned && trace->safe.count > 0)
            batch_remove(batch, state_key_text(&key));
        else if (!recorder->scanned && !recorder_windows_equal(&trace->windows, &trace->safe))
            batch_put(batch, state_key_text(&key),
                      (struct text) { value, recorder_windows_encode(&trace->windows, value) });
    }
}

void recorder_settle_traces(struct recorder *recorder) {
    if (recorder->scanned)
        recorder->trace_count = 0;
    for (size_t i = 0; i < recorder->trace_count; i++)
        recorder->traces[i].safe = recorder->traces[i].windows;
    if (recorder->scanned)
        index_anew(recorder);
    recorder->scanned = false;
}

/* The batch comes again, and what it noted with it. */
void recorder_discard_traces(struct recorder *recorder) {
    size_t kept = 0;
    for (size_t i = 0; i < recorder->trace_count; i++) {
        recorder->traces[i].windows = recorder->traces[i].safe;
        if (recorder->traces[i].safe.count > 0)
            recorder->traces[kept++] = recorder->traces[i];
    }
    recorder->trace_count = kept;
    recorder->scanned = false;
    index_anew(recorder);
}
