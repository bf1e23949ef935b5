#include "exporter/checks/checks.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

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
static_assert(COUNT_OF(check_table) <= CHECKS_MAX, "there is room for every result");

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

size_t checks_run(const struct checks *checks, struct check_result ret[CHECKS_MAX]) {
    for (size_t i = 0; i < check_count; i++) {
        ret[i] = (struct check_result) { .name = check_table[i].name };
        check_table[i].look(checks, &ret[i]);
        ret[i].timestamp_ns = clock_real_ns();
    }
    return check_count;
}

void checks_overall(const struct check_result *results, size_t count, struct check_result *ret) {
    size_t used = 0;
    *ret = (struct check_result) { .name = "overall", .timestamp_ns = clock_real_ns() };
    for (size_t i = 0; i < count; i++) {
        if (results[i].state == CHECK_HEALTHY)
            continue;
        if (results[i].state > ret->state)
            ret->state = results[i].state;
        int length =
            snprintf(ret->details + used, sizeof(ret->details) - used, "%s%s", used ? ", " : "", results[i].details);
        used += length > 0 ? (size_t)length : 0;
        if (used >= sizeof(ret->details)) /* cut: the list of all has the rest */
            return;
    }
    if (used == 0)
        snprintf(ret->details, sizeof(ret->details), "all of %zu checks are healthy", count);
}

void check_append_json(struct buffer *out, const struct check_result *result) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format(result->timestamp_ns, time);
    buffer_append_format(out, "{\"name\":\"%s\",\"status\":\"%s\",\"details\":", result->name,
                         check_state_name(result->state));
    json_append_string(out, text_of(result->details));
    buffer_append_format(out, ",\"timestamp\":\"%s\"}", time);
}
