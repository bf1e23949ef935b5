/* pattern.c - PCRE2 behind limits. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/base/pattern.h"

#include <errno.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/check.h"

enum {
    MATCH_STEPS_MAX = 1000000,  /* backtracking steps of one match: some milliseconds */
    MATCH_HEAP_KIB_MAX = 20480, /* where the interpreter stands in for the JIT */
    JIT_STACK_START = 32 * 1024,
    JIT_STACK_MAX = 1024 * 1024,
};

struct pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    char literal[PATTERN_LITERAL_MAX];
    size_t literal_length;
    bool whole;
    bool shared; /* the code is another's; it is only read */
    size_t least;      /* bytes of a match */
    uint64_t first[4]; /* a bit for each byte that one may begin with; none: any */
    bool has_first;
    size_t run; /* so many of them stand one behind the other in every match */
};

static int compile_fault(struct text source, int code, PCRE2_SIZE offset, struct error *error) {
    PCRE2_UCHAR message[160];
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return error_set(error, -ENOMEM, "out of memory for a regular expression");
    if (pcre2_get_error_message(code, message, sizeof(message)) < 0)
        message[0] = '\0';
    struct text before = { source.data, offset < source.length ? offset : source.length };
    return error_set(error, -EINVAL, "regular expression \"%.*s\", character %zu: %s", TEXT_FORMAT(source),
                     text_utf8_count(before) + 1, (const char *)message);
}

static int prepare_matching(struct pattern *pattern) {
    size_t jitted = 0;
    pattern->match = pcre2_match_data_create(1, NULL);
    pattern->limits = pcre2_match_context_create(NULL);
    if (!pattern->match || !pattern->limits)
        return -ENOMEM;
    pcre2_set_match_limit(pattern->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(pattern->limits, MATCH_HEAP_KIB_MAX);
    if (!pattern->shared)
        (void)pcre2_jit_compile(pattern->code,
                                PCRE2_JIT_COMPLETE); /* else the interpreter matches, under the same limits */
    if (pcre2_pattern_info(pattern->code, PCRE2_INFO_JITSIZE, &jitted) == 0 && jitted > 0) {
        pattern->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
        if (!pattern->stack)
            return -ENOMEM;
        pcre2_jit_stack_assign(pattern->limits, NULL, pattern->stack);
    }
    return 0;
}

int pattern_share(const struct pattern *original, struct pattern **ret, struct error *error) {
    struct pattern *pattern = calloc(1, sizeof(*pattern));
    if (pattern) {
        *pattern = *original;
        pattern->match = NULL;
        pattern->limits = NULL;
        pattern->stack = NULL;
        pattern->shared = true;
    }
    if (!pattern || prepare_matching(pattern) < 0) {
        pattern_destroy(pattern);
        return error_set(error, -ENOMEM, "out of memory for a regular expression");
    }
    *ret = pattern;
    return 0;
}

/* What PCRE2 has found out of an expression, for pattern_may_match. */
static void note_beginnings(struct pattern *pattern, struct text source) {
    const uint8_t *map = NULL;
    uint32_t least = 0;
    pcre2_pattern_info(pattern->code, PCRE2_INFO_MINLENGTH, &least); /* characters: no fewer bytes */
    pattern->least = least;
    pcre2_pattern_info(pattern->code, PCRE2_INFO_FIRSTBITMAP, &map);
    pattern->has_first = map != NULL;
    pattern->run = 1;
    for (unsigned byte = 0; map && byte < 256; byte++)
        if (map[byte / 8] >> byte % 8 & 1)
            pattern->first[byte / 64] |= UINT64_C(1) << byte % 64;
    if (map && pattern->first[2] == 0 && pattern->first[3] == 0) { /* ASCII alone: characters are bytes */
        size_t run = pattern_required_run(source);
        pattern->run = run > 1 && run <= pattern->least ? run : 1;
    }
}

int pattern_compile(struct text source, bool anchored, struct pattern **ret, struct error *error) {
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY |
                       PCRE2_NO_AUTO_CAPTURE | PCRE2_USE_OFFSET_LIMIT;
    PCRE2_SIZE offset = 0;
    int code = 0;
    if (source.length > PATTERN_LENGTH_MAX)
        return error_set(error, -EINVAL, "a regular expression may have %d bytes, this has %zu", PATTERN_LENGTH_MAX,
                         source.length);
    if (source.length >= 2 && memcmp(source.data, "(*", 2) == 0)
        return error_set(error, -EINVAL, "regular expression \"%.*s\": verbs \"(*...\" at the beginning are not taken",
                         TEXT_FORMAT(source));
    if (anchored)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL;
    struct pattern *pattern = calloc(1, sizeof(*pattern));
    if (!pattern)
        return error_set(error, -ENOMEM, "out of memory for a regular expression");
    pattern->code =
        pcre2_compile((PCRE2_SPTR)(source.length ? source.data : ""), source.length, options, &code, &offset, NULL);
    if (!pattern->code) {
        pattern_destroy(pattern);
        return compile_fault(source, code, offset, error);
    }
    if (prepare_matching(pattern) < 0) {
        pattern_destroy(pattern);
        return error_set(error, -ENOMEM, "out of memory for a regular expression");
    }
    pattern->literal_length = pattern_required_literal(source, pattern->literal, &pattern->whole);
    if (anchored)
        pattern->whole = false;
    note_beginnings(pattern, source);
    *ret = pattern;
    return 0;
}

void pattern_destroy(struct pattern *pattern) {
    if (!pattern)
        return;
    pcre2_match_context_free(pattern->limits);
    pcre2_match_data_free(pattern->match);
    pcre2_jit_stack_free(pattern->stack);
    if (!pattern->shared)
        pcre2_code_free(pattern->code);
    free(pattern);
}

int pattern_match(struct pattern *pattern, struct text text, struct error *error) {
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.length ? text.data : "");
    int found = pcre2_match(pattern->code, subject, text.length, 0, 0, pattern->match, pattern->limits);
    if (found >= 0)
        return 1;
    if (found == PCRE2_ERROR_NOMATCH)
        return 0;
    if (found == PCRE2_ERROR_NOMEMORY)
        return error_set(error, -ENOMEM, "out of memory while matching a regular expression");
    return error_set(
        error, -E2BIG,
        "a regular expression needs too many steps on a message of %zu bytes; nested repeats like (a+)+ do "
        "that: write it without them",
        text.length);
}

void pattern_limit_steps(struct pattern *pattern, uint32_t steps) {
    pcre2_set_match_limit(pattern->limits, steps);
}

int pattern_search(struct pattern *pattern, struct text text, size_t from, size_t limit, size_t *ret_begin,
                   size_t *ret_end) {
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.length ? text.data : "");
    if (limit == 0 || from >= limit)
        return 0;
    pcre2_set_offset_limit(pattern->limits, limit - 1);
    int found = pcre2_match(pattern->code, subject, text.length, from, 0, pattern->match, pattern->limits);
    pcre2_set_offset_limit(pattern->limits, PCRE2_UNSET);
    if (found < 0)
        return found == PCRE2_ERROR_NOMATCH ? 0 : -E2BIG;
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(pattern->match);
    *ret_begin = range[0];
    *ret_end = range[1] < range[0] ? range[0] : range[1]; /* \K in a lookahead can turn them round */
    return 1;
}

/* From the end of where a run could be: what is no member there rules out all that reach over it. */
static bool has_run(const struct pattern *pattern, struct text text) {
    size_t run = pattern->run, found;
    for (size_t at = run - 1; at < text.length;) {
        unsigned byte = (unsigned char)text.data[at];
        if (!(pattern->first[byte / 64] >> byte % 64 & 1)) {
            at += run;
            continue;
        }
        for (found = 1; found < run; found++) {
            byte = (unsigned char)text.data[at - found];
            if (!(pattern->first[byte / 64] >> byte % 64 & 1))
                break;
        }
        if (found == run)
            return true;
        at += run - found;
    }
    return false;
}

bool pattern_may_match(const struct pattern *pattern, struct text text) {
    if (text.length < pattern->least)
        return false;
    if (pattern->literal_length > 0)
        return pattern_find(text, pattern_literal(pattern)) != NULL;
    if (!pattern->has_first || pattern->least == 0)
        return true;
    return has_run(pattern, text);
}

size_t pattern_least(const struct pattern *pattern) {
    return pattern->least;
}

struct text pattern_literal(const struct pattern *pattern) {
    return (struct text) { pattern->literal, pattern->literal_length };
}

bool pattern_is_literal(const struct pattern *pattern) {
    return pattern->whole;
}

const char *pattern_find(struct text haystack, struct text needle) {
    if (needle.length == 0)
        return haystack.data ? haystack.data : "";
    if (haystack.length < needle.length)
        return NULL;
    return memmem(haystack.data, haystack.length, needle.data, needle.length);
}
