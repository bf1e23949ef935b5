/* session.c - see client_internal.h: attachments, sessions, call sites, and what fork(2) does to them. */
#include "agent/client/client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/model/template.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_handlers_once = PTHREAD_ONCE_INIT;
static int fork_handlers_result;

/* under the lock */
static struct attachment *attachments;
static struct session *sessions;
static struct tf_client *clients;
static uint64_t last_session_id;

/* What the default client's control points to before it is open. Without a slot every level from the client's own on is wanted (and
 * then counted as lost). */
static const uint32_t no_control = 0;

struct tf_head_ tf_default_head_ = { .control = &no_control };

void registry_lock(void) {
    thread_busy++;
    atomic_signal_fence(memory_order_seq_cst);
    check(pthread_mutex_lock(&lock) == 0);
}

bool registry_try_lock(void) {
    thread_busy++;
    atomic_signal_fence(memory_order_seq_cst);
    if (pthread_mutex_trylock(&lock) == 0)
        return true;
    thread_busy--;
    return false;
}

void registry_unlock(void) {
    check(pthread_mutex_unlock(&lock) == 0);
    atomic_signal_fence(memory_order_seq_cst);
    thread_busy--;
}

/* --- attachments --- */

/* Give the ring's memory back but keep its addresses: a thread that read a pointer into it a moment ago finds zeros. */
static void attachment_entomb(struct attachment *attachment) {
    struct map *map = &attachment->ring.map;
    if (mmap(map->base, map->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
        return;                   /* it stays mapped: costs memory, harms nothing */
    if (map_owns_descriptor(map)) /* not so when the application closed it: the number may be its own now */
        close(map->fd);
}

/* Another attachment (by another spelling of the folder's name) may hold the same file: its record locks went with our
 * descriptor. */
static void sessions_relock(uint64_t device, uint64_t inode) {
    for (struct session *session = sessions; session; session = session->next) {
        const struct map *map = &session->attachment->ring.map;
        if (map->device == device && map->inode == inode)
            ring_slot_relock(&session->attachment->ring, &session->claim);
    }
}

static void attachment_unref(struct attachment *attachment) {
    check(attachment->references > 0);
    if (--attachment->references > 0)
        return;
    struct attachment **at = &attachments;
    while (*at != attachment)
        at = &(*at)->next;
    *at = attachment->next;
    uint64_t device = attachment->ring.map.device, inode = attachment->ring.map.inode;
    if (attachment->stale || attachment->lingers)
        attachment_entomb(attachment);
    else
        ring_finish(&attachment->ring);
    free(attachment);
    sessions_relock(device, inode);
}

static bool attachment_is_retired(const struct attachment *attachment) {
    return atomic_load_explicit(&attachment->ring.header->attach, memory_order_relaxed) & 1;
}

static int attachment_create(const char *runtime_dir, struct attachment **ret, struct error *error) {
    struct attachment *attachment = calloc(1, sizeof(*attachment));
    if (!attachment)
        return error_set(error, -ENOMEM, "no memory to attach to the ring");
    int r = ring_attach(runtime_dir, 0, &attachment->ring, error);
    if (r < 0) {
        free(attachment);
        return r;
    }
    ticks_attach(&attachment->ring.header->tick_rate);
    strcpy(attachment->runtime_dir, runtime_dir);
    attachment->next = attachments;
    attachments = attachment;
    *ret = attachment;
    return 0;
}

/* The process's attachment for that folder, with a reference more. */
static int attachment_get(const char *runtime_dir, struct attachment **ret, struct error *error) {
    struct attachment *attachment = attachments;
    for (; attachment; attachment = attachment->next) {
        if (attachment->stale || strcmp(attachment->runtime_dir, runtime_dir) != 0)
            continue;
        if (!attachment_is_retired(attachment))
            break;
        attachment->stale = true;
    }
    if (!attachment) {
        int r = attachment_create(runtime_dir, &attachment, error);
        if (r < 0)
            return r;
    }
    attachment->references++;
    *ret = attachment;
    return 0;
}

/* --- sessions --- */

static bool ledger_is_empty(const struct loss_ledger *ledger) {
    for (unsigned reason = 0; reason < LOSS_REASON_COUNT; reason++)
        for (unsigned level = 0; level < LEVEL_COUNT; level++)
            if (atomic_load_explicit(&ledger->cells[reason][level].count, memory_order_relaxed) != 0)
                return false;
    return true;
}

static void session_free(struct session *session) {
    struct session **at = &sessions;
    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    attachment_unref(session->attachment);
    free(session->metric_places);
    free(session);
}

void session_unref(struct session *session) {
    check(session->references > 0);
    if (--session->references > 0)
        return;
    metrics_end_session(session);
    bool untouched = !atomic_load(&session->touched) && ledger_is_empty(&session->claim.slot->ledger);
    ring_slot_release(&session->attachment->ring, &session->claim, untouched);
    session_free(session);
}

struct session *session_next(const struct session *session) {
    return session ? session->next : sessions;
}

void session_mark_lane(struct session *session, uint32_t lane) {
    if (lane < RING_LANES_MAX)
        __atomic_fetch_or(&session->lanes_used[lane / 64], UINT64_C(1) << (lane % 64), __ATOMIC_RELAXED);
}

static void client_publish_control(struct tf_client *client, const uint32_t *control) {
    __atomic_store_n(&client->head.control, control, __ATOMIC_RELEASE);
    if (client->is_default)
        __atomic_store_n(&tf_default_head_.control, control, __ATOMIC_RELEASE);
}

static void client_leave_waiting_room(struct tf_client *client) {
    if (client->waiting_room)
        attachment_unref(client->waiting_room);
    client->waiting_room = NULL;
}

/* No slot is free: losses go into the ring's anonymous ledger meanwhile. Takes the reference over. */
static void client_enter_waiting_room(struct tf_client *client, struct attachment *attachment) {
    client_leave_waiting_room(client);
    client->waiting_room = attachment;
    atomic_store(&client->ledger, ring_anonymous_ledger(&attachment->ring));
    client_carry_losses(client);
}

static int session_create(struct tf_client *client, struct attachment *attachment, struct slot_claim claim,
                          struct session **ret) {
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->client = client;
    session->attachment = attachment;
    session->claim = claim;
    session->id = ++last_session_id;
    session->references = 1;
    session->hello = (struct record_process_hello) { .service = client->service,
                                                     .pid = (uint32_t)getpid(),
                                                     .start_time = claim.slot->start_time };
    memcpy(session->hello.producer_id, claim.slot->producer_id, sizeof(session->hello.producer_id));
    char room[HELLO_SIZE_MAX];
    struct record hello = { .kind = RECORD_PROCESS_HELLO, .process_hello = session->hello };
    int size = record_encode(&hello, room, sizeof(room));
    check(size > 0);
    session->hello_size = (uint32_t)size;
    if (memcmp(client->left_ring_id, attachment->ring.ring_id, sizeof(client->left_ring_id)) == 0)
        memcpy(session->lanes_used, client->left_lanes, sizeof(session->lanes_used));
    session->next = sessions;
    sessions = session;
    *ret = session;
    return 0;
}

/* Claim a slot in the folder's ring: 0 and the session; -ESTALE: the ring was retired meanwhile, there may be another. */
static int session_claim(struct tf_client *client, struct session **ret) {
    struct attachment *attachment;
    int r = attachment_get(client->runtime_dir, &attachment, &client->attach_error);
    if (r < 0)
        return r;
    struct slot_claim claim;
    r = ring_slot_claim(&attachment->ring, client->service, (uint8_t)client->own_control, &claim);
    if (r == 0) {
        r = session_create(client, attachment, claim, ret);
        if (r < 0)
            ring_slot_release(&attachment->ring, &claim, true);
    }
    if (r == 0)
        return 0;
    error_set(&client->attach_error, r, "%s: no place in the ring: %s", client->runtime_dir,
              r == -EAGAIN ? "too many processes write to it" : strerror(-r));
    if (r == -ESTALE || r == -EBADF) {
        attachment->stale = true;
        attachment_unref(attachment);
    } else {
        client_enter_waiting_room(client, attachment);
    }
    return r;
}

static void session_open(struct tf_client *client) {
    client->attach_error.text[0] = '\0';
    struct session *session = NULL;
    int r = session_claim(client, &session);
    if (r == -ESTALE || r == -EBADF)
        r = session_claim(client, &session);
    atomic_store(&client->refusal, r);
    if (r < 0) {
        uint64_t pause = (r == -ESTALE ? RETRY_STALE_MS : RETRY_MS) * CLOCK_MILLISECOND;
        atomic_store(&client->retry_ns, clock_monotonic_ns() + pause);
        return;
    }
    client->attach_error.text[0] = '\0';
    client->session = session;
    metrics_enter_session(client);
    client_publish_control(client, (const uint32_t *)&session->claim.slot->control);
    client_settings_take(client); /* before anything is written: what is to be redacted, for one */
    atomic_store(&client->ledger, &session->claim.slot->ledger);
    atomic_store_explicit(&client->session_id, session->id, memory_order_release);
    client_leave_waiting_room(client);
    client_carry_losses(client);
}

/* The client has no session from here on; lanes that threads hold in it are let go as each comes by. */
static void session_leave(struct tf_client *client) {
    struct session *session = client->session;
    atomic_store(&client->session_id, 0);
    client_publish_control(client, &client->own_control);
    atomic_store(&client->ledger, NULL);
    if (session)
        metrics_leave_session(client);
    client->session = NULL;
    if (!session)
        return;
    memcpy(client->left_ring_id, session->attachment->ring.ring_id, sizeof(client->left_ring_id));
    memcpy(client->left_lanes, session->lanes_used, sizeof(client->left_lanes));
    session_unref(session);
}

struct session *session_usable(struct tf_client *client) {
    struct session *session = client->session;
    if (session) {
        uint32_t control = atomic_load_explicit(&session->claim.slot->control, memory_order_relaxed);
        int r = ring_slot_relock(&session->attachment->ring, &session->claim);
        if (!(control & SLOT_CONTROL_REATTACH) && r == 0)
            return session;
        if (r != -ESTALE) /* that alone means that only the slot is ours no more */
            session->attachment->stale = true;
        else
            session->attachment->lingers = true; /* somebody may be about to add to a cell */
        session_leave(client);
        atomic_store(&client->retry_ns, 0);
    }
    if (clock_monotonic_ns() >= atomic_load(&client->retry_ns))
        session_open(client);
    return client->session;
}

struct session *session_hold(const struct call *call, struct tf_client *client) {
    if (call->nested) {
        if (!registry_try_lock())
            return NULL;
    } else {
        registry_lock();
    }
    struct session *session = client->session;
    if (session)
        session->references++;
    registry_unlock();
    return session;
}

void session_let_go(struct session *session) {
    /* a nested call may not wait, yet must not leak: the lock is held for moments only, and never by this thread, since
     * session_hold had it in this same call */
    registry_lock();
    session_unref(session);
    registry_unlock();
}

/* --- call sites --- */

enum { LITERAL_SIZE = 2048 };

enum site_state { SITE_NEW, SITE_DEFERRED, SITE_PLAIN, SITE_INVALID };

static struct entry site_specimen(const struct tf_client *client, const struct tf_site_ *site, int level) {
    return (struct entry) {
        .level = (enum level)level,
        .service = client->service,
        .module = site->module ? text_of(site->module) : client->module,
        .operation = text_of(site->operation),
        .message = TEXT_LITERAL("-"),
    };
}

/* Judge the site once in the life of the process. Under the lock; readers come behind the release-store of `known`. */
static void site_examine(const struct tf_client *client, struct tf_site_ *site, int level) {
    struct entry specimen = site_specimen(client, site, level);
    struct template_types types = { { 0 } };
    static_assert(sizeof(types.types) <= SITE_COMPLEX && SITE_COMPLEX < sizeof(site->types),
                  "the header keeps room for the types");
    if (entry_validate(&specimen, NULL) < 0)
        site->state = SITE_INVALID;
    else if (!(site->flags & TF_SITE_LITERAL_) && template_parse(site->format, &types) < 0)
        site->state = SITE_PLAIN;
    else
        site->state = SITE_DEFERRED;
    memcpy(site->types, types.types, sizeof(types.types));
    site->types[SITE_COMPLEX] = strpbrk(types.types, "Sw") != NULL;
}

static uint64_t site_hash(const struct entry *specimen, struct text format) {
    uint64_t hash = hash_bytes_seeded(specimen->module.data, specimen->module.length, (uint64_t)specimen->level);
    hash = hash_bytes_seeded(specimen->operation.data, specimen->operation.length, hash);
    return hash_bytes_seeded(format.data, format.length, hash);
}

/* The format of a message that is none: each '%' doubled. NULL: too long, it is told each time. */
static const char *literal_as_format(const char *message, char out[LITERAL_SIZE]) {
    size_t used = 0;
    for (; *message; message++) {
        if (used + 3 > LITERAL_SIZE)
            return NULL;
        out[used++] = *message;
        if (*message == '%')
            out[used++] = '%';
    }
    out[used] = '\0';
    return out;
}

/* Its number, from 1, or 0 when the slot's table is full. Equal statements (of a plugin loaded twice, or by way of another
 * client's turn in the site's cache) share a number. */
static uint32_t site_register(struct session *session, const struct tf_site_ *site, int level) {
    struct entry specimen = site_specimen(session->client, site, level);
    char room[LITERAL_SIZE];
    const char *as_format = site->flags & TF_SITE_LITERAL_ ? literal_as_format(site->format, room) : site->format;
    if (!as_format)
        return 0;
    struct text format = text_of(as_format);
    uint64_t hash = site_hash(&specimen, format);
    for (uint32_t i = 0; i < session->site_count; i++)
        if (session->site_hashes[i] == hash)
            return i + 1;
    int number = ring_site_add(&session->claim, specimen.level, specimen.module, specimen.operation, format);
    if (number < 1 || number > SLOT_SITES_MAX)
        return 0;
    atomic_store(&session->touched, true);
    session->site_hashes[number - 1] = hash;
    session->site_count = (uint32_t)number;
    return (uint32_t)number;
}

int session_site(struct call *call, struct session *session, struct tf_site_ *site, int level) {
    if (call->nested) {
        if (!registry_try_lock())
            return 0;
    } else {
        registry_lock();
    }
    if (site->state == SITE_NEW)
        site_examine(session->client, site, level);
    int r = 0;
    if (site->state == SITE_INVALID) {
        struct entry specimen = site_specimen(session->client, site, level);
        r = entry_validate(&specimen, call->error);
    } else {
        uint32_t number = site->state == SITE_DEFERRED ? site_register(session, site, level) : 0;
        uint64_t known = session->id << SITE_NUMBER_BITS | (number ? number : SITE_FORMATTED_HERE);
        __atomic_store_n(&site->known[session->id % 2], known, __ATOMIC_RELEASE);
        r = (int)number;
    }
    registry_unlock();
    return r;
}

/* --- clients --- */

static void fork_prepare(void) {
    registry_lock();
}

/* The child owns none of its parent's slots and lanes: it forgets them (the parent goes on with them) and claims its own. */
static void fork_child(void) {
    threads_after_fork();
    for (struct tf_client *client = clients; client; client = client->next) {
        atomic_store(&client->session_id, 0);
        client_publish_control(client, &client->own_control);
        atomic_store(&client->ledger, NULL);
        client->session = NULL;
        client_leave_waiting_room(client);
        atomic_store(&client->retry_ns, 0);
        memset(client->left_ring_id, 0, sizeof(client->left_ring_id));
        memset(client->lost, 0, sizeof(client->lost));
        memset(client->pending, 0, sizeof(client->pending));
        atomic_store(&client->any_pending, false);
        metrics_after_fork(client);
    }
    while (sessions)
        session_free(sessions);
    registry_unlock();
}

static void fork_handlers_install(void) {
    fork_handlers_result = -pthread_atfork(fork_prepare, registry_unlock, fork_child);
}

int registry_add(struct tf_client *client) {
    pthread_once(&fork_handlers_once, fork_handlers_install);
    if (fork_handlers_result < 0)
        return fork_handlers_result;
    registry_lock();
    client->next = clients;
    clients = client;
    session_open(client);
    registry_unlock();
    return 0;
}

void registry_remove(struct tf_client *client) {
    registry_lock();
    if (!client->session && (atomic_load(&client->any_pending) || metrics_are_pending(client))) {
        atomic_store(&client->retry_ns, 0); /* a last attempt to tell what was lost, and counted */
        session_usable(client);
    }
    client_carry_losses(client);
    metrics_settle(client);
    threads_forget_client(client);
    struct tf_client **at = &clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    session_leave(client);
    client_leave_waiting_room(client);
    metrics_finish(client);
    registry_unlock();
}
