/* agent.c - the inputs' lives. */
#include "agent/agent.h"

#include "agent/input_config.h"
#include "agent/inputs/inputs.h"
#include "agent/self.h"
#include "common/base/check.h"
#include "common/base/diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STOP_RETRY_MS = 10,
    STOP_PATIENCE_S = 5, /* for room in the ring at the end */
    SOCKET_PATH_MAX = 600,
};

/* One input's place: made, perhaps waiting for its positions, started, ended. */
struct place {
    struct agent *agent;
    struct config_input *config; /* owned */
    struct input *input;         /* owned */
    struct positions_request *request;
    struct positions handed; /* from the instance before it */
    bool has_handed, started;
    bool kept;                  /* during a reload */
    struct input_counters told; /* as metrics */
};

struct agent {
    struct loop *loop;
    struct input_context context;
    struct own own;
    char *runtime_dir;
    char socket_path[SOCKET_PATH_MAX];
    struct place **places;
    size_t place_count;
    struct loop_timer *stop_timer;
    uint64_t stop_before_ns;
    void (*done)(void *context);
    void *done_context;
    struct daemon_metrics *metrics; /* NULL: nobody has asked for them */
};

static void place_destroy(struct place *place) {
    if (!place)
        return;
    positions_request_destroy(place->request);
    if (place->input)
        place->input->type->destroy(place->input);
    positions_finish(&place->handed);
    input_config_destroy(place->config);
    free(place);
}

static void destroy_places(struct place **places, size_t count) {
    for (size_t i = 0; i < count; i++)
        place_destroy(places[i]);
    free(places);
}

static int place_create(struct agent *agent, const struct config_input *config, struct place **ret,
                        struct error *error) {
    const struct input_type *type = inputs_find(config->type);
    if (!type)
        return error_set(error, -ENOTSUP, "input %s: this build has no journal input (it was made without libsystemd)",
                         config->name);
    struct place *place = calloc(1, sizeof(*place));
    if (!place)
        return error_set(error, -ENOMEM, "input %s: out of memory", config->name);
    place->agent = agent;
    place->config = input_config_copy(config);
    int result = place->config ? type->create(place->config, &agent->context, &place->input, error)
                               : error_set(error, -ENOMEM, "input %s: out of memory", config->name);
    if (result != 0) {
        place_destroy(place);
        return result;
    }
    *ret = place;
    return 0;
}

/* --- starting --- */

static int start_input(struct place *place, const struct positions *known, struct error *error) {
    int result = place->input->type->start(place->input, known, error);
    place->started = result == 0;
    place->input->ended = result != 0;
    return result;
}

static void on_positions(const struct positions *known, pid_t peer, void *context) {
    struct place *place = context;
    struct error error = { 0 };
    own_add_process(&place->agent->own, peer);
    if (start_input(place, known, &error) != 0)
        diag_error("%s", error.text);
}

static int place_start(struct place *place, struct error *error) {
    const struct positions none = POSITIONS_EMPTY;
    if (!place->input->type->has_positions)
        return start_input(place, &none, error);
    if (place->has_handed)
        return start_input(place, &place->handed, error);
    return positions_ask(place->agent->loop, place->agent->socket_path, place->config->name, on_positions, place,
                         &place->request, error);
}

/* --- ending --- */

static void on_ended(void *context) {
    struct agent *agent = context;
    for (size_t i = 0; i < agent->place_count; i++)
        if (!agent->places[i]->input->ended)
            return;
    agent->done(agent->done_context);
}

static bool finish_all(struct agent *agent) {
    bool finished = true;
    for (size_t i = 0; i < agent->place_count; i++) {
        struct place *place = agent->places[i];
        if (place->started && !place->input->type->finish(place->input))
            finished = false;
    }
    return finished;
}

static void on_stop_timer(struct loop_timer *timer, void *context) {
    struct agent *agent = context;
    if (!finish_all(agent) && clock_monotonic_ns() < agent->stop_before_ns) {
        loop_set_timer(timer, STOP_RETRY_MS * CLOCK_MILLISECOND);
        return;
    }
    agent->done(agent->done_context);
}

void agent_stop(struct agent *agent) {
    for (size_t i = 0; i < agent->place_count; i++) {
        positions_request_destroy(agent->places[i]->request);
        agent->places[i]->request = NULL;
    }
    agent->stop_before_ns = clock_monotonic_ns() + STOP_PATIENCE_S * CLOCK_SECOND;
    loop_set_timer(agent->stop_timer, 0);
}

/* --- the whole --- */

void agent_destroy(struct agent *agent) {
    if (!agent)
        return;
    destroy_places(agent->places, agent->place_count);
    loop_remove_timer(agent->stop_timer);
    own_finish(&agent->own);
    free(agent->runtime_dir);
    free(agent);
}

/* Make the places of a configuration; those in `old` with an equal one are kept and taken from there. */
static int make_places(struct agent *agent, const struct config *config, struct place **old, size_t old_count,
                       struct place ***ret, size_t *ret_count, struct error *error) {
    struct place **places = calloc(config->agent.input_count + 1, sizeof(struct place *));
    size_t count = 0;
    int result = places ? 0 : error_set(error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < config->agent.input_count && result == 0; i++) {
        const struct config_input *wanted = &config->agent.inputs[i];
        struct place *place = NULL;
        for (size_t j = 0; j < old_count && !place; j++)
            if (!old[j]->kept && input_config_equal(old[j]->config, wanted))
                place = old[j];
        if (place)
            place->kept = true;
        else
            result = place_create(agent, wanted, &place, error);
        if (result == -ENOTSUP && config->agent.inputs_default)
            result = 0;
        else if (result == 0)
            places[count++] = place;
    }
    if (result != 0) {
        for (size_t i = 0; i < count; i++)
            if (!places[i]->kept)
                place_destroy(places[i]);
        for (size_t j = 0; j < old_count; j++)
            old[j]->kept = false;
        free(places);
        return result;
    }
    *ret = places;
    *ret_count = count;
    return 0;
}

int agent_create(const struct config *config, struct loop *loop, const struct outlet *outlet,
                 void (*done)(void *context), void *done_context, struct agent **ret, struct error *error) {
    struct agent *agent = calloc(1, sizeof(*agent));
    if (!agent)
        return error_set(error, -ENOMEM, "out of memory");
    agent->loop = loop;
    agent->done = done;
    agent->done_context = done_context;
    agent->context = (struct input_context) { loop, outlet, &agent->own, on_ended, agent };
    agent->runtime_dir = strdup(config->runtime_dir);
    int length = snprintf(agent->socket_path, sizeof(agent->socket_path), "%s/collector.sock", config->runtime_dir);
    int result = !agent->runtime_dir || length >= (int)sizeof(agent->socket_path) ? -ENOMEM : 0;
    if (result == 0)
        result = own_init(&agent->own, config);
    if (result == 0)
        result = loop_add_timer(loop, on_stop_timer, agent, &agent->stop_timer);
    if (result != 0)
        error_set(error, result, "cannot set up: %s", strerror(-result));
    else
        result = make_places(agent, config, NULL, 0, &agent->places, &agent->place_count, error);
    for (size_t i = 0; i < agent->place_count && result == 0; i++) {
        result = place_start(agent->places[i], error);
        if (result != 0 && config->agent.inputs_default) {
            diag_warn("%s; going on without it", error->text);
            result = 0;
        }
    }
    if (result != 0) {
        agent_destroy(agent);
        return result;
    }
    *ret = agent;
    return 0;
}

void agent_tell_metrics(struct agent *agent, struct daemon_metrics *metrics) {
    agent->metrics = metrics;
    for (size_t i = 0; i < agent->place_count; i++) {
        struct place *place = agent->places[i];
        self_tell_input(metrics, place->config->name, &place->input->counters, &place->told);
    }
    daemon_metrics_set(metrics, OWN_AGENT_INPUTS, NULL, NULL, (double)agent->place_count);
}

/* Take over where an old place with this name stands. */
static void hand_over(struct place *to, struct place *from) {
    if (to->config->type != from->config->type || strcmp(to->config->name, from->config->name) != 0 || !from->started ||
        !from->input->type->has_positions)
        return;
    from->input->type->positions(from->input, &to->handed);
    to->has_handed = true;
}

int agent_reload(struct agent *agent, const struct config *config, struct error *error) {
    struct place **places;
    size_t count;
    struct own own;
    if (strcmp(config->runtime_dir, agent->runtime_dir) != 0)
        return error_set(error, -EINVAL, "runtime_dir has changed: restart the agent for that");
    int result = own_init(&own, config);
    if (result != 0)
        return error_set(error, result, "out of memory");
    result = make_places(agent, config, agent->places, agent->place_count, &places, &count, error);
    if (result != 0) {
        own_finish(&own);
        return result;
    }
    agent_say_counters(agent);
    own_finish(&agent->own);
    agent->own = own;
    for (size_t i = 0; i < agent->place_count; i++) {
        struct place *old = agent->places[i];
        if (old->kept)
            continue;
        if (old->started)
            old->input->type->finish(old->input);
        for (size_t j = 0; j < count; j++)
            if (!places[j]->kept)
                hand_over(places[j], old);
        if (agent->metrics) { /* what it counted since it was told last */
            self_tell_input(agent->metrics, old->config->name, &old->input->counters, &old->told);
            self_tell_end(agent->metrics, old->config->name, &old->told);
        }
        place_destroy(old);
    }
    free(agent->places);
    agent->places = places;
    agent->place_count = count;
    for (size_t i = 0; i < count; i++) {
        struct error why = { 0 };
        if (!places[i]->kept && place_start(places[i], &why) != 0)
            diag_error("%s; going on without it", why.text);
        places[i]->kept = false;
    }
    return 0;
}

/* --- what happened --- */

static void append_count(struct buffer *line, uint64_t count, const char *what) {
    if (count > 0)
        buffer_append_format(line, ", %llu %s", (unsigned long long)count, what);
}

static void say_counters(const struct place *place) {
    const struct input_counters *counters = &place->input->counters;
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    buffer_append_format(&line, "input %s: %llu lines, %llu entries", place->config->name,
                         (unsigned long long)counters->lines, (unsigned long long)counters->entries);
    append_count(&line, counters->empty, "empty");
    append_count(&line, counters->own, "our own");
    for (unsigned i = 0; i < INPUT_INVALID_REASON_COUNT; i++)
        if (counters->invalid[i] > 0)
            buffer_append_format(&line, ", %llu invalid (%s)", (unsigned long long)counters->invalid[i],
                                 input_invalid_reason_name((enum input_invalid_reason)i));
    append_count(&line, counters->lost, "lost");
    append_count(&line, counters->held, "times held back");
    for (unsigned i = 0; i < ENTRY_REPAIR_REASON_COUNT; i++)
        if (counters->repaired[i] > 0)
            buffer_append_format(&line, ", %llu repaired (%s)", (unsigned long long)counters->repaired[i],
                                 entry_repair_reason_name((enum entry_repair_reason)(1U << i)));
    if (!line.failed)
        diag_info("%.*s", TEXT_FORMAT(buffer_text(&line)));
}

void agent_say_counters(const struct agent *agent) {
    for (size_t i = 0; i < agent->place_count; i++)
        say_counters(agent->places[i]);
}

size_t agent_input_count(const struct agent *agent) {
    return agent->place_count;
}
