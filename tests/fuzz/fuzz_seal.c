/* What is sealed comes out of stores and files: a message, metadata and error details to be opened, a key's file, and what the state has of
 * repeats. The secret key is a known one, so that corpora may hold what opens. */
#include "collector/dedup_record.h"
#include "common/base/check.h"
#include "common/model/pack.h"
#include "common/privacy/seal_entry.h"
#include "common/privacy/seal_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_entry(struct text bytes) {
    static const uint8_t secret[SEAL_KEY_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct entry_opener opener;
    struct entry entry = { .message = bytes };
    check(entry_opener_init(&opener, secret, NULL) == 0);
    if (bytes.length > 0 && pack_check(bytes) == 0)
        entry.metadata = entry.error_details = bytes;
    check(entry_opener_open(&opener, &entry) == 0);
    check(entry.metadata.length == 0 || pack_check(entry.metadata) == 0);
    check(entry.error_details.length == 0 || pack_check(entry.error_details) == 0);
    entry_opener_finish(&opener);
}

static void tell_repeats(struct text bytes) {
    struct batch batch = BATCH_EMPTY;
    struct dedup_told told;
    struct text record;
    struct entry entry;
    if (dedup_record_read(bytes, &told, &record) && dedup_record_tell(&told, record, &batch, &entry))
        batch_add(&batch, &entry);
    batch_finish(&batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text bytes = { (const char *)data, size };
    uint8_t key[SEAL_KEY_BYTES];
    seal_key_parse(SEAL_KEY_PUBLIC, bytes, key, NULL);
    seal_key_parse(SEAL_KEY_SECRET, bytes, key, NULL);
    open_entry(bytes);
    tell_repeats(bytes);
    return 0;
}
