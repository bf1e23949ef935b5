/* metric_repair.c - see metric_repair.h. */
#include "common/model/metric_repair.h"

#include <errno.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"

enum { HASH_DIGITS = 16 };

/* The hash of the whole text, as digits. */
static void put_hash(struct text whole, char out[HASH_DIGITS]) {
    uint64_t hash = hash_bytes(whole.data, whole.length);
    text_hex(&hash, sizeof(hash), out);
}

/* --- names --- */

/* Put `prefix` and the name into `out`, a '_' for each character that may not stand in it. */
static struct text put_name(const char *prefix, struct text name, bool colon, char *out, size_t capacity) {
    size_t length = strlen(prefix), at = 0;
    memcpy(out, prefix, length);
    while (at < name.length && length < capacity) {
        char c = name.data[at];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        int size = text_utf8_next((struct text) { name.data + at, name.length - at }, NULL);
        out[length++] = letter || (c == ':' && colon) ? c : '_';
        at += (size_t)(size > 0 ? size : -size);
    }
    if (at < name.length) { /* the end gives way to the hash */
        length = capacity - HASH_DIGITS;
        out[length - 1] = '_';
        put_hash(name, out + length);
        length = capacity;
    }
    return (struct text) { out, length };
}

static bool begins_with_digit(struct text name) {
    return name.length > 0 && name.data[0] >= '0' && name.data[0] <= '9';
}

bool metric_name_repair(struct text name, char out[METRIC_NAME_BYTES], struct text *ret) {
    *ret = name;
    if (metric_name_check(name, NULL) == 0)
        return false;
    const char *prefix = name.length == 0 || begins_with_digit(name) ? "_" : "";
    *ret = put_name(prefix, name, true, out, METRIC_NAME_BYTES);
    return true;
}

static bool label_name_is_good(struct text name) {
    return metric_label_check(&(struct metric_label) { name, TEXT_EMPTY }, NULL) == 0;
}

bool metric_label_name_repair(struct text name, char out[METRIC_LABEL_NAME_BYTES], struct text *ret) {
    *ret = name;
    if (label_name_is_good(name))
        return false;
    *ret = put_name("", name, false, out, METRIC_LABEL_NAME_BYTES);
    if (ret->length == 0)
        *ret = put_name("_", name, false, out, METRIC_LABEL_NAME_BYTES);
    else if (!label_name_is_good(*ret))
        *ret = put_name(out[0] == '_' ? "key" : "key_", name, false, out, METRIC_LABEL_NAME_BYTES);
    return true;
}

/* --- values --- */

bool metric_label_value_repair(struct text value, char out[METRIC_LABEL_VALUE_BYTES], struct text *ret) {
    static const struct text bad = TEXT_INITIALIZER("\xef\xbf\xbd"), cut = TEXT_INITIALIZER("\xe2\x80\xa6");
    const size_t most = METRIC_LABEL_VALUE_BYTES, end = most - HASH_DIGITS - cut.length;
    size_t length = 0, cut_at = 0, at = 0;
    *ret = value;
    if (metric_label_check(&(struct metric_label) { TEXT_LITERAL("x"), value }, NULL) == 0)
        return false;
    while (at < value.length) {
        int size = text_utf8_next((struct text) { value.data + at, value.length - at }, NULL);
        bool good = size > 0 && value.data[at] != '\0';
        struct text piece = good ? (struct text) { value.data + at, (size_t)size } : bad;
        if (length + piece.length > most)
            break;
        memcpy(out + length, piece.data, piece.length);
        length += piece.length;
        at += (size_t)(size > 0 ? size : -size);
        cut_at = length <= end ? length : cut_at; /* between two characters */
    }
    if (at < value.length) {
        memcpy(out + cut_at, cut.data, cut.length);
        put_hash(value, out + cut_at + cut.length);
        length = cut_at + cut.length + HASH_DIGITS;
    }
    *ret = (struct text) { out, length };
    return true;
}

/* --- the labels of a series --- */

struct repaired_label {
    struct metric_label label;
    struct text given; /* the name it had */
    char *value;       /* the room for a value of its own */
};

static bool comes_before(const struct repaired_label *a, const struct repaired_label *b) {
    int order = text_compare(a->label.name, b->label.name);
    return order != 0 ? order < 0 : text_compare(a->given, b->given) < 0;
}

/* "one;two", in the room of the first. */
static void join_values(struct repaired_label *first, struct text more) {
    char joined[2 * METRIC_LABEL_VALUE_BYTES + 1], repaired[METRIC_LABEL_VALUE_BYTES];
    struct text value = first->label.value, whole = { joined, value.length + 1 + more.length };
    if (more.length == 0)
        return;
    if (value.length > 0) {
        memcpy(joined, value.data, value.length);
        joined[value.length] = ';';
        memcpy(joined + value.length + 1, more.data, more.length);
        metric_label_value_repair(whole, repaired, &more);
    }
    memmove(first->value, more.data, more.length);
    first->label.value = (struct text) { first->value, more.length };
}

int metric_labels_repair(const struct metric_label *labels, size_t count, struct metric_labels_room *room,
                         struct text *ret, struct error *error) {
    struct repaired_label sorted[METRIC_LABELS_MAX];
    struct metric_label list[METRIC_LABELS_MAX];
    bool changed = false;
    size_t kept = 0;
    if (count > METRIC_LABELS_MAX)
        return error_set(error, -EINVAL, "a series has at most %d labels, not %zu", METRIC_LABELS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        struct repaired_label one = { .given = labels[i].name, .value = room->repaired[i].value };
        size_t at = i;
        changed |= metric_label_name_repair(labels[i].name, room->repaired[i].name, &one.label.name);
        changed |= metric_label_value_repair(labels[i].value, room->repaired[i].value, &one.label.value);
        for (; at > 0 && comes_before(&one, &sorted[at - 1]); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = one;
    }
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && text_equal(sorted[kept - 1].label.name, sorted[i].label.name)) {
            join_values(&sorted[kept - 1], sorted[i].label.value);
            changed = true;
        } else {
            sorted[kept++] = sorted[i];
        }
    }
    for (size_t i = 0; i < kept; i++)
        list[i] = sorted[i].label;
    int result = metric_labels_pack(list, kept, room->packed, ret, error);
    check(result == 0 || result == -E2BIG);
    return result < 0 ? result : changed;
}
