/* pack_keys.c - of equal keys the last holds: a hash table on the stack, filled once, then one sweep. */
#include <errno.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/model/pack_priv.h"

enum { TABLE_SMALL = 64, TABLE_LARGE = 16384 };
_Static_assert((int)PACK_KEYS_MAX < (int)TABLE_LARGE, "a free place always ends a search");

struct table {
    uint32_t *places; /* 0: free; else 1 + the pair's offset in the content, the last one of its key */
    uint32_t mask;
    uint64_t seed;
};

static struct text key_at(const char *pair, const char *end) {
    struct pack_value key;
    check(pack_head(pair, end, &key) > 0 && key.type == PACK_TEXT); /* we wrote it */
    return key.text;
}

static const char *behind_pair(const char *pair, const char *end) {
    const char *value = pack_skip(pair, end, PACK_DEPTH_MAX),
               *behind = value ? pack_skip(value, end, PACK_DEPTH_MAX) : NULL;
    check(behind);
    return behind;
}

/* Put every pair in; true when a key came twice. */
static bool fill(const struct table *table, const char *content, const char *end) {
    bool twice = false;
    for (const char *pair = content; pair < end; pair = behind_pair(pair, end)) {
        struct text key = key_at(pair, end);
        uint32_t place = (uint32_t)hash_bytes_seeded(key.data, key.length, table->seed) & table->mask;
        for (; table->places[place]; place = (place + 1) & table->mask)
            if (text_equal(key, key_at(content + table->places[place] - 1, end))) {
                twice = true;
                break;
            }
        table->places[place] = (uint32_t)(pair - content) + 1;
    }
    return twice;
}

/* Whether this pair is the last of its key. Looks at numbers only: the bytes of earlier pairs have moved. */
static bool is_kept(const struct table *table, struct text key, uint32_t offset) {
    uint32_t place = (uint32_t)hash_bytes_seeded(key.data, key.length, table->seed) & table->mask;
    for (; table->places[place]; place = (place + 1) & table->mask)
        if (table->places[place] == offset + 1)
            return true;
    return false;
}

static uint32_t sweep(const struct table *table, char *content, size_t *length) {
    char *to = content;
    const char *end = content + *length;
    uint32_t kept = 0;
    for (const char *pair = content, *next; pair < end; pair = next) {
        next = behind_pair(pair, end);
        if (!is_kept(table, key_at(pair, end), (uint32_t)(pair - content)))
            continue;
        memmove(to, pair, (size_t)(next - pair));
        to += next - pair;
        kept++;
    }
    *length = (size_t)(to - content);
    return kept;
}

static int keep_last(struct pack_writer *writer, size_t content, uint32_t count, uint32_t *places, uint32_t size) {
    memset(places, 0, size * sizeof(places[0]));
    /* the seed is where the stack is: nobody outside can prepare keys that meet */
    struct table table = { places, size - 1, (uint64_t)(uintptr_t)places };
    size_t length = writer->length - content;
    if (!fill(&table, writer->data + content, writer->data + writer->length))
        return (int)count;
    int kept = (int)sweep(&table, writer->data + content, &length);
    writer->length = content + length;
    return kept;
}

static __attribute__((noinline)) int keep_last_of_many(struct pack_writer *writer, size_t content, uint32_t count) {
    uint32_t places[TABLE_LARGE], size = TABLE_SMALL;
    while (size < 2 * count && size < TABLE_LARGE)
        size *= 2;
    return keep_last(writer, content, count, places, size);
}

int pack_keep_last(struct pack_writer *writer, size_t content, uint32_t count) {
    if (count < 2)
        return (int)count;
    if (count > PACK_KEYS_MAX || writer->length - content >= UINT32_MAX)
        return -E2BIG;
    if (count > TABLE_SMALL / 2)
        return keep_last_of_many(writer, content, count);
    uint32_t places[TABLE_SMALL];
    return keep_last(writer, content, count, places, TABLE_SMALL);
}
