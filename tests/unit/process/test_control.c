#include "common/process/control.h"

#include "common/base/check.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A server in a thread of its own; the test asks as a client. */
struct server {
    char dir[32];
    char path[64];
    struct loop *loop;
    struct control *control;
    struct control_call *held; /* answered when the next one asks "release" */
    pthread_t thread;
};

static void say_echo(struct control_call *call, struct text arguments, void *context) {
    (void)context;
    control_add_text(call, arguments);
    control_done(call);
}

static void say_lines(struct control_call *call, struct text arguments, void *context) {
    (void)arguments, (void)context;
    control_add(call, "one");
    control_add(call, "%s", "");
    control_add(call, ".");
    control_add(call, "..two");
    control_add(call, "three\nfour");
    control_done(call);
}

static void say_who(struct control_call *call, struct text arguments, void *context) {
    struct ucred peer = control_peer(call);

    (void)arguments, (void)context;
    control_add(call, "%ld %u%s", (long)peer.pid, (unsigned)peer.uid, control_may_change(call) ? " may change" : "");
    control_done(call);
}

static void say_failed(struct control_call *call, struct text arguments, void *context) {
    (void)context;
    control_fail(call, "no such thing: %.*s\n", TEXT_FORMAT(arguments));
}

static void hold(struct control_call *call, struct text arguments, void *context) {
    struct server *server = context;

    (void)arguments;
    server->held = call;
}

static void release(struct control_call *call, struct text arguments, void *context) {
    struct server *server = context;

    (void)arguments;
    if (!server->held) {
        control_fail(call, "nothing is held");
        return;
    }
    control_add(server->held, "at last");
    control_done(server->held);
    server->held = NULL;
    control_done(call);
}

static void say_large(struct control_call *call, struct text arguments, void *context) {
    (void)arguments, (void)context;
    for (int i = 0; i < 100000; i++)
        control_add(call, "line number %d of a large answer", i);
    control_done(call);
}

static void stop(struct control_call *call, struct text arguments, void *context) {
    struct server *server = context;

    (void)arguments;
    control_done(call);
    loop_stop(server->loop, 0);
}

static const struct control_verb verbs[] = {
    { "echo", "TEXT", say_echo },   { "lines", NULL, say_lines }, { "who", NULL, say_who },
    { "fail", "WHAT", say_failed }, { "hold", NULL, hold },       { "release", NULL, release },
    { "large", NULL, say_large },   { "stop", NULL, stop },
};

static void *serve(void *context) {
    struct server *server = context;

    assert_int_equal(loop_run(server->loop), 0);
    return NULL;
}

static int start(void **state) {
    struct server *server = calloc(1, sizeof(*server));

    strcpy(server->dir, "/tmp/tf-control-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    snprintf(server->path, sizeof(server->path), "%s/s.sock", server->dir);
    assert_int_equal(loop_create(&server->loop, NULL), 0);
    assert_int_equal(
        control_listen(server->loop, server->path, 0660, verbs, COUNT_OF(verbs), server, &server->control, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    *state = server;
    return 0;
}

static int ask(int fd, const char *request, struct buffer *body, struct error *error) {
    return control_request(fd, text_of(request), clock_monotonic_ns() + 5 * CLOCK_SECOND, body, error);
}

static int end(void **state) {
    struct server *server = *state;
    struct buffer body = BUFFER_EMPTY;
    int fd = control_connect(server->path, NULL);

    assert_true(fd >= 0);
    assert_int_equal(ask(fd, "stop", &body, NULL), 0);
    pthread_join(server->thread, NULL);
    close(fd);
    buffer_finish(&body);
    control_destroy(server->control);
    assert_int_equal(access(server->path, F_OK), -1);
    loop_destroy(server->loop);
    rmdir(server->dir);
    free(server);
    return 0;
}

static void expect(int fd, const char *request, const char *answer) {
    struct buffer body = BUFFER_EMPTY;
    struct error error = { 0 };

    assert_int_equal(ask(fd, request, &body, &error), 0);
    assert_int_equal(body.length, strlen(answer));
    assert_memory_equal(body.data ? body.data : "", answer, body.length);
    buffer_finish(&body);
}

static void expect_error(int fd, const char *request, int code, const char *sentence) {
    struct buffer body = BUFFER_EMPTY;
    struct error error = { 0 };

    assert_int_equal(ask(fd, request, &body, &error), code);
    assert_string_equal(error.text, sentence);
    buffer_finish(&body);
}

static void answers_one_request_after_the_other(void **state) {
    struct server *server = *state;
    int fd = control_connect(server->path, NULL);
    char who[128];

    expect(fd, "echo", "");
    expect(fd, "echo  a  b ", "a  b\n");
    expect(fd, "lines", "one\n\n.\n..two\nthree\nfour\n");
    snprintf(who, sizeof(who), "%ld %u may change\n", (long)getpid(), (unsigned)getuid());
    expect(fd, "who", who);
    expect(fd, "help", "help\necho TEXT\nlines\nwho\nfail WHAT\nhold\nrelease\nlarge\nstop\n");
    close(fd);
}

/* What the server says of a child that is user and group 54321 and of these further groups; -1 when it could not ask. */
static int may_change_as(const struct server *server, const gid_t *groups, size_t count) {
    struct buffer body = BUFFER_EMPTY;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        if (setgroups(count, groups) < 0 || setgid(54321) < 0 || setuid(54321) < 0)
            _exit(99);
        int fd = control_connect(server->path, NULL);
        if (fd < 0 || ask(fd, "who", &body, NULL) < 0)
            _exit(99);
        _exit(memmem(body.data, body.length, "may change", 10) != NULL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) != 99 ? WEXITSTATUS(status) : -1;
}

static void who_may_change_is_of_our_user_or_group(void **state) {
    const struct server *server = *state;
    const gid_t others[] = { 60001, 60002 }, with_ours[] = { 60001, getegid(), 60002 };

    if (geteuid() != 0)
        skip(); /* only root can be somebody else */
    assert_int_equal(chmod(server->dir, 0755), 0);
    assert_int_equal(chmod(server->path, 0666), 0);
    assert_int_equal(may_change_as(server, NULL, 0), 0);
    assert_int_equal(may_change_as(server, others, COUNT_OF(others)), 0);
    assert_int_equal(may_change_as(server, with_ours, COUNT_OF(with_ours)), 1);
}

static void an_error_comes_with_its_sentence_and_the_connection_goes_on(void **state) {
    struct server *server = *state;
    int fd = control_connect(server->path, NULL);

    expect_error(fd, "fail x", -EREMOTEIO, "no such thing: x?");
    expect_error(fd, "dance", -EREMOTEIO, "unknown request \"dance\"; ask for help");
    expect_error(fd, " ", -EREMOTEIO, "unknown request \"\"; ask for help");
    expect_error(fd, "a\nb", -EINVAL, "a request is one line of at most 65536 bytes");
    expect(fd, "echo still here", "still here\n");
    close(fd);
}

static void a_large_answer_arrives_whole(void **state) {
    struct server *server = *state;
    struct buffer body = BUFFER_EMPTY;
    int fd = control_connect(server->path, NULL);

    assert_int_equal(ask(fd, "large", &body, NULL), 0);
    assert_memory_equal(body.data + body.length - 36, "line number 99999 of a large answer\n", 36);
    buffer_finish(&body);
    close(fd);
}

struct waiter {
    const char *path;
    int result;
    struct buffer body;
};

static void *wait_for_held(void *context) {
    struct waiter *waiter = context;
    int fd = control_connect(waiter->path, NULL);

    waiter->result = ask(fd, "hold", &waiter->body, NULL);
    close(fd);
    return NULL;
}

static void an_answer_may_come_later_while_others_are_served(void **state) {
    struct server *server = *state;
    struct waiter waiter = { .path = server->path };
    struct buffer body = BUFFER_EMPTY;
    pthread_t thread;
    int fd = control_connect(server->path, NULL);

    assert_int_equal(pthread_create(&thread, NULL, wait_for_held, &waiter), 0);
    while (ask(fd, "release", &body, NULL) == -EREMOTEIO)
        sched_yield(); /* until the other has asked */
    pthread_join(thread, NULL);
    assert_int_equal(waiter.result, 0);
    assert_true(text_is(buffer_text(&waiter.body), "at last\n"));
    buffer_finish(&waiter.body);
    buffer_finish(&body);
    close(fd);
}

static void a_peer_that_leaves_before_its_answer_harms_nobody(void **state) {
    struct server *server = *state;
    struct buffer body = BUFFER_EMPTY;
    int fd = control_connect(server->path, NULL), other = control_connect(server->path, NULL);

    assert_int_equal(send(fd, "hold\n", 5, 0), 5);
    close(fd);
    expect(other, "echo x", "x\n");
    ask(other, "release", &body, NULL); /* held, when the request was read before the end was seen */
    buffer_finish(&body);
    expect(other, "echo y", "y\n");
    close(other);
}

static void a_request_that_is_too_long_is_refused_and_cut_off(void **state) {
    struct server *server = *state;
    int fd = control_connect(server->path, NULL);
    char *text = malloc(CONTROL_LINE_MAX + 8192), answer[100];
    size_t sent = 0, got = 0;
    ssize_t n;

    memset(text, 'x', CONTROL_LINE_MAX + 8192);
    while (sent < CONTROL_LINE_MAX + 8192 &&
           (n = send(fd, text + sent, CONTROL_LINE_MAX + 8192 - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    while (got < sizeof(answer) - 1 && (n = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0)
        got += (size_t)n;
    answer[got] = '\0';
    assert_string_equal(answer, "error the request is too long\n.\n");
    free(text);
    close(fd);
}

static void bytes_that_are_no_text_are_refused(void **state) {
    struct server *server = *state;
    int fd = control_connect(server->path, NULL);
    struct buffer body = BUFFER_EMPTY;
    struct error error;

    assert_int_equal(ask(fd, "echo \xff\xfe", &body, &error), -EREMOTEIO);
    assert_string_equal(error.text, "the request is not valid UTF-8 text");
    buffer_finish(&body);
    close(fd);
}

static void more_peers_than_places_wait_and_are_served(void **state) {
    struct server *server = *state;
    int fds[CONTROL_CONNECTIONS_MAX + 3];

    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = control_connect(server->path, NULL);
        assert_true(fds[i] >= 0);
    }
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        expect(fds[i], "echo x", "x\n");
    for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        close(fds[i]);
    for (size_t i = CONTROL_CONNECTIONS_MAX; i < COUNT_OF(fds); i++) {
        expect(fds[i], "echo late", "late\n");
        close(fds[i]);
    }
}

static void a_second_server_at_the_same_place_is_refused(void **state) {
    struct server *server = *state;
    struct control *second = NULL;
    struct error error = { 0 };
    struct loop *loop;
    struct stat status;

    assert_int_equal(loop_create(&loop, NULL), 0);
    assert_int_equal(control_listen(loop, server->path, 0600, verbs, 1, NULL, &second, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, "another process already listens at "));
    loop_destroy(loop);
    assert_int_equal(stat(server->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
}

static void a_left_over_socket_is_replaced_but_nothing_else(void **state) {
    struct server *server = *state;
    struct control *control = NULL;
    struct error error = { 0 };
    struct loop *loop;
    char path[80];
    FILE *file;

    snprintf(path, sizeof(path), "%s/old", server->dir);
    assert_int_equal(loop_create(&loop, NULL), 0);
    file = fopen(path, "w");
    fclose(file);
    assert_int_equal(control_listen(loop, path, 0600, verbs, 1, NULL, &control, &error), -EEXIST);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(control_listen(loop, path, 0600, verbs, 1, NULL, &control, &error), 0);
    {
        char kept[96];

        snprintf(kept, sizeof(kept), "%s.kept", path);
        assert_int_equal(rename(path, kept), 0); /* control_destroy finds nothing to remove */
        control_destroy(control);
        control = NULL;
        assert_int_equal(rename(kept, path), 0); /* a dead socket now */
    }
    assert_int_equal(control_connect(path, &error), -ECONNREFUSED);
    assert_int_equal(control_listen(loop, path, 0600, verbs, 1, NULL, &control, &error), 0);
    control_destroy(control);
    loop_destroy(loop);
}

static void words_are_parted_by_spaces(void **state) {
    struct text arguments = TEXT_LITERAL("  one two   three ");

    (void)state;
    assert_true(text_is(control_word(&arguments), "one"));
    assert_true(text_is(control_word(&arguments), "two"));
    assert_true(text_is(arguments, "three"));
    assert_true(text_is(control_word(&arguments), "three"));
    assert_int_equal(control_word(&arguments).length, 0);
}

static void nobody_at_the_place_is_said(void **state) {
    struct error error = { 0 };

    (void)state;
    assert_int_equal(control_connect("/nonexistent/s.sock", &error), -ENOENT);
    assert_string_equal(error.text, "nobody listens at /nonexistent/s.sock; is the process running?");
}

static int connect_as_nobody(const char *path) {
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        struct error error = { 0 };

        if (setegid(65534) < 0 || seteuid(65534) < 0 || control_connect(path, &error) != -EACCES)
            _exit(1);
        _exit(strstr(error.text, "joins the group taskforge") ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void who_may_not_ask_is_told_what_to_do(void **state) {
    struct server *server = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(server->dir, 0755), 0);
    assert_int_equal(chmod(server->path, 0660), 0);
    assert_int_equal(connect_as_nobody(server->path), 0);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SERVER(answers_one_request_after_the_other),
        WITH_SERVER(who_may_change_is_of_our_user_or_group),
        WITH_SERVER(an_error_comes_with_its_sentence_and_the_connection_goes_on),
        WITH_SERVER(a_large_answer_arrives_whole),
        WITH_SERVER(an_answer_may_come_later_while_others_are_served),
        WITH_SERVER(a_peer_that_leaves_before_its_answer_harms_nobody),
        WITH_SERVER(a_request_that_is_too_long_is_refused_and_cut_off),
        WITH_SERVER(bytes_that_are_no_text_are_refused),
        WITH_SERVER(more_peers_than_places_wait_and_are_served),
        WITH_SERVER(a_second_server_at_the_same_place_is_refused),
        WITH_SERVER(a_left_over_socket_is_replaced_but_nothing_else),
        WITH_SERVER(who_may_not_ask_is_told_what_to_do),
        cmocka_unit_test(words_are_parted_by_spaces),
        cmocka_unit_test(nobody_at_the_place_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
