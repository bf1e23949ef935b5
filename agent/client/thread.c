/* thread.c - see client_internal.h: one thread's memory and its lanes. */
#include "agent/client/metric_memo.h"
#include "agent/client/metric_promote.h"
#include "agent/client/metric_sample.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct thread *thread_self __attribute__((tls_model("initial-exec")));
_Thread_local volatile int thread_busy __attribute__((tls_model("initial-exec")));

static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool exit_key_made;

static struct thread *threads; /* under the lock */

#define NO_QUICK_ID UINT64_MAX

/* One mapping: the struct, and behind it what is remembered of metrics. */
enum {
    THREAD_MEMORY = sizeof(struct thread) + MEMO_COUNT * sizeof(struct metric_memo) +
                    METRIC_HEATS * sizeof(struct metric_heat),
};

/* --- lanes; under the lock --- */

static void lane_drop(struct thread_lane *lane) {
    struct session *session = lane->session;
    if (!session)
        return;
    atomic_store(&lane->quick_id, NO_QUICK_ID);
    atomic_store(&lane->session_id, 0);
    row_end(lane);
    if (lane->has_private)
        ring_lane_release(&session->attachment->ring, &session->claim, lane->lane);
    if (lane->has_recorder)
        ring_lane_release(&session->attachment->ring, &session->claim, lane->recorder_lane);
    lane->session = NULL;
    lane->has_private = lane->has_recorder = false;
    session_unref(session);
}

/* Ask for a private lane; without one the overflow lanes serve, and it is asked for again later. */
static void lane_claim_private(struct thread_lane *lane) {
    struct session *session = lane->session;
    if (session->client->shares_lanes) {
        lane->retry_ns = UINT64_MAX;
        return;
    }
    int r = ring_lane_claim(&session->attachment->ring, &session->claim, false, &lane->writer, &lane->lane);
    lane->has_private = r == 0;
    lane->retry_ns = clock_monotonic_ns() + RETRY_MS * CLOCK_MILLISECOND;
    if (r < 0)
        return;
    if (session->client->takes_rows && !lane->row)
        row_begin(lane);
    atomic_store(&session->touched, true);
    session_mark_lane(session, lane->lane);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store(&lane->quick_id, session->id);
}

bool thread_recorder_claim(struct thread_lane *lane) {
    struct session *session = lane->session;
    uint64_t now = clock_monotonic_ns();
    if (session->client->shares_lanes || now < lane->recorder_retry_ns)
        return false;
    int saved_errno = errno;
    registry_lock();
    lane->recorder_retry_ns = now + RETRY_MS * CLOCK_MILLISECOND;
    const struct client_settings *settings = atomic_load(&session->client->settings);
    bool wanted = settings && settings->recorder_levels != 0; /* it may have been turned off since the gate looked */
    int r = !wanted ? -EAGAIN
                    : ring_lane_claim(&session->attachment->ring, &session->claim, true, &lane->recorder,
                                      &lane->recorder_lane);
    lane->has_recorder = r == 0;
    if (r == 0)
        atomic_store(&session->touched, true);
    registry_unlock();
    errno = saved_errno;
    return lane->has_recorder;
}

/* Only its own thread may, which is not in the middle of a record then. */
static void lane_shed_recorder(struct thread_lane *lane) {
    struct session *session = lane->session;
    registry_lock();
    if (lane->has_recorder)
        ring_lane_release(&session->attachment->ring, &session->claim, lane->recorder_lane);
    lane->has_recorder = false;
    lane->recorder_retry_ns = 0;
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store(&lane->quick_id, session->id);
    registry_unlock();
}

void threads_shed_recorders(struct tf_client *client) {
    for (struct thread *thread = threads; thread; thread = thread->next)
        for (unsigned i = 0; i < THREAD_LANES; i++) {
            struct thread_lane *lane = &thread->lanes[i];
            if (lane->session && lane->session->client == client && lane->has_private && lane->has_recorder)
                atomic_store(&lane->quick_id, NO_QUICK_ID); /* so it comes by lane_find_slowly */
        }
}

static struct thread_lane *lane_find(struct thread *thread, uint64_t session_id) {
    for (unsigned i = 0; i < THREAD_LANES; i++)
        if (atomic_load_explicit(&thread->lanes[i].session_id, memory_order_relaxed) == session_id)
            return &thread->lanes[i];
    return NULL;
}

/* Let go of lanes whose session was left for a new one, and find an empty place; when all are in use the next in turn gives way. */
static struct thread_lane *lane_make_place(struct thread *thread) {
    struct thread_lane *place = NULL;
    for (unsigned i = 0; i < THREAD_LANES; i++) {
        struct thread_lane *lane = &thread->lanes[i];
        if (lane->session && lane->session->client->session != lane->session)
            lane_drop(lane);
        if (!lane->session)
            place = lane;
    }
    if (!place) {
        place = &thread->lanes[thread->next_victim++ % THREAD_LANES];
        lane_drop(place);
    }
    return place;
}

static struct thread_lane *lane_open(struct thread *thread, struct session *session, bool private) {
    struct thread_lane *lane = lane_make_place(thread);
    session->references++;
    lane->session = session;
    lane->retry_ns = lane->recorder_retry_ns = 0;
    atomic_store(&lane->quick_id, NO_QUICK_ID);
    if (private)
        lane_claim_private(lane);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store(&lane->session_id, session->id);
    return lane;
}

/* --- finding one's lane --- */

static struct thread_lane *lane_find_or_open(struct thread *thread, struct tf_client *client, bool private) {
    int saved_errno = errno; /* a log call leaves the application's alone, and "%m" is formatted after this */
    registry_lock();
    struct session *session = session_usable(client);
    struct thread_lane *lane = session ? lane_find(thread, session->id) : NULL;
    if (lane && !lane->has_private && private)
        lane_claim_private(lane);
    else if (session && !lane)
        lane = lane_open(thread, session, private);
    if (lane)
        thread->hot = lane;
    registry_unlock();
    errno = saved_errno;
    return lane;
}

static struct thread_lane *lane_find_slowly(struct call *call, struct tf_client *client, uint64_t session_id) {
    struct thread *thread = call->thread;
    if (!thread)
        return NULL;
    struct thread_lane *lane = session_id ? lane_find(thread, session_id) : NULL;
    if (call->nested)
        return lane;
    if (lane) {
        thread->hot = lane;
        if (lane->has_private && atomic_load_explicit(&lane->quick_id, memory_order_relaxed) == NO_QUICK_ID)
            lane_shed_recorder(lane);
        if (lane->has_private || clock_monotonic_ns() < lane->retry_ns)
            return lane;
    }
    if (session_id == 0 && clock_monotonic_ns() < atomic_load(&client->retry_ns))
        return NULL;
    return lane_find_or_open(thread, client, true);
}

struct thread_lane *thread_lane_find(struct call *call, struct tf_client *client) {
    const uint32_t *control = __atomic_load_n(&client->head.control, __ATOMIC_ACQUIRE);
    uint64_t session_id = atomic_load_explicit(&client->session_id, memory_order_acquire);
    struct thread *thread = call->thread;
    if (unlikely(__atomic_load_n(control, __ATOMIC_RELAXED) & SLOT_CONTROL_REATTACH) && thread && !call->nested)
        return lane_find_or_open(thread, client, true);
    if (likely(session_id != 0 && thread)) {
        /* Its session first: the rest of a lane belongs to who closes its client. */
        struct thread_lane *hot = thread->hot;
        if (likely(hot && atomic_load_explicit(&hot->quick_id, memory_order_relaxed) == session_id))
            return hot; /* with a private lane, and nothing to be shed */
    }
    return lane_find_slowly(call, client, session_id);
}

struct thread_lane *thread_session_find(struct call *call, struct tf_client *client) {
    const uint32_t *control = __atomic_load_n(&client->head.control, __ATOMIC_ACQUIRE);
    uint64_t session_id = atomic_load_explicit(&client->session_id, memory_order_acquire);
    struct thread *thread = call->thread;
    if (!thread)
        return NULL;
    struct thread_lane *lane = session_id ? lane_find(thread, session_id) : NULL;
    if (call->nested)
        return lane;
    if (lane && !(__atomic_load_n(control, __ATOMIC_RELAXED) & SLOT_CONTROL_REATTACH)) {
        thread->hot = lane;
        return lane;
    }
    if (session_id == 0 && clock_monotonic_ns() < atomic_load(&client->retry_ns))
        return NULL;
    return lane_find_or_open(thread, client, false);
}

/* --- threads --- */

static void thread_free(struct thread *thread) {
    check(munmap(thread, THREAD_MEMORY) == 0);
}

/* The destructor of exit_key: a thread ends. One that logs in a later destructor simply begins anew. */
static void thread_exit(void *value) {
    struct thread *thread = value;
    thread_busy++;
    thread_self = NULL;
    registry_lock();
    for (unsigned i = 0; i < THREAD_LANES; i++)
        lane_drop(&thread->lanes[i]);
    *(thread->previous ? &thread->previous->next : &threads) = thread->next;
    if (thread->next)
        thread->next->previous = thread->previous;
    registry_unlock();
    thread_free(thread);
    thread_busy--;
}

static void exit_key_make(void) {
    exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
}

/* Pages straight from the kernel: most of them are never touched, and a signal handler may get here while the application is inside malloc. */
static struct thread *thread_make(void) {
    pthread_once(&exit_key_once, exit_key_make);
    struct thread *thread =
        mmap(NULL, THREAD_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (thread == MAP_FAILED)
        return NULL;
    if (!exit_key_made || pthread_setspecific(exit_key, thread) != 0) {
        thread_free(thread);
        return NULL;
    }
    thread->number = (uint32_t)syscall(SYS_gettid);
    thread->memos = (struct metric_memo *)(void *)(thread + 1);
    thread->heats = (struct metric_heat *)(void *)(thread->memos + MEMO_COUNT);
    for (unsigned i = 0; i < THREAD_LANES; i++)
        atomic_store(&thread->lanes[i].quick_id, NO_QUICK_ID);
    registry_lock();
    thread->next = threads;
    if (threads)
        threads->previous = thread;
    threads = thread;
    registry_unlock();
    thread_self = thread;
    return thread;
}

/* Busy meanwhile: a handler that came in between and logs makes none of its own, of which one would never be given back. */
struct thread *thread_get(void) {
    if (thread_self)
        return thread_self;
    thread_busy++;
    atomic_signal_fence(memory_order_seq_cst);
    struct thread *thread = thread_self ? thread_self : thread_make();
    atomic_signal_fence(memory_order_seq_cst);
    thread_busy--;
    return thread;
}

void threads_forget_client(struct tf_client *client) {
    for (struct thread *thread = threads; thread; thread = thread->next)
        for (unsigned i = 0; i < THREAD_LANES; i++)
            if (thread->lanes[i].session && thread->lanes[i].session->client == client)
                lane_drop(&thread->lanes[i]);
}

void threads_after_fork(void) {
    struct thread *next;
    sample_begin(0); /* or it would choose as its parent does */
    for (struct thread *thread = threads; thread; thread = next) {
        next = thread->next;
        if (thread != thread_self)
            thread_free(thread);
    }
    threads = thread_self;
    struct thread *self = thread_self;
    if (!self)
        return;
    self->next = self->previous = NULL;
    self->hot = NULL;
    for (unsigned i = 0; i < THREAD_LANES; i++) { /* the parent's lanes: forgotten, not released */
        atomic_store(&self->lanes[i].quick_id, NO_QUICK_ID);
        atomic_store(&self->lanes[i].session_id, 0);
        self->lanes[i].session = NULL;
        self->lanes[i].has_private = self->lanes[i].has_recorder = false;
        row_forget(&self->lanes[i]);
    }
    self->random[0] = self->random[1] = 0; /* or parent and child would make the same ids */
    self->number = (uint32_t)syscall(SYS_gettid);
}
