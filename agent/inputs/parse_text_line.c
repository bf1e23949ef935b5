/* parse_text_line.c - text: a timestamp in front, a level in the first words, syslog's file form. */
#include "agent/inputs/parse_level.h"
#include "agent/inputs/parse_line.h"
#include "agent/inputs/parse_syslog.h"
#include "agent/inputs/parse_time.h"

enum { HOST_MAX = 255 };

/* A name of a host: no brackets or colons at its end, and not a level ("INFO main: ..."). */
static bool take_host(struct text *rest, struct text *ret) {
    const char *space = rest->length ? memchr(rest->data, ' ', rest->length) : NULL;
    if (!space || space == rest->data || space - rest->data > HOST_MAX)
        return false;
    struct text host = { rest->data, (size_t)(space - rest->data) };
    enum level level;
    for (size_t i = 0; i < host.length; i++)
        if (!((host.data[i] >= '0' && host.data[i] <= '9') ||
              ((host.data[i] | 0x20) >= 'a' && (host.data[i] | 0x20) <= 'z') || strchr(".-_:", host.data[i])) ||
            host.data[i] == '\0')
            return false;
    if (host.data[host.length - 1] == ':' || level_parse(host, &level) == 0)
        return false;
    rest->data += host.length + 1;
    rest->length -= host.length + 1;
    *ret = host;
    return true;
}

/* rsyslog's and journald's RFC 3339 has a "T" and a zone; "2026-11-23 15:04:05 INFO main: ..." is not syslog. */
static size_t syslog_timestamp(struct text line, uint64_t now_ns, uint64_t *ret_ns) {
    enum { ISO_T_AT = 10, ISO_SECONDS_END = 19 };
    size_t taken = parse_time_syslog(line, now_ns, ret_ns);
    if (taken > 0)
        return taken;
    taken = parse_time_iso(line, ret_ns);
    if (taken <= ISO_SECONDS_END || line.data[ISO_T_AT] != 'T')
        return 0;
    for (size_t i = ISO_SECONDS_END; i < taken; i++)
        if (line.data[i] == 'Z' || line.data[i] == '+' || line.data[i] == '-')
            return taken;
    return 0;
}

static bool syslog_form(struct text line, uint64_t now_ns, struct parse_scratch *scratch, struct parsed *ret) {
    uint64_t ns;
    struct text host, tag, pid, rest = line;
    size_t taken = syslog_timestamp(line, now_ns, &ns);
    if (taken == 0 || taken == line.length || line.data[taken] != ' ')
        return false;
    rest.data += taken + 1;
    rest.length -= taken + 1;
    if (!take_host(&rest, &host) || !parse_syslog_tag(&rest, &tag, &pid))
        return false;
    ret->entry.timestamp_ns = ns;
    ret->entry.service = tag;
    ret->service_is_a_tag = true;
    ret->entry.message = rest;
    parse_level_early(rest, &ret->entry.level);
    struct metadata_builder builder;
    metadata_begin(&builder, &scratch->metadata);
    metadata_add_text(&builder, TEXT_LITERAL("host"), host);
    metadata_add_text(&builder, TEXT_LITERAL("procid"), pid);
    ret->entry.metadata = metadata_end(&builder);
    return true;
}

void parse_text_line(struct text line, bool with_syslog, uint64_t now_ns, struct parse_scratch *scratch,
                     struct parsed *ret) {
    parsed_begin(ret);
    if (with_syslog && syslog_form(line, now_ns, scratch, ret))
        return;
    ret->entry.message = line;
    struct text rest = line;
    size_t taken = parse_time_leading(line, now_ns, &ret->entry.timestamp_ns);
    rest.data += taken;
    rest.length -= taken;
    parse_level_early(rest, &ret->entry.level);
}
