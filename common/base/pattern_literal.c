/* pattern_literal.c - which bytes must every match of an expression hold? */
#include "common/base/pattern.h"

/* The walk over an expression's top level: `run` grows with each literal character; whatever is none ends it, and the
 * longest run is kept. */
struct walk {
    const char *at, *end;
    char run[PATTERN_LITERAL_MAX];
    size_t run_length;
    size_t last_length; /* bytes of the run's last character: a quantifier takes it back */
    char best[PATTERN_LITERAL_MAX];
    size_t best_length;
    bool whole; /* so far only literals */
};

static void end_run(struct walk *walk) {
    if (walk->run_length > walk->best_length) {
        memcpy(walk->best, walk->run, walk->run_length);
        walk->best_length = walk->run_length;
    }
    walk->run_length = walk->last_length = 0;
}

static void break_run(struct walk *walk) {
    walk->whole = false;
    end_run(walk);
}

static void add(struct walk *walk, const char *bytes, size_t length) {
    if (walk->run_length + length > PATTERN_LITERAL_MAX)
        break_run(walk);
    memcpy(walk->run + walk->run_length, bytes, length);
    walk->run_length += length;
    walk->last_length = length;
}

/* The character before may stand no time at all. */
static void take_back(struct walk *walk) {
    walk->run_length -= walk->last_length;
    break_run(walk);
}

/* Behind '[': to the class's own ']'. */
static bool skip_class(struct walk *walk) {
    if (walk->at < walk->end && *walk->at == '^')
        walk->at++;
    if (walk->at < walk->end && *walk->at == ']') /* the first one is a member */
        walk->at++;
    for (; walk->at < walk->end; walk->at++) {
        if (*walk->at == '\\') {
            walk->at++;
            if (walk->at < walk->end && (*walk->at == 'Q' || *walk->at == 'E'))
                return false;
        } else if (*walk->at == '[' && walk->at + 1 < walk->end && strchr(":.=", walk->at[1])) {
            const char *close = memchr(walk->at + 2, ']', (size_t)(walk->end - walk->at - 2));
            if (!close || close[-1] != walk->at[1])
                return false;
            walk->at = close;
        } else if (*walk->at == ']') {
            walk->at++;
            return true;
        }
    }
    return false;
}

/* Behind '(': to its own ')'. Groups that change how the rest is read ("(?i)", "(*...)") are not understood. */
static bool skip_group(struct walk *walk) {
    unsigned depth = 1;
    while (walk->at < walk->end && depth > 0) {
        char c = *walk->at++;
        if (c == '\\') {
            if (walk->at >= walk->end || *walk->at == 'Q' || *walk->at == 'E')
                return false;
            walk->at++;
        } else if (c == '[') {
            if (!skip_class(walk))
                return false;
        } else if (c == ')') {
            depth--;
        } else if (c == '(') {
            depth++;
        }
        bool opened = c == '(' && walk->at < walk->end;
        if (opened && (*walk->at == '*' || (*walk->at == '?' && (walk->at + 1 >= walk->end || walk->at[1] != ':'))))
            return false;
    }
    return depth == 0;
}

static bool group_is_plain(const struct walk *walk) {
    if (walk->at >= walk->end || *walk->at == '*')
        return false;
    return *walk->at != '?' || (walk->at + 1 < walk->end && walk->at[1] == ':');
}

/* Behind '{': a quantifier's rest is passed over; anything else is text that we do not count on. */
static void skip_braces(struct walk *walk) {
    const char *close = memchr(walk->at, '}', (size_t)(walk->end - walk->at));
    take_back(walk);
    if (!close)
        return;
    for (const char *at = walk->at; at < close; at++)
        if (!strchr("0123456789, ", *at))
            return;
    walk->at = close + 1;
}

/* Behind '\\'. Escapes with arguments (\x41, \p{..}, \Q) end our understanding. */
static bool take_escape(struct walk *walk) {
    if (walk->at >= walk->end)
        return false;
    char c = *walk->at++;
    bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && (unsigned char)c < 0x80) {
        add(walk, &c, 1);
        return true;
    }
    break_run(walk);
    return c && strchr("dDwWsSbBAzZ", c) != NULL;
}

static void take_character(struct walk *walk) {
    const char *first = walk->at++;
    while (walk->at < walk->end && ((unsigned char)*walk->at & 0xc0) == 0x80)
        walk->at++;
    size_t length = (size_t)(walk->at - first);
    if (length > 4)
        break_run(walk);
    else
        add(walk, first, length);
}

/* One item of the top level; false when the rest is not understood. */
static bool step(struct walk *walk) {
    switch (*walk->at) {
    case '|':
    case ')':
        return false;
    case '\\':
        walk->at++;
        return take_escape(walk);
    case '[':
        walk->at++;
        break_run(walk);
        return skip_class(walk);
    case '(':
        walk->at++;
        break_run(walk);
        return group_is_plain(walk) && skip_group(walk);
    case '*':
    case '?':
        walk->at++;
        take_back(walk);
        return true;
    case '{':
        walk->at++;
        skip_braces(walk);
        return true;
    case '+':
    case '.':
    case '^':
    case '$':
        walk->at++;
        break_run(walk);
        return true;
    default:
        take_character(walk);
        return true;
    }
}

size_t pattern_required_literal(struct text source, char out[PATTERN_LITERAL_MAX], bool *ret_whole) {
    *ret_whole = false;
    if (source.length == 0)
        return 0;
    struct walk walk = { .at = source.data, .end = source.data + source.length, .whole = true };
    while (walk.at < walk.end)
        if (!step(&walk))
            return 0;
    bool whole = walk.whole && walk.run_length > 0;
    end_run(&walk);
    memcpy(out, walk.best, walk.best_length);
    *ret_whole = whole;
    return walk.best_length;
}

/* Zero-width beginnings, one atom that is a class, "{n": and nothing in the rest that could lead round it. */
size_t pattern_required_run(struct text source) {
    struct walk walk = { .at = source.data, .end = source.data + source.length };
    size_t count = 0;
    if (!source.data || source.length == 0 || memchr(source.data, '|', source.length) || memmem(source.data, source.length, "(?", 2) ||
        memmem(source.data, source.length, "(*", 2) || memmem(source.data, source.length, "\\Q", 2))
        return 0;
    if (walk.end - walk.at > 2 && walk.at[0] == '\\' && strchr("bBA", walk.at[1]))
        walk.at += 2;
    else if (*walk.at == '^')
        walk.at++;
    if (walk.end - walk.at > 2 && walk.at[0] == '\\' && strchr("dws", walk.at[1])) {
        walk.at += 2;
    } else if (walk.at < walk.end && *walk.at == '[') {
        walk.at++;
        if (!skip_class(&walk))
            return 0;
    } else {
        return 0;
    }
    if (walk.at == walk.end || *walk.at++ != '{')
        return 0;
    for (; walk.at < walk.end && *walk.at >= '0' && *walk.at <= '9' && count < PATTERN_LENGTH_MAX; walk.at++)
        count = 10 * count + (size_t)(*walk.at - '0');
    bool closed = walk.at < walk.end && (*walk.at == '}' || *walk.at == ',');
    return closed && memchr(walk.at, '}', (size_t)(walk.end - walk.at)) ? count : 0;
}
