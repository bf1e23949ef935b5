#include "common/process/config_library.h"

#include "common/privacy/redact_patterns.h"
#include "common/process/config_value.h"

#include <stdlib.h>

_Static_assert((int)CONFIG_REDACT_PATTERNS_MAX == (int)REDACT_PATTERNS_MAX, "what is accepted has room");

/* A level below error, by any of its names; else reported. What is wrong is said of `node`. */
static bool read_low_level(struct config_reader *reader, const struct config_value *value,
                           const struct yaml_tree_node *node, enum level *ret) {
    struct config_value at = { node, value->where, value->key };
    char text[CONFIG_SHOWN_SIZE];

    if (node->kind != YAML_TREE_SCALAR || level_parse(text_of(node->text), ret) < 0) {
        config_fault_of(reader, &at, "needs levels: trace, debug, info or warn, not %s", config_shown(node, text));
        return false;
    }
    if (*ret >= LEVEL_ERROR) {
        config_fault_of(reader, &at, "must not name %s: entries of level error and critical are always stored",
                        level_name(*ret));
        return false;
    }
    return true;
}

static void read_share(struct config_reader *reader, const struct config_value *value,
                       const struct yaml_tree_node *node, double *ret) {
    struct config_value at = { node, value->where, value->key };
    char text[CONFIG_SHOWN_SIZE];

    if (node->kind != YAML_TREE_SCALAR || !node->plain || config_parse_share(text_of(node->text), ret) < 0)
        config_fault_of(reader, &at, "needs a share from 0 to 1 for each level, such as 0.1, not %s",
                        config_shown(node, text));
}

void config_read_sampling(struct config_reader *reader, const struct config_value *value, void *field) {
    struct config_sampling *sampling = field;
    const struct yaml_tree_node *node = value->node;
    unsigned seen = 0;

    if (yaml_tree_is_null(node))
        return;
    if (node->kind != YAML_TREE_MAPPING) {
        config_fault_of(reader, value, "must be a mapping of levels to shares such as { debug: 0.1 }, not %s",
                        yaml_tree_describe(node));
        return;
    }
    for (size_t i = 0; i + 1 < node->count; i += 2) {
        const struct config_value at = { node->children[i], value->where, value->key };
        enum level level;

        if (!read_low_level(reader, value, node->children[i], &level))
            continue;
        if (seen & 1U << level)
            config_fault_of(reader, &at, "names %s a second time", level_name(level));
        else
            read_share(reader, value, node->children[i + 1], &sampling->shares[level]);
        seen |= 1U << level;
    }
}

void config_read_low_levels(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct yaml_tree_node *node = value->node;
    unsigned *levels = field;

    if (node->kind != YAML_TREE_SEQUENCE) {
        config_fault_of(reader, value, "must be a list of levels such as [trace, debug], not %s",
                        yaml_tree_describe(node));
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        enum level level;

        if (read_low_level(reader, value, node->children[i], &level))
            *levels |= 1U << level;
    }
}

static bool begin_list(struct config_reader *reader, const struct yaml_tree_node *list,
                       struct config_strings *strings) {
    strings->items = calloc(list->count + 1, sizeof(*strings->items));
    reader->out_of_memory |= !strings->items;
    return strings->items != NULL;
}

/* An expression that is none is said at its own place. */
void config_read_patterns(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct yaml_tree_node *list = value->node;
    struct config_strings *patterns = field;

    if (list->kind != YAML_TREE_SEQUENCE || list->count > CONFIG_REDACT_PATTERNS_MAX) {
        config_fault_of(reader, value, "must be a list of at most %d regular expressions such as ['\\b\\d{16}\\b']",
                        CONFIG_REDACT_PATTERNS_MAX);
        return;
    }
    if (!begin_list(reader, list, patterns))
        return;
    for (size_t i = 0; i < list->count; i++) {
        struct config_value item = { list->children[i], value->where, value->key };
        const char *text = config_text(reader, &item);
        struct error error = { "" };

        if (!text)
            continue;
        if (redact_pattern_check(text_of(text), &error) < 0)
            config_fault_of(reader, &item, "%s", error.text);
        else
            config_keep(reader, &patterns->items[patterns->count], text);
        patterns->count += patterns->items[patterns->count] != NULL;
    }
}

void config_read_redact_keys(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct yaml_tree_node *list = value->node;
    struct config_strings *keys = field;

    if (list->kind != YAML_TREE_SEQUENCE || list->count > CONFIG_REDACT_KEYS_MAX) {
        config_fault_of(reader, value, "must be a list of at most %d keys such as [password, token]",
                        CONFIG_REDACT_KEYS_MAX);
        return;
    }
    if (!begin_list(reader, list, keys))
        return;
    for (size_t i = 0; i < list->count; i++) {
        struct config_value item = { list->children[i], value->where, value->key };
        const char *text = config_text(reader, &item);

        if (!text)
            continue;
        if (*text == '\0' || strlen(text) > CONFIG_REDACT_KEY_BYTES)
            config_fault_of(reader, &item, "must have 1 to %d bytes each", CONFIG_REDACT_KEY_BYTES);
        else
            config_keep(reader, &keys->items[keys->count], text);
        keys->count += keys->items[keys->count] != NULL;
    }
}
