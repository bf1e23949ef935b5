/* Levels and settings on their way to slots, with a producer and the collector's rooms in one process. Time is the test's. */
#include "collector/level_keeper.h"

#include "collector/rings_folder.h"
#include "common/model/pack.h"
#include "common/process/daemon.h"
#include "tests/unit/shm/ring_fixture.h"

enum { SET_UNTIL = 1000000 };

struct setup {
    struct ring producer;
    struct slot_claim billing, agent;
    struct state_map state;
    struct rings rings;
    struct drain drain;
    struct batch batch;
    struct level_keeper keeper;
};

/* billing: warn, and error up to SET_UNTIL; the default: info. */
static void put_levels(struct setup *setup) {
    struct levels levels = LEVELS_EMPTY;
    assert_int_equal(levels_set(&levels, TEXT_LITERAL("billing"), LEVEL_WARN, 0), 0);
    assert_int_equal(levels_set(&levels, TEXT_LITERAL("billing"), LEVEL_ERROR, SET_UNTIL), 0);
    assert_int_equal(levels_set(&levels, LEVELS_DEFAULT, LEVEL_INFO, 0), 0);
    for (size_t i = 0; i < levels.count; i++) {
        struct state_key key;
        char value[LEVELS_VALUE_SIZE];
        levels_key(&key, threshold_service(&levels.items[i]));
        levels_encode(&levels.items[i], value);
        assert_int_equal(state_map_put(&setup->state, state_key_text(&key), (struct text) { value, sizeof(value) }), 0);
    }
    levels_finish(&levels);
}

static void tell(struct setup *setup, const char *text) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config;
    struct error error;
    assert_int_equal(config_load_text("c.yaml", text, strlen(text), &config, &faults), 0);
    assert_int_equal(level_keeper_tell(&setup->keeper, config, &error), 0);
    config_destroy(config);
}

static void refresh(struct setup *setup) {
    for (size_t r = 0; r < setup->rings.count; r++)
        for (uint32_t i = 0; i < setup->rings.items[r]->ring.slot_count; i++)
            rings_slot_refresh(&setup->rings, setup->rings.items[r], i);
}

static void start(const struct ring_fixture *f, struct setup *setup) {
    struct error error = { "" };
    assert_int_equal(level_keeper_init(&setup->keeper, &setup->state, f->runtime_dir, &setup->rings, &error), 0);
    assert_int_equal(rings_init(&setup->rings, f->runtime_dir, &setup->state, &error), 0);
    setup->rings.level_keeper = &setup->keeper;
    tell(setup, "");
    assert_true(rings_scan(&setup->rings));
    refresh(setup);
}

static void setup_open(const struct ring_fixture *f, struct setup *setup) {
    struct error error = { "" };
    memset(setup, 0, sizeof(*setup));
    clock_set_for_test(1000);
    assert_int_equal(daemon_runtime_dirs(f->runtime_dir, &error), 0);
    fixture_attach(f, &setup->producer);
    assert_int_equal(ring_slot_claim(&setup->producer, TEXT_LITERAL("billing"), 0, &setup->billing), 0);
    assert_int_equal(ring_slot_claim(&setup->producer, TEXT_LITERAL("taskforge-agent"), 0, &setup->agent), 0);
    put_levels(setup);
    assert_int_equal(drain_init(&setup->drain, &setup->rings, NULL, &error), 0);
    start(f, setup);
}

static void setup_close(struct setup *setup) {
    clock_set_for_test(0);
    batch_finish(&setup->batch);
    level_keeper_finish(&setup->keeper);
    drain_finish(&setup->drain);
    rings_finish(&setup->rings);
    state_map_finish(&setup->state);
    ring_finish(&setup->producer);
}

static void expect_control(const struct setup *setup, const struct slot_claim *claim, enum level level,
                           uint32_t flags) {
    uint32_t control = slot_control_compose(level, LEVEL_TRACE, 0, setup->keeper.told.sequence);
    assert_int_equal(claim->slot->control, control | flags);
}

static enum level told_level(const struct ring_fixture *f) {
    struct shared_settings settings;
    settings_read(f->runtime_dir, &settings);
    return (enum level)settings.level;
}

static void every_slot_that_is_seen_gets_its_word(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    struct slot_claim later;
    setup_open(f, &s);
    assert_int_equal(told_level(f), LEVEL_INFO);
    expect_control(&s, &s.billing, LEVEL_ERROR, 0);
    expect_control(&s, &s.agent, LEVEL_TRACE, 0);
    assert_true((s.billing.slot->control & SLOT_CONTROL_SETTINGS_MASK) != 0);

    assert_int_equal(ring_slot_claim(&s.producer, TEXT_LITERAL("queue"), 0, &later), 0);
    refresh(&s);
    expect_control(&s, &later, LEVEL_INFO, 0);
    ring_slot_release(&s.producer, &later, true); /* the next one in this slot is another service */
    assert_int_equal(ring_slot_claim(&s.producer, TEXT_LITERAL("billing"), 0, &later), 0);
    refresh(&s);
    expect_control(&s, &later, LEVEL_ERROR, 0);
    setup_close(&s);
}

static void other_settings_are_seen_in_every_slot(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    setup_open(f, &s);
    uint64_t before = s.keeper.told.sequence;
    tell(&s, "");
    assert_true(s.keeper.told.sequence == before);
    tell(&s, "collector: { redact: { keys: [password] } }");
    assert_true((s.keeper.told.sequence & 0xff) != (before & 0xff));
    assert_int_equal(told_level(f), LEVEL_INFO); /* the configuration does not take it back */
    refresh(&s);
    expect_control(&s, &s.billing, LEVEL_ERROR, 0);
    expect_control(&s, &s.agent, LEVEL_TRACE, 0);
    setup_close(&s);
}

static void a_time_that_is_over_changes_slots_at_once_and_is_told_once(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    struct text value;
    struct state_key key;
    setup_open(f, &s);
    level_keeper_pass(&s.keeper, SET_UNTIL - 1);
    expect_control(&s, &s.billing, LEVEL_ERROR, 0);
    level_keeper_gather(&s.keeper, &s.drain, 1, &s.batch);
    assert_true(batch_is_empty(&s.batch));

    level_keeper_pass(&s.keeper, SET_UNTIL);
    expect_control(&s, &s.billing, LEVEL_WARN, 0);
    for (int failures = 0; failures < 2; failures++) { /* the store takes it only then */
        level_keeper_gather(&s.keeper, &s.drain, 1, &s.batch);
        assert_int_equal(s.batch.entry_count, 1);
        if (failures == 0)
            level_keeper_discard(&s.keeper);
        else
            assert_int_equal(batch_apply(&s.batch, &s.state), 0);
        if (failures == 0)
            batch_clear(&s.batch);
    }
    const struct entry *entry = &s.batch.entries[0];
    struct pack_value target;
    assert_true(text_is(entry->service, "taskforge") && text_is(entry->module, "audit"));
    assert_true(text_is(entry->operation, "level"));
    assert_true(text_is(entry->message, "the level of billing is warn, was error: its time is over"));
    assert_int_equal(pack_find(entry->metadata, TEXT_LITERAL("target"), &target), 1);
    assert_true(text_is(target.text, "billing"));
    level_keeper_settle(&s.keeper);
    batch_clear(&s.batch);
    level_keeper_gather(&s.keeper, &s.drain, 2, &s.batch);
    assert_true(batch_is_empty(&s.batch));
    levels_key(&key, TEXT_LITERAL("billing"));
    assert_true(state_map_get(&s.state, state_key_text(&key), &value));
    assert_true(text_equal(value, ((struct text) { "\x03\xff\0\0\0\0\0\0\0\0", 10 })));
    setup_close(&s);
}

static void in_a_ring_that_is_left_the_word_to_attach_anew_stays(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    setup_open(f, &s);
    ring_reader_retire(&s.rings.items[0]->ring, true);
    rings_leave(&s.rings, s.rings.items[0]);
    expect_control(&s, &s.billing, LEVEL_ERROR, SLOT_CONTROL_REATTACH);
    level_keeper_pass(&s.keeper, SET_UNTIL);
    expect_control(&s, &s.billing, LEVEL_WARN, SLOT_CONTROL_REATTACH);
    tell(&s, "collector: { redact: { keys: [password] } }");
    refresh(&s);
    expect_control(&s, &s.billing, LEVEL_WARN, SLOT_CONTROL_REATTACH);
    setup_close(&s);
}

static void what_ended_while_no_collector_ran_is_told_at_the_start(void **state) {
    const struct ring_fixture *f = *state;
    struct setup s;
    setup_open(f, &s);
    level_keeper_finish(&s.keeper);
    rings_finish(&s.rings);
    clock_set_for_test(SET_UNTIL + 5);
    start(f, &s);
    assert_true(s.keeper.ended);
    expect_control(&s, &s.billing, LEVEL_WARN, 0);
    level_keeper_gather(&s.keeper, &s.drain, 1, &s.batch);
    assert_int_equal(s.batch.entry_count, 1);
    level_keeper_discard(&s.keeper);
    setup_close(&s);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(every_slot_that_is_seen_gets_its_word),
        CASE(other_settings_are_seen_in_every_slot),
        CASE(a_time_that_is_over_changes_slots_at_once_and_is_told_once),
        CASE(in_a_ring_that_is_left_the_word_to_attach_anew_stays),
        CASE(what_ended_while_no_collector_ran_is_told_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
