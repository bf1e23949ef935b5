#include "exporter/deflate_code.h"

#include <stdlib.h>
#include <string.h>

struct used {
    uint32_t weight; /* its frequency; then what Moffat and Katajainen make of it */
    uint16_t symbol;
};

static int compare(const void *left, const void *right) {
    const struct used *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    return (a->symbol > b->symbol) - (a->symbol < b->symbol);
}

/* A. Moffat, J. Katajainen, "In-place calculation of minimum-redundancy codes" (1995): weights, ascending, become lengths, descending. */
static void weights_to_lengths(struct used *list, int count) {
    int root = 0, leaf = 2, next;
    list[0].weight += list[1].weight;
    for (next = 1; next < count - 1; next++) {
        if (leaf >= count || list[root].weight < list[leaf].weight) {
            list[next].weight = list[root].weight;
            list[root++].weight = (uint32_t)next;
        } else {
            list[next].weight = list[leaf++].weight;
        }
        if (leaf >= count || (root < next && list[root].weight < list[leaf].weight)) {
            list[next].weight += list[root].weight;
            list[root++].weight = (uint32_t)next;
        } else {
            list[next].weight += list[leaf++].weight;
        }
    }
    list[count - 2].weight = 0;
    for (next = count - 3; next >= 0; next--)
        list[next].weight = list[list[next].weight].weight + 1;
    int available = 1, used = 0;
    uint32_t depth = 0;
    root = count - 2;
    for (next = count - 1; available > 0; available = 2 * used, depth++, used = 0) {
        for (; root >= 0 && list[root].weight == depth; root--)
            used++;
        for (; available > used; available--)
            list[next--].weight = depth;
    }
}

/* How many symbols have each length, none above `most`, and still a complete code. */
static void limit(const struct used *list, unsigned count, unsigned most, uint32_t *numbers) {
    uint32_t total = 0;
    memset(numbers, 0, (DEFLATE_LENGTH_MAX + 1) * sizeof(*numbers));
    for (unsigned i = 0; i < count; i++)
        numbers[list[i].weight < most ? list[i].weight : most]++;
    for (unsigned length = 1; length <= most; length++)
        total += numbers[length] << (most - length);
    for (; total > UINT32_C(1) << most;
         total--) { /* one of the longest moves beside a shorter one, which becomes longer */
        unsigned length = most - 1;
        while (numbers[length] == 0)
            length--;
        numbers[most]--;
        numbers[length]--;
        numbers[length + 1] += 2;
    }
}

static uint16_t reversed(uint32_t bits, unsigned length) {
    uint32_t result = 0;
    for (; length > 0; length--, bits >>= 1)
        result = result << 1 | (bits & 1);
    return (uint16_t)result;
}

void deflate_code_make(const uint32_t *frequencies, unsigned count, unsigned most, struct deflate_code *ret) {
    struct used list[DEFLATE_SYMBOLS_MAX];
    uint32_t numbers[DEFLATE_LENGTH_MAX + 1], next[DEFLATE_LENGTH_MAX + 1] = { 0 };
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++)
        if (frequencies[i] > 0)
            list[used++] = (struct used) { frequencies[i], (uint16_t)i };
    for (unsigned i = 0; used < 2; i++)
        if (frequencies[i] == 0)
            list[used++] = (struct used) { 1, (uint16_t)i };
    qsort(list, used, sizeof(*list), compare);
    weights_to_lengths(list, (int)used);
    limit(list, used, most, numbers);
    memset(ret, 0, sizeof(*ret));
    for (unsigned length = most, at = 0; length > 0; length--)
        for (uint32_t i = 0; i < numbers[length]; i++)
            ret->lengths[list[at++].symbol] = (uint8_t)length;
    for (unsigned length = 1; length < most; length++)
        next[length + 1] = (next[length] + numbers[length]) << 1;
    for (unsigned i = 0; i < count; i++)
        if (ret->lengths[i] > 0)
            ret->bits[i] = reversed(next[ret->lengths[i]]++, ret->lengths[i]);
}
