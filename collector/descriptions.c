#include "collector/descriptions.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/fold.h"
#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/store/state_keys.h"

enum { VERSION = 1, HEAD = 8, TEXTS = 4, BUCKETS_FIRST = 64, COST = 256 };

struct description {
    struct description *next, *next_unsafe;
    uint64_t hash;
    uint32_t id;
    uid_t user;
    bool is_unsafe;
    struct metric_definition
        known; /* no labels; each text has memory of its own, which never moves: series borrow it */
};

static void texts_of(struct metric_definition *definition, struct text *ret[TEXTS]) {
    ret[0] = &definition->name;
    ret[1] = &definition->unit;
    ret[2] = &definition->help;
    ret[3] = &definition->bounds;
}

static void description_destroy(struct description *description) {
    struct text *texts[TEXTS];
    texts_of(&description->known, texts);
    for (size_t i = 0; i < TEXTS; i++)
        if (texts[i]->length > 0)
            free((void *)(uintptr_t)texts[i]->data);
    free(description);
}

void descriptions_finish(struct descriptions *descriptions) {
    for (size_t i = 0; i < descriptions->bucket_count; i++)
        for (struct description *description = descriptions->buckets[i], *next; description; description = next) {
            next = description->next;
            description_destroy(description);
        }
    free(descriptions->buckets);
    *descriptions = (struct descriptions) { 0 };
}

/* --- the table --- */

static uint64_t hash_of(const struct fold *fold, const struct metric_definition *definition) {
    return hash_bytes_seeded(definition->name.data, definition->name.length,
                             fold->table.seed ^ ((uint64_t)definition->kind << 8 | (uint64_t)definition->naming));
}

static struct description *find(const struct descriptions *descriptions, const struct metric_definition *definition,
                                uint64_t hash) {
    struct description *description =
        descriptions->bucket_count ? descriptions->buckets[hash & (descriptions->bucket_count - 1)] : NULL;
    while (description &&
           (description->hash != hash || description->known.kind != definition->kind ||
            description->known.naming != definition->naming || !text_equal(description->known.name, definition->name)))
        description = description->next;
    return description;
}

static bool table_room(struct descriptions *descriptions) {
    if (descriptions->count < descriptions->bucket_count)
        return true;
    size_t wanted = descriptions->bucket_count ? descriptions->bucket_count * 2 : BUCKETS_FIRST;
    struct description **buckets = calloc(wanted, sizeof(struct description *));
    if (!buckets)
        return false;
    for (size_t i = 0; i < descriptions->bucket_count; i++)
        for (struct description *description = descriptions->buckets[i], *next; description; description = next) {
            next = description->next;
            description->next = buckets[description->hash & (wanted - 1)];
            buckets[description->hash & (wanted - 1)] = description;
        }
    free(descriptions->buckets);
    descriptions->buckets = buckets;
    descriptions->bucket_count = wanted;
    return true;
}

static bool keep_text(struct text *at, struct text text) {
    char *copy = text.length > 0 ? malloc(text.length) : NULL;
    if (text.length == 0)
        return true;
    if (!copy)
        return false;
    memcpy(copy, text.data, text.length);
    *at = (struct text) { copy, text.length };
    return true;
}

/* A new one, that knows nothing yet. id 0: the next. */
static struct description *add(struct fold *fold, const struct metric_definition *definition, uint32_t id, uid_t user) {
    struct descriptions *descriptions = &fold->descriptions;
    struct description *description = table_room(descriptions) ? calloc(1, sizeof(*description)) : NULL;
    if (!description)
        return NULL;
    description->known = (struct metric_definition) { .kind = definition->kind, .naming = definition->naming };
    if (!keep_text(&description->known.name, definition->name)) {
        free(description);
        return NULL;
    }
    description->hash = hash_of(fold, definition);
    description->user = user;
    description->id = id ? id : descriptions->next_id + 1;
    if (description->id > descriptions->next_id)
        descriptions->next_id = description->id;
    struct description **bucket = &descriptions->buckets[description->hash & (descriptions->bucket_count - 1)];
    description->next = *bucket;
    *bucket = description;
    descriptions->count++;
    return description;
}

/* --- what is known --- */

/* What `more` has and `known` lacks, in bytes; 0: nothing. */
static size_t more_in(struct metric_definition known, struct metric_definition more) {
    struct text *have[TEXTS], *given[TEXTS];
    size_t bytes = 0;
    texts_of(&known, have);
    texts_of(&more, given);
    for (size_t i = 1; i < TEXTS; i++)
        bytes += have[i]->length == 0 ? given[i]->length : 0;
    return bytes;
}

bool description_is_news(const struct series *series, const struct metric_definition *definition) {
    return more_in(series->definition, *definition) > 0;
}

static bool learn(struct descriptions *descriptions, struct description *description, struct metric_definition more) {
    struct text *have[TEXTS], *given[TEXTS];
    texts_of(&description->known, have);
    texts_of(&more, given);
    for (size_t i = 1; i < TEXTS; i++)
        if (have[i]->length == 0 && !keep_text(have[i], *given[i]))
            return false;
    descriptions->version++;
    return true;
}

static void make_unsafe(struct descriptions *descriptions, struct description *description) {
    if (description->is_unsafe)
        return;
    description->is_unsafe = true;
    description->next_unsafe = descriptions->unsafe;
    descriptions->unsafe = description;
}

static int judge(const struct metric_definition *definition, struct error *error) {
    int result = metric_definition_check(definition, error);
    if (result == 0 && definition->bounds.length > 0 && !metric_kind_is_histogram(definition->kind))
        result = error_set(error, -EINVAL, "bounds are for histograms and timers; it is a %s",
                           metric_kind_name(definition->kind));
    return result;
}

void fold_describe(struct fold *fold, const struct metric_definition *given, struct batch *batch) {
    struct metric_definition bare = *given;
    struct error error = { "" };
    bare.labels = TEXT_EMPTY;
    bare.combine = METRIC_COMBINE_LAST;
    if (metric_kind_is_valid(given->kind))
        bare.name = metric_name_bare(given->kind, given->name);
    if (judge(&bare, &error) < 0) {
        fold_refuse(fold, FOLD_REFUSED_INVALID, bare.name, &error);
        return;
    }
    struct description *description = find(&fold->descriptions, &bare, hash_of(fold, &bare));
    struct metric_definition nothing = { 0 };
    size_t more = more_in(description ? description->known : nothing, bare);
    int share = shares_of(&fold->shares, fold->user);
    if (more == 0)
        return;
    more += description ? 0 : COST + bare.name.length;
    if (share >= 0 && shares_take(&fold->shares, share, 0, more, &error) < 0) {
        fold_refuse(fold, FOLD_REFUSED_LIMIT, bare.name, &error);
        return;
    }
    if (share >= 0 && !description)
        description = add(fold, &bare, 0, fold->user);
    if (share < 0 || !description || !learn(&fold->descriptions, description, bare)) {
        batch->failed = true;
        return;
    }
    make_unsafe(&fold->descriptions, description);
}

bool description_complete(const struct fold *fold, struct metric_definition *definition) {
    const struct description *description = find(&fold->descriptions, definition, hash_of(fold, definition));
    if (!description || more_in(*definition, description->known) == 0)
        return false;
    struct metric_definition known = description->known;
    struct text *have[TEXTS], *given[TEXTS];
    texts_of(definition, have);
    texts_of(&known, given);
    for (size_t i = 1; i < TEXTS; i++)
        if (have[i]->length == 0)
            *have[i] = *given[i];
    return true;
}

/* --- in the state --- */

static void encode(const struct description *description, struct buffer *out) {
    struct metric_definition known = description->known;
    char head[HEAD] = { VERSION, (char)known.kind, (char)known.naming, 0 };
    struct text *texts[TEXTS];
    for (int i = 0; i < 4; i++)
        head[4 + i] = (char)(description->user >> (8 * i) & 0xff);
    buffer_append(out, head, sizeof(head));
    texts_of(&known, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        char length[2] = { (char)(texts[i]->length & 0xff), (char)(texts[i]->length >> 8) };
        buffer_append(out, length, sizeof(length));
        buffer_append_text(out, *texts[i]);
    }
}

static uint32_t u32_get(const char *in) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(uint8_t)in[i] << (8 * i);
    return value;
}

static bool decode(struct text bytes, struct metric_definition *ret, uid_t *ret_user) {
    struct text *texts[TEXTS];
    if (bytes.length < HEAD || bytes.data[0] != VERSION)
        return false;
    *ret = (struct metric_definition) { .kind = (enum metric_kind)(uint8_t)bytes.data[1],
                                        .naming = (enum metric_naming)(uint8_t)bytes.data[2] };
    *ret_user = u32_get(bytes.data + 4);
    const char *at = bytes.data + HEAD, *end = bytes.data + bytes.length;
    texts_of(ret, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        if (end - at < 2)
            return false;
        size_t length = (uint8_t)at[0] | (size_t)(uint8_t)at[1] << 8;
        at += 2;
        if ((size_t)(end - at) < length)
            return false;
        *texts[i] = (struct text) { at, length };
        at += length;
    }
    return at == end && metric_definition_check(ret, NULL) == 0;
}

void descriptions_put(struct fold *fold, struct batch *batch) {
    struct description *description = fold->descriptions.unsafe;
    for (; description && !batch->failed; description = description->next_unsafe) {
        struct state_key key;
        series_key(&key, STATE_DESCRIPTION, description->id);
        buffer_clear(&fold->scratch);
        encode(description, &fold->scratch);
        batch_put(batch, state_key_text(&key), buffer_text(&fold->scratch));
        batch->failed |= fold->scratch.failed;
        fold->scratch.failed = false;
    }
}

void descriptions_settle(struct descriptions *descriptions) {
    for (struct description *description = descriptions->unsafe; description; description = description->next_unsafe)
        description->is_unsafe = false;
    descriptions->unsafe = NULL;
}

struct loading {
    struct fold *fold;
    size_t bad;
};

static int load_one(void *argument, struct text key, struct text value) {
    struct loading *loading = argument;
    struct fold *fold = loading->fold;
    struct metric_definition definition;
    uid_t user = 0;
    bool sound = key.length == sizeof(STATE_DESCRIPTION) - 1 + 4 && decode(value, &definition, &user);
    uint32_t id = sound ? u32_get(key.data + key.length - 4) : 0;
    if (id == 0 || find(&fold->descriptions, &definition, hash_of(fold, &definition))) {
        loading->bad++;
        return 0;
    }
    struct description *description = add(fold, &definition, id, user);
    int share = shares_of(&fold->shares, user);
    if (!description || share < 0 || !learn(&fold->descriptions, description, definition))
        return -ENOMEM;
    struct metric_definition nothing = { 0 };
    shares_note(&fold->shares, share, 0, COST + definition.name.length + more_in(nothing, definition));
    return 0;
}

int descriptions_load(struct fold *fold, size_t *ret_bad) {
    struct loading loading = { fold, 0 };
    int result = state_map_walk(fold->state, TEXT_LITERAL(STATE_DESCRIPTION), load_one, &loading);
    *ret_bad += loading.bad;
    return result;
}
