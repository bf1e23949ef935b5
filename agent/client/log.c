/* log.c - the calls of taskforge.h that write whole entries. Each has two halves: the ordinary one, which uses the thread's
 * memory, and one for a call nested in a signal handler, which uses a little stack. */
#include "agent/client/client_internal.h"

#include <errno.h>

/* --- with a struct tf_entry --- */

static int entry_write(struct call *call, struct tf_client *client, const struct tf_entry *entry) {
    if (!call_wants(call, client, entry->level))
        return 0;
    struct record_entry record;
    uint64_t now = call_time(call, thread_lane_find(call, client));
    int r = entry_compose(call, client, entry, now, &record);
    if (r < 0)
        return call_refuse(call, r);
    struct put put = { .entry = &record, .level = record.entry.level, .time_ns = now };
    if (unlikely(atomic_load_explicit(&client->special, memory_order_relaxed) >> put.level & 1)) {
        enum gate gate = gate_judge(call, client, NULL, &record, now);
        if (gate == GATE_HOLD)
            return 0;
        put.recorder = gate == GATE_RECORD;
        if (gate == GATE_WRITE && record.entry.error_details.length == 0)
            gate_tell(call, client, put.level, 0, &record.entry.metadata);
    }
    r = put_by_policy(call, client, &put);
    return r < 0 && r != -EAGAIN ? call_refuse(call, error_set(call->error, r, "entry is too large")) : r;
}

static __attribute__((noinline)) int entry_write_nested(struct call *call, struct tf_client *client,
                                                        const struct tf_entry *entry) {
    struct nested_memory memory;
    call_use(call, &memory);
    return entry_write(call, client, entry);
}

int entry_write_ordinarily(struct tf_client *given, const struct tf_entry *entry) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    struct call call;
    if (unlikely(!call_enter(&call)))
        return entry_write_nested(&call, client, entry);
    client_settings_look(client);
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
    if (entered)
        client_settings_look(client);
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
