/* json_parse.c - JSON (RFC 8259) to msgpack in one pass, without recursion and without allocating. */
#include <errno.h>
#include <math.h>

#include "common/model/json_number.h"
#include "common/model/pack_priv.h"

enum { KEY_MARKS = 256 };

struct container {
    size_t open; /* where pack_open put its head */
    uint32_t count;
    bool map;
    bool maybe_twice;               /* two of its keys have the same mark */
    uint64_t marks[KEY_MARKS / 64]; /* a bit for each of its keys */
};

struct parser {
    const char *start, *at, *end;
    struct pack_writer *writer;
    struct error *error;
    struct container open[PACK_DEPTH_MAX];
    unsigned depth;
};

static int fail(struct parser *parser, const char *what) {
    size_t character = text_utf8_count((struct text) { parser->start, (size_t)(parser->at - parser->start) }) + 1;
    return error_set(parser->error, -EINVAL, "character %zu: %s", character, what);
}

static inline void skip_space(struct parser *parser) {
    while (parser->at < parser->end &&
           (*parser->at == ' ' || *parser->at == '\n' || *parser->at == '\t' || *parser->at == '\r'))
        parser->at++;
}

/* --- strings --- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits at `at`, or -1. */
static int32_t hex4(const char *at, const char *end) {
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static size_t put_utf8(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* "\uXXXX", with its second half where it is a pair; *at is behind the u. The character, or -1. */
static int32_t take_unicode(const char **at, const char *end) {
    int32_t first = hex4(*at, end);
    if (first < 0)
        return -1;
    *at += 4;
    if (first < 0xd800 || first > 0xdfff)
        return first;
    if (first <= 0xdbff && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        int32_t second = hex4(*at + 2, end);
        if (second >= 0xdc00 && second <= 0xdfff) {
            *at += 6;
            return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        }
    }
    return 0xfffd; /* half a pair */
}

/* One escape; *at is behind the backslash. The bytes it stands for in out (at most 4): how many, or -1. */
static int take_escape(const char **at, const char *end, char *out) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (*at == end)
        return -1;
    char c = *(*at)++;
    if (c == 'u') {
        int32_t character = take_unicode(at, end);
        return character < 0 ? -1 : (int)put_utf8((uint32_t)character, out);
    }
    const char *name = memchr(names, c, sizeof(names) - 1);
    if (!name)
        return -1;
    out[0] = values[name - names];
    return 1;
}

/* How many bytes from `at` on are neither quote nor backslash nor control character, eight at a time; of the last
 * seven it does not say. */
static inline size_t plain_run(const char *at, const char *end) {
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    const char *start = at;
    for (uint64_t word; end - at >= (ptrdiff_t)sizeof(word); at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        uint64_t hit = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
        if (hit & highs) /* the lowest mark is exact: a borrow only spoils what stands above it */
            return (size_t)(at - start) + (size_t)__builtin_ctzll(hit & highs) / 8;
    }
    return (size_t)(at - start);
}

/* From the opening quote to behind the closing one: what is between, and how long it will be unescaped. */
static int scan_string(struct parser *parser, struct text *ret_raw, size_t *ret_length) {
    const char *begin = ++parser->at;
    size_t length = 0;
    char character[4];
    while (parser->at < parser->end) {
        unsigned char c = (unsigned char)*parser->at;
        if (c == '"') {
            *ret_raw = (struct text) { begin, (size_t)(parser->at - begin) };
            *ret_length = length;
            parser->at++;
            return 0;
        }
        if (c < 0x20)
            return fail(parser, "control character in a string");
        if (c != '\\') {
            size_t run = 1 + plain_run(parser->at + 1, parser->end);
            parser->at += run;
            length += run;
            continue;
        }
        const char *escape = parser->at + 1;
        int size = take_escape(&escape, parser->end, character);
        if (size < 0)
            return fail(parser, "unknown escape in a string");
        parser->at = escape;
        length += (size_t)size;
    }
    return fail(parser, "the string does not end");
}

static int parse_string(struct parser *parser) {
    struct text raw;
    size_t length = 0;
    int rc = scan_string(parser, &raw, &length);
    if (rc < 0)
        return rc;
    struct pack_writer *writer = parser->writer;
    if (length == raw.length) { /* an escape is always longer than what it stands for */
        pack_text(writer, raw);
        return 0;
    }
    const char *end = raw.data + raw.length;
    pack_text_head(writer, length);
    if (writer->failed)
        return 0;
    for (const char *at = raw.data; at < end;) {
        if (*at != '\\') {
            writer->data[writer->length++] = *at++;
            continue;
        }
        char character[4];
        at++;
        int size = take_escape(&at, end, character);
        memcpy(writer->data + writer->length, character, (size_t)size);
        writer->length += (size_t)size;
    }
    return 0;
}

/* --- numbers --- */

static int parse_number(struct parser *parser) {
    const char *begin = parser->at;
    struct json_number number;
    const char *wrong = json_scan_number(&parser->at, parser->end, &number);
    if (wrong)
        return fail(parser, wrong);
    if (number.whole && number.exact && !number.negative) {
        pack_uint(parser->writer, number.digits);
        return 0;
    }
    if (number.whole && number.exact && number.digits <= (uint64_t)INT64_MAX + 1) {
        pack_int(parser->writer, (int64_t)(0 - number.digits));
        return 0;
    }
    double value;
    if (!json_number_value(&number, (struct text) { begin, (size_t)(parser->at - begin) }, &value))
        return fail(parser, "the number is too long");
    if (!isfinite(value))
        return fail(parser, "the number is too large");
    pack_double(parser->writer, value);
    return 0;
}

/* --- structure --- */

static int parse_word(struct parser *parser) {
    static const char *const words[] = { "null", "false", "true" };
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, words[i], length) != 0)
            continue;
        parser->at += length;
        if (i == 0)
            pack_nil(parser->writer);
        else
            pack_bool(parser->writer, i == 2);
        return 0;
    }
    return fail(parser, "a value must stand here");
}

/* A number below KEY_MARKS, the same for equal keys, by a key's two ends and its length. */
static inline unsigned mark_of(const char *key, size_t length) {
    uint64_t front = 0, back = 0;
    if (length >= sizeof(front)) {
        memcpy(&front, key, sizeof(front));
        memcpy(&back, key + length - sizeof(back), sizeof(back));
    } else if (length >= sizeof(uint32_t)) {
        memcpy(&front, key, sizeof(uint32_t));
        memcpy(&back, key + length - sizeof(uint32_t), sizeof(uint32_t));
    } else if (length > 0) {
        front = (uint8_t)key[0] | (uint64_t)(uint8_t)key[length / 2] << 8 | (uint64_t)(uint8_t)key[length - 1] << 16;
    }
    uint64_t mixed = (front ^ (back + length) * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    return (unsigned)(mixed >> 56);
}

/* Most objects have no key twice, and that is seen here: only where two keys have the same mark, or one has escapes, they are all compared
 * at the end. By the text and not by what was made of it: bytes written a moment ago are slow to read. */
static void note_key(struct parser *parser, const char *begin, size_t packed_length) {
    struct container *container = &parser->open[parser->depth - 1];
    size_t length = (size_t)(parser->at - begin) - 2; /* the quotes */
    size_t head = length < 32 ? 1 : length < 256 ? 2 : length < 65536 ? 3 : 5;
    unsigned mark = mark_of(begin + 1, length);
    uint64_t bit = UINT64_C(1) << mark % 64;
    container->maybe_twice |= (container->marks[mark / 64] & bit) != 0 || packed_length != head + length;
    container->marks[mark / 64] |= bit;
}

/* A key and its colon. */
static int parse_key(struct parser *parser) {
    skip_space(parser);
    if (parser->at == parser->end || *parser->at != '"')
        return fail(parser, "a key in quotes must stand here");
    const char *begin = parser->at;
    size_t before = parser->writer->length;
    int rc = parse_string(parser);
    if (rc < 0)
        return rc;
    note_key(parser, begin, parser->writer->length - before);
    skip_space(parser);
    if (parser->at == parser->end || *parser->at != ':')
        return fail(parser, "a colon must stand behind the key");
    parser->at++;
    return 0;
}

static int close_container(struct parser *parser) {
    struct container *container = &parser->open[--parser->depth];
    int count = (int)container->count;
    parser->at++;
    if (container->map && container->maybe_twice && !parser->writer->failed) {
        count = pack_keep_last(parser->writer, container->open + 1, container->count);
        if (count < 0)
            return error_set(parser->error, count, "an object has more than %d keys", PACK_KEYS_MAX);
    }
    pack_close(parser->writer, container->open, container->map, (uint32_t)count);
    return 0;
}

/* The end of an array or object stands here: 1, else 0. */
static inline bool at_end(const struct parser *parser) {
    const struct container *container = &parser->open[parser->depth - 1];
    return parser->at < parser->end && *parser->at == (container->map ? '}' : ']');
}

/* A scalar (0), or the beginning of an array or object with something in it, up to its first value (1). */
static int parse_value(struct parser *parser) {
    skip_space(parser);
    if (parser->at == parser->end)
        return fail(parser, "the text ends where a value must stand");
    char c = *parser->at;
    if (c == '"')
        return parse_string(parser);
    if (c == '-' || (c >= '0' && c <= '9'))
        return parse_number(parser);
    if (c != '{' && c != '[')
        return parse_word(parser);
    if (parser->depth == PACK_DEPTH_MAX)
        return fail(parser, "nested too deeply");
    parser->at++;
    parser->open[parser->depth++] = (struct container) { .open = pack_open(parser->writer), .map = c == '{' };
    skip_space(parser);
    if (at_end(parser))
        return close_container(parser);
    int rc = c == '{' ? parse_key(parser) : 0;
    return rc < 0 ? rc : 1;
}

/* Behind a value: go on to where the next one begins (1), or to the end of the text (0). */
static int parse_between(struct parser *parser) {
    while (parser->depth > 0) {
        parser->open[parser->depth - 1].count++;
        skip_space(parser);
        if (at_end(parser)) {
            int rc = close_container(parser);
            if (rc < 0)
                return rc;
            continue;
        }
        bool map = parser->open[parser->depth - 1].map;
        if (parser->at == parser->end || *parser->at != ',')
            return fail(parser, map ? "a comma or } must stand here" : "a comma or ] must stand here");
        parser->at++;
        int rc = map ? parse_key(parser) : 0;
        return rc < 0 ? rc : 1;
    }
    skip_space(parser);
    return parser->at == parser->end ? 0 : fail(parser, "nothing may follow the value");
}

static int parse(struct parser *parser) {
    int rc;
    do {
        rc = parse_value(parser);
        if (rc == 0)
            rc = parse_between(parser);
    } while (rc > 0 && !parser->writer->failed);
    return rc < 0 ? rc : 0;
}

int pack_from_json(struct text json, struct pack_writer *writer, struct error *error) {
    if (!text_utf8_valid(json))
        return error_set(error, -EINVAL, "character 1: the text is not UTF-8");
    if (json.length == 0)
        return error_set(error, -EINVAL, "character 1: the text is empty");
    struct parser parser; /* not cleared: containers are, as they open */
    parser.start = parser.at = json.data;
    parser.end = json.data + json.length;
    parser.writer = writer;
    parser.error = error;
    parser.depth = 0;
    size_t before = writer->length;
    int rc = parse(&parser);
    if (rc == 0 && writer->failed)
        rc = error_set(error, -E2BIG, "larger than %zu bytes when packed", writer->capacity);
    if (rc < 0)
        writer->length = before;
    return rc;
}
