#include "common/privacy/seal_entry.h"

#include <errno.h>

#define MESSAGE_NAME TEXT_LITERAL("f:message")
#define ERROR_NAME TEXT_LITERAL("f:error_details")

_Static_assert(sizeof(SEAL_MARK) - 1 + ((SEAL_MESSAGE_MAX + SEAL_OVERHEAD) * 4 + 2) / 3 <= ENTRY_MESSAGE_CHARACTERS,
               "a sealed message is a message");
_Static_assert(sizeof(SEAL_MARK) + 4 + ((SEAL_ERROR_MAX + SEAL_OVERHEAD) * 4 + 2) / 3 <= ENTRY_ERROR_BYTES,
               "sealed error details are error details");

/* The name that a value under `key` is sealed by; of error details themselves there is no key. */
static struct text name_of(struct buffer *name, struct text key) {
    if (key.length == 0)
        return ERROR_NAME;
    buffer_clear(name);
    buffer_append_string(name, "k:");
    buffer_append_text(name, key);
    return buffer_text(name);
}

/* --- sealing --- */

int entry_sealer_init(struct entry_sealer *sealer, const uint8_t public_key[SEAL_KEY_BYTES], struct seal_fields *fields,
                      struct error *error) {
    *sealer = (struct entry_sealer) { .now_ns = 0 };
    int result = sealer_init(&sealer->sealer, public_key, error);
    if (result < 0)
        return result;
    sealer->fields = *fields;
    *fields = (struct seal_fields) { .message = false };
    return 0;
}

void entry_sealer_finish(struct entry_sealer *sealer) {
    sealer_finish(&sealer->sealer);
    seal_fields_finish(&sealer->fields);
    buffer_finish(&sealer->message);
    buffer_finish(&sealer->metadata);
    buffer_finish(&sealer->error_details);
    buffer_finish(&sealer->value);
    buffer_finish(&sealer->name);
}

static bool seal_one(struct entry_sealer *sealer, struct text name, struct text plain) {
    buffer_clear(&sealer->value);
    bool sealed = sealer_seal(&sealer->sealer, sealer->now_ns, name, plain, &sealer->value) == 0;
    sealer->value.failed = false;
    sealer->failed |= !sealed;
    return sealed;
}

static bool edit_seal(void *context, struct text key, const struct pack_value *value, struct pack_writer *out) {
    struct entry_sealer *sealer = context;
    if (key.length == 0 || !redaction_hides(&sealer->fields.keys, key))
        return false;
    if (!out)
        return true;
    sealer->left_out += sealer->no_room;
    struct text name = name_of(&sealer->name, key);
    if (sealer->no_room || !seal_one(sealer, name, value->whole))
        pack_text(out, TEXT_LITERAL(REDACT_MARK)); /* rather than in clear */
    else
        pack_text(out, buffer_text(&sealer->value));
    return true;
}

/* The values under chosen keys; without room for them sealed they are left out. */
static int seal_values(struct entry_sealer *sealer, struct text *packed, size_t limit, struct buffer *out) {
    sealer->failed = sealer->no_room = false;
    int result = pack_edit(*packed, edit_seal, sealer, out);
    if (result == -E2BIG || (result == 1 && out->length > limit)) {
        sealer->no_room = true;
        result = pack_edit(*packed, edit_seal, sealer, out);
    }
    sealer->no_room = false;
    if (result < 0 || sealer->failed || sealer->name.failed)
        return -ENOMEM;
    if (result == 1)
        *packed = buffer_text(out);
    return result;
}

int entry_sealer_packed(struct entry_sealer *sealer, uint64_t now_ns, struct text *packed) {
    sealer->now_ns = now_ns;
    return seal_values(sealer, packed, ENTRY_METADATA_BYTES, &sealer->metadata);
}

/* The beginning and the end of a valid text, and how much is missing between them, in `limit` bytes at most. */
static struct text cut(struct text text, size_t limit, struct buffer *out) {
    enum { MARK_BYTES = 64 };
    size_t front = (limit - MARK_BYTES) / 2, back = text.length - front;
    if (text.length <= limit)
        return text;
    while (front > 0 && ((unsigned char)text.data[front] & 0xc0) == 0x80)
        front--;
    while (back < text.length && ((unsigned char)text.data[back] & 0xc0) == 0x80)
        back++;
    buffer_clear(out);
    buffer_append(out, text.data, front);
    buffer_append_format(out, " \xe2\x80\xa6[%zu bytes cut]\xe2\x80\xa6 ", back - front);
    buffer_append(out, text.data + back, text.length - back);
    return buffer_text(out);
}

static int seal_message(struct entry_sealer *sealer, struct text *message) {
    struct text plain = cut(*message, SEAL_MESSAGE_MAX, &sealer->message);
    if (sealer->message.failed || !seal_one(sealer, MESSAGE_NAME, plain))
        return -ENOMEM;
    buffer_clear(&sealer->message);
    buffer_append_text(&sealer->message, buffer_text(&sealer->value));
    *message = buffer_text(&sealer->message);
    return sealer->message.failed ? -ENOMEM : 0;
}

static int pack_into(struct buffer *out, struct text text) {
    buffer_clear(out);
    if (!buffer_reserve(out, text.length + 8))
        return -ENOMEM;
    struct pack_writer writer = { .data = out->data, .capacity = out->capacity };
    pack_text(&writer, text);
    out->length = writer.length;
    return 0;
}

static int seal_error_details(struct entry_sealer *sealer, struct text *details) {
    struct buffer *out = &sealer->error_details;
    struct text plain = *details;
    if (plain.length > SEAL_ERROR_MAX) { /* as JSON text, its end with it */
        buffer_clear(&sealer->value);
        buffer_clear(out);
        pack_append_json(&sealer->value, plain);
        struct text shorter = cut(buffer_text(&sealer->value), SEAL_ERROR_MAX - 8, out);
        if (sealer->value.failed || out->failed || pack_into(&sealer->name, shorter) < 0)
            return -ENOMEM;
        plain = buffer_text(&sealer->name);
    }
    if (!seal_one(sealer, ERROR_NAME, plain) || pack_into(out, buffer_text(&sealer->value)) < 0)
        return -ENOMEM;
    *details = buffer_text(out);
    return 0;
}

int entry_sealer_seal(struct entry_sealer *sealer, uint64_t now_ns, struct entry *entry) {
    const struct seal_fields *fields = &sealer->fields;
    int parts = 0, result = entry_sealer_packed(sealer, now_ns, &entry->metadata);
    if (result == 1)
        parts |= ENTRY_PART_METADATA;
    if (result >= 0 && fields->error_details && entry->error_details.length > 0) {
        result = seal_error_details(sealer, &entry->error_details);
        parts |= ENTRY_PART_ERROR_DETAILS;
    } else if (result >= 0) {
        result = seal_values(sealer, &entry->error_details, ENTRY_ERROR_BYTES, &sealer->error_details);
        parts |= result == 1 ? ENTRY_PART_ERROR_DETAILS : 0;
    }
    if (result >= 0 && fields->message) {
        result = seal_message(sealer, &entry->message);
        entry->templated = false;
        parts |= ENTRY_PART_MESSAGE;
    }
    return result < 0 ? -ENOMEM : parts;
}

/* --- opening --- */

int entry_opener_init(struct entry_opener *opener, const uint8_t secret_key[SEAL_KEY_BYTES], struct error *error) {
    *opener = (struct entry_opener) { .opened = 0 };
    return opener_init(&opener->opener, secret_key, error);
}

void entry_opener_finish(struct entry_opener *opener) {
    opener_finish(&opener->opener);
    buffer_finish(&opener->message);
    buffer_finish(&opener->metadata);
    buffer_finish(&opener->error_details);
    buffer_finish(&opener->value);
    buffer_finish(&opener->name);
}

/* Into `value`; true when it opened. */
static bool open_one(struct entry_opener *opener, struct text name, struct text sealed) {
    buffer_clear(&opener->value);
    int result = opener_open(&opener->opener, name, sealed, &opener->value);
    opener->failed |= result == -ENOMEM || opener->value.failed;
    opener->value.failed = false;
    opener->foreign += result == 0;
    opener->broken += result == -EINVAL;
    return result == 1;
}

/* Said alike with and without `out`, so that values are opened twice where there are some; that is rare enough. The first look ends at
 * the first that opens, so the second counts from where it began. */
static bool edit_open(void *context, struct text key, const struct pack_value *value, struct pack_writer *out) {
    struct entry_opener *opener = context;
    if (value->type != PACK_TEXT || !seal_is_sealed(value->text))
        return false;
    if (out && !opener->writing) {
        opener->writing = true;
        opener->foreign = opener->foreign_before;
        opener->broken = opener->broken_before;
    }
    bool opened =
        open_one(opener, name_of(&opener->name, key), value->text) && pack_check(buffer_text(&opener->value)) == 0;
    if (opened && out)
        pack_raw(out, buffer_text(&opener->value));
    return opened;
}

/* What was put in may have made it too deep, where somebody forged it: then it stays as it was. */
static int open_values(struct entry_opener *opener, struct text *packed, struct buffer *out) {
    opener->writing = false;
    opener->foreign_before = opener->foreign;
    opener->broken_before = opener->broken;
    int result = pack_edit(*packed, edit_open, opener, out);
    if (result == -ENOMEM || opener->failed || opener->name.failed)
        return -ENOMEM;
    if (result != 1)
        return 0;
    if (pack_check(buffer_text(out)) < 0) {
        opener->broken++;
        return 0;
    }
    opener->opened++;
    *packed = buffer_text(out);
    return 0;
}

static bool is_message(struct text text) {
    return text.length > 0 && text.length <= ENTRY_MESSAGE_BYTES && text_utf8_valid(text) &&
           !memchr(text.data, '\0', text.length);
}

static int open_message(struct entry_opener *opener, struct text *message) {
    if (!seal_is_sealed(*message) || !open_one(opener, MESSAGE_NAME, *message))
        return opener->failed ? -ENOMEM : 0;
    if (!is_message(buffer_text(&opener->value))) {
        opener->broken++;
        return 0;
    }
    opener->opened++;
    buffer_clear(&opener->message);
    buffer_append_text(&opener->message, buffer_text(&opener->value));
    *message = buffer_text(&opener->message);
    return opener->message.failed ? -ENOMEM : 0;
}

int entry_opener_open(struct entry_opener *opener, struct entry *entry) {
    opener->failed = false;
    int result = open_message(opener, &entry->message);
    if (result == 0)
        result = open_values(opener, &entry->metadata, &opener->metadata);
    if (result == 0)
        result = open_values(opener, &entry->error_details, &opener->error_details);
    return result;
}
