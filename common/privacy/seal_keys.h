/* seal_keys.h - the two files of a pair of keys, as tfctl keygen writes them. Text, for people who copy them about:
 *
 *   taskforge public key 1              taskforge secret key 1
 *   BASE64URL                           BASE64URL
 *
 * base64url, without padding, of the 32 bytes of the key and the first 4 of their BLAKE2b hash: a slip in copying is found before
 * something is sealed that nobody can open. Lines that begin with '#', and empty ones, mean nothing. */
#ifndef TASKFORGE_COMMON_PRIVACY_SEAL_KEYS_H
#define TASKFORGE_COMMON_PRIVACY_SEAL_KEYS_H

#include "common/privacy/seal.h"

enum { SEAL_KEY_FILE_MAX = 4096, SEAL_KEY_ID_SIZE = 17 };

enum seal_key_kind { SEAL_KEY_PUBLIC, SEAL_KEY_SECRET };

/* Append the file's text. */
void seal_key_format(enum seal_key_kind kind, const uint8_t key[SEAL_KEY_BYTES], struct buffer *out);

/* Read one: -EINVAL and what is wrong with it. Pure. */
int seal_key_parse(enum seal_key_kind kind, struct text text, uint8_t ret[SEAL_KEY_BYTES], struct error *error);

/* Read a file: as above, and "PATH: why". A secret key that others than its owner may read is refused. */
int seal_key_read(enum seal_key_kind kind, const char *path, uint8_t ret[SEAL_KEY_BYTES], struct error *error);

/* Make a pair: the secret key in `path` (mode 0600), the public one in PATH.pub (0644). Neither may exist: -EEXIST. What was begun and
 * failed is taken away. */
int seal_keys_write(const char *path, struct error *error);

/* A public key's name for people: 16 hex digits of its hash, and a NUL. */
void seal_key_id(const uint8_t public_key[SEAL_KEY_BYTES], char out[SEAL_KEY_ID_SIZE]);

#endif
