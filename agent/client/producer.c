/* producer.c - see producer.h. A producer is a client whose losses are its caller's decision. */
#include "agent/client/producer.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/client/metrics.h"

struct producer {
    struct tf_client *client;
};

int producer_open(const char *runtime_dir, const char *service, struct producer **ret, struct error *error) {
    struct producer *producer = calloc(1, sizeof(*producer));
    if (!producer)
        return error_set(error, -ENOMEM, "no memory for a producer");
    int r = client_create(runtime_dir, service, NULL, &producer->client, error);
    if (r < 0) {
        free(producer);
        return r;
    }
    *ret = producer;
    return 0;
}

void producer_close(struct producer *producer) {
    if (!producer)
        return;
    tf_close(producer->client);
    free(producer);
}

/* Once, without waiting; a record that finds no room is counted only when the caller gives up. */
static int producer_put(struct producer *producer, struct put *put, bool give_up) {
    struct call call;
    if (!call_enter(&call))
        return -EAGAIN;
    int r = put_once(&call, producer->client, thread_lane_find(&call, producer->client), put);
    if (r == -EAGAIN && give_up)
        put_lose(&call, producer->client, put);
    call_leave();
    return r;
}

static int write_entry(struct producer *producer, const struct record_entry *record, uint64_t time_ns, bool give_up) {
    if (record->site != 0)
        return -EINVAL;
    struct record_entry complete = *record;
    struct put put = { .entry = &complete,
                       .level = record->entry.level,
                       .time_ns = time_ns ? time_ns : clock_real_ns() };
    if (complete.entry.timestamp_ns == 0)
        complete.entry.timestamp_ns = put.time_ns;
    if (text_equal(complete.entry.service, producer->client->service))
        complete.entry.service = TEXT_EMPTY;
    return producer_put(producer, &put, give_up);
}

int producer_write(struct producer *producer, const struct record_entry *record, uint64_t time_ns) {
    return write_entry(producer, record, time_ns, false);
}

int producer_write_or_lose(struct producer *producer, const struct record_entry *record, uint64_t time_ns) {
    return write_entry(producer, record, time_ns, true);
}

static int write_record(struct producer *producer, const struct record *record, bool give_up) {
    struct put put = { .other = record,
                       .level = record->kind == RECORD_METRIC_UPDATE ? METRIC_LEVEL : LEVEL_ERROR,
                       .time_ns = record->time_ns ? record->time_ns : clock_real_ns() };
    return producer_put(producer, &put, give_up);
}

int producer_write_record(struct producer *producer, const struct record *record) {
    return write_record(producer, record, false);
}

int producer_write_record_or_lose(struct producer *producer, const struct record *record) {
    return write_record(producer, record, true);
}

int producer_count_loss(struct producer *producer, enum level level, enum loss_reason reason, uint64_t count) {
    client_count_loss(producer->client, reason, level, count);
    return 0;
}

bool producer_attached(const struct producer *producer) {
    int refusal = atomic_load(&producer->client->refusal);
    return refusal == 0 || refusal == -EAGAIN || refusal == -ESTALE;
}

int producer_metric_register(struct producer *producer, const struct metric_definition *definition,
                             struct tf_metric **ret, struct error *error) {
    return metric_register(producer->client, definition, ret, error);
}

struct tf_client *producer_client(struct producer *producer) {
    return producer->client;
}

void producer_share_lanes(struct producer *producer) {
    producer->client->shares_lanes = true;
}

void producer_take_rows(struct producer *producer) {
    producer->client->takes_rows = true;
}

void producer_ease(struct producer *producer) {
    struct call call;
    if (!call_enter(&call))
        return;
    uint64_t session_id = atomic_load_explicit(&producer->client->session_id, memory_order_acquire);
    for (unsigned i = 0; i < THREAD_LANES; i++) {
        struct thread_lane *lane = &call.thread->lanes[i];
        if (lane->row && atomic_load_explicit(&lane->session_id, memory_order_relaxed) == session_id)
            row_ease(lane);
    }
    call_leave();
}

bool producer_wants(const struct producer *producer, enum level level) {
    return tf_wants(producer->client, (int)level);
}

int producer_flush(struct producer *producer, uint64_t timeout_ns) {
    return client_flush(producer->client, timeout_ns);
}
