/* notify_probe.c - the alerter's delivery alone: store, outbox, channels of a rules file, in a loop.
 *
 *   notify_probe RULES_FILE DATA_DIR      reads lines from stdin until its end:
 *     put CHANNEL RULE_ID COUNT           COUNT notifications in one transaction; then prints "put"
 *     counts                              prints one JSON object
 *     reload                              reads the rules file again; then prints "reloaded"
 *   notify_probe send-test RULES_FILE CHANNEL
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alerter/outbox.h"
#include "alerter/rules_file.h"
#include "alerter/send_test.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "tests/unit/alerter/sample.h"

struct probe {
    struct loop *loop;
    struct http_client *client;
    struct alert_store *store;
    struct outbox *outbox;
    struct rules *rules;
    struct buffer input;
    const char *rules_path;
};

static struct rules *load(const char *path) {
    struct config_strings files = { (char *[]) { (char *)path }, 1 };
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct rules *rules = NULL;

    if (rules_load(&files, &rules, &faults) < 0)
        diag_error("%s", faults.lines[0]);
    config_faults_finish(&faults);
    check(rules);
    return rules;
}

static void put(struct probe *probe, const char *channel, const char *rule_id, unsigned count) {
    struct alert alert = sample_alert();
    struct alert_store_txn *txn;
    struct error error = { "" };

    free(alert.rule_id);
    alert.rule_id = strdup(rule_id);
    alert.timestamp_ns = clock_real_ns();
    check(alert_store_begin(probe->store, true, &txn, &error) == 0);
    for (unsigned i = 0; i < count; i++) {
        alert.value = i;
        check(outbox_put(probe->outbox, txn, channel, &alert, clock_real_ns() + i * CLOCK_MILLISECOND, &error) == 0);
    }
    check(alert_store_commit(txn, &error) == 0);
    outbox_commit(probe->outbox);
    alert_finish(&alert);
    printf("put\n");
}

static void obey(struct probe *probe, const char *line) {
    char channel[64], rule_id[64];
    unsigned count;

    if (sscanf(line, "put %63s %63s %u", channel, rule_id, &count) == 3)
        put(probe, channel, rule_id, count);
    else if (strcmp(line, "reload") == 0) {
        struct rules *before = probe->rules;

        probe->rules = load(probe->rules_path);
        outbox_set_channels(probe->outbox, probe->rules->channels, probe->rules->channel_count);
        rules_destroy(before);
        printf("reloaded\n");
    } else {
        struct outbox_counts counts = outbox_counts(probe->outbox);

        printf("{\"delivered\":%llu,\"failed\":%llu,\"refused\":%llu,\"waiting\":%llu}\n",
               (unsigned long long)counts.delivered, (unsigned long long)counts.failed,
               (unsigned long long)counts.refused, (unsigned long long)counts.waiting);
    }
    fflush(stdout);
}

static void take_input(struct loop_fd *source, int fd, uint32_t events, void *context) {
    struct probe *probe = context;
    char chunk[4096];
    ssize_t length = read(fd, chunk, sizeof(chunk));
    char *end;

    (void)source, (void)events;
    if (length <= 0) {
        loop_stop(probe->loop, 0);
        return;
    }
    buffer_append(&probe->input, chunk, (size_t)length);
    while (probe->input.length > 0 && (end = memchr(probe->input.data, '\n', probe->input.length))) {
        *end = '\0';
        obey(probe, probe->input.data);
        buffer_consume(&probe->input, (size_t)(end + 1 - probe->input.data));
    }
}

static int run_send_test(const char *rules_path, const char *name) {
    struct rules *rules = load(rules_path);
    const struct channel_config *channel = rules_channel(rules, name);
    struct buffer answer = BUFFER_EMPTY;
    struct error error = { "" };
    int r;

    check(channel);
    r = send_test(channel, &answer, &error);
    printf("%d\n%.*s%s\n", r, TEXT_FORMAT(answer), error.text);
    buffer_finish(&answer);
    rules_destroy(rules);
    return 0;
}

int main(int argc, char **argv) {
    struct probe probe = { .input = BUFFER_EMPTY };
    struct error error = { "" }, aside = { "" };
    int r;

    diag_open("notify_probe");
    check(argc >= 3);
    if (strcmp(argv[1], "send-test") == 0)
        return run_send_test(argv[2], argv[3]);
    probe.rules_path = argv[1];
    probe.rules = load(argv[1]);
    r = loop_create(&probe.loop, &error);
    if (r == 0)
        r = http_client_create(probe.loop, &probe.client, &error);
    if (r == 0)
        r = alert_store_open(argv[2], &probe.store, &aside, &error);
    if (r == 0)
        r = outbox_open(probe.loop, probe.client, probe.store, &probe.outbox, &error);
    if (r == 0)
        r = loop_add_fd(probe.loop, STDIN_FILENO, EPOLLIN, take_input, &probe, NULL);
    if (r == 0) {
        outbox_set_channels(probe.outbox, probe.rules->channels, probe.rules->channel_count);
        diag_info("ready");
        loop_run(probe.loop);
    } else
        diag_error("%s", error.text);
    outbox_close(probe.outbox);
    alert_store_close(probe.store);
    http_client_destroy(probe.client);
    loop_destroy(probe.loop);
    rules_destroy(probe.rules);
    buffer_finish(&probe.input);
    return r == 0 ? 0 : 1;
}
