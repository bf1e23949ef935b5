/* tail_position.c - a file's position as text: key "DEVICE:INODE", value "OFFSET LENGTH FINGERPRINT MTIME LABEL", the
 * first with numbers in hexadecimal, the value's in decimal but for the fingerprint. Beside them the marker of the first
 * start, "HASH SECONDS". */
#include "agent/inputs/tail_priv.h"
#include "common/base/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct text tail_position_key(dev_t device, ino_t inode, char out[TAIL_KEY_SIZE]) {
    int length = snprintf(out, TAIL_KEY_SIZE, "%" PRIx64 ":%" PRIx64, (uint64_t)device, (uint64_t)inode);
    return (struct text) { out, (size_t)length };
}

struct text tail_position_value(const struct tail_file *file, uint64_t offset, char out[TAIL_VALUE_SIZE]) {
    size_t label = strlen(file->label);
    int length = snprintf(out, TAIL_VALUE_SIZE, "%" PRIu64 " %" PRIu32 " %" PRIx64 " %" PRIu64 " %s", offset,
                          file->fingerprint_length, file->fingerprint, file->mtime_ns / CLOCK_SECOND,
                          label <= TAIL_LABEL_MAX ? file->label : "");
    return (struct text) { out, (size_t)length };
}

/* Digits up to `end`, which is taken too where it is not NUL. */
static bool take_number(struct text *rest, unsigned base, char end, uint64_t *ret) {
    uint64_t value = 0;
    size_t i = 0;
    for (; i < rest->length; i++) {
        char c = rest->data[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 99;
        if (digit >= base)
            break;
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (i == 0 || (end == '\0' ? i != rest->length : (i == rest->length || rest->data[i] != end)))
        return false;
    i += end != '\0';
    rest->data += i;
    rest->length -= i;
    *ret = value;
    return true;
}

int tail_position_parse_key(struct text key, dev_t *ret_device, ino_t *ret_inode) {
    uint64_t device, inode;
    if (!take_number(&key, 16, ':', &device) || !take_number(&key, 16, '\0', &inode))
        return -EBADMSG;
    *ret_device = (dev_t)device;
    *ret_inode = (ino_t)inode;
    return 0;
}

int tail_position_parse(struct text value, struct tail_position *ret) {
    struct tail_position read;
    uint64_t length;
    if (!take_number(&value, 10, ' ', &read.offset) || !take_number(&value, 10, ' ', &length) ||
        !take_number(&value, 16, ' ', &read.fingerprint) || !take_number(&value, 10, ' ', &read.mtime_s) ||
        length > TAIL_FINGERPRINT_MAX || length > read.offset || read.offset > INT64_MAX ||
        read.mtime_s > UINT64_MAX / CLOCK_SECOND || (value.length > 0 && memchr(value.data, '\0', value.length)))
        return -EBADMSG;
    read.fingerprint_length = (uint32_t)length;
    read.label = value;
    *ret = read;
    return 0;
}

static uint64_t hash_of_globs(const struct config_input *config) {
    uint64_t hash = 0;
    for (size_t i = 0; i < config->paths.count; i++)
        hash = hash_bytes_seeded(config->paths.items[i], strlen(config->paths.items[i]), hash);
    return hash;
}

struct text tail_marker_value(const struct config_input *config, uint64_t since_ns, char out[TAIL_KEY_SIZE]) {
    int length = snprintf(out, TAIL_KEY_SIZE, "%" PRIx64 " %" PRIu64, hash_of_globs(config), since_ns / CLOCK_SECOND);
    return (struct text) { out, (size_t)length };
}

int tail_marker_parse(const struct config_input *config, struct text value, uint64_t *ret_since_ns) {
    uint64_t hash, since_s;
    if (!take_number(&value, 16, ' ', &hash) || hash != hash_of_globs(config) ||
        !take_number(&value, 10, '\0', &since_s) || since_s > UINT64_MAX / CLOCK_SECOND)
        return -EBADMSG;
    *ret_since_ns = since_s * CLOCK_SECOND;
    return 0;
}
