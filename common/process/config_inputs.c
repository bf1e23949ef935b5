#include "common/process/config_inputs.h"

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/process/config_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY (24 * 3600 * CLOCK_SECOND)

/* --- the keys of each type --- */

static const struct config_choice formats[] = {
    { "auto", CONFIG_FORMAT_AUTO, false },
    { "text", CONFIG_FORMAT_TEXT, false },
    { "json", CONFIG_FORMAT_JSON, false },
    { "syslog", 0, true },
    { "logfmt", 0, true },
    { "regex", 0, true },
    { .name = NULL },
};

static const struct config_choice starts[] = {
    { "beginning", CONFIG_START_BEGINNING, false },
    { "end", CONFIG_START_END, false },
    { .name = NULL },
};

static void read_name(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *text = config_text(reader, value);

    if (!text)
        return;
    if (*text == '\0' || strlen(text) > CONFIG_NAME_MAX || strspn(text, allowed) != strlen(text))
        config_fault_of(reader, value, "must be 1 to %d letters, digits, '.', '_' and '-'", CONFIG_NAME_MAX);
    else
        config_keep(reader, field, text);
}

static void read_ignore_older(struct config_reader *reader, const struct config_value *value, void *field) {
    if (value->node->kind == YAML_TREE_SCALAR && strcmp(value->node->text, "0") == 0)
        *(uint64_t *)field = 0; /* no limit; the one duration that needs no unit */
    else
        config_read_duration(reader, value, field);
}

static void read_syslog_listen(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    struct config_address address;

    if (!text)
        return;
    if (config_parse_address(text_of(text), &address) < 0 || address.kind == CONFIG_ADDRESS_UNIX)
        config_fault_of(reader, value,
                        "must be an address such as unixgram:///run/taskforge/syslog.sock, not \"%.60s\"", text);
    else if (address.kind != CONFIG_ADDRESS_UNIXGRAM)
        config_fault_of(reader, value, "over %s is not built yet", address.kind == CONFIG_ADDRESS_UDP ? "udp" : "tcp");
    else if (address.place.length > CONFIG_SOCKET_PATH_MAX)
        config_fault_of(reader, value, "has a path longer than %d bytes", CONFIG_SOCKET_PATH_MAX);
    else
        config_keep(reader, field, address.place.data); /* the place is the text's end */
}

static void read_type(struct config_reader *reader, const struct config_value *value, void *field) {
    (void)reader, (void)value, (void)field; /* read before, to choose the table */
}

#define INPUT_FIELD(field) offsetof(struct config_input, field)
#define TYPE_KEY                                                                                                       \
    { .name = "type", .read = read_type }
#define NAME_KEY                                                                                                       \
    { .name = "name", .read = read_name, .offset = INPUT_FIELD(name) }
#define SERVICE_KEY                                                                                                    \
    { .name = "service", .read = config_read_text, .offset = INPUT_FIELD(service), .max = CONFIG_NAME_MAX }
#define FORMAT_KEY                                                                                                     \
    { .name = "format", .read = config_read_choice, .offset = INPUT_FIELD(format), .choices = formats }
#define MULTILINE_KEY                                                                                                  \
    { .name = "multiline" }

static const struct config_key tail_keys[] = {
    TYPE_KEY,
    NAME_KEY,
    { .name = "paths", .read = config_read_paths, .offset = INPUT_FIELD(paths) },
    { .name = "exclude", .read = config_read_globs, .offset = INPUT_FIELD(exclude) },
    SERVICE_KEY,
    FORMAT_KEY,
    { .name = "start_at", .read = config_read_choice, .offset = INPUT_FIELD(start_at), .choices = starts },
    { .name = "ignore_older",
      .read = read_ignore_older,
      .offset = INPUT_FIELD(ignore_older_ns),
      .min = CLOCK_SECOND,
      .max = 36500 * DAY },
    MULTILINE_KEY,
    { .name = NULL },
};
static const struct config_key journal_keys[] = { TYPE_KEY, NAME_KEY, { .name = NULL } };
static const struct config_key syslog_keys[] = {
    TYPE_KEY,
    NAME_KEY,
    { .name = "listen", .read = read_syslog_listen, .offset = INPUT_FIELD(listen) },
    { .name = NULL },
};
static const struct config_key stdin_keys[] = { TYPE_KEY,   NAME_KEY,      SERVICE_KEY,
                                                FORMAT_KEY, MULTILINE_KEY, { .name = NULL } };

static const struct input_type {
    const char *name;
    enum config_input_type type;
    const struct config_key *keys; /* NULL: not built yet */
    const char *where;
} input_types[] = {
    { "tail", CONFIG_INPUT_TAIL, tail_keys, "a tail input" },
    { "journal", CONFIG_INPUT_JOURNAL, journal_keys, "a journal input" },
    { "syslog", CONFIG_INPUT_SYSLOG, syslog_keys, "a syslog input" },
    { "stdin", CONFIG_INPUT_STDIN, stdin_keys, "a stdin input" },
    { .name = "statsd" },
    { .name = "otlp" },
    { .name = "forward" },
};

/* --- the list --- */

static const struct input_type *find_type(struct config_reader *reader, const struct yaml_tree_node *item) {
    const struct yaml_tree_node *node = config_find(item, "type");
    static const char wanted[] = "tail, journal, syslog or stdin";

    if (!node) {
        config_fault_at(reader, item, "an input needs a type: %s", wanted);
        return NULL;
    }
    for (size_t i = 0; i < COUNT_OF(input_types); i++) {
        if (node->kind != YAML_TREE_SCALAR || strcmp(node->text, input_types[i].name) != 0)
            continue;
        if (input_types[i].keys)
            return &input_types[i];
        config_fault_at(reader, node, "inputs of type %s are not built yet", input_types[i].name);
        return NULL;
    }
    config_fault_at(reader, node, "an input's type must be %s, not \"%.60s\"", wanted,
                    node->kind == YAML_TREE_SCALAR ? node->text : yaml_tree_describe(node));
    return NULL;
}

static void set_input_defaults(struct config_reader *reader, struct config_input *input,
                               const struct input_type *type) {
    input->type = type->type;
    input->format = CONFIG_FORMAT_AUTO;
    input->start_at = CONFIG_START_BEGINNING;
    input->ignore_older_ns = 7 * DAY;
    config_keep(reader, &input->name, type->name);
    if (type->type == CONFIG_INPUT_STDIN)
        config_keep(reader, &input->service, "stdin");
}

/* Two inputs that cannot live side by side. */
static void check_against(struct config_reader *reader, const struct yaml_tree_node *node,
                          const struct config_input *input, const struct config_input *other) {
    if (!input->name || !other->name)
        return;
    if (strcmp(input->name, other->name) == 0)
        config_fault_at(reader, node, "two inputs are named \"%s\"; give this one a name of its own", input->name);
    else if (input->type == CONFIG_INPUT_STDIN && other->type == CONFIG_INPUT_STDIN)
        config_fault_at(reader, node, "there is only one stdin; input \"%s\" reads it", other->name);
    else if (input->type == CONFIG_INPUT_JOURNAL && other->type == CONFIG_INPUT_JOURNAL)
        config_fault_at(reader, node, "there is only one journal; input \"%s\" reads it", other->name);
    else if (input->type == CONFIG_INPUT_SYSLOG && other->type == CONFIG_INPUT_SYSLOG &&
             ((!input->listen && !other->listen) ||
              (input->listen && other->listen && strcmp(input->listen, other->listen) == 0)))
        config_fault_at(reader, node, "input \"%s\" listens at the same place", other->name);
}

static void read_input(struct config_reader *reader, const struct yaml_tree_node *item, struct config_agent *agent) {
    struct config_input *input = &agent->inputs[agent->input_count];
    const struct input_type *type;

    if (item->kind != YAML_TREE_MAPPING) {
        config_fault_at(reader, item, "an input must be a mapping such as { type: journal }, not %s",
                        yaml_tree_describe(item));
        return;
    }
    type = find_type(reader, item);
    if (!type)
        return;
    agent->input_count++;
    set_input_defaults(reader, input, type);
    config_read_section(reader, item, type->where, type->keys, input);
    if (type->type == CONFIG_INPUT_TAIL && !config_find(item, "paths"))
        config_fault_at(reader, item, "a tail input needs paths");
    else if (type->type == CONFIG_INPUT_TAIL && config_find(item, "paths")->kind == YAML_TREE_SEQUENCE &&
             config_find(item, "paths")->count == 0)
        config_fault_at(reader, config_find(item, "paths"), "a tail input needs at least one path");
    for (size_t i = 0; i + 1 < agent->input_count; i++)
        check_against(reader, item, input, &agent->inputs[i]);
}

void config_read_inputs(struct config_reader *reader, const struct config_value *value, void *field) {
    struct config_agent *agent = field;
    const struct yaml_tree_node *list = value->node;

    agent->inputs_default = false;
    if (yaml_tree_is_null(list))
        return;
    if (list->kind != YAML_TREE_SEQUENCE) {
        config_fault_of(reader, value, "must be a list of inputs, not %s", yaml_tree_describe(list));
        return;
    }
    if (list->count > CONFIG_INPUTS_MAX) {
        config_fault_of(reader, value, "has more than %d items", CONFIG_INPUTS_MAX);
        return;
    }
    agent->inputs = calloc(list->count + 1, sizeof(*agent->inputs));
    if (!agent->inputs) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        read_input(reader, list->children[i], agent);
}

/* --- defaults that need the folders --- */

static int add_host_logs(struct config_agent *agent) {
    static const enum config_input_type types[] = { CONFIG_INPUT_TAIL, CONFIG_INPUT_JOURNAL, CONFIG_INPUT_SYSLOG };
    struct config_faults none = CONFIG_FAULTS_EMPTY;
    struct config_reader reader = { .faults = &none };
    struct config_input *tail;

    agent->inputs = calloc(COUNT_OF(types), sizeof(*agent->inputs));
    if (!agent->inputs)
        return -ENOMEM;
    agent->input_count = COUNT_OF(types);
    for (size_t i = 0; i < COUNT_OF(types); i++)
        set_input_defaults(&reader, &agent->inputs[i], &input_types[types[i]]);
    tail = &agent->inputs[0];
    tail->paths.items = calloc(1, sizeof(char *));
    tail->exclude.items = calloc(1, sizeof(char *));
    if (!tail->paths.items || !tail->exclude.items)
        return -ENOMEM;
    config_keep(&reader, &tail->paths.items[tail->paths.count++], "/var/log/*.log");
    config_keep(&reader, &tail->exclude.items[tail->exclude.count++], "*.gz");
    config_keep(&reader, &tail->service, "host");
    return reader.out_of_memory ? -ENOMEM : 0;
}

int config_default_inputs(struct config *config) {
    struct config_agent *agent = &config->agent;
    int r = 0;

    if (agent->inputs_default)
        r = add_host_logs(agent);
    for (size_t i = 0; i < agent->input_count && r == 0; i++) {
        struct config_input *input = &agent->inputs[i];

        check(input_types[input->type].type == input->type);
        if (input->type == CONFIG_INPUT_SYSLOG && !input->listen &&
            asprintf(&input->listen, "%s/syslog.sock", config->runtime_dir) < 0) {
            input->listen = NULL;
            r = -ENOMEM;
        }
    }
    return r;
}

static void strings_finish(struct config_strings *strings) {
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
}

void config_inputs_finish(struct config_agent *agent) {
    for (size_t i = 0; i < agent->input_count; i++) {
        struct config_input *input = &agent->inputs[i];

        free(input->name);
        free(input->service);
        free(input->listen);
        strings_finish(&input->paths);
        strings_finish(&input->exclude);
    }
    free(agent->inputs);
}
