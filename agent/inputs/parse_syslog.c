/* parse_syslog.c - one syslog datagram. */
#include "agent/inputs/parse_syslog.h"

#include "agent/inputs/parse_time.h"
#include "common/base/check.h"

#include <errno.h>

enum {
    PRI_DEFAULT = 13, /* user.notice: RFC 3164, 4.3.3 */
    PRI_MAX = 191,
    SEVERITIES = 8,
    TAG_MAX = 128, /* bytes; RFC 3164 says 32, programs say more */
    PID_MAX = 128,
};

static const char *const facilities[] = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7",
};

const char *parse_syslog_facility(unsigned facility) {
    return facility < COUNT_OF(facilities) ? facilities[facility] : "unknown";
}

static void skip(struct text *rest, size_t length) {
    check(length <= rest->length);
    rest->data += length;
    rest->length -= length;
}

/* "<13>": its number; PRI_DEFAULT, and nothing taken, where there is none. */
static unsigned take_priority(struct text *rest) {
    unsigned priority = 0;
    size_t i = 1;
    if (rest->length < 3 || rest->data[0] != '<')
        return PRI_DEFAULT;
    for (; i < rest->length && i <= 3 && rest->data[i] >= '0' && rest->data[i] <= '9'; i++)
        priority = priority * 10 + (unsigned)(rest->data[i] - '0');
    if (i == 1 || i == rest->length || rest->data[i] != '>' || priority > PRI_MAX)
        return PRI_DEFAULT;
    skip(rest, i + 1);
    return priority;
}

/* The bytes up to the next space, which is taken too; false without one. */
static bool take_word(struct text *rest, struct text *ret) {
    const char *space = rest->length ? memchr(rest->data, ' ', rest->length) : NULL;
    if (!space || space == rest->data)
        return false;
    *ret = (struct text) { rest->data, (size_t)(space - rest->data) };
    skip(rest, ret->length + 1);
    return true;
}

static bool is_graphic(char c) {
    return (unsigned char)c > ' ' && c != 0x7f;
}

bool parse_syslog_tag(struct text *rest, struct text *ret_tag, struct text *ret_pid) {
    size_t i = 0;
    while (i < rest->length && i <= TAG_MAX && is_graphic(rest->data[i]) && rest->data[i] != '[' &&
           rest->data[i] != ':')
        i++;
    if (i == 0 || i > TAG_MAX || i == rest->length)
        return false;
    struct text tag = { rest->data, i }, pid = TEXT_EMPTY;
    if (rest->data[i] == '[') {
        size_t begin = ++i;
        while (i < rest->length && i - begin <= PID_MAX && is_graphic(rest->data[i]) && rest->data[i] != ']')
            i++;
        if (i == rest->length || rest->data[i] != ']')
            return false;
        pid = (struct text) { rest->data + begin, i - begin };
        i++;
    }
    if (i == rest->length || rest->data[i] != ':' || (i + 1 < rest->length && rest->data[i + 1] != ' '))
        return false;
    i++;
    skip(rest, i + (i < rest->length));
    *ret_tag = tag;
    *ret_pid = pid;
    return true;
}

struct parts {
    struct text host, procid, msgid, structured;
};

/* Behind the priority, when it is not RFC 5424. */
static void parse_3164(struct text rest, uint64_t now_ns, struct parsed *ret, struct parts *parts) {
    uint64_t ns;
    size_t taken = parse_time_syslog(rest, now_ns, &ns);
    if (taken == 0)
        taken = parse_time_iso(rest, &ns);
    if (taken > 0 && taken < rest.length && rest.data[taken] == ' ') {
        ret->entry.timestamp_ns = ns;
        skip(&rest, taken + 1);
    }
    struct text behind_host = rest, host;
    if (!parse_syslog_tag(&rest, &ret->entry.service, &parts->procid) && ret->entry.timestamp_ns != 0 &&
        take_word(&behind_host, &host) && parse_syslog_tag(&behind_host, &ret->entry.service, &parts->procid)) {
        parts->host = host;
        rest = behind_host;
    }
    ret->entry.message = rest;
}

static struct text unless_nil(struct text word) {
    return text_is(word, "-") ? TEXT_EMPTY : word;
}

/* Behind "<PRI>1 ": false when it is not what RFC 5424 says. */
static bool parse_5424(struct text rest, struct parse_scratch *scratch, struct parsed *ret, struct parts *parts) {
    struct text timestamp, host, app, procid, msgid, structured;
    uint64_t ns = 0;
    if (!take_word(&rest, &timestamp) || !take_word(&rest, &host) || !take_word(&rest, &app) ||
        !take_word(&rest, &procid) || !take_word(&rest, &msgid))
        return false;
    if (!text_is(timestamp, "-") && parse_time_iso(timestamp, &ns) != timestamp.length)
        return false;
    if (!parse_syslog_structured(&rest, scratch, &structured) || (rest.length > 0 && rest.data[0] != ' '))
        return false;
    if (rest.length > 0)
        skip(&rest, 1);
    if (text_starts_with(rest, TEXT_LITERAL("\xef\xbb\xbf"))) /* the mark that says UTF-8 */
        skip(&rest, 3);
    ret->entry.timestamp_ns = ns;
    ret->entry.service = unless_nil(app);
    ret->entry.message = rest;
    *parts = (struct parts) { unless_nil(host), unless_nil(procid), unless_nil(msgid), structured };
    return true;
}

int parse_syslog(struct text datagram, uint64_t now_ns, struct parse_scratch *scratch, struct parsed *ret) {
    struct text rest = datagram;
    while (rest.length > 0 && strchr("\n\r", rest.data[rest.length - 1])) /* NUL too: strchr finds its end */
        rest.length--;
    if (rest.length == 0)
        return -EINVAL;
    parsed_begin(ret);
    struct parts parts = { 0 };
    unsigned priority = take_priority(&rest);
    int result = level_of_syslog(priority % SEVERITIES, &ret->entry.level);
    check(result == 0);
    bool done = false;
    if (text_starts_with(rest, TEXT_LITERAL("1 "))) {
        struct text behind = { rest.data + 2, rest.length - 2 };
        done = parse_5424(behind, scratch, ret, &parts);
    }
    if (!done)
        parse_3164(rest, now_ns, ret, &parts);

    const char *facility = parse_syslog_facility(priority / SEVERITIES);
    struct metadata_builder builder;
    metadata_begin(&builder, &scratch->metadata);
    metadata_add_text(&builder, TEXT_LITERAL("facility"), text_of(facility));
    metadata_add_text(&builder, TEXT_LITERAL("host"), parts.host);
    metadata_add_text(&builder, TEXT_LITERAL("procid"), parts.procid);
    metadata_add_text(&builder, TEXT_LITERAL("msgid"), parts.msgid);
    if (parts.structured.length > 0)
        metadata_add_raw(&builder, TEXT_LITERAL("structured_data"), parts.structured);
    ret->entry.metadata = metadata_end(&builder);
    ret->entry.module = text_of(facility);
    return 0;
}
