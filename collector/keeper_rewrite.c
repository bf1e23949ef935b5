/* Levels and services that go earlier than all else: which closed partitions have some, and one of them written anew. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "collector/fault.h"
#include "collector/keeper_private.h"
#include "collector/limits.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/store/filter_index.h"

enum { VALUES_AT_A_TIME = 64 /* index values read in one transaction, which keeps copies of them */ };

/* --- what stands in a partition --- */

static void count_value(struct retention_share *share, const struct config_retention *limits,
                        const struct index_entry *index) {
    for (uint32_t i = 0; i < index->count_count; i++) {
        const struct index_count *count = &index->counts[i];
        if (count->service.length == 0) /* gone already */
            continue;
        for (unsigned level = 0; level < LEVEL_COUNT; level++) {
            share->entries += count->by_level[level];
            share->by_level[level] += count->by_level[level];
        }
        for (size_t s = 0; s < limits->service_count; s++)
            for (unsigned level = 0; level < LEVEL_COUNT && text_is(count->service, limits->services[s].name); level++)
                share->by_service[s][level] += count->by_level[level];
    }
}

/* Some index values from *next on: 1, 0 at the end. A damaged one counts nothing. */
static int count_some(const struct keeper *keeper, struct partition *partition, uint64_t *next,
                      struct retention_share *share, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < VALUES_AT_A_TIME && (result = 1) == 1; i++) {
        struct index_entry index;
        struct text value;
        uint64_t key;
        result = partition_index_seek(txn, *next, false, &key, &value, error);
        if (result != 1)
            break;
        if (key < *next || key == UINT64_MAX) {
            result = error_set(error, -EBADMSG, "the index is out of order");
            break;
        }
        if (index_decode(value, &index) == 0) {
            count_value(share, &keeper->own, &index);
            index_entry_finish(&index);
        }
        *next = key + 1;
    }
    partition_abort(txn);
    return result;
}

static int read_share(struct keeper *keeper, struct kept *kept, const struct partition_name *name) {
    struct partition_ref *ref;
    struct error error = { "" };
    struct retention_share share = { .size = name->size };
    uint64_t next = 0;
    int result = partitions_acquire_named(keeper->partitions, name, &ref, &error);
    if (result < 0)
        return result;
    share.rewritten_ns = partition_origin(ref->partition)->rewritten_ns;
    while (!keeper->stop && (result = count_some(keeper, ref->partition, &next, &share, &error)) == 1)
        ;
    partitions_release(keeper->partitions, ref);
    kept->share = share;
    return result < 0 ? result : 0;
}

static struct kept *find_kept(struct keeper *keeper, const char *path) {
    for (size_t i = 0; i < keeper->kept_count; i++)
        if (strcmp(keeper->kept[i].path, path) == 0)
            return &keeper->kept[i];
    if (keeper->kept_count == keeper->kept_capacity) {
        size_t capacity = keeper->kept_capacity ? keeper->kept_capacity * 2 : 16;
        struct kept *grown = reallocarray(keeper->kept, capacity, sizeof(*grown));
        if (!grown)
            return NULL;
        keeper->kept = grown;
        keeper->kept_capacity = capacity;
    }
    struct kept *kept = &keeper->kept[keeper->kept_count++];
    *kept = (struct kept) { 0 };
    snprintf(kept->path, sizeof(kept->path), "%s", path);
    return kept;
}

static struct kept *look_at(struct keeper *keeper, const struct partition_name *name) {
    struct stat status;
    struct kept *kept = find_kept(keeper, name->path);
    if (!kept || stat(name->path, &status) < 0)
        return NULL;
    kept->seen = true;
    if (kept->read && kept->device == status.st_dev && kept->inode == status.st_ino && kept->size == status.st_size)
        return kept;
    kept->device = status.st_dev;
    kept->inode = status.st_ino;
    kept->size = status.st_size;
    kept->read = true;
    kept->failed = read_share(keeper, kept, name) < 0; /* damaged: not for us to tell */
    return kept;
}

static void forget_unseen(struct keeper *keeper) {
    size_t left = 0;
    for (size_t i = 0; i < keeper->kept_count; i++)
        if (keeper->kept[i].seen)
            keeper->kept[left++] = keeper->kept[i];
    keeper->kept_count = left;
    for (size_t i = 0; i < left; i++)
        keeper->kept[i].seen = false;
}

void keeper_rewrite_finish(struct keeper *keeper) {
    free(keeper->kept);
    keeper->kept = NULL;
    keeper->kept_count = keeper->kept_capacity = 0;
}

/* --- one written anew --- */

struct judging {
    const struct config_retention *limits;
    const struct retention_verdict *verdict;
};

static bool keep(void *argument, struct text service, enum level level) {
    const struct judging *judging = argument;
    if (judging->verdict->levels & 1U << level)
        return false;
    for (size_t i = 0; i < judging->limits->service_count; i++)
        if (judging->verdict->services & UINT64_C(1) << i && text_is(service, judging->limits->services[i].name))
            return false;
    return true;
}

static int copy(struct keeper *keeper, const struct partition_name *name, const char *built,
                const struct retention_verdict *verdict, struct partition_copied *ret, struct error *error) {
    struct judging judging = { &keeper->own, verdict };
    struct partition_ref *ref;
    int result = partitions_acquire_named(keeper->partitions, name, &ref, error);
    if (result < 0)
        return result;
    const struct partition_copy_job job = {
        .from = ref->partition,
        .path = built,
        .flags = PARTITION_REWRITTEN,
        .rewritten_ns = clock_real_ns(),
        .keep = keep,
        .keep_argument = &judging,
        .growth = { room_grow_beside, &keeper->room },
        .between = keeper_between,
        .between_argument = keeper,
    };
    partition_unlink(built);
    keeper->room.pressed = false;
    keeper->step_ns = clock_monotonic_ns();
    result = partition_copy(&job, ret, error);
    partitions_release(keeper->partitions, ref);
    return result;
}

static int write_anew(struct keeper *keeper, const struct partition_name *name,
                      const struct retention_verdict *verdict) {
    char built[PARTITION_PATH_MAX + 8];
    struct partition_copied copied;
    struct error error = { "" };
    uint64_t begun = clock_monotonic_ns();
    snprintf(built, sizeof(built), "%s.new", name->path);
    int result = copy(keeper, name, built, verdict, &copied, &error);
    if (result < 0) {
        if (result != -ECANCELED)
            diag_warn("retention cannot write %s anew: %s", name->path, error.text);
        return result;
    }
    fault_hit("rewrite_built");
    result = room_replace(&keeper->room, built, name->path, false);
    fault_hit("rewrite_replaced");
    if (result < 0) {
        if (result != -ENOENT)
            diag_warn("retention cannot put %s in its place: %s", built, strerror(-result));
        return result;
    }
    diag_info("retention wrote %s anew without %" PRIu64 " of %" PRIu64 " entries, in %" PRIu64 " ms", name->path,
              copied.gone, copied.gone + copied.kept, (clock_monotonic_ns() - begun) / CLOCK_MILLISECOND);
    return 0;
}

static void choose(struct keeper *keeper, const struct partition_name *names, size_t count, uint64_t now_ns) {
    struct retention_share *shares = calloc(count + 1, sizeof(*shares));
    struct retention_verdict *verdicts = calloc(count + 1, sizeof(*verdicts));
    struct kept *kept;
    for (size_t i = 0; shares && verdicts && i < count && !keeper->stop; i++) {
        if (!(kept = look_at(keeper, &names[i])) || kept->failed)
            continue;
        shares[i] = kept->share;
        shares[i].ended_ns = i + 1 < count ? names[i + 1].created_ns : 0;
    }
    if (shares && verdicts)
        retention_judge(shares, count, &keeper->own, now_ns, verdicts);
    for (size_t i = 0; shares && verdicts && i < count && !keeper->stop; i++) {
        if (!verdicts[i].worth_it)
            continue;
        int result = write_anew(keeper, &names[i], &verdicts[i]);
        if (result == 0)
            keeper->last_look_ns = 0; /* there may be more */
        else if ((result == -EBADMSG || result == -EBUSY) && (kept = find_kept(keeper, names[i].path)))
            kept->failed = true; /* left as it is until it is another file */
        break;
    }
    free(shares);
    free(verdicts);
    forget_unseen(keeper);
}

void keeper_rewrite(struct keeper *keeper, uint64_t now_ns) {
    struct partition_name *names;
    size_t count;
    if (!retention_is_selective(&keeper->own) || partition_list(keeper->partitions->data_dir, &names, &count, NULL) < 0)
        return;
    if (count > 1)
        choose(keeper, names, count, now_ns);
    free(names);
}
