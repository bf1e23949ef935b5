/* settings.c - what the configuration wants of the library (RUNTIME_DIR/settings), and when to look again. */
#include "agent/client/client_internal.h"

#include <stdlib.h>

static void copy_keys(const struct shared_settings *shared, struct client_settings *settings) {
    for (uint32_t i = 0; i < shared->redact_count && i < SETTINGS_REDACT_KEYS_MAX; i++) {
        memcpy(settings->redact_keys[i], shared->redact_keys[i], SETTINGS_REDACT_KEY_SIZE);
        settings->redact_keys[i][SETTINGS_REDACT_KEY_SIZE - 1] = '\0';
        redaction_add(&settings->redaction, text_of(settings->redact_keys[i]));
    }
}

/* Whether what was read has the number that the control word speaks of; 0 there: nobody has told yet. */
static bool has_number(uint64_t sequence, uint32_t control) {
    uint32_t told = (control & SLOT_CONTROL_SETTINGS_MASK) >> SLOT_CONTROL_SETTINGS_SHIFT;
    return told == 0 || told == (sequence & 0xff);
}

/* The share behind a threshold, with the digits that people give. */
static double share_of(uint32_t threshold) {
    double share = threshold / 0x1p32, rounded = (double)(uint32_t)(share * 1e6 + 0.5) / 1e6;
    return rounded >= 0.001 ? rounded : share;
}

static struct client_settings *settings_create(const struct shared_settings *shared) {
    struct client_settings *settings = calloc(1, sizeof(*settings));
    if (!settings)
        return NULL;
    settings->sequence = shared->sequence;
    settings->recorder_keep_ns = shared->recorder_keep_ns;
    settings->recorder_levels = shared->recorder_levels;
    memcpy(settings->sampling, shared->sampling, sizeof(settings->sampling));
    for (int level = 0; level < LEVEL_COUNT; level++)
        if (shared->sampling[level] != SETTINGS_SAMPLING_ALL)
            settings->shares[level] = share_of(shared->sampling[level]);
    copy_keys(shared, settings);
    return settings;
}

/* The levels whose entries need a closer look than the quick way takes. */
static uint32_t special_levels(const struct tf_client *client, const struct client_settings *settings,
                               uint32_t control) {
    uint32_t special = 0, store = (control & SLOT_CONTROL_STORE_MASK) >> SLOT_CONTROL_STORE_SHIFT;
    if (client->site_rate > 0 || client->repeat_ns > 0)
        return UINT32_MAX;
    for (uint32_t level = 0; level < LEVEL_COUNT; level++)
        if (level < store || (settings && (settings->recorder_levels >> level & 1 ||
                                           settings->sampling[level] != SETTINGS_SAMPLING_ALL)))
            special |= 1U << level;
    return special;
}

static bool is_current(const struct client_settings *settings, uint32_t control) {
    return settings && has_number(settings->sequence, control);
}

/* What stands in the file now, unless it is what we have. It was read a moment ago where the ring was just attached. */
static const struct client_settings *read_anew(struct tf_client *client, const struct client_settings *settings) {
    struct attachment *attachment = client->session ? client->session->attachment : NULL;
    struct shared_settings shared;
    if (attachment && attachment->fresh)
        shared = attachment->ring.settings;
    else
        settings_read(client->runtime_dir, &shared);
    if (attachment)
        attachment->fresh = false;
    struct client_settings *fresh = settings && settings->sequence == shared.sequence ? NULL : settings_create(&shared);
    if (!fresh)
        return settings;
    fresh->older = (struct client_settings *)settings;
    atomic_store(&client->settings, fresh);
    if (fresh->recorder_levels == 0)
        threads_shed_recorders(client);
    return fresh;
}

void client_settings_take(struct tf_client *client, bool anew) {
    uint32_t control = __atomic_load_n(client->head.control, __ATOMIC_RELAXED);
    const struct client_settings *settings = atomic_load(&client->settings);
    if (anew || (client->session && !is_current(settings, control)))
        settings = read_anew(client, settings);
    atomic_store(&client->special, special_levels(client, settings, control));
    atomic_store(&client->seen_control, control_rest(control));
}

void client_settings_follow(struct tf_client *client) {
    int saved_errno = errno;
    registry_lock();
    client_settings_take(client, false);
    registry_unlock();
    errno = saved_errno;
}

void client_settings_free(struct tf_client *client) {
    struct client_settings *settings = (struct client_settings *)atomic_load(&client->settings), *older;
    for (; settings; settings = older) {
        older = settings->older;
        free(settings);
    }
}
