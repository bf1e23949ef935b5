#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/block.h"

enum { ROWS = 3000 };

struct sample {
    char message[200], trace[64], span[32], correlation[64], service[32];
    struct entry entry;
};

static const char *const odd_ids[] = {
    "",    "0af7651916cd43dd8448eb211c80319c",     "B7AD6B7169203331",
    "abc", "01890a5d-ac96-774b-bcce-b302099a8057", "01890A5D-AC96-774B-BCCE-B302099A8057",
    "z"
};

static void make(struct sample *samples, unsigned rows) {
    struct uuid_generator generators[3];
    unsigned seed = 7;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(uuid_generator_init(&generators[i]), 0);
    uint64_t now = UINT64_C(1795457704123456789);
    for (unsigned i = 0; i < rows; i++) {
        struct sample *sample = &samples[i];
        now += (uint64_t)(rand_r(&seed) % 100000);
        snprintf(sample->message, sizeof(sample->message), "job %u of queue mail took %d ms", i, rand_r(&seed) % 5000);
        snprintf(sample->service, sizeof(sample->service), "service-%d", rand_r(&seed) % 5);
        struct entry *entry = &sample->entry;
        *entry = (struct entry) { .timestamp_ns = now - (uint64_t)(rand_r(&seed) % 3) * 1000000000,
                                  .level = (enum level)(rand_r(&seed) % LEVEL_COUNT),
                                  .service = text_of(sample->service),
                                  .module = TEXT_LITERAL("worker"),
                                  .operation = TEXT_LITERAL("run"),
                                  .message = text_of(sample->message),
                                  .host = TEXT_LITERAL("a-host"),
                                  .pid = 1000 + (uint32_t)(rand_r(&seed) % 4) };
        uuid_make(&generators[rand_r(&seed) % 3], now, &entry->id);
        if (i % 10 == 0)
            assert_int_equal(random_bytes(entry->id.bytes, UUID_SIZE), 0);
        entry->trace_id = text_of(odd_ids[rand_r(&seed) % 7]);
        entry->span_id = text_of(odd_ids[rand_r(&seed) % 7]);
        entry->correlation_id = text_of(odd_ids[i / 100 % 7]);
        if (i % 4 == 0)
            memset(entry->user_id.bytes, (int)(i % 7 + 1), UUID_SIZE);
        if (i % 3 == 0)
            entry->metadata = TEXT_LITERAL("\x81\xa1k\x01");
        if (entry->level >= LEVEL_ERROR && i % 2)
            entry->error_details = TEXT_LITERAL("\xa4oops");
    }
}

static void same(const struct entry *a, const struct entry *b) {
    assert_memory_equal(a->id.bytes, b->id.bytes, UUID_SIZE);
    assert_int_equal(a->timestamp_ns, b->timestamp_ns);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->pid, b->pid);
    assert_memory_equal(a->user_id.bytes, b->user_id.bytes, UUID_SIZE);
    assert_memory_equal(a->organization_id.bytes, b->organization_id.bytes, UUID_SIZE);
    const struct text left[] = { a->service, a->module,         a->operation, a->message,       a->trace_id,
                                 a->span_id, a->correlation_id, a->metadata,  a->error_details, a->host };
    const struct text right[] = { b->service, b->module,         b->operation, b->message,       b->trace_id,
                                  b->span_id, b->correlation_id, b->metadata,  b->error_details, b->host };
    for (unsigned i = 0; i < 10; i++)
        assert_true(text_equal(left[i], right[i]));
}

static struct block_builder *build(struct sample *samples, unsigned rows, uint64_t sequence, struct buffer *out) {
    struct block_builder *builder;
    assert_int_equal(block_builder_create(&builder), 0);
    for (unsigned i = 0; i < rows; i++)
        assert_int_equal(block_builder_add(builder, &samples[i].entry), 0);
    assert_int_equal(block_builder_encode(builder, sequence, out), 0);
    return builder;
}

static void gives_back_every_field_of_every_entry(void **state) {
    (void)state;
    static struct sample samples[ROWS];
    static const unsigned sizes[] = { 1, 2, 255, 256, 257, ROWS };
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make(samples, sizes[i]);
        struct buffer out = BUFFER_EMPTY;
        block_builder_destroy(build(samples, sizes[i], 77, &out));
        struct block *block;
        struct error error = { "" };
        assert_int_equal(block_open(buffer_text(&out), 77, &block, &error), 0);
        assert_int_equal(block_load_all(block, &error), 0);
        assert_int_equal(block_count(block), sizes[i]);
        for (unsigned row = 0; row < sizes[i]; row++) {
            struct entry entry;
            block_entry(block, row, &entry);
            same(&entry, &samples[row].entry);
        }
        block_destroy(block);
        buffer_finish(&out);
    }
}

static void same_rows(struct block *block, const struct sample *samples, const uint32_t *rows, uint32_t count) {
    assert_int_equal(block_load_rows(block, rows, count, NULL), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry;
        block_entry(block, rows[i], &entry);
        same(&entry, &samples[rows[i]].entry);
    }
}

static void gives_back_the_entries_of_a_few_rows(void **state) {
    (void)state;
    static struct sample samples[ROWS];
    static uint32_t rows[ROWS], one[1];
    make(samples, ROWS);
    struct buffer out = BUFFER_EMPTY;
    struct block *block;
    block_builder_destroy(build(samples, ROWS, 77, &out));
    assert_int_equal(block_open(buffer_text(&out), 77, &block, NULL), 0);
    for (uint32_t step = ROWS - 1; step > 1;
         step = step * 2 / 3) { /* few, then more, then so many that all are loaded */
        uint32_t count = 0;
        for (uint32_t row = step / 2; row < ROWS; row += step)
            rows[count++] = row;
        same_rows(block, samples, rows, count);
    }
    block_destroy(block);
    assert_int_equal(block_open(buffer_text(&out), 77, &block, NULL), 0);
    for (one[0] = 0; one[0] < ROWS; one[0] += 7) /* each alone: ids like those of rows that are not wanted */
        same_rows(block, samples, one, 1);
    assert_int_equal(block_load(block, BLOCK_MESSAGE, NULL), 0); /* the whole column, after some of it */
    for (uint32_t row = 0; row < ROWS; row++)
        assert_true(text_equal(block_text(block, BLOCK_MESSAGE, row), samples[row].entry.message));
    block_destroy(block);
    buffer_finish(&out);
}

static void begins_anew_after_a_clear(void **state) {
    (void)state;
    static struct sample samples[300];
    make(samples, 300);
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    struct block_builder *builder = build(samples, 300, 5, &first);
    block_builder_clear(builder);
    assert_int_equal(block_builder_count(builder), 0);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(block_builder_add(builder, &samples[i].entry), 0);
    assert_int_equal(block_builder_encode(builder, 5, &second), 0);
    assert_int_equal(first.length, second.length);
    assert_memory_equal(first.data, second.data, first.length);
    block_builder_destroy(builder);
    buffer_finish(&first);
    buffer_finish(&second);
}

static void is_no_block_under_another_sequence(void **state) {
    (void)state;
    static struct sample samples[10];
    make(samples, 10);
    struct buffer out = BUFFER_EMPTY;
    struct block *block;
    block_builder_destroy(build(samples, 10, 5, &out));
    assert_int_equal(block_open(buffer_text(&out), 6, &block, NULL), -EBADMSG);
    buffer_finish(&out);
}

static void notices_any_flipped_bit_and_any_cut(void **state) {
    (void)state;
    static struct sample samples[40];
    make(samples, 40);
    struct buffer out = BUFFER_EMPTY;
    struct block *block;
    block_builder_destroy(build(samples, 40, 5, &out));
    for (size_t i = 0; i < out.length * 8; i++) {
        out.data[i / 8] ^= (char)(1 << i % 8);
        int result = block_open(buffer_text(&out), 5, &block, NULL);
        if (result == 0) {
            result = block_load_all(block, NULL);
            block_destroy(block);
        }
        out.data[i / 8] ^= (char)(1 << i % 8);
        assert_true(result < 0);
    }
    for (size_t length = 0; length < out.length; length++) {
        struct text cut = { out.data, length };
        int result = block_open(cut, 5, &block, NULL);
        if (result == 0) {
            result = block_load_all(block, NULL);
            block_destroy(block);
        }
        assert_true(result < 0);
    }
    buffer_finish(&out);
}

static void packs_the_ids_of_a_few_threads_into_little_more_than_a_byte(void **state) {
    (void)state;
    static struct sample samples[ROWS];
    make(samples, ROWS);
    struct uuid_generator generators[4];
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(uuid_generator_init(&generators[i]), 0);
    struct buffer with = BUFFER_EMPTY, without = BUFFER_EMPTY;
    for (unsigned i = 0; i < ROWS; i++)
        uuid_make(&generators[i * 7 % 4], samples[i].entry.timestamp_ns, &samples[i].entry.id);
    block_builder_destroy(build(samples, ROWS, 1, &with));
    for (unsigned i = 0; i < ROWS; i++)
        uuid_make(&generators[0], samples[i].entry.timestamp_ns, &samples[i].entry.id);
    block_builder_destroy(build(samples, ROWS, 1, &without));
    assert_true(with.length < without.length + ROWS * 3 / 2);
    buffer_finish(&with);
    buffer_finish(&without);
}

static void encodes_as_many_rows_as_it_takes_though_no_two_have_a_value_in_common(void **state) {
    (void)state;
    struct block_builder *builder;
    struct buffer encoded = BUFFER_EMPTY;
    struct block *block;
    uint32_t rows = 0;
    char service[16];
    struct entry entry = { .message = TEXT_LITERAL("m"), .module = TEXT_LITERAL("m"), .operation = TEXT_LITERAL("o") };
    assert_int_equal(block_builder_create(&builder), 0);
    do {
        rows++;
        snprintf(service, sizeof(service), "s%u", rows);
        entry.service = text_of(service);
        entry.pid = rows;
        memcpy(entry.user_id.bytes, &rows, sizeof(rows));
    } while (block_builder_add(builder, &entry) == 0);
    rows--;
    assert_int_equal(block_builder_count(builder), rows);
    assert_true(rows >= BLOCK_ENTRIES_MAX - 1);
    assert_int_equal(block_builder_encode(builder, 1, &encoded), 0);
    assert_int_equal(block_open(buffer_text(&encoded), 1, &block, NULL), 0);
    assert_int_equal(block_load_all(block, NULL), 0);
    assert_int_equal(block_pid(block, rows - 1), rows);
    assert_memory_equal(block_uuid(block, BLOCK_USER_ID, rows - 1)->bytes, &rows, sizeof(rows));
    assert_true(text_is(block_text(block, BLOCK_SERVICE, 0), "s1"));
    assert_int_equal(block_text(block, BLOCK_HOST, 5).length, 0);
    block_destroy(block);
    buffer_finish(&encoded);
    block_builder_destroy(builder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_every_field_of_every_entry),
        cmocka_unit_test(gives_back_the_entries_of_a_few_rows),
        cmocka_unit_test(begins_anew_after_a_clear),
        cmocka_unit_test(encodes_as_many_rows_as_it_takes_though_no_two_have_a_value_in_common),
        cmocka_unit_test(is_no_block_under_another_sequence),
        cmocka_unit_test(notices_any_flipped_bit_and_any_cut),
        cmocka_unit_test(packs_the_ids_of_a_few_threads_into_little_more_than_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
