/* trace_tree.c - see trace.h: who is whose child, and in what order they stand. */
#include "common/query/trace.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"

struct known_id {
    uint64_t id;
    uint32_t span;
};

struct item { /* a span, or an entry behind them */
    uint64_t time_ns;
    uint32_t parent; /* of the spans; TRACE_NONE at the top */
    uint32_t row;    /* what it is: a span's index, or trace->count + an entry's */
};

struct tree {
    const struct trace *trace;
    const struct entry_copies *entries;
    uint32_t count;       /* of items */
    struct known_id *ids; /* of the spans, ascending */
    uint32_t *parents;    /* of the spans */
    uint32_t *first;      /* where the children of each span begin among the items; those at the top come last */
    struct item *items;
    uint32_t *stack; /* positions among the items */
};

static uint64_t id_of(const uint8_t bytes[SPAN_ID_BYTES]) {
    uint64_t id;
    memcpy(&id, bytes, sizeof(id));
    return id;
}

static int compare_ids(const void *left, const void *right) {
    const struct known_id *a = left, *b = right;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->span < b->span ? -1 : a->span > b->span;
}

/* The first span of that id. */
static uint32_t find(const struct tree *tree, uint64_t id) {
    size_t low = 0, high = tree->trace->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (tree->ids[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < tree->trace->count && tree->ids[low].id == id ? tree->ids[low].span : TRACE_NONE;
}

/* --- parents --- */

/* Follow the parents of each span once: where that comes back to a span of the same way, it is a ring, and that span stands at the top. */
static void break_rings(struct tree *tree) {
    uint32_t *seen = tree->first; /* not yet in use: which way has passed here; 0 none */
    memset(seen, 0, tree->trace->count * sizeof(*seen));
    for (uint32_t i = 0; i < tree->trace->count; i++) {
        uint32_t at = i;
        while (at != TRACE_NONE && seen[at] == 0) {
            seen[at] = i + 1;
            if (tree->parents[at] != TRACE_NONE && seen[tree->parents[at]] == i + 1)
                tree->parents[at] = TRACE_NONE;
            at = tree->parents[at];
        }
    }
}

static void find_parents(struct tree *tree) {
    const struct trace *trace = tree->trace;
    for (uint32_t i = 0; i < trace->count; i++)
        tree->ids[i] = (struct known_id) { id_of(trace->spans[i].record.span_id), i };
    if (trace->count > 1)
        qsort(tree->ids, trace->count, sizeof(tree->ids[0]), compare_ids);
    for (uint32_t i = 0; i < trace->count; i++)
        tree->parents[i] =
            span_has_parent(&trace->spans[i]) ? find(tree, id_of(trace->spans[i].record.parent_id)) : TRACE_NONE;
    break_rings(tree);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The span that an entry's span_id names. */
static uint32_t span_of_entry(const struct tree *tree, const struct entry *entry) {
    uint8_t id[SPAN_ID_BYTES];
    if (entry->span_id.length != SPAN_ID_DIGITS)
        return TRACE_NONE;
    for (size_t i = 0; i < SPAN_ID_BYTES; i++) {
        int high = hex_digit(entry->span_id.data[2 * i]), low = hex_digit(entry->span_id.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return TRACE_NONE;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return find(tree, id_of(id));
}

/* --- order --- */

static int compare_items(const void *left, const void *right) {
    const struct item *a = left, *b = right;
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1; /* TRACE_NONE is the greatest */
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static void sort_items(struct tree *tree) {
    uint32_t spans = (uint32_t)tree->trace->count, at = 0;
    for (uint32_t i = 0; i < spans; i++)
        tree->items[i] = (struct item) { tree->trace->spans[i].record.start_ns, tree->parents[i], i };
    for (uint32_t i = spans; i < tree->count; i++) {
        struct entry entry;
        entry_copies_get(tree->entries, i - spans, &entry);
        tree->items[i] = (struct item) { entry.timestamp_ns, span_of_entry(tree, &entry), i };
    }
    if (tree->count > 1)
        qsort(tree->items, tree->count, sizeof(tree->items[0]), compare_items);
    for (uint32_t span = 0; span <= spans; span++) {
        while (at < tree->count && tree->items[at].parent < span)
            at++;
        tree->first[span] = at;
    }
}

/* Down before on: the stack holds where to go on at each depth. */
static void walk(struct tree *tree, struct trace_row *rows) {
    uint32_t spans = (uint32_t)tree->trace->count, depth = 0, written = 0;
    tree->stack[0] = tree->first[spans];
    for (;;) {
        uint32_t at = tree->stack[depth], parent = at < tree->count ? tree->items[at].parent : TRACE_NONE;
        bool ended = at == tree->count || (depth > 0 && parent != tree->items[tree->stack[depth - 1] - 1].row);
        if (ended && depth == 0)
            break;
        if (ended) {
            depth--;
            continue;
        }
        uint32_t row = tree->items[at].row;
        tree->stack[depth]++;
        rows[written++] = (struct trace_row) { row >= spans, row >= spans ? row - spans : row, depth };
        if (row < spans && tree->first[row] < tree->first[row + 1])
            tree->stack[++depth] = tree->first[row];
    }
    check(written == tree->count);
}

static int tree_make(struct tree *tree) {
    size_t spans = tree->trace->count;
    tree->ids = calloc(spans + 1, sizeof(*tree->ids));
    tree->parents = calloc(spans + 1, sizeof(*tree->parents));
    tree->first = calloc(spans + 1, sizeof(*tree->first));
    tree->items = calloc((size_t)tree->count + 1, sizeof(*tree->items));
    tree->stack = calloc(spans + 2, sizeof(*tree->stack));
    return tree->ids && tree->parents && tree->first && tree->items && tree->stack ? 0 : -ENOMEM;
}

static void tree_finish(struct tree *tree) {
    free(tree->ids);
    free(tree->parents);
    free(tree->first);
    free(tree->items);
    free(tree->stack);
}

int trace_arrange(const struct trace *trace, const struct entry_copies *entries, struct trace_row **ret) {
    size_t count = trace->count + (entries ? entries->count : 0);
    struct tree tree = { .trace = trace, .entries = entries, .count = (uint32_t)count };
    struct trace_row *rows = calloc(count + 1, sizeof(*rows));
    int result = rows ? tree_make(&tree) : -ENOMEM;
    if (result == 0) {
        find_parents(&tree);
        sort_items(&tree);
        walk(&tree, rows);
        *ret = rows;
    } else {
        free(rows);
    }
    tree_finish(&tree);
    return result;
}
