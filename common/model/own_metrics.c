#include "common/model/own_metrics.h"

static const struct own_metric_row rows[OWN_METRIC_COUNT] = {
#define X(id, kind, name, labels, help) [OWN_##id] = { METRIC_##kind, name, labels, help },
    OWN_METRICS(X)
#undef X
};

const struct own_metric_row *own_metric_row(enum own_metric metric) {
    return &rows[metric];
}

/* The next name of a row's labels; false at the end. */
static bool next_label(const char **at, struct text *ret) {
    size_t length = strcspn(*at, ",");
    *ret = (struct text) { *at, length };
    *at += length + ((*at)[length] == ',');
    return length > 0;
}

int own_metric_define(enum own_metric metric, const struct text *values, char room[METRIC_LABELS_BYTES],
                      struct metric_definition *ret, struct error *error) {
    const struct own_metric_row *row = &rows[metric];
    struct metric_label labels[OWN_METRIC_LABELS_MAX];
    const char *at = row->labels;
    size_t count = 0;
    struct metric_definition definition = {
        .kind = row->kind,
        .naming = METRIC_NAMING_PREFIXED,
        .name = text_of(row->name),
        .unit = row->kind == METRIC_TIMER ? TEXT_LITERAL("seconds") : TEXT_EMPTY,
        .help = text_of(row->help),
    };
    for (struct text name; count < OWN_METRIC_LABELS_MAX && next_label(&at, &name); count++)
        labels[count] = (struct metric_label) { name, values[count] };
    int result = metric_labels_pack(labels, count, room, &definition.labels, error);
    if (result == 0)
        *ret = definition;
    return result;
}
