/* put.c - see client_internal.h: records into lanes, and the account of those that found no room. */
#include "agent/client/quick.h"

#include <errno.h>
#include <time.h>

/* Of an overflow lane, that one session may have in it unread: a quarter, and half for errors. */
enum { QUOTA_SHARE = 4, QUOTA_SHARE_OF_ERRORS = 2 };
#define WAIT_STEP_FIRST_NS (UINT64_C(20) * 1000)
#define WAIT_STEP_MAX_NS (2 * CLOCK_MILLISECOND)

/* --- writing --- */

static int put_size(const struct put *put, uint32_t *ret_size) {
    if (put->entry)
        return record_entry_size(put->entry, ret_size);
    if (put->other->kind == RECORD_SPAN)
        return record_span_size(&put->other->span, ret_size);
    char room[RECORD_OTHER_SIZE_MAX]; /* other kinds are small; one that is not is refused */
    int size = record_encode(put->other, room, sizeof(room));
    if (size < 0)
        return size == -ENOSPC ? -E2BIG : size;
    *ret_size = (uint32_t)size;
    return 0;
}

static void put_encode(const struct put *put, uint64_t position, void *span, uint32_t size) {
    if (put->entry) {
        record_entry_encode(put->entry, position, put->time_ns, span, size);
        return;
    }
    struct record record = *put->other;
    record.position = position;
    record.time_ns = put->time_ns;
    check(record_encode(&record, span, size) == (int)size);
}

static int put_private(struct thread_lane *lane, struct put *put, uint32_t size) {
    uint64_t position;
    void *span = lane_claim(&lane->writer, size, put->level, &position);
    if (unlikely(!span) && lane->row && row_turn(lane, put))
        span = lane_claim(&lane->writer, size, put->level, &position);
    if (unlikely(!span)) {
        put->reason = LOSS_LANE_FULL;
        return -EAGAIN;
    }
    row_note(lane->row, put->time_ns);
    put_encode(put, position, span, size);
    lane_commit(&lane->writer, size);
    return 0;
}

/* Two records by one commit: whose it is, and what it says. */
static bool put_with_hello(struct session *session, struct lane_writer *writer, const struct put *put, uint32_t size) {
    uint64_t position;
    char *span = lane_claim(writer, session->hello_size + size, put->level, &position);
    if (!span)
        return false;
    struct record hello = {
        .kind = RECORD_PROCESS_HELLO, .position = position, .time_ns = put->time_ns, .process_hello = session->hello
    };
    check(record_encode(&hello, span, session->hello_size) == (int)session->hello_size);
    put_encode(put, position + session->hello_size, span + session->hello_size, size);
    lane_commit(writer, session->hello_size + size);
    return true;
}

/* Whether so many bytes more are within the session's share of the lane that it holds. What the tail has passed is dropped, a whole
 * window at a time: no more than two words have to be kept for each, and never is less counted than is there. */
static bool share_has_room(struct overflow_share *share, const struct lane_writer *writer, enum level level,
                           uint32_t size) {
    if (share->older_end <= writer->tail) {
        share->older = share->newer;
        share->older_end = share->newer_end;
        share->newer = 0;
        if (share->older_end <= writer->tail)
            share->older = 0;
    }
    uint64_t part = level >= LEVEL_ERROR ? QUOTA_SHARE_OF_ERRORS : QUOTA_SHARE;
    return share->older + share->newer + size <= writer->size / part;
}

/* Into the lane that is held: 0, or why not. */
static int put_into_share(struct session *session, uint32_t lane, struct lane_writer *writer, const struct put *put,
                          uint32_t size, enum loss_reason *ret_reason) {
    struct overflow_share *share = &session->overflow[lane];
    uint32_t whole = session->hello_size + size;
    *ret_reason = LOSS_QUOTA;
    if (!share_has_room(share, writer, put->level, whole))
        return -EAGAIN;
    *ret_reason = LOSS_LANES_BUSY;
    if (!put_with_hello(session, writer, put, size))
        return -EAGAIN;
    share->newer += whole;
    share->newer_end = writer->head;
    session_mark_lane(session, lane);
    return 0;
}

static int put_overflow(struct session *session, struct put *put, uint32_t size) {
    struct ring *ring = &session->attachment->ring;
    uint32_t taken[RING_OVERFLOW_MAX], count = 0, refused = 0;
    int taking = 0, r = -EAGAIN;
    while (r < 0 && count < ring->overflow_count) { /* one that does not do is kept while the next is tried */
        struct lane_writer writer;
        enum loss_reason reason;
        taking = ring_overflow_take(ring, &session->claim, &writer, &taken[count]);
        if (taking < 0)
            break;
        r = put_into_share(session, taken[count++], &writer, put, size, &reason);
        refused += r < 0 && reason == LOSS_QUOTA;
    }
    for (uint32_t i = 0; i < count; i++)
        ring_overflow_give(ring, taken[i]);
    /* Its quota alone stood in the way: in every lane, but those that have no pages. */
    bool all = count == ring->overflow_count || taking != -EAGAIN;
    put->reason = all && count > 0 && refused == count ? LOSS_QUOTA : LOSS_LANES_BUSY;
    return r;
}

/* A nested call that has no lane here: the session is held by a reference instead. */
static int put_without_lane(struct call *call, struct tf_client *client, struct put *put, uint32_t size) {
    struct session *session = session_hold(call, client);
    if (!session) {
        put->reason = atomic_load(&client->session_id) ? LOSS_LANES_BUSY : LOSS_NO_RING;
        return -EAGAIN;
    }
    int r = put_overflow(session, put, size);
    session_let_go(session);
    return r;
}

/* Into the flight recorder: over what is oldest there. Where the thread has no such lane, or the record is too large, it goes
 * nowhere: what is recorded is no promise. */
static int put_recorder(const struct call *call, struct thread_lane *lane, const struct put *put, uint32_t size) {
    uint64_t position;
    if (!lane || call->nested || !lane->has_private || (!lane->has_recorder && !thread_recorder_claim(lane)) ||
        size > lane->recorder.size / LANE_LARGE_SHARE)
        return 0;
    void *span = lane_claim(&lane->recorder, size, put->level, &position);
    put_encode(put, position, span, size);
    lane_commit(&lane->recorder, size);
    return 0;
}

int put_once(struct call *call, struct tf_client *client, struct thread_lane *lane, struct put *put) {
    uint32_t size;
    int r = put_size(put, &size);
    if (unlikely(r < 0))
        return r;
    if (unlikely(put->recorder))
        return put_recorder(call, lane, put, size);
    if (likely(lane && !call->nested)) {
        if (likely(lane->has_private && size <= lane->writer.size / LANE_LARGE_SHARE))
            return put_private(lane, put, size);
        return put_overflow(lane->session, put, size);
    }
    if (lane)
        return put_overflow(lane->session, put, size);
    if (call->nested)
        return put_without_lane(call, client, put, size);
    put->reason = LOSS_NO_RING;
    return -EAGAIN;
}

/* --- waiting --- */

bool put_may_wait(const struct call *call, const struct tf_client *client, enum loss_reason reason, uint64_t *step_ns,
                  uint64_t *deadline_ns) {
    if (!client->waits || call->nested)
        return false;
    int refusal = atomic_load(&client->refusal);
    if (reason == LOSS_NO_RING && refusal != -EAGAIN && refusal != -ESTALE)
        return false; /* that is not about room: waiting would only stall the application */
    uint64_t now = clock_monotonic_ns();
    if (*deadline_ns == 0)
        *deadline_ns = now + client->wait_ns < now ? UINT64_MAX : now + client->wait_ns;
    if (now >= *deadline_ns)
        return false;
    *step_ns = *step_ns == 0 ? WAIT_STEP_FIRST_NS : *step_ns * 2;
    if (*step_ns > WAIT_STEP_MAX_NS)
        *step_ns = WAIT_STEP_MAX_NS;
    uint64_t left = *deadline_ns - now;
    struct timespec pause = { .tv_nsec = (long)(*step_ns < left ? *step_ns : left) };
    int saved_errno = errno;
    nanosleep(&pause, NULL);
    errno = saved_errno;
    return true;
}

int put_by_policy(struct call *call, struct tf_client *client, struct put *put) {
    uint64_t step = 0, deadline = 0;
    int r;
    do {
        r = put_once(call, client, thread_lane_find(call, client), put);
        if (likely(r != -EAGAIN))
            return r;
    } while (put_may_wait(call, client, put->reason, &step, &deadline));
    return put_lose(call, client, put);
}

/* --- losses --- */

int put_lose(struct call *call, struct tf_client *client, const struct put *put) {
    client_count_loss(client, put->reason, put->level, 1);
    if (!call->nested && call->thread) {
        call->thread->failure = FAILURE_NO_ROOM;
        call->thread->reason = put->reason;
        call->thread->level = put->level;
    }
    return -EAGAIN;
}

int quick_lose(struct thread *thread, struct tf_client *client, int level) {
    struct loss_ledger *ledger = atomic_load_explicit(&client->ledger, memory_order_relaxed);
    uint64_t now = ticks_now(&thread->ticks);
    if (unlikely(!ledger || now == 0 || atomic_load_explicit(&client->any_pending, memory_order_relaxed)))
        return 1;
    atomic_fetch_add_explicit(&client->lost[LOSS_LANE_FULL][level], 1, memory_order_relaxed);
    loss_count(ledger, LOSS_LANE_FULL, (enum level)level, 1, now);
    thread->failure = FAILURE_NO_ROOM;
    thread->reason = LOSS_LANE_FULL;
    thread->level = (enum level)level;
    return -EAGAIN;
}

void client_count_loss(struct tf_client *client, enum loss_reason reason, enum level level, uint64_t count) {
    uint64_t now = clock_real_ns();
    atomic_fetch_add_explicit(&client->lost[reason][level], count, memory_order_relaxed);
    struct loss_ledger *ledger = atomic_load(&client->ledger);
    if (likely(ledger)) {
        loss_count(ledger, reason, level, count, now);
        if (unlikely(atomic_load_explicit(&client->any_pending, memory_order_relaxed)))
            client_carry_losses(client);
        return;
    }
    struct pending_loss *pending = &client->pending[reason][level];
    uint64_t never = 0;
    atomic_compare_exchange_strong(&pending->first_ns, &never, now);
    atomic_store(&pending->last_ns, now);
    atomic_fetch_add(&pending->count, count);
    atomic_store(&client->any_pending, true);
}

static void carry_one(struct loss_ledger *ledger, struct pending_loss *pending, enum loss_reason reason,
                      enum level level) {
    uint64_t count = atomic_exchange(&pending->count, 0); /* whoever takes it tells it, once */
    if (count == 0)
        return;
    uint64_t first = atomic_exchange(&pending->first_ns, 0), last = atomic_load(&pending->last_ns);
    loss_count(ledger, reason, level, 1, first ? first : last);
    if (count > 1)
        loss_count(ledger, reason, level, count - 1, last);
}

void client_carry_losses(struct tf_client *client) {
    struct loss_ledger *ledger = atomic_load(&client->ledger);
    if (!ledger || !atomic_exchange(&client->any_pending, false))
        return;
    for (unsigned reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            carry_one(ledger, &client->pending[reason][level], (enum loss_reason)reason, (enum level)level);
}
