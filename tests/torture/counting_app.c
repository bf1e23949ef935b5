/* counting_app.c - an app under torture that counts: entries, a counter and a timer by handle, a counter by name, gauges of all apps
 * together (sum, least, greatest), and an account of them in a file that outlives SIGKILL.
 *
 *   counting_app SERVICE ROUNDS_A_SECOND PROGRESS_FILE
 *
 * A round is one of each. Ends well when its stdin does.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "agent/client/taskforge.h"

struct progress { /* calls that returned well; each is counted after its call */
    volatile uint64_t entries, by_handle, timed, by_name, refused;
    volatile uint64_t level_coming, level; /* what the gauges are about to be set to, and are set to: the number of entries */
};

static tf_metric *handle(tf_client *client, int kind, const char *name, const struct tf_label *label) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric;
    definition.labels = label;
    definition.label_count = 1;
    if (tf_metric_register(client, &definition, &metric) < 0) {
        fprintf(stderr, "counting_app: %s\n", tf_last_error());
        exit(1);
    }
    return metric;
}

static tf_metric *rule_handle(tf_client *client, int combine, const char *name) {
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_GAUGE, name);
    tf_metric *metric;
    definition.combine = combine;
    if (tf_metric_register(client, &definition, &metric) < 0) {
        fprintf(stderr, "counting_app: %s\n", tf_last_error());
        exit(1);
    }
    return metric;
}

static int next_tick(long period_ms) {
    struct pollfd input = { .fd = 0, .events = POLLIN };
    return poll(&input, 1, (int)period_ms) == 0;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    int fd = open(argv[3], O_RDWR | O_CLOEXEC);
    struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct tf_options options = TF_OPTIONS_INIT;
    struct tf_label label = { "app", argv[1] };
    tf_client *client;
    options.policy = TF_POLICY_WAIT;
    options.wait_ns = 60 * UINT64_C(1000000000);
    if (progress == MAP_FAILED || tf_open(argv[1], &options, &client) < 0)
        return 1;
    tf_metric *counter = handle(client, TF_COUNTER, "torture_by_handle", &label);
    tf_metric *timer = handle(client, TF_TIMER, "torture_timed", &label);
    tf_metric *const levels[] = { rule_handle(client, TF_COMBINE_SUM, "torture_sum"),
                                  rule_handle(client, TF_COMBINE_MIN, "torture_min"),
                                  rule_handle(client, TF_COMBINE_MAX, "torture_max") };
    long rate = atol(argv[2]), burst = rate / 100 > 0 ? rate / 100 : 1;
    uint64_t number = 0;
    do {
        for (long i = 0; i < burst; i++) {
            if (tf_counter_add(counter, 1) == 0)
                progress->by_handle++;
            if (tf_logf(client, TF_LEVEL_INFO, NULL, "count", "number %llu of an app", (unsigned long long)number++) == 0)
                progress->entries++;
            else
                progress->refused++;
            if (tf_timer_observe(timer, (double)(number % 1000) / 1000) == 0)
                progress->timed++;
            if (tf_metric_count(client, "torture_by_name", 1, &label, 1) == 0)
                progress->by_name++;
            else
                progress->refused++;
        }
        progress->level_coming = number;
        for (int i = 0; i < 3; i++)
            tf_gauge_set(levels[i], (double)number);
        progress->level = number;
    } while (next_tick(1000 * burst / rate));
    tf_close(client);
    return 0;
}
