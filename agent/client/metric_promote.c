/* metric_promote.c - see metric_promote.h. */
#include "agent/client/metric_promote.h"

#include <stdlib.h>

#include "agent/client/metrics.h"
#include "common/base/hash.h"

enum { PLACES = 2 * PROMOTED_MAX };

struct metric_promoted {
    struct promoted_place { /* the hash is written before the metric, and neither changes then */
        uint64_t hash;
        _Atomic(struct tf_metric *) metric;
    } places[PLACES];
};

static uint64_t hash_of(const struct record_metric_update *update) {
    uint64_t seed = (uint64_t)update->metric_kind << 8 | update->naming;
    seed = hash_bytes_seeded(update->name.data, update->name.length, seed);
    return update->labels.length ? hash_bytes_seeded(update->labels.data, update->labels.length, seed) : seed;
}

static bool is_of(const struct tf_metric *metric, const struct record_metric_update *update) {
    const struct metric_definition *definition = &metric->definition;
    return definition->kind == (enum metric_kind)update->metric_kind &&
           definition->naming == (enum metric_naming)update->naming && text_equal(definition->name, update->name) &&
           text_equal(definition->labels, update->labels);
}

/* Where it stands (*ret), or the free place where it would: half of them always are. */
static struct promoted_place *place_of(struct metric_promoted *promoted, const struct record_metric_update *update,
                                       uint64_t hash, struct tf_metric **ret) {
    for (size_t at = hash % PLACES;; at = (at + 1) % PLACES) {
        struct promoted_place *place = &promoted->places[at];
        /* acquire: pairs with who put it there. */
        *ret = atomic_load_explicit(&place->metric, memory_order_acquire);
        if (!*ret || (place->hash == hash && is_of(*ret, update)))
            return place;
    }
}

/* Under the lock: NULL where there is no room, or no session that would tell. */
static struct tf_metric *make(struct tf_client *client, const struct record_metric_update *update, uint64_t hash) {
    const struct metric_definition definition = { .kind = (enum metric_kind)update->metric_kind,
                                                  .naming = (enum metric_naming)update->naming,
                                                  .name = update->name,
                                                  .labels = update->labels };
    struct metric_promoted *promoted = atomic_load(&client->promoted);
    struct tf_metric *metric;
    if (!promoted) {
        promoted = calloc(1, sizeof(*promoted));
        atomic_store(&client->promoted, promoted);
    }
    if (!promoted)
        return NULL;
    struct promoted_place *place = place_of(promoted, update, hash, &metric);
    if (metric) /* another thread was quicker */
        return metric;
    size_t room = sizeof(struct slot_metric) + sizeof(struct slot_histogram_cell) + update->name.length +
                  update->labels.length + SLOT_METRIC_CHUNK_SIZE;
    if (!client->session || !slot_metrics_leave_half(client->session->claim.slot, room) ||
        metric_get_or_create(client, &definition, true, &metric, NULL) < 0)
        return NULL;
    place->hash = hash;
    atomic_store_explicit(&place->metric, metric, memory_order_release);
    return metric;
}

static bool has_become_hot(struct metric_heat *heat, uint64_t hash, uint64_t now_ns) {
    if (heat->hash != hash && heat->count > 0) {
        heat->count--;
        return false;
    }
    if (heat->count == 0)
        *heat = (struct metric_heat) { .hash = hash, .since_ns = now_ns };
    if (++heat->count < METRIC_HOT_UPDATES)
        return false;
    heat->count = 0; /* where it cannot be promoted this is tried again after as many */
    return now_ns - heat->since_ns <= METRIC_HOT_NS;
}

struct tf_metric *metric_promote(struct tf_client *client, struct thread *thread,
                                 const struct record_metric_update *update, bool is_hot, uint64_t now_ns) {
    uint64_t hash = hash_of(update);
    struct metric_promoted *promoted = atomic_load_explicit(&client->promoted, memory_order_acquire);
    struct tf_metric *metric = NULL;
    if (promoted)
        place_of(promoted, update, hash, &metric);
    if (metric || !(is_hot || has_become_hot(&thread->heats[hash % METRIC_HEATS], hash, now_ns)))
        return metric;
    registry_lock();
    metric = make(client, update, hash);
    registry_unlock();
    return metric;
}
