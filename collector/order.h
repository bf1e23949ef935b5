/* order.h - the order of records of many lanes within a batch: a heap of lanes by the key of each lane's next record.
 *
 * A lane's key is the greatest record time so far in that lane, so its own order never changes whatever its clock did. Ties
 * go to the lane that was named first. Pure; one thread. */
#ifndef TASKFORGE_COLLECTOR_ORDER_H
#define TASKFORGE_COLLECTOR_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_item {
    uint64_t key;
    uint32_t rank; /* breaks ties: the lower goes first */
    void *lane;
};

struct order {
    struct order_item *items;
    size_t count, capacity;
};
#define ORDER_EMPTY ((struct order) { 0 })

int order_push(struct order *order, struct order_item item); /* -ENOMEM */
bool order_pop(struct order *order, struct order_item *ret); /* the least; false when there is none */
void order_finish(struct order *order);

/* Whether a record has to wait for the next round: it was made after `cut`, when this round began, so that one of the same
 * thread that was made before it may not have been seen yet. Times further ahead of `now` than FUTURE_NS are not believed. */
bool order_waits(uint64_t time_ns, uint64_t cut_ns, uint64_t now_ns);

#endif
