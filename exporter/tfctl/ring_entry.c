/* ring_entry.c - see ring_entry.h. */
#include "exporter/tfctl/ring_entry.h"

#include <errno.h>
#include <unistd.h>

#include "common/model/template.h"

int ring_entry_reader_init(struct ring_entry_reader *reader, const struct config_collector *config) {
    char host[ENTRY_HOST_BYTES + 1] = "";
    *reader = (struct ring_entry_reader) { 0 };
    if (gethostname(host, sizeof(host) - 1) < 0 || !host[0]) /* as the collector names it */
        memcpy(host, "localhost", sizeof("localhost"));
    if (!text_utf8_valid(text_of(host)))
        memcpy(host, "unknown", sizeof("unknown"));
    memcpy(reader->host, host, sizeof(host));
    for (size_t i = 0; i < config->redact.patterns.count; i++)
        if (redact_patterns_add(&reader->patterns, text_of(config->redact.patterns.items[i]), NULL) < 0)
            return -ENOMEM; /* they were judged with the configuration */
    for (size_t i = 0; i < config->encrypt.keys.count; i++)
        if (seal_fields_add(&reader->sealed, text_of(config->encrypt.keys.items[i])) < 0)
            return -ENOMEM;
    return 0;
}

void ring_entry_reader_finish(struct ring_entry_reader *reader) {
    redact_patterns_finish(&reader->patterns);
    seal_fields_finish(&reader->sealed);
    seal_parts_finish(&reader->covered);
    buffer_finish(&reader->message);
    buffer_finish(&reader->scratch);
}

struct source { /* whose records a lane holds */
    struct ring *ring;
    uint32_t lane;
    bool overflow;
    bool known; /* slot and info hold */
    uint32_t slot;
    struct slot_info info;
};

/* A private lane's slot, if it is still the owner's. */
static void find_owner(struct source *source, const struct lane_state *state) {
    source->slot = state->slot;
    source->known = state->slot < source->ring->slot_count &&
                    ring_reader_slot(source->ring, state->slot, &source->info) == 0 &&
                    source->info.generation == state->generation;
}

/* An overflow lane's record says by its hello whose it is; the slot is needed for call sites only. */
static void find_producer(struct source *source, const struct record_process_hello *hello) {
    source->known = false;
    for (uint32_t slot = 0; slot < ring_reader_slots_used(source->ring) && !source->known; slot++) {
        source->slot = slot;
        source->known = ring_reader_slot(source->ring, slot, &source->info) == 0 && source->info.state != SLOT_FREE &&
                        memcmp(source->info.producer_id, hello->producer_id, sizeof(hello->producer_id)) == 0;
    }
}

static void apply_site(struct ring_entry_reader *reader, const struct source *source, uint32_t site,
                       struct entry *entry) {
    buffer_clear(&reader->message);
    if (!source->known || ring_reader_site(source->ring, source->slot, site, &reader->site) < 0) {
        buffer_append_format(&reader->message, "(the text of call site %u can no longer be read)", site);
    } else {
        if (entry->module.length == 0)
            entry->module = reader->site.module;
        if (entry->operation.length == 0)
            entry->operation = reader->site.operation;
        if (template_format(reader->site.format, entry->message, &reader->message) < 0)
            buffer_append_string(&reader->message, " (arguments and format do not agree)");
    }
    entry->message = buffer_text(&reader->message);
}

/* Ids that the record has as bytes, or leaves to where it stands. */
static void apply_ids(struct ring_entry_reader *reader, const struct source *source, const struct record *record,
                      struct entry *entry) {
    if (record->entry.raw_trace) {
        text_hex(entry->trace_id.data, sizeof(reader->trace_id) / 2, reader->trace_id);
        entry->trace_id = (struct text) { reader->trace_id, sizeof(reader->trace_id) };
    }
    if (record->entry.raw_span) {
        text_hex(entry->span_id.data, sizeof(reader->span_id) / 2, reader->span_id);
        entry->span_id = (struct text) { reader->span_id, sizeof(reader->span_id) };
    }
    if (uuid_is_zero(&entry->id))
        uuid_derive(entry->timestamp_ns, source->ring->ring_id, source->lane, record->position, &entry->id);
}

static int add(struct ring_entry_reader *reader, struct source *source, const struct span_reader *span,
               const struct record *record, struct entry_copies *out) {
    struct entry entry = record->entry.entry;
    if (source->overflow && span->has_hello) {
        entry.pid = span->hello.pid;
        if (entry.service.length == 0)
            entry.service = span->hello.service;
        if (record->entry.site != 0)
            find_producer(source, &span->hello);
    } else if (source->known) {
        entry.pid = source->info.pid;
        if (entry.service.length == 0)
            entry.service = source->info.service;
    }
    entry.host = text_of(reader->host);
    if (record->entry.site != 0)
        apply_site(reader, source, record->entry.site, &entry);
    if (entry.timestamp_ns == 0)
        entry.timestamp_ns = record->time_ns;
    apply_ids(reader, source, record, &entry);
    buffer_clear(&reader->scratch);
    if (redact_patterns_entry(&reader->patterns, &entry) < 0)
        return -ENOMEM;
    if (reader->message.failed || entry_repair(&entry, 0, &reader->scratch) == -ENOMEM)
        return -ENOMEM;
    if (reader->sealed.keys.count > 0 && seal_fields_cover(&reader->sealed, &entry, &reader->covered) < 0)
        return -ENOMEM;
    return entry_copies_add(out, &entry);
}

int ring_entries_read(struct ring_entry_reader *reader, struct ring *ring, uint32_t lane,
                      const struct lane_state *state, struct span_reader *span, struct entry_copies *out) {
    struct source source = { .ring = ring, .lane = lane, .overflow = lane < ring->overflow_count };
    struct record record;
    int status;
    if (!source.overflow)
        find_owner(&source, state);
    while ((status = span_reader_next(span, &record)) > 0) {
        if (record.kind != RECORD_ENTRY)
            continue;
        status = add(reader, &source, span, &record, out);
        if (status < 0)
            return status;
    }
    return status;
}
