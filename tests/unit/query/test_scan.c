#include "sample.h"

#include <errno.h>
#include <stdlib.h>

#include "common/query/context.h"
#include "common/query/entry_copy.h"
#include "common/query/scan.h"
#include "common/query/tally.h"
#include "fake_reader.h"

enum { ENTRIES = 600, FIRST = 100 };

static struct store_reader store;
static struct entry_copies entries; /* of sequences FIRST.. */
static uint32_t random_state;

static struct entry entry_of(uint64_t sequence) {
    struct entry entry;
    entry_copies_get(&entries, sequence - FIRST, &entry);
    return entry;
}

/* The store's blocks, of 1 to `most` entries. */
static void build(uint32_t most) {
    struct sample sample = { .random = 3 };
    struct entry block[ENTRIES];
    entry_copies_clear(&entries);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        struct entry entry = sample_entry(&sample, i);
        assert_int_equal(entry_copies_add(&entries, &entry), 0);
    }
    for (uint64_t at = FIRST; at < FIRST + ENTRIES;) {
        uint32_t count = 1 + sample_random(&sample, most);
        if (at + count > FIRST + ENTRIES)
            count = (uint32_t)(FIRST + ENTRIES - at);
        for (uint32_t i = 0; i < count; i++)
            block[i] = entry_of(at + i);
        fake_add(&store, at, block, count);
        at += count;
    }
    random_state = 11;
}

static int teardown(void **state) {
    (void)state;
    fake_finish(&store);
    entry_copies_finish(&entries);
    return 0;
}

/* --- what has to come out, said the slow way --- */

static struct scan_options order;

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    uint64_t s = entry_of(x).timestamp_ns, t = entry_of(y).timestamp_ns;
    int result = order.by_arrival || s == t ? (x < y ? -1 : x > y) : s < t ? -1 : 1;
    return order.reverse ? -result : result;
}

static size_t expect(const struct filter *filter, const struct scan_options *options, uint64_t out[ENTRIES]) {
    struct buffer scratch = BUFFER_EMPTY;
    size_t count = 0;
    for (uint64_t sequence = FIRST; sequence < FIRST + ENTRIES; sequence++) {
        struct entry entry = entry_of(sequence);
        if (sequence >= options->from_sequence && sequence < options->to_sequence &&
            filter_entry(filter, &entry, &scratch, NULL))
            out[count++] = sequence;
    }
    buffer_finish(&scratch);
    order = *options;
    qsort(out, count, sizeof(out[0]), compare);
    size_t skip = options->offset < count ? options->offset : count;
    count -= skip;
    memmove(out, out + skip, count * sizeof(out[0]));
    return count < options->limit ? count : options->limit;
}

static void assert_same_entry(const struct entry *a, const struct entry *b) {
    struct buffer x = BUFFER_EMPTY, y = BUFFER_EMPTY;
    entry_append_json(&x, a);
    entry_append_json(&y, b);
    assert_true(text_equal(buffer_text(&x), buffer_text(&y)));
    buffer_finish(&x);
    buffer_finish(&y);
}

static void check_scan(const struct filter *filter, const struct scan_options *options) {
    uint64_t expected[ENTRIES], sequence;
    size_t count = expect(filter, options, expected), at = 0;
    struct error error = { "" };
    struct scan *scan;
    int status = scan_open(&store, filter, options, &scan, &error);
    if (status < 0)
        fail_msg("%s", error.text);
    while ((status = scan_next(scan, &sequence, &error)) > 0) {
        struct entry entry, wanted;
        if (at >= count || sequence != expected[at])
            fail_msg("match %zu is %lu, not %lu of %zu", at, sequence, at < count ? expected[at] : 0, count);
        assert_int_equal(scan_entry(scan, &entry, &error), 1);
        wanted = entry_of(sequence);
        assert_same_entry(&entry, &wanted);
        at++;
    }
    if (status < 0)
        fail_msg("%s", error.text);
    assert_int_equal(at, count);
    scan_close(scan);
}

static void random_options(struct sample *sample, struct scan_options *options) {
    *options = SCAN_EVERYTHING;
    options->by_arrival = sample_random(sample, 3) == 0;
    options->reverse = sample_random(sample, 2);
    if (sample_random(sample, 4) == 0)
        options->offset = sample_random(sample, 40);
    if (sample_random(sample, 3) == 0)
        options->limit = sample_random(sample, 40);
    if (sample_random(sample, 4) == 0)
        options->from_sequence = FIRST - 5 + sample_random(sample, ENTRIES);
    if (sample_random(sample, 4) == 0)
        options->to_sequence = FIRST + sample_random(sample, ENTRIES + 5);
}

static void check_random_scans(int rounds) {
    struct sample sample = { .random = 17 };
    for (int round = 0; round < rounds; round++) {
        struct filter filter;
        struct scan_options options;
        sample_filter(&sample, &filter, ENTRIES);
        random_options(&sample, &options);
        check_scan(&filter, &options);
        filter_finish(&filter);
    }
}

static void gives_what_passes_in_order_whatever_is_asked(void **state) {
    (void)state;
    build(40);
    check_random_scans(400);
}

/* More blocks than are held decoded, all of the same time. */
static void reads_windows_where_too_many_blocks_overlap(void **state) {
    (void)state;
    struct filter filter;
    struct scan_options options = SCAN_EVERYTHING;
    struct entry block[3];
    build(40);
    fake_finish(&store);
    for (uint64_t i = 0; i < ENTRIES; i++) /* each block has an early, a middle and a late entry */
        entries.entries[i].timestamp_ns = 1000000 + (i % 3) * 100000 + i;
    for (uint64_t at = FIRST; at < FIRST + ENTRIES; at += 3) {
        for (uint32_t i = 0; i < 3; i++)
            block[i] = entry_of(at + i);
        fake_add(&store, at, block, 3);
    }
    filter_init(&filter);
    options.memory = 10 * 3 * 320; /* ten blocks */
    for (int i = 0; i < 4; i++) {
        options.reverse = i & 1;
        options.alone = i & 2;
        check_scan(&filter, &options);
    }
    filter_finish(&filter);
}

/* By arrival with a limit the plan is made piece by piece: far from each other, and with nothing in some. */
static void goes_from_piece_to_piece_by_arrival(void **state) {
    (void)state;
    static const uint64_t firsts[] = { 5, 66000, 400000, 400003, 90000000, UINT64_C(1) << 60 };
    enum { COUNT = sizeof(firsts) / sizeof(firsts[0]) };
    struct sample sample = { .random = 3 };
    struct filter filter;
    filter_init(&filter);
    for (unsigned i = 0; i < COUNT; i++) {
        struct entry entry = sample_entry(&sample, i);
        fake_add(&store, firsts[i], &entry, 1);
    }
    for (unsigned limit = 0; limit <= COUNT + 1; limit++)
        for (unsigned reverse = 0; reverse < 2; reverse++) {
            struct scan_options options = SCAN_EVERYTHING;
            struct scan *scan;
            uint64_t sequence;
            unsigned found = 0;
            options.by_arrival = true;
            options.reverse = reverse;
            options.limit = limit;
            assert_int_equal(scan_open(&store, &filter, &options, &scan, NULL), 0);
            while (scan_next(scan, &sequence, NULL) > 0) {
                assert_int_equal(sequence, firsts[reverse ? COUNT - 1 - found : found]);
                found++;
            }
            assert_int_equal(found, limit < COUNT ? limit : COUNT);
            scan_close(scan);
        }
    filter_finish(&filter);
}

/* Each a block; times that go to and fro. */
static void goes_from_piece_to_piece_by_time(void **state) {
    (void)state;
    static const struct {
        uint64_t first, time;
    } made[] = { { 5, 700 },
                 { 66000, 9000 },
                 { 300000, 300 },
                 { 400000, 800 },
                 { 400003, 800 },
                 { 90000000, 100 },
                 { UINT64_C(1) << 60, 750 },
                 { (UINT64_C(1) << 60) + 1, 9000 } };
    static const unsigned order_of[] = { 7, 1, 4, 3, 6, 0, 2, 5 };
    enum { COUNT = sizeof(made) / sizeof(made[0]) };
    struct sample sample = { .random = 3 };
    struct filter filter;
    filter_init(&filter);
    for (unsigned i = 0; i < COUNT; i++) {
        struct entry entry = sample_entry(&sample, i);
        entry.timestamp_ns = made[i].time;
        fake_add(&store, made[i].first, &entry, 1);
    }
    for (unsigned limit = 0; limit <= COUNT + 1; limit++)
        for (unsigned way = 0; way < 4; way++) {
            bool since = way & 1, reverse = way & 2;
            struct scan_options options = SCAN_EVERYTHING;
            struct scan *scan;
            uint64_t sequence;
            unsigned found = 0, all = since ? 5 : COUNT;
            filter.since_ns = since ? 750 : 0;
            options.reverse = reverse;
            options.limit = limit;
            assert_int_equal(scan_open(&store, &filter, &options, &scan, NULL), 0);
            while (scan_next(scan, &sequence, NULL) > 0) {
                assert_true(found < COUNT);
                assert_int_equal(sequence, made[order_of[reverse ? found : all - 1 - found]].first);
                found++;
            }
            assert_int_equal(found, limit < all ? limit : all);
            scan_close(scan);
        }
    filter_finish(&filter);
}

/* --- the collector at work meanwhile --- */

static void merge_now_and_then(struct store_reader *reader, uint64_t first) {
    (void)first;
    random_state = random_state * 1664525 + 1013904223;
    if (reader->count > 4 && (random_state >> 24) % 4 == 0)
        fake_merge(reader, (random_state >> 16) % (reader->count - 3), 2 + (random_state >> 12) % 2);
}

static void loses_and_doubles_nothing_while_blocks_are_merged(void **state) {
    (void)state;
    for (int round = 0; round < 6; round++) {
        build(4);
        store.before_open = round % 2 ? merge_now_and_then : NULL;
        store.before_seek = round % 2 ? NULL : merge_now_and_then;
        random_state += (uint32_t)round;
        check_random_scans(40);
        fake_finish(&store);
    }
}

static uint64_t remove_at;

static void remove_once(struct store_reader *reader, uint64_t first) {
    if (first == remove_at && reader->blocks[2].first == first)
        fake_remove(reader, 2);
}

static void goes_on_behind_a_block_that_was_retired(void **state) {
    (void)state;
    struct filter filter;
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan;
    uint64_t sequence, seen = 0;
    build(40);
    remove_at = store.blocks[2].first;
    uint32_t gone = store.blocks[2].count;
    store.before_open = remove_once;
    filter_init(&filter);
    assert_int_equal(scan_open(&store, &filter, &options, &scan, NULL), 0);
    while (scan_next(scan, &sequence, NULL) > 0)
        seen++;
    scan_close(scan);
    assert_int_equal(seen, ENTRIES - gone);
}

static unsigned damages;

static void note_damage(void *argument, const char *why) {
    (void)argument;
    assert_true(why[0]);
    damages++;
}

static void passes_over_a_damaged_block_and_says_so(void **state) {
    (void)state;
    struct filter filter;
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan;
    struct error error;
    uint64_t sequence, seen = 0;
    build(40);
    uint32_t gone = store.blocks[3].count;
    fake_damage(&store, 3);
    filter_init(&filter);
    assert_int_equal(scan_open(&store, &filter, &options, &scan, &error), 0);
    int status;
    while ((status = scan_next(scan, &sequence, &error)) > 0)
        continue;
    assert_int_equal(status, -EBADMSG);
    scan_close(scan);
    options.damaged = note_damage;
    damages = 0;
    assert_int_equal(scan_open(&store, &filter, &options, &scan, &error), 0);
    while (scan_next(scan, &sequence, NULL) > 0)
        seen++;
    scan_close(scan);
    assert_int_equal(seen, ENTRIES - gone);
    assert_int_equal(damages, 1);
}

static void leaves_out_metadata_that_is_no_msgpack(void **state) {
    (void)state;
    struct sample sample = { .random = 1 };
    struct filter filter;
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan;
    struct entry got, entries_of_block[2] = { sample_entry(&sample, 1), sample_entry(&sample, 1) };
    static char nested[60000];
    uint64_t sequence;
    memset(nested, '\x91', sizeof(nested)); /* arrays in arrays */
    entries_of_block[0].metadata = (struct text) { nested, sizeof(nested) };
    entries_of_block[0].error_details = (struct text) { nested, sizeof(nested) };
    entries_of_block[1].metadata = TEXT_LITERAL("\x82\xa1");
    fake_add(&store, FIRST, entries_of_block, 2);
    filter_init(&filter);
    assert_int_equal(filter_add_matcher(&filter, TEXT_LITERAL("a.b"), FILTER_EQUAL, TEXT_EMPTY, NULL), 0);
    assert_int_equal(scan_open(&store, &filter, &options, &scan, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scan_next(scan, &sequence, NULL), 1);
        assert_int_equal(scan_entry(scan, &got, NULL), 1);
        assert_int_equal(got.metadata.length + got.error_details.length, 0);
    }
    scan_close(scan);
    filter_finish(&filter);
}

static void opens_no_block_that_cannot_match_and_none_behind_a_limit(void **state) {
    (void)state;
    struct filter filter;
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan;
    uint64_t sequence;
    build(8);
    filter_init(&filter);
    options.limit = 1;
    options.reverse = true;
    store.opened = 0;
    assert_int_equal(scan_open(&store, &filter, &options, &scan, NULL), 0);
    assert_int_equal(scan_next(scan, &sequence, NULL), 1);
    assert_int_equal(scan_next(scan, &sequence, NULL), 0);
    scan_close(scan);
    assert_in_range(store.opened, 1, 8); /* those whose times overlap the newest */
    options = SCAN_EVERYTHING;
    store.opened = 0;
    assert_int_equal(
        filter_add_matcher(&filter, TEXT_LITERAL("trace_id"), FILTER_EQUAL, TEXT_LITERAL("nobody's"), NULL), 0);
    assert_int_equal(scan_open(&store, &filter, &options, &scan, NULL), 0);
    assert_int_equal(scan_next(scan, &sequence, NULL), 0);
    scan_close(scan);
    assert_in_range(store.opened, 0, store.count / 10); /* a filter may be wrong now and then */
    filter_finish(&filter);
}

/* --- counting --- */

static void check_tally(const struct filter *filter, const struct scan_options *options) {
    struct tally tally, total;
    uint64_t by_level[3][LEVEL_COUNT] = { { 0 } }, expected[ENTRIES];
    static const char *const services[] = { "mail", "queue", "web" };
    size_t count = expect(filter, options, expected);
    for (size_t i = 0; i < count; i++) {
        struct entry entry = entry_of(expected[i]);
        for (int s = 0; s < 3; s++)
            by_level[s][entry.level] += text_is(entry.service, services[s]);
    }
    assert_int_equal(tally_make(&store, filter, options, false, &tally, NULL), 0);
    assert_int_equal(tally_make(&store, filter, options, true, &total, NULL), 0);
    assert_int_equal(tally.total, count);
    assert_int_equal(total.total, count);
    uint64_t sum = 0;
    for (size_t i = 0; i < tally.service_count; i++)
        for (int level = 0; level < LEVEL_COUNT; level++) {
            int s = text_is(tally.services[i].service, "mail")    ? 0
                    : text_is(tally.services[i].service, "queue") ? 1
                                                                  : 2;
            assert_int_equal(tally.services[i].by_level[level], by_level[s][level]);
            sum += tally.services[i].by_level[level];
        }
    assert_int_equal(sum, count);
    tally_finish(&tally);
    tally_finish(&total);
}

static void counts_what_a_scan_would_find(void **state) {
    (void)state;
    struct sample sample = { .random = 23 };
    build(20);
    for (int round = 0; round < 300; round++) {
        struct filter filter;
        struct scan_options options;
        sample_filter(&sample, &filter, ENTRIES);
        random_options(&sample, &options);
        options.limit = UINT64_MAX;
        options.offset = 0;
        if (round == 200)
            store.before_open = merge_now_and_then;
        check_tally(&filter, &options);
        filter_finish(&filter);
    }
}

static void counts_by_service_and_level_from_the_index_alone(void **state) {
    (void)state;
    struct filter filter;
    struct scan_options options = SCAN_EVERYTHING;
    struct tally tally;
    build(20);
    filter_init(&filter);
    filter_set_min_level(&filter, LEVEL_WARN);
    assert_int_equal(filter_add_service(&filter, TEXT_LITERAL("web"), NULL), 0);
    assert_int_equal(tally_make(&store, &filter, &options, false, &tally, NULL), 0);
    assert_int_equal(tally.blocks_opened, 0);
    assert_int_equal(store.opened, 0);
    assert_true(tally.total > 0);
    tally_finish(&tally);
    filter.since_ns = 1000000 + ENTRIES * 5; /* only the blocks at the edge are opened */
    assert_int_equal(tally_make(&store, &filter, &options, true, &tally, NULL), 0);
    assert_in_range(tally.blocks_opened, 1, 20);
    tally_finish(&tally);
    filter_finish(&filter);
}

/* --- neighbours --- */

static void check_context(const struct filter *filter, const struct scan_options *options, uint64_t around) {
    uint64_t matches[ENTRIES];
    bool wanted[ENTRIES] = { false }, is_match[ENTRIES] = { false };
    struct context *context;
    struct context_row row;
    struct scan_options by_arrival = *options;
    by_arrival.by_arrival = true;
    size_t count = expect(filter, &by_arrival, matches);
    for (size_t i = 0; i < count; i++) {
        is_match[matches[i] - FIRST] = true;
        for (uint64_t s = matches[i] - around; s <= matches[i] + around; s++)
            if (s >= FIRST && s < FIRST + ENTRIES)
                wanted[s - FIRST] = true;
    }
    assert_int_equal(context_open(&store, filter, options, around, &context, NULL), 0);
    uint64_t last = 0;
    for (uint64_t n = 0; n < ENTRIES; n++) {
        uint64_t sequence = FIRST + (options->reverse ? ENTRIES - 1 - n : n);
        if (!wanted[sequence - FIRST])
            continue;
        struct entry entry = entry_of(sequence);
        assert_int_equal(context_next(context, &row, NULL), 1);
        assert_int_equal(row.sequence, sequence);
        assert_int_equal(row.match, is_match[sequence - FIRST]);
        assert_int_equal(row.gap, last != 0 && last != (options->reverse ? sequence + 1 : sequence - 1));
        assert_same_entry(&row.entry, &entry);
        last = sequence;
    }
    assert_int_equal(context_next(context, &row, NULL), 0);
    context_close(context);
}

static void shows_each_neighbour_once(void **state) {
    (void)state;
    struct sample sample = { .random = 29 };
    build(20);
    for (int round = 0; round < 200; round++) {
        struct filter filter;
        struct scan_options options = SCAN_EVERYTHING;
        sample_filter(&sample, &filter, ENTRIES);
        options.reverse = sample_random(&sample, 2);
        if (sample_random(&sample, 2))
            options.limit = sample_random(&sample, 20);
        if (round == 100)
            store.before_open = merge_now_and_then;
        check_context(&filter, &options, 1 + sample_random(&sample, 4));
        filter_finish(&filter);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(gives_what_passes_in_order_whatever_is_asked, teardown),
        cmocka_unit_test_teardown(reads_windows_where_too_many_blocks_overlap, teardown),
        cmocka_unit_test_teardown(goes_from_piece_to_piece_by_arrival, teardown),
        cmocka_unit_test_teardown(goes_from_piece_to_piece_by_time, teardown),
        cmocka_unit_test_teardown(loses_and_doubles_nothing_while_blocks_are_merged, teardown),
        cmocka_unit_test_teardown(goes_on_behind_a_block_that_was_retired, teardown),
        cmocka_unit_test_teardown(passes_over_a_damaged_block_and_says_so, teardown),
        cmocka_unit_test_teardown(leaves_out_metadata_that_is_no_msgpack, teardown),
        cmocka_unit_test_teardown(opens_no_block_that_cannot_match_and_none_behind_a_limit, teardown),
        cmocka_unit_test_teardown(counts_what_a_scan_would_find, teardown),
        cmocka_unit_test_teardown(counts_by_service_and_level_from_the_index_alone, teardown),
        cmocka_unit_test_teardown(shows_each_neighbour_once, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
