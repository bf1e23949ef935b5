/* window_count.c - see window_count.h. */
#include "alerter/window_count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void window_count_finish(struct window_count *window) {
    free(window->pieces);
    *window = (struct window_count) { 0 };
}

static void drop_front(struct window_count *window, size_t count) {
    window->count -= count;
    memmove(window->pieces, window->pieces + count, window->count * sizeof(*window->pieces));
}

/* The window begins at `from` now: what lies before it goes, and the piece it cuts is counted anew. */
static int cut_front(struct window_count *window, uint64_t from, window_count_function *function, void *argument) {
    size_t before = 0;
    while (before < window->count && window->pieces[before].to <= from)
        before++;
    if (before > 0)
        drop_front(window, before);
    if (window->count == 0 || window->pieces[0].from == from)
        return 0;
    if (window->pieces[0].from > from) { /* the clock was set back, or the rule's window is longer now */
        window->count = 0;
        return 0;
    }
    uint64_t count;
    int result = function(argument, from, window->pieces[0].to, &count);
    if (result < 0)
        return result;
    window->pieces[0] = (struct window_piece) { from, window->pieces[0].to, count };
    return 0;
}

static void join_pairs(struct window_count *window) {
    size_t pairs = window->count / 2;
    for (size_t i = 0; i < pairs; i++) {
        const struct window_piece *left = &window->pieces[2 * i], *right = left + 1;
        window->pieces[i] = (struct window_piece) { left->from, right->to, left->count + right->count };
    }
    if (window->count % 2 == 1)
        window->pieces[pairs] = window->pieces[window->count - 1];
    window->count = pairs + window->count % 2;
}

static int add_piece(struct window_count *window, uint64_t from, uint64_t to, window_count_function *function,
                     void *argument) {
    struct window_piece piece = { from, to, 0 };
    if (!window->pieces)
        window->pieces = calloc(WINDOW_PIECES_MAX, sizeof(*window->pieces));
    if (!window->pieces)
        return -ENOMEM;
    int result = function(argument, from, to, &piece.count);
    if (result < 0)
        return result;
    if (window->count == WINDOW_PIECES_MAX)
        join_pairs(window);
    window->pieces[window->count++] = piece;
    return 0;
}

int window_count_move(struct window_count *window, uint64_t from, uint64_t end, window_count_function *function,
                      void *argument, uint64_t *ret) {
    if (window->count > 0 && window->pieces[window->count - 1].to > end)
        window->count = 0; /* another store has taken its place */
    int result = cut_front(window, from, function, argument);
    uint64_t at = window->count > 0 ? window->pieces[window->count - 1].to : from, total = 0;
    uint64_t step = end > at ? (end - at) / WINDOW_PIECES_AT_ONCE : 0;
    step = step < WINDOW_PIECE_MIN ? WINDOW_PIECE_MIN : step;
    while (at < end && result == 0) {
        uint64_t to = end - at > step ? at + step : end;
        result = add_piece(window, at, to, function, argument);
        at = to;
    }
    if (result < 0)
        return result;
    for (size_t i = 0; i < window->count; i++)
        total += window->pieces[i].count;
    *ret = total;
    return 0;
}
