#include "common/process/yaml_tree.h"

#include "common/base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    struct yaml_tree_node *root;
    struct yaml_tree_node *open[YAML_TREE_DEPTH_MAX]; /* collections that have begun and not ended */
    size_t depth;
    size_t nodes;
    struct yaml_tree_problem *problem;
};

static int refuse(struct builder *builder, const yaml_mark_t *mark, const char *what) {
    builder->problem->line = (unsigned)mark->line + 1;
    builder->problem->column = (unsigned)mark->column + 1;
    snprintf(builder->problem->text, sizeof(builder->problem->text), "%s", what);
    return -EINVAL;
}

static int parser_problem(struct builder *builder) {
    const yaml_parser_t *parser = &builder->parser;
    const yaml_mark_t *mark = parser->error == YAML_READER_ERROR ? &parser->mark : &parser->problem_mark;
    char text[YAML_TREE_PROBLEM_SIZE];

    if (parser->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    snprintf(text, sizeof(text), "not valid YAML: %s%s%s", parser->context ? parser->context : "",
             parser->context ? ", " : "", parser->problem ? parser->problem : "unknown problem");
    return refuse(builder, mark, text);
}

/* Hang a new node where the text stands; the parent owns it from here. */
static int attach(struct builder *builder, struct yaml_tree_node *node) {
    struct yaml_tree_node *parent, **children;

    if (builder->depth == 0) {
        check(!builder->root);
        builder->root = node;
        return 0;
    }
    parent = builder->open[builder->depth - 1];
    if ((parent->count & (parent->count - 1)) == 0) { /* room grows in powers of two */
        children = realloc(parent->children, (parent->count ? 2 * parent->count : 1) * sizeof(struct yaml_tree_node *));
        if (!children)
            return -ENOMEM;
        parent->children = children;
    }
    parent->children[parent->count++] = node;
    return 0;
}

static bool stands_as_key(const struct builder *builder) {
    const struct yaml_tree_node *parent = builder->depth ? builder->open[builder->depth - 1] : NULL;

    return parent && parent->kind == YAML_TREE_MAPPING && parent->count % 2 == 0;
}

static int add_node(struct builder *builder, const yaml_mark_t *mark, enum yaml_tree_kind kind,
                    struct yaml_tree_node **ret) {
    struct yaml_tree_node *node;
    int r;

    if (kind != YAML_TREE_SCALAR && stands_as_key(builder))
        return refuse(builder, mark, "a key must be a plain word");
    if (++builder->nodes > YAML_TREE_NODES_MAX)
        return refuse(builder, mark, "too much in one file");
    node = calloc(1, sizeof(*node));
    if (!node)
        return -ENOMEM;
    node->kind = kind;
    node->line = (unsigned)mark->line + 1;
    node->column = (unsigned)mark->column + 1;
    r = attach(builder, node);
    if (r < 0) {
        free(node);
        return r;
    }
    *ret = node;
    return 0;
}

static int add_scalar(struct builder *builder, const yaml_event_t *event) {
    const char *value = (const char *)event->data.scalar.value;
    struct yaml_tree_node *node;
    int r;

    if (event->data.scalar.anchor || event->data.scalar.tag)
        return refuse(builder, &event->start_mark, "anchors and tags are not taken here");
    if (memchr(value, '\0', event->data.scalar.length))
        return refuse(builder, &event->start_mark, "a NUL character is not taken here");
    r = add_node(builder, &event->start_mark, YAML_TREE_SCALAR, &node);
    if (r < 0)
        return r;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = strdup(value);
    return node->text ? 0 : -ENOMEM;
}

static int open_collection(struct builder *builder, const yaml_event_t *event, enum yaml_tree_kind kind,
                           const yaml_char_t *anchor, const yaml_char_t *tag) {
    struct yaml_tree_node *node;
    int r;

    if (anchor || tag)
        return refuse(builder, &event->start_mark, "anchors and tags are not taken here");
    if (builder->depth == YAML_TREE_DEPTH_MAX)
        return refuse(builder, &event->start_mark, "nested too deeply");
    r = add_node(builder, &event->start_mark, kind, &node);
    if (r < 0)
        return r;
    builder->open[builder->depth++] = node;
    return 0;
}

static int take_event(struct builder *builder, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(builder, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(builder, event, YAML_TREE_SEQUENCE, event->data.sequence_start.anchor,
                               event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_collection(builder, event, YAML_TREE_MAPPING, event->data.mapping_start.anchor,
                               event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        check(builder->depth > 0);
        builder->depth--;
        return 0;
    case YAML_ALIAS_EVENT:
        return refuse(builder, &event->start_mark, "aliases are not taken here");
    case YAML_DOCUMENT_START_EVENT:
        return builder->root ? refuse(builder, &event->start_mark, "a second document in one file") : 0;
    default: /* stream start, document end: nothing to do */
        return 0;
    }
}

static int build(struct builder *builder) {
    for (;;) {
        yaml_event_t event;
        bool end;
        int r;

        if (!yaml_parser_parse(&builder->parser, &event))
            return parser_problem(builder);
        end = event.type == YAML_STREAM_END_EVENT;
        r = take_event(builder, &event);
        yaml_event_delete(&event);
        if (r < 0 || end)
            return r;
    }
}

int yaml_tree_read(const char *data, size_t length, struct yaml_tree_node **ret_root,
                   struct yaml_tree_problem *problem) {
    struct builder builder = { .problem = problem };
    int r;

    if (!yaml_parser_initialize(&builder.parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)(data ? data : ""), length);
    r = build(&builder);
    yaml_parser_delete(&builder.parser);
    if (r < 0) {
        yaml_tree_destroy(builder.root);
        return r;
    }
    *ret_root = builder.root;
    return 0;
}

void yaml_tree_destroy(struct yaml_tree_node *root) {
    if (!root)
        return;
    for (size_t i = 0; i < root->count; i++) /* at most YAML_TREE_DEPTH_MAX deep */
        yaml_tree_destroy(root->children[i]);
    free(root->children);
    free(root->text);
    free(root);
}

static bool one_of(const char *text, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool is_boolean(const char *text) {
    static const char *const words[] = { "true", "false", "yes", "no", "on", "off" };

    return one_of(text, words, COUNT_OF(words));
}

static bool is_number(const char *text) {
    const char *first = text + (*text == '-' || *text == '+');
    char *end;

    if (*first == '.')
        first++;
    if (*first < '0' || *first > '9')
        return false;
    strtod(text, &end);
    return *end == '\0';
}

bool yaml_tree_is_null(const struct yaml_tree_node *node) {
    static const char *const words[] = { "", "~", "null" };

    return node->kind == YAML_TREE_SCALAR && node->plain && one_of(node->text, words, COUNT_OF(words));
}

bool yaml_tree_is_boolean(const struct yaml_tree_node *node, bool *ret) {
    static const char *const words[] = { "true", "yes", "on" };

    if (node->kind != YAML_TREE_SCALAR || !node->plain || !is_boolean(node->text))
        return false;
    *ret = one_of(node->text, words, COUNT_OF(words));
    return true;
}

bool yaml_tree_is_text(const struct yaml_tree_node *node) {
    if (node->kind != YAML_TREE_SCALAR)
        return false;
    return !node->plain || !(yaml_tree_is_null(node) || is_boolean(node->text) || is_number(node->text));
}

const char *yaml_tree_describe(const struct yaml_tree_node *node) {
    if (node->kind != YAML_TREE_SCALAR)
        return node->kind == YAML_TREE_SEQUENCE ? "a list" : "a mapping";
    if (yaml_tree_is_text(node))
        return "text";
    if (yaml_tree_is_null(node))
        return "nothing";
    return is_boolean(node->text) ? "a truth value" : "a number";
}
