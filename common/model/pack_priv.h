/* pack_priv.h - what the rooms around pack share and nobody else sees: reading one head, and containers whose count
 * is known only at their end. */
#ifndef TASKFORGE_COMMON_MODEL_PACK_PRIV_H
#define TASKFORGE_COMMON_MODEL_PACK_PRIV_H

#include "common/model/pack.h"

/* The head at `at`: *ret but for `whole`, and the bytes to go on by: those of the whole value, for an array or map
 * those of its head alone. -EINVAL when it does not fit before `end`. */
int64_t pack_head(const char *at, const char *end, struct pack_value *ret);

/* Behind the whole value at `at`, or NULL when pack_check would refuse it, with depth_max (at most PACK_DEPTH_MAX)
 * for the nesting. */
const char *pack_skip(const char *at, const char *end, unsigned depth_max);

/* Begin an array or map of unknown count (one byte stands for its head); gives the place for pack_close, which
 * writes the smallest head and moves the content behind it. */
size_t pack_open(struct pack_writer *writer);
void pack_close(struct pack_writer *writer, size_t open, bool map, uint32_t count);

/* The head of a text of which `length` bytes follow; fails unless there is room for those too. */
void pack_text_head(struct pack_writer *writer, size_t length);

/* The writer ends with `count` pairs from `content` on: keep of equal keys the last one, in its place. The count that
 * is left, or -E2BIG when there are more keys than PACK_KEYS_MAX. */
enum { PACK_KEYS_MAX = 13200 }; /* more than JSON of 64 KiB can hold: "":0, */
int pack_keep_last(struct pack_writer *writer, size_t content, uint32_t count);

#endif
