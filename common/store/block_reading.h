/* block_reading.h - a block that is read, as the files see it that decode its columns; only common/store includes it. */
#ifndef TASKFORGE_COMMON_STORE_BLOCK_READING_H
#define TASKFORGE_COMMON_STORE_BLOCK_READING_H

#include "common/store/block_private.h"

enum { BLOCK_SLACK = 32 }; /* bytes that may be read behind templates and arguments, and written behind messages */

struct place { /* of a column in the block's bytes; stored 0: it is not there */
    uint32_t stored, raw, at;
    uint16_t codec;
    uint64_t checksum;
};

struct names { /* a decoded dictionary column */
    char *bytes;
    uint32_t *ends;
    uint32_t size;
    uint16_t *rows;
};

struct run { /* texts, one after the other; offsets has one more than there are */
    char *bytes;
    uint32_t *offsets;
};

struct templates {
    uint32_t count;
    char *bytes;
    uint32_t *ends;
    uint32_t *gap_begins; /* of each template in gaps; one more */
    uint32_t *gaps;       /* where in bytes each gap is */
    /* and these with the arguments: */
    uint32_t *row_begins; /* of each template in rows; one more */
    uint16_t *rows;       /* by template */
    uint16_t *ranks;      /* of each row among its template's */
    uint32_t
        *argument_begins; /* of each template; its gaps follow each other, each with the arguments of all its rows */
};

struct group { /* the values of one metadata key, or the maps that were kept whole */
    uint32_t count;
    bool loaded;
    char *own; /* what bytes points into, where no other group's do */
    const char *bytes;
    uint32_t *offsets;
    uint32_t *by_row; /* the number of the row's value; count: none. Made when it is asked for */
};

struct asked { /* a key that block_load_metadata_key was asked for */
    char *key;
    size_t length;
    uint32_t group; /* 0: in no shape */
};

struct keys { /* of metadata */
    bool loaded;
    uint32_t count, shape_count;
    struct run names;
    struct run headed; /* the same as msgpack */
    uint8_t *columns;  /* of each group */
    uint32_t *shape_begins;
    uint16_t *shape_keys;
    uint16_t *rows;
    struct group *groups; /* count + 1 */
    char *rest;
    bool rest_loaded;
    struct asked *asked;
    uint32_t asked_count;
};

struct block {
    uint64_t first_sequence;
    uint32_t count;
    unsigned version;
    bool has_partition_host;
    struct text partition_host;
    char *host_copy; /* its bytes */
    char *encoded;   /* the whole of it, private copy */
    const char *columns; /* in that: the packed columns */
    struct place places[BLOCK_PLACES];
    bool loaded[BLOCK_COLUMN_COUNT];
    bool some[BLOCK_COLUMN_COUNT]; /* decoded for `wanted` rows only, the others are empty */
    uint8_t *wanted;               /* a byte for each row; NULL: none yet */
    uint64_t *timestamps;
    uint8_t *levels;
    uint32_t *pids;
    struct uuid *uuids[3]; /* id, user, organization */
    struct names names[BLOCK_NAMES];
    struct run texts[BLOCK_TEXTS];
    uint32_t statement_count;
    struct block_statement *statements;
    uint16_t *statement_rows;
    struct templates templates;
    struct run arguments; /* of version 1: the messages */
    struct block_look *looks; /* of each gap, or NULL: the block tells none */
    struct keys keys;
};

static inline struct text run_get(const struct run *run, uint32_t index) {
    return (struct text) { run->bytes ? run->bytes + run->offsets[index] : NULL,
                           run->offsets[index + 1] - run->offsets[index] };
}

/* The plain bytes of a column, BLOCK_SLACK more allocated (free(*ret)); none: empty. -EBADMSG for a wrong checksum, -ENOMEM. */
int block_plain(struct block *block, unsigned column, char **ret, struct text *ret_text, struct error *error);

/* Decode a column whose needs are loaded; `plain` is what raw stands in: who keeps it makes it NULL. `wanted` as block_load_some takes it. */
int block_decode(struct block *block, enum block_column column, struct text raw, char **plain, const uint8_t *wanted,
                 struct error *error);
/* Load a column of texts that are put together: for the wanted rows (a byte for each row; NULL: all of them). */
int block_load_some(struct block *block, enum block_column column, const uint8_t *wanted, struct error *error);
/* Of that, in files of their own: the column's plain bytes to what is above; 0, -EBADMSG, -ENOMEM. What is half done stays for `undo`. */
int block_decode_statements(struct block *block, struct text raw);
int block_decode_templates(struct block *block, struct text raw);
int block_decode_looks(struct block *block, struct text raw);
int block_decode_arguments(struct block *block, struct text raw, char **plain, struct error *error);
int block_assemble_messages(struct block *block, const uint8_t *wanted);
/* The same of blocks of version 1: statements without templates; one template, a gap. */
int block_make_statements(struct block *block);
int block_make_template(struct block *block);
int block_make_arguments(struct block *block);
void block_undo_statements(struct block *block);
void block_undo_templates(struct block *block);
void block_undo_arguments(struct block *block);

int block_assemble_metadata(struct block *block, const uint8_t *wanted, struct error *error);
void block_keys_finish(struct keys *keys);

static inline struct text block_argument(const struct block *block, uint32_t template, uint32_t gap, uint32_t rank) {
    const struct templates *templates = &block->templates;
    uint32_t rows = templates->row_begins[template + 1] - templates->row_begins[template];
    return run_get(&block->arguments, templates->argument_begins[template] + gap * rows + rank);
}

#endif
