/* row.c - see client_internal.h: a row of private lanes for a thread that writes more than one lane takes between two commits.
 *
 * The lanes are filled in turn. The collector puts records of several lanes in order by their times, and holds back what is
 * newer than its look at them; so the order of one thread's records holds across lanes where each turn begins with a time
 * that the clock gave after the last record before it was committed, and that is above all times before. */
#include "agent/client/client_internal.h"

#include <stdlib.h>

int row_begin(struct thread_lane *lane) {
    const struct ring *ring = &lane->session->attachment->ring;
    uint32_t half = (ring->lane_count - ring->overflow_count) / 2;
    lane->row = calloc(1, sizeof(*lane->row));
    if (!lane->row)
        return -ENOMEM;
    lane->row->most = half == 0 ? 0 : half - 1 < ROW_OTHERS_MAX ? half - 1 : ROW_OTHERS_MAX;
    return 0;
}

/* Under the lock. */
static void give_back(struct thread_lane *lane) {
    struct session *session = lane->session;
    for (uint32_t i = 0; i < lane->row->count; i++)
        ring_lane_release(&session->attachment->ring, &session->claim, lane->row->others[i].lane);
    lane->row->count = lane->row->next = 0;
}

void row_end(struct thread_lane *lane) {
    if (!lane->row)
        return;
    give_back(lane);
    row_forget(lane);
}

void row_forget(struct thread_lane *lane) {
    free(lane->row);
    lane->row = NULL;
}

static bool is_drained(const struct lane_writer *writer) {
    /* acquire: as in lane_has_room; a tail that makes no sense is judged there. */
    return atomic_load_explicit(&writer->header->tail, memory_order_acquire) == writer->head;
}

/* A lane more, in front of which the present one goes to the end of the row. */
static bool claim_another(struct thread_lane *lane, struct row_lane *ret) {
    struct lane_row *row = lane->row;
    struct session *session = lane->session;
    uint64_t now = clock_monotonic_ns();
    if (row->count == row->most || now < row->retry_ns)
        return false;
    registry_lock();
    int r = ring_lane_claim(&session->attachment->ring, &session->claim, false, &ret->writer, &ret->lane);
    registry_unlock();
    if (r < 0) {
        row->retry_ns = now + ROW_RETRY_NS;
        return false;
    }
    session_mark_lane(session, ret->lane);
    memmove(&row->others[row->next + 1], &row->others[row->next], (row->count - row->next) * sizeof(row->others[0]));
    row->count++;
    return true;
}

bool row_turn(struct thread_lane *lane, struct put *put) {
    struct lane_row *row = lane->row;
    struct row_lane next;
    uint64_t fresh = clock_real_ns();
    if (fresh <= row->newest_ns) /* the clock was set back: this lane has to do until it has caught up */
        return false;
    if (row->count > 0 && is_drained(&row->others[row->next].writer))
        next = row->others[row->next];
    else if (!claim_another(lane, &next))
        return false;
    row->others[row->next] = (struct row_lane) { lane->writer, lane->lane };
    row->next = (row->next + 1) % row->count;
    lane->writer = next.writer;
    lane->lane = next.lane;
    row->turned_ns = put->time_ns = fresh;
    return true;
}

void row_ease(struct thread_lane *lane) {
    if (lane->row->count == 0 || clock_real_ns() - lane->row->turned_ns < ROW_IDLE_NS)
        return;
    registry_lock();
    give_back(lane);
    registry_unlock();
}
