/* entry_call.c - the quick way of whole entries: plain ones, of ASCII, with names, ids and message alone. Each string is measured, judged
 * and copied into the lane in one go; whatever else there is goes the ordinary way (log.c), which also says what is wrong. */
#include "agent/client/quick.h"

enum { ENTRY_MOST = 4096, MESSAGE_MOST = 2048 };
static_assert(RECORD_ENTRY_FIXED_END + 2 * ENTRY_NAME_CHARACTERS + ENTRY_NAME_BYTES /* the client's module */ +
                      3 * ENTRY_TRACE_BYTES + MESSAGE_MOST + 32 <=
                  ENTRY_MOST,
              "what is claimed suffices");

typedef uint64_t pair __attribute__((vector_size(16)));

static inline pair load_pair(const char *at) {
    pair value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* Copy `length` bytes, reading none beyond them; returns all of their bits together in the high bit of some byte. */
static inline uint64_t copy_bits(char *to, const char *from, size_t length) {
    uint64_t first = 0, last = 0;
    if (length >= sizeof(pair)) {
        pair bits = load_pair(from + length - sizeof(pair));
        memcpy(to + length - sizeof(pair), &bits, sizeof(pair));
        for (size_t i = 0; i + sizeof(pair) < length; i += sizeof(pair)) {
            pair value = load_pair(from + i);
            memcpy(to + i, &value, sizeof(value));
            bits |= value;
        }
        return bits[0] | bits[1];
    }
    if (length >= 8) {
        memcpy(&first, from, 8);
        memcpy(&last, from + length - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + length - 8, &last, 8);
        return first | last;
    }
    if (length >= 4) {
        memcpy(&first, from, 4);
        memcpy(&last, from + length - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + length - 4, &last, 4);
        return first | last;
    }
    for (size_t i = 0; i < length; i++) {
        to[i] = from[i];
        first |= (uint8_t)from[i];
    }
    return first;
}

/* A string of at most `most` bytes of ASCII behind `at`; its end, or NULL for the ordinary way to judge. */
static inline char *quick_text(char *at, const char *string, size_t most) {
    size_t length = strlen(string);
    if (unlikely(length > most) || unlikely(copy_bits(at, string, length) & UINT64_C(0x8080808080808080)))
        return NULL;
    return at + length;
}

static inline char *quick_optional(char *at, const char *string) {
    return string ? quick_text(at, string, ENTRY_TRACE_BYTES) : at;
}

static inline bool is_plain(const struct tf_entry *entry) {
    return entry->size == sizeof(*entry) && entry->message_length == TF_TO_NUL && entry->timestamp_ns == 0 &&
           entry->field_count == 0 && entry->operation && entry->message && !entry->user_id &&
           !entry->organization_id && !entry->metadata && !entry->error_details;
}

/* The lengths and the ids' kind, as the texts are put down one by one. */
static inline char *quick_texts(const struct tf_client *client, const struct tf_context *context,
                                const struct tf_entry *entry, char *at, struct record_entry_fixed *fixed) {
    char *from = at;
    if (entry->service && !(at = quick_text(at, entry->service, ENTRY_NAME_CHARACTERS)))
        return NULL;
    fixed->service = (uint16_t)(at - from);
    if (unlikely(entry->service && fixed->service == 0))
        return NULL;
    if (fixed->service == client->service.length && memcmp(from, client->service.data, client->service.length) == 0) {
        at = from; /* the slot's is meant */
        fixed->service = 0;
    }
    from = at;
    if (!entry->module) {
        memcpy(at, client->module.data, client->module.length);
        at += client->module.length;
    } else if (!(at = quick_text(at, entry->module, ENTRY_NAME_CHARACTERS))) {
        return NULL;
    }
    fixed->module = (uint16_t)(at - from);
    if (!(at = quick_text(from = at, entry->operation, ENTRY_NAME_CHARACTERS)))
        return NULL;
    fixed->operation = (uint16_t)(at - from);
    if (unlikely(fixed->module == 0 || fixed->operation == 0))
        return NULL;
    from = at;
    if (!entry->trace_id && !entry->span_id && context->has == (TF_HAS_TRACE | TF_HAS_SPAN)) {
        memcpy(at, context->trace_id, sizeof(context->trace_id) + sizeof(context->span_id));
        at += sizeof(context->trace_id) + sizeof(context->span_id);
        fixed->trace = sizeof(context->trace_id);
        fixed->span = sizeof(context->span_id);
        fixed->present = RECORD_RAW_TRACE | RECORD_RAW_SPAN;
    } else if (unlikely(context->has != 0 && !(entry->trace_id && entry->span_id))) {
        return NULL;
    } else {
        if (!(at = quick_optional(at, entry->trace_id)))
            return NULL;
        fixed->trace = (uint8_t)(at - from);
        if (!(at = quick_optional(from = at, entry->span_id)))
            return NULL;
        fixed->span = (uint8_t)(at - from);
    }
    if (unlikely(context->correlation_length > 0 && !entry->correlation_id) ||
        !(at = quick_optional(from = at, entry->correlation_id)))
        return NULL;
    fixed->correlation = (uint8_t)(at - from);
    if (!(at = quick_text(from = at, entry->message, MESSAGE_MOST)))
        return NULL;
    fixed->message = (uint32_t)(at - from);
    return fixed->message > 0 ? at : NULL;
}

static int quick_entry(struct thread *thread, struct tf_client *client, const struct tf_entry *entry) {
    struct thread_lane *lane = quick_lane(thread, client, entry->level);
    const struct tf_context *context = &thread->context;
    if (unlikely(!lane || !is_plain(entry)) || unlikely(context->has & (TF_HAS_USER | TF_HAS_ORGANIZATION)))
        return 1;
    struct lane_writer *writer = &lane->writer;
    char *record = lane_claim_within(writer, ENTRY_MOST, (enum level)entry->level);
    uint64_t time_ns = ticks_now(&thread->ticks);
    if (unlikely(!record || time_ns == 0))
        return 1;
    /* In its place, aligned as all records are: put together elsewhere, its small parts would have to be read back as large ones. */
    struct record_entry_fixed *fixed = (struct record_entry_fixed *)(void *)(record + RECORD_HEADER_SIZE);
    *fixed = (struct record_entry_fixed) { .timestamp_ns = time_ns };
    char *end = quick_texts(client, context, entry, record + RECORD_ENTRY_FIXED_END, fixed);
    if (unlikely(!end))
        return 1;
    put_word(end, 0);
    uint32_t size = (uint32_t)(end - record + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
    put_word(record, header_word(size, RECORD_ENTRY, entry->level));
    put_word(record + 8, writer->head);
    put_word(record + 16, time_ns);
    lane_publish(writer, size);
    return 0;
}

int tf_entry_write(tf_client *given, const struct tf_entry *entry) {
    struct tf_client *client;
    struct thread *thread;
    if (likely(quick_enter(given, entry->level, &client, &thread))) {
        int r = 1;
        if (likely(tf_wants(client, entry->level)))
            r = quick_entry(thread, client, entry);
        call_leave();
        if (likely(r == 0))
            return r;
    }
    return entry_write_ordinarily(given, entry);
}
