/* rules_read.h - what the rooms of the rules file share; nobody else includes it. */
#ifndef TASKFORGE_ALERTER_RULES_READ_H
#define TASKFORGE_ALERTER_RULES_READ_H

#include "alerter/rule.h"
#include "common/process/config_read.h"

/* A name that has to be judged when all files are read, and where it stands. */
struct rules_reference {
    char *name;
    const char *file;
    unsigned line, column;
    const char *of; /* the key it is a value of: "channels of a rule" */
};

struct rules_reader {
    struct config_reader reader; /* first: the readers of single values get its address */
    struct rules *rules;
    struct rules_reference *channels; /* names of channels that were used */
    size_t channel_count;
    struct rules_reference *ids; /* of rules->rules, one for each */
    size_t id_count;
    struct rules_reference default_channels, repeat_interval; /* where they were written; name NULL: nowhere */
};

static inline struct rules_reader *rules_reader_of(struct config_reader *reader) {
    return (struct rules_reader *)(void *)reader;
}

/* Lists at the top of a file; field is the struct rules. */
void rules_read_channels(struct config_reader *reader, const struct config_value *value, void *field);
void rules_read_rules(struct config_reader *reader, const struct config_value *value, void *field);

/* A list of channels' names into a struct rule_names; each is noted for judging. */
void rules_read_channel_names(struct config_reader *reader, const struct config_value *value, void *field);

/* Note a name and its place. */
void rules_note(struct rules_reader *reader, struct rules_reference **list, size_t *count, const char *name,
                const struct yaml_tree_node *node, const char *of);

/* A text of 1 to key->max characters in one line, as names and addresses are. */
void rules_read_line(struct config_reader *reader, const struct config_value *value, void *field); /* char * */

/* value->node as a list of at most `max` items, or NULL with the fault reported. */
const struct yaml_tree_node *rules_list(struct config_reader *reader, const struct config_value *value, size_t max,
                                        const char *such_as);

#endif
