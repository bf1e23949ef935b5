/* parse_level.h - the level a text line carries in its first words.
 *
 * A word counts as a level when it is one of level_parse's names and stands out as one: in capitals (ERROR), in brackets
 * of any kind ([error], <warn>, Apache's [core:error]), as the first word followed by a colon (error: no such file), or
 * as level=error (lvl, severity). Only the first LEVEL_WORDS words within LEVEL_BYTES bytes are looked at.
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSE_LEVEL_H
#define TASKFORGE_AGENT_INPUTS_PARSE_LEVEL_H

#include "common/model/level.h"

enum { LEVEL_WORDS = 6, LEVEL_BYTES = 128 };

bool parse_level_early(struct text line, enum level *ret);

#endif
