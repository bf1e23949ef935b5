#include "tests/torture/power_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, NAMES_MAX = 4096 };

struct event {
    struct io_record head;
    const char *name, *second; /* below the root */
    const char *data;
    bool safe; /* whatever happens now */
};

struct file {
    size_t *pending; /* events that are not safe, in their order, and WRITE_SYNCs between them */
    size_t pending_count, pending_capacity;
    char *bytes; /* what is safe */
    uint64_t size, capacity;
};

struct name {
    char path[256];
    uint32_t file;
};

struct names {
    struct name *items;
    size_t count;
};

struct power_log {
    char *map;
    size_t map_size;
    struct event *events;
    size_t count, played;
    struct file *files;
    uint32_t file_count;
    struct names safe, now;      /* names as they stand after a cut at least, and as they are seen */
    size_t *pending_names;       /* events of names that are not safe */
    uint32_t *pending_name_file; /* and the file that each is about */
    size_t pending_name_count;
};

static void die(const char *what) {
    fprintf(stderr, "power_image: %s\n", what);
    exit(2);
}

static void *grow(void *memory, size_t size) {
    void *grown = realloc(memory, size);
    if (!grown)
        die("out of memory");
    return grown;
}

/* --- names --- */

static uint32_t lookup(const struct names *names, const char *path) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].path, path) == 0)
            return names->items[i].file;
    return 0;
}

static void drop(struct names *names, const char *path) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].path, path) == 0) {
            names->items[i] = names->items[--names->count];
            return;
        }
}

static void set(struct names *names, const char *path, uint32_t file) {
    drop(names, path);
    names->items = grow(names->items, (names->count + 1) * sizeof(*names->items));
    snprintf(names->items[names->count].path, sizeof(names->items[0].path), "%s", path);
    names->items[names->count++].file = file;
}

static void change_names(struct names *names, const struct event *event, uint32_t file) {
    switch (event->head.what) {
    case IO_EVENT_CREATE:
        set(names, event->name, file);
        break;
    case IO_EVENT_LINK:
        set(names, event->second, file);
        break;
    case IO_EVENT_RENAME:
        drop(names, event->name);
        set(names, event->second, file);
        break;
    default:
        drop(names, event->name);
    }
}

static bool is_in(const char *path, const char *folder) {
    const char *slash = strrchr(path, '/');
    return slash && (size_t)(slash - path) == strlen(folder) && strncmp(path, folder, strlen(folder)) == 0;
}

static void sync_names(struct power_log *log, const char *folder) {
    size_t kept = 0;
    for (size_t i = 0; i < log->pending_name_count; i++) {
        const struct event *event = &log->events[log->pending_names[i]];
        if (is_in(event->name, folder)) {
            change_names(&log->safe, event, log->pending_name_file[i]);
            continue;
        }
        log->pending_names[kept] = log->pending_names[i];
        log->pending_name_file[kept++] = log->pending_name_file[i];
    }
    log->pending_name_count = kept;
}

/* --- bytes --- */

static void resize(struct file *file, uint64_t size) {
    if (size > file->capacity) {
        file->capacity = size * 2;
        file->bytes = grow(file->bytes, file->capacity);
    }
    if (size > file->size)
        memset(file->bytes + file->size, 0, size - file->size);
    file->size = size;
}

static void write_part(struct file *file, uint64_t offset, const char *data, uint64_t length) {
    if (offset + length > file->size)
        resize(file, offset + length);
    memcpy(file->bytes + offset, data, length);
}

static uint64_t next_random(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool chosen(unsigned share, uint64_t *dice) {
    return next_random(dice) % 256 < share;
}

/* Sectors of one write, each by itself; or, half of the time, all or none. */
static void write_torn(struct file *file, const struct event *event, unsigned share, uint64_t *dice) {
    uint64_t length = event->head.length, offset = event->head.offset;
    if (chosen(128, dice)) {
        if (chosen(share, dice))
            write_part(file, offset, event->data, length);
        return;
    }
    for (uint64_t at = 0, size; at < length; at += size) {
        size = SECTOR - (offset + at) % SECTOR;
        size = size < length - at ? size : length - at;
        if (chosen(share, dice))
            write_part(file, offset + at, event->data + at, size);
    }
}

static void change_file(struct file *file, const struct event *event, unsigned share, uint64_t *dice) {
    switch (event->head.what) {
    case IO_EVENT_WRITE:
    case IO_EVENT_WRITE_SYNC:
        if (event->safe || share >= 256)
            write_part(file, event->head.offset, event->data, event->head.length);
        else
            write_torn(file, event, share, dice);
        break;
    case IO_EVENT_TRUNCATE:
        if (chosen(share, dice))
            resize(file, event->head.length);
        break;
    default: /* IO_EVENT_ALLOCATE */
        if (event->head.length > file->size && chosen(share, dice))
            resize(file, event->head.length);
    }
}

static void sync_file(struct power_log *log, struct file *file) {
    uint64_t dice = 0;
    for (size_t i = 0; i < file->pending_count; i++)
        change_file(file, &log->events[file->pending[i]], 256, &dice);
    file->pending_count = 0;
}

static struct file *file_of(struct power_log *log, uint32_t id) {
    if (id == 0 || id > 1000000)
        die("a file without a number");
    if (id >= log->file_count) {
        log->files = grow(log->files, (id + 1) * sizeof(*log->files));
        memset(log->files + log->file_count, 0, (id + 1 - log->file_count) * sizeof(*log->files));
        log->file_count = id + 1;
    }
    return &log->files[id];
}

static void add_pending(struct file *file, size_t event) {
    if (file->pending_count == file->pending_capacity) {
        file->pending_capacity = file->pending_capacity ? file->pending_capacity * 2 : 16;
        file->pending = grow(file->pending, file->pending_capacity * sizeof(*file->pending));
    }
    file->pending[file->pending_count++] = event;
}

/* --- playing --- */

static void play_name(struct power_log *log, size_t at) {
    const struct event *event = &log->events[at];
    uint32_t file = event->head.what == IO_EVENT_CREATE ? event->head.file : lookup(&log->now, event->name);
    if (log->pending_name_count == NAMES_MAX)
        die("too many names");
    log->pending_names[log->pending_name_count] = at;
    log->pending_name_file[log->pending_name_count++] = file;
    change_names(&log->now, event, file);
}

/* The event is begun: nothing of it is safe yet. */
static void begin(struct power_log *log, size_t at) {
    struct event *event = &log->events[at];
    switch (event->head.what) {
    case IO_EVENT_WRITE:
    case IO_EVENT_WRITE_SYNC:
    case IO_EVENT_TRUNCATE:
    case IO_EVENT_ALLOCATE:
        add_pending(file_of(log, event->head.file), at);
        break;
    case IO_EVENT_CREATE:
    case IO_EVENT_LINK:
    case IO_EVENT_RENAME:
    case IO_EVENT_UNLINK:
        play_name(log, at);
        break;
    default:
        break;
    }
}

static void end(struct power_log *log, size_t at) {
    struct event *event = &log->events[at];
    event->safe = event->head.what == IO_EVENT_WRITE_SYNC;
    if (event->head.what == IO_EVENT_SYNC)
        sync_file(log, file_of(log, event->head.file));
    else if (event->head.what == IO_EVENT_SYNC_FOLDER)
        sync_names(log, event->name);
}

void power_log_play(struct power_log *log, size_t event) {
    for (; log->played <= event; log->played++) {
        if (log->played > 0)
            end(log, log->played - 1);
        begin(log, log->played);
    }
}

/* --- images --- */

static void make_parents(char *path) {
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            die("cannot make a folder");
        *at = '/';
    }
}

static void write_image(const struct power_log *log, const struct name *name, const char *folder, unsigned share,
                        uint64_t *dice) {
    char path[PATH_MAX];
    const struct file *from = &log->files[name->file];
    struct file file = { 0 };
    resize(&file, from->size);
    if (from->size)
        memcpy(file.bytes, from->bytes, from->size);
    for (size_t i = 0; i < from->pending_count; i++)
        change_file(&file, &log->events[from->pending[i]], share, dice);
    snprintf(path, sizeof(path), "%s%s", folder, name->path);
    make_parents(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint64_t used = file.size; /* the zeroes behind the last byte need not be written */
    while (used > 0 && file.bytes[used - 1] == 0)
        used--;
    if (fd < 0 || (used && write(fd, file.bytes, used) != (ssize_t)used) || ftruncate(fd, (off_t)file.size) < 0)
        die("cannot write an image");
    close(fd);
    free(file.bytes);
}

void power_log_image(const struct power_log *log, const char *folder, unsigned share, uint64_t seed) {
    struct names names = { 0 };
    for (size_t i = 0; i < log->safe.count; i++)
        set(&names, log->safe.items[i].path, log->safe.items[i].file);
    for (size_t i = 0; i < log->pending_name_count; i++)
        if (chosen(share, &seed))
            change_names(&names, &log->events[log->pending_names[i]], log->pending_name_file[i]);
    for (size_t i = 0; i < names.count; i++)
        if (names.items[i].file && names.items[i].file < log->file_count)
            write_image(log, &names.items[i], folder, share, &seed);
    free(names.items);
}

/* --- the log --- */

static const char *below(const char *path, const char *root) {
    size_t length = strlen(root);
    if (strncmp(path, root, length) != 0)
        die("a path that is not below the root");
    return path + length;
}

static void take_names(struct event *event, const char *names, const char *root) {
    char *copy = strndup(names, event->head.name_bytes); /* lives as long as the program */
    size_t first = strlen(copy);
    event->name = below(copy, root);
    if (first < event->head.name_bytes)
        event->second = below(strndup(names + first + 1, event->head.name_bytes - first - 1), root);
}

struct power_log *power_log_open(const char *path, const char *root) {
    struct power_log *log = calloc(1, sizeof(*log));
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!log || fd < 0 || fstat(fd, &status) < 0)
        die("cannot open the log");
    log->map_size = (size_t)status.st_size;
    log->map = mmap(NULL, log->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (log->map == MAP_FAILED)
        die("cannot map the log");
    for (size_t at = 0; at + sizeof(struct io_record) <= log->map_size;) {
        struct event event = { 0 };
        memcpy(&event.head, log->map + at, sizeof(event.head));
        at += sizeof(event.head);
        if (event.head.name_bytes > log->map_size - at ||
            event.head.data_bytes > log->map_size - at - event.head.name_bytes)
            break; /* cut by the end of the process */
        if (event.head.name_bytes)
            take_names(&event, log->map + at, root);
        event.data = log->map + at + event.head.name_bytes;
        at += event.head.name_bytes + event.head.data_bytes;
        if ((log->count & (log->count - 1)) == 0)
            log->events = grow(log->events, (log->count ? log->count * 2 : 1) * sizeof(*log->events));
        log->events[log->count++] = event;
    }
    log->pending_names = grow(NULL, NAMES_MAX * sizeof(*log->pending_names));
    log->pending_name_file = grow(NULL, NAMES_MAX * sizeof(*log->pending_name_file));
    return log;
}

void power_log_close(struct power_log *log) {
    for (uint32_t i = 0; i < log->file_count; i++) {
        free(log->files[i].bytes);
        free(log->files[i].pending);
    }
    free(log->files);
    free(log->events);
    free(log->safe.items);
    free(log->now.items);
    free(log->pending_names);
    free(log->pending_name_file);
    munmap(log->map, log->map_size);
    free(log);
}

size_t power_log_count(const struct power_log *log) {
    return log->count;
}

int64_t power_log_time(const struct power_log *log, size_t event) {
    return log->events[event].head.time_ns;
}

int power_log_syncs(const struct power_log *log, size_t event) {
    return log->events[event].head.what == IO_EVENT_SYNC || log->events[event].head.what == IO_EVENT_WRITE_SYNC;
}
