/* The reader's members: partitions as they come and go, and what is known of each before it is read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/store/reader_private.h"
#include "common/store/verify.h"

/* A partition that was closed so lately may have no sum yet: it is read with the care that an open one is. */
#define SUM_DUE_NS (UINT64_C(600) * CLOCK_SECOND)

bool reader_is_passing(int result) {
    return result == -ENOMEM || result == -EAGAIN || result == -EMFILE || result == -ENFILE;
}

void reader_tell_once(struct store_reader *reader, struct member *member, const char *why) {
    if (member->why[0])
        return;
    snprintf(member->why, sizeof(member->why), "%s", why);
    if (reader->damaged)
        reader->damaged(reader->argument, member->path, why);
}

static void close_member(struct member *member) {
    partition_close(member->partition);
    member->partition = NULL;
}

void reader_tell_damaged(struct store_reader *reader, struct member *member, const char *why) {
    close_member(member);
    member->damaged = true;
    reader_tell_once(reader, member, why);
}

/* --- what is known of one --- */

static void take_verdict(struct store_reader *reader, struct member *member, enum partition_verdict verdict,
                         const char *why) {
    member->verdict = verdict;
    if (verdict == PARTITION_UNREADABLE)
        reader_tell_damaged(reader, member, why);
    else if (verdict == PARTITION_PARTLY)
        reader_tell_once(reader, member, why);
}

/* What the collector has noted of the file as it is. */
static void look_at_note(struct store_reader *reader, struct member *member) {
    struct partition_note note;
    if (partition_sum_note(member->path, &note) == 1)
        take_verdict(reader, member, note.verdict, note.why);
}

bool reader_use(struct store_reader *reader, struct member *member) {
    struct verify_result result;
    if (!member->partition || member->verdict != PARTITION_UNCHECKED || member->meta.closed_ns == 0)
        return member->partition != NULL;
    uint64_t now = clock_real_ns(), closed = member->meta.closed_ns;
    if (closed <= now && now - closed < SUM_DUE_NS && !partition_sum_exists(member->path))
        return true;
    /* Where no process can be had it is read all the same: guarded, and every value by its checksum. */
    if (verify_partition(member->path, VERIFY_QUICK, NULL, NULL, &result, NULL) == 0)
        take_verdict(reader, member, result.verdict, result.why);
    return member->partition != NULL;
}

/* --- members come and go --- */

static int load_meta(struct member *member, struct error *error) {
    struct partition_txn *txn;
    int result = partition_begin(member->partition, false, &txn, error);
    if (result == 0) {
        result = partition_meta_get(txn, &member->meta, error);
        partition_abort(txn);
    }
    return result;
}

/* Open the member's file. 0 also when it is damaged (told), not ready yet or gone again; negative when nobody may read. */
static int open_member(struct store_reader *reader, struct member *member, struct error *error) {
    struct error why = { "" };
    look_at_note(reader, member);
    if (member->damaged)
        return 0;
    int result = partition_open(member->path, PARTITION_READ, 0, &member->partition, &why);
    if (result == 0) {
        (void)partition_reader_check(
            member->partition); /* a dead reader's slot holds pages: worth a look, not worth an error */
        result = load_meta(member, &why);
    }
    if (result == 0 && member->meta.ready)
        return 0;
    if (result == -EACCES || reader_is_passing(result)) {
        close_member(member);
        return error_set(error, result, "%s", why.text);
    }
    if (result < 0 && result != -ENOENT)
        reader_tell_damaged(reader, member, why.text);
    close_member(member);
    return 0;
}

static struct member *find_member(struct store_reader *reader, const char *path) {
    for (size_t i = 0; i < reader->count; i++) {
        if (strcmp(reader->members[i]->path, path) == 0)
            return reader->members[i];
    }
    return NULL;
}

static struct member *add_member(struct store_reader *reader, const char *path) {
    if (reader->count == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 16;
        struct member **members = reallocarray(reader->members, capacity, sizeof(*members));
        if (!members)
            return NULL;
        reader->members = members;
        reader->capacity = capacity;
    }
    struct member *member = calloc(1, sizeof(*member));
    if (!member)
        return NULL;
    snprintf(member->path, sizeof(member->path), "%s", path);
    return reader->members[reader->count++] = member;
}

static void drop_member(struct store_reader *reader, size_t index) {
    partition_close(reader->members[index]->partition);
    free(reader->members[index]);
    reader->count--;
    memmove(reader->members + index, reader->members + index + 1, (reader->count - index) * sizeof(reader->members[0]));
}

/* It is another file, or one that is not written has changed: all that was known of it is void. */
static bool has_changed(const struct member *member, const struct stat *status) {
    if (member->device != status->st_dev || member->inode != status->st_ino)
        return true;
    bool rests = member->damaged || member->meta.closed_ns != 0 || member->verdict != PARTITION_UNCHECKED;
    return rests && (member->size != status->st_size || member->changed.tv_sec != status->st_ctim.tv_sec ||
                     member->changed.tv_nsec != status->st_ctim.tv_nsec);
}

static void forget(struct member *member) {
    close_member(member);
    member->damaged = false;
    member->verdict = PARTITION_UNCHECKED;
    member->why[0] = '\0';
    member->meta = (struct partition_meta) { 0 };
}

static void note_identity(struct member *member, const struct stat *status, const struct timespec *sum) {
    member->device = status->st_dev;
    member->inode = status->st_ino;
    member->size = status->st_size;
    member->changed = status->st_ctim;
    member->sum = *sum;
    member->seen = true;
}

/* When its sum was written; 0 without one. */
static struct timespec sum_time(const char *path) {
    char name[PARTITION_PATH_MAX + 8];
    struct stat status;
    snprintf(name, sizeof(name), "%s.sum", path);
    return stat(name, &status) < 0 ? (struct timespec) { 0 } : status.st_mtim;
}

static int refresh_one(struct store_reader *reader, const struct partition_name *name, bool newest,
                       struct error *error) {
    struct stat status;
    struct member *member = find_member(reader, name->path);
    if (stat(name->path, &status) < 0)
        return 0; /* gone meanwhile: dropped as not seen */
    struct timespec sum = sum_time(name->path);
    if (member && has_changed(member, &status))
        forget(member);
    if (!member)
        member = add_member(reader, name->path);
    if (!member)
        return error_set(error, -ENOMEM, "%s: out of memory", name->path);
    bool news = sum.tv_sec != member->sum.tv_sec || sum.tv_nsec != member->sum.tv_nsec;
    note_identity(member, &status, &sum);
    if (news && member->verdict != PARTITION_UNCHECKED) /* looked at anew by the collector */
        forget(member);
    if (!member->partition)
        return member->damaged ? 0 : open_member(reader, member, error);
    if (!newest && member->meta.closed_ns == 0) /* closed since? */
        (void)load_meta(member, NULL);
    if (news)
        look_at_note(reader, member);
    return 0;
}

static int compare_members(const void *left, const void *right) {
    const struct partition_meta *a = &(*(struct member *const *)left)->meta,
                                *b = &(*(struct member *const *)right)->meta;
    if (a->first_sequence != b->first_sequence)
        return a->first_sequence < b->first_sequence ? -1 : 1;
    return (a->created_ns > b->created_ns) - (a->created_ns < b->created_ns);
}

int store_reader_refresh(struct store_reader *reader, struct error *error) {
    struct partition_name *names;
    size_t count;
    int result = partition_list(reader->data_dir, &names, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < reader->count; i++)
        reader->members[i]->seen = false;
    for (size_t i = 0; i < count && result == 0; i++)
        result = refresh_one(reader, &names[i], i + 1 == count, error);
    free(names);
    if (result < 0)
        return result;
    for (size_t i = reader->count; i-- > 0;) {
        if (!reader->members[i]->seen)
            drop_member(reader, i);
    }
    if (reader->count > 1)
        qsort(reader->members, reader->count, sizeof(reader->members[0]), compare_members);
    return 0;
}

int store_reader_open(const char *data_dir, void (*damaged)(void *argument, const char *path, const char *why),
                      void *argument, struct store_reader **ret, struct error *error) {
    struct store_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return error_set(error, -ENOMEM, "out of memory");
    reader->damaged = damaged;
    reader->argument = argument;
    int result = snprintf(reader->data_dir, sizeof(reader->data_dir), "%s", data_dir) < (int)sizeof(reader->data_dir)
                     ? store_reader_refresh(reader, error)
                     : error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    if (result < 0) {
        store_reader_close(reader);
        return result;
    }
    *ret = reader;
    return 0;
}

void store_reader_close(struct store_reader *reader) {
    if (!reader)
        return;
    while (reader->count > 0)
        drop_member(reader, reader->count - 1);
    free(reader->members);
    buffer_finish(&reader->value);
    reader_free_batch(reader->batch);
    free(reader);
}

/* --- what is wrong with them --- */

size_t store_reader_trouble(const struct store_reader *reader, char ret[ERROR_TEXT_SIZE]) {
    char aside[PARTITION_PATH_MAX];
    size_t count = partition_count_aside(reader->data_dir, aside);
    ret[0] = '\0';
    if (count > 0)
        snprintf(ret, ERROR_TEXT_SIZE, "%.200s was set aside; look at it, and remove it to end this warning", aside);
    for (size_t i = 0; i < reader->count; i++) {
        const struct member *member = reader->members[i];
        const char *base = strrchr(member->path, '/');
        if (!member->why[0])
            continue;
        if (count++ == 0)
            snprintf(ret, ERROR_TEXT_SIZE, "%.120s: %.350s", base ? base + 1 : member->path, member->why);
    }
    return count;
}
