/* context.c - see context.h. Counted in steps along the direction of reading, so that one code serves both: a step is a sequence forwards,
 * and its complement backwards. */
#include "common/query/context.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/candidates.h"
#include "common/query/stored_entry.h"
#include "common/store/gone.h"

struct context {
    struct store_reader *reader;
    struct scan *scan;
    struct scan_options options;
    uint64_t around;
    bool more;              /* the scan has a match ahead, at next_match */
    uint64_t next_match;    /* steps */
    uint64_t at, group_end; /* the group being given out: steps [at, group_end) */
    uint64_t last;          /* the step given last */
    bool any;
    struct block *block; /* the block of the last row, whole */
    uint64_t block_first;
};

static uint64_t step_of(const struct context *context, uint64_t value) { /* its own inverse */
    return context->options.reverse ? UINT64_MAX - 1 - value : value;
}

static int advance(struct context *context, struct error *error) {
    uint64_t sequence;
    int status = scan_next(context->scan, &sequence, error);
    context->more = status > 0;
    if (status > 0)
        context->next_match = step_of(context, sequence);
    return status < 0 ? status : 0;
}

int context_open(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
                 uint64_t around, struct context **ret, struct error *error) {
    struct context *context = calloc(1, sizeof(*context));
    if (!context)
        return error_set(error, -ENOMEM, "out of memory for a query");
    check(around <= CONTEXT_MAX);
    context->reader = reader;
    context->options = *options;
    context->options.by_arrival = context->options.sequences_only = true;
    context->around = around;
    int status = scan_open(reader, filter, &context->options, &context->scan, error);
    if (status == 0)
        status = advance(context, error);
    if (status < 0) {
        context_close(context);
        return status;
    }
    *ret = context;
    return 0;
}

void context_close(struct context *context) {
    if (!context)
        return;
    scan_close(context->scan);
    block_destroy(context->block);
    free(context);
}

static uint64_t minus(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

/* The entry of one sequence, out of the block at hand or the one that holds it. 1, 0 when it is not stored. */
static int fetch(struct context *context, uint64_t sequence, struct entry *ret, struct error *error) {
    if (!context->block || sequence < context->block_first ||
        sequence - context->block_first >= block_count(context->block)) {
        struct block *block;
        uint64_t first;
        int status = sequence < UINT64_MAX
                         ? candidate_locate(context->reader, sequence, sequence + 1, &block, &first, error)
                         : 0;
        if (status <= 0)
            return status;
        block_destroy(context->block);
        context->block = block;
        context->block_first = first;
        if (sequence < first || sequence - first >= block_count(block))
            return 0;
    }
    int status = block_load_all(context->block, error);
    if (status < 0)
        return status;
    stored_entry(context->block, (uint32_t)(sequence - context->block_first), ret);
    return entry_is_gone(ret) ? 0 : 1;
}

/* The group around the next match; it begins where the last one ended, if that is later. */
static void start_group(struct context *context) {
    uint64_t start = minus(context->next_match, context->around);
    context->at = start > context->group_end ? start : context->group_end;
    context->group_end = plus(plus(context->next_match, context->around), 1);
}

int context_next(struct context *context, struct context_row *ret, struct error *error) {
    for (;;) {
        if (context->at >= context->group_end) {
            if (!context->more)
                return 0;
            start_group(context);
        }
        uint64_t step = context->at++;
        bool match = context->more && step == context->next_match;
        if (match) {
            int status = advance(context, error);
            if (status < 0)
                return status;
            uint64_t end = plus(plus(step, context->around), 1);
            context->group_end = end > context->group_end ? end : context->group_end;
        }
        int status = fetch(context, step_of(context, step), &ret->entry, error);
        if (status < 0)
            return status;
        if (status == 0)
            continue;
        ret->sequence = step_of(context, step);
        ret->match = match;
        ret->gap = context->any && step != context->last + 1;
        context->any = true;
        context->last = step;
        return 1;
    }
}
