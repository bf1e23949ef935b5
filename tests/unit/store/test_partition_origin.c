#include "store_fixture.h"

#include "common/store/partition_origin.h"

static struct partition_origin an_origin(void) {
    return (struct partition_origin) {
        .flags = PARTITION_IMPORTED,
        .rewritten_ns = 7,
        .host = TEXT_LITERAL("alpha"),
        .labels = { { TEXT_LITERAL("site"), TEXT_LITERAL("jkt1") }, { TEXT_LITERAL("rack"), TEXT_EMPTY } },
        .label_count = 2,
    };
}

static void assert_is_that_origin(const struct partition_origin *origin) {
    struct text value;
    assert_int_equal(origin->flags, PARTITION_IMPORTED);
    assert_int_equal(origin->rewritten_ns, 7);
    assert_true(text_is(origin->host, "alpha"));
    assert_int_equal(origin->label_count, 2);
    assert_true(partition_origin_label(origin, TEXT_LITERAL("site"), &value) && text_is(value, "jkt1"));
    assert_true(partition_origin_label(origin, TEXT_LITERAL("rack"), &value) && value.length == 0);
    assert_false(partition_origin_label(origin, TEXT_LITERAL("sit"), &value));
}

static void a_partition_says_where_its_entries_are_from(void **state) {
    const char *path = fixture_path(1);
    struct partition_meta meta = fixture_meta(1);
    struct partition_origin origin = an_origin();
    struct partition *partition;
    (void)state;
    must(partition_create_of(path, &meta, &origin, FIXTURE_MAP, &partition, &error));
    assert_is_that_origin(partition_origin(partition));
    partition_close(partition);
    must(partition_open(path, PARTITION_READ, 0, &partition, &error));
    assert_is_that_origin(partition_origin(partition));
    partition_close(partition);
}

static void without_an_origin_it_says_nothing(void **state) {
    (void)state;
    struct partition *partition = fixture_create(fixture_path(1), 1);
    assert_int_equal(partition_origin(partition)->host.length, 0);
    assert_int_equal(partition_origin(partition)->label_count, 0);
    partition_close(partition);
}

static void any_flipped_bit_and_any_cut_is_found(void **state) {
    struct buffer bytes = BUFFER_EMPTY;
    struct partition_origin origin = an_origin(), read;
    (void)state;
    assert_int_equal(partition_origin_encode(&origin, &bytes), 0);
    for (size_t bit = 0; bit < bytes.length * 8; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_true(partition_origin_decode(buffer_text(&bytes), &read) < 0);
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t length = 0; length < bytes.length; length++)
        assert_int_equal(partition_origin_decode((struct text) { bytes.data, length }, &read), -EBADMSG);
    assert_int_equal(partition_origin_decode(buffer_text(&bytes), &read), 0);
    assert_is_that_origin(&read);
    buffer_finish(&bytes);
}

static void what_is_too_long_is_not_kept(void **state) {
    struct buffer bytes = BUFFER_EMPTY;
    struct partition_origin origin = an_origin();
    char text[300];
    (void)state;
    memset(text, 'a', sizeof(text));
    origin.labels[0].value = (struct text) { text, PARTITION_LABEL_VALUE_BYTES + 1 };
    assert_int_equal(partition_origin_encode(&origin, &bytes), -EINVAL);
    origin = an_origin();
    origin.labels[1].name = TEXT_EMPTY;
    assert_int_equal(partition_origin_encode(&origin, &bytes), -EINVAL);
    origin = an_origin();
    origin.host = (struct text) { text, PARTITION_HOST_BYTES + 1 };
    assert_int_equal(partition_origin_encode(&origin, &bytes), -EINVAL);
    assert_int_equal(bytes.length, 0);
}

static void places_differ_by_host_and_labels(void **state) {
    struct partition_origin a = an_origin(), b = an_origin();
    (void)state;
    b.flags = 0;
    assert_true(partition_origin_same_place(&a, &b));
    b.labels[1].value = TEXT_LITERAL("2");
    assert_false(partition_origin_same_place(&a, &b));
    b = a;
    b.host = TEXT_LITERAL("beta");
    assert_false(partition_origin_same_place(&a, &b));
    b = a;
    b.label_count = 1;
    assert_false(partition_origin_same_place(&a, &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_partition_says_where_its_entries_are_from, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(without_an_origin_it_says_nothing, fixture_setup, fixture_teardown),
        cmocka_unit_test(any_flipped_bit_and_any_cut_is_found),
        cmocka_unit_test(what_is_too_long_is_not_kept),
        cmocka_unit_test(places_differ_by_host_and_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
