/* pattern.h - the regular expressions of queries: those of the whole house (common/base/pattern.h). */
#ifndef TASKFORGE_COMMON_QUERY_PATTERN_H
#define TASKFORGE_COMMON_QUERY_PATTERN_H

#include "common/base/pattern.h"

#endif
