/* metric_memo.h - updates by name, remembered: a thread keeps the records of the series it updated last, ready but for time, value
 * and trace, so that the next update of one is a comparison of its words and a copy.
 *
 * A place is found by the addresses of the caller's strings, which mostly are the same; whether it is that series is told by
 * the strings themselves. Everything is the thread's own. */
#ifndef TASKFORGE_AGENT_CLIENT_METRIC_MEMO_H
#define TASKFORGE_AGENT_CLIENT_METRIC_MEMO_H

#include "agent/client/client_internal.h"
#include "common/model/metric.h"

enum { MEMO_COUNT = 64, MEMO_WORDS_MAX = 256, MEMO_RECORD_MAX = 512 };

struct metric_memo { /* record_size 0: empty */
    uint16_t record_size;
    uint16_t trace_at; /* where the trace id's digits stand in the record; 0: it has none */
    uint8_t kind, naming, operation, label_count;
    uint32_t hits; /* since then: METRIC_HOT_UPDATES are many */
    uint64_t since_ns;
    uint64_t client;            /* whose handle it is, by its number: 0, nobody's */
    struct tf_metric *metric;   /* where the series was promoted (metric_promote.h) */
    uint64_t exemplar_ns;       /* of counters: when an update went by name to carry the trace, which cells do not */
    char words[MEMO_WORDS_MAX]; /* name, then each label's name and value, each with its NUL */
    char record[MEMO_RECORD_MAX] __attribute__((aligned(8)));
};

/* What is updated. */
struct metric_words {
    enum metric_kind kind;
    enum metric_naming naming;
    enum metric_operation operation;
    const char *name;
    const struct tf_label *labels;
    size_t label_count;
};

/* Write it by what is remembered: 0; 1: the ordinary way (nothing has happened). */
int metric_memo_write(struct tf_client *client, const struct metric_words *words, double value);

/* Whether the series of these words has just been remembered through METRIC_HOT_UPDATES updates within METRIC_HOT_NS. */
bool metric_memo_is_hot(struct thread *thread, const struct metric_words *words, uint64_t now_ns);

/* Remember a record that was made for these words just now, and the client's handle where it has one. */
void metric_memo_keep(struct thread *thread, const struct metric_words *words, const struct record *record,
                      const struct tf_client *client, struct tf_metric *metric);

#endif
