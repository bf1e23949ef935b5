/* http_client_private.h - what the files of the HTTP client share; nobody else includes it (or curl/curl.h). */
#ifndef TASKFORGE_COMMON_PROCESS_HTTP_CLIENT_PRIVATE_H
#define TASKFORGE_COMMON_PROCESS_HTTP_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/process/http_client.h"

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct http_request *requests; /* in hand, of both kinds */
    size_t count;

    int ended_fd; /* an eventfd: mail threads came to their end */
    struct loop_fd *ended_source;
    pthread_mutex_t mutex; /* guards `ended` */
    struct http_request *ended;
};

struct http_request {
    struct http_client *client;
    struct http_request *next;       /* in client->requests */
    struct http_request *next_ended; /* in client->ended, under the mutex */
    http_done_function *done;        /* NULL: cancelled */
    void *context;

    CURL *easy;
    struct curl_slist *headers, *recipients;
    struct buffer body;
    size_t sent; /* bytes of body that curl took */

    struct buffer answer;
    size_t answer_max;
    bool cut;
    size_t header_bytes;
    bool headers_over; /* the final answer's status and headers are whole */
    unsigned status;
    char line[HTTP_LINE_SIZE];
    char refused[HTTP_LINE_SIZE];
    char failure[CURL_ERROR_SIZE];
    bool timed_out;
    uint64_t retry_after_ns;

    /* Mail: the thread owns everything above from pthread_create until it has put the request among the ended. */
    bool mail;
    pthread_t thread;
    atomic_bool cancelled;
    bool answered;     /* the server answered to the end of the message ... */
    bool taken;        /* ... with 2xx */
    bool refused_last; /* its last reply was 4xx or 5xx */
};

/* http_client_request.c: a handle with all its options, and what fills the answer. */
int http_request_create(struct http_client *client, const struct http_message *message, struct http_request **ret,
                        struct error *error);
void http_request_destroy(struct http_request *request);
void http_request_end(struct http_request *request,
                      CURLcode code); /* curl is done: fill status, failure, retry_after */

void http_keep_line(char out[HTTP_LINE_SIZE], struct text line);

/* http_client_mail.c */
void http_mail_end(struct http_request *request, CURLcode code);
int http_mail_start(struct http_request *request, struct error *error);
size_t http_mail_read(char *out, size_t size, size_t count, void *context);
int http_mail_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d);
void http_mail_reply(struct http_request *request, struct text line);

#endif
