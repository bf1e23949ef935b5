/* Any packed value under any keys: what comes out is sound, has no value left that is to be hidden, and nothing else changed. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/model/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The keys stand in front, each behind its length; 0 ends them. */
static void take_keys(const uint8_t **data, size_t *size, struct redaction *redaction) {
    while (*size > 0) {
        size_t length = *(*data)++;
        --*size;
        if (length == 0 || length > *size)
            return;
        redaction_add(redaction, (struct text) { (const char *)*data, length });
        *data += length;
        *size -= length;
    }
}

static void compare_value(const struct redaction *redaction, struct pack_reader *before, struct pack_reader *after) {
    struct pack_value a, b;
    check(pack_next(before, &a) == 1 && pack_next(after, &b) == 1);
    check(a.type == b.type);
    if (a.type != PACK_MAP && a.type != PACK_ARRAY) {
        check(text_equal(a.whole, b.whole));
        return;
    }
    check(a.count == b.count);
    for (uint32_t i = 0; i < a.count; i++) {
        struct pack_value key_before, key_after, hidden, mark;
        if (a.type == PACK_MAP) {
            check(pack_next(before, &key_before) == 1 && pack_next(after, &key_after) == 1);
            check(text_equal(key_before.whole, key_after.whole));
            if (redaction_hides(redaction, key_before.text)) {
                check(pack_next(before, &hidden) == 1 && pack_next(after, &mark) == 1);
                check(mark.type == PACK_TEXT && text_is(mark.text, REDACT_MARK));
                before->at = hidden.whole.data + hidden.whole.length;
                continue;
            }
        }
        compare_value(redaction, before, after);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct redaction redaction = { .count = 0 };
    take_keys(&data, &size, &redaction);
    struct text packed = { (const char *)data, size }, result = TEXT_EMPTY;
    if (size == 0 || pack_check(packed) < 0)
        return 0;
    /* No byte of a value is replaced by more than the mark and its head. */
    size_t capacity = (sizeof(REDACT_MARK) + 1) * size;
    char *out = malloc(capacity);
    check(out);
    int used = redact_packed(&redaction, packed, out, capacity, &result);
    check(used >= 0 && pack_check(result) == 0);
    struct pack_reader before = { packed.data, packed.data + packed.length };
    struct pack_reader after = { result.data, result.data + result.length };
    compare_value(&redaction, &before, &after);
    check(before.at == before.end && after.at == after.end);
    if (used == 0) {
        check(result.data == packed.data && result.length == packed.length);
    } else {
        struct text again;
        check(result.data == out && result.length == (size_t)used);
        char *exact = malloc((size_t)used);
        check(exact && redact_packed(&redaction, packed, exact, (size_t)used, &again) == used);
        check(text_equal(again, result));
        check(redact_packed(&redaction, packed, exact, (size_t)used - 1, &again) == -ENOSPC);
        free(exact);
    }
    free(out);
    return 0;
}
