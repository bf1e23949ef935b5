/* log.c - the calls of taskforge.h that write entries. Each has two halves: the ordinary one, which uses the thread's
 * memory, and one for a call nested in a signal handler, which uses a little stack. */
#include "agent/client/client_internal.h"

#include <errno.h>
#include <stdio.h>

#include "common/model/template.h"

#define CUT_MARK "[... %zu bytes cut ...]"
enum { CUT_MARK_SIZE = 48 };

static bool level_is_one(int level) {
    return level >= 0 && level < LEVEL_COUNT;
}

/* --- with a format --- */

static bool continues_a_character(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Longer than a record takes: keep the beginning and the end, where a stack trace says what happened. */
static struct text cut_in_the_middle(char *message, size_t length, size_t room) {
    char mark[CUT_MARK_SIZE];
    size_t mark_length = (size_t)snprintf(mark, sizeof(mark), CUT_MARK, length);
    size_t head = (room - mark_length) / 2, tail = length - (room - mark_length - head);
    while (head > 0 && continues_a_character(message[head]))
        head--;
    while (tail < length && continues_a_character(message[tail]))
        tail++;
    mark_length = (size_t)snprintf(mark, sizeof(mark), CUT_MARK, tail - head);
    memcpy(message + head, mark, mark_length);
    memmove(message + head + mark_length, message + tail, length - tail);
    return (struct text) { message, head + mark_length + length - tail };
}

static struct text format_here(const struct scratch *scratch, const char *format, va_list *arguments) {
    va_list copy;
    va_copy(copy, *arguments);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int length = vsnprintf(scratch->message, scratch->message_size, format, copy);
#pragma GCC diagnostic pop
    va_end(copy);
    if (length < 0)
        return TEXT_LITERAL("(the format failed)");
    size_t kept = (size_t)length < scratch->message_size ? (size_t)length : scratch->message_size - 1;
    if (kept <= ENTRY_MESSAGE_BYTES)
        return (struct text) { scratch->message, kept };
    return cut_in_the_middle(scratch->message, kept, ENTRY_MESSAGE_BYTES);
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

static int site_compose(struct call *call, struct tf_client *client, struct thread_lane *lane, struct tf_site_ *site,
                        int level, va_list *arguments, struct record_entry *ret) {
    int number;
    if (likely(lane && lane->has_private && !call->nested))
        number = site_number(call, lane, site, level);
    else
        number = site_check(call, client, site, level);
    if (unlikely(number < 0))
        return number;
    if (likely(number > 0)) {
        int used = capture(call, site, arguments);
        if (likely(used >= 0)) {
            ret->site = (uint32_t)number;
            ret->entry.module = ret->entry.operation = TEXT_EMPTY; /* the site's are meant */
            ret->entry.message = (struct text) { call->scratch.message, (size_t)used };
            return 0;
        }
    }
    ret->site = 0;
    ret->entry.module = site->module ? text_of(site->module) : client->module;
    ret->entry.operation = text_of(site->operation);
    ret->entry.message = format_here(&call->scratch, site->format, arguments);
    if (ret->entry.message.length == 0)
        ret->entry.message = TEXT_LITERAL("(empty)");
    return 0;
}

/* Whether the level is wanted. Where there is no session yet (after fork, say) only attaching tells which threshold holds. */
static inline bool call_wants(struct call *call, struct tf_client *client, int level) {
    if (unlikely(atomic_load_explicit(&client->session_id, memory_order_relaxed) == 0))
        thread_lane_find(call, client);
    return tf_wants(client, level);
}

static int site_log(struct call *call, struct tf_client *client, struct tf_site_ *site, int level, va_list *arguments) {
    if (unlikely(!call_wants(call, client, level)))
        return 0;
    struct record_entry *record = call->scratch.record;
    struct put put = { .entry = record, .level = (enum level)level, .time_ns = clock_real_ns() };
    record->entry.level = put.level;
    record->entry.timestamp_ns = put.time_ns;
    if (likely(call->thread)) {
        record->entry.trace_id = call->thread->trace_id;
        record->entry.span_id = call->thread->span_id;
        record->entry.correlation_id = call->thread->correlation_id;
    }
    uint64_t step = 0, deadline = 0;
    int r;
    do {
        struct thread_lane *lane = thread_lane_find(call, client);
        r = site_compose(call, client, lane, site, level, arguments, record);
        if (likely(r == 0))
            r = put_once(call, client, lane, &put);
        if (likely(r == 0))
            return 0;
    } while (r == -EAGAIN && put_may_wait(call, client, put.reason, &step, &deadline));
    return r == -EAGAIN ? put_lose(call, client, &put) : call_refuse(call, r);
}

/* Small memory on the stack, for a call in the middle of another. */
struct nested_memory {
    struct record_entry record;
    char message[NESTED_MESSAGE_SIZE], metadata[NESTED_PACKED_SIZE], error_details[NESTED_PACKED_SIZE];
};

static void call_use(struct call *call, struct nested_memory *memory) {
    memset(&memory->record, 0, sizeof(memory->record));
    call->scratch = (struct scratch) { .record = &memory->record,
                                       .message = memory->message,
                                       .metadata = memory->metadata,
                                       .error_details = memory->error_details,
                                       .message_size = NESTED_MESSAGE_SIZE,
                                       .packed_size = NESTED_PACKED_SIZE,
                                       .string_max = NESTED_STRING_MAX };
}

static __attribute__((noinline)) int site_log_nested(struct call *call, struct tf_client *client, struct tf_site_ *site,
                                                     int level, va_list *arguments) {
    struct nested_memory memory;
    call_use(call, &memory);
    return site_log(call, client, site, level, arguments);
}

int tf_site_log_(tf_client *given, struct tf_site_ *site, int level, const char *format, ...) {
    (void)format; /* the compiler's: site->format is the same literal */
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    if (!level_is_one(level))
        return -EINVAL;
    if (!tf_wants(client, level))
        return 0;
    va_list arguments;
    va_start(arguments, format);
    struct call call;
    int r;
    if (likely(call_enter(&call))) {
        r = site_log(&call, client, site, level, &arguments);
        call_leave();
    } else {
        r = site_log_nested(&call, client, site, level, &arguments);
    }
    va_end(arguments);
    return r;
}

/* --- with a struct tf_entry --- */

static int entry_write(struct call *call, struct tf_client *client, const struct tf_entry *entry) {
    if (!call_wants(call, client, entry->level))
        return 0;
    struct record_entry record;
    uint64_t now = clock_real_ns();
    int r = entry_compose(call, client, entry, now, &record);
    if (r < 0)
        return call_refuse(call, r);
    struct put put = { .entry = &record, .level = record.entry.level, .time_ns = now };
    r = put_by_policy(call, client, &put);
    return r < 0 && r != -EAGAIN ? call_refuse(call, error_set(call->error, r, "entry is too large")) : r;
}

static __attribute__((noinline)) int entry_write_nested(struct call *call, struct tf_client *client,
                                                        const struct tf_entry *entry) {
    struct nested_memory memory;
    call_use(call, &memory);
    return entry_write(call, client, entry);
}

int tf_entry_write(tf_client *given, const struct tf_entry *entry) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    struct call call;
    if (unlikely(!call_enter(&call)))
        return entry_write_nested(&call, client, entry);
    int r = entry_write(&call, client, entry);
    call_leave();
    return r;
}

int tf_entry_check(tf_client *given, const struct tf_entry *entry) {
    struct tf_client *client = client_or_default(given);
    struct call call;
    if (!client || !call_enter(&call))
        return -ENOMEM;
    struct record_entry record;
    int r = entry_compose(&call, client, entry, clock_real_ns(), &record);
    if (r < 0)
        call_refuse(&call, r);
    call_leave();
    return r;
}

int tf_log(tf_client *client, int level, const char *module, const char *operation, const char *message) {
    return tf_log_with_metadata(client, level, module, operation, message, NULL, 0);
}

int tf_log_with_metadata(tf_client *client, int level, const char *module, const char *operation, const char *message,
                         const struct tf_field *fields, size_t count) {
    struct tf_entry entry;
    tf_entry_init(&entry, level, module, operation, message);
    entry.field_count = count;
    if (count > 0)
        memcpy(entry.fields, fields, (count < TF_ENTRY_FIELDS ? count : TF_ENTRY_FIELDS) * sizeof(*fields));
    return tf_entry_write(client, &entry);
}

int tf_log_error_with_details(tf_client *client, const char *module, const char *operation, const char *message,
                              const char *details_json) {
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, module, operation, message);
    entry.error_details = details_json;
    return tf_entry_write(client, &entry);
}

/* --- tf_logf: a site for one call --- */

int tf_vlogf(tf_client *given, int level, const char *module, const char *operation, const char *format,
             va_list arguments) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    struct call call;
    bool entered = call_enter(&call);
    char small[NESTED_MESSAGE_SIZE];
    if (!entered)
        call.scratch = (struct scratch) { .message = small, .message_size = sizeof(small) };
    struct tf_entry entry;
    tf_entry_init(&entry, level, module, operation, NULL);
    va_list copy;
    va_copy(copy, arguments);
    struct text message = format_here(&call.scratch, format, &copy);
    va_end(copy);
    entry.message = message.data;
    entry.message_length = message.length;
    int r = entry_write(&call, client, &entry); /* without metadata the message's room stays as it is */
    if (entered)
        call_leave();
    return r;
}

int tf_logf(tf_client *client, int level, const char *module, const char *operation, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int r = tf_vlogf(client, level, module, operation, format, arguments);
    va_end(arguments);
    return r;
}
