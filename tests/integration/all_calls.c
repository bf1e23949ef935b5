/* all_calls.c - every call of taskforge.h, from a main thread, from other threads, from a signal handler and in a child of fork. C and C++
 * alike. What is to be 0 must be 0; a runtime directory of its own is expected. all_calls.sh compiles and runs it in several ways, and
 * sees that no call of the header is missing here. */
#define TF_MODULE "all"
#include <taskforge.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned failures;
static tf_client *client;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not true: %s (%s)\n", __LINE__, #condition, tf_last_error());                    \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

static const struct tf_label labels[] = { { "queue", "mail" } };

/* --- opening, levels, losses --- */

static void open_all(void) {
    struct tf_options options = TF_OPTIONS_INIT;
    int level = -1;
    options.module = "module";
    options.min_level = TF_LEVEL_DEBUG;
    options.policy = TF_POLICY_WAIT;
    options.wait_ns = 1000000;
    EXPECT(tf_default_open("all-calls", NULL) == 0);
    EXPECT(tf_default() != NULL);
    EXPECT(tf_open("all-calls-too", &options, &client) == 0);
    EXPECT(tf_open("", &options, &client) < 0 && strlen(tf_last_error()) > 0);
    EXPECT(tf_prepare(client) == 0);
    EXPECT(tf_level_parse("warning", &level) == 0 && level == TF_LEVEL_WARN);
    EXPECT(strcmp(tf_level_name(TF_LEVEL_CRITICAL), "critical") == 0);
    EXPECT(tf_wants(client, TF_LEVEL_INFO) && !tf_wants(client, TF_LEVEL_TRACE));
}

/* --- entries --- */

static int by_list(const char *format, ...) TF_PRINTF_(1, 2);
static int by_list(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int result = tf_vlogf(client, TF_LEVEL_INFO, NULL, "list", format, arguments);
    va_end(arguments);
    return result;
}

static void log_by_macro(void) {
    TF_TRACE("macro", "trace");
    TF_DEBUG("macro", "debug %d", 1);
    const char *volatile nothing = NULL;
    TF_INFO("macro", "info %s and %s", "one", nothing);
    TF_WARN("macro", "warn %.3f", 1.5);
    TF_ERROR("macro", "error %zu %c %p", sizeof(int), 'x', (void *)client);
    TF_CRITICAL("macro", "critical %llu", 1ULL);
    TF_LOG(TF_LEVEL_INFO, "macro", "long double %Lf", (long double)1.5);
    if (client)
        TF_LOG_TO(client, TF_LEVEL_INFO, "macro", "to a client: %5d", 42);
    else
        TF_LOG_TO(client, TF_LEVEL_INFO, "macro", "not this one");
}

static void log_by_call(void) {
    static char large[60001];
    struct tf_field fields[] = { tf_str("string", "text"), tf_int("integer", -7), tf_double("number", 2.5),
                                 tf_bool("boolean", 1), tf_json("json", "{\"a\":[1,null]}") };
    struct tf_entry entry;
    memset(large, 'l', sizeof(large) - 1);
    EXPECT(tf_log(client, TF_LEVEL_INFO, "module", "call", "as it is") == 0);
    EXPECT(tf_log(client, TF_LEVEL_INFO, NULL, "call", "") < 0);
    EXPECT(tf_logf(client, TF_LEVEL_INFO, "module", "call", "%d of %s", 3, "many") == 0);
    EXPECT(by_list("%d", 4) == 0);
    EXPECT(tf_log_with_metadata(client, TF_LEVEL_INFO, NULL, "call", "with metadata", fields, 5) == 0);
    EXPECT(tf_log_error_with_details(client, NULL, "call", "with details", "[1,2,3]") == 0);
    fields[0] = tf_str("large", large);
    EXPECT(tf_log_with_metadata(client, TF_LEVEL_ERROR, NULL, "call", large + 51000, fields, 1) == 0);
    tf_entry_init(&entry, TF_LEVEL_ERROR, NULL, "entry", "every field");
    entry.trace_id = "0af7651916cd43dd8448eb211c80319c";
    entry.span_id = "b7ad6b7169203331";
    entry.correlation_id = "order";
    entry.user_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11";
    entry.organization_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b12";
    entry.metadata = "{\"b\":2}";
    entry.error_details = "\"why\"";
    tf_entry_add(&entry, tf_int("n", 1));
    EXPECT(tf_entry_check(client, &entry) == 0);
    EXPECT(tf_entry_write(client, &entry) == 0);
    entry.level = TF_LEVEL_INFO;
    EXPECT(tf_entry_check(client, &entry) < 0);
    EXPECT(tf_context_set("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "order") == 0);
    TF_INFO("context", "in it");
    tf_context_clear();
}

/* --- metrics --- */

static int see_sample(const struct tf_metric_sample *sample, void *argument) {
    (void)sample;
    return ++*(int *)argument > 1000;
}

static tf_metric *handle(enum tf_metric_kind kind, const char *name) {
    static const double bounds[] = { 0.1, 1, 10 };
    struct tf_metric_definition definition = TF_METRIC_INIT(kind, name);
    tf_metric *metric = NULL;
    definition.labels = labels;
    definition.label_count = 1;
    definition.help = "what it is";
    if (kind == TF_HISTOGRAM) {
        definition.bounds = bounds;
        definition.bound_count = 3;
    }
    EXPECT(tf_metric_register(client, &definition, &metric) == 0);
    return metric;
}

static void count(void) {
    struct tf_metric_value value;
    int seen = 0;
    struct tf_metric_definition named = TF_METRIC_INIT(TF_COUNTER, "named_counted"),
                                sum = TF_METRIC_INIT(TF_GAUGE, "all_sum");
    tf_metric *summed;
    sum.combine = TF_COMBINE_SUM;
    EXPECT(tf_metric_register(client, &sum, &summed) == 0 && tf_gauge_set(summed, 1) == 0 &&
           tf_gauge_add(summed, 1) == 0);
    tf_metric *counter = handle(TF_COUNTER, "all_counted"), *gauge = handle(TF_GAUGE, "all_level");
    tf_metric *histogram = handle(TF_HISTOGRAM, "all_sizes"), *timer = handle(TF_TIMER, "all_times");
    uint64_t started = tf_timer_start();
    EXPECT(tf_counter_add(counter, 2) == 0 && tf_counter_add(counter, -1) < 0 && tf_counter_add(gauge, 1) < 0);
    EXPECT(tf_gauge_set(gauge, 1.5) == 0 && tf_gauge_add(gauge, -0.5) == 0);
    for (int i = 0; i < 100; i++)
        EXPECT(tf_histogram_observe(histogram, 1 << (i % 30)) == 0);
    EXPECT(tf_timer_observe(timer, 0.25) == 0 && tf_timer_stop(timer, started) == 0);
    EXPECT(tf_metric_describe(client, &named) == 0);
    EXPECT(tf_metric_count(client, "named_counted", 1, labels, 1) == 0);
    EXPECT(tf_metric_set(client, "named_level", 1, labels, 1) == 0);
    EXPECT(tf_metric_add(client, "named_level", 1, NULL, 0) == 0);
    EXPECT(tf_metric_observe(client, "named_sizes", 3, labels, 1) == 0);
    EXPECT(tf_metric_time(client, "named_times", 0.5, labels, 1) == 0);
    EXPECT(tf_metric_count(client, "named_level", 1, NULL, 0) < 0); /* another kind */
    EXPECT(tf_metric_get_own(counter, &value, sizeof(value)) == 0 && value.value >= 2);
    /* No collector has been here. */
    EXPECT(tf_metric_get(client, "all_counted", labels, 1, &value, sizeof(value)) < 0);
    EXPECT(tf_metric_each(client, see_sample, &seen) < 0 && seen == 0);
    EXPECT(tf_queue_stats(client, 3, 2, 1) == 0);
    EXPECT(tf_worker_stats(client, 4, 2, 1, 1) == 0);
    EXPECT(tf_job_stats(client, 10, 4, 3, 2, 1) == 0);
}

#ifdef TF_EVENT
/* --- contexts, spans, requests, health --- */

static int see_span(const struct tf_open_span *span, void *argument) {
    *(int *)argument += strcmp(span->operation, "outer") == 0 || strcmp(span->operation, "inner") == 0;
    return 0;
}

static void trace(void) {
    char header[TF_TRACEPARENT_SIZE];
    struct tf_context context, other;
    struct tf_span outer, inner, failed;
    const struct tf_field fields[] = { tf_int("rows", 3) };
    int open = 0;
    memset(&context, 0, sizeof(context));
    EXPECT(tf_context_from_traceparent(&context, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") == 0);
    EXPECT(tf_context_to_traceparent(&context, header) == 0 && header[0] == '0');
    EXPECT(tf_context_set_user(&context, "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11", NULL) == 0);
    EXPECT(tf_context_set_correlation(&context, "order") == 0);
    EXPECT(tf_context_use(&context) == 0 && tf_context_get(&other) == 0);
    TF_LOG_IN(client, &context, TF_LEVEL_INFO, "context", "in it: %d", 1);
    TF_EVENT(TF_LEVEL_INFO, "event", "with fields", tf_str("queue", "mail"), tf_int("attempt", 2));
    TF_EVENT_IN(client, &context, TF_LEVEL_INFO, "event", "in a context", tf_bool("late", 1));
    EXPECT(tf_span_start(client, "outer", &outer) == 0);
    EXPECT(tf_span_start_in(client, "inner", &outer.context, &inner) == 0);
    EXPECT(tf_open_spans(client, NULL, see_span, &open) == 0 && open >= 2);
    EXPECT(tf_span_end(&inner, 0) == 0 && tf_span_end(&inner, 0) < 0);
    EXPECT(tf_span_start(NULL, "failed", &failed) == 0 && tf_span_end_with(&failed, "it broke", fields, 1) == 0);
    EXPECT(tf_span_end(&outer, 1) == 0);
    EXPECT(tf_context_new_trace(&context) == 0);
    EXPECT(tf_context_use(NULL) == 0);
    EXPECT(tf_request(client, NULL, "charge", 1500000, 0) == 0 &&
           tf_request(client, "other", "charge", 1500000, 1) == 0);
    EXPECT(tf_health_report(client, "database", TF_HEALTH_DEGRADED, "slow", 60000000000ULL) == 0);
    EXPECT(tf_recorder_store(client) == 0); /* there is no flight recorder here */
}
#else
static void trace(void) {}
#endif

/* --- threads, signals, fork --- */

static void *on_a_thread(void *argument) {
    log_by_macro();
    log_by_call();
    count();
    trace();
    return argument;
}

static void in_a_handler(int number) {
    TF_LOG_TO(client, TF_LEVEL_WARN, "signal", "number %d", number);
    (void)tf_log(client, TF_LEVEL_WARN, NULL, "signal", "plain");
}

static void everywhere(void) {
    pthread_t threads[4];
    int status = -1;
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_create(&threads[i], NULL, on_a_thread, NULL) == 0);
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    signal(SIGUSR1, in_a_handler);
    raise(SIGUSR1);
    pid_t child = fork();
    if (child == 0) {
        on_a_thread(NULL);
        tf_close(client);
        _exit(failures != 0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

static void fill(void) { /* until something is lost */
    struct tf_loss_counts losses;
    losses.total = 0;
    for (int i = 0; i < 20000 && losses.total == 0; i++) {
        (void)tf_logf(client, TF_LEVEL_DEBUG, NULL, "fill", "%0300d", i);
        EXPECT(tf_losses(client, &losses, sizeof(losses)) == 0);
    }
    EXPECT(losses.total > 0);
    EXPECT(tf_flush(client, 1000000) < 0); /* nobody reads */
}

/* So often that no forgotten copy of a pointer hides what was leaked. */
static void open_and_close(void) {
    for (int i = 0; i < 10; i++) {
        struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "short_lived");
        tf_client *other = NULL;
        tf_metric *metric;
        EXPECT(tf_open("short-lived", NULL, &other) == 0);
        EXPECT(tf_log(other, TF_LEVEL_INFO, NULL, "open", "here") == 0);
        EXPECT(tf_metric_register(other, &definition, &metric) == 0 && tf_counter_add(metric, 1) == 0);
        tf_close(other);
    }
}

int main(void) {
    open_all();
    open_and_close();
    on_a_thread(NULL);
    everywhere();
    fill();
    on_a_thread(NULL);
    tf_close(client);
    client = NULL; /* nothing but a leak would keep it */
    return failures != 0;
}
