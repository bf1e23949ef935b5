/* metrics_history.h - tfctl metrics --since: samples over time, as text, JSON or CSV. */
#ifndef TASKFORGE_EXPORTER_TFCTL_METRICS_HISTORY_H
#define TASKFORGE_EXPORTER_TFCTL_METRICS_HISTORY_H

#include "common/query/series_window.h"
#include "exporter/tfctl/command.h"

enum metrics_format { METRICS_TEXT, METRICS_JSON, METRICS_CSV };

struct metrics_history_options {
    struct text selector; /* NAME, NAME{...}, {...} or nothing */
    uint64_t since_ns, until_ns, step_ns;
    bool steps; /* a step was given: rows for each series */
    struct series_quantiles quantiles;
    enum metrics_format format;
    bool utc;
};

/* The exit status. The session is resolved. */
int metrics_history_run(struct session *session, const struct metrics_history_options *options);

#endif
