#include "tests/lib/drain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/model/metric.h"
#include "common/model/pack.h"
#include "common/model/template.h"
#include "common/shm/slot_metrics.h"

static void give_up(const char *what, const char *why) {
    fprintf(stderr, "drain: %s: %s\n", what, why);
    abort();
}

void drain_open(struct drain *drain, const char *runtime_dir) {
    struct error error = { "" };
    *drain = (struct drain) { .entries = 0 };
    if (map_guard_install(&error) < 0)
        give_up("guard", error.text);
    char path[512];
    snprintf(path, sizeof(path), "%s/rings", runtime_dir);
    int rings_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rings_fd < 0)
        give_up(path, strerror(errno));
    if (ring_reader_open(rings_fd, geteuid(), true, &drain->ring, &error) < 0)
        give_up(path, error.text);
    close(rings_fd);
}

void drain_finish(struct drain *drain) {
    buffer_finish(&drain->lines);
    buffer_finish(&drain->metrics);
    buffer_finish(&drain->updates);
    buffer_finish(&drain->cells);
    buffer_finish(&drain->reports);
}

void drain_close(struct drain *drain) {
    ring_finish(&drain->ring);
    drain_finish(drain);
}

/* --- metrics --- */

static const char *const naming_names[METRIC_NAMING_END] = { "app", "prefixed", "verbatim" };
static const char *const operation_names[METRIC_OPERATION_END] = { "add", "set", "exemplar" };

static void append_series(struct buffer *out, struct text name, struct text labels) {
    struct metric_label label;
    const char *comma = "";
    check(metric_labels_check(labels) == 0);
    buffer_append_text(out, name);
    buffer_append_char(out, '{');
    for (size_t at = 0; metric_labels_next(labels, &at, &label); comma = ",")
        buffer_append_format(out, "%s%.*s=\"%.*s\"", comma, TEXT_FORMAT(label.name), TEXT_FORMAT(label.value));
    buffer_append_char(out, '}');
}

static void take_update(struct drain *drain, const struct record_metric_update *update) {
    struct buffer *out = &drain->updates;
    check(metric_kind_is_valid(update->metric_kind) && update->naming < METRIC_NAMING_END &&
          update->operation < METRIC_OPERATION_END && metric_name_check(update->name, NULL) == 0);
    buffer_append_format(out, "%s %s %s ", metric_kind_name((enum metric_kind)update->metric_kind),
                         naming_names[update->naming], operation_names[update->operation]);
    append_series(out, update->name, update->labels);
    buffer_append_format(out, " %.15g", update->value);
    if (update->times > 1)
        buffer_append_format(out, "x%u", update->times);
    buffer_append_format(out, " %.*s\n", TEXT_FORMAT(update->trace_id));
    drain->update_count++;
}

static void take_cells(struct drain *drain, uint32_t slot) {
    static struct slot_metrics_view view;
    struct buffer *out = &drain->cells;
    if (ring_reader_metric_count(&drain->ring, slot) == 0)
        return;
    check(ring_reader_metrics(&drain->ring, slot, &view) == 0);
    for (uint32_t i = 0; i < view.count; i++) {
        struct metric_definition definition;
        struct slot_metric_values values;
        check(slot_metrics_definition(&view, i, &definition) == 0 && slot_metrics_values(&view, i, &values) == 0);
        buffer_append_format(out, "%s %s ", metric_kind_name(definition.kind), naming_names[definition.naming]);
        append_series(out, definition.name, definition.labels);
        if (definition.kind == METRIC_COUNTER)
            buffer_append_format(out, " %llu\n", (unsigned long long)values.total);
        else if (metric_kind_is_histogram(definition.kind))
            buffer_append_format(out, " %llu %.12g\n", (unsigned long long)histogram_count(&values.histogram),
                                 values.histogram.sum);
        else
            buffer_append_format(out, values.set_ns ? " %.15g\n" : " never\n", values.value);
    }
    slot_metrics_view_finish(&view);
}

static void drain_cells(struct drain *drain) {
    struct slot_info info;
    for (uint32_t slot = 0; slot < ring_reader_slots_used(&drain->ring); slot++)
        if (ring_reader_slot(&drain->ring, slot, &info) == 0 && info.state != SLOT_FREE)
            take_cells(drain, slot);
}

/* --- entries --- */

/* The slot's service, and the call site's texts, as the collector puts them in. */
static void complete(struct drain *drain, const struct slot_info *slot, uint32_t slot_index,
                     struct record_entry *record, struct buffer *message) {
    static struct site_info site;
    if (record->entry.service.length == 0)
        record->entry.service = slot->service;
    if (record->site == 0)
        return;
    if (ring_reader_site(&drain->ring, slot_index, record->site, &site) < 0)
        give_up("site", "there is no such call site");
    if (record->entry.module.length == 0)
        record->entry.module = site.module;
    if (record->entry.operation.length == 0)
        record->entry.operation = site.operation;
    if (template_format(site.format, record->entry.message, message) < 0)
        give_up("site", "format and arguments do not agree");
    record->entry.message = buffer_text(message);
    drain->deferred++;
}

/* Ids that the record has as bytes, or leaves to where it stands. */
static void complete_ids(const struct drain *drain, uint32_t lane, uint64_t position, struct record_entry *record,
                         char hex[48]) {
    struct text *trace = &record->entry.trace_id, *span = &record->entry.span_id;
    if (record->raw_trace) {
        text_hex(trace->data, 16, hex);
        *trace = (struct text) { hex, 32 };
    }
    if (record->raw_span) {
        text_hex(span->data, 8, hex + 32);
        *span = (struct text) { hex + 32, 16 };
    }
    if (uuid_is_zero(&record->entry.id))
        uuid_derive(record->entry.timestamp_ns, drain->ring.ring_id, lane, position, &record->entry.id);
}

static void take_entry(struct drain *drain, const struct slot_info *slot, uint32_t slot_index, uint32_t lane,
                       uint64_t position, struct record_entry *record) {
    bool overflow = lane < drain->ring.overflow_count;
    struct buffer message = BUFFER_EMPTY;
    char hex[48];
    complete(drain, slot, slot_index, record, &message);
    complete_ids(drain, lane, position, record, hex);
    entry_append_json(&drain->lines, &record->entry);
    buffer_append_char(&drain->lines, '\n');
    drain->entries++;
    drain->in_overflow += overflow;
    drain->positions += record->has_position;
    buffer_finish(&message);
}

static void append_text(struct buffer *out, const char *key, struct text value) {
    buffer_append_string(out, key);
    json_append_string(out, value);
}

/* {"name":"x","kind":"gauge","naming":2,"operation":1,"value":1.5,"labels":{},"unit":"","help":"","service":"app"} */
static void take_metric(struct drain *drain, struct text service, const struct record_metric_update *update) {
    struct buffer *out = &drain->metrics;
    check(metric_kind_is_valid(update->metric_kind) && metric_labels_check(update->labels) == 0);
    append_text(out, "{\"name\":", update->name);
    append_text(out, ",\"kind\":", text_of(metric_kind_name((enum metric_kind)update->metric_kind)));
    buffer_append_format(out, ",\"naming\":%u,\"operation\":%u,\"value\":", update->naming, update->operation);
    json_append_double(out, update->value);
    buffer_append_string(out, ",\"labels\":");
    if (update->labels.length > 0)
        pack_append_json(out, update->labels);
    else
        buffer_append_string(out, "{}");
    append_text(out, ",\"unit\":", update->unit);
    append_text(out, ",\"help\":", update->help);
    append_text(out, ",\"service\":", service);
    buffer_append_string(out, "}\n");
}

static void drain_lane(struct drain *drain, uint32_t lane, bool take) {
    struct lane_state state;
    if (ring_reader_lane(&drain->ring, lane, &state) < 0)
        give_up("lane", "head and tail make no sense");
    if (state.head == state.tail || state.recorder)
        return;
    bool overflow = lane < drain->ring.overflow_count;
    struct slot_info slot = { 0 };
    if (!overflow && ring_reader_slot(&drain->ring, state.slot, &slot) < 0)
        give_up("slot", "it makes no sense");
    char *bytes = malloc(state.head - state.tail);
    check(bytes && ring_reader_copy(&drain->ring, lane, state.tail, state.head, bytes) == 0);
    struct span_reader reader = { .bytes = bytes, .position = state.tail, .end = state.head };
    struct record record;
    int r;
    while ((r = span_reader_next(&reader, &record)) == 1) {
        if (overflow) {
            check(reader.has_hello);
            slot.service = reader.hello.service;
        }
        if (record.kind == RECORD_ENTRY)
            take_entry(drain, &slot, state.slot, lane, record.position, &record.entry);
        if (record.kind == RECORD_METRIC_UPDATE) {
            take_metric(drain, slot.service, &record.metric_update);
            take_update(drain, &record.metric_update);
        }
        if (record.kind == RECORD_HEALTH_REPORT)
            buffer_append_format(&drain->reports, "%.*s %.*s %llu %.*s\n", TEXT_FORMAT(record.health_report.name),
                                 TEXT_FORMAT(record.health_report.state),
                                 (unsigned long long)record.health_report.time_to_live_ns,
                                 TEXT_FORMAT(record.health_report.details));
        drain->positions += record.kind == RECORD_INPUT_POSITION;
    }
    if (r < 0)
        give_up("record", "it cannot be decoded");
    free(bytes);
    if (take)
        check(ring_reader_set_tail(&drain->ring, lane, state.head) == 0);
}

static void drain_losses(struct drain *drain) {
    for (uint32_t slot = 0; slot <= drain->ring.slot_count; slot++) {
        struct loss_counts counts;
        uint32_t index = slot == drain->ring.slot_count ? (uint32_t)RING_SLOTS_MAX : slot;
        if ((slot >= ring_reader_slots_used(&drain->ring) && slot < drain->ring.slot_count) ||
            ring_reader_losses(&drain->ring, index, &counts) < 0)
            continue;
        for (unsigned reason = 0; reason < LOSS_REASON_COUNT; reason++)
            for (unsigned level = 0; level < LEVEL_COUNT; level++) {
                drain->lost[reason][level] += counts.cells[reason][level].count;
                drain->lost_total += counts.cells[reason][level].count;
            }
    }
}

/* For strstr and the like. */
static void end_text(struct buffer *buffer) {
    buffer_append_char(buffer, '\0');
    check(!buffer->failed);
    buffer->length--;
}

unsigned drain_read(struct drain *drain, bool take) {
    buffer_clear(&drain->lines);
    buffer_clear(&drain->metrics);
    buffer_clear(&drain->updates);
    buffer_clear(&drain->cells);
    buffer_clear(&drain->reports);
    drain->update_count = 0;
    drain->entries = drain->deferred = drain->in_overflow = drain->positions = 0;
    memset(drain->lost, 0, sizeof(drain->lost));
    drain->lost_total = 0;
    for (uint32_t lane = 0; lane < drain->ring.lane_count; lane++)
        drain_lane(drain, lane, take);
    drain_losses(drain);
    drain_cells(drain);
    end_text(&drain->lines);
    end_text(&drain->metrics);
    end_text(&drain->updates);
    end_text(&drain->cells);
    end_text(&drain->reports);
    return drain->entries;
}

unsigned drain_once(const char *runtime_dir, bool take, struct drain *ret) {
    drain_open(ret, runtime_dir);
    unsigned entries = drain_read(ret, take);
    ring_finish(&ret->ring);
    buffer_finish(&ret->metrics);
    return entries;
}

unsigned drain_count(const struct drain *drain, const char *part) {
    unsigned count = 0;
    for (const char *line = drain->lines.data; line && *line;) {
        const char *end = strchr(line, '\n');
        count += memmem(line, (size_t)(end - line), part, strlen(part)) != NULL;
        line = end + 1;
    }
    return count;
}
