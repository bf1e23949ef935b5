#include "common/process/config_read.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/process/config_fault.h"
#include "common/process/config_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NEAR_MISS = 3, SHOWN_MAX = CONFIG_SHOWN_SIZE - 8, PATH_MAX_LENGTH = 400, NAME_SIZE = 160 };

/* --- saying what is wrong --- */

void config_fault_at(struct config_reader *reader, const struct yaml_tree_node *node, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    config_fault_addv(reader->faults, reader->file, node->line, node->column, format, arguments);
    va_end(arguments);
}

/* "collector.flush_interval", or "format of a tail input" where the section's name is in words. */
static const char *full_name(const char *where, const struct config_key *key, char out[NAME_SIZE]) {
    if (strchr(where, ' '))
        snprintf(out, NAME_SIZE, "%s of %s", key->name, where);
    else
        snprintf(out, NAME_SIZE, "%s%s%s", where, *where ? "." : "", key->name);
    return out;
}

void config_fault_of(struct config_reader *reader, const struct config_value *value, const char *format, ...) {
    char sentence[256], name[NAME_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    config_fault_at(reader, value->node, "%s %s", full_name(value->where, value->key, name), sentence);
}

const char *config_shown(const struct yaml_tree_node *node, char out[CONFIG_SHOWN_SIZE]) {
    if (node->kind != YAML_TREE_SCALAR)
        return yaml_tree_describe(node);
    if (*node->text == '\0')
        return "nothing";
    snprintf(out, CONFIG_SHOWN_SIZE, "\"%.*s%s\"", SHOWN_MAX, node->text, strlen(node->text) > SHOWN_MAX ? "..." : "");
    return out;
}

static void fault_value(struct config_reader *reader, const struct config_value *value, const char *wanted) {
    char text[CONFIG_SHOWN_SIZE];

    config_fault_of(reader, value, "must be %s, not %s", wanted, config_shown(value->node, text));
}

/* --- sections --- */

static const struct config_key *find_key(const struct config_key *keys, const char *name) {
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

/* A name that is close enough to have been meant: at most two edits, and fewer than it has letters to spare. */
static bool near_enough(unsigned distance, size_t length) {
    return distance < NEAR_MISS && 2 * (size_t)distance < length;
}

static void fault_unknown_key(struct config_reader *reader, const struct yaml_tree_node *node, const char *where,
                              const struct config_key *keys) {
    const char *meant = NULL;
    unsigned best = NEAR_MISS;
    char text[CONFIG_SHOWN_SIZE];

    for (; keys->name; keys++) {
        unsigned distance = text_distance(text_of(node->text), text_of(keys->name));

        if (distance < best && near_enough(distance, strlen(keys->name))) {
            best = distance;
            meant = keys->name;
        }
    }
    config_fault_at(reader, node, "unknown key %s %s%s%s%s%s", config_shown(node, text), *where ? "in " : "at the top",
                    where, meant ? "; did you mean \"" : "", meant ? meant : "", meant ? "\"?" : "");
}

const struct yaml_tree_node *config_find(const struct yaml_tree_node *mapping, const char *name) {
    if (mapping->kind != YAML_TREE_MAPPING)
        return NULL;
    for (size_t i = 0; i + 1 < mapping->count; i += 2)
        if (strcmp(mapping->children[i]->text, name) == 0)
            return mapping->children[i + 1];
    return NULL;
}

static bool fault_duplicate(struct config_reader *reader, const struct yaml_tree_node *mapping, size_t at) {
    const struct yaml_tree_node *key = mapping->children[at];

    for (size_t i = 0; i < at; i += 2) {
        if (strcmp(mapping->children[i]->text, key->text) != 0)
            continue;
        config_fault_at(reader, key, "key \"%s\" stands here a second time; the first is in line %u", key->text,
                        mapping->children[i]->line);
        return true;
    }
    return false;
}

void config_read_section(struct config_reader *reader, const struct yaml_tree_node *node, const char *where,
                         const struct config_key *keys, void *base) {
    char full[NAME_SIZE];

    if (yaml_tree_is_null(node))
        return;
    if (node->kind != YAML_TREE_MAPPING) {
        config_fault_at(reader, node, "%s must be a mapping of keys to values, not %s",
                        *where ? where : "the configuration", yaml_tree_describe(node));
        return;
    }
    for (size_t i = 0; i + 1 < node->count; i += 2) {
        const struct yaml_tree_node *name = node->children[i];
        const struct config_key *key = find_key(keys, name->text);
        struct config_value value = { node->children[i + 1], where, key };

        if (!key)
            fault_unknown_key(reader, name, where, keys);
        else if (fault_duplicate(reader, node, i))
            continue;
        else if (!key->read)
            config_fault_at(reader, name, "%s is not built yet", full_name(where, key, full));
        else
            key->read(reader, &value, (char *)base + key->offset);
    }
}

void config_read_nested(struct config_reader *reader, const struct config_value *value, void *field) {
    char where[NAME_SIZE];

    config_read_section(reader, value->node, full_name(value->where, value->key, where), value->key->keys, field);
}

/* --- single values --- */

const char *config_text(struct config_reader *reader, const struct config_value *value) {
    if (yaml_tree_is_text(value->node))
        return value->node->text;
    if (value->node->kind == YAML_TREE_SCALAR && !yaml_tree_is_null(value->node))
        config_fault_of(reader, value, "must be text, not %s; put it in quotes if it is meant",
                        yaml_tree_describe(value->node));
    else
        config_fault_of(reader, value, "must be text, not %s", yaml_tree_describe(value->node));
    return NULL;
}

void config_keep(struct config_reader *reader, char **field, const char *text) {
    char *copy = strdup(text);

    if (!copy) {
        reader->out_of_memory = true;
        return;
    }
    free(*field);
    *field = copy;
}

void config_read_duration(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct config_key *key = value->key;
    char low[CONFIG_VALUE_SIZE], high[CONFIG_VALUE_SIZE];
    uint64_t ns;

    if (value->node->kind != YAML_TREE_SCALAR || *value->node->text == '\0' ||
        clock_parse_duration(value->node->text, strlen(value->node->text), &ns) < 0) {
        fault_value(reader, value, "a duration such as 500ms, 10s, 5m, 2h or 7d");
        return;
    }
    if (ns < key->min || ns > key->max) {
        config_fault_of(reader, value, "must be between %s and %s", config_format_duration(key->min, low),
                        config_format_duration(key->max, high));
        return;
    }
    *(uint64_t *)field = ns;
}

void config_read_size(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct config_key *key = value->key;
    char low[CONFIG_VALUE_SIZE], high[CONFIG_VALUE_SIZE];
    uint64_t size;
    int r = -EINVAL;

    if (value->node->kind == YAML_TREE_SCALAR)
        r = config_parse_size(text_of(value->node->text), &size);
    if (r == -EINVAL)
        fault_value(reader, value, "a size such as 64KiB, 10MiB or 1GiB");
    else if (r < 0 || size < key->min || size > key->max)
        config_fault_of(reader, value, "must be between %s and %s", config_format_size(key->min, low),
                        config_format_size(key->max, high));
    else
        *(uint64_t *)field = size;
}

void config_read_count(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct config_key *key = value->key;
    uint64_t count;
    int r = -EINVAL;

    if (value->node->kind == YAML_TREE_SCALAR && value->node->plain)
        r = config_parse_count(text_of(value->node->text), &count);
    if (r == -EINVAL)
        fault_value(reader, value, "a whole number");
    else if (r < 0 || count < key->min || count > key->max)
        config_fault_of(reader, value, "must be between %llu and %llu", (unsigned long long)key->min,
                        (unsigned long long)key->max);
    else
        *(uint64_t *)field = count;
}

void config_read_text(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    size_t characters;

    if (!text)
        return;
    characters = text_utf8_count(text_of(text));
    if (characters < 1 || characters > value->key->max)
        config_fault_of(reader, value, "must have 1 to %llu characters", (unsigned long long)value->key->max);
    else
        config_keep(reader, field, text);
}

void config_read_path(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);

    if (!text)
        return;
    if (*text != '/')
        fault_value(reader, value, "an absolute path (it begins with '/')");
    else if (strlen(text) > PATH_MAX_LENGTH)
        config_fault_of(reader, value, "is longer than %d bytes", PATH_MAX_LENGTH);
    else
        config_keep(reader, field, text);
}

void config_read_path_or_null(struct config_reader *reader, const struct config_value *value, void *field) {
    if (!yaml_tree_is_null(value->node))
        config_read_path(reader, value, field);
}

bool config_choose(struct config_reader *reader, const struct config_value *value, const char *name, int *ret) {
    char list[160] = "", text[CONFIG_SHOWN_SIZE];
    size_t used = 0;

    for (const struct config_choice *choice = value->key->choices; choice->name; choice++) {
        if (strcmp(choice->name, name) == 0 && !choice->not_built) {
            *ret = choice->value;
            return true;
        }
        if (strcmp(choice->name, name) == 0) {
            config_fault_of(reader, value, "\"%s\" is not built yet", name);
            return false;
        }
        if (!choice->not_built)
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", choice->name);
    }
    config_fault_of(reader, value, "must be one of %s, not %s", list, config_shown(value->node, text));
    return false;
}

void config_read_choice(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    int chosen;

    if (text && config_choose(reader, value, text, &chosen))
        *(int *)field = chosen;
}

void config_read_flag(struct config_reader *reader, const struct config_value *value, void *field) {
    const struct yaml_tree_node *node = value->node;
    bool on = false;

    if (!yaml_tree_is_boolean(node, &on))
        fault_value(reader, value, "true or false");
    else
        *(bool *)field = on;
}

static void read_globs(struct config_reader *reader, const struct config_value *value, struct config_strings *field,
                       bool absolute) {
    const struct yaml_tree_node *list = value->node;

    if (list->kind != YAML_TREE_SEQUENCE) {
        fault_value(reader, value, "a list such as [\"/var/log/*.log\"]");
        return;
    }
    if (list->count > CONFIG_PATHS_MAX) {
        config_fault_of(reader, value, "has more than %d items", CONFIG_PATHS_MAX);
        return;
    }
    field->items = calloc(list->count + 1, sizeof(*field->items));
    if (!field->items) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct config_value item = { list->children[i], value->where, value->key };
        const char *text = config_text(reader, &item);

        if (!text)
            continue;
        if (*text == '\0' || strlen(text) > PATH_MAX_LENGTH || (absolute && *text != '/'))
            fault_value(reader, &item, absolute ? "a list of absolute paths" : "a list of file patterns");
        else
            config_keep(reader, &field->items[field->count], text);
        field->count += field->items[field->count] != NULL;
    }
}

void config_read_globs(struct config_reader *reader, const struct config_value *value, void *field) {
    read_globs(reader, value, field, false);
}

void config_read_paths(struct config_reader *reader, const struct config_value *value, void *field) {
    read_globs(reader, value, field, true);
}
