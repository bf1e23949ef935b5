/* entry_weight.c - see entry.h. */
#include "common/model/entry.h"
#include "common/model/pack.h"

static double number_of(const struct pack_value *value) {
    return value->type == PACK_UINT ? (double)value->natural : value->type == PACK_DOUBLE ? value->number : 0;
}

uint64_t entry_repeats(struct text metadata) {
    struct pack_value value, first;
    if (!pack_find(metadata, TEXT_LITERAL(ENTRY_REPEATED), &value) || value.type != PACK_UINT || value.natural == 0 ||
        !pack_find(metadata, TEXT_LITERAL(ENTRY_REPEATED_FIRST), &first))
        return 1;
    return value.natural < (uint64_t)ENTRY_WEIGHT_MAX ? value.natural : (uint64_t)ENTRY_WEIGHT_MAX;
}

double entry_weight(struct text metadata) {
    struct pack_value value;
    double weight = (double)entry_repeats(metadata), share;
    if (pack_find(metadata, TEXT_LITERAL(ENTRY_SAMPLE_SHARE), &value) && (share = number_of(&value)) > 0 && share < 1)
        weight /= share;
    return weight < ENTRY_WEIGHT_MAX ? weight : ENTRY_WEIGHT_MAX;
}
