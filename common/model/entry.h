/* entry.h - the log entry: every field of CONTRACT.md section 3, its limits, validation and repair.
 *
 * A struct entry borrows all its bytes. Metadata and error details are msgpack (pack.h); an absent optional
 * field is the empty text, or the zero UUID.
 */
#ifndef TASKFORGE_COMMON_MODEL_ENTRY_H
#define TASKFORGE_COMMON_MODEL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/text.h"
#include "common/model/level.h"

enum {
    ENTRY_NAME_CHARACTERS = 100,      /* service, module, operation: 1 to this */
    ENTRY_NAME_BYTES = 400,           /* the same in bytes, UTF-8's worst case */
    ENTRY_MESSAGE_CHARACTERS = 10000, /* 1 to this */
    ENTRY_MESSAGE_BYTES = 40000,
    ENTRY_TRACE_BYTES = 128,      /* trace_id, span_id, correlation_id: at most, in bytes */
    ENTRY_METADATA_BYTES = 65536, /* as msgpack, and as the JSON text it came from */
    ENTRY_ERROR_BYTES = 65536,
    ENTRY_HOST_BYTES = 255,
    ENTRY_ARGUMENTS_MAX = 32,
};

/* A message that begins so is sealed, and its text means nothing to anybody without the key (common/privacy/seal.h). */
#define ENTRY_SEALED_MARK "sealed:1:"

/* A key of metadata: of an entry that was kept by sampling, the share that is kept. */
#define ENTRY_SAMPLE_SHARE "sample_share"
/* Keys of metadata of an entry that stands for `repeated` more like the one before, stored in its place between these times (collector.dedup). */
#define ENTRY_REPEATED "repeated"
#define ENTRY_REPEATED_FIRST "repeated_first"
#define ENTRY_REPEATED_LAST "repeated_last"

/* How many entries there were for this one, by that: 1, mostly. Of metadata as an app may have written it: nothing above ENTRY_WEIGHT_MAX. */
#define ENTRY_WEIGHT_MAX 1e9
double entry_weight(struct text metadata);

struct entry_argument { /* a part of the message, in bytes */
    uint16_t begin, length;
};

struct entry {
    struct uuid id;
    uint64_t timestamp_ns; /* real */
    enum level level;
    struct text service;
    struct text module;
    struct text operation;
    struct text message;
    struct text trace_id;        /* optional */
    struct text span_id;         /* optional */
    struct text correlation_id;  /* optional */
    struct uuid user_id;         /* optional */
    struct uuid organization_id; /* optional */
    struct text metadata;        /* one msgpack map; empty means {} */
    struct text error_details;   /* one msgpack value; empty means absent; levels error and critical only */
    struct text host;            /* added by the collector */
    uint32_t pid;                /* added by the collector */
    /* Of a call site's message: where its arguments stand, ascending and apart from each other, so that the store knows the statement. Without
     * `templated` the store finds them by itself. Whoever changes the message clears it (entry_repair does). */
    bool templated;
    uint8_t argument_count;
    const struct entry_argument *arguments; /* ENTRY_ARGUMENTS_MAX at most */
};

/* Whether every rule of section 3 holds (host and pid are not judged). -EINVAL and "service must be 1 to 100
 * characters, is 0: ..." (the field, the rule and what it was) otherwise. Never allocates. */
int entry_validate(const struct entry *entry, struct error *error);

/* What entry_repair did; bits, so that inputs can count by reason. */
enum entry_repair_reason {
    ENTRY_REPAIR_UTF8 = 1 << 0,  /* U+FFFD for bad bytes, or NUL taken out */
    ENTRY_REPAIR_CUT = 1 << 1,   /* a text was too long: cut in the middle, with a mark */
    ENTRY_REPAIR_EMPTY = 1 << 2, /* a required text was empty: service/module/operation "unknown", message "(empty)" */
    ENTRY_REPAIR_METADATA = 1 << 3,      /* metadata or error details were no msgpack, no map, or too large: replaced */
    ENTRY_REPAIR_ID = 1 << 4,            /* trace, span or correlation id too long, or a bad UUID: moved to metadata */
    ENTRY_REPAIR_LEVEL = 1 << 5,         /* set by inputs: the level was unknown, info was taken */
    ENTRY_REPAIR_ERROR_DETAILS = 1 << 6, /* details on a level below error: moved to metadata "error_details" */
    ENTRY_REPAIR_JSON = 1 << 7,          /* set by inputs: the line was not the JSON it should be, taken as text */
};
enum { ENTRY_REPAIR_REASON_COUNT = 8 };

/* The name of one reason bit as it stands in metrics and in metadata "repaired": "utf8" "cut" "empty" ... */
const char *entry_repair_reason_name(enum entry_repair_reason reason);

/* Make *entry valid. Bytes that had to be made anew live in *scratch, which the caller keeps as long as the
 * entry and clears between entries. The entry's metadata gets "repaired": ["cut", ...] where anything (or a bit
 * given in `already`) was repaired. Returns the reasons, 0 when nothing was wrong; -ENOMEM. */
int entry_repair(struct entry *entry, unsigned already, struct buffer *scratch);

/* Append the entry's JSON form: the keys of section 3 in that order, absent optionals left out, no newline.
 * Invalid UTF-8 comes out as U+FFFD, so that it is JSON whatever the store held. */
void entry_append_json(struct buffer *out, const struct entry *entry);

/* An entry out of its JSON form; keys that are none of it are passed over. It borrows from *room. -EINVAL with the key and what is wrong with it; -ENOMEM. */
int entry_from_json(struct text json, struct buffer *room, struct entry *ret, struct error *error);

#endif
