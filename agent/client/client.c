/* client.c - the calls of taskforge.h that concern a client as a whole. */
#include "agent/client/client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/shm/geometry.h"

#define FLUSH_STEP_NS CLOCK_MILLISECOND

static _Atomic(struct tf_client *) default_client;

/* --- opening --- */

/* The caller's options, with defaults for what an older header did not know. */
static int options_read(const struct tf_options *given, struct tf_options *ret, struct error *error) {
    *ret = (struct tf_options)TF_OPTIONS_INIT;
    if (!given)
        return 0;
    if (given->size != sizeof(*given)) /* when it grows: the sizes of older versions are taken here too */
        return error_set(error, -EINVAL, "options must be begun with TF_OPTIONS_INIT");
    *ret = *given;
    if (ret->min_level < 0 || ret->min_level >= LEVEL_COUNT)
        return error_set(error, -EINVAL, "min_level must be 0 to %d, is %d", LEVEL_COUNT - 1, ret->min_level);
    if (ret->policy != TF_POLICY_DROP && ret->policy != TF_POLICY_WAIT)
        return error_set(error, -EINVAL, "policy must be TF_POLICY_DROP or TF_POLICY_WAIT, is %d", ret->policy);
    return 0;
}

/* Copied here once, so that everything later may borrow. */
static int names_copy(struct tf_client *client, const char *service, const char *module, struct error *error) {
    struct entry specimen = {
        .service = text_of(service),
        .module = text_of(module ? module : "main"),
        .operation = TEXT_LITERAL("-"),
        .message = TEXT_LITERAL("-"),
    };
    int r = entry_validate(&specimen, error);
    if (r < 0)
        return r;
    memcpy(client->service_bytes, specimen.service.data, specimen.service.length);
    client->service = (struct text) { client->service_bytes, specimen.service.length };
    memcpy(client->module_bytes, specimen.module.data, specimen.module.length);
    client->module = (struct text) { client->module_bytes, specimen.module.length };
    return 0;
}

static _Atomic uint64_t client_numbers;

int client_create(const char *runtime_dir, const char *service, const struct tf_options *given, struct tf_client **ret,
                  struct error *error) {
    struct tf_options options;
    int r = options_read(given, &options, error);
    if (r < 0)
        return r;
    struct tf_client *client = calloc(1, sizeof(*client));
    if (!client)
        return error_set(error, -ENOMEM, "no memory for a client");
    if (!runtime_dir)
        runtime_dir = options.runtime_dir;
    client->number = atomic_fetch_add(&client_numbers, 1) + 1;
    client->waits = options.policy == TF_POLICY_WAIT;
    client->wait_ns = options.wait_ns;
    client->own_control = (uint32_t)options.min_level;
    client->head.control = &client->own_control;
    client->site_rate = options.site_rate;
    client->site_burst = options.site_burst;
    client->repeat_ns = options.repeat_ns;
    r = names_copy(client, service, options.module, error);
    if (r == 0 && runtime_dir && strlen(runtime_dir) >= PATHS_MAX)
        r = error_set(error, -ENAMETOOLONG, "runtime_dir must be shorter than %d bytes", PATHS_MAX);
    if (r == 0 && runtime_dir)
        strcpy(client->runtime_dir, runtime_dir);
    else if (r == 0 && paths_runtime_dir(NULL, client->runtime_dir) < 0)
        r = error_set(error, -ENAMETOOLONG, "TASKFORGE_RUNTIME_DIR must be shorter than %d bytes", PATHS_MAX);
    if (r == 0)
        r = registry_add(client);
    if (r < 0) {
        free(client);
        return r;
    }
    if (error)
        *error = client->attach_error;
    *ret = client;
    return 0;
}

/* Where to leave the sentence of a call that is no log call. */
static struct error *thread_error(void) {
    struct thread *thread = thread_get();
    if (!thread)
        return NULL;
    thread->failure = FAILURE_TEXT;
    return &thread->error;
}

int tf_open(const char *service, const struct tf_options *options, tf_client **ret) {
    int r = client_create(NULL, service, options, ret, thread_error());
    return r == -ENAMETOOLONG ? -EINVAL : r;
}

void tf_close(tf_client *client) {
    if (!client)
        return;
    registry_remove(client);
    client_settings_free(client);
    free(client);
}

/* --- the default client --- */

/* One thread's wins when two open it at once. 0, or -EBUSY. */
static int default_publish(struct tf_client *client) {
    struct tf_client *none = NULL;
    registry_lock();
    bool first = atomic_compare_exchange_strong(&default_client, &none, client);
    if (first) {
        client->is_default = true;
        __atomic_store_n(&tf_default_head_.control, client->head.control, __ATOMIC_RELEASE);
    }
    registry_unlock();
    return first ? 0 : -EBUSY;
}

int tf_default_open(const char *service, const struct tf_options *options) {
    if (atomic_load(&default_client))
        return error_set(thread_error(), -EBUSY, "the default client is open already");
    struct tf_client *client;
    int r = tf_open(service, options, &client);
    if (r < 0)
        return r;
    r = default_publish(client);
    if (r < 0) {
        tf_close(client);
        error_set(thread_error(), r, "the default client is open already");
    }
    return r;
}

/* The program's name, made fit to be a service. */
static int default_open_by_name(void) {
    struct entry specimen = { .service = text_of(program_invocation_short_name),
                              .module = TEXT_LITERAL("-"),
                              .operation = TEXT_LITERAL("-"),
                              .message = TEXT_LITERAL("-") };
    bool usable = entry_validate(&specimen, NULL) == 0;
    return tf_default_open(usable ? program_invocation_short_name : "unknown", NULL);
}

tf_client *tf_default(void) {
    struct tf_client *client = atomic_load_explicit(&default_client, memory_order_acquire);
    if (likely(client))
        return client;
    if (thread_busy) /* a signal handler inside another call: nothing may be opened here */
        return NULL;
    int saved_errno = errno; /* a log call may have brought us here */
    default_open_by_name();
    errno = saved_errno;
    return atomic_load(&default_client);
}

struct tf_client *default_client_now(void) {
    return atomic_load_explicit(&default_client, memory_order_acquire);
}

struct tf_client *client_or_default(struct tf_client *client) {
    return client ? client : tf_default();
}

/* --- readiness, flush, losses --- */

int tf_prepare(tf_client *given) {
    struct tf_client *client = client_or_default(given);
    struct call call;
    if (!client || !call_enter(&call))
        return -ENOMEM;
    atomic_store(&client->retry_ns, atomic_load(&client->session_id) ? atomic_load(&client->retry_ns) : 0);
    struct thread_lane *lane = thread_lane_find(&call, client);
    int r = lane && lane->has_private ? 0 : -EAGAIN;
    if (r < 0) {
        registry_lock();
        call.thread->failure = FAILURE_TEXT;
        error_set(call.error, r, "%s",
                  client->attach_error.text[0] ? client->attach_error.text : "no lane of the ring is free");
        registry_unlock();
    }
    call_leave();
    return r;
}

/* The flight recorder has it, which nobody drains. If it was ours before, it was drained then. */
static bool lane_is_recorder(const struct lane_header *header) {
    return atomic_load_explicit(&header->owner, memory_order_relaxed) & LANE_OWNER_RECORDER;
}

/* Wait for one lane's tail. A lane that went back to the pool meanwhile was drained before: its tail is beyond. */
static int lane_flush(const struct lane_header *header, uint64_t head, uint64_t deadline) {
    while (atomic_load_explicit(&header->tail, memory_order_acquire) < head && !lane_is_recorder(header)) {
        if (clock_monotonic_ns() >= deadline)
            return -ETIMEDOUT;
        struct timespec pause = { .tv_nsec = FLUSH_STEP_NS };
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int session_flush(struct session *session, uint64_t deadline) {
    struct ring *ring = &session->attachment->ring;
    for (uint32_t lane = 0; lane < ring->lane_count && lane < RING_LANES_MAX; lane++) {
        uint64_t used = __atomic_load_n(&session->lanes_used[lane / 64], __ATOMIC_RELAXED);
        if (!(used >> (lane % 64) & 1))
            continue;
        struct lane_header *header = ring_lane_header(ring, lane);
        int r = lane_flush(header, atomic_load_explicit(&header->head, memory_order_acquire), deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

int client_flush(struct tf_client *client, uint64_t timeout_ns) {
    uint64_t now = clock_monotonic_ns(), deadline = now + timeout_ns < now ? UINT64_MAX : now + timeout_ns;
    registry_lock();
    struct session *session = session_usable(client);
    if (session)
        session->references++;
    client_carry_losses(client);
    metrics_settle(client);
    registry_unlock();
    if (!session)
        return 0; /* nothing of this client's is in a ring */
    int r = session_flush(session, deadline);
    session_let_go(session);
    return r;
}

int tf_flush(tf_client *given, uint64_t deadline_ns) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    int r = client_flush(client, deadline_ns);
    return r < 0 ? error_set(thread_error(), r, "the collector has not taken everything in time") : 0;
}

int tf_recorder_store(tf_client *given) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    registry_lock();
    struct session *session = session_usable(client);
    if (session) /* sequentially consistent: what was recorded before is there for whoever sees this */
        atomic_fetch_add(&session->claim.slot->recorder_wanted, 1);
    registry_unlock();
    return session ? 0 : error_set(thread_error(), -EAGAIN, "no ring to write to");
}

int tf_losses(tf_client *given, struct tf_loss_counts *ret, size_t size) {
    struct tf_client *client = client_or_default(given);
    if (!client)
        return -ENOMEM;
    if (size != sizeof(*ret))
        return error_set(thread_error(), -EINVAL, "size must be sizeof(struct tf_loss_counts)");
    struct tf_loss_counts losses = { .total = 0 };
    uint64_t *const by_reason[LOSS_REASON_COUNT] = {
        [LOSS_LANE_FULL] = losses.lane_full, [LOSS_LANES_BUSY] = losses.lanes_busy, [LOSS_NO_RING] = losses.no_ring,
        [LOSS_QUOTA] = losses.quota,         [LOSS_RATE] = losses.rate_limited,     [LOSS_REPEAT] = losses.repeated,
        [LOSS_SAMPLED] = losses.sampled,
    };
    for (unsigned reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (unsigned level = 0; by_reason[reason] && level < LEVEL_COUNT; level++)
            losses.total += by_reason[reason][level] = atomic_load(&client->lost[reason][level]);
    *ret = losses;
    return 0;
}

/* --- what went wrong; context; levels --- */

static const char *const no_room_texts[LOSS_REASON_COUNT] = {
    [LOSS_LANE_FULL] = "no room: the thread's lane is full for level %s (is a collector running?)",
    [LOSS_LANES_BUSY] = "no room: no lane was free for an entry of level %s",
    [LOSS_NO_RING] = "no ring to write an entry of level %s to",
    [LOSS_INPUT] = "an input let go of an entry of level %s",
    [LOSS_QUOTA] = "no room: this process has its share of the shared lanes, an entry of level %s found none",
    [LOSS_RATE] = "an entry of level %s was held back by a rate limit",
    [LOSS_REPEAT] = "an entry of level %s was left out as a repeat",
    [LOSS_SAMPLED] = "an entry of level %s was left out by sampling",
};

const char *tf_last_error(void) {
    struct thread *thread = thread_self;
    if (!thread)
        return thread_get() ? "" : "no memory for this thread";
    if (thread->failure == FAILURE_NO_ROOM) {
        thread->failure = FAILURE_TEXT;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        error_set(&thread->error, 0, no_room_texts[thread->reason], level_name(thread->level));
#pragma GCC diagnostic pop
    }
    return thread->error.text;
}

const char *tf_level_name(int level) {
    return level >= 0 && level < LEVEL_COUNT ? level_name((enum level)level) : NULL;
}

int tf_level_parse(const char *name, int *ret) {
    enum level level;
    int r = level_parse(text_of(name), &level);
    if (r < 0)
        return error_set(thread_error(), -EINVAL, "\"%.50s\" is no level (trace debug info warn error critical)",
                         name ? name : "");
    *ret = (int)level;
    return 0;
}
