/* own_metrics.h - every metric that our processes have of themselves: the one table of their names, kinds, labels and
 * meanings. On /metrics the name stands behind the namespace (METRIC_NAMING_PREFIXED). taskforge.metrics(7) says the same,
 * which tests/structure/manuals.sh sees to. Pure.
 *
 * One row is one line: who reads the table (the check of the manual does, too) goes by that.
 */
#ifndef TASKFORGE_COMMON_MODEL_OWN_METRICS_H
#define TASKFORGE_COMMON_MODEL_OWN_METRICS_H

#include "common/model/metric.h"

/* clang-format off */
#define OWN_METRICS(X) \
    /* each of the four daemons */ \
    X(BUILD_INFO, GAUGE, "build_info", "program,version", "1; the label says which version runs.") \
    X(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", "program", "Seconds of processor time that the program has used, user and system.") \
    X(PROCESS_RESIDENT, GAUGE, "process_resident_memory_bytes", "program", "Bytes of memory that the program has in use.") \
    X(PROCESS_START, GAUGE, "process_start_time_seconds", "program", "When the program was started, in Unix seconds.") \
    X(PROCESS_FILES, GAUGE, "process_open_fds", "program", "File descriptors that the program has open.") \
    /* the collector */ \
    X(RING_RINGS, GAUGE, "ring_rings", "", "Rings that are read, one for each user.") \
    X(RING_PROCESSES, GAUGE, "ring_processes", "", "Processes that are attached to a ring.") \
    X(RING_FILL, GAUGE, "ring_fill_ratio", "", "How full the fullest lane was at the last look, 0 to 1.") \
    X(RING_WAITING, GAUGE, "ring_waiting_bytes", "", "Bytes in the lanes that were not stored at the last look.") \
    X(RING_DRAIN_TIME, TIMER, "ring_drain_seconds", "", "How long it took to take records out of the lanes, each time that there were any.") \
    X(RING_BROKEN, COUNTER, "ring_broken_total", "", "Rings that were cut or scribbled on, and set aside.") \
    X(RING_DROPPED, COUNTER, "ring_dropped_total", "service,level,reason", "Entries that found no room and were dropped.") \
    X(RING_RECORDED, COUNTER, "ring_recorded_total", "", "Entries stored out of the flight recorder.") \
    X(STORE_ENTRIES, COUNTER, "store_entries_total", "level", "Entries stored.") \
    X(STORE_REPAIRED, COUNTER, "store_entries_repaired_total", "", "Entries that broke a rule and were repaired.") \
    X(STORE_REDACTED, COUNTER, "store_values_redacted_total", "", "Messages and values that an expression of redact.patterns took something out of.") \
    X(STORE_TOO_COSTLY, COUNTER, "store_redactions_too_costly_total", "", "Of them, those redacted whole because the expressions took too long.") \
    X(STORE_UNSEALED, COUNTER, "store_values_unsealed_total", "", "Values to be encrypted that found no room in their entry so, and were redacted.") \
    X(STORE_SPANS, COUNTER, "store_spans_total", "", "Spans stored.") \
    X(STORE_SPANS_INVALID, COUNTER, "store_spans_invalid_total", "", "Spans without a trace id or an id of their own: not stored.") \
    X(STORE_COMMITS, COUNTER, "store_commits_total", "", "Transactions that the collector committed.") \
    X(STORE_FLUSHES, COUNTER, "store_flushes_total", "cause", "Of them, those that came in the course of things, by what made it time for them.") \
    X(STORE_COMMIT_ENTRIES, HISTOGRAM, "store_commit_entries", "", "Entries of a transaction that had any.") \
    X(STORE_LAG, TIMER, "store_lag_seconds", "", "From an entry's time until it was stored; in a large transaction one of several stands for all.") \
    X(STORE_COMMIT_FAILURES, COUNTER, "store_commit_failures_total", "", "Transactions that could not be committed.") \
    X(STORE_COMMIT_TIME, TIMER, "store_commit_seconds", "", "How long transactions took.") \
    X(STORE_BYTES, GAUGE, "store_bytes", "", "Bytes of the log partitions on disk.") \
    X(STORE_PARTITIONS, GAUGE, "store_partitions", "", "Log partitions.") \
    X(STORE_MAP_USED, GAUGE, "store_map_used_ratio", "", "How much of what the open log partition may grow to is in use, 0 to 1.") \
    X(STORE_STATE_BYTES, GAUGE, "store_state_bytes", "", "Bytes of the state that every commit carries on, and a new partition begins with: positions, totals of metrics.") \
    X(STORE_FAILING, GAUGE, "store_failing", "", "1 while the store cannot be written.") \
    X(STORE_DAMAGED, GAUGE, "store_damaged", "", "Log partitions that are damaged or were set aside.") \
    X(STORE_REMOVED, COUNTER, "store_partitions_removed_total", "", "Log partitions that retention removed.") \
    X(STORE_REWRITTEN, COUNTER, "store_partitions_rewritten_total", "", "Log partitions that retention wrote anew, without what had to go.") \
    X(STORE_CHECKS, COUNTER, "store_checks_total", "verdict", "Log partitions that were read again and compared with their sums.") \
    X(STORE_SPILLED, COUNTER, "store_spilled_batches_total", "", "Batches that went into the spill because the store could not be written.") \
    X(STORE_SPILL_BYTES, GAUGE, "store_spill_bytes", "", "Bytes in the spill that are not in the store yet.") \
    X(OUTPUT_WAITING, GAUGE, "output_waiting_entries", "", "Entries in the store that the output has not printed.") \
    X(METRIC_SERIES, GAUGE, "metric_series", "", "Metric series on /metrics.") \
    X(METRIC_STALE, GAUGE, "metric_series_stale", "", "Metric series that left /metrics for want of updates, and would come back with their total.") \
    X(METRIC_FORGOTTEN, COUNTER, "metric_series_forgotten_total", "", "Stale metric series that were given up: they would begin at 0.") \
    X(METRIC_OVERFLOW, COUNTER, "metric_overflow_total", "metric", "Metric updates, and handles, that found no room for a series of their own and went to the overflow series of their metric.") \
    X(METRIC_REFUSED, COUNTER, "metric_refused_total", "reason", "Metric updates that were refused.") \
    X(HISTORY_TICKS, COUNTER, "history_ticks_total", "", "Ticks at which the values of all series were written into the metric history.") \
    X(HISTORY_MISSED, COUNTER, "history_ticks_missed_total", "", "Ticks that were not written because they were noticed too late, or the clock went back.") \
    X(HISTORY_FAILURES, COUNTER, "history_tick_failures_total", "", "Ticks that could not be written.") \
    X(HISTORY_SAMPLES, COUNTER, "history_samples_total", "", "Values of series that were written into the metric history, a histogram as one.") \
    X(HISTORY_TIME, TIMER, "history_tick_seconds", "", "How long it took to write a tick.") \
    X(HISTORY_BYTES, GAUGE, "history_bytes", "", "Bytes of the metric history on disk.") \
    X(HISTORY_LAG, GAUGE, "history_lag_seconds", "", "How long ago the last tick that is in the metric history was due; 0 where no history is kept.") \
    X(HISTORY_FAILING, GAUGE, "history_failing", "", "1 while the metric history cannot be written.") \
    /* the agent */ \
    X(INPUT_LINES, COUNTER, "input_lines_total", "input", "Lines, datagrams and journal entries that an input has seen.") \
    X(INPUT_BYTES, COUNTER, "input_bytes_total", "input", "Bytes of lines and datagrams that an input has seen; the journal's are not counted.") \
    X(INPUT_NEWEST, GAUGE, "input_newest_timestamp_seconds", "input", "The latest time of an entry that an input has written, in Unix seconds: how far it has come.") \
    X(INPUT_LAG, GAUGE, "input_lag_seconds", "input", "How old the last entry that an input has written was when it was taken, by its own time.") \
    X(INPUT_OPEN_FILES, GAUGE, "input_open_files", "input", "Files that an input which follows files has open.") \
    X(INPUT_ERRORS, COUNTER, "input_read_errors_total", "input,cause", "Times that an input could not read a file, its socket or the journal.") \
    X(INPUT_CUT, COUNTER, "input_cut_total", "input", "Lines and datagrams that were too long to be kept whole.") \
    X(INPUT_ENTRIES, COUNTER, "input_entries_total", "input", "Entries that an input has written to the ring.") \
    X(INPUT_REPAIRED, COUNTER, "input_repaired_total", "input,reason", "Entries of an input that broke a rule and were repaired, once for each rule.") \
    X(INPUT_INVALID, COUNTER, "input_invalid_total", "input,reason", "What an input has seen that could be no entry at all.") \
    X(INPUT_EMPTY, COUNTER, "input_empty_total", "input", "Lines with nothing in them: passed over.") \
    X(INPUT_OWN, COUNTER, "input_own_total", "input", "Lines that are output of our own programs: passed over.") \
    X(INPUT_LOST, COUNTER, "input_lost_total", "input", "Entries that found no room in the ring and could not be held back.") \
    X(INPUT_HELD, COUNTER, "input_held_total", "input", "Times that an input held back because the ring had no room.") \
    X(AGENT_INPUTS, GAUGE, "agent_inputs", "", "Inputs that the agent has.") \
    X(AGENT_HOST_LOOKS, COUNTER, "agent_host_looks_total", "", "Looks at the host's metrics that were begun.") \
    X(AGENT_HOST_SAMPLES, COUNTER, "agent_host_samples_total", "", "Samples of the host's metrics that were written to the ring.") \
    X(AGENT_HOST_REPAIRED, COUNTER, "agent_host_repaired_total", "", "Of them, those whose name or labels no series may have: written repaired.") \
    X(AGENT_HOST_HELD, COUNTER, "agent_host_held_total", "", "Times that a look held back because the ring had no room.") \
    /* the exporter */ \
    X(EXPORTER_REQUESTS, COUNTER, "exporter_http_requests_total", "", "HTTP requests that were let through to a path.") \
    X(EXPORTER_ANSWERS, COUNTER, "exporter_http_responses_total", "route,status", "Answers to HTTP requests that arrived whole, by path and status; route none: what came to no path.") \
    X(EXPORTER_ANSWER_TIME, TIMER, "exporter_http_response_seconds", "route", "From when an HTTP request had arrived whole until its answer was there.") \
    X(EXPORTER_SCRAPE_BYTES, HISTOGRAM, "exporter_scrape_bytes", "", "Bytes of /metrics as it was sent, compressed or not.") \
    X(EXPORTER_REFUSED, COUNTER, "exporter_http_requests_refused_total", "", "HTTP requests that were refused before any path saw them.") \
    X(EXPORTER_TOKENS, COUNTER, "exporter_http_tokens_refused_total", "reason", "Of the refused requests, those whose token was missing or wrong.") \
    X(EXPORTER_TIMEOUTS, COUNTER, "exporter_http_request_timeouts_total", "", "HTTP connections whose request did not arrive in time.") \
    X(EXPORTER_ACCEPTED, COUNTER, "exporter_http_connections_accepted_total", "", "HTTP connections that were accepted.") \
    X(EXPORTER_EVICTED, COUNTER, "exporter_http_connections_evicted_total", "", "HTTP connections that gave way to others.") \
    X(EXPORTER_OPEN, GAUGE, "exporter_http_connections_open", "", "HTTP connections there are.") \
    X(EXPORTER_SENT, COUNTER, "exporter_http_response_bytes_total", "", "Bytes of bodies that went out, compressed where they are sent so.") \
    X(EXPORTER_PENDING, GAUGE, "exporter_http_response_pending_bytes", "", "Bytes of bodies that have not gone out.") \
    X(EXPORTER_WAITING, GAUGE, "exporter_http_queries_waiting", "", "Queries that wait or run.") \
    X(EXPORTER_QUERY_TIME, TIMER, "exporter_query_seconds", "", "How long queries ran.") \
    X(EXPORTER_SCRAPE_TIME, TIMER, "exporter_scrape_seconds", "", "How long it took to write /metrics; its count is that of the scrapes.") \
    /* the alerter */ \
    X(ALERTER_EVALUATIONS, COUNTER, "alerter_evaluations_total", "", "Evaluations of all rules.") \
    X(ALERTER_FAILURES, COUNTER, "alerter_evaluation_failures_total", "", "Rules that could not be evaluated, and evaluations whose outcome could not be stored.") \
    X(ALERTER_TIME, TIMER, "alerter_evaluation_seconds", "", "How long an evaluation of all rules took.") \
    X(ALERTER_SLOWEST, GAUGE, "alerter_slowest_rule_seconds", "", "How long the slowest rule of the last evaluation took; metric rules are read in one pass, which counts for each of them.") \
    X(ALERTER_RULE_FAILURES, COUNTER, "alerter_rule_failures_total", "rule", "Evaluations of a rule that failed.") \
    X(ALERTER_LAST, GAUGE, "alerter_last_evaluation_timestamp_seconds", "", "When the last evaluation ended, in Unix seconds.") \
    X(ALERTER_RULES, GAUGE, "alerter_rules", "", "Rules in force.") \
    X(ALERTER_ALERTS, GAUGE, "alerter_alerts", "state", "Alerts that are kept now, by their state.") \
    X(ALERTER_NOT_BEGUN, COUNTER, "alerter_alerts_not_begun_total", "", "Label sets that fired beyond the number of alerts there is room for.") \
    X(ALERTER_NOTIFICATIONS, COUNTER, "alerter_notifications_total", "channel,outcome", "What became of notifications; failed ones are tried again.") \
    X(ALERTER_NOTIFICATION_FAILURES, COUNTER, "alerter_notification_failures_total", "channel,cause", "Attempts to notify that failed or were refused, by what came in place of acceptance.") \
    X(ALERTER_NOTIFICATION_TIME, TIMER, "alerter_notification_seconds", "channel", "From the change of an alert until the channel had taken the notification of it.") \
    X(ALERTER_WAITING, GAUGE, "alerter_notifications_waiting", "channel", "Notifications that wait to be sent.") \
    X(ALERTER_OLDEST, GAUGE, "alerter_notifications_oldest_seconds", "channel", "How long the oldest of them has waited; 0 where none waits.") \
    X(ALERTER_HISTORY_WAITING, GAUGE, "alerter_history_waiting", "", "Changes of alerts that wait for room in the ring to be told in the log.")
/* clang-format on */

enum own_metric {
#define X(id, kind, name, labels, help) OWN_##id,
    OWN_METRICS(X)
#undef X
        OWN_METRIC_COUNT
};

struct own_metric_row {
    enum metric_kind kind;
    const char *name;
    const char *labels; /* their names, with commas between; "" for none */
    const char *help;
};
const struct own_metric_row *own_metric_row(enum own_metric metric);

enum { OWN_METRIC_LABELS_MAX = 3 };

/* The definition of one series: a value for each of the row's labels, in their order; an empty one leaves its label out. *ret borrows
 * `room`. -EINVAL for a value that no label may have. */
int own_metric_define(enum own_metric metric, const struct text *values, char room[METRIC_LABELS_BYTES],
                      struct metric_definition *ret, struct error *error);

#endif
