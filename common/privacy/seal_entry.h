/* seal_entry.h - an entry's chosen parts sealed, and opened again. What a sealed value's text is, says seal.h; its name is "k:" and the key it
 * stands under, "f:message" or "f:error_details". What was sealed of metadata is the value's msgpack, so it comes back as it was. */
#ifndef TASKFORGE_COMMON_PRIVACY_SEAL_ENTRY_H
#define TASKFORGE_COMMON_PRIVACY_SEAL_ENTRY_H

#include "common/privacy/redact_patterns.h"
#include "common/privacy/seal.h"
#include "common/privacy/seal_fields.h"

enum {
    SEAL_MESSAGE_MAX =
        7300, /* bytes of a message that is sealed: its text has to fit into one; a longer one is cut in its middle */
    SEAL_ERROR_MAX = 48000, /* the same of error details, as JSON text when they are longer */
};

struct entry_sealer {
    struct sealer sealer;
    struct seal_fields fields;
    uint64_t now_ns;
    uint64_t left_out; /* values that found no room sealed, and became "[redacted]" */
    bool no_room;      /* while such an entry is made anew */
    bool failed;       /* out of memory, in the middle of an edit */
    struct buffer message, metadata, error_details, value, name;
};

/* Both of these become the sealer's own; the fields are empty then. */
int entry_sealer_init(struct entry_sealer *sealer, const uint8_t public_key[SEAL_KEY_BYTES], struct seal_fields *fields,
                      struct error *error);
void entry_sealer_finish(struct entry_sealer *sealer);

/* Seal what is chosen of a valid entry, which stays valid: the parts that changed (ENTRY_PART_...), whose bytes are borrowed until the next
 * call; -ENOMEM, and then the entry must not be used. */
int entry_sealer_seal(struct entry_sealer *sealer, uint64_t now_ns, struct entry *entry);

/* One packed map, of a span: 1, 0, -ENOMEM. */
int entry_sealer_packed(struct entry_sealer *sealer, uint64_t now_ns, struct text *packed);

struct entry_opener {
    struct opener opener;
    uint64_t opened, foreign, broken; /* parts that opened; values sealed to another key; changed, or never sealed */
    uint64_t foreign_before, broken_before;
    bool writing, failed;
    struct buffer message, metadata, error_details, value, name;
};

int entry_opener_init(struct entry_opener *opener, const uint8_t secret_key[SEAL_KEY_BYTES], struct error *error);
void entry_opener_finish(struct entry_opener *opener);

/* Open what can be opened; the rest stays as it is, and is counted. -ENOMEM; bytes as above. */
int entry_opener_open(struct entry_opener *opener, struct entry *entry);

#endif
