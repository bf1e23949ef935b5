/* agent.h - the agent's live state: its inputs, from their positions to their end.
 *
 * Inputs without positions start at once, the others when the collector has answered for them. A reload keeps the inputs
 * whose configuration did not change; a changed one goes on from where the old one stood. All on the loop's thread.
 */
#ifndef TASKFORGE_AGENT_AGENT_H
#define TASKFORGE_AGENT_AGENT_H

#include "agent/client/daemon_metrics.h"
#include "agent/inputs/input.h"
#include "common/process/config.h"
#include "common/process/loop.h"

struct agent;

/* Make all inputs of `config` and start what can start. `outlet` and `loop` are borrowed; `done` is called from the loop
 * when agent_stop has come to its end, and when all inputs have ended by themselves. A failure of one input is the
 * agent's, but where the inputs are the defaults: those that cannot be are left out, with a line. */
int agent_create(const struct config *config, struct loop *loop, const struct outlet *outlet,
                 void (*done)(void *context), void *done_context, struct agent **ret, struct error *error);
void agent_destroy(struct agent *agent); /* NULL is fine */

/* A new configuration: 0, or a negative errno and everything is as before. */
int agent_reload(struct agent *agent, const struct config *config, struct error *error);

/* Read nothing new, write what is in hand, then `done`. */
void agent_stop(struct agent *agent);

/* Tell what happened in the inputs since it was told last; a reload tells it of the inputs that it ends. `metrics` is borrowed
 * for as long as the agent lives. */
void agent_tell_metrics(struct agent *agent, struct daemon_metrics *metrics);

/* Say in a line for each input what happened in it. */
void agent_say_counters(const struct agent *agent);

size_t agent_input_count(const struct agent *agent);

#endif
