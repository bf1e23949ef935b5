/* state_map.h - the commit protocol's state in memory: what the store's `state` database holds, plus what the spill holds
 * beyond it. Loaded at start, changed only when a batch is safe (committed or spilled). Also the keys and values of
 * common/store/state_keys.h, made and read in one place. One thread. */
#ifndef TASKFORGE_COLLECTOR_STATE_MAP_H
#define TASKFORGE_COLLECTOR_STATE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"
#include "common/model/level.h"
#include "common/shm/layout.h"

struct state_node;
struct state_map {
    struct state_node **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    size_t bytes; /* of all keys and values */
};
#define STATE_MAP_EMPTY ((struct state_map) { 0 })

int state_map_put(struct state_map *map, struct text key, struct text value); /* -ENOMEM */

/* Putting in two steps, the second of which cannot fail. state_map_prepare: 0 and a node, or NULL where what is there can take the value;
 * -ENOMEM. `more`: how many keys that are new, at most, will be put. Nothing else is put in between. A node that is not put is freed. */
int state_map_prepare(struct state_map *map, size_t more, struct text key, struct text value, struct state_node **ret);
void state_map_put_prepared(struct state_map *map, struct state_node *node, struct text key, struct text value);

void state_map_delete(struct state_map *map, struct text key);
bool state_map_get(const struct state_map *map, struct text key, struct text *ret); /* borrowed until the key changes */
/* In no order; visit returns 0 to go on and must not change the map. Returns the first non-zero it gave. */
int state_map_walk(const struct state_map *map, struct text prefix,
                   int (*visit)(void *argument, struct text key, struct text value), void *argument);
void state_map_finish(struct state_map *map);

/* --- keys; each is built in the caller's struct --- */

struct state_key {
    char bytes[416];
    size_t length;
};
static inline struct text state_key_text(const struct state_key *key) {
    return (struct text) { key->bytes, key->length };
}
void state_key_lane(struct state_key *key, const uint8_t ring_id[16], uint32_t lane);
void state_key_lanes(struct state_key *key, const uint8_t ring_id[16]); /* the prefix of a ring's lanes */
void state_key_loss(struct state_key *key, const uint8_t producer_id[16], enum loss_reason reason, enum level level);
void state_key_losses(struct state_key *key, const uint8_t producer_id[16]); /* the prefix of a producer's losses */
void state_key_cells(struct state_key *key, const uint8_t producer_id[16]);  /* the prefix of a producer's cells */
void state_key_gone(struct state_key *key, const uint8_t producer_id[16]);   /* that its end was told */
void state_key_want(struct state_key *key, const uint8_t producer_id[16]);
/* `rest` empty: the prefix of an input. -E2BIG when it does not fit a key. */
int state_key_input(struct state_key *key, uint32_t uid, struct text input, struct text rest);

/* --- values: u64 words, little-endian --- */

void state_u64_put(char out[8], uint64_t value);
uint64_t state_u64_get(const char in[8]);
bool state_map_get_u64(const struct state_map *map, struct text key, uint64_t *ret);

struct state_sequence {
    uint64_t next;
    uint64_t flush_ns;
    uint64_t commits;
    uint8_t boot_id[16];
};
enum { STATE_SEQUENCE_SIZE = 40 };
void state_sequence_encode(const struct state_sequence *sequence, char out[STATE_SEQUENCE_SIZE]);
bool state_sequence_decode(struct text value, struct state_sequence *ret);

#endif
