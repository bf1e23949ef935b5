#include "common/privacy/seal.h"

#include <errno.h>
#include <sodium.h>

#include "common/base/clock.h"

#define KEY_LIFE_NS (600 * CLOCK_SECOND)
#define KEY_VALUES 1000000

_Static_assert(crypto_box_PUBLICKEYBYTES == SEAL_KEY_BYTES && crypto_box_SECRETKEYBYTES == SEAL_KEY_BYTES &&
                   crypto_aead_xchacha20poly1305_ietf_KEYBYTES == SEAL_KEY_BYTES,
               "as drawn");
_Static_assert(SEAL_KEY_BYTES + crypto_box_SEALBYTES == SEAL_SEALED_KEY_BYTES, "as drawn");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == SEAL_NONCE_BYTES &&
                   crypto_aead_xchacha20poly1305_ietf_ABYTES == SEAL_TAG_BYTES,
               "as drawn");

enum { BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

int seal_keys_make(uint8_t ret_secret[SEAL_KEY_BYTES], uint8_t ret_public[SEAL_KEY_BYTES]) {
    return sodium_init() < 0 || crypto_box_keypair(ret_public, ret_secret) != 0 ? -EIO : 0;
}

int seal_public_of(const uint8_t secret[SEAL_KEY_BYTES], uint8_t ret_public[SEAL_KEY_BYTES]) {
    return sodium_init() < 0 || crypto_scalarmult_base(ret_public, secret) != 0 ? -EIO : 0;
}

void seal_forget(void *secret, size_t size) {
    sodium_memzero(secret, size);
}

/* --- sealing --- */

static int make_key(struct sealer *sealer, uint64_t now_ns) {
    randombytes_buf(sealer->key, sizeof(sealer->key));
    if (crypto_box_seal(sealer->sealed_key, sealer->key, sizeof(sealer->key), sealer->public_key) != 0)
        return -EINVAL;
    sealer->made_ns = now_ns;
    sealer->values = 0;
    return 0;
}

int sealer_init(struct sealer *sealer, const uint8_t public_key[SEAL_KEY_BYTES], struct error *error) {
    *sealer = (struct sealer) { .values = 0 };
    if (sodium_init() < 0)
        return error_set(error, -EIO, "libsodium cannot be used: the kernel gives no random bytes");
    memcpy(sealer->public_key, public_key, SEAL_KEY_BYTES);
    if (make_key(sealer, clock_monotonic_ns()) < 0)
        return error_set(error, -EINVAL, "nothing can be sealed to this public key");
    return 0;
}

void sealer_finish(struct sealer *sealer) {
    buffer_finish(&sealer->bytes);
    seal_forget(sealer, sizeof(*sealer));
}

static void append_base64(struct buffer *out, const void *bytes, size_t size) {
    size_t encoded = sodium_base64_ENCODED_LEN(size, BASE64); /* with its NUL */
    if (!buffer_reserve(out, encoded))
        return;
    sodium_bin2base64(out->data + out->length, encoded, bytes, size, BASE64);
    out->length += encoded - 1;
}

int sealer_seal(struct sealer *sealer, uint64_t now_ns, struct text name, struct text plain, struct buffer *out) {
    struct buffer *bytes = &sealer->bytes;
    unsigned char nonce[SEAL_NONCE_BYTES];
    unsigned long long length;
    if ((now_ns - sealer->made_ns >= KEY_LIFE_NS || sealer->values >= KEY_VALUES) && make_key(sealer, now_ns) < 0)
        return -EINVAL;
    sealer->values++;
    randombytes_buf(nonce, sizeof(nonce));
    buffer_clear(bytes);
    buffer_append(bytes, sealer->sealed_key, sizeof(sealer->sealed_key));
    buffer_append(bytes, nonce, sizeof(nonce));
    if (!buffer_reserve(bytes, plain.length + SEAL_TAG_BYTES)) {
        bytes->failed = false;
        return -ENOMEM;
    }
    crypto_aead_xchacha20poly1305_ietf_encrypt((unsigned char *)bytes->data + bytes->length, &length,
                                               (const unsigned char *)plain.data, plain.length,
                                               (const unsigned char *)name.data, name.length, NULL, nonce, sealer->key);
    bytes->length += (size_t)length;
    buffer_append_string(out, SEAL_MARK);
    append_base64(out, bytes->data, bytes->length);
    return out->failed ? -ENOMEM : 0;
}

/* --- opening --- */

int opener_init(struct opener *opener, const uint8_t secret_key[SEAL_KEY_BYTES], struct error *error) {
    *opener = (struct opener) { .has_key = false };
    memcpy(opener->secret_key, secret_key, SEAL_KEY_BYTES);
    if (seal_public_of(secret_key, opener->public_key) < 0)
        return error_set(error, -EINVAL, "this is no secret key");
    return 0;
}

void opener_finish(struct opener *opener) {
    buffer_finish(&opener->bytes);
    seal_forget(opener, sizeof(*opener));
}

/* The text's bytes: 0, -EINVAL, -ENOMEM. */
static int decode(struct opener *opener, struct text sealed) {
    struct text code = { sealed.data + sizeof(SEAL_MARK) - 1, sealed.length - (sizeof(SEAL_MARK) - 1) };
    size_t length = 0, most = code.length / 4 * 3 + 3;
    const char *end = NULL;
    if (most > SEAL_PLAIN_MAX + SEAL_OVERHEAD)
        return -EINVAL;
    buffer_clear(&opener->bytes);
    if (!buffer_reserve(&opener->bytes, most)) {
        opener->bytes.failed = false;
        return -ENOMEM;
    }
    if (sodium_base642bin((unsigned char *)opener->bytes.data, most, code.data, code.length, NULL, &length, &end,
                          BASE64) != 0 ||
        end != code.data + code.length || length < SEAL_OVERHEAD)
        return -EINVAL;
    opener->bytes.length = length;
    return 0;
}

/* The symmetric key that stands in front of the bytes: false when it was sealed to another key. */
static bool find_key(struct opener *opener) {
    const unsigned char *sealed_key = (const unsigned char *)opener->bytes.data;
    if (opener->has_key && memcmp(opener->sealed_key, sealed_key, SEAL_SEALED_KEY_BYTES) == 0)
        return true;
    opener->has_key = crypto_box_seal_open(opener->key, sealed_key, SEAL_SEALED_KEY_BYTES, opener->public_key,
                                           opener->secret_key) == 0;
    memcpy(opener->sealed_key, sealed_key, SEAL_SEALED_KEY_BYTES);
    return opener->has_key;
}

int opener_open(struct opener *opener, struct text name, struct text sealed, struct buffer *out) {
    int result = seal_is_sealed(sealed) && name.length <= SEAL_NAME_MAX ? decode(opener, sealed) : -EINVAL;
    if (result < 0)
        return result;
    if (!find_key(opener))
        return 0;
    const unsigned char *nonce = (const unsigned char *)opener->bytes.data + SEAL_SEALED_KEY_BYTES;
    const unsigned char *cipher = nonce + SEAL_NONCE_BYTES;
    size_t size = opener->bytes.length - SEAL_SEALED_KEY_BYTES - SEAL_NONCE_BYTES;
    unsigned long long length = 0;
    if (!buffer_reserve(out, size - SEAL_TAG_BYTES + 1))
        return -ENOMEM;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)out->data + out->length, &length, NULL, cipher,
                                                   size, (const unsigned char *)name.data, name.length, nonce,
                                                   opener->key) != 0)
        return -EINVAL;
    out->length += (size_t)length;
    return 1;
}
