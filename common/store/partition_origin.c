/* What a partition says once of all its entries. The record "origin" of its database meta, integers little-endian:
 *
 *    0       2       4               12          14                14 + h
 *   +-------+-------+---------------+-----------+-----------------+--------+-----------------------------------------+----------+
 *   | form 1| flags | rewritten, ns | length h  | the host's name | labels | each: u16 length, name; u16 length, value | checksum |
 *   +-------+-------+---------------+-----------+-----------------+--------+-----------------------------------------+----------+
 */
#include "common/store/partition_origin.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/partition_private.h"

enum { ORIGIN_FORM = 1, FIXED_SIZE = 14, CHECKSUM_SIZE = 8, RECORD_MAX = 64 * 1024 };

static const struct text origin_key = { "origin", 6 };

/* --- encoding --- */

static void append_u16(struct buffer *out, size_t value) {
    uint16_t little = htole16((uint16_t)value);
    buffer_append(out, &little, sizeof(little));
}

static void append_u64(struct buffer *out, uint64_t value) {
    value = htole64(value);
    buffer_append(out, &value, sizeof(value));
}

static void append_sized(struct buffer *out, struct text text) {
    append_u16(out, text.length);
    buffer_append_text(out, text);
}

static bool fits(const struct partition_origin *origin) {
    if (origin->host.length > PARTITION_HOST_BYTES || origin->label_count > PARTITION_LABELS_MAX)
        return false;
    for (size_t i = 0; i < origin->label_count; i++)
        if (origin->labels[i].name.length == 0 || origin->labels[i].name.length > PARTITION_LABEL_NAME_BYTES ||
            origin->labels[i].value.length > PARTITION_LABEL_VALUE_BYTES)
            return false;
    return true;
}

int partition_origin_encode(const struct partition_origin *origin, struct buffer *out) {
    if (!fits(origin))
        return -EINVAL;
    size_t begin = out->length;
    append_u16(out, ORIGIN_FORM);
    append_u16(out, origin->flags);
    append_u64(out, origin->rewritten_ns);
    append_sized(out, origin->host);
    append_u16(out, origin->label_count);
    for (size_t i = 0; i < origin->label_count; i++) {
        append_sized(out, origin->labels[i].name);
        append_sized(out, origin->labels[i].value);
    }
    if (!out->failed)
        append_u64(out, hash_bytes(out->data + begin, out->length - begin));
    return out->failed ? -ENOMEM : 0;
}

/* --- decoding --- */

static uint16_t get_u16(const char *at) {
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

static uint64_t get_u64(const char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static bool take_sized(struct text *rest, struct text *ret) {
    if (rest->length < 2 || rest->length - 2 < get_u16(rest->data))
        return false;
    *ret = (struct text) { rest->data + 2, get_u16(rest->data) };
    *rest = (struct text) { ret->data + ret->length, rest->length - 2 - ret->length };
    return true;
}

int partition_origin_decode(struct text encoded, struct partition_origin *ret) {
    struct partition_origin origin = PARTITION_ORIGIN_EMPTY;
    if (encoded.length < FIXED_SIZE + CHECKSUM_SIZE)
        return -EBADMSG;
    size_t length = encoded.length - CHECKSUM_SIZE;
    if (get_u64(encoded.data + length) != hash_bytes(encoded.data, length))
        return -EBADMSG;
    if (get_u16(encoded.data) != ORIGIN_FORM)
        return -EPROTO;
    origin.flags = get_u16(encoded.data + 2);
    origin.rewritten_ns = get_u64(encoded.data + 4);
    struct text rest = { encoded.data + 12, length - 12 };
    if (!take_sized(&rest, &origin.host) || rest.length < 2 || get_u16(rest.data) > PARTITION_LABELS_MAX)
        return -EBADMSG;
    origin.label_count = get_u16(rest.data);
    rest = (struct text) { rest.data + 2, rest.length - 2 };
    for (size_t i = 0; i < origin.label_count; i++)
        if (!take_sized(&rest, &origin.labels[i].name) || !take_sized(&rest, &origin.labels[i].value))
            return -EBADMSG;
    if (rest.length != 0 || !fits(&origin))
        return -EBADMSG;
    *ret = origin;
    return 0;
}

/* --- of a partition --- */

int partition_origin_put(struct partition_txn *txn, const struct partition_origin *origin, struct error *error) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    int result = partition_origin_encode(origin, &bytes);
    if (result < 0)
        return error_set(error, result, "%s: cannot note where its entries are from: %s", txn->partition->path,
                         strerror(-result));
    return partition_put(txn, PARTITION_META, partition_value(origin_key), partition_value(buffer_text(&bytes)),
                         "write where its entries are from", error);
}

int partition_origin_load(struct partition_txn *txn, struct error *error) {
    struct partition *partition = txn->partition;
    struct call call = { .kind = CALL_GET, .txn = txn, .database = PARTITION_META, .key = partition_value(origin_key) };
    struct text found;
    int code = partition_call(&call, "read where its entries are from", error);
    if (code == MDB_NOTFOUND) /* format 1 has none */
        return 0;
    if (code == 0 && call.value.mv_size > RECORD_MAX)
        return error_set(error, -EBADMSG, "%s: the record of where its entries are from is damaged", partition->path);
    if (code == 0)
        code = partition_answer(txn, &call.value, &found, error);
    if (code < 0)
        return code;
    char *bytes = malloc(found.length ? found.length : 1);
    if (!bytes)
        return error_set(error, -ENOMEM, "%s: out of memory", partition->path);
    memcpy(bytes, found.data, found.length);
    code = partition_origin_decode((struct text) { bytes, found.length }, &partition->origin);
    if (code < 0) {
        free(bytes);
        return error_set(error, code, "%s: the record of where its entries are from is %s", partition->path,
                         code == -EPROTO ? "of a newer TaskForge" : "damaged");
    }
    free(partition->origin_bytes);
    partition->origin_bytes = bytes;
    return 0;
}

const struct partition_origin *partition_origin(const struct partition *partition) {
    return &partition->origin;
}

static int set_host(const struct partition *partition, int result, struct block **ret, struct error *error) {
    if (result < 0 || block_set_host(*ret, partition->origin.host) == 0)
        return result;
    block_destroy(*ret);
    return error_set(error, -ENOMEM, "%s: out of memory", partition->path);
}

int partition_block_open(const struct partition *partition, struct text encoded, uint64_t first_sequence,
                         struct block **ret, struct error *error) {
    return set_host(partition, block_open(encoded, first_sequence, ret, error), ret, error);
}

int partition_block_open_taking(const struct partition *partition, char *encoded, size_t size, uint64_t first_sequence,
                                struct block **ret, struct error *error) {
    return set_host(partition, block_open_taking(encoded, size, first_sequence, ret, error), ret, error);
}

bool partition_origin_label(const struct partition_origin *origin, struct text name, struct text *ret) {
    for (size_t i = 0; i < origin->label_count; i++) {
        if (!text_equal(origin->labels[i].name, name))
            continue;
        *ret = origin->labels[i].value;
        return true;
    }
    return false;
}

bool partition_origin_same_place(const struct partition_origin *a, const struct partition_origin *b) {
    if (!text_equal(a->host, b->host) || a->label_count != b->label_count)
        return false;
    for (size_t i = 0; i < a->label_count; i++)
        if (!text_equal(a->labels[i].name, b->labels[i].name) || !text_equal(a->labels[i].value, b->labels[i].value))
            return false;
    return true;
}
