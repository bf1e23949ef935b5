/* The server's life: made, run on its thread, given new tokens, ended. */
#include "exporter/http_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STOP_PATIENCE_NS CLOCK_SECOND

/* --- the server's thread --- */

static void on_stop_clock(struct loop_timer *timer, void *context) {
    struct http *http = context;
    (void)timer;
    loop_stop(http->loop, 0);
}

static void begin_to_stop(struct http *http) {
    http->stopping = true;
    loop_remove_fd(http->listen_source);
    close(http->listen_fd);
    http->listen_fd = -1;
    loop_rest_timer(http->listen_clock);
    loop_rest_timer(http->clock);
    while (http->arriving.first)
        http_connection_drop(http->arriving.first);
    while (http->lingering.first)
        http_connection_drop(http->lingering.first);
    http_queries_cancel(http);
    loop_set_timer(http->stop_clock, http->open > 0 ? STOP_PATIENCE_NS : 0);
}

static void on_wake(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct http *http = context;
    struct connection *connection;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)source, (void)events, (void)n;
    if (atomic_load(&http->stop_wanted) && !http->stopping)
        begin_to_stop(http);
    while ((connection = http_queries_take_done(http)) != NULL)
        http_serve_resume(connection);
    http_serve_run(http);
}

static void *serve(void *context) {
    struct http *http = context;
    loop_run(http->loop);
    return NULL;
}

/* --- tokens --- */

static int load_tokens(const struct config_exporter *config, struct http_tokens *ret, struct error *error) {
    int result = 0;
    *ret = (struct http_tokens) { 0 };
    if (config->token_file)
        result = token_load(config->token_file, "exporter.token_file", &ret->read, error);
    if (result == 0 && config->admin_token_file)
        result = token_load(config->admin_token_file, "exporter.admin_token_file", &ret->admin, error);
    return result;
}

static bool equal_endpoints(const struct config_endpoint *a, const struct config_endpoint *b) {
    return a->length == b->length && memcmp(&a->address, &b->address, a->length) == 0;
}

int http_reload(struct http *http, const struct config_exporter *config, struct error *error) {
    struct config_endpoint endpoint;
    struct http_tokens tokens;
    if (config_parse_endpoint(text_of(config->listen), &endpoint) < 0 || !equal_endpoints(&endpoint, &http->endpoint))
        return error_set(error, -EINVAL, "exporter.listen has changed: restart the exporter for that");
    int result = load_tokens(config, &tokens, error);
    if (result < 0)
        return result;
    pthread_mutex_lock(&http->lock);
    http->tokens = tokens;
    pthread_mutex_unlock(&http->lock);
    return 0;
}

/* --- made and ended --- */

static int add_timers(struct http *http) {
    int result = loop_add_timer(http->loop, http_front_clock, http, &http->clock);
    if (result == 0)
        result = loop_add_timer(http->loop, http_serve_clock, http, &http->mhd_clock);
    if (result == 0)
        result = loop_add_timer(http->loop, http_front_listen_again, http, &http->listen_clock);
    return result == 0 ? loop_add_timer(http->loop, on_stop_clock, http, &http->stop_clock) : result;
}

/* Threads of ours take no signals, which are the main loop's; but faults, which are their own (guard.h). */
static int start_threads(struct http *http) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int result = http_queries_start(http);
    if (result == 0) {
        result = -pthread_create(&http->server_thread, NULL, serve, http);
        http->server_started = result == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static int set_up(struct http *http, const struct config_exporter *config, struct error *error) {
    int result = load_tokens(config, &http->tokens, error);
    if (result < 0)
        return result;
    if (config_parse_endpoint(text_of(config->listen), &http->endpoint) < 0)
        return error_set(error, -EINVAL, "exporter.listen %s is no address", config->listen);
    http->listen_fd = http_listen(config, &http->endpoint, &http->port, error);
    if (http->listen_fd < 0)
        return http->listen_fd;
    result = loop_create(&http->loop, error);
    if (result == 0)
        result = http_serve_create(http, error);
    if (result < 0)
        return result;
    http->scratch = malloc(HTTP_REQUEST_MAX);
    http->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    result = !http->scratch ? -ENOMEM : http->wake_fd < 0 ? -errno : add_timers(http);
    if (result == 0)
        result = loop_add_fd(http->loop, http->wake_fd, EPOLLIN, on_wake, http, NULL);
    if (result == 0)
        result = loop_add_fd(http->loop, http->listen_fd, EPOLLIN, http_front_accept, http, &http->listen_source);
    if (result == 0)
        result = start_threads(http);
    return result < 0 ? error_set(error, result, "cannot set up the HTTP server: %s", strerror(-result)) : 0;
}

int http_create(const struct config_exporter *config, const struct http_route *routes, size_t route_count,
                http_refused_function *refused_token, void *context, struct http **ret, struct error *error) {
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return error_set(error, -ENOMEM, "out of memory");
    http->routes = routes;
    http->route_count = route_count;
    http->refused_token = refused_token;
    http->context = context;
    http->listen_fd = http->wake_fd = -1;
    pthread_mutex_init(&http->lock, NULL);
    http_queries_init(http);
    int result = set_up(http, config, error);
    if (result < 0) {
        http_destroy(http);
        return result;
    }
    *ret = http;
    return 0;
}

static void stop_server(struct http *http) {
    static const uint64_t one = 1;
    if (!http->server_started)
        return;
    atomic_store(&http->stop_wanted, true);
    ssize_t woken = write(http->wake_fd, &one, sizeof(one));
    (void)woken; /* an eventfd that is full is awake */
    pthread_join(http->server_thread, NULL);
    http->server_started = false;
}

bool http_stop(struct http *http) {
    if (!http)
        return true;
    stop_server(http);
    return http_queries_stop(http);
}

bool http_destroy(struct http *http) {
    struct connection *connection;
    if (!http)
        return true;
    if (!http_stop(http))
        return false;
    http->stopping = false; /* the loop is over */
    while ((connection = http_queries_take_done(http)) != NULL)
        http_serve_resume(connection); /* libmicrohttpd ends only without suspended ones */
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    loop_destroy(http->loop);
    if (http->listen_fd >= 0)
        close(http->listen_fd);
    if (http->wake_fd >= 0)
        close(http->wake_fd);
    free(http->scratch);
    http_queries_finish(http);
    pthread_mutex_destroy(&http->lock);
    free(http);
    return true;
}

unsigned http_port(const struct http *http) {
    return http->port;
}

void http_watch_answers(struct http *http, http_answered_function *function) {
    atomic_store(&http->answered, function);
}

void http_counters_get(struct http *http, struct http_counters *ret) {
    *ret = (struct http_counters) {
        .requests = atomic_load(&http->requests),
        .refused = atomic_load(&http->refused),
        .tokens_missing = atomic_load(&http->tokens_missing),
        .tokens_wrong = atomic_load(&http->tokens_wrong),
        .connections = atomic_load(&http->connections),
        .timeouts = atomic_load(&http->timeouts),
        .evicted = atomic_load(&http->evicted),
        .bytes_out = atomic_load(&http->bytes_out),
        .open = atomic_load(&http->open_now),
        .answers_bytes = atomic_load(&http->answers_bytes),
        .queries_waiting = atomic_load(&http->workers[HTTP_QUERY].waiting),
    };
}
