/* parse_line.h - one line of a file or of stdin.
 *
 * format auto: a JSON object where the line is one, else syslog's file form, else text; json: a JSON object, and what is
 * none is text with the mark "json" (under auto too, where a line begins with {"); text: never JSON or syslog.
 *
 * Text is the message as it stands. Its timestamp is the one it begins with (parse_time.h), its level the one its first
 * words carry behind that (parse_level.h), else info. Syslog's file form is
 *
 *   Nov 23 15:04:05 HOST TAG[PID]: MESSAGE       2026-11-23T15:04:05.123456+07:00 HOST TAG[PID]: MESSAGE
 *
 * whose tag is the service, host and procid go to metadata, and MESSAGE is the message.
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSE_LINE_H
#define TASKFORGE_AGENT_INPUTS_PARSE_LINE_H

#include "agent/inputs/parsed.h"
#include "common/process/config.h"

void parse_line(enum config_format format, struct text line, uint64_t now_ns, struct parse_scratch *scratch,
                struct parsed *ret);

/* The text part alone; with_syslog: syslog's file form is looked for. */
void parse_text_line(struct text line, bool with_syslog, uint64_t now_ns, struct parse_scratch *scratch,
                     struct parsed *ret);

#endif
