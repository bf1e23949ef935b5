/* http_target.h - a request's target, "/path?name=value&name=value", decoded. Pure. */
#ifndef TASKFORGE_EXPORTER_HTTP_TARGET_H
#define TASKFORGE_EXPORTER_HTTP_TARGET_H

#include "exporter/http.h"
#include "exporter/http_head.h"

struct http_target {
    struct text path;
    struct http_parameter parameters[HTTP_PARAMETERS_MAX];
    size_t count;
};

/* Decode `raw` (percent; '+' is a space in the query) into `scratch`, which has raw.length bytes and is what *ret borrows.
 * A '%' without two hexadecimal digits, a NUL, bad UTF-8 and more than HTTP_PARAMETERS_MAX parameters are refused: -1
 * and *fault. A parameter without '=' has an empty value; "&&" is nothing. */
int http_target_parse(struct text raw, char *scratch, struct http_target *ret, struct http_fault *fault);

#endif
