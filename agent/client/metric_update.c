/* metric_update.c - registration and updates by name (taskforge.h): the caller's words judged, and made a definition or a record. */
#include "agent/client/metric_memo.h"
#include "agent/client/metric_promote.h"
#include "agent/client/metric_sample.h"
#include "agent/client/metrics.h"

#include <errno.h>
#include <math.h>

int metric_labels_of(const struct tf_label *labels, size_t count, char out[METRIC_LABELS_BYTES], struct text *ret,
                     struct error *error) {
    struct metric_label list[METRIC_LABELS_MAX];
    if (count > METRIC_LABELS_MAX)
        return error_set(error, -E2BIG, "a series has at most %d labels, not %zu", METRIC_LABELS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        if (!labels[i].name || !labels[i].value)
            return error_set(error, -EINVAL, "label %zu must have a name and a value", i + 1);
        list[i] = (struct metric_label) { text_of(labels[i].name), text_of(labels[i].value) };
    }
    return metric_labels_pack(list, count, out, ret, error);
}

/* Labels beyond the limits lose nothing of a total: it goes to the metric's overflow series, and the collector says so. */
static int labels_or_overflow(const struct tf_label *labels, size_t count, char out[METRIC_LABELS_BYTES],
                              struct text *ret, struct error *error) {
    int r = metric_labels_of(labels, count, out, ret, error);
    if (r == -E2BIG)
        *ret = metric_overflow_labels;
    return r == -E2BIG ? 0 : r;
}

/* --- by handle --- */

/* The caller's definition, as large as its header had it: what that did not have is 0. */
static int definition_take(const struct tf_metric_definition *given, struct tf_metric_definition *ret,
                           struct error *error) {
    enum { FIRST_SIZE = offsetof(struct tf_metric_definition, combine) };
    static_assert(FIRST_SIZE % sizeof(size_t) == 0, "the first version ended with a size_t");
    if (!given || (given->size != sizeof(*given) && given->size != FIRST_SIZE))
        return error_set(error, -EINVAL, "a metric's definition must be begun with TF_METRIC_INIT");
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, given, given->size);
    return 0;
}

static int definition_of(const struct tf_metric_definition *any_size, struct metric_definition *ret,
                         char labels[METRIC_LABELS_BYTES], char bounds[METRIC_BOUNDS_BYTES], uint32_t *sample,
                         struct error *error) {
    struct tf_metric_definition own;
    const struct tf_metric_definition *given = &own;
    if (definition_take(any_size, &own, error) < 0)
        return -EINVAL;
    if (given->kind < TF_COUNTER || given->kind > TF_TIMER)
        return error_set(error, -EINVAL, "a metric's kind must be TF_COUNTER to TF_TIMER, is %d", given->kind);
    if (given->combine < TF_COMBINE_LAST || given->combine > TF_COMBINE_MAX)
        return error_set(error, -EINVAL, "a gauge's rule must be TF_COMBINE_LAST to TF_COMBINE_MAX, is %d",
                         given->combine);
    if (given->sample > METRIC_SAMPLE_MAX)
        return error_set(error, -EINVAL, "sample is one observation in at most %d, not in %u", METRIC_SAMPLE_MAX,
                         given->sample);
    if (given->sample > 1 && given->kind != TF_HISTOGRAM && given->kind != TF_TIMER)
        return error_set(error, -EINVAL, "only histograms and timers can be sampled: an update of others is cheaper");
    *sample = given->sample;
    *ret = (struct metric_definition) { .kind = (enum metric_kind)given->kind,
                                        .naming = METRIC_NAMING_APP,
                                        .combine = (uint8_t)given->combine,
                                        .name = metric_name_bare((enum metric_kind)given->kind, text_of(given->name)),
                                        .unit = text_of(given->unit),
                                        .help = text_of(given->help) };
    int r = labels_or_overflow(given->labels, given->label_count, labels, &ret->labels, error);
    return r < 0 ? r : metric_bounds_pack(given->bounds, given->bound_count, bounds, &ret->bounds, error);
}

/* What the first registration says holds. */
static void sample_once(struct tf_metric *metric, uint32_t sample) {
    uint32_t unsaid = 0;
    if (atomic_compare_exchange_strong(&metric->sample, &unsaid, sample > 1 ? sample : 1) && sample > 1) {
        atomic_store(&metric->sample_step, sample_step(sample));
        metric_quick_close(metric);
    }
}

int tf_metric_register(tf_client *given, const struct tf_metric_definition *definition, tf_metric **ret) {
    static_assert((int)TF_COUNTER == METRIC_COUNTER && (int)TF_GAUGE == METRIC_GAUGE &&
                      (int)TF_HISTOGRAM == METRIC_HISTOGRAM && (int)TF_TIMER == METRIC_TIMER &&
                      (int)TF_COMBINE_MAX == METRIC_COMBINE_MAX,
                  "the header's kinds are the model's");
    struct tf_client *client = client_or_default(given);
    struct call call;
    char labels[METRIC_LABELS_BYTES], bounds[METRIC_BOUNDS_BYTES];
    struct metric_definition own;
    if (!client || !call_enter(&call))
        return -ENOMEM;
    uint32_t sample = 0;
    int r = definition_of(definition, &own, labels, bounds, &sample, call.error);
    if (r == 0)
        r = metric_register(client, &own, ret, call.error);
    if (r == 0)
        sample_once(*ret, sample);
    call_leave();
    return r < 0 ? call_refuse(&call, r) : 0;
}

int tf_metric_describe(tf_client *given, const struct tf_metric_definition *definition) {
    struct tf_client *client = client_or_default(given);
    struct call call;
    char labels[METRIC_LABELS_BYTES], bounds[METRIC_BOUNDS_BYTES];
    struct metric_definition own;
    if (!client || !call_enter(&call))
        return -ENOMEM;
    uint32_t sample = 0;
    int r = definition_of(definition, &own, labels, bounds, &sample, call.error);
    if (r == 0 && (own.labels.length > 0 || own.combine != METRIC_COMBINE_LAST || sample > 1))
        r = error_set(call.error, -EINVAL,
                      "a description is of a name: %.*s takes no labels, no rule and no sampling here",
                      TEXT_FORMAT(own.name));
    if (r == 0)
        r = metric_definition_judge(&own, call.error);
    if (r == 0)
        r = metric_name_claim(&own, false, call.error);
    const struct record record = { .kind = RECORD_METRIC_DEFINITION,
                                   .metric_definition = { .metric_kind = (uint8_t)own.kind,
                                                          .name = own.name,
                                                          .unit = own.unit,
                                                          .help = own.help,
                                                          .bounds = own.bounds } };
    struct put put = { .other = &record, .level = METRIC_LEVEL, .time_ns = clock_real_ns() };
    r = r < 0 ? call_refuse(&call, r) : put_by_policy(&call, client, &put);
    call_leave();
    return r;
}

/* --- by name --- */

static int value_check(enum metric_kind kind, enum metric_operation operation, struct text name, double value,
                       struct error *error) {
    if (kind == METRIC_COUNTER && !(value >= 0 && isfinite(value)))
        return error_set(error, -EINVAL, "counter %.*s cannot grow by %g: it must be 0 or more, and finite",
                         TEXT_FORMAT(name), value);
    if (kind == METRIC_TIMER && value < 0)
        return error_set(error, -EINVAL, "timer %.*s takes no duration below 0", TEXT_FORMAT(name));
    if (isnan(value) && (metric_kind_is_histogram(kind) || operation == METRIC_ADD))
        return error_set(error, -EINVAL, "%s %.*s takes no NaN", metric_kind_name(kind), TEXT_FORMAT(name));
    return 0;
}

/* The trace of the thread's context as text. */
struct text thread_trace_id(const struct thread *thread, char hex[TRACE_DIGITS]) {
    if (!(thread->context.has & TF_HAS_TRACE))
        return thread->context.has & CONTEXT_TEXT ? thread->trace_text : TEXT_EMPTY;
    text_hex(thread->context.trace_id, sizeof(thread->context.trace_id), hex);
    return (struct text) { hex, TRACE_DIGITS };
}

static int update_compose(struct call *call, struct record_metric_update *update, const struct tf_label *labels,
                          size_t label_count, char room[METRIC_LABELS_BYTES], char hex[32]) {
    enum metric_kind kind = (enum metric_kind)update->metric_kind;
    int r = metric_name_check(update->name, call->error);
    update->name = metric_name_bare(kind, update->name);
    if (r == 0)
        r = value_check(kind, (enum metric_operation)update->operation, update->name, update->value, call->error);
    if (r == 0)
        r = labels_or_overflow(labels, label_count, room, &update->labels, call->error);
    if (r == 0)
        r = metric_name_claim(&(struct metric_definition) { .kind = kind,
                                                            .naming = (enum metric_naming)update->naming,
                                                            .name = update->name },
                              call->nested, call->error);
    if (kind != METRIC_GAUGE && call->thread) /* what an exemplar may point to */
        update->trace_id = thread_trace_id(call->thread, hex);
    return r;
}

static int update_ordinarily(struct tf_client *client, const struct metric_words *words, double value, bool by_record) {
    struct call call;
    char room[METRIC_LABELS_BYTES], hex[32];
    struct record record = { .kind = RECORD_METRIC_UPDATE,
                             .metric_update = { .metric_kind = (uint8_t)words->kind,
                                                .naming = (uint8_t)words->naming,
                                                .operation = (uint8_t)words->operation,
                                                .value = value,
                                                .name = text_of(words->name) } };
    struct put put = { .other = &record, .level = METRIC_LEVEL, .time_ns = clock_real_ns() };
    struct tf_metric *metric = NULL;
    bool entered = call_enter(&call);
    if (entered)
        client_settings_look(client);
    int r = update_compose(&call, &record.metric_update, words->labels, words->label_count, room, hex);
    bool is_sound = r == 0;
    bool is_usual = is_sound && entered && words->label_count <= METRIC_LABELS_MAX; /* its words may be looked at */
    if (is_usual && !by_record && metric_cell_takes(words->kind, value))
        metric = metric_promote(client, call.thread, &record.metric_update,
                                metric_memo_is_hot(call.thread, words, put.time_ns), put.time_ns);
    if (!metric)
        r = r < 0 ? call_refuse(&call, r) : put_by_policy(&call, client, &put);
    if (is_usual)
        metric_memo_keep(call.thread, words, &record, client, metric);
    if (entered)
        call_leave();
    if (!metric || metric_update_promoted(metric, value) == 0)
        return r;
    return update_ordinarily(client, words, value, true); /* its half of the slot is full */
}

int metric_update(struct tf_client *given, enum metric_kind kind, enum metric_naming naming,
                  enum metric_operation operation, const char *name, double value, const struct tf_label *labels,
                  size_t label_count) {
    const struct metric_words words = { kind, naming, operation, name, labels, label_count };
    if (likely(metric_memo_write(given, &words, value) == 0))
        return 0;
    struct tf_client *client = client_or_default(given);
    return client ? update_ordinarily(client, &words, value, false) : -ENOMEM;
}

int tf_metric_count(tf_client *client, const char *name, double n, const struct tf_label *labels, size_t label_count) {
    return metric_update(client, METRIC_COUNTER, METRIC_NAMING_APP, METRIC_ADD, name, n, labels, label_count);
}

int tf_metric_set(tf_client *client, const char *name, double value, const struct tf_label *labels,
                  size_t label_count) {
    return metric_update(client, METRIC_GAUGE, METRIC_NAMING_APP, METRIC_SET, name, value, labels, label_count);
}

int tf_metric_add(tf_client *client, const char *name, double n, const struct tf_label *labels, size_t label_count) {
    return metric_update(client, METRIC_GAUGE, METRIC_NAMING_APP, METRIC_ADD, name, n, labels, label_count);
}

int tf_metric_observe(tf_client *client, const char *name, double value, const struct tf_label *labels,
                      size_t label_count) {
    return metric_update(client, METRIC_HISTOGRAM, METRIC_NAMING_APP, METRIC_ADD, name, value, labels, label_count);
}

int tf_metric_time(tf_client *client, const char *name, double seconds, const struct tf_label *labels,
                   size_t label_count) {
    return metric_update(client, METRIC_TIMER, METRIC_NAMING_APP, METRIC_ADD, name, seconds, labels, label_count);
}
