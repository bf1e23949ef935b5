/* control.h - one line asked, some lines answered, over a unix stream socket.
 *
 * Request: "verb arguments...\n", UTF-8, at most CONTROL_LINE_MAX bytes. Answer: "ok\n" or "error SENTENCE\n", then any
 * number of lines, then ".\n"; a line of the body that starts with '.' is sent with one more in front. A connection carries
 * any number of requests, one at a time. The server lives in a loop and never blocks: at most CONTROL_CONNECTIONS_MAX
 * peers, CONTROL_TIMEOUT for a request to arrive whole and for an answer to be taken; a peer that is too slow is cut off.
 * Nothing here is thread-safe.
 */
#ifndef TASKFORGE_COMMON_PROCESS_CONTROL_H
#define TASKFORGE_COMMON_PROCESS_CONTROL_H

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/process/loop.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h> /* struct ucred */
#include <sys/types.h>

enum {
    CONTROL_LINE_MAX = 64 * 1024,          /* a request */
    CONTROL_ANSWER_MAX = 16 * 1024 * 1024, /* an answer, on both sides */
    CONTROL_CONNECTIONS_MAX = 32,
};
#define CONTROL_TIMEOUT_NS (10 * CLOCK_SECOND)

/* --- server --- */

struct control;
struct control_call; /* a request being answered */

/* Answers `call` with any number of control_add and then exactly one control_done or control_fail, at once or later (then
 * keep the pointer; arguments must be copied). A peer that has gone meanwhile changes nothing for the handler. */
typedef void control_function(struct control_call *call, struct text arguments, void *context);

struct control_verb {
    const char *name;
    const char *usage; /* the arguments, for the answer to `help` and to a wrong verb: "INPUT" */
    control_function *function;
};

/* Listen at `path` (a left-over socket that nobody listens on is replaced; anything else there is refused) with `mode`. The
 * table and `path` are borrowed. The verb `help` is served by itself. */
int control_listen(struct loop *loop, const char *path, mode_t mode, const struct control_verb *verbs,
                   size_t verb_count, void *context, struct control **ret, struct error *error);

/* Closes all connections and removes the socket. Calls not answered yet stay valid and must still be ended. NULL is fine. */
void control_destroy(struct control *control);

struct ucred control_peer(const struct control_call *call); /* who asks, as the kernel says: pid, uid, gid */
/* Whether he is in that group, be it one of several. False once he has gone. */
bool control_peer_is_in(const struct control_call *call, gid_t group);
void control_add(struct control_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));                          /* one line */
void control_add_text(struct control_call *call, struct text text); /* text in lines; a missing last "\n" is added */
void control_done(struct control_call *call);
void control_fail(struct control_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next word of *arguments (words are parted by spaces), taken off its front; empty at the end. */
struct text control_word(struct text *arguments);

/* --- client, blocking up to a deadline --- */

/* A connected descriptor (the caller closes it), or a negative errno with a sentence ("nobody listens at ..."). */
int control_connect(const char *path, struct error *error);

/* Send one request line (without its newline) and append the body of the answer to *answer, lines ended with "\n".
 * 0; -EREMOTEIO when the other side answered with an error (its sentence in *error); -ETIMEDOUT when deadline_monotonic_ns
 * passed; another negative errno. After anything but 0 and -EREMOTEIO the connection is of no more use. */
int control_request(int fd, struct text request, uint64_t deadline_monotonic_ns, struct buffer *answer,
                    struct error *error);

#endif
