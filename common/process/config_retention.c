#include "common/process/config_retention.h"

#include "common/base/clock.h"
#include "common/base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define DAY (24 * 3600 * CLOCK_SECOND)

enum { WHERE_SIZE = 128 };

#define MAX_AGE_KEY(type)                                                                                              \
    {                                                                                                                  \
        .name = "max_age", .read = config_read_duration, .offset = offsetof(type, max_age_ns), .min = CLOCK_SECOND,    \
        .max = 36500 * DAY                                                                                             \
    }

static const struct config_key level_keys[] = {
    MAX_AGE_KEY(struct config_retention_level),
    { .name = NULL },
};

static const struct config_key service_keys[] = {
    MAX_AGE_KEY(struct config_retention_service),
    { .name = "max_size",
      .read = config_read_size,
      .offset = offsetof(struct config_retention_service, max_size),
      .min = MIB,
      .max = 1024 * TIB },
    { .name = NULL },
};

/* The map, or NULL where there is nothing to read in it. */
static const struct yaml_tree_node *map_of(struct config_reader *reader, const struct config_value *value,
                                           const char *example) {
    const struct yaml_tree_node *node = value->node;

    if (yaml_tree_is_null(node))
        return NULL;
    if (node->kind == YAML_TREE_MAPPING)
        return node;
    config_fault_of(reader, value, "must be a mapping such as %s, not %s", example, yaml_tree_describe(node));
    return NULL;
}

static void read_limits(struct config_reader *reader, const struct config_value *value,
                        const struct yaml_tree_node *name, const struct yaml_tree_node *node,
                        const struct config_key *keys, void *limits) {
    char where[WHERE_SIZE], text[CONFIG_SHOWN_SIZE];

    snprintf(where, sizeof(where), "%s.%s.%.40s", value->where, value->key->name, name->text);
    if (yaml_tree_is_null(node) || (node->kind == YAML_TREE_MAPPING && node->count == 0))
        config_fault_at(reader, node, "%s.%s of %s needs a limit such as { max_age: 2d }", value->where,
                        value->key->name, config_shown(name, text));
    else
        config_read_section(reader, node, where, keys, limits);
}

void config_read_retention_levels(struct config_reader *reader, const struct config_value *value, void *field) {
    struct config_retention *retention = field;
    const struct yaml_tree_node *map = map_of(reader, value, "{ debug: { max_age: 2d } }");
    unsigned seen = 0;

    for (size_t i = 0; map && i + 1 < map->count; i += 2) {
        const struct yaml_tree_node *name = map->children[i];
        const struct config_value at = { name, value->where, value->key };
        char text[CONFIG_SHOWN_SIZE];
        enum level level;

        if (level_parse(text_of(name->text), &level) < 0)
            config_fault_of(reader, &at, "needs levels: trace, debug, info, warn, error or critical, not %s",
                            config_shown(name, text));
        else if (seen & 1U << level)
            config_fault_of(reader, &at, "names %s a second time", level_name(level));
        else
            read_limits(reader, value, name, map->children[i + 1], level_keys, &retention->levels[level]);
        if (level_parse(text_of(name->text), &level) == 0)
            seen |= 1U << level;
    }
}

static bool is_named_already(const struct config_retention *retention, const char *name) {
    for (size_t i = 0; i < retention->service_count; i++)
        if (strcmp(retention->services[i].name, name) == 0)
            return true;
    return false;
}

void config_read_retention_services(struct config_reader *reader, const struct config_value *value, void *field) {
    struct config_retention *retention = field;
    const struct yaml_tree_node *map = map_of(reader, value, "{ debugger: { max_age: 2d, max_size: 1GiB } }");

    for (size_t i = 0; map && i + 1 < map->count; i += 2) {
        const struct yaml_tree_node *name = map->children[i];
        const struct config_value at = { name, value->where, value->key };
        struct config_retention_service *service = &retention->services[retention->service_count];
        size_t characters = text_utf8_count(text_of(name->text));

        if (retention->service_count == CONFIG_RETENTION_SERVICES_MAX) {
            config_fault_of(reader, &at, "has more than %d services", CONFIG_RETENTION_SERVICES_MAX);
            return;
        }
        if (characters < 1 || characters > CONFIG_NAME_MAX || strlen(name->text) >= sizeof(service->name)) {
            config_fault_of(reader, &at, "needs names of services with 1 to %d characters", CONFIG_NAME_MAX);
        } else if (is_named_already(retention, name->text)) {
            config_fault_of(reader, &at, "names the service a second time");
        } else {
            snprintf(service->name, sizeof(service->name), "%s", name->text);
            retention->service_count++;
            read_limits(reader, value, name, map->children[i + 1], service_keys, service);
        }
    }
}

/* --- labels --- */

static const char label_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
static const char label_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

/* Prometheus' rule for names of labels, whose "__" is its own. */
static bool is_label_name(const char *name) {
    size_t length = strlen(name);

    return length >= 1 && length <= CONFIG_LABEL_NAME_BYTES && strchr(label_letters, name[0]) &&
           strspn(name, label_bytes) == length && strncmp(name, "__", 2) != 0;
}

static bool has_label(const struct config_labels *labels, const char *name) {
    for (size_t i = 0; i < labels->count; i++)
        if (strcmp(labels->items[i].name, name) == 0)
            return true;
    return false;
}

static void read_label(struct config_reader *reader, const struct config_value *value,
                       const struct yaml_tree_node *name, const struct yaml_tree_node *node,
                       struct config_labels *labels) {
    const struct config_value at_name = { name, value->where, value->key }, at = { node, value->where, value->key };
    struct config_label *label = &labels->items[labels->count];
    const char *text;

    if (!is_label_name(name->text)) {
        config_fault_of(
            reader, &at_name,
            "needs names of at most %d letters, digits and '_' that begin with no digit and not with \"__\"",
            CONFIG_LABEL_NAME_BYTES);
        return;
    }
    if (has_label(labels, name->text)) {
        config_fault_of(reader, &at_name, "names \"%s\" a second time", name->text);
        return;
    }
    text = config_text(reader, &at);
    if (!text)
        return;
    if (*text == '\0' || strlen(text) > CONFIG_LABEL_VALUE_BYTES) {
        config_fault_of(reader, &at, "needs values of 1 to %d bytes", CONFIG_LABEL_VALUE_BYTES);
        return;
    }
    config_keep(reader, &label->name, name->text);
    config_keep(reader, &label->value, text);
    labels->count++;
}

void config_read_labels(struct config_reader *reader, const struct config_value *value, void *field) {
    struct config_labels *labels = field;
    const struct yaml_tree_node *map = map_of(reader, value, "{ site: jkt1 }");

    if (!map)
        return;
    if (map->count / 2 > CONFIG_LABELS_MAX) {
        config_fault_of(reader, value, "has more than %d labels", CONFIG_LABELS_MAX);
        return;
    }
    labels->items = calloc(map->count / 2 + 1, sizeof(*labels->items));
    if (!labels->items) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i + 1 < map->count; i += 2)
        read_label(reader, value, map->children[i], map->children[i + 1], labels);
}

void config_labels_finish(struct config_labels *labels) {
    for (size_t i = 0; i < labels->count; i++) {
        free(labels->items[i].name);
        free(labels->items[i].value);
    }
    free(labels->items);
    *labels = (struct config_labels) { 0 };
}
