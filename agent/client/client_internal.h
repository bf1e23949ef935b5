/* client_internal.h - what the rooms of the client library share: who holds what, and what outlives what.
 *
 *   client ──> session ──> attachment ──> ring file, mapped once for each process and runtime directory
 *                 ^
 *   thread ──> lane (one for each client the thread writes with, a few at a time)
 *
 *   attachment  lives as long as a session uses it
 *   session     a slot claimed for a client. Held by the client (until it attaches anew or is closed) and by each
 *               thread's lane in it. Its number is never used again in this process, so a lane, a call site or a
 *               cache entry that carries the number cannot be taken for another's.
 *   thread      memory of one thread, unmapped when it exits
 *
 * One lock, registry_lock, guards all of these structures. The log path takes it only when a thread has no lane in the
 * client's present session, or a call site no number there.
 *
 * Two pointers are read without lock by any thread: client->head.control and client->ledger. They point into the mapping,
 * so a mapping that was left for a new one is not unmapped but replaced by zero pages that cost no memory (entombed):
 * a late reader finds level 0 and no control bits.
 */
#ifndef TASKFORGE_AGENT_CLIENT_CLIENT_INTERNAL_H
#define TASKFORGE_AGENT_CLIENT_CLIENT_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/client/taskforge.h"
#include "agent/client/ticks.h"
#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/paths.h"
#include "common/model/entry.h"
#include "common/model/record.h"
#include "common/model/redact.h"
#include "common/shm/ring.h"

enum {
    THREAD_LANES = 8,             /* sessions a thread can write to at a time; the oldest gives way */
    FORMAT_SIZE = 128 * 1024,     /* a message formatted here may be so long before its middle is cut */
    NESTED_MESSAGE_SIZE = 2304,   /* 16 string arguments of 128 bytes, with their lengths */
    NESTED_PACKED_SIZE = 512,     /* metadata, and error details, in a nested call */
    NESTED_STRING_MAX = 128,      /* bytes kept of a string argument in a nested call */
    HELLO_SIZE_MAX = 512,         /* an encoded PROCESS_HELLO */
    RECORD_OTHER_SIZE_MAX = 9216, /* an encoded record that is neither entry nor span */
    SITE_FORMATTED_HERE = 0xffff, /* in a site's cache: no number, the library formats */
    SITE_NUMBER_BITS = 16,        /* of a site's cache entry; the rest is the session */
    SITE_COMPLEX = 18,            /* in a site's types: whether it takes precisions or stars (not the quick way) */
    RETRY_MS = 1000,              /* between two attempts to attach */
    RETRY_STALE_MS = 10,          /* the same when the ring was retired: a new one comes at once */
    STATISTICS_COUNT = 12,        /* gauges of tf_queue_stats, tf_worker_stats and tf_job_stats */
    ROW_OTHERS_MAX = 63,          /* lanes of a row, beside the one that is written to */
};
#define ROW_RETRY_NS (100 * CLOCK_MILLISECOND) /* after a further lane was refused */
#define ROW_IDLE_NS (10 * CLOCK_SECOND)        /* without a turn: one lane is enough */

struct attachment {
    struct attachment *next;
    struct ring ring;
    unsigned references; /* sessions */
    bool stale;          /* retired, set aside, or its descriptor was closed: nobody new joins */
    bool fresh;          /* its settings were read just now */
    bool lingers;        /* not to be unmapped: a session in it was left while the client goes on */
    char runtime_dir[PATHS_MAX];
};

/* What a session has written into one overflow lane and the collector has not read yet: at most the bytes of two windows, each with the
 * position where it ends. Touched only by who holds that lane. */
struct overflow_share {
    uint64_t older, older_end;
    uint64_t newer, newer_end;
};

struct session {
    struct session *next;
    struct tf_client *client;
    struct attachment *attachment;
    struct slot_claim claim;
    uint64_t id;
    unsigned references;
    _Atomic bool touched;                     /* something was written that only the slot explains */
    struct record_process_hello hello;        /* for overflow lanes; service borrows the client's */
    uint32_t hello_size;                      /* encoded */
    uint32_t site_count;                      /* numbers given so far */
    uint64_t site_hashes[SLOT_SITES_MAX];     /* of level, module, operation and format; number - 1 is the index */
    uint64_t lanes_used[RING_LANES_MAX / 64]; /* a bit for each lane written to: what a flush waits for */
    struct overflow_share overflow[RING_OVERFLOW_MAX];
    uint16_t *metric_places; /* by a metric's index, 0: none; NULL while no metric was placed (metrics.h) */
    bool metrics_refused;    /* there are no pages for the first metric */
};

/* What the configuration wants of the library: read from the settings file, never changed, freed with the client (a thread may still
 * read one that was replaced). */
struct client_settings {
    struct client_settings *older;
    uint64_t sequence;
    uint64_t recorder_keep_ns;
    uint32_t recorder_levels;
    uint32_t sampling[LEVEL_COUNT];
    double shares[LEVEL_COUNT]; /* the same as people write it; 0: all are kept, or none */
    struct redaction redaction;
    char redact_keys[SETTINGS_REDACT_KEYS_MAX][SETTINGS_REDACT_KEY_SIZE];
};

struct metric_memo;     /* metric_memo.h */
struct metric_heat;     /* metric_promote.h */
struct metric_promoted; /* metric_promote.h */

struct pending_loss {
    _Atomic uint64_t count, first_ns, last_ns;
};

struct tf_client {
    struct tf_head_ head;          /* first: tf_wants reads it */
    _Atomic uint64_t session_id;   /* 0: none; set last when a session opens */
    _Atomic uint32_t seen_control; /* the control word but the level, as it was when `settings` were read */
    _Atomic uint32_t special;      /* a bit for each level whose entries are limited, sampled or recorded: gate.h */
    _Atomic(const struct client_settings *) settings; /* NULL: the defaults */
    uint32_t own_control;                             /* what head.control points to while there is no slot */
    _Atomic(struct loss_ledger *) ledger; /* the slot's, the ring's anonymous one while there is no slot, or NULL */
    _Atomic uint64_t retry_ns;            /* monotonic: no attempt to attach before */
    _Atomic int refusal;                  /* why there is no session: what ring_attach or ring_slot_claim said */
    _Atomic uint64_t lost[LOSS_REASON_COUNT][LEVEL_COUNT];
    struct pending_loss pending[LOSS_REASON_COUNT][LEVEL_COUNT]; /* not yet in any ledger */
    _Atomic bool any_pending;
    /* never changed after tf_open */
    uint64_t number; /* no other client of this process had or will have it */
    bool waits;
    uint32_t site_rate, site_burst;
    uint64_t repeat_ns;
    bool shares_lanes; /* for a program that writes a few records and ends: overflow lanes only */
    bool takes_rows;   /* for one that brings in what others have written: each thread takes as many lanes as it fills */
    uint64_t wait_ns;
    struct text service, module;
    char service_bytes[ENTRY_NAME_BYTES + 1];
    char module_bytes[ENTRY_NAME_BYTES + 1];
    char runtime_dir[PATHS_MAX];
    /* under registry_lock */
    struct tf_client *next;
    struct session *session;
    bool is_default;                 /* tf_default_head_ follows head */
    struct attachment *waiting_room; /* attached without a slot: keeps the anonymous ledger mapped */
    struct error attach_error;
    uint8_t left_ring_id[16]; /* of the session left last: when it goes on in the same ring, a flush still waits for */
    uint64_t left_lanes[RING_LANES_MAX / 64]; /* what was written then */
    struct tf_metric *metrics, *last_metric;  /* the handles, as they were registered (metrics.h) */
    uint32_t metric_count, promoted_count;    /* of all of them those by name */
    _Atomic(struct metric_promoted *) promoted; /* where those are found; NULL: none yet. Written under the lock */
    _Atomic(struct tf_metric *) statistics[STATISTICS_COUNT]; /* of tf_queue_stats and so on, once they are used */
};

/* Further private lanes of a thread (row.c), of a client that takes rows; what is written the quick way does not turn to them. */
struct row_lane {
    struct lane_writer writer;
    uint32_t lane;
};
struct lane_row {
    uint64_t newest_ns;   /* no record was given a later time */
    uint64_t turned_ns;   /* real: when the lane changed last */
    uint64_t retry_ns;    /* monotonic: no further lane is asked for before */
    uint32_t most;        /* of others: half of the ring's private lanes are for somebody else */
    uint32_t count, next; /* of others; the one that was left first */
    struct row_lane others[ROW_OTHERS_MAX];
};

struct thread_lane {
    _Atomic uint64_t session_id; /* 0: empty. Set last, cleared first: a signal handler on this thread may look */
    _Atomic uint64_t quick_id;   /* the same where it has a private lane, else a number that no session has */
    struct session *session;
    bool has_private;
    uint32_t lane;
    uint64_t retry_ns; /* real; without a private lane: when to ask for one again */
    struct lane_writer writer;
    struct lane_row *row; /* NULL: one lane is all */
    bool has_recorder;
    uint32_t recorder_lane;
    uint64_t recorder_retry_ns;
    struct lane_writer recorder;
};

/* Room to put an entry's variable parts together. */
struct scratch {
    struct record_entry *record;
    char *message, *metadata, *error_details;
    size_t message_size, packed_size; /* a message's room is two packed values' at least */
    size_t string_max;                /* of a captured argument */
};

enum failure { FAILURE_TEXT, FAILURE_NO_ROOM };

enum { CONTEXT_TEXT = 0x80 }; /* in a thread's context.has */

struct thread {
    struct thread *next, *previous;
    struct thread_lane *hot; /* the lane used last */
    struct thread_lane lanes[THREAD_LANES];
    unsigned next_victim;
    struct ticks ticks;
    struct tf_context context;         /* CONTEXT_TEXT in `has`: the two texts hold what ids of bytes cannot */
    struct text trace_text, span_text; /* borrow context_bytes; empty: none */
    char context_bytes[2][ENTRY_TRACE_BYTES];
    uint64_t random[2];         /* of span ids and sampling; seeded at the first use */
    uint32_t number;            /* gettid */
    uint32_t span_hint;         /* where this thread's open span stood last */
    struct record_entry record; /* of the macros: what they never set stays zero, which saves clearing it each time */
    struct metric_memo *memos;  /* MEMO_COUNT, behind this struct */
    struct metric_heat *heats;  /* METRIC_HEATS, behind those */
    enum failure failure;
    enum loss_reason reason; /* FAILURE_NO_ROOM: why */
    enum level level;        /* FAILURE_NO_ROOM: of what */
    struct error error;
    char message[FORMAT_SIZE];
    char metadata[ENTRY_METADATA_BYTES];
    char error_details[ENTRY_ERROR_BYTES];
};

/* One call of the library that uses the thread's memory. */
struct call {
    struct thread *thread; /* NULL: no memory, or nested and none yet */
    bool nested;           /* in a signal handler in the middle of another call: no lock is waited for */
    struct scratch scratch;
    struct error *error; /* where refusals are said; NULL when nested */
};

/* --- session.c: attachments, sessions, call sites, fork --- */

/* The lock, which also marks this thread as busy: a signal handler that comes in between logs as a nested call. */
void registry_lock(void);
void registry_unlock(void);
bool registry_try_lock(void);

/* Put a client on the list and try to open its session; take it off, with all that threads hold of it. */
int registry_add(struct tf_client *client);
void registry_remove(struct tf_client *client);

/* Under the lock: the client's session, opened anew where it has none or was told to attach anew; NULL when that cannot be
 * (or was tried a moment ago). */
struct session *session_usable(struct tf_client *client);
void session_unref(struct session *session); /* under the lock */

/* The client's present session with a reference, or NULL; nested calls only try the lock. Give back with session_let_go. */
struct session *session_hold(const struct call *call, struct tf_client *client);
void session_let_go(struct session *session);

/* The site's number in the session, or 0 when the library must format; -EINVAL when module or operation are no valid ones
 * (the sentence in call->error). */
int session_site(struct call *call, struct session *session, struct tf_site_ *site, int level);

void session_mark_lane(struct session *session, uint32_t lane); /* lanes_used; any thread */

/* Under the lock: the sessions there are, one after the other; NULL: the first, and at the end. */
struct session *session_next(const struct session *session);

/* --- thread.c: threads and their lanes --- */

/* The lane of this thread in the client's present session, attaching and claiming as needed; NULL when there is no session
 * (then try again later), or the call is nested and has none. Never waits when nested. */
struct thread_lane *thread_lane_find(struct call *call, struct tf_client *client);

/* Claim the recorder lane of a lane that this thread found, where there is none and it is time to ask for one. */
bool thread_recorder_claim(struct thread_lane *lane);

/* The same for an update of a metric, which needs the session but no private lane, so that none is claimed for it. */
struct thread_lane *thread_session_find(struct call *call, struct tf_client *client);

/* Whether the level is wanted. Where there is no session yet (after fork, say) only attaching tells which threshold holds. */
static inline bool call_wants(struct call *call, struct tf_client *client, int level) {
    if (unlikely(atomic_load_explicit(&client->session_id, memory_order_relaxed) == 0))
        thread_lane_find(call, client);
    return tf_wants(client, level);
}

/* This thread's memory, made when it has none; NULL: no memory. */
struct thread *thread_get(void);

/* Under the lock: each thread gives its recorder lane back with its next call. */
void threads_shed_recorders(struct tf_client *client);

/* Under the lock: every thread lets go of its lane in this client's sessions. */
void threads_forget_client(struct tf_client *client);
/* In the child, under the lock: the other threads are gone, this one has no lanes. */
void threads_after_fork(void);

extern _Thread_local struct thread *thread_self __attribute__((tls_model("initial-exec")));
extern _Thread_local volatile int thread_busy __attribute__((tls_model("initial-exec")));

static inline void call_leave(void) {
    atomic_signal_fence(memory_order_seq_cst);
    thread_busy = 0;
}

/* Remember that the sentence in call->error holds; gives the error for the caller of the library. */
static inline int call_refuse(struct call *call, int r) {
    if (call->thread && !call->nested)
        call->thread->failure = FAILURE_TEXT;
    return r == -E2BIG ? -EINVAL : r;
}

/* Begin a call: true, and the thread's own memory is ours until call_leave. False: nested in a signal handler, or no memory: the caller
 * gives call->scratch small memory of its own and does not leave. */
static inline bool call_enter(struct call *call) {
    call->nested = thread_busy != 0;
    call->thread = thread_self;
    call->error = NULL;
    if (unlikely(call->nested))
        return false;
    thread_busy = 1;
    atomic_signal_fence(memory_order_seq_cst);
    if (unlikely(!call->thread)) {
        call->thread = thread_get();
        if (!call->thread) {
            call_leave();
            call->nested = true;
            return false;
        }
    }
    struct thread *thread = call->thread;
    call->error = &thread->error;
    call->scratch.record = &thread->record;
    call->scratch.message = thread->message;
    call->scratch.metadata = thread->metadata;
    call->scratch.error_details = thread->error_details;
    call->scratch.message_size = FORMAT_SIZE;
    call->scratch.packed_size = ENTRY_METADATA_BYTES;
    call->scratch.string_max = SIZE_MAX;
    return true;
}

/* Small memory on the stack, for a call in the middle of another. */
struct nested_memory {
    struct record_entry record;
    char message[NESTED_MESSAGE_SIZE], metadata[NESTED_PACKED_SIZE], error_details[NESTED_PACKED_SIZE];
};

static inline void call_use(struct call *call, struct nested_memory *memory) {
    memset(&memory->record, 0, sizeof(memory->record));
    call->scratch = (struct scratch) { .record = &memory->record,
                                       .message = memory->message,
                                       .metadata = memory->metadata,
                                       .error_details = memory->error_details,
                                       .message_size = NESTED_MESSAGE_SIZE,
                                       .packed_size = NESTED_PACKED_SIZE,
                                       .string_max = NESTED_STRING_MAX };
}

/* The time of a call that found that lane (NULL: none). */
static inline uint64_t call_time(const struct call *call, const struct thread_lane *lane) {
    if (unlikely(!lane || call->nested || !call->thread))
        return clock_real_ns();
    uint64_t time_ns = ticks_now(&call->thread->ticks);
    return likely(time_ns != 0) ? time_ns
                                : ticks_renew(&call->thread->ticks, &lane->session->attachment->ring.header->tick_rate);
}

/* The control word but its level: what has to be as it was seen for the quick way. */
static inline uint32_t control_rest(uint32_t control) {
    return control & ~(uint32_t)SLOT_CONTROL_LEVEL_MASK;
}

/* --- settings.c --- */

/* Under the lock: the settings as the control word says they are, or (a session begins) as they stand in the file. */
void client_settings_take(struct tf_client *client, bool anew);

/* Read the settings anew where the control word says so. Not when nested. */
void client_settings_follow(struct tf_client *client);
static inline void client_settings_look(struct tf_client *client) {
    uint32_t control = __atomic_load_n(client->head.control, __ATOMIC_RELAXED);
    if (unlikely(control_rest(control) != atomic_load_explicit(&client->seen_control, memory_order_relaxed)))
        client_settings_follow(client);
}
void client_settings_free(struct tf_client *client);

/* --- context.c --- */

/* The ids that an entry of this thread carries (context NULL: the current ones), into record->entry: borrowed from thread or
 * context; as bytes (raw_trace, raw_span) or as text. thread NULL: none, or context's. */
void context_apply(const struct thread *thread, const struct tf_context *context, struct record_entry *record);
bool context_is_sound(const struct tf_context *context);
#define CONTEXT_UNSOUND "the context makes no sense: was it begun with zeros?"

/* The next number of the thread's generator (xoroshiro128+; Blackman and Vigna); never fails. */
uint64_t thread_random(struct thread *thread);

/* --- gate.c: what is written of what is wanted --- */

enum gate { GATE_WRITE, GATE_RECORD /* into the flight recorder's lane */, GATE_HOLD /* not at all; counted */ };

/* Judge a valid entry. site NULL: it comes from no statement. */
enum gate gate_judge(struct call *call, struct tf_client *client, struct tf_site_ *site,
                     const struct record_entry *record, uint64_t now_ns);

/* How many entries of a statement its limits have held back since one was written: taken, and given back when that found no room. */
uint64_t gate_take_held(struct tf_site_ *site);
void gate_give_held(struct tf_site_ *site, uint64_t count);

/* Add to the metadata of an entry without error details what was left out beside it: `suppressed`, how many the statement's limits held back, and
 * `sample_share`, the share that is kept of its level, so that counts can be scaled. */
void gate_tell(const struct call *call, const struct tf_client *client, enum level level, uint64_t held,
               struct text *metadata);

/* --- format.c --- */

/* The message in the scratch memory, cut in the middle where it is too long. */
struct text format_here(const struct scratch *scratch, const char *format, va_list *arguments);

/* --- put.c: records into lanes, and losses --- */

/* A record to be written: an entry, or any other kind. */
struct put {
    const struct record_entry *entry;
    const struct record *other; /* when entry is NULL */
    enum level level;
    uint64_t time_ns;
    bool recorder;           /* into the thread's recorder lane; without one it goes nowhere, which is no loss */
    enum loss_reason reason; /* why there was no room, when there was none */
};

/* Write once: 0, -EAGAIN and put->reason, -E2BIG. lane is what thread_lane_find said. */
int put_once(struct call *call, struct tf_client *client, struct thread_lane *lane, struct put *put);

/* The same, waiting and counting as the client's policy says. Remembers the failure for tf_last_error. */
int put_by_policy(struct call *call, struct tf_client *client, struct put *put);

/* --- row.c: more private lanes than one --- */

int row_begin(struct thread_lane *lane);   /* -ENOMEM: without a row, then */
void row_end(struct thread_lane *lane);    /* under the lock: give its lanes back */
void row_forget(struct thread_lane *lane); /* after fork: they are the parent's */

/* The thread's lane has no room for this: go on in another one, at a time that put is given. False: no lane that is read to its end. */
bool row_turn(struct thread_lane *lane, struct put *put);
static inline void row_note(struct lane_row *row, uint64_t time_ns) {
    if (row && time_ns > row->newest_ns)
        row->newest_ns = time_ns;
}
void row_ease(struct thread_lane *lane); /* give back what has not been needed for a while */

/* One more try after a put that found no room? Sleeps a little, then true; false: the policy or the time says no.
 * *step_ns and *deadline_ns begin at 0. */
bool put_may_wait(const struct call *call, const struct tf_client *client, enum loss_reason reason, uint64_t *step_ns,
                  uint64_t *deadline_ns);

/* Count and remember a lost record; returns -EAGAIN. */
int put_lose(struct call *call, struct tf_client *client, const struct put *put);

/* Count losses, wherever there is a ledger. Wait-free, any context. */
void client_count_loss(struct tf_client *client, enum loss_reason reason, enum level level, uint64_t count);
/* Move what no ledger knows yet into the one there is now. */
void client_carry_losses(struct tf_client *client);

/* --- metrics.c: what sessions owe to metrics by handle; all under the lock --- */

void metrics_enter_session(struct tf_client *client); /* before the client's new session is published */
void metrics_leave_session(struct tf_client *client); /* gauges: their value is kept for the next */
void metrics_end_session(
    struct session *session);                  /* nobody updates it any more: its counts are kept for tf_metric_get */
void metrics_settle(struct tf_client *client); /* move what is pending, where there is a session */
bool metrics_are_pending(const struct tf_client *client);
void metrics_after_fork(struct tf_client *client); /* in the child: all handles begin at zero */
void metrics_finish(struct tf_client *client);     /* free them */

/* --- compose.c: from the caller's struct tf_entry to a valid record --- */

/* Build and validate; *ret borrows from entry, client, thread and call->scratch. -EINVAL with the sentence. */
int entry_compose(struct call *call, struct tf_client *client, const struct tf_entry *entry, uint64_t now_ns,
                  struct record_entry *ret);

/* log.c: an entry whatever it has; what tf_entry_write does where it cannot go the quick way. */
int entry_write_ordinarily(struct tf_client *given, const struct tf_entry *entry);

/* Typed fields alone, as metadata. The second never fails: what breaks a rule is left out, with a mark. */
int compose_fields(struct call *call, const struct tf_client *client, const struct tf_field *fields, size_t count,
                   struct text *ret);
void compose_event_fields(struct call *call, const struct tf_client *client, const struct tf_field *fields,
                          size_t count, struct text *ret);

/* --- client.c --- */

struct tf_client *default_client_now(void); /* NULL: not open yet */

struct tf_client *client_or_default(struct tf_client *client); /* NULL gives the default; NULL: no memory */
int client_create(const char *runtime_dir, const char *service, const struct tf_options *options,
                  struct tf_client **ret, struct error *error);

/* Wait until the tails of all lanes used have passed what stands in them now. 0 or -ETIMEDOUT. */
int client_flush(struct tf_client *client, uint64_t timeout_ns);

#endif
