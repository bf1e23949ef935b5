/* rules_file.c - the top of the rules files, and what can be judged only when all are read. */
#include "alerter/rules_file.h"

#include "alerter/rules_read.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/process/config_fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY (24 * 3600 * CLOCK_SECOND)

/* --- what the rooms share --- */

void rules_note(struct rules_reader *reader, struct rules_reference **list, size_t *count, const char *name,
                const struct yaml_tree_node *node, const char *of) {
    struct rules_reference *grown = realloc(*list, (*count + 1) * sizeof(*grown));
    char *copy = strdup(name ? name : "");
    if (grown)
        *list = grown;
    if (!grown || !copy) {
        free(copy);
        reader->reader.out_of_memory = true;
        return;
    }
    grown[(*count)++] = (struct rules_reference) { copy, reader->reader.file, node->line, node->column, of };
}

void rules_read_line(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    if (!text)
        return;
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            config_fault_of(reader, value, "must be one line without control characters");
            return;
        }
    config_read_text(reader, value, field);
}

const struct yaml_tree_node *rules_list(struct config_reader *reader, const struct config_value *value, size_t max,
                                        const char *such_as) {
    static const struct yaml_tree_node empty = { .kind = YAML_TREE_SEQUENCE };
    const struct yaml_tree_node *list = value->node;
    if (yaml_tree_is_null(list))
        return &empty;
    if (list->kind != YAML_TREE_SEQUENCE)
        config_fault_of(reader, value, "must be a list such as %s, not %s", such_as, yaml_tree_describe(list));
    else if (list->count > max)
        config_fault_of(reader, value, "has more items than the %zu there is room for", max);
    else
        return list;
    return NULL;
}

void rules_read_channel_names(struct config_reader *reader, const struct config_value *value, void *field) {
    struct rules_reader *rules = rules_reader_of(reader);
    struct rule_names *names = field;
    const struct yaml_tree_node *list = rules_list(reader, value, RULE_CHANNELS_MAX, "[ops]");
    if (!list)
        return;
    names->written = true;
    names->items = calloc(list->count + 1, sizeof(*names->items));
    if (!names->items) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct config_value item = { list->children[i], value->where, value->key };
        const char *text = config_text(reader, &item);
        bool twice = false;
        for (size_t j = 0; text && j < names->count; j++)
            twice |= strcmp(names->items[j], text) == 0;
        if (!text || twice)
            continue;
        config_keep(reader, &names->items[names->count], text);
        names->count += names->items[names->count] != NULL;
        rules_note(rules, &rules->channels, &rules->channel_count, text, item.node, value->key->name);
    }
}

/* --- the top --- */

/* A key that holds for all files may be written in one of them. */
static bool claim(struct rules_reader *reader, struct rules_reference *place, const struct config_value *value) {
    if (place->file) {
        config_fault_of(&reader->reader, value, "stands in %s:%u already", place->file, place->line);
        return false;
    }
    *place = (struct rules_reference) { .file = reader->reader.file, .line = value->node->line };
    return true;
}

static void read_default_channels(struct config_reader *reader, const struct config_value *value, void *field) {
    struct rules_reader *rules = rules_reader_of(reader);
    if (claim(rules, &rules->default_channels, value))
        rules_read_channel_names(reader, value, field);
}

static void read_repeat_interval(struct config_reader *reader, const struct config_value *value, void *field) {
    struct rules_reader *rules = rules_reader_of(reader);
    if (claim(rules, &rules->repeat_interval, value))
        config_read_duration(reader, value, field);
}

static const struct config_key top_keys[] = {
    { .name = "channels", .read = rules_read_channels },
    { .name = "default_channels", .read = read_default_channels, .offset = offsetof(struct rules, default_channels) },
    { .name = "rules", .read = rules_read_rules },
    { .name = "repeat_interval",
      .read = read_repeat_interval,
      .offset = offsetof(struct rules, repeat_interval_ns),
      .min = CLOCK_SECOND,
      .max = 365 * DAY },
    { .name = "groups" },
    { .name = "group_by" },
    { .name = "group_wait" },
    { .name = "group_interval" },
    { .name = "inhibit_rules" },
    { .name = "mute_time_intervals" },
    { .name = "time_intervals" },
    { .name = NULL },
};

static void read_text(struct rules_reader *reader, const char *name, const char *data, size_t length) {
    struct yaml_tree_problem problem = { 0 };
    struct yaml_tree_node *root = NULL;
    reader->reader.file = name;
    if (length > CONFIG_FILE_MAX) {
        config_fault_add(reader->reader.faults, name, 0, 0, "larger than %d bytes", CONFIG_FILE_MAX);
        return;
    }
    int result = yaml_tree_read(data, length, &root, &problem);
    if (result == -EINVAL)
        config_fault_add(reader->reader.faults, name, problem.line, problem.column, "%s", problem.text);
    else if (result < 0)
        reader->reader.out_of_memory = true;
    if (root)
        config_read_section(&reader->reader, root, "", top_keys, reader->rules);
    yaml_tree_destroy(root);
}

/* --- when all are read --- */

static void judge_channels(const struct rules_reader *reader) {
    for (size_t i = 0; i < reader->channel_count; i++) {
        const struct rules_reference *used = &reader->channels[i];
        if (!rules_channel(reader->rules, used->name))
            config_fault_add(reader->reader.faults, used->file, used->line, used->column,
                             "%s: there is no channel named \"%.100s\"", used->of, used->name);
    }
}

static int compare_ids(const void *a, const void *b) {
    const struct rules_reference *const *left = a, *const *right = b;
    int order = strcmp((*left)->name, (*right)->name);
    return order != 0 ? order : *left < *right ? -1 : *left > *right;
}

static void judge_ids(struct rules_reader *reader) {
    const struct rules_reference **sorted = calloc(reader->id_count + 1, sizeof(*sorted));
    if (!sorted) {
        reader->reader.out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < reader->id_count; i++)
        sorted[i] = &reader->ids[i];
    qsort(sorted, reader->id_count, sizeof(*sorted), compare_ids);
    for (size_t i = 1; i < reader->id_count; i++)
        if (sorted[i]->name[0] != '\0' && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            config_fault_add(reader->reader.faults, sorted[i]->file, sorted[i]->line, sorted[i]->column,
                             "a rule with the id \"%.100s\" stands in %s:%u already", sorted[i]->name,
                             sorted[i - 1]->file, sorted[i - 1]->line);
    free(sorted);
}

static void finish_references(struct rules_reference *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

/* The end of a reading: the rules, or why not. `failed`: a file could not be read. */
static int conclude(struct rules_reader *reader, int failed, struct rules **ret) {
    struct config_faults *faults = reader->reader.faults;
    if (!reader->reader.out_of_memory && failed == 0) {
        judge_channels(reader);
        judge_ids(reader);
    }
    finish_references(reader->channels, reader->channel_count);
    finish_references(reader->ids, reader->id_count);
    int result = failed;
    if (reader->reader.out_of_memory) {
        result = -ENOMEM;
        config_fault_add(faults, reader->reader.file, 0, 0, "out of memory");
    } else if (result == 0 && faults->count + faults->omitted > 0) {
        result = -EINVAL;
    }
    if (result < 0)
        rules_destroy(reader->rules);
    else
        *ret = reader->rules;
    return result;
}

static int begin(struct rules_reader *reader, struct config_faults *faults, const char *name) {
    *reader = (struct rules_reader) { .reader = { .file = name, .faults = faults } };
    reader->rules = calloc(1, sizeof(*reader->rules));
    if (reader->rules)
        return 0;
    config_fault_add(faults, name, 0, 0, "out of memory");
    return -ENOMEM;
}

int rules_load_text(const char *name, const char *data, size_t length, struct rules **ret,
                    struct config_faults *faults) {
    struct rules_reader reader;
    int result = begin(&reader, faults, name);
    if (result < 0)
        return result;
    read_text(&reader, name, data, length);
    return conclude(&reader, 0, ret);
}

int rules_load(const struct config_strings *files, struct rules **ret, struct config_faults *faults) {
    struct rules_reader reader;
    int failed = 0, result = begin(&reader, faults, files->count > 0 ? files->items[0] : "rules");
    if (result < 0)
        return result;
    for (size_t i = 0; i < files->count; i++) {
        _cleanup_buffer_ struct buffer text = BUFFER_EMPTY;
        result = config_read_file(files->items[i], &text);
        if (result < 0)
            config_fault_add(faults, files->items[i], 0, 0, "the rules file cannot be read: %s", strerror(-result));
        else
            read_text(&reader, files->items[i], text.data, text.length);
        failed = failed == 0 ? result : failed;
    }
    return conclude(&reader, failed, ret);
}
