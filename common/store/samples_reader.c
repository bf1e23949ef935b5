/* samples_reader.c - partitions of samples as they come and go, for who reads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/store/samples_reader_private.h"

static bool is_passing(int result) {
    return result == -ENOMEM || result == -EAGAIN || result == -EMFILE || result == -ENFILE || result == -EACCES;
}

void samples_member_tell(struct samples_reader *reader, struct samples_member *member, const char *why) {
    if (member->told)
        return;
    member->told = true;
    if (reader->damaged)
        reader->damaged(reader->argument, member->path, why);
}

int samples_member_result(struct samples_reader *reader, struct samples_member *member, int result,
                          const struct error *why, struct error *error) {
    if (result >= 0)
        return result;
    if (is_passing(result))
        return error_set(error, result, "%s", why->text);
    samples_member_tell(reader, member, why->text);
    if (member->partition && partition_is_faulted(member->partition)) {
        partition_close(member->partition);
        member->partition = NULL;
        member->passed_over = true;
    }
    return 0;
}

static int load_head(struct samples_member *member, bool *ret_ready, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    *ret_ready = result == 0 && meta.ready;
    if (*ret_ready)
        result = samples_head_get(txn, &member->head, error);
    partition_abort(txn);
    return result;
}

int samples_member_use(struct samples_reader *reader, struct samples_member *member, struct error *error) {
    struct error why = { "" };
    bool ready = false;
    if (member->partition || member->passed_over)
        return member->partition != NULL;
    int result = partition_samples_open(member->path, PARTITION_READ, 0, &member->partition, &why);
    if (result == 0) {
        (void)partition_reader_check(member->partition); /* a dead reader's slot holds pages */
        result = load_head(member, &ready, &why);
    }
    if (result == 0 && ready)
        return 1;
    partition_close(member->partition);
    member->partition = NULL;
    if (result == 0 || result == -ENOENT) /* it is being made, or just went */
        return 0;
    result = samples_member_result(reader, member, result, &why, error);
    member->passed_over = result == 0;
    return result;
}

bool samples_member_may_have(const struct samples_member *member, uint64_t start_ns, uint64_t end_ns) {
    if (member->first_ns == 0)
        return true;
    return member->first_ns <= end_ns && samples_day_of(member->first_ns) >= samples_day_of(start_ns);
}

/* --- members come and go --- */

static struct samples_member *find_member(struct samples_reader *reader, const char *path, const struct stat *status) {
    for (size_t i = 0; i < reader->count; i++) {
        struct samples_member *member = reader->members[i];
        if (member->device == status->st_dev && member->inode == status->st_ino && strcmp(member->path, path) == 0)
            return member;
    }
    return NULL;
}

static int add_member(struct samples_reader *reader, const struct partition_name *name, const struct stat *status) {
    if (reader->count == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 16;
        struct samples_member **members = reallocarray(reader->members, capacity, sizeof(*members));
        if (!members)
            return -ENOMEM;
        reader->members = members;
        reader->capacity = capacity;
    }
    struct samples_member *member = calloc(1, sizeof(*member));
    if (!member)
        return -ENOMEM;
    snprintf(member->path, sizeof(member->path), "%s", name->path);
    member->first_ns = samples_is_name(name->path) ? name->first_sequence : 0;
    member->device = status->st_dev;
    member->inode = status->st_ino;
    member->seen = true;
    reader->members[reader->count++] = member;
    return 0;
}

static int compare(const void *left, const void *right) {
    const struct samples_member *a = *(struct samples_member *const *)left, *b = *(struct samples_member *const *)right;
    if (a->first_ns != b->first_ns)
        return a->first_ns < b->first_ns ? -1 : 1;
    return strcmp(a->path, b->path);
}

int samples_reader_refresh(struct samples_reader *reader, struct error *error) {
    struct partition_name *names = NULL;
    size_t count = 0;
    int result = samples_list(reader->data_dir, &names, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < reader->count; i++)
        reader->members[i]->seen = false;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct stat status;
        if (stat(names[i].path, &status) < 0)
            continue;
        struct samples_member *member = find_member(reader, names[i].path, &status);
        if (member)
            member->seen = true;
        else
            result = add_member(reader, &names[i], &status);
    }
    free(names);
    for (size_t i = 0; i < reader->count && result == 0; i++) {
        struct samples_member *member = reader->members[i];
        if (member->seen)
            continue;
        partition_close(member->partition);
        member->partition = NULL;
        member->passed_over = true;
    }
    if (reader->count > 1)
        qsort(reader->members, reader->count, sizeof(reader->members[0]), compare);
    return result < 0 ? error_set(error, result, "metric history: out of memory") : 0;
}

int samples_reader_open(const char *data_dir, void (*damaged)(void *argument, const char *path, const char *why),
                        void *argument, struct samples_reader **ret, struct error *error) {
    struct samples_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return error_set(error, -ENOMEM, "metric history: out of memory");
    snprintf(reader->data_dir, sizeof(reader->data_dir), "%s", data_dir);
    reader->damaged = damaged;
    reader->argument = argument;
    int result = samples_reader_refresh(reader, error);
    if (result < 0) {
        samples_reader_close(reader);
        return result;
    }
    *ret = reader;
    return 0;
}

void samples_reader_close(struct samples_reader *reader) {
    if (!reader)
        return;
    for (size_t i = 0; i < reader->count; i++) {
        partition_close(reader->members[i]->partition);
        free(reader->members[i]);
    }
    free(reader->members);
    free(reader);
}
