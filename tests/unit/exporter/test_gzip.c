#include "exporter/gzip.h"

#include <libdeflate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void clients_name_what_they_take(void **state) {
    (void)state;
    assert_true(gzip_accepted(text_of("gzip")));
    assert_true(gzip_accepted(text_of("deflate, GZIP;q=0.5, br")));
    assert_true(gzip_accepted(text_of("gzip ; q=0.001")));
    assert_true(gzip_accepted(text_of("*")));
    assert_true(gzip_accepted(text_of("identity;q=0, *;q=0.1")));
    assert_false(gzip_accepted(text_of("")));
    assert_false(gzip_accepted(text_of("deflate, br")));
    assert_false(gzip_accepted(text_of("gzip;q=0")));
    assert_false(gzip_accepted(text_of("gzip;Q=0.000, *")));
    assert_false(gzip_accepted(text_of("*, gzip;q=0")));
    assert_false(gzip_accepted(text_of("*;q=0")));
    assert_false(gzip_accepted(text_of("xgzip, gzipx,;,,q=1")));
}

static void what_is_compressed_comes_back(void **state) {
    _cleanup_buffer_ struct buffer in = BUFFER_EMPTY, out = BUFFER_EMPTY;
    static char back[200000];
    size_t length = 0;
    (void)state;
    for (int i = 0; i < 5000; i++)
        buffer_append_format(&in, "taskforge_x_total{n=\"%d\"} %d\n", i, i * 7);
    buffer_append_string(&out, "before");
    assert_int_equal(gzip_compress(buffer_text(&in), &out), 0);
    assert_memory_equal(out.data, "before\x1f\x8b", 8);
    assert_true(out.length < in.length / 4);
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    assert_int_equal(
        libdeflate_gzip_decompress(decompressor, out.data + 6, out.length - 6, back, sizeof(back), &length),
        LIBDEFLATE_SUCCESS);
    libdeflate_free_decompressor(decompressor);
    assert_int_equal(length, in.length);
    assert_memory_equal(back, in.data, length);
}

static void nothing_is_compressed_too(void **state) {
    _cleanup_buffer_ struct buffer out = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(gzip_compress(TEXT_EMPTY, &out), 0);
    assert_true(out.length > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_name_what_they_take),
        cmocka_unit_test(what_is_compressed_comes_back),
        cmocka_unit_test(nothing_is_compressed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
