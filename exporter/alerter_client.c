#include "exporter/alerter_client.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/paths.h"
#include "common/process/control.h"

enum { ID_BYTES_MAX = 200, REASON_BYTES_MAX = 1000 };
#define ALERTER_ANSWER_NS (3 * CLOCK_SECOND)

int alerter_ask(const char *runtime_dir, struct text request, struct buffer *answer, struct error *error) {
    char path[PATHS_MAX + 32];
    snprintf(path, sizeof(path), "%s/alerter.sock", runtime_dir);
    int fd = control_connect(path, error);
    if (fd < 0)
        return error_prefix(error, fd, "the alerter does not answer");
    int result = control_request(fd, request, clock_monotonic_ns() + ALERTER_ANSWER_NS, answer, error);
    close(fd);
    return result;
}

static bool is_word(struct text text, size_t most) {
    if (text.length < 1 || text.length > most)
        return false;
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

int alerter_change_request(const char *verb, struct text id, const char *actor, struct text reason, struct buffer *out,
                           struct error *error) {
    if (!is_word(id, ID_BYTES_MAX))
        return error_set(error, -EINVAL, "an alert's id is one word of at most %d bytes", ID_BYTES_MAX);
    if (!is_word(text_of(actor), ID_BYTES_MAX))
        return error_set(error, -EINVAL, "who asks is one word");
    if (reason.length > REASON_BYTES_MAX || !text_utf8_valid(reason))
        return error_set(error, -EINVAL, "the reason must be at most %d bytes of UTF-8", REASON_BYTES_MAX);
    for (size_t i = 0; i < reason.length; i++)
        if ((unsigned char)reason.data[i] < ' ')
            return error_set(error, -EINVAL, "the reason must be one line");
    buffer_append_format(out, "%s %.*s %s", verb, TEXT_FORMAT(id), actor);
    if (reason.length > 0) {
        buffer_append_char(out, ' ');
        buffer_append_text(out, reason);
    }
    return out->failed ? error_set(error, -ENOMEM, "out of memory") : 0;
}
