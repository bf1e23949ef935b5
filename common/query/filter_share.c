/* filter_share.c - a filter for another thread: texts and compiled expressions are the first one's, scratch memory is its own. */
#include <errno.h>
#include <stdlib.h>

#include "common/query/filter.h"

static int share_pattern(struct pattern **pattern, struct error *error) {
    const struct pattern *original = *pattern;
    *pattern = NULL;
    return original ? pattern_share(original, pattern, error) : 0;
}

static int share_matchers(const struct filter *filter, struct filter *copy, struct error *error) {
    int status = 0;
    for (uint32_t i = 0; i < filter->matcher_count && status == 0; i++) {
        copy->matchers[i] = filter->matchers[i];
        copy->matcher_count = i + 1;
        status = share_pattern(&copy->matchers[i].pattern, error);
    }
    return status;
}

static int share_line(const struct filter_line *line, struct filter_line *copy, struct error *error) {
    int status = 0;
    *copy = *line;
    copy->alternative_count = 0;
    copy->alternatives = calloc(line->alternative_count + 1, sizeof(*copy->alternatives));
    if (!copy->alternatives)
        return error_set(error, -ENOMEM, "out of memory for a filter");
    for (uint32_t i = 0; i < line->alternative_count && status == 0; i++) {
        copy->alternatives[i] = line->alternatives[i];
        copy->alternative_count = i + 1;
        status = share_pattern(&copy->alternatives[i].pattern, error);
    }
    return status;
}

static int share_tree(const struct filter_tree *tree, struct filter_tree *copy, struct error *error) {
    int status = 0;
    copy->nodes = calloc(tree->count, sizeof(*copy->nodes));
    if (!copy->nodes)
        return error_set(error, -ENOMEM, "out of memory for a filter");
    for (uint32_t i = 0; i < tree->count && status == 0; i++) {
        copy->nodes[i] = tree->nodes[i];
        copy->count = i + 1;
        if (tree->nodes[i].kind == FILTER_NODE_MATCHER)
            status = share_pattern(&copy->nodes[i].matcher.pattern, error);
    }
    return status;
}

int filter_share(const struct filter *filter, struct filter *ret, struct error *error) {
    struct filter copy = *filter;
    int status = 0;
    copy.matcher_count = copy.line_count = copy.tree_count = 0;
    copy.matchers = calloc(filter->matcher_count + 1, sizeof(*copy.matchers));
    copy.lines = calloc(filter->line_count + 1, sizeof(*copy.lines));
    copy.trees = calloc(filter->tree_count + 1, sizeof(*copy.trees));
    if (!copy.matchers || !copy.lines || !copy.trees)
        status = error_set(error, -ENOMEM, "out of memory for a filter");
    if (status == 0)
        status = share_matchers(filter, &copy, error);
    for (uint32_t i = 0; i < filter->line_count && status == 0; i++) {
        status = share_line(&filter->lines[i], &copy.lines[i], error);
        copy.line_count = i + 1;
    }
    for (uint32_t i = 0; i < filter->tree_count && status == 0; i++) {
        status = share_tree(&filter->trees[i], &copy.trees[i], error);
        copy.tree_count = i + 1;
    }
    if (status < 0) {
        filter_share_finish(&copy);
        return status;
    }
    *ret = copy;
    return 0;
}

void filter_share_finish(struct filter *share) {
    for (uint32_t i = 0; i < share->matcher_count; i++)
        pattern_destroy(share->matchers[i].pattern);
    for (uint32_t i = 0; i < share->line_count; i++) {
        for (uint32_t j = 0; j < share->lines[i].alternative_count; j++)
            pattern_destroy(share->lines[i].alternatives[j].pattern);
        free(share->lines[i].alternatives);
    }
    for (uint32_t i = 0; i < share->tree_count; i++) {
        for (uint32_t j = 0; j < share->trees[i].count; j++)
            if (share->trees[i].nodes[j].kind == FILTER_NODE_MATCHER)
                pattern_destroy(share->trees[i].nodes[j].matcher.pattern);
        free(share->trees[i].nodes);
    }
    free(share->matchers);
    free(share->lines);
    free(share->trees);
    filter_init(share);
}
