/* history.c - see history.h. A row's key is a counter, big-endian; its value
 *
 *   [ id bin16, time u64, level, module, operation, message, metadata bin (a packed map) ]
 */
#include "alerter/history.h"

#include "common/base/diag.h"
#include "common/model/pack.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIELDS = 7,
    ROW_MAX = ENTRY_METADATA_BYTES + ENTRY_MESSAGE_BYTES + 4096,
    WRITE_AT_ONCE = 1000, /* rows for one look at the store */
};

struct history {
    struct alert_store *store;
    struct producer *producer;
    struct uuid_generator ids;
    uint64_t next, next_put; /* counters: of the next row committed, and of the next one put */
    uint64_t first;          /* rows below it are gone */
};

struct row {
    struct uuid id;
    uint64_t time_ns;
    enum level level;
    struct text module, operation, message, metadata;
};

static struct text key_of(uint64_t number, unsigned char room[8]) {
    uint64_t big = htobe64(number);
    memcpy(room, &big, 8);
    return (struct text) { (const char *)room, 8 };
}

static uint64_t number_of(struct text key) {
    uint64_t big = 0;
    if (key.length == sizeof(big))
        memcpy(&big, key.data, sizeof(big));
    return be64toh(big);
}

/* --- putting --- */

static int put_row(struct history *history, struct alert_store_txn *txn, const struct row *row, struct error *error) {
    unsigned char key[8];
    char *room = malloc(ROW_MAX);
    struct pack_writer writer = { .data = room, .capacity = ROW_MAX };
    if (!room)
        return error_set(error, -ENOMEM, "out of memory");
    pack_array(&writer, FIELDS);
    pack_binary(&writer, (struct text) { (const char *)row->id.bytes, UUID_SIZE });
    pack_uint(&writer, row->time_ns);
    pack_uint(&writer, row->level);
    pack_text(&writer, row->module);
    pack_text(&writer, row->operation);
    pack_text(&writer, row->message);
    pack_binary(&writer, row->metadata);
    int result = writer.failed ? error_set(error, -E2BIG, "a change is too large for the history")
                               : alert_store_put(txn, ALERT_STORE_HISTORY, key_of(history->next_put, key),
                                                 (struct text) { writer.data, writer.length }, error);
    free(room);
    if (result == 0)
        history->next_put++;
    return result;
}

static void pack_pair(struct pack_writer *writer, const char *key, struct text value) {
    pack_text(writer, text_of(key));
    pack_text(writer, value);
}

static void pack_labels(struct pack_writer *writer, const struct alert_pairs *labels) {
    pack_text(writer, TEXT_LITERAL("labels"));
    pack_map(writer, (uint32_t)labels->count);
    for (size_t i = 0; i < labels->count; i++)
        pack_pair(writer, labels->items[i].key, text_of(labels->items[i].value));
}

static void pack_alert(struct pack_writer *writer, const struct alert *alert, enum alert_status from,
                       bool with_labels) {
    char id[UUID_TEXT_SIZE];
    uuid_format(&alert->id, id);
    pack_map(writer, 6 + (with_labels ? 1 : 0) + (alert->acknowledged_by ? 2 : 0));
    pack_pair(writer, "id", text_of(id));
    pack_pair(writer, "rule_id", text_of(alert->rule_id));
    pack_pair(writer, "name", text_of(alert->name));
    pack_pair(writer, "severity", text_of(alert_severity_name(alert->severity)));
    pack_pair(writer, "from", text_of(from == alert->status ? "" : alert_status_name(from)));
    pack_text(writer, TEXT_LITERAL("value"));
    pack_double(writer, alert->value);
    if (with_labels)
        pack_labels(writer, &alert->labels);
    if (alert->acknowledged_by) {
        pack_pair(writer, "acknowledged_by", text_of(alert->acknowledged_by));
        pack_pair(writer, "acknowledged_reason", text_of(alert->acknowledged_reason));
    }
}

/* A message that an entry may have: not empty, not too long; what is cut off stands in the alert. */
static struct text message_of(const char *text) {
    struct text message = text_of(text && *text ? text : "(no message)");
    if (message.length > ENTRY_MESSAGE_CHARACTERS)
        message.length = ENTRY_MESSAGE_CHARACTERS;
    return message;
}

int history_put_alert(struct history *history, struct alert_store_txn *txn, const struct alert *alert,
                      enum alert_status from, uint64_t now_ns, struct error *error) {
    char *room = malloc(ENTRY_METADATA_BYTES);
    if (!room)
        return error_set(error, -ENOMEM, "out of memory");
    struct pack_writer writer = { .data = room, .capacity = ENTRY_METADATA_BYTES };
    pack_alert(&writer, alert, from, true);
    if (writer.failed) { /* labels without end: the alert has them */
        writer = (struct pack_writer) { .data = room, .capacity = ENTRY_METADATA_BYTES };
        pack_alert(&writer, alert, from, false);
    }
    struct row row = {
        .time_ns = now_ns,
        .level = alert->status == ALERT_ACTIVE ? alert_severity_level(alert->severity) : LEVEL_INFO,
        .module = TEXT_LITERAL("alert"),
        .operation = text_of(alert_status_name(alert->status)),
        .message = message_of(alert->message),
        .metadata = { writer.data, writer.length },
    };
    uuid_make(&history->ids, now_ns, &row.id);
    int result = put_row(history, txn, &row, error);
    free(room);
    return result;
}

int history_put_audit(struct history *history, struct alert_store_txn *txn, const struct history_audit *audit,
                      uint64_t now_ns, struct error *error) {
    char message[512], *room = malloc(ENTRY_METADATA_BYTES);
    if (!room)
        return error_set(error, -ENOMEM, "out of memory");
    struct pack_writer writer = { .data = room, .capacity = ENTRY_METADATA_BYTES };
    pack_map(&writer, 4);
    pack_pair(&writer, "actor", audit->actor);
    pack_text(&writer, TEXT_LITERAL("peer_uid"));
    pack_uint(&writer, audit->peer_uid);
    pack_pair(&writer, "target", text_of(audit->target));
    pack_pair(&writer, "reason", audit->reason);
    snprintf(message, sizeof(message), "%s: %s by %.*s", audit->operation, audit->target, TEXT_FORMAT(audit->actor));
    struct row row = {
        .time_ns = now_ns,
        .level = LEVEL_INFO,
        .module = TEXT_LITERAL("audit"),
        .operation = text_of(audit->operation),
        .message = message_of(message),
        .metadata = { writer.data, writer.length },
    };
    uuid_make(&history->ids, now_ns, &row.id);
    int result =
        writer.failed ? error_set(error, -E2BIG, "the reason is too long") : put_row(history, txn, &row, error);
    free(room);
    return result;
}

void history_settle(struct history *history, bool committed) {
    if (committed)
        history->next = history->next_put;
    else
        history->next_put = history->next;
}

/* --- writing --- */

static bool take(struct pack_reader *reader, enum pack_type type, struct pack_value *ret) {
    return pack_next(reader, ret) == 1 && ret->type == type;
}

static int decode_row(struct text bytes, struct row *ret) {
    struct pack_value array, id, time, level, module, operation, message, metadata;
    struct pack_reader reader = { bytes.data, bytes.data + bytes.length };
    if (pack_check(bytes) < 0 || !take(&reader, PACK_ARRAY, &array) || array.count != FIELDS ||
        !take(&reader, PACK_BINARY, &id) || !take(&reader, PACK_UINT, &time) || !take(&reader, PACK_UINT, &level) ||
        !take(&reader, PACK_TEXT, &module) || !take(&reader, PACK_TEXT, &operation) ||
        !take(&reader, PACK_TEXT, &message) || !take(&reader, PACK_BINARY, &metadata) || id.text.length != UUID_SIZE ||
        level.natural >= LEVEL_COUNT)
        return -EINVAL;
    *ret = (struct row) { .time_ns = time.natural,
                          .level = (enum level)level.natural,
                          .module = module.text,
                          .operation = operation.text,
                          .message = message.text,
                          .metadata = metadata.text };
    memcpy(ret->id.bytes, id.text.data, UUID_SIZE);
    return 0;
}

struct writing {
    struct history *history;
    struct buffer scratch;
    uint64_t upto; /* rows below it are written */
    unsigned count;
    bool full;
};

static int write_row(void *argument, struct text key, struct text value) {
    struct writing *writing = argument;
    struct row row;
    if (decode_row(value, &row) == 0) {
        struct record_entry record = { .entry = {
                                           .id = row.id,
                                           .timestamp_ns = row.time_ns,
                                           .level = row.level,
                                           .service = TEXT_LITERAL(RULE_OWN_SERVICE),
                                           .module = row.module,
                                           .operation = row.operation,
                                           .message = row.message,
                                           .metadata = row.metadata,
                                       } };
        buffer_clear(&writing->scratch);
        if (entry_repair(&record.entry, 0, &writing->scratch) < 0 ||
            producer_write(writing->history->producer, &record, 0) == -EAGAIN) {
            writing->full = true;
            return 1;
        }
    }
    writing->upto = number_of(key) + 1;
    return ++writing->count >= WRITE_AT_ONCE;
}

static int forget(struct history *history, uint64_t upto, struct error *error) {
    struct alert_store_txn *txn;
    unsigned char key[8];
    int result = alert_store_begin(history->store, true, &txn, error);
    if (result < 0)
        return result;
    for (uint64_t number = history->first; number < upto && result == 0; number++)
        result = alert_store_delete(txn, ALERT_STORE_HISTORY, key_of(number, key), error);
    if (result == 0)
        result = alert_store_commit(txn, error);
    else
        alert_store_abort(txn);
    if (result == 0)
        history->first = upto;
    return result;
}

static int write_some(struct history *history, bool *ret_full, struct error *error) {
    struct writing writing = { .history = history, .upto = history->first };
    struct alert_store_txn *txn;
    int result = alert_store_begin(history->store, false, &txn, error);
    if (result < 0)
        return result;
    result = alert_store_walk(txn, ALERT_STORE_HISTORY, write_row, &writing, error);
    alert_store_abort(txn);
    buffer_finish(&writing.scratch);
    *ret_full = writing.full || writing.upto == history->first;
    if (result >= 0 && writing.upto > history->first)
        result = forget(history, writing.upto, error);
    return result < 0 ? result : 0;
}

int history_write(struct history *history, struct error *error) {
    bool full = false;
    int result = 0;
    while (history->first < history->next && !full && result == 0)
        result = write_some(history, &full, error);
    if (result == 0 && history_waiting(history) > HISTORY_WAITING_MAX) {
        diag_warn("%zu changes of alerts wait for room in the ring; the oldest are forgotten",
                  history_waiting(history));
        result = forget(history, history->next - HISTORY_WAITING_MAX / 2, error);
    }
    return result;
}

size_t history_waiting(const struct history *history) {
    return (size_t)(history->next - history->first);
}

/* --- opening --- */

static int find_ends(void *argument, struct text key, struct text value) {
    struct history *history = argument;
    uint64_t number = number_of(key);
    (void)value;
    if (key.length != sizeof(number) || (history->next != 0 && number != history->next) || number == UINT64_MAX)
        return -EBADMSG; /* rows go from the front only: nothing of ours leaves gaps */
    if (history->next == 0)
        history->first = number;
    history->next = history->next_put = number + 1;
    return 0;
}

int history_create(struct alert_store *store, struct producer *producer, struct history **ret, struct error *error) {
    struct history *history = calloc(1, sizeof(*history));
    struct alert_store_txn *txn;
    if (!history || uuid_generator_init(&history->ids) < 0) {
        free(history);
        return error_set(error, -ENOMEM, "out of memory");
    }
    history->store = store;
    history->producer = producer;
    int result = alert_store_begin(store, false, &txn, error);
    if (result == 0) {
        result = alert_store_walk(txn, ALERT_STORE_HISTORY, find_ends, history, error);
        alert_store_abort(txn);
    }
    if (result < 0) {
        history_destroy(history);
        return error_set(error, result, "the stored history of alerts is damaged");
    }
    if (history->next == 0)
        history->first = history->next = history->next_put = 1;
    *ret = history;
    return 0;
}

void history_destroy(struct history *history) {
    free(history);
}
