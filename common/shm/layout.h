/* layout.h - every struct that lives in shared memory, drawn. Version 2 (version 1 was never released).
 *
 * One ring file for each user id, RUNTIME_DIR/rings/UID:
 *
 *   0            4096             lanes_at                      slots_at          data_at
 *  +------------+----------------+-----------------------------+-----------------+-----------------------------------+
 *  | header     | anonymous      | lane headers, 256 bytes each| slots, 128 KiB  | overflow lanes | private lanes     |
 *  | 4 KiB      | ledger, 4 KiB  | overflow first              | each            | 4 MiB each     | 512 KiB each      |
 *  +------------+----------------+-----------------------------+-----------------+-----------------------------------+
 *
 * A lane is a byte ring with one producer at a time and one consumer (the collector). Positions are 64-bit byte counts
 * that start at LANE_POSITION_START and never go back, also when the lane changes its owner; a record at position p
 * stands at p % size, whole, and its header repeats p (common/model/record.h).
 *
 * The wrap: a lap always ends in a padding record, of RECORD_HEADER_SIZE bytes at least. The producer puts a record where
 * it leaves that room before the lap's end, else behind the padding at the next lap's start; padding and record become
 * visible by one store. So a gap too short for a header (8 or 16 bytes) cannot arise, and the reader needs no rule of
 * its own: what stands at any position below the head is a record with a valid header.
 *
 *   header of a lane     line 0: owner       0 free, or bits 0..15 slot + 1 | 16..47 the slot's generation
 *                                            | 48..61 turn, how often the slot's threads passed the lane on
 *                                            | 62 recorder: the lane overwrites, see below
 *                                            | 63 released by its thread
 *                        line 1: head        the producer's; a release-store here is the commit of all before it
 *                                claimed     the same of a recorder lane: bytes below it are being written, see below
 *                        line 2: tail        the collector's; bytes below it may be overwritten
 *                        line 3: allocated   1 once the lane's data has its pages (fallocate); they stay for good
 *
 * A recorder lane (of the flight recorder) is a private lane that nobody drains: its producer goes on over what is oldest and
 * never looks at the tail. Laps and records are as everywhere, so what stands in the present lap begins at the lap's begin, and
 * in the rest of the one before a record is known by the position in its header. Who copies it reads the head and `claimed`
 * again behind the copy: what is more than a lap below the greater of them may be torn. `claimed` is stored before the first
 * byte of a record is: so that holds also of the one being written, by a producer that was killed in the middle of it, too.
 * The tail says up to where it was stored, or is of no more interest.
 *
 * A slot:
 *
 *   0                                    4 KiB        25 KiB       32 KiB                                     128 KiB
 *  +------------------------------------+------------+------------+------------------------------------------------+
 *  | whose it is, control, ledger, marks| call sites | open spans | metric area: definitions and cells -> <- octaves|
 *  +------------------------------------+------------+------------+------------------------------------------------+
 *
 * Pages: header, ledger and lane headers are allocated when the file is made (a read of a hole in tmpfs takes a page too, and a
 * full tmpfs would be SIGBUS); the first page of a slot before `slots_used` takes it in; the pages of its open spans, and a lane's
 * data, when claimed; those of its call sites as they fill, before one is published; its metric area with the first metric
 * (slot_metrics.h draws what stands there). All of it together stays within ring.size (the header's size_limit): whoever allocates
 * adds to `allocated` before, and leaves what slots that were never claimed will take: no process is shut out by others' lanes.
 *
 *   In a private lane the owner's slot says whose records these are. In an overflow lane each claim is two records, a
 *   PROCESS_HELLO and the record itself, published by one store: it needs no slot to be understood.
 *
 * Who may write which field stands beside it. Nothing read from here is trusted: copied once, checked, then used.
 */
#ifndef TASKFORGE_COMMON_SHM_LAYOUT_H
#define TASKFORGE_COMMON_SHM_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/entry.h"
#include "common/model/histogram.h"

#define RING_MAGIC UINT64_C(0x31474e4952465454) /* "TTFRING1" in little-endian bytes */

enum {
    RING_VERSION = 2,
    RING_HEADER_SIZE = 4096,
    RING_LANE_HEADER_SIZE = 256,
    RING_SLOT_SIZE = 128 * 1024,
    RING_SLOT_CLAIM_SIZE = 32 * 1024, /* of it, all but the metric area, which follows */
    RING_SLOT_SPANS_AT = 24 * 1024,   /* of that, the pages of the open spans, with the end of the call sites' texts */
    RING_SLOT_METRICS_SIZE = RING_SLOT_SIZE - RING_SLOT_CLAIM_SIZE,
    RING_LANE_SIZE = 512 * 1024,      /* a power of two */
    RING_OVERFLOW_SIZE = 4096 * 1024, /* a power of two */
    RING_SIZE_MIN = 8192 * 1024,
    RING_SLOTS_MIN = 16,
    RING_SLOTS_MAX = 1024,
    RING_OVERFLOW_MAX = 4, /* lanes */
    RING_LANES_MAX = 4096,
    RING_LOCK_OFFSET =
        0, /* the record lock of slot i is byte RING_LOCK_OFFSET + i of the file: locks need no bytes of their own */
    LANE_POSITION_START = 4096,
    LANE_LARGE_SHARE = 8, /* a record larger than an eighth of a private lane goes to an overflow lane */
};
#define RING_SIZE_MAX (UINT64_C(16) << 30)
#define RING_SIZE_DEFAULT (UINT64_C(64) << 20)

/* Why an entry was lost. Names (loss_reason_name) stand in the store, in tfctl losses and on /metrics. */
enum loss_reason {
    LOSS_LANE_FULL,  /* the thread's lane had no room for this level */
    LOSS_LANES_BUSY, /* no private lane, and every overflow lane was busy or full */
    LOSS_NO_RING,    /* no ring to write to: no runtime directory, no space, no permission */
    LOSS_INPUT,      /* an input had to let it go (a datagram that found no room) */
    LOSS_QUOTA,      /* the process had its share of the overflow lanes already */
    LOSS_RATE,       /* chosen: its call site's rate limit */
    LOSS_REPEAT,     /* chosen: the same statement with the same arguments a moment ago */
    LOSS_SAMPLED,    /* chosen: its trace is not of the share that is kept */
    LOSS_REASON_COUNT,
};

struct loss_cell {
    _Atomic uint64_t count;    /* producers add; only ever grows */
    _Atomic uint64_t first_ns; /* producers set it when it is 0; the collector sets it back to 0 when it has told */
    _Atomic uint64_t last_ns;
};

struct loss_ledger {
    struct loss_cell cells[LOSS_REASON_COUNT][LEVEL_COUNT];
};

struct ring_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size; /* RING_HEADER_SIZE */
    uint8_t ring_id[16];  /* random: lane positions in the store are kept by it */
    uint32_t uid;
    uint32_t slot_count;
    uint32_t overflow_count;
    uint32_t lane_count; /* all lanes: overflow lanes are 0 .. overflow_count - 1, private ones follow */
    uint64_t file_size;
    uint64_t lanes_at;
    uint64_t slots_at;
    uint64_t data_at;
    uint64_t created_ns;
    uint32_t slot_size;          /* RING_SLOT_SIZE */
    uint32_t lane_size;          /* RING_LANE_SIZE */
    uint32_t overflow_size;      /* RING_OVERFLOW_SIZE */
    _Atomic uint32_t slots_used; /* slots that were ever claimed, the first ones: nobody looks at others. Only grows */
    uint64_t size_limit;         /* bytes of pages that may be allocated */
    _Atomic uint64_t
        allocated; /* bytes of pages that were; whoever allocates adds before, and takes it back on failure */
    _Atomic uint64_t
        tick_rate; /* calibration of the time stamp counter: nanoseconds << 32 a tick; 0: nobody has looked yet, 1: not
                                   to be used (not invariant), 2: it may be used, nobody has measured it yet. Any client writes what it measured; each checks what it reads */
    uint32_t reserved_2[4];
    _Alignas(64) _Atomic uint64_t
        attach; /* times a slot was claimed << 1 | retired; compare-and-swap by clients and collector */
};
static_assert(sizeof(struct ring_header) <= RING_HEADER_SIZE, "the ring header fits its page");

struct lane_header {
    _Alignas(64) _Atomic uint64_t
        owner; /* claimed by compare-and-swap from 0; freed by the collector (private), by its holder (overflow) */
    _Alignas(64) _Atomic uint64_t head; /* the owner */
    _Atomic uint64_t claimed; /* the owner of a recorder lane; as an earlier one left it until the first record */
    _Alignas(64) _Atomic uint64_t tail;      /* the collector */
    _Alignas(64) _Atomic uint64_t allocated; /* set by the owner that allocated the data; never back to 0 */
    uint64_t reserved[7];
};
static_assert(sizeof(struct lane_header) == RING_LANE_HEADER_SIZE, "drawn above");

/* The owner word. The turn makes two turns of one slot differ: the collector's compare-and-swap from a drained, released
 * lane to the pool cannot hit a lane that was taken up, written and released again meanwhile. */
#define LANE_OWNER_RELEASED (UINT64_C(1) << 63)
#define LANE_OWNER_RECORDER (UINT64_C(1) << 62)
#define LANE_OWNER_FLAGS (LANE_OWNER_RELEASED | LANE_OWNER_RECORDER)
#define LANE_OWNER_TURN (UINT64_C(1) << 48)

static inline uint64_t lane_owner(uint32_t slot, uint32_t generation) { /* turn 0, not released */
    return ((uint64_t)slot + 1) | (uint64_t)generation << 16;
}
static inline uint32_t lane_owner_slot(uint64_t owner) { /* RING_SLOTS_MAX when free or no possible slot */
    uint64_t number = owner & 0xffff;
    return number == 0 || number > RING_SLOTS_MAX ? (uint32_t)RING_SLOTS_MAX : (uint32_t)number - 1;
}
static inline uint32_t lane_owner_generation(uint64_t owner) {
    return (uint32_t)(owner >> 16);
}
static inline uint64_t lane_owner_identity(uint64_t owner) { /* slot and generation alone */
    return owner & (LANE_OWNER_TURN - 1);
}
static inline uint64_t lane_owner_next_turn(uint64_t owner) { /* the released lane, taken up again; the turn wraps */
    return lane_owner_identity(owner) | ((owner + LANE_OWNER_TURN) & ~(LANE_OWNER_TURN - 1) & ~LANE_OWNER_FLAGS) |
           (owner & LANE_OWNER_RECORDER);
}

enum slot_state { SLOT_FREE = 0, SLOT_ACTIVE = 1, SLOT_CLOSED = 2 /* its process is done with it: drain, then free */ };

enum {
    SLOT_CONTROL_LEVEL_MASK = 0xff, /* entries below this level are of no interest */
    SLOT_CONTROL_REATTACH = 0x100,  /* this ring is retired or set aside: attach anew */
    SLOT_CONTROL_STORE_SHIFT =
        9, /* three bits: entries below this level are not stored. The same level, unless a flight recorder */
    SLOT_CONTROL_STORE_MASK = 0xe00, /* holds lower ones */
    SLOT_CONTROL_SETTINGS_SHIFT =
        16, /* the low byte of the settings' sequence; 0: not told yet. When it changes the library reads */
    SLOT_CONTROL_SETTINGS_MASK = 0xff0000, /* them anew */
    SLOT_SITES_MAX = 256,
    SLOT_SITE_TEXT_SIZE = 20 * 1024,
    SLOT_SPANS_MAX = 48,            /* open spans that are seen from outside; a process may have more */
    SLOT_SPAN_OPERATION_BYTES = 56, /* of the operation's name, cut where it is longer */
};

/* A span that was started and has not ended, by handle of the owner's threads: what the process has in flight. Readers copy it and
 * look at `state` again: an even number other than 0 that stayed the same means that the copy is whole. */
struct slot_span {
    _Atomic uint64_t state; /* 0 free; odd: being written; even: the start, real ns with the lowest bit cleared */
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* zeros: none */
    uint32_t thread;      /* gettid */
    uint8_t reserved[3];
    uint8_t operation_length;
    char operation[SLOT_SPAN_OPERATION_BYTES];
};
static_assert(sizeof(struct slot_span) == 104, "no holes");

/* A call site of the process: where in the slot's site_text its strings stand, one after the other. */
struct slot_site {
    uint32_t text_at; /* offset in site_text */
    uint16_t module_length;
    uint16_t operation_length;
    uint16_t format_length;
    uint16_t reserved;
    uint32_t level;
};

struct ring_slot {
    _Atomic uint64_t state;  /* generation << 8 | enum slot_state */
    uint8_t producer_id[16]; /* random for each claim; what the store keeps the folded losses by */
    uint32_t pid;
    uint8_t min_level;       /* the client's own: entries below it are not written */
    _Atomic uint8_t goodbye; /* 1: its process has come to exit(3): whatever ends it from now on, it ends well */
    uint8_t reserved[2];
    uint64_t start_time;    /* field 22 of /proc/PID/stat */
    uint64_t pid_namespace; /* inode of /proc/self/ns/pid */
    uint64_t claimed_ns;
    uint16_t service_length;
    char service[ENTRY_NAME_BYTES];
    _Alignas(64) _Atomic uint32_t control; /* written by the collector; read by every log call */
    _Alignas(64) struct loss_ledger ledger;
    _Alignas(64) _Atomic uint32_t site_count; /* a release-store here publishes the site */
    uint32_t site_text_used;
    _Alignas(64) _Atomic uint32_t
        metric_count; /* a release-store here publishes a series; 0: the area may have no pages */
    uint32_t metric_reserved;
    _Atomic uint64_t metric_marks;    /* bytes used from the area's begin | chunks taken from its end << 32 */
    _Atomic uint32_t pages;           /* bits of enum slot_pages: what of the slot has its pages; they stay for good */
    _Atomic uint32_t recorder_wanted; /* the process counts up: store what the flight recorder holds of it */
    struct slot_site sites[SLOT_SITES_MAX];
    char site_text[SLOT_SITE_TEXT_SIZE];
    struct slot_span spans[SLOT_SPANS_MAX];
};
enum { RING_SLOT_HEAD_SIZE = 4096 }; /* all that is read of a slot that may be free */
enum slot_pages {
    SLOT_PAGES_CLAIM = 1, /* of the open spans */
    SLOT_PAGES_METRICS = 2,
    SLOT_PAGES_SITES = 1 << 8, /* the first page behind the head; a bit for each that follows up to the open spans' */
};
static_assert(offsetof(struct ring_slot, sites) <= RING_SLOT_HEAD_SIZE, "a slot's head fits its first page");

/* The metric area: series one behind the other from its begin, each a head, its cell and its texts, 8-aligned; chunks from
 * its end, chunk c at RING_SLOT_SIZE - (c + 1) * SLOT_METRIC_CHUNK_SIZE.
 *
 *   series  +------+------+--------+------+--------+------+------+--------+------+------+--------+------+------+--------+---+
 *           | size | kind | naming | name | labels | unit | help | bounds | cell | name | labels | unit | help | bounds | 0 |
 *           | u32  | u8   | u8     | lengths, u16 each                    |      | bytes                                   |
 *           +------+------+--------+------+--------+------+------+--------+------+------+--------+------+------+--------+---+
 */
enum {
    SLOT_METRICS_MAX = 512, /* series by handle of one process */
    SLOT_METRIC_CHUNK_SIZE = HISTOGRAM_BUCKETS * 8,
    SLOT_METRIC_CHUNKS_MAX = RING_SLOT_METRICS_SIZE / SLOT_METRIC_CHUNK_SIZE,
    SLOT_METRIC_COMBINE_SHIFT = 4,
};

struct slot_metric {
    uint32_t size; /* of head, cell and texts; a multiple of 8 */
    uint8_t kind;  /* enum metric_kind */
    uint8_t naming; /* enum metric_naming, and << SLOT_METRIC_COMBINE_SHIFT enum metric_combine: 0 in older libraries */
    uint16_t name_length, labels_length, unit_length, help_length, bounds_length;
};
static_assert(sizeof(struct slot_metric) == 16, "as drawn");

/* Cells: whoever has the handle adds, any thread; the collector reads. Those of counters are one u64, the total. */
struct slot_gauge_cell {
    _Atomic uint64_t set_ns; /* real; 0: never set. Stored last and read first: the value is at least as new as it */
    _Atomic uint64_t bits;   /* of a double */
};
struct slot_histogram_cell { /* also of timers, in seconds */
    _Atomic uint64_t sum_bits;
    _Atomic uint64_t zero;
    _Atomic uint16_t octaves[HISTOGRAM_OCTAVES]; /* chunk + 1, or 0: nothing was observed there yet */
};

static inline uint64_t slot_state_word(uint32_t generation, enum slot_state state) {
    return (uint64_t)generation << 8 | state;
}

static_assert(sizeof(struct ring_slot) <= RING_SLOT_CLAIM_SIZE, "the metric area begins behind it");
static_assert(offsetof(struct ring_slot, spans) >= RING_SLOT_SPANS_AT, "a claim allocates all of them");
static_assert(RING_SLOT_CLAIM_SIZE % 4096 == 0, "the metric area has pages of its own");

/* The control word of a slot whose client writes nothing below min_level, under a threshold and a flight recorder for these levels (a
 * bit each), with the settings of that sequence. */
static inline uint32_t slot_control_compose(uint32_t level, uint32_t min_level, uint32_t recorder_levels,
                                            uint64_t sequence) {
    uint32_t store = level > min_level ? level : min_level, lowest = store;
    for (uint32_t recorded = min_level; recorded < store; recorded++)
        if (recorder_levels >> recorded & 1) {
            lowest = recorded;
            break;
        }
    return lowest | store << SLOT_CONTROL_STORE_SHIFT | (uint32_t)(sequence & 0xff) << SLOT_CONTROL_SETTINGS_SHIFT;
}

/* RUNTIME_DIR/settings: what the collector tells the library; rewritten whole (new file, rename) when the configuration
 * changes. A client reads it when it attaches, and again when SLOT_CONTROL_SETTINGS_MASK of its slot's control word is
 * neither 0 nor what it has read; without it the defaults hold. Later versions only append fields: an older reader takes
 * the beginning it knows, a newer one the defaults for what an older writer left out. */
#define SETTINGS_MAGIC UINT64_C(0x3154455346545454)
enum {
    SETTINGS_VERSION = 1,
    SETTINGS_SIZE_FIRST = 48, /* of the first releases: up to and with `reserved` */
    SETTINGS_REDACT_KEYS_MAX = 64,
    SETTINGS_REDACT_KEY_BYTES = 100,
    SETTINGS_REDACT_KEY_SIZE = 104,                    /* with a NUL, and whole words */
    SETTINGS_RECORDER_LEVELS = (1 << LEVEL_ERROR) - 1, /* what a flight recorder may hold back: trace to warn */
};
#define SETTINGS_SAMPLING_ALL UINT32_MAX                /* a share of 1 */
#define SETTINGS_RECORDER_KEEP_MIN UINT64_C(1000000000) /* 1 s */
#define SETTINGS_RECORDER_KEEP_MAX (UINT64_C(3600) * SETTINGS_RECORDER_KEEP_MIN)
struct shared_settings {
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* sizeof(struct shared_settings) when written */
    uint64_t ring_size;
    uint32_t level; /* the threshold new slots start with */
    uint32_t reserved[5];
    uint64_t sequence;              /* another one with each change; its low byte is never 0, unless all of it is */
    uint64_t recorder_keep_ns;      /* how long the flight recorder holds what it holds */
    uint32_t recorder_levels;       /* those it holds, bit 1 << level; 0: there is none */
    uint32_t redact_count;          /* of redact_keys */
    uint32_t sampling[LEVEL_COUNT]; /* kept when a 32-bit hash is below it, or it is SETTINGS_SAMPLING_ALL */
    char redact_keys[SETTINGS_REDACT_KEYS_MAX][SETTINGS_REDACT_KEY_SIZE]; /* UTF-8, not empty, ended with NULs */
};
static_assert(offsetof(struct shared_settings, sequence) == SETTINGS_SIZE_FIRST, "the first releases' beginning");
static_assert(sizeof(struct shared_settings) ==
                  SETTINGS_SIZE_FIRST + 24 + 4 * LEVEL_COUNT + SETTINGS_REDACT_KEYS_MAX * SETTINGS_REDACT_KEY_SIZE,
              "no gaps: it is compared by bytes");

#endif
