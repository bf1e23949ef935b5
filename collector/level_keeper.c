#include "collector/level_keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/library_settings.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/model/pack.h"

#define DEFAULT_NAME "(default)" /* in an audit entry, where a service has its name */

int level_keeper_init(struct level_keeper *keeper, const struct state_map *state, const char *runtime_dir,
                      struct rings *rings, struct error *error) {
    *keeper = (struct level_keeper) { .runtime_dir = runtime_dir, .rings = rings, .version = 1 };
    settings_default(&keeper->told);
    if (levels_load(&keeper->now, state) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    keeper->ended = levels_pass(&keeper->now, clock_real_ns());
    return 0;
}

void level_keeper_finish(struct level_keeper *keeper) {
    for (size_t i = 0; i < keeper->change_count; i++)
        control_fail(keeper->changes[i].call, "the collector ends");
    keeper->change_count = 0;
    levels_finish(&keeper->now);
    levels_finish(&keeper->next);
}

/* --- what follows --- */

/* Every slot has to follow, and is looked at for that: who is known and unchanged is not refreshed otherwise. */
static void apply_to_all(struct level_keeper *keeper) {
    keeper->version++;
    for (size_t r = 0; r < keeper->rings->count; r++) {
        struct collector_ring *ring = keeper->rings->items[r];
        if (ring->phase != RING_BROKEN)
            rings_slots_count(ring);
        for (uint32_t i = 0; ring->phase != RING_BROKEN && i < ring->slots_used; i++)
            rings_slot_refresh(keeper->rings, ring,
                               i); /* applies it; those that came since the last look follow, too */
    }
}

int level_keeper_tell(struct level_keeper *keeper, const struct config *config, struct error *error) {
    struct shared_settings settings;
    library_settings_make(config, &settings);
    settings.level = levels_of(&keeper->now, LEVELS_DEFAULT);
    int result = library_settings_tell(keeper->runtime_dir, &settings, error);
    if (result < 0)
        return result;
    keeper->told = settings;
    apply_to_all(keeper);
    return 0;
}

void level_keeper_apply(struct level_keeper *keeper, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    if (!slot->known || slot->control_version == keeper->version || ring->phase == RING_BROKEN)
        return;
    /* Nobody but us sets REATTACH, in all slots of a ring that is left: there it stays. */
    uint32_t flags = ring->phase == RING_ACTIVE ? 0 : SLOT_CONTROL_REATTACH;
    enum level level = levels_of(&keeper->now, slot->info.service);
    uint32_t control =
        slot_control_compose(level, slot->info.min_level, keeper->told.recorder_levels, keeper->told.sequence);
    if (ring_reader_set_control(&ring->ring, index, control | flags) == 0)
        slot->control_version = keeper->version;
}

static void follow(struct level_keeper *keeper) {
    struct error error;
    uint32_t level = levels_of(&keeper->now, LEVELS_DEFAULT);
    if (keeper->told.level != level) {
        keeper->told.level = level;
        if (library_settings_tell(keeper->runtime_dir, &keeper->told, &error) < 0)
            diag_error("%s: programs that start now follow the level a moment later", error.text);
    }
    apply_to_all(keeper);
}

void level_keeper_pass(struct level_keeper *keeper, uint64_t now_real_ns) {
    if (!levels_pass(&keeper->now, now_real_ns))
        return;
    keeper->ended = true;
    follow(keeper);
}

/* --- committing and telling --- */

static void put_state(const struct levels *levels, struct text service, struct batch *batch) {
    const struct threshold *threshold = levels_find(levels, service);
    struct state_key key;
    char value[LEVELS_VALUE_SIZE];
    levels_key(&key, service);
    if (!threshold) {
        batch_remove(batch, state_key_text(&key));
        return;
    }
    levels_encode(threshold, value);
    batch_put(batch, state_key_text(&key), (struct text) { value, sizeof(value) });
}

struct told { /* what an audit entry says */
    struct text service;
    enum level before, after;
    uint64_t until_ns;
    const struct level_change *change; /* NULL: a time is over */
};

static void pack_pair(struct pack_writer *writer, const char *key, struct text value) {
    pack_text(writer, text_of(key));
    pack_text(writer, value);
}

static struct text pack_told(const struct told *told, const char *actor, const char *until, char *out, size_t size) {
    struct pack_writer writer = { .data = out, .capacity = size };
    pack_map(&writer, 4 + (told->change != NULL) + (told->until_ns != 0));
    pack_pair(&writer, "actor", text_of(actor));
    if (told->change) {
        pack_text(&writer, TEXT_LITERAL("peer_uid"));
        pack_uint(&writer, told->change->uid);
    }
    pack_pair(&writer, "target", told->service.length ? told->service : TEXT_LITERAL(DEFAULT_NAME));
    pack_pair(&writer, "old", text_of(level_name(told->before)));
    pack_pair(&writer, "new", text_of(level_name(told->after)));
    if (told->until_ns)
        pack_pair(&writer, "until", text_of(until));
    check(!writer.failed);
    return (struct text) { out, writer.length };
}

static void tell(const struct told *told, struct drain *drain, uint64_t now_ns, struct batch *batch) {
    char actor[32] = "time", until[CLOCK_RFC3339_SIZE], message[ENTRY_NAME_BYTES + 256],
         metadata[ENTRY_NAME_BYTES + 256];
    bool is_default = told->service.length == 0;
    if (told->change)
        snprintf(actor, sizeof(actor), "uid:%" PRIu32, told->change->uid);
    clock_format(told->until_ns, until);
    snprintf(message, sizeof(message), "the %slevel%s%.*s is %s, was %s%s%s: %s%s", is_default ? "default " : "",
             is_default ? "" : " of ", TEXT_FORMAT(told->service), level_name(told->after), level_name(told->before),
             told->until_ns ? ", until " : "", told->until_ns ? until : "",
             !told->change            ? "its time is over"
             : told->change->is_reset ? "reset by "
                                      : "set by ",
             told->change ? actor : "");
    drain_own_entry(drain, batch, now_ns, LEVEL_INFO, "audit", "level", text_of(message),
                    pack_told(told, actor, until, metadata, sizeof(metadata)));
}

/* What a change does to `next`; `make` NULL: what has ended of the service is forgotten. */
static void change_one(struct level_keeper *keeper, struct text service, struct level_change *change,
                       struct drain *drain, uint64_t now_ns, struct batch *batch) {
    struct told told = { .service = service, .change = change, .before = levels_of(&keeper->next, service) };
    if (!change) {
        told.before = (enum level)levels_find(&keeper->next, service)->passing;
        levels_forget_ended(&keeper->next, service);
    } else if (change->is_reset) {
        if (!levels_reset(&keeper->next, service))
            return;
    } else {
        change->result = levels_set(&keeper->next, service, change->level, change->until_ns);
        if (change->result < 0)
            return;
        told.until_ns = change->until_ns;
    }
    told.after = levels_of(&keeper->next, service);
    put_state(&keeper->next, service, batch);
    tell(&told, drain, now_ns, batch);
}

static void reset_all(struct level_keeper *keeper, struct level_change *change, struct drain *drain, uint64_t now_ns,
                      struct batch *batch) {
    while (keeper->next.count > 0) {
        const struct threshold first = keeper->next.items[0];
        change_one(keeper, threshold_service(&first), change, drain, now_ns, batch);
    }
}

void level_keeper_gather(struct level_keeper *keeper, struct drain *drain, uint64_t now_ns, struct batch *batch) {
    if (!keeper->ended && keeper->change_count == 0)
        return;
    if (levels_copy(&keeper->next, &keeper->now) < 0) {
        batch->failed = true;
        return;
    }
    keeper->is_telling = true;
    for (size_t i = 0; i < keeper->now.count; i++)
        if (keeper->now.items[i].ended)
            change_one(keeper, threshold_service(&keeper->now.items[i]), NULL, drain, now_ns, batch);
    for (size_t i = 0; i < keeper->change_count; i++) {
        struct level_change *change = &keeper->changes[i];
        struct text service = { change->service, change->service_length };
        change->result = 0;
        if (change->is_reset && service.length == 0)
            reset_all(keeper, change, drain, now_ns, batch);
        else
            change_one(keeper, service, change, drain, now_ns, batch);
        batch->failed |= change->result == -ENOMEM;
    }
}

void level_keeper_discard(struct level_keeper *keeper) {
    levels_finish(&keeper->next);
    keeper->is_telling = false;
}

/* --- answers --- */

/* Programs that run and follow this threshold; of the default: those whose service has none of its own. */
static unsigned count_processes(const struct level_keeper *keeper, struct text service) {
    unsigned count = 0;
    for (size_t r = 0; r < keeper->rings->count; r++) {
        const struct collector_ring *ring = keeper->rings->items[r];
        for (uint32_t i = 0; ring->phase != RING_BROKEN && i < ring->slots_used; i++) {
            const struct slot *slot = &ring->slots[i];
            if (!slot->known || slot->ending || levels_are_fixed(slot->info.service))
                continue;
            count += service.length ? text_equal(slot->info.service, service)
                                    : !levels_find(&keeper->now, slot->info.service);
        }
    }
    return count;
}

static void add_row(const struct level_keeper *keeper, struct control_call *call, struct text service) {
    _cleanup_buffer_ struct buffer line = BUFFER_EMPTY;
    const struct threshold *threshold = levels_find(&keeper->now, service);
    char until[CLOCK_RFC3339_SIZE];
    buffer_append_string(&line, "{\"service\":");
    if (service.length)
        json_append_string(&line, service);
    else
        buffer_append_string(&line, "null");
    buffer_append_format(&line, ",\"level\":\"%s\"", level_name(levels_of(&keeper->now, service)));
    if (threshold && threshold->passing != LEVEL_NONE && !threshold->ended) {
        clock_format(threshold->until_ns, until);
        buffer_append_format(&line, ",\"until\":\"%s\"", until);
        if (threshold->lasting != LEVEL_NONE)
            buffer_append_format(&line, ",\"then\":\"%s\"", level_name((enum level)threshold->lasting));
    }
    buffer_append_format(&line, ",\"processes\":%u}", count_processes(keeper, service));
    control_add_text(call, line.failed ? TEXT_LITERAL("{}") : buffer_text(&line));
}

static void answer(const struct level_keeper *keeper, const struct level_change *change) {
    if (change->result < 0) {
        control_fail(change->call, "%d services have a level of their own already: reset one first", LEVELS_MAX);
        return;
    }
    if (!change->is_reset)
        add_row(keeper, change->call, (struct text) { change->service, change->service_length });
    control_done(change->call);
}

void level_keeper_settle(struct level_keeper *keeper) {
    if (!keeper->is_telling)
        return;
    levels_finish(&keeper->now);
    keeper->now = keeper->next;
    keeper->next = LEVELS_EMPTY;
    keeper->is_telling = keeper->ended = false;
    follow(keeper);
    for (size_t i = 0; i < keeper->change_count; i++)
        answer(keeper, &keeper->changes[i]);
    keeper->change_count = 0;
}

void level_keeper_give_up(struct level_keeper *keeper, uint64_t now_monotonic_ns) {
    size_t kept = 0;
    for (size_t i = 0; i < keeper->change_count; i++)
        if (now_monotonic_ns >= keeper->changes[i].deadline_ns)
            control_fail(keeper->changes[i].call, "the store cannot be written now: the level stays as it is");
        else
            keeper->changes[kept++] = keeper->changes[i];
    keeper->change_count = kept;
}

void level_keeper_show(struct level_keeper *keeper, struct control_call *call, struct text arguments) {
    if (arguments.length > 0) {
        control_fail(call, "usage: levels");
        return;
    }
    level_keeper_pass(keeper, clock_real_ns());
    add_row(keeper, call, LEVELS_DEFAULT);
    for (size_t i = 0; i < keeper->now.count; i++) {
        const struct threshold *threshold = &keeper->now.items[i];
        bool is_over = threshold->ended && threshold->lasting == LEVEL_NONE;
        if (threshold->service_length > 0 && !is_over)
            add_row(keeper, call, threshold_service(threshold));
    }
    control_done(call);
}

/* --- asking --- */

static int read_service(struct text service, struct level_change *change, struct error *error) {
    if (text_utf8_count(service) > ENTRY_NAME_CHARACTERS || service.length > ENTRY_NAME_BYTES)
        return error_set(error, -EINVAL, "a service has at most %d characters", ENTRY_NAME_CHARACTERS);
    if (!change->is_reset && levels_are_fixed(service))
        return error_set(error, -EINVAL,
                         "the level of taskforge's own programs cannot be set: audit entries are among what they say");
    if (service.length > 0)
        memcpy(change->service, service.data, service.length);
    change->service_length = service.length;
    return 0;
}

static int read_time(struct text time, struct level_change *change, struct error *error) {
    uint64_t ns;
    if (text_is(time, "-"))
        return 0;
    if (time.length == 0 || clock_parse_duration(time.data, time.length, &ns) < 0 || ns < LEVEL_FOR_MIN_NS ||
        ns > LEVEL_FOR_MAX_NS)
        return error_set(error, -EINVAL, "a level can be set for 1s to 366d");
    change->until_ns = clock_real_ns() + ns;
    return 0;
}

static int read_change(struct text arguments, struct level_change *change, struct error *error) {
    struct text verb = control_word(&arguments);
    change->is_reset = text_is(verb, "reset");
    if (!change->is_reset && !text_is(verb, "set"))
        return error_set(error, -EINVAL, "usage: level set LEVEL FOR|- [SERVICE], level reset [SERVICE]");
    int result = 0;
    if (!change->is_reset && level_parse(control_word(&arguments), &change->level) < 0)
        return error_set(error, -EINVAL, "the level must be trace, debug, info, warn, error or critical");
    if (!change->is_reset)
        result = read_time(control_word(&arguments), change, error);
    return result == 0 ? read_service(text_trim(arguments), change, error) : result;
}

void level_keeper_ask(struct level_keeper *keeper, struct control_call *call, struct text arguments) {
    struct level_change change = { .call = call,
                                   .uid = (uint32_t)control_peer(call).uid,
                                   .deadline_ns = clock_monotonic_ns() + COMMIT_WAIT_NS };
    struct error error;
    level_keeper_pass(keeper, clock_real_ns()); /* what is over is not what was before */
    if (!control_may_change(call))
        control_fail(call, "only root, the collector's user and members of its group may change levels");
    else if (read_change(arguments, &change, &error) < 0)
        control_fail(call, "%s", error.text);
    else if (keeper->change_count == LEVEL_CALLS_MAX)
        control_fail(call, "too many ask at once");
    else
        keeper->changes[keeper->change_count++] = change;
}
