/* http_body.h - the body of a request, of a length that was told or in chunks (RFC 9112, section 7.1). Pure. */
#ifndef TASKFORGE_EXPORTER_HTTP_BODY_H
#define TASKFORGE_EXPORTER_HTTP_BODY_H

#include "exporter/http_head.h"

enum { HTTP_CHUNK_LINE_MAX = 256 }; /* bytes of a chunk's first line, and of all trailers together */

/* `bytes` is what has arrived behind the header section, from its beginning. 1: the body is whole and in *out (cleared first;
 * trailers are dropped). 0: there is more to come. -1: refused, *fault says how. Out of memory shows as out->failed. */
int http_body_parse(const struct http_head *head, struct text bytes, struct buffer *out, struct http_fault *fault);

#endif
