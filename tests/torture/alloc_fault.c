/* alloc_fault.c - a library to be preloaded into the real programs: one allocation fails, or all from one on. Only libc.
 *
 * $ALLOC_FAULT="FIRST:COUNT": of the calls of malloc, calloc, realloc, aligned_alloc and posix_memalign, since the program began, those fail.
 * $ALLOC_FAULT_COUNTED: a file into which the number of calls is written when the program ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static _Atomic uint64_t passed;
static uint64_t first = UINT64_MAX, count;

__attribute__((constructor)) static void set_up(void) {
    const char *spec = getenv("ALLOC_FAULT");
    char *end;
    if (!spec)
        return;
    count = 0;
    first = strtoull(spec, &end, 10);
    count = *end == ':' ? strtoull(end + 1, NULL, 10) : 1;
    atomic_store(&passed, 0);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("ALLOC_FAULT_COUNTED");
    char text[32];
    int length = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)atomic_load(&passed));
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        (void)!write(fd, text, (size_t)length);
        close(fd);
    }
}

static bool fails(void) {
    uint64_t number = atomic_fetch_add(&passed, 1) + 1;
    if (number < first || number - first >= count)
        return false;
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
