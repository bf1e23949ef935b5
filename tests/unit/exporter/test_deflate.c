#include "exporter/deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <libdeflate.h>

#include "exporter/deflate_code.h"

enum { PIECES_MAX = 8 };

static struct deflate *deflate;

/* The pieces as one stream, taken apart again by libdeflate, which accepts nothing but the standard. */
static size_t assert_comes_back(const struct text *pieces, size_t count) {
    _cleanup_buffer_ struct buffer packed = BUFFER_EMPTY, all = BUFFER_EMPTY;
    struct deflate_sum sums[PIECES_MAX];
    size_t length = 0;
    deflate_head(&packed);
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(&all, pieces[i]);
        assert_int_equal(deflate_append(deflate, pieces[i], &packed, &sums[i]), 0);
        assert_int_equal(sums[i].length, pieces[i].length);
    }
    deflate_tail(sums, count, &packed);
    char *back = malloc(all.length + 1);
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    assert_true(back && decompressor);
    assert_int_equal(
        libdeflate_gzip_decompress(decompressor, packed.data, packed.length, back, all.length + 1, &length),
        LIBDEFLATE_SUCCESS);
    assert_int_equal(length, all.length);
    if (length > 0)
        assert_memory_equal(back, all.data, length);
    libdeflate_free_decompressor(decompressor);
    free(back);
    return packed.length;
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005 + 1442695040888963407;
    return *seed >> 33;
}

static void pieces_are_one_stream(void **state) {
    (void)state;
    const struct text pieces[] = { TEXT_LITERAL("jobs_total{queue=\"mail\"} 1\n"), TEXT_EMPTY, TEXT_LITERAL("x"),
                                   TEXT_LITERAL("jobs_total{queue=\"mail\"} 2\njobs_total{queue=\"mail\"} 3\n") };
    assert_comes_back(pieces, 4);
    assert_comes_back(pieces, 1);
    assert_comes_back(pieces + 1, 1);
    assert_comes_back(pieces, 0);
}

static void lines_shrink_tenfold(void **state) {
    (void)state;
    struct buffer lines = BUFFER_EMPTY;
    uint64_t seed = 3;
    for (int i = 0; i < 4000; i++)
        buffer_append_format(&lines,
                             "taskforge_requests_total{queue=\"mail-%04d\",state=\"waiting\",zone=\"jkt%d\"} %llu\n",
                             i / 4, i % 4, (unsigned long long)next_random(&seed) % 100000);
    struct text half = { lines.data, lines.length / 2 },
                rest = { lines.data + half.length, lines.length - half.length };
    const struct text pieces[] = { half, rest };
    assert_true(assert_comes_back(pieces, 2) < lines.length / 8);
    buffer_finish(&lines);
}

/* All that differs in size, in what repeats and how far away, and in how often which byte comes. */
static void whatever_it_is_comes_back(void **state) {
    (void)state;
    enum { SIZE = 300000 };
    char *bytes = malloc(SIZE);
    uint64_t seed = 11;
    int turns = getenv("TASKFORGE_LONG") ? 5000 : 60;
    assert_non_null(bytes);
    for (int turn = 0; turn < turns; turn++) {
        unsigned alphabet = 1 + (unsigned)next_random(&seed) % (turn % 3 == 0 ? 256 : 12);
        size_t length = (size_t)next_random(&seed) % (turn % 5 == 0 ? SIZE : 2000), at = 0;
        while (at < length) {
            size_t run = 1 + next_random(&seed) % 600;
            run = run < length - at ? run : length - at;
            if (at > 0 && next_random(&seed) % 3 == 0) {
                size_t far = 1 + next_random(&seed) % (at < 70000 ? at : 70000);
                for (size_t i = 0; i < run; i++)
                    bytes[at + i] = bytes[at + i - far];
            } else {
                for (size_t i = 0; i < run; i++)
                    bytes[at + i] = (char)(next_random(&seed) % alphabet);
            }
            at += run;
        }
        size_t cut = length ? next_random(&seed) % length : 0;
        const struct text pieces[] = { { bytes, cut }, { bytes + cut, length - cut } };
        assert_comes_back(pieces, 2);
    }
    free(bytes);
}

/* Frequencies as Fibonacci's numbers make the longest codes there are. */
static void codes_are_complete_and_not_too_long(void **state) {
    (void)state;
    uint32_t fibonacci[40] = { 1, 1 }, one[4] = { 0, 0, 7, 0 };
    for (int i = 2; i < 40; i++)
        fibonacci[i] = fibonacci[i - 1] + fibonacci[i - 2];
    for (unsigned most = 6; most <= DEFLATE_LENGTH_MAX; most++) {
        struct deflate_code code;
        uint32_t room = 0;
        deflate_code_make(fibonacci, 40, most, &code);
        for (int i = 0; i < 40; i++) {
            assert_in_range(code.lengths[i], 1, most);
            room += UINT32_C(1) << (most - code.lengths[i]);
        }
        assert_int_equal(room, UINT32_C(1) << most);
    }
    struct deflate_code code;
    deflate_code_make(one, 4, DEFLATE_LENGTH_MAX, &code);
    assert_true(code.lengths[2] == 1 && code.lengths[0] == 1 && code.lengths[1] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_one_stream),
        cmocka_unit_test(lines_shrink_tenfold),
        cmocka_unit_test(whatever_it_is_comes_back),
        cmocka_unit_test(codes_are_complete_and_not_too_long),
    };
    deflate = deflate_create();
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    deflate_destroy(deflate);
    return result;
}
