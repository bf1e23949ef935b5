/* partition_sum.c - see partition_sum.h. */
#include "common/store/partition_sum.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/store/partition.h"

#define SUM_MAGIC UINT32_C(0x4d555354) /* "TSUM" */

enum {
    CHUNKS_MAX = 1 << 20, /* a partition of 1 TiB */
    CHECKSUM_SIZE = 8,
    FILE_MODE = 0640,
};

struct identity {
    uint64_t device, inode, size, modified_ns, changed_ns;
};

struct __attribute__((packed)) sum_header { /* as drawn above */
    uint32_t magic, version, verdict, chunk_count;
    struct identity identity;
    uint64_t checked_ns;
    uint32_t faults;
    uint64_t hashed_ns;
    uint32_t zero;
    char why[PARTITION_SUM_WHY];
};
static_assert(sizeof(struct sum_header) == 276, "as drawn");

struct sum {
    struct sum_header header;
    uint64_t *hashes; /* owned */
};

static uint64_t nanoseconds(struct timespec time) {
    return (uint64_t)time.tv_sec * CLOCK_SECOND + (uint64_t)time.tv_nsec;
}

static struct identity identity_of(const struct stat *status) {
    return (struct identity) { htole64((uint64_t)status->st_dev), htole64((uint64_t)status->st_ino),
                               htole64((uint64_t)status->st_size), htole64(nanoseconds(status->st_mtim)),
                               htole64(nanoseconds(status->st_ctim)) };
}

static int sum_path(const char *path, const char *ending, char out[PARTITION_PATH_MAX + 16]) {
    int length = snprintf(out, PARTITION_PATH_MAX + 16, "%s.sum%s", path, ending);
    return length < PARTITION_PATH_MAX + 16 ? 0 : -ENAMETOOLONG;
}

static int read_whole(int fd, void *to, size_t size, uint64_t at) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, (char *)to + done, size - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        done += (size_t)got;
    }
    return 0;
}

/* --- reading --- */

/* Whoever may not write the folder has no say: the sum belongs to the partition's owner (or root), and nobody else may write it. */
static bool is_believable(const struct stat *sum, const struct stat *file) {
    return S_ISREG(sum->st_mode) && (sum->st_uid == file->st_uid || sum->st_uid == 0) && (sum->st_mode & 022) == 0;
}

static bool is_header(const struct sum_header *header, uint64_t size) {
    uint32_t chunks = le32toh(header->chunk_count), verdict = le32toh(header->verdict);
    return le32toh(header->magic) == SUM_MAGIC && le32toh(header->version) == PARTITION_SUM_VERSION && verdict > 0 &&
           verdict < PARTITION_VERDICTS && chunks <= CHUNKS_MAX &&
           size == sizeof(*header) + (uint64_t)chunks * sizeof(uint64_t) + CHECKSUM_SIZE &&
           memchr(header->why, '\0', sizeof(header->why)) != NULL;
}

static int take_sum(int fd, uint64_t size, struct sum *ret) {
    struct sum_header header;
    int result = read_whole(fd, &header, sizeof(header), 0);
    if (result < 0 || !is_header(&header, size))
        return result < 0 ? result : -EBADMSG;
    char *bytes = malloc(size); /* its size is what the chunks make it, and those are limited */
    if (!bytes)
        return -ENOMEM;
    result = read_whole(fd, bytes, size, 0);
    uint64_t checksum = 0;
    if (result == 0) {
        memcpy(&checksum, bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE);
        if (le64toh(checksum) != hash_bytes(bytes, size - CHECKSUM_SIZE) || memcmp(bytes, &header, sizeof(header)) != 0)
            result = -EBADMSG;
    }
    if (result < 0) {
        free(bytes);
        return result;
    }
    ret->header = header;
    memmove(bytes, bytes + sizeof(header), size - sizeof(header));
    ret->hashes = (uint64_t *)bytes;
    return 0;
}

/* The sum beside a file, whatever file that is about: -ENOENT none, -EBADMSG damaged, -EPERM not to be believed. */
static int load_sum(const char *path, const struct stat *file, struct sum *ret) {
    char name[PARTITION_PATH_MAX + 16];
    struct stat status;
    int result = sum_path(path, "", name);
    if (result < 0)
        return result;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        result = -errno;
    else if (!is_believable(&status, file))
        result = -EPERM;
    else
        result = take_sum(fd, (uint64_t)status.st_size, ret);
    close(fd);
    return result;
}

static struct partition_note note_of(const struct sum_header *header) {
    struct partition_note note = { .verdict = (enum partition_verdict)le32toh(header->verdict),
                                   .faults = le32toh(header->faults),
                                   .checked_ns = le64toh(header->checked_ns),
                                   .hashed_ns = le64toh(header->hashed_ns) };
    memcpy(note.why, header->why, sizeof(note.why));
    return note;
}

int partition_sum_note(const char *path, struct partition_note *ret) {
    struct stat status;
    struct sum sum;
    if (stat(path, &status) < 0 || load_sum(path, &status, &sum) < 0)
        return 0;
    struct identity now = identity_of(&status);
    bool fits = memcmp(&sum.header.identity, &now, sizeof(now)) == 0;
    if (fits)
        *ret = note_of(&sum.header);
    free(sum.hashes);
    return fits;
}

bool partition_sum_exists(const char *path) {
    char name[PARTITION_PATH_MAX + 16];
    struct stat status;
    return sum_path(path, "", name) == 0 && lstat(name, &status) == 0;
}

/* --- hashing --- */

static int hash_chunk(int fd, uint64_t size, uint64_t chunk, void *room, uint64_t *ret) {
    uint64_t at = chunk * PARTITION_SUM_CHUNK, left = size - at;
    size_t length = left < PARTITION_SUM_CHUNK ? (size_t)left : PARTITION_SUM_CHUNK;
    int result = read_whole(fd, room, length, at);
    if (result == 0)
        *ret = hash_bytes_seeded(room, length, chunk);
    return result;
}

static uint64_t chunks_of(uint64_t size) {
    return (size + PARTITION_SUM_CHUNK - 1) / PARTITION_SUM_CHUNK;
}

/* Every chunk of the file: *ret is the caller's to free. */
static int hash_file(int fd, uint64_t size, uint64_t **ret) {
    uint64_t count = chunks_of(size);
    if (count > CHUNKS_MAX)
        return -EFBIG;
    uint64_t *hashes = malloc((size_t)count * sizeof(*hashes) + 1);
    void *room = malloc(PARTITION_SUM_CHUNK);
    int result = hashes && room ? 0 : -ENOMEM;
    for (uint64_t i = 0; i < count && result == 0; i++)
        result = hash_chunk(fd, size, i, room, &hashes[i]);
    for (uint64_t i = 0; i < count && result == 0; i++)
        hashes[i] = htole64(hashes[i]);
    free(room);
    if (result < 0)
        free(hashes);
    else
        *ret = hashes;
    return result;
}

/* 1 all as they were, 0 with the number of the first that is not, negative. */
static int compare_chunks(int fd, uint64_t size, const struct sum *sum, uint64_t *ret_chunk) {
    uint64_t count = le32toh(sum->header.chunk_count), hash;
    void *room = malloc(PARTITION_SUM_CHUNK);
    int result = room ? 1 : -ENOMEM;
    for (uint64_t i = 0; i < count && result == 1; i++) {
        int read = i < chunks_of(size) ? hash_chunk(fd, size, i, room, &hash) : -EBADMSG;
        *ret_chunk = i;
        if (read == -EBADMSG || (read == 0 && htole64(hash) != sum->hashes[i]))
            result = 0;
        else if (read < 0)
            result = read;
    }
    free(room);
    return result;
}

static int compare_file(int fd, uint64_t size, const struct sum *sum, const char *path, struct error *error) {
    uint64_t chunk = 0;
    int result = compare_chunks(fd, size, sum, &chunk);
    if (result < 0)
        return error_set(error, result, "%s: cannot read it: %s", path, strerror(-result));
    if (result == 0)
        error_set(error, 0, "its bytes from %llu on (1 MiB) are not what they were when it was closed",
                  (unsigned long long)(chunk * PARTITION_SUM_CHUNK));
    else if (size != le64toh(sum->header.identity.size)) {
        error_set(error, 0, "it has %llu bytes and had %llu when it was closed", (unsigned long long)size,
                  (unsigned long long)le64toh(sum->header.identity.size));
        result = 0;
    }
    return result;
}

int partition_sum_compare(const char *path, struct partition_note *ret, struct error *error) {
    struct stat status;
    struct sum sum;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot open it: %s", path, strerror(errno));
    int result = fstat(fd, &status) < 0 ? -errno : load_sum(path, &status, &sum);
    if (result < 0) {
        close(fd);
        return error_set(error, result == -EIO ? result : -ENOENT, "%s: there is no sum of it", path);
    }
    if (sum.header.chunk_count == 0 || !S_ISREG(status.st_mode))
        result = error_set(error, -ENOENT, "%s: there are no hashes of it", path);
    else
        result = compare_file(fd, (uint64_t)status.st_size, &sum, path, error);
    if (result == 1)
        *ret = note_of(&sum.header);
    free(sum.hashes);
    close(fd);
    return result;
}

/* --- writing --- */

static int put_sum(const char *path, const struct sum *sum, mode_t mode) {
    char building[PARTITION_PATH_MAX + 16], name[PARTITION_PATH_MAX + 16];
    size_t hashes = (size_t)le32toh(sum->header.chunk_count) * sizeof(uint64_t);
    size_t size = sizeof(sum->header) + hashes + CHECKSUM_SIZE;
    int result = sum_path(path, ".new", building);
    if (result == 0)
        result = sum_path(path, "", name);
    char *bytes = result == 0 ? malloc(size) : NULL;
    if (!bytes)
        return result < 0 ? result : -ENOMEM;
    memcpy(bytes, &sum->header, sizeof(sum->header));
    if (hashes > 0)
        memcpy(bytes + sizeof(sum->header), sum->hashes, hashes);
    uint64_t checksum = htole64(hash_bytes(bytes, size - CHECKSUM_SIZE));
    memcpy(bytes + size - CHECKSUM_SIZE, &checksum, CHECKSUM_SIZE);
    unlink(building); /* left by a kill */
    int fd = open(building, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        result = -errno;
    errno = ENOSPC; /* which a short write does not say */
    if (fd >= 0 && (fchmod(fd, mode) < 0 || write(fd, bytes, size) != (ssize_t)size || fsync(fd) < 0))
        result = -errno;
    if (fd >= 0)
        close(fd);
    if (result == 0 && rename(building, name) < 0)
        result = -errno;
    if (result < 0)
        unlink(building);
    free(bytes);
    return result;
}

static void fill_header(struct sum_header *header, const struct stat *status, const struct partition_note *note) {
    *header = (struct sum_header) { .magic = htole32(SUM_MAGIC),
                                    .version = htole32(PARTITION_SUM_VERSION),
                                    .verdict = htole32((uint32_t)note->verdict),
                                    .identity = identity_of(status),
                                    .checked_ns = htole64(note->checked_ns),
                                    .faults = htole32(note->faults) };
    memcpy(header->why, note->why, sizeof(header->why));
}

static bool is_same(const struct stat *a, const struct stat *b) {
    struct identity first = identity_of(a), second = identity_of(b);
    return memcmp(&first, &second, sizeof(first)) == 0;
}

static int write_sum(const char *path, const struct stat *checked, const struct partition_note *note, bool hash,
                     struct error *error) {
    struct stat status, after;
    struct sum sum = { .hashes = NULL };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int result = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
    if (result == 0 && checked && !is_same(&status, checked))
        result = -EBUSY;
    if (result == 0) {
        fill_header(&sum.header, &status, note);
        if (hash)
            result = hash_file(fd, (uint64_t)status.st_size, &sum.hashes);
        if (result == 0 && hash) {
            sum.header.chunk_count = htole32((uint32_t)chunks_of((uint64_t)status.st_size));
            sum.header.hashed_ns = htole64(note->checked_ns);
            if (fstat(fd, &after) < 0 || !is_same(&status, &after))
                result = -EBUSY;
        }
    }
    if (fd >= 0)
        close(fd);
    if (result == 0)
        result = put_sum(path, &sum, FILE_MODE);
    free(sum.hashes);
    if (result == -EBUSY)
        return error_set(error, result, "%s: it changed while it was checked", path);
    return result == 0 ? 0 : error_set(error, result, "%s: cannot write its sum: %s", path, strerror(-result));
}

static struct partition_note make_note(enum partition_verdict verdict, uint32_t faults, const char *why) {
    struct partition_note note = { .verdict = verdict, .faults = faults, .checked_ns = clock_real_ns() };
    snprintf(note.why, sizeof(note.why), "%.*s", PARTITION_SUM_WHY - 1, why);
    return note;
}

int partition_sum_write(const char *path, const struct stat *checked, enum partition_verdict verdict, uint32_t faults,
                        const char *why, struct error *error) {
    struct partition_note note = make_note(verdict, faults, why);
    return write_sum(path, checked, &note, true, error);
}

int partition_sum_write_note(const char *path, const struct stat *checked, enum partition_verdict verdict,
                             uint32_t faults, const char *why, struct error *error) {
    struct partition_note note = make_note(verdict, faults, why);
    return write_sum(path, checked, &note, false, error);
}
