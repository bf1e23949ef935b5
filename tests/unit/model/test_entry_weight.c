#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/model/entry.h"
#include "common/model/pack.h"

static double weight_of(const char *json) {
    char room[512];
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    assert_int_equal(pack_from_json(text_of(json), &writer, NULL), 0);
    return entry_weight((struct text) { room, writer.length });
}

static void an_entry_counts_once_but_for_what_it_stands_for(void **state) {
    (void)state;
    assert_true(entry_weight(TEXT_EMPTY) == 1);
    assert_true(weight_of("{}") == 1);
    assert_true(weight_of("{\"a\":2}") == 1);
    assert_true(weight_of("{\"sample_share\":0.25}") == 4);
    assert_true(weight_of("{\"repeated\":7,\"repeated_first\":\"x\"}") == 7);
    assert_true(weight_of("{\"repeated\":7,\"repeated_first\":\"x\",\"sample_share\":0.5}") == 14);
}

static void what_an_app_means_otherwise_counts_once(void **state) {
    (void)state;
    assert_true(weight_of("{\"repeated\":7}") == 1); /* without the times it is not ours */
    assert_true(weight_of("{\"repeated\":true,\"repeated_first\":1}") == 1);
    assert_true(weight_of("{\"repeated\":-7,\"repeated_first\":1}") == 1);
    assert_true(weight_of("{\"sample_share\":0}") == 1);
    assert_true(weight_of("{\"sample_share\":-1}") == 1);
    assert_true(weight_of("{\"sample_share\":2}") == 1);
    assert_true(weight_of("{\"sample_share\":\"0.1\"}") == 1);
    assert_true(weight_of("{\"sample_share\":1e-300}") == ENTRY_WEIGHT_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_counts_once_but_for_what_it_stands_for),
        cmocka_unit_test(what_an_app_means_otherwise_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
