/* The query thread and that of scrapes: one route after the other, away from the thread that serves. */
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
    struct http_worker *worker = context;
    struct http *http = worker->http;
    pthread_mutex_lock(&http->lock);
    while (!worker->stop) {
        struct connection *connection = take(&worker->todo);
        if (!connection) {
            pthread_cond_wait(&worker->work, &http->lock);
            continue;
        }
        worker->running = true;
        pthread_mutex_unlock(&http->lock);
        http_answer_run(connection->exchange, http->context); /* while it waits, the exchange is ours alone */
        pthread_mutex_lock(&http->lock);
        worker->running = false;
        append(&http->done, connection);
        ssize_t woken = write(http->wake_fd, &one, sizeof(one));
        (void)woken; /* an eventfd that is full is awake */
    }
    pthread_mutex_unlock(&http->lock);
    return NULL;
}

void http_queries_init(struct http *http) {
    for (int i = 0; i < HTTP_THREADS; i++) {
        http->workers[i].http = http;
        pthread_cond_init(&http->workers[i].work, NULL);
    }
}

void http_queries_finish(struct http *http) {
    for (int i = 0; i < HTTP_THREADS; i++)
        pthread_cond_destroy(&http->workers[i].work);
}

int http_queries_start(struct http *http) {
    int result = 0;
    for (int i = HTTP_QUERY; i < HTTP_THREADS && result == 0; i++) {
        result = pthread_create(&http->workers[i].thread, NULL, run, &http->workers[i]);
        http->workers[i].started = result == 0;
    }
    return -result;
}

bool http_queries_add(struct http *http, struct connection *connection) {
    static const unsigned most[HTTP_THREADS] = { [HTTP_QUERY] = HTTP_QUERIES_MAX, [HTTP_SCRAPE] = HTTP_SCRAPES_MAX };
    enum http_thread thread = connection->exchange->route->thread;
    struct http_worker *worker = &http->workers[thread];
    if (atomic_load(&worker->waiting) >= most[thread])
        return false;
    atomic_fetch_add(&worker->waiting, 1);
    pthread_mutex_lock(&http->lock);
    append(&worker->todo, connection);
    pthread_cond_signal(&worker->work);
    pthread_mutex_unlock(&http->lock);
    return true;
}

struct connection *http_queries_take_done(struct http *http) {
    pthread_mutex_lock(&http->lock);
    struct connection *connection = take(&http->done);
    pthread_mutex_unlock(&http->lock);
    if (connection)
        atomic_fetch_sub(&http->workers[connection->exchange->route->thread].waiting, 1);
    return connection;
}

void http_queries_cancel(struct http *http) {
    struct connection *connection;
    pthread_mutex_lock(&http->lock);
    for (int i = HTTP_QUERY; i < HTTP_THREADS; i++)
        while ((connection = take(&http->workers[i].todo)) != NULL) {
            http_fail(&connection->exchange->answer, 503, "the exporter is ending");
            connection->exchange->answered = true;
            append(&http->done, connection);
        }
    pthread_mutex_unlock(&http->lock);
}

/* Ask a thread to end; whether it is within a route. */
static bool ask_to_stop(struct http *http, struct http_worker *worker) {
    pthread_mutex_lock(&http->lock);
    worker->stop = true;
    bool running = worker->running;
    pthread_cond_signal(&worker->work);
    pthread_mutex_unlock(&http->lock);
    return running;
}

bool http_queries_stop(struct http *http) {
    bool stopped = true;
    for (int i = HTTP_QUERY; i < HTTP_THREADS; i++) {
        struct http_worker *worker = &http->workers[i];
        if (!worker->started)
            continue;
        if (ask_to_stop(http, worker) && i == HTTP_QUERY) { /* it may take long; a scrape does not */
            stopped = false;
            continue;
        }
        pthread_join(worker->thread, NULL);
        worker->started = false;
    }
    return stopped;
}
