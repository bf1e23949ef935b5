#include "alerter/send_test.h"

#include "alerter/channels.h"
#include "common/base/id.h"
#include "common/process/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test {
    struct loop *loop;
    const struct channel_config *channel;
    struct buffer *answer;
    struct error *error;
};

static void ended(const struct http_answer *answer, void *context) {
    struct test *test = context;
    bool taken = channel_judge(test->channel->type, answer) == CHANNEL_DELIVERED;

    if (answer->status == 0) {
        error_set(test->error, 0, "%s", answer->failure);
        loop_stop(test->loop, EIO);
        return;
    }
    buffer_append_format(test->answer, "%s\n", answer->line);
    if (answer->refused[0] && taken)
        buffer_append_format(test->answer, "refused for one recipient: %s\n", answer->refused);
    if (answer->body.length > 0) {
        text_append_printable(test->answer, answer->body, true);
        buffer_append_char(test->answer, '\n');
    }
    loop_stop(test->loop, taken ? 0 : EREMOTEIO);
}

static int make_alert(const struct channel_config *channel, uint64_t now_ns, struct alert *ret) {
    char host[256] = "this host", *message = NULL;
    struct uuid_generator ids;
    struct alert alert = {
        .severity = ALERT_INFO, .status = ALERT_ACTIVE, .timestamp_ns = now_ns, .last_notified_ns = now_ns
    };

    gethostname(host, sizeof(host) - 1);
    if (uuid_generator_init(&ids) < 0)
        return -EIO;
    uuid_make(&ids, now_ns, &alert.id);
    if (asprintf(&message, "This is a test of the channel %s, sent by taskforge-alerter on %s", channel->name, host) <
        0)
        return -ENOMEM;
    alert.message = message;
    alert.rule_id = strdup("send-test");
    alert.name = strdup("Test notification");
    alert.details = strdup("{\"test\":true}");
    alert.entries = strdup("[]");
    *ret = alert;
    return alert.rule_id && alert.name && alert.details && alert.entries ? 0 : -ENOMEM;
}

static int send_and_wait(struct test *test, struct http_client *client, const struct alert *alert, uint64_t now_ns) {
    const struct notification notification = { .alert = alert, .created_ns = now_ns };
    struct channel_request request;
    int r = channel_build(test->channel, &notification, &request, test->error);

    if (r == 0)
        r = http_send(client, &request.message, ended, test, NULL, test->error);
    channel_request_finish(&request);
    return r < 0 ? r : -loop_run(test->loop);
}

int send_test(const struct channel_config *channel, struct buffer *answer, struct error *error) {
    struct test test = { .channel = channel, .answer = answer, .error = error };
    struct http_client *client = NULL;
    struct alert alert = { 0 };
    uint64_t now_ns = clock_real_ns();
    int r = loop_create(&test.loop, error);

    if (r < 0)
        return r;
    r = http_client_create(test.loop, &client, error);
    if (r == 0) {
        r = make_alert(channel, now_ns, &alert);
        if (r < 0)
            error_set(error, r, "cannot make a test notification: %s", strerror(-r));
    }
    if (r == 0)
        r = send_and_wait(&test, client, &alert, now_ns);
    alert_finish(&alert);
    http_client_destroy(client);
    loop_destroy(test.loop);
    return r;
}
