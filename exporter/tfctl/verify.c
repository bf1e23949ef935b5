/* verify.c - tfctl verify: check everything in the store. */
#include <stdio.h>
#include <string.h>

#include "common/model/pack.h"
#include "common/store/samples.h"
#include "common/store/verify.h"
#include "exporter/tfctl/command.h"
#include "exporter/tfctl/format.h"

static const struct option options[] = { COMMON_OPTIONS, { "format", required_argument, NULL, 'o' }, { 0 } };

struct verifying {
    bool json;
};

static const char *const verdicts[PARTITION_VERDICTS] = {
    [PARTITION_UNCHECKED] = "unchecked",
    [PARTITION_SOUND] = "sound",
    [PARTITION_PARTLY] = "damaged",
    [PARTITION_UNREADABLE] = "unreadable",
};

static struct text name_of(const char *path) {
    const char *base = strrchr(path, '/');
    return text_of(base ? base + 1 : path);
}

/* 1,234,567 */
static void append_number(struct buffer *out, uint64_t number) {
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buffer_append_char(out, ',');
        buffer_append_char(out, digits[i]);
    }
}

static void append_count(struct buffer *out, uint64_t number, const char *one, const char *many, const char *behind) {
    append_number(out, number);
    buffer_append_format(out, " %s%s", number == 1 ? one : many, behind);
}

static void append_counts(struct buffer *out, uint64_t blocks, uint64_t entries, uint64_t spans, const char *behind) {
    append_count(out, blocks, "block", "blocks", ", ");
    append_count(out, entries, "entry", "entries", ", ");
    append_count(out, spans, "span", "spans", behind);
}

static void append_samples(struct buffer *out, uint64_t series, uint64_t samples) {
    append_number(out, series);
    buffer_append_string(out, " series, ");
    append_count(out, samples, "sample", "samples", ": ");
}

static void append_verdict(struct buffer *out, enum partition_verdict verdict, unsigned faults) {
    if (faults == 0)
        buffer_append_string(out, verdicts[verdict]);
    else
        buffer_append_format(out, "%s, %u %s", verdicts[verdict], faults, faults == 1 ? "fault" : "faults");
}

static void write_text(struct buffer *out, const char *path, const char *fault, const struct verify_result *result) {
    format_printable(out, name_of(path));
    buffer_append_string(out, ": ");
    if (fault) {
        format_printable(out, text_of(fault));
        return;
    }
    if (samples_is_name(path) || result->series > 0)
        append_samples(out, result->series, result->samples);
    else
        append_counts(out, result->blocks, result->entries, result->spans, ": ");
    append_verdict(out, result->verdict, result->faults);
}

static void write_json(struct buffer *out, const char *path, const char *fault, const struct verify_result *result) {
    struct buffer line = BUFFER_EMPTY;
    buffer_append_string(&line, "{\"partition\":");
    json_append_string(&line, name_of(path));
    if (fault) {
        buffer_append_string(&line, ",\"fault\":");
        json_append_string(&line, text_of(fault));
    } else {
        buffer_append_format(&line, ",\"verdict\":\"%s\"", verdicts[result->verdict]);
        if (samples_is_name(path) || result->series > 0)
            buffer_append_format(&line, ",\"series\":%llu,\"samples\":%llu", (unsigned long long)result->series,
                                 (unsigned long long)result->samples);
        else
            buffer_append_format(&line, ",\"blocks\":%llu,\"entries\":%llu,\"spans\":%llu",
                                 (unsigned long long)result->blocks, (unsigned long long)result->entries,
                                 (unsigned long long)result->spans);
        buffer_append_format(&line, ",\"faults\":%u", result->faults);
    }
    buffer_append_char(&line, '}');
    out->failed |= line.failed;
    format_harden_json(out, buffer_text(&line));
    buffer_finish(&line);
}

static void report(void *argument, const char *path, const char *fault, const struct verify_result *result) {
    const struct verifying *verifying = argument;
    struct buffer out = BUFFER_EMPTY;
    (verifying->json ? write_json : write_text)(&out, path, fault, result);
    if (!out.failed)
        printf("%.*s\n", TEXT_FORMAT(buffer_text(&out)));
    buffer_finish(&out);
}

static void print_totals(const struct session *session, const struct verify_totals *totals) {
    struct buffer out = BUFFER_EMPTY;
    append_count(&out, totals->partitions, "partition", "partitions", ", ");
    append_counts(&out, totals->blocks, totals->entries, totals->spans, totals->series > 0 ? ", " : ": ");
    if (totals->series > 0)
        append_samples(&out, totals->series, totals->samples);
    append_verdict(&out, totals->faults ? PARTITION_PARTLY : PARTITION_SOUND, totals->faults);
    if (!out.failed)
        printf("%s: %.*s\n", session->data_dir, TEXT_FORMAT(buffer_text(&out)));
    buffer_finish(&out);
}

static int run(struct session *session, int argc, char **argv) {
    struct verifying verifying = { false };
    struct verify_totals totals = { 0 };
    struct error error = { "" };
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
        if (option != 'o') {
            status = session_option(session, option, argv);
            continue;
        }
        verifying.json = strcmp(optarg, "json") == 0;
        if (!verifying.json && strcmp(optarg, "text") != 0)
            status = usage_error(session, "--format \"%s\": expected text or json", optarg);
    }
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    if (status == GO_ON)
        status = session_resolve(session);
    if (status != GO_ON)
        return status;
    int faults = store_verify(session->data_dir, report, &verifying, &totals, &error);
    if (faults < 0)
        return fault(session, &error);
    if (!verifying.json)
        print_totals(session, &totals);
    return faults > 0 ? EXIT_FAULT : EXIT_FINE;
}

const struct command command_verify = {
    .name = "verify",
    .run = run,
    .help = "usage: tfctl verify [--data-dir DIR] [--format text|json]\n"
            "Check every page, checksum, sequence and index of the store, and the hashes that closed partitions were "
            "noted\n"
            "with, and every row and column of the metric history. A line for each fault, one for each partition and one for all; exit status 1 when there is a fault. "
            "DIR is\n"
            "a data folder, a folder of copied partitions, or one partition file.\n\n"
            "  -o, --format FORMAT       text or json (an object a line)\n"
            "      --data-dir DIR        --config FILE\n",
};
