/* pack.h - the one owner of msgpack-c: the variable parts of records as msgpack, checked before use, and to and
 * from JSON.
 *
 * Metadata in memory, ring and store is msgpack; JSON is what people see. Packed bytes from outside are passed
 * to pack_check once; every other function here asserts only memory safety on what was checked.
 * Source: github.com/msgpack/msgpack/blob/master/spec.md; RFC 8259.
 */
#ifndef TASKFORGE_COMMON_MODEL_PACK_H
#define TASKFORGE_COMMON_MODEL_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/text.h"

enum { PACK_DEPTH_MAX = 32 }; /* nesting of arrays and maps, in JSON and msgpack alike */

/* Exactly one whole msgpack value, with nothing behind it, nested at most PACK_DEPTH_MAX, map keys strings, no
 * claimed size beyond the bytes that are there. -EINVAL otherwise. Never allocates. */
int pack_check(struct text packed);
bool pack_is_map(struct text packed); /* of a checked value */

/* A writer into memory of the caller: never allocates, `failed` when the room did not suffice. */
struct pack_writer {
    char *data;
    size_t length;
    size_t capacity;
    bool failed;
};

void pack_map(struct pack_writer *writer, uint32_t count);
void pack_array(struct pack_writer *writer, uint32_t count);
void pack_text(struct pack_writer *writer, struct text value);
void pack_binary(struct pack_writer *writer, struct text value);
void pack_int(struct pack_writer *writer, int64_t value);
void pack_uint(struct pack_writer *writer, uint64_t value);
void pack_double(struct pack_writer *writer, double value);
void pack_bool(struct pack_writer *writer, bool value);
void pack_nil(struct pack_writer *writer);
void pack_raw(struct pack_writer *writer, struct text packed); /* a value packed before */

/* One JSON text (RFC 8259, nothing behind it but white space) to one msgpack value. Strict: the y_ cases of
 * JSONTestSuite are taken, the n_ cases refused. Whole numbers stay whole up to 64 bits, others become doubles
 * (a number beyond a double is refused); a lone surrogate becomes U+FFFD; of equal keys the last holds.
 * -EINVAL with "character 17: ..." in *error; -E2BIG when the room did not suffice. Never allocates. */
int pack_from_json(struct text json, struct pack_writer *writer, struct error *error);

/* Append a checked value as JSON, compact. bin and ext become base64 strings, NaN and infinities null, bad UTF-8
 * U+FFFD. Doubles are written with the fewest digits that read back the same. */
void pack_append_json(struct buffer *out, struct text packed);

/* Append a JSON string, quotes included, of any bytes: bad UTF-8 comes out as U+FFFD, and what a terminal would act on
 * (text_acts_on_terminal) escaped. */
void json_append_string(struct buffer *out, struct text text);
void json_append_uint(struct buffer *out, uint64_t number);
void json_append_double(struct buffer *out, double number); /* as pack_append_json does */
void json_append_number(struct buffer *out, double number); /* the same, but whole numbers without ".0" */

/* --- reading a checked value one step at a time --- */

enum pack_type {
    PACK_NIL,
    PACK_BOOL,
    PACK_INT,
    PACK_UINT,
    PACK_DOUBLE,
    PACK_TEXT,
    PACK_BINARY,
    PACK_ARRAY,
    PACK_MAP,
    PACK_EXT
};

struct pack_value {
    enum pack_type type;
    union {
        bool boolean;
        int64_t integer;  /* PACK_INT: negative numbers only */
        uint64_t natural; /* PACK_UINT */
        double number;
        struct text text; /* PACK_TEXT, PACK_BINARY, PACK_EXT */
        uint32_t count;   /* PACK_ARRAY: items; PACK_MAP: pairs */
    };
    struct text whole; /* the value's own bytes, children included */
};

struct pack_reader {
    const char *at;
    const char *end;
};

/* The next value, its children not passed over (PACK_ARRAY and PACK_MAP: they come next); 1 when there was one, 0
 * at the end, -EINVAL on bytes that pack_check would refuse (then nothing of *ret may be used). */
int pack_next(struct pack_reader *reader, struct pack_value *ret);

/* Begin to read the pairs of a checked map, whose end is not looked for; false: it is none. */
bool pack_enter_map(struct text packed_map, struct pack_reader *ret, uint32_t *ret_pairs);

/* The value of a key in a checked map: 1 and *ret, or 0. */
int pack_find(struct text packed_map, struct text key, struct pack_value *ret);

#endif
