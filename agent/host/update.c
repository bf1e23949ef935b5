/* update.c - name, help and labels of a sample. */
#include "agent/host/update.h"

#include <errno.h>

#include "common/base/check.h"

static const struct {
    enum metric_kind kind;
    struct text name, unit, help;
} families[] = {
#define HOST_FAMILY_ROW(constant, name, kind, unit, help)                                                              \
    { METRIC_##kind, TEXT_INITIALIZER(name), TEXT_INITIALIZER(unit), TEXT_INITIALIZER(help) },
    HOST_FAMILIES(HOST_FAMILY_ROW)
#undef HOST_FAMILY_ROW
};

/* Copy `pattern` with the field in place of its '*'. */
static struct text fill(struct text pattern, struct text field, char *out, size_t capacity) {
    const char *star = memchr(pattern.data, '*', pattern.length);
    size_t before = star ? (size_t)(star - pattern.data) : pattern.length;
    size_t behind = star ? pattern.length - before - 1 : 0;
    if (!star)
        return pattern;
    check(field.length <= HOST_FIELD_MAX && before + field.length + behind <= capacity);
    memcpy(out, pattern.data, before);
    memcpy(out + before, field.data, field.length);
    memcpy(out + before + field.length, star + 1, behind);
    return (struct text) { out, before + field.length + behind };
}

/* The labels with each value as valid UTF-8. */
static int repair_labels(const struct host_sample *sample, struct buffer *out,
                         struct metric_label labels[HOST_LABELS_MAX]) {
    size_t begin[HOST_LABELS_MAX], count = sample->label_count;
    buffer_clear(out);
    for (size_t i = 0; i < count; i++) {
        begin[i] = out->length;
        text_utf8_repair(sample->labels[i].value, out);
    }
    if (out->failed) {
        buffer_finish(out);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        size_t end = i + 1 < count ? begin[i + 1] : out->length;
        labels[i] = (struct metric_label) { sample->labels[i].name, { out->data + begin[i], end - begin[i] } };
    }
    return 0;
}

int host_update_make(const struct host_sample *sample, struct host_update_room *room,
                     struct record_metric_update *ret) {
    struct metric_label labels[HOST_LABELS_MAX];
    bool valid = true;
    struct error error;
    int result = 0;
    check((unsigned)sample->family < HOST_FAMILY_COUNT && sample->label_count <= HOST_LABELS_MAX);
    *ret = (struct record_metric_update) {
        .metric_kind = (uint8_t)families[sample->family].kind,
        .naming = METRIC_NAMING_VERBATIM,
        .operation = METRIC_SET,
        .value = sample->value,
        .name = fill(families[sample->family].name, sample->field, room->name, sizeof(room->name)),
        .unit = families[sample->family].unit,
        .help = fill(families[sample->family].help, sample->field, room->help, sizeof(room->help)),
    };
    for (size_t i = 0; i < sample->label_count; i++)
        valid = valid && text_utf8_valid(sample->labels[i].value);
    if (!valid)
        result = repair_labels(sample, &room->repaired, labels);
    if (result != 0)
        return result;
    return metric_labels_pack(valid ? sample->labels : labels, sample->label_count, room->labels, &ret->labels, &error);
}

void host_update_room_finish(struct host_update_room *room) {
    buffer_finish(&room->repaired);
}
