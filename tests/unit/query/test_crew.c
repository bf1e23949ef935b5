#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>

#include "common/query/crew.h"

enum { JOBS = 2000 };

struct job {
    unsigned number, result;
};

static atomic_uint worked;

static void work(void *argument, unsigned thread, void *given) {
    struct job *job = given;
    unsigned sum = 0;
    (void)argument;
    for (unsigned i = 0; i < job->number % 7 * 1000; i++) /* some take longer than those behind them */
        sum += i * thread;
    job->result = job->number * 2 + (sum == 1);
    atomic_fetch_add(&worked, 1);
}

static void gives_results_in_the_order_of_the_jobs(void **state) {
    static struct job jobs[JOBS];
    struct crew *crew;
    unsigned given = 0, taken = 0;
    (void)state;
    assert_int_equal(crew_create(3, work, NULL, &crew), 0);
    while (taken < JOBS) {
        while (given < JOBS && crew_waiting(crew) < crew_room(crew)) {
            jobs[given].number = given;
            crew_give(crew, &jobs[given++]);
        }
        struct job *job = crew_take(crew);
        assert_ptr_equal(job, &jobs[taken]);
        assert_int_equal(job->result, taken * 2);
        taken++;
    }
    assert_int_equal(crew_waiting(crew), 0);
    crew_destroy(crew);
}

static void leaves_what_was_not_begun(void **state) {
    static struct job jobs[CREW_ROOM_MAX];
    struct crew *crew;
    (void)state;
    for (int round = 0; round < 200; round++) {
        atomic_store(&worked, 0);
        assert_int_equal(crew_create(2, work, NULL, &crew), 0);
        size_t room = crew_room(crew);
        for (size_t i = 0; i < room; i++) {
            jobs[i] = (struct job) { .number = (unsigned)i };
            crew_give(crew, &jobs[i]);
        }
        crew_destroy(crew);
        assert_true(atomic_load(&worked) <= room);
    }
    crew_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_results_in_the_order_of_the_jobs),
        cmocka_unit_test(leaves_what_was_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
