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
    uint64_t hash; /* of the fixed part and the labels */
    uint64_t words[SEGMENT_WORDS];
    struct written_octave *octaves; /* in the order they came */
    uint32_t octave_count;
    uint16_t exemplar_count;                       /* it may have */
    uint64_t (*exemplars)[SEGMENT_EXEMPLAR_WORDS]; /* what was written, where it has some */
};

struct written_about {
    uint64_t position; /* 0: an empty place of the table */
    uint64_t hash;     /* of the whole piece, with a secret seed, so that nobody aims at one */
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
    struct written_about *abouts; /* open addressing, a power of two */
    size_t about_count, about_capacity;
    uint64_t about_seed;
    size_t checked, abouts_checked; /* where segment_check goes on */
};

/* Really allocate the file up to `end`, in steps. -ENOSPC and so on. */
int segment_allocate(struct segment_writer *writer, uint64_t end);

/* Run one write; the file that is too short for it is remembered for segment_check. */
int segment_write(struct segment_writer *writer, int (*function)(void *argument), void *argument);
/* The piece that says what the definition and the family say: the one that is there, or a new one. */
int segment_about(struct segment_writer *writer, const struct metric_definition *definition, struct text family,
                  uint64_t *ret_position);

/* Under the guard: whether the piece stands there as it was written. */
bool segment_about_is(const struct segment_writer *writer, const struct written_about *about);

static inline void segment_store(_Atomic uint64_t *to, uint64_t value) {
    atomic_store_explicit(to, value, memory_order_release);
}

static inline uint64_t segment_load(const _Atomic uint64_t *from) {
    return atomic_load_explicit(from, memory_order_acquire);
}

static inline double segment_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline struct segment_header *segment_header_of(const struct map *map) {
    return (struct segment_header *)map->base;
}

/* --- the reader --- */

struct segment {
    char *path;
    struct map map;
    struct segment_info info; /* what of it never changes: names, created_ns, id */
    uint32_t version;
    bool is_copy;                   /* private memory: no guard is needed, and there is no writer to wait for */
    _Atomic bool stuck;             /* a wait for the writer was in vain ... */
    _Atomic uint64_t stuck_changes; /* ... when the header had this: another number, and waiting makes sense again */
};

/* A descriptor of the file at `path` and its size; or the sentence. */
int segment_open_file(const char *path, uint64_t *ret_size, struct error *error);
/* Judge the header of what segment->map holds, and keep of it what never changes: 0, -EBADMSG, -EPROTO. For segment_run. */
int segment_read_header(void *segment);
int segment_header_fault(const char *path, int result, struct error *error); /* the sentence for that */
/* function(argument), under the guard where it may touch the file. */
int segment_run(const struct segment *segment, int (*function)(void *argument), void *argument);

/* --- for what runs under the guard --- */

/* How far the file is used, or 0 when it says nonsense. */
uint64_t segment_used(const struct segment *segment);
/* The piece at a position below `used`, its size checked; *ret is a copy. -EBADMSG. */
int segment_read_piece(const struct segment *segment, uint64_t position, uint64_t used, struct segment_piece *ret);
/* The same of a piece that a series points to, of that type: octaves and exemplars lie behind it, what it has in common in front. */
int segment_read_linked(const struct segment *segment, uint64_t position, uint64_t used, uint32_t type,
                        struct segment_piece *ret);
/* The octaves of the chain from `position` on, of the series at `series`: for each `take` says where its counts go. A newer one lies behind all
 * older ones, so positions fall and the chain ends. -EBADMSG, or what take returned. */
typedef int segment_octave_function(void *context, unsigned number, uint64_t **ret);
int segment_walk_octaves(const struct segment *segment, uint64_t series, uint64_t position,
                         segment_octave_function *take, void *context);
/* The exemplars at `position` (0: none), at most `most`: how many, or -EBADMSG. */
int segment_copy_exemplars(const struct segment *segment, uint64_t series, uint64_t position, unsigned most,
                           struct metric_exemplar *ret);
/* Before another attempt at a series that is being changed: false when there is no use in it. */
bool segment_wait(struct segment *segment, int attempt);

/* Copy a series' texts into sample->bytes and everything of it that never changes into the sample; *ret is where its words are. The sizes
 * are checked, what the texts say is not. piece: as segment_read_piece gave it. */
int segment_read_fixed(const struct segment *segment, uint64_t position, const struct segment_piece *piece,
                       struct segment_sample *sample, const _Atomic uint64_t **ret_words);
int segment_read_fixed_v1(const struct segment *segment, uint64_t position, const struct segment_piece *piece,
                          struct segment_sample *sample, const _Atomic uint64_t **ret_words);
/* The same for the words of a piece that lies at `at` of `size` bytes: of which version; NULL: it is no series, or too small. */
const _Atomic uint64_t *segment_words(uint32_t version, const char *at, const struct segment_piece *piece);
/* `lengths` of the texts that follow each other from `from` into sample->bytes, with room for `more` bytes behind; each of ret is where it is. */
int segment_copy_texts(struct segment_sample *sample, const char *from, const uint16_t *lengths, size_t count,
                       size_t more, struct text *ret);

#endif
