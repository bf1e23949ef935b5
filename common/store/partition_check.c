/* What can be told about a partition's file before LMDB maps it and believes what it reads there. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/store/partition_private.h"

#define LMDB_MAGIC UINT32_C(0xBEEFC0DE)

enum {
    LMDB_DATA_VERSION = 1,
    META_PAGES = 2,
    META_FLAG = 0x08, /* of a page: it is a meta page */
};

/* LMDB 0.9's meta page as it stands on disk (lmdb.h hides it): a page header of 16 bytes, then this. 64-bit hosts. */
struct meta_page {
    uint64_t page_number;
    uint16_t pad, flags;
    uint32_t unused;
    uint32_t magic, version;
    uint64_t address;
    uint64_t map_size;
    struct {
        uint32_t pad;
        uint16_t flags, depth;
        uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
    } databases[2]; /* the first one's pad is the page size */
    uint64_t last_page;
    uint64_t transaction;
};
static_assert(sizeof(struct meta_page) == 152, "LMDB 0.9 on a 64-bit host");

/* Of the flags that LMDB keeps in a file only NOSUBDIR may stand there: FIXEDMAP would let the file choose the address that it is
 * mapped over, and a main database of another kind is none of ours. */
static bool is_our_kind(const struct meta_page *meta) {
    return meta->flags == META_FLAG && (meta->databases[0].flags & ~MDB_NOSUBDIR) == MDB_INTEGERKEY &&
           meta->databases[1].flags == 0 && meta->last_page >= META_PAGES - 1;
}

bool partition_read_roots(const struct partition *partition, struct partition_roots *ret) {
    struct meta_page meta, other;
    memcpy(&meta, partition->pages, sizeof(meta));
    if (meta.databases[0].pad < 512 || meta.databases[0].pad > 65536)
        return false;
    memcpy(&other, partition->pages + meta.databases[0].pad, sizeof(other));
    if (other.transaction > meta.transaction)
        meta = other;
    *ret = (struct partition_roots) { .page_size = meta.databases[0].pad,
                                      .free_depth = meta.databases[0].depth,
                                      .main_depth = meta.databases[1].depth,
                                      .free_root = meta.databases[0].root,
                                      .main_root = meta.databases[1].root,
                                      .last_page = meta.last_page };
    return meta.last_page < partition->pages_size / meta.databases[0].pad;
}

bool partition_looks_sound(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    int result = partition_check_pages(fd, path, NULL);
    close(fd);
    return result == 0;
}

/* Whether the two meta pages belong to the file as it is: LMDB itself would map and follow whatever they claim. */
int partition_check_pages(int fd, const char *path, struct error *error) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "%s: cannot look at it: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EBADMSG, "%s: not a regular file", path);
    uint64_t size = (uint64_t)status.st_size;
    uint32_t page_size = 0, version = 0;
    for (unsigned i = 0; i < META_PAGES; i++) {
        struct meta_page meta;
        ssize_t got = pread(fd, &meta, sizeof(meta), (off_t)((uint64_t)i * page_size));
        if (got < 0) /* of the disk, perhaps for a moment: no word about what stands on it */
            return error_set(error, -errno, "%s: cannot read it: %s", path, strerror(errno));
        if (got != (ssize_t)sizeof(meta))
            return error_set(error, -EBADMSG, "%s: too short for a partition", path);
        if (meta.magic != LMDB_MAGIC || meta.page_number != i)
            return error_set(error, -EBADMSG, "%s: not a partition (meta page %u is not LMDB's)", path, i);
        if (i > 0 && meta.version != version)
            return error_set(error, -EBADMSG, "%s: its meta pages are of different versions", path);
        version = meta.version;
        if (version != LMDB_DATA_VERSION && i > 0) /* both say so */
            return error_set(error, -EPROTO, "%s: LMDB data version %u; this program knows %d", path, meta.version,
                             LMDB_DATA_VERSION);
        if (i == 0)
            page_size = meta.databases[0].pad;
        if (page_size < 512 || page_size > 65536 || (page_size & (page_size - 1)) || meta.databases[0].pad != page_size)
            return error_set(error, -EBADMSG, "%s: meta page %u claims pages of %u bytes", path, i,
                             meta.databases[0].pad);
        if (!is_our_kind(&meta))
            return error_set(error, -EBADMSG, "%s: not a partition (meta page %u is not ours)", path, i);
        if (meta.last_page >= size / page_size) /* no commit leaves it so: see reserve_room */
            return error_set(error, -EBADMSG, "%s: cut: %llu bytes are there, %llu pages of %u are claimed", path,
                             (unsigned long long)size, (unsigned long long)meta.last_page + 1, page_size);
    }
    return 0;
}

static int write_meta_pages(int fd, const struct meta_page pages[META_PAGES]) {
    uint32_t page_size = pages[0].databases[0].pad;
    for (unsigned i = 0; i < META_PAGES; i++) {
        ssize_t put = pwrite(fd, &pages[i], sizeof(pages[i]), (off_t)((uint64_t)i * page_size));
        if (put != (ssize_t)sizeof(pages[i]))
            return put < 0 ? -errno : -EIO;
    }
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int settle(int fd, uint64_t committed) {
    struct meta_page pages[META_PAGES];
    uint32_t page_size = 0;
    for (unsigned i = 0; i < META_PAGES; i++) {
        if (pread(fd, &pages[i], sizeof(pages[i]), (off_t)((uint64_t)i * page_size)) != (ssize_t)sizeof(pages[i]))
            return -EIO;
        page_size = pages[0].databases[0].pad;
    }
    for (unsigned i = 0; i < META_PAGES; i++) {
        const struct meta_page *other = &pages[1 - i];
        if (committed == 0 || pages[i].transaction <= committed || other->transaction > committed)
            continue;
        uint64_t older = other->transaction > 0 ? other->transaction - 1 : 0;
        pages[i] = *other;
        pages[i].page_number = i;
        pages[i].transaction = older;
    }
    return write_meta_pages(fd, pages);
}

int partition_settle(const char *path, uint64_t committed, struct error *error) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot open it: %s", path, strerror(errno));
    int result = partition_check_pages(fd, path, error);
    if (result == 0) {
        result = settle(fd, committed);
        if (result < 0)
            error_set(error, result, "%s: cannot write its meta pages again: %s", path, strerror(-result));
    }
    close(fd);
    return result;
}

int partition_check_place(const struct partition *partition, struct error *error) {
    struct stat ours, there;
    int fd;
    if (partition->faulted || mdb_env_get_fd(partition->environment, &fd) != 0)
        return error_set(error, -EBADMSG, "%s: its file cannot be looked at any more", partition->path);
    bool is_there = stat(partition->path, &there) == 0;
    if (fstat(fd, &ours) < 0 || (!is_there && errno != ENOENT && errno != ENOTDIR)) /* no word about the file */
        return error_set(error, -errno, "%s: cannot look at its file: %s", partition->path, strerror(errno));
    if (!is_there || there.st_dev != ours.st_dev || there.st_ino != ours.st_ino)
        return error_set(error, -EBADMSG, "%s: its file was removed or replaced while it was written", partition->path);
    uint64_t used = partition_used_size(partition);
    if (used == 0 || (uint64_t)ours.st_size < used)
        return error_set(error, -EBADMSG, "%s: its file was cut to %llu bytes while it was written; it had %llu",
                         partition->path, (unsigned long long)ours.st_size, (unsigned long long)used);
    int result = partition_check_pages(fd, partition->path, error); /* LMDB looks when it opens it, and no more */
    return result == -EPROTO ? -EBADMSG : result;
}
