#include "tests/golden/golden.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "common/base/text.h"
#include "tests/torture/ring_lib.h"

enum { GAP = 32 /* so many zeros end a run */, LEVEL = 19 };

/* The first byte from `at` on that is not zero. */
static size_t next_run(const char *bytes, size_t size, size_t at) {
    while (at < size && bytes[at] == 0)
        at++;
    return at;
}

static size_t end_of_run(const char *bytes, size_t size, size_t at) {
    size_t end = at;
    for (; at < size && at - end < GAP; at++)
        if (bytes[at] != 0)
            end = at + 1;
    return end;
}

static void append(struct buffer *out, const void *bytes, size_t length) {
    buffer_append_text(out, (struct text) { bytes, length });
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "we");
    require(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, "%s: %s", path, strerror(errno));
}

void golden_pack(const char *bytes, size_t size, const char *path) {
    struct buffer packed = BUFFER_EMPTY;
    uint64_t file_size = size;
    append(&packed, &file_size, sizeof(file_size));
    for (size_t at = next_run(bytes, size, 0); at < size; at = next_run(bytes, size, at)) {
        uint64_t run[2] = { at, end_of_run(bytes, size, at) - at };
        append(&packed, run, sizeof(run));
        append(&packed, bytes + at, run[1]);
        at += run[1];
    }
    size_t room = ZSTD_compressBound(packed.length);
    char *out = malloc(room);
    require(out && !packed.failed, "out of memory");
    size_t length = ZSTD_compress(out, room, packed.data, packed.length, LEVEL);
    require(!ZSTD_isError(length), "%s", ZSTD_getErrorName(length));
    write_file(path, out, length);
    free(out);
    buffer_finish(&packed);
}

static char *read_packed(const char *path, size_t *ret_length) {
    static char compressed[1 << 20];
    FILE *file = fopen(path, "re");
    require(file, "%s: %s", path, strerror(errno));
    size_t length = fread(compressed, 1, sizeof(compressed), file);
    fclose(file);
    unsigned long long size = ZSTD_getFrameContentSize(compressed, length);
    require(size < 64 << 20, "%s is no golden file", path);
    char *packed = malloc(size);
    *ret_length = ZSTD_decompress(packed, size, compressed, length);
    require(*ret_length == size, "%s: %s", path, ZSTD_getErrorName(*ret_length));
    return packed;
}

void golden_unpack(const char *path, const char *to) {
    size_t length, at = sizeof(uint64_t);
    char *packed = read_packed(path, &length);
    uint64_t file_size, run[2];
    memcpy(&file_size, packed, sizeof(file_size));
    int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
    require(fd >= 0 && fchmod(fd, 0660) == 0 && ftruncate(fd, (off_t)file_size) == 0, "%s: %s", to, strerror(errno));
    for (; length - at >= sizeof(run); at += run[1]) {
        memcpy(run, packed + at, sizeof(run));
        at += sizeof(run);
        require(run[1] <= length - at, "%s is cut", path);
        require(pwrite(fd, packed + at, run[1], (off_t)run[0]) == (ssize_t)run[1], "%s: %s", to, strerror(errno));
    }
    require(at == length, "%s is cut", path);
    close(fd);
    free(packed);
}
