#include "collector/spill.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/fault.h"
#include "collector/limits.h"
#include "collector/spill_frame.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/store/state_keys.h"

enum { SPILL_PATH_SIZE = PATHS_MAX + 32 };

static void file_path(const struct spill *spill, uint64_t id, char out[SPILL_PATH_SIZE]) {
    snprintf(out, SPILL_PATH_SIZE, "%s/spill-%016" PRIx64, spill->dir, id);
}

/* A name must outlast a power cut before what stands under it counts. */
static int sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = fsync(fd) < 0 && errno != EINVAL ? -errno : 0; /* EINVAL: a file system that needs none */
    close(fd);
    return result;
}

static int read_at(int fd, uint64_t offset, char *out, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, out + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        done += (size_t)got;
    }
    return 0;
}

static int write_at(int fd, uint64_t offset, const char *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(fd, data + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -ENOSPC;
        done += (size_t)put;
    }
    return 0;
}

/* --- reading frames --- */

/* The frame at `offset`, whole and within the file, into spill->frame: 0, -EBADMSG when there is none. */
static int frame_read(struct spill *spill, uint64_t offset, uint64_t *ret_length) {
    char header[SPILL_FRAME_HEADER];
    uint64_t length;
    if (spill->end - offset < SPILL_FRAME_HEADER + SPILL_FRAME_TAIL)
        return -EBADMSG;
    int result = read_at(spill->fd, offset, header, sizeof(header));
    if (result < 0)
        return result;
    result = spill_frame_length((struct text) { header, sizeof(header) }, spill->id, offset, &length);
    if (result < 0 || length > spill->end - offset)
        return -EBADMSG;
    *ret_length = length;
    buffer_clear(&spill->frame);
    if (!buffer_reserve(&spill->frame, (size_t)length))
        return -ENOMEM;
    spill->frame.length = (size_t)length;
    return read_at(spill->fd, offset, spill->frame.data, (size_t)length);
}

/* Decode the frame at offset. *ret_length is set where the frame's extent is known although its content is bad; else 0. */
static int frame_load(struct spill *spill, uint64_t offset, struct batch *batch, uint64_t *ret_length) {
    *ret_length = 0;
    int result = frame_read(spill, offset, ret_length);
    if (result < 0)
        return result;
    result = spill_frame_decode(buffer_text(&spill->frame), spill->id, offset, batch);
    if (result < 0)
        batch_clear(batch);
    return result;
}

/* 1, 0; or negative. */
static int begins_frame(struct spill *spill, uint64_t offset) {
    char header[SPILL_FRAME_HEADER];
    uint64_t length;
    if (spill->end - offset < sizeof(header))
        return 0;
    int result = read_at(spill->fd, offset, header, sizeof(header));
    if (result < 0)
        return result == -ENODATA ? 0 : result;
    return spill_frame_length((struct text) { header, sizeof(header) }, spill->id, offset, &length) == 0;
}

/* Where the next frame behind a damaged one at `offset` begins, by its magic and its own word for its place; the end, if there is
 * none. Negative where the file cannot be read. */
static int next_frame(struct spill *spill, uint64_t offset, uint64_t *ret_next) {
    char window[64 * 1024], magic[8];
    state_u64_put(magic, SPILL_FRAME_MAGIC);
    for (uint64_t at = offset + 1; at + sizeof(magic) <= spill->end; at += sizeof(window) - sizeof(magic) + 1) {
        size_t size = spill->end - at < sizeof(window) ? (size_t)(spill->end - at) : sizeof(window);
        int result = read_at(spill->fd, at, window, size);
        if (result < 0 && result != -ENODATA)
            return result;
        if (result < 0)
            break;
        for (const char *from = window, *found;
             (found = memmem(from, size - (size_t)(from - window), magic, sizeof(magic))); from = found + 1) {
            *ret_next = at + (uint64_t)(found - window);
            result = begins_frame(spill, *ret_next);
            if (result != 0)
                return result < 0 ? result : 0;
        }
    }
    *ret_next = spill->end;
    return 0;
}

/* --- opening --- */

struct found {
    uint64_t *ids;
    size_t count;
};

static int compare_ids(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int find_files(const struct spill *spill, struct found *found) {
    DIR *dir = opendir(spill->dir);
    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        uint64_t id;
        int used = 0;
        if (sscanf(entry->d_name, "spill-%16" SCNx64 "%n", &id, &used) != 1 || entry->d_name[used] || used != 22)
            continue;
        uint64_t *grown = realloc(found->ids, (found->count + 1) * sizeof(*grown));
        if (!grown) {
            closedir(dir);
            return -ENOMEM; /* a file that is not seen would be lost */
        }
        found->ids = grown;
        found->ids[found->count++] = id;
    }
    int result = -errno; /* likewise */
    closedir(dir);
    if (found->count > 1)
        qsort(found->ids, found->count, sizeof(*found->ids), compare_ids);
    return result;
}

/* Walk the frames not yet in the store: their puts are newer than the store's state. What follows the last whole frame is cut off. */
static int apply_frames(struct spill *spill, struct state_map *state) {
    struct batch batch = BATCH_EMPTY;
    uint64_t at = spill->taken, frames = 0;
    int result = 0;
    while (at < spill->end) {
        uint64_t length, next = spill->end;
        result = frame_load(spill, at, &batch, &length);
        int searched = result == -EBADMSG ? next_frame(spill, at, &next) : 0;
        if (searched == 0 && result == -EBADMSG && next < spill->end) {
            at = next; /* spill_next will say it */
            result = 0;
            continue;
        }
        result = searched < 0 ? searched : result;
        if (result < 0)
            break;
        result = batch_apply(&batch, state);
        batch_clear(&batch);
        if (result < 0)
            break;
        at += length;
        frames++;
    }
    batch_finish(&batch);
    if (result == -EBADMSG || result == -ENODATA) {
        diag_warn("the spill ends in a frame that was not finished: %" PRIu64 " bytes are cut off", spill->end - at);
        result = ftruncate(spill->fd, (off_t)at) < 0 ? -errno : 0;
        spill->end = at;
    }
    if (frames)
        diag_info("the spill holds %" PRIu64 " batches of an earlier run", frames);
    return result;
}

static int open_left_over(struct spill *spill, uint64_t id, uint64_t taken, struct state_map *state,
                          struct error *error) {
    char path[SPILL_PATH_SIZE];
    struct stat status;
    file_path(spill, id, path);
    spill->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (spill->fd < 0 || fstat(spill->fd, &status) < 0)
        return error_set(error, -errno, "cannot open the spill file %s: %s", path, strerror(errno));
    spill->id = id;
    spill->end = (uint64_t)status.st_size;
    spill->taken = taken < spill->end ? taken : spill->end;
    int result = apply_frames(spill, state);
    if (result < 0)
        return error_set(error, result, "cannot read the spill file %s: %s", path, strerror(-result));
    if (spill_is_empty(spill))
        spill_taken(spill, spill->end);
    return 0;
}

int spill_open(struct spill *spill, const char *dir, struct state_map *state, struct error *error) {
    *spill = (struct spill) { .fd = -1 };
    if (strlen(dir) >= sizeof(spill->dir))
        return error_set(error, -ENAMETOOLONG, "the name of spill_dir is too long");
    memcpy(spill->dir, dir, strlen(dir) + 1);
    struct text stored;
    uint64_t stored_id = 0, stored_offset = 0;
    if (state_map_get(state, TEXT_LITERAL(STATE_SPILL), &stored) && stored.length == 16) {
        stored_id = state_u64_get(stored.data);
        stored_offset = state_u64_get(stored.data + 8);
    }
    spill->id = stored_id;
    struct found found = { 0 };
    int result = find_files(spill, &found);
    if (result == -EACCES || result == -ENOTDIR) {
        diag_warn("cannot look into spill_dir %s: %s", dir, strerror(-result));
        result = 0;
    } else if (result < 0) { /* what is in it must not be passed over */
        error_set(error, result, "cannot look into spill_dir %s: %s", dir, strerror(-result));
    }
    for (size_t i = 0; i < found.count && result == 0; i++) {
        char path[SPILL_PATH_SIZE];
        file_path(spill, found.ids[i], path);
        if (found.ids[i] < stored_id || i + 1 < found.count)
            unlink(path); /* in the store to its end, else a later one would not have been begun */
        else
            result = open_left_over(spill, found.ids[i], found.ids[i] == stored_id ? stored_offset : 0, state, error);
    }
    free(found.ids);
    if (result < 0)
        spill_close(spill);
    return result;
}

void spill_close(struct spill *spill) {
    if (spill->fd >= 0)
        close(spill->fd);
    buffer_finish(&spill->frame);
    spill->fd = -1;
}

/* --- appending --- */

static int make_dir(const struct spill *spill, struct error *error) {
    char parent[PATHS_MAX + 4];
    if (mkdir(spill->dir, 0750) < 0)
        return errno == EEXIST ? 0
                               : error_set(error, -errno, "cannot make spill_dir %s: %s", spill->dir, strerror(errno));
    snprintf(parent, sizeof(parent), "%s/..", spill->dir);
    int result = sync_folder(parent);
    if (result == 0)
        return 0;
    rmdir(spill->dir);
    return error_set(error, result, "cannot make spill_dir %s last: %s", spill->dir, strerror(-result));
}

static int begin_file(struct spill *spill, struct error *error) {
    char path[SPILL_PATH_SIZE];
    int result = make_dir(spill, error);
    if (result < 0)
        return result;
    file_path(spill, spill->id + 1, path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST) /* nothing is in it: it could not be removed when its making failed */
        fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(error, -errno, "cannot make the spill file %s: %s", path, strerror(errno));
    result = sync_folder(spill->dir);
    if (result < 0) {
        close(fd);
        unlink(path);
        return error_set(error, result, "cannot make the spill file %s last: %s", path, strerror(-result));
    }
    spill->fd = fd;
    spill->id++;
    spill->taken = spill->end = 0;
    return 0;
}

static void forget_file(struct spill *spill) {
    close(spill->fd);
    spill->fd = -1;
    spill->taken = spill->end = 0;
    if (spill->frame.capacity > FRAME_BUFFER_KEPT)
        buffer_finish(&spill->frame);
}

/* The frame may be on the disk all the same, now or after a power cut, and its batch goes elsewhere: into the place of it, or, when there
 * is nothing else in the spill, into the store, with which the file is said to be over. */
static void withdraw(struct spill *spill) {
    char path[SPILL_PATH_SIZE];
    if (ftruncate(spill->fd, (off_t)spill->end) < 0)
        diag_warn("the spill ends in an unfinished frame"); /* overwritten by the next, or cut off at start */
    if (!spill_is_empty(spill))
        return;
    spill->over = spill->id + 1;
    file_path(spill, spill->id, path);
    if (unlink(path) == 0)
        forget_file(spill);
}

int spill_append(struct spill *spill, const struct batch *batch, struct error *error) {
    if (spill->fd < 0) {
        int result = begin_file(spill, error);
        if (result < 0)
            return result;
    }
    buffer_clear(&spill->frame);
    int result = spill_frame_encode(batch, spill->id, spill->end, &spill->frame);
    if (result < 0)
        return error_set(error, result, "cannot encode a batch for the spill: %s", strerror(-result));
    if (spill->end + spill->frame.length > SPILL_BYTES_MAX)
        return error_set(error, -ENOSPC, "the spill is full (%" PRIu64 " bytes)", spill->end);
    fault_hit("spill_before");
    result = write_at(spill->fd, spill->end, spill->frame.data, spill->frame.length);
    if (result == 0 && fdatasync(spill->fd) < 0)
        result = -errno;
    if (result < 0) {
        withdraw(spill);
        return error_set(error, result, "cannot write the spill: %s", strerror(-result));
    }
    spill->end += spill->frame.length;
    if (spill->over > spill->id)
        spill->over = spill->id; /* it could not be removed, and is in use again */
    fault_hit("spill_after");
    return 0;
}

/* --- taking in --- */

static void put_offset(struct spill *spill, struct batch *batch, uint64_t next) {
    char value[16];
    state_u64_put(value, spill->id);
    state_u64_put(value + 8, next);
    batch_put(batch, TEXT_LITERAL(STATE_SPILL), (struct text) { value, sizeof(value) });
}

int spill_next(struct spill *spill, struct batch *batch, uint64_t *ret_next, struct error *error) {
    uint64_t at = spill->taken;
    while (at < spill->end) {
        uint64_t length;
        int result = frame_load(spill, at, batch, &length);
        if (result == 0) {
            *ret_next = at + length;
            put_offset(spill, batch, *ret_next);
            return batch->failed ? error_set(error, -ENOMEM, "out of memory") : 1;
        }
        uint64_t next;
        if (result == -EBADMSG || result == -ENODATA)
            result = next_frame(spill, at, &next);
        if (result < 0)
            return error_set(error, result, "cannot read the spill: %s", strerror(-result));
        diag_error("the spill is damaged: %" PRIu64 " bytes of it are lost, at offset %" PRIu64, next - at, at);
        at = spill->taken = next;
    }
    spill_taken(spill, spill->end);
    return 0;
}

void spill_taken(struct spill *spill, uint64_t next) {
    check(next <= spill->end);
    spill->taken = next;
    if (spill->fd < 0 || !spill_is_empty(spill))
        return;
    char path[SPILL_PATH_SIZE];
    file_path(spill, spill->id, path);
    fault_hit("spill_unlink");
    if (unlink(path) < 0)
        diag_warn("cannot remove %s: %s", path, strerror(errno));
    spill->over = spill->id + 1;
    forget_file(spill);
}

void spill_said_over(struct spill *spill) {
    char path[SPILL_PATH_SIZE];
    if (spill->fd >= 0 && spill->id < spill->over && spill_is_empty(spill)) {
        file_path(spill, spill->id, path);
        unlink(path); /* or at the next start */
        forget_file(spill);
    }
    spill->over = 0;
}
