#include "collector/library_settings.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"

static_assert((int)CONFIG_REDACT_KEYS_MAX == (int)SETTINGS_REDACT_KEYS_MAX &&
                  (int)CONFIG_REDACT_KEY_BYTES == (int)SETTINGS_REDACT_KEY_BYTES,
              "what is accepted has room");

static uint32_t threshold_of(double share) {
    return share >= 1 ? SETTINGS_SAMPLING_ALL : (uint32_t)(share * (double)SETTINGS_SAMPLING_ALL);
}

void library_settings_make(const struct config *config, struct shared_settings *ret) {
    const struct config_collector *collector = &config->collector;
    settings_default(ret);
    ret->ring_size = config->ring.size;
    for (int level = 0; level < LEVEL_COUNT; level++)
        ret->sampling[level] = threshold_of(collector->sampling.shares[level]);
    ret->recorder_levels = collector->flight_recorder.levels;
    ret->recorder_keep_ns = ret->recorder_levels ? collector->flight_recorder.keep_ns : 0;
    ret->redact_count = (uint32_t)collector->redact.keys.count;
    for (uint32_t i = 0; i < ret->redact_count; i++) {
        size_t length = strlen(collector->redact.keys.items[i]);
        check(i < SETTINGS_REDACT_KEYS_MAX && length <= SETTINGS_REDACT_KEY_BYTES);
        memcpy(ret->redact_keys[i], collector->redact.keys.items[i], length);
    }
}

/* Where there is no file to go on from, clients may have read one that was lost: hardly with the same number. */
static uint64_t sequence_after(uint64_t before) {
    uint64_t next = before ? before + 1 : clock_real_ns() / CLOCK_SECOND;
    return next & 0xff ? next : next + 1;
}

int library_settings_tell(const char *runtime_dir, struct shared_settings *settings, struct error *error) {
    struct shared_settings there;
    settings_read(runtime_dir, &there);
    settings->sequence = there.sequence;
    if (there.sequence == 0 || memcmp(&there, settings, sizeof(there)) != 0)
        settings->sequence = sequence_after(there.sequence);
    int result = settings_write(runtime_dir, settings, error); /* also where it says the same: it may be damaged */
    if (result < 0)
        settings->sequence = there.sequence;
    return result;
}
