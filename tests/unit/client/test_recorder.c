/* The flight recorder from the program's side. */
#define FIXTURE_RING_SIZE (UINT64_C(16) << 20) /* two threads, two lanes each */
#include "tests/unit/client/client_fixture.h"

#include <pthread.h>

#include "agent/client/client_internal.h"

static void tell_recorder(const struct fixture *fixture, uint32_t levels) {
    struct shared_settings settings;
    settings_read(fixture->runtime_dir, &settings);
    settings.recorder_levels = levels;
    settings.recorder_keep_ns = levels ? SETTINGS_RECORDER_KEEP_MIN : 0;
    settings.sequence += settings.sequence ? 1 : 7;
    assert_int_equal(settings_write(fixture->runtime_dir, &settings, NULL), 0);
}

static tf_client *open_recorded(const struct fixture *fixture) {
    tell_recorder(fixture, 1 << LEVEL_TRACE | 1 << LEVEL_DEBUG);
    return fixture_open(fixture, TF_POLICY_DROP, 0);
}

/* As the collector does when the configuration changed. */
static void control_follows(const struct fixture *fixture) {
    struct shared_settings settings;
    struct drain drain;
    settings_read(fixture->runtime_dir, &settings);
    drain_open(&drain, fixture->runtime_dir);
    uint32_t control = slot_control_compose(LEVEL_TRACE, LEVEL_TRACE, settings.recorder_levels, settings.sequence);
    assert_int_equal(ring_reader_set_control(&drain.ring, 0, control), 0);
    drain_close(&drain);
}

/* Lanes that threads have; and how many bytes of records those of the recorder hold. */
static unsigned recorder_lanes(const struct fixture *fixture, uint64_t *ret_bytes) {
    struct drain drain;
    unsigned count = 0;
    *ret_bytes = 0;
    drain_open(&drain, fixture->runtime_dir);
    for (uint32_t lane = drain.ring.overflow_count; lane < drain.ring.lane_count; lane++) {
        struct lane_state state;
        assert_int_equal(ring_reader_lane(&drain.ring, lane, &state), 0);
        count += state.recorder && !state.released;
        *ret_bytes += state.recorder ? state.head - state.tail : 0;
    }
    drain_close(&drain);
    return count;
}

static void levels_of_the_recorder_go_into_its_lane_alone(void **state) {
    struct fixture *fixture = *state;
    struct drain drain;
    uint64_t bytes;
    tf_client *client = open_recorded(fixture);
    TF_LOG_TO(client, TF_LEVEL_INFO, "a", "info");
    assert_int_equal(recorder_lanes(fixture, &bytes), 0); /* who records nothing takes no lane for it */
    for (int i = 0; i < 20000; i++) {                     /* laps, and nothing is lost */
        TF_LOG_TO(client, TF_LEVEL_DEBUG, "a", "debug %d", i);
        assert_int_equal(tf_log(client, TF_LEVEL_TRACE, NULL, "a", "trace"), 0);
    }
    TF_LOG_TO(client, TF_LEVEL_WARN, "a", "warn");
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain.entries, 2);
    assert_int_equal(drain_count(&drain, "debug") + drain_count(&drain, "trace"), 0);
    drain_finish(&drain);
    assert_int_equal(recorder_lanes(fixture, &bytes), 1);
    assert_true(bytes > RING_LANE_SIZE);
    assert_int_equal(fixture_lost(client), 0);
    tf_close(client);
}

static void a_flush_waits_for_nothing_that_is_recorded(void **state) {
    struct fixture *fixture = *state;
    struct drain drain;
    tf_client *client = open_recorded(fixture);
    TF_LOG_TO(client, TF_LEVEL_INFO, "a", "info");
    TF_LOG_TO(client, TF_LEVEL_DEBUG, "a", "debug");
    assert_int_equal(tf_flush(client, 1000000), -ETIMEDOUT);
    drain_once(fixture->runtime_dir, true, &drain);
    drain_finish(&drain);
    assert_int_equal(tf_flush(client, 60 * CLOCK_SECOND), 0);
    tf_close(client);
}

static void *say_info(void *client) {
    TF_LOG_TO((tf_client *)client, TF_LEVEL_INFO, "a", "info");
    return NULL;
}

/* The lane of a thread that ended, drained and given back, and now the recorder's of another. */
static void nor_for_a_lane_that_became_the_recorders(void **state) {
    struct fixture *fixture = *state;
    struct drain drain;
    pthread_t thread;
    struct lane_state lane;
    tf_client *client = open_recorded(fixture);
    assert_int_equal(pthread_create(&thread, NULL, say_info, client), 0);
    pthread_join(thread, NULL);
    drain_open(&drain, fixture->runtime_dir);
    drain_read(&drain, true);
    uint32_t freed = drain.ring.overflow_count;
    assert_int_equal(ring_reader_lane(&drain.ring, freed, &lane), 0);
    assert_true(lane.released);
    TF_LOG_TO(client, TF_LEVEL_INFO, "a", "info"); /* takes that lane up again */
    assert_int_equal(ring_reader_lane(&drain.ring, freed, &lane), 0);
    assert_false(lane.released);
    drain_read(&drain, true);
    assert_int_equal(pthread_create(&thread, NULL, say_info, client), 0);
    pthread_join(thread, NULL);
    drain_read(&drain, true);
    assert_int_equal(ring_reader_lane(&drain.ring, freed + 1, &lane), 0);
    assert_true(lane.released);
    assert_int_equal(ring_reader_lane_free(&drain.ring, freed + 1, lane.owner), 0);
    TF_LOG_TO(client, TF_LEVEL_DEBUG, "a", "debug");
    assert_int_equal(ring_reader_lane(&drain.ring, freed + 1, &lane), 0);
    assert_true(lane.recorder && lane.head > lane.tail);
    assert_int_equal(tf_flush(client, 60 * CLOCK_SECOND), 0);
    drain_close(&drain);
    tf_close(client);
}

/* --- turned off --- */

struct speaker {
    tf_client *client;
    pthread_t thread;
    pthread_barrier_t *barrier;
};

static void *speak_in_rounds(void *argument) {
    struct speaker *speaker = argument;
    for (int round = 0; round < 3; round++) {
        /* Of calls that race with the one that reads the settings anew, one may still go by the old ones. */
        TF_LOG_TO(speaker->client, TF_LEVEL_INFO, "a", "info %d", round);
        TF_LOG_TO(speaker->client, TF_LEVEL_DEBUG, "a", "debug");
        pthread_barrier_wait(speaker->barrier); /* done */
        pthread_barrier_wait(speaker->barrier); /* go on */
    }
    return NULL;
}

static void each_thread_gives_its_lane_back_when_there_is_no_recorder(void **state) {
    enum { SPEAKERS = 2 };
    struct fixture *fixture = *state;
    struct speaker speakers[SPEAKERS];
    struct drain drain;
    pthread_barrier_t barrier;
    uint64_t bytes;
    tf_client *client = open_recorded(fixture);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, SPEAKERS + 1), 0);
    for (int i = 0; i < SPEAKERS; i++) {
        speakers[i] = (struct speaker) { .client = client, .barrier = &barrier };
        assert_int_equal(pthread_create(&speakers[i].thread, NULL, speak_in_rounds, &speakers[i]), 0);
    }
    for (int round = 0; round < 3; round++) {
        pthread_barrier_wait(&barrier);
        assert_int_equal(recorder_lanes(fixture, &bytes), round == 1 ? 0 : SPEAKERS); /* back with it, too */
        tell_recorder(fixture, round == 0 ? 0 : 1 << LEVEL_DEBUG);
        control_follows(fixture);
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < SPEAKERS; i++)
        pthread_join(speakers[i].thread, NULL);
    drain_once(fixture->runtime_dir, true, &drain);
    assert_int_equal(drain_count(&drain, "\"info"), 3 * SPEAKERS);
    assert_int_equal(drain_count(&drain, "\"debug\",\"service"), SPEAKERS); /* those of the round without it */
    drain_finish(&drain);
    pthread_barrier_destroy(&barrier);
    tf_close(client);
}

/* --- asking --- */

static void a_program_asks_by_counting_up(void **state) {
    struct fixture *fixture = *state;
    struct drain drain;
    uint32_t wanted;
    tf_client *client = open_recorded(fixture);
    drain_open(&drain, fixture->runtime_dir);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(ring_reader_recorder_wanted(&drain.ring, 0, &wanted), 0);
        assert_int_equal(wanted, i);
        assert_int_equal(tf_recorder_store(client), 0);
    }
    drain_close(&drain);
    tf_close(client);
}

static void where_there_is_no_ring_it_says_so(void **state) {
    struct fixture *fixture = *state;
    struct tf_options options = TF_OPTIONS_INIT;
    char nowhere[160];
    tf_client *client;
    snprintf(nowhere, sizeof(nowhere), "%s/no/such/folder", fixture->runtime_dir);
    options.runtime_dir = nowhere;
    assert_int_equal(tf_open("mailer", &options, &client), 0);
    assert_int_equal(tf_recorder_store(client), -EAGAIN);
    assert_string_not_equal(tf_last_error(), "");
    tf_close(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(levels_of_the_recorder_go_into_its_lane_alone),
        fixture_test(a_flush_waits_for_nothing_that_is_recorded),
        fixture_test(nor_for_a_lane_that_became_the_recorders),
        fixture_test(each_thread_gives_its_lane_back_when_there_is_no_recorder),
        fixture_test(a_program_asks_by_counting_up),
        fixture_test(where_there_is_no_ring_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
