#include "exporter/exposition_body.h"

#include <stdlib.h>
#include <string.h>

/* What a body may keep for the next one; one of more is freed, so that a burst of series does not stay in memory. */
enum { KEPT_PIECES = 256 };
#define KEPT_BYTES ((size_t)16 << 20)

const struct iovec *exposition_body_pieces(const struct exposition_body *body, size_t *ret_count, size_t *ret_length) {
    *ret_count = body->count;
    *ret_length = body->length;
    return body->list;
}

bool exposition_body_is_gzip(const struct exposition_body *body) {
    return body->gzip;
}

static void destroy(struct exposition_body *body) {
    for (size_t i = 0; i < body->capacity; i++)
        buffer_finish(&body->pieces[i]);
    free(body->pieces);
    free(body->list);
    free(body);
}

void exposition_body_share(struct exposition_body *body) {
    atomic_fetch_add(&body->users, 1);
}

void exposition_body_release(struct exposition_body *body) {
    if (body && atomic_fetch_sub(&body->users, 1) == 1)
        destroy(body);
}

/* By what it held: memory that was never touched takes none. */
static bool is_worth_keeping(const struct exposition_body *body, size_t count) {
    return body->capacity >= count && body->capacity <= KEPT_PIECES && body->length <= KEPT_BYTES;
}

struct exposition_body *exposition_body_make(struct exposition_body *old, size_t count) {
    if (old && atomic_load(&old->users) == 1 && is_worth_keeping(old, count)) {
        for (size_t i = 0; i < old->capacity; i++)
            buffer_clear(&old->pieces[i]);
        old->count = count;
        return old;
    }
    exposition_body_release(old);
    struct exposition_body *body = calloc(1, sizeof(*body));
    if (!body)
        return NULL;
    atomic_init(&body->users, 1);
    body->pieces = calloc(count, sizeof(*body->pieces));
    body->list = calloc(count, sizeof(*body->list));
    body->count = count;
    body->capacity = body->pieces ? count : 0;
    if (body->pieces && body->list)
        return body;
    destroy(body);
    return NULL;
}

bool exposition_body_close(struct exposition_body *body) {
    body->length = 0;
    for (size_t i = 0; i < body->count; i++) {
        if (body->pieces[i].failed)
            return false;
        body->list[i] = (struct iovec) { body->pieces[i].data, body->pieces[i].length };
        body->length += body->pieces[i].length;
    }
    return true;
}
