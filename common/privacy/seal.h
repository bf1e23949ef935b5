/* seal.h - values that only the owner of a secret key can read: not the host that writes them. With seal_keys.h the one owner of sodium.h.
 *
 * A sealed value is one text, which opens wherever it travels (a copied partition, a line of JSON):
 *
 *   "sealed:1:" base64url, without padding, of   [ sealed key 80 ][ nonce 24 ][ ciphertext: the plain bytes + 16 ]
 *
 *   sealed key   a symmetric key of 32 bytes, sealed to the reader's public key (crypto_box_seal: X25519, XSalsa20-Poly1305, with an
 *                ephemeral key of its own). It is made anew every 10 minutes and for each million values; until then the same 80 bytes
 *                stand in front of each value, which compresses away.
 *   nonce        random
 *   ciphertext   XChaCha20-Poly1305 with the name of the field as associated data: a value moved under another name does not open
 *
 * Who has the public key can seal as well: that a value opens does not say who wrote it, and what comes out is no less hostile than any
 * other stored byte. One thread for each struct. Source: doc.libsodium.org, 1.0.18. */
#ifndef TASKFORGE_COMMON_PRIVACY_SEAL_H
#define TASKFORGE_COMMON_PRIVACY_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/model/entry.h"

#define SEAL_MARK ENTRY_SEALED_MARK
enum {
    SEAL_KEY_BYTES = 32,        /* of a public, a secret and a symmetric key */
    SEAL_SEALED_KEY_BYTES = 80, /* crypto_box_SEALBYTES more */
    SEAL_NONCE_BYTES = 24,
    SEAL_TAG_BYTES = 16,
    SEAL_OVERHEAD = SEAL_SEALED_KEY_BYTES + SEAL_NONCE_BYTES + SEAL_TAG_BYTES,
    SEAL_PLAIN_MAX = 1024 * 1024, /* nothing larger is opened */
    SEAL_NAME_MAX = 1024,         /* bytes of a field's name */
};

/* The length of the text for so many plain bytes. */
static inline size_t seal_length(size_t plain) {
    return sizeof(SEAL_MARK) - 1 + ((plain + SEAL_OVERHEAD) * 4 + 2) / 3;
}

static inline bool seal_is_sealed(struct text text) {
    return text_starts_with(text, TEXT_LITERAL(SEAL_MARK));
}

/* Two new keys. -EIO when the library gives none. */
int seal_keys_make(uint8_t ret_secret[SEAL_KEY_BYTES], uint8_t ret_public[SEAL_KEY_BYTES]);
int seal_public_of(const uint8_t secret[SEAL_KEY_BYTES], uint8_t ret_public[SEAL_KEY_BYTES]);

/* Overwrite, so that nothing optimizes it away. */
void seal_forget(void *secret, size_t size);

struct sealer {
    uint8_t public_key[SEAL_KEY_BYTES];
    uint8_t key[SEAL_KEY_BYTES], sealed_key[SEAL_SEALED_KEY_BYTES];
    uint64_t made_ns; /* monotonic: when the present key was made */
    uint64_t values;  /* under it; 0 where there is none */
    struct buffer bytes;
};

/* -EINVAL for a key that nothing can be sealed to. */
int sealer_init(struct sealer *sealer, const uint8_t public_key[SEAL_KEY_BYTES], struct error *error);
void sealer_finish(struct sealer *sealer);

/* Append `plain` sealed under that name: 0, -ENOMEM. */
int sealer_seal(struct sealer *sealer, uint64_t now_ns, struct text name, struct text plain, struct buffer *out);

struct opener {
    uint8_t secret_key[SEAL_KEY_BYTES], public_key[SEAL_KEY_BYTES];
    uint8_t key[SEAL_KEY_BYTES],
        sealed_key[SEAL_SEALED_KEY_BYTES]; /* of the last value: mostly that of the next one, too */
    bool has_key;
    struct buffer bytes;
};

int opener_init(struct opener *opener, const uint8_t secret_key[SEAL_KEY_BYTES], struct error *error);
void opener_finish(struct opener *opener);

/* Append what was sealed under that name: 1; 0 it was sealed to another key; -EINVAL it is no such text, or was changed; -ENOMEM. */
int opener_open(struct opener *opener, struct text name, struct text sealed, struct buffer *out);

#endif
