/* parse_syslog.h - syslog datagrams: RFC 3164 as it is found in the wild, and RFC 5424 with structured data.
 *
 *   <PRI>Nov 23 15:04:05 [HOST ]TAG[PID]: MESSAGE             (the timestamp may also be RFC 3339; HOST may be missing)
 *   <PRI>1 TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA MESSAGE
 *
 * Severity to level as CONTRACT section 10; the app name (the tag) is the service; facility, host, procid, msgid and
 * structured_data go to metadata; the module is the facility's name. What does not fit a form is the message as it
 * stands; without <PRI> it is user.notice, as RFC 3164 says.
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSE_SYSLOG_H
#define TASKFORGE_AGENT_INPUTS_PARSE_SYSLOG_H

#include "agent/inputs/parsed.h"

/* 0 and *ret (operation left empty, service too where there is no tag), or -EINVAL for a datagram with nothing in it. */
int parse_syslog(struct text datagram, uint64_t now_ns, struct parse_scratch *scratch, struct parsed *ret);

/* "TAG[PID]: MESSAGE" or "TAG: MESSAGE" at the front of *rest: true, the parts, and *rest is the message. */
bool parse_syslog_tag(struct text *rest, struct text *ret_tag, struct text *ret_pid);

/* The name of a facility number 0..23 ("kern" .. "local7"), or "unknown". */
const char *parse_syslog_facility(unsigned facility);

/* Structured data at the front of *rest ("-" or "[id name="value"]..."): true, *rest stands behind it, and *ret is a
 * packed map id -> map name -> value in scratch->packed (empty for "-"). False: not structured data, nothing moved. */
bool parse_syslog_structured(struct text *rest, struct parse_scratch *scratch, struct text *ret);

#endif
