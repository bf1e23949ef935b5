/* read_ring PACKED [EXPECTED] - what stands in a golden ring, as text: by the ring's reader and the decoder of records, then by the
 * collector's own code. With EXPECTED: 1 and the first lines that differ when it is not that.
 *
 * A released format is read for ever: the file of a released format, and what is expected of it, never change again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/pack.h"
#include "common/model/template.h"
#include "common/process/daemon.h"
#include "common/shm/geometry.h"
#include "tests/golden/golden.h"
#include "tests/torture/reader.h"
#include "tests/torture/ring_lib.h"

static struct buffer out;

#define say(...) buffer_append_format(&out, __VA_ARGS__)

static void say_bytes(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        say("%02x", bytes[i]);
}

static void say_packed(const char *name, struct text packed) {
    say(" %s ", name);
    if (packed.length > 0)
        pack_append_json(&out, packed);
    else
        say("-");
}

static unsigned long long ull(uint64_t value) {
    return value;
}

/* --- records, each kind with all it has --- */

static void say_entry(struct ring *ring, uint32_t slot, const struct record_entry *record) {
    static struct site_info site;
    struct buffer message = BUFFER_EMPTY;
    struct entry entry = record->entry;
    if (record->site != 0) {
        require(ring_reader_site(ring, slot, record->site, &site) == 0, "site %u", record->site);
        require(template_format(site.format, entry.message, &message) == 0, "site %u", record->site);
        entry.message = buffer_text(&message);
        say(" site %u%s%s", record->site, record->raw_trace ? " raw trace" : "", record->raw_span ? " raw span" : "");
        if (record->raw_trace)
            entry.trace_id = TEXT_LITERAL("(raw)");
        if (record->raw_span)
            entry.span_id = TEXT_LITERAL("(raw)");
    }
    say(" ");
    entry_append_json(&out, &entry);
    if (record->has_position)
        say(" at %.*s %.*s %.*s", TEXT_FORMAT(record->position.input), TEXT_FORMAT(record->position.key),
            TEXT_FORMAT(record->position.value));
    buffer_finish(&message);
}

static void say_span(const struct record_span *span) {
    say(" ");
    say_bytes(span->trace_id, sizeof(span->trace_id));
    say(" ");
    say_bytes(span->span_id, sizeof(span->span_id));
    say(" ");
    say_bytes(span->parent_id, sizeof(span->parent_id));
    say(" from %llu thread %u %s \"%.*s\" \"%.*s\" \"%.*s\"", ull(span->start_ns), span->thread,
        span->failed ? "failed" : "well", TEXT_FORMAT(span->service), TEXT_FORMAT(span->operation),
        TEXT_FORMAT(span->status));
    say_packed("metadata", span->metadata);
}

static void say_update(const struct record_metric_update *update) {
    say(" kind %u naming %u operation %u %.17g %.*s unit \"%.*s\" help \"%.*s\" trace \"%.*s\"", update->metric_kind,
        update->naming, update->operation, update->value, TEXT_FORMAT(update->name), TEXT_FORMAT(update->unit),
        TEXT_FORMAT(update->help), TEXT_FORMAT(update->trace_id));
    say_packed("labels", update->labels);
}

static void say_hello(const struct record_process_hello *hello) {
    say(" %.*s pid %u start %llu ", TEXT_FORMAT(hello->service), hello->pid, ull(hello->start_time));
    say_bytes(hello->producer_id, sizeof(hello->producer_id));
}

static void say_rest(const struct record *record) {
    switch (record->kind) {
    case RECORD_CALL_SITE:
        say(" site %u level %d %.*s %.*s \"%.*s\" types %.*s", record->call_site.site, record->call_site.level,
            TEXT_FORMAT(record->call_site.module), TEXT_FORMAT(record->call_site.operation),
            TEXT_FORMAT(record->call_site.format), TEXT_FORMAT(record->call_site.argument_types));
        break;
    case RECORD_METRIC_DEFINITION:
        say(" %u kind %u %.*s", record->metric_definition.metric, record->metric_definition.metric_kind,
            TEXT_FORMAT(record->metric_definition.name));
        say_packed("labels", record->metric_definition.labels);
        break;
    case RECORD_ALERT_CHANGE:
        say(" %.*s %.*s %.*s severity %u", TEXT_FORMAT(record->alert_change.id),
            TEXT_FORMAT(record->alert_change.rule_id), TEXT_FORMAT(record->alert_change.status),
            record->alert_change.severity);
        say_packed("details", record->alert_change.details);
        break;
    case RECORD_HEALTH_REPORT:
        say(" %.*s %.*s \"%.*s\" for %llu", TEXT_FORMAT(record->health_report.name),
            TEXT_FORMAT(record->health_report.state), TEXT_FORMAT(record->health_report.details),
            ull(record->health_report.time_to_live_ns));
        break;
    case RECORD_LOSS_NOTE:
        say(" %.*s %.*s level %d count %llu %llu to %llu", TEXT_FORMAT(record->loss_note.service),
            TEXT_FORMAT(record->loss_note.reason), record->loss_note.level, ull(record->loss_note.count),
            ull(record->loss_note.first_ns), ull(record->loss_note.last_ns));
        break;
    case RECORD_INPUT_POSITION:
        say(" %.*s %.*s %.*s", TEXT_FORMAT(record->input_position.input), TEXT_FORMAT(record->input_position.key),
            TEXT_FORMAT(record->input_position.value));
        break;
    case RECORD_AUDIT_EVENT:
        say(" %.*s by %.*s on %.*s", TEXT_FORMAT(record->audit_event.action), TEXT_FORMAT(record->audit_event.actor),
            TEXT_FORMAT(record->audit_event.target));
        say_packed("details", record->audit_event.details);
        break;
    case RECORD_PROCESS_GOODBYE:
        say(" ");
        say_bytes(record->process_goodbye.producer_id, sizeof(record->process_goodbye.producer_id));
        break;
    default:
        break;
    }
}

static void say_record(struct ring *ring, uint32_t slot, const struct record *record) {
    say("  %llu kind %d time %llu", ull(record->position), record->kind, ull(record->time_ns));
    if (record->kind == RECORD_ENTRY || record->kind == RECORD_CALL)
        say_entry(ring, slot, &record->entry);
    else if (record->kind == RECORD_SPAN)
        say_span(&record->span);
    else if (record->kind == RECORD_METRIC_UPDATE)
        say_update(&record->metric_update);
    else
        say_rest(record);
    say("\n");
}

static void say_lane(struct ring *ring, uint32_t lane) {
    struct lane_state state;
    require(ring_reader_lane(ring, lane, &state) == 0, "lane %u", lane);
    if (state.owner == 0 && state.head == state.tail)
        return;
    say("lane %u: slot %u generation %u%s%s, %llu to %llu\n", lane, state.slot, state.generation,
        state.released ? " released" : "", state.recorder ? " recorder" : "", ull(state.tail), ull(state.head));
    char *bytes = malloc(state.head - state.tail + 1);
    require(bytes && ring_reader_copy(ring, lane, state.tail, state.head, bytes) == 0, "lane %u", lane);
    struct span_reader reader = { .bytes = bytes, .position = state.tail, .end = state.head };
    struct record record;
    int result;
    bool greeted = false;
    while ((result = span_reader_next(&reader, &record)) == 1) {
        if (reader.has_hello && !greeted)
            say("  hello");
        if (reader.has_hello && !greeted)
            say_hello(&reader.hello), say("\n");
        greeted = reader.has_hello;
        say_record(ring, state.slot, &record);
    }
    require(result == 0, "lane %u at %llu", lane, ull(reader.position));
    free(bytes);
}

/* --- slots --- */

static void say_losses(struct ring *ring, uint32_t slot) {
    struct loss_counts losses;
    require(ring_reader_losses(ring, slot, &losses) == 0, "losses");
    for (int reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (int level = 0; level < LEVEL_COUNT; level++)
            if (losses.cells[reason][level].count > 0)
                say("  lost reason %d level %d: %llu, %llu to %llu\n", reason, level,
                    ull(losses.cells[reason][level].count), ull(losses.cells[reason][level].first_ns),
                    ull(losses.cells[reason][level].last_ns));
}

static void say_cells(struct ring *ring, uint32_t slot) {
    static struct slot_metrics_view view;
    require(ring_reader_metrics(ring, slot, &view) == 0, "metrics");
    for (uint32_t i = 0; i < view.count; i++) {
        struct metric_definition definition;
        struct slot_metric_values values;
        require(slot_metrics_definition(&view, i, &definition) == 0 && slot_metrics_values(&view, i, &values) == 0,
                "cell %u", i);
        say("  cell kind %d %.*s help \"%.*s\"", definition.kind, TEXT_FORMAT(definition.name),
            TEXT_FORMAT(definition.help));
        say_packed("labels", definition.labels);
        say_packed("bounds", definition.bounds);
        if (metric_kind_is_histogram(definition.kind))
            say(" count %llu zero %llu sum %.17g\n", ull(histogram_count(&values.histogram)),
                ull(values.histogram.zero), values.histogram.sum);
        else if (definition.kind == METRIC_COUNTER)
            say(" total %llu\n", ull(values.total));
        else
            say(" value %.17g at %llu\n", values.value, ull(values.set_ns));
    }
    slot_metrics_view_finish(&view);
}

static void say_open_spans(const struct ring_slot *slot) {
    for (unsigned i = 0; i < SLOT_SPANS_MAX; i++) {
        const struct slot_span *span = &slot->spans[i];
        if (atomic_load(&span->state) == 0)
            continue;
        say("  open span %u from %llu thread %u \"%.*s\" ", i, ull(atomic_load(&span->state)), span->thread,
            span->operation_length, span->operation);
        say_bytes(span->trace_id, sizeof(span->trace_id));
        say(" ");
        say_bytes(span->span_id, sizeof(span->span_id));
        say(" ");
        say_bytes(span->parent_id, sizeof(span->parent_id));
        say("\n");
    }
}

static void say_slot(struct ring *ring, uint32_t number) {
    static struct site_info site;
    struct slot_info slot;
    require(ring_reader_slot(ring, number, &slot) == 0, "slot %u", number);
    say("slot %u: state %d generation %u ", number, slot.state, slot.generation);
    say_bytes(slot.producer_id, sizeof(slot.producer_id));
    say(" pid %u start %llu claimed %llu from level %d \"%.*s\"\n", slot.pid, ull(slot.start_time),
        ull(slot.claimed_ns), slot.min_level, TEXT_FORMAT(slot.service));
    for (uint32_t i = 1; ring_reader_site(ring, number, i, &site) == 0; i++)
        say("  site %u level %d %.*s %.*s \"%.*s\"\n", i, site.level, TEXT_FORMAT(site.module),
            TEXT_FORMAT(site.operation), TEXT_FORMAT(site.format));
    say_losses(ring, number);
    say_cells(ring, number);
    say_open_spans(ring_slot_at(ring, number));
}

static void say_ring(struct ring *ring) {
    say("ring ");
    say_bytes(ring->ring_id, sizeof(ring->ring_id));
    say(": %u slots, %u of them used, %u lanes, %u of them overflow\n", ring->slot_count, ring_reader_slots_used(ring),
        ring->lane_count, ring->overflow_count);
    say("without a slot:\n");
    say_losses(ring, RING_SLOTS_MAX);
    for (uint32_t slot = 0; slot < ring_reader_slots_used(ring); slot++)
        say_slot(ring, slot);
    for (uint32_t lane = 0; lane < ring->lane_count; lane++)
        say_lane(ring, lane);
}

/* --- what the collector makes of it --- */

static bool is_told(const struct entry *entry) {
    static const char *const reasons[] = { "lane_full", "lanes_busy", "input" };
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        if (text_is(entry->service, "taskforge") && text_is(entry->operation, reasons[i]))
            return true;
    return false;
}

static bool is_golden(struct text name) {
    return name.length >= 6 && memcmp(name.data, "golden", 6) == 0;
}

/* Entries of the processes themselves, and what was lost in earnest. The collector's other words may change with it. */
static void see(void *argument, const struct entry *given) {
    struct entry entry = *given;
    (void)argument;
    if (is_told(&entry)) {
        say("%.*s\n", TEXT_FORMAT(entry.message));
    } else if (is_golden(entry.service) && is_golden(entry.module)) {
        entry.host = TEXT_LITERAL("host");
        entry_append_json(&out, &entry);
        say("\n");
    }
}

static int compare_lines(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void say_series(const struct reader *reader) {
    char *lines[64];
    size_t count = 0;
    SERIES_FOR_EACH(&reader->fold.table, series) {
        const struct metric_definition *definition = &series->definition;
        if (!is_golden(definition->name))
            continue;
        struct buffer line = BUFFER_EMPTY;
        buffer_append_format(&line, "series kind %d %.*s ", definition->kind, TEXT_FORMAT(definition->name));
        if (definition->labels.length > 0)
            pack_append_json(&line, definition->labels);
        if (metric_kind_is_histogram(definition->kind))
            buffer_append_format(&line, " count %llu sum %.17g", ull(histogram_count(series->safe.histogram)),
                                 series->safe.histogram->sum);
        else
            buffer_append_format(&line, " %.17g", series->safe.value);
        buffer_append_char(&line, '\0');
        require(count < COUNT_OF(lines) && !line.failed, "too many series");
        lines[count++] = line.data;
    }
    qsort(lines, count, sizeof(*lines), compare_lines);
    for (size_t i = 0; i < count; i++) {
        say("%s\n", lines[i]);
        free(lines[i]);
    }
}

static void drain_ring(const char *directory) {
    struct reader reader;
    reader_open(&reader, directory);
    say("drained:\n");
    for (int turn = 0; turn < 4; turn++)
        reader_turn(&reader, true, see, NULL);
    say_series(&reader);
    reader_close(&reader);
}

/* --- the whole --- */

static void open_ring(const char *packed, const char *directory, struct ring *ring) {
    char path[128];
    uint32_t uid = (uint32_t)geteuid();
    struct error error = { "" };
    require(daemon_runtime_dirs(directory, &error) == 0, "%s", error.text);
    snprintf(path, sizeof(path), "%s/rings/%u", directory, uid);
    golden_unpack(packed, path);
    FILE *file = fopen(path, "r+e"); /* who runs the test owns it: that is as it must be, and of every ring */
    require(file && fseek(file, offsetof(struct ring_header, uid), SEEK_SET) == 0 &&
                fwrite(&uid, sizeof(uid), 1, file) == 1 && fclose(file) == 0,
            "%s: %s", path, strerror(errno));
    int rings_fd = open_rings(directory);
    require(ring_reader_open(rings_fd, uid, true, ring, &error) == 0, "%s", error.text);
    close(rings_fd);
}

static int compare(const char *path) {
    FILE *file = fopen(path, "re");
    char line[8192];
    const char *at = out.data;
    require(file, "%s: %s", path, strerror(errno));
    for (unsigned number = 1; fgets(line, sizeof(line), file) || *at; number++) {
        size_t length = strcspn(at, "\n") + 1;
        if (feof(file) || strncmp(line, at, length) != 0 || strlen(line) != length) {
            fprintf(stderr, "%s:%u: expected %sfound    %.*s", path, number, feof(file) ? "no more\n" : line,
                    (int)length, at);
            return 1;
        }
        at += length;
    }
    fclose(file);
    return 0;
}

int main(int argc, char **argv) {
    char directory[64];
    struct ring ring;
    require(argc == 2 || argc == 3, "which file?");
    torture_directory(directory);
    require(map_guard_install(NULL) == 0, "guard");
    open_ring(argv[1], directory, &ring);
    say_ring(&ring);
    ring_finish(&ring);
    drain_ring(directory);
    torture_remove(directory);
    buffer_append_char(&out, '\0');
    require(!out.failed, "out of memory");
    if (argc == 3)
        return compare(argv[2]);
    fputs(out.data, stdout);
    return 0;
}
