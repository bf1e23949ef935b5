/* A refusal of a request that no route will see, straight to its socket, on which nothing else was sent. */
#include "exporter/http_private.h"

#include "common/base/check.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

enum { REFUSAL_SIZE = 1024 };

static const char *reason_of(unsigned status) {
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        { 400, "Bad Request" },           { 408, "Request Timeout" },    { 413, "Content Too Large" },
        { 414, "URI Too Long" },          { 417, "Expectation Failed" }, { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" }, { 501, "Not Implemented" },    { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    check(!"a status without its reason");
    return "";
}

/* Not sent whole (the client does not read, or is gone): it will see the end of the connection. */
static void send_bytes(int fd, const char *data, size_t length) {
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
}

void http_continue_send(int fd) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    send_bytes(fd, line, sizeof(line) - 1);
}

void http_refusal_send(int fd, const struct http_fault *fault) {
    char out[REFUSAL_SIZE], date[40];
    struct tm tm;
    time_t now = (time_t)(clock_real_ns() / CLOCK_SECOND);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm)); /* the C locale's names */
    int length = snprintf(out, sizeof(out),
                          "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                          "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
                          "{\"error\":\"%s\"}\n",
                          fault->status, reason_of(fault->status), date, strlen(fault->sentence) + 13, fault->sentence);
    check(length > 0 && length < REFUSAL_SIZE); /* sentences are literals of ours, without quotes */
    send_bytes(fd, out, (size_t)length);
}
