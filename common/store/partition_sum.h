/* partition_sum.h - what is known of a partition that is not written any more: NAME.mdb.sum beside it. The one owner of that format.
 *
 *   0       4         8         12            16          56           64        68          76       80       276
 *  +-------+---------+---------+-------------+-----------+------------+---------+-----------+--------+--------+-------------+----------+
 *  | magic | version | verdict | chunk count | identity  | checked at | faults  | hashed at | 0 u32  | why    | a hash of   | XXH3 of  |
 *  | TSUM  | u32: 1  | u32     | u32         | 5 x u64   | ns, u64    | u32     | ns, u64   |        | 196 B  | each chunk  | all, u64 |
 *  +-------+---------+---------+-------------+-----------+------------+---------+-----------+--------+--------+-------------+----------+
 *
 * Integers little-endian. A chunk is 1 MiB, the last one shorter; its hash is XXH3 of its bytes, seeded with its number, so that a fault can
 * be placed. A file that could not be read whole has no chunks. The identity (device, inode, size, mtime, ctime) is that of the file when it was checked: a reader
 * believes the verdict as long as the file is the same one, and when it is the folder's owner who wrote it. Hostile: checked before use.
 */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_SUM_H
#define TASKFORGE_COMMON_STORE_PARTITION_SUM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/base/error.h"

enum { PARTITION_SUM_VERSION = 1, PARTITION_SUM_CHUNK = 1 << 20, PARTITION_SUM_WHY = 196 };

enum partition_verdict {
    PARTITION_UNCHECKED,
    PARTITION_SOUND,
    PARTITION_PARTLY,     /* damaged, but it was read to its end: what is sound in it can be served */
    PARTITION_UNREADABLE, /* so damaged that it is not to be touched */
    PARTITION_VERDICTS,
};

struct partition_note {
    enum partition_verdict verdict;
    uint32_t faults;
    uint64_t checked_ns, hashed_ns; /* real; hashed_ns: when the hashes were made, 0 without */
    char why[PARTITION_SUM_WHY];    /* the first fault, "" when sound */
};

/* The note about the file as it is now: 1, or 0 where there is none, another file's, or one that is not to be believed. */
int partition_sum_note(const char *path, struct partition_note *ret);

/* Whether there is a sum at all, of whatever state: such a partition is not written any more. */
bool partition_sum_exists(const char *path);

/* Hash the file and write its sum, by rename. Not for one that is being written: -EBUSY when it changed meanwhile, or is another one than was
 * checked (its fstat or stat; NULL: none). */
int partition_sum_write(const char *path, const struct stat *checked, enum partition_verdict verdict, uint32_t faults,
                        const char *why, struct error *error);

/* The same without hashes, at once: for a file that is given up, or cannot be read whole. */
int partition_sum_write_note(const char *path, const struct stat *checked, enum partition_verdict verdict,
                             uint32_t faults, const char *why, struct error *error);

/* Hash the file and compare: 1 it is what it was, and *ret what is known of that; 0 it is not, with the first differing bytes in *error;
 * -ENOENT there is nothing to compare with (no sum, no hashes, or a damaged one). */
int partition_sum_compare(const char *path, struct partition_note *ret, struct error *error);

#endif
