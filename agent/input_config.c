/* input_config.c - copy, compare, free. */
#include "agent/input_config.h"

#include <stdlib.h>
#include <string.h>

static bool copy_string(const char *from, char **ret) {
    *ret = from ? strdup(from) : NULL;
    return !from || *ret;
}

static bool copy_strings(const struct config_strings *from, struct config_strings *ret) {
    *ret = (struct config_strings) { 0 };
    if (from->count == 0)
        return true;
    ret->items = calloc(from->count, sizeof(*ret->items));
    for (size_t i = 0; ret->items && i < from->count; i++) {
        if (!copy_string(from->items[i], &ret->items[i]))
            return false;
        ret->count++;
    }
    return ret->items != NULL;
}

struct config_input *input_config_copy(const struct config_input *config) {
    struct config_input *copy = malloc(sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *config;
    bool name = copy_string(config->name, &copy->name), service = copy_string(config->service, &copy->service);
    bool listen = copy_string(config->listen, &copy->listen), paths = copy_strings(&config->paths, &copy->paths);
    bool exclude = copy_strings(&config->exclude, &copy->exclude);
    if (name && service && listen && paths && exclude)
        return copy;
    input_config_destroy(copy);
    return NULL;
}

static void free_strings(struct config_strings *strings) {
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
}

void input_config_destroy(struct config_input *config) {
    if (!config)
        return;
    free(config->name);
    free(config->service);
    free(config->listen);
    free_strings(&config->paths);
    free_strings(&config->exclude);
    free(config);
}

static bool equal_strings(const struct config_strings *a, const struct config_strings *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool equal_string(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool input_config_equal(const struct config_input *a, const struct config_input *b) {
    return a->type == b->type && a->format == b->format && a->start_at == b->start_at &&
           a->ignore_older_ns == b->ignore_older_ns && equal_string(a->name, b->name) &&
           equal_string(a->service, b->service) && equal_string(a->listen, b->listen) &&
           equal_strings(&a->paths, &b->paths) && equal_strings(&a->exclude, &b->exclude);
}
