/* partition_build.h - a closed partition made anew: out of another one (partition_copy.h), or of entries from elsewhere (tfctl).
 *
 * It is built under the name it is given and is of use only once it is ended: whoever builds gives a name that nobody reads, and renames it
 * then. Both of LMDB's meta pages lead to all of it at the end: where it takes the place of another file, a reader may find that one's lock, and in it the
 * number of another transaction, by which LMDB chooses the page. One thread. */
#ifndef TASKFORGE_COMMON_STORE_PARTITION_BUILD_H
#define TASKFORGE_COMMON_STORE_PARTITION_BUILD_H

#include "common/store/block.h"
#include "common/store/partition_origin.h"
#include "common/store/span_codec.h"

struct partition_build;

struct partition_build_options {
    struct partition_meta meta;            /* version, ready and, when it is 0, closed_ns are set by the builder */
    const struct partition_origin *origin; /* copied */
    struct partition_growth growth;        /* as partition_set_growth; zero: none */
    int (*between)(void *argument); /* NULL, or asked behind each commit: negative, and the build fails with it */
    void *argument;
};

/* -EEXIST when there is such a file. */
int partition_build_begin(const char *path, const struct partition_build_options *options, struct partition_build **ret,
                          struct error *error);

/* The entry of the next sequence. Each function: 0, or the negative errno with which the build has failed. */
int partition_build_add(struct partition_build *build, const struct entry *entry, uint64_t flush_ns,
                        struct error *error);
/* So many are gone (gone.h). Those before the first entry of a block or behind its last have no row. */
int partition_build_add_gone(struct partition_build *build, uint64_t count, struct error *error);
int partition_build_add_span(struct partition_build *build, const struct span *span, uint64_t sequence,
                             struct text value, struct error *error);
int partition_build_add_state(struct partition_build *build, struct text key, struct text value, struct error *error);

/* The sequence of the next row; how many entries there are. */
uint64_t partition_build_next(const struct partition_build *build);
uint64_t partition_build_entries(const struct partition_build *build);

/* Another id than that of the options. */
void partition_build_set_id(struct partition_build *build, const struct uuid *id);

/* Write what is left, close it, free the build: 0, or it is as if it had been given up. */
int partition_build_end(struct partition_build *build, struct error *error);
/* Free it and remove the file. NULL is fine. */
void partition_build_give_up(struct partition_build *build);

#endif
