/* filter_number.h - numbers in label filters and in the values they judge: 3, -1.5, 12ms, 1h30m, 5KB, 2MiB. Pure.
 *
 * A number has a kind, and only numbers of one kind are compared: a plain 12 is neither more nor less than 10ms. Units are those of
 * LogQL: ns us µs ms s m h d w; B and KB MB GB TB (thousands), KiB MiB GiB TiB.
 */
#ifndef TASKFORGE_COMMON_QUERY_FILTER_NUMBER_H
#define TASKFORGE_COMMON_QUERY_FILTER_NUMBER_H

#include <stdbool.h>

#include "common/base/text.h"

enum { FILTER_NUMBER_LENGTH_MAX = 64 };

enum filter_number_kind { FILTER_PLAIN, FILTER_DURATION /* seconds */, FILTER_SIZE /* bytes */ };

struct filter_number {
    enum filter_number_kind kind;
    double value;
};

/* The whole text is one. */
bool filter_number_parse(struct text text, struct filter_number *ret);

#endif
