#include "common/model/health.h"

#include <errno.h>

#include "common/base/check.h"
#include "common/model/entry.h"
#include "common/model/pack.h"

enum { VERSION = 1, FIELDS = 8, KEPT_TIMES = 10 };
_Static_assert(ENTRY_NAME_BYTES + HEALTH_NAME_BYTES + HEALTH_DETAIL_BYTES + 64 <= HEALTH_VALUE_BYTES, "it always fits");

static const char *const names[HEALTH_STATE_COUNT] = { "healthy", "degraded", "unhealthy" };

const char *health_state_name(enum health_state state) {
    check((unsigned)state < HEALTH_STATE_COUNT);
    return names[state];
}

int health_state_parse(struct text name, enum health_state *ret) {
    for (int i = 0; i < HEALTH_STATE_COUNT; i++)
        if (text_is(name, names[i])) {
            *ret = (enum health_state)i;
            return 0;
        }
    return -EINVAL;
}

int health_report_encode(const struct health_report *report, char out[HEALTH_VALUE_BYTES]) {
    struct pack_writer writer = { .data = out, .capacity = HEALTH_VALUE_BYTES };
    if (report->service.length > ENTRY_NAME_BYTES || report->name.length > HEALTH_NAME_BYTES ||
        report->details.length > HEALTH_DETAIL_BYTES)
        return -E2BIG;
    pack_array(&writer, FIELDS);
    pack_uint(&writer, VERSION);
    pack_text(&writer, report->service);
    pack_text(&writer, report->name);
    pack_uint(&writer, (uint64_t)report->state);
    pack_text(&writer, report->details);
    pack_uint(&writer, report->time_ns);
    pack_uint(&writer, report->ttl_ns);
    pack_uint(&writer, report->pid);
    check(!writer.failed);
    return (int)writer.length;
}

static bool take_text(struct pack_reader *reader, size_t most, struct text *ret) {
    struct pack_value value;
    if (pack_next(reader, &value) != 1 || value.type != PACK_TEXT || value.text.length > most)
        return false;
    *ret = value.text;
    return true;
}

static bool take_number(struct pack_reader *reader, uint64_t most, uint64_t *ret) {
    struct pack_value value;
    if (pack_next(reader, &value) != 1 || value.type != PACK_UINT || value.natural > most)
        return false;
    *ret = value.natural;
    return true;
}

int health_report_decode(struct text value, struct health_report *ret) {
    struct pack_reader reader = { value.data, value.data + value.length };
    struct pack_value array;
    uint64_t version, state, pid;
    if (value.length == 0 || pack_next(&reader, &array) != 1 || array.type != PACK_ARRAY || array.count != FIELDS)
        return -EBADMSG;
    bool good = take_number(&reader, VERSION, &version) && take_text(&reader, ENTRY_NAME_BYTES, &ret->service) &&
                take_text(&reader, HEALTH_NAME_BYTES, &ret->name) && take_number(&reader, HEALTH_UNHEALTHY, &state) &&
                take_text(&reader, HEALTH_DETAIL_BYTES, &ret->details) &&
                take_number(&reader, UINT64_MAX, &ret->time_ns) &&
                take_number(&reader, HEALTH_TTL_MAX_NS, &ret->ttl_ns) && take_number(&reader, UINT32_MAX, &pid);
    if (!good || version != VERSION || reader.at != reader.end)
        return -EBADMSG;
    ret->state = (enum health_state)state;
    ret->pid = (uint32_t)pid;
    return 0;
}

static uint64_t age(const struct health_report *report, uint64_t now_ns) {
    return now_ns > report->time_ns ? now_ns - report->time_ns : 0;
}

bool health_report_is_late(const struct health_report *report, uint64_t now_ns) {
    return age(report, now_ns) > report->ttl_ns;
}

bool health_report_is_over(const struct health_report *report, uint64_t now_ns) {
    uint64_t kept = KEPT_TIMES * report->ttl_ns;
    return age(report, now_ns) > (kept > HEALTH_KEPT_NS ? kept : HEALTH_KEPT_NS);
}
