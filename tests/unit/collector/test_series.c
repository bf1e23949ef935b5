/* Series: found by what they are, changed in batches that may come to nothing, kept in the state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "collector/series_state.h"
#include "common/base/check.h"
#include "common/store/state_keys.h"

static struct text labels_of(const char *name, const char *value, char out[METRIC_LABELS_BYTES]) {
    struct metric_label label = { text_of(name), text_of(value) };
    struct text packed;
    assert_int_equal(metric_labels_pack(&label, 1, out, &packed, NULL), 0);
    return packed;
}

static struct metric_definition definition_of(enum metric_kind kind, const char *name, struct text labels) {
    return (struct metric_definition) { .kind = kind, .name = text_of(name), .labels = labels };
}

static void finds_each_of_many_by_all_that_names_it(void **state) {
    (void)state;
    struct series_table table = SERIES_TABLE_EMPTY;
    char name[32], room[METRIC_LABELS_BYTES];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "metric_%d", i);
        struct metric_definition definition = definition_of(METRIC_COUNTER, name, TEXT_EMPTY);
        assert_non_null(series_add(&table, &definition, 0, 1));
        definition.labels = labels_of("queue", "mail", room);
        assert_null(series_find(&table, &definition));
        assert_int_equal(series_add(&table, &definition, 0, 1)->id, 2 * i + 2);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "metric_%d", i);
        struct metric_definition definition = definition_of(METRIC_COUNTER, name, TEXT_EMPTY);
        assert_int_equal(series_find(&table, &definition)->id, 2 * i + 1);
        definition.kind = METRIC_GAUGE;
        assert_null(series_find(&table, &definition));
        definition.kind = METRIC_COUNTER;
        definition.naming = METRIC_NAMING_VERBATIM;
        assert_null(series_find(&table, &definition));
    }
    series_table_finish(&table);
}

static void a_batch_that_comes_to_nothing_changes_nothing(void **state) {
    (void)state;
    struct series_table table = SERIES_TABLE_EMPTY;
    struct metric_definition definition = definition_of(METRIC_HISTOGRAM, "size", TEXT_EMPTY);
    struct series *series = series_add(&table, &definition, 0, 1);
    series_begin(series);
    assert_int_equal(histogram_add(series->coming.histogram, 3, 2), 0);
    series_settle(series);
    assert_int_equal(histogram_count(series->safe.histogram), 2);
    series_begin(series);
    assert_int_equal(histogram_add(series->coming.histogram, 5, 1), 0);
    unsigned octave, bucket;
    assert_true(histogram_place(3, &octave, &bucket));
    assert_ptr_equal(series->coming.histogram->octaves[octave], series->safe.histogram->octaves[octave]); /* no copy */
    assert_int_equal(series_own_octave(series, octave), 0);
    assert_int_equal(histogram_add(series->coming.histogram, 3, 1), 0);
    assert_int_equal(histogram_count(series->coming.histogram), 4);
    series_drop(series);
    assert_int_equal(histogram_count(series->safe.histogram), 2);
    assert_true(series->safe.histogram->sum == 6);
    series_table_finish(&table);
}

static void put(struct state_map *map, const char *prefix, uint32_t id, struct buffer *value) {
    struct state_key key;
    series_key(&key, prefix, id);
    assert_int_equal(state_map_put(map, state_key_text(&key), buffer_text(value)), 0);
    buffer_clear(value);
}

static void comes_back_from_the_state(void **state) {
    (void)state;
    struct series_table table = SERIES_TABLE_EMPTY, back = SERIES_TABLE_EMPTY;
    struct state_map map = STATE_MAP_EMPTY;
    struct buffer bytes = BUFFER_EMPTY;
    char room[METRIC_LABELS_BYTES], bounds[METRIC_BOUNDS_BYTES];
    const double classic[] = { 1, 2.5 };
    struct metric_definition definition = definition_of(METRIC_TIMER, "work", labels_of("queue", "mail", room));
    definition.help = TEXT_LITERAL("How long.");
    definition.unit = TEXT_LITERAL("seconds");
    assert_int_equal(metric_bounds_pack(classic, 2, bounds, &definition.bounds, NULL), 0);
    struct series *series = series_add(&table, &definition, 7, 1234);
    series_begin(series);
    assert_int_equal(histogram_add(series->coming.histogram, 0.25, 4), 0);
    series->coming.updated_ns = 99;
    series_settle(series);
    series_encode_definition(series, NULL, &bytes);
    put(&map, STATE_METRIC, 7, &bytes);
    series_encode_value(&series->safe, definition.kind, &bytes);
    put(&map, STATE_VALUE, 7, &bytes);
    buffer_append_string(&bytes, "no definition");
    put(&map, STATE_METRIC, 8, &bytes);

    struct series_loaded loaded = { 0 };
    assert_int_equal(series_load(&back, &map, &loaded), 0);
    assert_int_equal(loaded.bad, 1);
    assert_true(loaded.old); /* each with a key of its own */
    assert_int_equal(back.count, 1);
    struct series *found = series_find(&back, &definition);
    assert_non_null(found);
    assert_true(found->defined);
    assert_int_equal(found->id, 7);
    assert_int_equal(found->created_ns, 1234);
    assert_int_equal(found->safe.updated_ns, 99);
    assert_int_equal(histogram_count(found->safe.histogram), 4);
    assert_true(text_is(found->definition.help, "How long."));
    assert_true(text_equal(found->definition.bounds, definition.bounds));
    assert_int_equal(
        series_add(&back, &(struct metric_definition) { .kind = METRIC_GAUGE, .name = TEXT_LITERAL("g") }, 0, 1)->id,
        1); /* one that is free */
    buffer_finish(&bytes);
    series_table_finish(&table);
    series_table_finish(&back);
    state_map_finish(&map);
}

static void a_value_that_was_cut_is_left_out(void **state) {
    (void)state;
    struct series_table table = SERIES_TABLE_EMPTY, back = SERIES_TABLE_EMPTY;
    struct state_map map = STATE_MAP_EMPTY;
    struct buffer bytes = BUFFER_EMPTY;
    struct metric_definition definition = definition_of(METRIC_COUNTER, "jobs", TEXT_EMPTY);
    struct series *series = series_add(&table, &definition, 0, 1);
    series_encode_definition(series, NULL, &bytes);
    put(&map, STATE_METRIC, series->id, &bytes);
    buffer_append_string(&bytes, "cut");
    put(&map, STATE_VALUE, series->id, &bytes);
    struct series_loaded loaded = { 0 };
    assert_int_equal(series_load(&back, &map, &loaded), 0);
    assert_int_equal(loaded.bad, 1);
    assert_true(loaded.old); /* each with a key of its own */
    assert_true(series_find(&back, &definition)->safe.value == 0);
    buffer_finish(&bytes);
    series_table_finish(&table);
    series_table_finish(&back);
    state_map_finish(&map);
}

static int count_change(void *context, uint64_t number, size_t bytes) {
    assert_int_equal(bytes, 20);
    *(uint64_t *)context = *(uint64_t *)context * 10 + number;
    return 0;
}

/* Pages of many, and beyond them what changed. */
static void comes_back_from_pages_and_changes(void **state) {
    enum { COUNT = 300 };
    (void)state;
    struct series_table table = SERIES_TABLE_EMPTY, back = SERIES_TABLE_EMPTY;
    struct state_map map = STATE_MAP_EMPTY;
    struct buffer bytes = BUFFER_EMPTY;
    struct state_key key;
    char rooms[2][METRIC_LABELS_BYTES], value[16];
    struct series *all[COUNT];
    for (int i = 0; i < COUNT; i++) {
        snprintf(value, sizeof(value), "%d", i);
        struct metric_definition definition = definition_of(METRIC_COUNTER, "jobs", labels_of("n", value, rooms[0]));
        definition.help = TEXT_LITERAL("Jobs done.");
        all[i] = series_add(&table, &definition, 0, 5);
        all[i]->defined = true;
        all[i]->safe.value = i;
    }
    for (uint32_t page = 0; page <= COUNT / SERIES_OF_DEFINITION_PAGE; page++) {
        series_encode_definitions(&table, page, &bytes);
        series_page_key(&key, STATE_METRICS, page);
        assert_int_equal(state_map_put(&map, state_key_text(&key), buffer_text(&bytes)), 0);
        buffer_clear(&bytes);
    }
    for (uint32_t page = 0; page <= COUNT / SERIES_OF_VALUE_PAGE; page++) {
        series_encode_values(&table, page, 2, &bytes);
        series_page_key(&key, STATE_VALUES, page);
        assert_int_equal(state_map_put(&map, state_key_text(&key), buffer_text(&bytes)), 0);
        buffer_clear(&bytes);
    }
    static const double values[] = { 0, 1000, 2000, 3000, 4000 }; /* by number: what page 2 has, is beyond 1 and 2 */
    for (uint64_t number = 4; number >= 1; number--) {
        series_begin(all[7]);
        all[7]->coming.value = values[number];
        series_encode_change(all[7], &bytes);
        series_drop(all[7]);
        series_changes_key(&key, number);
        assert_int_equal(state_map_put(&map, state_key_text(&key), buffer_text(&bytes)), 0);
        buffer_clear(&bytes);
    }
    uint64_t order = 0;
    struct series_loaded loaded = { .context = &order, .change = count_change };
    assert_int_equal(series_load(&back, &map, &loaded), 0);
    assert_int_equal(loaded.bad, 0);
    assert_false(loaded.old);
    assert_int_equal(loaded.number, 4);
    assert_int_equal(order, 1234);
    assert_int_equal(back.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        struct series *series = series_find(&back, &all[i]->definition);
        assert_non_null(series);
        assert_int_equal(series->id, all[i]->id);
        assert_true(text_is(series->definition.help, "Jobs done."));
        assert_true(series->safe.value == (i == 7 ? 4000 : i));
    }
    buffer_finish(&bytes);
    series_table_finish(&table);
    series_table_finish(&back);
    state_map_finish(&map);
}

/* Whatever stands there: what makes no sense is left out, and nothing is allocated by it. */
static void pages_that_make_no_sense_are_left_out(void **state) {
    (void)state;
    static const struct {
        const char *prefix;
        uint64_t number;
        struct text value;
    } pages[] = {
        { STATE_METRICS, 0, TEXT_INITIALIZER("") },
        { STATE_METRICS, 1, TEXT_INITIALIZER("\x02") },
        { STATE_METRICS, 2, TEXT_INITIALIZER("\x01\x01\xff\xff") },
        { STATE_METRICS, 3, TEXT_INITIALIZER("\x01\xff\x01\x00x") },
        { STATE_METRICS, 4, TEXT_INITIALIZER("\x01\x01\x01\x00x") },
        { STATE_METRICS, UINT32_MAX, TEXT_INITIALIZER("\x01\x01\x01\x00x") },
        { STATE_VALUES, 0, TEXT_INITIALIZER("short") },
        { STATE_VALUES, UINT32_MAX, TEXT_INITIALIZER("short") },
    };
    struct series_table table = SERIES_TABLE_EMPTY;
    struct state_map map = STATE_MAP_EMPTY;
    struct state_key key;
    char changes[40];
    memset(changes, 0xff, sizeof(changes));
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        series_page_key(&key, pages[i].prefix, (uint32_t)pages[i].number);
        assert_int_equal(state_map_put(&map, state_key_text(&key), pages[i].value), 0);
    }
    series_changes_key(&key, 1); /* of a series that is none */
    assert_int_equal(state_map_put(&map, state_key_text(&key), (struct text) { changes, sizeof(changes) }), 0);
    series_changes_key(&key, 2);
    assert_int_equal(state_map_put(&map, state_key_text(&key), (struct text) { changes, 19 }), 0);
    struct series_loaded loaded = { 0 };
    assert_int_equal(series_load(&table, &map, &loaded), 0);
    assert_int_equal(loaded.bad, COUNT_OF(pages) + 1);
    assert_int_equal(table.count, 0);
    series_table_finish(&table);
    state_map_finish(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_of_many_by_all_that_names_it),
        cmocka_unit_test(a_batch_that_comes_to_nothing_changes_nothing),
        cmocka_unit_test(comes_back_from_the_state),
        cmocka_unit_test(a_value_that_was_cut_is_left_out),
        cmocka_unit_test(comes_back_from_pages_and_changes),
        cmocka_unit_test(pages_that_make_no_sense_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
