#include "exporter/token.h"

#include "common/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_file(int fd, const char *path, const char *key, struct error *error) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "%s %s: %s", key, path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EINVAL, "%s %s is no regular file; name a file with the token in it", key, path);
    if ((status.st_mode & 07) != 0)
        return error_set(error, -EACCES, "%s %s is open to everybody (mode %04o): chmod o= it, and change the token",
                         key, path, (unsigned)status.st_mode & 07777U);
    if (status.st_size > TOKEN_MAX)
        return error_set(error, -EINVAL, "%s %s is longer than %d bytes", key, path, (int)TOKEN_MAX);
    return 0;
}

static int read_all(int fd, char *out, size_t size, size_t *ret_length) {
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, out + length, size - length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        length += n > 0 ? (size_t)n : 0;
    }
    *ret_length = length;
    return 0;
}

int token_load(const char *path, const char *key, struct token *ret, struct error *error) {
    struct token token;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set(error, -errno, "%s %s cannot be read: %s%s", key, path, strerror(errno),
                         errno == EACCES ? "; the exporter's user must be able to" : "");
    int result = check_file(fd, path, key, error);
    if (result == 0) {
        result = read_all(fd, token.text, sizeof(token.text), &token.length);
        if (result < 0)
            error_set(error, result, "%s %s cannot be read: %s", key, path, strerror(-result));
    }
    close(fd);
    if (result < 0)
        return result;
    struct text text = text_trim((struct text) { token.text, token.length });
    if (text.length == 0)
        return error_set(error, -EINVAL, "%s %s is empty; write the token into it", key, path);
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return error_set(error, -EINVAL, "%s %s must hold one line of visible ASCII characters without spaces", key,
                             path);
    ret->length = text.length;
    memmove(ret->text, text.data, text.length);
    return 0;
}

bool token_equal(const struct token *token, struct text shown) {
    volatile uint8_t difference = token->length != shown.length;
    check(token->length > 0);
    for (size_t i = 0; i < shown.length; i++)
        difference |= (uint8_t)(shown.data[i] ^ token->text[i % token->length]);
    return difference == 0;
}

/* --- what a client shows --- */

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 (RFC 4648) into out, as far as it is one and fits. */
static size_t decode_base64(struct text in, char *out, size_t size) {
    size_t length = 0;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < in.length && length < size; i++) {
        int value = value_of(in.data[i]);
        if (value < 0)
            break;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[length++] = (char)(bits >> count & 0xff);
        }
    }
    return length;
}

static bool take_scheme(struct text *authorization, struct text scheme) {
    struct text begin = { authorization->data, scheme.length };
    if (authorization->length <= scheme.length || !text_equal_ignoring_case(begin, scheme) ||
        authorization->data[scheme.length] != ' ')
        return false;
    *authorization =
        text_trim((struct text) { authorization->data + scheme.length, authorization->length - scheme.length });
    return true;
}

struct text token_shown(struct text authorization, char scratch[TOKEN_MAX]) {
    if (take_scheme(&authorization, TEXT_LITERAL("Bearer")))
        return authorization;
    if (!take_scheme(&authorization, TEXT_LITERAL("Basic")))
        return TEXT_EMPTY;
    size_t length = decode_base64(authorization, scratch, TOKEN_MAX);
    const char *colon = memchr(scratch, ':', length);
    return colon ? (struct text) { colon + 1, length - (size_t)(colon + 1 - scratch) } : TEXT_EMPTY;
}
