/* deliver.c - from a parsed line to a record in the ring. */
#include "agent/inputs/deliver.h"

#include <errno.h>

void deliver_fill(struct parsed *parsed, const struct deliver_names *names, uint64_t now_ns) {
    struct entry *entry = &parsed->entry;
    parsed->seen_ns = now_ns;
    if (names->configured_service.length > 0 && (parsed->service_is_a_tag || entry->service.length == 0))
        entry->service = names->configured_service;
    if (entry->service.length == 0)
        entry->service = names->service;
    if (entry->module.length == 0)
        entry->module = names->module;
    if (entry->operation.length == 0)
        entry->operation = names->operation;
    if (entry->timestamp_ns == 0)
        entry->timestamp_ns = now_ns;
}

bool deliver_is_own(const struct parsed *parsed) {
    return parsed->service_is_a_tag && text_starts_with(parsed->entry.service, TEXT_LITERAL("taskforge-"));
}

void deliver_add_metadata(struct parsed *parsed, struct parse_scratch *scratch, struct text key, struct text value) {
    struct pack_value found;
    struct metadata_builder builder = { .out = &scratch->metadata };
    struct text map = parsed->entry.metadata;
    if (map.length == 0) {
        metadata_begin(&builder, &scratch->metadata);
    } else {
        struct pack_reader reader = { map.data, map.data + map.length };
        if (map.data != scratch->metadata.data || pack_find(map, key, &found) == 1 || pack_next(&reader, &found) != 1)
            return;
        builder.pairs = found.count;
    }
    metadata_add_text(&builder, key, value);
    parsed->entry.metadata = metadata_end(&builder);
}

static void count(struct input *input, unsigned repaired) {
    input->counters.entries++;
    for (unsigned i = 0; i < ENTRY_REPAIR_REASON_COUNT; i++)
        input->counters.repaired[i] += repaired >> i & 1;
}

int deliver(struct input *input, struct parsed *parsed, struct parse_scratch *scratch,
            const struct input_position *position) {
    const struct outlet *outlet = input->context->outlet;
    buffer_clear(&scratch->repair);
    int repaired = entry_repair(&parsed->entry, parsed->repaired, &scratch->repair);
    int result = repaired;
    if (repaired >= 0) {
        struct record_entry record = { .entry = parsed->entry, .has_position = position != NULL };
        if (position)
            record.position = *position;
        result = outlet->write(outlet->context, &record);
    }
    if (result == -EAGAIN) {
        input->counters.held++;
        return -EAGAIN;
    }
    if (result >= 0) {
        count(input, (unsigned)repaired);
        uint64_t time_ns = parsed->entry.timestamp_ns ? parsed->entry.timestamp_ns : clock_real_ns();
        if (time_ns > input->counters.newest_ns)
            input->counters.newest_ns = time_ns;
        input->counters.lag_ns = parsed->seen_ns > time_ns ? parsed->seen_ns - time_ns : 0;
        return 0;
    }
    input->counters.lost++;
    outlet->count_loss(outlet->context, parsed->entry.level, 1);
    return 0;
}
