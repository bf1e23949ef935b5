/* The index value: it never says no wrongly, seldom perhaps for nothing, and no bytes whatever take its reader down. */
#include "store_entries.h"

#include <endian.h>

#include "common/store/filter_index_private.h"

enum { ROWS = 4096 };

static struct buffer block, encoded;
static struct index_entry entry;

static int set_up(void **state) {
    (void)state;
    make_block(1000, ROWS, &block, &encoded);
    return index_decode(buffer_text(&encoded), &entry);
}

static int tear_down(void **state) {
    (void)state;
    index_entry_finish(&entry);
    buffer_finish(&block);
    buffer_finish(&encoded);
    return 0;
}

static void knows_the_range_and_the_counts(void **state) {
    (void)state;
    assert_int_equal(entry.first_sequence, 1000);
    assert_int_equal(entry.count, ROWS);
    assert_int_equal(entry.min_timestamp_ns, FIXTURE_NOW + 1000000);
    assert_int_equal(entry.max_timestamp_ns, FIXTURE_NOW + (1000 + ROWS - 1) * 1000);
    assert_int_equal(entry.count_count, 3);
    uint64_t counts[3][LEVEL_COUNT] = { { 0 } };
    for (uint64_t sequence = 1000; sequence < 1000 + ROWS; sequence++)
        counts[sequence % 3][sequence % LEVEL_COUNT]++;
    static const char *const services[] = { "billing", "queue", "mail" };
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < 3; k++)
            if (text_is(entry.counts[i].service, services[k]))
                assert_memory_equal(entry.counts[i].by_level, counts[k], sizeof(counts[k]));
}

static void keeps_when_which_rows_arrived(void **state) {
    (void)state;
    const struct index_flush flushes[] = { { 0, 10 }, { 3, 20 }, { 9, 5 } };
    struct block_builder *builder;
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    struct index_entry got;
    must(block_builder_create(&builder));
    for (uint64_t i = 0; i < 10; i++) {
        struct made_entry made;
        make_entry(i, &made);
        must(block_builder_add(builder, &made.entry));
    }
    must(index_encode(builder, 0, flushes, 3, &out));
    must(index_decode(buffer_text(&out), &got));
    assert_int_equal(got.flush_count, 3);
    assert_memory_equal(&got.flushes[2].flush_ns, &flushes[2].flush_ns, 8);
    assert_int_equal(got.flushes[1].first_row, 3);
    index_entry_finish(&got);
    block_builder_destroy(builder);
}

static void never_misses_an_id_that_is_there(void **state) {
    (void)state;
    for (uint64_t sequence = 1000; sequence < 1000 + ROWS; sequence++) {
        struct made_entry made;
        make_entry(sequence, &made);
        assert_true(index_may_have_id(&entry, INDEX_TRACE, made.entry.trace_id));
        if (!uuid_is_zero(&made.entry.user_id))
            assert_true(index_may_have_id(&entry, INDEX_USER,
                                          (struct text) { (const char *)made.entry.user_id.bytes, UUID_SIZE }));
    }
}

static void seldom_says_perhaps_of_an_id_that_is_not(void **state) {
    (void)state;
    unsigned wrong = 0, other_kind = 0;
    for (uint64_t sequence = 100000; sequence < 140000; sequence += 4) {
        struct made_entry made;
        make_entry(sequence, &made);
        wrong += index_may_have_id(&entry, INDEX_TRACE, made.entry.trace_id);
    }
    for (uint64_t sequence = 1000; sequence < 1000 + ROWS; sequence += 4) {
        struct made_entry made;
        make_entry(sequence, &made);
        other_kind += index_may_have_id(&entry, INDEX_SPAN, made.entry.trace_id); /* a trace's id is no span's */
    }
    assert_true(wrong < 10000 * 3 / 100);
    assert_true(other_kind < 1024 * 5 / 100);
}

static void never_misses_a_text_that_is_there(void **state) {
    (void)state;
    static const char *const parts[] = { "entry number_1005 was",
                                         "ntry number_1005 w",
                                         " number_1005 ",
                                         "y number_4099 was writte",
                                         "number_1005",
                                         "mber_10",
                                         "",
                                         "e",
                                         "try number_1005 was wri" };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        assert_true(index_may_contain(&entry, text_of(parts[i])));
}

static void rules_out_a_text_by_its_whole_words_only(void **state) {
    (void)state;
    unsigned wrong = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char text[64];
        snprintf(text, sizeof(text), " absent_%u ", i);
        wrong += index_may_contain(&entry, text_of(text));
        snprintf(text, sizeof(text), "absent_%u", i); /* may go on at both sides */
        assert_true(index_may_contain(&entry, text_of(text)));
        snprintf(text, sizeof(text), " absent_%u", i);
        assert_true(index_may_contain(&entry, text_of(text)));
    }
    assert_true(wrong < 30);
    assert_true(index_may_contain(&entry, TEXT_LITERAL(" x "))); /* too short to be in the filter */
}

static void nothing_was_said_says_no_to_every_id(void **state) {
    (void)state;
    struct index_entry empty = { .count = 1 };
    assert_false(index_may_have_id(&empty, INDEX_TRACE, TEXT_LITERAL("abc")));
    assert_false(index_may_contain(&empty, TEXT_LITERAL(" word ")));
    assert_true(index_may_contain(&empty, TEXT_LITERAL("...")));
}

static void notices_any_flipped_bit_and_any_cut(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer small_block = BUFFER_EMPTY, small = BUFFER_EMPTY;
    struct index_entry got;
    make_block(5, 20, &small_block, &small);
    must(index_decode(buffer_text(&small), &got));
    index_entry_finish(&got);
    for (size_t bit = 0; bit < small.length * 8; bit++) {
        small.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(index_decode(buffer_text(&small), &got), -EBADMSG);
        small.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < small.length; length++)
        assert_int_equal(index_decode((struct text) { small.data, length }, &got), -EBADMSG);
}

/* What a walk takes of it, as the partition copies it; *ret_room is to be freed. */
static struct index_parts take_parts(const struct buffer *value, const struct index_want *want, char **ret_room) {
    struct index_parts parts;
    size_t taken = 0;
    char *room = malloc(value->length);
    assert_non_null(room);
    index_find_places(value->data, value->length, want, &parts);
    for (unsigned i = 0; i < parts.count; i++) {
        struct index_place *place = &parts.places[i];
        assert_true(place->at + place->length <= value->length && taken + place->length <= value->length);
        memcpy(room + taken, value->data + place->at, place->length);
        place->bytes = room + taken;
        taken += place->length;
    }
    *ret_room = room;
    return parts;
}

static void parts_of_it_answer_what_was_asked(void **state) {
    (void)state;
    struct index_want want = { 0 };
    struct made_entry made;
    struct index_entry got = { 0 };
    char *room;
    make_entry(1001, &made);
    index_want_id(&want, INDEX_TRACE, made.entry.trace_id);
    index_want_id(&want, INDEX_TRACE, TEXT_LITERAL("no such trace"));
    index_want_words(&want, TEXT_LITERAL(" zeppelin "));
    struct index_parts parts = take_parts(&encoded, &want, &room);
    size_t taken = 0;
    for (unsigned i = 0; i < parts.count; i++)
        taken += parts.places[i].length;
    assert_true(taken < encoded.length / 2);
    must(index_decode_parts(&parts, &got));
    assert_int_equal(got.count, ROWS);
    assert_int_equal(got.max_timestamp_ns, entry.max_timestamp_ns);
    assert_int_equal(got.count_count + got.flush_count + got.template_count, 0);
    assert_true(index_may_have_id(&got, INDEX_TRACE, made.entry.trace_id));
    assert_false(index_may_have_id(&got, INDEX_TRACE, TEXT_LITERAL("no such trace")));
    assert_false(index_may_contain(&got, TEXT_LITERAL(" zeppelin ")));
    assert_true(index_may_have_template(&got, 1)); /* not read: perhaps */
    unsigned perhaps = 0;
    for (uint64_t sequence = 100000; sequence < 100100; sequence++) {
        make_entry(sequence, &made);
        perhaps += index_may_have_id(&got, INDEX_TRACE, made.entry.trace_id);
    }
    assert_true(perhaps > 20);
    free(room);
    index_entry_finish(&got);
}

static void what_is_wanted_is_all_there(void **state) {
    (void)state;
    const struct index_want want = { .counts = true, .flushes = true, .templates = true, .filters = true };
    struct index_entry got = { 0 };
    char *room;
    struct index_parts parts = take_parts(&encoded, &want, &room);
    for (int again = 0; again < 2; again++) { /* with the arrays of before */
        must(index_decode_parts(&parts, &got));
        assert_int_equal(got.count_count, entry.count_count);
        assert_int_equal(got.flush_count, entry.flush_count);
        assert_int_equal(got.template_count, entry.template_count);
        assert_memory_equal(got.templates, entry.templates, got.template_count * sizeof(got.templates[0]));
    }
    free(room);
    index_entry_finish(&got);
}

static void no_part_is_used_unchecked(void **state) {
    (void)state;
    struct index_want want = { .counts = true };
    struct index_entry got = { 0 };
    char *room;
    index_want_id(&want, INDEX_TRACE, TEXT_LITERAL("some trace"));
    index_want_words(&want, TEXT_LITERAL(" word "));
    struct index_parts parts = take_parts(&encoded, &want, &room);
    assert_int_equal(parts.count, 3);
    for (unsigned i = 0; i < parts.count; i++)
        for (size_t byte = 0; byte < parts.places[i].length; byte++) {
            char *at = (char *)(uintptr_t)parts.places[i].bytes + byte;
            *at ^= 4;
            assert_int_equal(index_decode_parts(&parts, &got), -EBADMSG);
            *at ^= 4;
        }
    must(index_decode_parts(&parts, &got));
    /* A piece that stands elsewhere, or in another value, is none. */
    parts.places[1].at += 8;
    (void)index_decode_parts(&parts, &got);
    assert_true(index_may_have_id(&got, INDEX_TRACE, TEXT_LITERAL("some trace")));
    free(room);
    index_entry_finish(&got);
}

/* --- values that no encoder made, with checksums that fit --- */

static void put_sum(char *value, size_t at, uint64_t sum) {
    sum = htole64(sum);
    memcpy(value + at, &sum, sizeof(sum));
}

static void seal_pieces(char *value, size_t at, size_t end, size_t piece, uint64_t head_sum) {
    for (size_t next; at < end; at = next) {
        next = end - at > piece + INDEX_CHECKSUM ? at + piece + INDEX_CHECKSUM : end;
        if (next - at >= INDEX_CHECKSUM)
            put_sum(value, next - INDEX_CHECKSUM, index_part_sum(head_sum, at, value + at, next - at - INDEX_CHECKSUM));
    }
}

/* As far as the sizes in it lead to anything that is there. */
static void seal_again(struct buffer *value) {
    struct index_layout layout = index_layout_of(value->data);
    if (layout.flushes < INDEX_FIXED_SIZE + INDEX_CHECKSUM || layout.flushes > layout.templates ||
        layout.templates > layout.ids || layout.ids > layout.words || layout.words > layout.end ||
        layout.end > value->length)
        return;
    uint64_t sum = hash_bytes(value->data, layout.flushes - INDEX_CHECKSUM);
    put_sum(value->data, layout.flushes - INDEX_CHECKSUM, sum);
    seal_pieces(value->data, layout.flushes, layout.templates, SIZE_MAX / 2, sum);
    seal_pieces(value->data, layout.templates, layout.ids, SIZE_MAX / 2, sum);
    seal_pieces(value->data, layout.ids, layout.words, INDEX_PIECE, sum);
    seal_pieces(value->data, layout.words, layout.end, INDEX_PIECE, sum);
}

/* Whatever it says: it is refused, or its answers hold together. */
static bool is_refused(struct buffer *value) {
    struct index_entry got;
    uint64_t sum = 0;
    seal_again(value);
    int result = index_decode(buffer_text(value), &got);
    if (result < 0) {
        assert_int_equal(result, -EBADMSG);
        return true;
    }
    assert_true(got.count > 0 && got.flush_count > 0 && got.flushes[0].first_row == 0);
    for (uint32_t i = 0; i < got.flush_count; i++)
        assert_true(got.flushes[i].first_row < got.count);
    for (uint32_t i = 0; i < got.count_count; i++) {
        for (size_t byte = 0; byte < got.counts[i].service.length; byte++)
            sum += (unsigned char)got.counts[i].service.data[byte];
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            assert_true(got.counts[i].by_level[level] <= got.count);
    }
    for (uint32_t i = 0; i < got.template_count; i++)
        assert_true(got.templates[i].count <= got.count);
    (void)index_may_have_id(&got, INDEX_TRACE, TEXT_LITERAL("abc"));
    (void)index_may_contain(&got, TEXT_LITERAL(" word "));
    assert_true(sum < UINT64_MAX);
    index_entry_finish(&got);
    return false;
}

static void whatever_a_sealed_value_says_is_read_within_its_bounds(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer small_block = BUFFER_EMPTY, value = BUFFER_EMPTY, room = BUFFER_EMPTY;
    make_block(5, 20, &small_block, &value);
    const struct index_layout layout = index_layout_of(value.data);
    unsigned refused = 0, taken = 0;
    buffer_append_text(&room, buffer_text(&value));
    assert_false(is_refused(&room));
    for (size_t at = 0; at < layout.ids; at++) {
        const char kept = value.data[at];
        const char others[] = { 0, 1, 7, 127, (char)0x80, (char)0xff, 20, 21, (char)(kept + 1), (char)(kept - 1) };
        for (size_t i = 0; i < sizeof(others); i++) {
            memcpy(room.data, value.data, value.length);
            room.data[at] = others[i];
            bool no = is_refused(&room);
            refused += no;
            taken += !no;
        }
    }
    assert_true(refused > 200 && taken > 200);
    /* Sizes of four bytes, each as large as it can be; and parts that are longer than what is in them. */
    for (size_t at = 16; at + 4 <= INDEX_FIXED_SIZE; at += 4)
        for (unsigned shift = 0; shift < 32; shift++) {
            const uint32_t size = htole32(UINT32_MAX >> shift);
            memcpy(room.data, value.data, value.length);
            memcpy(room.data + at, &size, 4);
            (void)is_refused(&room);
        }
    for (unsigned part = INDEX_AT_HEAD; part <= INDEX_AT_TEMPLATES; part += 4)
        for (unsigned more = 1; more < 12; more++) {
            uint32_t size = htole32(get_u32(value.data + part) + more);
            buffer_clear(&room);
            buffer_append_text(&room, buffer_text(&value));
            memcpy(room.data + part, &size, 4);
            for (unsigned i = 0; i < more; i++)
                buffer_append_char(&room, 0);
            assert_true(is_refused(&room));
        }
}

static void tells_what_stands_before(void **state) {
    (void)state;
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    const struct index_flush flush_of_all = { 0, 10 };
    struct index_before before = { 5, UINT64_MAX - 1, 3 };
    struct block_builder *builder;
    struct made_entry made;
    struct index_entry got;
    must(block_builder_create(&builder));
    make_entry(7, &made);
    must(block_builder_add(builder, &made.entry));
    must(index_encode_behind(builder, 7, &before, &flush_of_all, 1, &out));
    must(index_decode(buffer_text(&out), &got));
    assert_int_equal(got.before.min_ns, 5);
    assert_int_equal(got.before.max_ns, UINT64_MAX - 1);
    assert_int_equal(got.before.late_ns, 3);
    assert_int_equal(before.late_ns, UINT64_MAX - 1 - made.entry.timestamp_ns);
    before = index_before_next(INDEX_BEFORE_NOTHING, got.min_timestamp_ns, got.max_timestamp_ns);
    assert_int_equal(before.min_ns, made.entry.timestamp_ns);
    assert_int_equal(before.max_ns, made.entry.timestamp_ns);
    index_entry_finish(&got);
    block_builder_destroy(builder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_range_and_the_counts),
        cmocka_unit_test(keeps_when_which_rows_arrived),
        cmocka_unit_test(never_misses_an_id_that_is_there),
        cmocka_unit_test(seldom_says_perhaps_of_an_id_that_is_not),
        cmocka_unit_test(never_misses_a_text_that_is_there),
        cmocka_unit_test(rules_out_a_text_by_its_whole_words_only),
        cmocka_unit_test(nothing_was_said_says_no_to_every_id),
        cmocka_unit_test(notices_any_flipped_bit_and_any_cut),
        cmocka_unit_test(parts_of_it_answer_what_was_asked),
        cmocka_unit_test(what_is_wanted_is_all_there),
        cmocka_unit_test(no_part_is_used_unchecked),
        cmocka_unit_test(whatever_a_sealed_value_says_is_read_within_its_bounds),
        cmocka_unit_test(tells_what_stands_before),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
