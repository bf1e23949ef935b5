#include "collector/health.h"

#include "common/base/check.h"
#include "common/base/hash.h"

enum { PREFIX = sizeof(STATE_HEALTH) - 1 };

static struct text key_of(const struct health_item *item) {
    return (struct text) { item->key, sizeof(item->key) };
}

static void make_key(struct health_item *item, struct text service, struct text name) {
    uint32_t user = (uint32_t)item->user;
    uint64_t hash = hash_bytes_seeded(name.data, name.length, hash_bytes(service.data, service.length));
    memcpy(item->key, STATE_HEALTH, PREFIX);
    memcpy(item->key + PREFIX, &user, sizeof(user));
    memcpy(item->key + PREFIX + sizeof(user), &hash, sizeof(hash));
}

/* --- what the state holds --- */

static int load_one(void *argument, struct text key, struct text value) {
    struct health *health = argument;
    struct health_report report;
    uint32_t user;
    if (health->count == HEALTH_REPORTS_MAX || key.length != sizeof(health->items[0].key) ||
        health_report_decode(value, &report) < 0)
        return 0;
    memcpy(&user, key.data + PREFIX, sizeof(user));
    struct health_item *item = &health->items[health->count++];
    *item = (struct health_item) { .user = user, .time_ns = report.time_ns, .ttl_ns = report.ttl_ns };
    memcpy(item->key, key.data, key.length);
    return 0;
}

void health_init(struct health *health, const struct state_map *state) {
    health->state = state;
    health->count = 0;
    state_map_walk(state, TEXT_LITERAL(STATE_HEALTH), load_one, health);
}

void health_discard(struct health *health) {
    health_init(health, health->state);
}

static void drop(struct health *health, size_t index, struct batch *batch) {
    batch_remove(batch, key_of(&health->items[index]));
    health->items[index] = health->items[--health->count];
}

void health_expire(struct health *health, uint64_t now_ns, struct batch *batch) {
    for (size_t i = health->count; i-- > 0;) {
        const struct health_report report = { .time_ns = health->items[i].time_ns, .ttl_ns = health->items[i].ttl_ns };
        if (health_report_is_over(&report, now_ns))
            drop(health, i, batch);
    }
}

/* --- room for one more --- */

static size_t count_of(const struct health *health, uid_t user) {
    size_t count = 0;
    for (size_t i = 0; i < health->count; i++)
        count += health->items[i].user == user;
    return count;
}

static uid_t who_has_most(const struct health *health) {
    uid_t user = health->items[0].user;
    size_t most = 0;
    for (size_t i = 0; i < health->count; i++) {
        size_t count = count_of(health, health->items[i].user);
        if (count > most) {
            most = count;
            user = health->items[i].user;
        }
    }
    return user;
}

static void drop_oldest(struct health *health, uid_t user, struct batch *batch) {
    size_t oldest = health->count;
    for (size_t i = 0; i < health->count; i++)
        if (health->items[i].user == user &&
            (oldest == health->count || health->items[i].time_ns < health->items[oldest].time_ns))
            oldest = i;
    drop(health, oldest, batch);
}

static struct health_item *make_room(struct health *health, uid_t user, struct batch *batch) {
    if (count_of(health, user) >= HEALTH_REPORTS_USER)
        drop_oldest(health, user, batch);
    else if (health->count == HEALTH_REPORTS_MAX)
        drop_oldest(health, who_has_most(health), batch);
    return &health->items[health->count++];
}

/* --- a report --- */

/* Valid UTF-8 of at most so many bytes, cut at a character; what is made anew lies in *room. */
static struct text clean(struct text text, size_t most, struct buffer *room) {
    if (!text_utf8_valid(text)) {
        text_utf8_repair(text, room);
        text = buffer_text(room);
    }
    if (text.length <= most)
        return text;
    while (most > 0 && ((unsigned char)text.data[most] & 0xc0) == 0x80)
        most--;
    return (struct text) { text.data, most };
}

/* A state that is none is no good sign: it is told, and counts as the worst. */
static void take_state(const struct record_health_report *record, struct buffer *room, struct health_report *ret) {
    if (health_state_parse(record->state, &ret->state) == 0)
        return;
    ret->state = HEALTH_UNHEALTHY;
    buffer_append_format(room, "(a state that does not exist: \"%.*s\") %.*s", TEXT_FORMAT(record->state),
                         TEXT_FORMAT(record->details));
    ret->details = buffer_text(room);
}

static struct health_item *find(struct health *health, const struct health_item *wanted) {
    for (size_t i = 0; i < health->count; i++)
        if (memcmp(health->items[i].key, wanted->key, sizeof(wanted->key)) == 0)
            return &health->items[i];
    return NULL;
}

static void keep(struct health *health, uid_t user, const struct health_report *report, struct batch *batch) {
    struct health_item item = { .user = user, .time_ns = report->time_ns, .ttl_ns = report->ttl_ns };
    char value[HEALTH_VALUE_BYTES];
    make_key(&item, report->service, report->name);
    struct health_item *known = find(health, &item);
    if (known && known->time_ns > report->time_ns)
        return;
    int length = health_report_encode(report, value);
    check(length > 0); /* every text was cut to its limit */
    *(known ? known : make_room(health, user, batch)) = item;
    batch_put(batch, key_of(&item), (struct text) { value, (size_t)length });
}

void health_add(struct health *health, uid_t user, const struct origin *origin,
                const struct record_health_report *record, uint64_t time_ns, struct batch *batch) {
    struct buffer rooms[4] = { BUFFER_EMPTY };
    uint64_t now_ns = clock_real_ns(), ttl_ns = record->time_to_live_ns;
    struct text service = origin->service.length > 0 ? origin->service : TEXT_LITERAL("unknown");
    struct health_report report = {
        .service = clean(service, ENTRY_NAME_BYTES, &rooms[0]),
        .name = clean(record->name, HEALTH_NAME_BYTES, &rooms[1]),
        .details = record->details,
        .time_ns = time_ns < now_ns ? time_ns : now_ns,
        .ttl_ns = ttl_ns == 0                  ? HEALTH_TTL_DEFAULT_NS
                  : ttl_ns < HEALTH_TTL_MAX_NS ? ttl_ns
                                               : HEALTH_TTL_MAX_NS,
        .pid = origin->pid,
    };
    take_state(record, &rooms[2], &report);
    report.details = clean(report.details, HEALTH_DETAIL_BYTES, &rooms[3]);
    for (size_t i = 0; i < COUNT_OF(rooms); i++)
        batch->failed |= rooms[i].failed;
    if (!batch->failed)
        keep(health, user, &report, batch);
    for (size_t i = 0; i < COUNT_OF(rooms); i++)
        buffer_finish(&rooms[i]);
}
