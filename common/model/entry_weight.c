/* entry_weight.c - see entry.h. */
#include "common/model/entry.h"
#include "common/model/pack.h"

static double number_of(const struct pack_value *value) {
    return value->type == PACK_UINT ? (double)value->natural : value->type == PACK_DOUBLE ? value->number : 0;
}

double entry_weight(struct text metadata) {
    struct pack_value value;
    double weight = 1, share;
    if (metadata.length == 0)
        return 1;
    if (pack_find(metadata, TEXT_LITERAL(ENTRY_REPEATED), &value) && value.type == PACK_UINT && value.natural > 0 &&
        pack_find(metadata, TEXT_LITERAL(ENTRY_REPEATED_FIRST), &(struct pack_value) { .type = PACK_NIL }))
        weight = (double)value.natural;
    if (pack_find(metadata, TEXT_LITERAL(ENTRY_SAMPLE_SHARE), &value) && (share = number_of(&value)) > 0 && share < 1)
        weight /= share;
    return weight < ENTRY_WEIGHT_MAX ? weight : ENTRY_WEIGHT_MAX;
}
