/* Mail: a thread for each message in hand.
 *
 * libcurl (7.88 to 8.x) waits inside smtp_done for the answer to the end of a message, and when it closes the connection for
 * the one to QUIT; in the loop's thread a hung mail server would hold everything up. What tells "taken" is the reply to the
 * end of the message itself: what becomes of the connection afterwards must not send the mail twice.
 */
#include "common/process/http_client_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

size_t http_mail_read(char *out, size_t size, size_t count, void *context) {
    struct http_request *request = context;
    size_t left = request->body.length - request->sent, length = size * count < left ? size * count : left;

    memcpy(out, request->body.data + request->sent, length);
    request->sent += length;
    return length;
}

/* One line of a reply, "250-first" or "250 last"; curl hands over each as a header. The 354 before the message comes while
 * nothing of it is sent; so the first reply when all is sent answers its end, and what follows (to QUIT) says nothing more. */
void http_mail_reply(struct http_request *request, struct text line) {
    bool refusal;

    if (request->answered || line.length < 3 || (line.length > 3 && line.data[3] == '-') ||
        text_starts_with(line, TEXT_LITERAL("221")))
        return;
    refusal = line.data[0] == '4' || line.data[0] == '5';
    request->answered = request->sent == request->body.length;
    request->taken = request->answered && line.data[0] == '2';
    request->refused_last = refusal;
    http_keep_line(refusal ? request->refused : request->line, line);
}

/* After the end: the reply that decided, unless it was the connection that did. */
void http_mail_end(struct http_request *request, CURLcode code) {
    bool refused =
        !request->taken && request->refused_last && code != CURLE_OPERATION_TIMEDOUT && code != CURLE_RECV_ERROR;

    if (refused)
        memcpy(request->line, request->refused, sizeof(request->line));
    if (refused || request->taken)
        request->status = (unsigned)strtoul(request->line, NULL, 10);
}

/* curl asks here at least once a second, also while it waits for the reply to QUIT. */
int http_mail_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    struct http_request *request = context;

    (void)a, (void)b, (void)c, (void)d;
    return request->taken || atomic_load(&request->cancelled);
}

static void *deliver(void *context) {
    struct http_request *request = context;
    struct http_client *client = request->client;

    http_request_end(request, curl_easy_perform(request->easy));
    curl_easy_cleanup(request->easy); /* here: it may still have something to say to the server */
    request->easy = NULL;
    pthread_mutex_lock(&client->mutex);
    request->next_ended = client->ended;
    client->ended = request;
    eventfd_write(client->ended_fd, 1);
    pthread_mutex_unlock(&client->mutex);
    return NULL;
}

int http_mail_start(struct http_request *request, struct error *error) {
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread takes no signal of the daemon's */
    r = pthread_create(&request->thread, NULL, deliver, request);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return error_set(error, -r, "cannot start a thread for the mail: %s", strerror(r));
    return 0;
}
