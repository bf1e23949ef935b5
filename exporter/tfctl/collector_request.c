#include "exporter/tfctl/collector_request.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/model/entry.h"
#include "common/process/control.h"

#define ANSWER_NS (12 * CLOCK_SECOND) /* the collector itself gives up before that */

static int ask(const char *runtime_dir, struct text request, struct buffer *answer, struct error *error) {
    char path[PATHS_MAX + 32];
    snprintf(path, sizeof(path), "%s/collector.sock", runtime_dir);
    int fd = control_connect(path, error);
    if (fd < 0)
        return error_prefix(error, fd, "the collector does not answer");
    int result = control_request(fd, request, clock_monotonic_ns() + ANSWER_NS, answer, error);
    close(fd);
    return result;
}

int collector_request(const struct session *session, const struct buffer *request, struct buffer *answer) {
    struct error error = { "" };
    int result = request->failed ? error_set(&error, -ENOMEM, "out of memory")
                                 : ask(session->runtime_dir, buffer_text(request), answer, &error);
    return result < 0 ? fault(session, &error) : GO_ON;
}

int collector_check_service(const struct session *session, const char *name) {
    struct text service = text_of(name);
    if (!name)
        return GO_ON;
    bool sound = service.length > 0 && text_utf8_valid(service) && text_utf8_count(service) <= ENTRY_NAME_CHARACTERS &&
                 text_equal(text_trim(service), service);
    for (size_t i = 0; i < service.length; i++)
        sound &= (unsigned char)service.data[i] >= ' ';
    return sound ? GO_ON
                 : usage_error(session,
                               "--service \"%s\": expected 1 to %d characters of UTF-8, on one line and with no space "
                               "at either end",
                               name, ENTRY_NAME_CHARACTERS);
}

bool collector_next_line(struct text *lines, struct text *ret) {
    if (lines->length == 0)
        return false;
    const char *end = memchr(lines->data, '\n', lines->length);
    *ret = (struct text) { lines->data, end ? (size_t)(end - lines->data) : lines->length };
    size_t taken = ret->length + (end != NULL);
    *lines = (struct text) { lines->data + taken, lines->length - taken };
    return true;
}
