/* match_metadata.c - matchers of metadata: the values of the key alone, not whole maps. */
#include <errno.h>

#include "common/query/match_private.h"

/* The columns of a key: as it is written, and, where it has dots, of what stands before the first. */
struct keys {
    struct text rest; /* behind the first dot */
    uint32_t whole, before;
    bool has_whole, has_before;
};

static int load_keys(struct matching *matching, struct text key, struct keys *ret) {
    const char *dot = memchr(key.data, '.', key.length);
    *ret = (struct keys) { .rest = TEXT_EMPTY };
    int status = block_load_metadata_key(matching->block, key, &ret->whole, matching->error);
    ret->has_whole = status > 0;
    if (status < 0 || !dot)
        return status;
    struct text before = { key.data, (size_t)(dot - key.data) };
    ret->rest = (struct text) { dot + 1, key.length - before.length - 1 };
    status = block_load_metadata_key(matching->block, before, &ret->before, matching->error);
    ret->has_before = status > 0;
    return status;
}

static int judge_row(struct matching *matching, const struct filter_matcher *matcher, const struct keys *keys,
                     uint32_t row) {
    struct text value = keys->has_whole ? block_metadata_value(matching->block, keys->whole, row) : TEXT_EMPTY;
    struct text path = TEXT_EMPTY;
    if (value.length == 0 && keys->has_before) {
        value = block_metadata_value(matching->block, keys->before, row);
        path = keys->rest;
    }
    return filter_matcher_value(matcher, value, path, &matching->scratch, matching->error);
}

static int by_matcher(struct matching *matching, const struct filter_matcher *matcher) {
    struct row_set *set = matching->set;
    struct keys keys;
    uint32_t kept = 0;
    int status = load_keys(matching, matcher->key, &keys);
    for (uint32_t i = 0; i < set->count && status >= 0; i++) {
        status = judge_row(matching, matcher, &keys, set->rows[i]);
        if (status > 0)
            set->rows[kept++] = set->rows[i];
    }
    set->count = kept;
    return status < 0 ? status : 0;
}

int match_by_metadata(struct matching *matching) {
    const struct filter *filter = matching->filter;
    int status = 0;
    for (uint32_t i = 0; i < filter->matcher_count && matching->set->count > 0 && status == 0; i++)
        if (filter->matchers[i].field == FILTER_METADATA)
            status = by_matcher(matching, &filter->matchers[i]);
    return status;
}
