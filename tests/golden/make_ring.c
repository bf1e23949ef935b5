/* make_ring OUT - a ring of the present format with something of everything in it, as golden_pack puts it. What is random or of this moment is
 * set to what is fixed, so that the same sources make the same file. Its processes are dead: of no pid namespace that anybody sees. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/pack.h"
#include "common/model/template.h"
#include "common/shm/geometry.h"
#include "common/shm/slot_metrics.h"
#include "tests/golden/golden.h"
#include "tests/torture/ring_lib.h"

#define T TEXT_LITERAL
#define TIME UINT64_C(1795457704123456789)

enum { WRAP_ROOM = 3000 /* bytes to the end of a lap: padding comes first */ };

static uint64_t now = TIME; /* of the next record */

/* --- packed parts --- */

static struct text packed_map(const char *key, int64_t value) {
    static char room[8][64];
    static unsigned next;
    struct pack_writer writer = { .data = room[next++ % 8], .capacity = sizeof(room[0]) };
    pack_map(&writer, 1);
    pack_text(&writer, text_of(key));
    pack_int(&writer, value);
    return (struct text) { writer.data, writer.length };
}

static struct text labels_of(const char *name, const char *value) {
    static char room[4][METRIC_LABELS_BYTES];
    static unsigned next;
    struct metric_label label = { text_of(name), text_of(value) };
    struct text labels;
    require(metric_labels_pack(&label, 1, room[next++ % 4], &labels, NULL) == 0, "labels");
    return labels;
}

static struct text arguments_of(const char *format, ...) {
    static char room[4][512];
    static unsigned next;
    struct template_types types;
    va_list arguments;
    char *out = room[next++ % 4];
    va_start(arguments, format);
    require(template_parse(format, &types) == 0, "%s", format);
    int used = template_capture(&types, format, arguments, 256, out, sizeof(room[0]));
    va_end(arguments);
    require(used >= 0, "%s", format);
    return (struct text) { out, (size_t)used };
}

/* --- records --- */

static void put(struct lane_writer *writer, struct record record) {
    char *span = lane_claim(writer, 4096, LEVEL_ERROR, &record.position);
    require(span, "no room");
    record.time_ns = now;
    now += 1000;
    int length = record_encode(&record, span, 4096);
    require(length > 0, "kind %d: %d", record.kind, length);
    lane_commit(writer, (uint32_t)length);
}

static struct record entry(enum level level, struct text message) {
    return (struct record) {
        .kind = RECORD_ENTRY,
        .entry = { .entry = { .timestamp_ns = now,
                              .level = level,
                              .module = T("golden"),
                              .operation = T("write"),
                              .message = message } },
    };
}

static struct record whole_entry(void) {
    struct record record = entry(LEVEL_ERROR, T("every field, with \xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa1"));
    struct entry *all = &record.entry.entry;
    uuid_parse(T("0190163d-8694-739b-aea5-966c26f8ad91"), &all->id);
    uuid_parse(T("11111111-1111-1111-1111-111111111111"), &all->user_id);
    uuid_parse(T("22222222-2222-2222-2222-222222222222"), &all->organization_id);
    all->service = T("golden-other");
    all->trace_id = T("0af7651916cd43dd8448eb211c80319c");
    all->span_id = T("b7ad6b7169203331");
    all->correlation_id = T("order 7");
    all->metadata = packed_map("attempt", 2);
    all->error_details = packed_map("code", -42);
    record.entry.has_position = true;
    record.entry.position = (struct input_position) { .input = T("tail"), .key = T("8:1:77"), .value = T("123456") };
    return record;
}

static struct record call(uint32_t site, struct text arguments) {
    return (struct record) {
        .kind = RECORD_CALL,
        .entry = { .site = site, .entry = { .level = LEVEL_INFO, .message = arguments, .timestamp_ns = now } },
    };
}

static struct record call_in_a_trace(uint32_t site, struct text arguments) {
    struct record record = call(site, arguments);
    record.entry.raw_trace = record.entry.raw_span = true;
    record.entry.entry.trace_id = T("\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c");
    record.entry.entry.span_id = T("\xb7\xad\x6b\x71\x69\x20\x33\x31");
    record.entry.entry.correlation_id = T("order 8");
    record.entry.entry.metadata = packed_map("deferred", 1);
    return record;
}

static struct record span(void) {
    struct record record = { .kind = RECORD_SPAN,
                             .span = { .start_ns = now - 500,
                                       .thread = 4243,
                                       .failed = true,
                                       .operation = T("charge"),
                                       .status = T("refused"),
                                       .metadata = packed_map("rows", 3) } };
    memcpy(record.span.trace_id, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", 16);
    memcpy(record.span.span_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    memcpy(record.span.parent_id, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    return record;
}

static struct record update(enum metric_kind kind, enum metric_operation operation, struct text name, double value) {
    return (struct record) { .kind = RECORD_METRIC_UPDATE,
                             .metric_update = { .metric_kind = (uint8_t)kind,
                                                .operation = (uint8_t)operation,
                                                .value = value,
                                                .name = name,
                                                .labels = labels_of("queue", "mail"),
                                                .unit = T("parts"),
                                                .help = T("what it is"),
                                                .trace_id = T("0af7651916cd43dd8448eb211c80319c") } };
}

static void put_each_kind(struct lane_writer *writer) {
    put(writer, entry(LEVEL_INFO, T("a plain entry")));
    put(writer, whole_entry());
    put(writer, call(1, TEXT_EMPTY));
    put(writer, call(2, arguments_of("%d of %s took %.2f s (%llu, %p)", -3, "mail", 0.25, 1ULL << 40, (void *)0x1234)));
    put(writer, call_in_a_trace(3, arguments_of("%.*s and %5zu", 3, "abcdef", (size_t)7)));
    put(writer, span());
    put(writer, update(METRIC_COUNTER, METRIC_ADD, T("golden_counted"), 2.5));
    put(writer, update(METRIC_GAUGE, METRIC_SET, T("golden_level"), -1.25));
    put(writer, update(METRIC_HISTOGRAM, METRIC_ADD, T("golden_sizes"), 300));
    put(writer, update(METRIC_TIMER, METRIC_ADD, T("golden_times"), 0.125));
    put(writer, (struct record) { .kind = RECORD_CALL_SITE,
                                  .call_site = { .site = 9,
                                                 .level = LEVEL_WARN,
                                                 .module = T("m"),
                                                 .operation = T("o"),
                                                 .format = T("%d"),
                                                 .argument_types = T("i") } });
    put(writer, (struct record) { .kind = RECORD_METRIC_DEFINITION,
                                  .metric_definition = { .metric = 5,
                                                         .metric_kind = METRIC_COUNTER,
                                                         .name = T("golden_defined"),
                                                         .labels = labels_of("a", "b") } });
    put(writer, (struct record) { .kind = RECORD_ALERT_CHANGE,
                                  .alert_change = { .id = T("alert-1"),
                                                    .rule_id = T("disk-full"),
                                                    .status = T("active"),
                                                    .severity = 3,
                                                    .details = packed_map("used", 99) } });
    put(writer, (struct record) { .kind = RECORD_HEALTH_REPORT,
                                  .health_report = { .name = T("database"),
                                                     .state = T("degraded"),
                                                     .details = T("slow"),
                                                     .time_to_live_ns = UINT64_C(60000000000) } });
    put(writer, (struct record) { .kind = RECORD_LOSS_NOTE,
                                  .loss_note = { .service = T("golden"),
                                                 .reason = T("input"),
                                                 .level = LEVEL_WARN,
                                                 .count = 12,
                                                 .first_ns = TIME - 9,
                                                 .last_ns = TIME - 4 } });
    put(writer, (struct record) { .kind = RECORD_INPUT_POSITION,
                                  .input_position = { .input = T("journal"), .key = T("cursor"), .value = T("s=1") } });
    put(writer, (struct record) { .kind = RECORD_AUDIT_EVENT,
                                  .audit_event = { .action = T("acknowledge"),
                                                   .actor = T("uid:1000"),
                                                   .target = T("alert-1"),
                                                   .details = packed_map("seen", 1) } });
    struct record goodbye = { .kind = RECORD_PROCESS_GOODBYE };
    memset(goodbye.process_goodbye.producer_id, 0xa1, sizeof(goodbye.process_goodbye.producer_id));
    put(writer, goodbye);
    for (int i = 0; i < 3; i++)
        put(writer, entry(LEVEL_DEBUG, T("one of three")));
}

static void put_overflow(struct ring *ring, const struct slot_claim *claim) {
    struct lane_writer writer;
    uint32_t lane;
    require(ring_overflow_take(ring, claim, &writer, &lane) == 0, "overflow");
    struct record hello = { .kind = RECORD_PROCESS_HELLO,
                            .process_hello = { .service = T("golden"), .pid = 4242, .start_time = 77 } };
    memset(hello.process_hello.producer_id, 0xa1, sizeof(hello.process_hello.producer_id));
    put(&writer, hello);
    put(&writer, entry(LEVEL_CRITICAL, T("through an overflow lane")));
    ring_overflow_give(ring, lane);
}

/* --- slots --- */

static void put_sites(struct ring *ring, const struct slot_claim *claim) {
    static const struct {
        enum level level;
        const char *module, *operation, *format;
    } sites[] = {
        { LEVEL_INFO, "golden", "deferred", "no argument" },
        { LEVEL_INFO, "golden", "deferred", "%d of %s took %.2f s (%llu, %p)" },
        { LEVEL_INFO, "golden", "traced", "%.*s and %5zu" },
    };
    for (size_t i = 0; i < COUNT_OF(sites); i++)
        require(ring_site_add(ring, claim, sites[i].level, text_of(sites[i].module), text_of(sites[i].operation),
                              text_of(sites[i].format)) == (int)i + 1,
                "site");
}

static void put_cells(struct ring *ring, const struct slot_claim *claim) {
    static const double bounds[] = { 0.1, 1, 10 };
    char room[METRIC_BOUNDS_BYTES];
    struct metric_definition definition = { .name = T("golden_jobs"),
                                            .help = T("jobs"),
                                            .labels = labels_of("queue", "mail") };
    uint32_t place;
    definition.kind = METRIC_COUNTER;
    require(slot_metric_add(ring, claim, &definition, &place) == 0, "counter");
    slot_counter_add(claim->slot, place, 77);
    definition.kind = METRIC_GAUGE;
    definition.name = T("golden_depth");
    require(slot_metric_add(ring, claim, &definition, &place) == 0, "gauge");
    slot_gauge_set(claim->slot, place, -2.5, TIME);
    definition.kind = METRIC_TIMER;
    definition.name = T("golden_work");
    definition.labels = TEXT_EMPTY;
    require(metric_bounds_pack(bounds, 3, room, &definition.bounds, NULL) == 0, "bounds");
    require(slot_metric_add(ring, claim, &definition, &place) == 0, "timer");
    slot_histogram_observe(claim->slot, place, 0);
    for (double value = 0x1p-20; value < 0x1p10; value *= 32)
        slot_histogram_observe(claim->slot, place, value);
}

static void put_span(struct ring_slot *slot, unsigned place) {
    struct slot_span *open = &slot->spans[place];
    memset(open->trace_id, 0x51, sizeof(open->trace_id));
    memset(open->span_id, 0x52, sizeof(open->span_id));
    memset(open->parent_id, place ? 0x53 : 0, sizeof(open->parent_id));
    open->thread = 4243 + place;
    open->operation_length = 6;
    memcpy(open->operation, "charge", 6);
    atomic_store(&open->state, TIME & ~UINT64_C(1));
}

/* What is of this process and this moment. */
static void fix_slot(struct ring_slot *slot, unsigned char id) {
    memset(slot->producer_id, id, sizeof(slot->producer_id));
    slot->pid = 4242;
    slot->start_time = 77;
    slot->pid_namespace = 0;
    slot->claimed_ns = TIME;
}

static void set_position(struct ring *ring, uint32_t lane, uint64_t position) {
    atomic_store(&ring_lane_header(ring, lane)->head, position);
    atomic_store(&ring_lane_header(ring, lane)->tail, position);
}

static void fill(struct ring *ring) {
    struct slot_claim living, closed;
    struct lane_writer writer, recorder, released;
    uint32_t lane, other;
    set_position(ring, ring->overflow_count, 5 * (uint64_t)RING_LANE_SIZE - WRAP_ROOM);
    require(ring_slot_claim(ring, T("golden"), LEVEL_DEBUG, &living) == 0, "slot");
    require(ring_slot_claim(ring, T("golden-closed"), LEVEL_TRACE, &closed) == 0, "slot");
    fix_slot(living.slot, 0xa1);
    fix_slot(closed.slot, 0xb2);
    put_sites(ring, &living);
    put_cells(ring, &living);
    put_span(living.slot, 0);
    put_span(living.slot, 5);
    loss_count(&living.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 12, TIME - 5000);
    loss_count(&living.slot->ledger, LOSS_LANE_FULL, LEVEL_DEBUG, 3, TIME - 4000);
    loss_count(&living.slot->ledger, LOSS_SAMPLED, LEVEL_INFO, 1, TIME - 3000);
    loss_count(ring_anonymous_ledger(ring), LOSS_LANES_BUSY, LEVEL_ERROR, 4, TIME - 2000);
    require(ring_lane_claim(ring, &living, false, &writer, &lane) == 0, "lane");
    put_each_kind(&writer);
    require(ring_lane_claim(ring, &living, true, &recorder, &other) == 0, "recorder lane");
    put(&recorder, entry(LEVEL_TRACE, T("held by the flight recorder")));
    require(ring_lane_claim(ring, &closed, false, &released, &other) == 0, "lane");
    put(&released, entry(LEVEL_WARN, T("of a process that has closed")));
    ring_lane_release(ring, &closed, other);
    put_overflow(ring, &living);
    ring_slot_release(ring, &closed, false);
}

int main(int argc, char **argv) {
    char directory[64];
    struct ring ring;
    struct error error = { "" };
    require(argc == 2, "where to?");
    torture_directory(directory);
    require(ring_attach(directory, RING_SIZE_MIN, &ring, &error) == 0, "%s", error.text);
    fill(&ring);
    for (unsigned i = 0; i < sizeof(ring.header->ring_id); i++)
        ring.header->ring_id[i] = (uint8_t)(0xc0 + i);
    ring.header->created_ns = TIME;
    ring.header->uid = 0;
    golden_pack(ring.map.base, ring.map.size, argv[1]);
    ring_finish(&ring);
    torture_remove(directory);
    return 0;
}
