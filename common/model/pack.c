/* pack.c - writing msgpack: msgpack-c's packer into memory of the caller. The only file that knows msgpack.h. */
#include <msgpack.h>

#include "common/model/pack_priv.h"

enum { FIXSTR_END = 32, STR8_END = 256, FIXMAP_END = 16 }; /* lengths and counts below these have shorter heads */

static int put(void *context, const char *bytes, size_t length) {
    struct pack_writer *writer = context;
    if (writer->failed || length > writer->capacity - writer->length) {
        writer->failed = true;
        return -1;
    }
    memcpy(writer->data + writer->length, bytes, length);
    writer->length += length;
    return 0;
}

static inline msgpack_packer packer(struct pack_writer *writer) {
    return (msgpack_packer) { .data = writer, .callback = put };
}

void pack_map(struct pack_writer *writer, uint32_t count) {
    msgpack_packer into = packer(writer);
    msgpack_pack_map(&into, count);
}

void pack_array(struct pack_writer *writer, uint32_t count) {
    msgpack_packer into = packer(writer);
    msgpack_pack_array(&into, count);
}

/* The head of a short text, which most are; false: it is none, or there is no room for it. */
static inline bool put_short_head(struct pack_writer *writer, size_t length) {
    size_t size = length < FIXSTR_END ? 1 : 2;
    if (length >= STR8_END || writer->failed || size + length > writer->capacity - writer->length)
        return false;
    char *at = writer->data + writer->length;
    if (size == 1) {
        at[0] = (char)(0xa0 | length);
    } else {
        at[0] = (char)0xd9;
        at[1] = (char)length;
    }
    writer->length += size;
    return true;
}

void pack_text_head(struct pack_writer *writer, size_t length) {
    if (put_short_head(writer, length))
        return;
    msgpack_packer into = packer(writer);
    if (length <= writer->capacity)
        msgpack_pack_str(&into, length);
    if (length > writer->capacity - writer->length)
        writer->failed = true;
}

void pack_text(struct pack_writer *writer, struct text value) {
    if (put_short_head(writer, value.length)) {
        if (value.length > 0)
            memcpy(writer->data + writer->length, value.data, value.length);
        writer->length += value.length;
        return;
    }
    pack_text_head(writer, value.length);
    pack_raw(writer, value);
}

void pack_binary(struct pack_writer *writer, struct text value) {
    msgpack_packer into = packer(writer);
    if (value.length <= writer->capacity)
        msgpack_pack_bin(&into, value.length);
    else
        writer->failed = true;
    pack_raw(writer, value);
}

void pack_int(struct pack_writer *writer, int64_t value) {
    msgpack_packer into = packer(writer);
    msgpack_pack_int64(&into, value);
}

void pack_uint(struct pack_writer *writer, uint64_t value) {
    msgpack_packer into = packer(writer);
    msgpack_pack_uint64(&into, value);
}

void pack_double(struct pack_writer *writer, double value) {
    msgpack_packer into = packer(writer);
    msgpack_pack_double(&into, value);
}

void pack_bool(struct pack_writer *writer, bool value) {
    msgpack_packer into = packer(writer);
    if (value)
        msgpack_pack_true(&into);
    else
        msgpack_pack_false(&into);
}

void pack_nil(struct pack_writer *writer) {
    msgpack_packer into = packer(writer);
    msgpack_pack_nil(&into);
}

void pack_raw(struct pack_writer *writer, struct text packed) {
    if (packed.length > 0)
        put(writer, packed.data, packed.length);
}

size_t pack_open(struct pack_writer *writer) {
    size_t open = writer->length;
    put(writer, "", 1);
    return open;
}

void pack_close(struct pack_writer *writer, size_t open, bool map, uint32_t count) {
    if (writer->failed)
        return;
    if (count < FIXMAP_END) {
        writer->data[open] = (char)((map ? 0x80 : 0x90) | count);
        return;
    }
    char head[5];
    struct pack_writer head_writer = { .data = head, .capacity = sizeof(head) };
    if (map)
        pack_map(&head_writer, count);
    else
        pack_array(&head_writer, count);
    size_t more = head_writer.length - 1;
    if (more > writer->capacity - writer->length) {
        writer->failed = true;
        return;
    }
    char *content = writer->data + open + 1;
    if (more > 0)
        memmove(content + more, content, writer->length - open - 1);
    memcpy(writer->data + open, head, head_writer.length);
    writer->length += more;
}
