"""Write the table of decimal_powers.h: decimal_powers.py OUTPUT. 10^k, k from -292 to 324, as 128 bits, the highest of them set, rounded up."""

import sys

LEAST, MOST = -292, 324


def power(k):
    """ceil(10^k / 2^r) with r such that it has 128 bits."""
    numerator, denominator = (10**k, 1) if k >= 0 else (1, 10**-k)
    shift = 128 - (numerator.bit_length() - denominator.bit_length())
    for exponent in (shift, shift - 1, shift + 1):
        up, down = (numerator << exponent, denominator) if exponent >= 0 else (numerator, denominator << -exponent)
        value = -(-up // down)
        if value >> 127 == 1:
            return value
    raise AssertionError(k)


def main(output):
    with open(output, "w", encoding="ascii") as out:
        out.write('#include "common/base/decimal_powers.h"\n\nconst struct decimal_power decimal_powers[] = {\n')
        for k in range(LEAST, MOST + 1):
            value = power(k)
            out.write(f"    {{ UINT64_C(0x{value >> 64:016x}), UINT64_C(0x{value & (1 << 64) - 1:016x}) }},\n")
        out.write("};\n")


main(sys.argv[1])
