/* alloc_fault.c - a library to be preloaded into the real programs: one allocation fails, or all from one on. Only libc.
 *
 * $IO_FAULT_CONTROL as in io_fault.h, of which it uses kinds (not 0), first, count, passed and failed. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/torture/io_fault.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static struct io_control nothing, *control = &nothing;

__attribute__((constructor)) static void set_up(void) {
    const char *path = getenv("IO_FAULT_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, IO_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        control = map;
    close(fd);
}

static bool fails(void) {
    if (!atomic_load(&control->kinds))
        return false;
    uint64_t number = atomic_fetch_add(&control->passed, 1) + 1, first = atomic_load(&control->first);
    if (number < first || number - first >= atomic_load(&control->count))
        return false;
    atomic_fetch_add(&control->failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return fails() ? NULL : __libc_malloc(size);
}
void *calloc(size_t items, size_t size) {
    return fails() ? NULL : __libc_calloc(items, size);
}
void *realloc(void *memory, size_t size) {
    return fails() ? NULL : __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (fails())
        return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
