#include "tests/torture/ring_sweep.h"

#include "common/base/check.h"
#include "common/shm/slot_metrics.h"

static uint64_t sweep_span(const char *copy, uint64_t from, uint64_t to) {
    struct span_reader reader = { .bytes = copy, .position = from, .end = to };
    struct record record;
    uint64_t records = 0;
    while (span_reader_next(&reader, &record) == 1) {
        check(reader.position <= to);
        check(++records <= (to - from) / RECORD_HEADER_SIZE);
    }
    return records;
}

/* Whatever its owner says of it. */
static uint64_t sweep_recorder(struct ring *ring, uint32_t lane, uint64_t tail, char *copy) {
    struct recorder_reader reader;
    struct record_header header;
    struct record record;
    const char *bytes;
    uint64_t records = 0;
    if (lane < ring->overflow_count || ring_reader_recorder(ring, lane, tail, copy, &reader) < 0)
        return 0;
    check(reader.position >= tail && reader.position <= reader.end && reader.end - reader.position <= RING_LANE_SIZE);
    while ((bytes = recorder_reader_next(&reader, &header))) {
        struct text trace;
        bool raw;
        check(reader.position <= reader.end && ++records <= RING_LANE_SIZE / RECORD_HEADER_SIZE);
        bool some = record_trace(bytes, &header, &trace, &raw);
        if (record_decode(bytes, header.length, header.position, &record) == 0 && record.kind == RECORD_ENTRY)
            check(record.entry.entry.trace_id.length > 0
                      ? some && raw == record.entry.raw_trace && text_equal(trace, record.entry.entry.trace_id)
                      : !some);
    }
    return records;
}

static uint64_t sweep_lane(struct ring *ring, uint32_t lane, char *copy, bool change) {
    struct lane_state state;
    if (ring_reader_lane(ring, lane, &state) < 0)
        return 0;
    uint64_t size = ring_lane_size(ring, lane), from = state.tail;
    check(state.tail <= state.head && (state.recorder || state.head - state.tail <= size));
    check(state.owner == 0 || state.slot < ring->slot_count);
    sweep_recorder(ring, lane, state.tail, copy);
    if (state.head - state.tail > size)
        from = state.head - size;
    if (ring_reader_copy(ring, lane, from, state.head, copy) < 0)
        return 0;
    uint64_t records = sweep_span(copy, from, state.head);
    if (change) {
        ring_reader_set_tail(ring, lane, state.head);
        if (state.released)
            ring_reader_lane_free(ring, lane, state.owner);
    }
    return records;
}

static void sweep_metrics(struct ring *ring, uint32_t slot) {
    static _Thread_local struct slot_metrics_view view;
    check(ring_reader_metric_count(ring, slot) <= SLOT_METRICS_MAX);
    if (ring_reader_metrics(ring, slot, &view) < 0)
        check(view.count == 0);
    for (uint32_t metric = 0; metric < view.count; metric++) {
        struct metric_definition definition;
        struct slot_metric_values values;
        if (slot_metrics_definition(&view, metric, &definition) == 0)
            check(metric_name_check(definition.name, NULL) == 0);
        if (slot_metrics_values(&view, metric, &values) == 0)
            histogram_count(&values.histogram); /* touches every count */
    }
}

static void sweep_spans(struct ring *ring, uint32_t slot) {
    struct open_span spans[SLOT_SPANS_MAX];
    int count = ring_reader_spans(ring, slot, spans);
    check(count <= SLOT_SPANS_MAX);
    for (int i = 0; i < count; i++)
        check(spans[i].start_ns != 0 && spans[i].start_ns % 2 == 0 &&
              spans[i].operation_length <= sizeof(spans[i].operation));
}

static void sweep_slot(struct ring *ring, uint32_t slot, bool change) {
    static _Thread_local struct site_info site;
    struct slot_info info;
    struct loss_counts losses;
    struct open_span spans[SLOT_SPANS_MAX];
    if (ring_reader_slot(ring, slot, &info) == 0) {
        check(info.service.length <= ENTRY_NAME_BYTES && text_utf8_valid(info.service));
        bool dead = ring_reader_slot_dead(ring, slot, &info);
        if (change && (dead || info.state == SLOT_CLOSED))
            ring_reader_slot_free(ring, slot, info.state_word);
    }
    uint32_t wanted;
    ring_reader_losses(ring, slot, &losses);
    int count = ring_reader_spans(ring, slot, spans);
    check(count <= SLOT_SPANS_MAX);
    for (int i = 0; i < count; i++)
        check(spans[i].operation_length <= sizeof(spans[i].operation) && spans[i].start_ns % 2 == 0);
    ring_reader_recorder_wanted(ring, slot, &wanted);
    sweep_metrics(ring, slot);
    sweep_spans(ring, slot);
    for (uint32_t number = 0; number <= SLOT_SITES_MAX + 1; number++) {
        if (ring_reader_site(ring, slot, number, &site) < 0)
            continue;
        check(site.module.length + site.operation.length + site.format.length <= sizeof(site.bytes));
        check((unsigned)site.level < LEVEL_COUNT);
    }
    if (change) {
        ring_reader_losses_told(ring, slot);
        ring_reader_set_control(ring, slot, LEVEL_INFO);
    }
}

uint64_t ring_sweep_one(struct ring *ring, uint32_t lane, uint32_t slot, char *copy) {
    sweep_slot(ring, slot, false);
    return sweep_lane(ring, lane, copy, false);
}

uint64_t ring_sweep(struct ring *ring, char *copy, bool change) {
    struct loss_counts losses;
    struct error error;
    uint64_t records = 0, words[RING_SLOTS_MAX];
    ring_reader_check(ring, &error);
    check(ring_reader_slot_states(ring, RING_SLOTS_MAX, words) <= ring->slot_count);
    check(ring_reader_room(ring) <= ring->size_limit);
    for (uint32_t lane = 0; lane < ring->lane_count; lane++)
        records += sweep_lane(ring, lane, copy, change);
    check(ring_reader_slots_used(ring) <= ring->slot_count);
    for (uint32_t slot = 0; slot < ring->slot_count; slot++)
        sweep_slot(ring, slot, change);
    ring_reader_losses(ring, RING_SLOTS_MAX, &losses);
    if (change)
        ring_reader_retire(ring, false);
    return records;
}
