#include "collector/state_map.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/state_keys.h"

struct state_node {
    struct state_node *next;
    uint64_t hash;
    size_t key_length;
    size_t value_length;
    char bytes[]; /* key, then value */
};

static struct text node_key(const struct state_node *node) {
    return (struct text) { node->bytes, node->key_length };
}

static struct text node_value(const struct state_node *node) {
    return (struct text) { node->bytes + node->key_length, node->value_length };
}

static size_t node_bytes(const struct state_node *node) {
    return node->key_length + node->value_length;
}

/* Where the pointer to the key's node stands, or the end of its chain. */
static struct state_node **find(const struct state_map *map, struct text key, uint64_t hash) {
    struct state_node **at = &map->buckets[hash & (map->bucket_count - 1)];
    while (*at && !((*at)->hash == hash && text_equal(node_key(*at), key)))
        at = &(*at)->next;
    return at;
}

static int grow(struct state_map *map) {
    size_t count = map->bucket_count ? map->bucket_count * 2 : 256;
    struct state_node **buckets = calloc(count, sizeof(struct state_node *));
    if (!buckets)
        return -ENOMEM;
    for (size_t i = 0; i < map->bucket_count; i++)
        for (struct state_node *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            struct state_node **at = &buckets[node->hash & (count - 1)];
            node->next = *at;
            *at = node;
        }
    free(map->buckets);
    map->buckets = buckets;
    map->bucket_count = count;
    return 0;
}

static struct state_node *make_node(struct text key, struct text value) {
    struct state_node *node = malloc(sizeof(*node) + key.length + value.length);
    if (!node)
        return NULL;
    *node = (struct state_node) { .hash = hash_bytes(key.data, key.length),
                                  .key_length = key.length,
                                  .value_length = value.length };
    memcpy(node->bytes, key.data, key.length);
    if (value.length)
        memcpy(node->bytes + key.length, value.data, value.length);
    return node;
}

int state_map_prepare(struct state_map *map, size_t more, struct text key, struct text value, struct state_node **ret) {
    while (map->count + more > map->bucket_count) {
        int result = grow(map);
        if (result < 0)
            return result;
    }
    *ret = NULL;
    const struct state_node *there = *find(map, key, hash_bytes(key.data, key.length));
    if (there && there->value_length == value.length)
        return 0;
    *ret = make_node(key, value);
    return *ret ? 0 : -ENOMEM;
}

void state_map_put_prepared(struct state_map *map, struct state_node *node, struct text key, struct text value) {
    struct state_node **at = find(map, key, node ? node->hash : hash_bytes(key.data, key.length));
    if (!node) {
        check(*at && (*at)->value_length == value.length);
        if (value.length)
            memcpy((*at)->bytes + key.length, value.data, value.length);
        return;
    }
    if (*at) {
        node->next = (*at)->next;
        map->bytes -= node_bytes(*at);
        free(*at);
    } else {
        map->count++;
    }
    map->bytes += node_bytes(node);
    *at = node;
}

int state_map_put(struct state_map *map, struct text key, struct text value) {
    struct state_node *node;
    int result = state_map_prepare(map, 1, key, value, &node);
    if (result == 0)
        state_map_put_prepared(map, node, key, value);
    return result;
}

void state_map_delete(struct state_map *map, struct text key) {
    if (map->count == 0)
        return;
    struct state_node **at = find(map, key, hash_bytes(key.data, key.length));
    struct state_node *node = *at;
    if (!node)
        return;
    *at = node->next;
    map->bytes -= node_bytes(node);
    map->count--;
    free(node);
}

bool state_map_get(const struct state_map *map, struct text key, struct text *ret) {
    if (map->count == 0)
        return false;
    const struct state_node *node = *find(map, key, hash_bytes(key.data, key.length));
    if (!node)
        return false;
    *ret = node_value(node);
    return true;
}

int state_map_walk(const struct state_map *map, struct text prefix,
                   int (*visit)(void *argument, struct text key, struct text value), void *argument) {
    for (size_t i = 0; i < map->bucket_count; i++)
        for (const struct state_node *node = map->buckets[i]; node; node = node->next) {
            if (!text_starts_with(node_key(node), prefix))
                continue;
            int result = visit(argument, node_key(node), node_value(node));
            if (result != 0)
                return result;
        }
    return 0;
}

void state_map_finish(struct state_map *map) {
    for (size_t i = 0; i < map->bucket_count; i++)
        for (struct state_node *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            free(node);
        }
    free(map->buckets);
    *map = STATE_MAP_EMPTY;
}

/* --- keys --- */

static void key_begin(struct state_key *key, const char *prefix) {
    key->length = strlen(prefix);
    memcpy(key->bytes, prefix, key->length);
}

static void key_bytes(struct state_key *key, const void *bytes, size_t length) {
    memcpy(key->bytes + key->length, bytes, length);
    key->length += length;
}

static void key_u32(struct state_key *key, uint32_t value) {
    for (int i = 0; i < 4; i++)
        key->bytes[key->length++] = (char)(value >> (8 * i) & 0xff);
}

void state_key_lanes(struct state_key *key, const uint8_t ring_id[16]) {
    key_begin(key, STATE_LANE);
    key_bytes(key, ring_id, 16);
}

void state_key_lane(struct state_key *key, const uint8_t ring_id[16], uint32_t lane) {
    state_key_lanes(key, ring_id);
    key_u32(key, lane);
}

void state_key_want(struct state_key *key, const uint8_t producer_id[16]) {
    key_begin(key, STATE_WANT);
    key_bytes(key, producer_id, 16);
}

void state_key_losses(struct state_key *key, const uint8_t producer_id[16]) {
    key_begin(key, STATE_LOSS);
    key_bytes(key, producer_id, 16);
}

void state_key_cells(struct state_key *key, const uint8_t producer_id[16]) {
    key_begin(key, STATE_CELL);
    key_bytes(key, producer_id, 16);
}

void state_key_gone(struct state_key *key, const uint8_t producer_id[16]) {
    key_begin(key, STATE_GONE);
    key_bytes(key, producer_id, 16);
}

void state_key_loss(struct state_key *key, const uint8_t producer_id[16], enum loss_reason reason, enum level level) {
    state_key_losses(key, producer_id);
    key->bytes[key->length++] = (char)reason;
    key->bytes[key->length++] = (char)level;
}

int state_key_input(struct state_key *key, uint32_t uid, struct text input, struct text rest) {
    key_begin(key, STATE_INPUT);
    if (input.length > 255 || key->length + 5 + input.length + rest.length > sizeof(key->bytes))
        return -E2BIG;
    key_u32(key, uid);
    key->bytes[key->length++] = (char)input.length;
    if (input.length)
        key_bytes(key, input.data, input.length);
    if (rest.length)
        key_bytes(key, rest.data, rest.length);
    return 0;
}

/* --- values --- */

void state_u64_put(char out[8], uint64_t value) {
    for (int i = 0; i < 8; i++)
        out[i] = (char)(value >> (8 * i) & 0xff);
}

uint64_t state_u64_get(const char in[8]) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)(unsigned char)in[i] << (8 * i);
    return value;
}

bool state_map_get_u64(const struct state_map *map, struct text key, uint64_t *ret) {
    struct text value;
    if (!state_map_get(map, key, &value) || value.length != 8)
        return false;
    *ret = state_u64_get(value.data);
    return true;
}

void state_sequence_encode(const struct state_sequence *sequence, char out[STATE_SEQUENCE_SIZE]) {
    state_u64_put(out, sequence->next);
    state_u64_put(out + 8, sequence->flush_ns);
    state_u64_put(out + 16, sequence->commits);
    memcpy(out + 24, sequence->boot_id, 16);
}

bool state_sequence_decode(struct text value, struct state_sequence *ret) {
    if (value.length != STATE_SEQUENCE_SIZE)
        return false;
    ret->next = state_u64_get(value.data);
    ret->flush_ns = state_u64_get(value.data + 8);
    ret->commits = state_u64_get(value.data + 16);
    memcpy(ret->boot_id, value.data + 24, 16);
    return true;
}
