#include "common/base/decimal.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/decimal_powers.h"

enum {
    MANTISSA_BITS = 52,
    EXPONENT_BIAS = 1023 + MANTISSA_BITS,
    PLAIN_DIGITS = 15,  /* any decimal of so many is told apart from its neighbours by doubles */
    PLAIN_POINT = -3,   /* "%g" writes an exponent below 0.0001 */
    FRACTION_DIGITS = 6 /* of the short cut */
};
#define WHOLE_MAX 1e15 /* below it each whole number has 15 digits at most */
#define FRACTION_MAX 1e9

static const char pairs[] = "000102030405060708091011121314151617181920212223242526272829303132333435363738394041424344"
                            "45464748495051525354555657"
                            "5859606162636465666768697071727374757677787980818283848586878889909192939495969798"
                            "99";

/* --- digits of whole numbers --- */

static inline void put_pair(char *out, unsigned pair) {
    memcpy(out, pairs + 2 * pair, 2);
}

static inline void put_eight(char *out, uint32_t eight) {
    uint32_t high = eight / 10000, low = eight % 10000;
    put_pair(out, high / 100);
    put_pair(out + 2, high % 100);
    put_pair(out + 4, low / 100);
    put_pair(out + 6, low % 100);
}

/* Below 10^8, without zeros in front. */
static inline size_t put_few(uint32_t number, char *out) {
    char eight[8];
    put_eight(eight, number);
    size_t length = number < 10         ? 1
                    : number < 100      ? 2
                    : number < 1000     ? 3
                    : number < 10000    ? 4
                    : number < 100000   ? 5
                    : number < 1000000  ? 6
                    : number < 10000000 ? 7
                                        : 8;
    for (size_t i = 0; i < length; i++)
        out[i] = eight[8 - length + i];
    return length;
}

size_t decimal_write_uint(uint64_t number, char out[DECIMAL_UINT_MAX]) {
    const uint64_t eight = 100000000;
    if (number < eight)
        return put_few((uint32_t)number, out);
    if (number < eight * eight) {
        size_t length = put_few((uint32_t)(number / eight), out);
        put_eight(out + length, (uint32_t)(number % eight));
        return length + 8;
    }
    size_t length = put_few((uint32_t)(number / (eight * eight)), out);
    put_eight(out + length, (uint32_t)(number / eight % eight));
    put_eight(out + length + 8, (uint32_t)(number % eight));
    return length + 16;
}

/* --- Schubfach --- */

struct decimal { /* digits x 10^exponent */
    uint64_t digits;
    int exponent;
};

static inline int floor_shift(int value, int bits) { /* of negative ones, too */
    return value >> bits;
}

/* The upper part of the product, with its lowest bit set where any of the lower part is. */
static inline uint64_t round_to_odd(const struct decimal_power *power, uint64_t factor) {
    __extension__ typedef unsigned __int128 wide;
    wide low = (wide)power->low * factor, high = (wide)power->high * factor + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* c x 2^q is the double; `closer`: the one below it is half as far away as the one above. The names are the paper's. */
static struct decimal shortest(uint64_t c, int q, bool closer) {
    const bool odd = c & 1; /* the ends of the interval read back as the double only of an even one */
    const int k = floor_shift(q * 1262611 - (closer ? 524031 : 0), 22);
    const int h = q + floor_shift(-k * 1741647, 19) + 1;
    const struct decimal_power *power = &decimal_powers[-k - DECIMAL_POWER_LEAST];
    const uint64_t lower = round_to_odd(power, (4 * c - 2 + closer) << h) + odd;
    const uint64_t middle = round_to_odd(power, 4 * c << h);
    const uint64_t upper = round_to_odd(power, (4 * c + 2) << h) - odd;
    const uint64_t s = middle / 4;
    if (s >= 10) { /* one digit less */
        const uint64_t tenth = s / 10;
        const bool down = lower <= 40 * tenth, up = 40 * tenth + 40 <= upper;
        if (down != up)
            return (struct decimal) { tenth + up, k + 1 };
    }
    const bool down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    if (down != up)
        return (struct decimal) { s + up, k };
    const bool nearer = middle > 4 * s + 2 || (middle == 4 * s + 2 && (s & 1));
    return (struct decimal) { s + nearer, k };
}

/* Of a finite number that is not 0. */
static struct decimal decimal_of(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    const uint64_t mantissa = bits & ((UINT64_C(1) << MANTISSA_BITS) - 1);
    const int exponent = (int)(bits >> MANTISSA_BITS & 0x7ff);
    if (exponent == 0)
        return shortest(mantissa, 1 - EXPONENT_BIAS, false);
    return shortest(mantissa | UINT64_C(1) << MANTISSA_BITS, exponent - EXPONENT_BIAS, mantissa == 0 && exponent > 1);
}

static unsigned digits_of(double number, char digits[DECIMAL_UINT_MAX], int *point) {
    struct decimal decimal = { 0, 0 };
    if (number != 0)
        decimal = decimal_of(number);
    unsigned count = (unsigned)decimal_write_uint(decimal.digits, digits);
    *point = (int)count + decimal.exponent;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

unsigned decimal_digits(double number, char digits[DECIMAL_DIGITS_MAX], int *point) {
    char room[DECIMAL_UINT_MAX];
    unsigned count = digits_of(fabs(number), room, point);
    memcpy(digits, room, count);
    return count;
}

/* --- text --- */

static size_t write_scientific(const char *digits, unsigned count, int exponent, char *out) {
    char *at = out;
    *at++ = digits[0];
    if (count > 1) {
        *at++ = '.';
        memcpy(at, digits + 1, count - 1);
        at += count - 1;
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (size >= 100)
        *at++ = (char)('0' + size / 100);
    put_pair(at, size % 100);
    return (size_t)(at + 2 - out);
}

/* The digits with the point where it belongs. */
static size_t write_digits(const char *digits, unsigned count, int point, char *out) {
    if (point < PLAIN_POINT || point > (count > PLAIN_DIGITS ? (int)count : PLAIN_DIGITS))
        return write_scientific(digits, count, point - 1, out);
    if (point <= 0) {
        size_t front = 2 + (size_t)-point;
        memcpy(out, "0.000", 5);
        memcpy(out + front, digits, count);
        return front + count;
    }
    size_t whole = (size_t)point;
    if (whole >= count) {
        memcpy(out, digits, count);
        memset(out + count, '0', whole - count);
        return whole;
    }
    memcpy(out, digits, whole);
    out[whole] = '.';
    memcpy(out + whole + 1, digits + whole, count - whole);
    return count + 1;
}

/* What people and programs mostly mean: few digits behind the point. A decimal of 15 digits or fewer that reads back as the number is the
 * only one; dividing two whole numbers that are exact rounds as reading it does. 0: not so. */
static size_t write_fraction(double magnitude, char *out) {
    const double scale = 1e6;
    const uint64_t scaled = (uint64_t)(magnitude * scale + 0.5), whole = scaled / 1000000;
    if ((double)scaled / scale != magnitude)
        return 0;
    char digits[8];
    put_eight(digits, (uint32_t)(scaled % 1000000));
    size_t length = decimal_write_uint(whole, out), count = FRACTION_DIGITS;
    while (digits[1 + count] == '0')
        count--;
    out[length] = '.';
    memcpy(out + length + 1, digits + 2, FRACTION_DIGITS);
    return length + 1 + count;
}

size_t decimal_write(double number, char out[DECIMAL_TEXT_MAX]) {
    double magnitude = fabs(number);
    size_t sign = signbit(number) ? 1 : 0, length = 0;
    out[0] = '-';
    out += sign;
    if (magnitude < WHOLE_MAX && magnitude == (double)(int64_t)magnitude) /* no trunc(): clang calls libm for it */
        return sign + decimal_write_uint((uint64_t)magnitude, out);
    if (magnitude >= 1e-4 && magnitude < FRACTION_MAX)
        length = write_fraction(magnitude, out);
    if (length == 0) {
        char digits[DECIMAL_UINT_MAX];
        int point;
        unsigned count = digits_of(magnitude, digits, &point);
        length = write_digits(digits, count, point, out);
    }
    return sign + length;
}
