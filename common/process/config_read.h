/* config_read.h - walking a YAML tree by tables of keys: what config_schema.c fills in and config.c starts. Used by the
 * config rooms, and by daemons for files of their own in the same form (the alerter's rules). A reader reports faults and
 * goes on, so that one run finds them all. */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_READ_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_READ_H

#include "common/process/config.h"
#include "common/process/yaml_tree.h"

struct config_reader {
    const char *file;
    struct config_faults *faults;
    struct config *config; /* NULL for another file than the configuration */
    bool out_of_memory;
};

/* One value being read: where it stands and what it is called in sentences. */
struct config_value {
    const struct yaml_tree_node *node;
    const char *where;            /* "collector" */
    const struct config_key *key; /* its row */
};

/* Check value->node and store it at `field`, or report a fault and leave the default there. */
typedef void config_read_function(struct config_reader *reader, const struct config_value *value, void *field);

struct config_choice {
    const char *name;
    int value;
    bool not_built;
};

struct config_key {
    const char *name;
    config_read_function *read;          /* NULL: known, and refused as not built yet */
    size_t offset;                       /* of the field in the struct of the section */
    uint64_t min, max;                   /* counts, sizes, durations; of a text: its length in characters, max alone */
    const struct config_choice *choices; /* up to a NULL name */
    const struct config_key *keys;       /* of a section: its rows, up to a NULL name */
};

/* Read a mapping by its rows into the struct at `base`; an empty one is fine. `where` is "" at the top. */
void config_read_section(struct config_reader *reader, const struct yaml_tree_node *node, const char *where,
                         const struct config_key *keys, void *base);

/* The readers of single values. */
void config_read_nested(struct config_reader *reader, const struct config_value *value, void *field);
void config_read_duration(struct config_reader *reader, const struct config_value *value, void *field); /* uint64_t */
void config_read_size(struct config_reader *reader, const struct config_value *value, void *field);     /* uint64_t */
void config_read_count(struct config_reader *reader, const struct config_value *value, void *field);    /* uint64_t */
void config_read_text(struct config_reader *reader, const struct config_value *value, void *field);     /* char * */
void config_read_path(struct config_reader *reader, const struct config_value *value, void *field);     /* char * */
void config_read_path_or_null(struct config_reader *reader, const struct config_value *value,
                              void *field); /* char *; null leaves it NULL */
void config_read_flag(struct config_reader *reader, const struct config_value *value, void *field);   /* bool */
void config_read_choice(struct config_reader *reader, const struct config_value *value, void *field); /* int */
void config_read_globs(struct config_reader *reader, const struct config_value *value,
                       void *field); /* config_strings */
void config_read_paths(struct config_reader *reader, const struct config_value *value, void *field); /* absolute ones */

/* The text of a value that must be one; NULL, with the fault reported, when it is not. */
const char *config_text(struct config_reader *reader, const struct config_value *value);

/* *field (a char *) becomes a copy of `text`. */
void config_keep(struct config_reader *reader, char **field, const char *text);

/* The value of `name` among the choices, reported when there is none or it is not built; false then. */
bool config_choose(struct config_reader *reader, const struct config_value *value, const char *name, int *ret);

/* "SENTENCE" at the node's place. */
void config_fault_at(struct config_reader *reader, const struct yaml_tree_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "collector.flush_interval SENTENCE" at the value's place. */
void config_fault_of(struct config_reader *reader, const struct config_value *value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value as the user wrote it, for the end of a sentence. */
enum { CONFIG_SHOWN_SIZE = 68 };
const char *config_shown(const struct yaml_tree_node *node, char out[CONFIG_SHOWN_SIZE]);

/* For a mapping: the value of key `name`, or NULL. */
const struct yaml_tree_node *config_find(const struct yaml_tree_node *mapping, const char *name);

/* Append a file's bytes to *text, more than CONFIG_FILE_MAX of them when it is too large. 0 or a negative errno. */
int config_read_file(const char *path, struct buffer *text);

/* The top section's rows. */
extern const struct config_key config_top_keys[];

#endif
