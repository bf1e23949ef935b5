/* site_call.c - the calls of the macros (taskforge.h): statements that were registered once write only what differs from call to call.
 *
 * The quick way writes straight into the thread's lane, with the thread's own clock: no lock, no call into the kernel, nothing
 * that is shared but the lane's head. What is out of the ordinary (no lane yet, a lap's end, the gate's business, other formats, a
 * signal handler) goes the ordinary way, which puts the record together first. */
#include "agent/client/client_internal.h"

#include <errno.h>

#include "agent/client/quick.h"
#include "common/model/pack.h"
#include "common/model/template.h"

enum {
    QUICK_RESERVE =
        TEMPLATE_ARGUMENTS_MAX * 8 + 2 * RECORD_ALIGN, /* of them, kept for what is not checked one by one */
};

/* --- the quick way --- */

/* The arguments behind each other as template_capture has them; NULL: no room. Strings leave the reserve alone. */
static inline __attribute__((always_inline)) char *quick_arguments(const char *types, va_list arguments, char *at,
                                                                   const char *end) {
    for (; *types; types++) {
        switch (*types) {
        case 's': {
            const char *string = va_arg(arguments, const char *);
            string = likely(string) ? string : "(null)";
            size_t length = strlen(string);
            if (unlikely(end - at < (ptrdiff_t)(length + sizeof(uint32_t)))) /* `at` may be beyond: in the reserve */
                return NULL;
            uint32_t size = (uint32_t)length;
            memcpy(at, &size, sizeof(size));
            memcpy(at + sizeof(size), string, length);
            at += sizeof(size) + length;
            continue;
        }
        case 'i': {
            int64_t value = va_arg(arguments, int);
            memcpy(at, &value, sizeof(value));
            break;
        }
        case 'd': {
            double value = va_arg(arguments, double);
            memcpy(at, &value, sizeof(value));
            break;
        }
        default: { /* l q z p: all of them 64 bits wide in their own right here */
            static_assert(sizeof(long) == 8 && sizeof(long long) == 8 && sizeof(size_t) == 8 && sizeof(void *) == 8,
                          "one way for all of them");
            int64_t value = va_arg(arguments, long);
            memcpy(at, &value, sizeof(value));
            break;
        }
        }
        at += sizeof(int64_t);
    }
    return at;
}

/* How long the arguments would be. */
static size_t quick_measure(const char *types, va_list arguments) {
    size_t size = 0;
    for (; *types; types++) {
        if (*types == 's') {
            const char *string = va_arg(arguments, const char *);
            size += sizeof(uint32_t) + (string ? strlen(string) : sizeof("(null)") - 1);
        } else if (*types == 'd') {
            (void)va_arg(arguments, double);
            size += sizeof(double);
        } else {
            (void)va_arg(arguments, long); /* an int comes in a register or place of the same size */
            size += sizeof(int64_t);
        }
    }
    return size;
}

/* There is no room for the longest record: for this one neither? Then it is lost here. 1: the ordinary way has to see (it also cuts
 * what is too long for any record). */
static __attribute__((noinline)) int quick_full(struct thread *thread, struct tf_client *client,
                                                const struct tf_context *context, struct thread_lane *lane,
                                                const struct tf_site_ *site, int level, va_list arguments) {
    struct lane_writer *writer = &lane->writer;
    const bool has_ids = context->has == (TF_HAS_TRACE | TF_HAS_SPAN);
    if (client->waits || (!has_ids && context->has != 0) || context->correlation_length > 0)
        return 1;
    uint64_t size = RECORD_CALL_FIXED_END + quick_measure(site->types, arguments);
    if (has_ids)
        size += sizeof(context->trace_id) + sizeof(context->span_id);
    if (size > QUICK_MOST || lane_has_room(writer, writer->head + size, writer->limits[level]))
        return 1;
    return quick_lose(thread, client, level);
}

/* --- one record, word by word: see record.h --- */

/* The last word of a call's fixed part. */
#define IDS_WORD(present, trace, span) ((uint64_t)(present) << 32 | (uint64_t)(trace) << 40 | (uint64_t)(span) << 48)
static_assert(offsetof(struct record_call_fixed, site) == 0 && offsetof(struct record_call_fixed, arguments) == 4 &&
                  offsetof(struct record_call_fixed, metadata) == 8 &&
                  offsetof(struct record_call_fixed, present) == 12 &&
                  offsetof(struct record_call_fixed, trace) == 13 && offsetof(struct record_call_fixed, span) == 14,
              "the call as it is drawn");

/* 0 or -EAGAIN: done. 1: not this way, and nothing has happened. */
static inline __attribute__((always_inline)) int quick_call(struct thread *thread, struct tf_client *client,
                                                            const struct tf_context *context,
                                                            const struct tf_site_ *site, int level, va_list arguments) {
    struct thread_lane *lane = quick_lane(thread, client, level);
    if (unlikely(!lane))
        return 1;
    uint64_t session_id = atomic_load_explicit(&lane->quick_id, memory_order_relaxed);
    uint64_t known = __atomic_load_n(&site->known[session_id % 2], __ATOMIC_ACQUIRE);
    uint32_t number = known & SITE_FORMATTED_HERE;
    if (unlikely(known >> SITE_NUMBER_BITS != session_id) || unlikely(number > SLOT_SITES_MAX) ||
        unlikely(site->types[SITE_COMPLEX]))
        return 1;
    struct lane_writer *writer = &lane->writer;
    char *record = lane_claim_within(writer, QUICK_MOST, (enum level)level);
    if (unlikely(!record))
        return quick_full(thread, client, context, lane, site, level, arguments);
    uint64_t time_ns = ticks_now(&thread->ticks), ids = 0;
    char *at = record + RECORD_CALL_FIXED_END;
    if (likely(context->has == (TF_HAS_TRACE | TF_HAS_SPAN))) {
        static_assert(offsetof(struct tf_context, span_id) == sizeof(context->trace_id), "one copy for both");
        memcpy(at, context->trace_id, sizeof(context->trace_id) + sizeof(context->span_id));
        at += sizeof(context->trace_id) + sizeof(context->span_id);
        ids = IDS_WORD(RECORD_RAW_TRACE | RECORD_RAW_SPAN, sizeof(context->trace_id), sizeof(context->span_id));
    } else if (context->has != 0) {
        return 1;
    }
    if (unlikely(context->correlation_length > 0) || unlikely(time_ns == 0))
        return 1;
    const char *const from = at;
    at = quick_arguments(site->types, arguments, at, record + QUICK_MOST - QUICK_RESERVE);
    if (unlikely(!at))
        return 1;
    put_word(at, 0);
    uint32_t size = (uint32_t)(at - record + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
    put_word(record, header_word(size, RECORD_CALL, level));
    put_word(record + 8, writer->head);
    put_word(record + 16, time_ns);
    put_word(record + 24, number | (uint64_t)(at - from) << 32);
    put_word(record + 32, ids);
    lane_publish(writer, size);
    return 0;
}

/* --- the ordinary way --- */

static int capture(const struct call *call, const struct tf_site_ *site, va_list *arguments) {
    struct template_types types;
    memcpy(types.types, site->types, sizeof(types.types));
    va_list copy;
    va_copy(copy, *arguments);
    size_t room = call->scratch.message_size < ENTRY_MESSAGE_BYTES ? call->scratch.message_size : ENTRY_MESSAGE_BYTES;
    int used = template_capture(&types, site->format, copy, call->scratch.string_max, call->scratch.message, room);
    va_end(copy);
    return used;
}

/* The site's number in the lane's session when the call can be deferred, 0 when not, -EINVAL. */
static int site_number(struct call *call, struct thread_lane *lane, struct tf_site_ *site, int level) {
    uint64_t session_id = atomic_load_explicit(&lane->session_id, memory_order_relaxed);
    uint64_t known = __atomic_load_n(&site->known[session_id % 2], __ATOMIC_ACQUIRE);
    if (likely(known >> SITE_NUMBER_BITS == session_id)) {
        unsigned number = known & SITE_FORMATTED_HERE;
        return likely(number != SITE_FORMATTED_HERE) ? (int)number : 0;
    }
    return session_site(call, lane->session, site, level);
}

/* Where there is no private lane yet, the site is judged all the same: what is refused must not depend on the ring. */
static int site_check(struct call *call, const struct tf_client *client, const struct tf_site_ *site, int level) {
    struct entry specimen = { .level = (enum level)level,
                              .service = client->service,
                              .module = site->module ? text_of(site->module) : client->module,
                              .operation = text_of(site->operation),
                              .message = TEXT_LITERAL("-") };
    return entry_validate(&specimen, call->error);
}

/* A record too large for a private lane goes through one that all share, where it has to be understood without the slot's statements. */
enum { SITE_METADATA_MAX = RING_LANE_SIZE / LANE_LARGE_SHARE - 1024 };
static_assert(RECORD_CALL_FIXED_END + 3 * ENTRY_TRACE_BYTES + 2 * UUID_SIZE + ENTRY_MESSAGE_BYTES <=
                      RING_LANE_SIZE / LANE_LARGE_SHARE &&
                  RECORD_CALL_FIXED_END + 3 * ENTRY_TRACE_BYTES + 2 * UUID_SIZE < 1024,
              "a statement with arguments or with fields goes into a private lane, where there is one");

/* What a call says beside its statement. */
struct site_call {
    struct tf_site_ *site;
    const struct tf_context *context; /* NULL: the thread's */
    int level;
    va_list *arguments; /* of a format; NULL: fields */
    const struct tf_field *fields;
    size_t count;
};

static void compose_here(struct call *call, const struct tf_client *client, const struct site_call *said,
                         struct record_entry *record) {
    const struct tf_site_ *site = said->site;
    record->site = 0;
    record->entry.module = site->module ? text_of(site->module) : client->module;
    record->entry.operation = text_of(site->operation);
    record->entry.message =
        said->arguments ? format_here(&call->scratch, site->format, said->arguments) : text_of(site->format);
    if (record->entry.message.length == 0)
        record->entry.message = TEXT_LITERAL("(empty)");
}

static int site_compose(struct call *call, struct tf_client *client, struct thread_lane *lane,
                        const struct site_call *said, struct record_entry *record) {
    int number;
    if (likely(lane && lane->has_private && !call->nested))
        number = site_number(call, lane, said->site, said->level);
    else
        number = site_check(call, client, said->site, said->level);
    if (unlikely(number < 0))
        return number;
    if (unlikely(record->entry.metadata.length > SITE_METADATA_MAX))
        number = 0;
    context_apply(call->thread, said->context, record);
    int used = number > 0 ? said->arguments ? capture(call, said->site, said->arguments) : 0 : -1;
    if (unlikely(used < 0)) {
        compose_here(call, client, said, record);
        return 0;
    }
    record->site = (uint32_t)number;
    record->entry.module = record->entry.operation = TEXT_EMPTY; /* the site's are meant */
    record->entry.message = (struct text) { call->scratch.message, (size_t)used };
    return 0;
}

static int site_write(struct call *call, struct tf_client *client, const struct site_call *said) {
    if (unlikely(said->level < 0 || said->level >= LEVEL_COUNT))
        return call_refuse(
            call, error_set(call->error, -EINVAL, "level must be 0 to %d, is %d", LEVEL_COUNT - 1, said->level));
    if (unlikely(said->context && !context_is_sound(said->context)))
        return call_refuse(call, error_set(call->error, -EINVAL, CONTEXT_UNSOUND));
    if (unlikely(!call_wants(call, client, said->level)))
        return 0;
    struct record_entry *record = call->scratch.record;
    struct put put = { .entry = record, .level = (enum level)said->level };
    record->entry.level = put.level;
    record->entry.metadata = TEXT_EMPTY;
    if (!said->arguments)
        compose_event_fields(call, client, said->fields, said->count, &record->entry.metadata);
    uint64_t step = 0, deadline = 0, held = 0;
    bool judged = false;
    int r;
    do {
        struct thread_lane *lane = thread_lane_find(call, client);
        if (!judged) { /* the time of the call, however long it waits; a repeat is not judged twice */
            put.time_ns = call_time(call, lane);
            record->entry.timestamp_ns = put.time_ns;
        }
        r = site_compose(call, client, lane, said, record);
        if (likely(r == 0) && !judged) {
            judged = true;
            enum gate gate = gate_judge(call, client, said->site, record, put.time_ns);
            if (gate == GATE_HOLD)
                return 0;
            put.recorder = gate == GATE_RECORD;
            held = gate_take_held(said->site);
            if (gate == GATE_WRITE || held > 0)
                gate_tell(call, client, put.level, held, &record->entry.metadata);
        }
        if (likely(r == 0))
            r = put_once(call, client, lane, &put);
        if (likely(r == 0))
            return 0;
    } while (r == -EAGAIN && put_may_wait(call, client, put.reason, &step, &deadline));
    gate_give_held(said->site, held);
    return r == -EAGAIN ? put_lose(call, client, &put) : call_refuse(call, r);
}

static __attribute__((noinline)) int site_write_nested(struct call *call, struct tf_client *client,
                                                       const struct site_call *said) {
    struct nested_memory memory;
    call_use(call, &memory);
    return site_write(call, client, said);
}

static __attribute__((noinline)) int site_write_ordinary(struct tf_client *client, const struct site_call *said) {
    if (!client)
        client = tf_default();
    if (!client)
        return -ENOMEM;
    struct call call;
    if (unlikely(!call_enter(&call)))
        return site_write_nested(&call, client, said);
    client_settings_look(client);
    int r = site_write(&call, client, said);
    call_leave();
    return r;
}

/* --- the macros' calls --- */

static __attribute__((noinline)) int call_ordinarily(struct tf_client *client, const struct tf_context *context,
                                                     struct tf_site_ *site, int level, va_list *arguments) {
    struct site_call said = { .site = site, .context = context, .level = level, .arguments = arguments };
    return site_write_ordinary(client, &said);
}

int tf_site_log_(tf_client *given, struct tf_site_ *site, int level, const char *format, ...) {
    struct tf_client *client;
    struct thread *thread;
    va_list arguments;
    if (likely(quick_enter(given, level, &client, &thread))) {
        va_start(arguments, format); /* the compiler's: site->format is the same literal */
        int r = quick_call(thread, client, &thread->context, site, level, arguments);
        va_end(arguments);
        call_leave();
        if (likely(r <= 0))
            return r;
    }
    va_start(arguments, format);
    int r = call_ordinarily(given, NULL, site, level, &arguments);
    va_end(arguments);
    return r;
}

int tf_site_log_in_(tf_client *given, const struct tf_context *context, struct tf_site_ *site, int level,
                    const char *format, ...) {
    struct tf_client *client;
    struct thread *thread;
    va_list arguments;
    if (likely(quick_enter(given, level, &client, &thread))) {
        va_start(arguments, format);
        int r = quick_call(thread, client, context ? context : &thread->context, site, level, arguments);
        va_end(arguments);
        call_leave();
        if (likely(r <= 0))
            return r;
    }
    va_start(arguments, format);
    int r = call_ordinarily(given, context, site, level, &arguments);
    va_end(arguments);
    return r;
}

int tf_site_event_(tf_client *given, const struct tf_context *context, struct tf_site_ *site, int level,
                   const struct tf_field *fields, size_t count) {
    struct site_call said = { .site = site, .context = context, .level = level, .fields = fields, .count = count };
    return site_write_ordinary(given, &said);
}
