/* metrics.c - see metrics.h: handles, and what becomes of them as sessions come and go. */
#include "agent/client/metrics.h"

#include <errno.h>
#include <stdlib.h>

/* --- places; under the lock --- */

static uint16_t *places_of(struct session *session) {
    if (!session->metric_places)
        session->metric_places = calloc(METRICS_MAX + PROMOTED_MAX, sizeof(*session->metric_places));
    return session->metric_places;
}

/* The series into the slot: its place, or 0. */
static uint32_t add_to_slot(struct tf_metric *metric, struct session *session) {
    uint16_t *places = places_of(session);
    uint32_t place = 0;
    static_assert(RING_SLOT_METRICS_SIZE / sizeof(uint64_t) < 1 << METRIC_PLACE_BITS, "a place fits `known`");
    if (!places || session->metrics_refused)
        return 0;
    int r = slot_metric_add(&session->attachment->ring, &session->claim, &metric->definition, &place);
    if (r < 0) { /* without pages for the first one, none of the others is tried (each would be a system call) */
        session->metrics_refused = atomic_load(&session->claim.slot->metric_count) == 0;
        return 0;
    }
    places[metric->index] = (uint16_t)place;
    atomic_store(&session->touched, true);
    return place;
}

void metric_place(struct tf_metric *metric, struct session *session) {
    if (atomic_load(&metric->known) >> METRIC_PLACE_BITS == session->id)
        return;
    metric->wanted = true;
    uint32_t place = add_to_slot(metric, session);
    if (place > 0 && own_move(metric, session->claim.slot, place))
        atomic_store(&metric->has_pending, true);
    /* release: who sees the place sees the cell as it is now. */
    atomic_store_explicit(&metric->known, session->id << METRIC_PLACE_BITS | place, memory_order_release);
}

void metric_quick_close(struct tf_metric *metric) {
    __atomic_store_n(&metric->head.counter, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&metric->slot, NULL, __ATOMIC_SEQ_CST);
}

void metrics_enter_session(struct tf_client *client) {
    for (struct tf_metric *metric = client->metrics; metric; metric = metric->next)
        if (metric->wanted)
            metric_place(metric, client->session);
}

static uint32_t place_in(const struct tf_metric *metric, const struct session *session) {
    return session->client == metric->client && session->metric_places ? session->metric_places[metric->index] : 0;
}

static bool is_gauge(const struct tf_metric *metric) {
    return metric->definition.kind != METRIC_COUNTER && !metric_kind_is_histogram(metric->definition.kind);
}

void metrics_leave_session(struct tf_client *client) {
    struct session *session = client->session;
    for (struct tf_metric *metric = client->metrics; metric && session->metric_places; metric = metric->next) {
        uint32_t place = place_in(metric, session);
        uint64_t set_ns;
        metric_quick_close(metric);
        if (place == 0 || !is_gauge(metric))
            continue;
        /* The session's number is void already: who sets the gauge now sees that behind its store, or is seen here. */
        atomic_thread_fence(memory_order_seq_cst);
        double value = slot_gauge_value(session->claim.slot, place, &set_ns);
        if (set_ns > 0)
            own_gauge_keep(metric, value, set_ns);
        if (metric_has_rule(
                metric)) /* the slot stays for as long as a thread has a lane there: it must not count twice */
            slot_gauge_leave(session->claim.slot, place);
    }
}

void metrics_end_session(struct session *session) {
    struct tf_client *client = session->client;
    if (!session->metric_places)
        return;
    for (struct tf_metric *metric = client->metrics; metric; metric = metric->next) {
        uint32_t place = place_in(metric, session);
        double sum;
        if (place == 0 || is_gauge(metric))
            continue;
        if (metric->definition.kind == METRIC_COUNTER) {
            atomic_fetch_add(&metric->left_count, slot_counter_total(session->claim.slot, place));
            continue;
        }
        atomic_fetch_add(&metric->left_count, slot_histogram_total(session->claim.slot, place, &sum));
        atomic_add_double(&metric->left_sum_bits, sum);
    }
}

void metric_in_sessions(const struct tf_metric *metric, uint64_t *count, double *sum) {
    *count = 0;
    *sum = 0;
    for (struct session *session = session_next(NULL); session; session = session_next(session)) {
        uint32_t place = place_in(metric, session);
        uint64_t set_ns;
        double part;
        if (place == 0)
            continue;
        if (metric->definition.kind == METRIC_COUNTER) {
            *count += slot_counter_total(session->claim.slot, place);
        } else if (!is_gauge(metric)) {
            *count += slot_histogram_total(session->claim.slot, place, &part);
            *sum += part;
        } else if (session == metric->client->session) {
            *sum = slot_gauge_value(session->claim.slot, place, &set_ns);
            *count = set_ns;
        }
    }
}

void metrics_settle(struct tf_client *client) {
    struct session *session = client->session;
    for (struct tf_metric *metric = client->metrics; metric && session; metric = metric->next) {
        uint32_t place = place_in(metric, session);
        if (place > 0 && atomic_load(&metric->has_pending) && own_move(metric, session->claim.slot, place))
            atomic_store(&metric->has_pending, true);
    }
}

bool metrics_are_pending(const struct tf_client *client) {
    for (const struct tf_metric *metric = client->metrics; metric; metric = metric->next)
        if (atomic_load(&metric->has_pending))
            return true;
    return false;
}

void metrics_after_fork(struct tf_client *client) {
    for (struct tf_metric *metric = client->metrics; metric; metric = metric->next) {
        metric_quick_close(metric);
        metric->known = 0;
        metric->has_pending = false;
        metric->settle_ns = 0;
        metric->left_count = metric->left_sum_bits = 0;
        metric->wanted = false;
        own_cell_clear(&metric->own);
    }
}

static void metric_free(struct tf_metric *metric) {
    own_cell_finish(&metric->own);
    free((void *)metric->exemplar_ms);
    free(metric);
}

void metrics_finish(struct tf_client *client) {
    while (client->metrics) {
        struct tf_metric *metric = client->metrics;
        client->metrics = metric->next;
        metric_free(metric);
    }
    free(client->promoted);
}

/* --- registering --- */

static struct text keep_text(char **at, struct text text) {
    struct text kept = { *at, text.length };
    if (text.length > 0)
        memcpy(*at, text.data, text.length);
    *at += text.length;
    return kept;
}

static int metric_create(struct tf_client *client, const struct metric_definition *definition, struct tf_metric **ret) {
    size_t size = definition->name.length + definition->labels.length + definition->unit.length +
                  definition->help.length + definition->bounds.length;
    struct tf_metric *metric = calloc(1, sizeof(*metric) + size);
    if (metric && metric_kind_is_histogram(definition->kind))
        metric->exemplar_ms = calloc(EXEMPLAR_PLACES, sizeof(*metric->exemplar_ms));
    if (!metric || (metric_kind_is_histogram(definition->kind) && !metric->exemplar_ms) ||
        own_cell_init(&metric->own, definition->kind) < 0) {
        if (metric)
            free((void *)metric->exemplar_ms);
        free(metric);
        return -ENOMEM;
    }
    char *at = metric->bytes;
    metric->client = client;
    metric->definition = (struct metric_definition) { .kind = definition->kind,
                                                      .naming = definition->naming,
                                                      .combine = definition->combine,
                                                      .name = keep_text(&at, definition->name),
                                                      .labels = keep_text(&at, definition->labels),
                                                      .unit = keep_text(&at, definition->unit),
                                                      .help = keep_text(&at, definition->help),
                                                      .bounds = keep_text(&at, definition->bounds) };
    *ret = metric;
    return 0;
}

static struct tf_metric *metric_find(const struct tf_client *client, const struct metric_definition *definition,
                                     bool promoted) {
    struct tf_metric *metric = client->metrics;
    while (metric && (metric->promoted != promoted || metric->definition.kind != definition->kind || metric->definition.naming != definition->naming ||
                      !text_equal(metric->definition.name, definition->name) ||
                      !text_equal(metric->definition.labels, definition->labels)))
        metric = metric->next;
    return metric;
}

int metric_get_or_create(struct tf_client *client, const struct metric_definition *definition, bool promoted,
                         struct tf_metric **ret, struct error *error) {
    struct tf_metric *metric = metric_find(client, definition, promoted);
    if (!metric) {
        if (promoted ? client->promoted_count >= PROMOTED_MAX
                     : client->metric_count - client->promoted_count >= METRICS_MAX)
            return error_set(error, -ENOSPC, "a client has at most %d metrics by handle", METRICS_MAX);
        if (metric_create(client, definition, &metric) < 0)
            return error_set(error, -ENOMEM, "no memory for a metric");
        metric->index = client->metric_count++;
        metric->promoted = promoted;
        client->promoted_count += promoted;
        *(client->last_metric ? &client->last_metric->next : &client->metrics) = metric;
        client->last_metric = metric;
    }
    metric->wanted = true;
    if (client->session)
        metric_place(metric, client->session);
    if (client->session && metric_has_rule(metric) && place_in(metric, client->session) == 0)
        return error_set(error, -ENOSPC,
                         "no room in shared memory for the gauge %.*s: one with a rule cannot go by name",
                         TEXT_FORMAT(metric->definition.name));
    *ret = metric;
    return 0;
}

int metric_definition_judge(const struct metric_definition *definition, struct error *error) {
    int r = metric_definition_check(definition, error);
    if (r == 0 && definition->bounds.length > 0 && !metric_kind_is_histogram(definition->kind))
        r = error_set(error, -EINVAL, "bounds are for histograms and timers; %.*s is a %s",
                      TEXT_FORMAT(definition->name), metric_kind_name(definition->kind));
    return r;
}

int metric_register(struct tf_client *client, const struct metric_definition *definition, struct tf_metric **ret,
                    struct error *error) {
    int r = metric_definition_judge(definition, error);
    if (r == 0)
        r = metric_name_claim(definition, false, error);
    if (r < 0)
        return r;
    registry_lock();
    r = metric_get_or_create(client, definition, false, ret, error);
    registry_unlock();
    return r;
}
