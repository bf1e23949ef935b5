/* outbox_record.h - a waiting notification as the store has it: key and value. Pure. */
#ifndef TASKFORGE_ALERTER_OUTBOX_RECORD_H
#define TASKFORGE_ALERTER_OUTBOX_RECORD_H

#include "alerter/alert.h"
#include "alerter/channel_config.h"
#include "common/base/text.h"

enum { OUTBOX_KEY_SIZE = 8 };

struct outbox_record {
    char channel[CHANNEL_NAME_MAX + 1];
    uint64_t created_ns; /* real */
    struct text alert;   /* for alert_decode; borrowed from the value */
};

/* Keys sort as the sequence does. */
void outbox_key(uint64_t sequence, char out[OUTBOX_KEY_SIZE]);
int outbox_key_parse(struct text key, uint64_t *ret); /* -EINVAL */

/* The value, appended. -EINVAL when the channel's name is longer than CHANNEL_NAME_MAX; -ENOMEM. */
int outbox_record_encode(const char *channel, uint64_t created_ns, const struct alert *alert, struct buffer *out);
int outbox_record_decode(struct text value, struct outbox_record *ret); /* -EINVAL for anything that is none */

#endif
