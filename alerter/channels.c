#include "alerter/channels.h"

#include "common/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct channel_row {
    const char *name;
    int (*build)(const struct channel_config *channel, const struct notification *notification,
                 struct channel_request *ret, struct error *error);
    enum channel_verdict (*judge)(const struct http_answer *answer);
} rows[] = {
    [CHANNEL_WEBHOOK] = { "webhook", webhook_build, webhook_judge },
    [CHANNEL_EMAIL] = { "email", email_build, email_judge },
};

const char *channel_type_name(enum channel_type type) {
    return rows[type].name;
}

int channel_build(const struct channel_config *channel, const struct notification *notification,
                  struct channel_request *ret, struct error *error) {
    int r;

    *ret = (struct channel_request) { .message.answer_max = CHANNEL_ANSWER_MAX };
    r = rows[channel->type].build(channel, notification, ret, error);
    if (r == 0 && (ret->url.failed || ret->password.failed || ret->key.failed || ret->body.failed))
        r = error_set(error, -ENOMEM, "out of memory");
    return r;
}

void channel_request_finish(struct channel_request *request) {
    buffer_finish(&request->url);
    buffer_finish(&request->password);
    buffer_finish(&request->key);
    buffer_finish(&request->body);
}

enum channel_verdict channel_judge(enum channel_type type, const struct http_answer *answer) {
    return answer->status == 0 ? CHANNEL_RETRY : rows[type].judge(answer);
}

enum channel_cause channel_cause(enum channel_type type, const struct http_answer *answer) {
    if (answer->status == 0)
        return answer->timed_out ? CHANNEL_CAUSE_TIMEOUT : CHANNEL_CAUSE_CONNECTION;
    if (type == CHANNEL_EMAIL)
        return answer->status < 500 ? CHANNEL_CAUSE_SMTP_4XX : CHANNEL_CAUSE_SMTP_5XX;
    if (answer->status < 400)
        return CHANNEL_CAUSE_HTTP_3XX;
    return answer->status < 500 ? CHANNEL_CAUSE_HTTP_4XX : CHANNEL_CAUSE_HTTP_5XX;
}

const char *channel_cause_name(enum channel_cause cause) {
    static const char *const names[CHANNEL_CAUSE_COUNT] = {
        [CHANNEL_CAUSE_HTTP_3XX] = "http_3xx", [CHANNEL_CAUSE_HTTP_4XX] = "http_4xx",
        [CHANNEL_CAUSE_HTTP_5XX] = "http_5xx", [CHANNEL_CAUSE_SMTP_4XX] = "smtp_4xx",
        [CHANNEL_CAUSE_SMTP_5XX] = "smtp_5xx", [CHANNEL_CAUSE_TIMEOUT] = "timeout",
        [CHANNEL_CAUSE_UNSENT] = "unsent",     [CHANNEL_CAUSE_CONNECTION] = "connection",
    };
    return names[cause];
}

void notification_append_key(struct buffer *out, const struct notification *notification) {
    alert_append_dedup_key(out, notification->alert);
    buffer_append_format(out, ":%s:%llu", alert_status_name(notification->alert->status),
                         (unsigned long long)(notification->created_ns / CLOCK_MILLISECOND));
}

/* At most CHANNEL_TEXT_MAX bytes and a little white space of a regular file. */
static ssize_t read_small_file(const char *path, char *out, size_t size, struct error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    ssize_t length;

    if (fd < 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return error_set(error, -EINVAL, "%s: not a regular file", path);
    }
    length = read(fd, out, size);
    if (length < 0)
        length = error_set(error, -errno, "%s: %s", path, strerror(errno));
    close(fd);
    return length;
}

int channel_read_secret(const char *path, struct buffer *out, struct error *error) {
    char content[CHANNEL_TEXT_MAX + 64];
    ssize_t length = read_small_file(path, content, sizeof(content), error);
    struct text secret;

    if (length < 0)
        return (int)length;
    secret = (struct text) { content, (size_t)length };
    while (secret.length > 0 && strchr(" \t\r\n", secret.data[secret.length - 1]) && secret.data[secret.length - 1])
        secret.length--;
    if (secret.length == 0 || secret.length > CHANNEL_TEXT_MAX)
        return error_set(error, -EINVAL, "%s: must hold 1 to %d bytes", path, CHANNEL_TEXT_MAX);
    for (size_t i = 0; i < secret.length; i++)
        if ((unsigned char)secret.data[i] < ' ' || secret.data[i] == 0x7f)
            return error_set(error, -EINVAL, "%s: must be one line without control characters", path);
    buffer_append_text(out, secret);
    buffer_append_char(out, '\0');
    return 0;
}
