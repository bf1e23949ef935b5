/* Thousands of random questions, each answered by the query module and by a plain loop over the entries that shares no code with it
 * (strstr, regexec, sscanf): the same entries, in the same order, under every limit, offset, order and context, and the same
 * counts. More of them with TASKFORGE_LONG. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/query/context.h"
#include "common/query/logql_parser.h"
#include "common/query/tally.h"
#include "fake_reader.h"
#include "sample.h"

enum { ENTRIES = 3000, PARTS_MAX = 6, QUESTIONS = 250, QUESTIONS_LONG = 20000 };

struct row {
    uint64_t timestamp_ns;
    enum level level;
    char service[16], module[16], message[200], trace[40], correlation[8];
    uint32_t pid;
    int tries; /* -1: none */
};
static struct row rows[ENTRIES];
static struct store_reader reader;

static void keep(struct row *row, const struct entry *entry) {
    struct buffer json = BUFFER_EMPTY;
    *row = (struct row) { .timestamp_ns = entry->timestamp_ns, .level = entry->level, .pid = entry->pid, .tries = -1 };
    snprintf(row->service, sizeof(row->service), "%.*s", TEXT_FORMAT(entry->service));
    snprintf(row->module, sizeof(row->module), "%.*s", TEXT_FORMAT(entry->module));
    snprintf(row->message, sizeof(row->message), "%.*s", TEXT_FORMAT(entry->message));
    snprintf(row->trace, sizeof(row->trace), "%.*s", TEXT_FORMAT(entry->trace_id));
    snprintf(row->correlation, sizeof(row->correlation), "%.*s", TEXT_FORMAT(entry->correlation_id));
    if (entry->metadata.length > 0) {
        pack_append_json(&json, entry->metadata);
        buffer_append_char(&json, '\0');
        assert_int_equal(sscanf(json.data, "{\"tries\":%d}", &row->tries), 1);
    }
    buffer_finish(&json);
}

/* Blocks of very different sizes, so that some scans call for threads and some do not. */
static int make_store(void **state) {
    static struct entry entries[ENTRIES];
    static struct sample samples[ENTRIES];
    struct sample sample = { .random = 99 };
    (void)state;
    for (uint32_t i = 0, block = 0; i < ENTRIES; block++) {
        uint32_t count = 1 + sample_random(&sample, block % 4 ? 40 : 200);
        count = count < ENTRIES - i ? count : ENTRIES - i;
        for (uint32_t j = 0; j < count; j++) {
            samples[j].random = sample_random(&sample, 1 << 24);
            entries[j] = sample_entry(&samples[j], i + j);
            keep(&rows[i + j], &entries[j]);
        }
        fake_add(&reader, i, entries, count);
        i += count;
    }
    return 0;
}

static int drop_store(void **state) {
    (void)state;
    fake_finish(&reader);
    return 0;
}

/* --- a question: parts that all must hold, as text and as what they mean --- */

enum kind {
    SERVICE,
    NOT_MODULE,
    LEVEL,
    CONTAINS,
    CONTAINS_NOT,
    EXPRESSION,
    EXPRESSION_NOT,
    TRACE,
    TRIES,
    TRIES_ABOVE,
    TRIES_OR_PID,
    NO_TRIES,
    KINDS
};

struct part {
    enum kind kind;
    const char *text;
    int number;
    regex_t expression;
};

struct question {
    struct part parts[PARTS_MAX];
    unsigned count;
    uint64_t since_ns, until_ns;
    struct buffer labels, lines;
};

static const char *pick(struct sample *sample, const char *const *words, uint32_t count) {
    return words[sample_random(sample, count)];
}
#define PICK(...)                                                                                                      \
    pick(sample, (const char *const[]) { __VA_ARGS__ }, sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *))

static void add_label(struct question *question, const char *format, const char *value) {
    buffer_append_string(&question->labels, question->labels.length ? "," : "");
    buffer_append_format(&question->labels, "%s\"%s\"", format, value);
}

static void add_line(struct question *question, const char *sign, const char *value) {
    buffer_append_format(&question->lines, " %s `%s`", sign, value);
}

static void add_part(struct sample *sample, struct question *question) {
    struct part *part = &question->parts[question->count++];
    *part = (struct part) { .kind = sample_random(sample, KINDS), .number = (int)sample_random(sample, 4) - 1 };
    switch (part->kind) {
    case SERVICE:
        add_label(question, "service=", part->text = PICK("queue", "mail", "web", "nobody"));
        break;
    case NOT_MODULE:
        add_label(question, "module!=", part->text = PICK("worker", "http", "x"));
        break;
    case LEVEL:
        add_label(question, "level=", part->text = PICK("info", "error", "debug", "critical"));
        break;
    case CONTAINS:
    case CONTAINS_NOT:
        part->text = PICK("timeout", "id=1", "ab", "t a", "nowhere", "y ret", " ba ", "7 x", "gr");
        add_line(question, part->kind == CONTAINS ? "|=" : "!=", part->text);
        break;
    case EXPRESSION:
    case EXPRESSION_NOT:
        part->text = PICK("id=[0-9]+", "^timeout", "retry$", "(ab|ba) ", "time.ut", "^ab ba", "t[a-z ]*t", "x|y");
        assert_int_equal(regcomp(&part->expression, part->text, REG_EXTENDED | REG_NOSUB), 0);
        add_line(question, part->kind == EXPRESSION ? "|~" : "!~", part->text);
        break;
    case TRACE:
        add_label(question, "trace_id=", part->text = PICK("", "t-1", "4bf92f3577b34da6a3ce929d0e0e4736", "t-2"));
        break;
    case TRIES:
        part->number = part->number < 0 ? 0 : part->number;
        buffer_append_format(&question->lines, " | json | tries=\"%d\"", part->number);
        break;
    case TRIES_ABOVE:
        buffer_append_format(&question->lines, " | tries > %d", part->number);
        break;
    case TRIES_OR_PID:
        buffer_append_format(&question->lines, " | (tries <= %d and service=`web` or pid == 2)", part->number);
        break;
    case NO_TRIES:
        add_label(question, "tries=", "");
        break;
    case KINDS:
        break;
    }
}

static bool expression_matches(const struct part *part, const char *message) {
    return regexec(&part->expression, message, 0, NULL, 0) == 0;
}

static bool part_holds(const struct part *part, const struct row *row) {
    switch (part->kind) {
    case SERVICE:
        return strcmp(row->service, part->text) == 0;
    case NOT_MODULE:
        return strcmp(row->module, part->text) != 0;
    case LEVEL:
        return strcmp(level_name(row->level), part->text) == 0;
    case CONTAINS:
        return strstr(row->message, part->text) != NULL;
    case CONTAINS_NOT:
        return strstr(row->message, part->text) == NULL;
    case EXPRESSION:
        return expression_matches(part, row->message);
    case EXPRESSION_NOT:
        return !expression_matches(part, row->message);
    case TRACE:
        return strcmp(row->trace, part->text) == 0;
    case TRIES:
        return row->tries == part->number;
    case TRIES_ABOVE:
        return row->tries >= 0 && row->tries > part->number;
    case TRIES_OR_PID:
        return (row->tries >= 0 && row->tries <= part->number && strcmp(row->service, "web") == 0) || row->pid == 2;
    case NO_TRIES:
        return row->tries < 0;
    case KINDS:
        break;
    }
    return false;
}

static bool holds(const struct question *question, const struct row *row) {
    bool all = row->timestamp_ns >= question->since_ns && row->timestamp_ns < question->until_ns;
    for (unsigned i = 0; i < question->count; i++)
        all = all && part_holds(&question->parts[i], row);
    return all;
}

static void make_question(struct sample *sample, struct question *question, struct filter *filter) {
    struct buffer source = BUFFER_EMPTY;
    struct error error = { "" };
    *question = (struct question) { .until_ns = UINT64_MAX };
    while (question->count < PARTS_MAX && sample_random(sample, 3))
        add_part(sample, question);
    if (sample_random(sample, 3) == 0)
        question->since_ns = 1000000 + sample_random(sample, ENTRIES) * 10;
    if (sample_random(sample, 3) == 0)
        question->until_ns = 1000000 + sample_random(sample, ENTRIES) * 10;
    buffer_append_format(&source, "{%.*s}", (int)question->labels.length, question->labels.data);
    buffer_append_text(&source, buffer_text(&question->lines));
    filter_init(filter);
    if (logql_parse(buffer_text(&source), filter, &error) < 0)
        fail_msg("%.*s: %s", (int)source.length, source.data, error.text);
    filter->since_ns = question->since_ns;
    filter->until_ns = question->until_ns;
    buffer_finish(&source);
}

static void drop_question(struct question *question, struct filter *filter) {
    for (unsigned i = 0; i < question->count; i++)
        if (question->parts[i].kind == EXPRESSION || question->parts[i].kind == EXPRESSION_NOT)
            regfree(&question->parts[i].expression);
    buffer_finish(&question->labels);
    buffer_finish(&question->lines);
    filter_finish(filter);
}

/* --- the plain answers --- */

static bool by_arrival, reverse;

static int compare_rows(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint64_t s = rows[x].timestamp_ns, t = rows[y].timestamp_ns;
    int order = by_arrival || s == t ? (x < y ? -1 : x > y) : s < t ? -1 : 1;
    return reverse ? -order : order;
}

static uint32_t plain_answer(const struct question *question, uint32_t answer[ENTRIES]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < ENTRIES; i++)
        if (holds(question, &rows[i]))
            answer[count++] = i;
    qsort(answer, count, sizeof(answer[0]), compare_rows);
    return count;
}

static void render(void *argument, struct buffer *out, const struct entry *entry) {
    (void)argument;
    buffer_append_text(out, entry->message);
}

static void check_scan(struct sample *sample, const struct question *question, const struct filter *filter,
                       const uint32_t *answer, uint32_t count) {
    struct scan_options options = SCAN_EVERYTHING;
    struct buffer text = BUFFER_EMPTY;
    struct scan *scan;
    struct entry entry;
    uint64_t sequence = 0;
    int status = 0;
    options.by_arrival = by_arrival;
    options.reverse = reverse;
    options.offset = sample_random(sample, 2) ? 0 : sample_random(sample, 50);
    options.limit = sample_random(sample, 2) ? UINT64_MAX : sample_random(sample, 300);
    options.render = render;
    uint32_t at = options.offset < count ? (uint32_t)options.offset : count;
    uint32_t end = options.limit < count - at ? at + (uint32_t)options.limit : count;
    assert_int_equal(scan_open(&reader, filter, &options, &scan, NULL), 0);
    while ((status = scan_next(scan, &sequence, NULL)) > 0) {
        if (at >= end || sequence != answer[at])
            fail_msg("%.*s: match %u is entry %u", (int)question->lines.length, question->lines.data, at,
                     (unsigned)sequence);
        buffer_clear(&text);
        assert_int_equal(scan_text(scan, &text, NULL), 1);
        assert_true(text_is(buffer_text(&text), rows[sequence].message));
        if (at % 7 == 0) { /* as it stands there, even where it was written already */
            assert_int_equal(scan_entry(scan, &entry, NULL), 1);
            assert_int_equal(entry.timestamp_ns, rows[sequence].timestamp_ns);
            assert_true(text_is(entry.correlation_id, rows[sequence].correlation));
        }
        at++;
    }
    assert_int_equal(status, 0);
    assert_int_equal(at, end);
    scan_close(scan);
    buffer_finish(&text);
}

/* Context is by arrival: forwards, all neighbours within reach, each once, in order. */
static void check_context(struct sample *sample, const struct question *question, const struct filter *filter) {
    static bool shown[ENTRIES];
    struct scan_options options = SCAN_EVERYTHING;
    struct context *context;
    struct context_row row;
    uint32_t around = sample_random(sample, 4), at = 0;
    memset(shown, 0, sizeof(shown));
    for (uint32_t i = 0; i < ENTRIES; i++)
        for (uint32_t j = i < around ? 0 : i - around; holds(question, &rows[i]) && j <= i + around && j < ENTRIES; j++)
            shown[j] = true;
    assert_int_equal(context_open(&reader, filter, &options, around, &context, NULL), 0);
    while (context_next(context, &row, NULL) > 0) {
        while (at < ENTRIES && !shown[at])
            at++;
        assert_int_equal(row.sequence, at);
        assert_int_equal(row.match, holds(question, &rows[at]));
        assert_true(text_is(row.entry.message, rows[at].message));
        at++;
    }
    while (at < ENTRIES)
        assert_false(shown[at++]);
    context_close(context);
}

static void check_tally(struct sample *sample, const struct question *question, const struct filter *filter) {
    struct scan_options everything = SCAN_EVERYTHING;
    struct tally tally;
    struct tally_steps steps;
    static uint64_t plain[ENTRIES][LEVEL_COUNT];
    uint64_t total = 0;
    uint64_t step_ns = 500 + sample_random(sample, 20000);
    memset(plain, 0, sizeof(plain));
    assert_int_equal(tally_steps_over(900000, 1100000, step_ns, 0, &steps, NULL), 0);
    for (uint32_t i = 0; i < ENTRIES; i++)
        if (holds(question, &rows[i])) {
            total++;
            plain[(rows[i].timestamp_ns - steps.first_ns) / step_ns][rows[i].level]++;
        }
    assert_int_equal(tally_make_steps(&reader, filter, &everything, &steps, &tally, NULL), 0);
    assert_int_equal(tally.total, total);
    for (size_t step = 0; step < steps.count; step++)
        for (unsigned level = 0; level < LEVEL_COUNT; level++) {
            uint64_t sum = 0;
            for (size_t i = 0; i < tally.service_count; i++)
                sum += tally.services[i].by_step[step][level];
            assert_int_equal(sum, plain[step][level]);
        }
    tally_finish(&tally);
    assert_int_equal(tally_make(&reader, filter, &everything, true, &tally, NULL), 0);
    assert_int_equal(tally.total, total);
    tally_finish(&tally);
}

static void answers_as_a_plain_loop_does(void **state) {
    static uint32_t answer[ENTRIES];
    struct sample sample = { .random = 4242 };
    uint64_t found = 0;
    int questions = getenv("TASKFORGE_LONG") ? QUESTIONS_LONG : QUESTIONS;
    (void)state;
    for (int i = 0; i < questions; i++) {
        struct question question;
        struct filter filter;
        make_question(&sample, &question, &filter);
        by_arrival = sample_random(&sample, 2);
        reverse = sample_random(&sample, 2);
        uint32_t count = plain_answer(&question, answer);
        found += count;
        check_scan(&sample, &question, &filter, answer, count);
        if (i % 4 == 0)
            check_context(&sample, &question, &filter);
        else
            check_tally(&sample, &question, &filter);
        drop_question(&question, &filter);
    }
    assert_true(found > (uint64_t)questions * 20); /* the questions are about something */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_as_a_plain_loop_does, make_store, drop_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
