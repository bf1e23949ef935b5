/* parse_json_line.h - one JSON object as a log entry (CONTRACT section 10, "JSON in").
 *
 * The keys of section 3, and msg, severity, time, ts, @timestamp; of two keys for one field the first of this order is
 * taken: message msg; level severity; timestamp @timestamp time ts. What is not taken, or cannot be what its key says,
 * stays in metadata under its own key: id, host and pid too, since those are made here. A nested "metadata" object is
 * merged in; where both have a key, the outer one is kept as KEY_.
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSE_JSON_LINE_H
#define TASKFORGE_AGENT_INPUTS_PARSE_JSON_LINE_H

#include "agent/inputs/parsed.h"

/* 0, or -EINVAL (*ret untouched) when the line is no JSON object; -ENOMEM. */
int parse_json_line(struct text line, uint64_t now_ns, struct parse_scratch *scratch, struct parsed *ret);

#endif
