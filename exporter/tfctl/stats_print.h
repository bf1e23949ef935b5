/* stats_print.h - how the counts of tfctl stats are printed: a table for people, JSON a line each, or CSV. Pure: appended to a buffer. */
#ifndef TASKFORGE_EXPORTER_TFCTL_STATS_PRINT_H
#define TASKFORGE_EXPORTER_TFCTL_STATS_PRINT_H

#include "common/query/statements.h"
#include "common/query/tally.h"

enum stats_format { STATS_TEXT, STATS_JSON, STATS_CSV };

struct stats_style {
    enum stats_format format;
    bool utc;
};

/* One row for each service. [tally->first_ns, last_ns] is the period told. */
void stats_print_services(struct buffer *out, const struct stats_style *style, const struct tally *tally);
/* One row for each step: all services together, in JSON also each. */
void stats_print_steps(struct buffer *out, const struct stats_style *style, const struct tally *tally);

/* One row for each of the first `most` statements; gaps as <*>. */
void stats_print_statements(struct buffer *out, const struct stats_style *style, const struct statements *statements,
                            uint64_t most);

#endif
