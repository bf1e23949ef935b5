/* From a message to its template and arguments.
 *
 * Of plain text, what changes from call to call is found by its looks: every word between separators that has a digit in it (numbers, ids, addresses,
 * times), and what stands between quotes. The bytes are passed over eight at a time, in search of digits and quotes; the ends of a word are looked for only where there is one. An
 * argument never begins or ends inside a word of letters and digits, so that the index can hash the template's words and the
 * arguments' apart from each other. The idea of template and variables is CLP's (Rodrigues, Luo, Yuan, OSDI 2021).
 */
#include "common/store/block_private.h"

enum { QUOTED_MAX = 1024 };

#define EACH UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)

/* space, \t \n \r, " & ' ( ) + , / : ; < = > ? [ ] { | }; none of them is a letter or digit, which the index counts on */
static inline bool is_separator(char c) {
    static const uint64_t separators[4] = { UINT64_C(0xfc009bc500002600), UINT64_C(0x3800000028000000), 0, 0 };
    return separators[(unsigned char)c >> 6] >> ((unsigned char)c & 63) & 1;
}

/* The high bit of each byte that is a digit; exact. */
static inline uint64_t digits_of(uint64_t eight) {
    uint64_t low = eight & ~HIGH;
    return (EACH * (127 + '9' + 1) - low) & ~eight & (low + EACH * (127 - '0' + 1)) & HIGH;
}

/* The high bit of each byte that is c, and perhaps of some above the first of them. */
static inline uint64_t bytes_of(uint64_t eight, char c) {
    uint64_t zero = eight ^ EACH * (unsigned char)c;
    return (zero - EACH) & ~zero & HIGH;
}

static inline bool is_mark(char c) {
    return (c >= '0' && c <= '9') || c == '"' || c == '\'';
}

/* The next digit or quote from `at` on, or the end. */
static size_t next_mark(struct text text, size_t at) {
    while (text.length - at >= 8) {
        uint64_t eight = get_u64(text.data + at);
        uint64_t found = digits_of(eight) | bytes_of(eight, '"') | bytes_of(eight, '\'');
        if (found)
            return at + (unsigned)__builtin_ctzll(found) / 8;
        at += 8;
    }
    while (at < text.length && !is_mark(text.data[at]))
        at++;
    return at;
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
    for (size_t at = next_mark(text, 0); at < text.length; at = next_mark(text, at)) {
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
        text_starts_with(entry->message, TEXT_LITERAL(ENTRY_SEALED_MARK))) {
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
