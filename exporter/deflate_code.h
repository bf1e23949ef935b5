/* deflate_code.h - prefix codes of RFC 1951, section 3.2; used by deflate*.c alone. Pure. */
#ifndef TASKFORGE_EXPORTER_DEFLATE_CODE_H
#define TASKFORGE_EXPORTER_DEFLATE_CODE_H

#include <stddef.h>
#include <stdint.h>

enum { DEFLATE_SYMBOLS_MAX = 288, DEFLATE_LENGTH_MAX = 15 };

struct deflate_code {
    uint16_t bits[DEFLATE_SYMBOLS_MAX];   /* as they are written, the first bit lowest */
    uint8_t lengths[DEFLATE_SYMBOLS_MAX]; /* 0: not used */
};

/* A code of at most `most` bits a symbol for symbols that come so often. At least two symbols get one, so that it is complete. */
void deflate_code_make(const uint32_t *frequencies, unsigned count, unsigned most, struct deflate_code *ret);

#endif
