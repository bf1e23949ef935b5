/* Every macro and most calls of taskforge.h, in C and in C++: public_header.sh compiles this as both, without a warning. */
#define TF_MODULE "every"
#include <taskforge.h>

#include <string.h>

static int visit_span(const struct tf_open_span *span, void *argument) {
    (void)argument;
    return span->pid == 0;
}

static int visit_metric(const struct tf_metric_sample *sample, void *argument) {
    (void)argument;
    return sample->name == 0;
}

static void log_all_ways(tf_client *client, const struct tf_context *context) {
    const char *to = "a@example.org";
    TF_TRACE("o", "nothing else");
    TF_DEBUG("o", "%d", 1);
    TF_INFO("o", "%s", to);
    TF_WARN("o", "%zu", strlen(to));
    TF_ERROR("o", "%.2f", 1.5);
    TF_CRITICAL("o", "%p", (void *)0);
    TF_LOG(TF_LEVEL_INFO, "o", "%c", 'x');
    TF_LOG_TO(client, TF_LEVEL_INFO, "o", "%d %s", 3, to);
    TF_LOG_IN(client, context, TF_LEVEL_INFO, "o", "%d", 1);
    for (int i = 0; i < 2; i++)
        if (i == 0)
            TF_EVENT(TF_LEVEL_INFO, "o", "100% delivered", tf_str("to", to), tf_int("attempt", 2));
        else
            TF_EVENT_IN(client, context, TF_LEVEL_INFO, "o", "one", tf_json("list", "[1]"));
    const struct tf_field fields[] = { tf_bool("last", 1), tf_double("share", 0.5) };
    tf_log_with_metadata(client, TF_LEVEL_INFO, 0, "o", "m", fields, 2);
    tf_logf(client, TF_LEVEL_INFO, 0, "o", "%s", to);
    struct tf_entry entry;
    tf_entry_init(&entry, TF_LEVEL_ERROR, 0, "o", "m");
    tf_entry_add(&entry, tf_str("k", "v"));
    entry.error_details = "{}";
    if (tf_wants(client, TF_LEVEL_ERROR))
        tf_entry_write(client, &entry);
}

static void measure(tf_client *client) {
    struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "every_call");
    const struct tf_label labels[] = { { "queue", "mail" } };
    tf_metric *counter;
    if (tf_metric_register(client, &definition, &counter) == 0)
        tf_counter_add(counter, 1);
    tf_metric_count(client, "every_named_call", 1, labels, 1);
    tf_metric_each(client, visit_metric, 0);
}

int main(void) {
    struct tf_options options = TF_OPTIONS_INIT;
    struct tf_context context;
    struct tf_span span;
    struct tf_loss_counts losses;
    char header[TF_TRACEPARENT_SIZE];
    tf_client *client;
    options.min_level = TF_LEVEL_TRACE;
    if (tf_default_open("every", 0) < 0 || tf_open("every", &options, &client) < 0)
        return 1;
    memset(&context, 0, sizeof(context));
    if (tf_context_new_trace(&context) < 0 || tf_context_to_traceparent(&context, header) < 0)
        return 2;
    if (tf_span_start_in(client, "o", &context, &span) < 0 || tf_open_spans(client, 0, visit_span, 0) != 0)
        return 3;
    log_all_ways(client, &span.context);
    measure(client);
    if (tf_span_end(&span, 0) < 0 || tf_losses(client, &losses, sizeof(losses)) < 0 || losses.total != 0)
        return 4;
    tf_close(client);
    return 0;
}
