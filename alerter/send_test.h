/* send_test.h - `taskforge-alerter send-test CHANNEL`: one test notification through one channel, now, past the outbox. */
#ifndef TASKFORGE_ALERTER_SEND_TEST_H
#define TASKFORGE_ALERTER_SEND_TEST_H

#include "alerter/channel_config.h"
#include "common/base/error.h"
#include "common/base/text.h"

/* Send it in a loop of its own and wait for the answer. 0: taken; -EREMOTEIO: answered, but not taken. In both cases the
 * answer for people is appended to *answer: the status line or reply, then what came with it, in lines without controls.
 * Another negative errno, with a sentence in *error: it could not be sent, or no answer came. */
int send_test(const struct channel_config *channel, struct buffer *answer, struct error *error);

#endif
