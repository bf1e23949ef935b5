/* filter_tree.c - conditions of label filters that stand behind `or`: built by the parser node by node, children before parents. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/filter.h"

void filter_tree_finish(struct filter_tree *tree) {
    for (uint32_t i = 0; i < tree->count; i++)
        if (tree->nodes[i].kind == FILTER_NODE_MATCHER)
            filter_matcher_finish(&tree->nodes[i].matcher);
    free(tree->nodes);
    *tree = (struct filter_tree) { 0 };
}

static int add_node(struct filter_tree *tree, const struct filter_node *node, struct error *error) {
    if (tree->count >= FILTER_NODES_MAX)
        return error_set(error, -E2BIG, "a label filter may have %d conditions", FILTER_NODES_MAX / 2);
    struct filter_node *grown = realloc(tree->nodes, (tree->count + 1) * sizeof(*grown));
    if (!grown)
        return error_set(error, -ENOMEM, "out of memory for a filter");
    tree->nodes = grown;
    tree->nodes[tree->count++] = *node;
    return 0;
}

int filter_tree_leaf(struct filter_tree *tree, struct text label, enum filter_operator op, struct text value,
                     uint32_t *ret, struct error *error) {
    struct filter_node node = { .kind = FILTER_NODE_MATCHER, .first = tree->count };
    int status = filter_matcher_make(&node.matcher, label, op, value, &node.levels, error);
    if (status < 0)
        return status;
    if (status > 0)
        node.kind = FILTER_NODE_LEVELS;
    status = add_node(tree, &node, error);
    if (status < 0 && node.kind == FILTER_NODE_MATCHER)
        filter_matcher_finish(&node.matcher);
    *ret = tree->count - 1;
    return status;
}

int filter_tree_join(struct filter_tree *tree, bool any, uint32_t left, uint32_t right, uint32_t *ret,
                     struct error *error) {
    const struct filter_node node = {
        .kind = any ? FILTER_NODE_ANY : FILTER_NODE_BOTH, .first = tree->nodes[left].first, .left = left, .right = right
    };
    int status = add_node(tree, &node, error);
    *ret = tree->count - 1;
    return status;
}

/* --- into the filter --- */

/* The part of `tree` under `root`, moved into a tree of its own. */
static int take_subtree(struct filter_tree *tree, uint32_t root, struct filter_tree *ret, struct error *error) {
    uint32_t first = tree->nodes[root].first, count = root - first + 1;
    ret->nodes = calloc(count, sizeof(*ret->nodes));
    if (!ret->nodes)
        return error_set(error, -ENOMEM, "out of memory for a filter");
    ret->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct filter_node *node = &ret->nodes[i];
        *node = tree->nodes[first + i];
        node->first -= first;
        node->left -= node->kind == FILTER_NODE_ANY || node->kind == FILTER_NODE_BOTH ? first : 0;
        node->right -= node->kind == FILTER_NODE_ANY || node->kind == FILTER_NODE_BOTH ? first : 0;
        tree->nodes[first + i].kind = FILTER_NODE_MOVED;
    }
    return 0;
}

static int add_under(struct filter *filter, struct filter_tree *tree, uint32_t root, struct error *error) {
    struct filter_node *node = &tree->nodes[root];
    struct filter_tree taken = { 0 };
    int status = 0;
    switch (node->kind) {
    case FILTER_NODE_BOTH: /* what all must pass is a condition like any other, and may prune */
        status = add_under(filter, tree, node->left, error);
        return status < 0 ? status : add_under(filter, tree, node->right, error);
    case FILTER_NODE_LEVELS:
        filter->levels &= node->levels;
        return 0;
    case FILTER_NODE_MATCHER:
        status = filter_take_matcher(filter, &node->matcher, error);
        node->kind = FILTER_NODE_MOVED;
        return status;
    case FILTER_NODE_ANY:
        status = take_subtree(tree, root, &taken, error);
        return status < 0 ? status : filter_take_tree(filter, &taken, error);
    case FILTER_NODE_MOVED:
        break;
    }
    check(!"a node is moved once");
    return 0;
}

int filter_add_tree(struct filter *filter, struct filter_tree *tree, uint32_t root, struct error *error) {
    int status = add_under(filter, tree, root, error);
    filter_tree_finish(tree);
    return status;
}

/* --- judging --- */

static int judge(const struct filter_tree *tree, uint32_t at,
                 int (*leaf)(void *argument, const struct filter_node *node), void *argument) {
    const struct filter_node *node = &tree->nodes[at];
    if (node->kind == FILTER_NODE_MATCHER || node->kind == FILTER_NODE_LEVELS)
        return leaf(argument, node);
    int status = judge(tree, node->left, leaf, argument);
    if (status < 0 || (status > 0) == (node->kind == FILTER_NODE_ANY))
        return status;
    return judge(tree, node->right, leaf, argument);
}

int filter_tree_judge(const struct filter_tree *tree, int (*leaf)(void *argument, const struct filter_node *node),
                      void *argument) {
    return judge(tree, tree->count - 1, leaf, argument);
}
