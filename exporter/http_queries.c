/* The query thread: one route after the other, away from the thread that serves. */
#include "exporter/http_private.h"

#include <unistd.h>

static void append(struct job_list *list, struct connection *connection) {
    connection->next_job = NULL;
    *(list->last ? &list->last->next_job : &list->first) = connection;
    list->last = connection;
}

static struct connection *take(struct job_list *list) {
    struct connection *first = list->first;
    if (!first)
        return NULL;
    list->first = first->next_job;
    if (!list->first)
        list->last = NULL;
    return first;
}

static void *run(void *context) {
    static const uint64_t one = 1;
    struct http *http = context;
    pthread_mutex_lock(&http->lock);
    while (!http->query_stop) {
        struct connection *connection = take(&http->todo);
        if (!connection) {
            pthread_cond_wait(&http->work, &http->lock);
            continue;
        }
        http->query_running = true;
        pthread_mutex_unlock(&http->lock);
        http_answer_run(connection->exchange, http->context); /* while it waits, the exchange is ours alone */
        pthread_mutex_lock(&http->lock);
        http->query_running = false;
        append(&http->done, connection);
        ssize_t woken = write(http->wake_fd, &one, sizeof(one));
        (void)woken; /* an eventfd that is full is awake */
    }
    pthread_mutex_unlock(&http->lock);
    return NULL;
}

int http_queries_start(struct http *http) {
    int result = pthread_create(&http->query_thread, NULL, run, http);
    http->query_started = result == 0;
    return -result;
}

bool http_queries_add(struct http *http, struct connection *connection) {
    if (atomic_load(&http->waiting_now) >= HTTP_QUERIES_MAX)
        return false;
    atomic_fetch_add(&http->waiting_now, 1);
    pthread_mutex_lock(&http->lock);
    append(&http->todo, connection);
    pthread_cond_signal(&http->work);
    pthread_mutex_unlock(&http->lock);
    return true;
}

struct connection *http_queries_take_done(struct http *http) {
    pthread_mutex_lock(&http->lock);
    struct connection *connection = take(&http->done);
    pthread_mutex_unlock(&http->lock);
    if (connection)
        atomic_fetch_sub(&http->waiting_now, 1);
    return connection;
}

void http_queries_cancel(struct http *http) {
    struct connection *connection;
    pthread_mutex_lock(&http->lock);
    while ((connection = take(&http->todo)) != NULL) {
        http_fail(&connection->exchange->answer, 503, "the exporter is ending");
        connection->exchange->answered = true;
        append(&http->done, connection);
    }
    pthread_mutex_unlock(&http->lock);
}

bool http_queries_stop(struct http *http) {
    if (!http->query_started)
        return true;
    pthread_mutex_lock(&http->lock);
    http->query_stop = true;
    bool running = http->query_running;
    pthread_cond_signal(&http->work);
    pthread_mutex_unlock(&http->lock);
    if (running)
        return false;
    pthread_join(http->query_thread, NULL);
    http->query_started = false;
    return true;
}
