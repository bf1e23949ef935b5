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

static struct client_settings *settings_create(const struct shared_settings *shared) {
    struct client_settings *settings = calloc(1, sizeof(*settings));
    if (!settings)
        return NULL;
    settings->sequence = shared->sequence;
    settings->recorder_keep_ns = shared->recorder_keep_ns;
    settings->recorder_levels = shared->recorder_levels;
    memcpy(settings->sampling, shared->sampling, sizeof(settings->sampling));
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
        if (level < store ||
            (settings && (settings->recorder_levels >> level & 1 || settings->sampling[level] != SETTINGS_SAMPLING_ALL)))
            special |= 1U << level;
    return special;
}

/* Whether what was read is what the control word speaks of; 0 there: nobody has told yet. */
static bool is_current(const struct client_settings *settings, uint32_t control) {
    uint32_t told = (control & SLOT_CONTROL_SETTINGS_MASK) >> SLOT_CONTROL_SETTINGS_SHIFT;
    return settings && (told == 0 || told == (settings->sequence & 0xff));
}

void client_settings_follow(struct tf_client *client) {
    int saved_errno = errno;
    registry_lock();
    uint32_t control = __atomic_load_n(client->head.control, __ATOMIC_RELAXED);
    const struct client_settings *settings = atomic_load(&client->settings);
    if (client->session && !is_current(settings, control)) {
        struct shared_settings shared;
        settings_read(client->runtime_dir, &shared);
        struct client_settings *fresh = settings_create(&shared);
        if (fresh) {
            fresh->older = (struct client_settings *)settings;
            atomic_store(&client->settings, fresh);
            settings = fresh;
            if (fresh->recorder_levels == 0)
                threads_shed_recorders(client);
        }
    }
    atomic_store(&client->special, special_levels(client, settings, control));
    atomic_store(&client->seen_control, control_rest(control));
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
