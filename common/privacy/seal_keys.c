#include "common/privacy/seal_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
    CHECK_BYTES = 4,
    ID_BYTES = 8,
    FILE_BYTES = SEAL_KEY_BYTES + CHECK_BYTES,
    CODE_LENGTH = FILE_BYTES / 3 * 4,
    PATH_SIZE = 4096,
};
_Static_assert(FILE_BYTES % 3 == 0, "CODE_LENGTH has no odd end");

static const char *const headers[] = {
    [SEAL_KEY_PUBLIC] = "taskforge public key 1", [SEAL_KEY_SECRET] = "taskforge secret key 1"
};

static void hash(const uint8_t key[SEAL_KEY_BYTES], uint8_t *out, size_t size) {
    uint8_t whole[crypto_generichash_BYTES];
    crypto_generichash(whole, sizeof(whole), key, SEAL_KEY_BYTES, NULL, 0);
    memcpy(out, whole, size);
}

void seal_key_id(const uint8_t public_key[SEAL_KEY_BYTES], char out[SEAL_KEY_ID_SIZE]) {
    uint8_t id[ID_BYTES];
    hash(public_key, id, sizeof(id));
    text_hex(id, sizeof(id), out);
    out[SEAL_KEY_ID_SIZE - 1] = '\0';
}

void seal_key_format(enum seal_key_kind kind, const uint8_t key[SEAL_KEY_BYTES], struct buffer *out) {
    uint8_t bytes[FILE_BYTES];
    char code[CODE_LENGTH + 1];
    memcpy(bytes, key, SEAL_KEY_BYTES);
    hash(key, bytes + SEAL_KEY_BYTES, CHECK_BYTES);
    sodium_bin2base64(code, sizeof(code), bytes, sizeof(bytes), BASE64);
    buffer_append_format(out, "%s\n%s\n", headers[kind], code);
    seal_forget(bytes, sizeof(bytes));
    seal_forget(code, sizeof(code));
}

/* --- reading --- */

/* The next line that means something, trimmed; empty at the end. */
static struct text next_line(struct text *rest) {
    while (rest->length > 0) {
        const char *end = memchr(rest->data, '\n', rest->length);
        size_t length = end ? (size_t)(end - rest->data) : rest->length, taken = length + (end != NULL);
        struct text line = text_trim((struct text) { rest->data, length });
        *rest = (struct text) { rest->data + taken, rest->length - taken };
        if (line.length > 0 && line.data[0] != '#')
            return line;
    }
    return TEXT_EMPTY;
}

int seal_key_parse(enum seal_key_kind kind, struct text text, uint8_t ret[SEAL_KEY_BYTES], struct error *error) {
    enum seal_key_kind other = kind == SEAL_KEY_PUBLIC ? SEAL_KEY_SECRET : SEAL_KEY_PUBLIC;
    uint8_t bytes[FILE_BYTES + 3], expected[CHECK_BYTES];
    size_t length = 0;
    const char *end = NULL;
    struct text header = next_line(&text), code = next_line(&text);
    if (text_is(header, headers[other]))
        return error_set(error, -EINVAL, "this is the %s key, the %s one is needed",
                         other == SEAL_KEY_SECRET ? "secret" : "public", kind == SEAL_KEY_SECRET ? "secret" : "public");
    if (!text_is(header, headers[kind]))
        return error_set(error, -EINVAL, "no key of \"tfctl keygen\": its first line is not \"%s\"", headers[kind]);
    bool sound = sodium_init() >= 0 && code.length == CODE_LENGTH &&
                 sodium_base642bin(bytes, sizeof(bytes), code.data, code.length, NULL, &length, &end, BASE64) == 0 &&
                 length == FILE_BYTES && next_line(&text).length == 0;
    if (sound) {
        hash(bytes, expected, sizeof(expected));
        sound = memcmp(bytes + SEAL_KEY_BYTES, expected, sizeof(expected)) == 0;
    }
    if (sound)
        memcpy(ret, bytes, SEAL_KEY_BYTES);
    seal_forget(bytes, sizeof(bytes));
    return sound ? 0 : error_set(error, -EINVAL, "the key is damaged: copy its file anew");
}

static int read_bytes(int fd, char *out, size_t size) {
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, out + length, size - length);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return -errno;
        length += n > 0 ? (size_t)n : 0;
    }
    return (int)length;
}

static int read_open(enum seal_key_kind kind, int fd, uint8_t ret[SEAL_KEY_BYTES], struct error *error) {
    char text[SEAL_KEY_FILE_MAX + 1];
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "%s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EINVAL, "is no file");
    if (kind == SEAL_KEY_SECRET && status.st_mode & 077)
        return error_set(error, -EPERM, "others than its owner may read this secret key: chmod 600 it first");
    int length = read_bytes(fd, text, sizeof(text));
    if (length < 0)
        return error_set(error, length, "%s", strerror(-length));
    int result = length > SEAL_KEY_FILE_MAX ? error_set(error, -EINVAL, "is too long for a key")
                                            : seal_key_parse(kind, (struct text) { text, (size_t)length }, ret, error);
    seal_forget(text, sizeof(text));
    return result;
}

int seal_key_read(enum seal_key_kind kind, const char *path, uint8_t ret[SEAL_KEY_BYTES], struct error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
    int result = read_open(kind, fd, ret, error);
    close(fd);
    return result < 0 ? error_prefix(error, result, "%s", path) : 0;
}

/* --- writing --- */

static int write_bytes(int fd, struct text text) {
    while (text.length > 0) {
        ssize_t n = write(fd, text.data, text.length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            text = (struct text) { text.data + n, text.length - (size_t)n };
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_file(const char *path, mode_t mode, struct text text, struct error *error) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_set(error, -errno, "%s: %s", path,
                         errno == EEXIST ? "exists already, and a key is never overwritten: name another file"
                                         : strerror(errno));
    int result = write_bytes(fd, text);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    if (result < 0)
        unlink(path);
    return result < 0 ? error_set(error, result, "%s: cannot be written: %s", path, strerror(-result)) : 0;
}

static int write_pair(const char *path, const uint8_t secret[SEAL_KEY_BYTES], const uint8_t public[SEAL_KEY_BYTES],
                      struct error *error) {
    char public_path[PATH_SIZE];
    _cleanup_buffer_ struct buffer text = BUFFER_EMPTY;
    if ((size_t)snprintf(public_path, sizeof(public_path), "%s.pub", path) >= sizeof(public_path))
        return error_set(error, -ENAMETOOLONG, "%.60s...: the path is too long", path);
    seal_key_format(SEAL_KEY_PUBLIC, public, &text);
    int result = text.failed ? error_set(error, -ENOMEM, "out of memory")
                             : write_file(public_path, 0644, buffer_text(&text), error);
    if (result < 0)
        return result;
    buffer_clear(&text);
    seal_key_format(SEAL_KEY_SECRET, secret, &text);
    result =
        text.failed ? error_set(error, -ENOMEM, "out of memory") : write_file(path, 0600, buffer_text(&text), error);
    if (text.data)
        seal_forget(text.data, text.length);
    if (result < 0)
        unlink(public_path);
    return result;
}

int seal_keys_write(const char *path, struct error *error) {
    uint8_t secret[SEAL_KEY_BYTES], public[SEAL_KEY_BYTES];
    if (seal_keys_make(secret, public) < 0)
        return error_set(error, -EIO, "libsodium cannot be used: the kernel gives no random bytes");
    int result = write_pair(path, secret, public, error);
    seal_forget(secret, sizeof(secret));
    return result;
}
