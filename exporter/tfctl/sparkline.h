/* sparkline.h - numbers as a line of small bars. Pure. */
#ifndef TASKFORGE_EXPORTER_TFCTL_SPARKLINE_H
#define TASKFORGE_EXPORTER_TFCTL_SPARKLINE_H

#include <stdbool.h>

#include "common/base/text.h"

enum { SPARKLINE_WIDTH_MAX = 200 };

/* Append `width` characters (SPARKLINE_WIDTH_MAX at most) for `count` values, NaN where there is none: each character is the average of the values
 * that fall to it, a blank where there are none, and a value that falls to several fills them. From 0 to the largest, or, `from_least`, from the least
 * to the largest; where the two are the same, bars of the middle, for zeros the lowest. What is infinite counts as not there. */
void sparkline_append(struct buffer *out, const double *values, size_t count, size_t width, bool from_least);

#endif
