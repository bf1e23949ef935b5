/* span.c - spans (taskforge.h): in the slot's table while they are open, one record when they end. */
#include "agent/client/quick.h"
#include "common/shm/fault.h"

enum { SPAN_UNKNOWN = 0, SPAN_OPEN = 0x5a11, SPAN_OPEN_CURRENT = 0x5a12, SPAN_ENDED = 0x5a13 };
enum { NO_PLACE = UINT16_MAX };

static int refuse(int code, const char *why) {
    struct thread *thread = thread_busy ? NULL : thread_get();
    if (thread)
        thread->failure = FAILURE_TEXT;
    return error_set(thread ? &thread->error : NULL, code, "%s", why);
}

/* --- the table of the slot: what others see of open spans --- */

/* A free place, taken by compare-and-swap, since all threads of the process share the table; NO_PLACE: it is full. */
static uint16_t place_take(struct ring_slot *slot, uint32_t hint) {
    for (uint32_t i = 0; i < SLOT_SPANS_MAX; i++) {
        uint32_t place = (hint + i) % SLOT_SPANS_MAX;
        uint64_t none = 0;
        /* relaxed look, acquire swap: what the last owner of the place wrote comes before what we do. */
        if (atomic_load_explicit(&slot->spans[place].state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&slot->spans[place].state, &none, 1, memory_order_acquire,
                                                    memory_order_relaxed))
            return (uint16_t)place;
    }
    return NO_PLACE;
}

/* Whole characters only, where it is cut. */
static uint8_t shown_length(const char *operation, size_t length) {
    if (likely(length <= SLOT_SPAN_OPERATION_BYTES))
        return (uint8_t)length;
    length = SLOT_SPAN_OPERATION_BYTES;
    while (length > 0 && ((unsigned char)operation[length] & 0xc0) == 0x80)
        length--;
    return (uint8_t)length;
}

/* release: who reads one of these words finds the odd number behind it, and does not take the copy for whole. */
static inline void store_word(void *at, const void *from, size_t size) {
    uint64_t word = 0;
    memcpy(&word, from, size);
    __atomic_store_n((uint64_t *)at, word, __ATOMIC_RELEASE);
}

static void place_fill(struct slot_span *at, const struct tf_span *span, size_t length, uint32_t thread) {
    static_assert(offsetof(struct slot_span, reserved) == offsetof(struct slot_span, thread) + 4 &&
                      offsetof(struct slot_span, operation_length) == offsetof(struct slot_span, thread) + 7 &&
                      offsetof(struct slot_span, operation) % sizeof(uint64_t) == 0,
                  "word by word");
    const uint8_t shown = shown_length(span->operation, length);
    const uint64_t thread_and_length = thread | (uint64_t)shown << 56;
    store_word(at->trace_id, span->context.trace_id, 8);
    store_word(at->trace_id + 8, span->context.trace_id + 8, 8);
    store_word(at->span_id, span->context.span_id, 8);
    store_word(at->parent_id, span->parent_id, 8);
    store_word(&at->thread, &thread_and_length, 8);
    for (size_t i = 0; i < shown; i += 8)
        store_word(at->operation + i, span->operation + i, shown - i < 8 ? shown - i : 8);
    fault_point(span_filled);
    /* release: all of it is there for whoever sees the even number. */
    atomic_store_explicit(&at->state, span->start_ns & ~UINT64_C(1), memory_order_release);
    fault_point(span_placed);
}

/* The thread's lane in the client's session: while it is held, so is the slot. */
static struct thread_lane *lane_of(struct call *call, struct tf_client *client) {
    struct thread_lane *lane = quick_lane_of(call->thread, client);
    return likely(lane != NULL) ? lane : thread_lane_find(call, client); /* which also leaves a retired ring */
}

static void place_begin(const struct call *call, const struct thread_lane *lane, struct tf_span *span, size_t length) {
    span->place = NO_PLACE;
    span->session = 0;
    if (!lane)
        return;
    struct ring_slot *slot = lane->session->claim.slot;
    span->place = place_take(slot, call->thread->span_hint);
    if (span->place == NO_PLACE)
        return;
    span->session = lane->session->id;
    call->thread->span_hint = span->place;
    fault_point(span_placing);
    place_fill(&slot->spans[span->place], span, length, call->thread->number);
}

/* Only in the slot it was put into: of a session that was left nobody reads the table any more. */
static void place_end(const struct thread_lane *lane, const struct tf_span *span) {
    if (span->place >= SLOT_SPANS_MAX || !lane || lane->session->id != span->session)
        return;
    struct slot_span *at = &lane->session->claim.slot->spans[span->place];
    fault_point(span_leaving);
    if (memcmp(at->span_id, span->context.span_id, sizeof(at->span_id)) ==
        0) /* in a child after fork it is another's */
        atomic_store_explicit(&at->state, 0, memory_order_release);
}

/* --- starting --- */

static bool operation_fits(const char *operation, size_t *ret_length) {
    size_t length = operation ? strnlen(operation, ENTRY_NAME_BYTES + 1) : 0;
    *ret_length = length;
    if (length == 0 || length > ENTRY_NAME_BYTES)
        return false;
    return text_utf8_valid((struct text) { operation, length }) &&
           (length <= ENTRY_NAME_CHARACTERS ||
            text_utf8_count((struct text) { operation, length }) <= ENTRY_NAME_CHARACTERS);
}

static void ids_make(struct thread *thread, const struct tf_context *parent, struct tf_span *span) {
    span->context.trace_flags = TF_TRACE_SAMPLED;
    span->context.has = TF_HAS_TRACE | TF_HAS_SPAN;
    span->context.correlation_length = 0;
    uint64_t id = thread_random(thread) | 1; /* never zeros */
    memcpy(span->context.span_id, &id, sizeof(id));
    memset(span->parent_id, 0, sizeof(span->parent_id));
    if (parent && parent->has & TF_HAS_TRACE) {
        memcpy(span->context.trace_id, parent->trace_id, sizeof(parent->trace_id));
        span->context.trace_flags = parent->trace_flags;
        if (parent->has & TF_HAS_SPAN)
            memcpy(span->parent_id, parent->span_id, sizeof(parent->span_id));
        return;
    }
    uint64_t trace[2] = { thread_random(thread) | 1, thread_random(thread) };
    memcpy(span->context.trace_id, trace, sizeof(trace));
}

/* What the parent says beside trace and span goes on: user, organization, correlation. */
static void rest_inherit(const struct tf_context *parent, struct tf_context *context) {
    if (!parent)
        return;
    if (parent->has & (TF_HAS_USER | TF_HAS_ORGANIZATION)) {
        context->has |= parent->has & (TF_HAS_USER | TF_HAS_ORGANIZATION);
        memcpy(context->user_id, parent->user_id, sizeof(parent->user_id));
        memcpy(context->organization_id, parent->organization_id, sizeof(parent->organization_id));
    }
    if (parent->correlation_length > 0 && parent->correlation_length <= sizeof(parent->correlation_id)) {
        context->correlation_length = parent->correlation_length;
        memcpy(context->correlation_id, parent->correlation_id, parent->correlation_length);
    }
}

static int start(struct tf_client *given, const char *operation, const struct tf_context *given_parent, bool current,
                 struct tf_span *span) {
    size_t length;
    span->state = SPAN_UNKNOWN;
    struct tf_client *client = client_or_default(given);
    struct call call;
    if (!client || !call_enter(&call))
        return -ENOMEM;
    if (unlikely(!operation_fits(operation, &length))) {
        call_leave();
        return refuse(-EINVAL, "a span's operation must be 1 to 100 characters of UTF-8");
    }
    struct thread *thread = call.thread;
    const struct tf_context *parent = current ? &thread->context : given_parent;
    ids_make(thread, parent, span);
    rest_inherit(current ? NULL : parent, &span->context);
    span->operation = operation;
    span->client = client;
    struct thread_lane *lane = lane_of(&call, client);
    span->start_ns = call_time(&call, lane);
    place_begin(&call, lane, span, length);
    if (current) {
        span->outer_has = thread->context.has;
        span->outer_flags = thread->context.trace_flags;
        memcpy(span->outer_trace, thread->context.trace_id, sizeof(span->outer_trace));
        memcpy(span->outer_id, thread->context.span_id, sizeof(span->outer_id));
        uint8_t kept = thread->context.has & (uint8_t) ~(TF_HAS_TRACE | TF_HAS_SPAN);
        thread->context.has = kept;
        atomic_signal_fence(memory_order_seq_cst); /* a handler sees the outer ids, none, or these */
        memcpy(thread->context.trace_id, span->context.trace_id, sizeof(span->outer_trace));
        memcpy(thread->context.span_id, span->context.span_id, sizeof(span->outer_id));
        thread->context.trace_flags = span->context.trace_flags;
        atomic_signal_fence(memory_order_seq_cst);
        thread->context.has = kept | TF_HAS_TRACE | TF_HAS_SPAN;
    }
    span->state = current ? SPAN_OPEN_CURRENT : SPAN_OPEN;
    call_leave();
    return 0;
}

int tf_span_start(tf_client *client, const char *operation, struct tf_span *span) {
    return span ? start(client, operation, NULL, true, span) : refuse(-EINVAL, "a span needs a struct tf_span");
}

int tf_span_start_in(tf_client *client, const char *operation, const struct tf_context *parent, struct tf_span *span) {
    if (!span)
        return refuse(-EINVAL, "a span needs a struct tf_span");
    if (parent && !context_is_sound(parent)) {
        span->state = SPAN_UNKNOWN;
        return refuse(-EINVAL, CONTEXT_UNSOUND);
    }
    return start(client, operation, parent, false, span);
}

/* --- ending --- */

/* The outer one is the thread's current again, unless somebody set another meanwhile. */
static void outer_restore(struct thread *thread, const struct tf_span *span) {
    if (memcmp(thread->context.span_id, span->context.span_id, sizeof(span->outer_id)) != 0)
        return;
    uint8_t kept = thread->context.has & (uint8_t) ~(TF_HAS_TRACE | TF_HAS_SPAN);
    thread->context.has = kept;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(thread->context.trace_id, span->outer_trace, sizeof(span->outer_trace));
    memcpy(thread->context.span_id, span->outer_id, sizeof(span->outer_id));
    thread->context.trace_flags = span->outer_flags;
    atomic_signal_fence(memory_order_seq_cst);
    thread->context.has = kept | (span->outer_has & (TF_HAS_TRACE | TF_HAS_SPAN));
}

static void record_fill(const struct call *call, const struct tf_span *span, int failed, struct record_span *ret) {
    memcpy(ret->trace_id, span->context.trace_id, sizeof(ret->trace_id));
    memcpy(ret->span_id, span->context.span_id, sizeof(ret->span_id));
    memcpy(ret->parent_id, span->parent_id, sizeof(ret->parent_id));
    ret->start_ns = span->start_ns;
    ret->thread = call->thread->number;
    ret->failed = failed != 0;
    ret->operation = text_of(span->operation);
    ret->service = ret->status = ret->metadata = TEXT_EMPTY;
}

/* Straight into the lane, where nothing is out of the ordinary: 0, else 1. */
static inline int end_quickly(struct thread_lane *lane, const struct record_span *record, uint64_t end_ns) {
    uint32_t size;
    uint64_t position;
    if (unlikely(!lane || !lane->has_private) || unlikely(record_span_size(record, &size) < 0) ||
        unlikely(size > RING_LANE_SIZE / LANE_LARGE_SHARE))
        return 1;
    void *at = lane_claim(&lane->writer, size, LEVEL_INFO, &position);
    if (unlikely(!at))
        return 1;
    record_span_encode(record, position, end_ns, at, size);
    lane_commit(&lane->writer, size);
    return 0;
}

static int end_check(const struct tf_span *span) {
    if (span && (span->state == SPAN_OPEN || span->state == SPAN_OPEN_CURRENT))
        return 0;
    return refuse(-EINVAL, span && span->state == SPAN_ENDED ? "the span has ended already"
                                                             : "there is no such span: it was not started");
}

static int end(struct tf_span *span, int failed, const char *why, const struct tf_field *fields, size_t count) {
    struct tf_client *client = span->client;
    struct call call;
    if (!call_enter(&call))
        return -ENOMEM;
    struct record record = { .kind = RECORD_SPAN };
    struct text status = text_of(why);
    record_fill(&call, span, failed || status.length > 0, &record.span);
    record.span.status = status;
    int r = 0;
    if (status.length > RECORD_SPAN_STATUS_BYTES || !text_utf8_valid(status))
        r = error_set(call.error, -EINVAL, "why a span failed must be at most %d bytes of UTF-8",
                      RECORD_SPAN_STATUS_BYTES);
    if (count > 0)
        client_settings_look(client);
    if (r == 0 && count > 0)
        r = compose_fields(&call, client, fields, count, &record.span.metadata);
    if (r < 0) { /* the span goes on: it may be ended better */
        r = call_refuse(&call, r);
        call_leave();
        return r;
    }
    struct thread_lane *lane = lane_of(&call, client);
    uint64_t now = call_time(&call, lane);
    if (span->state == SPAN_OPEN_CURRENT)
        outer_restore(call.thread, span);
    span->state = SPAN_ENDED;
    r = end_quickly(lane, &record.span, now);
    place_end(lane, span); /* behind the commit: killed in between it is seen twice for a moment, and not at all never */
    if (unlikely(r != 0)) {
        struct put put = { .other = &record, .level = LEVEL_INFO, .time_ns = now };
        r = put_by_policy(&call, client, &put);
    }
    call_leave();
    return r;
}

int tf_span_end(struct tf_span *span, int failed) {
    int r = end_check(span);
    return r < 0 ? r : end(span, failed, NULL, NULL, 0);
}

int tf_span_end_with(struct tf_span *span, const char *why_failed, const struct tf_field *fields, size_t count) {
    int r = end_check(span);
    return r < 0 ? r : end(span, 0, why_failed, fields, count);
}

/* --- what is open --- */

struct visit {
    const uint8_t *trace_id; /* NULL: all */
    tf_open_span_function *function;
    void *argument;
};

/* A place's copy: false where it is empty, changed meanwhile, or makes no sense. */
static bool place_copy(const struct slot_span *place, struct slot_span *ret) {
    uint64_t before = atomic_load_explicit(&place->state, memory_order_acquire);
    if (before == 0 || before & 1)
        return false;
    for (size_t i = 1; i < sizeof(*ret) / sizeof(uint64_t);
         i++) /* acquire each: done before the state is looked at again */
        ((uint64_t *)(void *)ret)[i] = __atomic_load_n((const uint64_t *)(const void *)place + i, __ATOMIC_ACQUIRE);
    atomic_store_explicit(&ret->state, before, memory_order_relaxed);
    return atomic_load_explicit(&place->state, memory_order_relaxed) == before &&
           ret->operation_length <= SLOT_SPAN_OPERATION_BYTES;
}

static int place_visit(const struct visit *visit, const struct slot_span *place, const char *service, uint32_t pid) {
    char operation[SLOT_SPAN_OPERATION_BYTES + 1] = "";
    struct tf_open_span span = { .size = sizeof(span), .service = service, .operation = operation, .pid = pid };
    static const uint8_t none[sizeof(place->parent_id)];
    memcpy(operation, place->operation, place->operation_length);
    text_hex(place->trace_id, sizeof(place->trace_id), span.trace_id);
    text_hex(place->span_id, sizeof(place->span_id), span.span_id);
    if (memcmp(place->parent_id, none, sizeof(none)) != 0)
        text_hex(place->parent_id, sizeof(place->parent_id), span.parent_id);
    span.thread = place->thread;
    span.start_ns = atomic_load_explicit(&place->state, memory_order_relaxed);
    return visit->function(&span, visit->argument);
}

/* The slots of the session's ring: of this user's processes, which trust each other as far as their memory goes. */
static int slots_visit(const struct session *session, const struct visit *visit) {
    const struct ring *ring = &session->attachment->ring;
    for (uint32_t i = 0; i < ring_slots_used(ring); i++) {
        const struct ring_slot *slot = ring_slot_of(ring, i);
        if ((atomic_load_explicit(&slot->state, memory_order_acquire) & 0xff) != SLOT_ACTIVE)
            continue;
        char service[ENTRY_NAME_BYTES + 1] = "";
        size_t length = slot->service_length;
        memcpy(service, slot->service, length < ENTRY_NAME_BYTES ? length : ENTRY_NAME_BYTES);
        for (uint32_t p = 0; p < SLOT_SPANS_MAX; p++) {
            struct slot_span copy;
            if (!place_copy(&slot->spans[p], &copy) ||
                (visit->trace_id && memcmp(visit->trace_id, copy.trace_id, sizeof(copy.trace_id)) != 0))
                continue;
            int r = place_visit(visit, &copy, service, slot->pid);
            if (r != 0)
                return r;
        }
    }
    return 0;
}

int tf_open_spans(tf_client *given, const char *trace_id, tf_open_span_function *function, void *argument) {
    struct tf_client *client = client_or_default(given);
    struct visit visit = { .function = function, .argument = argument };
    struct uuid trace; /* a trace id is as long, and written as one without dashes */
    if (!client)
        return -ENOMEM;
    if (trace_id && (strlen(trace_id) != 2 * sizeof(trace.bytes) || uuid_parse(text_of(trace_id), &trace) < 0))
        return refuse(-EINVAL, "a trace id must be 32 hex digits");
    visit.trace_id = trace_id ? trace.bytes : NULL;
    struct call outside = { .nested = false };
    struct session *session = session_hold(&outside, client);
    if (!session)
        return refuse(-EAGAIN, "no ring to look into");
    int r = slots_visit(session, &visit);
    session_let_go(session);
    return r;
}
