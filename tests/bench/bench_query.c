/* What queries cost inside a process: on a store of realistic entries that bench_store made.
 *
 *   bench_query DATA_DIR [NAME]   (only the queries whose name holds that) prints a line for each query: name, milliseconds (the median of some runs, the first left out), those of
 *                                      all processors together, how many it found
 *
 * The reader is opened once, as in the exporter; the files are in the page cache after the first run.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/query/logql_parser.h"
#include "common/query/scan.h"
#include "common/query/tally.h"
#include "tests/lib/realistic.h"

enum { RUNS = 7, HEAP_KEPT = 32 * 1024 * 1024 };
#define HOUR (UINT64_C(3600) * CLOCK_SECOND)

enum kind { ENTRIES, COUNT, TALLY, LAST };

struct query {
    const char *name;
    const char *text; /* in LogQL's form */
    enum kind kind;
    bool an_hour;
    uint64_t limit;
};

static const struct query queries[] = {
    { "service and level in an hour", "{service=\"queue\",level=\"error\"}", ENTRIES, true, UINT64_MAX },
    { "a trace id", NULL, ENTRIES, false, UINT64_MAX },
    { "count by level", "{}", TALLY, false, UINT64_MAX },
    { "last 100", "{}", LAST, false, 100 },
    { "last 100 by time", "{}", LAST, false, 101 },
    { "a word that is rare", "{} |= \" mailbox \"", COUNT, false, UINT64_MAX },
    { "a word that is nowhere", "{} |= \" zeppelin \"", COUNT, false, UINT64_MAX },
    { "a substring", "{} |= \"he dead lett\"", COUNT, false, UINT64_MAX },
    { "a substring of digits", "{} |= \"7231\"", COUNT, false, UINT64_MAX },
    { "a substring that is nowhere", "{} |= \"zepp\"", COUNT, false, UINT64_MAX },
    { "an expression", "{} |~ \"attempt [45]: connection\"", COUNT, false, UINT64_MAX },
    { "metadata", "{queue=\"mail\",level=\"error\"}", COUNT, false, UINT64_MAX },
};

static void fail(const struct error *error) {
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

static uint64_t run_scan(struct store_reader *reader, const struct filter *filter, const struct query *query) {
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan;
    struct entry entry;
    struct error error = { "" };
    uint64_t found = 0, sequence;
    int status;
    options.limit = query->limit;
    options.reverse = query->kind == LAST;
    options.by_arrival = query->kind == LAST && query->limit == 100;
    if (scan_open(reader, filter, &options, &scan, &error) < 0)
        fail(&error);
    while ((status = scan_next(scan, &sequence, &error)) > 0) {
        found++;
        if (scan_entry(scan, &entry, &error) < 0)
            fail(&error);
    }
    if (status < 0)
        fail(&error);
    scan_close(scan);
    return found;
}

static uint64_t run_tally(struct store_reader *reader, const struct filter *filter, bool total_only) {
    const struct scan_options everything = SCAN_EVERYTHING;
    struct tally tally;
    struct error error = { "" };
    if (tally_make(reader, filter, &everything, total_only, &tally, &error) < 0)
        fail(&error);
    uint64_t total = tally.total;
    tally_finish(&tally);
    return total;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double processor_ms(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e3 + (double)used.tv_nsec / 1e6;
}

static void run(struct store_reader *reader, const struct query *query, const char *trace) {
    double times[RUNS], used = 0;
    uint64_t found = 0;
    struct error error = { "" };
    char text[ENTRY_TRACE_BYTES + 16];
    for (int i = 0; i <= RUNS; i++) {
        struct filter filter;
        double begin = (double)clock_monotonic_ns(), used_before = processor_ms();
        filter_init(&filter);
        snprintf(text, sizeof(text), "{trace_id=\"%s\"}", trace);
        if (logql_parse(text_of(query->text ? query->text : text), &filter, &error) < 0)
            fail(&error);
        if (query->an_hour) {
            filter.since_ns = REALISTIC_END_NS - 8 * HOUR;
            filter.until_ns = REALISTIC_END_NS - 7 * HOUR;
        }
        if (query->kind == COUNT || query->kind == TALLY)
            found = run_tally(reader, &filter, query->kind == COUNT);
        else
            found = run_scan(reader, &filter, query);
        filter_finish(&filter);
        if (i > 0)
            times[i - 1] = ((double)clock_monotonic_ns() - begin) / 1e6;
        used += i > 0 ? processor_ms() - used_before : 0;
    }
    qsort(times, RUNS, sizeof(times[0]), compare);
    printf("%s: %.3f ms (%.3f ms of processors), %llu found\n", query->name, times[RUNS / 2], used / RUNS,
           (unsigned long long)found);
}

/* A trace out of the middle of the store. */
static void find_trace(struct store_reader *reader, char trace[ENTRY_TRACE_BYTES + 1]) {
    struct scan_options options = SCAN_EVERYTHING;
    struct scan *scan;
    struct filter filter;
    struct entry entry;
    struct error error = { "" };
    uint64_t sequence;
    filter_init(&filter);
    if (logql_parse(TEXT_LITERAL("{trace_id!=\"\"}"), &filter, &error) < 0)
        fail(&error);
    filter.since_ns = REALISTIC_END_NS - 12 * HOUR;
    options.limit = 1;
    if (scan_open(reader, &filter, &options, &scan, &error) < 0 || scan_next(scan, &sequence, &error) != 1 ||
        scan_entry(scan, &entry, &error) != 1)
        fail(&error);
    snprintf(trace, ENTRY_TRACE_BYTES + 1, "%.*s", (int)entry.trace_id.length, entry.trace_id.data);
    scan_close(scan);
    filter_finish(&filter);
}

int main(int argc, char **argv) {
    struct store_reader *reader;
    struct error error = { "" };
    char trace[ENTRY_TRACE_BYTES + 1];
    if (argc < 2 || argc > 3)
        return 2;
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT); /* as tfctl and the exporter do */
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    if (store_reader_open(argv[1], NULL, NULL, &reader, &error) < 0)
        fail(&error);
    find_trace(reader, trace);
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        if (argc == 2 || strstr(queries[i].name, argv[2]))
            run(reader, &queries[i], trace);
    store_reader_close(reader);
    printf("trace %s\n", trace);
    return 0;
}
