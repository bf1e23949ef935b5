/* Time by the time stamp counter: what rates are believed, what a machine that sleeps does to it, and that no header makes it run wild. */
#include "tests/unit/client/client_fixture.h"

#include "agent/client/client_internal.h"

#define RATE_OF(nanoseconds) ((uint64_t)((nanoseconds)*0x1p32))
#define MS CLOCK_MILLISECOND

/* --- what is believed (pure) --- */

/* A counter and a clock of a machine that we make up. */
struct machine {
    uint64_t ticks, monotonic_ns;
    double rate; /* nanoseconds a tick */
};

static void pass(struct machine *machine, uint64_t ns) {
    machine->monotonic_ns += ns;
    machine->ticks += (uint64_t)((double)ns / machine->rate);
}

static uint64_t judge(struct ticks_measurement *measurement, const struct machine *machine, uint64_t known) {
    return ticks_judge(measurement, machine->ticks, machine->monotonic_ns, known);
}

static void assert_near(uint64_t rate, double nanoseconds) {
    uint64_t expected = RATE_OF(nanoseconds), apart = rate > expected ? rate - expected : expected - rate;
    if (apart > expected / 100000)
        fail_msg("%.6f is not near %.6f", (double)rate / 0x1p32, nanoseconds);
}

static void a_rate_is_measured_over_ten_milliseconds(void **state) {
    (void)state;
    static const double rates[] = { 0.11, 0.2, 0.385, 0.5, 1, 9.9 };
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        struct machine machine = { 1000, 5000, rates[i] };
        struct ticks_measurement measurement = { .begin_ticks = 0 };
        assert_int_equal(judge(&measurement, &machine, 0), 0); /* begins */
        pass(&machine, 10 * MS - 1000);
        assert_int_equal(judge(&measurement, &machine, 0), 0);
        pass(&machine, 2000);
        assert_near(judge(&measurement, &machine, 0), rates[i]);
    }
}

static void what_the_header_says_is_put_right_by_two_that_agree(void **state) {
    (void)state;
    static const double wrong[] = { 0.1, 0.2, 0.384, 0.386, 1, 10 };
    static const uint64_t first_look[] = { 20 * MS, 3600 * CLOCK_SECOND };
    for (size_t i = 0; i < COUNT_OF(wrong) * COUNT_OF(first_look); i++) {
        struct machine machine = { 1000, 5000, 0.385 };
        struct ticks_measurement measurement = { .begin_ticks = 0 };
        uint64_t known = RATE_OF(wrong[i % COUNT_OF(wrong)]);
        assert_int_equal(judge(&measurement, &machine, known), known);
        pass(&machine, first_look[i / COUNT_OF(wrong)]);
        assert_int_equal(judge(&measurement, &machine, known), known);
        pass(&machine, 20 * MS);
        assert_near(judge(&measurement, &machine, known), 0.385);
    }
}

static void a_second_s_measurement_refines_it_once(void **state) {
    (void)state;
    struct machine machine = { 1000, 5000, 0.385 };
    struct ticks_measurement measurement = { .begin_ticks = 0 };
    uint64_t known = RATE_OF(0.385 * 1.0001);
    judge(&measurement, &machine, known);
    pass(&machine, 500 * MS);
    assert_int_equal(judge(&measurement, &machine, known), known); /* not far enough off */
    pass(&machine, 600 * MS);
    uint64_t refined = judge(&measurement, &machine, known);
    assert_near(refined, 0.385);
    machine.rate = 0.385 * 1.0001; /* the clock is slewed a little */
    for (int i = 0; i < 10; i++) {
        pass(&machine, 1500 * MS);
        assert_int_equal(judge(&measurement, &machine, refined), refined);
    }
    /* not by one that is so long that a little sleep would not be noticed in it */
    measurement = (struct ticks_measurement) { .begin_ticks = 0 };
    judge(&measurement, &machine, known);
    pass(&machine, 3600 * CLOCK_SECOND);
    machine.ticks += (uint64_t)(0.3e9 / 0.385);
    assert_int_equal(judge(&measurement, &machine, known), known);
}

/* The counter goes on while the machine sleeps, the monotonic clock stands still; or the counter begins anew. */
static void a_machine_that_slept_keeps_its_rate(void **state) {
    (void)state;
    static const double slept_s[] = { 0.01, 1, 60, 3600, 86400 };
    static const uint64_t awake_ns[] = { 500 * MS, 1100 * MS, 30 * CLOCK_SECOND, 3600 * CLOCK_SECOND };
    for (size_t i = 0; i < COUNT_OF(slept_s); i++)
        for (size_t j = 0; j < COUNT_OF(awake_ns); j++) {
            struct machine machine = { 1000, 5000, 0.385 };
            struct ticks_measurement measurement = { .begin_ticks = 0 };
            uint64_t known = RATE_OF(0.385);
            judge(&measurement, &machine, known);
            for (int k = 0; k < 4; k++) {
                pass(&machine, awake_ns[j] / 4);
                known = judge(&measurement, &machine, known);
            }
            assert_near(known, 0.385);
            machine.ticks += (uint64_t)(slept_s[i] * 1e9 / 0.385);
            for (int k = 0; k < 20; k++) {
                pass(&machine, 100 * MS);
                known = judge(&measurement, &machine, known);
                assert_near(known, 0.385);
            }
            machine.ticks = 7;
            pass(&machine, 100 * MS);
            assert_near(judge(&measurement, &machine, known), 0.385);
            pass(&machine, 100 * MS);
            assert_near(judge(&measurement, &machine, known), 0.385);
        }
}

static void what_cannot_be_is_not_believed(void **state) {
    (void)state;
    static const double rates[] = { 1e-9, 0.05, 20, 1e9 };
    for (size_t i = 0; i < COUNT_OF(rates); i++)
        for (int j = 0; j < 2; j++) {
            struct machine machine = { 1000, 5000, rates[i] };
            struct ticks_measurement measurement = { .begin_ticks = 0 };
            uint64_t known = j == 0 ? 0 : RATE_OF(0.385);
            judge(&measurement, &machine, known);
            pass(&machine, 20 * MS);
            machine.ticks++;
            assert_int_equal(judge(&measurement, &machine, known), known);
            machine.rate = 0.385;
            pass(&machine, 20 * MS);
            assert_near(judge(&measurement, &machine, known), 0.385);
        }
}

/* --- the real counter, each time in a process of its own --- */

static uint64_t real_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

/* The thread's time now, as a log call has it. */
static uint64_t time_of(struct ticks *ticks, _Atomic uint64_t *shared) {
    uint64_t now = ticks_now(ticks);
    return now ? now : ticks_renew(ticks, shared);
}

enum { FINE = 0, OFF = 1, BACKWARDS = 2, NEVER_USED = 3, NOT_WRITTEN = 4 };

/* For a while, beginning `skip_ns` from now (until then a wrong rate may not have been measured): within `most_ns` of the clock, and never
 * back; before that never back within a point. */
static int watch(struct ticks *ticks, _Atomic uint64_t *shared, uint64_t skip_ns, uint64_t most_ns, uint64_t for_ns) {
    uint64_t begin = real_now(), last = 0, point = 0, used = 0;
    for (;;) {
        uint64_t before = real_now(), now = time_of(ticks, shared), after = real_now();
        bool settled = before - begin > skip_ns;
        if (after - begin > skip_ns + for_ns)
            return used > 1000 ? FINE : NEVER_USED;
        used += point == ticks->at && ticks->valid != 0;
        if (now < last && (settled || point == ticks->at))
            return BACKWARDS;
        if (settled && (now + most_ns < before || now > after + most_ns))
            return OFF;
        point = ticks->at;
        last = now;
    }
}

/* Whatever a header says: after a few looks it is right, and says it. */
static int begin_with(void *argument) {
    _Atomic uint64_t shared = *(uint64_t *)argument;
    uint64_t given = shared;
    struct ticks ticks = { .at = 0 };
    ticks_attach(&shared);
    if (shared == 1) /* no counter that may be used here */
        return given == 1 || given == 0 ? FINE : NOT_WRITTEN;
    int r = watch(&ticks, &shared, 150 * MS, 50 * 1000, 100 * MS);
    return r == FINE && (shared < RATE_OF(0.1) || shared > RATE_OF(10)) ? NOT_WRITTEN : r;
}

static void any_header_is_right_after_a_moment(void **state) {
    (void)state;
    static uint64_t headers[] = {
        0, 2, 3, RATE_OF(0.1), RATE_OF(0.11), RATE_OF(9.9), RATE_OF(11), UINT64_MAX, RATE_OF(0.385)
    };
    size_t count = getenv("TASKFORGE_LONG") ? COUNT_OF(headers) : 0;
    static uint64_t few[] = { 0, RATE_OF(0.1), RATE_OF(9.9) };
    for (size_t i = 0; i < count; i++)
        assert_int_equal(in_child(begin_with, &headers[i]), FINE);
    for (size_t i = 0; i < COUNT_OF(few) && count == 0; i++)
        assert_int_equal(in_child(begin_with, &few[i]), FINE);
}

static int forbidden(void *argument) {
    (void)argument;
    _Atomic uint64_t header = 1, other = RATE_OF(0.385);
    struct ticks ticks = { .at = 0 };
    ticks_attach(&other); /* of another ring, say */
    ticks_attach(&header);
    uint64_t begin = real_now();
    while (real_now() - begin < 50 * MS)
        if (ticks_now(&ticks) != 0 || ticks_renew(&ticks, &header) < begin)
            return OFF;
    return header == 1 && ticks.valid == 0 ? FINE : NOT_WRITTEN;
}

static void it_is_never_used_where_the_header_forbids_it(void **state) {
    (void)state;
    assert_int_equal(in_child(forbidden, NULL), FINE);
}

/* What the process has measured stands against a ring that comes later. */
static int meet_a_liar(void *argument) {
    (void)argument;
    _Atomic uint64_t honest = 0, liar = RATE_OF(9.9);
    struct ticks ticks = { .at = 0 };
    ticks_attach(&honest);
    if (honest == 1)
        return FINE;
    int r = watch(&ticks, &honest, 150 * MS, 50 * 1000, 50 * MS);
    if (r != FINE)
        return r;
    ticks_attach(&liar);
    return watch(&ticks, &liar, 0, 50 * 1000, 150 * MS);
}

static void a_later_ring_s_header_does_not_change_it(void **state) {
    (void)state;
    assert_int_equal(in_child(meet_a_liar, NULL), FINE);
}

/* A rate that is off does not make time go back where a new point puts it right, and what it is ahead is gone a point later. */
static int run_ahead(void *argument) {
    (void)argument;
    _Atomic uint64_t header = 0;
    struct ticks ticks = { .at = 0 };
    ticks_attach(&header);
    if (header == 1)
        return FINE;
    int r = watch(&ticks, &header, 150 * MS, 50 * 1000, 50 * MS);
    for (int i = 0; i < 3 && r == FINE; i++) {
        time_of(&ticks, &header);
        ticks.real_ns += 400 * 1000;
        uint64_t ahead = ticks_now(&ticks);
        ticks.valid = 1 + ticks_read() - ticks.at; /* its end has come */
        uint64_t next = time_of(&ticks, &header);
        if (next < ahead)
            return BACKWARDS;
        if (next < real_now() + 200 * 1000) /* it was put right by a step */
            return OFF;
        r = watch(&ticks, &header, 110 * MS, 50 * 1000, 20 * MS);
    }
    return r;
}

static void time_does_not_go_back_at_a_new_point(void **state) {
    (void)state;
    assert_int_equal(in_child(run_ahead, NULL), FINE);
}

/* A step of the clock is seen within a tenth of a second, and a little. */
static int step_the_clock(void *argument) {
    int64_t step = *(int64_t *)argument;
    _Atomic uint64_t header = 0;
    struct ticks ticks = { .at = 0 };
    ticks_attach(&header);
    if (header == 1)
        return FINE;
    int r = watch(&ticks, &header, 150 * MS, 50 * 1000, 50 * MS);
    if (r != FINE)
        return r;
    uint64_t stepped = real_now() + (uint64_t)step, begin = real_now();
    clock_set_for_test(stepped); /* the clock stands there */
    for (;;) {
        uint64_t passed = real_now() - begin, now = time_of(&ticks, &header);
        if (passed > 120 * MS)
            return now + 120 * MS >= stepped && now <= stepped + 120 * MS ? FINE : OFF;
    }
}

static void a_step_of_the_clock_is_seen_within_a_tenth_of_a_second(void **state) {
    (void)state;
    int64_t steps[] = { 3600 * (int64_t)CLOCK_SECOND, -3600 * (int64_t)CLOCK_SECOND };
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        assert_int_equal(in_child(step_the_clock, &steps[i]), FINE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_measured_over_ten_milliseconds),
        cmocka_unit_test(what_the_header_says_is_put_right_by_two_that_agree),
        cmocka_unit_test(a_second_s_measurement_refines_it_once),
        cmocka_unit_test(a_machine_that_slept_keeps_its_rate),
        cmocka_unit_test(what_cannot_be_is_not_believed),
        cmocka_unit_test(it_is_never_used_where_the_header_forbids_it),
        cmocka_unit_test(a_later_ring_s_header_does_not_change_it),
        cmocka_unit_test(a_step_of_the_clock_is_seen_within_a_tenth_of_a_second),
        cmocka_unit_test(time_does_not_go_back_at_a_new_point),
        cmocka_unit_test(any_header_is_right_after_a_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
