#include "exporter/checks/checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"

const struct check check_table[] = {
    { "database", check_database },
    { "memory", check_memory },
    { "disk", check_disk },
    { "pipeline", check_pipeline },
};
const size_t check_count = COUNT_OF(check_table);

const char *check_state_name(enum check_state state) {
    static const char *const names[] = { "healthy", "degraded", "unhealthy" };
    check((unsigned)state < COUNT_OF(names));
    return names[state];
}

void check_say(struct check_result *result, enum check_state state, const char *format, ...) {
    va_list arguments;
    if (result->details[0] && state <= result->state)
        return;
    result->state = state;
    va_start(arguments, format);
    vsnprintf(result->details, sizeof(result->details), format, arguments);
    va_end(arguments);
}

struct check_result *check_results_add(struct check_results *results) {
    if (results->count == results->capacity) {
        size_t capacity = results->capacity ? results->capacity * 2 : 8;
        struct check_result *grown = reallocarray(results->items, capacity, sizeof(*grown));
        if (!grown)
            return NULL;
        results->items = grown;
        results->capacity = capacity;
    }
    struct check_result *result = &results->items[results->count++];
    *result = (struct check_result) { 0 };
    return result;
}

void check_results_finish(struct check_results *results) {
    for (size_t i = 0; i < results->count; i++)
        free(results->items[i].owned);
    free(results->items);
    *results = CHECK_RESULTS_EMPTY;
}

void checks_run(const struct checks *checks, struct check_results *ret) {
    for (size_t i = 0; i < check_count; i++) {
        struct check_result *result = check_results_add(ret);
        if (!result)
            return;
        result->name = check_table[i].name;
        check_table[i].look(checks, result);
        result->timestamp_ns = clock_real_ns();
    }
    checks_reported(checks, ret);
}

void checks_overall(const struct check_results *results, struct check_result *ret) {
    size_t used = 0;
    *ret = (struct check_result) { .name = "overall", .timestamp_ns = clock_real_ns() };
    for (size_t i = 0; i < results->count; i++)
        if (results->items[i].state > ret->state)
            ret->state = results->items[i].state;
    for (size_t i = 0; i < results->count && used < sizeof(ret->details); i++) {
        const struct check_result *result = &results->items[i];
        if (result->state == CHECK_HEALTHY)
            continue;
        int length = snprintf(ret->details + used, sizeof(ret->details) - used, "%s%s%s%s", used ? ", " : "",
                              result->words ? result->name : "", result->words ? ": " : "", check_details(result));
        used += length > 0 ? (size_t)length : 0; /* cut: the list of all has the rest */
    }
    if (used == 0)
        snprintf(ret->details, sizeof(ret->details), "all of %zu checks are healthy", results->count);
}

void check_append_json(struct buffer *out, const struct check_result *result) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format(result->timestamp_ns, time);
    buffer_append_string(out, "{\"name\":");
    json_append_string(out, text_of(result->name));
    buffer_append_format(out, ",\"status\":\"%s\",\"details\":", check_state_name(result->state));
    json_append_string(out, text_of(check_details(result)));
    buffer_append_format(out, ",\"timestamp\":\"%s\"}", time);
}
