/* http_client_probe.c - requests with common/process/http_client, all at once, for the test that plays the other side.
 *
 *   http_client_probe [OPTION...] URL...
 *     --body TEXT --body-size N --header NAME VALUE --own --timeout MS --connect-timeout MS --answer-max N --ca FILE
 *     --from ADDRESS --to ADDRESS --starttls --user NAME --password WORD
 *     --cancel MS    give all up after that time      --quit MS   destroy the client after that time
 * Prints one JSON object for each end, then one with "gap": the longest time in ms that the loop did not run, and
 * "destroyed", how long taking the client down took. A host of the name hang.test is one whose name server never answers.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/model/pack.h"
#include "common/process/http_client.h"

#define TICK_NS (5 * CLOCK_MILLISECOND)

struct probe {
    struct loop *loop;
    struct http_client *client;
    struct http_request *requests[HTTP_REQUESTS_MAX];
    size_t sent, ended;
    uint64_t begin, last, gap;
    uint64_t cancel_ms, quit_ms;
    struct loop_timer *tick;
};

/* Stands in for the C library's, in libcurl too. */
#pragma GCC visibility push(default)
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
    struct addrinfo *info;
    struct sockaddr_in *address;

    (void)hints;
    if (node && strcmp(node, "hang.test") == 0)
        for (;;)
            pause();
    info = calloc(1, sizeof(*info) + sizeof(*address));
    if (!info)
        return EAI_MEMORY;
    address = (struct sockaddr_in *)(info + 1);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address->sin_port = htons((uint16_t)(service ? atoi(service) : 0));
    *info = (struct addrinfo) { .ai_family = AF_INET,
                                .ai_socktype = SOCK_STREAM,
                                .ai_protocol = IPPROTO_TCP,
                                .ai_addrlen = sizeof(*address),
                                .ai_addr = (struct sockaddr *)address };
    *ret = info;
    return 0;
}

void freeaddrinfo(struct addrinfo *info) {
    free(info);
}
#pragma GCC visibility pop

static void ended(const struct http_answer *answer, void *context) {
    struct probe *probe = context;
    struct buffer out = BUFFER_EMPTY;

    buffer_append_format(&out, "{\"status\":%u,\"line\":", answer->status);
    json_append_string(&out, text_of(answer->line));
    buffer_append_string(&out, ",\"body\":");
    json_append_string(&out, answer->body);
    buffer_append_format(&out, ",\"cut\":%s,\"retry_after\":%.3f,\"refused\":", answer->cut ? "true" : "false",
                         (double)answer->retry_after_ns / 1e9);
    json_append_string(&out, text_of(answer->refused));
    buffer_append_string(&out, ",\"failure\":");
    json_append_string(&out, text_of(answer->failure));
    buffer_append_format(&out, ",\"timed_out\":%s,\"ms\":%llu}\n", answer->timed_out ? "true" : "false",
                         (unsigned long long)((clock_monotonic_ns() - probe->begin) / CLOCK_MILLISECOND));
    fwrite(out.data, 1, out.length, stdout);
    fflush(stdout);
    buffer_finish(&out);
    if (++probe->ended == probe->sent)
        loop_stop(probe->loop, 0);
}

static void tick(struct loop_timer *timer, void *context) {
    struct probe *probe = context;
    uint64_t now = clock_monotonic_ns(), ms = (now - probe->begin) / CLOCK_MILLISECOND;

    if (now - probe->last > probe->gap)
        probe->gap = now - probe->last;
    probe->last = now;
    loop_set_timer(timer, TICK_NS);
    if (probe->quit_ms && ms >= probe->quit_ms)
        loop_stop(probe->loop, 0);
    if (!probe->cancel_ms || ms < probe->cancel_ms)
        return;
    for (size_t i = 0; i < probe->sent; i++) {
        http_cancel(probe->requests[i]);
        probe->requests[i] = NULL;
    }
    if (http_in_hand(probe->client) == 0) /* mails take a moment to notice */
        loop_stop(probe->loop, 0);
}

static void send_all(struct probe *probe, struct http_message *message, char **urls) {
    struct error error;

    for (; *urls; urls++) {
        int r;

        message->url = *urls;
        r = http_send(probe->client, message, ended, probe,
                      probe->sent < HTTP_REQUESTS_MAX ? &probe->requests[probe->sent] : NULL, &error);
        if (r < 0) {
            struct buffer out = BUFFER_EMPTY;

            json_append_string(&out, text_of(error.text));
            printf("{\"error\":%d,\"sentence\":%.*s}\n", r, TEXT_FORMAT(out));
            buffer_finish(&out);
        } else
            probe->sent++;
    }
}

int main(int argc, char **argv) {
    struct probe probe = { 0 };
    struct http_header headers[8];
    const char *recipients[128];
    struct http_message message = { .headers = headers, .recipients = recipients };
    char *large = NULL;
    uint64_t before;
    int i = 1;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *option = argv[i] + 2, *value = argv[i + 1];

        if (strcmp(option, "own") == 0)
            message.own_connection = true;
        else if (strcmp(option, "starttls") == 0)
            message.starttls = true;
        else if (i++, strcmp(option, "body") == 0)
            message.body = text_of(value);
        else if (strcmp(option, "body-size") == 0)
            message.body = (struct text) { large = calloc(1, (size_t)atol(value)), (size_t)atol(value) };
        else if (strcmp(option, "header") == 0)
            headers[message.header_count++] = (struct http_header) { value, argv[++i] };
        else if (strcmp(option, "to") == 0)
            recipients[message.recipient_count++] = value;
        else
            *(strcmp(option, "from") == 0       ? &message.from
              : strcmp(option, "user") == 0     ? &message.username
              : strcmp(option, "password") == 0 ? &message.password
              : strcmp(option, "ca") == 0       ? &message.ca_file
                                                : &(const char *) { NULL }) = value;
        if (strcmp(option, "timeout") == 0)
            message.timeout_ns = (uint64_t)atol(value) * CLOCK_MILLISECOND;
        if (strcmp(option, "connect-timeout") == 0)
            message.connect_timeout_ns = (uint64_t)atol(value) * CLOCK_MILLISECOND;
        if (strcmp(option, "answer-max") == 0)
            message.answer_max = (size_t)atol(value);
        if (strcmp(option, "cancel") == 0)
            probe.cancel_ms = (uint64_t)atol(value);
        if (strcmp(option, "quit") == 0)
            probe.quit_ms = (uint64_t)atol(value);
    }
    if (loop_create(&probe.loop, NULL) < 0 || http_client_create(probe.loop, &probe.client, NULL) < 0 ||
        loop_add_timer(probe.loop, tick, &probe, &probe.tick) < 0)
        return 1;
    probe.begin = probe.last = clock_monotonic_ns();
    loop_set_timer(probe.tick, TICK_NS);
    send_all(&probe, &message, argv + i);
    if (probe.sent > 0)
        loop_run(probe.loop);
    before = clock_monotonic_ns();
    http_client_destroy(probe.client);
    printf("{\"gap\":%llu,\"destroyed\":%llu}\n", (unsigned long long)(probe.gap / CLOCK_MILLISECOND),
           (unsigned long long)((clock_monotonic_ns() - before) / CLOCK_MILLISECOND));
    loop_remove_timer(probe.tick);
    loop_destroy(probe.loop);
    free(large);
    return 0;
}
