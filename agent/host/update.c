/* update.c - name, help and labels of a sample. */
#include "agent/host/update.h"

#include "common/base/check.h"
#include "common/model/metric_repair.h"

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

/* The name with the field in it as a metric's may be; *field becomes what stands for it there. */
static bool repair_name(struct text pattern, struct text filled, struct host_update_room *room, struct text *ret,
                        struct text *field) {
    bool changed = metric_name_repair(filled, room->name, ret);
    const char *star = memchr(pattern.data, '*', pattern.length);
    if (star)
        *field = (struct text) { ret->data + (star - pattern.data), ret->length - (pattern.length - 1) };
    return changed;
}

static bool repair_labels(const struct host_sample *sample, struct host_update_room *room, struct text *ret) {
    struct metric_label labels[HOST_LABELS_MAX];
    bool changed = false;
    for (size_t i = 0; i < sample->label_count; i++) {
        labels[i].name = sample->labels[i].name;
        changed |= metric_label_value_repair(sample->labels[i].value, room->values[i], &labels[i].value);
    }
    int result = metric_labels_pack(labels, sample->label_count, room->labels, ret, NULL);
    check(result == 0); /* names of ours, and no three values of full length beside a fourth */
    return changed;
}

bool host_update_make(const struct host_sample *sample, struct host_update_room *room,
                      struct record_metric_update *ret) {
    check((unsigned)sample->family < HOST_FAMILY_COUNT && sample->label_count <= HOST_LABELS_MAX);
    const struct text pattern = families[sample->family].name;
    struct text field = sample->field;
    *ret = (struct record_metric_update) {
        .metric_kind = (uint8_t)families[sample->family].kind,
        .naming = METRIC_NAMING_VERBATIM,
        .operation = METRIC_SET,
        .value = sample->value,
        .unit = families[sample->family].unit,
    };
    struct text filled = fill(pattern, field, room->filled, sizeof(room->filled));
    bool changed = repair_name(pattern, filled, room, &ret->name, &field);
    ret->help = fill(families[sample->family].help, field, room->help, sizeof(room->help));
    return repair_labels(sample, room, &ret->labels) || changed;
}
