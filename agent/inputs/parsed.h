/* parsed.h - what a parser of an input makes of one line, datagram or journal entry.
 *
 * The parsers are pure: bytes and a time in, a struct parsed out. The entry borrows from the bytes that were parsed and
 * from the scratch; both must stay as they are until it is written. What the parser could not say is left empty (texts,
 * timestamp 0): the input fills it in (line.h), and deliver.h repairs and writes.
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSED_H
#define TASKFORGE_AGENT_INPUTS_PARSED_H

#include "common/model/entry.h"
#include "common/model/pack.h"

struct parsed {
    struct entry entry;    /* timestamp_ns 0: none was found */
    uint64_t seen_ns;      /* about when it was taken; 0: not known */
    unsigned repaired;     /* enum entry_repair_reason bits that the parser set */
    bool service_is_a_tag; /* the service is a syslog line's tag: a configured service stands above it */
    bool is_json;          /* the line was a JSON object */
};

/* Memory that parsers need beside the bytes: cleared by each of them, reused from line to line. One owner. */
struct parse_scratch {
    struct buffer packed;   /* a JSON line as msgpack */
    struct buffer metadata; /* the metadata map that was built */
    struct buffer text;     /* texts made anew */
    struct buffer repair;   /* entry_repair's, which see */
};

void parse_scratch_finish(struct parse_scratch *scratch);

/* An entry of nothing but level info. */
void parsed_begin(struct parsed *ret);

/* --- a map of metadata, built pair by pair in scratch->metadata; grows, at most METADATA_PAIRS_MAX pairs --- */

enum { METADATA_PAIRS_MAX = 65535 };

struct metadata_builder {
    struct buffer *out;
    uint32_t pairs;
};

void metadata_begin(struct metadata_builder *builder, struct buffer *out);
void metadata_add_text(struct metadata_builder *builder, struct text key, struct text value); /* empty value: nothing */
void metadata_add_raw(struct metadata_builder *builder, struct text key, struct text packed);
void metadata_add_pairs(struct metadata_builder *builder, struct text packed_pairs, uint32_t count); /* of a map */
void metadata_add_uint(struct metadata_builder *builder, struct text key, uint64_t value);

/* The packed map, or the empty text where nothing was added (or memory ran out). */
struct text metadata_end(struct metadata_builder *builder);

#endif
