/* segment_private.h - what the files of the metric segment share, and tests look into. */
#ifndef TASKFORGE_COMMON_SHM_SEGMENT_PRIVATE_H
#define TASKFORGE_COMMON_SHM_SEGMENT_PRIVATE_H

#include "common/shm/map.h"
#include "common/shm/segment.h"
#include "common/shm/segment_layout.h"

/* --- the writer: it reads nothing back from the file but to compare --- */

struct written_octave {
    uint64_t position;
    uint64_t hash; /* of the counts */
    uint32_t number;
};

struct written_series {
    uint64_t position;
    uint64_t hash; /* of the fixed part and the texts */
    uint64_t words[SEGMENT_WORDS];
    struct written_octave *octaves; /* in the order they came */
    uint32_t octave_count;
};

struct segment_writer {
    struct map map;
    int folder;         /* the runtime directory */
    char temporary[32]; /* the name until it is published, then "" */
    bool cut;           /* a write met the end of a file that was longer */
    uint64_t header_hash;
    uint64_t used, allocated, changes;
    struct written_series *series;
    size_t count, capacity;
    size_t checked; /* where segment_check goes on */
};

/* Really allocate the file up to `end`, in steps. -ENOSPC and so on. */
int segment_allocate(struct segment_writer *writer, uint64_t end);

static inline struct segment_header *segment_header_of(const struct map *map) {
    return (struct segment_header *)map->base;
}

/* --- the reader --- */

struct segment {
    char *path;
    struct map map;
    struct segment_info info; /* what of it never changes: names, created_ns, id */
    bool is_copy;             /* private memory: no guard is needed, and there is no writer to wait for */
    bool stuck;               /* a wait for the writer was in vain ... */
    uint64_t stuck_changes;   /* ... when the header had this: another number, and waiting makes sense again */
};

/* A descriptor of the file at `path` and its size; or the sentence. */
int segment_open_file(const char *path, uint64_t *ret_size, struct error *error);
/* Judge the header of what segment->map holds, and keep of it what never changes: 0, -EBADMSG, -EPROTO. For segment_run. */
int segment_read_header(void *segment);
int segment_header_fault(const char *path, int result, struct error *error); /* the sentence for that */
/* function(argument), under the guard where it may touch the file. */
int segment_run(const struct segment *segment, int (*function)(void *argument), void *argument);

#endif
