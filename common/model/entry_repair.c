/* entry_repair.c - an entry from outside is made valid, never lost: what does not fit goes where it can be seen.
 *
 * What is made anew goes into the caller's scratch buffer, whose room is claimed once at the start: from then on
 * it never moves, so that texts may lie in it while others are appended.
 */
#include <errno.h>

#include "common/base/check.h"
#include "common/model/entry.h"
#include "common/model/pack_priv.h"

enum {
    PART_BYTES = 24000,    /* of metadata or error details that were too large, this much of their text stays */
    MOVED_ID_BYTES = 1024, /* of an id that was too long */
    MOVED_MAX = 4,         /* three ids and the error details */
    LIST_BYTES = 2048,     /* the "repaired" list with what stood there before, at most */
    OLD_LIST_BYTES = 1024, /* of that, what stood there before */
    HEAD_BYTES = 16,       /* a msgpack head, or a key of ours, is shorter */
    MARK_CHARACTERS = 40,  /* what the mark in a cut message may take */
    JSON_FACTOR = 7,       /* no msgpack byte becomes more JSON bytes than this: 0x01 in a text, "false," */
};
_Static_assert(2 * PART_BYTES + 3 * MOVED_ID_BYTES + LIST_BYTES + 16 * HEAD_BYTES <= ENTRY_METADATA_BYTES,
               "what is kept in the worst case must fit");

#define ELLIPSIS "\xe2\x80\xa6"

/* A value on its way into the metadata; packed already. */
struct moved {
    const char *key;
    struct text packed;
};

struct repair {
    struct entry *entry;
    struct buffer *scratch;
    unsigned reasons;
    struct moved moved[MOVED_MAX];
    unsigned moved_count;
};

static struct text since(const struct repair *repair, size_t start) {
    return (struct text) { repair->scratch->data + start, repair->scratch->length - start };
}

/* --- room --- */

static size_t most_room(const struct entry *entry) {
    size_t texts = entry->service.length + entry->module.length + entry->operation.length + entry->message.length +
                   entry->trace_id.length + entry->span_id.length + entry->correlation_id.length;
    /* each text repaired (at most three times as long) and cut (at most as long as it is then); each packed part as
     * JSON; the parts kept, the moved ones; the new metadata twice */
    return 6 * texts + 8 * MARK_CHARACTERS * 4 +
           JSON_FACTOR * (entry->metadata.length + entry->error_details.length + HEAD_BYTES) +
           4 * (PART_BYTES + HEAD_BYTES) + 3 * (MOVED_ID_BYTES + HEAD_BYTES) +
           2 * (entry->metadata.length + entry->error_details.length + ENTRY_METADATA_BYTES + LIST_BYTES);
}

/* Texts of the entry may lie in scratch already: they move with it. */
static int claim_room(struct repair *repair) {
    struct buffer *scratch = repair->scratch;
    struct entry *entry = repair->entry;
    uintptr_t before = (uintptr_t)scratch->data, end = before + scratch->length;
    if (!buffer_reserve(scratch, most_room(entry)))
        return -ENOMEM;
    struct text *texts[] = { &entry->service,  &entry->module,       &entry->operation,      &entry->message,
                             &entry->trace_id, &entry->span_id,      &entry->correlation_id, &entry->metadata,
                             &entry->host,     &entry->error_details };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        uintptr_t at = (uintptr_t)texts[i]->data;
        if (at >= before && at < end)
            texts[i]->data = scratch->data + (at - before);
    }
    return 0;
}

/* --- texts --- */

static bool is_clean(struct text text) {
    return text_utf8_valid(text) && !(text.length > 0 && memchr(text.data, '\0', text.length));
}

static void repair_utf8(struct repair *repair, struct text *field) {
    if (is_clean(*field))
        return;
    struct buffer *scratch = repair->scratch;
    size_t start = scratch->length, kept = start;
    text_utf8_repair(*field, scratch);
    for (size_t i = start; i < scratch->length; i++)
        if (scratch->data[i] != '\0')
            scratch->data[kept++] = scratch->data[i];
    scratch->length = kept;
    *field = since(repair, start);
    repair->reasons |= ENTRY_REPAIR_UTF8;
}

/* The bytes of the first `characters` characters. */
static size_t head_bytes(struct text text, size_t characters) {
    size_t at = 0;
    for (; at < text.length; at++)
        if (((unsigned char)text.data[at] & 0xc0) != 0x80 && characters-- == 0)
            break;
    return at;
}

static size_t tail_bytes(struct text text, size_t characters) {
    size_t at = text.length;
    while (at > 0 && characters > 0)
        if (((unsigned char)text.data[--at] & 0xc0) != 0x80)
            characters--;
    return text.length - at;
}

/* Cut in the middle, so that the end (of a stack trace) stays, to at most `limit` characters with the mark. */
static void cut_characters(struct repair *repair, struct text *field, size_t limit) {
    size_t count = text_utf8_count(*field);
    if (count <= limit)
        return;
    bool name = limit < 4 * MARK_CHARACTERS; /* has room for an ellipsis only */
    size_t kept = limit - (name ? 1 : MARK_CHARACTERS);
    size_t front = head_bytes(*field, kept - kept / 2), back = tail_bytes(*field, kept / 2);
    struct buffer *scratch = repair->scratch;
    size_t start = scratch->length;
    buffer_append(scratch, field->data, front);
    if (name)
        buffer_append_string(scratch, ELLIPSIS);
    else
        buffer_append_format(scratch, " " ELLIPSIS "[%zu characters cut]" ELLIPSIS " ", count - kept);
    buffer_append(scratch, field->data + field->length - back, back);
    *field = since(repair, start);
    repair->reasons |= ENTRY_REPAIR_CUT;
}

static void repair_required(struct repair *repair, struct text *field, size_t limit, struct text when_empty) {
    repair_utf8(repair, field);
    cut_characters(repair, field, limit);
    if (field->length > 0)
        return;
    *field = when_empty;
    repair->reasons |= ENTRY_REPAIR_EMPTY;
}

/* --- packed parts --- */

/* A writer behind what scratch holds, into the room claimed; finish_packed makes its bytes scratch's. */
static struct pack_writer begin_packed(struct repair *repair) {
    struct buffer *scratch = repair->scratch;
    return (struct pack_writer) { .data = scratch->data + scratch->length,
                                  .capacity = scratch->capacity - scratch->length };
}

static struct text finish_packed(struct repair *repair, const struct pack_writer *writer) {
    check(!writer->failed);
    repair->scratch->length += writer->length;
    return (struct text) { writer->data, writer->length };
}

/* The valid `text` packed; of more than `limit` bytes its beginning and its end. */
static struct text pack_cut(struct repair *repair, struct text text, size_t limit) {
    struct pack_writer writer = begin_packed(repair);
    if (text.length <= limit) {
        pack_text(&writer, text);
        return finish_packed(repair, &writer);
    }
    size_t half = (limit - strlen(ELLIPSIS)) / 2, front = half, back = text.length - half;
    while (front > 0 && ((unsigned char)text.data[front] & 0xc0) == 0x80)
        front--;
    while (back < text.length && ((unsigned char)text.data[back] & 0xc0) == 0x80)
        back++;
    pack_text_head(&writer, front + strlen(ELLIPSIS) + text.length - back);
    pack_raw(&writer, (struct text) { text.data, front });
    pack_raw(&writer, TEXT_LITERAL(ELLIPSIS));
    pack_raw(&writer, (struct text) { text.data + back, text.length - back });
    return finish_packed(repair, &writer);
}

/* A value that is too large, as the text of its JSON, cut. */
static struct text pack_shortened(struct repair *repair, struct text packed) {
    size_t start = repair->scratch->length;
    pack_append_json(repair->scratch, packed);
    return pack_cut(repair, since(repair, start), PART_BYTES);
}

/* Bytes that are no msgpack: as text if they are text, else as binary, cut. */
static struct text pack_broken(struct repair *repair, struct text bytes) {
    if (text_utf8_valid(bytes))
        return pack_cut(repair, bytes, PART_BYTES);
    struct pack_writer writer = begin_packed(repair);
    pack_binary(&writer, (struct text) { bytes.data, bytes.length < PART_BYTES ? bytes.length : PART_BYTES });
    return finish_packed(repair, &writer);
}

/* Too large to stand beside others, or too deep to stand one level lower. */
static bool needs_shortening(struct text packed) {
    return packed.length > PART_BYTES + 4 * HEAD_BYTES ||
           !pack_skip(packed.data, packed.data + packed.length, PACK_DEPTH_MAX - 1);
}

/* {"metadata": value} */
static struct text pack_wrapped(struct repair *repair, struct text value) {
    struct pack_writer writer = begin_packed(repair);
    pack_map(&writer, 1);
    pack_text(&writer, TEXT_LITERAL("metadata"));
    pack_raw(&writer, value);
    return finish_packed(repair, &writer);
}

static void repair_id(struct repair *repair, struct text *field, const char *key) {
    repair_utf8(repair, field);
    if (field->length <= ENTRY_TRACE_BYTES)
        return;
    repair->moved[repair->moved_count++] = (struct moved) { key, pack_cut(repair, *field, MOVED_ID_BYTES) };
    *field = TEXT_EMPTY;
    repair->reasons |= ENTRY_REPAIR_ID;
}

static void repair_metadata(struct repair *repair) {
    struct text *metadata = &repair->entry->metadata;
    if (metadata->length == 0)
        return;
    bool packed = pack_check(*metadata) == 0;
    if (packed && pack_is_map(*metadata) && metadata->length <= ENTRY_METADATA_BYTES)
        return;
    repair->reasons |= ENTRY_REPAIR_METADATA;
    if (!packed)
        *metadata = pack_wrapped(repair, pack_broken(repair, *metadata));
    else if (needs_shortening(*metadata))
        *metadata = pack_wrapped(repair, pack_shortened(repair, *metadata));
    else
        *metadata = pack_wrapped(repair, *metadata);
}

static void repair_error_details(struct repair *repair) {
    struct entry *entry = repair->entry;
    if (entry->error_details.length == 0)
        return;
    if (pack_check(entry->error_details) < 0) {
        entry->error_details = pack_broken(repair, entry->error_details);
        repair->reasons |= ENTRY_REPAIR_METADATA;
    } else if (entry->error_details.length > ENTRY_ERROR_BYTES) {
        entry->error_details = pack_shortened(repair, entry->error_details);
        repair->reasons |= ENTRY_REPAIR_METADATA;
    }
    if (entry->level >= LEVEL_ERROR)
        return;
    if (!pack_skip(entry->error_details.data, entry->error_details.data + entry->error_details.length,
                   PACK_DEPTH_MAX - 1))
        entry->error_details = pack_shortened(repair, entry->error_details);
    repair->moved[repair->moved_count++] = (struct moved) { "error_details", entry->error_details };
    entry->error_details = TEXT_EMPTY;
    repair->reasons |= ENTRY_REPAIR_ERROR_DETAILS;
}

/* --- the new metadata --- */

/* Whether ours in `reasons` names it, so that a list that was there already is not repeated. */
static bool is_named(unsigned reasons, const struct pack_value *value) {
    for (unsigned bit = 1; bit < 1u << ENTRY_REPAIR_REASON_COUNT; bit <<= 1)
        if (reasons & bit && value->type == PACK_TEXT && text_is(value->text, entry_repair_reason_name(bit)))
            return true;
    return false;
}

/* "repaired": [...]: the reasons, behind what a list of an earlier hand (or a value of the app's own) says. */
static void pack_list(struct pack_writer *writer, unsigned reasons, struct text metadata) {
    struct pack_value old, item;
    pack_text(writer, TEXT_LITERAL("repaired"));
    size_t open = pack_open(writer);
    uint32_t count = 0;
    if (pack_find(metadata, TEXT_LITERAL("repaired"), &old) && old.whole.length <= OLD_LIST_BYTES &&
        pack_skip(old.whole.data, old.whole.data + old.whole.length, PACK_DEPTH_MAX - 2)) {
        struct pack_reader reader = { old.whole.data, old.whole.data + old.whole.length };
        uint32_t items = old.type == PACK_ARRAY ? old.count : 1;
        if (old.type == PACK_ARRAY)
            pack_next(&reader, &old);
        for (; items > 0 && pack_next(&reader, &item) == 1; items--) {
            reader.at = item.whole.data + item.whole.length;
            if (!is_named(reasons, &item)) {
                pack_raw(writer, item.whole);
                count++;
            }
        }
    }
    for (unsigned bit = 1; bit < 1u << ENTRY_REPAIR_REASON_COUNT; bit <<= 1)
        if (reasons & bit) {
            pack_text(writer, text_of(entry_repair_reason_name(bit)));
            count++;
        }
    pack_close(writer, open, false, count);
}

/* The pairs of a checked map, without "repaired". */
static uint32_t copy_pairs(struct pack_writer *writer, struct text metadata) {
    if (metadata.length == 0)
        return 0;
    struct pack_reader reader = { metadata.data, metadata.data + metadata.length };
    struct pack_value map, key, value;
    uint32_t copied = 0;
    check(pack_next(&reader, &map) == 1 && map.type == PACK_MAP);
    for (uint32_t i = 0; i < map.count; i++) {
        check(pack_next(&reader, &key) == 1 && pack_next(&reader, &value) == 1);
        reader.at = value.whole.data + value.whole.length;
        if (text_is(key.text, "repaired"))
            continue;
        pack_raw(writer, key.whole);
        pack_raw(writer, value.whole);
        copied++;
    }
    return copied;
}

/* A moved value does not push out a key the app has set itself. */
static void pack_moved(struct pack_writer *writer, const struct moved *moved, struct text metadata) {
    char key[64] = "repaired_";
    struct pack_value present;
    strcat(key, moved->key);
    pack_text(writer, text_of(pack_find(metadata, text_of(moved->key), &present) ? key : moved->key));
    pack_raw(writer, moved->packed);
}

static struct text build_metadata(struct repair *repair, struct text metadata, unsigned reasons) {
    struct pack_writer writer = begin_packed(repair);
    size_t open = pack_open(&writer);
    uint32_t count = copy_pairs(&writer, metadata);
    for (unsigned i = 0; i < repair->moved_count; i++, count++)
        pack_moved(&writer, &repair->moved[i], metadata);
    pack_list(&writer, reasons, metadata);
    pack_close(&writer, open, true, count + 1);
    return finish_packed(repair, &writer);
}

static void renew_metadata(struct repair *repair, unsigned already) {
    struct entry *entry = repair->entry;
    struct text built = build_metadata(repair, entry->metadata, repair->reasons | already);
    if (built.length > ENTRY_METADATA_BYTES) {
        repair->reasons |= ENTRY_REPAIR_METADATA;
        for (unsigned i = 0; i < repair->moved_count; i++)
            if (needs_shortening(repair->moved[i].packed))
                repair->moved[i].packed = pack_shortened(repair, repair->moved[i].packed);
        if (entry->metadata.length > PART_BYTES + 4 * HEAD_BYTES)
            entry->metadata = pack_wrapped(repair, pack_shortened(repair, entry->metadata));
        built = build_metadata(repair, entry->metadata, repair->reasons | already);
        check(built.length <= ENTRY_METADATA_BYTES);
    }
    entry->metadata = built;
}

/* --- all of it --- */

int entry_repair(struct entry *entry, unsigned already, struct buffer *scratch) {
    already &= (1u << ENTRY_REPAIR_REASON_COUNT) - 1;
    if (already == 0 && entry_validate(entry, NULL) == 0)
        return 0;
    struct repair repair = { .entry = entry, .scratch = scratch };
    int rc = claim_room(&repair);
    if (rc < 0)
        return rc;
    const char *room = scratch->data;
    if ((unsigned)entry->level >= LEVEL_COUNT) {
        entry->level = LEVEL_INFO;
        repair.reasons |= ENTRY_REPAIR_LEVEL;
    }
    repair_required(&repair, &entry->service, ENTRY_NAME_CHARACTERS, TEXT_LITERAL("unknown"));
    repair_required(&repair, &entry->module, ENTRY_NAME_CHARACTERS, TEXT_LITERAL("unknown"));
    repair_required(&repair, &entry->operation, ENTRY_NAME_CHARACTERS, TEXT_LITERAL("unknown"));
    struct text message = entry->message;
    repair_required(&repair, &entry->message, ENTRY_MESSAGE_CHARACTERS, TEXT_LITERAL("(empty)"));
    if (message.data != entry->message.data || message.length != entry->message.length)
        entry->templated = false;
    repair_id(&repair, &entry->trace_id, "trace_id");
    repair_id(&repair, &entry->span_id, "span_id");
    repair_id(&repair, &entry->correlation_id, "correlation_id");
    repair_metadata(&repair);
    repair_error_details(&repair);
    renew_metadata(&repair, already);
    check(scratch->data == room && !scratch->failed);
    return (int)(repair.reasons | already);
}
