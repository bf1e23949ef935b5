/* template_spec.h - one conversion of a printf format, for the two sides of template. */
#ifndef TASKFORGE_COMMON_MODEL_TEMPLATE_SPEC_H
#define TASKFORGE_COMMON_MODEL_TEMPLATE_SPEC_H

#include <stdbool.h>

#include "common/base/text.h"

enum { TEMPLATE_WIDTH_MAX = 10000, TEMPLATE_NONE = -1 };

struct template_spec {
    struct text literal; /* what stands before it */
    bool minus, plus, space, alternate, zero;
    bool width_starred, precision_starred;
    int width;       /* 0: none */
    int precision;   /* TEMPLATE_NONE: none */
    char length;     /* 0, 'H' for hh, 'h', 'l', 'q' for ll and j, 'z' for z and t */
    char conversion; /* '%' takes no argument */
    char type;       /* of template_types; 0 for '%' */
};

/* The next conversion in [*at, end): 1 and *ret, *at behind it; 0 when only a literal is left (*ret's literal);
 * -ENOTSUP at what is not deferrable (*ret's literal holds what stands before it). */
int template_next_spec(const char **at, const char *end, struct template_spec *ret);

#endif
