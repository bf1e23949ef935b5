/* positions.h - what inputs have read up to: a list of keys and values of one input, and asking the collector for it.
 *
 * The collector answers "positions INPUT" on RUNTIME_DIR/collector.sock with lines of "HEXKEY HEXVALUE", once all that
 * stood in the caller's ring is safe in the store. The question is asked without blocking the loop and as often as it
 * takes.
 */
#ifndef TASKFORGE_AGENT_INPUTS_POSITIONS_H
#define TASKFORGE_AGENT_INPUTS_POSITIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/base/text.h"
#include "common/process/loop.h"

enum {
    POSITIONS_MAX = 100000, /* keys of one input */
    POSITION_KEY_MAX = 200, /* bytes (record.h) */
    POSITION_VALUE_MAX = 600,
    POSITIONS_RETRY_MS = 250,
    POSITIONS_PATIENCE_S = 5, /* waiting for the collector is said after this */
    POSITIONS_ANSWER_S = 20,  /* without a whole answer after this the question is asked anew */
};

struct position {
    struct text key, value; /* owned by the list */
};

struct positions {
    struct position *items;
    size_t count, capacity;
};

#define POSITIONS_EMPTY ((struct positions) { 0 })

void positions_finish(struct positions *positions);

/* Copies both. -ENOMEM, -E2BIG beyond a limit. */
int positions_add(struct positions *positions, struct text key, struct text value);

/* The value of a key; the empty text where there is none. */
struct text positions_find(const struct positions *positions, struct text key);

/* Read the body of the collector's answer: -EBADMSG (and nothing kept) for a line that is not "HEXKEY HEXVALUE". */
int positions_parse(struct text body, struct positions *ret);

/* --- asking --- */

struct positions_request;

/* `known` is borrowed for the call. `peer` is the collector's pid. */
typedef void positions_function(const struct positions *known, pid_t peer, void *context);

/* Ask now and then again until the collector has answered; function runs from the loop, once, and the request is still
 * to be destroyed. What keeps it waiting is told once on stderr. */
int positions_ask(struct loop *loop, const char *socket_path, const char *input, positions_function *function,
                  void *context, struct positions_request **ret, struct error *error);
void positions_request_destroy(struct positions_request *request); /* NULL is fine */

#endif
