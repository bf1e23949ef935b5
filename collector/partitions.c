#include "collector/partitions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/fault.h"
#include "collector/limits.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/diag.h"
#include "common/store/partition_sum.h"
#include "common/store/state_keys.h"

/* --- references; the mutex is held --- */

static int ref_add(struct partitions *partitions, struct partition *partition, uint64_t first_sequence,
                   uint64_t created_ns, struct partition_ref **ret) {
    struct partition_ref *ref = malloc(sizeof(*ref));
    if (!ref)
        return -ENOMEM;
    *ref = (struct partition_ref) { partitions->open, partition, first_sequence, created_ns, 1, 0 };
    partitions->open = ref;
    *ret = ref;
    return 0;
}

static void ref_drop(struct partitions *partitions, struct partition_ref *ref) {
    if (!ref || --ref->references > 0)
        return;
    for (struct partition_ref **at = &partitions->open; *at; at = &(*at)->next)
        if (*at == ref) {
            *at = ref->next;
            break;
        }
    if (ref->partition)
        partition_close(ref->partition);
    free(ref);
}

static void set_current(struct partitions *partitions, struct partition_ref *ref) {
    ref_drop(partitions, partitions->current);
    partitions->current = ref;
    if (ref)
        snprintf(partitions->current_path, sizeof(partitions->current_path), "%s", partition_path(ref->partition));
}

/* --- making a new one --- */

static int put_state(void *argument, struct text key, struct text value) {
    return partition_state_put(argument, key, value, NULL);
}

/* All state and the ready mark in one transaction: from then on it is the authority. */
static int fill(struct partition *partition, const struct state_map *state, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(partition, true, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    if (result == 0) {
        meta.ready = 1;
        result = partition_meta_put(txn, &meta, error);
    }
    if (result == 0 && (result = state_map_walk(state, TEXT_EMPTY, put_state, txn)) < 0)
        error_set(error, result, "cannot carry the state over: %s", strerror(-result));
    if (result < 0) {
        partition_abort(txn);
        return result;
    }
    return partition_commit(txn, error);
}

static int close_old(struct partition *partition, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(partition, true, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    if (result == 0 && meta.closed_ns == 0) {
        meta.closed_ns = clock_real_ns();
        result = partition_meta_put(txn, &meta, error);
    }
    if (result < 0) {
        partition_abort(txn);
        return result;
    }
    return partition_commit(txn, error);
}

static int make_file(struct partitions *partitions, uint64_t first_sequence, unsigned flags,
                     char path[PARTITION_PATH_MAX], uint64_t *ret_created, struct partition **ret,
                     struct error *error) {
    struct partition_origin origin = partitions->origin;
    origin.flags |= flags;
    struct partition_meta meta = { .version = PARTITION_VERSION, .first_sequence = first_sequence };
    meta.created_ns = clock_real_ns();
    /* A name holds seconds: where it is taken, and so that a newer one sorts behind the authority, take a later one. */
    if (partitions->current && meta.created_ns < partitions->current->created_ns + CLOCK_SECOND)
        meta.created_ns = partitions->current->created_ns + CLOCK_SECOND;
    int result = random_bytes(&meta.id, sizeof(meta.id));
    if (result < 0)
        return error_set(error, result, "the kernel gives no random bytes");
    for (int attempt = 0; attempt < 60; attempt++, meta.created_ns += CLOCK_SECOND) {
        result = partition_make_path(partitions->data_dir, first_sequence, meta.created_ns, path);
        if (result < 0)
            return error_set(error, result, "cannot name a partition in %s", partitions->data_dir);
        result = partition_create_of(path, &meta, &origin, partitions->map_size, ret, error);
        if (result != -EEXIST)
            break;
    }
    *ret_created = meta.created_ns;
    if (result == 0)
        partition_set_growth(*ret, partitions->growth);
    return result;
}

/* A new authority that begins at first_sequence and holds *state; `old`, if there is one, is closed for good on the way. */
static int make_authority(struct partitions *partitions, const struct state_map *state, uint64_t first_sequence,
                          unsigned flags, struct partition *old, struct error *error) {
    char path[PARTITION_PATH_MAX];
    struct partition *fresh;
    struct partition_ref *ref = NULL;
    uint64_t created = 0;
    if (partitions->growth.grow) /* a new file is begun with so much */
        partitions->growth.grow(partitions->growth.argument, -1, 0, PARTITION_BYTES_NEW);
    int result = make_file(partitions, first_sequence, flags, path, &created, &fresh, error);
    if (result < 0)
        return result;
    fault_hit("roll_created");
    if (old)
        result = close_old(old, error);
    fault_hit("roll_closed");
    if (result == 0)
        result = fill(fresh, state, error);
    fault_hit("roll_ready");
    if (result == 0 && (result = ref_add(partitions, fresh, first_sequence, created, &ref)) < 0)
        error_set(error, result, "out of memory");
    if (result < 0) {
        partition_close(fresh);
        partition_unlink(path);
        return result;
    }
    set_current(partitions, ref);
    return 0;
}

/* --- the authority at start --- */

static int load_one(void *argument, struct text key, struct text value) {
    return state_map_put(argument, key, value);
}

static int load(struct partition *partition, struct partition_meta *meta, struct state_map *state,
                struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, meta, error);
    if (result == 0 && meta->ready)
        result = partition_state_walk(txn, TEXT_EMPTY, load_one, state, error);
    if (result == -ENOMEM)
        error_set(error, result, "%s: out of memory", partition_path(partition));
    partition_abort(txn);
    return result;
}

static bool is_damage(int result) {
    return result == -EBADMSG || result == -EFAULT;
}

/* It is not written any more. Where it can still be opened it stays, with a note that says so, and what is sound in it is served. A writer that
 * LMDB left in the middle holds the old lock for good: whoever reads on gets a new one. */
static void set_aside(const char *path, const char *why) {
    char name[PARTITION_PATH_MAX + 16];
    snprintf(name, sizeof(name), "%s-lock", path);
    (void)unlink(name);
    if (partition_looks_sound(path) && partition_sum_write_note(path, NULL, PARTITION_PARTLY, 1, why, NULL) == 0) {
        diag_info("what is sound in %s is still served", path);
        return;
    }
    snprintf(name, sizeof(name), "%s" PARTITION_ASIDE, path);
    if (rename(path, name) == 0)
        diag_info("what is left of it is %s", name);
    else if (errno != ENOENT)
        diag_error("cannot set the damaged partition %s aside: %s", path, strerror(errno));
    partition_unlink(path); /* its lock */
}

struct candidate {
    struct partition *partition;
    struct partition_meta meta;
    int result; /* 0: ready; 1: unfinished; negative: damaged or not to be opened */
};

static void look_at(struct partitions *partitions, const struct partition_name *name, struct state_map *state,
                    struct candidate *ret, struct error *error) {
    *ret = (struct candidate) { 0 };
    ret->result = partition_open(name->path, PARTITION_WRITE, partitions->map_size, &ret->partition, error);
    if (ret->result < 0)
        return;
    ret->result = load(ret->partition, &ret->meta, state, error);
    if (ret->result == 0 && !ret->meta.ready)
        ret->result = 1;
    if (ret->result != 0) {
        partition_close(ret->partition);
        ret->partition = NULL;
        state_map_finish(state);
    }
}

/* Unreadable, but the partition before it is still open for writing: then it never became ready, and nothing is lost with it. */
static bool never_became_ready(struct partitions *partitions, const struct partition_name *before) {
    struct state_map state = STATE_MAP_EMPTY;
    struct candidate candidate;
    look_at(partitions, before, &state, &candidate, NULL);
    bool open =
        candidate.result == 0 && candidate.meta.closed_ns == 0 && !partition_sum_exists(before->path); /* set_aside */
    if (candidate.partition)
        partition_close(candidate.partition);
    state_map_finish(&state);
    return open;
}

static int begin_after_damage(struct partitions *partitions, const struct partition_name *damaged, const char *why,
                              struct error *error) {
    struct state_map empty = STATE_MAP_EMPTY;
    diag_error("the store's newest partition %s is damaged: %s", damaged->path, why);
    diag_error("it is set aside; the rings are read on from where their own headers stand, inputs begin anew, and what "
               "was not yet in the store when it broke may be told again");
    uint64_t first = damaged->first_sequence + SEQUENCE_JUMP;
    int result = make_authority(partitions, &empty, first, PARTITION_JUMPED, NULL, error);
    if (result == 0)
        set_aside(damaged->path, why);
    return result;
}

static int take_authority(struct partitions *partitions, const struct partition_name *name,
                          const struct candidate *candidate, const struct state_map *state, struct error *error) {
    struct partition_ref *ref = NULL;
    int result = ref_add(partitions, candidate->partition, name->first_sequence, candidate->meta.created_ns, &ref);
    if (result < 0) {
        partition_close(candidate->partition);
        return error_set(error, result, "out of memory");
    }
    set_current(partitions, ref);
    if (candidate->meta.closed_ns == 0 && !partition_sum_exists(name->path))
        return 0;
    struct text value; /* killed in the middle of a roll: go on with it */
    struct state_sequence sequence = { .next = name->first_sequence };
    if (state_map_get(state, TEXT_LITERAL(STATE_SEQUENCE), &value))
        state_sequence_decode(value, &sequence);
    return make_authority(partitions, state, sequence.next, 0, NULL, error);
}

static int find_authority(struct partitions *partitions, struct state_map *state, struct error *error) {
    struct partition_name *names;
    size_t count;
    int result = partition_list(partitions->data_dir, &names, &count, error);
    if (result < 0)
        return result;
    bool found = false;
    while (count > 0 && !found && result == 0) {
        struct candidate candidate;
        struct error why = { "" };
        const struct partition_name *name = &names[--count];
        look_at(partitions, name, state, &candidate, &why);
        if (candidate.result == 0) {
            result = take_authority(partitions, name, &candidate, state, error);
            found = true;
        } else if (candidate.result == 1 ||
                   (is_damage(candidate.result) && count > 0 && never_became_ready(partitions, &names[count - 1]))) {
            diag_info("removed %s, a partition whose making was cut short", name->path);
            partition_unlink(name->path);
        } else if (is_damage(candidate.result)) {
            result = begin_after_damage(partitions, name, why.text, error);
            found = true;
        } else {
            result = error_set(error, candidate.result, "%s", why.text);
        }
    }
    free(names);
    if (result == 0 && !found)
        result = make_authority(partitions, state, 0, 0, NULL, error);
    return result;
}

/* The folder, without what a kill in the middle of partition_create left (NAME.mdb.new and its lock). */
static int make_folder(const char *data_dir, bool at_start, struct error *error) {
    char path[PATHS_MAX + 8];
    snprintf(path, sizeof(path), "%s/logs", data_dir);
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the folder %s: %s", path, strerror(errno));
    int parent = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* its name must outlast a power cut */
    if (parent < 0 || (fsync(parent) < 0 && errno != EINVAL)) {
        int result = error_set(error, -errno, "cannot write the folder %s to disk: %s", data_dir, strerror(errno));
        if (parent >= 0)
            close(parent);
        return result;
    }
    close(parent);
    if (!at_start)
        return 0;
    DIR *folder = opendir(path);
    if (!folder)
        return error_set(error, -errno, "cannot look into %s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *left = strstr(entry->d_name, ".mdb.new");
        if (left && unlinkat(dirfd(folder), entry->d_name, 0) == 0 && strcmp(left, ".mdb.new") == 0)
            diag_info("removed %s/%s, a partition whose making was cut short", path, entry->d_name);
    }
    closedir(folder);
    return 0;
}

int partitions_set_origin(struct partitions *partitions, const struct partition_origin *origin, struct error *error) {
    struct buffer bytes = BUFFER_EMPTY;
    struct partition_origin own;
    int result = partition_origin_encode(origin, &bytes);
    if (result == 0)
        result = partition_origin_decode(buffer_text(&bytes), &own);
    if (result < 0) {
        buffer_finish(&bytes);
        return error_set(error, result, "cannot keep labels and host for the store: %s", strerror(-result));
    }
    free(partitions->origin_bytes);
    partitions->origin = own;
    partitions->origin_bytes = bytes.data;
    return 0;
}

int partitions_open(struct partitions *partitions, const char *data_dir, uint64_t map_size, struct state_map *state,
                    struct error *error) {
    *partitions = (struct partitions) { .mutex = PTHREAD_MUTEX_INITIALIZER,
                                        .map_size = map_size,
                                        .origin = partitions->origin,
                                        .origin_bytes = partitions->origin_bytes };
    if (strlen(data_dir) >= sizeof(partitions->data_dir))
        return error_set(error, -ENAMETOOLONG, "the name of data_dir is too long");
    memcpy(partitions->data_dir, data_dir, strlen(data_dir) + 1);
    int result = make_folder(data_dir, true, error);
    if (result == 0)
        result = find_authority(partitions, state, error);
    if (result < 0)
        partitions_close(partitions);
    else
        partition_reader_check(partitions->current->partition);
    return result;
}

void partitions_close(struct partitions *partitions) {
    set_current(partitions, NULL);
    check(!partitions->open); /* the output has given back what it had */
    free(partitions->origin_bytes);
    partitions->origin = PARTITION_ORIGIN_EMPTY;
    partitions->origin_bytes = NULL;
}

static int roll(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence, unsigned flags,
                struct error *error) {
    pthread_mutex_lock(&partitions->mutex);
    struct partition *old = partitions->current->partition;
    int result = old ? make_authority(partitions, state, next_sequence, flags, old, error)
                     : error_set(error, -EAGAIN, "the store's newest partition is not open");
    pthread_mutex_unlock(&partitions->mutex);
    return result;
}

int partitions_roll(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence,
                    struct error *error) {
    return roll(partitions, state, next_sequence, 0, error);
}

int partitions_roll_ahead(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence,
                          struct error *error) {
    return roll(partitions, state, next_sequence, PARTITION_JUMPED, error);
}

void partitions_set_growth(struct partitions *partitions, struct partition_growth growth) {
    pthread_mutex_lock(&partitions->mutex);
    partitions->growth = growth;
    if (partitions->current && partitions->current->partition)
        partition_set_growth(partitions->current->partition, growth);
    pthread_mutex_unlock(&partitions->mutex);
}

/* The authority's file closed and opened again: after a failed write LMDB takes no more of an environment. Its partition is
 * NULL where that fails. */
static int open_again(struct partitions *partitions, const char *path, struct error *error) {
    struct partition_ref *current = partitions->current;
    struct partition_meta meta;
    struct state_map ignored = STATE_MAP_EMPTY;
    if (current->partition)
        current->committed = partition_committed(current->partition);
    partition_close(current->partition);
    current->partition = NULL;
    int result = partition_settle(path, current->committed, error);
    if (result == 0)
        result = partition_open(path, PARTITION_WRITE, partitions->map_size, &current->partition, error);
    if (result < 0) {
        current->partition = NULL;
        return result;
    }
    partition_set_growth(current->partition, partitions->growth);
    result = load(current->partition, &meta, &ignored, error);
    state_map_finish(&ignored);
    return result;
}

/* Whether closing and opening it again is worth a try. After a fault inside LMDB its writer's lock is held for good. */
static int check_open(const struct partition *partition, struct error *error) {
    if (partition_is_faulted(partition))
        return error_set(error, -EBADMSG, "LMDB was led out of its file, or the file was cut");
    return partition_check_place(partition, error);
}

int partitions_reopen(struct partitions *partitions, const struct state_map *state, uint64_t next_sequence,
                      bool damaged, struct error *error) {
    struct error why = { "" };
    pthread_mutex_lock(&partitions->mutex);
    int result = -EBUSY;
    if (partitions->current->references > 1)
        error_set(&why, result, "the output is just reading"); /* for the length of one block */
    else if (!partitions->current->partition || (result = check_open(partitions->current->partition, &why)) == 0)
        result = open_again(partitions, partitions->current_path, &why);
    if (result == -ENOENT)
        result = error_set(&why, -EBADMSG, "its file was removed");
    if (result == 0 && damaged)
        result = error_set(&why, -EBADMSG, "it opens well, but cannot be written to");
    if (is_damage(result)) {
        char path[PARTITION_PATH_MAX];
        snprintf(path, sizeof(path), "%s", partitions->current_path);
        diag_error("the store's partition %s is damaged: %s; it is set aside and a new one is begun", path, why.text);
        result = make_folder(partitions->data_dir, false, error);
        if (result == 0)
            result = make_authority(partitions, state, next_sequence, 0, NULL, error);
        if (result == 0)
            set_aside(path, why.text);
    } else if (result < 0) {
        error_set(error, result, "%s", why.text);
    }
    pthread_mutex_unlock(&partitions->mutex);
    return result;
}

/* --- for the output --- */

static struct partition_ref *find_open(struct partitions *partitions, const char *path) {
    for (struct partition_ref *ref = partitions->open; ref; ref = ref->next)
        if (ref->partition && strcmp(partition_path(ref->partition), path) == 0)
            return ref;
    return NULL;
}

/* A closed partition, open already or opened now, with one reference more; the mutex is held. */
static int acquire_closed(struct partitions *partitions, const struct partition_name *name, struct partition_ref **ret,
                          struct error *error) {
    struct partition *partition;
    struct partition_ref *ref = find_open(partitions, name->path);
    if (ref) {
        ref->references++;
        *ret = ref;
        return 0;
    }
    struct partition_note note;
    if (partition_sum_note(name->path, &note) == 1 && note.verdict == PARTITION_UNREADABLE)
        return error_set(error, -EBADMSG, "%s: %s", name->path, note.why);
    int result = partition_open(name->path, PARTITION_READ, 0, &partition, error);
    if (result < 0)
        return result;
    result = ref_add(partitions, partition, name->first_sequence, name->created_ns, ret);
    if (result == 0)
        return 0;
    partition_close(partition);
    return error_set(error, result, "out of memory");
}

static int acquire(struct partitions *partitions, uint64_t sequence, struct partition_ref **ret, uint64_t *ret_next,
                   struct error *error) {
    struct partition_ref *current = partitions->current;
    struct partition_name *names = NULL;
    size_t count = 0, at = 0;
    *ret_next = 0;
    if (sequence < current->first_sequence) {
        int result = partition_list(partitions->data_dir, &names, &count, error);
        if (result < 0)
            return result;
        while (at + 1 < count && names[at + 1].first_sequence <= sequence)
            at++;
        if (count > 0 && names[at].first_sequence < current->first_sequence) {
            *ret_next = at + 1 < count ? names[at + 1].first_sequence : current->first_sequence;
            result = acquire_closed(partitions, &names[at], ret, error);
            free(names);
            return result;
        }
        free(names);
    }
    if (!current->partition)
        return error_set(error, -EAGAIN, "the store's newest partition is not open");
    current->references++;
    *ret = current;
    return 0;
}

int partitions_acquire(struct partitions *partitions, uint64_t sequence, struct partition_ref **ret, uint64_t *ret_next,
                       struct error *error) {
    pthread_mutex_lock(&partitions->mutex);
    int result = acquire(partitions, sequence, ret, ret_next, error);
    pthread_mutex_unlock(&partitions->mutex);
    return result;
}

int partitions_acquire_named(struct partitions *partitions, const struct partition_name *name,
                             struct partition_ref **ret, struct error *error) {
    pthread_mutex_lock(&partitions->mutex);
    int result = acquire_closed(partitions, name, ret, error);
    pthread_mutex_unlock(&partitions->mutex);
    return result;
}

void partitions_release(struct partitions *partitions, struct partition_ref *ref) {
    pthread_mutex_lock(&partitions->mutex);
    ref_drop(partitions, ref);
    pthread_mutex_unlock(&partitions->mutex);
}
