#include "collector/origin.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/losses.h"
#include "collector/slots.h"
#include "collector/spans.h"
#include "collector/recorder.h"
#include "common/base/diag.h"
#include "common/model/pack.h"
#include "common/model/template.h"

/* The slot whose process made the lane's record: a private lane's owner; an overflow lane's by the hello in front. */
static struct slot *slot_of(struct rings *rings, struct lane *lane) {
    struct collector_ring *ring = lane->ring;
    if (!lane->overflow) {
        if (lane->state.slot >= ring->ring.slot_count)
            return NULL;
        struct slot *slot = &ring->slots[lane->state.slot];
        return slot->known && slot->info.generation == lane->state.generation ? slot : NULL;
    }
    return lane->reader.has_hello ? slots_find(rings, ring, lane->reader.hello.producer_id) : NULL;
}

static struct site *site_load(struct lane *lane, const struct slot *slot, uint32_t number) {
    static struct site_info info; /* 20 KiB; the collector reads rings on one thread */
    uint32_t index = (uint32_t)(slot - lane->ring->slots);
    if (lane->ring->phase == RING_BROKEN || ring_reader_site(&lane->ring->ring, index, number, &info) < 0)
        return NULL;
    size_t length = info.module.length + info.operation.length + info.format.length;
    struct site *site = malloc(sizeof(*site) + length);
    if (!site)
        return NULL;
    char *at = site->bytes;
    struct text *to[] = { &site->module, &site->operation, &site->format };
    const struct text from[] = { info.module, info.operation, info.format };
    for (size_t i = 0; i < 3; i++) {
        if (from[i].length)
            memcpy(at, from[i].data, from[i].length);
        *to[i] = (struct text) { at, from[i].length };
        at += from[i].length;
    }
    site->level = info.level;
    return site;
}

static const struct site *site_of(struct lane *lane, struct slot *slot, uint32_t number) {
    if (!slot || number == 0 || number > SLOT_SITES_MAX)
        return NULL;
    if (!slot->sites)
        slot->sites = calloc(SLOT_SITES_MAX + 1, sizeof(*slot->sites));
    if (!slot->sites)
        return NULL;
    if (!slot->sites[number])
        slot->sites[number] = site_load(lane, slot, number);
    return slot->sites[number];
}

static struct text places_text(const struct entry_argument *places, int count) {
    return (struct text) { (const char *)places, (size_t)count * sizeof(*places) };
}

/* The strings of the call site, and where its arguments stand, in memory that outlives the slot's copy. */
static void apply_site(struct drain *drain, struct lane *lane, struct slot *slot, const struct record_entry *record,
                       struct entry *entry, struct batch *batch) {
    const struct site *site = site_of(lane, slot, record->site);
    struct entry_argument places[TEMPLATE_ARGUMENTS_MAX];
    int count = -1;
    buffer_clear(&drain->text);
    if (!site) {
        buffer_append_format(&drain->text, "(the text of call site %u can no longer be read)", record->site);
    } else {
        if (entry->module.length == 0)
            entry->module = arena_copy(&batch->arena, site->module);
        if (entry->operation.length == 0)
            entry->operation = arena_copy(&batch->arena, site->operation);
        if (template_format_marked(site->format, record->entry.message, &drain->text, places, &count) < 0) {
            buffer_append_string(&drain->text, " (arguments and format do not agree)");
            count = -1;
        }
    }
    if (count >= 0) {
        entry->arguments = (const void *)arena_copy(&batch->arena, places_text(places, count)).data;
        entry->argument_count = (uint8_t)count;
        entry->templated = !batch->arena.failed;
    }
    entry->message = arena_copy(&batch->arena, buffer_text(&drain->text));
    batch->failed |= drain->text.failed;
    drain->text.failed = false;
}

static void put_input_position(struct lane *lane, const struct input_position *position, struct batch *batch) {
    struct state_key key;
    if (state_key_input(&key, lane->ring->uid, position->input, position->key) < 0)
        return; /* longer than the decoder lets through */
    if (position->value.length == 0)
        batch_remove(batch, state_key_text(&key));
    else
        batch_put(batch, state_key_text(&key), position->value);
}

/* Who made the lane's record; the service borrows from slot or hello. */
static struct origin origin_of(const struct lane *lane, const struct slot *slot) {
    const struct record_process_hello *hello = lane->overflow && lane->reader.has_hello ? &lane->reader.hello : NULL;
    if (hello)
        return (struct origin) { .service = hello->service, .pid = hello->pid };
    if (!slot)
        return (struct origin) { .service = TEXT_EMPTY };
    return (struct origin) { .service = slot->info.service, .pid = lane->overflow ? 0 : slot->info.pid };
}

/* The metadata, with the mark of the flight recorder; without it where there is no room. */
static struct text mark_recorded(struct text metadata, struct batch *batch) {
    static const struct text mark = TEXT_INITIALIZER("flight_recorder");
    struct pack_reader reader = { metadata.data, metadata.data + metadata.length };
    struct pack_value map = { .type = PACK_MAP }, there;
    if (metadata.length > 0 &&
        (pack_next(&reader, &map) != 1 || map.type != PACK_MAP || pack_find(metadata, mark, &there)))
        return metadata;
    struct pack_writer writer = { .capacity = metadata.length + mark.length + 16 };
    writer.data = arena_allocate(&batch->arena, writer.capacity);
    if (!writer.data)
        return metadata;
    pack_map(&writer, map.count + 1);
    pack_raw(&writer, (struct text) { reader.at, (size_t)(reader.end - reader.at) });
    pack_text(&writer, mark);
    pack_bool(&writer, true);
    return writer.failed || writer.length > ENTRY_METADATA_BYTES ? metadata
                                                                 : (struct text) { writer.data, writer.length };
}

static void add_entry(struct drain *drain, struct lane *lane, bool recorded, struct batch *batch) {
    const struct record_entry *record = &lane->record.entry;
    struct entry entry = record->entry;
    /* In an overflow lane the hello says all, but for call sites. */
    struct slot *slot = lane->overflow && record->site == 0 ? NULL : slot_of(drain->rings, lane);
    const struct origin origin = origin_of(lane, slot);
    entry.host = text_of(drain->host);
    entry.pid = origin.pid;
    if (entry.service.length == 0)
        entry.service = arena_copy(&batch->arena, origin.service);
    if (record->site != 0)
        apply_site(drain, lane, slot, record, &entry, batch);
    if (record->raw_trace)
        entry.trace_id = arena_hex(&batch->arena, entry.trace_id);
    if (record->raw_span)
        entry.span_id = arena_hex(&batch->arena, entry.span_id);
    if (entry.timestamp_ns == 0)
        entry.timestamp_ns = lane->record.time_ns;
    if (uuid_is_zero(&entry.id))
        uuid_derive(entry.timestamp_ns, lane->ring->ring.ring_id, lane->index, lane->record.position, &entry.id);
    if (crash_is_news(&entry))
        crash_hear(&drain->crash, lane->ring, slot_of(drain->rings, lane), &entry);
    if (recorded)
        entry.metadata = mark_recorded(entry.metadata, batch);
    else if (drain->recorder && entry.level >= LEVEL_ERROR)
        recorder_note_error(drain->recorder, slot_of(drain->rings, lane), lane->record.time_ns, entry.trace_id);
    if (drain->intake)
        drain->intake->user = lane->ring->uid;
    intake_entry(drain->intake, &entry, !recorded, batch);
    drain->entries++;
    if (record->has_position && !recorded)
        put_input_position(lane, &record->position, batch);
}

void origin_add_recorded(struct drain *drain, struct lane *lane, struct batch *batch) {
    add_entry(drain, lane, true, batch);
}

static void describe(struct fold *fold, const struct record_metric_definition *record, struct batch *batch) {
    const struct metric_definition definition = { .kind = (enum metric_kind)record->metric_kind,
                                                  .naming = METRIC_NAMING_APP,
                                                  .name = record->name,
                                                  .unit = record->unit,
                                                  .help = record->help,
                                                  .bounds = record->bounds };
    fold_describe(fold, &definition, batch);
}

void origin_add_record(struct drain *drain, struct lane *lane, struct batch *batch) {
    const struct record *record = &lane->record;
    struct origin origin;
    if (drain->fold)
        drain->fold->user = lane->ring->uid;
    switch (record->kind) {
    case RECORD_ENTRY:
        add_entry(drain, lane, false, batch);
        break;
    case RECORD_SPAN:
        origin = origin_of(lane, slot_of(drain->rings, lane));
        spans_add(drain, &origin, record, batch);
        break;
    case RECORD_HEALTH_REPORT:
        origin = origin_of(lane, slot_of(drain->rings, lane));
        if (drain->health)
            health_add(drain->health, lane->ring->uid, &origin, &record->health_report, record->time_ns, batch);
        break;
    case RECORD_INPUT_POSITION:
        put_input_position(lane, &record->input_position, batch);
        break;
    case RECORD_LOSS_NOTE:
        losses_add_note(drain, &record->loss_note, lane->reader.has_hello ? lane->reader.hello.pid : 0, record->time_ns,
                        batch);
        break;
    case RECORD_METRIC_UPDATE:
        if (drain->fold)
            fold_update(drain->fold, &record->metric_update, record->time_ns, batch);
        break;
    case RECORD_METRIC_DEFINITION:
        if (drain->fold)
            describe(drain->fold, &record->metric_definition, batch);
        break;
    case RECORD_PADDING:
    case RECORD_PROCESS_HELLO:
    case RECORD_PROCESS_GOODBYE:
        break;
    default:
        if (drain->passed_over[(uint8_t)record->kind]++ == 0)
            diag_warn("records of kind %d have no reader yet: they are passed over", (int)record->kind);
    }
}
