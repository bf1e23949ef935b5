/* samples_series.c - see samples_private.h: what a partition and its series are. */
#include <errno.h>

#include "common/store/samples_private.h"

enum { DEFINITION_VERSION = 1, SUM = 8, HEAD_SIZE = 16 };
static const struct text head_key = TEXT_INITIALIZER("samples");

/* --- the partition's record --- */

int samples_head_put(struct partition_txn *txn, const struct samples_head *head, struct error *error) {
    struct buffer out = BUFFER_EMPTY;
    samples_put_u32(&out, head->version);
    samples_put_u32(&out, head->chunk_ticks);
    samples_put_u64(&out, head->interval_ns);
    int result = out.failed ? error_set(error, -ENOMEM, "out of memory")
                            : partition_state_put(txn, head_key, buffer_text(&out), error);
    buffer_finish(&out);
    return result;
}

int samples_head_get(struct partition_txn *txn, struct samples_head *ret, struct error *error) {
    struct text value;
    const char *path = partition_path(partition_of(txn));
    int found = partition_state_get(txn, head_key, &value, error);
    if (found < 0)
        return found;
    struct samples_cursor cursor = samples_cursor_of(found ? value : TEXT_EMPTY);
    ret->version = samples_take_u32(&cursor);
    if (ret->version > SAMPLES_VERSION)
        return error_set(error, -EPROTO,
                         "%s: written by a newer TaskForge (samples of version %u; this program knows %d)", path,
                         ret->version, SAMPLES_VERSION);
    ret->chunk_ticks = samples_take_u32(&cursor);
    ret->interval_ns = samples_take_u64(&cursor);
    if (cursor.bad || cursor.at != cursor.end || ret->version == 0 || ret->interval_ns == 0 ||
        ret->interval_ns > SAMPLES_DAY_NS || ret->chunk_ticks == 0 || ret->chunk_ticks > SAMPLES_TICKS_MAX)
        return error_set(error, -EBADMSG, "%s: not a partition of samples (its record is missing or damaged)", path);
    return 0;
}

/* --- definitions --- */

static void put_text(struct buffer *out, struct text text) {
    samples_put_number(out, text.length);
    buffer_append_text(out, text);
}

static struct text take_text(struct samples_cursor *cursor) {
    uint64_t length = samples_take_number(cursor);
    const unsigned char *bytes = samples_take(cursor, length);
    return (struct text) { (const char *)bytes, bytes ? length : 0 };
}

void samples_definition_encode(const struct samples_definition *definition, uint32_t number, struct buffer *out) {
    const struct metric_definition *metric = &definition->metric;
    size_t begin = out->length;
    buffer_append_char(out, DEFINITION_VERSION);
    buffer_append_char(out, (char)metric->kind);
    buffer_append_char(out, (char)metric->naming);
    samples_put_u64(out, definition->created_ns);
    put_text(out, definition->family);
    put_text(out, metric->name);
    put_text(out, metric->labels);
    put_text(out, metric->unit);
    put_text(out, metric->help);
    put_text(out, metric->bounds);
    if (!out->failed)
        samples_put_u64(out, hash_bytes_seeded(out->data + begin, out->length - begin, number));
}

int samples_definition_decode(struct text bytes, uint32_t number, struct samples_definition *ret) {
    if (bytes.length < 1 + SUM)
        return -EBADMSG;
    bytes.length -= SUM;
    struct samples_cursor sum = samples_cursor_of((struct text) { bytes.data + bytes.length, SUM });
    struct samples_cursor cursor = samples_cursor_of(bytes);
    if (samples_take_u64(&sum) != hash_bytes_seeded(bytes.data, bytes.length, number) ||
        samples_take_byte(&cursor) != DEFINITION_VERSION)
        return -EBADMSG;
    struct metric_definition *metric = &ret->metric;
    *ret = (struct samples_definition) { .created_ns = 0 }; /* what is not stored, too */
    metric->kind = (enum metric_kind)samples_take_byte(&cursor);
    metric->naming = (enum metric_naming)samples_take_byte(&cursor);
    ret->created_ns = samples_take_u64(&cursor);
    ret->family = take_text(&cursor);
    metric->name = take_text(&cursor);
    metric->labels = take_text(&cursor);
    metric->unit = take_text(&cursor);
    metric->help = take_text(&cursor);
    metric->bounds = take_text(&cursor);
    bool sound = !cursor.bad && cursor.at == cursor.end && metric_definition_check(metric, NULL) == 0 &&
                 metric_family_check(ret->family) == 0;
    return sound ? 0 : -EBADMSG;
}

uint64_t samples_definition_hash(const struct samples_definition *definition) {
    const struct metric_definition *metric = &definition->metric;
    uint64_t hash = hash_bytes_seeded(definition->family.data, definition->family.length, (uint64_t)metric->kind);
    return hash_bytes_seeded(metric->labels.data, metric->labels.length, hash);
}

bool samples_definition_same(const struct samples_definition *a, const struct samples_definition *b) {
    return a->metric.kind == b->metric.kind && text_equal(a->family, b->family) &&
           text_equal(a->metric.labels, b->metric.labels);
}

int samples_definition_compare(const struct samples_definition *a, const struct samples_definition *b) {
    int order = text_compare(a->family, b->family);
    if (order == 0)
        order = text_compare(a->metric.labels, b->metric.labels);
    return order != 0 ? order : (int)a->metric.kind - (int)b->metric.kind;
}
