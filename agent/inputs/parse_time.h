/* parse_time.h - the timestamps that log lines begin with, and those in JSON values.
 *
 * Pure but for the time zone: a time without one is local. Recognised at the front of a line, also in brackets:
 *
 *   2026-11-23T15:04:05.123456789+07:00   RFC 3339; "T" or a space, "-" or "/" between date parts, "." or "," before the
 *   2026-11-23 15:04:05,123               fraction, zone (with or without a space before it) or none
 *   Nov 23 15:04:05                       RFC 3164: the year is the one that puts it nearest before tomorrow
 *   Sun Dec 04 04:47:44.123 2005          asctime, Apache's error log
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSE_TIME_H
#define TASKFORGE_AGENT_INPUTS_PARSE_TIME_H

#include <stdint.h>

#include "common/base/text.h"
#include "common/model/pack.h"

/* How many bytes of the line's front are a timestamp (its brackets included), and the time; 0: none. */
size_t parse_time_leading(struct text line, uint64_t now_ns, uint64_t *ret_ns);

/* "Nov 23 15:04:05" alone. */
size_t parse_time_syslog(struct text line, uint64_t now_ns, uint64_t *ret_ns);

/* A date and a time in ISO 8601's order alone. */
size_t parse_time_iso(struct text line, uint64_t *ret_ns);

/* A value of a JSON line: a string of the forms above or of a number; a number of seconds, milliseconds, microseconds or
 * nanoseconds since 1970, told apart by its size. -EINVAL when it is none or before 1970. */
int parse_time_value(const struct pack_value *value, uint64_t now_ns, uint64_t *ret_ns);

#endif
