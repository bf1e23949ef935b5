/* exposition_cache.c - see exposition.h: the whole segment as text. The order of the series is kept while it is the same segment, and so
 * is the text while nothing in it has changed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exporter/exposition.h"

struct row { /* a series; its texts are `texts` bytes of one piece of memory: family, labels */
    char *texts;
    uint32_t family_length, labels_length;
    uint64_t position;
    bool refused; /* its family's name is another's already */
    bool has_help, has_unit;
};

struct exposition {
    struct row *rows; /* sorted */
    size_t count, capacity;
    uint64_t last; /* position of the newest row */
    struct metric_families families;
    uint8_t id[16]; /* of the segment that all this is about */
    struct buffer texts[EXPOSITION_FORMATS];
    uint64_t changes[EXPOSITION_FORMATS];
    bool formatted[EXPOSITION_FORMATS];
    struct segment_sample sample, described;
};

int exposition_create(struct exposition **ret) {
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

static void forget(struct exposition *exposition) {
    for (size_t i = 0; i < exposition->count; i++)
        free(exposition->rows[i].texts);
    exposition->count = 0;
    exposition->last = 0;
    metric_families_finish(&exposition->families);
    memset(exposition->formatted, 0, sizeof(exposition->formatted));
}

void exposition_destroy(struct exposition *exposition) {
    if (!exposition)
        return;
    forget(exposition);
    free(exposition->rows);
    for (int i = 0; i < EXPOSITION_FORMATS; i++)
        buffer_finish(&exposition->texts[i]);
    segment_sample_finish(&exposition->sample);
    segment_sample_finish(&exposition->described);
    free(exposition);
}

/* --- the order --- */

static struct text family_of(const struct row *row) {
    return (struct text) { row->texts, row->family_length };
}

static struct text labels_of(const struct row *row) {
    return (struct text) { row->texts + row->family_length, row->labels_length };
}

static int compare_rows(const void *left, const void *right) {
    const struct row *a = left, *b = right;
    int order = text_compare(family_of(a), family_of(b));
    if (order == 0)
        order = text_compare(labels_of(a), labels_of(b));
    return order ? order : (a->position > b->position) - (a->position < b->position);
}

static int add_row(struct exposition *exposition, const struct segment_sample *sample) {
    const struct metric_definition *definition = &sample->definition;
    if (exposition->count == exposition->capacity) {
        size_t capacity = exposition->capacity ? exposition->capacity * 2 : 256;
        struct row *grown = reallocarray(exposition->rows, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        exposition->rows = grown;
        exposition->capacity = capacity;
    }
    int result = metric_families_add(&exposition->families, definition->kind, sample->family, NULL);
    if (result == -ENOMEM)
        return result;
    struct row row = {
        .texts = malloc(sample->family.length + definition->labels.length),
        .family_length = (uint32_t)sample->family.length,
        .labels_length = (uint32_t)definition->labels.length,
        .position = sample->position,
        .refused = result<0, .has_help = definition->help.length> 0,
        .has_unit = definition->unit.length > 0,
    };
    if (!row.texts)
        return -ENOMEM;
    memcpy(row.texts, sample->family.data, sample->family.length);
    if (definition->labels.length > 0)
        memcpy(row.texts + sample->family.length, definition->labels.data, definition->labels.length);
    exposition->rows[exposition->count++] = row;
    exposition->last = sample->position;
    return 0;
}

/* Take in the series that have come since the last time. */
static int order(struct exposition *exposition, struct segment *segment) {
    size_t before = exposition->count;
    int result;
    while ((result = segment_next(segment, exposition->last, &exposition->sample)) == 1)
        if ((result = add_row(exposition, &exposition->sample)) < 0)
            return result;
    if (exposition->count > before)
        qsort(exposition->rows, exposition->count, sizeof(*exposition->rows), compare_rows);
    return result;
}

/* --- the text --- */

/* The oldest row of a family (count of them from `rows`) that has a help, or a unit. */
static const struct row *first_with(const struct row *rows, size_t count, bool help) {
    const struct row *first = NULL;
    for (size_t i = 0; i < count; i++)
        if (!rows[i].refused && (help ? rows[i].has_help : rows[i].has_unit) &&
            (!first || rows[i].position < first->position))
            first = &rows[i];
    return first;
}

static int append_head(struct exposition *exposition, struct segment *segment, enum exposition_format format,
                       const struct row *rows, size_t count) {
    const struct row *help = first_with(rows, count, true), *unit = first_with(rows, count, false);
    struct segment_sample *described = &exposition->described;
    char room[METRIC_UNIT_BYTES];
    struct text unit_text = TEXT_EMPTY, help_text = TEXT_EMPTY;
    int result = 0;
    if (unit && (result = segment_read(segment, unit->position, described)) == 0) {
        unit_text = (struct text) { room, described->definition.unit.length };
        memcpy(room, described->definition.unit.data, unit_text.length); /* the sample is used again */
    }
    if (result == 0 && help && (result = segment_read(segment, help->position, described)) == 0)
        help_text = described->definition.help;
    if (result == 0)
        exposition_append_family(&exposition->texts[format], format, exposition->sample.definition.kind,
                                 family_of(rows), help_text, unit_text);
    return result;
}

/* One family, `count` rows. */
static int append_rows(struct exposition *exposition, struct segment *segment, enum exposition_format format,
                       const struct row *rows, size_t count) {
    struct segment_sample *sample = &exposition->sample;
    const struct row *last = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].refused || (last && text_equal(labels_of(last), labels_of(&rows[i]))))
            continue;
        int result = segment_read(segment, rows[i].position, sample);
        if (result == 0 && !sample->hidden && !last)
            result = append_head(exposition, segment, format, rows, count);
        if (result < 0)
            return result;
        if (sample->hidden)
            continue;
        exposition_append_series(&exposition->texts[format], format, sample);
        last = &rows[i];
    }
    return 0;
}

static int format_all(struct exposition *exposition, struct segment *segment, enum exposition_format format) {
    struct buffer *out = &exposition->texts[format];
    int result = 0;
    buffer_clear(out);
    for (size_t i = 0, end; i < exposition->count && result == 0; i = end) {
        for (end = i + 1;
             end < exposition->count && text_equal(family_of(&exposition->rows[i]), family_of(&exposition->rows[end]));)
            end++;
        result = append_rows(exposition, segment, format, &exposition->rows[i], end - i);
    }
    exposition_append_end(out, format);
    if (result == 0 && out->failed) {
        buffer_finish(out);
        result = -ENOMEM;
    }
    return result;
}

int exposition_read(struct exposition *exposition, struct segment *segment, enum exposition_format format,
                    struct text *ret, struct error *error) {
    struct segment_info info;
    int result = segment_info_get(segment, &info);
    if (result == 0 && memcmp(info.id, exposition->id, sizeof(info.id)) != 0) {
        forget(exposition);
        memcpy(exposition->id, info.id, sizeof(info.id));
    }
    if (result == 0 && (!exposition->formatted[format] || exposition->changes[format] != info.changes)) {
        exposition->formatted[format] = false;
        result = order(exposition, segment);
        if (result == 0)
            result = format_all(exposition, segment, format);
        exposition->formatted[format] = result == 0;
        exposition->changes[format] =
            info.changes; /* as it was before reading: what came meanwhile is formatted again */
    }
    if (result < 0) {
        forget(exposition);
        return error_set(error, result, "the metric segment %s",
                         result == -ENOMEM ? "does not fit the memory" : "is damaged: the collector makes a new one");
    }
    *ret = buffer_text(&exposition->texts[format]);
    return 0;
}
