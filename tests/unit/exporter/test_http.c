/* The server as routes see it, over real sockets: what reaches them, what is made of their answers, and its end. */
#include "exporter/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define H "Host: localhost\r\n"

/* --- routes of the test's own --- */

struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gate_open;     /* what the slow route waits for */
    atomic_int entered; /* how many have come to it */
    atomic_int refused_calls;
    char refused_reason[16];
};
static struct world world = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void echo(const struct http_request *request, struct http_answer *answer, void *context) {
    assert_ptr_equal(context, &world);
    answer->content_type = "text/plain";
    buffer_append_format(&answer->body, "%d %.*s rest=%.*s actor=%s body=%.*s", (int)request->method,
                         TEXT_FORMAT(request->path), TEXT_FORMAT(request->rest), request->actor,
                         TEXT_FORMAT(request->body));
    for (size_t i = 0; i < request->parameter_count; i++)
        buffer_append_format(&answer->body, " %.*s=%.*s", TEXT_FORMAT(request->parameters[i].name),
                             TEXT_FORMAT(request->parameters[i].value));
    if (request->scrape_timeout_given)
        buffer_append_format(&answer->body, " timeout=%llu", (unsigned long long)request->scrape_timeout_ns);
}

static void slow(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    pthread_mutex_lock(&world.lock);
    atomic_fetch_add(&world.entered, 1);
    while (!world.gate_open)
        pthread_cond_wait(&world.changed, &world.lock);
    pthread_mutex_unlock(&world.lock);
    buffer_append_string(&answer->body, "slow");
}

static void set_gate(bool open) {
    pthread_mutex_lock(&world.lock);
    world.gate_open = open;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}

static void text_with_tag(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    snprintf(answer->etag, sizeof(answer->etag), "abc");
    answer->compress = true;
    for (int i = 0; i < 1000; i++)
        buffer_append_string(&answer->body, "the same again; ");
}

static void out_of_memory(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    buffer_append_string(&answer->body, "half of");
    answer->body.failed = true;
}

static void failing(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    buffer_append_string(&answer->body, "half of");
    http_fail(answer, 422, "\"%s\" is\nnothing", "x\xff");
}

enum { LARGE = 16 * 1024 * 1024, FILES = 4096 };
static const char large_body[LARGE];

static void large(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    answer->borrowed_body = (struct text) { large_body, LARGE };
}

static const struct http_route routes[] = {
    { "/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, echo },
    { "/echo", HTTP_GET | HTTP_POST, HTTP_READ, HTTP_ADMIN, HTTP_INLINE, echo },
    { "/tree/", HTTP_POST, HTTP_READ, HTTP_ADMIN, HTTP_QUERY, echo },
    { "/tree/deep/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, echo },
    { "/open", HTTP_GET, HTTP_OPEN, HTTP_OPEN, HTTP_INLINE, echo },
    { "/slow", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, slow },
    { "/text", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, text_with_tag },
    { "/memory", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, out_of_memory },
    { "/large", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, large },
    { "/failing", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_QUERY, failing },
};

static void on_refused(const char *peer, struct text path, const char *reason, uint64_t count, void *context) {
    assert_ptr_equal(context, &world);
    assert_non_null(strstr(peer, "127.0.0.1:"));
    assert_true(path.length > 0 && count > 0);
    snprintf(world.refused_reason, sizeof(world.refused_reason), "%s", reason);
    atomic_fetch_add(&world.refused_calls, 1);
}

/* --- a client --- */

static struct http *http;

static void start(const char *token_file, const char *admin_token_file) {
    char any[] = "127.0.0.1:0";
    const struct config_exporter config = {
        .listen = any,
        .token_file = (char *)(uintptr_t)token_file,
        .admin_token_file = (char *)(uintptr_t)admin_token_file,
    };
    struct error error = { "" };
    int result = http_create(&config, routes, sizeof(routes) / sizeof(routes[0]), on_refused, &world, &http, &error);
    if (result != 0)
        print_error("%s\n", error.text);
    assert_int_equal(result, 0);
}

static void meet(int fd) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(http)) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    meet(fd);
    return fd;
}

static void say(int fd, const char *bytes) {
    assert_int_equal(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL), strlen(bytes));
}

/* All that comes until the end, as a string that lives until the next call; at most 20 seconds. */
static const char *hear(int fd) {
    static struct buffer answer;
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    char piece[4096];
    ssize_t n;
    buffer_clear(&answer);
    while (poll(&wait, 1, 20000) == 1 && (n = recv(fd, piece, sizeof(piece), 0)) > 0)
        buffer_append(&answer, piece, (size_t)n);
    buffer_append_char(&answer, '\0');
    close(fd);
    return answer.data;
}

static const char *ask(const char *bytes) {
    int fd = dial();
    say(fd, bytes);
    return hear(fd);
}

static void assert_has(const char *answer, const char *part) {
    if (!strstr(answer, part))
        print_error("\"%s\" is not in:\n%s\n", part, answer);
    assert_non_null(strstr(answer, part));
}

static void assert_has_not(const char *answer, const char *part) {
    assert_null(strstr(answer, part));
}

static int stop(void **state) {
    (void)state;
    set_gate(true);
    assert_true(http_destroy(http));
    http = NULL;
    return 0;
}

static int start_open(void **state) {
    (void)state;
    start(NULL, NULL);
    return 0;
}

/* --- what routes get --- */

static void routes_get_path_rest_parameters_and_body(void **state) {
    (void)state;
    assert_has(ask("GET /?a=%20b&c HTTP/1.1\r\n" H "X-Prometheus-Scrape-Timeout-Seconds: 1.5\r\n\r\n"),
               "1 / rest= actor=anyone body= a= b c= timeout=1500000000");
    assert_has(ask("POST /tree/x/y HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody"),
               "2 /tree/x/y rest=x/y actor=anyone body=body");
    assert_has(ask("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"),
               "body=body");
    assert_has(ask("GET /tree/deep/x HTTP/1.1\r\n" H "\r\n"), "rest=x"); /* the longest route */
    assert_has(ask("GET http://localhost/echo HTTP/1.0\r\n\r\n"), "1 /echo");
}

static void a_request_may_come_in_pieces(void **state) {
    const char *bytes = "POST /echo?x=1 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc";
    int on = 1, fd = dial();
    (void)state;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on));
    for (const char *c = bytes; *c; c++)
        assert_int_equal(send(fd, c, 1, MSG_NOSIGNAL), 1);
    assert_has(hear(fd), "body=abc x=1");
}

static void a_large_body_arrives_whole(void **state) {
    char head[128];
    char *body = malloc(HTTP_BODY_MAX + 1);
    int fd = dial();
    (void)state;
    memset(body, 'a', HTTP_BODY_MAX);
    body[HTTP_BODY_MAX] = '\0';
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", HTTP_BODY_MAX);
    say(fd, head);
    say(fd, body);
    const char *answer = hear(fd);
    assert_has(answer, body);
    free(body);
}

static void who_expects_it_is_told_to_continue(void **state) {
    int fd = dial();
    char line[64] = "";
    (void)state;
    say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_true(recv(fd, line, sizeof(line) - 1, 0) > 0);
    assert_string_equal(line, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abc");
    assert_has(hear(fd), "body=abc");
}

static void a_connection_carries_one_request(void **state) {
    const char *answer = ask("GET /echo HTTP/1.1\r\n" H "\r\nGET /text HTTP/1.1\r\n" H "\r\n");
    (void)state;
    assert_has(answer, "1 /echo");
    assert_has(answer, "Connection: close\r\n");
    assert_has_not(answer, "the same again");
}

static void who_has_said_all_may_close_its_side(void **state) {
    int fd = dial();
    (void)state;
    say(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    assert_has(hear(fd), "1 /echo");
}

/* --- what is made of answers --- */

static void head_is_get_without_the_body(void **state) {
    const char *answer = ask("HEAD /text HTTP/1.1\r\n" H "\r\n");
    (void)state;
    assert_has(answer, "HTTP/1.1 200 OK\r\n");
    assert_has(answer, "Content-Length: 16000\r\n");
    assert_has_not(answer, "the same again");
}

static void answers_carry_their_headers(void **state) {
    const char *answer = ask("GET /text HTTP/1.1\r\n" H "\r\n");
    (void)state;
    assert_has(answer, "ETag: \"abc\"\r\n");
    assert_has(answer, "Vary: Accept, Accept-Encoding\r\n");
    assert_has(answer, "Cache-Control: no-store\r\n");
    assert_has(answer, "Content-Type: application/json\r\n");
    assert_has(answer, "X-Content-Type-Options: nosniff\r\n");
    assert_has(answer, "Referrer-Policy: no-referrer\r\n");
    assert_has(answer, "Content-Security-Policy: default-src 'none';");
    assert_has(answer, "frame-ancestors 'none'");
    assert_has(answer, "Date: ");
    assert_has_not(answer, "Content-Encoding");
}

static void answers_are_compressed_where_they_may(void **state) {
    const char *answer = ask("GET /text HTTP/1.1\r\n" H "Accept-Encoding: gzip\r\n\r\n");
    (void)state;
    assert_has(answer, "Content-Encoding: gzip\r\n");
    assert_has(answer, "ETag: \"abc-gzip\"\r\n");
    assert_has_not(answer, "Content-Length: 16000");
    assert_has_not(ask("GET /echo HTTP/1.1\r\n" H "Accept-Encoding: gzip\r\n\r\n"), "Content-Encoding");
}

static void what_the_client_has_is_not_sent_again(void **state) {
    (void)state;
    static const char *const same[] = { "\"abc\"", "W/\"abc\"", "\"x\", \"abc-gzip\"", "*" };
    static const char *const other[] = { "\"abcd\"", "abc", "\"xabc\"", "\"abc", "" };
    char request[128];
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        snprintf(request, sizeof(request), "GET /text HTTP/1.1\r\n" H "If-None-Match: %s\r\n\r\n", same[i]);
        const char *answer = ask(request);
        assert_has(answer, "HTTP/1.1 304 ");
        assert_has(answer, "ETag: \"abc\"\r\n");
        assert_has_not(answer, "the same again");
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        snprintf(request, sizeof(request), "GET /text HTTP/1.1\r\n" H "If-None-Match: %s\r\n\r\n", other[i]);
        assert_has(ask(request), "HTTP/1.1 200 ");
    }
}

static void failures_are_json(void **state) {
    const char *answer = ask("GET /failing HTTP/1.1\r\n" H "\r\n");
    (void)state;
    assert_has(answer, "HTTP/1.1 422 ");
    assert_has(answer, "\r\n\r\n{\"error\":\"\\\"x\xef\xbf\xbd\\\" is\\nnothing\"}\n");
    assert_has_not(answer, "half of");
    answer = ask("GET /memory HTTP/1.1\r\n" H "\r\n");
    assert_has(answer, "HTTP/1.1 500 ");
    assert_has(answer, "{\"error\":\"out of memory\"}");
}

/* --- what no route sees --- */

static void unknown_paths_and_methods_are_refused(void **state) {
    (void)state;
    assert_has(ask("GET /nowhere HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 404 ");
    assert_has(ask("GET /tree HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 404 ");
    assert_has(ask("GET /tree/x HTTP/1.1\r\n" H "\r\n"), "Allow: POST\r\n");
    assert_has(ask("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), "Allow: GET, HEAD\r\n");
    const char *answer = ask("DELETE /echo HTTP/1.1\r\n" H "\r\n");
    assert_has(answer, "HTTP/1.1 405 ");
    assert_has(answer, "Allow: GET, HEAD, POST\r\n");
    assert_has(answer, "{\"error\":");
}

static void bad_bodies_are_refused(void **state) {
    (void)state;
    const char *answer = ask("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx\r\n");
    assert_has(answer, "HTTP/1.1 400 Bad Request\r\n");
    assert_has(answer, "{\"error\":\"a chunk has no size\"}\n");
    assert_has(ask("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n10001\r\n"), "HTTP/1.1 413 ");
}

static void pages_of_other_sites_are_refused(void **state) {
    (void)state;
    assert_has(ask("POST /echo HTTP/1.1\r\n" H "Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n"),
               "HTTP/1.1 403 ");
    assert_has(ask("POST /echo HTTP/1.1\r\n" H "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n"),
               "HTTP/1.1 403 ");
    assert_has(ask("POST /echo HTTP/1.1\r\n" H "Origin: http://localhost\r\nContent-Length: 0\r\n\r\n"),
               "HTTP/1.1 200 ");
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "Origin: http://evil.example\r\n\r\n"), "HTTP/1.1 200 ");
}

/* --- tokens --- */

static char token_path[] = "/tmp/taskforge-http-XXXXXX";

static void write_token(const char *token, mode_t mode) {
    FILE *file = fopen(token_path, "w");
    assert_non_null(file);
    fputs(token, file);
    fclose(file);
    chmod(token_path, mode);
}

static void tokens_are_asked_for_and_changed(void **state) {
    char listen_on[] = "127.0.0.1:0", other[] = "127.0.0.2:0";
    struct config_exporter config = { .listen = listen_on, .token_file = token_path };
    struct error error = { "" };
    (void)state;
    write_token("first\n", 0600);
    start(token_path, NULL);
    int before = atomic_load(&world.refused_calls);
    const char *answer = ask("GET /echo HTTP/1.1\r\n" H "\r\n");
    assert_has(answer, "HTTP/1.1 401 ");
    assert_has(answer, "WWW-Authenticate: Bearer realm=\"taskforge\"\r\n");
    assert_int_equal(atomic_load(&world.refused_calls), before + 1);
    assert_string_equal(world.refused_reason, "missing");
    assert_has(ask("GET /nowhere HTTP/1.1\r\n" H "Authorization: Bearer wrong\r\n\r\n"), "HTTP/1.1 401 ");
    assert_int_equal(atomic_load(&world.refused_calls), before + 1); /* at most one a second */
    assert_has(ask("GET /open HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "Authorization: Bearer first\r\n\r\n"), "actor=token");
    write_token("second\n", 0600);
    assert_int_equal(http_reload(http, &config, &error), 0);
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "Authorization: Bearer first\r\n\r\n"), "the token is wrong");
    write_token("third\n", 0644);
    assert_int_equal(http_reload(http, &config, &error), -EACCES);
    config.listen = other;
    assert_int_equal(http_reload(http, &config, &error), -EINVAL);
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "Authorization: Bearer second\r\n\r\n"), "HTTP/1.1 200 ");
}

static void a_server_that_cannot_begin_says_why(void **state) {
    char listen_on[32];
    struct config_exporter config = { .listen = listen_on };
    struct error error = { "" };
    struct http *second = NULL;
    (void)state;
    start(NULL, NULL);
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%u", http_port(http));
    assert_int_equal(http_create(&config, routes, 1, NULL, NULL, &second, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, listen_on));
    snprintf(listen_on, sizeof(listen_on), "192.0.2.1:0");
    assert_int_equal(http_create(&config, routes, 1, NULL, NULL, &second, &error), -EADDRNOTAVAIL);
    write_token("open to all", 0644);
    config.token_file = token_path;
    assert_int_equal(http_create(&config, routes, 1, NULL, NULL, &second, &error), -EACCES);
    assert_null(second);
}

/* --- the query thread --- */

static void wait_for_entered(int count) {
    for (int i = 0; i < 20000 && atomic_load(&world.entered) < count; i++)
        usleep(1000); /* until the route has been entered, which is the event */
    assert_true(atomic_load(&world.entered) >= count);
}

static void a_long_query_delays_no_inline_route(void **state) {
    int entered = atomic_load(&world.entered);
    int fd = dial();
    (void)state;
    set_gate(false);
    say(fd, "GET /slow HTTP/1.1\r\n" H "\r\n");
    wait_for_entered(entered + 1);
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    set_gate(true);
    assert_has(hear(fd), "\r\n\r\nslow");
}

static void too_many_queries_are_told_to_come_again(void **state) {
    int entered = atomic_load(&world.entered);
    int fds[HTTP_QUERIES_MAX];
    struct http_counters counters = { 0 };
    (void)state;
    set_gate(false);
    for (int i = 0; i < HTTP_QUERIES_MAX; i++) {
        fds[i] = dial();
        say(fds[i], "GET /slow HTTP/1.1\r\n" H "\r\n");
    }
    wait_for_entered(entered + 1);
    for (int i = 0; i < 20000 && counters.queries_waiting < HTTP_QUERIES_MAX; i++) {
        http_counters_get(http, &counters);
        usleep(1000);
    }
    const char *answer = ask("GET /slow HTTP/1.1\r\n" H "\r\n");
    assert_has(answer, "HTTP/1.1 503 ");
    assert_has(answer, "Retry-After: 1\r\n");
    set_gate(true);
    for (int i = 0; i < HTTP_QUERIES_MAX; i++)
        assert_has(hear(fds[i]), "\r\n\r\nslow");
}

static void an_end_closes_who_has_not_asked(void **state) {
    int idle = dial(), half = dial(), lingering = dial();
    struct http_counters counters = { 0 };
    char byte;
    (void)state;
    say(half, "GET ");
    say(lingering, "BAD\r\n\r\n");
    for (int i = 0; i < 20000 && (counters.open < 3 || counters.refused < 1); i++) {
        http_counters_get(http, &counters);
        usleep(1000);
    }
    assert_true(http_destroy(http));
    assert_int_equal(recv(idle, &byte, 1, 0), 0);
    assert_true(recv(half, &byte, 1, 0) <= 0);
    assert_has(hear(lingering), "HTTP/1.1 400 ");
    close(idle);
    close(half);
}

static void an_end_does_not_wait_for_a_query(void **state) {
    int entered = atomic_load(&world.entered);
    int running = dial(), queued = dial();
    (void)state;
    set_gate(false);
    say(running, "GET /slow HTTP/1.1\r\n" H "\r\n");
    wait_for_entered(entered + 1);
    say(queued, "GET /slow HTTP/1.1\r\n" H "\r\n");
    struct http_counters counters = { 0 };
    for (int i = 0; i < 20000 && counters.queries_waiting < 2; i++) {
        http_counters_get(http, &counters);
        usleep(1000);
    }
    assert_false(http_destroy(http));
    assert_has(hear(queued), "the exporter is ending");
    close(running);
    set_gate(true); /* the query ends; its server is left as it is, as main does */
}

/* --- counting --- */

static void connections_are_counted_and_given_back(void **state) {
    struct http_counters counters;
    int idle = dial();
    (void)state;
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    assert_has(ask("GET /nowhere HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 404 ");
    assert_has(ask("GET /%00 HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 400 ");
    close(idle);
    for (int i = 0; i < 20000; i++) {
        http_counters_get(http, &counters);
        if (counters.open == 0)
            break;
        usleep(1000);
    }
    assert_int_equal(counters.open, 0);
    assert_int_equal(counters.connections, 4);
    assert_int_equal(counters.requests, 1);
    assert_int_equal(counters.refused, 2);
    assert_int_equal(counters.answers_bytes, 0);
    assert_true(counters.bytes_out > 0);
}

/* --- who gives way --- */

static struct http_counters wait_for_open(size_t open) {
    struct http_counters counters = { 0 };
    for (int i = 0; i < 20000; i++) {
        http_counters_get(http, &counters);
        if (counters.open == open)
            break;
        usleep(1000);
    }
    assert_int_equal(counters.open, open);
    return counters;
}

static void the_oldest_idle_connections_give_way(void **state) {
    enum { MORE = 8 };
    static int fds[HTTP_CONNECTIONS_MAX + MORE];
    struct http_counters counters = { 0 };
    char byte;
    (void)state;
    for (int i = 0; i < HTTP_CONNECTIONS_MAX + MORE; i++) {
        fds[i] = dial();
        if (i % 2)
            say(fds[i], "GET / HTTP/1.1\r\nHost: half"); /* arrived by half */
    }
    wait_for_open(HTTP_CONNECTIONS_MAX);
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    counters = wait_for_open(HTTP_CONNECTIONS_MAX - 1);
    assert_int_equal(counters.evicted, MORE + 1);
    for (int i = 0; i < HTTP_CONNECTIONS_MAX + MORE; i++) {
        ssize_t n = recv(fds[i], &byte, 1, MSG_DONTWAIT);
        assert_int_equal(n < 0 && errno == EAGAIN, i > MORE); /* closed, or still there */
        close(fds[i]);
    }
    wait_for_open(0);
}

/* Read to the end: how much there was, or LARGE and more. */
static size_t drain(int fd) {
    static char piece[65536];
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    size_t length = 0;
    ssize_t n;
    while (poll(&wait, 1, 20000) == 1 && (n = recv(fd, piece, sizeof(piece), 0)) > 0)
        length += (size_t)n;
    return length;
}

static void the_slowest_readers_give_way(void **state) {
    enum { KEPT = HTTP_ANSWERS_MAX / LARGE, MORE = 8 };
    static int fds[KEPT + MORE];
    (void)state;
    for (int i = 0; i < KEPT + MORE; i++) {
        fds[i] = dial();
        say(fds[i], "GET /large HTTP/1.1\r\n" H "\r\n"); /* and does not read */
    }
    struct http_counters counters = { 0 };
    for (int i = 0; i < 20000 && counters.evicted < MORE; i++) {
        http_counters_get(http, &counters);
        usleep(1000);
    }
    counters = wait_for_open(KEPT);
    assert_int_equal(counters.answers_bytes, HTTP_ANSWERS_MAX);
    assert_int_equal(counters.evicted, MORE);
    assert_has(ask("GET /echo HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    int cut = 0;
    for (int i = 0; i < KEPT + MORE; i++) {
        cut += drain(fds[i]) < LARGE;
        close(fds[i]);
    }
    assert_int_equal(cut, MORE + 1); /* the answer of /echo needed room as well */
    assert_int_equal(wait_for_open(0).answers_bytes, 0);
}

/* As many descriptors as there are now, and `more`. */
static void limit_files(int more) {
    int next = dup(0);
    struct rlimit files;
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = (rlim_t)(more < 0 ? FILES : next + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static void without_descriptors_idle_ones_give_way_or_new_ones_wait(void **state) {
    int idle = dial(), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;
    (void)state;
    wait_for_open(1);
    limit_files(0);
    meet(fd);
    say(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
    assert_has(hear(fd), "HTTP/1.1 200 ");
    assert_int_equal(recv(idle, &byte, 1, 0), 0); /* gave way */
    limit_files(-1);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    wait_for_open(0);
    limit_files(0);
    meet(fd);
    say(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&wait, 1, 300), 0);
    limit_files(-1);
    assert_has(hear(fd), "HTTP/1.1 200 ");
    close(idle);
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, start_open, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        OPEN(routes_get_path_rest_parameters_and_body),
        OPEN(a_request_may_come_in_pieces),
        OPEN(a_large_body_arrives_whole),
        OPEN(who_expects_it_is_told_to_continue),
        OPEN(a_connection_carries_one_request),
        OPEN(who_has_said_all_may_close_its_side),
        OPEN(head_is_get_without_the_body),
        OPEN(answers_carry_their_headers),
        OPEN(answers_are_compressed_where_they_may),
        OPEN(what_the_client_has_is_not_sent_again),
        OPEN(failures_are_json),
        OPEN(unknown_paths_and_methods_are_refused),
        OPEN(bad_bodies_are_refused),
        OPEN(pages_of_other_sites_are_refused),
        cmocka_unit_test_teardown(tokens_are_asked_for_and_changed, stop),
        cmocka_unit_test_teardown(a_server_that_cannot_begin_says_why, stop),
        OPEN(a_long_query_delays_no_inline_route),
        OPEN(too_many_queries_are_told_to_come_again),
        OPEN(connections_are_counted_and_given_back),
        OPEN(the_oldest_idle_connections_give_way),
        OPEN(the_slowest_readers_give_way),
        OPEN(without_descriptors_idle_ones_give_way_or_new_ones_wait),
        cmocka_unit_test_setup(an_end_closes_who_has_not_asked, start_open),
        cmocka_unit_test_setup(an_end_does_not_wait_for_a_query, start_open),
    };
    close(mkstemp(token_path));
    const struct rlimit files = { FILES, FILES }; /* both ends of each connection are ours */
    setrlimit(RLIMIT_NOFILE, &files);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(token_path);
    return failed;
}
