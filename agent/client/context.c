/* context.c - the ids of what a thread does, and W3C Trace Context's header (www.w3.org/TR/trace-context, level 1). */
#include "agent/client/client_internal.h"

#include <sys/random.h>
#include <unistd.h>

enum { TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53, TRACEPARENT_LENGTH = 55 };

/* --- ids --- */

static bool is_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static int digit_of(char c) { /* lower case alone, as W3C wants it */
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *digits, size_t count, uint8_t *ret) {
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(digits[2 * i]), low = high < 0 ? -1 : digit_of(digits[2 * i + 1]);
        if (low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

uint64_t thread_random(struct thread *thread) {
    while (unlikely((thread->random[0] | thread->random[1]) == 0))
        if (getrandom(thread->random, sizeof(thread->random), GRND_NONBLOCK) != (ssize_t)sizeof(thread->random)) {
            thread->random[0] = clock_real_ns();
            thread->random[1] = (uint64_t)getpid() << 32 ^ (uintptr_t)thread;
        }
    uint64_t a = thread->random[0], b = thread->random[1], result = a + b;
    b ^= a;
    thread->random[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
    thread->random[1] = b << 37 | b >> 27;
    return result;
}

/* For a failure alone: where its sentence goes. */
static struct error *error_of_thread(void) {
    struct thread *thread = thread_busy ? NULL : thread_get();
    if (!thread)
        return NULL;
    thread->failure = FAILURE_TEXT;
    return &thread->error;
}

/* --- the header --- */

int tf_context_from_traceparent(struct tf_context *context, const char *traceparent) {
    struct tf_context parsed = { .has = 0 };
    uint8_t version, flags;
    size_t length = traceparent ? strnlen(traceparent, TRACEPARENT_LENGTH + 1) : 0;
    if (!context || length < TRACEPARENT_LENGTH || traceparent[2] != '-' || traceparent[SPAN_AT - 1] != '-' ||
        traceparent[FLAGS_AT - 1] != '-' || !parse_hex(traceparent, 1, &version) ||
        !parse_hex(traceparent + TRACE_AT, sizeof(parsed.trace_id), parsed.trace_id) ||
        !parse_hex(traceparent + SPAN_AT, sizeof(parsed.span_id), parsed.span_id) ||
        !parse_hex(traceparent + FLAGS_AT, 1, &flags))
        return error_set(error_of_thread(), -EINVAL,
                         "traceparent must be version-trace-span-flags in lower-case hex digits");
    /* A version to come may go on behind another dash; 00 ends here, and ff is none. */
    if (version == 0xff || (length > TRACEPARENT_LENGTH && (version == 0 || traceparent[TRACEPARENT_LENGTH] != '-')))
        return error_set(error_of_thread(), -EINVAL, "traceparent of version %02x has another form", version);
    if (is_zero(parsed.trace_id, sizeof(parsed.trace_id)) || is_zero(parsed.span_id, sizeof(parsed.span_id)))
        return error_set(error_of_thread(), -EINVAL, "traceparent has an id of zeros");
    memcpy(context->trace_id, parsed.trace_id, sizeof(parsed.trace_id));
    memcpy(context->span_id, parsed.span_id, sizeof(parsed.span_id));
    context->trace_flags = flags & TF_TRACE_SAMPLED;
    context->has |= TF_HAS_TRACE | TF_HAS_SPAN;
    return 0;
}

int tf_context_to_traceparent(const struct tf_context *context, char out[TF_TRACEPARENT_SIZE]) {
    const uint8_t both = TF_HAS_TRACE | TF_HAS_SPAN;
    if (!context || (context->has & both) != both)
        return -EINVAL;
    uint8_t flags = context->trace_flags & TF_TRACE_SAMPLED;
    memcpy(out, "00-", TRACE_AT);
    text_hex(context->trace_id, sizeof(context->trace_id), out + TRACE_AT);
    out[SPAN_AT - 1] = '-';
    text_hex(context->span_id, sizeof(context->span_id), out + SPAN_AT);
    out[FLAGS_AT - 1] = '-';
    text_hex(&flags, 1, out + FLAGS_AT);
    out[TRACEPARENT_LENGTH] = '\0';
    return 0;
}

/* --- a struct --- */

bool context_is_sound(const struct tf_context *context) {
    const uint8_t all = TF_HAS_TRACE | TF_HAS_SPAN | TF_HAS_USER | TF_HAS_ORGANIZATION;
    return (context->has & ~all) == 0 && context->correlation_length <= sizeof(context->correlation_id);
}

int tf_context_new_trace(struct tf_context *context) {
    struct thread *thread = thread_get();
    if (!thread)
        return -ENOMEM;
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = thread_random(thread) | (uint64_t)(i != 1); /* never zeros */
    memcpy(context->trace_id, ids, sizeof(context->trace_id));
    memcpy(context->span_id, &ids[2], sizeof(context->span_id));
    context->trace_flags = TF_TRACE_SAMPLED;
    context->has |= TF_HAS_TRACE | TF_HAS_SPAN;
    return 0;
}

static int parse_uuid(const char *field, const char *given, uint8_t ret[16], bool *ret_has) {
    struct uuid uuid = { { 0 } };
    *ret_has = given && *given;
    if (*ret_has && (uuid_parse(text_of(given), &uuid) < 0 || uuid_is_zero(&uuid)))
        return error_set(error_of_thread(), -EINVAL, "%s must be a UUID, is \"%.50s\"", field, given);
    memcpy(ret, uuid.bytes, sizeof(uuid.bytes));
    return 0;
}

int tf_context_set_user(struct tf_context *context, const char *user_id, const char *organization_id) {
    uint8_t user[16] = { 0 }, organization[16] = { 0 };
    bool has_user, has_organization;
    if (parse_uuid("user_id", user_id, user, &has_user) < 0 ||
        parse_uuid("organization_id", organization_id, organization, &has_organization) < 0)
        return -EINVAL;
    memcpy(context->user_id, user, sizeof(user));
    memcpy(context->organization_id, organization, sizeof(organization));
    context->has &= (uint8_t) ~(TF_HAS_USER | TF_HAS_ORGANIZATION);
    context->has |= (uint8_t)((has_user ? TF_HAS_USER : 0) | (has_organization ? TF_HAS_ORGANIZATION : 0));
    return 0;
}

static int check_text(const char *field, struct text text) {
    if (text.length > ENTRY_TRACE_BYTES)
        return error_set(error_of_thread(), -EINVAL, "%s must be at most %d bytes, is %zu", field, ENTRY_TRACE_BYTES,
                         text.length);
    return text_utf8_valid(text) ? 0 : error_set(error_of_thread(), -EINVAL, "%s must be UTF-8", field);
}

int tf_context_set_correlation(struct tf_context *context, const char *correlation_id) {
    struct text text = text_of(correlation_id);
    static_assert(sizeof(context->correlation_id) == ENTRY_TRACE_BYTES, "as long as it may be");
    int r = check_text("correlation_id", text);
    if (r < 0)
        return r;
    if (text.length > 0)
        memcpy(context->correlation_id, text.data, text.length);
    context->correlation_length = (uint8_t)text.length;
    return 0;
}

/* --- the thread's --- */

/* A signal handler's entry has the ids of before, of behind, or none: never some of each. */
static void replace(struct thread *thread, const struct tf_context *context) {
    thread->context.has = 0;
    thread->context.correlation_length = 0;
    atomic_signal_fence(memory_order_seq_cst);
    struct tf_context fresh = { .has = 0 };
    if (context)
        fresh = *context;
    uint8_t has = fresh.has, length = fresh.correlation_length;
    fresh.has = fresh.correlation_length = 0;
    thread->context = fresh;
    atomic_signal_fence(memory_order_seq_cst);
    thread->context.correlation_length = length;
    thread->context.has = has;
}

int tf_context_use(const struct tf_context *context) {
    struct thread *thread = thread_get();
    if (!thread)
        return -ENOMEM;
    if (context && !context_is_sound(context))
        return error_set(error_of_thread(), -EINVAL, CONTEXT_UNSOUND);
    replace(thread, context);
    return 0;
}

int tf_context_get(struct tf_context *ret) {
    struct thread *thread = thread_get();
    if (!thread)
        return -ENOMEM;
    *ret = thread->context;
    ret->has &= (uint8_t)~CONTEXT_TEXT;
    return 0;
}

/* An id as bytes where it is one of W3C's, else as text. */
static void take_id(struct text id, uint8_t *bytes, size_t size, uint8_t bit, struct tf_context *context,
                    struct text *text, char *room) {
    *text = TEXT_EMPTY;
    if (id.length == 2 * size && parse_hex(id.data, size, bytes) && !is_zero(bytes, size)) {
        context->has |= bit;
    } else if (id.length > 0) {
        memcpy(room, id.data, id.length);
        *text = (struct text) { room, id.length };
        context->has |= CONTEXT_TEXT;
    }
}

int tf_context_set(const char *trace_id, const char *span_id, const char *correlation_id) {
    struct thread *thread = thread_get();
    if (!thread)
        return -ENOMEM;
    struct tf_context context = { .trace_flags = TF_TRACE_SAMPLED };
    struct text trace = text_of(trace_id), span = text_of(span_id);
    if (check_text("trace_id", trace) < 0 || check_text("span_id", span) < 0 ||
        tf_context_set_correlation(&context, correlation_id) < 0)
        return -EINVAL;
    replace(thread, NULL); /* while the texts change */
    take_id(trace, context.trace_id, sizeof(context.trace_id), TF_HAS_TRACE, &context, &thread->trace_text,
            thread->context_bytes[0]);
    take_id(span, context.span_id, sizeof(context.span_id), TF_HAS_SPAN, &context, &thread->span_text,
            thread->context_bytes[1]);
    replace(thread, &context);
    return 0;
}

void tf_context_clear(void) {
    if (thread_self)
        replace(thread_self, NULL);
}

void context_apply(const struct thread *thread, const struct tf_context *given, struct record_entry *record) {
    const struct tf_context *context = given ? given : thread ? &thread->context : NULL;
    struct entry *entry = &record->entry;
    record->raw_trace = record->raw_span = false;
    entry->trace_id = entry->span_id = entry->correlation_id = TEXT_EMPTY;
    entry->user_id = entry->organization_id = (struct uuid) { { 0 } };
    if (!context)
        return;
    uint8_t has = context->has;
    if (has & TF_HAS_TRACE) {
        entry->trace_id = (struct text) { (const char *)context->trace_id, sizeof(context->trace_id) };
        record->raw_trace = true;
    }
    if (has & TF_HAS_SPAN) {
        entry->span_id = (struct text) { (const char *)context->span_id, sizeof(context->span_id) };
        record->raw_span = true;
    }
    if (has & CONTEXT_TEXT && context == &thread->context) {
        if (!record->raw_trace)
            entry->trace_id = thread->trace_text;
        if (!record->raw_span)
            entry->span_id = thread->span_text;
    }
    if (has & TF_HAS_USER)
        memcpy(entry->user_id.bytes, context->user_id, sizeof(entry->user_id.bytes));
    if (has & TF_HAS_ORGANIZATION)
        memcpy(entry->organization_id.bytes, context->organization_id, sizeof(entry->organization_id.bytes));
    if (context->correlation_length > 0)
        entry->correlation_id = (struct text) { context->correlation_id, context->correlation_length };
}
