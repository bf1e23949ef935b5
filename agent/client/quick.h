/* quick.h - what the quick ways of the calls share (site_call.c, entry_call.c): straight into the thread's lane, where nothing is out
 * of the ordinary. Inline, since a call of a function more is felt. */
#ifndef TASKFORGE_AGENT_CLIENT_QUICK_H
#define TASKFORGE_AGENT_CLIENT_QUICK_H

#include "agent/client/client_internal.h"

enum { QUICK_MOST = 2048 }; /* bytes of a record of the quick way */

static inline void put_word(char *at, uint64_t word) {
    memcpy(at, &word, sizeof(word));
}

/* The first word of a record's header; position and time are the other two. */
static inline uint64_t header_word(uint32_t size, enum record_kind kind, int level) {
    return size | (uint64_t)kind << 32 | (uint64_t)(uint8_t)level << 48 | (uint64_t)RECORD_VERSION << 56;
}
static_assert(offsetof(struct record_header, kind) == 4 && offsetof(struct record_header, level) == 6 &&
                  offsetof(struct record_header, version) == 7 && offsetof(struct record_header, position) == 8 &&
                  offsetof(struct record_header, time_ns) == 16,
              "the header as it is drawn");

/* The thread's own lane where nothing is out of the ordinary, else NULL. */
static inline struct thread_lane *quick_lane_of(const struct thread *thread, const struct tf_client *client) {
    struct thread_lane *lane = thread->hot;
    uint32_t control = __atomic_load_n(client->head.control, __ATOMIC_RELAXED);
    return likely(lane != NULL) &&
                   likely(atomic_load_explicit(&lane->quick_id, memory_order_relaxed) ==
                          atomic_load_explicit(&client->session_id, memory_order_relaxed)) &&
                   likely(control_rest(control) == atomic_load_explicit(&client->seen_control, memory_order_relaxed))
               ? lane
               : NULL;
}

/* The same for an entry of this level, which nothing limits, samples or records. */
static inline struct thread_lane *quick_lane(const struct thread *thread, const struct tf_client *client, int level) {
    return likely(!(atomic_load_explicit(&client->special, memory_order_relaxed) >> level & 1))
               ? quick_lane_of(thread, client)
               : NULL;
}

/* The client and the thread of a call that may go the quick way, marked as busy; else false. */
static inline __attribute__((always_inline)) bool
quick_enter(struct tf_client *given, int level, struct tf_client **ret_client, struct thread **ret_thread) {
    *ret_client = given ? given : default_client_now();
    *ret_thread = thread_self;
    if (unlikely(!*ret_client) || unlikely(!*ret_thread) || unlikely(thread_busy) ||
        unlikely((unsigned)level >= LEVEL_COUNT))
        return false;
    thread_busy = 1;
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

/* A record that found no room, counted with as little ado as it takes. 1: not this way. */
int quick_lose(struct thread *thread, struct tf_client *client, int level);

#endif
