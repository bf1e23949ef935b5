/* gate.c - see client_internal.h: sampling by trace, the limits of a statement, the flight recorder's levels. */
#include "agent/client/client_internal.h"

#include "common/base/hash.h"
#include "common/model/pack.h"

/* --- sampling --- */

/* Decided by the trace, so that all of it is kept or left out, in every process; an entry without one is decided by chance. */
static bool is_sampled_out(struct call *call, const struct client_settings *settings,
                           const struct record_entry *record) {
    uint32_t threshold = settings->sampling[record->entry.level];
    if (likely(threshold == SETTINGS_SAMPLING_ALL))
        return false;
    struct text trace = record->entry.trace_id;
    char hex[32];
    if (trace.length == 0)
        return (call->thread && !call->nested ? (uint32_t)(thread_random(call->thread) >> 32)
                                              : (uint32_t)hash_bytes(&record->entry.timestamp_ns, 8)) >= threshold;
    if (record->raw_trace) {
        text_hex(trace.data, 16, hex); /* the same whichever way the id came */
        trace = (struct text) { hex, sizeof(hex) };
    }
    return (uint32_t)(hash_bytes(trace.data, trace.length) >> 32) >= threshold;
}

static enum gate hold(struct tf_client *client, enum loss_reason reason, enum level level) {
    client_count_loss(client, reason, level, 1);
    return GATE_HOLD;
}

/* As one or two more pairs of its metadata, in the room of error details. */
static __attribute__((noinline)) void add_notes(const struct call *call, double share, uint64_t held,
                                                struct text *metadata) {
    struct pack_writer writer = { .data = call->scratch.error_details, .capacity = call->scratch.packed_size };
    struct pack_reader reader = { metadata->data, metadata->data + metadata->length };
    struct pack_value map = { .type = PACK_MAP };
    if (metadata->length > 0 && (pack_next(&reader, &map) != 1 || map.type != PACK_MAP))
        return;
    pack_map(&writer, map.count + (held > 0) + (share > 0));
    if (metadata->length > 0)
        pack_raw(&writer, (struct text) { reader.at, (size_t)(reader.end - reader.at) });
    if (held > 0) {
        pack_text(&writer, TEXT_LITERAL("suppressed"));
        pack_uint(&writer, held);
    }
    if (share > 0) {
        pack_text(&writer, TEXT_LITERAL(ENTRY_SAMPLE_SHARE));
        pack_double(&writer, share);
    }
    if (!writer.failed)
        *metadata = (struct text) { writer.data, writer.length };
}

void gate_tell(const struct call *call, const struct tf_client *client, enum level level, uint64_t held,
               struct text *metadata) {
    const struct client_settings *settings = atomic_load_explicit(&client->settings, memory_order_acquire);
    double share = settings ? settings->shares[level] : 0;
    if (unlikely(held > 0 || share > 0))
        add_notes(call, share, held, metadata);
}

/* --- the limits of a statement; its words are shared by all threads and processes' plugins: compare-and-swap only --- */

/* A bucket in one word (GCRA, of ITU-T I.371): the time up to which what was written is paid for. */
static bool is_over_rate(const struct tf_client *client, struct tf_site_ *site, uint64_t now_ns) {
    uint64_t cost = CLOCK_SECOND / client->site_rate,
             burst = (client->site_burst ? client->site_burst : client->site_rate);
    uint64_t paid = __atomic_load_n(&site->tokens, __ATOMIC_RELAXED), next;
    do {
        uint64_t from = paid > now_ns && paid - now_ns < 2 * burst * cost ? paid : now_ns; /* or the clock went back */
        next = from + cost;
        if (next > now_ns + burst * cost)
            return true;
    } while (!__atomic_compare_exchange_n(&site->tokens, &paid, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return false;
}

/* What makes two entries of a statement the same. */
static uint64_t repeat_hash(const struct record_entry *record) {
    uint64_t hash = hash_bytes_seeded(record->entry.message.data ? record->entry.message.data : "",
                                      record->entry.message.length, record->entry.level + 1);
    return hash_bytes_seeded(record->entry.metadata.data ? record->entry.metadata.data : "",
                             record->entry.metadata.length, hash);
}

/* Whether the statement wrote the same a moment ago. Threads that race may let one more through, and never hold back what is new: the time
 * is stored behind its hash and read before it, so a new time never comes with an old hash. */
static bool is_repeat(const struct tf_client *client, const struct tf_site_ *site, uint64_t hash, uint64_t now_ns) {
    uint64_t since = __atomic_load_n(&site->repeat[1], __ATOMIC_ACQUIRE);
    uint64_t last = __atomic_load_n(&site->repeat[0], __ATOMIC_RELAXED);
    return last == hash && now_ns >= since && now_ns - since < client->repeat_ns;
}

static void repeat_remember(struct tf_site_ *site, uint64_t hash, uint64_t now_ns) {
    __atomic_store_n(&site->repeat[0], hash, __ATOMIC_RELAXED);
    __atomic_store_n(&site->repeat[1], now_ns, __ATOMIC_RELEASE);
}

/* Counted in the ledger, as all that is not written is, and with the statement, whose next entry tells of it. */
static enum gate hold_statement(struct tf_client *client, struct tf_site_ *site, enum loss_reason reason,
                                enum level level) {
    __atomic_fetch_add(&site->repeat[2], 1, __ATOMIC_RELAXED);
    return hold(client, reason, level);
}

uint64_t gate_take_held(struct tf_site_ *site) {
    if (site->size < sizeof(*site) || __atomic_load_n(&site->repeat[2], __ATOMIC_RELAXED) == 0)
        return 0;
    return __atomic_exchange_n(&site->repeat[2], 0, __ATOMIC_RELAXED);
}

void gate_give_held(struct tf_site_ *site, uint64_t count) {
    if (count > 0)
        __atomic_fetch_add(&site->repeat[2], count, __ATOMIC_RELAXED);
}

static enum gate limit(struct tf_client *client, struct tf_site_ *site, const struct record_entry *record,
                       uint64_t now_ns) {
    enum level level = record->entry.level;
    uint64_t hash = client->repeat_ns > 0 ? repeat_hash(record) : 0;
    if (client->repeat_ns > 0 && is_repeat(client, site, hash, now_ns))
        return hold_statement(client, site, LOSS_REPEAT, level);
    if (client->site_rate > 0 && is_over_rate(client, site, now_ns))
        return hold_statement(client, site, LOSS_RATE, level);
    if (client->repeat_ns > 0) /* only what is written: its repeats are told by it */
        repeat_remember(site, hash, now_ns);
    return GATE_WRITE;
}

enum gate gate_judge(struct call *call, struct tf_client *client, struct tf_site_ *site,
                     const struct record_entry *record, uint64_t now_ns) {
    enum level level = record->entry.level;
    const struct client_settings *settings = atomic_load_explicit(&client->settings, memory_order_acquire);
    uint32_t control = __atomic_load_n(client->head.control, __ATOMIC_RELAXED);
    if (settings && settings->recorder_levels >> level & 1)
        return GATE_RECORD;
    if (level < (control & SLOT_CONTROL_STORE_MASK) >> SLOT_CONTROL_STORE_SHIFT)
        return GATE_HOLD; /* only of interest while there is a recorder: as below the threshold ever, not counted */
    if (settings && is_sampled_out(call, settings, record))
        return hold(client, LOSS_SAMPLED, level);
    return site && site->size >= sizeof(*site) ? limit(client, site, record, now_ns) : GATE_WRITE;
}
