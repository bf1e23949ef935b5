/* metrics_probe - an app with metrics, driven by lines on stdin; each answer is a line.
 *
 *     count NAME N          register a counter and add N by handle            ok
 *     time NAME SECONDS     a timer, likewise                                 ok
 *     traced NAME SECONDS ID    a timer, likewise, in that trace              ok
 *     gauge NAME N          a gauge, likewise                                 ok
 *     rule NAME N sum|min|max   a gauge with a rule for several processes     ok
 *     describe NAME HELP    of a counter                                      ok
 *     stats                 queue, worker and job statistics                  ok
 *     get NAME [KEY=VALUE]  what the collector has: KIND VALUE COUNT SUM, or the sentence
 *     each                  every series: FAMILY{KEY=VALUE ...} VALUE ..., joined by ';'
 *     die                   SIGKILL
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/client/taskforge.h"

static tf_metric *handle(int kind, const char *name) {
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric = NULL;
    tf_metric_register(NULL, &definition, &metric);
    return metric;
}

static tf_metric *rule_handle(const char *name, const char *rule) {
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_GAUGE, name);
    tf_metric *metric = NULL;
    definition.combine = strcmp(rule, "sum") == 0   ? TF_COMBINE_SUM
                         : strcmp(rule, "min") == 0 ? TF_COMBINE_MIN
                                                    : TF_COMBINE_MAX;
    return tf_metric_register(NULL, &definition, &metric) == 0 ? metric : NULL;
}

static int describe(const char *name, const char *help) {
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, name);
    definition.help = help;
    return tf_metric_describe(NULL, &definition);
}

static void answer(int r) {
    printf("%s\n", r == 0 ? "ok" : tf_last_error());
}

static void get(const char *name, char *label) {
    struct tf_label labels[1] = { { label, "" } };
    struct tf_metric_value value;
    char *equals = label ? strchr(label, '=') : NULL;
    if (equals) {
        *equals = '\0';
        labels[0].value = equals + 1;
    }
    if (tf_metric_get(NULL, name, labels, equals ? 1 : 0, &value, sizeof(value)) < 0)
        answer(-1);
    else
        printf("%d %.15g %llu %.15g\n", value.kind, value.value, (unsigned long long)value.count, value.sum);
}

static int print_one(const struct tf_metric_sample *sample, void *argument) {
    (void)argument;
    printf("%s{", sample->family);
    for (size_t i = 0; i < sample->label_count; i++)
        printf("%s%s=%s", i ? " " : "", sample->labels[i].name, sample->labels[i].value);
    printf("} %.15g;", sample->value.value);
    return 0;
}

static void act(char *line) {
    const char *verb = strtok(line, " \n"), *name = strtok(NULL, " \n");
    char *argument = strtok(NULL, " \n");
    if (!verb)
        return;
    if (strcmp(verb, "die") == 0)
        raise(SIGKILL);
    else if (strcmp(verb, "get") == 0)
        get(name, argument);
    else if (strcmp(verb, "count") == 0)
        answer(tf_counter_add(handle(TF_COUNTER, name), strtoll(argument, NULL, 10)));
    else if (strcmp(verb, "time") == 0)
        answer(tf_timer_observe(handle(TF_TIMER, name), strtod(argument, NULL)));
    else if (strcmp(verb, "traced") == 0) {
        tf_context_set(strtok(NULL, " \n"), NULL, NULL);
        answer(tf_timer_observe(handle(TF_TIMER, name), strtod(argument, NULL)));
        tf_context_clear();
    } else if (strcmp(verb, "gauge") == 0)
        answer(tf_gauge_set(handle(TF_GAUGE, name), strtod(argument, NULL)));
    else if (strcmp(verb, "rule") == 0) {
        tf_metric *metric = rule_handle(name, strtok(NULL, " \n"));
        answer(metric ? tf_gauge_set(metric, strtod(argument, NULL)) : -1);
    } else if (strcmp(verb, "describe") == 0)
        answer(describe(name, argument));
    else if (strcmp(verb, "stats") == 0)
        answer(tf_queue_stats(NULL, 5, 4, 1) | tf_worker_stats(NULL, 9, 6, 2, 1) | tf_job_stats(NULL, 9, 1, 2, 3, 3));
    else if (tf_metric_each(NULL, print_one, NULL) < 0)
        answer(-1);
    else
        printf("\n");
}

int main(void) {
    char line[512];
    tf_default_open("probe", NULL);
    while (fgets(line, sizeof(line), stdin)) {
        act(line);
        fflush(stdout);
    }
    return 0;
}
