/* channels.h - the table of channel types: what each makes of an alert, and of the answer.
 *
 * One more type is one file in channels/, one line in channels.c, and its keys in rules_channels.c. Building a request reads
 * the files of secrets and otherwise touches nothing; all on one thread.
 */
#ifndef TASKFORGE_ALERTER_CHANNELS_H
#define TASKFORGE_ALERTER_CHANNELS_H

#include "alerter/alert.h"
#include "alerter/channel_config.h"
#include "common/process/http_client.h"

enum { CHANNEL_HEADERS_MAX = 4, CHANNEL_ANSWER_MAX = 4096 };

/* One notification: an alert as it was when it was put out. */
struct notification {
    const struct alert *alert;
    uint64_t created_ns; /* real; with dedup_key and status it names the notification, whenever it is sent */
};

/* A request and the strings it points to. */
struct channel_request {
    struct http_message message;
    struct http_header headers[CHANNEL_HEADERS_MAX];
    struct buffer url, password, key, body;
};

/* Make *ret (the caller's, channel_request_finish in any case). -EINVAL or another negative errno with a sentence, the file
 * of a secret that cannot be read among them. */
int channel_build(const struct channel_config *channel, const struct notification *notification,
                  struct channel_request *ret, struct error *error);
void channel_request_finish(struct channel_request *request);

enum channel_verdict {
    CHANNEL_DELIVERED,
    CHANNEL_RETRY,   /* may go better later */
    CHANNEL_REFUSED, /* never will */
};
enum channel_verdict channel_judge(enum channel_type type, const struct http_answer *answer);

/* What came of an attempt in place of acceptance; names stand in metrics. */
enum channel_cause {
    CHANNEL_CAUSE_HTTP_3XX,
    CHANNEL_CAUSE_HTTP_4XX,
    CHANNEL_CAUSE_HTTP_5XX, /* and what no standard knows */
    CHANNEL_CAUSE_SMTP_4XX,
    CHANNEL_CAUSE_SMTP_5XX,
    CHANNEL_CAUSE_TIMEOUT,
    CHANNEL_CAUSE_CONNECTION, /* none, or it ended before an answer; a certificate that is not trusted */
    CHANNEL_CAUSE_UNSENT,     /* nothing went out: no such channel, a secret that cannot be read */
    CHANNEL_CAUSE_COUNT,
};
enum channel_cause channel_cause(enum channel_type type, const struct http_answer *answer); /* of one not delivered */
const char *channel_cause_name(enum channel_cause cause);                                   /* "http_3xx" ... */

const char *channel_type_name(enum channel_type type); /* "webhook" "email" */

/* --- for channels/ --- */

/* Append the content of a secret's file without the white space at its end, and a NUL. -EINVAL when it is empty, has a
 * control character or more than CHANNEL_TEXT_MAX bytes; another negative errno when it cannot be read. */
int channel_read_secret(const char *path, struct buffer *out, struct error *error);

/* "DEDUP_KEY:STATUS:CREATED_MS": the same for each attempt of one notification, and for no other. */
void notification_append_key(struct buffer *out, const struct notification *notification);

int webhook_build(const struct channel_config *channel, const struct notification *notification,
                  struct channel_request *ret, struct error *error);
enum channel_verdict webhook_judge(const struct http_answer *answer);
int email_build(const struct channel_config *channel, const struct notification *notification,
                struct channel_request *ret, struct error *error);
enum channel_verdict email_judge(const struct http_answer *answer);

#endif
