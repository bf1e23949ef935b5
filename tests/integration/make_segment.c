/* make_segment.c - a metric segment out of JSON lines, as a collector would have left it, and its exposition.
 *
 *   make_segment RUNTIME_DIR [text|openmetrics|created|gzip]... < series.ndjson
 *
 * created: OpenMetrics with _created; gzip: text, compressed. An empty line ends a set: its segment is published and its expositions are printed, each behind a line with its length, and the next
 * set begins. (With one set and one format there is no such line.)
 *
 * A line is {"kind","name","naming","labels":{},"unit","help","bounds":[],"value","observations":[],"updated","hidden",
 * "exemplars":[[BUCKET,VALUE,NANOSECONDS,TRACE_ID]...]}; what is missing is empty, naming 0 to 2 as in enum metric_naming. The segment gets a beat of now.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/shm/map.h"
#include "exporter/exposition.h"

static const struct metric_scheme scheme = { "taskforge", "_gauge" };

static void must(int status, const char *what, const struct error *error) {
    if (status >= 0)
        return;
    fprintf(stderr, "make_segment: %s: %s\n", what, error && error->text[0] ? error->text : strerror(-status));
    exit(1);
}

static struct text find_text(struct text map, const char *key) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) && value.type == PACK_TEXT ? value.text : TEXT_EMPTY;
}

static double number_of(const struct pack_value *value) {
    switch (value->type) {
    case PACK_INT:
        return (double)value->integer;
    case PACK_UINT:
        return (double)value->natural;
    case PACK_TEXT: /* what JSON cannot say */
        return text_is(value->text, "NaN") ? NAN : text_is(value->text, "-Inf") ? -INFINITY : INFINITY;
    default:
        return value->number;
    }
}

static double find_number(struct text map, const char *key) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) ? number_of(&value) : 0;
}

/* The numbers of a list, at most `most`; how many. */
static size_t find_numbers(struct text map, const char *key, double *out, size_t most) {
    struct pack_value value;
    size_t count = 0;
    if (!pack_find(map, text_of(key), &value) || value.type != PACK_ARRAY)
        return 0;
    struct pack_reader reader = { value.whole.data, value.whole.data + value.whole.length };
    check(pack_next(&reader, &value) == 1);
    while (count < most && pack_next(&reader, &value) == 1)
        out[count++] = number_of(&value);
    return count;
}

static enum metric_kind find_kind(struct text map) {
    for (unsigned kind = METRIC_COUNTER; kind < METRIC_KIND_END; kind++)
        if (text_is(find_text(map, "kind"), metric_kind_name(kind)))
            return kind;
    must(-EINVAL, "kind", NULL);
    return METRIC_UNKNOWN;
}

static struct text pack_labels(struct text map, char out[METRIC_LABELS_BYTES]) {
    struct metric_label list[METRIC_LABELS_MAX];
    struct pack_value value;
    struct text labels = TEXT_EMPTY;
    struct error error = { "" };
    size_t count = 0;
    if (!pack_find(map, TEXT_LITERAL("labels"), &value) || value.type != PACK_MAP)
        return TEXT_EMPTY;
    struct pack_reader reader = { value.whole.data, value.whole.data + value.whole.length };
    check(pack_next(&reader, &value) == 1);
    while (count < METRIC_LABELS_MAX && pack_next(&reader, &value) == 1) {
        list[count].name = value.text;
        check(pack_next(&reader, &value) == 1 && value.type == PACK_TEXT);
        list[count++].value = value.text;
    }
    must(metric_labels_pack(list, count, out, &labels, &error), "labels", &error);
    return labels;
}

static void set_value(struct segment_writer *writer, uint64_t series, enum metric_kind kind, struct text map) {
    static double observations[65536];
    struct pack_value value;
    bool dated = pack_find(map, TEXT_LITERAL("updated"), &value) == 1;
    uint64_t updated_ns = dated ? (uint64_t)number_of(&value) : clock_real_ns();
    if (!metric_kind_is_histogram(kind)) {
        segment_set_value(writer, series, find_number(map, "value"), updated_ns);
        return;
    }
    struct histogram histogram = HISTOGRAM_EMPTY;
    size_t count = find_numbers(map, "observations", observations, COUNT_OF(observations));
    for (size_t i = 0; i < count; i++)
        must(histogram_add(&histogram, observations[i], 1), "observation", NULL);
    must(segment_set_histogram(writer, series, &histogram, updated_ns), "histogram", NULL);
    histogram_finish(&histogram);
}

/* [BUCKET,VALUE,NANOSECONDS,TRACE_ID], again and again. */
static void set_exemplars(struct segment_writer *writer, uint64_t series, struct text map) {
    struct pack_value value;
    if (!pack_find(map, TEXT_LITERAL("exemplars"), &value) || value.type != PACK_ARRAY)
        return;
    struct pack_reader reader = { value.whole.data, value.whole.data + value.whole.length };
    check(pack_next(&reader, &value) == 1);
    while (pack_next(&reader, &value) == 1) {
        struct metric_exemplar exemplar = { .value = 0 };
        check(value.type == PACK_ARRAY && value.count == 4 && pack_next(&reader, &value) == 1);
        unsigned bucket = (unsigned)number_of(&value);
        check(pack_next(&reader, &value) == 1);
        exemplar.value = number_of(&value);
        check(pack_next(&reader, &value) == 1);
        exemplar.time_ns = value.natural;
        check(pack_next(&reader, &value) == 1 && value.type == PACK_TEXT &&
              value.text.length <= sizeof(exemplar.trace_id));
        exemplar.length = (uint8_t)value.text.length;
        memcpy(exemplar.trace_id, value.text.data, value.text.length);
        must(segment_set_exemplar(writer, series, bucket, &exemplar), "exemplar", NULL);
    }
}

static void add_series(struct segment_writer *writer, struct text map) {
    char labels[METRIC_LABELS_BYTES], packed[METRIC_BOUNDS_BYTES], family[METRIC_FAMILY_BYTES];
    double bounds[METRIC_BOUNDS_MAX];
    struct metric_definition definition = {
        .kind = find_kind(map),
        .naming = (unsigned)find_number(map, "naming"),
        .name = find_text(map, "name"),
        .labels = pack_labels(map, labels),
        .unit = find_text(map, "unit"),
        .help = find_text(map, "help"),
    };
    struct error error = { "" };
    struct pack_value hidden;
    uint64_t series;
    size_t count = find_numbers(map, "bounds", bounds, METRIC_BOUNDS_MAX);
    must(metric_bounds_pack(bounds, count, packed, &definition.bounds, &error), "bounds", &error);
    must(metric_definition_check(&definition, &error), "definition", &error);
    size_t length = metric_family(&scheme, definition.kind, definition.naming, definition.name, family);
    must(segment_add(writer, &definition, (struct text) { family, length }, clock_real_ns(), &series), "add", NULL);
    set_value(writer, series, definition.kind, map);
    set_exemplars(writer, series, map);
    segment_set_hidden(writer, series,
                       pack_find(map, TEXT_LITERAL("hidden"), &hidden) && hidden.type == PACK_BOOL && hidden.boolean);
}

static void print(const char *runtime_dir, const char *format, bool framed) {
    const bool created = strcmp(format, "created") == 0;
    const struct exposition_wish wish = {
        .format = created || strcmp(format, "openmetrics") == 0 ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT,
        .gzip = strcmp(format, "gzip") == 0,
        .created = created,
    };
    struct segment *segment = NULL;
    struct exposition *exposition = NULL;
    struct exposition_body *body = NULL;
    struct error error = { "" };
    size_t count, length;
    must(segment_open(runtime_dir, &segment, &error), "open", &error);
    must(exposition_create(&exposition), "exposition", NULL);
    must(exposition_read(exposition, segment, &wish, &body, &error), "exposition", &error);
    const struct iovec *pieces = exposition_body_pieces(body, &count, &length);
    if (framed)
        printf("%zu\n", length);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].iov_len > 0)
            fwrite(pieces[i].iov_base, 1, pieces[i].iov_len, stdout);
    exposition_body_release(body);
    exposition_destroy(exposition);
    segment_close(segment);
}

/* The series of one set into the writer: true when an empty line ended it, false when that was the last. */
static bool read_set(struct segment_writer *writer) {
    static char *line;
    static size_t capacity;
    struct error error = { "" };
    ssize_t length;
    while ((length = getline(&line, &capacity, stdin)) > 1) {
        enum { GROWTH = 9 }; /* "1," becomes a double */
        struct pack_writer packed = { .data = malloc((size_t)length * GROWTH), .capacity = (size_t)length * GROWTH };
        check(packed.data);
        must(pack_from_json((struct text) { line, (size_t)length }, &packed, &error), line, &error);
        add_series(writer, (struct text) { packed.data, packed.length });
        free(packed.data);
    }
    return length == 1;
}

static bool make_set(int argc, char **argv, bool is_first) {
    struct segment_writer *writer = NULL;
    struct error error = { "" };
    must(segment_create(argv[1], &scheme, &writer, &error), "create", &error);
    bool goes_on = read_set(writer);
    segment_beat(writer, clock_real_ns(), clock_real_ns());
    must(segment_publish(writer, &error), "publish", &error);
    segment_destroy(writer);
    for (int i = 2; i < argc; i++)
        print(argv[1], argv[i], goes_on || !is_first || argc > 3);
    fflush(stdout);
    return goes_on;
}

int main(int argc, char **argv) {
    struct error error = { "" };
    if (argc < 2)
        return 2;
    must(map_guard_install(&error), "guard", &error);
    for (bool is_first = true; make_set(argc, argv, is_first); is_first = false)
        ;
    return 0;
}
