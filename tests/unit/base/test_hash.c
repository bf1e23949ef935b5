/* XXH3's published values hold, so that what is on disk can be checked by anybody's tool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/hash.h"

static void is_xxh3(void **state) {
    (void)state;
    assert_true(hash_bytes("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_bytes(NULL, 0) == UINT64_C(0x2d06800538d394c2));
}

static void depends_on_bytes_and_seed(void **state) {
    (void)state;
    assert_true(hash_bytes("taskforge", 9) != hash_bytes("taskforgf", 9));
    assert_true(hash_bytes_seeded("taskforge", 9, 0) == hash_bytes("taskforge", 9));
    assert_true(hash_bytes_seeded("taskforge", 9, 1) != hash_bytes("taskforge", 9));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_xxh3),
        cmocka_unit_test(depends_on_bytes_and_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
