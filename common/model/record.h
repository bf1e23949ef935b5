/* record.h - the one encoding of everything that travels through the ring and the spill file.
 *
 * A record is a header, a fixed part for its kind, and bytes. All integers little-endian, every record a multiple
 * of 8 bytes long, and begins on one:
 *
 *    0        4      5       6       7        8              16              24
 *   +--------+------+-------+-------+--------+--------------+---------------+----------------------
 *   | length | kind | flags | level | version| position     | time          | the kind's fixed part, its bytes, zeros
 *   +--------+------+-------+-------+--------+--------------+---------------+----------------------
 *
 *   length    whole record, header and zeros included
 *   position  the lane position of the record's first byte: what proves that these bytes belong to this lap
 *   time      real ns at which the producer made the record (an entry's own timestamp may differ)
 *
 * An entry's fixed part (56 bytes, so its bytes begin at 80):
 *
 *   24 id[16]   40 timestamp u64     48 message u32  52 metadata u32  56 error u32
 *   60 service u16  62 module u16  64 operation u16  66 input_position u16
 *   68 trace u8  69 span u8  70 correlation u8  71 present u8 (1 user, 2 organization; 4 trace, 8 span are raw bytes)
 *   72 reserved u64
 *   80 service module operation trace span correlation user[16] organization[16] message metadata error input_position
 *
 * Where a service is empty, the one of the producer's slot is meant. An id of zeros: whoever takes the record out of its
 * lane derives it (uuid_derive in id.h), so that it is the same whoever does.
 *
 * A call of a registered call site, which says level, module, operation and format; an entry like any other once it was
 * decoded, with its id derived and the record's time:
 *
 *   24 site u32  28 arguments u32  32 metadata u32  36 present u8 (as above; 4: trace, 8: span are raw bytes)
 *   37 trace u8  38 span u8  39 correlation u8
 *   40 trace span correlation user[16] organization[16] arguments (template.h) metadata
 *
 * A span that has ended (the record's time is its end):
 *
 *   24 trace[16]  40 span[8]  48 parent[8] (zeros: none)  56 start u64  64 metadata u32  68 service u16  70 operation u16
 *   72 status u16  74 flags u8 (1: failed)  75 reserved u8  76 thread u32
 *   80 service operation status metadata
 *
 * Every other kind is a msgpack array behind the header (record.c draws each). Version 1.
 * Decoding trusts nothing: every length is checked against the bytes that are there.
 */
#ifndef TASKFORGE_COMMON_MODEL_RECORD_H
#define TASKFORGE_COMMON_MODEL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/entry.h"

enum {
    RECORD_VERSION = 1,
    RECORD_ALIGN = 8,
    RECORD_HEADER_SIZE = 24,
    RECORD_ENTRY_FIXED_END = 80,
    RECORD_CALL_FIXED_END = 40,
    RECORD_SPAN_FIXED_END = 80,
    RECORD_SPAN_STATUS_BYTES = 1024,
    RECORD_INPUT_POSITION_MAX = 1024, /* bytes of one packed input position */
    RECORD_SIZE_MAX = 256 * 1024,     /* no record is larger */
};

enum record_kind {
    RECORD_PADDING = 1, /* to the end of the lane: skip */
    RECORD_ENTRY,
    RECORD_CALL_SITE,
    RECORD_METRIC_DEFINITION,
    RECORD_METRIC_UPDATE,
    RECORD_SPAN,
    RECORD_CALL, /* decoded it is a RECORD_ENTRY with a site */
    RECORD_ALERT_CHANGE,
    RECORD_HEALTH_REPORT,
    RECORD_PROCESS_HELLO,
    RECORD_PROCESS_GOODBYE,
    RECORD_LOSS_NOTE,
    RECORD_INPUT_POSITION,
    RECORD_AUDIT_EVENT,
};

struct record_header {
    uint32_t length;
    uint8_t kind;
    uint8_t flags; /* none yet: 0 */
    uint8_t level; /* entries and audit events; else 0 */
    uint8_t version;
    uint64_t position;
    uint64_t time_ns;
};

/* Where an input has read up to; travels inside the entry it belongs to (committed with it), or alone. */
struct input_position {
    struct text input; /* the input's name, 1..100 bytes */
    struct text key;   /* what inside it: a file's identity, "" for a journal; at most 200 bytes */
    struct text value; /* the input's own: offset, cursor; at most 600 bytes; empty: forget this key */
};

/* What an entry record carries beside the entry. */
struct record_entry {
    struct entry entry; /* host and pid are not encoded; service, module, operation may be empty (see above) */
    uint32_t site; /* 0, or the call site: entry.message is then its packed arguments (template.h), and service, module,
                           operation, error_details and an input position are not there */
    bool raw_trace; /* entry.trace_id is 16 raw bytes, entry.span_id 8 */
    bool raw_span;
    bool has_position;
    struct input_position position;
};

struct record_span { /* its end is the record's time */
    uint8_t trace_id[16], span_id[8], parent_id[8] /* zeros: none */;
    uint64_t start_ns;
    uint32_t thread; /* gettid; 0: not known */
    bool failed;
    struct text service /* empty: the slot's */, operation, status /* why it failed, RECORD_SPAN_STATUS_BYTES */,
        metadata /* packed map */;
};

/* The size that encoding would take (a multiple of 8), so that the span can be claimed first; -E2BIG beyond
 * RECORD_SIZE_MAX or any field's limit. */
int record_entry_size(const struct record_entry *record, uint32_t *ret_size);

/* Encode into exactly `size` bytes as record_entry_size said, straight into the claimed span. Never fails on
 * what record_entry_size accepted. */
void record_entry_encode(const struct record_entry *record, uint64_t position, uint64_t time_ns, void *span,
                         uint32_t size);

/* The same for a span; end_ns is the record's time. */
int record_span_size(const struct record_span *span, uint32_t *ret_size);
void record_span_encode(const struct record_span *span, uint64_t position, uint64_t end_ns, void *room, uint32_t size);

/* How an entry and a call lie in their records, for who writes one straight into its lane. */
struct record_entry_fixed {
    struct uuid id;
    uint64_t timestamp_ns;
    uint32_t message, metadata, error;
    uint16_t service, module, operation, input_position;
    uint8_t trace, span, correlation, present;
    uint64_t reserved;
};
struct record_call_fixed {
    uint32_t site, arguments, metadata;
    uint8_t present, trace, span, correlation;
};
enum { RECORD_HAS_USER = 1, RECORD_HAS_ORGANIZATION = 2, RECORD_RAW_TRACE = 4, RECORD_RAW_SPAN = 8 };

/* --- the other kinds; each struct is one kind, texts are borrowed --- */

struct record_call_site {
    uint32_t site;
    enum level level;
    struct text module, operation, format, argument_types;
};
struct record_metric_definition { /* of a name, whatever its labels, for updates by name */
    uint32_t metric; /* 0 */
    uint8_t metric_kind;
    struct text name, unit, help, labels /* packed map */, bounds /* packed array */;
};
struct record_metric_update { /* by name; updates by handle are cells of the slot (common/shm/slot_metrics.h) */
    uint8_t
        metric_kind; /* enum metric_kind, metric_naming, metric_operation of metric.h: judged by whoever reads them */
    uint8_t naming;
    uint8_t operation;
    double value; /* timers: seconds */
    struct text name, labels /* packed map, canonical */, unit, help, trace_id;
    uint32_t times; /* what is added counts so often (of samples); 0 is 1, and is not written */
    /* Not in the record: of a reader that knows updates by their bytes (span_reader.known). Known: no text was decoded; hash: 0, 0: none. */
    void *known;
    uint64_t hash[2];
};
struct record_alert_change {
    struct text id, rule_id, status, details /* packed map */;
    uint8_t severity;
};
struct record_health_report {
    struct text name, state, details;
    uint64_t time_to_live_ns;
};
struct record_process_hello {
    struct text service;
    uint8_t producer_id[16];
    uint32_t pid;
    uint64_t start_time;
};
struct record_process_goodbye {
    uint8_t producer_id[16];
};
struct record_loss_note {
    struct text service, reason;
    enum level level;
    uint64_t count, first_ns, last_ns;
};
struct record_audit_event {
    struct text action, actor, target, details /* packed map */;
};

/* One record, decoded: `kind` says which member holds. */
struct record {
    enum record_kind kind;
    uint64_t position;
    uint64_t time_ns;
    union {
        struct record_entry entry;
        struct record_call_site call_site;
        struct record_metric_definition metric_definition;
        struct record_metric_update metric_update;
        struct record_span span;
        struct record_alert_change alert_change;
        struct record_health_report health_report;
        struct record_process_hello process_hello;
        struct record_process_goodbye process_goodbye;
        struct record_loss_note loss_note;
        struct input_position input_position;
        struct record_audit_event audit_event;
    };
};

/* Encode any kind (entries and padding too) into room of `capacity` bytes: the length, or -ENOSPC, -E2BIG, -EINVAL. */
int record_encode(const struct record *record, void *room, size_t capacity);

/* Read the header of what stands at `bytes` (`available` bytes are there, already private to the reader): 0 and
 * *ret, or -EBADMSG when the length is no multiple of 8, below a header, above RECORD_SIZE_MAX (padding: above available), or above `available`,
 * when the kind or version is unknown, or the position is not `expected_position`. */
int record_header_decode(const void *bytes, size_t available, uint64_t expected_position, struct record_header *ret);

/* The trace id alone of an entry or a call whose header was decoded, looked for without judging the rest: false when it has none, or is no
 * such record. *ret_raw: it is 16 raw bytes. */
bool record_trace(const void *bytes, const struct record_header *header, struct text *ret, bool *ret_raw);

/* Of an update by name without a trace id, whose header was decoded, what can be seen without decoding: false for any other. Two of them with the
 * same kind, naming, operation and rest differ in nothing but value, position and time: either both can be decoded or none. */
struct record_update_glance {
    double value;
    uint8_t kind, naming, operation;
    struct text rest; /* name, labels and so on, to the record's end */
};
bool record_update_glance(const void *bytes, const struct record_header *header, struct record_update_glance *ret);

/* Decode one whole record as above; texts borrow from `bytes`. -EBADMSG for anything that does not fit, and then nothing of
 * *ret may be used. An entry's texts may hold any bytes and its fields may break the rules of section 3: the
 * collector passes them through entry_repair. Packed parts were checked with pack_check (bad ones: -EBADMSG). */
int record_decode(const void *bytes, size_t available, uint64_t expected_position, struct record *ret);

#endif
