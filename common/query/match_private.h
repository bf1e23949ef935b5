/* match_private.h - what the files of match share. */
#ifndef TASKFORGE_COMMON_QUERY_MATCH_PRIVATE_H
#define TASKFORGE_COMMON_QUERY_MATCH_PRIVATE_H

#include "common/query/match.h"

/* What the steps share. Each narrows `set` and returns 0 or a negative errno. */
struct matching {
    const struct filter *filter;
    struct block *block;
    struct row_set *set;
    struct buffer scratch;
    uint8_t *verdicts; /* one for each dictionary value, statement, or row of a run search */
    size_t verdict_capacity;
    struct error *error;
};

int match_no_memory(struct error *error);
/* `count` verdicts, all 0. */
int match_need_verdicts(struct matching *matching, size_t count);
/* Whether any matcher is about this field; of the service, the list of services, too. */
bool match_asks_for(const struct filter *filter, enum filter_field field);

int match_by_statement(struct matching *matching); /* match_statement.c: level, names, template */
int match_by_lines(struct matching *matching);     /* match_message.c */
int match_by_metadata(struct matching *matching);  /* match_metadata.c */

#endif
