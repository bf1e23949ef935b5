/* The client's life in the loop: curl's multi interface for http, the mail threads' ends, and the requests in hand. */
#include "common/process/http_client_private.h"

#include "common/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Take it out of the list; the caller destroys it. */
static void put_down(struct http_request *request) {
    struct http_client *client = request->client;
    struct http_request **link = &client->requests;

    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    client->count--;
}

static void finish(struct http_request *request) {
    put_down(request);
    if (request->done) {
        struct http_answer answer = { .status = request->status,
                                      .line = request->line,
                                      .body = buffer_text(&request->answer),
                                      .cut = request->cut,
                                      .retry_after_ns = request->retry_after_ns,
                                      .refused = request->refused,
                                      .failure = request->failure,
                                      .timed_out = request->timed_out };

        request->done(&answer, request->context);
    }
    http_request_destroy(request);
}

/* --- http, by curl's multi interface --- */

static void take_ends(struct http_client *client) {
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        struct http_request *request = NULL;

        check(message->msg == CURLMSG_DONE);
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&request);
        http_request_end(request, code);
        curl_multi_remove_handle(client->multi, easy);
        finish(request);
    }
}

static void take_event(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct http_client *client = context;
    int running, bits = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                        (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

    (void)source;
    curl_multi_socket_action(client->multi, fd, bits, &running);
    take_ends(client);
}

static void take_timeout(struct loop_timer *timer, void *context) {
    struct http_client *client = context;
    int running;

    (void)timer;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_ends(client);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context) {
    struct http_client *client = context;

    (void)multi;
    if (timeout_ms < 0)
        loop_rest_timer(client->timer);
    else
        loop_set_timer(client->timer, (uint64_t)timeout_ms * CLOCK_MILLISECOND);
    return 0;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *of_socket) {
    struct http_client *client = context;
    struct loop_fd *source = of_socket;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    int r;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        loop_remove_fd(source);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (source)
        return loop_change_fd(source, events) < 0 ? -1 : 0;
    r = loop_add_fd(client->loop, fd, events, take_event, client, &source);
    if (r < 0)
        return -1; /* curl ends the transfer */
    curl_multi_assign(client->multi, fd, source);
    return 0;
}

/* --- mail, by threads --- */

static void take_ended(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct http_client *client = context;
    struct http_request *ended;
    uint64_t count;

    (void)source, (void)events;
    if (read(fd, &count, sizeof(count)) < 0)
        return; /* none after all */
    pthread_mutex_lock(&client->mutex);
    ended = client->ended;
    client->ended = NULL;
    pthread_mutex_unlock(&client->mutex);
    while (ended) {
        struct http_request *next = ended->next_ended;

        pthread_join(ended->thread, NULL);
        finish(ended);
        ended = next;
    }
}

/* --- life --- */

int http_client_create(struct loop *loop, struct http_client **ret, struct error *error) {
    struct http_client *client = calloc(1, sizeof(*client));
    int r = -ENOMEM;

    if (!client)
        return error_set(error, -ENOMEM, "out of memory");
    client->loop = loop;
    pthread_mutex_init(&client->mutex, NULL);
    client->ended_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (client->ended_fd < 0)
        r = -errno;
    else if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0) {
        client->multi = curl_multi_init();
        if (client->multi && (r = loop_add_timer(loop, take_timeout, client, &client->timer)) == 0)
            r = loop_add_fd(loop, client->ended_fd, EPOLLIN, take_ended, client, &client->ended_source);
    }
    if (r < 0) {
        http_client_destroy(client);
        return error_set(error, r, "cannot set up the HTTP client: %s", strerror(-r));
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    *ret = client;
    return 0;
}

void http_client_destroy(struct http_client *client) {
    if (!client)
        return;
    for (struct http_request *request = client->requests; request; request = request->next)
        atomic_store(&request->cancelled, true); /* all at once: one second for all of them */
    while (client->requests) {
        struct http_request *request = client->requests;

        if (request->mail)
            pthread_join(request->thread, NULL);
        else
            curl_multi_remove_handle(client->multi, request->easy);
        put_down(request);
        http_request_destroy(request);
    }
    if (client->multi)
        curl_multi_cleanup(client->multi);
    loop_remove_timer(client->timer);
    loop_remove_fd(client->ended_source);
    if (client->ended_fd >= 0)
        close(client->ended_fd);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

int http_send(struct http_client *client, const struct http_message *message, http_done_function *done, void *context,
              struct http_request **ret, struct error *error) {
    struct http_request *request;
    int r;

    if (client->count >= HTTP_REQUESTS_MAX)
        return error_set(error, -EAGAIN, "%d requests are in hand already", HTTP_REQUESTS_MAX);
    r = http_request_create(client, message, &request, error);
    if (r < 0)
        return r;
    request->done = done;
    request->context = context;
    if (request->mail)
        r = http_mail_start(request, error);
    else if (curl_multi_add_handle(client->multi, request->easy) != CURLM_OK)
        r = error_set(error, -ENOMEM, "out of memory");
    if (r < 0) {
        http_request_destroy(request);
        return r;
    }
    request->next = client->requests;
    client->requests = request;
    client->count++;
    if (ret)
        *ret = request;
    return 0;
}

void http_cancel(struct http_request *request) {
    if (!request)
        return;
    request->done = NULL;
    if (request->mail) { /* stays in hand until its thread has noticed */
        atomic_store(&request->cancelled, true);
        return;
    }
    curl_multi_remove_handle(request->client->multi, request->easy);
    put_down(request);
    http_request_destroy(request);
}

size_t http_in_hand(const struct http_client *client) {
    return client->count;
}
