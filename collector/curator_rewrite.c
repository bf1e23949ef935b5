/* Levels and services that go earlier than all else: which closed partitions have some, and one of them written anew. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "collector/fault.h"
#include "collector/curator_private.h"
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
static int count_some(const struct curator *curator, struct partition *partition, uint64_t *next,
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
            count_value(share, &curator->own, &index);
            index_entry_finish(&index);
        }
        *next = key + 1;
    }
    partition_abort(txn);
    return result;
}

static int read_share(struct curator *curator, struct kept *kept, const struct partition_name *name) {
    struct partition_ref *ref;
    struct error error = { "" };
    struct retention_share share = { .size = name->size };
    uint64_t next = 0;
    int result = partitions_acquire_named(curator->partitions, name, &ref, &error);
    if (result < 0)
        return result;
    share.rewritten_ns = partition_origin(ref->partition)->rewritten_ns;
    while (!curator->stop && (result = count_some(curator, ref->partition, &next, &share, &error)) == 1)
        ;
    partitions_release(curator->partitions, ref);
    kept->share = share;
    return result < 0 ? result : 0;
}

static struct kept *find_kept(struct curator *curator, const char *path) {
    for (size_t i = 0; i < curator->kept_count; i++)
        if (strcmp(curator->kept[i].path, path) == 0)
            return &curator->kept[i];
    if (curator->kept_count == curator->kept_capacity) {
        size_t capacity = curator->kept_capacity ? curator->kept_capacity * 2 : 16;
        struct kept *grown = reallocarray(curator->kept, capacity, sizeof(*grown));
        if (!grown)
            return NULL;
        curator->kept = grown;
        curator->kept_capacity = capacity;
    }
    struct kept *kept = &curator->kept[curator->kept_count++];
    *kept = (struct kept) { 0 };
    snprintf(kept->path, sizeof(kept->path), "%s", path);
    return kept;
}

static struct kept *look_at(struct curator *curator, const struct partition_name *name) {
    struct stat status;
    struct kept *kept = find_kept(curator, name->path);
    if (!kept || stat(name->path, &status) < 0)
        return NULL;
    kept->seen = true;
    if (kept->read && kept->device == status.st_dev && kept->inode == status.st_ino && kept->size == status.st_size)
        return kept;
    kept->device = status.st_dev;
    kept->inode = status.st_ino;
    kept->size = status.st_size;
    kept->read = true;
    kept->failed = read_share(curator, kept, name) < 0; /* damaged: not for us to tell */
    return kept;
}

static void forget_unseen(struct curator *curator) {
    size_t left = 0;
    for (size_t i = 0; i < curator->kept_count; i++)
        if (curator->kept[i].seen)
            curator->kept[left++] = curator->kept[i];
    curator->kept_count = left;
    for (size_t i = 0; i < left; i++)
        curator->kept[i].seen = false;
}

void curator_rewrite_finish(struct curator *curator) {
    free(curator->kept);
    curator->kept = NULL;
    curator->kept_count = curator->kept_capacity = 0;
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

static int copy(struct curator *curator, const struct partition_name *name, const char *built,
                const struct retention_verdict *verdict, struct partition_copied *ret, struct error *error) {
    struct judging judging = { &curator->own, verdict };
    struct partition_ref *ref;
    int result = partitions_acquire_named(curator->partitions, name, &ref, error);
    if (result < 0)
        return result;
    const struct partition_copy_job job = {
        .from = ref->partition,
        .path = built,
        .flags = PARTITION_REWRITTEN,
        .rewritten_ns = clock_real_ns(),
        .keep = keep,
        .keep_argument = &judging,
        .growth = { room_grow_beside, &curator->room },
        .between = curator_between,
        .between_argument = curator,
    };
    partition_unlink(built);
    curator->room.pressed = false;
    curator->step_ns = clock_monotonic_ns();
    result = partition_copy(&job, ret, error);
    partitions_release(curator->partitions, ref);
    return result;
}

static int write_anew(struct curator *curator, const struct partition_name *name,
                      const struct retention_verdict *verdict) {
    char built[PARTITION_PATH_MAX + 8];
    struct partition_copied copied;
    struct error error = { "" };
    uint64_t begun = clock_monotonic_ns();
    snprintf(built, sizeof(built), "%s.new", name->path);
    int result = copy(curator, name, built, verdict, &copied, &error);
    if (result < 0) {
        if (result != -ECANCELED)
            diag_warn("retention cannot write %s anew: %s", name->path, error.text);
        return result;
    }
    fault_hit("rewrite_built");
    result = room_replace(&curator->room, built, name->path, false);
    fault_hit("rewrite_replaced");
    if (result < 0) {
        if (result != -ENOENT)
            diag_warn("retention cannot put %s in its place: %s", built, strerror(-result));
        return result;
    }
    atomic_fetch_add(&curator->rewritten, 1);
    diag_info("retention wrote %s anew without %" PRIu64 " of %" PRIu64 " entries, in %" PRIu64 " ms", name->path,
              copied.gone, copied.gone + copied.kept, (clock_monotonic_ns() - begun) / CLOCK_MILLISECOND);
    return 0;
}

/* Whether what stands in the newest partition matters, too. */
static bool asks_for_size(const struct config_retention *limits) {
    for (size_t i = 0; i < limits->service_count; i++)
        if (limits->services[i].max_size)
            return true;
    return false;
}

static void choose(struct curator *curator, const struct partition_name *names, size_t count, uint64_t now_ns) {
    struct retention_share *shares = calloc(count + 1, sizeof(*shares));
    struct retention_verdict *verdicts = calloc(count + 1, sizeof(*verdicts));
    struct kept *kept;
    for (size_t i = 0; shares && verdicts && i < count && !curator->stop; i++) {
        if (i + 1 == count && !asks_for_size(&curator->own)) /* the newest changes all the time */
            continue;
        if (!(kept = look_at(curator, &names[i])) || kept->failed)
            continue;
        shares[i] = kept->share;
        shares[i].ended_ns = i + 1 < count ? names[i + 1].created_ns : 0;
    }
    if (shares && verdicts)
        retention_judge(shares, count, &curator->own, now_ns, verdicts);
    for (size_t i = 0; shares && verdicts && i < count && !curator->stop; i++) {
        if (!verdicts[i].worth_it)
            continue;
        int result = write_anew(curator, &names[i], &verdicts[i]);
        if (result == 0)
            curator->last_look_ns = 0; /* there may be more */
        else if ((result == -EBADMSG || result == -EBUSY) && (kept = find_kept(curator, names[i].path)))
            kept->failed = true; /* left as it is until it is another file */
        break;
    }
    free(shares);
    free(verdicts);
    forget_unseen(curator);
}

void curator_rewrite(struct curator *curator, uint64_t now_ns) {
    struct partition_name *names;
    size_t count;
    if (!retention_is_selective(&curator->own) ||
        partition_list(curator->partitions->data_dir, &names, &count, NULL) < 0)
        return;
    if (count > 1)
        choose(curator, names, count, now_ns);
    free(names);
}
