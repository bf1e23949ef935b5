/* The one owner of zstd. Contexts are kept for each thread, since making one costs more than a small column. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

#include "common/store/block_private.h"

enum { LEVEL = 1, WORTH_TRYING = 48 }; /* bytes below which no column gets smaller */

struct contexts {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_result;
static _Thread_local struct contexts contexts;

static void free_contexts(void *argument) {
    struct contexts *mine = argument;
    ZSTD_freeCCtx(mine->compress);
    ZSTD_freeDCtx(mine->decompress);
    *mine = (struct contexts) { NULL, NULL };
}

static void make_key(void) {
    key_result = pthread_key_create(&key, free_contexts);
}

static void keep_contexts(void) {
    pthread_once(&once, make_key);
    if (key_result == 0)
        (void)pthread_setspecific(key,
                                  &contexts); /* fails only for lack of memory: then they leak at the thread's end */
}

int block_compress(struct text raw, struct buffer *out) {
    if (raw.length >= WORTH_TRYING) {
        if (!contexts.compress) {
            contexts.compress = ZSTD_createCCtx();
            keep_contexts();
        }
        if (!contexts.compress || !buffer_reserve(out, ZSTD_compressBound(raw.length)))
            return -ENOMEM;
        size_t size = ZSTD_compressCCtx(contexts.compress, out->data + out->length, ZSTD_compressBound(raw.length),
                                        raw.data, raw.length, LEVEL);
        if (!ZSTD_isError(size) && size < raw.length) {
            out->length += size;
            return BLOCK_CODEC_ZSTD;
        }
    }
    buffer_append_text(out, raw);
    return out->failed ? -ENOMEM : BLOCK_CODEC_PLAIN;
}

int block_decompress(unsigned codec, struct text stored, char *ret, size_t raw_size) {
    if (codec == BLOCK_CODEC_PLAIN) {
        if (stored.length != raw_size)
            return -EBADMSG;
        memcpy(ret, stored.data, raw_size);
        return 0;
    }
    if (codec != BLOCK_CODEC_ZSTD)
        return -EBADMSG;
    if (!contexts.decompress) {
        contexts.decompress = ZSTD_createDCtx();
        keep_contexts();
    }
    if (!contexts.decompress)
        return -ENOMEM;
    size_t size = ZSTD_decompressDCtx(contexts.decompress, ret, raw_size, stored.data, stored.length);
    return ZSTD_isError(size) || size != raw_size ? -EBADMSG : 0;
}
