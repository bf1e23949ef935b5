/* template_functions.h - the functions of templates, and what passes between them. Pure. */
#ifndef TASKFORGE_ALERTER_TEMPLATE_FUNCTIONS_H
#define TASKFORGE_ALERTER_TEMPLATE_FUNCTIONS_H

#include "common/base/error.h"
#include "common/base/text.h"

struct template_value {
    bool is_number;
    double number;
    struct text text; /* unless is_number; borrowed */
};

struct template_function {
    const char *name;
    bool formats; /* printf: a format stands before its argument */
    /* Append the result; a text that a function of numbers cannot read as one comes out as it is. */
    void (*call)(struct template_value value, struct text format, struct buffer *out);
};

const struct template_function *template_function_find(struct text name); /* NULL: none */
int template_format_check(struct text format, struct error *error);       /* -EINVAL unless it has exactly one verb */
void template_append(struct template_value value, struct buffer *out);    /* as {{ }} prints it */

#endif
