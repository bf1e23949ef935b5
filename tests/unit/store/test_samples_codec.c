#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/store/samples_private.h"

static uint64_t state = 88172645463325252;

static uint64_t random_number(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double uniform(void) {
    return (double)(random_number() >> 11) * 0x1p-53;
}

/* --- integers --- */

static size_t round_trip(const uint64_t *values, size_t count) {
    struct buffer out = BUFFER_EMPTY;
    uint64_t decoded[SAMPLES_TICKS_MAX];
    samples_integers_encode(values, count, &out);
    size_t length = out.length;
    assert_true(buffer_reserve(&out, SAMPLES_SLACK));
    struct samples_cursor cursor = samples_cursor_of(buffer_text(&out));
    samples_integers_decode(&cursor, count, decoded);
    assert_false(cursor.bad);
    assert_ptr_equal(cursor.at, cursor.end);
    assert_memory_equal(decoded, values, count * sizeof(values[0]));
    /* cut anywhere, it is bad, and nothing beyond its slack is read */
    for (size_t cut = 0; cut < length; cut += 1 + length / 16) {
        char *copy = malloc(cut + SAMPLES_SLACK);
        memcpy(copy, out.data, cut);
        memset(copy + cut, 0xa5, SAMPLES_SLACK);
        cursor = samples_cursor_of((struct text) { copy, cut });
        samples_integers_decode(&cursor, count, decoded);
        assert_true(cursor.bad);
        free(copy);
    }
    buffer_finish(&out);
    return length;
}

static void integers_of_every_width_come_back(void **unused) {
    uint64_t values[SAMPLES_TICKS_MAX];
    (void)unused;
    for (unsigned width = 0; width <= 64; width++)
        for (unsigned way = 0; way < 6; way++) {
            size_t count = way == 0 ? 1 : 1 + random_number() % SAMPLES_TICKS_MAX;
            uint64_t mask = width == 0 ? 0 : UINT64_MAX >> (64 - width), sum = random_number(), step = random_number();
            for (size_t i = 0; i < count; i++) {
                uint64_t noise = random_number() & mask;
                step += noise;
                sum += way == 2 ? noise : step;
                values[i] = way < 2 ? noise : way == 4 ? noise << (random_number() % 2 + 3) : sum;
            }
            round_trip(values, count);
        }
}

static void regular_integers_take_next_to_nothing(void **unused) {
    uint64_t values[128];
    (void)unused;
    for (size_t i = 0; i < 128; i++)
        values[i] = 1000000;
    assert_true(round_trip(values, 128) <= 4);
    for (size_t i = 0; i < 128; i++)
        values[i] = 5 + 3000 * i;
    assert_true(round_trip(values, 128) <= 12);
    for (size_t i = 0; i < 128; i++)
        values[i] = 5 + 3000 * i * i;
    assert_true(round_trip(values, 128) <= 14);
    for (size_t i = 0; i < 128; i++)
        values[i] = (uint64_t)(i % 2) << 40;
    assert_true(round_trip(values, 128) <= 30);
}

/* --- columns --- */

static const double naughty[] = { 0.0,
                                  -0.0,
                                  1.0,
                                  -1.0,
                                  0.1,
                                  -0.1,
                                  1e-320,
                                  DBL_MIN,
                                  DBL_MAX,
                                  -DBL_MAX,
                                  DBL_EPSILON,
                                  4503599627370497.0,
                                  9007199254740991.0,
                                  9007199254740992.0,
                                  9007199254740993.0,
                                  18014398509481984.0,
                                  1e300,
                                  123456.789,
                                  1e-10,
                                  1795457704.123456,
                                  0x1p63,
                                  -0x1p63,
                                  3.3e-9,
                                  2.5,
                                  1e15,
                                  1e22 };

static void fill(double *values, size_t count, unsigned way) {
    double sum = floor(uniform() * 1e6);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = random_number();
        switch (way) {
        case 0:
            memcpy(&values[i], &bits, sizeof(bits));
            break;
        case 1:
            values[i] = naughty[bits % (sizeof(naughty) / sizeof(naughty[0]))];
            break;
        case 2:
            values[i] = sum += floor(uniform() * 100);
            break;
        case 3:
            values[i] = round(uniform() * 1e5) / 1e3;
            break;
        case 4:
            values[i] = uniform() * 100;
            break;
        case 5:
            values[i] =
                bits % 20 ? round(uniform() * 100) / 10 : samples_of_bits(UINT64_C(0x7ff8000000000000) | bits % 9);
            break;
        case 6:
            values[i] = sum = bits % 10 ? sum + 1 : 0;
            break;
        default:
            values[i] = bits % 3 ? INFINITY : -INFINITY;
        }
        if (samples_is_hole(values[i]))
            values[i] = 1;
    }
}

static void doubles_come_back_bit_by_bit(void **unused) {
    double values[SAMPLES_TICKS_MAX], decoded[SAMPLES_TICKS_MAX];
    struct samples_column column;
    (void)unused;
    assert_int_equal(samples_column_init(&column), 0);
    for (unsigned round = 0; round < 800; round++) {
        struct buffer out = BUFFER_EMPTY;
        size_t count = round < 16 ? 1 : 1 + random_number() % SAMPLES_TICKS_MAX;
        fill(values, count, round % 8);
        for (size_t i = 0; i + 1 < count && round % 3 == 0; i++)
            if (random_number() % 4 == 0)
                values[i] = samples_hole();
        samples_column_clear(&column);
        column.count = count;
        memcpy(column.values, values, count * sizeof(values[0]));
        samples_column_encode(&column, round, &out);
        assert_true(buffer_reserve(&out, SAMPLES_SLACK));
        assert_int_equal(samples_column_decode_doubles(buffer_text(&out), round, count, decoded), 0);
        assert_memory_equal(decoded, values, count * sizeof(values[0]));
        assert_int_equal(samples_column_decode_doubles(buffer_text(&out), round + 1, count, decoded), -EBADMSG);
        assert_int_equal(samples_column_decode(buffer_text(&out), round, count, &column), 0);
        assert_memory_equal(column.values, values, count * sizeof(values[0]));
        buffer_finish(&out);
    }
    samples_column_finish(&column);
}

/* The wide way to unpack reads a ninth byte, the narrow one whole words: of every width, at the end of what can be read. */
static void a_flipped_bit_is_found(void **unused) {
    double values[64], decoded[SAMPLES_TICKS_MAX];
    struct samples_column column;
    struct buffer out = BUFFER_EMPTY;
    (void)unused;
    assert_int_equal(samples_column_init(&column), 0);
    fill(values, 64, 3);
    values[5] = samples_hole();
    column.count = 64;
    memcpy(column.values, values, sizeof(values));
    samples_column_encode(&column, 1, &out);
    assert_true(buffer_reserve(&out, SAMPLES_SLACK));
    for (size_t bit = 0; bit < out.length * 8; bit++) {
        out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(samples_column_decode_doubles(buffer_text(&out), 1, 64, decoded), -EBADMSG);
        out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
    }
    buffer_finish(&out);
    samples_column_finish(&column);
}

static void histograms_come_back(void **unused) {
    struct samples_column column, other;
    struct buffer out = BUFFER_EMPTY;
    (void)unused;
    assert_int_equal(samples_column_init(&column), 0);
    assert_int_equal(samples_column_init(&other), 0);
    column.count = 100;
    column.histogram = true;
    for (size_t i = 0; i < 100; i++) {
        column.values[i] = i == 7 || i == 0 ? samples_hole() : uniform() * 1e3;
        column.zeros[i] = i;
    }
    for (unsigned octave = 3; octave < HISTOGRAM_OCTAVES; octave += 19)
        for (unsigned bucket = octave % 5; bucket < HISTOGRAM_BUCKETS; bucket += 9) {
            uint64_t *counts = samples_column_bucket(&column, octave, bucket), sum = 0;
            for (size_t i = 0; i < 100; i++)
                counts[i] = sum += random_number() % 5;
            counts[50] = UINT64_MAX;
        }
    samples_column_encode(&column, 9, &out);
    assert_true(buffer_reserve(&out, SAMPLES_SLACK));
    assert_int_equal(samples_column_decode(buffer_text(&out), 9, 100, &other), 0);
    assert_true(other.histogram);
    assert_memory_equal(other.in_use, column.in_use, sizeof(column.in_use));
    assert_true(samples_is_hole(other.values[7]) && samples_is_hole(other.values[0]) &&
                !samples_is_hole(other.values[8]));
    for (size_t i = 0; i < 100; i++) {
        if (samples_is_hole(other.values[i]))
            continue;
        assert_memory_equal(&other.values[i], &column.values[i], sizeof(double));
        assert_int_equal(other.zeros[i], i);
        for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; octave++)
            for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
                if (column.in_use[octave] >> bucket & 1)
                    assert_int_equal(samples_column_bucket(&other, octave, bucket)[i],
                                     samples_column_bucket(&column, octave, bucket)[i]);
    }
    double values[SAMPLES_TICKS_MAX];
    assert_int_equal(samples_column_decode_doubles(buffer_text(&out), 9, 100, values), 1);
    buffer_finish(&out);
    samples_column_finish(&column);
    samples_column_finish(&other);
}

/* --- rows --- */

static void rows_come_back(void **unused) {
    double values[SAMPLES_GROUP];
    uint8_t hints[SAMPLES_GROUP] = { 0 };
    (void)unused;
    for (unsigned round = 0; round < 64; round++) {
        struct buffer out = BUFFER_EMPTY;
        struct samples_row_writer writer;
        struct samples_row row;
        struct samples_entry entry;
        unsigned char bitmap[SAMPLES_BITMAP] = { 0 };
        fill(values, SAMPLES_GROUP, round % 8);
        for (unsigned i = 0; i < SAMPLES_GROUP; i++)
            if (i <= round || random_number() % 2)
                bitmap[i / 8] |= (unsigned char)(1 << i % 8);
        samples_row_begin(&writer, bitmap, &out);
        for (unsigned i = 0; i < SAMPLES_GROUP; i++)
            if (samples_bit(bitmap, i) && i == 5)
                samples_row_add_histogram(&writer, TEXT_LITERAL("no histogram at all"));
            else if (samples_bit(bitmap, i))
                samples_row_add(&writer, values[i], &hints[i]);
        samples_row_end(&writer, 77);
        assert_int_equal(samples_row_open(buffer_text(&out), 78, &row), -EBADMSG);
        assert_int_equal(samples_row_open(buffer_text(&out), 77, &row), 0);
        assert_memory_equal(row.bitmap, bitmap, sizeof(bitmap));
        for (unsigned i = 0; i < SAMPLES_GROUP; i++) {
            if (!samples_bit(bitmap, i))
                continue;
            assert_int_equal(samples_row_next(&row, &entry), 0);
            assert_int_equal(entry.histogram, i == 5);
            if (i == 5)
                assert_true(text_is(entry.encoded, "no histogram at all"));
            else
                assert_memory_equal(&entry.value, &values[i], sizeof(double));
        }
        assert_int_equal(samples_row_next(&row, &entry), -EBADMSG);
        buffer_finish(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width_come_back),
        cmocka_unit_test(regular_integers_take_next_to_nothing),
        cmocka_unit_test(doubles_come_back_bit_by_bit),
        cmocka_unit_test(a_flipped_bit_is_found),
        cmocka_unit_test(histograms_come_back),
        cmocka_unit_test(rows_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
