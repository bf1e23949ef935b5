/* sample.h - made-up entries and filters for the tests of match and scan: small vocabularies, so that conditions meet. */
#ifndef TASKFORGE_TESTS_UNIT_QUERY_SAMPLE_H
#define TASKFORGE_TESTS_UNIT_QUERY_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "common/model/entry.h"
#include "common/model/pack.h"
#include "common/query/filter.h"

struct sample {
    uint32_t random;
    char message[200];
    char metadata[64];
};

static inline uint32_t sample_random(struct sample *sample, uint32_t below) {
    sample->random = sample->random * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(sample->random >> 8) * below >> 24);
}

static inline struct text sample_pick(struct sample *sample, const char *const *words, uint32_t count) {
    return text_of(words[sample_random(sample, count)]);
}
#define SAMPLE_PICK(sample, ...)                                                                                       \
    sample_pick(sample, (const char *const[]) { __VA_ARGS__ },                                                         \
                sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(const char *))

/* A valid entry, borrowed until the next; times are near each other, some late. */
static inline struct entry sample_entry(struct sample *sample, uint64_t number) {
    struct pack_writer writer = { .data = sample->metadata, .capacity = sizeof(sample->metadata) };
    struct entry entry = {
        .timestamp_ns = 1000000 + number * 10 - sample_random(sample, 5) * 30,
        .level = sample_random(sample, LEVEL_COUNT),
        .service = SAMPLE_PICK(sample, "queue", "mail", "web"),
        .module = SAMPLE_PICK(sample, "worker", "http"),
        .operation = SAMPLE_PICK(sample, "poll", "send", "get"),
        .trace_id = SAMPLE_PICK(sample, "", "4bf92f3577b34da6a3ce929d0e0e4736", "t-1"),
        .span_id = SAMPLE_PICK(sample, "", "00f067aa0ba902b7"),
        .correlation_id = SAMPLE_PICK(sample, "", "c1", "c2"),
        .host = TEXT_LITERAL("h1"),
        .pid = sample_random(sample, 3),
    };
    entry.id.bytes[0] = 1;
    for (int i = 0; i < 8; i++)
        entry.id.bytes[8 + i] = (uint8_t)(number >> (56 - 8 * i));
    entry.user_id.bytes[15] = (uint8_t)sample_random(sample, 3);
    entry.organization_id.bytes[15] = (uint8_t)sample_random(sample, 2);
    sample->message[0] = '\0';
    for (uint32_t i = 0, words = 1 + sample_random(sample, 4); i < words; i++) {
        struct text word = SAMPLE_PICK(sample, "timeout", "retry", "id=17", "ab", "ba", "x\ny", "gr\xc3\xbcn");
        snprintf(sample->message + strlen(sample->message), sizeof(sample->message) - strlen(sample->message), "%s%.*s",
                 i ? " " : "", TEXT_FORMAT(word));
    }
    entry.message = text_of(sample->message);
    if (sample_random(sample, 2)) {
        pack_map(&writer, 1);
        pack_text(&writer, TEXT_LITERAL("tries"));
        pack_uint(&writer, sample_random(sample, 3));
        entry.metadata = (struct text) { sample->metadata, writer.length };
    }
    return entry;
}

static inline void sample_line(struct sample *sample, struct filter *filter) {
    bool regex = sample_random(sample, 2);
    struct text lines[2];
    uint32_t count = 1 + sample_random(sample, 2);
    for (uint32_t i = 0; i < count; i++)
        lines[i] = regex ? SAMPLE_PICK(sample, "id=[0-9]+", "^timeout", "retry$", "(ab|ba) ", "a", "^$", "time.ut")
                         : SAMPLE_PICK(sample, "timeout", "id=1", "ab", "t a", "", "nowhere", "\n");
    assert_int_equal(filter_add_line(filter, sample_random(sample, 3) == 0, regex, lines, count, NULL), 0);
}

static inline void sample_matcher(struct sample *sample, struct filter *filter) {
    static const char *const labels[] = { "service", "module",          "operation", "host",
                                          "pid",     "trace_id",        "span_id",   "correlation_id",
                                          "user_id", "organization_id", "tries" };
    static const char *const values[] = { "queue", "http", "get",
                                          "h1",    "1",    "4bf92f3577b34da6a3ce929d0e0e4736",
                                          "",      "c1",   "00000000-0000-0000-0000-000000000001",
                                          "",      "2" };
    uint32_t which = sample_random(sample, sizeof(labels) / sizeof(labels[0]));
    enum filter_operator op = sample_random(sample, 4);
    struct text value = text_of(values[which]);
    if (op == FILTER_MATCH || op == FILTER_NOT_MATCH)
        value = SAMPLE_PICK(sample, "queue|mail", ".*", ".+", "", "[0-9a-f-]+", "c.");
    assert_int_equal(filter_add_matcher(filter, text_of(labels[which]), op, value, NULL), 0);
}

/* A filter of none to some conditions; near `number` of `count` entries. Finish it. */
static inline void sample_filter(struct sample *sample, struct filter *filter, uint64_t count) {
    filter_init(filter);
    if (sample_random(sample, 3) == 0)
        filter->since_ns = 1000000 + sample_random(sample, (uint32_t)count) * 10;
    if (sample_random(sample, 3) == 0)
        filter->until_ns = 1000000 + sample_random(sample, (uint32_t)count) * 10;
    if (sample_random(sample, 3) == 0)
        filter->levels = sample_random(sample, 1 << LEVEL_COUNT);
    if (sample_random(sample, 4) == 0)
        assert_int_equal(filter_add_service(filter, TEXT_LITERAL("web"), NULL), 0);
    while (sample_random(sample, 2))
        sample_matcher(sample, filter);
    while (sample_random(sample, 2))
        sample_line(sample, filter);
}

#endif
