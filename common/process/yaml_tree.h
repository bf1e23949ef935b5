/* yaml_tree.h - a YAML text as a tree whose nodes know their line and column; the one user of libyaml.
 *
 * Bounded in depth and nodes; anchors, aliases, tags and a second document are refused (nothing here expands, so no text
 * grows into more than itself). Nodes are owned by the tree. Not thread-safe by itself; no global state.
 */
#ifndef TASKFORGE_COMMON_PROCESS_YAML_TREE_H
#define TASKFORGE_COMMON_PROCESS_YAML_TREE_H

#include "common/base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    YAML_TREE_DEPTH_MAX = 32,
    YAML_TREE_NODES_MAX = 10000,
    YAML_TREE_PROBLEM_SIZE = 160,
};

enum yaml_tree_kind { YAML_TREE_SCALAR, YAML_TREE_SEQUENCE, YAML_TREE_MAPPING };

struct yaml_tree_node {
    enum yaml_tree_kind kind;
    unsigned line, column;            /* from 1 */
    char *text;                       /* scalar: its value, NUL-terminated, without NUL inside; never NULL */
    bool plain;                       /* scalar: written without quotes, so that 1, true and null are not texts */
    struct yaml_tree_node **children; /* sequence: the items; mapping: key, value, key, value ...; keys are scalars */
    size_t count;                     /* of children */
};

struct yaml_tree_problem {
    unsigned line, column; /* from 1 */
    char text[YAML_TREE_PROBLEM_SIZE];
};

/* Parse. *ret_root is NULL for a text without content. -EINVAL with *problem, or -ENOMEM. */
int yaml_tree_read(const char *data, size_t length, struct yaml_tree_node **ret_root,
                   struct yaml_tree_problem *problem);
void yaml_tree_destroy(struct yaml_tree_node *root); /* NULL is fine */

bool yaml_tree_is_null(const struct yaml_tree_node *node); /* a plain null, ~ or nothing */

/* True when the node is a scalar that YAML takes for a text: quoted, or plain and no null, boolean or number. */
bool yaml_tree_is_text(const struct yaml_tree_node *node);
bool yaml_tree_is_boolean(const struct yaml_tree_node *node,
                          bool *ret); /* a plain true, yes, on, false, no or off: which */

/* What a node is, in words: "a list", "a number", "text", ... */
const char *yaml_tree_describe(const struct yaml_tree_node *node);

#endif
