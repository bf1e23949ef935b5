/* alert.c - what is done with any alert; how it is stored stands in alert_codec.c. */
#include "alerter/alert.h"

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
    const char *name;
    enum level level;
} severities[ALERT_SEVERITY_COUNT] = {
    [ALERT_INFO] = { "info", LEVEL_INFO },
    [ALERT_WARNING] = { "warning", LEVEL_WARN },
    [ALERT_ERROR] = { "error", LEVEL_ERROR },
    [ALERT_CRITICAL] = { "critical", LEVEL_CRITICAL },
};

static const char *const statuses[ALERT_STATUS_COUNT] = {
    [ALERT_PENDING] = "pending",
    [ALERT_ACTIVE] = "active",
    [ALERT_ACKNOWLEDGED] = "acknowledged",
    [ALERT_RESOLVED] = "resolved",
};

const char *alert_severity_name(enum alert_severity severity) {
    return severities[severity].name;
}

int alert_severity_parse(struct text text, enum alert_severity *ret) {
    for (unsigned i = 0; i < ALERT_SEVERITY_COUNT; i++) {
        if (!text_is(text, severities[i].name))
            continue;
        *ret = i;
        return 0;
    }
    return -EINVAL;
}

enum level alert_severity_level(enum alert_severity severity) {
    return severities[severity].level;
}

const char *alert_status_name(enum alert_status status) {
    return statuses[status];
}

/* --- pairs --- */

static char *copy_text(struct text text) {
    char *copy = malloc(text.length + 1);
    if (!copy)
        return NULL;
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    return copy;
}

/* Where key stands, or belongs. */
static size_t place_of(const struct alert_pairs *pairs, struct text key) {
    size_t at = 0;
    while (at < pairs->count && text_compare(text_of(pairs->items[at].key), key) < 0)
        at++;
    return at;
}

static bool stands_at(const struct alert_pairs *pairs, size_t at, struct text key) {
    return at < pairs->count && text_is(key, pairs->items[at].key);
}

int alert_pairs_set(struct alert_pairs *pairs, struct text key, struct text value) {
    size_t at = place_of(pairs, key);
    bool there = stands_at(pairs, at, key);
    if (!there && pairs->count == ALERT_PAIRS_MAX)
        return -E2BIG;
    char *key_copy = there ? pairs->items[at].key : copy_text(key), *value_copy = copy_text(value);
    struct alert_pair *items = pairs->items;
    if (!there)
        items = realloc(items, (pairs->count + 1) * sizeof(*items));
    if (items)
        pairs->items = items;
    if (!key_copy || !value_copy || !items) {
        free(there ? NULL : key_copy);
        free(value_copy);
        return -ENOMEM;
    }
    if (there) {
        free(items[at].value);
    } else {
        memmove(&items[at + 1], &items[at], (pairs->count - at) * sizeof(*items));
        pairs->count++;
    }
    items[at] = (struct alert_pair) { key_copy, value_copy };
    return 0;
}

const char *alert_pairs_get(const struct alert_pairs *pairs, const char *key) {
    size_t at = place_of(pairs, text_of(key));
    return stands_at(pairs, at, text_of(key)) ? pairs->items[at].value : NULL;
}

int alert_pairs_copy(const struct alert_pairs *from, struct alert_pairs *ret) {
    struct alert_pairs copy = ALERT_PAIRS_EMPTY;
    int result = 0;
    for (size_t i = 0; i < from->count && result == 0; i++)
        result = alert_pairs_set(&copy, text_of(from->items[i].key), text_of(from->items[i].value));
    if (result < 0)
        alert_pairs_finish(&copy);
    *ret = copy;
    return result;
}

bool alert_pairs_equal(const struct alert_pairs *a, const struct alert_pairs *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].key, b->items[i].key) != 0 || strcmp(a->items[i].value, b->items[i].value) != 0)
            return false;
    return true;
}

void alert_pairs_append_json(struct buffer *out, const struct alert_pairs *pairs) {
    buffer_append_char(out, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        json_append_string(out, text_of(pairs->items[i].key));
        buffer_append_char(out, ':');
        json_append_string(out, text_of(pairs->items[i].value));
    }
    buffer_append_char(out, '}');
}

void alert_pairs_finish(struct alert_pairs *pairs) {
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].key);
        free(pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = ALERT_PAIRS_EMPTY;
}

/* --- alerts --- */

static char **const *strings_of(struct alert *alert, char **room[], size_t *ret_count) {
    char **const all[] = { &alert->rule_id,
                           &alert->name,
                           &alert->message,
                           &alert->details,
                           &alert->entries,
                           &alert->acknowledged_by,
                           &alert->acknowledged_reason };
    memcpy(room, all, sizeof(all));
    *ret_count = COUNT_OF(all);
    return room;
}
enum { STRINGS_MAX = 8 };

void alert_finish(struct alert *alert) {
    char **room[STRINGS_MAX];
    size_t count;
    char **const *strings = strings_of(alert, room, &count);
    for (size_t i = 0; i < count; i++)
        free(*strings[i]);
    alert_pairs_finish(&alert->labels);
    alert_pairs_finish(&alert->annotations);
    *alert = (struct alert) { 0 };
}

int alert_copy(const struct alert *from, struct alert *ret) {
    struct alert copy = *from;
    char **room[STRINGS_MAX];
    size_t count;
    char **const *strings = strings_of(&copy, room, &count);
    int result = 0;
    copy.labels = copy.annotations = ALERT_PAIRS_EMPTY;
    for (size_t i = 0; i < count; i++) {
        const char *string = *strings[i];
        *strings[i] = string ? strdup(string) : NULL;
        if (string && !*strings[i])
            result = -ENOMEM;
    }
    if (result == 0)
        result = alert_pairs_copy(&from->labels, &copy.labels);
    if (result == 0)
        result = alert_pairs_copy(&from->annotations, &copy.annotations);
    if (result < 0)
        alert_finish(&copy);
    *ret = copy;
    return result;
}

/* --- JSON --- */

void alert_append_dedup_key(struct buffer *out, const struct alert *alert) {
    char id[UUID_TEXT_SIZE];
    uuid_format(&alert->id, id);
    buffer_append_format(out, "%s:%s", alert->rule_id, id);
}

static void append_text(struct buffer *out, const char *key, const char *value) {
    buffer_append_format(out, "\"%s\":", key);
    json_append_string(out, text_of(value));
    buffer_append_char(out, ',');
}

static void append_time(struct buffer *out, const char *key, uint64_t time_ns) {
    char text[CLOCK_RFC3339_SIZE];
    if (time_ns == 0) {
        buffer_append_format(out, "\"%s\":null,", key);
        return;
    }
    clock_format(time_ns, text);
    append_text(out, key, text);
}

void alert_append_json(struct buffer *out, const struct alert *alert, bool with_entries) {
    _cleanup_buffer_ struct buffer dedup_key = BUFFER_EMPTY;
    char id[UUID_TEXT_SIZE];
    uuid_format(&alert->id, id);
    alert_append_dedup_key(&dedup_key, alert);
    buffer_append_char(&dedup_key, '\0');
    out->failed |= dedup_key.failed;
    buffer_append_char(out, '{');
    append_text(out, "id", id);
    append_text(out, "rule_id", alert->rule_id);
    append_text(out, "name", alert->name);
    append_text(out, "severity", alert_severity_name(alert->severity));
    append_text(out, "status", alert_status_name(alert->status));
    append_text(out, "message", alert->message);
    append_time(out, "timestamp", alert->timestamp_ns);
    buffer_append_format(out, "\"details\":%s,", alert->details ? alert->details : "{}");
    append_time(out, "last_notified", alert->last_notified_ns);
    buffer_append_string(out, "\"labels\":");
    alert_pairs_append_json(out, &alert->labels);
    buffer_append_string(out, ",\"annotations\":");
    alert_pairs_append_json(out, &alert->annotations);
    buffer_append_char(out, ',');
    append_text(out, "dedup_key", dedup_key.failed ? "" : dedup_key.data);
    if (alert->acknowledged_by) {
        append_text(out, "acknowledged_by", alert->acknowledged_by);
        append_text(out, "acknowledged_reason", alert->acknowledged_reason);
    }
    if (alert->resolved_at_ns > 0)
        append_time(out, "resolved_at", alert->resolved_at_ns);
    if (with_entries)
        buffer_append_format(out, "\"entries\":%s,", alert->entries ? alert->entries : "[]");
    if (!out->failed)
        out->length--; /* the last comma */
    buffer_append_char(out, '}');
}
