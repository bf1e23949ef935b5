/* A hostile sum beside a partition: the input as it is, and with its checksum made right, so that what stands behind that is reached, too. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/partition_sum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024, CHECKSUM_SIZE = 8 };

static char folder[] = "/tmp/taskforge-fuzz-XXXXXX";
static char path[64], sum[72];

static void remove_files(void) {
    unlink(path);
    unlink(sum);
    rmdir(folder);
}

static void put(const char *name, const void *bytes, size_t size) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    check(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void set_up(void) {
    check(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/partition", folder);
    snprintf(sum, sizeof(sum), "%s.sum", path);
    put(path, "nothing that is looked at", 25);
    atexit(remove_files);
}

static void ask(const uint8_t *data, size_t size) {
    struct partition_note note;
    put(sum, data, size);
    if (partition_sum_note(path, &note) == 1)
        check(note.verdict > PARTITION_UNCHECKED && note.verdict < PARTITION_VERDICTS &&
              strlen(note.why) < sizeof(note.why));
    (void)partition_sum_compare(path, &note, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t sealed[INPUT_MAX];
    if (!path[0])
        set_up();
    if (size > sizeof(sealed))
        return 0;
    ask(data, size);
    if (size < CHECKSUM_SIZE)
        return 0;
    memcpy(sealed, data, size);
    uint64_t checksum = hash_bytes(sealed, size - CHECKSUM_SIZE); /* little-endian hosts */
    memcpy(sealed + size - CHECKSUM_SIZE, &checksum, CHECKSUM_SIZE);
    ask(sealed, size);
    return 0;
}
