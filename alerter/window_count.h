/* window_count.h - how many entries of a window match, again and again as the window moves on: what was counted once is
 * kept in pieces, so that an evaluation counts only what is new and the one piece that the window's beginning cuts.
 *
 * Sequences are given once and in order of arrival, and what is stored never changes, so a count of a piece holds for good. Pure
 * but for the counting function; zero-initialised is empty.
 */
#ifndef TASKFORGE_ALERTER_WINDOW_COUNT_H
#define TASKFORGE_ALERTER_WINDOW_COUNT_H

#include <stddef.h>
#include <stdint.h>

enum {
    WINDOW_PIECES_MAX = 1024, /* more are joined, two and two */
    WINDOW_PIECES_AT_ONCE = 64,
    WINDOW_PIECE_MIN = 4096, /* sequences: about a block, below which parting saves nothing */
};

struct window_piece {
    uint64_t from, to; /* sequences, [from, to) */
    uint64_t count;
};

struct window_count {
    struct window_piece *pieces; /* owned; ascending, without gaps */
    size_t count;
};

void window_count_finish(struct window_count *window); /* empty and usable again */

/* Count [from, to): 0 and *ret, or a negative errno. */
typedef int window_count_function(void *argument, uint64_t from, uint64_t to, uint64_t *ret);

/* The count of [from, end). Both usually grow from call to call; a window that begins earlier than before is counted anew. 0 and *ret;
 * -ENOMEM or what `function` said, and then the pieces counted so far are kept. */
int window_count_move(struct window_count *window, uint64_t from, uint64_t end, window_count_function *function,
                      void *argument, uint64_t *ret);

#endif
