#include "common/model/histogram.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/check.h"

enum { ENCODING_VERSION = 1 };

/* The upper bounds of an octave's buckets as the mantissas that frexp gives: 2^((b + 1) / 64) / 2. */
static const double mantissas[HISTOGRAM_BUCKETS] = {
    0x1.02c9a3e778061p-1, 0x1.059b0d3158574p-1, 0x1.0874518759bc8p-1, 0x1.0b5586cf9890fp-1, 0x1.0e3ec32d3d1a2p-1,
    0x1.11301d0125b51p-1, 0x1.1429aaea92de0p-1, 0x1.172b83c7d517bp-1, 0x1.1a35beb6fcb75p-1, 0x1.1d4873168b9aap-1,
    0x1.2063b88628cd6p-1, 0x1.2387a6e756238p-1, 0x1.26b4565e27cddp-1, 0x1.29e9df51fdee1p-1, 0x1.2d285a6e4030bp-1,
    0x1.306fe0a31b715p-1, 0x1.33c08b26416ffp-1, 0x1.371a7373aa9cbp-1, 0x1.3a7db34e59ff7p-1, 0x1.3dea64c123422p-1,
    0x1.4160a21f72e2ap-1, 0x1.44e086061892dp-1, 0x1.486a2b5c13cd0p-1, 0x1.4bfdad5362a27p-1, 0x1.4f9b2769d2ca7p-1,
    0x1.5342b569d4f82p-1, 0x1.56f4736b527dap-1, 0x1.5ab07dd485429p-1, 0x1.5e76f15ad2148p-1, 0x1.6247eb03a5585p-1,
    0x1.6623882552225p-1, 0x1.6a09e667f3bcdp-1, 0x1.6dfb23c651a2fp-1, 0x1.71f75e8ec5f74p-1, 0x1.75feb564267c9p-1,
    0x1.7a11473eb0187p-1, 0x1.7e2f336cf4e62p-1, 0x1.82589994cce13p-1, 0x1.868d99b4492edp-1, 0x1.8ace5422aa0dbp-1,
    0x1.8f1ae99157736p-1, 0x1.93737b0cdc5e5p-1, 0x1.97d829fde4e50p-1, 0x1.9c49182a3f090p-1, 0x1.a0c667b5de565p-1,
    0x1.a5503b23e255dp-1, 0x1.a9e6b5579fdbfp-1, 0x1.ae89f995ad3adp-1, 0x1.b33a2b84f15fbp-1, 0x1.b7f76f2fb5e47p-1,
    0x1.bcc1e904bc1d2p-1, 0x1.c199bdd85529cp-1, 0x1.c67f12e57d14bp-1, 0x1.cb720dcef9069p-1, 0x1.d072d4a07897cp-1,
    0x1.d5818dcfba487p-1, 0x1.da9e603db3285p-1, 0x1.dfc97337b9b5fp-1, 0x1.e502ee78b3ff6p-1, 0x1.ea4afa2a490dap-1,
    0x1.efa1bee615a27p-1, 0x1.f50765b6e4540p-1, 0x1.fa7c1819e90d8p-1, 0x1.0000000000000p+0,
};

/* By the first HISTOGRAM_GUESS_BITS bits behind a mantissa's leading one: the first bucket that a value there can be in, and its upper
 * bound (of those above); a value there is in it, or in the next one. */
const struct histogram_guess histogram_guesses[1 << HISTOGRAM_GUESS_BITS] = {
    { 0x1.02c9a3e778061p-1, 0 },  { 0x1.02c9a3e778061p-1, 0 },  { 0x1.059b0d3158574p-1, 1 },
    { 0x1.0874518759bc8p-1, 2 },  { 0x1.0874518759bc8p-1, 2 },  { 0x1.0b5586cf9890fp-1, 3 },
    { 0x1.0e3ec32d3d1a2p-1, 4 },  { 0x1.0e3ec32d3d1a2p-1, 4 },  { 0x1.11301d0125b51p-1, 5 },
    { 0x1.1429aaea92de0p-1, 6 },  { 0x1.1429aaea92de0p-1, 6 },  { 0x1.172b83c7d517bp-1, 7 },
    { 0x1.1a35beb6fcb75p-1, 8 },  { 0x1.1a35beb6fcb75p-1, 8 },  { 0x1.1d4873168b9aap-1, 9 },
    { 0x1.2063b88628cd6p-1, 10 }, { 0x1.2063b88628cd6p-1, 10 }, { 0x1.2387a6e756238p-1, 11 },
    { 0x1.26b4565e27cddp-1, 12 }, { 0x1.26b4565e27cddp-1, 12 }, { 0x1.29e9df51fdee1p-1, 13 },
    { 0x1.2d285a6e4030bp-1, 14 }, { 0x1.2d285a6e4030bp-1, 14 }, { 0x1.306fe0a31b715p-1, 15 },
    { 0x1.306fe0a31b715p-1, 15 }, { 0x1.33c08b26416ffp-1, 16 }, { 0x1.371a7373aa9cbp-1, 17 },
    { 0x1.371a7373aa9cbp-1, 17 }, { 0x1.3a7db34e59ff7p-1, 18 }, { 0x1.3a7db34e59ff7p-1, 18 },
    { 0x1.3dea64c123422p-1, 19 }, { 0x1.4160a21f72e2ap-1, 20 }, { 0x1.4160a21f72e2ap-1, 20 },
    { 0x1.44e086061892dp-1, 21 }, { 0x1.44e086061892dp-1, 21 }, { 0x1.486a2b5c13cd0p-1, 22 },
    { 0x1.486a2b5c13cd0p-1, 22 }, { 0x1.4bfdad5362a27p-1, 23 }, { 0x1.4f9b2769d2ca7p-1, 24 },
    { 0x1.4f9b2769d2ca7p-1, 24 }, { 0x1.5342b569d4f82p-1, 25 }, { 0x1.5342b569d4f82p-1, 25 },
    { 0x1.56f4736b527dap-1, 26 }, { 0x1.56f4736b527dap-1, 26 }, { 0x1.5ab07dd485429p-1, 27 },
    { 0x1.5ab07dd485429p-1, 27 }, { 0x1.5e76f15ad2148p-1, 28 }, { 0x1.5e76f15ad2148p-1, 28 },
    { 0x1.6247eb03a5585p-1, 29 }, { 0x1.6247eb03a5585p-1, 29 }, { 0x1.6623882552225p-1, 30 },
    { 0x1.6623882552225p-1, 30 }, { 0x1.6a09e667f3bcdp-1, 31 }, { 0x1.6a09e667f3bcdp-1, 31 },
    { 0x1.6dfb23c651a2fp-1, 32 }, { 0x1.71f75e8ec5f74p-1, 33 }, { 0x1.71f75e8ec5f74p-1, 33 },
    { 0x1.75feb564267c9p-1, 34 }, { 0x1.75feb564267c9p-1, 34 }, { 0x1.7a11473eb0187p-1, 35 },
    { 0x1.7a11473eb0187p-1, 35 }, { 0x1.7a11473eb0187p-1, 35 }, { 0x1.7e2f336cf4e62p-1, 36 },
    { 0x1.7e2f336cf4e62p-1, 36 }, { 0x1.82589994cce13p-1, 37 }, { 0x1.82589994cce13p-1, 37 },
    { 0x1.868d99b4492edp-1, 38 }, { 0x1.868d99b4492edp-1, 38 }, { 0x1.8ace5422aa0dbp-1, 39 },
    { 0x1.8ace5422aa0dbp-1, 39 }, { 0x1.8f1ae99157736p-1, 40 }, { 0x1.8f1ae99157736p-1, 40 },
    { 0x1.93737b0cdc5e5p-1, 41 }, { 0x1.93737b0cdc5e5p-1, 41 }, { 0x1.97d829fde4e50p-1, 42 },
    { 0x1.97d829fde4e50p-1, 42 }, { 0x1.9c49182a3f090p-1, 43 }, { 0x1.9c49182a3f090p-1, 43 },
    { 0x1.9c49182a3f090p-1, 43 }, { 0x1.a0c667b5de565p-1, 44 }, { 0x1.a0c667b5de565p-1, 44 },
    { 0x1.a5503b23e255dp-1, 45 }, { 0x1.a5503b23e255dp-1, 45 }, { 0x1.a9e6b5579fdbfp-1, 46 },
    { 0x1.a9e6b5579fdbfp-1, 46 }, { 0x1.ae89f995ad3adp-1, 47 }, { 0x1.ae89f995ad3adp-1, 47 },
    { 0x1.ae89f995ad3adp-1, 47 }, { 0x1.b33a2b84f15fbp-1, 48 }, { 0x1.b33a2b84f15fbp-1, 48 },
    { 0x1.b7f76f2fb5e47p-1, 49 }, { 0x1.b7f76f2fb5e47p-1, 49 }, { 0x1.bcc1e904bc1d2p-1, 50 },
    { 0x1.bcc1e904bc1d2p-1, 50 }, { 0x1.bcc1e904bc1d2p-1, 50 }, { 0x1.c199bdd85529cp-1, 51 },
    { 0x1.c199bdd85529cp-1, 51 }, { 0x1.c67f12e57d14bp-1, 52 }, { 0x1.c67f12e57d14bp-1, 52 },
    { 0x1.c67f12e57d14bp-1, 52 }, { 0x1.cb720dcef9069p-1, 53 }, { 0x1.cb720dcef9069p-1, 53 },
    { 0x1.d072d4a07897cp-1, 54 }, { 0x1.d072d4a07897cp-1, 54 }, { 0x1.d072d4a07897cp-1, 54 },
    { 0x1.d5818dcfba487p-1, 55 }, { 0x1.d5818dcfba487p-1, 55 }, { 0x1.da9e603db3285p-1, 56 },
    { 0x1.da9e603db3285p-1, 56 }, { 0x1.da9e603db3285p-1, 56 }, { 0x1.dfc97337b9b5fp-1, 57 },
    { 0x1.dfc97337b9b5fp-1, 57 }, { 0x1.e502ee78b3ff6p-1, 58 }, { 0x1.e502ee78b3ff6p-1, 58 },
    { 0x1.e502ee78b3ff6p-1, 58 }, { 0x1.ea4afa2a490dap-1, 59 }, { 0x1.ea4afa2a490dap-1, 59 },
    { 0x1.ea4afa2a490dap-1, 59 }, { 0x1.efa1bee615a27p-1, 60 }, { 0x1.efa1bee615a27p-1, 60 },
    { 0x1.f50765b6e4540p-1, 61 }, { 0x1.f50765b6e4540p-1, 61 }, { 0x1.f50765b6e4540p-1, 61 },
    { 0x1.fa7c1819e90d8p-1, 62 }, { 0x1.fa7c1819e90d8p-1, 62 }, { 0x1.fa7c1819e90d8p-1, 62 },
    { 0x1.0000000000000p+0, 63 }, { 0x1.0000000000000p+0, 63 },
};

const double histogram_timer_bounds[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                          0.25,   0.5,   1,      2.5,   5,    10,    30,   60 };
const size_t histogram_timer_bound_count = COUNT_OF(histogram_timer_bounds);
const double histogram_default_bounds[] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,    2.5, 5,   10,
                                            25,    50,   100,   250,  500, 1000, 2500, 5000, 1e4, 1e5, 1e6 };
const size_t histogram_default_bound_count = COUNT_OF(histogram_default_bounds);

void histogram_finish(struct histogram *histogram) {
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        free(histogram->octaves[i]);
    *histogram = HISTOGRAM_EMPTY;
}

/* --- places --- */

bool histogram_place(double value, unsigned *ret_octave, unsigned *ret_bucket) {
    unsigned octave, bucket;
    if (!(value > 0))
        return false;
    if (!histogram_quick(value, &octave,
                         &bucket)) { /* a power of two is the last value of the octave before; infinity */
        octave--;
        bucket = HISTOGRAM_BUCKETS - 1;
    }
    if ((int)octave < 0) {
        octave = 0;
        bucket = 0;
    } else if (octave >= HISTOGRAM_OCTAVES) {
        octave = HISTOGRAM_OCTAVES - 1;
        bucket = HISTOGRAM_BUCKETS - 1;
    }
    *ret_octave = octave;
    *ret_bucket = bucket;
    return true;
}

double histogram_upper(unsigned octave, unsigned bucket) {
    check(octave < HISTOGRAM_OCTAVES && bucket < HISTOGRAM_BUCKETS);
    return ldexp(mantissas[bucket], (int)octave + HISTOGRAM_OCTAVE_MIN + 1);
}

/* --- adding --- */

static uint64_t *octave_of(struct histogram *histogram, unsigned octave) {
    if (!histogram->octaves[octave])
        histogram->octaves[octave] = calloc(HISTOGRAM_BUCKETS, sizeof(uint64_t));
    return histogram->octaves[octave];
}

int histogram_add(struct histogram *histogram, double value, uint64_t times) {
    unsigned octave, bucket;
    if (histogram_place(value, &octave, &bucket)) {
        uint64_t *counts = octave_of(histogram, octave);
        if (!counts)
            return -ENOMEM;
        counts[bucket] += times;
    } else {
        histogram->zero += times;
    }
    histogram->sum += value * (double)times;
    return 0;
}

int histogram_add_octave(struct histogram *histogram, unsigned octave, const uint64_t counts[HISTOGRAM_BUCKETS]) {
    check(octave < HISTOGRAM_OCTAVES);
    uint64_t *own = octave_of(histogram, octave);
    if (!own)
        return -ENOMEM;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        own[i] += counts[i];
    return 0;
}

int histogram_copy(const struct histogram *from, struct histogram *ret) {
    struct histogram copy = { .sum = from->sum, .zero = from->zero };
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        if (from->octaves[i] && histogram_add_octave(&copy, i, from->octaves[i]) < 0) {
            histogram_finish(&copy);
            return -ENOMEM;
        }
    *ret = copy;
    return 0;
}

/* --- reading --- */

uint64_t histogram_count(const struct histogram *histogram) {
    uint64_t count = histogram->zero;
    for (unsigned o = 0; o < HISTOGRAM_OCTAVES; o++)
        for (unsigned b = 0; histogram->octaves[o] && b < HISTOGRAM_BUCKETS; b++)
            count += histogram->octaves[o][b];
    return count;
}

/* --- as bytes --- */

static void put_number(struct buffer *out, uint64_t value) {
    char bytes[10];
    size_t length = 0;
    do {
        bytes[length++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    buffer_append(out, bytes, length);
}

static bool take_number(struct text *rest, uint64_t *ret) {
    uint64_t value = 0;
    for (unsigned shift = 0; rest->length > 0 && shift < 64; shift += 7) {
        uint8_t byte = (uint8_t)*rest->data++;
        rest->length--;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return byte > 0 || shift == 0; /* the one shortest form */
        }
    }
    return false;
}

static void encode_octave(const uint64_t *counts, unsigned octave, struct buffer *out) {
    unsigned used = 0, before = 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        used += counts[b] > 0;
    if (used == 0)
        return;
    put_number(out, octave);
    put_number(out, used);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        if (counts[b] > 0) {
            put_number(out, b - before);
            put_number(out, counts[b]);
            before = b;
        }
}

void histogram_encode(const struct histogram *histogram, struct buffer *out) {
    char sum[sizeof(double)];
    memcpy(sum, &histogram->sum, sizeof(sum));
    put_number(out, ENCODING_VERSION);
    buffer_append(out, sum, sizeof(sum));
    put_number(out, histogram->zero);
    for (unsigned i = 0; i < HISTOGRAM_OCTAVES; i++)
        if (histogram->octaves[i])
            encode_octave(histogram->octaves[i], i, out);
}

/* One octave's counts into `counts`, which is all zero. */
static bool decode_octave(struct text *rest, unsigned *octave, uint64_t counts[HISTOGRAM_BUCKETS]) {
    uint64_t number, used, distance, at = 0;
    if (!take_number(rest, &number) || number >= HISTOGRAM_OCTAVES || !take_number(rest, &used) || used < 1 ||
        used > HISTOGRAM_BUCKETS)
        return false;
    for (uint64_t i = 0; i < used; i++) {
        if (!take_number(rest, &distance) || (i > 0 && distance == 0) || distance >= HISTOGRAM_BUCKETS - at)
            return false;
        at += distance;
        if (!take_number(rest, &counts[at]) || counts[at] == 0)
            return false;
    }
    *octave = (unsigned)number;
    return true;
}

int histogram_decode(struct text bytes, struct histogram *ret) {
    struct histogram made = HISTOGRAM_EMPTY;
    uint64_t version;
    int result = 0, last = -1;
    if (!take_number(&bytes, &version) || version != ENCODING_VERSION || bytes.length < sizeof(double))
        return -EBADMSG;
    memcpy(&made.sum, bytes.data, sizeof(double));
    bytes = (struct text) { bytes.data + sizeof(double), bytes.length - sizeof(double) };
    if (!take_number(&bytes, &made.zero))
        return -EBADMSG;
    while (bytes.length > 0 && result == 0) {
        uint64_t counts[HISTOGRAM_BUCKETS] = { 0 };
        unsigned octave;
        if (!decode_octave(&bytes, &octave, counts) || (int)octave <= last)
            result = -EBADMSG;
        else
            result = histogram_add_octave(&made, octave, counts);
        last = (int)octave;
    }
    if (result < 0) {
        histogram_finish(&made);
        return result;
    }
    *ret = made;
    return 0;
}
