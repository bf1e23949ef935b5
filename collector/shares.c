#include "collector/shares.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/limits.h"
#include "common/base/check.h"

void shares_init(struct shares *shares, uid_t privileged) {
    *shares = (struct shares) { .privileged = privileged };
    shares_set_limit(shares, FOLD_SERIES_DEFAULT);
}

void shares_set_limit(struct shares *shares, uint64_t series) {
    uint64_t bytes = series * FOLD_SERIES_BYTES;
    shares->series_max = series;
    shares->bytes_max = bytes < FOLD_BYTES_MIN ? FOLD_BYTES_MIN : bytes > FOLD_BYTES_MAX ? FOLD_BYTES_MAX : bytes;
}

void shares_finish(struct shares *shares) {
    free(shares->items);
    shares_init(shares, 0);
}

int shares_of(struct shares *shares, uid_t user) {
    for (size_t i = 0; i < shares->count; i++)
        if (shares->items[i].user == user)
            return (int)i;
    if (shares->count == shares->capacity) {
        size_t capacity = shares->capacity ? shares->capacity * 2 : 8;
        struct share *grown = reallocarray(shares->items, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        shares->items = grown;
        shares->capacity = capacity;
    }
    shares->items[shares->count] = (struct share) { .user = user };
    return (int)shares->count++;
}

static struct share *share_at(struct shares *shares, int share) {
    check(share >= 0 && (size_t)share < shares->count);
    return &shares->items[share];
}

/* How much of `most` and, beyond it, `own_more` for ourselves a share that has `own` may still take. */
static uint64_t room(const struct shares *shares, uid_t user, uint64_t own, uint64_t all, uint64_t most,
                     uint64_t own_more) {
    if (user == SHARES_SELF)
        most += own_more;
    uint64_t left = all < most ? most - all : 0;
    if (user == SHARES_SELF || user == 0 || user == shares->privileged)
        return left;
    return own < left ? (left - own + 1) / 2 : 0; /* what it takes is no longer free */
}

static int take(struct shares *shares, int number, uint64_t series, uint64_t bytes, uint64_t more_series,
                uint64_t more_bytes, struct error *error) {
    struct share *share = share_at(shares, number);
    if (series >
        room(shares, share->user, share->series, shares->series, shares->series_max + more_series, FOLD_SERIES_OWN))
        return error_set(
            error, -ENOSPC,
            "there are %llu series of at most %llu (collector.metrics.max_series), and %llu of them are of "
            "user %u",
            (unsigned long long)shares->series, (unsigned long long)shares->series_max,
            (unsigned long long)share->series, (unsigned)share->user);
    if (bytes > room(shares, share->user, share->bytes, shares->bytes, shares->bytes_max + more_bytes, FOLD_BYTES_OWN))
        return error_set(
            error, -ENOSPC,
            "the series take %llu MiB of at most %llu (by collector.metrics.max_series), and those of user "
            "%u %llu MiB of them",
            (unsigned long long)shares->bytes >> 20, (unsigned long long)shares->bytes_max >> 20, (unsigned)share->user,
            (unsigned long long)share->bytes >> 20);
    shares_note(shares, number, series, bytes);
    return 0;
}

int shares_take(struct shares *shares, int share, uint64_t series, uint64_t bytes, struct error *error) {
    return take(shares, share, series, bytes, 0, 0, error);
}

int shares_take_reserve(struct shares *shares, int share, uint64_t series, uint64_t bytes, struct error *error) {
    return take(shares, share, series, bytes, FOLD_SERIES_OVERFLOW, FOLD_BYTES_OVERFLOW, error);
}

bool shares_is_nearly_used_up(const struct shares *shares, int number) {
    const struct share *share = &shares->items[number];
    uint64_t series = room(shares, share->user, share->series, shares->series, shares->series_max, FOLD_SERIES_OWN);
    uint64_t bytes = room(shares, share->user, share->bytes, shares->bytes, shares->bytes_max, FOLD_BYTES_OWN);
    return series < share->series / 7 || bytes < share->bytes / 7;
}

void shares_note(struct shares *shares, int number, uint64_t series, uint64_t bytes) {
    struct share *share = share_at(shares, number);
    share->series += series;
    share->bytes += bytes;
    shares->series += series;
    shares->bytes += bytes;
}

void shares_give(struct shares *shares, int number, uint64_t series, uint64_t bytes) {
    struct share *share = share_at(shares, number);
    check(series <= share->series && bytes <= share->bytes);
    share->series -= series;
    share->bytes -= bytes;
    shares->series -= series;
    shares->bytes -= bytes;
}
