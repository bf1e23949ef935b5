/* golden.h - a sparse file in little room: the runs of it that are not zero, each "offset u64, length u64, bytes", behind the file's size,
 * little-endian; all of it compressed with zstd. */
#ifndef TASKFORGE_TESTS_GOLDEN_GOLDEN_H
#define TASKFORGE_TESTS_GOLDEN_GOLDEN_H

#include <stddef.h>

/* Both end the test with a line when something fails. */
void golden_pack(const char *bytes, size_t size, const char *path);
/* Makes the file `to`, of mode 0660, with holes where nothing is. */
void golden_unpack(const char *path, const char *to);

#endif
