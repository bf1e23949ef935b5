/* stats_print.c - see stats_print.h. */
#include "exporter/tfctl/stats_print.h"

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "exporter/tfctl/format.h"

static uint64_t sum_from(const uint64_t *by_level, enum level level) {
    uint64_t sum = 0;
    for (unsigned l = level; l < LEVEL_COUNT; l++)
        sum += by_level[l];
    return sum;
}

static void add_levels(uint64_t *to, const uint64_t *from) {
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        to[level] += from[level];
}

/* --- JSON --- */

static void append_json_counts(struct buffer *out, const uint64_t *by_level) {
    buffer_append_format(out, "\"total_logs\":%llu,\"error_logs\":%llu,\"warn_logs\":%llu,\"levels\":{",
                         (unsigned long long)sum_from(by_level, LEVEL_TRACE),
                         (unsigned long long)sum_from(by_level, LEVEL_ERROR), (unsigned long long)by_level[LEVEL_WARN]);
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, "%s\"%s\":%llu", level ? "," : "", level_name((enum level)level),
                             (unsigned long long)by_level[level]);
    buffer_append_char(out, '}');
}

static double estimate_of(const struct tally_service *service) {
    double sum = 0;
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        sum += service->estimated[level];
    return sum;
}

/* What was written, by what sampling and dedup left of it. */
static void append_json_estimate(struct buffer *out, const struct tally_service *service) {
    buffer_append_format(out, ",\"estimated_total\":%.0f,\"estimated_levels\":{", estimate_of(service));
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, "%s\"%s\":%.0f", level ? "," : "", level_name((enum level)level),
                             service->estimated[level]);
    buffer_append_char(out, '}');
}

static void append_json_period(struct buffer *out, uint64_t first_ns, uint64_t last_ns) {
    char time[CLOCK_RFC3339_SIZE];
    clock_format(first_ns, time);
    buffer_append_format(out, "\"start_time\":\"%s\"", time);
    clock_format(last_ns, time);
    buffer_append_format(out, ",\"end_time\":\"%s\"", time);
}

static void append_json_service(struct buffer *out, struct text service) {
    struct buffer name = BUFFER_EMPTY;
    json_append_string(&name, service);
    out->failed |= name.failed;
    buffer_append_string(out, "{\"service\":");
    format_harden_json(out, buffer_text(&name));
    buffer_append_char(out, ',');
    buffer_finish(&name);
}

static void json_services(struct buffer *out, const struct tally *tally) {
    for (size_t i = 0; i < tally->service_count; i++) {
        append_json_service(out, tally->services[i].service);
        append_json_counts(out, tally->services[i].by_level);
        if (tally->weighed)
            append_json_estimate(out, &tally->services[i]);
        buffer_append_char(out, ',');
        append_json_period(out, tally->first_ns, tally->last_ns);
        buffer_append_string(out, "}\n");
    }
}

static void json_step(struct buffer *out, const struct tally *tally, size_t step, const uint64_t *sums) {
    uint64_t begin = tally->steps.first_ns + step * tally->steps.step_ns;
    bool any = false;
    buffer_append_char(out, '{');
    append_json_period(out, begin, begin + tally->steps.step_ns);
    buffer_append_char(out, ',');
    append_json_counts(out, sums);
    buffer_append_string(out, ",\"services\":[");
    for (size_t i = 0; i < tally->service_count; i++) {
        const uint64_t *by_level = tally->services[i].by_step[step];
        if (sum_from(by_level, LEVEL_TRACE) == 0)
            continue;
        buffer_append_string(out, any ? "," : "");
        any = true;
        append_json_service(out, tally->services[i].service);
        append_json_counts(out, by_level);
        buffer_append_char(out, '}');
    }
    buffer_append_string(out, "]}\n");
}

/* --- tables --- */

static void append_head(struct buffer *out, bool csv, const char *first, size_t width) {
    if (csv)
        buffer_append_format(out, "%s,total", first);
    else
        buffer_append_format(out, "%-*s %12s", (int)width, first, "total");
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, csv ? ",%s" : " %10s", level_name((enum level)level));
    buffer_append_string(out, csv ? "\r\n" : "\n");
}

static void append_numbers(struct buffer *out, bool csv, const uint64_t *by_level) {
    buffer_append_format(out, csv ? ",%llu" : " %12llu", (unsigned long long)sum_from(by_level, LEVEL_TRACE));
    for (unsigned level = 0; level < LEVEL_COUNT; level++)
        buffer_append_format(out, csv ? ",%llu" : " %10llu", (unsigned long long)by_level[level]);
    buffer_append_string(out, csv ? "\r\n" : "\n");
}

static void append_padded(struct buffer *out, struct text name, size_t width) {
    size_t before = out->length;
    format_printable(out, name);
    size_t characters =
        out->failed ? width : text_utf8_count((struct text) { out->data + before, out->length - before });
    buffer_append_format(out, "%*s", (int)(width > characters ? width - characters : 0), "");
}

/* A service's name may hold anything; as printable it has no line ends, but maybe commas and quotes. */
static void append_csv_name(struct buffer *out, struct text name) {
    struct buffer printable = BUFFER_EMPTY;
    format_printable(&printable, name);
    out->failed |= printable.failed;
    buffer_append_char(out, '"');
    for (size_t i = 0; i < printable.length; i++) {
        if (printable.data[i] == '"')
            buffer_append_char(out, '"');
        buffer_append_char(out, printable.data[i]);
    }
    buffer_append_char(out, '"');
    buffer_finish(&printable);
}

static void append_estimates(struct buffer *out, const struct tally *tally) {
    for (size_t i = 0; i < tally->service_count; i++) {
        const struct tally_service *service = &tally->services[i];
        uint64_t stored = sum_from(service->by_level, LEVEL_TRACE);
        if (estimate_of(service) <= (double)stored)
            continue;
        format_printable(out, service->service);
        buffer_append_format(out, ": some %.0f were written; sampling and dedup stored %llu\n", estimate_of(service),
                             (unsigned long long)stored);
    }
}

static void table_services(struct buffer *out, const struct stats_style *style, const struct tally *tally) {
    bool csv = style->format == STATS_CSV;
    tally_levels total = { 0 };
    size_t width = sizeof("service");
    for (size_t i = 0; i < tally->service_count; i++) {
        size_t length = text_utf8_count(tally->services[i].service);
        width = length > width ? length : width;
        add_levels(total, tally->services[i].by_level);
    }
    append_head(out, csv, "service", width);
    for (size_t i = 0; i < tally->service_count; i++) {
        if (csv)
            append_csv_name(out, tally->services[i].service);
        else
            append_padded(out, tally->services[i].service, width);
        append_numbers(out, csv, tally->services[i].by_level);
    }
    if (csv)
        return;
    if (tally->service_count > 1) {
        append_padded(out, TEXT_LITERAL("(all)"), width);
        append_numbers(out, csv, total);
    }
    if (tally->weighed)
        append_estimates(out, tally);
    buffer_append_string(out, "from ");
    format_time(out, tally->first_ns, style->utc);
    buffer_append_string(out, " to ");
    format_time(out, tally->last_ns, style->utc);
    buffer_append_char(out, '\n');
}

static void table_step(struct buffer *out, const struct stats_style *style, uint64_t begin, const uint64_t *sums) {
    char time[CLOCK_RFC3339_SIZE];
    if (style->format == STATS_CSV) {
        clock_format(begin, time);
        buffer_append_string(out, time);
    } else {
        format_time(out, begin, style->utc);
    }
    append_numbers(out, style->format == STATS_CSV, sums);
}

/* --- the two --- */

void stats_print_services(struct buffer *out, const struct stats_style *style, const struct tally *tally) {
    if (tally->service_count == 0)
        return;
    if (style->format == STATS_JSON)
        json_services(out, tally);
    else
        table_services(out, style, tally);
}

void stats_print_steps(struct buffer *out, const struct stats_style *style, const struct tally *tally) {
    if (tally->service_count == 0)
        return;
    if (style->format != STATS_JSON)
        append_head(out, style->format == STATS_CSV, "start", sizeof("2026-11-23 18:15:04.123+07:00") - 1);
    for (size_t step = 0; step < tally->steps.count; step++) {
        tally_levels sums = { 0 };
        for (size_t i = 0; i < tally->service_count; i++)
            add_levels(sums, tally->services[i].by_step[step]);
        if (style->format == STATS_JSON)
            json_step(out, tally, step, sums);
        else
            table_step(out, style, tally->steps.first_ns + step * tally->steps.step_ns, sums);
    }
}

/* --- statements --- */

static void append_template(struct buffer *out, struct text text) {
    for (size_t at = 0; at < text.length;) {
        const char *gap = memchr(text.data + at, BLOCK_GAP, text.length - at);
        size_t end = gap ? (size_t)(gap - text.data) : text.length;
        buffer_append(out, text.data + at, end - at);
        if (gap)
            buffer_append_string(out, "<*>");
        at = end + (gap != NULL);
    }
}

static void json_statement(struct buffer *out, const struct statement *statement, struct text text) {
    struct buffer quoted = BUFFER_EMPTY, repaired = BUFFER_EMPTY;
    text_utf8_repair(text, &repaired); /* it may be cut in the middle of a character */
    json_append_string(&quoted, buffer_text(&repaired));
    out->failed |= quoted.failed || repaired.failed;
    buffer_append_format(out, "{\"template\":\"%016llx\",\"text\":", (unsigned long long)statement->template);
    format_harden_json(out, buffer_text(&quoted));
    buffer_append_char(out, ',');
    buffer_clear(&quoted);
    json_append_string(&quoted, statement->service);
    out->failed |= quoted.failed;
    buffer_append_string(out, "\"service\":");
    format_harden_json(out, buffer_text(&quoted));
    buffer_append_char(out, ',');
    append_json_counts(out, statement->by_level);
    buffer_append_string(out, "}\n");
    buffer_finish(&quoted);
    buffer_finish(&repaired);
}

/* "info", or "info:90 error:10" where it has several. */
static void append_levels(struct buffer *out, const struct statement *statement) {
    bool any = false;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        if (statement->by_level[level] == 0)
            continue;
        buffer_append_format(out, "%s%s", any ? " " : "", level_name((enum level)level));
        any = true;
        if (statement->by_level[level] != statement->total)
            buffer_append_format(out, ":%llu", (unsigned long long)statement->by_level[level]);
    }
}

static void text_statement(struct buffer *out, const struct statement *statement, struct text text) {
    struct buffer levels = BUFFER_EMPTY;
    append_levels(&levels, statement);
    buffer_append_format(out, "%12llu %016llx %-8.*s ", (unsigned long long)statement->total,
                         (unsigned long long)statement->template, (int)levels.length, levels.data);
    format_printable(out, statement->service);
    buffer_append_string(out, ": ");
    format_printable(out, text);
    buffer_append_char(out, '\n');
    out->failed |= levels.failed;
    buffer_finish(&levels);
}

static void csv_statement(struct buffer *out, const struct statement *statement, struct text text) {
    buffer_append_format(out, "%016llx,", (unsigned long long)statement->template);
    append_csv_name(out, statement->service);
    buffer_append_char(out, ',');
    append_csv_name(out, text);
    append_numbers(out, true, statement->by_level);
}

void stats_print_statements(struct buffer *out, const struct stats_style *style, const struct statements *statements,
                            uint64_t most) {
    static void (*const prints[])(struct buffer * out, const struct statement *statement, struct text text) = {
        [STATS_TEXT] = text_statement, [STATS_JSON] = json_statement, [STATS_CSV] = csv_statement
    };
    if (statements->count == 0)
        return;
    if (style->format == STATS_TEXT)
        buffer_append_format(out, "%12s %-16s %-8s %s\n", "total", "template", "level", "service: message");
    if (style->format == STATS_CSV)
        append_head(out, true, "template,service,text", 0);
    for (size_t i = 0; i < statements->count && i < most; i++) {
        struct buffer text = BUFFER_EMPTY;
        append_template(&text, statements->items[i].text);
        out->failed |= text.failed;
        prints[style->format](out, &statements->items[i], buffer_text(&text));
        buffer_finish(&text);
    }
}
