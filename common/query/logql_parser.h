/* logql_parser.h - LogQL's log selector to a filter:
 *
 *   {service="queue",level=~"error|critical",module!="x"} |= "timeout" or "refused" != "retry" |~ `id=[0-9]+` !~ "..."
 *       | json | queue="mail" and attempt > 3 or took >= 1.5s
 *
 * The braces may be empty ({} is everything) or, before line filters, missing. Matchers' expressions have to match the whole value, line filters'
 * anywhere in the message. Label filters behind | go over fields and keys of metadata alike; json and logfmt before them are taken and
 * change nothing; LogQL's other stages are refused by name. Pure. Source: grafana.com/docs/loki/latest/query/log_queries.
 */
#ifndef TASKFORGE_COMMON_QUERY_LOGQL_PARSER_H
#define TASKFORGE_COMMON_QUERY_LOGQL_PARSER_H

#include "common/query/filter.h"

enum { LOGQL_LENGTH_MAX = 65536 };

/* Add its conditions to *filter. -EINVAL with "character 9: expected ..., found ...", -ENOMEM, -E2BIG; then *filter may hold some of them. */
int logql_parse(struct text source, struct filter *filter, struct error *error);

#endif
