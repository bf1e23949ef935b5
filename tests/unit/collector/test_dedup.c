/* Repeats are counted, told, and never lost or doubled, whatever becomes of a batch and of the collector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "collector/dedup.h"
#include "collector/dedup_record.h"
#include "common/base/clock.h"
#include "common/model/pack.h"

#define SECOND CLOCK_SECOND
#define WINDOW (10 * SECOND)

struct fixture {
    struct dedup dedup;
    struct state_map state;
    struct batch batch;
    uint64_t stored, told; /* entries in safe batches, and what those of them that tell say */
};

static void set_up(struct fixture *fixture) {
    *fixture = (struct fixture) { .batch = BATCH_EMPTY };
    dedup_init(&fixture->dedup, &fixture->state);
    dedup_configure(&fixture->dedup, WINDOW);
}

static void tear_down(struct fixture *fixture) {
    dedup_finish(&fixture->dedup);
    state_map_finish(&fixture->state);
    batch_finish(&fixture->batch);
}

static struct entry entry_of(const char *message, enum level level) {
    return (struct entry) { .timestamp_ns = 1763900000 * SECOND,
                            .level = level,
                            .service = TEXT_LITERAL("s"),
                            .module = TEXT_LITERAL("m"),
                            .operation = TEXT_LITERAL("o"),
                            .message = text_of(message),
                            .trace_id = TEXT_LITERAL("abc"),
                            .pid = 7 };
}

/* As intake.c does it. */
static bool add(struct fixture *fixture, const struct entry *entry, uint64_t now_ns) {
    struct dedup_slot *slot = dedup_find(&fixture->dedup, 1000, entry, now_ns, &fixture->batch);
    if (slot && (!dedup_wants_entry(slot) || dedup_keep_entry(&fixture->dedup, slot, entry))) {
        dedup_count(&fixture->dedup, slot, entry, now_ns);
        return false;
    }
    batch_add(&fixture->batch, entry);
    return true;
}

static void tell(void *context, struct entry *entry, struct batch *batch) {
    (void)context;
    batch_add(batch, entry);
}

static uint64_t repeated(const struct entry *entry) {
    struct pack_value value;
    return pack_find(entry->metadata, TEXT_LITERAL(ENTRY_REPEATED), &value) ? value.natural : 0;
}

/* End the batch: it is safe, or it is not. */
static void end(struct fixture *fixture, bool whole, uint64_t now_ns, bool safe) {
    struct batch *batch = &fixture->batch;
    dedup_gather(&fixture->dedup, &fixture->state, whole, now_ns, batch, tell, NULL);
    assert_false(batch->failed);
    for (size_t i = 0; i < batch->entry_count && safe; i++) {
        fixture->told += repeated(&batch->entries[i]);
        fixture->stored += repeated(&batch->entries[i]) == 0;
    }
    if (safe) {
        assert_int_equal(batch_apply(batch, &fixture->state), 0);
        dedup_settle(&fixture->dedup);
    } else {
        dedup_discard(&fixture->dedup);
    }
    batch_clear(batch);
}

/* Killed: only the state is left. */
static void begin_again(struct fixture *fixture) {
    dedup_finish(&fixture->dedup);
    batch_clear(&fixture->batch);
    dedup_init(&fixture->dedup, &fixture->state);
    dedup_configure(&fixture->dedup, WINDOW);
}

static int count_key(void *argument, struct text key, struct text value) {
    (void)key, (void)value;
    ++*(unsigned *)argument;
    return 0;
}

static unsigned keys(const struct fixture *fixture) {
    unsigned count = 0;
    state_map_walk(&fixture->state, TEXT_LITERAL(STATE_DEDUP), count_key, &count);
    return count;
}

static void the_first_is_stored_and_the_rest_told_when_the_window_ends(void **state) {
    struct fixture fixture;
    struct entry entry = entry_of("again", LEVEL_INFO);
    (void)state;
    set_up(&fixture);
    assert_true(add(&fixture, &entry, 1));
    for (int i = 1; i <= 5; i++) {
        entry.timestamp_ns += SECOND;
        assert_false(add(&fixture, &entry, 1));
    }
    end(&fixture, false, 2, true);
    assert_int_equal(fixture.stored, 1);
    assert_int_equal(keys(&fixture), 1);
    assert_false(dedup_is_due(&fixture.dedup, WINDOW));
    assert_true(dedup_is_due(&fixture.dedup, WINDOW + 1));
    dedup_gather(&fixture.dedup, &fixture.state, false, WINDOW + 1, &fixture.batch, tell, NULL);
    assert_int_equal(fixture.batch.entry_count, 1);
    const struct entry *told = &fixture.batch.entries[0];
    struct pack_value value;
    assert_int_equal(repeated(told), 5);
    assert_true(pack_find(told->metadata, TEXT_LITERAL(ENTRY_REPEATED_FIRST), &value) &&
                text_starts_with(value.text, TEXT_LITERAL("2025-11-23T12:13:21")));
    assert_true(pack_find(told->metadata, TEXT_LITERAL(ENTRY_REPEATED_LAST), &value) &&
                text_starts_with(value.text, TEXT_LITERAL("2025-11-23T12:13:25")));
    assert_true(told->timestamp_ns == entry.timestamp_ns && told->pid == 7);
    assert_true(text_is(told->message, "again") && text_is(told->trace_id, "abc"));
    assert_int_equal(entry_validate(told, NULL), 0);
    batch_clear(&fixture.batch);
    dedup_discard(&fixture.dedup);
    end(&fixture, false, WINDOW + 2, true);
    assert_int_equal(fixture.told, 5);
    assert_int_equal(keys(&fixture), 0);
    assert_true(add(&fixture, &entry, WINDOW + 3)); /* another window */
    tear_down(&fixture);
}

static void what_differs_is_no_repeat(void **state) {
    struct fixture fixture;
    char metadata[] = "\x81\xa1k\x01";
    const struct entry first = entry_of("again", LEVEL_INFO);
    struct entry others[] = { first, first, first, first, first, first, first };
    (void)state;
    set_up(&fixture);
    others[0].message = TEXT_LITERAL("again ");
    others[1].level = LEVEL_WARN;
    others[2].service = TEXT_LITERAL("t");
    others[3].metadata = (struct text) { metadata, 4 };
    others[4].user_id.bytes[0] = 1;
    others[5].module = TEXT_LITERAL("mo");
    others[5].operation = TEXT_LITERAL("");
    others[6].service = TEXT_LITERAL("taskforge");
    assert_true(add(&fixture, &first, 1));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_true(add(&fixture, &others[i], 1));
    assert_true(add(&fixture, &others[6], 1));                                /* our own are never held back */
    assert_null(dedup_find(&fixture.dedup, 1001, &first, 1, &fixture.batch)); /* another user's */
    struct entry traced = first;
    traced.trace_id = TEXT_LITERAL("def");
    assert_false(add(&fixture, &traced, 1));
    dedup_gather(&fixture.dedup, &fixture.state, true, 2, &fixture.batch, tell, NULL);
    assert_int_equal(fixture.batch.entries[fixture.batch.entry_count - 1].trace_id.length, 0);
    tear_down(&fixture);
}

static void repeats_of_errors_are_told_each_second(void **state) {
    struct fixture fixture;
    const struct entry entry = entry_of("broken", LEVEL_ERROR);
    (void)state;
    set_up(&fixture);
    add(&fixture, &entry, 1);
    add(&fixture, &entry, SECOND / 2);
    end(&fixture, false, SECOND, true);
    assert_int_equal(fixture.told, 0);
    end(&fixture, false, 3 * SECOND / 2, true);
    assert_int_equal(fixture.told, 1);
    assert_int_equal(keys(&fixture), 0);
    assert_false(add(&fixture, &entry, 2 * SECOND)); /* the window goes on */
    end(&fixture, false, 3 * SECOND, true);
    assert_int_equal(fixture.told, 2);
    assert_int_equal(fixture.stored, 1);
    tear_down(&fixture);
}

/* At random: entries, batches that fail, kills, ends of windows. What was in safe batches is stored or told, exactly. */
static void nothing_is_lost_or_doubled_by_what_becomes_of_batches(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 30; seed++) {
        struct fixture fixture;
        uint64_t accepted = 0, now = 1, in_batch = 0;
        char message[32];
        set_up(&fixture);
        srand(seed);
        for (int step = 0; step < 600; step++) {
            switch (rand() % 12) {
            case 0:
                end(&fixture, false, now, false);
                in_batch = 0;
                break;
            case 1:
                begin_again(&fixture);
                in_batch = 0;
                break;
            case 2:
            case 3:
                end(&fixture, rand() % 20 == 0, now, true);
                accepted += in_batch;
                in_batch = 0;
                break;
            case 4:
                now += (uint64_t)(rand() % 4) * SECOND;
                break;
            case 5:
                if (rand() % 10 == 0)
                    dedup_configure(&fixture.dedup, (uint64_t)(rand() % 3) * 5 * SECOND);
                break;
            default:
                snprintf(message, sizeof(message), "%d", rand() % 5);
                struct entry entry = entry_of(message, rand() % 3 ? LEVEL_INFO : LEVEL_ERROR);
                add(&fixture, &entry, now);
                in_batch++;
            }
        }
        end(&fixture, true, now, true);
        accepted += in_batch;
        assert_int_equal(fixture.stored + fixture.told, accepted);
        assert_int_equal(keys(&fixture), 0);
        tear_down(&fixture);
    }
}

static void the_table_is_bounded_and_then_entries_are_stored_as_they_are(void **state) {
    struct fixture fixture;
    char message[32];
    uint64_t accepted = 0;
    (void)state;
    set_up(&fixture);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 20000; i++) {
            snprintf(message, sizeof(message), "message %d", i);
            struct entry entry = entry_of(message, LEVEL_INFO);
            add(&fixture, &entry, 1);
            add(&fixture, &entry, 1);
            accepted += 2;
        }
        end(&fixture, false, 1, true);
        assert_true(fixture.dedup.bytes <= DEDUP_BYTES);
        assert_true(keys(&fixture) <= DEDUP_SETS * DEDUP_WAYS);
    }
    end(&fixture, true, 1, true);
    assert_int_equal(fixture.stored + fixture.told, accepted);
    assert_true(fixture.told > 8000);
    assert_int_equal(fixture.dedup.bytes, 0);
    tear_down(&fixture);
}

/* What the state has may be damaged. */
static void values_that_are_none_are_passed_over(void **state) {
    struct fixture fixture;
    struct entry entry = entry_of("again", LEVEL_INFO);
    (void)state;
    set_up(&fixture);
    add(&fixture, &entry, 1);
    add(&fixture, &entry, 1);
    dedup_gather(&fixture.dedup, &fixture.state, false, 1, &fixture.batch, tell, NULL);
    assert_int_equal(fixture.batch.put_count, 1);
    struct text key = fixture.batch.puts[0].key, value = fixture.batch.puts[0].value;
    char *bytes = malloc(value.length);
    for (size_t i = 0; i < 8 * value.length; i++) {
        struct dedup_told told;
        struct text record;
        struct batch batch = BATCH_EMPTY;
        memcpy(bytes, value.data, value.length);
        bytes[i / 8] ^= (char)(1 << i % 8);
        struct text changed = { bytes, value.length - (i % 3 == 0 ? i / 8 : 0) };
        if (dedup_record_read(changed, &told, &record) && dedup_record_tell(&told, record, &batch, &entry))
            batch_add(&batch, &entry);
        batch_finish(&batch);
    }
    bytes[0] = 9;
    assert_int_equal(state_map_put(&fixture.state, key, (struct text) { bytes, value.length }), 0);
    free(bytes);
    begin_again(&fixture);
    end(&fixture, false, 1, true);
    assert_int_equal(fixture.stored + fixture.told, 0);
    assert_int_equal(keys(&fixture), 0);
    tear_down(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_stored_and_the_rest_told_when_the_window_ends),
        cmocka_unit_test(what_differs_is_no_repeat),
        cmocka_unit_test(repeats_of_errors_are_told_each_second),
        cmocka_unit_test(nothing_is_lost_or_doubled_by_what_becomes_of_batches),
        cmocka_unit_test(the_table_is_bounded_and_then_entries_are_stored_as_they_are),
        cmocka_unit_test(values_that_are_none_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
