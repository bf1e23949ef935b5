#include "collector/levels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/limits.h"
#include "common/base/check.h"
#include "common/shm/layout.h"
#include "common/store/state_keys.h"

#define OWN_SERVICE "taskforge"

void levels_finish(struct levels *levels) {
    free(levels->items);
    *levels = LEVELS_EMPTY;
}

int levels_copy(struct levels *to, const struct levels *from) {
    struct threshold *items = NULL;
    if (from->count > 0) {
        items = malloc(from->count * sizeof(*items));
        if (!items)
            return -ENOMEM;
        memcpy(items, from->items, from->count * sizeof(*items));
    }
    levels_finish(to);
    *to = (struct levels) { .items = items, .count = from->count, .capacity = from->count };
    return 0;
}

/* Where the service stands, or would. */
static size_t place_of(const struct levels *levels, struct text service) {
    size_t low = 0, high = levels->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text_compare(threshold_service(&levels->items[middle]), service) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct threshold *find(const struct levels *levels, struct text service) {
    size_t at = place_of(levels, service);
    bool there = at < levels->count && text_equal(threshold_service(&levels->items[at]), service);
    return there ? &levels->items[at] : NULL;
}

const struct threshold *levels_find(const struct levels *levels, struct text service) {
    return find(levels, service);
}

static int grow(struct levels *levels) {
    size_t capacity = levels->capacity ? levels->capacity * 2 : 8;
    struct threshold *grown = realloc(levels->items, capacity * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    levels->items = grown;
    levels->capacity = capacity;
    return 0;
}

static int insert(struct levels *levels, struct text service, struct threshold **ret) {
    check(service.length <= ENTRY_NAME_BYTES);
    if (levels->count >= LEVELS_MAX)
        return -ENOSPC;
    if (levels->count == levels->capacity && grow(levels) < 0)
        return -ENOMEM;
    size_t at = place_of(levels, service);
    struct threshold *place = &levels->items[at];
    memmove(place + 1, place, (levels->count++ - at) * sizeof(*place));
    *place = (struct threshold) {
        .service_length = (uint16_t)service.length,
        .lasting = LEVEL_NONE,
        .passing = LEVEL_NONE,
    };
    if (service.length > 0)
        memcpy(place->service, service.data, service.length);
    *ret = place;
    return 0;
}

int levels_set(struct levels *levels, struct text service, enum level level, uint64_t until_ns) {
    struct threshold *threshold = find(levels, service);
    int result = threshold ? 0 : insert(levels, service, &threshold);
    if (result < 0)
        return result;
    if (until_ns == 0)
        threshold->lasting = (uint8_t)level;
    threshold->passing = until_ns == 0 ? LEVEL_NONE : (uint8_t)level;
    threshold->until_ns = until_ns;
    threshold->ended = false;
    return 0;
}

static void take_out(struct levels *levels, struct threshold *threshold) {
    size_t behind = levels->count - (size_t)(threshold - levels->items) - 1;
    memmove(threshold, threshold + 1, behind * sizeof(*threshold));
    levels->count--;
}

bool levels_reset(struct levels *levels, struct text service) {
    struct threshold *threshold = find(levels, service);
    if (threshold)
        take_out(levels, threshold);
    return threshold != NULL;
}

void levels_forget_ended(struct levels *levels, struct text service) {
    struct threshold *threshold = find(levels, service);
    if (!threshold || !threshold->ended)
        return;
    threshold->ended = false;
    threshold->passing = LEVEL_NONE;
    threshold->until_ns = 0;
    if (threshold->lasting == LEVEL_NONE)
        take_out(levels, threshold);
}

bool levels_pass(struct levels *levels, uint64_t now_ns) {
    bool any = false;
    for (size_t i = 0; i < levels->count; i++) {
        struct threshold *threshold = &levels->items[i];
        if (threshold->passing == LEVEL_NONE || threshold->ended || now_ns < threshold->until_ns)
            continue;
        threshold->ended = true;
        any = true;
    }
    return any;
}

/* --- which level holds --- */

static uint8_t own_level(const struct threshold *threshold) {
    if (!threshold)
        return LEVEL_NONE;
    return threshold->passing != LEVEL_NONE && !threshold->ended ? threshold->passing : threshold->lasting;
}

bool levels_are_fixed(struct text service) {
    return text_is(service, OWN_SERVICE) || text_starts_with(service, TEXT_LITERAL(OWN_SERVICE "-"));
}

enum level levels_of(const struct levels *levels, struct text service) {
    if (levels_are_fixed(service))
        return LEVEL_TRACE;
    uint8_t level = own_level(find(levels, service));
    if (level == LEVEL_NONE)
        level = own_level(find(levels, LEVELS_DEFAULT));
    return level == LEVEL_NONE ? LEVEL_TRACE : (enum level)level;
}

/* --- the state --- */

void levels_key(struct state_key *key, struct text service) {
    const size_t prefix = sizeof(STATE_LEVEL) - 1;
    check(service.length <= ENTRY_NAME_BYTES);
    static_assert(sizeof(STATE_LEVEL) - 1 + ENTRY_NAME_BYTES <= sizeof(key->bytes), "any service fits");
    memcpy(key->bytes, STATE_LEVEL, prefix);
    if (service.length > 0)
        memcpy(key->bytes + prefix, service.data, service.length);
    key->length = prefix + service.length;
}

void levels_encode(const struct threshold *threshold, char out[LEVELS_VALUE_SIZE]) {
    out[0] = (char)threshold->lasting;
    out[1] = (char)threshold->passing;
    state_u64_put(out + 2, threshold->until_ns);
}

static bool is_level(uint8_t level) {
    return level < LEVEL_COUNT || level == LEVEL_NONE;
}

static int load_one(void *argument, struct text key, struct text value) {
    struct levels *levels = argument;
    struct text service = { key.data + sizeof(STATE_LEVEL) - 1, key.length - (sizeof(STATE_LEVEL) - 1) };
    if (service.length > ENTRY_NAME_BYTES || value.length != LEVELS_VALUE_SIZE)
        return 0;
    uint8_t lasting = (uint8_t)value.data[0], passing = (uint8_t)value.data[1];
    uint64_t until_ns = state_u64_get(value.data + 2);
    if (!is_level(lasting) || !is_level(passing) || (lasting == LEVEL_NONE && passing == LEVEL_NONE) ||
        (passing != LEVEL_NONE) != (until_ns != 0))
        return 0;
    int result = 0;
    if (lasting != LEVEL_NONE)
        result = levels_set(levels, service, (enum level)lasting, 0);
    if (result == 0 && passing != LEVEL_NONE)
        result = levels_set(levels, service, (enum level)passing, until_ns);
    return result == -ENOSPC ? 0 : result;
}

int levels_load(struct levels *levels, const struct state_map *state) {
    *levels = LEVELS_EMPTY;
    int result = state_map_walk(state, TEXT_LITERAL(STATE_LEVEL), load_one, levels);
    if (result < 0)
        levels_finish(levels);
    return result;
}
