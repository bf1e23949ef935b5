/* alerter_client.h - asking the alerter over its control socket, RUNTIME_DIR/alerter.sock: what the API and tfctl share. Blocks up
 * to ALERTER_ANSWER_NS. */
#ifndef TASKFORGE_EXPORTER_ALERTER_CLIENT_H
#define TASKFORGE_EXPORTER_ALERTER_CLIENT_H

#include "common/base/error.h"
#include "common/base/text.h"

/* Send one request line ("alerts all"); the answer's lines are appended to *answer, each one JSON object. 0; -EREMOTEIO: the alerter refused,
 * with its sentence; another negative errno: nobody answers, with a sentence that says what to do. */
int alerter_ask(const char *runtime_dir, struct text request, struct buffer *answer, struct error *error);

/* Append "VERB ID ACTOR REASON" to out. -EINVAL with a sentence: the id or actor is no word, or the reason has a line break or is longer
 * than 1,000 bytes. */
int alerter_change_request(const char *verb, struct text id, const char *actor, struct text reason, struct buffer *out,
                           struct error *error);

#endif
