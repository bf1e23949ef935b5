/* gzip.h - compressing a whole body at once (RFC 1952), and whether a client takes it. The only owner of libdeflate.
 * Pure; any thread. */
#ifndef TASKFORGE_EXPORTER_GZIP_H
#define TASKFORGE_EXPORTER_GZIP_H

#include "common/base/text.h"

#include <stdbool.h>
#include <stdint.h>

/* What an Accept-Encoding header says of gzip (RFC 9110, 12.5.3): named, or "*", with a weight above 0. */
bool gzip_accepted(struct text accept_encoding);

/* Append `in`, compressed, to *out. -ENOMEM: *out is as it was. */
int gzip_compress(struct text in, struct buffer *out);

/* CRC-32 as RFC 1952 has it. */
uint32_t gzip_sum(struct text text);

#endif
