/* site_call.c - the calls of the macros (taskforge.h): statements that were registered once write only what differs from call to call.
 *
 * The quick way writes straight into the thread's lane, with the thread's own clock: no lock, no call into the kernel, nothing
 * that is shared but the lane's head. What is out of the ordinary (no lane yet, a lap's end, the gate's business, other formats, a
 * signal handler) goes the ordinary way, which puts the record together first. */
#include "agent/client/client_internal.h"

#include <errno.h>

#include "common/model/template.h"

enum {
    QUICK_MOST = 2048,                                              /* bytes of a record of the quick way */
    QUICK_RESERVE = TEMPLATE_ARGUMENTS_MAX * 8 + 2 * RECORD_ALIGN, /* of them, kept for what is not checked one by one */
};

/* --- the quick way --- */

/* The arguments behind each other as template_capture has them; NULL: no room. Strings leave the reserve alone. */
static inline char *quick_arguments(const char *types, va_list *arguments, char *at, const char *end) {
    for (; *types; types++) {
        switch (*types) {
        case 's': {
            const char *string = va_arg(*arguments, const char *);
            string = likely(string) ? string : "(null)";
            size_t length = strlen(string);
            if (unlikely((size_t)(end - at) < length + sizeof(uint32_t)))
                return NULL;
            uint32_t size = (uint32_t)length;
            memcpy(at, &size, sizeof(size));
            memcpy(at + sizeof(size), string, length);
            at += sizeof(size) + length;
            continue;
        }
        case 'i': {
            int64_t value = va_arg(*arguments, int);
            memcpy(at, &value, sizeof(value));
            break;
        }
        case 'd': {
            double value = va_arg(*arguments, double);
            memcpy(at, &value, sizeof(value));
            break;
        }
        default: { /* l q z p: all of them 64 bits wide in their own right here */
            static_assert(sizeof(long) == 8 && sizeof(long long) == 8 && sizeof(size_t) == 8 && sizeof(void *) == 8,
                          "one way for all of them");
            int64_t value = va_arg(*arguments, long);
            memcpy(at, &value, sizeof(value));
            break;
        }
        }
        at += sizeof(int64_t);
    }
    return at;
}

/* Whether not even the smallest call fits. */
static inline bool quick_is_full(struct lane_writer *writer, enum level level) {
    return !lane_has_room(writer, writer->head + RECORD_CALL_FIXED_END, writer->size / 8 * lane_share[level]);
}

/* A record that cannot fit, whatever its size: counted with as little ado as it takes. */
static __attribute__((noinline)) int quick_lose(struct thread *thread, struct tf_client *client, int level) {
    struct loss_ledger *ledger = atomic_load_explicit(&client->ledger, memory_order_relaxed);
    uint64_t now = ticks_now(&thread->ticks);
    if (unlikely(!ledger || now == 0 || atomic_load_explicit(&client->any_pending, memory_order_relaxed)))
        return 1;
    atomic_fetch_add_explicit(&client->lost[LOSS_LANE_FULL][level], 1, memory_order_relaxed);
    loss_count(ledger, LOSS_LANE_FULL, (enum level)level, 1, now);
    thread->failure = FAILURE_NO_ROOM;
    thread->reason = LOSS_LANE_FULL;
    thread->level = (enum level)level;
    return -EAGAIN;
}

/* The ids, in their places behind the fixed part. */
static inline char *quick_ids(const struct tf_context *context, struct record_call_fixed *fixed, char *at) {
    if (context->has == 0)
        return at;
    if (likely(context->has == (TF_HAS_TRACE | TF_HAS_SPAN))) {
        static_assert(offsetof(struct tf_context, span_id) == sizeof(context->trace_id), "one copy for both");
        memcpy(at, context->trace_id, sizeof(context->trace_id) + sizeof(context->span_id));
        fixed->present = RECORD_RAW_TRACE | RECORD_RAW_SPAN;
        fixed->trace = sizeof(context->trace_id);
        fixed->span = sizeof(context->span_id);
        return at + sizeof(context->trace_id) + sizeof(context->span_id);
    }
    return NULL;
}

static inline struct thread_lane *quick_lane(struct thread *thread, const struct tf_client *client, int level) {
    struct thread_lane *lane = thread->hot;
    uint32_t control = __atomic_load_n(client->head.control, __ATOMIC_RELAXED);
    bool quick = likely(lane != NULL) &&
                 likely(atomic_load_explicit(&lane->quick_id, memory_order_relaxed) ==
                        atomic_load_explicit(&client->session_id, memory_order_relaxed)) &&
                 likely(control_rest(control) == atomic_load_explicit(&client->seen_control, memory_order_relaxed)) &&
                 likely(!(atomic_load_explicit(&client->special, memory_order_relaxed) >> level & 1));
    return quick ? lane : NULL;
}

/* 0 or -EAGAIN: done. 1: not this way, and nothing has happened. */
static inline int quick_call(struct thread *thread, struct tf_client *client, const struct tf_context *given,
                             struct tf_site_ *site, int level, va_list *arguments) {
    struct thread_lane *lane = quick_lane(thread, client, level);
    if (unlikely(!lane))
        return 1;
    uint64_t session_id = atomic_load_explicit(&lane->session_id, memory_order_relaxed);
    uint64_t known = __atomic_load_n(&site->known[session_id % 2], __ATOMIC_ACQUIRE);
    uint32_t number = known & SITE_FORMATTED_HERE;
    if (unlikely(known >> SITE_NUMBER_BITS != session_id || number > SLOT_SITES_MAX || site->types[SITE_COMPLEX]))
        return 1;
    struct lane_writer *writer = &lane->writer;
    char *span = lane_claim_within(writer, QUICK_MOST, (enum level)level);
    if (unlikely(!span))
        return !client->waits && quick_is_full(writer, (enum level)level) ? quick_lose(thread, client, level) : 1;
    struct record_call_fixed fixed = { .site = number };
    const struct tf_context *context = given ? given : &thread->context;
    char *at = span + RECORD_CALL_FIXED_END;
    if (unlikely(context->correlation_length > 0) || unlikely(!(at = quick_ids(context, &fixed, at))))
        return 1;
    char *arguments_at = at;
    at = quick_arguments(site->types, arguments, at, span + QUICK_MOST - QUICK_RESERVE);
    uint64_t time_ns = ticks_now(&thread->ticks);
    if (unlikely(!at || time_ns == 0))
        return 1;
    fixed.arguments = (uint32_t)(at - arguments_at);
    memset(at, 0, RECORD_ALIGN);
    uint32_t size = (uint32_t)(at - span + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
    struct record_header header = { .length = size,
                                    .kind = RECORD_CALL,
                                    .level = (uint8_t)level,
                                    .version = RECORD_VERSION,
                                    .position = writer->head,
                                    .time_ns = time_ns };
    memcpy(span, &header, sizeof(header));
    memcpy(span + RECORD_HEADER_SIZE, &fixed, sizeof(fixed));
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
    record->entry.message = said->arguments ? format_here(&call->scratch, site->format, said->arguments)
                                            : text_of(site->format);
    if (record->entry.message.length == 0)
        record->entry.message = TEXT_LITERAL("(empty)");
    record_ids_as_text(record, call->scratch.hex);
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
    if (unlikely(!call_wants(call, client, said->level)))
        return 0;
    struct record_entry *record = call->scratch.record;
    struct put put = { .entry = record, .level = (enum level)said->level };
    record->entry.level = put.level;
    record->entry.metadata = TEXT_EMPTY;
    if (!said->arguments) {
        int r = compose_fields(call, client, said->fields, said->count, &record->entry.metadata);
        if (r < 0)
            return call_refuse(call, r);
    }
    uint64_t step = 0, deadline = 0;
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
        }
        if (likely(r == 0))
            r = put_once(call, client, lane, &put);
        if (likely(r == 0))
            return 0;
    } while (r == -EAGAIN && put_may_wait(call, client, put.reason, &step, &deadline));
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
    if (said->level < 0 || said->level >= LEVEL_COUNT || (said->context && !context_is_sound(said->context)))
        return -EINVAL;
    if (!tf_wants(client, said->level))
        return 0;
    struct call call;
    if (unlikely(!call_enter(&call)))
        return site_write_nested(&call, client, said);
    client_settings_look(client);
    int r = site_write(&call, client, said);
    call_leave();
    return r;
}

/* --- the macros' calls --- */

/* Two lists of the same arguments: each way reads its own. */
static inline int site_call(struct tf_client *given, const struct tf_context *context, struct tf_site_ *site, int level,
                            va_list *arguments, va_list *again) {
    struct tf_client *client = given ? given : default_client_now();
    struct thread *thread = thread_self;
    if (likely(thread && client) && likely(!thread_busy) && likely((unsigned)level < LEVEL_COUNT)) {
        thread_busy = 1;
        atomic_signal_fence(memory_order_seq_cst);
        int r = quick_call(thread, client, context, site, level, arguments);
        call_leave();
        if (likely(r <= 0))
            return r;
    }
    struct site_call said = { .site = site, .context = context, .level = level, .arguments = again };
    return site_write_ordinary(client, &said);
}

int tf_site_log_(tf_client *client, struct tf_site_ *site, int level, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format); /* the compiler's: site->format is the same literal */
    va_start(again, format);
    int r = site_call(client, NULL, site, level, &arguments, &again);
    va_end(again);
    va_end(arguments);
    return r;
}

int tf_site_log_in_(tf_client *client, const struct tf_context *context, struct tf_site_ *site, int level,
                    const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_start(again, format);
    int r = site_call(client, context, site, level, &arguments, &again);
    va_end(again);
    va_end(arguments);
    return r;
}

int tf_site_event_(tf_client *given, const struct tf_context *context, struct tf_site_ *site, int level,
                   const struct tf_field *fields, size_t count) {
    struct site_call said = { .site = site, .context = context, .level = level, .fields = fields, .count = count };
    return site_write_ordinary(given, &said);
}
