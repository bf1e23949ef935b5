/* From a message to its template and arguments.
 *
 * Of plain text, what changes from call to call is found by its looks: every word between separators that has a digit in it (numbers, ids, addresses,
 * times), and what stands between quotes. The bytes are passed over many at a time, in search of digits and quotes; the ends of a word are looked for only where there is one. An
 * argument never begins or ends inside a word of letters and digits, so that the index can hash the template's words and the
 * arguments' apart from each other. The idea of template and variables is CLP's (Rodrigues, Luo, Yuan, OSDI 2021).
 */
#include <errno.h>

#include "common/base/hash.h"
#include "common/store/block_private.h"

enum { QUOTED_MAX = 1024 };

/* space, \t \n \r, " & ' ( ) + , / : ; < = > ? [ ] { | }; none of them is a letter or digit, which the index counts on */
static const bool separators[256] = {
    [' '] = 1, ['\t'] = 1, ['\n'] = 1, ['\r'] = 1, ['"'] = 1, ['&'] = 1, ['\''] = 1, ['('] = 1,
    [')'] = 1, ['+'] = 1,  [','] = 1,  ['/'] = 1,  [':'] = 1, [';'] = 1, ['<'] = 1,  ['='] = 1,
    ['>'] = 1, ['?'] = 1,  ['['] = 1,  [']'] = 1,  ['{'] = 1, ['|'] = 1, ['}'] = 1,
};

static inline bool is_separator(char c) {
    return separators[(unsigned char)c];
}

/* A bit for each of 16 bytes that is a digit or a quote. */
static inline uint64_t marks_of(const char *bytes) {
#ifdef __SSE2__
    typedef char vector __attribute__((vector_size(16)));
    typedef unsigned char natural __attribute__((vector_size(16)));
    natural at;
    memcpy(&at, bytes, sizeof(at));
    vector found = (vector)(at - '0' < 10) | (vector)(at == '"') | (vector)(at == '\'');
    return (uint64_t)(unsigned)__builtin_ia32_pmovmskb128(found);
#else
    uint64_t marks = 0;
    for (unsigned i = 0; i < 16; i++)
        marks |= (uint64_t)((bytes[i] >= '0' && bytes[i] <= '9') || bytes[i] == '"' || bytes[i] == '\'') << i;
    return marks;
#endif
}

struct marks { /* of 64 bytes of a text, those before the last mark taken away */
    struct text text;
    size_t begin;
    uint64_t bits;
};

static void marks_at(struct marks *marks, size_t begin) {
    char tail[64] = "";
    const char *bytes = marks->text.data + begin;
    if (marks->text.length - begin < sizeof(tail)) {
        memcpy(tail, bytes, marks->text.length - begin);
        bytes = tail;
    }
    marks->begin = begin;
    marks->bits =
        marks_of(bytes) | marks_of(bytes + 16) << 16 | marks_of(bytes + 32) << 32 | marks_of(bytes + 48) << 48;
}

/* The next digit or quote from `at` on, which never goes back, or the end. */
static inline size_t next_mark(struct marks *marks, size_t at) {
    while (at < marks->text.length) {
        if (at - marks->begin >= 64)
            marks_at(marks, at);
        uint64_t bits = marks->bits & ~UINT64_C(0) << (at - marks->begin);
        if (bits)
            return marks->begin + (unsigned)__builtin_ctzll(bits);
        at = marks->begin + 64;
    }
    return marks->text.length;
}

/* The end of what a quote at `at` opens, or 0: an apostrophe, or no end near. */
static size_t quoted_end(struct text text, size_t at) {
    size_t left = text.length - at - 1;
    if (at > 0 && !is_separator(text.data[at - 1]))
        return 0;
    const char *end = left ? memchr(text.data + at + 1, text.data[at], left < QUOTED_MAX ? left : QUOTED_MAX) : NULL;
    size_t close = end ? (size_t)(end - text.data) : 0;
    if (close <= at + 1 || (close + 1 < text.length && !is_separator(text.data[close + 1])))
        return 0;
    return close;
}

static void mine_text(struct text text, struct mined *ret) {
    size_t behind = 0; /* the last argument's end */
    struct marks marks = { .text = text };
    marks_at(&marks, 0);
    for (size_t at = next_mark(&marks, 0); at < text.length; at = next_mark(&marks, at)) {
        size_t begin = at, end;
        if (text.data[at] == '"' || text.data[at] == '\'') {
            end = quoted_end(text, at++);
            if (!end)
                continue;
            begin++;
            at = end + 1;
        } else {
            while (begin > behind && !is_separator(text.data[begin - 1]))
                begin--;
            for (end = at + 1; end < text.length && !is_separator(text.data[end]);)
                end++;
            while (end > at + 1 && (text.data[end - 1] == '.' || text.data[end - 1] == '!'))
                end--; /* of the sentence */
            at = end;
        }
        if (ret->count == ENTRY_ARGUMENTS_MAX - 1)
            end = text.length; /* the rest */
        ret->arguments[ret->count++] = (struct entry_argument) { (uint16_t)begin, (uint16_t)(end - begin) };
        behind = end;
        if (ret->count == ENTRY_ARGUMENTS_MAX)
            return;
    }
}

void block_mine_whole(struct text message, struct mined *ret) {
    ret->count = 1;
    ret->arguments[0] = (struct entry_argument) { 0, (uint16_t)message.length };
}

static bool fits(const struct entry *entry) {
    size_t behind = 0;
    for (unsigned i = 0; i < entry->argument_count; i++) {
        const struct entry_argument *argument = &entry->arguments[i];
        if (argument->begin < behind || (size_t)argument->begin + argument->length > entry->message.length)
            return false;
        behind = (size_t)argument->begin + argument->length;
    }
    return entry->argument_count <= ENTRY_ARGUMENTS_MAX;
}

void block_mine(const struct entry *entry, struct mined *ret) {
    ret->count = 0;
    if (entry->message.length == 0)
        return;
    if (memchr(entry->message.data, BLOCK_GAP, entry->message.length) ||
        (entry->message.data[0] == ENTRY_SEALED_MARK[0] &&
         text_starts_with(entry->message, TEXT_LITERAL(ENTRY_SEALED_MARK)))) {
        block_mine_whole(entry->message, ret);
    } else if (entry->templated && fits(entry)) {
        ret->count = entry->argument_count;
        if (ret->count)
            memcpy(ret->arguments, entry->arguments, ret->count * sizeof(ret->arguments[0]));
    } else {
        mine_text(entry->message, ret);
    }
}

void block_mine_template(struct text message, const struct mined *mined, struct buffer *out) {
    size_t at = 0;
    buffer_clear(out);
    if (!buffer_reserve(out, message.length + mined->count))
        return;
    char *to = out->data;
    for (unsigned i = 0; i < mined->count; i++) {
        const struct entry_argument *argument = &mined->arguments[i];
        memcpy(to, message.data + at, argument->begin - at);
        to += argument->begin - at;
        *to++ = BLOCK_GAP;
        at = (size_t)argument->begin + argument->length;
    }
    if (at < message.length)
        memcpy(to, message.data + at, message.length - at);
    out->length = (size_t)(to - out->data) + message.length - at;
}

uint32_t block_gaps(struct text template) {
    uint32_t gaps = 0;
    for (size_t i = 0; i < template.length; i++)
        gaps += template.data[i] == BLOCK_GAP;
    return gaps;
}

int block_template_of(const struct entry *entry, struct buffer *scratch, uint64_t *ret_id) {
    struct mined mined;
    buffer_clear(scratch);
    block_mine(entry, &mined);
    block_mine_template(entry->message, &mined, scratch);
    if (scratch->failed)
        return -ENOMEM;
    *ret_id = hash_bytes(scratch->data, scratch->length);
    return 0;
}
