#include "collector/order.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/limits.h"

static bool before(const struct order_item *a, const struct order_item *b) {
    return a->key != b->key ? a->key < b->key : a->rank < b->rank;
}

int order_push(struct order *order, struct order_item item) {
    if (order->count == order->capacity) {
        size_t capacity = order->capacity ? order->capacity * 2 : 64;
        struct order_item *items = realloc(order->items, capacity * sizeof(*items));
        if (!items)
            return -ENOMEM;
        order->items = items;
        order->capacity = capacity;
    }
    size_t at = order->count++;
    for (; at > 0 && before(&item, &order->items[(at - 1) / 2]); at = (at - 1) / 2)
        order->items[at] = order->items[(at - 1) / 2];
    order->items[at] = item;
    return 0;
}

bool order_pop(struct order *order, struct order_item *ret) {
    if (order->count == 0)
        return false;
    *ret = order->items[0];
    struct order_item last = order->items[--order->count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= order->count)
            break;
        if (child + 1 < order->count && before(&order->items[child + 1], &order->items[child]))
            child++;
        if (!before(&order->items[child], &last))
            break;
        order->items[at] = order->items[child];
        at = child;
    }
    order->items[at] = last;
    return true;
}

void order_finish(struct order *order) {
    free(order->items);
    *order = ORDER_EMPTY;
}

bool order_waits(uint64_t time_ns, uint64_t cut_ns, uint64_t now_ns) {
    return time_ns > cut_ns && time_ns <= now_ns + FUTURE_NS;
}
