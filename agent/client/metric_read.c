/* metric_read.c - the values of all processes, out of the metric segment (taskforge.h). Nothing here is fast: each call copies the segment. */
#include "agent/client/metrics.h"

#include <errno.h>

#include "common/shm/segment.h"

/* --- a sample in the caller's terms --- */

static void fill_value(const struct segment_sample *sample, struct tf_metric_value *ret) {
    *ret = (struct tf_metric_value) { .updated_ns = sample->updated_ns };
    if (sample->definition.kind != METRIC_UNKNOWN)
        ret->kind = (int)sample->definition.kind;
    if (metric_kind_is_histogram(sample->definition.kind)) {
        ret->count = histogram_count(&sample->histogram);
        ret->sum = sample->histogram.sum;
    } else {
        ret->value = sample->value;
    }
}

/* Texts of a sample as C strings; the room is reserved, so that they stay where they are. */
static const char *keep_string(struct buffer *room, struct text text) {
    const char *at = room->data + room->length;
    buffer_append_text(room, text);
    buffer_append_char(room, '\0');
    return at;
}

/* 0, or -ENOMEM. Borrows room and labels. */
static int fill_sample(const struct segment_sample *sample, struct buffer *room,
                       struct tf_label labels[METRIC_LABELS_MAX], struct tf_metric_sample *ret) {
    const struct metric_definition *definition = &sample->definition;
    struct metric_label label;
    buffer_clear(room);
    if (!buffer_reserve(room, definition->name.length + sample->family.length + definition->unit.length +
                                  definition->help.length + definition->labels.length + 4 + 2 * METRIC_LABELS_MAX))
        return -ENOMEM;
    *ret = (struct tf_metric_sample) { .size = sizeof(*ret), .labels = labels };
    ret->name = keep_string(room, definition->name);
    ret->family = keep_string(room, sample->family);
    ret->unit = keep_string(room, definition->unit);
    ret->help = keep_string(room, definition->help);
    for (size_t at = 0; metric_labels_next(definition->labels, &at, &label); ret->label_count++) {
        labels[ret->label_count].name = keep_string(room, label.name);
        labels[ret->label_count].value = keep_string(room, label.value);
    }
    fill_value(sample, &ret->value);
    return 0;
}

/* --- walking --- */

/* Called for each series that is not stale; anything but 0 ends the walk. */
typedef int visit_function(const struct segment_sample *sample, void *argument);

static int walk(const char *runtime_dir, visit_function *visit, void *argument, struct error *error) {
    struct segment *segment;
    struct segment_sample sample = { .position = 0 };
    int r = segment_open_copy(runtime_dir, &segment, error);
    if (r < 0)
        return r;
    while ((r = segment_next(segment, sample.position, &sample)) == 1) {
        r = sample.hidden ? 0 : visit(&sample, argument);
        if (r != 0)
            break;
    }
    segment_sample_finish(&sample);
    segment_close(segment);
    if (r == -ENOMEM)
        return error_set(error, r, "no memory to read the metrics");
    return r == -EBADMSG
               ? error_set(error, r, "the metric segment in %s is damaged: the collector makes a new one", runtime_dir)
               : r;
}

struct each {
    tf_metric_function *function;
    void *argument;
    struct buffer room;
    struct tf_label labels[METRIC_LABELS_MAX];
};

static int visit_each(const struct segment_sample *sample, void *argument) {
    struct each *each = argument;
    struct tf_metric_sample given;
    int r = fill_sample(sample, &each->room, each->labels, &given);
    return r < 0 ? r : each->function(&given, each->argument);
}

static struct error *own_error(struct thread **ret) {
    struct thread *thread = *ret = thread_get();
    return thread ? &thread->error : NULL;
}

/* The sentence in the thread's error holds. */
static int refuse(struct thread *thread, int r) {
    if (thread)
        thread->failure = FAILURE_TEXT;
    return r;
}

int tf_metric_each(tf_client *given, tf_metric_function *function, void *argument) {
    struct tf_client *client = client_or_default(given);
    struct each each = { .function = function, .argument = argument };
    struct thread *thread;
    struct error *error = own_error(&thread), sentence = { "" };
    if (!client)
        return -ENOMEM;
    if (!function)
        return refuse(thread, error_set(error, -EINVAL, "a function must be given"));
    int r = walk(client->runtime_dir, visit_each, &each, &sentence);
    buffer_finish(&each.room);
    if (sentence.text[0]) /* not when the caller's function ended the walk */
        refuse(thread, error_set(error, r, "%s", sentence.text));
    return r;
}

/* --- one --- */

enum rank { RANK_NONE, RANK_FAMILY, RANK_OTHER, RANK_APP };

struct search {
    struct text name, labels;
    enum rank found;
    struct tf_metric_value value;
};

static bool name_is(struct text name, struct text given, const char *suffix) {
    struct text end = text_of(suffix);
    return text_equal(name, given) ||
           (given.length == name.length + end.length && memcmp(given.data, name.data, name.length) == 0 &&
            memcmp(given.data + name.length, end.data, end.length) == 0) ||
           (name.length == given.length + end.length && memcmp(name.data, given.data, given.length) == 0 &&
            memcmp(name.data + given.length, end.data, end.length) == 0);
}

/* As the application calls it comes before what others call so, and both before what it is called on /metrics. */
static enum rank rank_of(const struct segment_sample *sample, const struct search *search) {
    const struct metric_definition *definition = &sample->definition;
    const char *suffix = definition->kind == METRIC_COUNTER ? "_total"
                         : definition->kind == METRIC_TIMER ? "_seconds"
                                                            : "";
    if (!text_equal(definition->labels, search->labels))
        return RANK_NONE;
    if (name_is(definition->name, search->name, suffix))
        return definition->naming == METRIC_NAMING_APP ? RANK_APP : RANK_OTHER;
    return name_is(sample->family, search->name, definition->kind == METRIC_COUNTER ? "_total" : "") ? RANK_FAMILY
                                                                                                     : RANK_NONE;
}

static int visit_search(const struct segment_sample *sample, void *argument) {
    struct search *search = argument;
    enum rank rank = rank_of(sample, search);
    if (rank > search->found) {
        search->found = rank;
        fill_value(sample, &search->value);
    }
    return 0;
}

int tf_metric_get(tf_client *given, const char *name, const struct tf_label *labels, size_t label_count,
                  struct tf_metric_value *ret, size_t size) {
    struct tf_client *client = client_or_default(given);
    struct search search = { .name = text_of(name) };
    char room[METRIC_LABELS_BYTES];
    struct thread *thread;
    struct error *error = own_error(&thread);
    if (!client)
        return -ENOMEM;
    if (size != sizeof(*ret))
        return refuse(thread, error_set(error, -EINVAL, "size must be sizeof(struct tf_metric_value)"));
    int r = metric_name_check(search.name, error);
    if (r == 0)
        r = metric_labels_of(labels, label_count, room, &search.labels, error);
    if (r == 0)
        r = walk(client->runtime_dir, visit_search, &search, error);
    if (r == 0 && search.found == RANK_NONE)
        r = error_set(error, -ENOENT, "the collector has no metric %s with these labels (yet)", name);
    if (r < 0)
        return refuse(thread, r == -E2BIG ? -EINVAL : r);
    *ret = search.value;
    return 0;
}
