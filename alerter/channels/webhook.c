/* webhook.c - the alert as JSON, POSTed (CONTRACT section 7). */
#include "alerter/channels.h"

int webhook_build(const struct channel_config *channel, const struct notification *notification,
                  struct channel_request *ret, struct error *error) {
    if (channel->url_file) {
        int r = channel_read_secret(channel->url_file, &ret->url, error);

        if (r < 0)
            return r;
    }
    alert_append_json(&ret->body, notification->alert, true);
    notification_append_key(&ret->key, notification);
    buffer_append_char(&ret->key, '\0');
    ret->headers[0] = (struct http_header) { "Content-Type", "application/json" };
    ret->headers[1] = (struct http_header) { "User-Agent", "taskforge-alerter/" TASKFORGE_VERSION };
    ret->headers[2] = (struct http_header) { "Idempotency-Key", ret->key.data };
    ret->message.url = channel->url_file ? ret->url.data : channel->url;
    ret->message.body = buffer_text(&ret->body);
    ret->message.headers = ret->headers;
    ret->message.header_count = 3;
    ret->message.own_connection = true; /* nothing is repeated but by the outbox */
    return 0;
}

/* A redirect is refused: an address that has moved is written where it is read by people. */
enum channel_verdict webhook_judge(const struct http_answer *answer) {
    if (answer->status >= 200 && answer->status < 300)
        return CHANNEL_DELIVERED;
    return answer->status == 408 || answer->status == 429 || answer->status >= 500 ? CHANNEL_RETRY : CHANNEL_REFUSED;
}
