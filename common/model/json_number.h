/* json_number.h - the grammar of a JSON number, and its value; apart from where it is packed. */
#ifndef TASKFORGE_COMMON_MODEL_JSON_NUMBER_H
#define TASKFORGE_COMMON_MODEL_JSON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/text.h"

enum { JSON_NUMBER_TEXT_MAX = 1024 }; /* characters of one number: its text may have to be copied to be read */

struct json_number {
    bool negative;
    bool whole;      /* neither a fraction nor an exponent */
    bool exact;      /* `digits` holds all of them */
    uint64_t digits; /* as one number */
    int count;       /* significant digits */
    int power;       /* of ten, from the point and the exponent; huge ones are cut */
};

/* Read the number at *at; *at goes behind it, or to what is wrong, which is then returned (NULL: nothing). */
const char *json_scan_number(const char **at, const char *end, struct json_number *ret);

/* The double nearest to the number that `text` is; infinite when it is too large. False when the text is too long. */
bool json_number_value(const struct json_number *number, struct text text, double *ret);

#endif
