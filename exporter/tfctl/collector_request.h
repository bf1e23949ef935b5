/* collector_request.h - asking the collector, over its control socket. One thread. */
#ifndef TASKFORGE_EXPORTER_TFCTL_COLLECTOR_REQUEST_H
#define TASKFORGE_EXPORTER_TFCTL_COLLECTOR_REQUEST_H

#include "common/base/text.h"
#include "exporter/tfctl/command.h"

/* Send one request line; its answer's lines are appended to *answer. GO_ON, or the exit status with the reason said. Waits longer than the
 * collector does for its store. */
int collector_request(const struct session *session, const struct buffer *request, struct buffer *answer);

/* A --service, or NULL, that ends a request's line: it must be one that is read back as it is. GO_ON, or the exit status with the reason
 * said. */
int collector_check_service(const struct session *session, const char *service);

/* The next line of an answer, taken off its front; false at the end. */
bool collector_next_line(struct text *lines, struct text *ret);

#endif
