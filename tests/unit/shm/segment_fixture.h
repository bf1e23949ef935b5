/* segment_fixture.h - a segment with a series of each sort, beside ring_fixture.h's runtime directory. */
#ifndef TASKFORGE_TESTS_UNIT_SHM_SEGMENT_FIXTURE_H
#define TASKFORGE_TESTS_UNIT_SHM_SEGMENT_FIXTURE_H

#include "common/shm/segment_private.h"
#include "tests/unit/shm/ring_fixture.h"

static const struct metric_scheme fixture_scheme = { "taskforge", "_gauge" };

static inline struct segment_writer *fixture_writer(const char *runtime_dir) {
    struct segment_writer *writer = NULL;
    struct error error = { "" };
    if (segment_create(runtime_dir, &fixture_scheme, &writer, &error) != 0)
        fail_msg("create: %s", error.text);
    return writer;
}

static inline struct segment_writer *fixture_published(const char *runtime_dir) {
    struct segment_writer *writer = fixture_writer(runtime_dir);
    assert_int_equal(segment_publish(writer, NULL), 0);
    return writer;
}

static inline struct segment *fixture_open(const char *runtime_dir) {
    struct segment *segment = NULL;
    struct error error = { "" };
    assert_int_equal(map_guard_install(NULL), 0); /* again: cmocka takes the signals for each test */
    if (segment_open(runtime_dir, &segment, &error) != 0)
        fail_msg("open: %s", error.text);
    return segment;
}

/* A series of that kind and name with one label, or none when `value` is "". */
static inline uint64_t fixture_add(struct segment_writer *writer, enum metric_kind kind, const char *name,
                                   const char *value) {
    struct metric_definition definition = { .kind = kind, .name = text_of(name) };
    struct metric_label label = { TEXT_LITERAL("queue"), text_of(value) };
    char labels[METRIC_LABELS_BYTES], family[METRIC_FAMILY_BYTES];
    uint64_t series = UINT64_MAX;
    assert_int_equal(metric_labels_pack(&label, 1, labels, &definition.labels, NULL), 0);
    size_t length = metric_family(&fixture_scheme, kind, definition.naming, definition.name, family);
    assert_int_equal(segment_add(writer, &definition, (struct text) { family, length }, 1000, &series), 0);
    return series;
}

#endif
