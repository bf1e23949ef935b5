/* decimal.h - doubles as the shortest text that reads back the same, and whole numbers. Pure; independent of the locale.
 *
 * Algorithm: Raffaello Giulietti, "The Schubfach way to render doubles" (2020). Of the shortest decimals that read back as the double it
 * gives the nearest. Doubles that are whole numbers or decimals of few digits take a short cut to the same text.
 */
#ifndef TASKFORGE_COMMON_BASE_DECIMAL_H
#define TASKFORGE_COMMON_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

enum { DECIMAL_DIGITS_MAX = 17, DECIMAL_TEXT_MAX = 32, DECIMAL_UINT_MAX = 20 };

/* The significant digits of a finite number, its sign left out, without zeros at the end: 0.d[0]d[1]... x 10^*point; how many. Zero is one
 * digit 0, and *point 1. */
unsigned decimal_digits(double number, char digits[DECIMAL_DIGITS_MAX], int *point);

/* A finite number as "%.15g" writes it, with 16 or 17 digits where so many are needed: 5, -0.25, 1e+15, 1.5e-07. No NUL; the length. */
size_t decimal_write(double number, char out[DECIMAL_TEXT_MAX]);

/* The digits of a whole number; the length. */
size_t decimal_write_uint(uint64_t number, char out[DECIMAL_UINT_MAX]);

#endif
