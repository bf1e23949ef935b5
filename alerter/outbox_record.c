/* outbox_record.c - the value is one msgpack array: version, channel, created_ns, the alert (alert_codec.c) as binary. */
#include "alerter/outbox_record.h"

#include "common/model/pack.h"

#include <endian.h>
#include <errno.h>

enum { VERSION = 1, HEAD_ROOM = 64 };

void outbox_key(uint64_t sequence, char out[OUTBOX_KEY_SIZE]) {
    uint64_t big = htobe64(sequence);

    memcpy(out, &big, sizeof(big));
}

int outbox_key_parse(struct text key, uint64_t *ret) {
    uint64_t big;

    if (key.length != sizeof(big))
        return -EINVAL;
    memcpy(&big, key.data, sizeof(big));
    *ret = be64toh(big);
    return 0;
}

int outbox_record_encode(const char *channel, uint64_t created_ns, const struct alert *alert, struct buffer *out) {
    _cleanup_buffer_ struct buffer encoded = BUFFER_EMPTY;
    struct pack_writer writer;
    int r = alert_encode(alert, &encoded);

    if (r < 0)
        return r;
    if (strlen(channel) > CHANNEL_NAME_MAX)
        return -EINVAL;
    if (encoded.failed || !buffer_reserve(out, HEAD_ROOM + strlen(channel) + encoded.length))
        return -ENOMEM;
    writer = (struct pack_writer) { .data = out->data + out->length, .capacity = out->capacity - out->length };
    pack_array(&writer, 4);
    pack_uint(&writer, VERSION);
    pack_text(&writer, text_of(channel));
    pack_uint(&writer, created_ns);
    pack_binary(&writer, buffer_text(&encoded));
    out->length += writer.length;
    return 0;
}

int outbox_record_decode(struct text value, struct outbox_record *ret) {
    struct pack_reader reader = { value.data, value.data + value.length };
    struct pack_value head, version, channel, created, alert;

    if (pack_check(value) < 0 || pack_next(&reader, &head) != 1 || head.type != PACK_ARRAY || head.count != 4 ||
        pack_next(&reader, &version) != 1 || version.type != PACK_UINT || version.natural != VERSION)
        return -EINVAL;
    if (pack_next(&reader, &channel) != 1 || channel.type != PACK_TEXT || channel.text.length > CHANNEL_NAME_MAX ||
        memchr(channel.text.data, '\0', channel.text.length) || pack_next(&reader, &created) != 1 ||
        created.type != PACK_UINT || pack_next(&reader, &alert) != 1 || alert.type != PACK_BINARY)
        return -EINVAL;
    *ret = (struct outbox_record) { .created_ns = created.natural, .alert = alert.text };
    memcpy(ret->channel, channel.text.data, channel.text.length);
    return 0;
}
