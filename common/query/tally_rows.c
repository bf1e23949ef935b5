/* tally_rows.c - see tally_rows.h. */
#include "common/query/tally_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/hash.h"

void tally_finish(struct tally *tally) {
    for (size_t i = 0; i < tally->service_count; i++) {
        free((char *)tally->services[i].service.data);
        free(tally->services[i].by_step);
    }
    free(tally->services);
    *tally = (struct tally) { 0 };
}

static bool make_room(struct tally *tally) {
    if (tally->service_count < tally->service_capacity)
        return true;
    size_t capacity = tally->service_capacity ? tally->service_capacity * 2 : 16;
    struct tally_service *grown = realloc(tally->services, capacity * sizeof(*grown));
    if (!grown)
        return false;
    tally->services = grown;
    tally->service_capacity = capacity;
    return true;
}

static struct tally_service *insert(struct tally *tally, size_t at, struct text service) {
    struct tally_service row = { 0 };
    if ((tally->service_count + 1) * tally->steps.count > TALLY_CELLS_MAX) {
        tally->too_many = true;
        return NULL;
    }
    char *name = malloc(service.length + 1);
    if (tally->steps.count > 0)
        row.by_step = calloc(tally->steps.count, sizeof(*row.by_step));
    if (!name || (tally->steps.count > 0 && !row.by_step) || !make_room(tally)) {
        free(name);
        free(row.by_step);
        return NULL;
    }
    if (service.length)
        memcpy(name, service.data, service.length);
    row.service = (struct text) { name, service.length };
    memmove(&tally->services[at + 1], &tally->services[at], (tally->service_count - at) * sizeof(*tally->services));
    tally->services[at] = row;
    tally->service_count++;
    return &tally->services[at];
}

/* Found by halving, since a host may have thousands: 1 and its place, or 0 and where it belongs. */
static bool find(const struct tally *tally, struct text service, size_t *ret) {
    size_t low = 0, high = tally->service_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = text_compare(tally->services[middle].service, service);
        if (order == 0) {
            *ret = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return false;
}

/* But block after block names the same ones: most are where they were. */
struct tally_service *tally_row(struct tally *tally, struct text service) {
    uint32_t *guess = &tally->guesses[hash_bytes(service.data, service.length) % TALLY_GUESSES];
    size_t at = *guess;
    if (at < tally->service_count && text_equal(tally->services[at].service, service))
        return &tally->services[at];
    if (!find(tally, service, &at))
        return insert(tally, at, service);
    *guess = (uint32_t)at;
    return &tally->services[at];
}

void tally_stretch(struct tally *tally, uint64_t first_ns, uint64_t last_ns) {
    if (tally->first_ns == 0 || first_ns < tally->first_ns)
        tally->first_ns = first_ns;
    if (last_ns > tally->last_ns)
        tally->last_ns = last_ns;
}

static void add_levels(uint64_t *to, const uint64_t *from) {
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        to[level] += from[level];
}

int tally_no_row(const struct tally *tally, struct error *error) {
    return tally->too_many ? error_set(error, -E2BIG,
                                       "services times steps are more than %d: ask for one service, a longer step or "
                                       "less time",
                                       TALLY_CELLS_MAX)
                           : error_set(error, -ENOMEM, "out of memory for the counts");
}

int tally_add(struct tally *tally, const struct tally *other, struct error *error) {
    tally->total += other->total;
    tally->blocks_opened += other->blocks_opened;
    tally->weighed |= other->weighed;
    if (other->last_ns > 0)
        tally_stretch(tally, other->first_ns, other->last_ns);
    for (size_t i = 0; i < other->service_count; i++) {
        const struct tally_service *from = &other->services[i];
        struct tally_service *row = tally_row(tally, from->service);
        if (!row)
            return tally_no_row(tally, error);
        add_levels(row->by_level, from->by_level);
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            row->estimated[level] += from->estimated[level];
        for (size_t step = 0; step < tally->steps.count; step++)
            add_levels(row->by_step[step], from->by_step[step]);
    }
    return 0;
}
