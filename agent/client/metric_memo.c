#include "agent/client/metric_memo.h"

#include <endian.h>
#include <math.h>

#include "agent/client/metric_promote.h"
#include "agent/client/metrics.h"
#include "agent/client/quick.h"

enum {
    VALUE_AT =
        RECORD_HEADER_SIZE + 5, /* behind the array's head, three small numbers and the double's mark (record.c) */
    DOUBLE_MARK = 0xcb,
};
/* One update in so long carries its trace where the others go to a cell. */
#define EXEMPLAR_PAUSE_NS CLOCK_SECOND

static struct metric_memo *place_of(struct thread *thread, const struct metric_words *words) {
    uintptr_t sum = (uintptr_t)words->name;
    for (size_t i = 0; i < words->label_count; i++)
        sum = (sum << 7 | sum >> (sizeof(sum) * 8 - 7)) ^ (uintptr_t)words->labels[i].value;
    sum *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing */
    return &thread->memos[sum >> (sizeof(sum) * 8 - 6)];
}
static_assert(MEMO_COUNT == 1 << 6, "as many as place_of tells apart");

/* Past the word at `at` where it is this one; else NULL. A loop, since words are short: two calls of libc for each took most of an
 * update's time. */
static inline const char *pass(const char *at, const char *word) {
    if (unlikely(!word))
        return NULL;
    for (; *at == *word; at++, word++)
        if (*at == '\0')
            return at + 1;
    return NULL;
}

static bool is_same(const struct metric_memo *memo, const struct metric_words *words, bool traced) {
    if (memo->record_size == 0 || memo->kind != words->kind || memo->naming != words->naming ||
        memo->operation != words->operation || memo->label_count != words->label_count ||
        (memo->trace_at != 0) != traced)
        return false;
    const char *at = pass(memo->words, words->name);
    for (size_t i = 0; at && i < words->label_count; i++) {
        at = pass(at, words->labels[i].name);
        at = at ? pass(at, words->labels[i].value) : NULL;
    }
    return at != NULL;
}

/* Whether the thread's trace goes along, as an exemplar. */
static bool is_traced(const struct thread *thread, const struct metric_words *words) {
    return words->kind != METRIC_GAUGE && thread->context.has & (TF_HAS_TRACE | CONTEXT_TEXT);
}

/* What the ordinary way refuses, it refuses. */
static bool is_taken(const struct metric_words *words, double value) {
    return words->kind == METRIC_COUNTER || words->kind == METRIC_TIMER ? value >= 0 && value <= 0x1.fffffffffffffp+1023
                                                                        : !isnan(value);
}

static int write_copy(struct thread *thread, struct thread_lane *lane, const struct metric_memo *memo, double value,
                      uint64_t time_ns) {
    struct lane_writer *writer = &lane->writer;
    char *record = lane_claim_within(writer, MEMO_RECORD_MAX, METRIC_LEVEL);
    uint64_t bits;
    if (unlikely(!record))
        return 1;
    memcpy(record, memo->record, memo->record_size);
    put_word(record + 8, writer->head);
    put_word(record + 16, time_ns);
    memcpy(&bits, &value, sizeof(bits));
    put_word(record + VALUE_AT, htobe64(bits));
    if (memo->trace_at > 0)
        text_hex(thread->context.trace_id, sizeof(thread->context.trace_id), record + memo->trace_at);
    lane_publish(writer, memo->record_size);
    return 0;
}

/* As a record into the thread's lane, where nothing is out of the ordinary. */
static int write_record(struct thread *thread, const struct tf_client *client, const struct metric_memo *memo,
                        double value) {
    struct thread_lane *lane = quick_lane_of(thread, client);
    if (unlikely(!lane))
        return 1;
    uint64_t time_ns = ticks_now(&thread->ticks);
    if (unlikely(time_ns == 0))
        time_ns = ticks_renew(&thread->ticks, &lane->session->attachment->ring.header->tick_rate);
    return write_copy(thread, lane, memo, value, time_ns);
}

/* Whether this update goes by name although there is a cell: to carry its trace. What finds no room so goes to the cell. */
static bool carries_trace(struct thread *thread, const struct tf_client *client, struct metric_memo *memo,
                          double value) {
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns - memo->exemplar_ns < EXEMPLAR_PAUSE_NS)
        return false;
    memo->exemplar_ns = now_ns;
    return write_record(thread, client, memo, value) == 0;
}

/* *ret_metric: the cell that takes it, if there is one. by_record: none is asked. */
static inline int write_by_memo(struct tf_client *given, const struct metric_words *words, double value, bool by_record,
                                struct tf_metric **ret_metric) {
    struct tf_client *client;
    struct thread *thread;
    *ret_metric = NULL;
    if (unlikely(!words->name) || unlikely(words->label_count > METRIC_LABELS_MAX) ||
        !quick_enter(given, METRIC_LEVEL, &client, &thread))
        return 1;
    int r = 1;
    bool traced = is_traced(thread, words);
    struct metric_memo *memo = place_of(thread, words);
    if (likely(is_taken(words, value)) && !(traced && thread->context.has & CONTEXT_TEXT) &&
        likely(is_same(memo, words, traced))) {
        bool has_cell = memo->client == client->number && !by_record && metric_cell_takes(words->kind, value);
        if (has_cell && traced && words->kind == METRIC_COUNTER && carries_trace(thread, client, memo, value))
            r = 0;
        else if (has_cell)
            *ret_metric = memo->metric;
        else if (likely(++memo->hits != METRIC_HOT_UPDATES))
            r = write_record(thread, client, memo, value);
    }
    call_leave();
    return r;
}

int metric_memo_write(struct tf_client *client, const struct metric_words *words, double value) {
    struct tf_metric *metric;
    int r = write_by_memo(client, words, value, false, &metric);
    if (!metric || likely(metric_update_promoted(metric, value) == 0))
        return metric ? 0 : r;
    return write_by_memo(client, words, value, true, &metric);
}

bool metric_memo_is_hot(struct thread *thread, const struct metric_words *words, uint64_t now_ns) {
    const struct metric_memo *memo = place_of(thread, words);
    return memo->hits == METRIC_HOT_UPDATES && now_ns - memo->since_ns <= METRIC_HOT_NS &&
           is_same(memo, words, is_traced(thread, words));
}

static bool add_word(char **at, const char *end, const char *word) {
    size_t size = strlen(word) + 1;
    if ((size_t)(end - *at) < size)
        return false;
    memcpy(*at, word, size);
    *at += size;
    return true;
}

void metric_memo_keep(struct thread *thread, const struct metric_words *words, const struct record *record,
                      const struct tf_client *client, struct tf_metric *metric) {
    struct metric_memo *memo = place_of(thread, words);
    struct text trace = record->metric_update.trace_id;
    memo->record_size = 0;
    if (trace.length != 0 && !(thread->context.has & TF_HAS_TRACE))
        return;
    char *at = memo->words, *end = memo->words + sizeof(memo->words);
    bool fits = add_word(&at, end, words->name);
    for (size_t i = 0; i < words->label_count && fits; i++)
        fits = add_word(&at, end, words->labels[i].name) && add_word(&at, end, words->labels[i].value);
    int size = fits ? record_encode(record, memo->record, sizeof(memo->record)) : 0;
    if (size <= 0 || (unsigned char)memo->record[VALUE_AT - 1] != DOUBLE_MARK)
        return;
    memo->kind = (uint8_t)words->kind;
    memo->naming = (uint8_t)words->naming;
    memo->operation = (uint8_t)words->operation;
    memo->label_count = (uint8_t)words->label_count;
    memo->trace_at = 0;
    if (trace.length > 0) { /* the last field: its digits end where the zeros of the record's end begin */
        char *digits =
            memmem(memo->record + RECORD_HEADER_SIZE, (size_t)size - RECORD_HEADER_SIZE, trace.data, TRACE_DIGITS);
        if (trace.length != TRACE_DIGITS || !digits || memo->record + size - (digits + TRACE_DIGITS) >= RECORD_ALIGN)
            return;
        memo->trace_at = (uint16_t)(digits - memo->record);
    }
    memo->record_size = (uint16_t)size;
    memo->hits = 0;
    memo->since_ns = clock_real_ns();
    memo->client = metric ? client->number : 0;
    memo->metric = metric;
    memo->exemplar_ns = 0;
}
